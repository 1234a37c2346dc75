"""Where embeddings come from: Parquet, `.npz` and `.npy` files as `vultus gallery export` and NumPy write
them, and arrays in memory."""

from __future__ import annotations

import errno
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from vultus._arrays import as_rows
from vultus.errors import (
    DimensionError,
    DtypeError,
    InputError,
    InputFileError,
    RowError,
    ShapeError,
    VultusError,
    of_os_error,
    of_system,
    of_type,
)

from .errors import CorruptBlockError
from .files import resolve

Floats = npt.NDArray[np.float32]
Longs = npt.NDArray[np.int64]

#: How many values an embedding has, as everywhere in Vultus.
DIMENSIONS = range(16, 4_097)

#: What NumPy raises for the header of a file that it cannot read.
UNREADABLE = (ValueError, SyntaxError, RecursionError, tokenize.TokenError)

#: What Parquet files say of the encoder of their embeddings, as `name@version`, if they know it.
ENCODER = b"vultus.encoder"


@dataclass(frozen=True)
class Columns:
    """How a table calls what a job reads of it."""

    embedding: str = "embedding"
    class_: str | None = "class"
    id: str = "id"


@dataclass(frozen=True)
class Rows:
    """Some embeddings, one a row, in single precision.

    `classes` are of those of a gallery; `ids` are what probes are called, if they are.
    """

    embeddings: Floats
    classes: Longs | None = None
    ids: pa.Array | None = None


class Source:
    """One file, or one array."""

    @property
    def name(self) -> str:
        """How people and errors call it."""
        raise NotImplementedError

    def count(self) -> int:
        """How many rows there are, without reading them."""
        raise NotImplementedError

    def encoder(self) -> str | None:
        """What made the embeddings, as `name@version`, if the source says so."""
        return None

    def read(self, start: int, rows: int, columns: Columns, of_gallery: bool) -> Rows:
        """Some rows. Of a gallery they have classes, if the source knows them; of probes, ids."""
        raise NotImplementedError

    def ids(self, start: int, rows: int, columns: Columns) -> pa.Array | None:
        """What some rows are called as probes, without reading their embeddings."""
        return self.read(start, rows, columns, of_gallery=False).ids


@dataclass(frozen=True)
class Parquet(Source):
    """A table with a column of lists."""

    path: str

    @property
    def name(self) -> str:
        return self.path

    def count(self) -> int:
        with self._open() as table:
            return cast(int, table.metadata.num_rows)

    def encoder(self) -> str | None:
        with self._open() as table:
            name = (table.schema_arrow.metadata or {}).get(ENCODER)
        return None if name is None else name.decode()

    def read(self, start: int, rows: int, columns: Columns, of_gallery: bool) -> Rows:
        with self._open() as table:
            known = table.schema_arrow.names
            label = self._label(known, columns, of_gallery)
            self._expect(known, columns.embedding)
            wanted = [columns.embedding, *([label] if label else [])]
            part = _slice(table, self.path, start, rows, wanted)
        embeddings = _matrix(part.column(columns.embedding), self.path, start)
        if label is None:
            return Rows(embeddings)
        labels = part.column(label).combine_chunks()
        if not of_gallery:
            return Rows(embeddings, ids=_ids(labels, label, self.path))
        return Rows(embeddings, classes=_classes(labels, label, self.path, start))

    def ids(self, start: int, rows: int, columns: Columns) -> pa.Array | None:
        with self._open() as table:
            label = self._label(table.schema_arrow.names, columns, of_gallery=False)
            if label is None:
                return None
            part = _slice(table, self.path, start, rows, [label])
        return _ids(part.column(label).combine_chunks(), label, self.path)

    def _label(self, known: Sequence[str], columns: Columns, of_gallery: bool) -> str | None:
        if of_gallery:
            if columns.class_ is not None:
                self._expect(known, columns.class_)
            return columns.class_
        return next((name for name in (columns.id, columns.class_) if name in known), None)

    def _expect(self, known: Sequence[str], column: str) -> None:
        if column not in known:
            raise InputError(f"{self.path}: expected a column {column!r}, found {', '.join(map(repr, known))}")

    def _open(self) -> pq.ParquetFile:
        system, path = resolve(self.path)
        try:
            return pq.ParquetFile(path, filesystem=system)
        except pa.ArrowException as error:
            raise CorruptBlockError(f"{self.path}: expected a whole Parquet table; {error}") from error
        except OSError as error:
            raise _unread(error, self.path, "a whole Parquet table") from error


