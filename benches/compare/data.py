"""Rows and probes as `.npy` files, made once for each set of parameters, and their ground truth."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from settings import Settings

CHUNK_ROWS = 16_384
"""Rows made or scored at once. Part of the data's identity: every chunk has a seed of its own."""

COPY_COSINE = 0.7
"""Cosine between a noisy copy and the direction it is a copy of, about."""

SPARE_CANDIDATES = 16
"""Rows beyond the best that are scored again in extended precision."""

ROWS_STREAM, PROBES_STREAM, TRUTH_STREAM = 0, 1, 2
"""Second part of each seed, so that no two uses share random numbers."""


@dataclass(frozen=True)
class Files:
    """Where rows and probes are: float32, C order, one unit vector a row."""

    base: Path
    probes: Path


@dataclass(frozen=True)
class Truth:
    """The exact answers for some of the probes."""

    probes: np.ndarray
    """Which probes, rising."""
    rows: np.ndarray
    """For each the row numbers of the best, from 0, by falling similarity, then rising number."""
    similarities: np.ndarray
    """Their cosines, float64."""


def prepare(settings: Settings) -> Files:
    """Makes the files that are not in the cache yet."""
    settings.cache.mkdir(parents=True, exist_ok=True)
    name = f"{settings.data}-{settings.rows}x{settings.dim}-seed{settings.seed}"
    files = Files(
        base=settings.cache / f"{name}-rows.npy",
        probes=settings.cache / f"{name}-probes{max(settings.probes)}.npy",
    )
    if not files.base.exists():
        _write(files.base, settings.rows, settings.dim, _row_chunks(settings))
    if not files.probes.exists():
        base = np.load(files.base, mmap_mode="r")
        _write(files.probes, max(settings.probes), settings.dim, _probe_chunks(settings, base))
    return files


def truth(settings: Settings, files: Files) -> Truth:
    """Returns the ground truth, from the cache if it is there."""
    path = files.probes.with_name(
        f"{files.probes.stem}-top{settings.top}-truth{settings.truth}.npz"
    )
    if not path.exists():
        found = exact_answers(
            np.load(files.base, mmap_mode="r"),
            np.load(files.probes),
            _sample(settings),
            settings.top,
        )
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, probes=found.probes, rows=found.rows, similarities=found.similarities)
        os.replace(partial, path)
    with np.load(path) as stored:
        return Truth(stored["probes"], stored["rows"], stored["similarities"])


def exact_answers(base: np.ndarray, probes: np.ndarray, which: np.ndarray, top: int) -> Truth:
    """Scores every row in double precision, and the most promising again in extended precision.

    The second scoring makes the order independent of how the matrix product adds up.
    """
    asked = probes[which].astype(np.float64)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    keep = min(top + SPARE_CANDIDATES, len(base))
    best = np.empty((len(which), 0))
    best_rows = np.empty((len(which), 0), dtype=np.int64)
    for first in range(0, len(base), CHUNK_ROWS):
        chunk = base[first : first + CHUNK_ROWS].astype(np.float64)
        cosines = asked @ chunk.T / np.linalg.norm(chunk, axis=1)
        numbers = np.broadcast_to(np.arange(first, first + len(chunk)), cosines.shape)
        best, best_rows = best_of(np.hstack([best, cosines]), np.hstack([best_rows, numbers]), keep)
    rows = np.empty((len(which), top), dtype=np.int64)
    similarities = np.empty((len(which), top))
    for line, probe in enumerate(which):
        candidates = best_rows[line]
        cosines = _extended_cosines(base[candidates], probes[probe])
        order = np.lexsort((candidates, -cosines))[:top]
        rows[line], similarities[line] = candidates[order], cosines[order]
    return Truth(which, rows, similarities)


def best_of(scores: np.ndarray, numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Keeps the `count` highest scores of each line and their numbers, in no order."""
    if scores.shape[1] <= count:
        return scores, numbers
    columns = np.argpartition(scores, -count, axis=1)[:, -count:]
    return np.take_along_axis(scores, columns, 1), np.take_along_axis(numbers, columns, 1)


def _extended_cosines(rows: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Cosines to one probe, right to the last bit or nearly so."""
    wide_rows, wide_probe = rows.astype(np.longdouble), probe.astype(np.longdouble)
    products = (wide_rows * wide_probe).sum(axis=1)
    lengths = np.sqrt((wide_rows**2).sum(axis=1) * (wide_probe**2).sum())
    return (products / lengths).astype(np.float64)


def _sample(settings: Settings) -> np.ndarray:
    """Picks the probes with a ground truth: copies and strangers as chance has it."""
    random = np.random.default_rng([settings.seed, TRUTH_STREAM])
    total = max(settings.probes)
    return np.sort(random.choice(total, size=min(settings.truth, total), replace=False))


def _row_chunks(settings: Settings) -> Iterator[np.ndarray]:
    for first in range(0, settings.rows, CHUNK_ROWS):
        random = np.random.default_rng([settings.seed, ROWS_STREAM, first // CHUNK_ROWS])
        yield _directions(random, min(CHUNK_ROWS, settings.rows - first), settings)


def _probe_chunks(settings: Settings, base: np.ndarray) -> Iterator[np.ndarray]:
    """Yields probes, by turns a noisy copy of some row and a stranger."""
    total = max(settings.probes)
    for first in range(0, total, CHUNK_ROWS):
        count = min(CHUNK_ROWS, total - first)
        random = np.random.default_rng([settings.seed, PROBES_STREAM, first // CHUNK_ROWS])
        probes = _directions(random, count, settings)
        originals = base[random.integers(len(base), size=len(probes[::2]))]
        probes[::2] = _unit(COPY_COSINE * originals + np.sqrt(1 - COPY_COSINE**2) * probes[::2])
        yield probes


def _directions(random: np.random.Generator, count: int, settings: Settings) -> np.ndarray:
    """Draws unit vectors from the distribution that `--data` names."""
    values = random.standard_normal((count, settings.dim), dtype=np.float32)
    if settings.data == "decaying":
        values *= (1 + np.arange(settings.dim, dtype=np.float32)) ** np.float32(-0.5)
    return _unit(values)


def _unit(values: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / lengths).astype(np.float32)


def _write(path: Path, rows: int, dim: int, chunks: Iterator[np.ndarray]) -> None:
    """Writes chunk by chunk under another name, so that a file in the cache is always whole."""
    partial = path.with_suffix(".partial")
    target = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=(rows, dim))
    first = 0
    for chunk in chunks:
        target[first : first + len(chunk)] = chunk
        first += len(chunk)
    target.flush()
    os.replace(partial, path)
