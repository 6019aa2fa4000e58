"""How one container's command runs as a process: started, watched, stopped with all of its children."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hera_workflows.local.capped_log import CappedLog
from hera_workflows.local.stale import MARK, kill_marked

__all__ = ["Command", "Ended", "execute"]

_GRACE = 5.0  # seconds between TERM and KILL
_WATCH = 0.5  # seconds between two looks at the memory
_PR_SET_PDEATHSIG = 1
_FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Command:
    """What is run and what it may use."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path  # working directory
    mark: str  # unique to this attempt
    seconds: float | None = None  # None: no deadline
    memory: float | None = None  # bytes, of the whole tree


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended."""

    exit_code: int | None  # None: it could not be started; 128 + n after signal n
    lost: bool  # not started, or killed by somebody else: no word about the step itself
    reason: str  # "", "DeadlineExceeded", "OOMKilled"
    message: str  # one line; empty when the exit code says it all
    seconds: float


async def execute(command: Command, log: CappedLog) -> Ended:
    """Run a command to its end, its deadline or its memory limit; nothing of it is left running, also when cancelled.

    Standard output and error go to `log`. Raises OSError when the log cannot be written.
    """
    started = time.monotonic()
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(writer, True)
    parent = os.getpid()
    try:
        process = subprocess.Popen(
            command.arguments,
            env={**command.environment, MARK: command.mark},
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: _die_with(parent),
        )
    except (OSError, ValueError) as error:
        os.close(reader)
        return Ended(None, True, "", f"{command.arguments[0]!r} cannot be started: {error}", 0.0)
    finally:
        os.close(writer)
    watcher = _Watcher(command, process, log, reader)
    try:
        reason = await watcher.watch()
    except asyncio.CancelledError:
        await watcher.stop()
        raise
    finally:
        watcher.end()
    code = process.returncode
    return Ended(
        128 - code if code < 0 else code,
        not reason and -code in _FROM_OUTSIDE,
        reason,
        _message(command, reason, code),
        time.monotonic() - started,
    )


def _message(command: Command, reason: str, code: int) -> str:
    if reason == "DeadlineExceeded":
        limit = f"stopped after {command.seconds:g} s, its time limit (activeDeadlineSeconds)"
        return f"{limit}; make it quicker, or raise that limit"
    if reason == "OOMKilled":
        return f"killed: it used more than its memory limit of {(command.memory or 0) / 2**20:.0f} MiB"
    named = {each.value: f" ({each.name})" for each in signal.Signals}  # not every signal has a name
    return f"killed by signal {-code}{named.get(-code, '')}" if code < 0 else ""


# Looked up before any fork: between fork and exec only async-signal-safe work may be done.
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl


def _die_with(parent: int) -> None:
    # kill -9 of the runner takes its steps along.
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _Watcher:
    def __init__(self, command: Command, process: subprocess.Popen[bytes], log: CappedLog, reader: int) -> None:
        self._command, self._process, self._log, self._reader = command, process, log, reader
        self._loop = asyncio.get_running_loop()
        self._exited = asyncio.Event()
        self._full: OSError | None = None
        self._pid_file = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pid_file, self._on_exit)
        self._loop.add_reader(reader, self._on_output)

    async def watch(self) -> str:
        """Wait for the end; return why it was brought about, empty if the process ended by itself."""
        now = self._loop.time
        deadline = float("inf") if self._command.seconds is None else now() + self._command.seconds
        while True:
            pause = min(deadline - now(), _WATCH if self._command.memory else float("inf"))
            await self._wait(None if pause == float("inf") else max(0.0, pause))
            if self._exited.is_set():
                return ""
            if now() >= deadline:
                await self.stop()
                return "DeadlineExceeded"
            if self._command.memory and _exceeds(self._process.pid, self._command.memory):
                self._signal(signal.SIGKILL)
                await self._exited.wait()
                return "OOMKilled"

    async def stop(self) -> None:
        """Ask the process group to end, and after the grace period end it."""
        self._signal(signal.SIGTERM)
        await self._wait(_GRACE)
        self._signal(signal.SIGKILL)
        await self._exited.wait()

    async def _wait(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exited.wait()

    def _signal(self, number: signal.Signals) -> None:
        # The leader is not reaped before `end`, so its number is still its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pid_file)
        self._exited.set()

    def _on_output(self) -> None:
        try:
            data = os.read(self._reader, 2**18)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._reader)
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            if self._full is None:
                self._log.write(data)
        except OSError as error:
            # Without a log nobody could say what the step did; it ends, and the reason is said.
            self._full = error
            self._signal(signal.SIGKILL)

    def end(self) -> None:
        """Kill whatever is left, reap the process, take its last words."""
        self._loop.remove_reader(self._pid_file)
        self._loop.remove_reader(self._reader)
        self._signal(signal.SIGKILL)
        kill_marked(self._command.mark)
        self._process.wait()
        os.close(self._pid_file)
        # Every writer is dead, so this ends at the end of the pipe, or at once where a stranger still holds it.
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 2**18):
                self._take(data)
        os.close(self._reader)
        if self._full is not None:
            raise self._full


def _exceeds(pid: int, limit: float) -> bool:
    """Whether the process and its descendants use more than `limit` bytes; pages that they share count once."""
    import psutil

    try:
        leader = psutil.Process(pid)
        tree = [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return False

    def total(field: str) -> int:
        used = 0
        for process in tree:
            with contextlib.suppress(psutil.Error):
                info = process.memory_info() if field == "rss" else process.memory_full_info()
                used += getattr(info, field)
        return used

    # The exact figure costs milliseconds a process, so it is read only when the cheap upper bound is too high.
    return total("rss") > limit and total("pss") > limit
