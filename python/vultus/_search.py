"""Exact searches among arrays, without a gallery."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus import _vultus
from vultus._arrays import as_count, as_rows, as_similarity, as_threads
from vultus._progress import Progress, shown
from vultus.errors import DimensionError

PAIRS_MAX = 100_000_000
"""How many pairs `pairs_above` lists at most unless it is told another number."""


class Pairs(NamedTuple):
    """Pairs of rows, the most similar first; equal ones by their two numbers. Three arrays of shape (pairs,)."""

    rows: NDArray[np.int64]
    """The row of `X`; of two of them the smaller number."""
    others: NDArray[np.int64]
    """The row of `Y`; without `Y` the other row of `X`."""
    similarities: NDArray[np.float64]
    """Their cosine, from -1 to 1."""


def exact_search(
    X: Any,
    Q: Any,
    k: int,
    threshold: float | None = None,
    *,
    threads: int | None = None,
    progress: Progress = False,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The `k` rows of `X` that are most similar to each row of `Q`, exactly.

    Similarity is the cosine of the angle between two rows: the inner product of both divided by their
    lengths, so that rows need not be normalised. It is computed in double precision from the values in
    single precision (float64 is rounded to float32 first). The answer is what a full sort gives, ties
    by the smaller row number, with any number of threads.

    Args:
        X: The rows that are searched, shape (n, d), d from 16 to 4096. float16, float32 or float64, in any
            order and with any stride: numpy, PyTorch on the CPU, anything with the buffer or DLPack
            protocol, a column of lists of pyarrow, polars or pandas. Nothing is kept or changed. No other
            thread may write to it meanwhile.
        Q: The rows that are looked for, shape (q, d).
        k: How many rows are found for each, at least 1.
        threshold: Leaves out rows that are less similar, from -1 to 1.
        threads: How many threads search; as many as processors may be used without it.
        progress: True for a bar of tqdm, or a callable that is given how many of how many
            comparisons of two rows are done.

    Returns:
        `(similarities, labels)`: float64 and int64 arrays of shape (q, k), best first. Labels are row
        numbers of `X` from 0. Where fewer than `k` are found the rest is -inf and -1.

    Raises:
        DtypeError: Numbers are not floats of 16, 32 or 64 bits.
        ShapeError: An array is not two-dimensional.
        DimensionError: Rows have not 16 to 4096 values, or those of `X` and `Q` differ.
        RowError: A row has a value that is not finite, or is all zeros. Its number is in the text.
        InputError: Another argument is out of its range. All of these are `VultusError`s.
    """
    rows, probes = as_rows(X, "X"), as_rows(Q, "Q")
    _check_dimensions(rows, probes, "Q")
    k = as_count(k, "k", 1)
    least = None if threshold is None else as_similarity(threshold, "threshold")
    shape = (len(probes), k)
    similarities = np.full(shape, -np.inf)
    labels = np.full(shape, -1, np.int64)
    # More columns than rows stay as they are: nothing can stand there.
    found = slice(min(k, len(rows)))
    with shown(progress, len(rows) * len(probes), "comparisons") as told:
        _vultus.exact_search(rows, probes, similarities[:, found], labels[:, found], least, as_threads(threads), told)
    return similarities, labels


def pairs_above(
    X: Any,
    Y: Any = None,
    *,
    threshold: float,
    limit: int = PAIRS_MAX,
    threads: int | None = None,
    progress: Progress = False,
) -> Pairs:
    """All pairs of a row of `X` and a row of `Y` that are at least as similar as `threshold`, exactly.

    Without `Y`: all pairs of two rows of `X`, each once, with the smaller number first, none of a row
    with itself. Time grows with the number of all pairs, memory with the number of those found. Two
    calls with the same rows give the same bytes.

    Args:
        X: Shape (n, d), as in `exact_search`.
        Y: Shape (m, d), or None for `X` itself.
        threshold: How similar the rows of a pair are at least, from -1 to 1.
        limit: How many pairs there may be at most.
        threads: As in `exact_search`.
        progress: As in `exact_search`.

    Returns:
        `Pairs(rows, others, similarities)`, arrays of shape (pairs,), the most similar first, ties by
        both row numbers.

    Raises:
        TooManyPairsError: More than `limit` pairs reach the threshold.
        VultusError: As `exact_search`.
    """
    rows = as_rows(X, "X")
    others = None if Y is None else as_rows(Y, "Y")
    if others is not None:
        _check_dimensions(rows, others, "Y")
    least = as_similarity(threshold, "threshold")
    limit = as_count(limit, "limit", 0)
    total = len(rows) * len(rows if others is None else others)
    with shown(progress, total, "comparisons") as told:
        found = _vultus.pairs_above(rows, others, least, limit, as_threads(threads), told)
    return Pairs(*found)


def _check_dimensions(rows: np.ndarray, others: np.ndarray, name: str) -> None:
    if rows.shape[1] != others.shape[1]:
        raise DimensionError(f"{name}: expected rows of {rows.shape[1]} values as X has, found {others.shape[1]}")
