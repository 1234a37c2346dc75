"""Blocks: some rows of one source, known again by a digest of their values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vultus.errors import InputError, of_os_error

from .errors import CorruptBlockError
from .sources import Columns, Longs, Rows, Source, check


@dataclass(frozen=True)
class Block:
    """Rows of a source, before anything is known of their values."""

    source: Source
    #: The first row in the source.
    start: int
    rows: int
    #: The number of the first row among all rows of the job's input.
    first: int
    of_gallery: bool

    def __str__(self) -> str:
        return f"rows {self.start} to {self.start + self.rows - 1} of {self.source.name}"


@dataclass(frozen=True)
class Survey:
    """What is known of a block that was read once."""

    dimension: int
    digest: str


def cut(sources: Sequence[Source], rows: int, of_gallery: bool, called: str, first: int = 0) -> list[Block]:
    """Blocks of at most `rows` rows, none across two sources, in the order of the sources.

    Raises:
        InputError: There are no rows at all.
    """
    blocks = []
    for source in sources:
        count = source.count()
        for start in range(0, count, rows):
            blocks.append(Block(source, start, min(rows, count - start), first, of_gallery))
            first += blocks[-1].rows
    if not blocks:
        raise InputError(f"{called}: expected at least one row, found none in {sources[0].name}")
    return blocks


def survey(block: Block, columns: Columns) -> Survey:
    """Reads a block and looks at every value.

    Raises:
        InputError: A row that is no embedding, or has no class.
        CorruptBlockError: The file cannot be read.
    """
    rows = _read(block, columns)
    check(rows, block.source.name, block.start)
    return Survey(rows.embeddings.shape[1], _digest(rows))


def load(block: Block, columns: Columns, expected: Survey) -> Rows:
    """Reads a block that was surveyed.

    Raises:
        CorruptBlockError: Its values are not those which were surveyed, or it cannot be read.
    """
    rows = _read(block, columns)
    found = _digest(rows)
    if found != expected.digest:
        raise CorruptBlockError(
            f"{block}: expected the embeddings that the job began with (digest "
            f"{expected.digest[:16]}), found others ({found[:16]})"
        )
    return rows


def _read(block: Block, columns: Columns) -> Rows:
    try:
        rows = block.source.read(block.start, block.rows, columns, block.of_gallery)
    except FileNotFoundError as error:
        raise of_os_error(CorruptBlockError, f"{block}: expected the file, found none; {error}", error) from error
    if len(rows.embeddings) != block.rows:
        raise CorruptBlockError(f"{block}: expected {block.rows} rows, found {len(rows.embeddings)}")
    if block.of_gallery and rows.classes is None:
        numbers: Longs = np.arange(block.first, block.first + block.rows, dtype=np.int64)
        return Rows(rows.embeddings, classes=numbers)
    return rows


def _digest(rows: Rows) -> str:
    """SHA-256 of the shape, the values as little-endian single precision, and the labels."""
    count, dimension = rows.embeddings.shape
    digest = hashlib.sha256(f"{count} {dimension}\n".encode())
    digest.update(rows.embeddings.astype("<f4", copy=False).data)
    if rows.classes is not None:
        digest.update(b"classes\n")
        digest.update(rows.classes.astype("<i8", copy=False).data)
    if rows.ids is not None:
        digest.update(b"ids\n")
        digest.update(_id_bytes(rows.ids))
    return digest.hexdigest()


def _id_bytes(ids: pa.Array) -> bytes:
    return "\n".join(map(repr, ids.to_pylist())).encode()
