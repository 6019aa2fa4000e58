"""What `--help` of each command says."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from hera_workflows.cli import COMMANDS, slipway


def commands() -> dict[str, click.Command]:
    """Every command by the words that call it, those of a group in place of the group."""
    found = {}
    for name in COMMANDS:
        command = slipway.get_command(click.Context(slipway), name)
        assert command is not None
        below = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {word}": one for word, one in below.items()} or {name: command}
    return found


@pytest.mark.parametrize("words", commands())
def test_every_command_has_an_example_that_its_own_options_take(words: str):
    shown = CliRunner().invoke(slipway, [*words.split(), "--help"])
    examples = re.findall(rf"^  slipway {re.escape(words)}\b.*$", shown.output, re.MULTILINE)
    assert examples, shown.output
    known = {option for parameter in commands()[words].params for option in parameter.opts}
    # What a pipe leads to has options of its own.
    used = {option for line in examples for option in re.findall(r"(?<= )--?[a-z][a-z-]*", line.split(" | ")[0])}
    assert used <= known
