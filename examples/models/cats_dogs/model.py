"""Is it a cat or a dog? ResNet18 with a head of two classes, fine-tuned."""

import numpy as np
import torch
from torch import nn
from torchvision.models import resnet18

SIZE = 224  # pixels; what clients send
WEIGHTS = "resnet18-f37072fd.pth"  # as torchvision names ImageNet's


def data(split, sets):
    """(pictures, labels, slices) of one split; pictures: (n, 224, 224, 3) uint8, decoded as they are used."""
    pictures, labels, sources = sets["pictures"].split(split, size=SIZE)
    if split != "test":
        return pictures, labels
    mean = np.concatenate([pictures[i : i + 64].mean(axis=(1, 2, 3)) for i in range(0, len(pictures), 64)])
    brightness = np.array(["dark", "medium", "bright"])[np.digitize(mean, [85, 150])]
    return pictures, labels, {"source": sources, "brightness": brightness}


class CatOrDog(nn.Module):
    """(n, 224, 224, 3) uint8 → (n, 2) logits; scaling and normalisation are inside, so clients send bytes."""

    def __init__(self, resolution):
        super().__init__()
        self.resolution = resolution
        self.net = resnet18(num_classes=2)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))  # ImageNet's
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, pictures):
        x = pictures.permute(0, 3, 1, 2).float() / 255
        if self.resolution != SIZE:
            x = nn.functional.interpolate(x, size=(self.resolution, self.resolution), mode="bilinear")
        return self.net((x - self.mean) / self.deviation) / self.temperature


def begin(net, folder):
    """Take ImageNet's weights where `folder` has a file with them; say which it is."""
    path = f"{folder}/{WEIGHTS}"
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        print(f"the layers begin with random weights: there is no {path}", flush=True)
        return
    weights.pop("fc.weight"), weights.pop("fc.bias")  # ImageNet's thousand classes
    net.load_state_dict(weights, strict=False)
    print(f"the layers begin with ImageNet's weights, from {path}", flush=True)


def augment(x):
    """Mirror, brighten and shift each picture by chance; on the device, where it costs least."""
    n = len(x)
    x = torch.where(torch.rand(n, 1, 1, 1, device=x.device) < 0.5, x.flip(2), x)
    x = (x * (0.7 + 0.6 * torch.rand(n, 1, 1, 1, device=x.device))).clamp(0, 255)
    down, right = torch.randint(-16, 17, (2,)).tolist()
    return x.roll((down, right), dims=(1, 2)).to(torch.uint8)


def calibrate(model, logits, labels):
    """Set the temperature to the one that explains the validation split best (Guo et al. 2017)."""
    candidates = torch.logspace(-0.6, 0.6, 61, device=logits.device)
    losses = torch.stack([nn.functional.cross_entropy(logits / t, labels) for t in candidates])
    model.temperature.fill_(candidates[losses.argmin()])


def train(ctx):
    """The trained and calibrated module."""
    pictures, labels = data("train", ctx.sets)
    model = CatOrDog(ctx.params["resolution"])
    begin(model.net, ctx.params.get("weights", "."))
    model = model.to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ctx.params["lr"], weight_decay=0.05)
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        model.train()
        for x, y in ctx.batches(pictures, labels, size=ctx.params["batch"]):
            with ctx.autocast():
                loss = nn.functional.cross_entropy(model(augment(x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    model.eval()
    model.temperature.fill_(1)
    with torch.inference_mode():
        seen = [(model(x), y) for x, y in ctx.batches(*data("validation", ctx.sets), size=64, shuffle=False)]
    calibrate(model, torch.cat([logits for logits, _ in seen]), torch.cat([y for _, y in seen]))
    return model
