"""How does a Triton process start, and end without leaving anything behind?"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from slipway.errors import Misconfigured, Rejected, TryAgain
from slipway.lock import locked
from triton_repo import wheel
from triton_repo.launch import start_time
from triton_repo.ports import Ports, PortTaken, free_ports

__all__ = ["RunningTriton", "find_triton", "start_triton"]

SECRET_HEADER = "slipway-control"
_RESTRICTED = "model-repository,shared-memory,trace,logging"
_BIND_FAILED = re.compile(r"already in use|[Aa]ddress in use|failed to start (HTTP|GRPC|Metrics)|failed to bind")


@dataclass(frozen=True, slots=True)
class RunningTriton:
    """A server that runs on its own, in its own session; `run_dir` holds its record and its log."""

    pid: int
    started: int  # in clock ticks since boot, so that another process with a recycled pid is never killed
    ports: Ports
    run_dir: Path

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.run_dir / "triton.log"

    @property
    def grpc_address(self) -> str:
        """host:port for gRPC clients."""
        return f"127.0.0.1:{self.ports.grpc}"

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return start_time(self.pid) == self.started

    def ends(self, timeout: float) -> bool:
        """Whether it has ended, or does within `timeout` seconds: a crash closes its connections before it is over."""
        return _wait(lambda: not self.alive(), timeout)

    def wait_live(self, timeout: float) -> None:
        """Return when the server answers; raises TryAgain with the end of its log if it ends or takes longer."""
        deadline = time.monotonic() + timeout
        while not (self._answers() and self._listens()):
            if not self.alive():
                raise TryAgain(f"Triton ended while starting: {self._last_words()}; see {self.log}")
            if time.monotonic() > deadline:
                raise TryAgain(f"Triton did not answer within {timeout:g} s; see {self.log}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports.http, timeout=1)
        try:
            connection.request("GET", "/v2/health/live")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _listens(self) -> bool:
        """Whether it has all of its ports: it answers on one before it finds that somebody has another."""
        import psutil

        with suppress(psutil.Error):
            there = psutil.Process(self.pid).net_connections("tcp")
            return set(astuple(self.ports)) <= {each.laddr.port for each in there if each.status == psutil.CONN_LISTEN}
        return False

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        wrong = [line for line in lines if line.startswith(("E", "F", "error", "failed")) or _BIND_FAILED.search(line)]
        return (wrong or lines or ["it said nothing"])[-1][:300]

    def kill(self) -> None:
        """End the server as a crash does."""
        self._send(signal.SIGKILL)

    def _send(self, what: signal.Signals) -> None:
        if self.alive():
            with suppress(ProcessLookupError):  # it ended by itself since
                os.kill(self.pid, what)

    def stop(self, timeout: float = 10.0) -> None:
        """End the server with all its children and shared memory; may be called twice.

        It gets `timeout` seconds to finish requests and to unload, which takes it 2 to 3; with 0 it is killed.
        """
        self._send(signal.SIGTERM)
        if not self.ends(timeout):
            self.kill()
        # The python backend's children stay in the server's session, whoever has died before.
        _wait(lambda: not _kill_session(self.pid, self.started), 10.0)
        for path in Path("/dev/shm").glob(f"{_shm_prefix(self.run_dir)}*"):
            path.unlink(missing_ok=True)
        (self.run_dir / "triton.json").unlink(missing_ok=True)


def find_triton(run_dir: Path) -> RunningTriton | None:
    """The server that was started with this run_dir, alive or not; None when none was, or it was stopped."""
    try:
        record = json.loads((run_dir / "triton.json").read_bytes())
        return RunningTriton(int(record["pid"]), int(record["started"]), Ports(**record["ports"]), run_dir)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Misconfigured(f"{run_dir}/triton.json cannot be read ({error}); remove it and end that Triton") from None


def start_triton(
    repository: Path,
    run_dir: Path,
    *,
    secret: str | None,
    ports: Ports | None = None,
    load: Sequence[str] = (),
    timeout: float = 30.0,
) -> RunningTriton:
    """Start a server over `repository` and return when it is live; a server that this run_dir already has is kept.

    It loads the models in `load` and nothing else by itself. secret: what clients must send to control models; None
    leaves control open. ports: free ones are chosen when None, and others tried if somebody takes them meanwhile.
    Raises TryAgain when it does not get live (PortTaken where one of `ports` is why), Misconfigured when Triton or
    libpython is not installed.
    """
    if secret is not None and not re.fullmatch(r"[A-Za-z0-9_-]{16,128}", secret, re.ASCII):
        raise Rejected("the control secret must be 16 to 128 letters, digits, _ or -")
    try:
        repository.mkdir(parents=True, exist_ok=True)
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"{error.filename}: {error.strerror}; choose a folder that can be written") from None
    with locked(run_dir / "start.lock", f"starting Triton in {run_dir}", wait=timeout):
        if (running := find_triton(run_dir)) is not None:
            try:
                running.wait_live(timeout)
                return running
            except TryAgain:
                if running.alive():
                    raise
            running.stop()
        return _start(repository, run_dir, secret, ports, load, timeout)


def _start(
    repository: Path, run_dir: Path, secret: str | None, ports: Ports | None, load: Sequence[str], timeout: float
) -> RunningTriton:
    for attempt in range(5):
        chosen = ports or Ports(*free_ports(3))
        triton = _spawn(repository, run_dir, chosen, secret, load)
        try:
            triton.wait_live(timeout)
            return triton
        except TryAgain:
            taken = bool(_BIND_FAILED.search(triton.log.read_text(errors="replace")))
            triton.stop(1.0)
            if not taken or attempt == 4:
                raise
            if ports is not None:
                raise PortTaken(
                    f"one of the ports {asdict(chosen)} is in use; end its owner or choose others"
                ) from None
    raise AssertionError("unreachable")


def _spawn(repository: Path, run_dir: Path, ports: Ports, secret: str | None, load: Sequence[str]) -> RunningTriton:
    shm = f"shm-region-prefix-name={_shm_prefix(run_dir)}"
    wheel.make_backends(run_dir / "backends")
    # The python backend starts its processes through a shell and quotes nothing, so a space in an absolute path would
    # break it; seen from run_dir the folders that people name stay out of it.
    command = [str(wheel.tritonserver()), f"--model-repository={os.path.relpath(repository, run_dir)}"]
    command += ["--backend-directory=backends"]
    command += ["--model-control-mode=explicit", "--strict-readiness=true", "--exit-timeout-secs=5"]
    command += ["--disable-auto-complete-config", "--metrics-config=summary_latencies=true"]
    command += ["--pinned-memory-pool-byte-size=16777216"]
    # 1 MiB of /dev/shm for each instance instead of 64, growing by what a batch needs.
    for setting in (shm, "shm-default-byte-size=1048576", "shm-growth-byte-size=1048576", "stub-timeout-seconds=60"):
        command.append(f"--backend-config=python,{setting}")
    for kind, port in asdict(ports).items():
        command += [f"--{kind}-address=127.0.0.1", f"--{kind}-port={port}"]
    if secret is not None:
        # Triton takes the secret on its command line only, so users of this machine can read it in /proc; it keeps out
        # what only reaches the port: a page in a browser, a container, a forwarded port.
        command.append(f"--http-restricted-api={_RESTRICTED}:{SECRET_HEADER}={secret}")
        command.append(f"--grpc-restricted-protocol={_RESTRICTED}:{SECRET_HEADER}={secret}")
    command += [f"--load-model={name}" for name in load]
    record = run_dir / "triton.json"
    record.unlink(missing_ok=True)
    note = json.dumps({"ports": asdict(ports)})
    with (run_dir / "triton.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "triton_repo.launch", str(record.absolute()), note, *command],
            cwd=run_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=wheel.environment(),
            start_new_session=True,
        )
    if not _wait(lambda: record.exists() or process.poll() is not None, 10.0) or not record.exists():
        process.kill()
        raise TryAgain(f"Triton could not be started; see {run_dir / 'triton.log'}")
    running = find_triton(run_dir)
    assert running is not None
    return running


def _shm_prefix(run_dir: Path) -> str:
    return "slipway-" + hashlib.sha256(str(run_dir.absolute()).encode()).hexdigest()[:12] + "-"


def _kill_session(session: int, since: int) -> bool:
    """Send SIGKILL to what lives in a session that began at `since`; whether anything did."""
    found = False
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_bytes().rsplit(b")", 1)[1].split()
            if int(fields[3]) == session and int(fields[19]) >= since and fields[0] not in (b"Z", b"X"):
                os.kill(int(folder.name), signal.SIGKILL)
                found = True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