@dataclass(frozen=True)
class Npy(Source):
    """A matrix, and beside it a list of classes (or of ids) if there is one."""

    path: str
    labels: str | None = None

    @property
    def name(self) -> str:
        return self.path

    def count(self) -> int:
        return _npy_shape(self.path, 2)[0]

    def read(self, start: int, rows: int, columns: Columns, of_gallery: bool) -> Rows:
        embeddings = _single(_npy_rows(self.path, start, rows, 2), self.path)
        if self.labels is None:
            return Rows(embeddings)
        expected, found = self.count(), _npy_shape(self.labels, 1)[0]
        if expected != found:
            raise InputError(
                f"{self.labels}: expected {expected} entries, as many as {self.path} has rows, found {found}"
            )
        labels = _labels(_npy_rows(self.labels, start, rows, 1), self.labels)
        if of_gallery:
            return Rows(embeddings, classes=_classes(labels, "the list", self.labels, start))
        return Rows(embeddings, ids=_ids(labels, "the list", self.labels))


@dataclass(frozen=True)
class Npz(Source):
    """A file of several arrays: `embeddings`, and `classes` or `ids` if it has them.

    Of arrays that are compressed, what stands before some rows is unpacked each time they are read.
    """

    path: str

    @property
    def name(self) -> str:
        return self.path

    def count(self) -> int:
        place = self._called("embeddings")
        with self._open() as archive, self._array("embeddings") as stream:
            shape, kind = _npy_header(stream, place, 2)
            _expect_bytes(archive.getinfo("embeddings.npy").file_size, shape, kind, place)
            return shape[0]

    def read(self, start: int, rows: int, columns: Columns, of_gallery: bool) -> Rows:
        with self._array("embeddings") as stream:
            embeddings = _single(_rows_of(stream, self._called("embeddings"), start, rows, 2), self.path)
        if of_gallery:
            if columns.class_ is None:
                return Rows(embeddings)
            classes = _labels(self._list("classes", start, rows), self.path)
            return Rows(embeddings, classes=_classes(classes, "`classes`", self.path, start))
        return Rows(embeddings, ids=self.ids(start, rows, columns))

    def ids(self, start: int, rows: int, columns: Columns) -> pa.Array | None:
        with self._open() as archive:
            known = archive.namelist()
        listed = next((name for name in ("ids", "classes") if f"{name}.npy" in known), None)
        if listed is None:
            return None
        return _ids(_labels(self._list(listed, start, rows), self.path), f"`{listed}`", self.path)

    def _list(self, array: str, start: int, rows: int) -> npt.NDArray[Any]:
        """Some entries of an array that has one for each row."""
        with self._array(array) as stream:
            try:
                listed = np.lib.format.read_array(stream, allow_pickle=False)
            except (*UNREADABLE, EOFError) as error:
                raise CorruptBlockError(f"{self._called(array)}: expected a whole list; {error}") from error
        expected = self.count()
        if listed.shape != (expected,):
            raise InputError(
                f"{self._called(array)}: expected {expected} entries, as many as there are embeddings, "
                f"found shape {listed.shape}"
            )
        return listed[start : start + rows]

    def _called(self, array: str) -> str:
        return f"{self.path}, array {array!r}"

    @contextmanager
    def _open(self) -> Iterator[zipfile.ZipFile]:
        with _stream(self.path) as stream:
            try:
                with zipfile.ZipFile(stream) as archive:
                    yield archive
            except VultusError:
                raise
            # Whatever is wrong with an archive: cut off, packed in an unknown way, encrypted.
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
                raise CorruptBlockError(f"{self.path}: expected a whole .npz file; {error}") from error

    @contextmanager
    def _array(self, array: str) -> Iterator[Any]:
        with self._open() as archive:
            if f"{array}.npy" not in archive.namelist():
                found = ", ".join(repr(name.removesuffix(".npy")) for name in archive.namelist()) or "none"
                raise InputError(f"{self.path}: expected an array {array!r}, found {found}")
            with archive.open(f"{array}.npy") as stream:
                yield stream


