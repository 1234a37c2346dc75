"""Vultus, measured by its own `bench` verb in its own process."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from data import Files, Truth
from settings import Refusal, Settings

SIMILARITY_TOLERANCE = 1e-12
"""Largest relative difference to the ground truth's similarity."""


def version(settings: Settings) -> str:
    """Returns what `vultus --version` says."""
    return _output([str(settings.vultus), "--version"]).strip()


def check_exactness(settings: Settings, files: Files, truth: Truth) -> dict:
    """Compares the answers with the ground truth: the same rows in the same order, the same
    similarities. Returns the document that `vultus bench` prints about itself."""
    with tempfile.TemporaryDirectory() as folder:
        answers_path = Path(folder) / "answers.jsonl"
        command = _command(settings, files)
        command += ["--rounds", "1", "--json", "--answers", str(answers_path)]
        document = _parsed(_output(command), "the document of `vultus bench`")
        asked = {"rows": settings.rows, "dimension": settings.dim, "threads": settings.threads}
        for name, expected in asked.items():
            if document.get(name) != expected:
                raise Refusal(
                    f"reading the document of `vultus bench`: expected {name} {expected}, "
                    f"found {document.get(name)}"
                )
        answers = answers_path.read_text().splitlines()
    _compare([_parsed(line, "an answer of `vultus bench`") for line in answers], truth)
    return document


def _compare(answers: list[dict], truth: Truth) -> None:
    matches = {answer["probe"]: answer["matches"] for answer in answers}
    for probe, rows, similarities in zip(truth.probes, truth.rows, truth.similarities):
        doing = f"comparing the answers of Vultus to probe {probe} with the ground truth"
        found = matches.get(int(probe))
        if found is None:
            raise Refusal(f"{doing}: there is no answer")
        classes = [match["class"] for match in found]
        expected = (rows + 1).tolist()  # classes count from 1
        if classes != expected:
            raise Refusal(f"{doing}: expected classes {expected}, found {classes}")
        scores = np.array([match["similarity"] for match in found])
        if not np.allclose(scores, similarities, rtol=SIMILARITY_TOLERANCE, atol=0):
            worst = int(np.argmax(np.abs(scores / similarities - 1)))
            raise Refusal(
                f"{doing}: expected similarity {similarities[worst]!r} at rank {worst + 1}, "
                f"found {scores[worst]!r}"
            )


class Interactive:
    """A `vultus bench --interactive` that has loaded its rows and waits for cases."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("expected a process with pipes")
        self._process, self._input, self._output = process, process.stdin, process.stdout
        self.plans: dict[int, str] = {}
        """How each number of probes was answered, in Vultus's words."""

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Waits for the rows to be loaded."""
        if self._line("waiting until it is ready").get("ready") is not True:
            raise Refusal("waiting until `vultus bench` is ready: it said something else")

    def milliseconds(self, probes: int) -> float:
        """Runs one case once and returns the time Vultus took, as it measured it."""
        doing = f"asking {probes} probes"
        try:
            self._input.write(f"{probes}\n")
            self._input.flush()
        except BrokenPipeError:
            raise Refusal(f"{doing} of `vultus bench`: it has ended") from None
        answer = self._line(doing)
        if answer.get("probes") != probes or "ms" not in answer:
            raise Refusal(f"{doing} of `vultus bench`: found {answer}")
        self.plans[probes] = answer.get("plan", "")
        return float(answer["ms"])

    def end(self) -> None:
        """Ends its input, and so it."""
        self._input.close()
        with suppress(subprocess.TimeoutExpired):  # whoever started it will kill it
            self._process.wait(timeout=60)

    def _line(self, doing: str) -> dict:
        line = self._output.readline()
        if not line:
            code = self._process.wait()
            raise Refusal(f"{doing} of `vultus bench`: it ended with code {code}")
        return _parsed(line, f"its line when {doing}")


@contextmanager
def interactive(settings: Settings, files: Files) -> Iterator[tuple[Interactive, float]]:
    """Starts Vultus and waits for it; yields it and the seconds that took. Ends it afterwards."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*_command(settings, files), "--interactive"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        asked = Interactive(process)
        asked.wait_until_ready()
        yield asked, time.perf_counter() - started
        asked.end()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _command(settings: Settings, files: Files) -> list[str]:
    return [
        str(settings.vultus),
        "bench",
        "--embeddings",
        str(files.base),
        "--probe-embeddings",
        str(files.probes),
        "--probes",
        ",".join(map(str, settings.probes)),
        "--top",
        str(settings.top),
        "--threads",
        str(settings.threads),
    ]


def _output(command: list[str]) -> str:
    """Runs a command to its end; its standard error goes to ours."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    except FileNotFoundError:
        raise Refusal(f"starting `{command[0]}`: there is no such program") from None
    except subprocess.CalledProcessError as failed:
        what = " ".join(command[:2])
        raise Refusal(f"running `{what}`: it ended with code {failed.returncode}") from None


def _parsed(text: str, what: str) -> dict:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Refusal(f"reading {what}: {error}") from None
