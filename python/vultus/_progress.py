"""Bars that show how much is done, where tqdm is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = bool | Callable[[int, int], object]


@contextmanager
def shown(progress: Progress, total: int, what: str) -> Iterator[Callable[[int], object] | None]:
    """What is to be told how much is done in all: a bar of tqdm, the callable that was given, or nothing."""
    if progress is False or progress is None:
        yield None
    elif callable(progress):
        yield lambda done: progress(done, total)
    else:
        with bar(what, total, True, unit_scale=True) as step:
            before = 0

            def told(done: int) -> None:
                nonlocal before
                step(done - before)
                before = done

            yield told


@contextmanager
def bar(
    doing: str, steps: int, show: bool | None = None, done: int = 0, unit_scale: bool = False
) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of steps that were just done.

    Shown if `show` says so; if it says nothing, on a terminal. Nothing is shown without tqdm.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError:
        yield lambda _: None
        return
    disable = None if show is None else not show
    with tqdm(desc=doing, total=steps, initial=done, disable=disable, unit_scale=unit_scale) as drawn:
        yield lambda now: drawn.update(now) and None
