"""Pictures of whatever people have: files, their bytes, or pixels, without a copy where that can be."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from vultus.errors import DtypeError, PictureError, ShapeError, of_type

_EXPECTED = (
    "a path, the bytes of a file, an array of shape (height, width, 3) of uint8 (red, green, blue) or a picture of PIL"
)
_ADVICE = {
    "float": "values from 0 to 1 become it by (X * 255).round().astype('uint8')",
    "other": "convert it with .astype('uint8') if its values are 0 to 255",
}


def is_one(value: Any) -> bool:
    """Whether it is one picture, and not several."""
    if isinstance(value, str | bytes | bytearray | memoryview | os.PathLike):
        return True
    if isinstance(value, np.ndarray):
        # Several are an array of four axes, or one of paths.
        return value.ndim != 4 and not (value.ndim == 1 and value.dtype.kind in "UO")
    if hasattr(value, "__array_interface__") or hasattr(value, "__dlpack__"):
        return len(getattr(value, "shape", ())) != 4
    return False


def as_pictures(value: Any) -> list[Any]:
    """Several pictures as a list; each is looked at when its turn comes."""
    try:
        return list(value)
    except TypeError:
        found = type(value).__name__
        raise of_type(PictureError, f"pictures: expected {_EXPECTED}, or several, found {found}") from None


def as_picture(value: Any) -> str | bytes | np.ndarray:
    """A path, the bytes of a file, or an array of shape (height, width, 3) of uint8.

    Raises `DtypeError`, `ShapeError` or `PictureError`; the text names no argument.
    """
    if isinstance(value, str | os.PathLike):
        path = os.fsdecode(value)
        if "\0" in path:
            raise PictureError("expected a path, found one with a zero character")
        return path
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if type(value).__module__.partition(".")[0] == "PIL" and hasattr(value, "convert"):
        return _of_pil(value)
    if isinstance(value, np.ndarray):
        return _pixels(np.asarray(value))
    if hasattr(value, "__array_interface__"):
        return _pixels(np.asarray(value))
    if hasattr(value, "__dlpack__"):
        try:
            return _pixels(np.from_dlpack(value))
        except (BufferError, RuntimeError, TypeError) as error:
            raise PictureError(f"expected pixels in this computer's memory, found {error}") from None
    raise of_type(PictureError, f"expected {_EXPECTED}, found {type(value).__name__}")


def _pixels(array: np.ndarray) -> np.ndarray | bytes:
    if array.ndim == 1 and array.dtype == np.uint8:
        # A file in an array, as np.fromfile and OpenCV's imencode have it.
        return array.tobytes()
    if array.dtype != np.uint8:
        if array.dtype.kind not in "fiub":
            raise PictureError(f"expected {_EXPECTED}, found an array of {array.dtype}")
        advice = _ADVICE["float" if array.dtype.kind == "f" else "other"]
        raise DtypeError(f"expected uint8, found {array.dtype}: {advice}")
    if array.ndim == 3 and array.shape[2] == 3:
        return array
    raise ShapeError(f"expected the shape (height, width, 3), found {array.shape}{_advice(array.shape)}")


def _advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return ": a grey picture X becomes one by np.repeat(X[:, :, None], 3, axis=2)"
    if len(shape) == 3 and shape[2] == 1:
        return ": a grey picture X becomes one by np.repeat(X, 3, axis=2)"
    if len(shape) == 3 and shape[2] == 4:
        return ": X[:, :, :3] leaves out the fourth channel"
    if len(shape) == 3 and shape[0] == 3:
        return ": X.transpose(1, 2, 0) has the channels last"
    if len(shape) == 4:
        return ": several pictures are given by themselves"
    return ""


def _of_pil(picture: Any) -> np.ndarray:
    """Upright as its tags say, as RGB, what is transparent over white: as files are read."""
    try:
        if picture.getexif().get(0x0112, 1) not in (0, 1):
            from PIL import ImageOps

            picture = ImageOps.exif_transpose(picture)
        if picture.mode == "RGB":
            return np.asarray(picture)
        if picture.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in picture.info:
            return np.asarray(picture.convert("RGB"))
        rgba = np.asarray(picture.convert("RGBA")).astype(np.uint16)
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError(f"PIL cannot read the picture: {error}") from None
    colour, opaque = rgba[:, :, :3], rgba[:, :, 3:]
    return ((colour * opaque + 255 * (255 - opaque) + 127) // 255).astype(np.uint8)
