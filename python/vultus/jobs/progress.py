"""How far a job is, where tqdm is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar(
    doing: str, steps: int, show: bool | None = None, done: int = 0
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
    with tqdm(desc=doing, total=steps, initial=done, disable=disable) as shown:
        yield lambda now: shown.update(now) and None
