"""From the results of pairs of blocks to those of the job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import outputs
from .compare import Doubles, best_of_pairs, best_of_probes
from .errors import CorruptOutputError
from .job import Job
from .snapshots import named
from .sources import Longs

MATCHES = "matches.parquet"
PAIRS = "pairs.parquet"
GROUPS = "groups.parquet"

#: Results of so many blocks are joined before the best are kept: what bounds memory.
TOGETHER = 8

Step = Callable[[int], None]


@dataclass(frozen=True)
class Names:
    """What classes are called, where that is not their number."""

    #: `class`, rising, and `label`; none if nobody is called otherwise.
    table: pa.Table | None

    @classmethod
    def of(cls, job: Job) -> Names:
        """Those of the galleries of a job that were snapshots."""
        places = {block.source.name for block in job.right}
        found = [named(job.out, called, place) for called in ("gallery", "against") for place in places]
        tables = [table for table in found if table is not None]
        # Whoever is in both is called the same there.
        return cls(pa.concat_tables(tables).sort_by("class") if tables else None)

    def beside(self, column: str, label: str, classes: Longs) -> dict[str, Any]:
        """A column of classes, and beside it one of their labels if there are any."""
        if self.table is None:
            return {column: classes}
        numbers = self.table.column("class").combine_chunks()
        at = pc.index_in(pa.array(classes), numbers)
        return {column: classes, label: self.table.column("label").combine_chunks().take(at)}


def matches(job: Job, step: Step) -> None:
    """Writes the best classes of all probes, a row for each match.

    One block of probes is in memory at a time.
    """
    schema, writer, called = None, None, Names.of(job)
    with job.out.draft(MATCHES) as stream:
        for left in range(len(job.left)):
            table = _matches_of(job, left, called, step)
            if writer is None:
                schema = table.schema
                writer = pq.ParquetWriter(stream, schema, compression="zstd")
            writer.write_table(table.cast(schema))
        if writer is not None:
            writer.close()


def _matches_of(job: Job, left: int, called: Names, step: Step) -> pa.Table:
    k, parts = job.parameters["k"], []
    for right in range(len(job.right)):
        parts.append(_read(job, left, right))
        if len(parts) == TOGETHER:
            parts = [best_of_probes(parts, k)]
        step(1)
    probe, label, similarity = best_of_probes(parts, k)
    begins = np.flatnonzero(np.r_[True, probe[1:] != probe[:-1]]) if len(probe) else probe
    lengths = np.diff(np.r_[begins, len(probe)])
    ranks = np.arange(1, len(probe) + 1, dtype=np.int64) - np.repeat(begins, lengths)
    block = job.left[left]
    ids = block.source.ids(block.start, block.rows, job.columns)
    columns: dict[str, object] = {"probe": probe}
    if ids is not None:
        columns["id"] = ids.take(pa.array(probe - block.first))
    columns |= {"rank": ranks} | called.beside("class", "label", label)
    return pa.table(columns | {"similarity": similarity})


def duplicates(job: Job, step: Step) -> None:
    """Writes all pairs and all groups. Both are in memory at the end."""
    parts = []
    for left, right in job.pairs():
        parts.append(_read(job, left, right))
        if len(parts) == TOGETHER * TOGETHER:
            parts = [best_of_pairs(parts)]
        step(1)
    a, b, similarity = best_of_pairs(parts)
    order = np.lexsort((b, a, -similarity))
    a, b, similarity = a[order], b[order], similarity[order]
    group, called = _groups(a, b), Names.of(job)
    pairs = called.beside("class", "label", a) | called.beside("other", "other_label", b)
    _write(job, PAIRS, pairs | {"similarity": similarity, "group": group})
    _write(job, GROUPS, _members(group, a, b, similarity, called))


def _read(job: Job, left: int, right: int) -> outputs.Columns:
    name = outputs.name(left, right)
    data = job.out.read(name)
    if data is None:
        raise CorruptOutputError(
            f"{job.out.path(name)}: expected the results of two blocks, found no file: start the job again"
        )
    return outputs.decode(data, job.out.path(name), job.kind, job.id, left, right)


def _write(job: Job, name: str, columns: dict[str, Any]) -> None:
    with job.out.draft(name) as stream:
        pq.write_table(pa.table(columns), stream, compression="zstd")


def _groups(a: Longs, b: Longs) -> Longs:
    """The connected component of each pair, numbered from 0 by the order of the pairs.

    Pairs come by falling similarity, so that the group with the most similar pair is the first.
    """
    labels, ends = np.unique(np.r_[a, b], return_inverse=True)
    parent = list(range(len(labels)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    edges = ends.reshape(2, -1).T.tolist()
    for left, right in edges:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    numbers: dict[int, int] = {}
    group = [numbers.setdefault(root(left), len(numbers)) for left, _ in edges]
    return np.array(group, np.int64)


def _members(group: Longs, a: Longs, b: Longs, similarity: Doubles, called: Names) -> dict[str, Any]:
    """Each class of each group once, with its highest similarity to another one of it."""
    of = best_of_pairs([(group, a, similarity), (group, b, similarity)])
    order = np.lexsort((of[1], -of[2], of[0]))
    sizes = np.bincount(of[0]) if len(of[0]) else of[0]
    return {
        "group": of[0][order],
        "size": sizes[of[0][order]].astype(np.int64),
        **called.beside("class", "label", of[1][order]),
        "similarity": of[2][order],
    }
