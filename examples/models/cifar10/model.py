"""What is in the picture? CIFAR-10's ten classes, by a small convolutional network."""

import torch
from torch import nn


def data(split, sets):
    """(images, labels) of one split; images: (n, 3, 32, 32) uint8, as the archive has them."""
    return sets["pictures"].split(split)


class CifarNet(nn.Module):
    """Conv32, pool, Conv64, pool, Dense64, Dense10; (n, 3, 32, 32) uint8 → (n, 10) logits."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 8 * 8, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, images):
        # Here and not in data(): clients send bytes as they come, and nobody can forget to scale them.
        return self.layers(images.float() / 127.5 - 1)


def train(ctx):
    """The trained module; half of the training images are mirrored, anew in each epoch."""
    images, labels = data("train", ctx.sets)
    model = CifarNet().to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ctx.params["lr"], weight_decay=0.01)
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        model.train()
        for x, y in ctx.batches(images, labels, size=128):
            mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
            with ctx.autocast():
                loss = nn.functional.cross_entropy(model(torch.where(mirrored, x.flip(3), x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model
