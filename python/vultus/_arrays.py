"""Arrays of whatever people have, without a copy where that can be."""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from vultus._vultus import threads_usual
from vultus.errors import DtypeError, InputError, ShapeError, VultusError, of_type

_KINDS = "float16, float32 or float64"


def as_rows(value: Any, name: str) -> np.ndarray:
    """`value` as an array of shape (rows, dimension) of float16, float32 or float64.

    Numbers of these kinds stay where they are, in any order and with any stride. What is copied is said
    in the guide. `name` is what the argument is called in errors.

    Raises `DtypeError` if the numbers are of another kind, `ShapeError` if it is not two-dimensional,
    `InputError` if rows are missing or on another device.
    """
    array = as_array(value, name)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        found = array.dtype
        if array.dtype == object:
            raise ShapeError(f"{name}: expected rows of one length of {_KINDS}, found an array of objects")
        raise DtypeError(f"{name}: expected {_KINDS}, found {found}: convert it with .astype('float32')")
    if array.ndim != 2:
        advice = f": one row is {name}[None, :]" if array.ndim == 1 else ""
        raise ShapeError(f"{name}: expected the shape (rows, dimension), found {array.shape}{advice}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.aligned:
        array = array.copy()
    return array


def as_array(value: Any, name: str) -> np.ndarray:
    """`value` as an array of any shape and numbers, where it lies if that can be.

    Raises `DtypeError`, `ShapeError` or `InputError` if it cannot be one.
    """
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise InputError(f"{name}: expected all values, found masked ones")
        return np.asarray(value.data)
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    library = type(value).__module__.partition(".")[0]
    if library == "pyarrow" and library in sys.modules:
        return _from_arrow(value, name)
    if library == "polars" and library in sys.modules:
        return _from_polars(value, name)
    if library == "pandas" and hasattr(value, "to_numpy"):
        return _from_pandas(value, name)
    if hasattr(value, "__dlpack__"):
        return _from_dlpack(value, name)
    try:
        if isinstance(value, list | tuple) and value and all(hasattr(row, "__dlpack__") for row in value):
            # A list of tensors, of which numpy would ask for one number after the other.
            return np.stack([as_array(row, f"{name}[{at}]") for at, row in enumerate(value)])
        array = np.asarray(value)
        # Numbers that somebody wrote down, such as [[1, 0, ...]]: Python does not tell them apart.
        if isinstance(value, list | tuple) and array.dtype.kind in "iu":
            array = array.astype(np.float64)
    except VultusError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        raise ShapeError(
            f"{name}: expected rows of one length of {_KINDS}, found {type(value).__name__}: {error}"
        ) from None
    return array


#: `kDLCPU` of DLPack, the memory of this computer.
_CPU = 1


def _from_dlpack(value: Any, name: str) -> np.ndarray:
    """PyTorch and whatever else shares memory by DLPack."""
    kind = type(value).__name__
    layout = str(getattr(value, "layout", "torch.strided"))
    if layout.startswith("torch.") and layout != "torch.strided":
        found = layout.removeprefix("torch.")
        raise InputError(f"{name}: expected all values, found a {kind} of layout {found}: convert it with .to_dense()")
    numbers = str(getattr(value, "dtype", "")).rpartition(".")[2]
    if numbers.startswith(("bfloat", "bool", "float8", "float4", "complex", "q")):
        advice = ".real" if numbers.startswith("complex") else ".dequantize()" if numbers[0] == "q" else ".float()"
        raise DtypeError(f"{name}: expected {_KINDS}, found {numbers}: convert it with {advice}")
    if getattr(value, "requires_grad", False):
        value = value.detach()
    # What PyTorch keeps as a mark, to be done when values are read, DLPack does not carry over.
    if getattr(value, "is_neg", bool)():
        value = value.resolve_neg()
    try:
        device, _ = value.__dlpack_device__()
        if device == _CPU:
            return np.from_dlpack(value)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{name}: expected an array that can be shared by DLPack, found {kind}: {error}") from None
    where = getattr(value, "device", f"device {int(device)} of DLPack")
    raise InputError(
        f"{name}: expected an array in this computer's memory, found {kind} on {where}: copy it to the CPU"
    )


def _from_arrow(value: Any, name: str) -> np.ndarray:
    """A column of lists of one length, of pyarrow."""
    import pyarrow as pa

    if isinstance(value, pa.ChunkedArray):
        value = value.chunk(0) if value.num_chunks == 1 else value.combine_chunks()
    kind = getattr(value, "type", None)
    is_fixed = kind is not None and pa.types.is_fixed_size_list(kind)
    if not (is_fixed or (kind is not None and (pa.types.is_list(kind) or pa.types.is_large_list(kind)))):
        found = kind if kind is not None else type(value).__name__
        raise DtypeError(f"{name}: expected a column of lists of {_KINDS}, found {found}")
    if value.null_count:
        raise InputError(f"{name}: expected a list in each row, found {value.null_count} rows without")
    if is_fixed:
        dimension = kind.list_size
    else:
        lengths = np.unique(value.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            raise ShapeError(f"{name}: expected rows of one length, found lengths from {lengths[0]} to {lengths[-1]}")
        dimension = int(lengths[0]) if len(lengths) else 0
    numbers = value.flatten()
    if numbers.null_count:
        raise InputError(f"{name}: expected all values, found {numbers.null_count} that are null")
    if not pa.types.is_floating(numbers.type):
        raise DtypeError(f"{name}: expected lists of {_KINDS}, found {kind}")
    return numbers.to_numpy(zero_copy_only=True).reshape(len(value), dimension)


def _from_polars(value: Any, name: str) -> np.ndarray:
    """A column of arrays or lists of one length, or a table of numbers, of polars."""
    import polars as pl

    if isinstance(value, pl.DataFrame):
        if any(value.null_count().row(0)):
            raise InputError(f"{name}: expected all values, found some that are null")
        return value.to_numpy()
    if not isinstance(value, pl.Series) or not isinstance(value.dtype, pl.Array | pl.List):
        found = getattr(value, "dtype", type(value).__name__)
        raise DtypeError(f"{name}: expected a column of lists of {_KINDS}, found {found}")
    if value.null_count():
        raise InputError(f"{name}: expected a list in each row, found {value.null_count()} rows without")
    if isinstance(value.dtype, pl.Array):
        dimension = value.dtype.size
    else:
        lengths = value.list.len().unique().sort()
        if len(lengths) > 1:
            raise ShapeError(f"{name}: expected rows of one length, found lengths from {lengths[0]} to {lengths[-1]}")
        dimension = lengths[0] if len(lengths) else 0
    if not len(value) or not dimension:
        kind = np.dtype(np.float32)
        return np.empty((len(value), dimension), kind)
    numbers = value.explode()
    if numbers.null_count():
        raise InputError(f"{name}: expected all values, found {numbers.null_count()} that are null")
    return numbers.to_numpy().reshape(len(value), dimension)


def _from_pandas(value: Any, name: str) -> np.ndarray:
    """A table of numbers, or a column of arrays, of pandas."""
    array = value.to_numpy()
    if array.dtype != object or array.ndim != 1:
        return array
    try:
        return np.stack([np.asarray(row) for row in array]) if len(array) else np.empty((0, 0))
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name}: expected rows of one length of {_KINDS}, found: {error}") from None


#: More than anything has.
_MOST = 2**63 - 1


def as_count(value: Any, name: str, least: int) -> int:
    """A whole number of at least `least`, or `InputError`."""
    try:
        count = operator.index(value)
    except TypeError:
        raise of_type(InputError, f"{name}: expected a whole number, found {_shown(value)}") from None
    if isinstance(value, bool | np.bool_):
        raise of_type(InputError, f"{name}: expected a whole number of at least {least}, found {value!r}")
    if not least <= count <= _MOST:
        raise InputError(f"{name}: expected a whole number of at least {least}, found {value!r}")
    return count


def as_threads(value: Any) -> int:
    """How many threads: those that were asked for, or as many as processors this process may use."""
    if value is None:
        return threads_usual()
    threads = as_count(value, "threads", 1)
    if threads > 1024:
        raise InputError(f"threads: expected 1 to 1024, found {threads}")
    return threads


def _shown(value: Any) -> str:
    """A value as errors show it: what may have embeddings in it by its type alone."""
    is_plain = value is None or isinstance(value, str | bytes | bool | int | float | np.generic)
    return repr(value) if is_plain else type(value).__name__


def as_number(value: Any, name: str, expected: str) -> float:
    """A number, or `InputError` with what was expected; a text is none, whatever it says."""
    try:
        if isinstance(value, str | bytes | bytearray):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise of_type(InputError, f"{name}: expected {expected}, found {_shown(value)}") from None


def as_similarity(value: Any, name: str) -> float:
    """A similarity from -1 to 1, or `InputError`."""
    similarity = as_number(value, name, "a similarity from -1 to 1")
    if not -1 <= similarity <= 1:
        raise InputError(f"{name}: expected a similarity from -1 to 1, found {value!r}")
    return similarity
