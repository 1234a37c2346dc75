#!/usr/bin/env python3
"""How long identifications take at rising rates, for galleries of several sizes.

    benches/service/latency.py target/release/vultus [--rows 100000,1000000,5000000] [--dim 512]
        [--seconds 6] [--beyond 1.2] [--directory DIR] [--plots DIR]

For each size it makes up a gallery, asks a service on it with 64 and with 300 clients that ask again as
soon as they are answered, and takes what the better of both get as the best. Then calls come at random
times (Poisson), at ten rates up to `--beyond` times the best, and a line is printed for each rate. With
`--plots` a plot for each size is written there. Service and load run on this machine. Five million rows
of 512 values need 16 GB of disk, and memory for as much. Needs nothing but Python.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from run import ENCODER, PARTITION, SUCCESS, Service, outcome, say, write_rows

RATES = 10


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program")
    parser.add_argument("--rows", type=sizes, default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--beyond", type=float, default=1.2)
    parser.add_argument("--directory", help="where the galleries are made")
    parser.add_argument("--plots", type=Path, help="where the plots are written")
    options = parser.parse_args()
    if min(options.rows) < 1 or min(options.seconds, options.beyond) <= 0 or not 16 <= options.dim <= 4096:
        parser.error("expected one row and one second at least, and 16 to 4096 values")
    if not os.access(options.program, os.X_OK):
        parser.error(f"{options.program} is no program; build it with `cargo build --release`")
    print("| rows | asked, 1/s | answered, 1/s | refused | 50 % within, ms | 99 % within, ms |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="vultus-latency-", dir=options.directory) as directory:
            measure(options, rows, Path(directory))


def sizes(text):
    return [int(part) for part in text.split(",")]


def measure(options, rows, directory):
    data, file = directory / "data", directory / "rows.npy"

    def command(*words):
        words = [options.program, *map(str, words)]
        return subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout

    say(f"{rows} rows")
    write_rows(file, rows, options.dim)
    command("gallery", "import", "--quiet", "--partition", PARTITION, "--encoder", ENCODER, "--data-dir", data, file)
    file.unlink()
    key = command("key", "create", "--data-dir", data, "--name", "load", "--scopes",
                  "identify,embeddings,scores", "--everything", "--json")
    key = json.loads(key)["key"]
    with Service(options.program, data, flags=["--calibrate-background", "false"]) as service:

        def load(*words):
            said = command("load", service.url, "--key", key, "--partition", PARTITION, "--encoder", ENCODER,
                           "--dim", options.dim, "--seconds", options.seconds, "--json", "--quiet", *words)
            return json.loads(said)["steps"]

        # The first passes read from disk, and compare checksums.
        load("--clients", 64)
        best = max(step["answered_per_s"] for step in load("--clients", "64,300"))
        say(f"the best of 64 and 300 clients: {best:.0f} a second")
        rates = [max(1, round(best * options.beyond * (at + 1) / RATES)) for at in range(RATES)]
        plot = ["--plot", options.plots / f"load-{rows}.svg"] if options.plots else []
        steps = load("--rate", ",".join(map(str, rates)), "--poisson", "--connections", 10_000, *plot)
    for rate, step in zip(rates, steps):
        answered = outcome(step, "identify", SUCCESS)
        refused = sum(one["count"] for one in step["outcomes"] if one["outcome"] != SUCCESS)
        half, late = (answered["latency_ms"][share] for share in ("p50", "p99"))
        share = refused / max(1, refused + answered["count"])
        print(f"| {rows:,} | {rate:,} | {answered['per_s']:,.0f} | {100 * share:.0f} % | {half:.1f} | {late:.0f} |")


if __name__ == "__main__":
    main()
