"""What Vultus raises. Each is a `VultusError`, and also what Python itself would raise."""

from __future__ import annotations

__all__ = [
    "DimensionError",
    "DtypeError",
    "InputError",
    "InternalError",
    "RowError",
    "ShapeError",
    "TooManyPairsError",
    "VultusError",
]


class VultusError(Exception):
    """Anything that Vultus raises."""


class InputError(VultusError, ValueError):
    """What was given cannot be used; the text says what was expected and what was found."""


class DtypeError(VultusError, TypeError):
    """An array has numbers of a kind that no embedding has."""


class ShapeError(InputError):
    """An array is not of shape (rows, dimension)."""


class DimensionError(InputError):
    """Rows have too few or too many values, or not as many as those they are compared with."""


class RowError(InputError):
    """A row is no embedding: a value is not finite, or all are zero."""


class TooManyPairsError(InputError):
    """More pairs reach the threshold than were asked for at most."""


class InternalError(VultusError, RuntimeError):
    """A defect of Vultus."""
