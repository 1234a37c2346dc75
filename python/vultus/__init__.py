"""Exact nearest rows and 1:N identification over arrays of embeddings.

    import vultus
    similarities, labels = vultus.exact_search(X, Q, k=20)

The engine runs in this process, without the interpreter's lock. Whatever goes wrong is a `VultusError`.
"""

from __future__ import annotations

from vultus import bws, errors
from vultus._client import AsyncClient, Client
from vultus._evaluate import Evaluation
from vultus._found import Duplicates, Found, Match, Rate
from vultus._gallery import Gallery
from vultus._search import Pairs, exact_search, pairs_above
from vultus.errors import (
    ApiError,
    ClosedError,
    DimensionError,
    DtypeError,
    EncoderError,
    ForkedError,
    InputError,
    InternalError,
    LabelError,
    LockedError,
    MasterKeyError,
    NotCalibratedError,
    NotEnrolledError,
    PicklingError,
    ReadOnlyError,
    RowError,
    ShapeError,
    StorageError,
    TooManyPairsError,
    VultusError,
)

__version__ = "0.1.0"

__all__ = [
    *errors.__all__,
    "AsyncClient",
    "Client",
    "Duplicates",
    "Evaluation",
    "Found",
    "Gallery",
    "Match",
    "Pairs",
    "Rate",
    "bws",
    "exact_search",
    "pairs_above",
]
