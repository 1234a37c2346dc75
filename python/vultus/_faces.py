"""Faces in pictures: where they are, their embeddings, how good and how live they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

import vultus.errors
from vultus._arrays import as_threads
from vultus._pictures import as_picture, as_pictures, is_one
from vultus._progress import Progress, shown
from vultus.errors import FacesMissingError, InputError, VultusError, of_system, of_type, renamed


class _Pixels(Protocol):
    """What has numpy's array interface, such as pictures of PIL."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


Picture = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | _Pixels
"""A file by its path, its bytes, pixels of shape (height, width, 3) of red, green and blue, or a picture of PIL."""

T = TypeVar("T")

PART = 16
"""So many pictures for each thread are made ready at a time: pixels of PIL lie in memory until then."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture. Left and right are those of the picture as it is shown upright."""

    box: tuple[int, int, int, int]
    """Left, top, width and height, from forehead to chin, in whole pixels within the picture."""
    points: NDArray[np.float32]
    """Left eye, right eye, nose, left and right corner of the mouth, in pixels: shape (5, 2), x and y."""
    detection_score: float
    """How sure it is that this is a face, from 0.6 to 1."""
    quality: float
    """How suitable it is, from 0 to 1; `docs/quality.md` says of what it is made."""
    warnings: dict[str, str]
    """What is wrong with it, by name (`ImageTooBlurry`), with a sentence; empty if nothing is."""
    embedding: NDArray[np.float32] | None = field(repr=False)
    """What the encoder says of it, of length 1, shape (dimension,); None of a face of less than 18 pixels."""


@dataclass(frozen=True, eq=False)
class Detected:
    """All faces in a picture, the most prominent first. It has a length, and is iterated and indexed as a list."""

    faces: list[Face]
    """Those that were looked at closely, at most 100."""
    left_out: int
    """How many more there are, all of them less prominent."""
    width: int
    """Pixels from left to right, upright."""
    height: int
    """Pixels from top to bottom."""

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    def __getitem__(self, at: int) -> Face:
        return self.faces[at]


@dataclass(frozen=True, eq=False)
class Quality:
    """How good the only face of a picture is."""

    score: float
    """From 0 to 1."""
    warnings: dict[str, str]
    """What is wrong with it, by name, with a sentence."""
    measures: dict[str, float]
    """What was measured: `eye_distance` in pixels, `brightness` from 0 to 255, `sharpness`, `roll` in degrees, and
    others that `docs/quality.md` explains."""


@dataclass(frozen=True)
class Liveness:
    """Whether one picture is of a live person, by its texture alone."""

    live: bool
    """Whether the score is at least 0.5."""
    score: float
    """From 0, a print or a screen, to 1. No calibrated probability: `docs/liveness.md` has its rates."""
    reason: str | None
    """Why it is not, as a sentence."""


