"""Snapshots of `vultus gallery snapshot`: what is in one is written once, as Parquet, beside the job that reads it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from vultus import _vultus
from vultus.errors import InputError, MasterKeyError, NotEnrolledError, StorageError

from . import manifest
from .errors import CorruptBlockError, ForeignManifestError
from .files import Folder, resolve
from .sources import ENCODER, Columns

#: With these bytes begin snapshots, in plain and encrypted.
PLAIN, SEALED = b"\x28\xb5\x2f\xfd", b"VULTSNAP"

#: Classes that are read at once.
CLASSES = 4_096


def staged(given: object, called: str, out: str | os.PathLike[str], columns: Columns) -> object:
    """The Parquet file in `out` that has the embeddings of a snapshot; anything else as it is.

    A snapshot is a path or URI, or a pair of that and a partition. It is unpacked on this machine, which checks
    all of it.

    Raises:
        InputError: It has several partitions and none is named.
        MasterKeyError: It is encrypted.
        NotEnrolledError: It has no such partition.
        CorruptBlockError: It is damaged.
        ForeignManifestError: The folder has what was in another snapshot.
    """
    place, partition = _named(given)
    if place is None:
        return given
    folder, known = Folder(os.fspath(out)), _Known(called)
    digest = _digest(place)
    found = {"snapshot": digest, "partition": partition or _only_partition(place, called)}
    was = folder.read(known.facts)
    if was is not None:
        _compare(folder.path(known.facts), was, found)
        return folder.path(known.table)
    if manifest.read(folder) is not None:
        raise ForeignManifestError(
            f"{folder.place}: expected the job of this snapshot, found one without it. Choose another folder"
        )
    _write(place, found["partition"], folder, known.table, called, columns)
    folder.write_once(known.facts, json.dumps(found).encode())
    return folder.path(known.table)


class _Known:
    """How files of an input are called in the folder of its job."""

    def __init__(self, called: str) -> None:
        self.table = f"{manifest.STAGED}/{called}.parquet"
        self.facts = f"{manifest.STAGED}/_{called}.json"


def _named(given: object) -> tuple[str | None, str | None]:
    """Path and partition of a snapshot; none if it is none."""
    partition = None
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str):
        given, partition = given
    if not isinstance(given, str | os.PathLike):
        return None, None
    place = os.fspath(given)
    if place.endswith((".parquet", ".npy", ".npz")):
        return None, None
    system, path = resolve(place)
    if system.get_file_info(path).type != fs.FileType.File:
        return None, None
    with system.open_input_stream(path, compression=None) as stream:
        head = cast(bytes, stream.read(8))
    if head.startswith(SEALED):
        raise MasterKeyError(
            f"{place}: expected a snapshot in plain, found an encrypted one, and a job keeps what it reads in plain: "
            "`vultus gallery restore` and `vultus gallery export` make a file of it that you decide about"
        )
    return (place, partition) if head.startswith(PLAIN) else (None, None)


def _digest(place: str) -> str:
    system, path = resolve(place)
    digest = hashlib.sha256()
    with system.open_input_stream(path, compression=None) as stream:
        while data := stream.read(1 << 22):
            digest.update(data)
    return digest.hexdigest()


def _only_partition(place: str, called: str) -> str:
    """The partition of a snapshot that has no other, by its manifest, which comes first."""
    system, path = resolve(place)
    try:
        with system.open_input_stream(path, compression="zstd") as stream:
            with tarfile.open(fileobj=_Bytes(stream), mode="r|") as archive:
                first = archive.next()
                told = archive.extractfile(first) if first else None
                partitions = [one["partition"] for one in json.load(told)["partitions"]] if told else []
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptBlockError(
            f"{called}, {place}: expected a snapshot of `vultus gallery snapshot`; {error}"
        ) from error
    if len(partitions) != 1:
        raise InputError(
            f"{called}: expected a snapshot of one partition, or the name of one beside it, as ({place!r}, "
            f"'gallery.1'), found {', '.join(partitions) or 'none'}"
        )
    return str(partitions[0])


class _Bytes(io.RawIOBase):
    """A stream of Arrow as `tarfile` wants one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return cast(bytes, self._stream.read(size if size >= 0 else None))


def _compare(place: str, was: bytes, found: dict[str, str]) -> None:
    try:
        there = json.loads(was)
    except (ValueError, RecursionError) as error:
        raise CorruptBlockError(f"{place}: expected JSON, found something else; {error}") from error
    for what, value in found.items():
        if there.get(what) != value:
            raise ForeignManifestError(
                f"{place}: expected {what} {value[:16]}, found {str(there.get(what))[:16]}. Choose another folder"
            )


def _write(place: str, partition: str, folder: Folder, name: str, called: str, columns: Columns) -> None:
    system, path = resolve(place)
    unpacked = Path(tempfile.mkdtemp(prefix="vultus-snapshot-"))
    try:
        if isinstance(system, fs.LocalFileSystem):
            archive = Path(path)
        else:
            archive = unpacked / "snapshot"
            with system.open_input_stream(path, compression=None) as stream, archive.open("wb") as copy:
                shutil.copyfileobj(stream, copy, 1 << 22)
        data = unpacked / "data"
        try:
            _vultus.Handle.restore(archive, data, None, None)
        except StorageError as error:
            raise CorruptBlockError(f"{called}, {place}: {error}") from error
        handle = _vultus.Handle.open(data, partition, True, None)
        try:
            encoder = handle.encoder()
            if encoder is None:
                raise NotEnrolledError(f"{called}: expected a partition {partition!r} in {place}, found none")
            with folder.draft(name) as stream:
                _write_table(handle, encoder, stream, columns)
        finally:
            handle.close()
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _write_table(handle: _vultus.Handle, encoder: tuple[str, int], stream: Any, columns: Columns) -> None:
    """By rising class, whatever the order on disk, so that the same gallery gives the same rows."""
    name, dimension = encoder
    fields = [
        pa.field(columns.class_ or "class", pa.int64(), nullable=False),
        pa.field(columns.embedding, pa.list_(pa.float32(), dimension), nullable=False),
    ]
    schema = pa.schema(fields, metadata={ENCODER: name.encode()})
    classes = handle.classes()
    with pq.ParquetWriter(stream, schema, use_dictionary=False, compression="none") as writer:
        for start in range(0, len(classes), CLASSES):
            owners, values = handle.templates_of(classes[start : start + CLASSES].tolist())
            lists = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), dimension)
            writer.write_table(pa.Table.from_arrays([pa.array(owners), lists], schema=schema))
