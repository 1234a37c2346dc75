#!/usr/bin/env python3
"""What an encrypted data directory costs beside a plain one.

    benches/service/encrypted.py target/release/vultus [--rows 1000000] [--dim 512] [--rounds 3]
        [--questions 60] [--passes 6] [--directory DIR] [--written-only]

Makes up rows, and in each round imports them into a plain and into an encrypted data directory, compacts
it, which writes all files anew as one, erases four people, and verifies all, in turns. Then starts a service on each and asks them in
turns, the same questions again and again: the first reads (and decrypts) what others only search, and
each new one a little of what it alone looks up. Prints medians, and
those of the ratios within a round or of questions that came one after the other. Needs nothing but
Python, and about twice 1.3 KB of disk for a row at 512 values.
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
    parser.add_argument("--written-only", action="store_true", help="start no service, ask nothing")
    parser.add_argument("--directory", help="where the galleries are made")
    options = parser.parse_args()
    if options.rows < 100 or min(options.rounds, options.questions - 1, options.passes - 1) < 1:
        parser.error("expected 100 rows, a round, two questions and two passes at least")
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
        began, keys = {}, {}
        with ExitStack() as services:
            for number, kind in enumerate(KINDS):
                key = self.command(kind, "key", "create", "--name", "bench", "--scopes",
                                   "identify,embeddings,scores", "--everything", "--json")
                keys[kind] = json.loads(key)["key"]
                at = time.monotonic()
                flags = self.secret(kind)
                services.enter_context(
                    Service(self.options.program, self.directory / kind, PORT + number, flags))
                began[kind] = 1e3 * (time.monotonic() - at)
            passes = [self.questions(keys) for _ in range(self.options.passes)]
        tell("start of the service", [[began[kind] for kind in KINDS]], "ms")
        tell("first question", passes[0][:1], "ms")
        tell("other new questions", passes[0][1:], "ms")
        tell("the same again", [pair for one in passes[1:] for pair in one], "ms")

    def questions(self, keys):
        """Milliseconds of each of the same questions, asked of both in turns."""
        asks = [asker(keys[kind], self.options.dim, PORT + at) for at, kind in enumerate(KINDS)]
        return [[ask(PARTITION) for ask in asks] for _ in range(self.options.questions)]


def tell(name, pairs, unit):
    plain, encrypted = (statistics.median(times) for times in zip(*pairs))
    ratio = statistics.median(one[1] / one[0] for one in pairs)
    print(f"{name}: plain {plain:.2f} {unit}, encrypted {encrypted:.2f} {unit}, {ratio:.3f} times as long")


if __name__ == "__main__":
    main()