class Faces:
    """Finds faces in pictures, and says what they are like. Loaded once, shared by all threads.

    It needs the networks, which are a wheel of their own (`pip install ./python ./python/faces`). It gives the
    same numbers as the commands `vultus detect` and `vultus embed`. Pickled it is its arguments: another process
    loads the networks anew. A fork cannot run what its parent loaded (`ForkedError`): start processes by `spawn`.

    A picture is a path, the bytes of a file (JPEG, PNG, BMP, GIF, TIFF, WebP, PGM or PPM), an array of shape (height,
    width, 3) of uint8 (red, green, blue; any strides; OpenCV has blue first: `X[:, :, ::-1]`), or a picture of PIL.
    Every call takes one picture, and answers for it, or several (a list, an array of shape (n, height, width, 3)),
    and answers with a list in their order. All have these arguments:

        threads: How many pictures are looked at at a time; as many as processors may be used without it.
        progress: True for a bar of tqdm, or a callable that is given how many of how many pictures are done.
        return_exceptions: A picture that is refused has its exception in the list, and the others are looked at.
            Without it the exception of the first one is raised.

    and raise:

        PictureError: It is no picture that is read, is damaged, too large or too small; a `TimeoutError` if
            looking at it took longer than `picture_seconds_max`.
        PictureFileError: A file cannot be read; a `FileNotFoundError` if there is none, and so on.
        NoFaceError, SeveralFacesError: There is not exactly one face, where one is expected.
        DtypeError, ShapeError: An array is no picture; the text says how to make one of it.

    All are `VultusError`s. The lock of the interpreter is released, and Ctrl-C ends a call at once.

    Args:
        embedder: Another network that makes embeddings, an ONNX file, instead of SFace.
        embedder_profile: Its profile, which `docs/configuration.md` explains.
        picture_seconds_max: How long it may take to look at one picture.

    Raises:
        FacesMissingError: The networks are not installed.
        InputError: The embedder cannot be read, or is not what its profile says.
    """

    def __init__(
        self,
        *,
        embedder: str | os.PathLike[str] | None = None,
        embedder_profile: str | os.PathLike[str] | None = None,
        picture_seconds_max: float = 10.0,
    ) -> None:
        if (embedder is None) != (embedder_profile is None):
            raise InputError("embedder, embedder_profile: expected both or neither, found one")
        seconds = _as_seconds(picture_seconds_max)
        paths = [None if path is None else os.fsdecode(path) for path in (embedder, embedder_profile)]
        self._arguments = {
            "embedder": paths[0],
            "embedder_profile": paths[1],
            "picture_seconds_max": seconds,
        }
        try:
            from vultus_faces._vultus_faces import Networks
        except ImportError as error:
            raise FacesMissingError(
                "the networks are not installed: `pip install ./python ./python/faces` in the sources of Vultus brings "
                f"them ({error})"
            ) from None
        self._networks = Networks(*paths, seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        return _anew, (self._arguments,)

    def __repr__(self) -> str:
        return f"Faces({self.encoder}, dimension={self.dimension})"

    @property
    def encoder(self) -> str:
        """`name@version` of the encoder, as a gallery is told: `Gallery(path, encoder=faces.encoder)`."""
        return self._networks.encoder()[0]

    @property
    def dimension(self) -> int:
        """How many values an embedding has."""
        return self._networks.encoder()[1]

    @property
    def verification_threshold(self) -> float:
        """The similarity from which on two faces are taken for one person, by what was measured of the encoder."""
        return self._networks.verification_threshold()

    @overload
    def detect(self, pictures: Picture, **options: Any) -> Detected: ...
    @overload
    def detect(self, pictures: Iterable[Picture], **options: Any) -> list[Detected]: ...
    def detect(
        self,
        pictures: Any,
        *,
        threads: int | None = None,
        progress: Progress = False,
        return_exceptions: bool = False,
    ) -> Any:
        """Everybody in each picture, also small and turned faces: what `vultus detect` finds.

        Returns a `Detected` for one picture, else a list of them. A picture without a face is no error.
        """
        return self._look(pictures, "everybody", _detected, threads, progress, return_exceptions)

    @overload
    def only_face(self, pictures: Picture, **options: Any) -> Face: ...
    @overload
    def only_face(self, pictures: Iterable[Picture], **options: Any) -> list[Face]: ...
    def only_face(
        self,
        pictures: Any,
        *,
        threads: int | None = None,
        progress: Progress = False,
        return_exceptions: bool = False,
    ) -> Any:
        """The face in each picture of one person, whoever passes by far behind.

        Returns a `Face` for one picture, else a list of them.
        """
        return self._look(pictures, "only", _only, threads, progress, return_exceptions)

    def embed(self, pictures: Any, *, threads: int | None = None, progress: Progress = False) -> NDArray[np.float32]:
        """The embedding of the face in each picture of one person: of shape (dimension,) for one, else (n, dimension).

        The rows are what `vultus.exact_search` and `Gallery.add` take. Every picture must have exactly one face;
        `only_face(pictures, return_exceptions=True)` goes on where one has not.
        """
        found = self.only_face(pictures, threads=threads, progress=progress)
        if isinstance(found, Face):
            return found.embedding
        return np.array([face.embedding for face in found], np.float32).reshape(len(found), self.dimension)

    @overload
    def quality(self, pictures: Picture, **options: Any) -> Quality: ...
    @overload
    def quality(self, pictures: Iterable[Picture], **options: Any) -> list[Quality]: ...
    def quality(
        self,
        pictures: Any,
        *,
        threads: int | None = None,
        progress: Progress = False,
        return_exceptions: bool = False,
    ) -> Any:
        """How good the only face of each picture is, looked at closely, and what is wrong with it.

        Returns a `Quality` for one picture, else a list of them.
        """
        return self._look(pictures, "closely", _quality, threads, progress, return_exceptions)

    @overload
    def liveness(self, pictures: Picture, **options: Any) -> Liveness: ...
    @overload
    def liveness(self, pictures: Iterable[Picture], **options: Any) -> list[Liveness]: ...
    def liveness(
        self,
        pictures: Any,
        *,
        threads: int | None = None,
        progress: Progress = False,
        return_exceptions: bool = False,
    ) -> Any:
        """Whether each picture is of a live person, rather than of a print or a screen, by its texture alone.

        Each picture is judged by itself; `docs/liveness.md` says how often that is wrong.
        Returns a `Liveness` for one picture, else a list of them.
        """
        return self._look(pictures, "live", lambda seen: Liveness(*seen["live"]), threads, progress, return_exceptions)

    def _look(
        self,
        pictures: Any,
        wanted: Literal["everybody", "only", "closely", "live"],
        made_of: Any,
        threads: int | None,
        progress: Progress,
        return_exceptions: bool,
    ) -> Any:
        one = is_one(pictures)
        given = [pictures] if one else as_pictures(pictures)
        count = as_threads(threads)
        results: list[Any] = []
        with shown(progress, len(given), "pictures") as told:
            for start in range(0, len(given), PART * count):
                part = _ready(given[start : start + PART * count])
                ready = [value for value in part if not isinstance(value, VultusError)]
                go_on = told and (lambda done, before=start: told(before + done))
                looked = iter(self._networks.look(ready, wanted, count, go_on))
                for at, value in enumerate(part, start):
                    seen = value if isinstance(value, VultusError) else _outcome(next(looked))
                    if isinstance(seen, VultusError):
                        seen = renamed(seen, f"{_name(given[at], None if one else at)}: {seen}")
                        if one or not return_exceptions:
                            raise seen
                        results.append(seen)
                    else:
                        results.append(made_of(seen))
                if told:
                    told(min(start + len(part), len(given)))
        return results[0] if one else results


def _anew(arguments: dict[str, Any]) -> Faces:
    return Faces(**arguments)


def _as_seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise of_type(InputError, f"picture_seconds_max: expected a number, found {type(value).__name__}") from None
    if not seconds > 0:
        raise InputError(f"picture_seconds_max: expected more than 0, found {seconds}")
    return seconds


def _ready(pictures: list[Any]) -> list[Any]:
    """Each as what the networks take, or why it is none."""

    def ready(picture: Any) -> Any:
        try:
            return as_picture(picture)
        except VultusError as error:
            return error

    return [ready(picture) for picture in pictures]


def _outcome(seen: Any) -> Any:
    """What was seen, or the exception whose name, text and number came instead."""
    if isinstance(seen, tuple):
        kind, text, number = seen
        kind = getattr(vultus.errors, kind)
        return kind(text) if number is None else of_system(kind, text, number)
    return seen


def _name(picture: Any, at: int | None) -> str:
    """What a picture is called in errors: its place, and its path if it has one."""
    path = f"`{os.fsdecode(picture)}`" if isinstance(picture, str | os.PathLike) else None
    if at is None:
        return path or "picture"
    return f"pictures[{at}]" + (f", {path}" if path else "")


def _face(found: Any) -> Face:
    embedding = found["embedding"]
    return Face(
        box=tuple(found["box"]),
        points=np.array(found["points"], np.float32),
        detection_score=found["detection_score"],
        quality=found["quality"],
        warnings=dict(found["warnings"]),
        embedding=None if embedding is None else np.array(embedding, np.float32),
    )


def _detected(seen: Any) -> Detected:
    return Detected([_face(face) for face in seen["faces"]], seen["left_out"], seen["width"], seen["height"])


def _only(seen: Any) -> Face:
    return _face(seen["faces"][0])


def _quality(seen: Any) -> Quality:
    face = seen["faces"][0]
    return Quality(face["quality"], dict(face["warnings"]), dict(face["measures"]))
