"""Rows to search in, and the answers by sorting everything in double precision."""

import numpy as np
import pytest


def by_sorting(X, Q, k, threshold=None):
    """What `exact_search` must answer: similarities within rounding, labels exactly."""
    X, Q = (np.asarray(rows).astype(np.float32).astype(np.float64) for rows in (X, Q))
    scores = cosines(X, Q)
    D = np.full((len(Q), k), -np.inf)
    I = np.full((len(Q), k), -1, np.int64)
    for probe, row in enumerate(scores):
        order = np.lexsort((np.arange(len(X)), -row))
        if threshold is not None:
            order = order[row[order] >= threshold]
        order = order[:k]
        D[probe, : len(order)], I[probe, : len(order)] = row[order], order
    return D, I


def cosines(X, Q):
    """The cosine of each row of `Q` and each of `X`, rounded to what sums in another order share."""
    X, Q = (np.asarray(rows).astype(np.float32).astype(np.float64) for rows in (X, Q))
    lengths = np.linalg.norm(Q, axis=1)[:, None] * np.linalg.norm(X, axis=1)[None, :]
    return np.clip(np.round((Q @ X.T) / lengths, 12), -1, 1)


@pytest.fixture
def rng():
    return np.random.default_rng(7)
