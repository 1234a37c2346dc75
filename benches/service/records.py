#!/usr/bin/env python3
"""What records of people cost a search, and what a filter by label does.

    benches/service/records.py target/release/vultus [--rows 1000000] [--dim 128] [--questions 60] [--limit 20]

Makes up two galleries of the same rows, and gives everybody in the second a record with one of two
labels. Then asks the service in turns: about the first gallery, about the second, and about those in the
second who have one of the labels. Prints medians, and those of the ratios and differences of questions
that came one after the other. Needs nothing but Python.
"""

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run import ENCODER, PORT, Service, write_rows

WITHOUT, WITH = "bench.1", "bench.2"
LABEL = {"site": "a"}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--limit", type=int, default=20, help="how many people an answer lists")
    parser.add_argument("--directory", help="where the galleries are made")
    options = parser.parse_args()
    if options.rows < 2 or min(options.questions, options.limit) < 1 or not 16 <= options.dim <= 4096:
        parser.error("expected two rows and one question at least, and 16 to 4096 values")
    if not os.access(options.program, os.X_OK):
        parser.error(f"{options.program} is no program; build it with `cargo build --release`")
    with tempfile.TemporaryDirectory(prefix="vultus-records-", dir=options.directory) as directory:
        measure(options, Path(directory))


def measure(options, directory):
    data, rows, people = directory / "data", directory / "rows.npy", directory / "people.csv"

    def command(*words):
        words = [options.program, *map(str, words), "--data-dir", str(data)]
        return subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout

    write_rows(rows, options.rows, options.dim)
    for partition in (WITHOUT, WITH):
        command("gallery", "import", "--quiet", "--partition", partition, "--encoder", ENCODER, rows)
    with open(people, "w", encoding="utf-8") as file:
        file.write("class,labels\n")
        file.writelines(f"{row},site:{'ab'[row % 2]}\n" for row in range(1, options.rows + 1))
    began = time.monotonic()
    command("people", "import", "--quiet", "--partition", WITH, people)
    print(f"{options.rows} records came in within {time.monotonic() - began:.0f} s")
    key = command("key", "create", "--name", "bench", "--scopes", "identify,embeddings,scores", "--everything", "--json")
    with Service(options.program, data):
        ask = asker(json.loads(key)["key"], options.dim, options.limit)
        for partition in (WITHOUT, WITH, WITHOUT, WITH):
            ask(partition)
        print(f"a label for the first time: {ask(WITH, LABEL):.0f} ms")
        kinds = ((WITHOUT, None), (WITH, None), (WITH, LABEL))
        found = [[ask(*kind) for kind in kinds] for _ in range(options.questions)]
    without, records, label = (statistics.median(times) for times in zip(*found))
    ratio = statistics.median(one[1] / one[0] for one in found)
    more = statistics.median(one[2] - one[1] for one in found)
    print(f"no records {without:.2f} ms, records {records:.2f} ms, one label {label:.2f} ms")
    print(f"with records {ratio:.3f} times as long; a label takes {more:.2f} ms more")


def asker(key, dim, limit=20, port=PORT):
    """Asks a gallery, each time for another made-up probe of so many values; two of one kind ask for the same."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    numbers = random.Random(7)

    def ask(partition, labels=None):
        """Milliseconds until an answer was read."""
        body = {"encoder": ENCODER, "limit": limit, "embeddings": [[numbers.gauss(0, 1) for _ in range(dim)]]}
        if labels:
            body["labels"] = labels
        body = json.dumps(body)
        head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        began = time.perf_counter()
        connection.request("POST", f"/v1/partitions/{partition}/identify", body, head)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            sys.exit(f"status {response.status}: {answer[:200]}")
        return (time.perf_counter() - began) * 1e3

    return ask


if __name__ == "__main__":
    main()
