"""How often decisions are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import as_number
from vultus._found import Found, _Table
from vultus.errors import InputError


class Evaluation(_Table):
    """Rates of an identification, by threshold, after ISO/IEC 19795-1.

    FNIR: of the probes of enrolled people, the share whose own person is not first, or below the threshold.
    FPIR: of the probes of strangers, the share for whom somebody reaches it. As a table: `threshold`,
    `fnir`, `fpir`.
    """

    def __init__(self, own: NDArray[np.float64], ranks: NDArray[np.int64], strangers: NDArray[np.float64]) -> None:
        self.own = own
        """For each probe of an enrolled person its own similarity if it is first, else -inf."""
        self.ranks = ranks
        """For each probe of an enrolled person the rank of its own from 1; 0 if beyond `k`."""
        self.strangers = strangers
        """For each probe of a stranger the highest similarity; -inf if nobody is enrolled."""

    @classmethod
    def of(cls, found: Found, y: Sequence[Any], enrolled: set[Any]) -> Evaluation:
        own, ranks, strangers = [], [], []
        for row, label in enumerate(y):
            labels, similarities = found.labels[row], found.similarities[row]
            if label not in enrolled:
                strangers.append(similarities[0])
                continue
            places = np.flatnonzero((labels == label) & (similarities > -np.inf))
            rank = int(places[0]) + 1 if len(places) else 0
            ranks.append(rank)
            own.append(similarities[0] if rank == 1 else -np.inf)
        return cls(np.array(own, float), np.array(ranks, np.int64), np.array(strangers, float))

    def fnir(self, threshold: float) -> float:
        """The share of enrolled people who are missed; NaN if `y` names none."""
        threshold = as_number(threshold, "threshold", "a similarity")
        return float(np.mean(self.own < threshold)) if len(self.own) else float("nan")

    def fpir(self, threshold: float) -> float:
        """The share of strangers who are taken for somebody; NaN if `y` names none."""
        threshold = as_number(threshold, "threshold", "a similarity")
        return float(np.mean(self.strangers >= threshold)) if len(self.strangers) else float("nan")

    def threshold(self, target_fpir: float) -> float:
        """The lowest threshold at which no larger share of the strangers than `target_fpir` is taken for somebody.

        Raises `InputError` if there are no strangers, or too few for so low a rate.
        """
        count = len(self.strangers)
        target_fpir = as_number(target_fpir, "target_fpir", "a rate between 0 and 1")
        if not 0 < target_fpir < 1:
            raise InputError(f"target_fpir: expected a rate between 0 and 1, found {target_fpir!r}")
        allowed = int(np.floor(target_fpir * count + 1e-9))
        if not allowed:
            raise InputError(
                f"target_fpir: expected at least 1 / {count}, since there are {count} strangers, found {target_fpir}"
            )
        highest = np.sort(self.strangers)[::-1]
        return float(np.nextafter(highest[allowed], np.inf)) if allowed < count else -1.0

    @property
    def cmc(self) -> NDArray[np.float64]:
        """The share of enrolled people found within each rank from 1, as far as `k`."""
        most = max(int(self.ranks.max(initial=0)), 1)
        within = [np.mean((self.ranks > 0) & (self.ranks <= rank)) for rank in range(1, most + 1)]
        return np.array(within if len(self.ranks) else [np.nan])

    def _columns(self) -> dict[str, NDArray[Any]]:
        scores = np.concatenate([self.own, self.strangers])
        thresholds = np.unique(scores[np.isfinite(scores)])
        return {
            "threshold": thresholds,
            "fnir": np.array([self.fnir(threshold) for threshold in thresholds]),
            "fpir": np.array([self.fpir(threshold) for threshold in thresholds]),
        }

    def plot(self, axes: Any = None) -> Any:
        """Draws misses and false alarms by threshold, with matplotlib. Returns the axes."""
        import matplotlib.pyplot as plt

        axes = axes if axes is not None else plt.subplots()[1]
        columns = self._columns()
        axes.plot(columns["threshold"], columns["fnir"], label="FNIR: enrolled people who are missed")
        axes.plot(columns["threshold"], columns["fpir"], label="FPIR: strangers taken for somebody")
        axes.set(xlabel="threshold (cosine)", ylabel="share")
        axes.legend()
        return axes

    def __repr__(self) -> str:
        return f"<vultus.Evaluation of {len(self.own)} probes of enrolled people, {len(self.strangers)} of strangers>"
