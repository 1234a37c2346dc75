"""A driver that uses the other half: DataFrames, probes with texts for ids, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from naive_jobs import naive_matches, people, rows_of, same
from pyspark.sql import SparkSession

import vultus
from vultus import jobs, spark


def identify(session: SparkSession, folder: Path) -> None:
    """The matches of probes in a DataFrame, twice, are those of a full sort."""
    gallery, classes = people(1)
    probes = people(2, 40)[0]
    rows = [(f"p{number}", row) for number, row in enumerate(probes.tolist())]
    frame = session.createDataFrame(rows, "id string, embedding array<float>")
    known = session.createDataFrame(
        list(zip(classes.tolist(), gallery.tolist(), strict=True)),
        "class long, embedding array<float>",
    )
    expected = [
        (f"p{probe}", rank, label, similarity)
        for probe, rank, label, similarity in naive_matches(probes, gallery, classes, 4, 0.2)
    ]
    for turn in range(2):
        found = spark.identify(
            frame, known, 4, folder / "identified", threshold=0.2, block_rows=50, session=session
        )
        assert found.resumed == bool(turn)
        lines = rows_of(found.to_arrow(), "id", "rank", "class", "similarity")
        lines.sort(key=lambda line: (int(line[0][1:]), line[1]))
        same(lines, expected)
    try:
        spark.identify(
            frame.limit(39), known, 4, folder / "identified", block_rows=50, session=session
        )
    except jobs.ForeignManifestError as error:
        assert "39 rows" in str(error), error
    else:
        raise AssertionError("another DataFrame was taken for the same")


def refused(session: SparkSession, folder: Path, gallery: str) -> None:
    """What a task finds wrong is raised here, in its own type."""
    spoilt = people(3)[0]
    spoilt[77, 5] = np.nan
    np.save(folder / "spoilt.npy", spoilt)
    cases = [
        (str(folder / "spoilt.npy"), "o1", vultus.RowError, "row 77: expected finite values"),
        (spoilt, "o2", vultus.InputError, "found an array"),
        (session.range(3), "o3", vultus.InputError, "expected a DataFrame with 'embedding'"),
        (gallery, "spoilt-job", jobs.ForeignManifestError, "expected threshold 0.6, found 0.5"),
    ]
    table = pq.read_table(gallery)
    spark.duplicates(gallery, 0.5, folder / "spoilt-job", block_rows=500, session=session)
    for given, out, error, words in cases:
        try:
            spark.duplicates(given, 0.6, folder / out, block_rows=500, session=session)
        except error as found:
            assert words in str(found), found
        else:
            raise AssertionError(f"{out}: expected {error.__name__}")
    file = folder / "spoilt-job" / "pairs" / "000000-000001.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    try:
        spark.duplicates(gallery, 0.5, folder / "spoilt-job", block_rows=500, session=session)
    except jobs.CorruptOutputError as found:
        assert file.name in str(found), found
    else:
        raise AssertionError("a damaged output was taken")
    assert table.num_rows > 1_000


def main(master: str, folder: str, gallery: str) -> None:
    """Both, in one session."""
    session = SparkSession.builder.master(master).appName("frames").getOrCreate()
    identify(session, Path(folder))
    refused(session, Path(folder), gallery)
    session.stop()
    print("as it must be")


main(*sys.argv[1:])