@dataclass(frozen=True)
class Array(Source):
    """Embeddings in memory, for jobs of one machine."""

    called: str
    embeddings: npt.NDArray[Any] = field(repr=False, compare=False)
    labels: npt.NDArray[Any] | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.called

    def count(self) -> int:
        return len(self.embeddings)

    def read(self, start: int, rows: int, columns: Columns, of_gallery: bool) -> Rows:
        embeddings = _single(self.embeddings[start : start + rows], self.called)
        if self.labels is None:
            return Rows(embeddings)
        labels = _labels(self.labels[start : start + rows], self.called)
        if of_gallery:
            return Rows(embeddings, classes=_classes(labels, "the list", self.called, start))
        return Rows(embeddings, ids=_ids(labels, "the list", self.called))


def sources(given: object, called: str) -> list[Source]:
    """The files or the array that a caller means by `given`: a path or URI of a file or of a folder
    of Parquet files, an array, or a pair of embeddings and labels, both arrays or both `.npy`.

    Raises:
        InputError: It is nothing of that kind, or there is nothing.
    """
    if given is None or isinstance(given, tuple) and len(given) != 2:
        found = "None" if given is None else f"{len(given)} things"
        text = f"{called}: expected a path, an array, or a pair of embeddings and labels, found {found}"
        raise of_type(InputError, text)
    if isinstance(given, tuple):
        return [_pair(given[0], given[1], called)]
    if isinstance(given, (str, os.PathLike)):
        if not os.fspath(given):
            raise InputError(f"{called}: expected a path, found an empty text")
        return _files(os.fsdecode(given), called)
    return [_array(given, None, called)]


def _pair(embeddings: object, labels: object, called: str) -> Source:
    if isinstance(embeddings, (str, os.PathLike)) and isinstance(labels, (str, os.PathLike)):
        return Npy(os.fspath(embeddings), os.fspath(labels))
    return _array(embeddings, labels, called)


