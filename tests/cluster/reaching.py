"""Whom does a pod reach? Runs inside the pod, in place of its program; its only library is Python's.

Argument: a JSON object of addresses, HOST:PORT by name. Prints one JSON object: by name, how the last try ended.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
import time

# Policies hold for a pod some moments after it starts; what the last try met is what holds.
SECONDS = 20.0


def connect(address: str) -> str:
    """How one try ends: connected, or the name of what refused it."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return "connected"
    except TimeoutError:
        return "no answer"
    except socket.gaierror:
        return "not resolved"
    except OSError as refusal:
        return errno.errorcode.get(refusal.errno or 0, repr(refusal))


def last(address: str) -> str:
    """How the last of many tries ends."""
    end = time.monotonic() + SECONDS
    while True:
        met = connect(address)
        if time.monotonic() > end:
            return met
        time.sleep(0.5)


def all_of(addresses: dict[str, str]) -> dict[str, str]:
    """Every address at the same time."""
    met: dict[str, str] = {}

    def ask(name: str, address: str) -> None:
        met[name] = last(address)

    threads = [threading.Thread(target=ask, args=one) for one in addresses.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return met


if __name__ == "__main__":
    print("ATTEMPTS " + json.dumps(all_of(json.loads(sys.argv[1]))))
