"""What Vultus raises. Each is a `VultusError`, and also what Python itself would raise.

Where that depends on what happened, an exception has another base beside its own: an `InputFileError` for a
file that is not there is a `FileNotFoundError`, a `StorageError` for one that may not be written a
`PermissionError`, and an `InputError` for an argument of another type a `TypeError`.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
from typing import Any, TypeVar

__all__ = [
    "ApiError",
    "ClosedError",
    "DimensionError",
    "DtypeError",
    "EncoderError",
    "FacesMissingError",
    "ForkedError",
    "InputError",
    "InputFileError",
    "InternalError",
    "LabelError",
    "LockedError",
    "MasterKeyError",
    "NoFaceError",
    "NotCalibratedError",
    "NotEnrolledError",
    "NotReachedError",
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


class _OfSystem(OSError):
    """What the system says is kept beside the text, and goes with it to other processes."""

    def __str__(self) -> str:
        # An OSError shows its number and name in place of the text.
        return Exception.__str__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), (), self.args, (self.errno, self.strerror, self.filename))


class InputFileError(InputError, _OfSystem):
    """A file that was named cannot be read. One that is not there is a `FileNotFoundError`, and so on."""


class PictureFileError(PictureError, InputFileError):
    """The file of a picture cannot be read."""


class NoFaceError(PictureError):
    """A picture shows no face, or is too small for one."""


class SeveralFacesError(PictureError):
    """A picture shows several people, where one is expected."""


class FacesMissingError(VultusError, ModuleNotFoundError):
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


class StorageError(VultusError, _OfSystem):
    """The disk fails, or what is on it is damaged or no gallery. `errno` says what the system said, if it did."""


class LockedError(StorageError, BlockingIOError):
    """Another process has the gallery open to change it."""


class ReadOnlyError(StorageError, io.UnsupportedOperation):
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


class NotReachedError(VultusError):
    """A service was not reached, or did not answer in time.

    It is what httpx raises, too, and a `TimeoutError` or a `ConnectionError` where it is one.
    """


class InternalError(VultusError, RuntimeError):
    """A defect of Vultus."""


_Kind = TypeVar("_Kind", bound=VultusError)


def also(kind: type[_Kind], *bases: type[BaseException], text: str) -> _Kind:
    """An exception of `kind` with further bases that those who catch it expect. It is called as `kind` is."""
    made: _Kind = _both(kind, bases)(text)
    return made


def of_type(kind: type[_Kind], text: str) -> _Kind:
    """An exception of `kind` for what is of another type than expected: a `TypeError`, too."""
    return also(kind, TypeError, text=text)


def of_system(kind: type[_Kind], text: str, number: int, file: str | None = None) -> _Kind:
    """An exception of `kind`, an `OSError`, that is also what Python raises for the error `number` of the system."""
    made: Any = also(kind, type(OSError(number, "")), text=text)
    made.errno, made.strerror, made.filename = number, os.strerror(number), file
    return made


def of_os_error(kind: type[_Kind], text: str, error: OSError) -> _Kind:
    """The same as what `error` is."""
    if error.errno is None:
        return also(kind, type(error), text=text) if type(error).__module__ == "builtins" else kind(text)
    return of_system(kind, text, error.errno, error.filename)


def renamed(error: _Kind, text: str) -> _Kind:
    """The same exception with another text."""
    made: Any = type(error)(text)
    if isinstance(error, OSError):
        made.errno, made.strerror, made.filename = error.errno, error.strerror, error.filename
    return made


@functools.cache
def _both(kind: type[VultusError], bases: tuple[type[BaseException], ...]) -> Any:
    """A class of both, which is called and shown as `kind` is. Bases that it has already are left out."""
    more = tuple(base for base in bases if not issubclass(kind, base))
    if not more:
        return kind
    shown = {name: getattr(kind, name) for name in ("__doc__", "__module__", "__qualname__")}

    def reduce(self: Any) -> tuple[Any, ...]:
        facts = (self.errno, self.strerror, self.filename) if isinstance(self, OSError) else None
        return _again, (kind, bases, self.args, facts)

    return type(kind.__name__, (kind, *more), {**shown, "__reduce__": reduce, "__str__": kind.__str__})


def _again(
    kind: type[VultusError], bases: tuple[type[BaseException], ...], arguments: tuple[Any, ...], facts: Any
) -> VultusError:
    """What was pickled."""
    made: Any = _both(kind, bases)(*arguments)
    if facts is not None:
        made.errno, made.strerror, made.filename = facts
    return made
