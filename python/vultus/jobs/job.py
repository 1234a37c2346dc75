"""A job: what is compared with what, cut into pairs of blocks, each of which can be done anywhere,
at any time, and more than once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from vultus.errors import TooManyPairsError

from . import outputs
from .blocks import Block, Survey, load
from .compare import best_classes, similar_pairs
from .files import Folder
from .sources import Columns, Rows

#: Pairs of rows that two blocks may have above the threshold.
PAIRS_MAX = 10_000_000


@dataclass(frozen=True)
class Job:
    """Everything that a task has to know, and small enough to be sent to each."""

    kind: str
    #: `k` and `threshold`.
    parameters: dict[str, Any]
    columns: Columns
    #: Probes, or the gallery whose duplicates are looked for.
    left: tuple[Block, ...]
    #: What they are compared with. Of `duplicates` it begins with all of `left`.
    right: tuple[Block, ...]
    left_surveys: tuple[Survey, ...]
    right_surveys: tuple[Survey, ...]
    id: str
    out: Folder

    def pairs(self) -> list[tuple[int, int]]:
        """Numbers of the blocks of each task: of `duplicates` those on and above the diagonal."""
        return [
            (left, right)
            for left in range(len(self.left))
            for right in range(len(self.right))
            if self.kind == "identify" or right >= left
        ]


@dataclass
class Task:
    """Does pairs of one job, one after the other; keeps the two blocks that were read last."""

    job: Job
    threads: int | None = None
    _kept: OrderedDict[str, Rows] = field(default_factory=OrderedDict)

    def do(self, left: int, right: int) -> int:
        """Compares two blocks and writes what was found, unless that is there already.

        Returns how many results the file has.

        Raises:
            CorruptBlockError: A block is not what it was when the job began.
            CorruptOutputError: There is a file of these blocks, and it is damaged.
            TooManyPairsError: The threshold is too low.
        """
        job, name = self.job, outputs.name(left, right)
        there = job.out.read(name)
        if there is not None:
            found = outputs.decode(there, job.out.path(name), job.kind, job.id, left, right)
            return len(found[0])
        columns = self._compare(left, right)
        job.out.write_once(name, outputs.encode(job.kind, job.id, left, right, columns))
        return len(columns[0])

    def _compare(self, left: int, right: int) -> outputs.Columns:
        job, threshold = self.job, self.job.parameters["threshold"]
        a = self._rows(job.left[left], job.left_surveys[left])
        b = self._rows(job.right[right], job.right_surveys[right])
        assert b.classes is not None
        if job.kind == "identify":
            k = min(job.parameters["k"], len(b.embeddings))
            probe, label, similarity = best_classes(a.embeddings, b.embeddings, b.classes, k, threshold, self.threads)
            return probe + job.left[left].first, label, similarity
        assert a.classes is not None
        is_one = job.kind == "duplicates" and left == right
        other = None if is_one else b.embeddings
        sides = (a.embeddings, a.classes, other, b.classes)
        try:
            return similar_pairs(*sides, threshold, self.threads, PAIRS_MAX)
        except TooManyPairsError as error:
            blocks = f"{job.left[left]} with {job.right[right]}"
            raise TooManyPairsError(f"{blocks}: {error}; raise the threshold") from None

    def _rows(self, block: Block, survey: Survey) -> Rows:
        # By digest: a block of a gallery is the same on both sides of the diagonal. Probes have
        # ids where a gallery has classes, so that those never meet.
        key = f"{survey.digest} {block.of_gallery}"
        if key not in self._kept:
            while len(self._kept) > 1:
                self._kept.popitem(last=False)
            self._kept[key] = load(block, self.job.columns, survey)
        self._kept.move_to_end(key)
        return self._kept[key]
