"""Thresholds by rate, as `vultus calibrate` measured them."""

from __future__ import annotations

import json
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from vultus.errors import EncoderError, InputError, InputFileError, of_os_error, of_type

from .sources import Source


def threshold_at_rate(calibration: str | os.PathLike[str], target_fpir: float, people: int) -> float:
    """The similarity that a stranger reaches with one of `people` at a rate of `target_fpir`.

    Args:
        calibration: A file with what `vultus calibrate --partition P --people N --json` printed.
        target_fpir: How many strangers may pass: 0.1, 0.03, 0.01, 0.003 or 0.001.
        people: Among how many people, at most the `N` of the file. A threshold for more people than
            there are lets fewer strangers through than were asked for.

    Returns:
        The threshold for `identify` and `duplicates`, -1 to 1.

    Raises:
        InputError: The file is something else, is of fewer people, or does not have the rate; or `people` is no
            number of people.
        InputFileError: It cannot be read.
    """
    if not isinstance(calibration, str | os.PathLike):
        raise of_type(InputError, f"calibration: expected the path of a file, found {type(calibration).__name__}")
    if not isinstance(people, Integral) or isinstance(people, bool):
        raise of_type(InputError, f"people: expected a whole number from 1 on, found {people!r}")
    if people < 1:
        raise InputError(f"people: expected a whole number from 1 on, found {people!r}")
    told = _read(Path(calibration))
    if told["people"] < people:
        raise InputError(
            f"{calibration}: expected thresholds among {people} people or more, found those among "
            f"{told['people']}: measure with `vultus calibrate --people {people} --json`"
        )
    thresholds = {line["target_fpir"]: line["threshold"] for line in told["identification"]}
    kept = {line["target_fpir"]: line.get("reached", True) for line in told["identification"]}
    if not isinstance(target_fpir, Real) or target_fpir not in thresholds:
        known = ", ".join(map(str, thresholds))
        raise InputError(f"target_fpir: expected one of {known}, found {target_fpir!r}")
    if not kept[target_fpir]:
        raise InputError(
            f"{calibration}: expected a threshold for the rate {target_fpir}, found none that keeps strangers to it: "
            "embeddings of different people are the same"
        )
    return float(thresholds[target_fpir])


def refuse_other_encoder(calibration: str | os.PathLike[str], compared: list[Source]) -> None:
    """Fails if a calibration is of another encoder than embeddings, as far as those say what theirs is."""
    measured = _read(Path(calibration)).get("encoder")
    for source in compared:
        encoder = source.encoder()
        # The calibration has the dimension, too: `name@version/dimension`.
        if (
            encoder is not None
            and isinstance(measured, str)
            and measured.partition("/")[0] != encoder.partition("/")[0]
        ):
            raise EncoderError(f"{calibration}: expected what was measured of {encoder!r}, found {measured!r}")


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text())
        people, lines = told["people"], told["identification"]
        is_good = isinstance(people, int) and all(
            isinstance(line["threshold"], float) and isinstance(line["target_fpir"], float) for line in lines
        )
    except OSError as error:
        found = "found no file" if isinstance(error, FileNotFoundError) else f"cannot read it: {error}"
        raise of_os_error(InputFileError, f"{path}: expected a calibration, {found}", error) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: expected what `vultus calibrate --json` prints; {error!r}") from error
    if not is_good:
        raise InputError(f"{path}: expected what `vultus calibrate --json` prints, found other JSON")
    return dict(told)
