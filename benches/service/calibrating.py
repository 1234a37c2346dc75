#!/usr/bin/env python3
"""What a calibration beside it costs those who identify.

    benches/service/calibrating.py target/release/vultus [--rows 1000000] [--dim 128] [--clients 4]
        [--directory DIR]

Makes up a gallery and starts a service, which begins to calibrate it by itself a minute later. Asks for
50 seconds before that, for as long during it, and for as long beside `vultus calibrate`. Then measures
that command alone. Prints times of identifications and their ratios. Needs nothing but Python.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from run import ENCODER, PARTITION, SUCCESS, Service, outcome, write_rows

CALIBRATES_AFTER_SECONDS = 60
WINDOW_SECONDS = 50


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--directory", help="where the gallery is made")
    options = parser.parse_args()
    if options.rows < 1000 or options.clients < 1 or not 16 <= options.dim <= 4096:
        parser.error("expected 1,000 rows, one client and 16 values at least")
    if not os.access(options.program, os.X_OK):
        parser.error(f"{options.program} is no program; build it with `cargo build --release`")
    with tempfile.TemporaryDirectory(prefix="vultus-calibrating-", dir=options.directory) as directory:
        Bench(options, Path(directory)).run()


class Bench:
    def __init__(self, options, directory):
        self.options = options
        self.rows, self.data = directory / "rows.npy", directory / "data"

    def run(self):
        write_rows(self.rows, self.options.rows, self.options.dim)
        self.command("gallery", "import", "--quiet", "--partition", PARTITION, "--encoder", ENCODER, self.rows)
        key = self.command("key", "create", "--name", "bench", "--scopes", "identify,embeddings,scores",
                           "--everything", "--json")
        self.key = json.loads(key)["key"]
        calibrate = ["calibrate", "--partition", PARTITION, "--json", "--quiet"]
        with Service(self.options.program, self.data) as service:
            began = time.monotonic()
            before = self.asked(service)
            time.sleep(max(0, began + CALIBRATES_AFTER_SECONDS + 2 - time.monotonic()))
            tell("while the service calibrates", self.asked(service), before)
            beside = subprocess.Popen(self.words(calibrate), stdout=subprocess.PIPE)
            during = self.asked(service)
            if beside.poll() is not None:
                print("the command had ended before the time was over")
            tell("beside `vultus calibrate`", during, before)
            beside.kill()
            beside.wait()
        began = time.monotonic()
        found = json.loads(self.command(*calibrate))
        print(f"`vultus calibrate` alone: {time.monotonic() - began:.1f} s for {found.get('probes')} probes")

    def words(self, words):
        return [self.options.program, *map(str, words), "--data-dir", str(self.data)]

    def command(self, *words):
        return subprocess.run(self.words(words), stdout=subprocess.PIPE, check=True).stdout

    def asked(self, service):
        """Times of identifications in milliseconds."""
        words = [self.options.program, "load", service.url, "--key", self.key, "--json", "--quiet",
                 "--partition", PARTITION, "--encoder", ENCODER, "--dim", self.options.dim, "--calls",
                 "identify", "--clients", self.options.clients, "--seconds", WINDOW_SECONDS]
        done = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, check=True)
        return outcome(json.loads(done.stdout)["steps"][0], "identify", SUCCESS)["latency_ms"]


def tell(when, during, before):
    told = [f"{name} {before[name]:.1f} ms before, {during[name]:.1f} then, {during[name] / before[name]:.2f} times"
            for name in ("p50", "p99")]
    print(f"{when}: {'; '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
