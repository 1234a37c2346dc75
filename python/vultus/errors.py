"""What Vultus raises. Each is a `VultusError`, and also what Python itself would raise."""

from __future__ import annotations

import pickle

__all__ = [
    "ApiError",
    "ClosedError",
    "DimensionError",
    "DtypeError",
    "EncoderError",
    "FacesMissingError",
    "ForkedError",
    "InputError",
    "InternalError",
    "LabelError",
    "LockedError",
    "MasterKeyError",
    "NoFaceError",
    "NotCalibratedError",
    "NotEnrolledError",
    "PicklingError",
    "PictureError",
    "PictureFileError",
    "ReadOnlyError",
    "RowError",
    "SeveralFacesError",
    "ShapeError",
    "StorageError",
    "TooManyPairsError",
    "VultusError",
]


class VultusError(Exception):
    """Anything that Vultus raises."""


class InputError(VultusError, ValueError):
    """What was given cannot be used; the text says what was expected and what was found."""


class DtypeError(VultusError, TypeError):
    """An array has numbers of a kind that no embedding, or no picture, has."""


class ShapeError(InputError):
    """An array is not of shape (rows, dimension), or of pixels not of shape (height, width, 3)."""


class DimensionError(InputError):
    """Rows have too few or too many values, or not as many as those they are compared with."""


class RowError(InputError):
    """A row is no embedding: a value is not finite, or all are zero."""


class TooManyPairsError(InputError):
    """More pairs reach the threshold than were asked for at most."""


class EncoderError(InputError):
    """A gallery is of another encoder or dimension."""


class LabelError(InputError):
    """Labels are of another kind or number than expected, or come twice."""


class MasterKeyError(InputError):
    """A data directory is encrypted with another key than the one that was given, or only one of both is there."""


class PictureError(InputError):
    """What was given is no picture that is read, or is damaged, too large or too small."""


class PictureFileError(PictureError, OSError):
    """The file of a picture cannot be read."""


class NoFaceError(PictureError):
    """A picture shows no face, or is too small for one."""


class SeveralFacesError(PictureError):
    """A picture shows several people, where one is expected."""


class FacesMissingError(VultusError, ImportError):
    """`vultus.Faces` needs the networks, and they are not installed."""


class NotCalibratedError(InputError):
    """A rate is asked for, and nothing is known of how alike strangers are."""


class NotEnrolledError(VultusError, KeyError):
    """There is no such person, or no gallery."""

    def __str__(self) -> str:
        # A KeyError shows the quoted text.
        return Exception.__str__(self)


class ClosedError(VultusError, ValueError):
    """The gallery was closed."""


class ForkedError(VultusError, RuntimeError):
    """The gallery was opened, or networks were loaded, by the process that this one was forked from."""


class PicklingError(VultusError, pickle.PicklingError):
    """A gallery without a path cannot go to another process."""


class StorageError(VultusError, OSError):
    """The disk fails, or what is on it is damaged or no gallery."""


class LockedError(StorageError):
    """Another process has the gallery open to change it."""


class ReadOnlyError(StorageError):
    """The gallery was opened only to look."""


class ApiError(VultusError, RuntimeError):
    """A service refused a call.

    `status` is that of HTTP, `code` that of the problem, or None. A service that is too busy says in
    `retry_after_seconds` when to come again; None otherwise.
    """

    def __init__(
        self,
        text: str,
        status: int | None = None,
        code: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(text)
        self.status, self.code, self.retry_after_seconds = status, code, retry_after_seconds


class InternalError(VultusError, RuntimeError):
    """A defect of Vultus."""
