"""The results of one pair of blocks as a file that says what it is and whether it is whole."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .compare import Doubles
from .errors import CorruptOutputError
from .sources import Longs

Columns = tuple[Longs, Longs, Doubles]

#: The folder of these files, one for each pair of blocks.
FOLDER = "pairs"
#: What the columns are called, by the kind of job.
NAMES = {
    "identify": ("probe", "class", "similarity"),
    "duplicates": ("class", "other", "similarity"),
}


def name(left: int, right: int) -> str:
    """The name of the file of two blocks."""
    return f"{FOLDER}/{left:06}-{right:06}.parquet"


def encode(kind: str, job: str, left: int, right: int, columns: Columns) -> bytes:
    """A Parquet table whose metadata bind it to its job and blocks, and hold a digest of its
    values. The same values give the same bytes."""
    metadata = {
        "vultus.job": job,
        "vultus.blocks": f"{left} {right}",
        "vultus.digest": _digest(columns),
    }
    table = pa.table(dict(zip(NAMES[kind], columns, strict=True))).replace_schema_metadata(metadata)
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def decode(data: bytes, path: str, kind: str, job: str, left: int, right: int) -> Columns:
    """What `encode` wrote.

    Raises:
        CorruptOutputError: The bytes are no table, are damaged, or are of others.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
        first, second, third = (table.column(column).to_numpy() for column in NAMES[kind])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise _corrupt(path, "a whole table of results", f"{error}") from error
    metadata = table.schema.metadata or {}
    expected = {b"vultus.job": job, b"vultus.blocks": f"{left} {right}"}
    for key, value in expected.items():
        found = metadata.get(key, b"nothing").decode("utf-8", "replace")
        if found != value:
            raise _corrupt(path, f"{key.decode()} {value}", found)
    columns = (first.astype(np.int64), second.astype(np.int64), third.astype(np.float64))
    digest = metadata.get(b"vultus.digest", b"nothing").decode("utf-8", "replace")
    found = _digest(columns)
    if found != digest:
        raise _corrupt(path, f"values of digest {digest[:16]}", f"others ({found[:16]})")
    return columns


def _corrupt(path: str, expected: str, found: str) -> CorruptOutputError:
    return CorruptOutputError(
        f"{path}: expected {expected}, found {found}. Remove the file and start the job again: "
        "only these two blocks are compared anew"
    )


def _digest(columns: Columns) -> str:
    digest = hashlib.sha256(f"{len(columns[0])}\n".encode())
    for column, kind in zip(columns, ("<i8", "<i8", "<f8"), strict=True):
        digest.update(np.ascontiguousarray(column).astype(kind, copy=False).tobytes())
    return digest.hexdigest()
