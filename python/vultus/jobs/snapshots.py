"""Snapshots of `vultus gallery snapshot`: what is in one is written once, as Parquet, beside the job that reads it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from vultus import _vultus
from vultus._labels import Kind
from vultus.errors import InputError, LabelError, MasterKeyError, NotEnrolledError, StorageError

from . import manifest
from .errors import CorruptBlockError, ForeignManifestError
from .files import Folder, resolve
from .sources import ENCODER, Columns, Longs

#: With these bytes begin snapshots, in plain and encrypted.
PLAIN, SEALED = b"\x28\xb5\x2f\xfd", b"VULTSNAP"

#: Classes that are read at once.
CLASSES = 4_096

#: How the labels of an input are kept that are no numbers.
LABELS = pa.schema([pa.field("class", pa.int64(), nullable=False), pa.field("label", pa.string())])


def staged(
    given: object, called: str, out: str | os.PathLike[str], columns: Columns, like: str | None = None
) -> object:
    """The Parquet file in `out` that has the embeddings of a snapshot; anything else as it is.

    A snapshot is a path or URI, or a pair of that and a partition. It is unpacked on this machine, which checks
    all of it. Where labels are texts or UUIDs, `named` has them afterwards. `like` is what another snapshot is
    called, which is staged already: whoever has the same label there has the same class here.

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
    if like is not None and _kind(folder, like) != Kind.INT.value:
        found["numbered_as"] = _digest_of_kept(folder, like)
    was = _read_facts(folder, known)
    if was is not None:
        _compare(folder.path(known.facts), was, found)
        return folder.path(known.table)
    if manifest.read(folder) is not None:
        raise ForeignManifestError(
            f"{folder.place}: expected the job of this snapshot, found one without it. Choose another folder"
        )
    with _unpacked(place, found["partition"], called) as handle:
        kind = handle.note("labels") or Kind.INT.value
        people = _People.of(handle, kind)
        if like is not None and kind == _kind(folder, like) != Kind.INT.value:
            people = people.numbered_as(_labels(folder, _Known(like)))
        with folder.draft(known.labels) as stream:
            pq.write_table(people.table(), stream, compression="zstd", write_page_checksum=True)
        with folder.draft(known.table) as stream:
            people.write(handle, stream, columns, with_ids=called == "probes")
    folder.write_once(known.facts, json.dumps(found | {"labels": kind}).encode())
    return folder.path(known.table)


def refuse_two_kinds(out: str | os.PathLike[str], called: dict[str, object]) -> None:
    """Numbers of classes that a snapshot has for texts say nothing of the numbers of another input.

    `called` has what each input is called, and where the job has it from.

    Raises:
        LabelError: Labels are of different kinds.
    """
    folder, kinds = Folder(os.fspath(out)), {}
    for name, place in called.items():
        kinds[name] = _kind(folder, name) if place == folder.path(_Known(name).table) else Kind.INT.value
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{kind} of {name}" for name, kind in kinds.items())
        raise LabelError(f"expected labels of one kind, found those of {found}")


def named(folder: Folder, called: str, source: str) -> pa.Table | None:
    """The labels of an input that was a snapshot, if they are no numbers: columns `class`, rising, and `label`.

    `source` is where the job has the input from: another one than the staged table has no labels here.

    Raises:
        CorruptBlockError: The file of labels is damaged.
    """
    known = _Known(called)
    if source != folder.path(known.table):
        return None
    table = _labels(folder, known)
    return table if len(table) else None


class _Known:
    """How files of an input are called in the folder of its job."""

    def __init__(self, called: str) -> None:
        self.table = f"{manifest.STAGED}/{called}.parquet"
        self.labels = f"{manifest.STAGED}/_{called}-labels.parquet"
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


def _read_facts(folder: Folder, known: _Known) -> dict[str, Any] | None:
    """What the folder says of an input that was a snapshot; none if it was none."""
    facts = folder.read(known.facts)
    if facts is None:
        return None
    try:
        told = json.loads(facts)
    except (ValueError, RecursionError) as error:
        raise CorruptBlockError(f"{folder.path(known.facts)}: expected JSON, found something else; {error}") from error
    if not isinstance(told, dict):
        raise CorruptBlockError(f"{folder.path(known.facts)}: expected an object of JSON, found {type(told).__name__}")
    return told


