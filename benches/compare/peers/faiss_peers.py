"""FAISS: flat, scalar quantisers and RaBitQ.

FAISS divides its work by probes, so that one probe is answered by one thread. The rows called
"split" give each thread a part of the rows instead.

A flat search has two ways inside: it scores row by row, or it leaves blocks of rows to a matrix
product (BLAS) and chooses the best from the scores. `distance_compute_blas_threshold` says from how
much work on the product is taken, `distance_compute_blas_database_bs` how many rows are a block.
The row called "tuned" has both set to what is the fastest here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from data import CHUNK_ROWS
from peers.gallery import Gallery, PartSearch, Peer, Search
from settings import REFERENCE

REFINED = 100
"""How many times more candidates RaBitQ hands on for exact scoring than are asked for."""

TRAINING_ROWS = 100_000


def _flat_index(gallery: Gallery) -> Any:
    import faiss

    if "faiss-flat" not in gallery.shared:
        faiss.omp_set_num_threads(gallery.threads)
        index = faiss.IndexFlatIP(gallery.dim)
        index.add(gallery.base)
        gallery.shared["faiss-flat"] = index
    return gallery.shared["faiss-flat"]


def _searched(gallery: Gallery, index: Any, scale: float = 1.0) -> Search:
    import faiss

    def search(probes: np.ndarray) -> np.ndarray:
        faiss.omp_set_num_threads(gallery.threads)
        return index.search(probes * np.float32(scale), gallery.top)[1]

    return search


def _flat(gallery: Gallery) -> Search:
    return _searched(gallery, _flat_index(gallery))


def _flat_split(gallery: Gallery) -> Search:
    import faiss

    def part(rows: slice) -> PartSearch:
        base = gallery.base[rows]

        def search(probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            faiss.omp_set_num_threads(1)  # counts for the calling thread
            scores, numbers = faiss.knn(
                probes, base, gallery.top, metric=faiss.METRIC_INNER_PRODUCT
            )
            return scores, numbers + rows.start

        return search

    return gallery.split(part)


WITHOUT_BLAS = 2**31 - 1
"""A threshold that no call reaches."""

BLOCKS_ROWS = (1_024, 16_384, 65_536)
"""Rows of a block of scores: FAISS's own choice, and more."""


def _with_blas(search: Search, threshold: int, block_rows: int) -> Search:
    """Has a search done with these settings, which hold for the whole process and are put back."""
    import faiss

    def tuned(probes: np.ndarray) -> np.ndarray | None:
        variables = faiss.cvar
        before = (
            variables.distance_compute_blas_threshold,
            variables.distance_compute_blas_database_bs,
        )
        variables.distance_compute_blas_threshold = threshold
        variables.distance_compute_blas_database_bs = block_rows
        try:
            return search(probes)
        finally:
            variables.distance_compute_blas_threshold = before[0]
            variables.distance_compute_blas_database_bs = before[1]

    return tuned


def _flat_tuned(gallery: Gallery) -> Search:
    ways: dict[str, Search] = {}
    for name, search in (("whole", _flat(gallery)), ("rows split", _flat_split(gallery))):
        ways[name] = search
        ways[f"{name}, no BLAS"] = _with_blas(search, WITHOUT_BLAS, BLOCKS_ROWS[0])
        for block_rows in BLOCKS_ROWS:
            ways[f"{name}, BLAS in blocks of {block_rows:,}"] = _with_blas(search, 1, block_rows)
    return gallery.fastest("faiss-flat-tuned", ways)


def _quantised_index(gallery: Gallery, kind: str, rows: slice, scale: float) -> Any:
    import faiss

    faiss.omp_set_num_threads(gallery.threads)
    quantiser = getattr(faiss.ScalarQuantizer, kind)
    index = faiss.IndexScalarQuantizer(gallery.dim, quantiser, faiss.METRIC_INNER_PRODUCT)
    base = gallery.base[rows]
    if not index.is_trained:
        index.train(base[:TRAINING_ROWS])
    for first in range(0, len(base), CHUNK_ROWS):
        chunk = base[first : first + CHUNK_ROWS]
        index.add(chunk if scale == 1.0 else np.rint(chunk * np.float32(scale)))
    return index


def _scale(gallery: Gallery, kind: str) -> float:
    """The direct quantiser takes values as whole numbers; the others learn their range."""
    return gallery.scale if "direct" in kind else 1.0


def _quantised(kind: str) -> Callable[[Gallery], Search]:
    def build(gallery: Gallery) -> Search:
        scale = _scale(gallery, kind)
        index = _quantised_index(gallery, kind, slice(0, len(gallery.base)), scale)
        return _searched(gallery, index, scale)

    return build


def _quantised_split(kind: str) -> Callable[[Gallery], Search]:
    def build(gallery: Gallery) -> Search:
        import faiss

        scale = _scale(gallery, kind)

        def part(rows: slice) -> PartSearch:
            index = _quantised_index(gallery, kind, rows, scale)

            def search(probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                faiss.omp_set_num_threads(1)
                scores, numbers = index.search(probes * np.float32(scale), gallery.top)
                return scores, numbers + rows.start

            return search

        return gallery.split(part)

    return build


def _rabitq(gallery: Gallery) -> Search:
    import faiss

    coarse = faiss.IndexRaBitQFastScan(gallery.dim, faiss.METRIC_INNER_PRODUCT)
    coarse.train(gallery.base[:TRAINING_ROWS])
    coarse.add(gallery.base)
    refined = faiss.IndexRefine(coarse, _flat_index(gallery))
    refined.k_factor = REFINED
    gallery.shared["faiss-rabitq"] = coarse  # IndexRefine does not keep its parts alive
    return _searched(gallery, refined)


PEERS = (
    Peer(REFERENCE, "FAISS IndexFlatIP", "faiss-cpu", True, _flat, lambda dim: 4 * dim),
    Peer(
        "faiss-flat-split",
        "FAISS flat, rows split",
        "faiss-cpu",
        True,
        _flat_split,
        lambda dim: 0,
    ),
    Peer(
        "faiss-flat-tuned",
        "FAISS flat, tuned",
        "faiss-cpu",
        True,
        _flat_tuned,
        lambda dim: 0,
    ),
    Peer("faiss-sq8", "FAISS SQ8", "faiss-cpu", False, _quantised("QT_8bit"), lambda dim: dim),
    Peer(
        "faiss-sq8-split",
        "FAISS SQ8, rows split",
        "faiss-cpu",
        False,
        _quantised_split("QT_8bit"),
        lambda dim: dim,
    ),
    Peer(
        "faiss-sq8-direct",
        "FAISS SQ8 direct",
        "faiss-cpu",
        False,
        _quantised("QT_8bit_direct_signed"),
        lambda dim: dim,
    ),
    Peer(
        "faiss-sq8-direct-split",
        "FAISS SQ8 direct, rows split",
        "faiss-cpu",
        False,
        _quantised_split("QT_8bit_direct_signed"),
        lambda dim: dim,
    ),
    Peer(
        "faiss-rabitq",
        f"FAISS RaBitQ + {REFINED}x refine",
        "faiss-cpu",
        False,
        _rabitq,
        lambda dim: dim // 4 + 16,
    ),
)
