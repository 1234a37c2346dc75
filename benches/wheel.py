#!/usr/bin/env python3
"""The Python module beside FAISS, numpy and the library without Python, from arrays to answers.

    pip install ./python faiss-cpu threadpoolctl
    cargo build --release --no-default-features --example exact_rows
    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benches/wheel.py --library target/release/examples/exact_rows
    TMPDIR=/dev/shm python benches/wheel.py --rows 1000000 --building

Each round asks all systems in turn and the table shows the median of the rounds. What counts is said
there: `exact_search` and the systems beside it begin with arrays and keep nothing, as if asked once;
`Gallery` beside a FAISS index is asked again and again, with building left out. The library is a process of
its own with the same rows, and tells its own time. `--building` measures alone how long it takes until an
array can be searched. Keep the machine quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument(
        "--probes",
        type=lambda text: [int(n) for n in text.split(",")],
        default=[1, 8, 64, 512],
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--library", type=Path, help="the program `exact_rows`")
    parser.add_argument("--building", action="store_true", help="measure building, and nothing else")
    return parser.parse_args()


def rows_and_probes(asked: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows in all directions; probes are noisy copies of some."""
    random = np.random.default_rng(1)
    rows = random.standard_normal((asked.rows, asked.dim), dtype=np.float32)
    count = max(asked.probes)
    probes = rows[:count] + random.standard_normal((count, asked.dim), dtype=np.float32)
    for array in (rows, probes):
        array /= np.linalg.norm(array, axis=1, keepdims=True)
    return rows, probes


def from_arrays(X: np.ndarray, asked: argparse.Namespace) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    import faiss
    import vultus

    def flat(Q: np.ndarray) -> np.ndarray:
        index = faiss.IndexFlatIP(asked.dim)
        index.add(X)
        return index.search(Q, asked.top)[1]

    def product(Q: np.ndarray) -> np.ndarray:
        scores = Q @ X.T
        best = np.argpartition(-scores, asked.top, axis=1)[:, : asked.top]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        return np.take_along_axis(best, order, 1)

    return {
        "vultus.exact_search": lambda Q: vultus.exact_search(X, Q, asked.top, threads=asked.threads)[1],
        "FAISS IndexFlatIP, add and search": flat,
        "numpy: product and argpartition": product,
    }


def prepared(X: np.ndarray, asked: argparse.Namespace) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    import faiss
    import vultus

    index = faiss.IndexFlatIP(asked.dim)
    index.add(X)
    gallery = vultus.Gallery(threads=asked.threads)
    began = time.perf_counter()
    gallery.add(X, np.arange(len(X)))
    print(f"Gallery.add: {time.perf_counter() - began:.2f} s")
    return {
        "vultus.Gallery": lambda Q: gallery.search(Q, asked.top).labels,
        "FAISS IndexFlatIP, search alone": lambda Q: index.search(Q, asked.top)[1],
    }


@contextmanager
def library(
    X: np.ndarray, Q: np.ndarray, asked: argparse.Namespace
) -> Iterator[dict[str, Callable[[np.ndarray], np.ndarray]]]:
    """The search of the library in a process of its own, whose answers carry the time that it took."""
    if asked.library is None:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("rows", "probes")]
        for file, array in zip(files, (X, Q)):
            array.astype("<f4", copy=False).tofile(file)
        command = [
            asked.library,
            *files,
            str(asked.dim),
            str(asked.threads),
            str(asked.top),
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def search(Q: np.ndarray) -> tuple[np.ndarray, float]:
            process.stdin.write(f"{len(Q)}\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline())
            return np.array(told["first"])[:, None], told["ms"] / 1000

        try:
            yield {"the library, without Python": search}
        finally:
            process.stdin.close()
            process.wait()


def measure(
    systems: dict[str, Callable[[np.ndarray], object]],
    Q: np.ndarray,
    asked: argparse.Namespace,
) -> None:
    print("| milliseconds | " + " | ".join(f"{count} probes" for count in asked.probes) + " |")
    print("| --- |" + " ---: |" * len(asked.probes))
    cells: dict[str, list[str]] = {name: [] for name in systems}
    for count in asked.probes:
        times: dict[str, list[float]] = {name: [] for name in systems}
        answers = {}
        for turn in range(asked.rounds + 1):
            for name, search in systems.items():
                began = time.perf_counter()
                found = search(Q[:count])
                took = time.perf_counter() - began
                answers[name], took = found if isinstance(found, tuple) else (found, took)
                # The first turn is for caches and threads.
                if turn:
                    times[name].append(took)
        first, *others = systems
        for name in systems:
            took = statistics.median(times[name]) * 1000
            ratios = [theirs / ours for ours, theirs in zip(times[first], times[name])]
            ratio = "" if name == first else f" ({statistics.median(ratios):.2f}x)"
            cells[name].append(f"{took:.1f}{ratio}")
        for name in others:
            columns = answers[name].shape[1]
            same = (answers[name] == answers[first][:, :columns]).mean()
            assert same > 0.999, f"{name} finds other rows: {same:.2%} are the same"
    for name, row in cells.items():
        print(f"| {name} | " + " | ".join(row) + " |")


def building(X: np.ndarray, asked: argparse.Namespace) -> None:
    """Until an array can be searched, beside what anybody pays: a copy of it, and a byte for each value."""
    import vultus

    def plain() -> None:
        copy = X.copy()
        codes = np.empty(copy.shape, np.int8)
        for start in range(0, len(copy), 8192):
            part = copy[start : start + 8192]
            scale = 127 / np.abs(part).max(axis=1, keepdims=True)
            np.rint(part * scale, out=codes[start : start + 8192], casting="unsafe")

    def gallery() -> None:
        with vultus.Gallery(threads=asked.threads) as made:
            made.add(X)
            made.search(X[:1], 1)
            ended.append(time.perf_counter())

    ended: list[float] = []
    took: dict[str, list[float]] = {
        "a copy and a byte for each value": [],
        "vultus.Gallery, to the first answer": [],
    }
    for _ in range(asked.rounds):
        for name, make in zip(took, (plain, gallery)):
            ended.clear()
            began = time.perf_counter()
            make()
            took[name].append((ended[0] if ended else time.perf_counter()) - began)
    plain_times, ours = took.values()
    for name, times in took.items():
        print(f"| {name} | {statistics.median(times):.2f} s |")
    ratio = statistics.median([our / their for our, their in zip(ours, plain_times)])
    print(f"| ratio | {ratio:.2f} |\n\nin {tempfile.gettempdir()}, load {os.getloadavg()[0]:.1f}")


def main() -> None:
    asked = arguments()
    X, Q = rows_and_probes(asked)
    if asked.building:
        print(f"{asked.rows} x {asked.dim}, {asked.threads} threads, median of {asked.rounds} rounds\n")
        building(X, asked)
        return
    import faiss
    from threadpoolctl import threadpool_limits

    print(f"{asked.rows} x {asked.dim}, best {asked.top}, {asked.threads} threads, median of {asked.rounds} rounds\n")
    with threadpool_limits(asked.threads):
        faiss.omp_set_num_threads(asked.threads)
        with library(X, Q, asked) as alone:
            measure(from_arrays(X, asked) | alone, Q, asked)
        print()
        measure(prepared(X, asked), Q, asked)


if __name__ == "__main__":
    main()
