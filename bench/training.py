"""What ctx costs: the training loop of the digits example through ctx against the best loop written by hand.

Same network, same data, same batch size, same optimizer, same threads; the hand-written loop keeps everything in
memory, indexes tensors directly, shows nothing and saves nothing. Prints one line of JSON; `speed` is ctx's, with the
loop by hand as 1, and the aim is at least 0.95.

    python bench/training.py [--epochs 15] [--rounds 15]
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import click

MODEL = Path(__file__).parents[1] / "examples" / "models" / "digits" / "model.py"


def load() -> ModuleType:
    """The example's model.py."""
    spec = importlib.util.spec_from_file_location("digits_model", MODEL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def through_ctx(module: ModuleType, params: dict[str, Any]) -> float:
    """Seconds of train(ctx), checkpoints and progress included."""
    from hera_workflows.learning.context import Context

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        context = Context(params=params, seed=0, checkpoint_dir=Path(folder), identity="bench")
        begin = time.perf_counter()
        module.train(context)
        return time.perf_counter() - begin


def by_hand(module: ModuleType, params: dict[str, Any]) -> float:
    """Seconds of the same training without ctx."""
    import torch

    torch.manual_seed(0)
    begin = time.perf_counter()
    images, digits, _ = module.data("train")
    x, y = torch.from_numpy(images), torch.from_numpy(digits)
    model = module.DigitNet(params["width"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=params["lr"], weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=params["epochs"])
    for _ in range(params["epochs"]):
        model.train()
        for chosen in torch.randperm(len(x)).split(64):
            loss = torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    return time.perf_counter() - begin


@click.command()
@click.option("--epochs", default=15, show_default=True)
@click.option("--rounds", default=15, show_default=True)
def main(epochs: int, rounds: int) -> None:
    """Compare both, in turns; the first round warms up, the medians of the others count."""
    import torch

    from hera_workflows.learning.cpus import usable_cpus

    torch.set_num_threads(usable_cpus())
    module, params = load(), {"epochs": epochs, "lr": 0.004, "width": 16}
    ways = {"ctx": through_ctx, "by_hand": by_hand}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        # Whoever comes second finds the caches as the first has left them, so they take turns at that, too.
        for name in sorted(ways, reverse=number % 2 == 1):
            seconds[name].append(ways[name](module, params))
    ours, theirs = (statistics.median(seconds[name][1:]) for name in ways)
    result = {"ctx_seconds": round(ours, 3), "by_hand_seconds": round(theirs, 3), "speed": round(theirs / ours, 3)}
    print(json.dumps({"bench": "training", "epochs": epochs, **result}))


if __name__ == "__main__":
    main()
