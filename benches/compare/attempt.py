"""Tries one peer on few rows in a process of its own, so that a crash is an answer and not an end.

Run as `attempt.py KEY DIM TOP THREADS`; exits with 0 if the peer can be measured.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

TRIAL_ROWS = 2_000
TRIAL_SECONDS_MAX = 300


def why_not(key: str, dim: int, top: int, threads: int) -> str | None:
    """Returns why a peer cannot run on this machine, or nothing if it can."""
    command = [sys.executable, str(Path(__file__)), key, str(dim), str(top), str(threads)]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=TRIAL_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return f"no answer on {TRIAL_ROWS} rows in {TRIAL_SECONDS_MAX} s"
    if tried.returncode < 0:
        return f"ended by {signal.Signals(-tried.returncode).name} on {TRIAL_ROWS} rows"
    if tried.returncode:
        lines = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
        return lines[-1][:200]
    return None


def _attempt(key: str, dim: int, top: int, threads: int) -> None:
    import numpy as np

    from peers import PEERS, Gallery

    random = np.random.default_rng(0)
    base = random.standard_normal((max(TRIAL_ROWS, 2 * threads * top), dim), dtype=np.float32)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    search = next(peer for peer in PEERS if peer.key == key).build(Gallery(base, top, threads))
    for count in (1, 3):
        found = search(base[:count])
        if found is not None and found.shape != (count, top):
            raise ValueError(f"expected an answer of {count} x {top} rows, found {found.shape}")


if __name__ == "__main__":
    _attempt(sys.argv[1], *map(int, sys.argv[2:]))
