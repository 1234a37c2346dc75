"""Snapshots of `vultus gallery snapshot`: what is in one is written once, as Parquet, beside the job that reads it."""

from __future__ import annotations

import contextlib
import hashlib
import io
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
LABELS = pa.schema([pa.field("class", pa.int64(), nullable=False), pa.field("label", pa.large_string())])

#: Of what is kept of a snapshot. One of a program that kept no labels says none.
VERSION = 2

#: What labels of an input are called where its numbers are those of rows, or nobody has any.
NO_KIND = ""


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
    found = {
        "version": VERSION,
        "snapshot": _digest(place),
        "partition": partition or _only_partition(place, called),
        "columns": [columns.embedding, columns.class_, columns.id],
    }
    if like is not None and _has_names(_kind(folder, like)):
        found["numbered_as"] = _fact(folder, like, "snapshot")
    was = _read_facts(folder, known)
    is_begun = manifest.read(folder) is not None
    if was is not None and (is_begun or _difference(was, found) is None):
        _compare(folder.path(known.facts), was, found)
        return folder.path(known.table)
    if is_begun:
        raise ForeignManifestError(
            f"{folder.place}: expected the job of this snapshot, found one without it. Choose another folder"
        )
    # What a call has left that was refused before there was a job.
    folder.remove(known.facts)
    with _unpacked(place, found["partition"], called) as handle:
        people = _People.of(handle, columns)
        if like is not None and people.kind == _kind(folder, like) and _has_names(people.kind):
            people = people.numbered_as(_labels(folder, _Known(like)))
        labels = io.BytesIO()
        pq.write_table(people.table(), labels, compression="zstd")
        with folder.draft(known.labels) as stream:
            stream.write(labels.getbuffer())
        with folder.draft(known.table) as stream:
            people.write(handle, stream, columns, are_probes=called == "probes")
    found |= {"labels": people.kind, "labels_sha256": hashlib.sha256(labels.getbuffer()).hexdigest()}
    folder.write_once(known.facts, json.dumps(found).encode())
    return folder.path(known.table)


def refuse_two_kinds(out: str | os.PathLike[str], called: dict[str, object], columns: Columns) -> None:
    """Numbers of classes that a snapshot has for texts say nothing of the numbers of another input.

    `called` has what each input is called, and where the job has it from.

    Raises:
        LabelError: Labels are of different kinds.
    """
    folder, kinds = Folder(os.fspath(out)), {}
    others = NO_KIND if columns.class_ is None else Kind.INT.value
    for name, place in called.items():
        is_staged = isinstance(place, str) and place == folder.path(_Known(name).table)
        kinds[name] = _kind(folder, name) if is_staged else others
    if len(set(kinds.values()) - {NO_KIND}) > 1:
        found = ", ".join(f"{kind} of {name}" for name, kind in kinds.items())
        raise LabelError(f"expected labels of one kind, found those of {found}")


def named(folder: Folder, called: str, source: str) -> pa.Table | None:
    """The labels of an input that was a snapshot, if they are no numbers: columns `class`, rising, and `label`.

    `source` is where the job has the input from: another one than the staged table has no labels here.

    Raises:
        CorruptBlockError: The file of labels is damaged, or gone.
    """
    known = _Known(called)
    if source != folder.path(known.table) or not _has_names(_kind(folder, called)):
        return None
    return _labels(folder, known)


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


def _fact(folder: Folder, called: str, what: str) -> str:
    return str((_read_facts(folder, _Known(called)) or {}).get(what))


def _kind(folder: Folder, called: str) -> str:
    """Of which kind the labels of a staged snapshot are."""
    kind = _fact(folder, called, "labels")
    if kind not in (NO_KIND, Kind.INT.value, Kind.STR.value, Kind.UUID.value):
        place = folder.path(_Known(called).facts)
        raise CorruptBlockError(f"{place}: expected `labels` of a known kind, found {kind[:16]!r}")
    return kind


def _has_names(kind: str) -> bool:
    """Whether labels of this kind are something else than the number of a class."""
    return kind in (Kind.STR.value, Kind.UUID.value)


def _difference(was: dict[str, Any], found: dict[str, Any]) -> str | None:
    """The first thing that is not the same."""
    return next((what for what, value in found.items() if was.get(what) != value), None)


