"""What every peer is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from data import CHUNK_ROWS, best_of

Search = Callable[[np.ndarray], "np.ndarray | None"]
"""Takes probes (float32, one a row); returns for each the numbers of the best rows, best first, or
nothing if the system only scores."""

PartSearch = Callable[[np.ndarray], "tuple[np.ndarray, np.ndarray]"]
"""Takes probes; returns for each the scores and numbers of the best rows of a part."""


@dataclass(frozen=True)
class Peer:
    """One system to measure: a library and a way to use it."""

    key: str
    label: str
    package: str
    """Name on PyPI, whose version is reported."""
    exact: bool
    """Whether it scores every row from its float32 values."""
    build: Callable[[Gallery], Search]
    bytes_per_row: Callable[[int], int]
    """About how much memory it takes for one row of a dimension, beyond what all share."""
    rows_max: int | None = None
    """More rows take too long to build."""


class Gallery:
    """The rows in memory, once for all peers that can share them."""

    def __init__(self, base: np.ndarray, top: int, threads: int) -> None:
        self.base = base
        self.top = top
        self.threads = threads
        self.shared: dict[str, Any] = {}
        """What several peers build once, by a name they agree on."""

    @property
    def dim(self) -> int:
        """Values of a row."""
        return self.base.shape[1]

    @cached_property
    def scale(self) -> float:
        """What a value is multiplied with to fill the range of int8. One number for all rows, so
        that products of quantised rows still rank like products of rows."""
        return 127.0 / max(
            float(np.abs(self.base[first : first + CHUNK_ROWS]).max())
            for first in range(0, len(self.base), CHUNK_ROWS)
        )

    @cached_property
    def base_i8(self) -> np.ndarray:
        """The rows as int8."""
        quantised = np.empty(self.base.shape, dtype=np.int8)
        for first in range(0, len(self.base), CHUNK_ROWS):
            chunk = slice(first, first + CHUNK_ROWS)
            quantised[chunk] = self.quantise(self.base[chunk])
        return quantised

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Rounds to int8; a probe's value beyond all rows' is cut."""
        return np.clip(np.rint(values * self.scale), -127, 127).astype(np.int8)

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """As many threads as the run may use, for libraries that leave them to the caller."""
        return ThreadPoolExecutor(self.threads)

    def parts(self) -> list[slice]:
        """Divides the rows into one part a thread."""
        ends = [len(self.base) * part // self.threads for part in range(self.threads + 1)]
        return [slice(first, end) for first, end in zip(ends, ends[1:])]

    def split(self, build: Callable[[slice], PartSearch]) -> Search:
        """Searches each part on a thread of its own and merges the answers.

        Libraries that divide work by probes use one thread for one probe; this is how to give them
        all.
        """
        searches = [build(part) for part in self.parts()]

        def search(probes: np.ndarray) -> np.ndarray:
            pending = [self.pool.submit(part, probes) for part in searches]
            scores, numbers = zip(*(answer.result() for answer in pending))
            return self.ranked(np.hstack(scores), np.hstack(numbers))

        return search

    def ranked(self, scores: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Returns the numbers of the best scores of each line, best first."""
        scores, numbers = best_of(scores, numbers, self.top)
        return np.take_along_axis(numbers, np.argsort(-scores, axis=1, kind="stable"), 1)
