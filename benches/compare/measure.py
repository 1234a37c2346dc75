"""Builds the systems and measures them by turns."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import machine
from attempt import why_not
from data import Files, Truth
from peers import PEERS, Gallery, Peer, Search
from program import Interactive
from settings import REFERENCE, Refusal, Settings

PAUSE_SECONDS = 0.1
"""Rest before each system's turn, while the threads of the one before stop waiting for work."""

TURN_SECONDS = 0.25
REPEATS_MAX = 20
"""A turn repeats its call until it has lasted so long, or so often; its median counts."""

EXACT_RECALL = 0.99
"""What a scan in single precision reaches: two nearly equal rows may change places at the end."""

RESERVE_BYTES = 1 << 30

Milliseconds = Callable[[int], float]
"""Asks the first so many probes once and returns the time that took."""


@dataclass
class Case:
    """One system at one number of probes."""

    milliseconds: list[float] = field(default_factory=list)
    """The median of each round's turn."""
    single: bool = False
    """Whether a call took so long that it was made once."""


@dataclass
class System:
    """One row of the table."""

    key: str
    label: str
    exact: bool
    milliseconds: Milliseconds | None = None
    not_run: str | None = None
    """Why there are no times."""
    build_seconds: float | None = None
    recall_1: float | None = None
    recall_top: float | None = None
    chosen: dict[int, str] = field(default_factory=dict)
    """Of a system that tries several ways: the fastest at each number of probes."""
    cases: dict[int, Case] = field(default_factory=dict)


def log(text: str) -> None:
    """Says on standard error how far things are."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def vultus_system(vultus: Interactive, build_seconds: float) -> System:
    """Makes Vultus, whose answers have been found exact, a row of the table."""
    return System(
        "vultus",
        "Vultus",
        exact=True,
        milliseconds=vultus.milliseconds,
        build_seconds=build_seconds,
        recall_1=1.0,
        recall_top=1.0,
    )


def build_peers(settings: Settings, files: Files, truth: Truth) -> list[System]:
    """Builds all peers that can run and compares their answers with the ground truth."""
    probes = np.load(files.probes)
    asked = tuple(probes[:count] for count in settings.probes)
    gallery = Gallery(np.load(files.base), settings.top, settings.threads, asked)
    wanted = [peer for peer in PEERS if settings.wants(peer.key)]
    return [_build(settings, peer, gallery, probes, truth) for peer in wanted]


def _build(
    settings: Settings, peer: Peer, gallery: Gallery, probes: np.ndarray, truth: Truth
) -> System:
    system = System(peer.key, peer.label, peer.exact)
    system.not_run = _obstacle(settings, peer)
    if system.not_run is None:
        log(f"building {peer.key}")
        try:
            started = time.perf_counter()
            search = peer.build(gallery)
            system.build_seconds = time.perf_counter() - started
            system.milliseconds = _timed(search, probes)
            system.chosen = gallery.chosen.get(peer.key, {})
            for count, way in system.chosen.items():
                log(f"{peer.key}, {count} probes: fastest is {way}")
            _check_answers(system, search(probes[truth.probes]), truth)
        except Exception as error:  # whatever a library raises is its row's reason
            if isinstance(error, Refusal):
                raise
            system.milliseconds = None
            system.not_run = f"{type(error).__name__}: {error}"[:200]
    if system.not_run is not None:
        log(f"{peer.key} is not run: {system.not_run}")
        if peer.key == REFERENCE:
            raise Refusal(f"building the reference, {peer.label}: {system.not_run}")
    return system


def _obstacle(settings: Settings, peer: Peer) -> str | None:
    """Returns what keeps a peer from being built, if anything does."""
    if peer.rows_max is not None and settings.rows > peer.rows_max:
        return f"building takes too long beyond {peer.rows_max:,} rows"
    needed = peer.bytes_per_row(settings.dim) * settings.rows + RESERVE_BYTES
    available = machine.bytes_available()
    if needed > available:
        return f"needs {needed / 1e9:.1f} GB of memory with reserve, {available / 1e9:.1f} are free"
    return why_not(peer.key, settings.dim, settings.top, settings.threads)


def _timed(search: Search, probes: np.ndarray) -> Milliseconds:
    def milliseconds(count: int) -> float:
        asked = probes[:count]
        started = time.perf_counter()
        search(asked)
        return (time.perf_counter() - started) * 1e3

    return milliseconds


def _check_answers(system: System, answers: np.ndarray | None, truth: Truth) -> None:
    """Notes the recall; a system that claims to be exact and is not loses the claim."""
    if answers is None:
        return
    system.recall_1, system.recall_top = recalls(answers, truth)
    if system.exact and system.recall_top < EXACT_RECALL:
        if system.key == REFERENCE:
            raise Refusal(
                f"comparing {system.label} with the ground truth: expected a recall of at least "
                f"{EXACT_RECALL}, found {system.recall_top:.4f}"
            )
        log(f"{system.key} should be exact; its recall is {system.recall_top:.4f}")
        system.exact = False


def recalls(answers: np.ndarray, truth: Truth) -> tuple[float, float]:
    """Returns how often the best row comes first, and which share of the best rows is found."""
    first = float(np.mean(answers[:, 0] == truth.rows[:, 0]))
    shares = [np.isin(rows, found).mean() for rows, found in zip(truth.rows, answers)]
    return first, float(np.mean(shares))


def measure(settings: Settings, systems: list[System], companions: list[int]) -> float:
    """Times all systems, one after the other in each round, so that noise meets all alike.

    Returns the share of the processors that other programs took meanwhile; `companions` are
    processes of ours.
    """
    others = machine.Others(companions)
    running = [(system, system.milliseconds) for system in systems if system.milliseconds]
    for probes in settings.probes:
        for turn in range(settings.rounds):
            times = []
            for system, milliseconds in running:
                case = system.cases.setdefault(probes, Case())
                if not case.single:
                    time.sleep(PAUSE_SECONDS)
                    _take_turn(milliseconds, probes, case, settings.seconds_max)
                    times.append(f"{system.key} {case.milliseconds[-1]:.4g}")
            log(f"{probes} probes, round {turn + 1} of {settings.rounds}, ms: {', '.join(times)}")
    return others.share()


def _take_turn(milliseconds: Milliseconds, probes: int, case: Case, seconds_max: float) -> None:
    taken = [milliseconds(probes)]
    case.single = taken[0] > seconds_max * 1e3
    while sum(taken) < TURN_SECONDS * 1e3 and len(taken) < REPEATS_MAX:
        taken.append(milliseconds(probes))
    case.milliseconds.append(statistics.median(taken))


def best_exact(systems: list[System], probes: int) -> System:
    """Returns the fastest exact peer at a number of probes; Vultus is none, whichever way called."""
    peers = [system for system in systems if system.exact and not system.key.startswith("vultus")]
    measured = [system for system in peers if probes in system.cases]
    return min(measured, key=lambda peer: statistics.median(peer.cases[probes].milliseconds))


def ratio(of: Case, to: Case) -> float:
    """Returns how many times longer `of` takes than `to`: the median over the rounds of both."""
    pairs = zip(of.milliseconds, to.milliseconds)
    return statistics.median(long / short for long, short in pairs)
