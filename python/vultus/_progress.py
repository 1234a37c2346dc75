"""Bars that show how much is done, where tqdm is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = bool | Callable[[int, int], object]


@contextmanager
def shown(progress: Progress, total: int, what: str) -> Iterator[Callable[[int], object] | None]:
    """What is to be told how much is done: a bar of tqdm, the callable that was given, or nothing."""
    if progress is False or progress is None:
        yield None
    elif callable(progress):
        yield lambda done: progress(done, total)
    else:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            yield None
            return
        with tqdm(total=total, desc=what, unit_scale=True) as bar:
            yield lambda done: bar.update(done - bar.n)
