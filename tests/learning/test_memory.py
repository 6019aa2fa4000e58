"""What the kernel says of a container's memory, in both of its versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from hera_workflows.learning.memory import Memory, memory

SECOND = {"memory.events": "low 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 0\n", "memory.max": "536870912\n"}
FIRST = {
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory/memory.limit_in_bytes": "536870912\n",
}


def group(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("files", [FIRST, SECOND], ids=["version 1", "version 2"])
def test_kills_and_limit_are_read(tmp_path: Path, files: dict[str, str]) -> None:
    assert memory(group(tmp_path, files)) == Memory(kills=2, limit=512 << 20)


@pytest.mark.parametrize(
    "files", [{}, {**SECOND, "memory.max": "max\n"}, {**FIRST, "memory/memory.limit_in_bytes": f"{2**63 - 4096}\n"}]
)
def test_without_a_limit_nothing_is_said(tmp_path: Path, files: dict[str, str]) -> None:
    assert memory(group(tmp_path, files)) is None


@pytest.mark.parametrize(("limit", "text"), [(512 << 20, "512Mi"), (4 << 30, "4Gi"), (1 << 29 | 4096, "512Mi")])
def test_the_limit_reads_as_in_model_yaml(limit: int, text: str) -> None:
    assert Memory(0, limit).quantity == text
