"""The manifest of a job: what it is, so that a folder is never gone on with by another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

from vultus.errors import InputError

from .blocks import Block, Survey
from .errors import CorruptManifestError, ForeignManifestError
from .files import Folder

NAME = "manifest.json"
FORMAT = "vultus-job"
#: Rises when a program of before could misread what is written now.
VERSION = 1
#: What may be in the folder of a job before its manifest is.
STAGED = "staged"

Manifest = dict[str, Any]


def make(
    kind: str,
    parameters: dict[str, Any],
    inputs: dict[str, tuple[Sequence[Block], Sequence[Survey]]],
) -> Manifest:
    """The manifest of a job. Its id is a digest of all that the results hang on: the kind, the
    parameters, and the values of each block; not of where these lie."""
    manifest: Manifest = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "parameters": parameters,
        "inputs": {name: _input(*blocks) for name, blocks in inputs.items()},
    }
    return manifest | {"job": _id(manifest)}


def _input(blocks: Sequence[Block], surveys: Sequence[Survey]) -> dict[str, Any]:
    return {
        "rows": sum(block.rows for block in blocks),
        "dimension": surveys[0].dimension,
        "blocks": [
            {
                "source": block.source.name,
                "start": block.start,
                "rows": block.rows,
                "digest": survey.digest,
            }
            for block, survey in zip(blocks, surveys, strict=True)
        ],
    }


def _id(manifest: Manifest) -> str:
    inputs = {
        name: [(block["rows"], block["digest"]) for block in given["blocks"]]
        for name, given in manifest["inputs"].items()
    }
    said = [FORMAT, VERSION, manifest["kind"], manifest["parameters"], inputs]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def claim(out: Folder, manifest: Manifest) -> bool:
    """Takes a folder for a job: writes its manifest, or finds it there. Returns whether it was.

    Raises:
        ForeignManifestError: The folder holds another job.
        CorruptManifestError: Its manifest cannot be read.
        InputError: There is no manifest, and the folder is not empty.
    """
    there = read(out)
    if there is not None:
        _compare(out.path(NAME), there, manifest)
        return True
    others = [name for name in out.names() if name != STAGED and not name.startswith(".")]
    if others:
        raise InputError(
            f"{out.place}: expected an empty folder, or one with the {NAME} of this job, found {', '.join(others[:3])}"
        )
    out.write_once(NAME, (json.dumps(manifest, indent=1) + "\n").encode())
    return False


def read(out: Folder) -> Manifest | None:
    """The manifest in a folder, or nothing if there is none.

    Raises:
        CorruptManifestError: It is damaged, or of another version.
    """
    data, path = out.read(NAME), out.path(NAME)
    if data is None:
        return None
    try:
        found = json.loads(data)
        form, version = found["format"], found["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptManifestError(f"{path}: expected the manifest of a job; {error!r}") from error
    if (form, version) != (FORMAT, VERSION):
        raise CorruptManifestError(f"{path}: expected {FORMAT} of version {VERSION}, found {form} of version {version}")
    try:
        expected = _id(found)
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptManifestError(f"{path}: expected a whole manifest; missing {error}") from error
    if found.get("job") != expected:
        raise CorruptManifestError(
            f"{path}: expected the id {expected[:16]} that follows from what it says, found "
            f"{str(found.get('job'))[:16]}"
        )
    return cast(Manifest, found)


def _compare(path: str, there: Manifest, ours: Manifest) -> None:
    if there["job"] == ours["job"]:
        return
    differences = "; ".join(_differences(there, ours))
    raise ForeignManifestError(
        f"{path} is of another job: {differences}. Choose another folder, or ask for the job that is in this one"
    )


def _differences(there: Manifest, ours: Manifest) -> list[str]:
    if there["kind"] != ours["kind"]:
        return [f"expected kind {ours['kind']}, found {there['kind']}"]
    parts = [
        f"expected {name} {ours['parameters'].get(name)}, found {there['parameters'].get(name)}"
        for name in sorted({*there["parameters"], *ours["parameters"]})
        if there["parameters"].get(name) != ours["parameters"].get(name)
    ]
    for name in sorted({*there["inputs"], *ours["inputs"]}):
        parts.extend(_input_differences(name, there["inputs"].get(name), ours["inputs"].get(name)))
    return parts


def _input_differences(name: str, there: dict[str, Any] | None, ours: dict[str, Any] | None) -> list[str]:
    if there is None or ours is None:
        said = ("none" if given is None else f"{given['rows']} rows" for given in (ours, there))
        return ["{}: expected {}, found {}".format(name, *said)]
    for what in ("rows", "dimension"):
        if there[what] != ours[what]:
            return [f"{name}: expected {ours[what]} {what}, found {there[what]}"]
    if len(there["blocks"]) != len(ours["blocks"]):
        lengths = len(ours["blocks"]), len(there["blocks"])
        return ["{}: expected {} blocks, found {}".format(name, *lengths)]
    for number, (was, now) in enumerate(zip(there["blocks"], ours["blocks"], strict=True)):
        if (was["rows"], was["digest"]) != (now["rows"], now["digest"]):
            return [
                f"{name}: block {number} (rows {now['start']} to {now['start'] + now['rows'] - 1} "
                f"of {now['source']}) has the digest {now['digest'][:16]} now, and had "
                f"{was['digest'][:16]} when the job began"
            ]
    return []