def _compare(place: str, was: dict[str, Any], found: dict[str, Any]) -> None:
    what = _difference(was, found)
    if what is not None:
        # Of a digest its beginning is enough.
        wanted, there = (value[:16] if isinstance(value, str) else value for value in (found[what], was.get(what)))
        raise ForeignManifestError(f"{place}: expected {what} {wanted}, found {there}. Choose another folder")


def _labels(folder: Folder, known: _Known) -> pa.Table:
    """Those of a staged snapshot, as they were written."""
    place, data = folder.path(known.labels), folder.read(known.labels)
    wanted = (_read_facts(folder, known) or {}).get("labels_sha256")
    if data is None or hashlib.sha256(data).hexdigest() != wanted:
        what = "none" if data is None else "another one"
        raise CorruptBlockError(f"{place}: expected the table of labels that was kept here, found {what}")
    return pq.read_table(io.BytesIO(data))


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

    #: Of which kind labels are.
    kind: str
    classes: Longs
    #: What they are called, if not by their class.
    labels: pa.Array | None
    #: What a job calls each class, where not as the partition does.
    numbers: Longs

    @classmethod
    def of(cls, handle: _vultus.Handle, columns: Columns) -> _People:
        classes, kind = handle.classes(), handle.note("labels") or Kind.INT.value
        labels = None
        if _has_names(kind):
            parts = (classes[start : start + CLASSES].tolist() for start in range(0, len(classes), CLASSES))
            people = (person[1] for part in parts for person in handle.people(part))
            labels = pa.array(people, LABELS.field("label").type)
        is_numbered = columns.class_ is None or not len(classes)
        return cls(NO_KIND if is_numbered else kind, classes, labels, classes)

    def numbered_as(self, others: pa.Table) -> _People:
        """Whoever is there by the same label has that class; the others get classes that nobody has there."""
        assert self.labels is not None
        taken = others.column("class").to_numpy()
        at = pc.index_in(self.labels, others.column("label").combine_chunks(), skip_nulls=True)
        is_new = at.is_null().to_numpy(zero_copy_only=False)
        free = np.setdiff1d(np.arange(1, len(taken) + is_new.sum() + 1), taken, assume_unique=True)
        numbers = np.empty(len(self.classes), np.int64)
        numbers[is_new] = free[: is_new.sum()]
        numbers[~is_new] = taken[at.drop_null().to_numpy()]
        return _People(self.kind, self.classes, self.labels, numbers)

    def table(self) -> pa.Table:
        """The labels of all, by rising number; nothing where they are called by their class."""
        if self.labels is None or not _has_names(self.kind):
            return LABELS.empty_table()
        order = np.argsort(self.numbers)
        return pa.Table.from_arrays([pa.array(self.numbers[order]), self.labels.take(pa.array(order))], schema=LABELS)

    def write(self, handle: _vultus.Handle, stream: Any, columns: Columns, are_probes: bool) -> None:
        """Writes all embeddings by rising class, whatever the order on disk, so that the same gallery gives the
        same rows. Probes are called by their labels where those are no numbers."""
        known = handle.encoder()
        assert known is not None
        name, dimension = known
        called = [] if columns.class_ is None else [pa.field(columns.class_, pa.int64(), nullable=False)]
        if are_probes and self.labels is not None:
            called = [pa.field(columns.id, LABELS.field("label").type)]
        rows = pa.field(columns.embedding, pa.list_(pa.float32(), dimension), nullable=False)
        schema = pa.schema([*called, rows], metadata={ENCODER: name.encode()})
        with pq.ParquetWriter(stream, schema, use_dictionary=False, compression="none") as writer:
            for start in range(0, len(self.classes), CLASSES):
                owners, values = handle.templates_of(self.classes[start : start + CLASSES].tolist())
                at = np.searchsorted(self.classes, owners)
                lists = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), dimension)
                if are_probes and self.labels is not None:
                    first = [self.labels.take(pa.array(at))]
                else:
                    first = [pa.array(self.numbers[at]) for _ in called]
                writer.write_table(pa.Table.from_arrays([*first, lists], schema=schema))
