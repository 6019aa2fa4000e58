"""Write small made data in CIFAR-10's own format beside model.yaml, and point model.yaml at it.

Each class is a colour and a width of stripes, with noise: far easier than photographs. Figures on it say that the
machinery works, not how good the network is.
"""

import io
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def images(labels, draw):
    """(n, 3, 32, 32) uint8: stripes whose width and colour say the class, also in the mirror."""
    y = np.arange(32)[:, None] * np.ones((1, 32))
    colours = np.array([[1.0, 0.2, 0.4], [0.2, 0.5, 1.0]])
    result = np.empty((len(labels), 3, 32, 32), np.uint8)
    for row, label in enumerate(labels):
        wave = np.sin((0.25 + 0.3 * (label % 5)) * y + draw.uniform(0, 6))
        noise = draw.normal(0, 25, (3, 32, 32))
        result[row] = np.clip(128 + 100 * colours[label // 5][:, None, None] * wave + noise, 0, 255)
    return result


def write(path, each=100, seed=1):
    """Write a .tar.gz with five batches of `each` images and a test batch of 4 × `each`, as CIFAR-10's archive is."""
    draw = np.random.default_rng(seed)
    with tarfile.open(path, "w:gz") as archive:

        def add(name, content):
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

        # Protocol 2 with bytes as keys is what Python 2 wrote.
        add("batches.meta", pickle.dumps({b"label_names": [name.encode() for name in NAMES]}, protocol=2))
        for name, count in [*((f"data_batch_{n}", each) for n in range(1, 6)), ("test_batch", 4 * each)]:
            labels = draw.permutation(np.arange(count) % 10).tolist()
            pixels = images(labels, draw).reshape(count, -1)
            add(name, pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2))


def point(model, url, **params):
    """Make the model.yaml in the folder `model` read `url`, with these train.params."""
    text = re.sub(r"url: \S+", f"url: {url}", (model / "model.yaml").read_text())
    text = re.sub(r"\n +digest: \S+", "", text)
    for name, value in params.items():
        text = re.sub(rf"\b{name}: [^,}}]+", f"{name}: {value}", text)
    (model / "model.yaml").write_text(text)


if __name__ == "__main__":
    here = Path(__file__).parent
    write(here / "made.tar.gz")
    point(here, "made.tar.gz")
