"""Write small made data, train/cat/phone/1.jpg and so on, beside model.yaml, and point model.yaml at it.

A cat is a disc with pointed ears, a dog one with hanging ears: far easier than photographs. Figures on it say that the
machinery works, not how good the network is.
"""

import random
import re
from pathlib import Path

from PIL import Image, ImageDraw

SPLITS = {"train": 60, "validation": 20, "test": 40}  # pictures of each class


def picture(kind, draw):
    """One RGB picture of 160 to 320 pixels a side."""
    width, height, light = draw.randint(160, 320), draw.randint(160, 320), draw.choice([0.4, 0.8, 1.2])

    def shade(low, high):
        return tuple(min(255, int(light * draw.randint(low, high))) for _ in range(3))

    image = Image.new("RGB", (width, height), shade(60, 110))
    pen, r = ImageDraw.Draw(image), min(width, height) // 4
    x, y = width // 2 + draw.randint(-12, 12), height // 2 + draw.randint(-12, 12)
    fur = shade(160, 220)
    for side in (-1, 1):
        if kind == "cat":
            pen.polygon([(x + side * r, y), (x + side * r, y - 2 * r), (x + side * r // 6, y - r // 2)], fill=fur)
        else:
            pen.ellipse(sorted_box(x + side * r, y, x + side * int(1.7 * r), y + 2 * r), fill=fur)
    pen.ellipse((x - r, y - r, x + r, y + r), fill=fur)
    return image


def sorted_box(x0, y0, x1, y1):
    """The corners as Pillow wants them: left before right."""
    return (min(x0, x1), y0, max(x0, x1), y1)


def write(folder, splits=SPLITS, seed=1):
    """Write the pictures below `folder`, from two sources."""
    draw = random.Random(seed)
    for split, count in splits.items():
        for kind in ("cat", "dog"):
            for number in range(count):
                path = folder / split / kind / ("phone" if number % 2 else "camera") / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture(kind, draw).save(path, quality=85)


def point(model, url, **params):
    """Make the model.yaml in the folder `model` read `url`, on the CPU, with these train.params."""
    text = re.sub(r"url: \S+", f"url: {url}", (model / "model.yaml").read_text())
    text = re.sub(r"\n +(digest|skip): .*", "", text).replace("gpus: 1", "gpus: 0")
    for name, value in params.items():
        text = re.sub(rf"\b{name}: [^,}}]+", f"{name}: {value}", text)
    (model / "model.yaml").write_text(text)


if __name__ == "__main__":
    here = Path(__file__).parent
    write(here / "made")
    # What the network looks at is made smaller too: minutes on two cores become seconds.
    point(here, "made", epochs=3, lr=0.001, batch=16, resolution=48)
