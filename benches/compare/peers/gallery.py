"""What every peer is given, and what it gives back."""

from __future__ import annotations

import time
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

TRIALS = 3
TRIAL_SECONDS = 0.3
"""A way that is tried is called so often, until it has lasted so long; its best time counts."""

FAR_BEHIND = 4.0
"""A way that takes so many times as long as the fastest is given up."""

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

    def __init__(
        self, base: np.ndarray, top: int, threads: int, asked: tuple[np.ndarray, ...] = ()
    ) -> None:
        self.base = base
        self.top = top
        self.threads = threads
        self.asked = asked
        """The probes of each call that will be measured, the smallest call first."""
        self.shared: dict[str, Any] = {}
        """What several peers build once, by a name they agree on."""
        self.chosen: dict[str, dict[int, str]] = {}
        """For a peer that tries several ways: which is the fastest at each number of probes."""

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

    def fastest(self, key: str, ways: dict[str, Search]) -> Search:
        """Tries every way on the calls that will be measured, and notes the fastest for each.

        Returns a search that takes the way that was the fastest at that number of probes, or at
        the nearest. A way that is far behind is not tried with more probes; the first one always
        is.
        """
        first = next(iter(ways))
        left = list(ways)
        chosen: dict[int, str] = {}
        for probes in self.asked:
            taken = {way: _trial_seconds(ways[way], probes) for way in left}
            chosen[len(probes)] = min(left, key=lambda way: taken[way])
            limit = FAR_BEHIND * min(taken.values())
            left = [way for way in left if way == first or taken[way] <= limit]
        self.chosen[key] = chosen

        def search(probes: np.ndarray) -> np.ndarray | None:
            nearest = min(chosen, key=lambda count: abs(count - len(probes)), default=None)
            return ways[first if nearest is None else chosen[nearest]](probes)

        return search

    def ranked(self, scores: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Returns the numbers of the best scores of each line, best first."""
        scores, numbers = best_of(scores, numbers, self.top)
        return np.take_along_axis(numbers, np.argsort(-scores, axis=1, kind="stable"), 1)


def _trial_seconds(search: Search, probes: np.ndarray) -> float:
    """Returns the shortest time of a few calls."""
    times: list[float] = []
    while len(times) < TRIALS and sum(times) < TRIAL_SECONDS:
        started = time.perf_counter()
        search(probes)
        times.append(time.perf_counter() - started)
    return min(times)
