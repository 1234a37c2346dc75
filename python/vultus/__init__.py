"""Exact nearest rows and 1:N identification over arrays of embeddings.

    import vultus
    similarities, labels = vultus.exact_search(X, Q, k=20)

The engine runs in this process, without the interpreter's lock. Whatever goes wrong is a `VultusError`.
"""

from __future__ import annotations

from vultus import bws, errors
from vultus._client import AsyncClient, Client
from vultus._evaluate import Evaluation
from vultus._faces import Detected, Face, Faces, Liveness, Quality
from vultus._found import Duplicates, Found, Match, Rate
from vultus._gallery import Gallery
from vultus._search import Pairs, exact_search, pairs_above
from vultus.errors import (
    ApiError,
    ClosedError,
    DimensionError,
    DtypeError,
    EncoderError,
    FacesMissingError,
    ForkedError,
    InputError,
    InputFileError,
    InternalError,
    LabelError,
    LockedError,
    MasterKeyError,
    NoFaceError,
    NotCalibratedError,
    NotEnrolledError,
    NotReachedError,
    PicklingError,
    PictureError,
    PictureFileError,
    ReadOnlyError,
    RowError,
    SeveralFacesError,
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
    "Detected",
    "Duplicates",
    "Evaluation",
    "Face",
    "Faces",
    "Found",
    "Gallery",
    "Liveness",
    "Match",
    "Pairs",
    "Quality",
    "Rate",
    "bws",
    "exact_search",
    "pairs_above",
]