def _array(embeddings: object, labels: object | None, called: str) -> Source:
    if isinstance(embeddings, (str, os.PathLike)):
        raise of_type(InputError, f"{called}: expected two arrays or two .npy files, found a file and an array")
    matrix = as_rows(embeddings, called)
    if labels is None:
        return Array(f"the {called}", matrix)
    try:
        listed = np.asarray(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(f"{called}: expected {len(matrix)} labels, one a row, found others: {error}") from None
    if listed.shape != matrix.shape[:1]:
        raise ShapeError(f"{called}: expected {matrix.shape[0]} labels, one a row, found shape {listed.shape}")
    return Array(f"the {called}", matrix, listed)


def _files(place: str, called: str) -> list[Source]:
    system, path = resolve(place)
    info = system.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        text = f"{called}: expected a file or folder, found nothing at {place}"
        raise of_system(InputFileError, text, errno.ENOENT, place)
    if info.type == fs.FileType.File:
        return [_file(place, called)]
    below = system.get_file_info(fs.FileSelector(path, recursive=True))
    # Spark and others keep what is not data under names that begin so.
    names = sorted(
        entry.path[len(path) :].strip("/")
        for entry in below
        if entry.type == fs.FileType.File and not entry.base_name.startswith(("_", "."))
    )
    other = [name for name in names if not name.endswith(".parquet")]
    if other or not names:
        raise InputError(f"{called}: expected .parquet files in the folder {place}, found {other[:3] or 'none'}")
    return [Parquet(f"{place.rstrip('/')}/{name}") for name in names]


def _file(place: str, called: str) -> Source:
    if place.endswith(".parquet"):
        return Parquet(place)
    if place.endswith(".npy"):
        return Npy(place)
    if place.endswith(".npz"):
        return Npz(place)
    raise InputError(
        f"{called}: expected a file that ends in .parquet, .npz or .npy, found {place}; "
        "`vultus gallery export` writes .parquet"
    )


def _slice(table: pq.ParquetFile, place: str, start: int, rows: int, columns: list[str]) -> pa.Table:
    """Some rows, of which never more than a batch is in memory beside what is returned."""
    groups: list[int] = []
    first, at = 0, 0
    for group in range(table.metadata.num_row_groups):
        length = table.metadata.row_group(group).num_rows
        if at < start + rows and at + length > start:
            first = first if groups else at
            groups.append(group)
        at += length
    parts, at, schema = [], first, table.schema_arrow
    try:
        for batch in table.iter_batches(16_384, row_groups=groups, columns=columns):
            low, high = max(start - at, 0), min(start + rows - at, batch.num_rows)
            if low < high:
                parts.append(batch.slice(low, high - low))
            at += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise CorruptBlockError(f"{place}, rows from {start} on: expected a whole table; {error}") from error
    return pa.Table.from_batches(parts, pa.schema([schema.field(name) for name in columns]))


def _matrix(column: pa.ChunkedArray, place: str, start: int) -> Floats:
    """The embeddings of a column of lists. `start` is the row in the file of its first one."""
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (is_list or pa.types.is_fixed_size_list(kind)):
        raise InputError(f"{place}: expected embeddings as lists of numbers, found {kind}")
    if not pa.types.is_floating(kind.value_type):
        raise InputError(f"{place}: expected embeddings as lists of FLOAT, FLOAT16 or DOUBLE, found {kind}")
    parts, at = [], start
    for chunk in column.chunks:
        parts.append(_lists(chunk, place, at))
        at += len(chunk)
    dimensions = {part.shape[1] for part in parts}
    if len(dimensions) > 1:
        raise DimensionError(f"{place}: expected embeddings of one dimension, found {dimensions}")
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def _lists(chunk: pa.Array, place: str, start: int) -> Floats:
    if chunk.null_count:
        row = start + chunk.is_null().to_pylist().index(True)
        raise RowError(f"{place}, row {row}: expected an embedding, found null")
    lengths = np.asarray(pc.list_value_length(chunk))
    odd = np.flatnonzero(lengths != lengths[0])
    if odd.size:
        raise DimensionError(
            f"{place}, row {start + odd[0]}: expected {lengths[0]} values, as the rows before, found {lengths[odd[0]]}"
        )
    values = chunk.flatten()
    if values.null_count:
        row = start + values.is_null().to_pylist().index(True) // int(lengths[0])
        raise RowError(f"{place}, row {row}: expected numbers, found null")
    matrix = values.to_numpy(zero_copy_only=False).reshape(len(chunk), lengths[0])
    return _single(matrix, place)


def _single(matrix: npt.NDArray[Any], place: str) -> Floats:
    """Rows in single precision, one behind the other. What is too large for it becomes infinite,
    which `check` refuses."""
    _expect_matrix(matrix, place)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(matrix, np.float32)


def _expect_matrix(matrix: npt.NDArray[Any], place: str) -> None:
    if matrix.dtype.kind != "f":
        raise DtypeError(f"{place}: expected embeddings of half, single or double precision, found {matrix.dtype}")
    if matrix.ndim != 2:
        raise ShapeError(f"{place}: expected a row for each embedding, found shape {matrix.shape}")


def _classes(labels: pa.Array, column: str, place: str, start: int) -> Longs:
    if labels.null_count:
        row = start + labels.is_null().to_pylist().index(True)
        raise InputError(f"{place}, row {row}: expected a class in {column}, found null")
    if not pa.types.is_integer(labels.type):
        raise InputError(f"{place}: expected classes as whole numbers in {column}, found {labels.type}")
    try:
        return np.ascontiguousarray(labels.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
    except pa.ArrowInvalid as error:
        raise InputError(f"{place}: expected classes of 64 bits, signed; {error}") from error


def _labels(listed: npt.NDArray[Any], place: str) -> pa.Array:
    """A list of labels as a column, whatever its order of bytes."""
    try:
        return pa.array(listed.astype(listed.dtype.newbyteorder("="), copy=False))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"{place}: expected labels as whole numbers or texts, found {listed.dtype}: {error}") from None


def _ids(labels: pa.Array, column: str, place: str) -> pa.Array:
    if pa.types.is_integer(labels.type):
        return labels.cast(pa.int64())
    if pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type):
        # Those of a block, each as often as it has matches, may be longer than 2 GiB.
        return labels.cast(pa.large_string())
    raise InputError(f"{place}: expected ids as whole numbers or texts in {column}, found {labels.type}")


