"""Vultus by its Python module, called as its peers are: beside the program, whose own clock is asked."""

from __future__ import annotations

import numpy as np

from peers.gallery import Gallery, Peer, Search


def _gallery(gallery: Gallery) -> Search:
    import vultus

    made = vultus.Gallery(threads=gallery.threads)
    made.add(gallery.base, np.arange(len(gallery.base)))

    def search(probes: np.ndarray) -> np.ndarray:
        return made.search(probes, gallery.top).labels

    return search


def _arrays(gallery: Gallery) -> Search:
    import vultus

    def search(probes: np.ndarray) -> np.ndarray:
        return vultus.exact_search(gallery.base, probes, gallery.top, threads=gallery.threads)[1]

    return search


PEERS = (
    # On disk, in the folder for temporary files: what is mapped counts as free.
    Peer("vultus-wheel", "Vultus from Python", "vultus", True, _gallery, lambda dim: 5 * dim),
    Peer(
        "vultus-arrays",
        "Vultus from Python, nothing built",
        "vultus",
        True,
        _arrays,
        lambda dim: 0,
    ),
)
