"""hnswlib: a graph, at several efforts of search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from peers.gallery import Gallery, Peer, Search

LINKS = 16
BUILD_EFFORT = 200
SEARCH_EFFORTS = (20, 40, 80, 160, 320, 640, 1280, 2560)
ROWS_MAX = 200_000


def _graph(gallery: Gallery) -> Any:
    import hnswlib

    if "hnswlib" not in gallery.shared:
        graph = hnswlib.Index("ip", gallery.dim)
        graph.init_index(len(gallery.base), M=LINKS, ef_construction=BUILD_EFFORT, random_seed=100)
        graph.add_items(gallery.base, num_threads=gallery.threads)
        gallery.shared["hnswlib"] = graph
    return gallery.shared["hnswlib"]


def _hnswlib(effort: int) -> Callable[[Gallery], Search]:
    def build(gallery: Gallery) -> Search:
        graph = _graph(gallery)

        def search(probes: np.ndarray) -> np.ndarray:
            graph.set_ef(max(effort, gallery.top))
            found = graph.knn_query(probes, gallery.top, num_threads=gallery.threads)[0]
            return found.astype(np.int64)

        return search

    return build


def _bytes_per_row(effort: int) -> Callable[[int], int]:
    """The graph is built once, with the first of them."""
    first = effort == SEARCH_EFFORTS[0]
    return lambda dim: 4 * dim + 12 * LINKS if first else 0


PEERS = tuple(
    Peer(
        f"hnswlib-{effort}",
        f"hnswlib M {LINKS}, ef {effort}",
        "hnswlib",
        False,
        _hnswlib(effort),
        _bytes_per_row(effort),
        rows_max=ROWS_MAX,
    )
    for effort in SEARCH_EFFORTS
)
