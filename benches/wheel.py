#!/usr/bin/env python3
"""The Python module beside FAISS and numpy, from arrays to answers.

    pip install ./python faiss-cpu threadpoolctl
    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benches/wheel.py

Each round asks all systems in turn and the table shows the median of the rounds. What counts is said
there: `exact_search` and the systems beside it begin with arrays and keep nothing, as if asked once;
`Gallery` beside a FAISS index is asked again and again, with building left out. Keep the machine quiet.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--probes", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 64, 512])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
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


def measure(systems: dict[str, Callable[[np.ndarray], np.ndarray]], Q: np.ndarray, asked: argparse.Namespace) -> None:
    print("| milliseconds | " + " | ".join(f"{count} probes" for count in asked.probes) + " |")
    print("| --- |" + " ---: |" * len(asked.probes))
    cells: dict[str, list[str]] = {name: [] for name in systems}
    for count in asked.probes:
        times: dict[str, list[float]] = {name: [] for name in systems}
        answers = {}
        for turn in range(asked.rounds + 1):
            for name, search in systems.items():
                began = time.perf_counter()
                answers[name] = search(Q[:count])
                # The first turn is for caches and threads.
                if turn:
                    times[name].append(time.perf_counter() - began)
        first, *others = systems
        for name in systems:
            took = statistics.median(times[name]) * 1000
            ratios = [theirs / ours for ours, theirs in zip(times[first], times[name])]
            ratio = "" if name == first else f" ({statistics.median(ratios):.2f}x)"
            cells[name].append(f"{took:.1f}{ratio}")
        for name in others:
            same = (answers[name] == answers[first]).mean()
            assert same > 0.999, f"{name} finds other rows: {same:.2%} are the same"
    for name, row in cells.items():
        print(f"| {name} | " + " | ".join(row) + " |")


def main() -> None:
    asked = arguments()
    import faiss
    from threadpoolctl import threadpool_limits

    X, Q = rows_and_probes(asked)
    print(f"{asked.rows} x {asked.dim}, best {asked.top}, {asked.threads} threads, median of {asked.rounds} rounds\n")
    with threadpool_limits(asked.threads):
        faiss.omp_set_num_threads(asked.threads)
        measure(from_arrays(X, asked), Q, asked)
        print()
        measure(prepared(X, asked), Q, asked)


if __name__ == "__main__":
    main()
