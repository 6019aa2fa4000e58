"""How does a PNG or JPEG become the tensor that a model takes?

The picture is turned as its EXIF data says, laid on white where it is transparent, stretched to the declared size, and
given as bytes to UINT8 inputs and as 0 (black) to 1 (white) to floating-point ones. Any other preprocessing belongs
into the model's own graph. One-channel pictures are turned to their negative where the version's golden requests show
that it knows light strokes on dark ground and the picture has dark ones on light, or the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import Rejected
from triton_repo.config import Tensor, numpy_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Layout", "layout", "picture"]

_DARK, _LIGHT = 0.25, 0.75  # mean of a picture's edge, of 1, for its ground to count as dark or light
_LARGEST = 50_000_000  # pixels


@dataclass(frozen=True, slots=True)
class Layout:
    """How a tensor holds a picture; sizes in pixels, None where any will do."""

    channels_first: bool
    channels: int
    height: int | None
    width: int | None


def layout(tensor: Tensor) -> Layout | None:
    """The layout of a tensor of pictures; None when it takes none: channels × height × width, or channels last."""
    if len(tensor.dims) != 3 or tensor.datatype not in ("UINT8", "FP16", "FP32", "FP64"):
        return None
    first, last = tensor.dims[0] in (1, 3), tensor.dims[2] in (1, 3)
    if not first and not last:
        return None
    channels, *sizes = tensor.dims if first else (tensor.dims[2], *tensor.dims[:2])
    height, width = (None if size == -1 else size for size in sizes)
    return Layout(first, channels, height, width)


def picture(file: Path, tensor: Tensor, found: Layout, golden: NDArray[Any] | None) -> tuple[NDArray[Any], str]:
    """(1, *dims) and what was done to the picture, in words; raises Rejected for what is not a whole picture.

    golden: the tensor's golden requests, (requests, *dims).
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file, formats=("PNG", "JPEG")) as opened:
            if opened.width * opened.height > _LARGEST:
                raise Rejected(f"{file} has {opened.width} × {opened.height} pixels; make it smaller first")
            image = ImageOps.exif_transpose(opened)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if found.channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Rejected(f"{file} is not a whole PNG or JPEG ({str(error)[:120]}); give another picture") from None
    size = (found.width or image.width, found.height or image.height)
    notes = [] if size == image.size else [f"{image.width} × {image.height} pixels made {size[0]} × {size[1]}"]
    pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).reshape(size[1], size[0], found.channels)
    scaled = pixels if tensor.datatype == "UINT8" else (pixels / 255).astype(numpy_type(tensor))
    array = scaled.transpose(2, 0, 1) if found.channels_first else scaled
    white = 255 if tensor.datatype == "UINT8" else 1
    if found.channels == 1 and golden is not None and _other_ground(array / white, golden / white, found):
        array = white - array
        notes.append("made its negative, as the model's own requests are")
    return np.ascontiguousarray(array[np.newaxis]), "; ".join(notes)


def _other_ground(array: NDArray[Any], golden: NDArray[Any], found: Layout) -> bool:
    """Whether the picture's ground is clearly light and the golden requests' clearly dark, or the other way round."""
    mine, theirs = _edge(array[None], found), _edge(golden, found)
    return (mine > _LIGHT and theirs < _DARK) or (mine < _DARK and theirs > _LIGHT)


def _edge(pictures: NDArray[Any], found: Layout) -> float:
    import numpy as np

    rows = pictures[:, 0] if found.channels_first else pictures[..., 0]
    sides = (rows[:, 0, :], rows[:, -1, :], rows[:, :, 0], rows[:, :, -1])
    return float(np.median(np.concatenate([side.reshape(-1) for side in sides])))
