"""How do many pictures become arrays fast? By as many processes that decode as there are CPUs."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

from hera_workflows.learning.cpus import usable_cpus
from hera_workflows.learning.decode import REMEDY
from hera_workflows.learning.lazy import LazyArray
from slipway.errors import Misconfigured, Rejected, TryAgain

if TYPE_CHECKING:
    from io import BufferedReader, BufferedWriter

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Pictures"]

PROCESSES = min(usable_cpus(), 16)  # each takes about 25 MB
PIECE = 4  # pictures that a process is asked for at once, at most


class Pictures(LazyArray):
    """(n, size, size, 3) uint8: each picture scaled until its shorter side fits, and cut to its middle."""

    def __init__(self, root: str, paths: list[str], size: int, where: str, digest: str) -> None:
        import numpy as np

        self.size, self._root, self._paths, self._where = size, root, paths, where
        self.shape, self.dtype = (len(paths), size, size, 3), np.dtype(np.uint8)
        listed = hashlib.sha256("\0".join(paths).encode(errors="surrogateescape")).hexdigest()
        self.fingerprint = f"{digest} {listed} {size} middle"

    def take(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at these places; raises Rejected, naming the file, for one that cannot be decoded.

        Raises TryAgain where a process is killed or cannot be started, Misconfigured where none can decode.
        """
        import numpy as np

        result = np.empty((len(places), *self.shape[1:]), np.uint8)
        piece = max(1, min(PIECE, len(places) // PROCESSES))
        parts = [slice(first, first + piece) for first in range(0, len(places), piece)]
        list(_pool().map(lambda part: self._fill(result[part], [self._paths[each] for each in places[part]]), parts))
        return result

    def _fill(self, rows: NDArray[np.uint8], paths: list[str]) -> None:
        request = json.dumps({"root": self._root, "paths": paths, "size": self.size})
        try:
            problem = _decoder().ask(request, rows.data.cast("B"))
        except _EndedError as error:
            if len(paths) > 1:
                # One by one, to find the picture that did it; where none does, somebody else ended the process.
                for row, path in enumerate(paths):
                    self._fill(rows[row : row + 1], [path])
                return
            problem = f"{paths[0]}: ends the process that decodes it ({error.how}); {REMEDY}"
            if error.code == -signal.SIGKILL:
                # No picture does that.
                raise TryAgain(
                    f"{self._where}: {paths[0]}: the process that decodes it was killed, most likely for memory; raise "
                    "train.memory if it happens again"
                ) from None
            if error.code > 0:
                raise Misconfigured(
                    f"{self._where}: no picture can be decoded here ({error.how}; what Python says of it stands "
                    "above); mend the installation of slipway"
                ) from None
        if problem:
            raise Rejected(f"{self._where}: {problem}")


class _EndedError(Exception):
    """A decoder is there no more."""

    def __init__(self, code: int) -> None:
        self.code = code  # exit code, negative for a signal
        self.how = f"signal {-code}" if code < 0 else f"exit {code}"


class _Decoder:
    """One process that decodes."""

    def __init__(self) -> None:
        # -P: no module of the folder that people's code runs in stands in for one of Python's.
        command = [sys.executable, "-P", "-m", "hera_workflows.learning.decode"]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise TryAgain(
                f"no process that decodes pictures can be started ({error.strerror}); run again where memory and "
                "processes are left"
            ) from None
        self._requests = cast("BufferedWriter", self._process.stdin)
        self._answers = cast("BufferedReader", self._process.stdout)

    def ask(self, request: str, into: memoryview) -> str | None:
        """Fill `into` with pixels; or say what is wrong with one of the pictures."""
        try:
            self._requests.write(request.encode() + b"\n")
            self._requests.flush()
            problem: str | None = json.loads(self._answers.readline())
            whole = problem is not None or self._answers.readinto(into) == len(into)
        except (BrokenPipeError, ValueError):
            whole = False
        if not whole:
            _here.decoder = None
            raise _EndedError(self._process.wait())
        return problem


_here = threading.local()  # each thread of the pool has a process of its own


def _decoder() -> _Decoder:
    if getattr(_here, "decoder", None) is None:
        _here.decoder = _Decoder()
    decoder: _Decoder = _here.decoder
    return decoder


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PROCESSES, thread_name_prefix="pictures")


# A fork has none of the threads.
os.register_at_fork(after_in_child=_pool.cache_clear)
