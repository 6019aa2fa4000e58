"""People's model.py: import it, call it, and say in one line where it went wrong."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from slipway.errors import Rejected, SlipwayError, TryAgain, of_disk

__all__ = ["call", "functions", "load", "takes_sets"]

_WANTED = {"data": "split", "train": "ctx"}


def load(file: Path, root: Path) -> ModuleType:
    """Import model.py; `root` and the file's folder are importable, so shared code is found.

    Raises Rejected with `file:line: what` when it raises or ends the process.
    """
    if not file.is_file():
        raise Rejected(f"{_relative(file, root)} is absent; write it beside model.yaml with data(split) and train(ctx)")
    for folder in (file.parent, root):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("model", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["model"] = module  # so that classes defined there can be found by name
    call(lambda: spec.loader.exec_module(module), "the import", file, root)  # type: ignore[union-attr]
    return module


def functions(module: ModuleType, file: Path, root: Path) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(data, train) of model.py; raises Rejected naming each that is missing or takes other arguments."""
    where, found, problems = _relative(file, root), [], []
    for name, argument in _WANTED.items():
        function = getattr(module, name, None)
        if not callable(function):
            problems.append(f"{where}:1: {name}({argument}) is missing; write `def {name}({argument}): …`")
            continue
        try:
            inspect.signature(function).bind(*([None, None] if name == "data" and takes_sets(function) else [None]))
        except TypeError:
            line = getattr(getattr(function, "__code__", None), "co_firstlineno", 1)
            problems.append(f"{where}:{line}: {name} does not take one argument; write `def {name}({argument}): …`")
        found.append(function)
    if problems:
        raise Rejected("\n".join(problems))
    return found[0], found[1]


def takes_sets(data: Callable[..., Any]) -> bool:
    """Whether it is `data(split, sets)`, for models whose model.yaml declares data sets."""
    try:
        inspect.signature(data).bind(None, None)
    except TypeError:
        return False
    return True


def call(function: Callable[[], Any], what: str, file: Path, root: Path) -> Any:
    """Run people's code; whatever it raises becomes Rejected with the last line of theirs that was involved.

    Only a full disk is TryAgain: whoever wrote to it, the code is not to blame.
    """
    try:
        return function()
    except SlipwayError:
        raise
    except SystemExit as error:
        raise Rejected(
            f"{_place(error, file, root)}: {what} ended the process (exit {error.code}); return instead"
        ) from None
    except SyntaxError as error:
        place = f"{_relative(Path(error.filename or file), root)}:{error.lineno or 1}:{error.offset or 1}"
        raise Rejected(f"{place}: {error.msg}; correct the syntax") from None
    except Exception as error:  # noqa: BLE001 - people's code may raise anything
        traceback.print_exc()
        if isinstance(error, OSError) and isinstance(full := of_disk(error), TryAgain):
            raise full from None
        raise Rejected(
            f"{_place(error, file, root)}: {what} raised {type(error).__name__}: {_line(error)}; correct it there"
        ) from None


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "without a message"
    return text if len(text) <= 300 else text[:297] + "..."


def _place(error: BaseException, file: Path, root: Path) -> str:
    place = f"{_relative(file, root)}:1"
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_absolute() and path.is_relative_to(root) and "site-packages" not in path.parts:
            place = f"{_relative(path, root)}:{frame.lineno}"
    return place


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
