"""NumKong and numpy: libraries that score, to which the choice of the best is added here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from data import best_of
from peers.gallery import Gallery, PartSearch, Peer, Search

BLOCK_ROWS = 16_384
"""Rows scored at once. NumKong's speed hardly depends on it from 1,024 to 65,536."""

FIRST_ROWS = 512
"""Rows that are sorted out before the others are measured against the worst of the best."""


class Best:
    """The best rows of each probe so far, looking closely only at scores that beat the worst."""

    def __init__(self, probes: int, top: int, dtype: type) -> None:
        self._top = top
        self._scores: np.ndarray = np.empty((probes, 0), dtype=dtype)
        self._numbers = np.empty((probes, 0), dtype=np.int64)

    def offer(self, scores: np.ndarray, first_row: int) -> None:
        """Takes the scores of a run of rows: one line a probe, one column a row."""
        while self._scores.shape[1] < self._top and scores.shape[1]:
            self._begin(scores[:, :FIRST_ROWS], first_row)
            scores, first_row = scores[:, FIRST_ROWS:], first_row + FIRST_ROWS
        if scores.shape[1]:
            self._replace(scores, first_row)

    def _begin(self, scores: np.ndarray, first_row: int) -> None:
        """Sorts out few rows, all alike, so that the rest has something to beat."""
        numbers = np.arange(first_row, first_row + scores.shape[1])
        self._scores, self._numbers = best_of(
            np.hstack([self._scores, scores]),
            np.hstack([self._numbers, np.broadcast_to(numbers, scores.shape)]),
            self._top,
        )

    def _replace(self, scores: np.ndarray, first_row: int) -> None:
        promising = scores > self._scores.min(axis=1, keepdims=True)
        for probe in np.flatnonzero(promising.any(axis=1)):
            columns = np.flatnonzero(promising[probe])
            together = np.concatenate([self._scores[probe], scores[probe, columns]])
            numbers = np.concatenate([self._numbers[probe], first_row + columns])
            order = np.argpartition(together, -self._top)[-self._top :]
            self._scores[probe], self._numbers[probe] = together[order], numbers[order]

    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns scores and row numbers, in no order."""
        return self._scores, self._numbers


def _best_in(
    blocks: Iterable[tuple[int, np.ndarray]], probes: int, top: int, dtype: type
) -> tuple[np.ndarray, np.ndarray]:
    best = Best(probes, top, dtype)
    for first_row, scores in blocks:
        best.offer(scores, first_row)
    return best.answer()


def _packed_blocks(gallery: Gallery) -> list[list[tuple[int, Any]]]:
    """Packs the int8 rows in blocks, a list of first row and block for each thread."""
    import numkong

    def pack(rows: slice) -> list[tuple[int, Any]]:
        firsts = range(rows.start, rows.stop, BLOCK_ROWS)
        blocks = (gallery.base_i8[at : min(at + BLOCK_ROWS, rows.stop)] for at in firsts)
        return [(at, numkong.dots_pack(block)) for at, block in zip(firsts, blocks)]

    if "numkong" not in gallery.shared:
        gallery.shared["numkong"] = [pack(rows) for rows in gallery.parts()]
    return gallery.shared["numkong"]


def _scored(blocks: list[tuple[int, Any]], quantised: np.ndarray) -> Iterable[tuple[int, Any]]:
    """Scores block by block, always into the same memory: whoever takes one must be quick."""
    import numkong

    scores = None
    for first_row, block in blocks:
        if scores is None or scores.shape[1] != block.width:
            scores = numkong.zeros((len(quantised), block.width), dtype="int32")
        yield first_row, numkong.dots_packed(quantised, block, out=scores)


def _numkong(gallery: Gallery) -> Search:
    packed = _packed_blocks(gallery)

    def part(rows: slice) -> PartSearch:
        blocks = packed[gallery.parts().index(rows)]

        def search(probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            scored = _scored(blocks, gallery.quantise(probes))
            arrays = ((first_row, np.asarray(scores)) for first_row, scores in scored)
            return _best_in(arrays, len(probes), gallery.top, np.int32)

        return search

    return gallery.split(part)


def _numkong_scores(gallery: Gallery) -> Search:
    packed = _packed_blocks(gallery)

    def score(blocks: list[tuple[int, Any]], quantised: np.ndarray) -> None:
        for _ in _scored(blocks, quantised):
            pass

    def search(probes: np.ndarray) -> None:
        quantised = gallery.quantise(probes)
        for done in [gallery.pool.submit(score, blocks, quantised) for blocks in packed]:
            done.result()

    return search


PRODUCT_ROWS = (4_096, 16_384, 65_536)
"""Rows that numpy scores at once: a block of scores fits into a cache, or is few calls."""


def _product(gallery: Gallery, rows: slice, block_rows: int, rows_first: bool) -> PartSearch:
    """Scores block by block with a matrix product in single precision, so that memory is bounded,
    and keeps the best. BLAS has a fast way for each order of the factors, at different shapes."""

    def scored(probes: np.ndarray) -> Iterable[tuple[int, np.ndarray]]:
        for at in range(rows.start, rows.stop, block_rows):
            block = gallery.base[at : min(at + block_rows, rows.stop)]
            yield at, (block @ probes.T).T if rows_first else probes @ block.T

    def search(probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _best_in(scored(probes), len(probes), gallery.top, np.float32)

    return search


def _numpy(gallery: Gallery) -> Search:
    """Takes the fastest of all combinations: either order of the factors, blocks of several sizes,
    and threads inside each product or one for each part of the rows."""
    from threadpoolctl import ThreadpoolController

    blas = ThreadpoolController().select(user_api="blas")

    def whole(part: PartSearch) -> Search:
        return lambda probes: gallery.ranked(*part(probes))

    def split(build: Callable[[slice], PartSearch]) -> Search:
        merged = gallery.split(build)

        def search(probes: np.ndarray) -> np.ndarray | None:
            with blas.limit(limits=1):
                return merged(probes)

        return search

    ways: dict[str, Search] = {}
    for block_rows in PRODUCT_ROWS:
        for rows_first, order in ((False, "probes x rows"), (True, "rows x probes")):
            name = f"{order}, {block_rows:,} rows at a time"
            all_rows = slice(0, len(gallery.base))
            ways[name] = whole(_product(gallery, all_rows, block_rows, rows_first))
            ways[f"rows split, {name}"] = split(
                partial(_product, gallery, block_rows=block_rows, rows_first=rows_first)
            )
    return gallery.fastest("numpy-f32", ways)


PEERS = (
    Peer(
        "numkong-i8",
        "NumKong i8 + top by numpy",
        "numkong",
        False,
        _numkong,
        lambda dim: 2 * dim,
    ),
    Peer(
        "numkong-i8-scores",
        "NumKong i8, scores only",
        "numkong",
        False,
        _numkong_scores,
        lambda dim: 0,
    ),
    Peer("numpy-f32", "numpy product, tuned", "numpy", True, _numpy, lambda dim: 0),
)
