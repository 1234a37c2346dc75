"""The two jobs, from what a caller gives to merged results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from vultus._progress import bar
from vultus.errors import DimensionError, EncoderError, InputError, of_type

from . import manifest, merge, outputs
from .blocks import Block, Survey, cut
from .files import Folder, resolve
from .job import Job
from .local import Local
from .rates import refuse_other_encoder, threshold_at_rate
from .snapshots import refuse_two_kinds, staged
from .sources import Array, Columns, Source, sources

#: Rows of a block if nothing else is said: 200 MB of 512 values each.
BLOCK_ROWS = 100_000


class Engine(Protocol):
    """Who does the tasks of a job."""

    #: Whether tasks run in other processes, which do not see arrays of this one.
    is_far: bool
    progress: bool | None

    def survey(self, blocks: Sequence[Block], columns: Columns) -> list[Survey]:
        """Reads all blocks, and tells their dimensions and digests in the same order."""
        ...

    def compare(self, job: Job, pairs: Sequence[tuple[int, int]], of: int) -> None:
        """Does these pairs of the `of` that the job has. All of them have files when it returns."""
        ...


@dataclass(frozen=True)
class Identified:
    """What `identify` found.

    The file `matches.parquet` has a row for each match: `probe` (the row from 0), `id` if probes
    have them, `rank` (from 1), `class`, `label` (of a snapshot whose labels are no numbers),
    `similarity`; ordered by probe and rank. A probe without matches has no row.
    """

    #: Path or URI of the file.
    path: str
    #: Whether the job was there before, in part or as a whole.
    resumed: bool

    def to_arrow(self) -> pa.Table:
        """All matches, in memory."""
        return _table(self.path)


@dataclass(frozen=True)
class Duplicates:
    """What `duplicates` found.

    The file `pairs.parquet` has a row for each pair: `class`, `other` (the larger one),
    `similarity`, `group`; by falling similarity, ties by class. `groups.parquet` has a row for each
    class of each group: `group` (from 0, the one with the most similar pair first), `size`,
    `class`, `similarity` (the highest to another one of the group). Of a snapshot whose labels are
    no numbers they have those, too: `label` and `other_label` of a pair, `label` of a class.
    """

    #: Paths or URIs of the files.
    pairs_path: str
    groups_path: str
    #: Whether the job was there before, in part or as a whole.
    resumed: bool

    def pairs(self) -> pa.Table:
        """All pairs, in memory."""
        return _table(self.pairs_path)

    def groups(self) -> pa.Table:
        """All groups, in memory."""
        return _table(self.groups_path)


def identify(
    probes: object,
    gallery: object,
    k: int,
    out: str | os.PathLike[str],
    *,
    threshold: float | None = None,
    target_fpir: float | None = None,
    calibration: str | os.PathLike[str] | None = None,
    block_rows: int = BLOCK_ROWS,
    embedding_column: str = "embedding",
    class_column: str | None = "class",
    id_column: str = "id",
    engine: Engine | None = None,
) -> Identified:
    """Looks for each probe in a gallery: the `k` most similar classes of each, exactly.

    The similarity of a class is the cosine of the probe and the most similar of its embeddings, in
    double precision from values of single precision. Ties go by class.

    The job is done in pieces that are kept in `out`. The same call again goes on where it ended,
    however it ended, and one that was finished only reads what it found.

    Args:
        probes: A matrix (probes by dimension; half, single or double precision); a pair of that and
            their ids; a path or URI of an `.npy`, `.npz` or `.parquet` file, or of a folder of
            `.parquet` files; a pair of `.npy` files; a snapshot of `vultus gallery snapshot`, or a pair of it and
            the name of a partition, whose embeddings are kept in `out` (`staged`).
        gallery: The same, with classes for ids. Without classes they are the row numbers, from 0.
        k: How many classes at most, 1 to the rows of the gallery.
        out: A folder for this job alone, a path or URI.
        threshold: Only classes from this similarity on, -1 to 1.
        target_fpir: In place of a threshold: how many strangers may be taken for somebody of the gallery.
        calibration: What strangers reach, for a `target_fpir`: see `threshold_at_rate`. The gallery counts with
            all its rows, since it is not known yet which are of one person.
        block_rows: Rows of a block. Two blocks are in memory at a time, in each task.
        embedding_column: How Parquet files call embeddings.
        class_column: How they call classes; `None` to number the rows of a gallery.
        id_column: How they call probes. If they do not have it, the class does.
        engine: Who does it; by default `Local()`. See `vultus.spark` for many machines.

    Raises:
        vultus.InputError: A parameter out of its range, or nothing to compare.
        vultus.RowError, vultus.DimensionError, vultus.DtypeError, vultus.ShapeError: What was given
            is no embeddings, or they cannot be compared.
        vultus.InputFileError: A file cannot be read; a `FileNotFoundError` if there is none.
        vultus.StorageError: `out` cannot be written.
        CorruptBlockError: A file of embeddings that is damaged, or has changed since the job began.
        CorruptOutputError: A file in `out` that is damaged.
        CorruptManifestError: The manifest in `out` is damaged, or of another version.
        ForeignManifestError: `out` holds another job.
    """
    columns = Columns(embedding_column, class_column, id_column)
    out, threshold, block_rows = _folder(out), _similarity(threshold), _rows(block_rows)
    _check_engine(engine)
    _check_columns(columns)
    left = sources(staged(probes, "probes", out, columns), "probes")
    right = sources(staged(gallery, "gallery", out, columns), "gallery")
    blocks = {
        "probes": cut(left, block_rows, False, "probes"),
        "gallery": cut(right, block_rows, True, "gallery"),
    }
    rows = sum(block.rows for block in blocks["gallery"])
    count = _whole(k)
    if count is None:
        raise of_type(InputError, f"k: expected 1 to {rows}, the rows of the gallery, found {k!r}")
    if not 1 <= count <= rows:
        raise InputError(f"k: expected 1 to {rows}, the rows of the gallery, found {k!r}")
    least = _least(threshold, target_fpir, calibration, rows, [*left, *right])
    parameters = {"k": count, "threshold": least}
    job, resumed = _done("identify", parameters, columns, blocks, out, engine or Local())
    return Identified(job.out.path(merge.MATCHES), resumed)


def duplicates(
    gallery: object,
    threshold: float | None,
    out: str | os.PathLike[str],
    *,
    against: object | None = None,
    target_fpir: float | None = None,
    calibration: str | os.PathLike[str] | None = None,
    block_rows: int = BLOCK_ROWS,
    embedding_column: str = "embedding",
    class_column: str | None = "class",
    engine: Engine | None = None,
) -> Duplicates:
    """Looks for people who are in a gallery twice: all pairs of classes from a similarity on, and
    the groups that they form.

    The similarity of two classes is that of their most similar embeddings, one of each, as in
    `identify`. A group is all classes that pairs connect, directly or by way of others. It is
    suspected, no more: of three in a row the ends need not be alike.

    Pieces are kept in `out`, as by `identify`.

    Args:
        gallery: As in `identify`.
        threshold: The similarity from which on two classes are a pair, -1 to 1; None with a `target_fpir`.
        out: As in `identify`.
        against: A second gallery. Then pairs are those within the first and those of one with the
            other, and none within the second: new people against those who were compared before.
            A number of a class means the same in both; of two snapshots whose labels are no numbers, a label
            does. Without classes, its rows are numbered on.
        target_fpir: As in `identify`, among all rows of both galleries: so many of all people are in a pair by
            chance.
        calibration: As in `identify`.
        block_rows: As in `identify`.
        embedding_column: As in `identify`.
        class_column: As in `identify`.
        engine: As in `identify`.

    Raises:
        vultus.TooManyPairsError: The threshold is so low that two blocks have more than ten
            million pairs.
        vultus.LabelError: Labels of one are texts or UUIDs of a snapshot, and those of the other are not.
        VultusError: As in `identify`.
    """
    columns = Columns(embedding_column, class_column)
    out, threshold, block_rows = _folder(out), _similarity(threshold), _rows(block_rows)
    _check_engine(engine)
    _check_columns(columns)
    kept = staged(gallery, "gallery", out, columns)
    given = sources(kept, "gallery")
    blocks = {"gallery": cut(given, block_rows, True, "gallery")}
    if against is not None:
        first = sum(block.rows for block in blocks["gallery"])
        like = "gallery" if kept is not gallery else None
        others_kept = staged(against, "against", out, columns, like)
        refuse_two_kinds(out, {"gallery": kept, "against": others_kept}, columns)
        others = sources(others_kept, "against")
        blocks["against"] = cut(others, block_rows, True, "against", first)
    rows = sum(block.rows for each in blocks.values() for block in each)
    least = _least(threshold, target_fpir, calibration, rows, given if against is None else [*given, *others])
    if least is None:
        raise InputError("threshold: expected a similarity from -1 to 1, found None and no target_fpir")
    parameters = {"threshold": least}
    job, resumed = _done("duplicates", parameters, columns, blocks, out, engine or Local())
    return Duplicates(job.out.path(merge.PAIRS), job.out.path(merge.GROUPS), resumed)


def _least(
    threshold: float | None,
    target_fpir: float | None,
    calibration: str | os.PathLike[str] | None,
    people: int,
    compared: list[Source],
) -> float | None:
    """The threshold that was given, or that of a rate among so many people."""
    if target_fpir is None:
        if calibration is not None:
            raise InputError("calibration: expected a target_fpir with it, found none")
        return threshold
    if threshold is not None:
        raise InputError("threshold: expected a threshold or a target_fpir, found both")
    if calibration is None:
        raise InputError("target_fpir: expected a calibration with it, a file of `vultus calibrate --json`, found none")
    least = threshold_at_rate(calibration, target_fpir, people)
    refuse_other_encoder(calibration, compared)
    return least


def _folder(out: Any) -> str:
    if not isinstance(out, str | os.PathLike):
        raise of_type(InputError, f"out: expected a folder, a path or URI, found {type(out).__name__}")
    if not os.fspath(out):
        raise InputError("out: expected a folder, a path or URI, found an empty text")
    return os.fsdecode(out)


def _similarity(threshold: Any) -> float | None:
    if threshold is None:
        return None
    is_number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if not is_number:
        raise of_type(InputError, f"threshold: expected a similarity from -1 to 1, found {type(threshold).__name__}")
    if not -1 <= threshold <= 1:
        raise InputError(f"threshold: expected a similarity from -1 to 1, found {threshold!r}")
    return float(threshold)


def _rows(block_rows: Any) -> int:
    count = _whole(block_rows)
    if count is None:
        raise of_type(InputError, f"block_rows: expected a whole number from 1 on, found {block_rows!r}")
    if count < 1:
        raise InputError(f"block_rows: expected a whole number from 1 on, found {block_rows!r}")
    return count


def _whole(number: Any) -> int | None:
    """A whole number, also one of NumPy, as JSON has it; none if it is something else."""
    is_whole = isinstance(number, Integral) and not isinstance(number, bool)
    return int(number) if is_whole else None


def _check_engine(engine: object) -> None:
    if engine is not None and not all(hasattr(engine, name) for name in ("is_far", "survey", "compare")):
        raise of_type(InputError, f"engine: expected one such as jobs.Local(), found {type(engine).__name__}")


def _check_columns(columns: Columns) -> None:
    for name, column in (("embedding_column", columns.embedding), ("id_column", columns.id)):
        if not isinstance(column, str) or not column:
            raise _no_column(f"{name}: expected the name of a column", column)
    if columns.class_ is not None and (not isinstance(columns.class_, str) or not columns.class_):
        raise _no_column("class_column: expected the name of a column or None", columns.class_)
    if columns.embedding in (columns.class_, columns.id):
        raise InputError(f"embedding_column: expected a column of its own, found {columns.embedding!r} named twice")


def _no_column(expected: str, column: object) -> InputError:
    text = f"{expected}, found {column!r}"
    return InputError(text) if isinstance(column, str) else of_type(InputError, text)


def _done(
    kind: str,
    parameters: dict[str, Any],
    columns: Columns,
    blocks: dict[str, list[Block]],
    out: str | os.PathLike[str],
    engine: Engine,
) -> tuple[Job, bool]:
    """Does what is left of a job. Returns it, and whether some of it was there."""
    _reachable([block.source for given in blocks.values() for block in given], engine)
    _of_one_encoder(blocks)
    folder = Folder(os.fspath(out))
    manifest.read(folder)  # A damaged one is found before everything is read.
    surveys = _surveys(blocks, columns, engine)
    plan = manifest.make(kind, parameters, {name: (blocks[name], surveys[name]) for name in blocks})
    resumed = manifest.claim(folder, plan)
    job = _job(kind, parameters, columns, blocks, surveys, plan["job"], folder)
    pairs = job.pairs()
    there = set(folder.names(outputs.FOLDER))
    left = [pair for pair in pairs if outputs.name(*pair).rpartition("/")[2] not in there]
    if left:
        engine.compare(job, left, len(pairs))
    with bar("merging", len(pairs), engine.progress) as step:
        (merge.matches if kind == "identify" else merge.duplicates)(job, step)
    folder.sweep(outputs.FOLDER)
    return job, resumed


def _reachable(given: Sequence[Source], engine: Engine) -> None:
    if engine.is_far and any(isinstance(source, Array) for source in given):
        raise InputError(
            "expected files that every machine reads, found an array: write it to an .npy or .parquet file first"
        )


def _of_one_encoder(blocks: dict[str, list[Block]]) -> None:
    """Embeddings of two encoders have no similarity to each other, also where they are as long."""
    known: dict[str, Source] = {}
    for source in {block.source.name: block.source for given in blocks.values() for block in given}.values():
        if encoder := source.encoder():
            known.setdefault(encoder, source)
    if len(known) > 1:
        (one, first), (other, second) = list(known.items())[:2]
        raise EncoderError(
            f"expected embeddings of one encoder, found {one!r} in {first.name}, {other!r} in {second.name}"
        )


def _surveys(blocks: dict[str, list[Block]], columns: Columns, engine: Engine) -> dict[str, list[Survey]]:
    found = engine.survey([block for given in blocks.values() for block in given], columns)
    surveys, at = {}, 0
    for name, given in blocks.items():
        surveys[name] = found[at : at + len(given)]
        at += len(given)
    first = next(iter(blocks.values()))[0]
    for name, given in blocks.items():
        for block, survey in zip(given, surveys[name], strict=True):
            if survey.dimension != found[0].dimension:
                raise DimensionError(
                    f"{name}, {block}: expected {found[0].dimension} values a row, as in {first}, "
                    f"found {survey.dimension}"
                )
    return surveys


def _job(
    kind: str,
    parameters: dict[str, Any],
    columns: Columns,
    blocks: dict[str, list[Block]],
    surveys: dict[str, list[Survey]],
    job_id: str,
    folder: Folder,
) -> Job:
    if kind == "identify":
        left, right = ["probes"], ["gallery"]
    else:
        left, right = ["gallery"], list(blocks)
    return Job(
        kind=kind,
        parameters=parameters,
        columns=columns,
        left=tuple(block for name in left for block in blocks[name]),
        right=tuple(block for name in right for block in blocks[name]),
        left_surveys=tuple(survey for name in left for survey in surveys[name]),
        right_surveys=tuple(survey for name in right for survey in surveys[name]),
        id=job_id,
        out=folder,
    )


def _table(place: str) -> pa.Table:
    system, path = resolve(place)
    return pq.read_table(path, filesystem=system)
