"""Exact nearest rows and 1:N identification over arrays of embeddings.

    import vultus
    similarities, labels = vultus.exact_search(X, Q, k=20)

The engine runs in this process, without the interpreter's lock. Whatever goes wrong is a `VultusError`.
"""

from __future__ import annotations

from vultus._search import Pairs, exact_search, pairs_above
from vultus.errors import (
    DimensionError,
    DtypeError,
    InputError,
    InternalError,
    RowError,
    ShapeError,
    TooManyPairsError,
    VultusError,
)

__version__ = "0.1.0"

__all__ = [
    "DimensionError",
    "DtypeError",
    "InputError",
    "InternalError",
    "Pairs",
    "RowError",
    "ShapeError",
    "TooManyPairsError",
    "VultusError",
    "exact_search",
    "pairs_above",
]
