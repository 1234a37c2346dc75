"""Compares Vultus with its peers: the same rows and probes, the same threads, in one run.

Writes table.md, summary.md, results.csv, results.json, plot.png and, if hnswlib was run, hnsw.png.
README.md beside this file says what is measured and how.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from settings import Refusal, Settings

if TYPE_CHECKING:
    from data import Files, Truth

HERE = Path(__file__).resolve().parent

DIMENSIONS = (16, 4096)
"""Fewest and most values of a row that Vultus takes."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def main() -> int:
    """Runs the comparison; returns the exit code."""
    settings = parse(sys.argv[1:])
    limit_threads(settings.threads)
    try:
        run(settings)
    except Refusal as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 1
    return 0


def run(settings: Settings) -> None:
    """Makes the data, checks, measures and reports."""
    # Libraries read the thread variables when they are loaded: not before limit_threads.
    import machine

    machine.lend_kernel()
    import data
    import measure
    import plots
    import report
    from peers import PEERS

    known = ["vultus", *(peer.key for peer in PEERS)]
    unknown = [name for name in settings.only if name not in known]
    if unknown:
        raise Refusal(f"reading --only: expected some of {', '.join(known)}, found {unknown[0]}")
    about = {
        "date": datetime.date.today().isoformat(),
        "versions": machine.versions(),
    }
    measure.log("making data and ground truth")
    files = data.prepare(settings)
    truth = data.truth(settings, files)
    systems, document = _measured(settings, files, truth, about)
    about["blas"] = machine.blas()
    for one in about["blas"]:
        measure.log(f"{one['library']} {one['version']} ran kernels for {one['kernel']}")
    found = report.results(settings, systems, document, about)
    report.write(found, settings.out)
    plots.write(found, settings.out)
    measure.log(f"written to {settings.out}")


def _measured(settings: Settings, files: Files, truth: Truth, about: dict) -> tuple[list, dict]:
    """Measures all systems, with Vultus alive beside them unless it is not wanted."""
    import measure
    import program

    if not settings.wants("vultus"):
        systems = measure.build_peers(settings, files, truth)
        about["cpu_share_of_others"] = measure.measure(settings, systems, [])
        return systems, {}
    about["versions"]["vultus"] = program.version(settings)
    measure.log("checking that the answers of Vultus are exact")
    document = program.check_exactness(settings, files, truth)
    with program.interactive(settings, files) as (interactive, seconds):
        systems = [measure.vultus_system(interactive, seconds)]
        systems += measure.build_peers(settings, files, truth)
        about["cpu_share_of_others"] = measure.measure(settings, systems, [interactive.pid])
        document["plans"] = interactive.plans
    return systems, document


def limit_threads(threads: int) -> None:
    """Limits this process and those it starts, even libraries that heed no setting."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def parse(arguments: list[str]) -> Settings:
    """Reads the command line; ends the program with a message if it makes no sense."""
    parser = argparse.ArgumentParser(
        description="Compares Vultus with its peers on the same rows and probes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rows", type=_at_least(1000), default=1_000_000, help="rows of the gallery")
    add("--dim", type=_at_least(DIMENSIONS[0]), default=512, help="values of a row")
    add("--probes", type=_counts, default="1,8,64,512,1024", help="probes asked in one call")
    add("--threads", type=_at_least(1), default=2, help="threads of every system")
    add("--top", type=_at_least(1), default=20, help="rows in an answer")
    add("--rounds", type=_at_least(1), default=5, help="turns of a system at a number of probes")
    add("--data", choices=("random", "decaying"), default="random", help="spectrum of the rows")
    add("--seed", type=_at_least(0), default=1, help="seed of the data")
    add("--truth", type=_at_least(1), default=64, help="probes compared with the ground truth")
    add("--seconds-max", type=float, default=60.0, help="a longer call is made once")
    add("--only", type=_names, default="", help="systems to run, such as vultus,scann-i8")
    add("--out", type=_path, default=HERE / "cache/results", help="folder for the results")
    add("--cache", type=_path, default=HERE / "cache/data", help="folder for the data")
    add("--vultus", type=_path, default=HERE.parents[1] / "target/release/vultus", help="binary")
    given = parser.parse_args(arguments)
    _refuse_nonsense(parser, given)
    return Settings(**vars(given))


def _refuse_nonsense(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Checks what no single argument shows."""
    cpus = len(os.sched_getaffinity(0))
    if given.dim > DIMENSIONS[1]:
        parser.error(f"--dim: expected {DIMENSIONS[0]} to {DIMENSIONS[1]}, found {given.dim}")
    if given.threads > cpus:
        parser.error(f"--threads: expected at most {cpus}, all there are, found {given.threads}")
    if given.top * given.threads > given.rows:
        parser.error(f"--top: expected an answer within each thread's rows, found {given.top}")
    if not given.seconds_max > 0:
        parser.error(f"--seconds-max: expected more than 0, found {given.seconds_max}")
    if (not given.only or "vultus" in given.only) and not os.access(given.vultus, os.X_OK):
        parser.error(
            f"--vultus: `{given.vultus}` is no program; build it or leave it out by --only"
        )


def _at_least(least: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        try:
            value = int(text.replace("_", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, found `{text}`") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, found {value}")
        return value

    return parsed


def _counts(text: str) -> tuple[int, ...]:
    return tuple(sorted({_at_least(1)(part) for part in text.split(",")}))


def _path(text: str) -> Path:
    return Path(text).absolute()  # a bare name would be looked for among the system's programs


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


if __name__ == "__main__":
    sys.exit(main())