def _npy_header(stream: Any, place: str, axes: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, is_fortran, kind = read(stream)
    except (*UNREADABLE, KeyError) as error:
        raise CorruptBlockError(f"{place}: expected an .npy file; {error}") from error
    if len(shape) != axes or (is_fortran and axes > 1) or kind.kind not in "fiu":
        raise InputError(
            f"{place}: expected numbers in {axes} axes in C order, found {kind} of shape {shape}"
            f"{' in Fortran order' if is_fortran else ''}"
        )
    if min(shape) < 0:
        raise CorruptBlockError(f"{place}: expected an .npy file, found one of shape {shape}")
    return shape, kind


def _npy_shape(place: str, axes: int) -> tuple[int, ...]:
    """The shape that a file says it has, if it is long enough for it."""
    with _stream(place) as stream:
        shape, kind = _npy_header(stream, place, axes)
        there = stream.size() - stream.tell()
        _expect_bytes(there, shape, kind, place)
        return shape


def _expect_bytes(there: int, shape: tuple[int, ...], kind: np.dtype[Any], place: str) -> None:
    """A header that promises more rows than there are would have a job cut them into blocks."""
    if len(shape) == 2 and shape[1] not in DIMENSIONS:
        raise DimensionError(f"{place}: expected 16 to 4096 values a row, found {shape[1]}")
    row_bytes = kind.itemsize * math.prod(shape[1:])
    if there < shape[0] * row_bytes:
        found = f"the end of the file in row {there // max(row_bytes, 1)}"
        raise CorruptBlockError(f"{place}: expected {shape[0]} rows of {row_bytes} bytes, found {found}")


def _stream(place: str) -> Any:
    system, path = resolve(place)
    try:
        return system.open_input_file(path)
    except FileNotFoundError as error:
        raise of_os_error(InputFileError, f"{place}: expected an .npy file, found nothing", error) from error
    except OSError as error:
        raise _unread(error, place, "a file of arrays") from error


def _unread(error: OSError, place: str, expected: str) -> VultusError:
    """Why a file is not read: the system refuses it, or Arrow makes nothing of it, which has no number."""
    if error.errno is None:
        return CorruptBlockError(f"{place}: expected {expected}; {error}")
    return of_os_error(InputFileError, f"{place}: expected {expected}, cannot be read: {error}", error)


def _npy_rows(place: str, start: int, rows: int, axes: int) -> npt.NDArray[Any]:
    with _stream(place) as stream:
        return _rows_of(stream, place, start, rows, axes)


def _rows_of(stream: Any, place: str, start: int, rows: int, axes: int) -> npt.NDArray[Any]:
    shape, kind = _npy_header(stream, place, axes)
    row_bytes = kind.itemsize * int(np.prod(shape[1:], dtype=np.int64))
    stream.seek(stream.tell() + start * row_bytes)
    data = stream.read(rows * row_bytes)
    if len(data) != rows * row_bytes:
        raise CorruptBlockError(
            f"{place}: expected {shape[0]} rows of {row_bytes} bytes, found the end of the file "
            f"in row {start + len(data) // max(row_bytes, 1)}"
        )
    return np.frombuffer(data, kind).reshape(rows, *shape[1:])


def check(rows: Rows, place: str, start: int) -> None:
    """Refuses what has no similarity to anything.

    Raises:
        InputError: A value that is not finite, a row of zeros only, or a dimension outside 16 to
            4,096. Names the row, and no value.
    """
    matrix = rows.embeddings
    if matrix.shape[1] not in DIMENSIONS:
        raise DimensionError(f"{place}: expected 16 to 4096 values a row, found {matrix.shape[1]}")
    is_finite = np.isfinite(matrix).all(axis=1)
    if not is_finite.all():
        row = start + int(np.argmin(is_finite))
        raise RowError(f"{place}, row {row}: expected finite values in single precision, found NaN or infinity")
    is_something = matrix.any(axis=1)
    if not is_something.all():
        row = start + int(np.argmin(is_something))
        raise RowError(f"{place}, row {row}: expected a direction, found zeros only")
