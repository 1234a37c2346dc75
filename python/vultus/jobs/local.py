"""Jobs on the cores of one machine: one pair of blocks at a time, each by all threads."""

from __future__ import annotations

from collections.abc import Sequence

from vultus._arrays import as_threads
from vultus._progress import bar

from .blocks import Block, Survey, survey
from .job import Job, Task
from .sources import Columns


class Local:
    """The engine of this process. Two blocks and what the kernel makes of them are in memory.

    Args:
        threads: Of the kernel; all cores if it is not given.
        progress: Whether a bar is shown; on a terminal if it is not given.

    Raises:
        InputError: `threads` is no number from 1 to 1024.
    """

    is_far = False

    def __init__(self, threads: int | None = None, progress: bool | None = None) -> None:
        self.threads = None if threads is None else as_threads(threads)
        self.progress = progress

    def survey(self, blocks: Sequence[Block], columns: Columns) -> list[Survey]:
        """Reads all blocks once."""
        with bar("reading", len(blocks), self.progress) as step:
            surveys = []
            for block in blocks:
                surveys.append(survey(block, columns))
                step(1)
        return surveys

    def compare(self, job: Job, pairs: Sequence[tuple[int, int]], of: int) -> None:
        """Does these pairs of the `of` that the job has."""
        task = Task(job, self.threads)
        with bar("comparing", of, self.progress, done=of - len(pairs)) as step:
            for left, right in pairs:
                task.do(left, right)
                step(1)
