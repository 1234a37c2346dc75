#!/usr/bin/env python3
"""How much of the engine's speed the service passes on, and what it does at overload.

    benches/service/run.py target/release/vultus [--rows 1000000] [--dim 512] [--rounds 3]
        [--seconds 8] [--before OTHER_PROGRAM] [--overload SECONDS] [--json FILE]

Makes up a gallery, and then in each round, one after the other: the engine alone (`vultus bench`,
calls of one probe and of 64), the service with 1, 8, 64 and 300 clients that each ask again as soon as
they are answered (`vultus load`), and the same of the program given with `--before`, on a gallery that it
made itself of the same rows, since an older one need not read today's files, and does not know scopes of today. Prints the
medians of all rounds and their ratios. With `--overload`, the service is then asked twice and five
times as often as it can answer, for so many seconds each, by identifications and by pictures, with
20 small calls a second beside them, by a load that has priority if whoever runs this may give it.

With `--bws COUNT`, so many tokens with a picture each are made ready, and then identified with by 64
clients at once, each of which waits until its try is on disk; the engine's calls of 64 are measured
on the same gallery.

Everything runs on this machine, the load as well. Needs nothing but Python.
"""

import argparse
import base64
import http.client
import json
import os
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLIENTS = [1, 8, 64, 300]
PORT = 8491
ENCODER = "random@1"
PARTITION = "bench.1"
FACES = "faces.1"
SUCCESS = "200"
SMALL_CALLS_PER_SECOND = 20
# Enough that no call waits for one: those that are let in have one for about a second each.
CONNECTIONS = 10_000
PICTURES = Path(__file__).resolve().parents[2] / "data" / "faces"
PICTURE = PICTURES / "obama-portrait.jpg"


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="vultus-service-", dir=options.directory) as directory:
        bench = Bench(options, Path(directory))
        bench.prepare()
        rounds = [bench.round(number) for number in range(options.rounds)]
        result = {"rows": options.rows, "dim": options.dim, "rounds": rounds}
        print_rounds(rounds)
        if options.overload:
            result["overload"] = bench.overload(rounds)
        if options.bws:
            result["bws"] = bench.bws(options.bws)
        if options.json:
            Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program")
    parser.add_argument("--before", help="an older program, measured in turns with this one")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="for which each number of clients asks")
    parser.add_argument("--overload", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--bws", type=int, default=0, metavar="COUNT")
    parser.add_argument("--directory", help="where the gallery is made")
    parser.add_argument("--json", help="where the figures are written")
    options = parser.parse_args()
    if min(options.rows, options.rounds, options.seconds) < 1 or not 16 <= options.dim <= 4096:
        parser.error("expected a row, a round and a second at least, and 16 to 4096 values")
    for program in filter(None, [options.program, options.before]):
        if not os.access(program, os.X_OK):
            parser.error(f"{program} is no program; build it with `cargo build --release`")
    return options


class Bench:
    def __init__(self, options, directory):
        self.options = options
        self.program = options.program
        self.rows = directory / "rows.npy"
        self.probes = directory / "probes.npy"
        self.rows_of_faces = directory / "faces.npy"
        self.data = directory / "data"
        self.data_of_before = directory / "before"

    def prepare(self):
        write_rows(self.rows, self.options.rows, self.options.dim)
        write_rows(self.probes, 64, self.options.dim)
        self.command("gallery", "import", "--partition", PARTITION, "--encoder", ENCODER,
                     "--data-dir", str(self.data), "--quiet", str(self.rows))
        write_rows(self.rows_of_faces, 1000, 128)
        self.command("gallery", "import", "--partition", FACES, "--encoder", "sface@2021dec",
                     "--data-dir", str(self.data), "--quiet", str(self.rows_of_faces))
        self.key = key_of(self.program, self.data)
        if self.options.before:
            run(self.options.before, "gallery", "import", "--partition", PARTITION, "--encoder", ENCODER,
                "--data-dir", str(self.data_of_before), "--quiet", str(self.rows))
            self.key_of_before = key_of(self.options.before, self.data_of_before)

    def command(self, *arguments, before=None):
        return run(self.program, *arguments, before=before)

    def round(self, number):
        say(f"round {number + 1} of {self.options.rounds}")
        found = {
            "engine": self.engine(self.rows, self.probes),
            "service": self.service(self.program, self.data, self.key, CLIENTS),
        }
        if self.options.before:
            # Two are enough to compare, since it answers as many whatever the number.
            found["before"] = self.service(
                self.options.before, self.data_of_before, self.key_of_before, [1, 64]
            )
        return found

    def engine(self, rows, probes):
        printed = self.command("bench", "--embeddings", str(rows), "--probe-embeddings",
                               str(probes), "--directory", str(self.data.parent), "--probes",
                               "1,64", "--rounds", "5", "--check", "0", "--json", "--quiet")
        measured = json.loads(printed)["cases"]
        return {str(one["probes"]): one["median_ms"] for one in measured}

    def service(self, program, data, key, clients):
        with Service(program, data) as service:
            report = self.load(service, "--calls", "identify", "--clients",
                               ",".join(map(str, clients)), "--seconds",
                               str(self.options.seconds), key=key)
        found = {}
        for step in report["steps"]:
            answered = outcome(step, "identify", SUCCESS)
            refused = sum(one["count"] for one in step["outcomes"] if one["outcome"] != SUCCESS)
            found[str(step["clients"])] = {
                "per_s": step["answered_per_s"],
                "p50_ms": answered["latency_ms"]["p50"],
                "p99_ms": answered["latency_ms"]["p99"],
                "not_answered": refused,
                "generator_cores": step["generator_cores"],
            }
        return found

    def load(self, service, *arguments, key=None, before=None):
        if "--picture" in arguments:
            gallery = ["--partition", FACES]
        else:
            gallery = ["--partition", PARTITION, "--encoder", ENCODER, "--dim",
                       str(self.options.dim)]
        printed = self.command("load", service.url, "--key", key or self.key, "--json", "--quiet",
                               *gallery, *arguments, before=before)
        return json.loads(printed)

    def overload(self, rounds):
        best = statistics.median(one["service"]["64"]["per_s"] for one in rounds)
        found = {}
        with Service(self.program, self.data) as service:
            self.load(service, "--calls", "identify", "--clients", "64", "--seconds", "5")
            for kind in ("identify", "picture"):
                more = ["--picture", str(PICTURES)] if kind == "picture" else []
                if kind == "picture":
                    alone = self.load(service, "--calls", kind, *more, "--clients", "8",
                                      "--seconds", str(4 + 2 * self.options.seconds))
                    best = alone["steps"][0]["answered_per_s"]
                for times in (2, 5):
                    say(f"{times} times as many {kind} calls as it can answer")
                    rate = times * best
                    calls = f"{kind}={rate:.3f},status={SMALL_CALLS_PER_SECOND}"
                    before = service.resident_mib()
                    report = self.load(service, "--calls", calls, *more, "--rate",
                                       f"{rate + SMALL_CALLS_PER_SECOND:.3f}", "--seconds",
                                       str(self.options.overload), "--poisson",
                                       "--connections", str(CONNECTIONS), before=ahead)
                    report["best_per_s"] = best
                    report["resident_mib"] = [before, service.resident_mib()]
                    time.sleep(1)
                    calm = self.load(service, "--calls", kind, *more, "--rate",
                                     f"{best / 4:.3f}", "--seconds", "3", "--warm-up", "0")
                    report["after"] = calm["steps"][0]
                    found[f"{kind} x{times}"] = report
                    print_overload(f"{kind} x{times}", report)
        return found


    def bws(self, count):
        """Calls a second of the BWS door, and of the engine with 64 probes in a call."""
        rows, probes = self.rows_of_faces, self.probes
        write_rows(rows, self.options.rows, 128)
        write_rows(probes, 64, 128)
        data = self.data.with_name("bws")
        self.command("gallery", "import", "--partition", "bws.1", "--encoder", "sface@2021dec",
                     "--data-dir", str(data), "--quiet", str(rows))
        # The service would do it while it is measured.
        self.command("calibrate", "--partition", "bws.1", "--data-dir", str(data), "--quiet")
        app = self.command("app", "create", "--data-dir", str(data), "--name", "load", "--storage",
                           "bws", "--json")
        app = json.loads(app)
        basic = base64.b64encode(f"{app['id']}:{app['secret']}".encode()).decode()
        picture = base64.b64encode(PICTURE.read_bytes()).decode()
        with Service(self.program, data):
            say(f"{count} tokens with a picture each")
            ready = Door(app["id"], basic, picture)
            with ThreadPoolExecutor(4) as few:
                tokens = list(few.map(ready.token, range(64 + count)))
            # The first pass compares checksums.
            identifications(tokens[:64], 64)
            answers, taken = identifications(tokens[64:], 64)
        good = sum(b'"Success":true' in answer for answer in answers)
        if good < count:
            say(next(answer for answer in answers if b'"Success":true' not in answer)[:300])
        engine = self.engine(rows, probes)
        rate, best = good / taken, 64e3 / engine["64"]
        print(f"BWS, 64 clients: {rate:.0f} a second, {100 * rate / best:.0f} % of calls of 64 "
              f"({best:.0f}); {count - good} of {count} not identified")
        return {"per_s": rate, "engine_per_s": best, "not_identified": count - good}


def run(program, *arguments, before=None):
    """What the program prints; `before` is called in its process first."""
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, check=True,
                          preexec_fn=before)
    return done.stdout


