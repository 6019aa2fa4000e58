"""What `ctx` refuses of people's training code."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from hera_workflows.learning.context import Context
from slipway.errors import Rejected


def context(folder: Path) -> Context:
    return Context(params={}, seed=0, checkpoint_dir=folder, identity="one")


@pytest.mark.parametrize("second", [8, 5, 3])
def test_a_second_loop_of_epochs_is_refused_with_what_to_do_instead(tmp_path: Path, second: int):
    ctx, model = context(tmp_path), nn.Linear(2, 1)
    assert list(ctx.epochs(5, model=model)) == [0, 1, 2, 3, 4]
    with pytest.raises(Rejected, match=r"ctx\.epochs is called a second time; train in one loop, and change what is"):
        list(ctx.epochs(second, model=model))


def test_a_second_loop_is_refused_after_a_first_that_was_left_early(tmp_path: Path):
    ctx, model = context(tmp_path), nn.Linear(2, 1)
    for _ in ctx.epochs(5, model=model):
        break
    with pytest.raises(Rejected, match=r"ctx\.epochs is called a second time"):
        list(ctx.epochs(5, model=model))
