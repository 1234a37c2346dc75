"""The compiled half. Call what `vultus` has instead: it checks what it is given."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float16] | NDArray[np.float32] | NDArray[np.float64]
Progress = Callable[[int], object] | None

def threads_usual() -> int: ...
def exact_search(
    rows: Floats,
    probes: Floats,
    similarities: NDArray[np.float64],
    labels: NDArray[np.int64],
    threshold: float | None,
    threads: int,
    progress: Progress,
) -> None: ...
def pairs_above(
    rows: Floats,
    others: Floats | None,
    threshold: float,
    pairs_max: int,
    threads: int,
    progress: Progress,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]: ...