def _kind(folder: Folder, called: str) -> str:
    """Of which kind the labels of a staged snapshot are."""
    return str((_read_facts(folder, _Known(called)) or {}).get("labels", Kind.INT.value))


def _digest_of_kept(folder: Folder, called: str) -> str:
    return str((_read_facts(folder, _Known(called)) or {}).get("snapshot"))


def _compare(place: str, there: dict[str, Any], found: dict[str, str]) -> None:
    for what, value in found.items():
        if there.get(what) != value:
            raise ForeignManifestError(
                f"{place}: expected {what} {value[:16]}, found {str(there.get(what))[:16]}. Choose another folder"
            )


def _labels(folder: Folder, known: _Known) -> pa.Table:
    """Those of an input, none where they are numbers; none, too, in a folder of a program that kept none."""
    data = folder.read(known.labels)
    if data is None:
        return LABELS.empty_table()
    try:
        return pq.read_table(io.BytesIO(data), schema=LABELS, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        place = folder.path(known.labels)
        raise CorruptBlockError(f"{place}: expected a whole table of labels; {error}") from error


@contextlib.contextmanager
def _unpacked(place: str, partition: str, called: str) -> Iterator[_vultus.Handle]:
    """A partition of a snapshot, open to be read, in a folder that is gone at the end."""
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
            if handle.encoder() is None:
                raise NotEnrolledError(f"{called}: expected a partition {partition!r} in {place}, found none")
            yield handle
        finally:
            handle.close()
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


@dataclass(frozen=True)
class _People:
    """Everybody of a partition, by rising class."""

    classes: Longs
    #: What they are called, if not by their class.
    labels: pa.Array | None
    #: What a job calls each class, where not as the partition does.
    numbers: Longs

    @classmethod
    def of(cls, handle: _vultus.Handle, kind: str) -> _People:
        classes = handle.classes()
        labels = None
        if kind != Kind.INT.value:
            parts = (classes[start : start + CLASSES].tolist() for start in range(0, len(classes), CLASSES))
            labels = pa.array((person[1] for part in parts for person in handle.people(part)), pa.string())
        return cls(classes, labels, classes)

    def numbered_as(self, others: pa.Table) -> _People:
        """Whoever is there by the same label has that class; the others get classes that nobody has there."""
        assert self.labels is not None
        there = others.column("label").combine_chunks()
        at = pc.index_in(self.labels, there, skip_nulls=True)
        numbers = pc.take(others.column("class").combine_chunks(), at).to_pylist()
        taken = set(others.column("class").to_pylist())
        free = (number for number in itertools.count(1) if number not in taken)
        numbers = [next(free) if number is None else number for number in numbers]
        return _People(self.classes, self.labels, np.array(numbers, np.int64))

    def table(self) -> pa.Table:
        """The labels of all, by rising number; nothing where they are called by their class."""
        if self.labels is None:
            return LABELS.empty_table()
        order = np.argsort(self.numbers)
        return pa.Table.from_arrays([pa.array(self.numbers[order]), self.labels.take(pa.array(order))], schema=LABELS)

    def write(self, handle: _vultus.Handle, stream: Any, columns: Columns, with_ids: bool) -> None:
        """Writes all embeddings by rising class, whatever the order on disk, so that the same gallery gives the
        same rows; with labels for ids where those are asked for and are no numbers."""
        known = handle.encoder()
        assert known is not None
        name, dimension = known
        labels = self.labels if with_ids and columns.id not in (columns.class_ or "class", columns.embedding) else None
        fields = [
            pa.field(columns.class_ or "class", pa.int64(), nullable=False),
            *([] if labels is None else [pa.field(columns.id, pa.string())]),
            pa.field(columns.embedding, pa.list_(pa.float32(), dimension), nullable=False),
        ]
        schema = pa.schema(fields, metadata={ENCODER: name.encode()})
        with pq.ParquetWriter(stream, schema, use_dictionary=False, compression="none") as writer:
            for start in range(0, len(self.classes), CLASSES):
                owners, values = handle.templates_of(self.classes[start : start + CLASSES].tolist())
                at = np.searchsorted(self.classes, owners)
                lists = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), dimension)
                ids = [] if labels is None else [labels.take(pa.array(at))]
                writer.write_table(pa.Table.from_arrays([pa.array(self.numbers[at]), *ids, lists], schema=schema))
