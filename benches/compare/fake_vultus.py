#!/usr/bin/env python3
"""Stands in for `vultus bench` in test_compare.py: a full sort by numpy, with the same interface.

With FAKE_FAULT set it answers wrongly: `order` swaps two rows, `similarity` changes one a little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import numpy as np


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        print("vultus 0.0.0-fake")
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["bench"])
    parser.add_argument("--embeddings", required=True)
    parser.add_argument("--probe-embeddings", required=True)
    parser.add_argument("--probes", required=True)
    parser.add_argument("--top", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--answers")
    parser.add_argument("--interactive", action="store_true")
    asked = parser.parse_args()
    rows = np.load(asked.embeddings).astype(np.float64)
    probes = np.load(asked.probe_embeddings).astype(np.float64)
    if asked.interactive:
        converse(rows, probes, asked.top)
    else:
        bench(asked, rows, probes)


def identify(rows: np.ndarray, probes: np.ndarray, top: int) -> list[list[dict]]:
    lengths = np.linalg.norm(rows, axis=1)
    cosines = probes @ rows.T / lengths / np.linalg.norm(probes, axis=1, keepdims=True)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :top]
    return [
        [{"class": int(row) + 1, "similarity": float(line[row])} for row in best]
        for best, line in zip(order, cosines)
    ]


def converse(rows: np.ndarray, probes: np.ndarray, top: int) -> None:
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        count = int(line)
        started = time.perf_counter()
        identify(rows, probes[:count], top)
        taken = (time.perf_counter() - started) * 1e3
        print(json.dumps({"probes": count, "ms": taken, "plan": "fake"}), flush=True)


def bench(asked: argparse.Namespace, rows: np.ndarray, probes: np.ndarray) -> None:
    counts = [int(count) for count in asked.probes.split(",")]
    answers = identify(rows, probes[: max(counts)], asked.top)
    fault = os.environ.get("FAKE_FAULT")
    for matches in answers:
        if fault == "order":
            matches[3], matches[4] = matches[4], matches[3]
        if fault == "similarity":
            matches[2]["similarity"] *= 1 + 1e-9
    with open(asked.answers, "w") as file:
        for probe, matches in enumerate(answers):
            print(json.dumps({"probe": probe, "matches": matches}), file=file)
    document = {"rows": len(rows), "dimension": rows.shape[1], "threads": asked.threads}
    cases = [{"probes": count, "median_ms": 1.0, "plan": "fake"} for count in counts]
    print(json.dumps({**document, "machine": {}, "cases": cases}))


if __name__ == "__main__":
    main()
