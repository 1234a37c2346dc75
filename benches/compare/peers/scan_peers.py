"""USearch and ScaNN, scanning all rows.

ScaNN gives one probe to one thread. The row called "split" gives each thread a part of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from peers.gallery import Gallery, PartSearch, Peer, Search

SCANN_BATCH_MAX = 256
"""The most probes ScaNN gives to one thread at once, its default."""

SCANN_REORDERED = 200
"""Candidates of asymmetric hashing that ScaNN scores again from their values."""


def _usearch(
    gallery: Gallery, base: np.ndarray, as_stored: Callable[[np.ndarray], np.ndarray]
) -> Search:
    from usearch.index import MetricKind
    from usearch.index import search as usearch_search

    def search(probes: np.ndarray) -> np.ndarray:
        found = usearch_search(
            base,
            as_stored(probes),
            gallery.top,
            MetricKind.IP,
            exact=True,
            threads=gallery.threads,
        )
        return np.asarray(found.keys).astype(np.int64).reshape(len(probes), -1)

    return search


def _usearch_f32(gallery: Gallery) -> Search:
    return _usearch(gallery, gallery.base, lambda probes: probes)


def _usearch_i8(gallery: Gallery) -> Search:
    return _usearch(gallery, gallery.base_i8, gallery.quantise)


def _brute_force(quantised: bool) -> Callable[[Any], Any]:
    return lambda builder: builder.score_brute_force(quantised)


def _hashing(builder: Any) -> Any:
    hashed = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
    return hashed.reorder(SCANN_REORDERED)


def _scann_searcher(gallery: Gallery, rows: slice, configure: Callable[[Any], Any]) -> Any:
    from scann import scann_ops_pybind

    builder = scann_ops_pybind.builder(gallery.base[rows], gallery.top, "dot_product")
    searcher = configure(builder.set_n_training_threads(gallery.threads)).build()
    searcher.set_num_threads(gallery.threads)
    return searcher


def _scann(configure: Callable[[Any], Any]) -> Callable[[Gallery], Search]:
    def build(gallery: Gallery) -> Search:
        searcher = _scann_searcher(gallery, slice(0, len(gallery.base)), configure)

        def search(probes: np.ndarray) -> np.ndarray:
            # Left alone, it makes batches of 256 and so uses one thread up to that many probes.
            batch = min(SCANN_BATCH_MAX, math.ceil(len(probes) / gallery.threads))
            found = searcher.search_batched_parallel(probes, batch_size=batch)[0]
            return found.astype(np.int64)

        return search

    return build


def _scann_split(configure: Callable[[Any], Any]) -> Callable[[Gallery], Search]:
    def build(gallery: Gallery) -> Search:
        def part(rows: slice) -> PartSearch:
            searcher = _scann_searcher(gallery, rows, configure)

            def search(probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                numbers, scores = searcher.search_batched(probes)  # on the calling thread
                return scores, numbers.astype(np.int64) + rows.start

            return search

        return gallery.split(part)

    return build


PEERS = (
    Peer("usearch-f32", "USearch exact f32", "usearch", True, _usearch_f32, lambda dim: 0),
    Peer("usearch-i8", "USearch exact i8", "usearch", False, _usearch_i8, lambda dim: dim),
    Peer(
        "scann-f32",
        "ScaNN brute force",
        "scann",
        True,
        _scann(_brute_force(False)),
        lambda dim: 4 * dim,
    ),
    Peer(
        "scann-i8",
        "ScaNN brute force i8",
        "scann",
        False,
        _scann(_brute_force(True)),
        lambda dim: dim,
    ),
    Peer(
        "scann-i8-split",
        "ScaNN brute force i8, rows split",
        "scann",
        False,
        _scann_split(_brute_force(True)),
        lambda dim: dim,
    ),
    Peer(
        "scann-ah",
        f"ScaNN AH + reorder {SCANN_REORDERED}",
        "scann",
        False,
        _scann(_hashing),
        lambda dim: 9 * dim,  # while it is built; half of it afterwards
    ),
)
