"""The jobs of `vultus.jobs` over many machines, on Apache Spark.

Each task compares two blocks with the engine's kernel, by way of `DataFrame.mapInArrow`, and writes
one file. Spark decides where tasks run, and runs those again whose machine was lost. Needs
`pyspark`, and this package on every machine.

`docs/jobs.md` has a recipe, with authentication and encryption switched on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vultus.errors import InputError, InputFileError, InternalError, StorageError, VultusError

from .jobs import errors, run
from .jobs.blocks import Block, Survey, survey
from .jobs.files import Folder
from .jobs.job import Job, Task
from .jobs.manifest import STAGED
from .jobs.sources import Columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Spark", "duplicates", "identify"]

#: What a task tells: the number of its piece, what it found, or what was wrong.
TOLD = pa.schema([("at", pa.int64()), ("found", pa.string()), ("error", pa.string())])


class Spark:
    """The engine of a Spark session.

    Args:
        session: The session; the active one, or a new one by its configuration, if not given.
    """

    is_far = True
    progress: bool | None = None

    def __init__(self, session: SparkSession | None = None) -> None:
        from pyspark.sql import SparkSession

        self.session: Any = session or SparkSession.builder.getOrCreate()

    def survey(self, blocks: Sequence[Block], columns: Columns) -> list[Survey]:
        """Reads all blocks once, each in a task."""

        def look(at: int) -> str:
            found = survey(blocks[at], columns)
            return f"{found.dimension} {found.digest}"

        told = self._each(len(blocks), lambda: look)
        return [Survey(int(one.split()[0]), one.split()[1]) for one in told]

    def compare(self, job: Job, pairs: Sequence[tuple[int, int]], of: int) -> None:
        """Does these pairs, each in a task with as many threads as Spark gives it cores."""
        threads = int(self.session.conf.get("spark.task.cpus", "1"))

        def begin() -> Callable[[int], str]:
            task = Task(job, threads)
            return lambda at: str(task.do(*pairs[at]))

        self._each(len(pairs), begin)

    def _each(self, count: int, begin: Callable[[], Callable[[int], str]]) -> list[str]:
        """Runs `count` pieces as one task each, and returns what they tell, in order."""

        def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            do = begin()
            for batch in batches:
                yield _told([_tell(do, at) for at in batch.column(0).to_pylist()])

        numbers = self.session.range(0, count, 1, numPartitions=count)
        rows = numbers.mapInArrow(work, "at long, found string, error string").collect()
        for row in rows:
            if row.error is not None:
                kind, _, message = row.error.partition(" ")
                raise errors.kinds()[kind](message)
        return [row.found for row in sorted(rows, key=lambda row: row.at)]


def _tell(do: Callable[[int], str], at: int) -> tuple[int, str | None, str | None]:
    """What a piece found. What is wrong with the data is told, too, since to try again would not
    mend it; all else is left to Spark, which tries again elsewhere."""
    try:
        return at, do(at), None
    except (InputFileError, InternalError, StorageError):
        raise
    except VultusError as error:
        return at, None, f"{type(error).__name__} {error}"


def _told(rows: list[tuple[int, str | None, str | None]]) -> pa.RecordBatch:
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), TOLD.types, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=TOLD)


def identify(
    probes: DataFrame | object,
    gallery: DataFrame | object,
    k: int,
    out: str | os.PathLike[str],
    *,
    session: SparkSession | None = None,
    **options: Any,
) -> run.Identified:
    """Looks for each probe in a gallery, over many machines. The same as `vultus.jobs.identify`,
    with the same result, but that

    * probes and gallery are files that every machine reads, or DataFrames. These are kept as
      Parquet in `out`, once: a job that goes on reads what it kept, if the DataFrame still has the
      same rows. Probes then need ids, since Spark's rows have no numbers;
    * `out` is a folder that every machine writes to.

    Args:
        session: The Spark session; the active one if it is not given.
        options: `threshold`, `target_fpir` with `calibration`, `block_rows` and the names of columns.

    Raises:
        VultusError: As `vultus.jobs.identify`.
    """
    engine, columns = Spark(session), _columns(options)
    labels = [columns.id, *([columns.class_] if columns.class_ else [])]
    given = _staged(engine, probes, "probes", out, columns, labels)
    known = _staged(engine, gallery, "gallery", out, columns, _classes(columns))
    return run.identify(given, known, k, out, engine=engine, **options)


def duplicates(
    gallery: DataFrame | object,
    threshold: float | None,
    out: str | os.PathLike[str],
    *,
    against: DataFrame | object | None = None,
    session: SparkSession | None = None,
    **options: Any,
) -> run.Duplicates:
    """Looks for people who are in a gallery twice, over many machines. The same as
    `vultus.jobs.duplicates`, with the same result, and the differences of `identify`.

    Args:
        session: The Spark session; the active one if it is not given.
        options: `target_fpir` with `calibration`, `block_rows` and the names of columns.

    Raises:
        VultusError: As `vultus.jobs.duplicates`.
    """
    engine, columns = Spark(session), _columns(options)
    labels = _classes(columns)
    given = _staged(engine, gallery, "gallery", out, columns, labels)
    known = _staged(engine, against, "against", out, columns, labels)
    return run.duplicates(given, threshold, out, against=known, engine=engine, **options)


def _columns(options: dict[str, Any]) -> Columns:
    return Columns(
        options.get("embedding_column", "embedding"),
        options.get("class_column", "class"),
        options.get("id_column", "id"),
    )


def _classes(columns: Columns) -> list[str]:
    return [columns.class_] if columns.class_ else []


def _staged(
    engine: Spark,
    given: Any,
    called: str,
    out: str | os.PathLike[str],
    columns: Columns,
    labels: list[str],
) -> object:
    """The files of a DataFrame, which are written once; anything else as it is.

    Raises:
        InputError: Columns are missing, or the rows are not those that were written.
    """
    if not hasattr(given, "mapInArrow"):
        return given
    if not labels:
        raise InputError(
            f"{called}: expected a class_column, since rows of a DataFrame have no order to number them by, found none"
        )
    label = next((name for name in labels if name in given.columns), None)
    if columns.embedding not in given.columns or label is None:
        found = ", ".join(map(repr, given.columns))
        raise InputError(
            f"{called}: expected a DataFrame with {columns.embedding!r} and "
            f"{' or '.join(map(repr, labels))}, found {found}"
        )
    rows = given.select(label, columns.embedding)
    return _kept(engine, rows, called, os.fspath(out))


def _kept(engine: Spark, rows: DataFrame, called: str, out: str) -> str:
    place = f"{out.rstrip('/')}/{STAGED}/{called}"
    folder, found = Folder(f"{out.rstrip('/')}/{STAGED}"), _fingerprint(rows)
    was = folder.read(f"_{called}")
    if was is None:
        rows.write.mode("overwrite").parquet(_uri(place))
        folder.write_once(f"_{called}", found.encode())
    elif was.decode() != found:
        raise errors.ForeignManifestError(
            f"{place} has the rows of another DataFrame: expected {found}, found {was.decode()}. Choose another folder"
        )
    return place


def _fingerprint(rows: DataFrame) -> str:
    """Of all rows in whatever order: how many they are, and hashes of their values."""
    from pyspark.sql import functions as f

    hashed = rows.select(f.xxhash64(*rows.columns).alias("hash"))
    summed = f.sum(f.pmod(f.col("hash"), f.lit(1_000_000_007)))
    line: Any = hashed.agg(f.count("*"), f.bit_xor("hash"), summed).first()
    return f"{line[0]} rows, {(line[1] or 0) & (2**64 - 1):016x}{line[2] or 0:x}"


def _uri(place: str) -> str:
    """As Spark has it, whose default file system need not be that of this machine."""
    is_uri = re.match(r"[a-z][a-z0-9+.-]*://", place)
    return place if is_uri else f"file://{os.path.abspath(place)}"
