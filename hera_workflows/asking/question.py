"""Which tensors does a person's own input become: a sentence, a row, an array, a picture?

What is wanted comes from the version's signature alone: text where it takes BYTES, a picture where it takes one
tensor of three sizes of which one is 1 or 3 channels, else numbers.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hera_workflows.asking.pictures import layout, picture
from hera_workflows.asking.rows import rows, samples
from hera_workflows.asking.wanted import wanted
from slipway.errors import Rejected
from triton_repo.config import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triton_repo.golden import Golden

__all__ = ["Question", "question"]

_PICTURES = (".png", ".jpg", ".jpeg")
_MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent, and what was done to the input on the way."""

    inputs: dict[str, NDArray[Any]]  # first axis: samples
    note: str = ""


def question(given: str, signature: Signature, golden: Golden, *, max_batch: int) -> Question:
    """The request for `given`: a path to a file that exists, else the sentence or the row itself.

    Raises Rejected, saying what is wanted, when it does not fit the signature.
    """
    file = _file(given)
    meant = Path(given).suffix.lower() in (*_PICTURES, ".npy", ".csv", ".json", ".txt") and " " not in given
    if file is None and meant:
        raise Rejected(f"{given[:200]} is not there; give {wanted(signature)}")
    if file is not None and file.stat().st_size > _MAX_BYTES:
        raise Rejected(f"{file} is larger than {_MAX_BYTES >> 20} MiB; send a smaller one")
    if file is not None and file.suffix.lower() in _PICTURES:
        found = layout(signature.inputs[0]) if len(signature.inputs) == 1 else None
        if found is None:
            raise Rejected(f"{file} is a picture; this model wants {wanted(signature)}")
        (tensor,) = signature.inputs
        array, note = picture(file, tensor, found, golden.inputs.get(tensor.name))
        return Question({tensor.name: array}, note)
    if file is not None and file.suffix.lower() == ".npy":
        return Question(samples(_array(file), signature, max_batch))
    content = _read(file) if file is not None else given
    if any(tensor.datatype == "BYTES" for tensor in signature.inputs):
        return Question(_text(content, signature))
    return Question(rows(content, signature, max_batch))


def _file(given: str) -> Path | None:
    try:
        return Path(given) if Path(given).is_file() else None
    except (OSError, ValueError):  # a sentence may be too long for a path, or hold what none may
        return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected(f"{file} is not UTF-8 text (byte {error.start}); convert it") from None


def _text(content: str, signature: Signature) -> dict[str, NDArray[Any]]:
    import numpy as np

    if len(signature.inputs) != 1:
        raise Rejected(f"this model takes several inputs ({', '.join(t.name for t in signature.inputs)}), not one text")
    try:
        encoded = content.encode()
    except UnicodeEncodeError:
        raise Rejected("the sentence is not UTF-8; see that the terminal's encoding is") from None
    return {signature.inputs[0].name: np.array([[encoded]], dtype=object)}


def _array(file: Path) -> NDArray[Any]:
    import numpy as np

    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise Rejected(f"{file} is not a .npy file of numbers ({str(error)[:120]}); write it by numpy.save") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise Rejected(f"{file} does not hold an array of numbers; write it by numpy.save")
    return array
