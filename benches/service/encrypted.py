#!/usr/bin/env python3
"""What an encrypted data directory costs beside a plain one.

    benches/service/encrypted.py target/release/vultus [--rows 1000000] [--dim 512] [--rounds 3]
        [--questions 60] [--passes 6] [--starts 5] [--in-a-row 1] [--directory DIR] [--written-only]

Makes up rows, and in each round imports them into a plain and into an encrypted data directory, compacts
it, which writes all files anew as one, erases four people, and verifies all, in turns. Then starts a
service on each, `--starts` times in turns, and asks it once, which reads (and decrypts) what others only
search. Memory that its host has taken back is given to a virtual machine at half a gigabyte a second or
so. A service that begins just after one of its kind finds what that one had: with `--in-a-row` each is
started so many times at a stretch, and the last one counts. At last both are asked in turns, the same
questions again and again: each new one reads a little of what it alone looks up. Prints medians, and
those of the ratios within a round or of questions that came one after the other. Needs nothing but
Python, and about twice 2.6 KB of disk for a row at 512 values.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from records import asker
from run import ENCODER, PORT, Service, write_rows

PARTITION = "bench.1"
KINDS = ("plain", "encrypted")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--passes", type=int, default=6)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--in-a-row", type=int, default=1)
    parser.add_argument("--written-only", action="store_true", help="start no service, ask nothing")
    parser.add_argument("--directory", help="where the galleries are made")
    options = parser.parse_args()
    counts = (options.rounds, options.questions, options.starts, options.passes - 1, options.in_a_row)
    if options.rows < 100 or min(counts) < 1:
        parser.error("expected 100 rows, a round, a question, a start and two passes at least")
    if not os.access(options.program, os.X_OK):
        parser.error(f"{options.program} is no program; build it with `cargo build --release`")
    with tempfile.TemporaryDirectory(prefix="vultus-encrypted-", dir=options.directory) as directory:
        Bench(options, Path(directory)).run()


class Bench:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.rows = directory / "rows.npy"
        self.key = directory / "master.key"

    def run(self):
        write_rows(self.rows, self.options.rows, self.options.dim)
        self.key.write_bytes(os.urandom(32))
        self.key.chmod(0o600)
        # Whoever begins in one round is second in the next: the first may find more memory free.
        rounds = [{kind: self.written(kind) for kind in KINDS[::1 - at % 2 * 2]}
                  for at in range(self.options.rounds)]
        for step in ("import", "compact", "erase", "verify"):
            tell(step, [[one[kind][step] for kind in KINDS] for one in rounds], "s")
        if not self.options.written_only:
            self.asked()

    def written(self, kind):
        """Seconds of what is done to a new data directory, which is left for the questions."""
        shutil.rmtree(self.directory / kind, ignore_errors=True)
        found = {"import": self.timed(kind, "gallery", "import", "--quiet", "--partition", PARTITION,
                                      "--encoder", ENCODER, self.rows)}
        found["compact"] = self.timed(kind, "gallery", "compact", "--quiet")
        some = range(1, self.options.rows + 1, self.options.rows // 4)
        some = [word for one in some for word in ("--class", one)]
        found["erase"] = self.timed(kind, "gallery", "erase", "--quiet", "--partition", PARTITION, *some)
        found["verify"] = self.timed(kind, "gallery", "verify", "--quiet")
        return found

    def timed(self, kind, *words):
        began = time.monotonic()
        self.command(kind, *words)
        return time.monotonic() - began

    def command(self, kind, *words):
        words = [self.options.program, *map(str, words), *self.flags(kind)]
        return subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout

    def flags(self, kind):
        return ["--data-dir", str(self.directory / kind), *self.secret(kind)]

    def secret(self, kind):
        made = ["--encryption", "on", "--master-key", f"file:{self.key}"]
        return made if kind == "encrypted" else []

    def asked(self):
        keys = {kind: self.made_key(kind) for kind in KINDS}
        starts = [{kind: self.started(kind, keys[kind]) for kind in KINDS[::1 - at % 2 * 2]}
                  for at in range(self.options.starts)]
        for at, step in enumerate(("start of the service", "first question")):
            tell(step, [[one[kind][at] for kind in KINDS] for one in starts], "ms")
        with ExitStack() as services:
            for kind in KINDS:
                services.enter_context(self.service(kind))
            passes = [self.questions(keys) for _ in range(self.options.passes)]
        tell("other new questions", passes[0][1:] or passes[0], "ms")
        tell("the same again", [pair for one in passes[1:] for pair in one], "ms")

    def made_key(self, kind):
        key = self.command(kind, "key", "create", "--name", "bench", "--scopes",
                           "identify,embeddings,scores", "--everything", "--json")
        return json.loads(key)["key"]

    def service(self, kind):
        flags = self.secret(kind)
        return Service(self.options.program, self.directory / kind, PORT + KINDS.index(kind), flags)

    def started(self, kind, key):
        """Milliseconds of the last of some starts, and of the first question after it."""
        for _ in range(self.options.in_a_row):
            found = self.started_once(kind, key)
        return found

    def started_once(self, kind, key):
        began = time.monotonic()
        with self.service(kind):
            start = 1e3 * (time.monotonic() - began)
            ask = asker(key, self.options.dim, port=PORT + KINDS.index(kind))
            return start, ask(PARTITION)

    def questions(self, keys):
        """Milliseconds of each of the same questions, asked of both in turns."""
        asks = [asker(keys[kind], self.options.dim, port=PORT + at) for at, kind in enumerate(KINDS)]
        return [[ask(PARTITION) for ask in asks] for _ in range(self.options.questions)]


def tell(name, pairs, unit):
    plain, encrypted = (statistics.median(times) for times in zip(*pairs))
    ratio = statistics.median(one[1] / one[0] for one in pairs)
    print(f"{name}: plain {plain:.2f} {unit}, encrypted {encrypted:.2f} {unit}, {ratio:.3f} times as long")


if __name__ == "__main__":
    main()
