"""A driver, as docs/jobs.md has it: looks for duplicates of a gallery on a Spark cluster."""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession

from vultus import spark


def main(master: str, gallery: str, out: str, threshold: str, block_rows: str) -> None:
    """Says when it has its session, and what it found."""
    session = SparkSession.builder.master(master).appName("duplicates").getOrCreate()
    print("begins", flush=True)
    found = spark.duplicates(
        gallery, float(threshold), out, block_rows=int(block_rows), session=session
    )
    print(f"{found.pairs().num_rows} pairs, resumed: {found.resumed}", flush=True)
    session.stop()


main(*sys.argv[1:])
