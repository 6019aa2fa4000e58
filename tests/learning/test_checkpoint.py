"""Checkpoints: what may be read back, and that nothing in them is ever executed."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hera_workflows.learning import checkpoint
from hera_workflows.learning.context import Context
from hera_workflows.learning.progress import Progress
from slipway.errors import Rejected


def context(folder: Path, *, seed: int = 0, epochs: int = 3, identity: str = "one") -> Context:
    return Context(params={"epochs": epochs}, seed=seed, checkpoint_dir=folder, identity=identity, save_share=1e9)


def fit(folder: Path, *, stop_after: int | None = None, epochs: int = 3, identity: str = "one") -> nn.Module:
    """Train on random numbers of every generator; break off by an exception after some epochs."""
    ctx = context(folder, epochs=epochs, identity=identity)
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters())
    inputs, labels = np.random.default_rng(0).normal(size=(40, 2)), np.zeros((40, 1))
    for epoch in ctx.epochs(model=model, optimizer=optimizer):
        if epoch == stop_after:
            raise InterruptedError
        for x, y in ctx.batches(inputs, labels, size=16):
            loss = nn.functional.mse_loss(model(x), y + random.random() + np.random.rand())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model


def same(left: nn.Module, right: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left.parameters(), right.parameters(), strict=True))


def test_a_resumed_training_draws_the_same_random_numbers_of_every_generator(tmp_path: Path):
    whole = fit(tmp_path / "whole")
    with pytest.raises(InterruptedError):
        fit(tmp_path / "broken", stop_after=2)
    assert same(fit(tmp_path / "broken"), whole)


def test_a_finished_training_is_not_trained_again(tmp_path: Path):
    whole = fit(tmp_path)
    assert same(fit(tmp_path, stop_after=0), whole)


def test_the_loss_curve_goes_on_after_a_resume(tmp_path: Path):
    with pytest.raises(InterruptedError):
        fit(tmp_path, stop_after=2)
    ctx = context(tmp_path)
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    next(ctx.epochs(model=model, optimizer=torch.optim.Adam(model.parameters())))
    assert [epoch for epoch, _ in ctx.curve] == [1, 2]


def test_a_checkpoint_of_another_commit_is_refused(tmp_path: Path):
    fit(tmp_path)
    with pytest.raises(Rejected, match=r"belongs to another training .* remove it to start anew"):
        fit(tmp_path, identity="two")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused_with_what_to_do(tmp_path: Path, share: float):
    fit(tmp_path)
    path = tmp_path / checkpoint.NAME
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(Rejected, match=r"checkpoint\.pt cannot be resumed from: .*; remove it to train from the first"):
        checkpoint.load(tmp_path)


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_checkpoint_that_would_run_code_is_refused_and_not_run(tmp_path: Path, kind: str):
    mark, path = tmp_path / "exploded", tmp_path / checkpoint.NAME
    if kind == "torch":
        torch.save({"format": checkpoint.FORMAT, "state": Bomb(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(Rejected, match="cannot be resumed from"):
        checkpoint.load(tmp_path)
    assert not mark.exists()


def test_a_file_that_is_no_checkpoint_of_ours_is_refused(tmp_path: Path):
    torch.save([1, 2], tmp_path / checkpoint.NAME)
    with pytest.raises(Rejected, match="was not written by this version of slipway"):
        checkpoint.load(tmp_path)


class Odd:
    """Something whose state cannot be read back without running code."""

    def state_dict(self) -> dict[str, object]:
        return {"path": Path("/")}

    def load_state_dict(self, state: dict[str, object]) -> None: ...


def test_a_state_that_could_not_be_read_back_is_refused_when_it_is_saved(tmp_path: Path):
    ctx = context(tmp_path)
    with pytest.raises(Rejected, match=r"ctx\.epochs\(odd=…\): its state holds PosixPath"):
        list(ctx.epochs(odd=Odd()))


def test_something_without_a_state_is_refused_by_name(tmp_path: Path):
    with pytest.raises(Rejected, match=r"ctx\.epochs\(rate=…\): float has no state_dict"):
        next(context(tmp_path).epochs(rate=0.1))


@pytest.mark.parametrize("epochs", ["3", 2.5, True, -1, None])
def test_a_number_of_epochs_that_is_none_is_refused(tmp_path: Path, epochs: object):
    ctx = Context(params={"epochs": epochs}, seed=0, checkpoint_dir=tmp_path, identity="x")
    with pytest.raises(Rejected, match=r"set train\.params\.epochs in model\.yaml"):
        next(ctx.epochs())


def test_a_loss_that_is_not_a_number_ends_the_training(tmp_path: Path):
    ctx = context(tmp_path)
    epochs = ctx.epochs()
    next(epochs)
    ctx.progress(loss=torch.tensor(float("nan")))
    with pytest.raises(Rejected, match="the loss of epoch 1 is nan; lower the learning rate"):
        next(epochs)


def order(seed: int, epoch: int, folder: Path) -> list[float]:
    ctx = context(folder, seed=seed)
    ctx.epoch = epoch
    values = np.arange(20.0)
    return [float(value) for x, _ in ctx.batches(values[:, None], values, size=6) for value in x[:, 0]]


def test_the_order_of_batches_depends_on_seed_and_epoch_alone(tmp_path: Path):
    first = order(0, 0, tmp_path)
    torch.rand(5)
    assert order(0, 0, tmp_path) == first
    assert order(1, 0, tmp_path) != first
    assert order(0, 1, tmp_path) != first


def test_every_sample_is_in_exactly_one_batch(tmp_path: Path):
    assert sorted(order(0, 0, tmp_path)) == list(np.arange(20.0))


def test_batches_of_a_dict_are_dicts_on_the_same_samples(tmp_path: Path):
    values = np.arange(10.0)
    for x, y in context(tmp_path).batches({"a": values, "b": -values}, values, size=4):
        assert torch.equal(x["a"], y)
        assert torch.equal(x["b"], -y)


def test_numpys_64_bit_numbers_become_the_32_bits_of_modules(tmp_path: Path):
    x, _ = next(context(tmp_path).batches(np.zeros((4, 2)), np.zeros(4, int)))
    assert x.dtype == torch.float32


def test_autocast_changes_nothing_on_a_cpu(tmp_path: Path):
    ctx = Context(params={}, seed=0, checkpoint_dir=tmp_path, identity="x", device=torch.device("cpu"))
    with ctx.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


class Terminal:
    def __init__(self, terminal: bool) -> None:
        self.terminal, self.text = terminal, ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


def shown(terminal: bool) -> str:
    """What two epochs of four seconds with four steps each print."""
    seconds = iter(range(100))
    stream = Terminal(terminal)
    progress = Progress(stream, clock=lambda: float(next(seconds)))  # type: ignore[arg-type]
    progress.start(0)
    for epoch in range(2):
        for step in range(4):
            progress.step({"loss": 1.0 / (1 + epoch)}, epoch, 2, (step + 1) / 4)
        progress.end_epoch(epoch, 2)
    return stream.text


def test_a_log_gets_plain_lines_with_loss_and_time_left():
    lines = shown(False).splitlines()
    assert all("\r" not in line for line in lines)
    assert lines[0].startswith("epoch 1/2  loss 1.0000, ")
    assert lines[0].endswith(" left")
    assert len(lines) < 8


def test_a_terminal_gets_a_bar_that_is_repainted():
    text = shown(True)
    assert text.count("\r") >= 8
    assert text.count("\n") == 1
    assert "█" * 28 in text
