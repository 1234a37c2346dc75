"""One pair of blocks, compared by the engine's kernel.

The kernel knows rows. What is wanted are classes, each by its most similar row, with ties broken by
class; so it is asked for a few rows more, and again where those do not suffice. What comes out is
what a full sort of all similarities in double precision gives.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vultus import exact_search, pairs_above

from .sources import Floats, Longs

Doubles = npt.NDArray[np.float64]

#: Probes of one call, and the most answers of one call that are held in memory.
PROBES = 4_096
ANSWERS = 4_194_304


def best_classes(
    probes: Floats,
    gallery: Floats,
    classes: Longs,
    k: int,
    threshold: float | None,
    threads: int | None,
) -> tuple[Longs, Longs, Doubles]:
    """For each probe the `k` most similar classes that reach the threshold.

    Returns probe numbers (rows of `probes`), classes and similarities, ordered by probe, falling
    similarity and class.
    """
    rows = len(gallery)
    templates = -(-rows // len(np.unique(classes)))
    parts = []
    for begin in range(0, len(probes), PROBES):
        numbers = np.arange(begin, min(begin + PROBES, len(probes)), dtype=np.int64)
        asked = min(rows, k * templates + 8)
        while len(numbers):
            found = _search(gallery, probes, numbers, asked, threshold, threads)
            probe, label, similarity = _distinct(*found, classes)
            is_done = (
                np.ones(len(numbers), bool)
                if asked == rows
                else _is_done(found, numbers, (probe, similarity), k, asked)
            )
            keep = np.isin(probe, numbers[is_done]) & (_ranks(probe) < k)
            parts.append((probe[keep], label[keep], similarity[keep]))
            numbers = numbers[~is_done]
            asked = min(rows, asked * 4)
    return _sorted(parts)


def _search(
    gallery: Floats,
    probes: Floats,
    numbers: Longs,
    k: int,
    threshold: float | None,
    threads: int | None,
) -> tuple[Longs, Longs, Doubles]:
    """Answers of the kernel, one a line: probe, row of the gallery, similarity; best first."""
    parts = []
    step = max(1, min(PROBES, ANSWERS // k))
    for begin in range(0, len(numbers), step):
        part = numbers[begin : begin + step]
        similarities, rows = exact_search(gallery, probes[part], k, threshold, threads=threads)
        is_found = rows >= 0
        lines = np.repeat(part, is_found.sum(axis=1))
        parts.append((lines, rows[is_found], similarities[is_found]))
    probe, row, similarity = (np.concatenate(column) for column in zip(*parts, strict=True))
    return probe, row.astype(np.int64), similarity.astype(np.float64)


def _distinct(probe: Longs, row: Longs, similarity: Doubles, classes: Longs) -> tuple[Longs, Longs, Doubles]:
    """Each class of a probe once, by its best row; ordered by probe, falling similarity, class."""
    label = classes[row]
    order = np.lexsort((-similarity, label, probe))
    probe, label, similarity = probe[order], label[order], similarity[order]
    is_first = np.ones(len(probe), bool)
    is_first[1:] = (probe[1:] != probe[:-1]) | (label[1:] != label[:-1])
    probe, label, similarity = probe[is_first], label[is_first], similarity[is_first]
    order = np.lexsort((label, -similarity, probe))
    return probe[order], label[order], similarity[order]


def _ranks(probe: Longs) -> Longs:
    """The place of each line among those of its probe, from 0; lines of a probe are together."""
    begins = np.flatnonzero(np.r_[True, probe[1:] != probe[:-1]]) if len(probe) else probe
    lengths = np.diff(np.r_[begins, len(probe)])
    return np.arange(len(probe), dtype=np.int64) - np.repeat(begins, lengths)


def _is_done(
    found: tuple[Longs, Longs, Doubles],
    numbers: Longs,
    classes: tuple[Longs, Doubles],
    k: int,
    asked: int,
) -> npt.NDArray[np.bool_]:
    """Which probes have their `k` classes for certain.

    Those of which the kernel had no more rows to give; and those whose class at `k` is more similar
    than the last row that it gave, so that no row that is missing can belong before it.
    """
    place = np.searchsorted(numbers, found[0])
    counts = np.bincount(place, minlength=len(numbers))
    last = np.full(len(numbers), np.inf)
    np.minimum.at(last, place, found[2])
    probe, similarity = classes
    kth = np.full(len(numbers), -np.inf)
    is_kth = _ranks(probe) == k - 1
    kth[np.searchsorted(numbers, probe[is_kth])] = similarity[is_kth]
    return (counts < asked) | (kth > last)


def similar_pairs(
    left: Floats,
    left_classes: Longs,
    right: Floats | None,
    right_classes: Longs,
    threshold: float,
    threads: int | None,
    limit: int,
) -> tuple[Longs, Longs, Doubles]:
    """All pairs of different classes, one of each block, that reach the threshold; without `right`,
    of two of `left`.

    Returns the smaller class, the larger one and the similarity of their most similar rows, ordered
    by both classes.

    Raises:
        TooManyPairsError: More than `limit` pairs of rows are that similar.
    """
    found = pairs_above(left, right, threshold=threshold, limit=limit, threads=threads)
    a, b = left_classes[found.rows], right_classes[found.others]
    differs = a != b
    a, b, similarity = a[differs], b[differs], found.similarities[differs]
    return best_of_pairs([(np.minimum(a, b), np.maximum(a, b), similarity)])


def best_of_pairs(parts: list[tuple[Longs, Longs, Doubles]]) -> tuple[Longs, Longs, Doubles]:
    """Each pair of classes once, with its highest similarity; ordered by both classes."""
    a, b, similarity = _joined(parts)
    order = np.lexsort((-similarity, b, a))
    a, b, similarity = a[order], b[order], similarity[order]
    is_first = np.ones(len(a), bool)
    is_first[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return a[is_first], b[is_first], similarity[is_first]


def best_of_probes(parts: list[tuple[Longs, Longs, Doubles]], k: int) -> tuple[Longs, Longs, Doubles]:
    """The `k` best classes of each probe among the answers of several blocks."""
    probe, label, similarity = _joined(parts)
    everything = np.arange(len(label), dtype=np.int64)
    probe, label, similarity = _distinct(probe, everything, similarity, label)
    keep = _ranks(probe) < k
    return probe[keep], label[keep], similarity[keep]


def _sorted(parts: list[tuple[Longs, Longs, Doubles]]) -> tuple[Longs, Longs, Doubles]:
    probe, label, similarity = _joined(parts)
    order = np.lexsort((label, -similarity, probe))
    return probe[order], label[order], similarity[order]


def _joined(parts: list[tuple[Longs, Longs, Doubles]]) -> tuple[Longs, Longs, Doubles]:
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64)
    first, second, third = (np.concatenate(column) for column in zip(*parts, strict=True))
    return first, second, third
