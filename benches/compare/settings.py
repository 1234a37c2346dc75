"""What is asked of a run. Nothing is imported here that starts threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REFERENCE = "faiss-flat"
"""An exact system that is part of every run, so that there is one to compare the others with."""


class Refusal(Exception):
    """A run that cannot go on: its text says what was being done, where, expected and found."""


@dataclass(frozen=True)
class Settings:
    """One run, as asked for on the command line."""

    rows: int
    dim: int
    probes: tuple[int, ...]
    """Rising numbers of probes that are asked in one call."""
    threads: int
    top: int
    rounds: int
    data: str
    """`random` or `decaying`."""
    seed: int
    truth: int
    """How many probes are compared with the ground truth."""
    seconds_max: float
    """A call that takes longer is not repeated."""
    only: tuple[str, ...]
    """Keys of the systems to run; empty for all."""
    out: Path
    cache: Path
    vultus: Path

    def wants(self, key: str) -> bool:
        """Whether a system is to be run."""
        return not self.only or key in self.only or key == REFERENCE
