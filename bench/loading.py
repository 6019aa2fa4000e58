"""How fast do small JPEGs become batches, against torchvision's ImageFolder and DataLoader?

    python bench/loading.py                       # 10,000 pictures of 96 × 72 pixels
    python bench/loading.py --pictures 2000

Both read the same folder in shuffled order, batches of 64, scaled and cut to 64 × 64, as uint8 on the CPU; both have a
worker process for every CPU. Each way is timed `--runs` times, in turns, after one reading that warms the page cache;
the median counts. Every reading is the first of a new process, so the start of the workers is in its time. (A training
starts torchvision's again for every epoch, slipway's once.) What slipway does beyond decoding is in its time too: it
looks for one picture under two labels or in two splits. The aim: not slower.
"""

from __future__ import annotations

import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
from PIL import Image

SIZE, BATCH = 64, 64


def make(folder: Path, pictures: int) -> None:
    """JPEGs of noise over a gradient, in two classes."""
    draw = np.random.default_rng(0)
    slope = np.linspace(0, 160, 96 * 72 * 3).reshape(72, 96, 3)
    for number in range(pictures):
        path = folder / "train" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noisy = slope + draw.normal(40, 20, (9, 12, 3)).repeat(8, 0).repeat(8, 1)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=85)


def ours(folder: Path) -> int:
    """Read all pictures once, as ctx.batches does; how many there were."""
    from hera_workflows.learning.context import Context
    from hera_workflows.learning.datasets import Fetched, open_sets

    fetched = Fetched(url="x", format="image-folder", digest="sha256:" + "0" * 64, size=0, path=folder)
    pictures, labels, _ = open_sets({"p": fetched})["p"].split("train", size=SIZE)
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(params={}, seed=0, checkpoint_dir=Path(scratch), identity="bench")
        return sum(len(y) for _, y in context.batches(pictures, labels, size=BATCH))


def theirs(folder: Path) -> int:
    """The same by torchvision."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = v2.Compose([v2.Resize(SIZE), v2.CenterCrop(SIZE), v2.PILToTensor()])
    workers = len(os.sched_getaffinity(0))
    loader = DataLoader(
        ImageFolder(str(folder / "train"), steps),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        generator=torch.Generator(),
    )
    return sum(len(y) for _, y in loader)


def timed(way: Callable[[Path], int], folder: Path, pictures: int) -> float:
    """The seconds of one reading in a process of its own, imports left out."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as fresh:
        return fresh.submit(_seconds, way, folder, pictures).result()


def _seconds(way: Callable[[Path], int], folder: Path, pictures: int) -> float:
    begin = time.perf_counter()
    if (count := way(folder)) != pictures:
        raise click.ClickException(f"{way.__name__} read {count} of {pictures} pictures")
    return time.perf_counter() - begin


@click.command()
@click.option("--pictures", default=10_000, show_default=True)
@click.option("--runs", default=7, show_default=True)
def main(pictures: int, runs: int) -> None:
    """Print pictures a second of both."""
    for name in ("torchvision.datasets", "torchvision.transforms.v2", "hera_workflows.learning.context"):
        importlib.import_module(name)
    ways: dict[str, Callable[[Path], int]] = {"slipway": ours, "torchvision": theirs}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        folder = Path(scratch)
        make(folder, pictures)
        timed(ours, folder, pictures)
        for number in range(runs):
            for name, way in sorted(ways.items(), reverse=number % 2 == 1):
                seconds[name].append(timed(way, folder, pictures))
    rates = {name: pictures / statistics.median(times) for name, times in seconds.items()}
    for name, rate in rates.items():
        click.echo(f"{name:<12} {rate:8.0f} pictures/s")
    click.echo(f"ratio        {rates['slipway'] / rates['torchvision']:8.2f} (aim: >= 1)")


if __name__ == "__main__":
    main()
