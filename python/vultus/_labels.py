"""Labels: who is who. All of a gallery are of one kind."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from vultus import _vultus
from vultus._sent import is_text
from vultus.errors import InputError, LabelError, of_type


class Kind(enum.Enum):
    """What labels are."""

    NONE = "none"
    INT = "int"
    STR = "str"
    UUID = "UUID"

    def read(self, text: str) -> Any:
        """The label that was kept as a text."""
        return uuid.UUID(text) if self is Kind.UUID else text


KINDS = {kind.value: kind for kind in Kind}
_INT64 = np.iinfo(np.int64)


def kind_of(labels: Any, count: int) -> tuple[Kind, list[Any]]:
    """Of which kind labels are, and each of them, or `LabelError`."""
    if labels is None:
        return Kind.NONE, []
    if isinstance(labels, set | frozenset):
        raise of_type(LabelError, f"labels: expected a label for each of {count} rows, found a set, which has no order")
    if isinstance(labels, str | bytes):
        raise of_type(LabelError, f"labels: expected a label for each of {count} rows, found one text")
    try:
        values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    except TypeError:
        found = type(labels).__name__
        raise of_type(LabelError, f"labels: expected a label for each of {count} rows, found {found}") from None
    if not isinstance(values, list) or any(isinstance(value, list) for value in values[:1]):
        raise LabelError("labels: expected the shape (rows,), found another")
    if len(values) != count:
        raise LabelError(f"labels: expected {count}, one for each row, found {len(values)}")
    kinds = {_kind(value, row) for row, value in enumerate(values)}
    if len(kinds) > 1:
        found = " and ".join(sorted(kind.value for kind in kinds))
        raise LabelError(f"labels: expected all of one kind, found {found}")
    kind = kinds.pop() if kinds else Kind.INT
    if kind is Kind.INT:
        return kind, [int(value) for value in values]
    # What a search will answer, and what two texts that are kept alike have in common.
    return kind, _vultus.Handle.ids_as_kept(list(map(str, values))) if kind is Kind.STR else values


def _kind(value: Any, row: int) -> Kind:
    if isinstance(value, str):
        if not value.strip():
            raise LabelError(f"labels: expected a text in row {row}, found an empty one")
        if not is_text(value):
            raise LabelError(f"labels: expected a text in row {row}, found one with half a letter")
        return Kind.STR
    if isinstance(value, uuid.UUID):
        return Kind.UUID
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if not _INT64.min <= value <= _INT64.max:
            raise LabelError(f"labels: expected numbers of 64 bits, found {value} in row {row}")
        return Kind.INT
    raise of_type(LabelError, f"labels: expected int, str or UUID, found {type(value).__name__} in row {row}")


def as_names(names: Any, count: int) -> list[str | None] | None:
    """A name or None for each row, or `InputError`."""
    if names is None:
        return None
    if isinstance(names, str | bytes):
        raise of_type(InputError, f"names: expected {count}, one for each row, found one text")
    if isinstance(names, set | frozenset):
        raise of_type(InputError, f"names: expected {count}, one for each row, found a set, which has no order")
    values = _listed(names, f"names: expected {count}, one for each row")
    if len(values) != count:
        raise InputError(f"names: expected {count}, one for each row, found {len(values)}")
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise of_type(InputError, f"names: expected a text or None, found {type(value).__name__} in row {row}")
        if value is not None and not is_text(value):
            raise InputError(f"names: expected a text in row {row}, found one with half a letter")
    return values


def _listed(values: Any, expected: str) -> list[Any]:
    try:
        if isinstance(values, str | bytes):
            raise TypeError
        listed = values.tolist() if hasattr(values, "tolist") else list(values)
    except TypeError:
        raise of_type(InputError, f"{expected}, found {type(values).__name__}") from None
    return listed if isinstance(listed, list) else [listed]


def as_metadata(metadata: Any, count: int) -> list[list[tuple[str, str]]] | None:
    """Keys and values for each row, or `InputError`."""
    if metadata is None:
        return None
    if hasattr(metadata, "to_dicts"):
        rows = metadata.to_dicts()
    elif hasattr(metadata, "to_dict") and hasattr(metadata, "columns"):
        rows = metadata.to_dict("records")
    elif isinstance(metadata, Mapping):
        columns = {
            key: _listed(values, f"metadata: expected {count} of {key!r}, one for each row")
            for key, values in metadata.items()
        }
        for key, values in columns.items():
            if len(values) != count:
                raise InputError(f"metadata: expected {count} of {key!r}, one for each row, found {len(values)}")
        rows = [{key: values[row] for key, values in columns.items()} for row in range(count)]
    else:
        rows = _listed(metadata, f"metadata: expected {count}, one for each row")
    if len(rows) != count:
        raise InputError(f"metadata: expected {count}, one for each row, found {len(rows)}")
    return [_pairs(row, at) for at, row in enumerate(rows)]


def _pairs(row: Any, at: int) -> list[tuple[str, str]]:
    if row is None:
        return []
    if not isinstance(row, Mapping):
        raise of_type(InputError, f"metadata: expected a dict in row {at}, found {type(row).__name__}")
    for key in row:
        if not isinstance(key, str):
            raise of_type(InputError, f"metadata: expected keys that are texts, found {key!r} in row {at}")
    pairs = [(key, str(value)) for key, value in row.items() if value is not None]
    for key, value in pairs:
        if not is_text(key) or not is_text(value):
            raise InputError(f"metadata: expected texts in row {at}, found one with half a letter")
    return pairs
