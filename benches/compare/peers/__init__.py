"""The systems Vultus is compared with, each as its makers mean it to be called, and its own module."""

from __future__ import annotations

from peers import faiss_peers, graph_peers, scan_peers, score_peers, vultus_peers
from peers.gallery import Gallery, Peer, Search

PEERS: tuple[Peer, ...] = (
    *faiss_peers.PEERS,
    *scan_peers.PEERS,
    *score_peers.PEERS,
    *graph_peers.PEERS,
    *vultus_peers.PEERS,
)
"""All of them, in the order in which they are measured; the reference comes first."""

__all__ = ["PEERS", "Gallery", "Peer", "Search"]