def key_of(program, data):
    """A key with which embeddings may be searched for and scores be seen, of any program that has keys."""
    offered = subprocess.run([program, "key", "create", "--help"], stdout=subprocess.PIPE, check=True)
    scopes = ["identify", "read"]
    scopes += [scope for scope in ("embeddings", "scores") if scope.encode() in offered.stdout]
    key = run(program, "key", "create", "--data-dir", str(data), "--name", "load",
              "--scopes", ",".join(scopes), "--everything", "--json")
    return json.loads(key)["key"]


class Door:
    """Calls of the BWS door, each thread with a connection of its own."""

    def __init__(self, app, basic, picture):
        self.app, self.basic = app, f"Basic {basic}"
        self.picture = f"data:image/jpeg;base64,{picture}"
        self.kept = threading.local()

    def call(self, method, path, authorization, body=None):
        if not hasattr(self.kept, "connection"):
            self.kept.connection = http.client.HTTPConnection("127.0.0.1", PORT)
        headers = {"Authorization": authorization}
        self.kept.connection.request(method, f"/extension/{path}", body, headers)
        return self.kept.connection.getresponse().read()

    def token(self, _number):
        token = self.call("GET", f"token?id={self.app}&bcid=bws.1.0&task=identify&livedetection=false", self.basic).decode()
        for _ in range(100):
            if b'"Accepted":true' in self.call("POST", "upload", f"Bearer {token}", self.picture):
                return token
            time.sleep(0.2)
        sys.exit("a picture was not accepted")


