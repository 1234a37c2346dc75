"""What is compiled. `vultus.Faces` calls it with arguments that it has checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

Wanted = Literal["everybody", "only", "closely", "live"]

class FoundFace(TypedDict):
    box: tuple[int, int, int, int]
    points: list[list[float]]
    detection_score: float
    quality: float
    warnings: list[tuple[str, str]]
    embedding: list[float] | None
    measures: list[tuple[str, float]]

class Seen(TypedDict):
    width: int
    height: int
    faces: list[FoundFace]
    left_out: int
    live: tuple[bool, float, str | None] | None

class Networks:
    def __init__(self, embedder: Path | None, embedder_profile: Path | None, picture_seconds_max: float) -> None: ...
    def encoder(self) -> tuple[str, int]: ...
    def verification_threshold(self) -> float: ...
    def look(
        self,
        pictures: list[NDArray[np.uint8] | bytes | str],
        wanted: Wanted,
        threads: int,
        progress: Callable[[int], object] | None,
    ) -> list[Seen | tuple[str, str, int | None]]: ...
