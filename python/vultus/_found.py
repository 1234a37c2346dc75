"""What is found, as arrays and as tables of pandas, polars and pyarrow."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Label = int | str | uuid.UUID


class Match(NamedTuple):
    """A person who is alike."""

    label: Label
    similarity: float
    name: str | None


class Rate(NamedTuple):
    """A threshold, and how often a stranger reaches it."""

    threshold: float
    fpir: float
    low: float
    """The lower end of the range in which the true rate lies with 95 % confidence."""
    high: float
    extrapolated: bool
    """Whether this rests on the form of the tail alone, beyond what was measured."""


class _Table:
    """Something that is a table, too."""

    def _columns(self) -> dict[str, NDArray[Any]]:
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`."""
        import pandas as pd

        return pd.DataFrame(self._columns())

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`. UUIDs are text."""
        import pyarrow as pa

        return pa.table({name: _plain(column) for name, column in self._columns().items()})

    def to_polars(self) -> Any:
        """A `polars.DataFrame`. UUIDs are text."""
        import polars as pl

        return pl.DataFrame({name: _plain(column) for name, column in self._columns().items()})


class Found(_Table):
    """Who is most like each probe. Unpacks as `D, I`.

    As a table it has a row for each person found: `probe`, `rank` (from 1), `label`, `similarity`.
    """

    def __init__(self, similarities: NDArray[np.float64], labels: NDArray[Any], threshold: float | None) -> None:
        self.similarities = similarities
        """Shape (q, k), best first; -inf where there is nobody."""
        self.labels = labels
        """Shape (q, k); -1 or None where there is nobody."""
        self.threshold = threshold
        """The threshold that was asked for, or that a rate stood for."""

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.similarities, self.labels))

    def __len__(self) -> int:
        """How many probes there were."""
        return len(self.similarities)

    def _columns(self) -> dict[str, NDArray[Any]]:
        probe, rank = np.nonzero(self.similarities > -np.inf)
        return {
            "probe": probe,
            "rank": rank + 1,
            "label": self.labels[probe, rank],
            "similarity": self.similarities[probe, rank],
        }

    def __repr__(self) -> str:
        # Not who is alike: it may end in a log.
        return f"<vultus.Found of {len(self)} probes, k = {self.similarities.shape[1]}>"


class Duplicates(_Table):
    """Pairs of people who are alike, the most similar first. Unpacks as three arrays of shape (pairs,)."""

    def __init__(self, labels: NDArray[Any], others: NDArray[Any], similarities: NDArray[np.float64]) -> None:
        self.labels, self.others, self.similarities = labels, others, similarities

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.labels, self.others, self.similarities))

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.similarities)

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {"label": self.labels, "other": self.others, "similarity": self.similarities}

    def __repr__(self) -> str:
        return f"<vultus.Duplicates, {len(self)} pairs>"


def _plain(column: NDArray[Any]) -> Any:
    if column.dtype != object:
        return column
    return [str(value) if isinstance(value, uuid.UUID) else value for value in column]
