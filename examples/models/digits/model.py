"""Which digit did somebody write? 1,797 images of 8 × 8 pixels that come with scikit-learn."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

# People in the collection wrote several digits each, in a row: cutting the rows into stretches keeps
# neighbours, who are likely the same person, on one side of the line.
STRETCH = 30
SPLIT_OF_STRETCH = ["train", "train", "test", "train", "validation", "train", "test", "train", "train", "test"]


def data(split):
    """(images, digits, slices) of one split; images: (n, 1, 8, 8) float32 in [0, 1]."""
    pixels, digits = load_digits(return_X_y=True)
    stretch = np.arange(len(digits)) // STRETCH % len(SPLIT_OF_STRETCH)
    chosen = np.array(SPLIT_OF_STRETCH)[stretch] == split
    images = (pixels[chosen] / 16).astype("float32").reshape(-1, 1, 8, 8)
    ink = np.digitize(images.mean(axis=(1, 2, 3)), [0.28, 0.33])
    return images, digits[chosen], {"ink": np.array(["faint", "medium", "bold"])[ink]}


class DigitNet(nn.Module):
    """Two convolutions and a linear layer; (n, 1, 8, 8) → (n, 10) logits."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(2 * width * 16, 10),
        )

    def forward(self, images):
        return self.layers(images)


def train(ctx):
    """The trained module."""
    images, digits, _ = data("train")
    model = DigitNet(ctx.params["width"]).to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ctx.params["lr"], weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=ctx.params["epochs"])
    for _ in ctx.epochs(model=model, optimizer=optimizer, scheduler=scheduler):
        model.train()
        for x, y in ctx.batches(images, digits, size=64):
            with ctx.autocast():
                loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
        scheduler.step()
    return model
