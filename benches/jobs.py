#!/usr/bin/env python3
"""What `vultus plan --job` says, beside what jobs take: all pairs and many probes, in one block and in many, in this
process and on a Spark cluster of two workers.

    pip install './python[spark]'
    cargo build --release
    python benches/jobs.py target/release/vultus
    python benches/jobs.py target/release/vultus --spark

Each round makes the plan of each case and then does the job, from `.npy` files to merged results; a plan that is off
by more than it says of itself counts as missed. Rows are made up and nobody is in there twice. Spark: a standalone
master and two workers of one core each, as `scripts/spark.sh` has them. What a job of the same number of tasks over
next to nothing takes is measured first: it is the start of a task (`--start-seconds`) and what Spark takes once, which
is added to the plan. Keep the machine quiet.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus import jobs

ROOT = Path(__file__).parent.parent
#: What nobody reaches who is made up.
THRESHOLD = 0.6
K = 20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vultus", type=Path, help="the program")
    parser.add_argument("--rows", type=int, default=80_000)
    parser.add_argument("--probes", type=int, default=24_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--block-rows", type=int, default=20_000, help="of the cases with many blocks")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spark", action="store_true", help="on a cluster, in place of this process")
    return parser.parse_args()


@dataclass(frozen=True)
class Case:
    kind: str
    block_rows: int
    #: Of `identify`; duplicates have one always.
    threshold: float | None = None

    def tasks(self, asked: argparse.Namespace) -> int:
        blocks, given = (math.ceil(rows / self.block_rows) for rows in (asked.rows, asked.probes))
        return blocks * (blocks + 1) // 2 if self.kind == "duplicates" else blocks * given

    def __str__(self) -> str:
        least = "" if self.threshold is None else f" from {self.threshold} on"
        return f"{self.kind}{least}, blocks of {self.block_rows}"


class Engine:
    """This process, one task after the other with all threads."""

    name = "one machine"
    tasks_at_a_time = 1

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self.asked, self.folder = asked, folder
        # What is imported, and what begins, with the first job.
        self._tiny(4)

    def duplicates(self, gallery: Path, out: Path, block_rows: int) -> None:
        jobs.duplicates(gallery, THRESHOLD, out, block_rows=block_rows, engine=self._local())

    def identify(self, probes: Path, gallery: Path, out: Path, **options: Any) -> None:
        jobs.identify(probes, gallery, K, out, engine=self._local(), **options)

    def starts(self, tasks: int) -> tuple[float, float]:
        """Seconds until a task begins, and what a job takes once."""
        return 0.0, 0.0

    def _local(self) -> jobs.Local:
        return jobs.Local(self.asked.threads, False)

    def _tiny(self, rows: int) -> float:
        """How long a job over so many blocks of one row takes."""
        gallery, out = self.folder / f"tiny{rows}.npy", self.folder / "tiny"
        np.save(gallery, np.eye(16, dtype=np.float32)[np.arange(rows) % 16])
        began = time.perf_counter()
        self.duplicates(gallery, out, 1)
        seconds = time.perf_counter() - began
        shutil.rmtree(out)
        return seconds


class OnSpark(Engine):
    """Two workers of one core each, on this machine."""

    name = "Spark, two workers"
    tasks_at_a_time = 2

    def __init__(self, asked: argparse.Namespace, session: Any, folder: Path) -> None:
        self.session = session
        super().__init__(asked, folder)
        self._once = min(self._tiny(1) for _ in range(3))

    def duplicates(self, gallery: Path, out: Path, block_rows: int) -> None:
        from vultus import spark

        spark.duplicates(os.fspath(gallery), THRESHOLD, out, block_rows=block_rows, session=self.session)

    def identify(self, probes: Path, gallery: Path, out: Path, **options: Any) -> None:
        from vultus import spark

        spark.identify(os.fspath(probes), os.fspath(gallery), K, out, session=self.session, **options)

    def starts(self, tasks: int) -> tuple[float, float]:
        # As many blocks of one row each as make about as many tasks.
        tiny = max(2, round(math.sqrt(2 * tasks)))
        rounds = math.ceil(tiny / 2) + math.ceil(tiny * (tiny + 1) / 4)
        seconds = min(self._tiny(tiny) for _ in range(3))
        # One block is a round of each kind.
        start = max(0.0, (seconds - self._once) / (rounds - 2) - TASK_SECONDS)
        return start, max(0.0, self._once - 2 * start)


#: What a plan counts for each task anyway.
TASK_SECONDS = 0.0045


def plan(case: Case, asked: argparse.Namespace, engine: Engine, start_seconds: float) -> dict[str, Any]:
    command = [asked.vultus, "plan", "--json", "--job", case.kind, "--rows", asked.rows, "--dim", asked.dim]
    command += ["--block-rows", case.block_rows, "--threads", asked.threads, "--tasks", engine.tasks_at_a_time]
    command += ["--start-seconds", f"{start_seconds:.4f}"]
    if case.kind == "identify":
        command += ["--probes", asked.probes, "--k", K]
    if case.threshold is not None:
        command += ["--threshold", case.threshold]
    said = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    return dict(json.loads(said))


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(asked: argparse.Namespace, engine: Engine, folder: Path) -> None:
    random = np.random.default_rng(1)
    gallery, probes = folder / "gallery.npy", folder / "probes.npy"
    np.save(gallery, random.standard_normal((asked.rows, asked.dim), dtype=np.float32))
    np.save(probes, random.standard_normal((asked.probes, asked.dim), dtype=np.float32))
    blocks = (asked.rows, asked.block_rows)
    kinds = (("duplicates", None), ("identify", None), ("identify", THRESHOLD))
    cases = [Case(kind, rows, threshold) for kind, threshold in kinds for rows in blocks]
    ratios: dict[Case, list[float]] = {case: [] for case in cases}
    missed = 0
    print(f"{engine.name}; {asked.rows:,} x {asked.dim}, {asked.probes:,} probes, the best {K}; {load()}\n")
    print("| case | tasks | plan | compare | survey and read | start | merge | run | run / plan |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for _ in range(asked.rounds):
        for case in cases:
            start_seconds, once = engine.starts(case.tasks(asked))
            known = plan(case, asked, engine, start_seconds)
            out = folder / "out"

            def work(case: Case = case, out: Path = out) -> None:
                if case.kind == "duplicates":
                    engine.duplicates(gallery, out, case.block_rows)
                else:
                    engine.identify(probes, gallery, out, block_rows=case.block_rows, threshold=case.threshold)

            seconds = timed(work)
            shutil.rmtree(out)
            planned = known["seconds"] + once
            ratios[case].append(seconds / planned)
            missed += not abs(seconds / planned - 1) <= known["error"]
            rounds = known["tasks_seconds"] / known["task_seconds"]
            parts = (
                planned,
                rounds * known["task_compare_seconds"],
                rounds * known["task_read_seconds"] + known["survey_seconds"],
                once + rounds * start_seconds,
                known["merge_seconds"],
                seconds,
            )
            row = " | ".join(f"{part:.2f} s" for part in parts)
            print(f"| {case} | {known['tasks']} | {row} | {seconds / planned:.2f} |", flush=True)
    print(f"\nmedian of run / plan; {load()}")
    for case, found in ratios.items():
        print(f"* {case}: {statistics.median(found):.2f}")
    within = sum(abs(ratio - 1) <= 0.2 for found in ratios.values() for ratio in found)
    print(f"{within} of {asked.rounds * len(cases)} runs within 20 %; {missed} missed what the plan said of itself")


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def main() -> None:
    asked = arguments()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if not asked.spark:
            measure(asked, Engine(asked, folder), folder)
            return
        sys.path.insert(0, os.fspath(ROOT / "scripts/spark"))
        from cluster import Cluster
        from pyspark.sql import SparkSession

        with Cluster(folder / "cluster") as cluster:
            os.environ.update(cluster.environment())
            builder = SparkSession.builder.master(cluster.url).appName("plan")
            session = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
            try:
                measure(asked, OnSpark(asked, session, folder), folder)
            finally:
                session.stop()


if __name__ == "__main__":
    main()
