"""Galleries: people with their templates, on disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import _vultus
from vultus._arrays import as_array, as_count, as_number, as_rows, as_similarity, as_threads
from vultus._found import Duplicates, Found, Label, Match, Rate
from vultus._labels import KINDS, Kind, as_metadata, as_names, kind_of
from vultus._progress import Progress, shown
from vultus._sent import is_text
from vultus.errors import (
    DimensionError,
    EncoderError,
    InputError,
    LabelError,
    MasterKeyError,
    NotCalibratedError,
    NotEnrolledError,
    PicklingError,
    ShapeError,
    StorageError,
    of_os_error,
    of_system,
    of_type,
)

PARTITION = "gallery.1"
"""The partition of a data directory that a gallery is, unless another one is named."""

ENCODER = "array"
"""What an encoder is called whose name nobody said."""


class Gallery:
    """People and their embeddings, to be searched exactly.

    A gallery is a partition of a data directory, the same that the program `vultus` serves: what has been
    added is on disk when `add` returns. It belongs to one process; others may open it with
    `read_only=True` meanwhile, and see it as it was then. Threads may share it. A fork must open it
    again. Pickled it is its path: who unpickles it opens it read-only.

    Args:
        path: The data directory, which is made where there is none. Without it the gallery is in a temporary
            folder (`TMPDIR`) and is deleted when it is closed.
        encoder: What made the embeddings, as `name` or `name@version`. A gallery refuses those of another.
        dimension: How many values an embedding has, 16 to 4096; else the first `add` tells.
        partition: Which partition, as `storage.number`.
        read_only: Open only to look, beside a process that may be changing it.
        threads: How many threads search; as many as processors may be used without it.
        master_key: Encrypts a new data directory, and opens an encrypted one: 64 hexadecimal digits or 32 bytes, as
            `openssl rand -hex 32` makes them. Without it nobody can read what is there, and it is kept nowhere.

    Raises:
        MasterKeyError: It is encrypted and the key is missing or another one; or it is not, and a key was given.
        LockedError: Another process has it open to change it.
        NotEnrolledError: It is opened only to look, and there are other partitions and not this one.
        EncoderError: It is of another encoder or dimension.
        StorageError: It is damaged, or the disk fails. All are `VultusError`s.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        encoder: str | None = None,
        dimension: int | None = None,
        *,
        partition: str = PARTITION,
        read_only: bool = False,
        threads: int | None = None,
        master_key: str | bytes | None = None,
    ) -> None:
        self._threads = as_threads(threads)
        # Once more by the same thread, so that what shows progress may change the gallery, too.
        self._changing = threading.RLock()
        if not isinstance(read_only, bool | np.bool_):
            raise of_type(InputError, f"read_only: expected a bool, found {type(read_only).__name__}")
        key = _master_key(master_key)
        self._has_key = key is not None
        if path is None and read_only:
            raise InputError("read_only: a gallery without a path is empty, and nobody could fill it")
        self._is_temporary = path is None
        _check_names(partition, encoder)
        known = None if path is None else _as_path(path, "path")
        self.path = (known or Path(tempfile.mkdtemp(prefix="vultus-"))).absolute()
        if self._is_temporary:
            self._gone = weakref.finalize(self, _delete, self.path, os.getpid())
        self.partition = partition
        self._handle = _vultus.Handle.open(self.path, partition, read_only, key)
        try:
            self._bind(encoder, dimension)
        except BaseException:
            self.close()
            raise

    def _bind(self, encoder: str | None, dimension: int | None) -> None:
        """Fails if an existing gallery is of another encoder, and makes a new one if all is known."""
        if dimension is not None:
            dimension = as_count(dimension, "dimension", 1)
        self._wanted = encoder
        known = self._handle.encoder()
        if known is None:
            if self.is_read_only:
                self._refuse_other_partitions()
            elif dimension is not None:
                self._handle.create(encoder or ENCODER, dimension)
            return
        name, found = known
        wanted = encoder if encoder is None or "@" in encoder else f"{encoder}@1"
        if wanted is not None and wanted != name:
            raise EncoderError(f"encoder: the gallery holds embeddings of {name!r}, not of {wanted!r}")
        if dimension is not None and dimension != found:
            raise EncoderError(f"dimension: the gallery holds embeddings of {found} values, not of {dimension}")

    def _refuse_other_partitions(self) -> None:
        """One that is not there, beside others that are, is a wrong name and no gallery that is still empty."""
        there = self._handle.partitions()
        if there and self.partition not in there:
            text = f"partition: expected one that is at `{self.path}`, which are {', '.join(there)}, "
            raise NotEnrolledError(f"{text}found {self.partition!r}")

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        read_only: bool = False,
        *,
        partition: str = PARTITION,
        threads: int | None = None,
        master_key: str | bytes | None = None,
    ) -> Gallery:
        """A gallery that is there already. Its files are mapped into memory: there is no load phase.

        Raises `NotEnrolledError` if there are other partitions at `path` and not this one, and if there is no data
        directory, which is a `FileNotFoundError`, too; else as `Gallery`.
        """
        path = _as_path(path, "path")
        try:
            is_there = path.is_dir() and any(path.iterdir())
        except OSError as error:
            raise of_os_error(StorageError, f"path: `{path}` cannot be read: {error}", error) from None
        if not is_there:
            text = f"path: expected a data directory, found none at `{path}`"
            raise of_system(NotEnrolledError, text, errno.ENOENT, os.fspath(path))
        gallery = cls(path, partition=partition, read_only=read_only, threads=threads, master_key=master_key)
        try:
            gallery._refuse_other_partitions()
        except BaseException:
            gallery.close()
            raise
        return gallery

    # What is in it.

    @property
    def encoder(self) -> str | None:
        """`name@version` of the encoder; None before anything was added to a gallery without dimension."""
        known = self._handle.encoder()
        return known and known[0]

    @property
    def dimension(self) -> int | None:
        """How many values an embedding has; None before anything was added."""
        known = self._handle.encoder()
        return known and known[1]

    @property
    def is_read_only(self) -> bool:
        """Whether it cannot be changed."""
        return self._handle.is_read_only

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._handle.is_closed

    @property
    def templates(self) -> int:
        """How many embeddings there are, of all people."""
        return self._handle.templates()

    @property
    def labels(self) -> NDArray[Any]:
        """All labels, shape (people,): int64 rising, or strings and UUIDs in the order of their enrolment."""
        return self._named(self._handle.classes())

    def __len__(self) -> int:
        return len(self._handle.classes())

    def __bool__(self) -> bool:
        # An empty gallery is one nevertheless.
        return True

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels.tolist())

    def __contains__(self, label: object) -> bool:
        number = self._class_of(label)
        return number is not None and self._handle.contains(number)

    def __getitem__(self, label: Label) -> NDArray[np.float32]:
        """The embeddings of a person, shape (templates, dimension). Raises `NotEnrolledError`, a `KeyError`."""
        number = self._class_of(label)
        rows = None if number is None else self._handle.templates_of([number])[1]
        if rows is None or not len(rows):
            raise NotEnrolledError(f"{label!r} is not enrolled")
        return rows

    def name(self, label: Label) -> str | None:
        """What a person is called, if it was said. Raises `NotEnrolledError`."""
        return self._person(label)[0]

    def metadata(self, label: Label) -> dict[str, str]:
        """The metadata of a person. Raises `NotEnrolledError`."""
        return dict(self._person(label)[2])

    def _person(self, label: Label) -> tuple[str | None, str | None, list[tuple[str, str]]]:
        if label not in self:
            raise NotEnrolledError(f"{label!r} is not enrolled")
        number = self._class_of(label)
        assert number is not None
        return self._handle.people([number])[0]

    # Changes.

    def add(
        self,
        X: Any,
        labels: Sequence[Label] | NDArray[Any] | None = None,
        names: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, object]] | Mapping[str, Sequence[object]] | None = None,
        *,
        repeat: bool = False,
        progress: Progress = False,
    ) -> NDArray[Any]:
        """Adds an embedding for each row of `X`. All are on disk when this returns.

        A large array is written in parts of 2^26 values: where the disk fails or Ctrl-C comes in the middle,
        the parts before stay. Whatever is wrong with arguments is known before anything is added.

        Args:
            X: Shape (n, dimension), as in `exact_search`.
            labels: Who each row is: int, str or `uuid.UUID`, all of one kind in a gallery. Texts are kept, and
                told, without blanks at their ends and in NFC. Without labels each row is somebody new, and gets
                a number from 1 on that nobody has, and that nobody was given before.
            names: What each person is called, or None.
            metadata: What else is known of each: a dict a row, or a dict (or table) of columns. Keys are ASCII
                letters, digits, `-`, `_`, `.`; values become text.
            repeat: Whether a label may come twice, or be enrolled already: the rows are of one person then.
            progress: As in `exact_search`, in rows.

        Returns:
            The labels, shape (n,).

        Raises:
            LabelError: Labels are of another kind or length, or come twice.
            DimensionError: `X` has not as many values as the gallery.
            ReadOnlyError: The gallery was opened only to look. Else as `exact_search`.
        """
        rows = as_rows(X, "X")
        count = len(rows)
        kind, wanted = kind_of(labels, count)
        names, metadata = as_names(names, count), as_metadata(metadata, count)
        # Closed, or of a parent process: whoever cannot use it does not wait for those who do.
        self._handle.encoder()
        # What is found out of who is enrolled must hold until it is written.
        with self._changing:
            return self._add(rows, (kind, wanted), names, metadata, repeat, progress)

    def _add(
        self,
        rows: Any,
        labels: tuple[Kind, list[Any]],
        names: list[str | None] | None,
        metadata: list[list[tuple[str, str]]] | None,
        repeat: bool,
        progress: Progress,
    ) -> NDArray[Any]:
        (count, dimension), (kind, wanted) = rows.shape, labels
        known = self._handle.encoder()
        if known is not None and known[1] != dimension:
            raise DimensionError(f"X: expected rows of {known[1]} values as the gallery has, found {dimension}")
        self._check_kind(kind)
        if kind is not Kind.NONE and not repeat:
            self._refuse_repeated(wanted, kind)
        if not count:
            return np.array([], np.int64) if kind in (Kind.NONE, Kind.INT) else np.array([], object)
        if known is None:
            self._handle.create(self._wanted or ENCODER, dimension)
        numbers, ids = self._numbers(kind, wanted, count)
        people = None
        if names is not None or metadata is not None or ids is not None:
            none = [None] * count
            people = list(zip(names or none, ids or none, metadata or [[] for _ in range(count)]))
        if kind is not Kind.NONE and self._handle.note("labels") is None:
            self._handle.put_note("labels", kind.value)
        with shown(progress, count, "rows") as told:
            self._handle.add(rows, numbers, people, self._threads, told)
        return numbers if kind in (Kind.NONE, Kind.INT) else np.array(wanted, object)

    def _check_kind(self, kind: Kind) -> None:
        ours = self._kind()
        theirs = Kind.INT if kind is Kind.NONE else kind
        if ours is not None and ours is not theirs:
            raise LabelError(f"labels: the gallery has labels of {ours.value}, found {theirs.value}")

    def _kind(self) -> Kind | None:
        """Of which kind labels are; None while nobody is enrolled."""
        said = self._handle.note("labels")
        if said is not None:
            return KINDS[said]
        return Kind.INT if len(self._handle.classes()) else None

    def _refuse_repeated(self, labels: list[Any], kind: Kind) -> None:
        advice = "pass repeat=True where several rows are of one person"
        seen: set[Any] = set()
        for row, label in enumerate(labels):
            if label in seen:
                raise LabelError(f"labels: {label!r} comes twice, again in row {row}: {advice}")
            seen.add(label)
        if kind is Kind.INT:
            known = np.isin(np.array(labels, np.int64), self._handle.classes())
            there = np.flatnonzero(known)
        else:
            there = [
                row for row, number in enumerate(self._handle.classes_of(list(map(str, labels)))) if number is not None
            ]
        if len(there):
            row = there[0]
            raise LabelError(f"labels: {labels[row]!r} in row {row} is enrolled already: {advice}")

    def _numbers(self, kind: Kind, labels: list[Any], count: int) -> tuple[NDArray[np.int64], list[str | None] | None]:
        """The class of each row, and its external id where labels are no numbers: in its first row alone."""
        if kind is Kind.NONE:
            return np.array(self._handle.choose(count), np.int64), None
        if kind is Kind.INT:
            return np.array(labels, np.int64), None
        ids = list(map(str, labels))
        known = dict(zip(ids, self._handle.classes_of(ids)))
        new = [label for label, number in known.items() if number is None]
        known.update(zip(new, self._handle.choose(len(new)) if new else []))
        told, first = set(ids) - set(new), []
        for label in ids:
            first.append(None if label in told else label)
            told.add(label)
        return np.array([known[label] for label in ids], np.int64), first

    def remove(self, labels: Label | Sequence[Label] | NDArray[Any]) -> int:
        """Removes one person or several, with all that is known of them. Returns how many embeddings that were.

        Raises `NotEnrolledError` if one of them is not enrolled; nobody is removed then.
        """
        if isinstance(labels, np.ndarray) and not labels.ndim:
            labels = labels.item()
        several = isinstance(labels, list | tuple | set | frozenset | np.ndarray)
        numbers = []
        # As in `add`.
        self._handle.encoder()
        with self._changing:
            for label in labels if several else [labels]:
                number = self._class_of(label)
                if number is None or not self._handle.contains(number):
                    raise NotEnrolledError(f"{label!r} is not enrolled")
                numbers.append(number)
            return self._handle.remove(numbers)

    def compact(self) -> None:
        """Puts the files of the gallery in the best order: as few as its size allows, without what was removed.

        Adding merges files by itself where there are many; this is for before a long time of searches.
        """
        self._handle.compact()

    # Questions.

    def search(
        self,
        Q: Any,
        k: int = 20,
        threshold: float | None = None,
        target_fpir: float | None = None,
        *,
        targetFPIR: float | None = None,
        progress: Progress = False,
    ) -> Found:
        """The `k` people who are most like each row of `Q`, exactly; each person once.

        Args:
            Q: Shape (q, dimension).
            k: How many people for each, at least 1.
            threshold: Leaves out people who are less similar, from -1 to 1.
            target_fpir: In place of a threshold: how often a stranger may be taken for somebody, such as 0.001.
                The gallery must be calibrated (`calibrate`). `targetFPIR` is the same.
            progress: As in `exact_search`, in probes.

        Returns:
            `Found`, which unpacks as `D, I`: similarities (float64) and labels, shape (q, k), best first. Where
            there are fewer the rest is -inf and -1, or None where labels are no numbers.

        Raises:
            NotCalibratedError: A rate is asked for, and nothing is known of strangers. Else as `exact_search`.
        """
        probes = as_rows(Q, "Q")
        dimension = self.dimension
        if dimension is not None and probes.shape[1] != dimension:
            raise DimensionError(f"Q: expected rows of {dimension} values as the gallery has, found {probes.shape[1]}")
        k = as_count(k, "k", 1)
        least = self._least(threshold, target_fpir, targetFPIR)
        shape = (len(probes), k)
        similarities = np.full(shape, -np.inf)
        classes = np.full(shape, -1, np.int64)
        # More columns than people stay as they are: nothing can stand there.
        found = slice(min(k, self.templates))
        with shown(progress, len(probes), "probes") as told:
            self._handle.search(probes, similarities[:, found], classes[:, found], least, self._threads, told)
        return Found(similarities, self._named(classes, similarities > -np.inf), least)

    def search_one(self, q: Any, k: int = 20, threshold: float | None = None, **rate: Any) -> list[Match]:
        """As `search` of one embedding of shape (dimension,): a list of `Match(label, similarity, name)`."""
        array = as_array(q, "q")
        if array.ndim != 1:
            raise ShapeError(f"q: expected the shape (dimension,), found {array.shape}")
        (D,), (I,) = found = self.search(array[None, :], k, threshold, **rate)
        del found
        matches = [(label, similarity) for label, similarity in zip(I.tolist(), D.tolist()) if similarity > -np.inf]
        numbers = [self._class_of(label) for label, _ in matches]
        people = self._handle.people([number for number in numbers if number is not None])
        return [Match(label, similarity, person[0]) for (label, similarity), person in zip(matches, people)]

    def duplicates(self, threshold: float, *, progress: Progress = False) -> Duplicates:
        """All pairs of people who are at least so similar: who may be enrolled twice. Exactly, best first.

        Time grows with the square of the gallery. Returns `Duplicates(labels, others, similarities)`.
        """
        least = as_similarity(threshold, "threshold")
        with shown(progress, self.templates, "embeddings") as told:
            first, second, similarities = self._handle.duplicates(least, self._threads, told)
        return Duplicates(self._named(first), self._named(second), similarities)

    def calibrate(self, probes: int = 10_000, seed: int = 1, *, progress: Progress = False) -> int:
        """Measures what strangers reach here, from the people of the gallery themselves, and keeps it.

        After that thresholds can be asked for by rate. Returns how many people were compared with all others.
        Raises `InputError` if there are too few people.
        """
        probes = as_count(probes, "probes", 1)
        seed = as_count(seed, "seed", 0)
        with shown(progress, min(probes, len(self)), "people") as told:
            return self._handle.calibrate(probes, seed, self._threads, told)

    def threshold(self, target_fpir: float) -> Rate:
        """The similarity that a stranger reaches with somebody here as often as `target_fpir`.

        Raises `NotCalibratedError` if nothing is known of strangers, `InputError` if it is no rate.
        """
        return self._rate(self._handle.threshold(as_number(target_fpir, "target_fpir", "a rate")))

    def fpir(self, threshold: float) -> Rate:
        """How often a stranger reaches `threshold` with somebody here. Raises `NotCalibratedError`."""
        return self._rate(self._handle.fpir(as_similarity(threshold, "threshold")))

    def evaluate(self, Q: Any, y: Sequence[Label] | NDArray[Any], k: int = 20) -> Any:
        """How often decisions about `Q` would be wrong. `y` says whom each row shows.

        Who is in `y` and not in the gallery is a stranger. Returns an `Evaluation`: rates of misses and false
        alarms by threshold, ranks, and `plot()`.

        Raises `LabelError` if `y` is of another kind than the labels here, or of another length than `Q`.
        """
        from vultus._evaluate import Evaluation

        probes = as_rows(Q, "Q")
        kind, wanted = kind_of(y, len(probes))
        if kind is Kind.NONE:
            raise LabelError("y: expected a label for each row of Q, found none")
        ours = self._kind()
        if ours is not None and ours is not kind:
            raise LabelError(f"y: the gallery has labels of {ours.value}, found {kind.value}")
        enrolled = set(self.labels.tolist())
        found = self.search(probes, k)
        return Evaluation.of(found, wanted, enrolled)

    def _least(self, threshold: float | None, *rates: float | None) -> float | None:
        asked = [rate for rate in rates if rate is not None]
        if len(asked) + (threshold is not None) > 1:
            raise InputError("threshold: expected a threshold or a target_fpir, found more than one of them")
        if asked:
            return self.threshold(asked[0]).threshold
        return None if threshold is None else as_similarity(threshold, "threshold")

    @staticmethod
    def _rate(found: tuple[float, float, float, float, bool] | None) -> Rate:
        if found is None:
            raise NotCalibratedError("nothing is known of strangers here: call calibrate() first")
        return Rate(*found)

    # Labels.

    def _class_of(self, label: object) -> int | None:
        """The number of a label; None if nobody can have it."""
        kind, (wanted,) = kind_of([label], 1)
        if kind is not self._kind():
            return None
        return wanted if kind is Kind.INT else self._handle.classes_of([str(wanted)])[0]

    def _named(self, classes: NDArray[np.int64], is_there: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """The labels of classes; None where nobody is."""
        kind = self._kind()
        if kind in (None, Kind.INT):
            return classes
        unique, places = np.unique(classes, return_inverse=True)
        ids = [person[1] for person in self._handle.people(unique.tolist())]
        labels = np.array([None if label is None else kind.read(label) for label in ids], object)
        named = labels[places.reshape(classes.shape)]
        if is_there is not None:
            named[~is_there] = None
        return named

    # The whole of it.

    def snapshot(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Writes everything to one file, which `restore` and `vultus gallery restore` read. Returns its path.

        It holds all templates: only its owner may read it.
        """
        path = _as_path(path, "path")
        self._handle.snapshot(path, bool(overwrite), None)
        return path

    @classmethod
    def restore(cls, snapshot: str | os.PathLike[str], path: str | os.PathLike[str], **options: Any) -> Gallery:
        """Makes a data directory of a snapshot at `path`, which is empty or not there, and opens it.

        `options` are those of `Gallery`; a snapshot of an encrypted gallery needs its `master_key`. One that has
        other partitions and not this one is a `NotEnrolledError`; what was restored stays then, to be opened.
        """
        places = _as_path(snapshot, "snapshot"), _as_path(path, "path")
        _vultus.Handle.restore(*places, _master_key(options.get("master_key")), None)
        looked = {name: options[name] for name in ("partition", "master_key") if name in options}
        cls.open(path, read_only=True, **looked).close()
        return cls(path, **options)

    def close(self) -> None:
        """Lets go of the files. Every later call but this raises `ClosedError`."""
        self._handle.close()
        if self._is_temporary:
            self._gone()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._is_temporary:
            raise PicklingError("a gallery without a path cannot be pickled: name a path")
        if self._has_key:
            raise PicklingError("an encrypted gallery cannot be pickled, which would show its key: open it there")
        return _reopen, (os.fspath(self.path), self.partition)

    def __repr__(self) -> str:
        if self.is_closed:
            return f"<vultus.Gallery at {os.fspath(self.path)!r}, closed>"
        encoder = self._handle.encoder()
        of = f"of {encoder[0]}/{encoder[1]}" if encoder else "empty"
        return f"<vultus.Gallery {of}, {self.templates} embeddings at {os.fspath(self.path)!r}>"


def _master_key(key: str | bytes | None) -> bytes | None:
    if isinstance(key, str):
        # Nothing of it in an error, not even what is no digit.
        return key.encode(errors="replace")
    if key is not None and not isinstance(key, bytes | bytearray):
        raise of_type(MasterKeyError, f"master_key: expected a str or bytes, found {type(key).__name__}")
    return None if key is None else bytes(key)


def _reopen(path: str, partition: str) -> Gallery:
    return Gallery.open(path, read_only=True, partition=partition)


def _delete(path: Path, process: int) -> None:
    # A fork ends, too, and what it sees here is its parent's.
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)


def _as_path(value: Any, name: str) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise of_type(InputError, f"{name}: expected a path, found {type(value).__name__}")
    if not os.fspath(value):
        raise InputError(f"{name}: expected a path, found an empty text")
    path = os.fsdecode(value)
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise InputError(f"{name}: expected a path, found one with half a letter") from None
    return Path(path)


def _check_names(partition: Any, encoder: Any) -> None:
    for name, value in (("partition", partition), ("encoder", encoder)):
        if isinstance(value, str) and not is_text(value):
            raise InputError(f"{name}: expected a text, found one with half a letter")
    if not isinstance(partition, str):
        raise of_type(InputError, f"partition: expected a text such as {PARTITION!r}, found {type(partition).__name__}")
    if encoder is not None and not isinstance(encoder, str):
        raise of_type(InputError, f"encoder: expected a name or name@version, found {type(encoder).__name__}")