def identifications(tokens, clients):
    """What the BWS door answers to each of the tokens, and in how many seconds, asked by so many clients.

    Each is a connection with one call under way. One thread looks after all, since the clients are to take
    as little as can be of the processors that answer them.
    """
    calls = [f"GET /extension/identify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
             for token in tokens]
    waiting, answers, selector = list(reversed(calls)), [], selectors.DefaultSelector()
    connections = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(min(clients, len(calls)))]
    for connection in connections:
        selector.register(connection, selectors.EVENT_READ, bytearray())
    began = time.monotonic()
    for connection in connections:
        connection.sendall(waiting.pop())
    while len(answers) < len(calls):
        for key, _ in selector.select():
            part = key.fileobj.recv(65536)
            if not part:
                sys.exit("the service closed a connection")
            key.data.extend(part)
            head, found, body = key.data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            if found and length is not None and len(body) >= int(length[1]):
                answers.append(bytes(body))
                key.data.clear()
                if waiting:
                    key.fileobj.sendall(waiting.pop())
    taken = time.monotonic() - began
    selector.close()
    for connection in connections:
        connection.close()
    return answers, taken


class Service:
    """A service on the data, for as long as it is used."""

    def __init__(self, program, data, port=PORT, flags=()):
        self.url = f"http://127.0.0.1:{port}"
        command = [program, "serve", "--data-dir", str(data), "--listen", f"127.0.0.1:{port}",
                   "--log", "warn", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        if b"listening" not in self.process.stdout.readline():
            sys.exit("the service did not start")

    def resident_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(lines[0].split()[1]) // 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


def write_rows(path, rows, dim):
    """Random directions of whole numbers of eight bits, as NumPy saves them."""
    header = f"{{'descr': '|i1', 'fortran_order': False, 'shape': ({rows}, {dim}), }}\n".encode()
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        for first in range(0, rows, 10_000):
            file.write(os.urandom(min(10_000, rows - first) * dim))


def ahead():
    """Lets the load go before the service, whose times are to be measured and not the load's lateness."""
    try:
        # With niceness alone it still waits for the end of what another thread was given, up to 4 ms.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        say("the load has no priority, so that its own lateness is measured as well")


def outcome(step, call, name):
    found = [one for one in step["outcomes"] if one["call"] == call and one["outcome"] == name]
    nothing = {"count": 0, "per_s": 0.0, "latency_ms": {"p50": 0.0, "p99": 0.0, "max": 0.0}}
    return found[0] if found else nothing


def print_rounds(rounds):
    def median(pick):
        return statistics.median(pick(one) for one in rounds)

    one = median(lambda found: found["engine"]["1"])
    together = 64e3 / median(lambda found: found["engine"]["64"])
    print(f"engine: one probe {one:.1f} ms; calls of 64: {together:.0f} probes a second")
    for clients in map(str, CLIENTS):
        rate = median(lambda found: found["service"][clients]["per_s"])
        share = median(
            lambda found: found["service"][clients]["per_s"] * found["engine"]["64"] / 64e3
        )
        half = median(lambda found: found["service"][clients]["p50_ms"])
        late = median(lambda found: found["service"][clients]["p99_ms"])
        lost = median(lambda found: found["service"][clients]["not_answered"])
        print(f"service, {clients} clients: {rate:.1f} a second, {100 * share:.0f} % of calls of 64; "
              f"median {half:.1f} ms, 99 % {late:.1f} ms; {lost:.0f} refused")
    beyond = median(lambda found: found["service"]["1"]["p50_ms"] - found["engine"]["1"])
    print(f"one client: median {beyond:.1f} ms beyond the engine's time for one probe")
    if "before" in rounds[0]:
        times = median(
            lambda found: found["service"]["64"]["per_s"] / found["before"]["64"]["per_s"]
        )
        print(f"64 clients: {times:.1f} times as many answers as the program before")


def print_overload(name, report):
    step = report["steps"][0]
    kind = name.split()[0]
    answered = outcome(step, kind, SUCCESS)
    small = outcome(step, "status", SUCCESS)
    refused = [one for one in step["outcomes"]
               if one["call"] == kind and one["outcome"] != SUCCESS]
    rate = answered["per_s"] / report["best_per_s"]
    print(f"{name}: {answered['per_s']:.0f} a second, {100 * rate:.0f} % of the best; 99 % of them "
          f"within {answered['latency_ms']['p99']:.0f} ms")
    for one in refused:
        times = one["latency_ms"]
        print(f"  {one['outcome']}: {one['count']}, median {times['p50']:.1f} ms, 99 % "
              f"{times['p99']:.1f} ms {one['details']}")
    lost = sum(one["count"] for one in step["outcomes"]
               if one["call"] == "status" and one["outcome"] != SUCCESS)
    print(f"  small calls: 99 % within {small['latency_ms']['p99']:.1f} ms, {lost} not answered")
    before, after = report["resident_mib"]
    calm = outcome(report["after"], kind, SUCCESS)
    print(f"  memory {before} to {after} MiB; a second later: 99 % within "
          f"{calm['latency_ms']['p99']:.0f} ms; the load took {step['generator_cores']:.2f} cores")


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
