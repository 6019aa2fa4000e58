"""Pictures are decoded by other processes: in order, told apart when one cannot be, whatever becomes of a process."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from hera_workflows.learning.datasets.pictures import PIECE, PROCESSES, Pictures
from slipway.errors import Misconfigured, Rejected, TryAgain

COUNT = 3 * PIECE * PROCESSES


def grey(folder: Path, count: int = COUNT) -> Pictures:
    """As many pictures; each is as bright as its place."""
    for place in range(count):
        Image.new("RGB", (8, 8), (place % 256,) * 3).save(folder / f"{place}.png")
    return Pictures(str(folder), [f"{place}.png" for place in range(count)], 4, "data.pets", "sha256:0")


def decoders() -> list[psutil.Process]:
    found = []
    for each in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has ended
            if "hera_workflows.learning.decode" in each.cmdline():
                found.append(each)
    return found


def opens(path: Path, process: psutil.Process) -> bool:
    try:
        return any(each.readlink() == path for each in Path(f"/proc/{process.pid}/fd").iterdir())
    except OSError:  # it has ended, or the file was closed meanwhile
        return False


def opened_by(path: Path, but: list[psutil.Process]) -> psutil.Process:
    """The process, and none of these, that has the file open."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for each in decoders():
            if each not in but and opens(path, each):
                return each
    raise AssertionError(f"no process opens {path}")


def test_pictures_come_in_the_order_they_were_asked_for(tmp_path: Path):
    places = np.random.default_rng(0).permutation(COUNT)
    assert grey(tmp_path)[places][:, 0, 0, 0].tolist() == [place % 256 for place in places]


def test_no_picture_is_asked_for_as_well_as_many(tmp_path: Path):
    assert grey(tmp_path, 1)[0:0].shape == (0, 4, 4, 3)


def test_one_that_cannot_be_decoded_is_named_among_many(tmp_path: Path):
    pictures = grey(tmp_path)
    (tmp_path / f"{COUNT - 2}.png").write_bytes(b"no picture")
    with pytest.raises(Rejected) as caught:
        pictures[:]
    assert str(caught.value) == (
        f"data.pets: {COUNT - 2}.png: is not a picture; replace it, or list it under `skip:` in model.yaml"
    )


def test_a_picture_that_is_gone_is_named(tmp_path: Path):
    pictures = grey(tmp_path, 3)
    (tmp_path / "1.png").unlink()
    with pytest.raises(Rejected, match=r"data.pets: 1.png: is damaged \(.*No such file"):
        pictures[:]


def test_a_name_that_is_not_utf_8_is_decoded_too(tmp_path: Path):
    grey(tmp_path, 1)
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "0.png").rename(tmp_path / name)
    assert Pictures(str(tmp_path), [name], 4, "data.pets", "sha256:0")[:].shape == (1, 4, 4, 3)


def test_processes_that_somebody_killed_are_replaced(tmp_path: Path):
    pictures = grey(tmp_path)
    whole = pictures[:]
    for each in decoders():
        each.kill()
        psutil.wait_procs([each], timeout=10)
    assert (pictures[:] == whole).all()


def kill_whoever_opens(path: Path, pictures: Pictures, by: signal.Signals) -> Future[Any]:
    """Have all pictures made, and end each process that opens the file: with others, then alone."""
    path.unlink()
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)  # whose reader waits, until it is killed here
    killed: list[psutil.Process] = []
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(lambda: pictures[:])
            for _ in ("with others", "alone"):
                killed.append(opened_by(path, but=killed))
                killed[-1].send_signal(by)
    finally:
        os.close(writer)
    return asked


def test_a_picture_that_ends_its_process_is_named(tmp_path: Path):
    asked = kill_whoever_opens(tmp_path / "5.png", grey(tmp_path), signal.SIGSEGV)
    with pytest.raises(Rejected, match=r"data.pets: 5.png: ends the process that decodes it \(signal 11\);"):
        asked.result()


def test_a_process_killed_for_memory_is_no_fault_of_its_picture(tmp_path: Path):
    asked = kill_whoever_opens(tmp_path / "5.png", grey(tmp_path), signal.SIGKILL)
    with pytest.raises(TryAgain, match=r"5.png: the process .* was killed, most likely for memory; raise train.memory"):
        asked.result()


def _without_python(pictures: Pictures) -> str:
    os.environ["PYTHONHOME"] = "/nowhere"
    with pytest.raises(Misconfigured) as caught:
        pictures[:]
    return str(caught.value)


def _without_descriptors(pictures: Pictures) -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    with pytest.raises(TryAgain) as caught:
        pictures[:]
    return str(caught.value)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (_without_python, "data.pets: no picture can be decoded here (exit 1; "),
        (_without_descriptors, "no process that decodes pictures can be started (Too many open files); "),
    ],
)
def test_pictures_are_not_blamed_for_a_process_that_cannot_begin(
    tmp_path: Path, ask: Callable[[Pictures], str], told: str
):
    pictures = grey(tmp_path, 2)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(ask, (pictures,)).get(timeout=60).startswith(told)


def _first(pictures: Pictures) -> int:
    return int(pictures[:][-1, 0, 0, 0])


def test_a_fork_of_the_process_decodes_as_well(tmp_path: Path):
    pictures = grey(tmp_path, 20)
    pictures[:]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_first, (pictures,)).get(timeout=60) == 19


def test_nothing_that_a_decoder_prints_comes_among_the_pixels(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, PIL.Image\n"
        "def open(*args, before=PIL.Image.open, **more):\n"
        "    builtins.print('a word of the decoder', flush=True)\n"
        "    return before(*args, **more)\n"
        "PIL.Image.open = open\n"
    )
    pictures = grey(tmp_path, 1)
    decoder = [sys.executable, "-m", "hera_workflows.learning.decode"]
    asked = f'{{"root": "{tmp_path}", "paths": ["0.png"], "size": 4}}\n'
    done = subprocess.run(
        decoder, input=asked.encode(), capture_output=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True
    )
    assert b"a word of the decoder" in done.stderr
    assert done.stdout == b"null\n" + pictures[:].tobytes()
