"""Jobs on a Spark cluster whose workers, executors and drivers are killed: what is found must be
what all comparisons in double precision find, and no piece may be done twice that was done."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cluster import PATIENCE, Cluster, children, kill_tree, settings, until
from naive_jobs import people, same_pairs

from vultus import jobs

HERE = Path(__file__).parent
THRESHOLD, BLOCK_ROWS, ROWS = 0.5, 100, 1_400
PIECES = ROWS // BLOCK_ROWS * (ROWS // BLOCK_ROWS + 1) // 2


class Proof:
    """A cluster, a gallery, and what is to be found in it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.gallery, self.classes = people(31, ROWS, 64)
        self.path = folder / "gallery.parquet"
        table = {"class": self.classes, "embedding": self.gallery.tolist()}
        types = pa.schema([("class", pa.int64()), ("embedding", pa.list_(pa.float32()))])
        pq.write_table(pa.table(table, types), self.path, row_group_size=256)

    def driver(self, out: str, conf: Path | None = None) -> subprocess.Popen[str]:
        """Starts a driver on the cluster."""
        what = [str(self.path), str(self.folder / out), str(THRESHOLD), str(BLOCK_ROWS)]
        return self.child("driver.py", what, conf)

    def child(self, file: str, what: list[str], conf: Path | None = None) -> subprocess.Popen[str]:
        """Starts a Python program that talks to the cluster."""
        with open(self.folder / f"{file}.{time.monotonic_ns()}.log", "w") as log:
            child = subprocess.Popen(
                [sys.executable, HERE / file, self.cluster.url, *what],
                env=self.cluster.environment(conf),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        child.log = log.name  # type: ignore[attr-defined]
        self.cluster.running.append(child)
        return child

    def ends_well(self, child: subprocess.Popen[str]) -> str:
        """What a program says at its end."""
        said, _ = child.communicate(timeout=PATIENCE)
        if child.returncode:
            log = Path(child.log).read_text()  # type: ignore[attr-defined]
            raise SystemExit(f"a driver failed ({child.returncode}): {said}\n{log[-4000:]}")
        return said.strip().splitlines()[-1]

    def pieces(self, out: str) -> dict[str, tuple[int, int]]:
        """The files of a job, each with its inode and time: another one was written anew."""
        found = {}
        for path in (self.folder / out / "pairs").glob("[0-9]*.parquet"):
            stat = path.stat()
            found[path.name] = (stat.st_ino, stat.st_mtime_ns)
        return found

    def in_the_middle(self, out: str, child: subprocess.Popen[str]) -> None:
        """Waits until some pieces are there."""
        until(
            f"{out} has begun",
            lambda: len(self.pieces(out)) >= PIECES // 10 or child.poll() is not None,
        )

    def is_right(self, out: str) -> None:
        """What was found is what must be, byte by byte what one machine finds alone."""
        found = jobs.Duplicates(
            str(self.folder / out / "pairs.parquet"),
            str(self.folder / out / "groups.parquet"),
            True,
        )
        same_pairs(found, self.gallery, self.classes, THRESHOLD)
        alone = self.folder / "alone"
        if not alone.exists():
            jobs.duplicates(
                self.path, THRESHOLD, alone, block_rows=BLOCK_ROWS, engine=jobs.Local(1, False)
            )
        files = [path.relative_to(alone) for path in alone.rglob("*.parquet")]
        assert len(files) == PIECES + 2, len(files)
        for file in files:
            assert (alone / file).read_bytes() == (self.folder / out / file).read_bytes(), file


def a_worker_is_killed(proof: Proof) -> str:
    """With its executor and Python processes, in mid-job: the other one does the rest."""
    child = proof.driver("worker-killed")
    proof.in_the_middle("worker-killed", child)
    worker = proof.cluster.workers.pop()
    before = proof.pieces("worker-killed")
    executors = children(worker.pid)
    kill_tree(worker.pid)
    assert executors, "the worker had no executor"
    assert len(before) < PIECES, "the job was over before the worker was killed"
    said = proof.ends_well(child)
    after = proof.pieces("worker-killed")
    assert before.items() <= after.items(), "a piece that was done was done again"
    proof.is_right("worker-killed")
    proof.cluster.add_worker("worker2")
    return f"killed with {len(before)} of {PIECES} pieces done: {said}"


def an_executor_is_killed(proof: Proof) -> str:
    """Alone: its worker starts another."""
    child = proof.driver("executor-killed")
    proof.in_the_middle("executor-killed", child)
    before = proof.pieces("executor-killed")
    executor = children(proof.cluster.workers[0].pid)
    kill_tree(executor[0])
    assert len(before) < PIECES, "the job was over before the executor was killed"
    said = proof.ends_well(child)
    proof.is_right("executor-killed")
    return f"killed with {len(before)} of {PIECES} pieces done: {said}"


def the_driver_is_killed(proof: Proof) -> str:
    """In mid-job: another one goes on with what is left."""
    child = proof.driver("driver-killed")
    proof.in_the_middle("driver-killed", child)
    kill_tree(child.pid)
    child.wait()
    before = proof.pieces("driver-killed")
    assert len(before) < PIECES, "the job was over before the driver was killed"
    assert not (proof.folder / "driver-killed" / "pairs.parquet").exists()
    said = proof.ends_well(proof.driver("driver-killed"))
    assert said.endswith("resumed: True"), said
    after = proof.pieces("driver-killed")
    lost = {name for name in before if before[name] != after[name]}
    assert not lost, f"pieces that were done were done again: {lost}"
    proof.is_right("driver-killed")
    return f"killed with {len(before)} of {PIECES} pieces done: {said}"


def a_wrong_secret_is_refused(proof: Proof) -> str:
    """Whoever does not know the secret gets nothing done."""

    # What the master says: the driver is often cut off before it has read why.
    def refusals() -> int:
        return proof.cluster.log("master").count("Authentication failed for client")

    assert not refusals(), "somebody who knows the secret was refused"
    conf = settings(proof.folder / "wrong", "0" * 64)
    child = proof.driver("wrong-secret", conf)
    until("the driver is refused", lambda: refusals() > 0 or child.poll() is not None)
    # It asks again every twenty seconds. Nothing may come of what it has in the meantime.
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(5)
    kill_tree(child.pid)
    said, _ = child.communicate()
    assert refusals(), Path(child.log).read_text()  # type: ignore[attr-defined]
    assert "pairs" not in said and not proof.pieces("wrong-secret"), said
    return "the master refused it"


def frames(proof: Proof) -> str:
    """DataFrames and refusals."""
    return proof.ends_well(
        proof.child("frames.py", [str(proof.folder / "frames"), str(proof.path)])
    )


def nothing_is_said_in_clear(proof: Proof) -> str:
    """No log of any process has the secret."""
    logs = list(proof.folder.rglob("*.log")) + list(proof.folder.rglob("std*"))
    for log in logs:
        assert proof.cluster.secret not in log.read_text(errors="replace"), log
    return f"the secret is in none of {len(logs)} logs"


def main() -> None:
    """All of it, one after the other."""
    np.seterr(all="raise")
    trials = [
        frames,
        a_worker_is_killed,
        an_executor_is_killed,
        the_driver_is_killed,
        a_wrong_secret_is_refused,
        nothing_is_said_in_clear,
    ]
    # Names of trials may be given, to do those alone.
    trials = [trial for trial in trials if not sys.argv[1:] or trial.__name__ in sys.argv[1:]]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "frames").mkdir()
        with Cluster(folder) as cluster:
            print(f"a master and two workers after {time.monotonic() - began:.0f} s", flush=True)
            proof = Proof(cluster, folder)
            for trial in trials:
                began = time.monotonic()
                said = trial(proof)
                name = trial.__name__.replace("_", " ")
                print(f"{name}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{len(trials)} passed, 0 failed")


if __name__ == "__main__":
    main()
