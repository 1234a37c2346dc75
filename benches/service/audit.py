#!/usr/bin/env python3
"""What the audit log costs those who identify.

    benches/service/audit.py target/release/vultus [--rows 100000] [--dim 512] [--rounds 3]
        [--clients 64] [--seconds 8] [--directory DIR]

Makes up a gallery, and in each round asks a service without the log, with `audit = on` and with `audit =
strict`, one after the other. Prints answers a second, and the medians of the ratios within a round.
Needs nothing but Python.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from run import ENCODER, PARTITION, SUCCESS, Service, outcome, write_rows

MODES = ("off", "on", "strict")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=8, help="for which each kind is asked")
    parser.add_argument("--directory", help="where the gallery is made")
    options = parser.parse_args()
    if min(options.rows, options.rounds, options.clients, options.seconds) < 1 or not 16 <= options.dim <= 4096:
        parser.error("expected a row, a round, a client, a second and 16 values at least")
    if not os.access(options.program, os.X_OK):
        parser.error(f"{options.program} is no program; build it with `cargo build --release`")
    with tempfile.TemporaryDirectory(prefix="vultus-audit-", dir=options.directory) as directory:
        measure(options, Path(directory))


def measure(options, directory):
    data, rows = directory / "data", directory / "rows.npy"

    def command(*words):
        words = [options.program, *map(str, words)]
        return subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout

    def asked(mode):
        with Service(options.program, data, flags=["--audit", mode]) as service:
            printed = command("load", service.url, "--key", key, "--json", "--quiet", "--partition",
                              PARTITION, "--encoder", ENCODER, "--dim", options.dim, "--calls",
                              "identify", "--clients", options.clients, "--seconds", options.seconds)
        found = outcome(json.loads(printed)["steps"][0], "identify", SUCCESS)
        return found["per_s"], found["latency_ms"]["p99"]

    write_rows(rows, options.rows, options.dim)
    command("gallery", "import", "--data-dir", data, "--quiet", "--partition", PARTITION, "--encoder", ENCODER, rows)
    key = json.loads(command("key", "create", "--data-dir", data, "--name", "bench", "--scopes",
                             "identify,embeddings,scores", "--everything", "--json"))["key"]
    rounds = [{mode: asked(mode) for mode in MODES} for _ in range(options.rounds)]
    for mode in MODES:
        rate, late = (statistics.median(one[mode][at] for one in rounds) for at in (0, 1))
        ratio = statistics.median(one[mode][0] / one["off"][0] for one in rounds)
        print(f"audit = {mode}: {rate:.0f} answers a second, {ratio:.3f} of those without; 99 % within {late:.0f} ms")


if __name__ == "__main__":
    main()
