"""What is right: all similarities in double precision, and a sort."""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus import jobs


def similarities(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None, :]
    return a @ b.T / lengths


def naive_matches(
    probes: np.ndarray, gallery: np.ndarray, classes: np.ndarray, k: int, threshold: float | None
) -> list[tuple[int, int, int, float]]:
    lines = []
    for probe, row in enumerate(similarities(probes, gallery)):
        best: dict[int, float] = {}
        for label, similarity in zip(classes.tolist(), row.tolist(), strict=True):
            best[label] = max(best.get(label, -2.0), similarity)
        # Equal ones are equal to the last bit in the engine, and nearly so here.
        order = sorted(best, key=lambda label: (-round(best[label], 12), label))[:k]
        kept = [label for label in order if threshold is None or best[label] >= threshold]
        lines += [(probe, rank, label, best[label]) for rank, label in enumerate(kept, 1)]
    return lines


def naive_pairs(gallery: np.ndarray, classes: np.ndarray, threshold: float) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    scores = similarities(gallery, gallery)
    for a, b in zip(*np.nonzero(scores >= threshold), strict=True):
        low, high = int(classes[a]), int(classes[b])
        if low < high:
            found[low, high] = max(found.get((low, high), -2.0), float(scores[a, b]))
    return found


def naive_groups(pairs: dict[tuple[int, int], float]) -> set[frozenset[int]]:
    groups: list[set[int]] = []
    for pair in pairs:
        joined = set(pair).union(*(group for group in groups if group & set(pair)))
        groups = [group for group in groups if not group & joined] + [joined]
    return {frozenset(group) for group in groups}


def people(seed: int, rows: int = 300, dimension: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of people with one to three templates, some of whom are there twice."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((rows // 4, dimension))
    of = rng.integers(0, len(centres), rows)
    embeddings = centres[of] + 0.5 * rng.standard_normal((rows, dimension))
    # A few rows that are the same bit by bit: ties, also across blocks.
    embeddings[rows // 2] = embeddings[3]
    embeddings[rows - 1] = embeddings[3]
    classes = rng.permutation(rows // 2)[np.arange(rows) // 2] * 7 - 100
    return embeddings.astype(np.float32), classes.astype(np.int64)


def rows_of(table: Any, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> None:
    assert [line[:-1] for line in found] == [line[:-1] for line in expected]
    np.testing.assert_allclose([line[-1] for line in found], [line[-1] for line in expected], rtol=0, atol=1e-14)


def same_pairs(found: jobs.Duplicates, gallery: np.ndarray, classes: np.ndarray, t: float) -> None:
    expected = naive_pairs(gallery, classes, t)
    table, groups = found.pairs(), found.groups()
    got = {(a, b): s for a, b, s in rows_of(table, "class", "other", "similarity")}
    assert got.keys() == expected.keys() and expected
    np.testing.assert_allclose([got[pair] for pair in expected], list(expected.values()), rtol=0, atol=1e-14)
    order = [(-s, a, b) for a, b, s in rows_of(table, "class", "other", "similarity")]
    assert order == sorted(order)
    members: dict[int, set[int]] = {}
    for group, label in rows_of(groups, "group", "class"):
        members.setdefault(group, set()).add(label)
    assert {frozenset(group) for group in members.values()} == naive_groups(expected)
    for group, size, label, best in rows_of(groups, "group", "size", "class", "similarity"):
        assert size == len(members[group])
        assert best == max(s for pair, s in got.items() if label in pair)
    for a, b, group in rows_of(table, "class", "other", "group"):
        assert {a, b} <= members[group]
