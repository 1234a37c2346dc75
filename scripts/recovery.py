#!/usr/bin/env python3
"""Tries to compute templates from what the service answers, with the attacks that are published, and says how near they
come for how many calls. It starts a service of its own on this machine, with made-up people, and calls no other.

  linear    probes along the axes: each similarity is a value of the template
  bisect    thresholds of the caller's choice, halved, for each axis: one bit an answer
  composite the mean of made-up probes, each weighted by what is told of it (composite faces, by embeddings)
  climb     small changes of the best probe so far, of which the better ones stay (hill climbing)
  enter     the same from another picture of the person, which is recognised at once

VULTUS names the program; see docs/security.md for what came out."""

import argparse
import http.client
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ENCODER = "sface@2021dec"
DIMENSION = 128
PARTITION = "recovery.1"
TARGET = 1
KEYS = {
    "default": "identify,verify",
    "embeddings": "identify,verify,embeddings",
    "embeddings,scores": "identify,verify,embeddings,scores",
}


def unit(values):
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values] if length else values


def drawn(numbers):
    return unit([numbers.gauss(0, 1) for _ in range(DIMENSION)])


def cosine(one, other):
    return sum(a * b for a, b in zip(unit(one), unit(other)))


def mixed(one, other, share):
    return unit([a + share * b for a, b in zip(one, other)])


class Service:
    """The real program, on this machine alone."""

    def __init__(self, program, data, flags):
        self.program, self.data = program, str(data)
        command = [program, "serve", "--data-dir", self.data, "--listen", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        address = json.loads(self.process.stdout.readline())["listening"].rsplit("//", 1)[1].rstrip("/")
        self.connection = http.client.HTTPConnection(address, timeout=60)

    def key(self, scopes):
        verb = [self.program, "key", "create", "--name", scopes[:50], "--scopes", scopes, "--everything", "--json",
                "--data-dir", self.data]
        return json.loads(subprocess.run(verb, check=True, capture_output=True).stdout)["key"]

    def ask(self, path, key, body):
        head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.connection.request("POST", f"/v1/partitions/{PARTITION}/{path}", json.dumps(body), head)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Spent(Exception):
    """There are no calls left, or all are refused."""


class Caller:
    """An attacker with a key, who counts calls and may make so many."""

    def __init__(self, service, key, limit):
        self.service, self.key, self.left, self.made, self.refused = service, key, limit, 0, 0

    def verify(self, probe, threshold=None):
        """Whether it is accepted, and the similarity that is told, if any is."""
        if self.left <= 0 or self.refused >= 20:
            raise Spent
        self.left, self.made = self.left - 1, self.made + 1
        body = {"encoder": ENCODER, "embeddings": [probe]}
        if threshold is not None:
            body["threshold"] = threshold
        status, answer = self.service.ask(f"classes/{TARGET}/verify", self.key, body)
        if status != 200:
            self.refused += 1
            return False, None
        return answer["accepted"], answer["similarity"]


def axis(at):
    return [float(other == at) for other in range(DIMENSION)]


def linear(caller, _numbers, _start):
    found = [0.0] * DIMENSION
    for at in range(DIMENSION):
        found[at] = caller.verify(axis(at))[1] or 0.0
        yield found


def bisect(caller, _numbers, _start):
    found = [0.0] * DIMENSION
    for at in range(DIMENSION):
        low, high = -1.0, 1.0
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (middle, high) if caller.verify(axis(at), middle)[0] else (low, middle)
        # Where nothing is told the range only shrinks to one end, which says nothing.
        found[at] = (low + high) / 2 if low > -1.0 and high < 1.0 else 0.0
        yield found


def composite(caller, numbers, _start):
    found = [0.0] * DIMENSION
    while True:
        probe = drawn(numbers)
        told = caller.verify(probe)[1] or 0.0
        found = [value + told * other for value, other in zip(found, probe)]
        yield found


def climb(caller, numbers, start):
    best = start if start else drawn(numbers)
    told = caller.verify(best)[1] or 0.0
    while True:
        tried = mixed(best, drawn(numbers), 0.25)
        similarity = caller.verify(tried)[1] or 0.0
        if similarity >= told and similarity > 0:
            best, told = tried, similarity
        yield best


ATTACKS = {"linear": linear, "bisect": bisect, "composite": composite, "climb": climb, "enter": climb}


def attack(service, key, name, template, options):
    """The similarity of what was put together with the template after so many calls, at each of `options.marks`."""
    numbers = random.Random(options.seed)
    # Another picture of the person: as alike as pictures of one person are.
    start = mixed(template, drawn(numbers), 0.9) if name == "enter" else None
    caller, found, reached = Caller(service, key, options.calls), None, {}
    marks = sorted(options.marks)
    try:
        for found in ATTACKS[name](caller, numbers, start):
            while marks and caller.made >= marks[0]:
                reached[marks.pop(0)] = cosine(found, template)
    except Spent:
        pass
    last = cosine(found, template) if found and any(found) else 0.0
    return reached, caller.made, caller.refused, last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000, help="the most calls of an attack, at most 100,000")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--digits", default="2", help="values of score-digits to try, separated by commas")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not 1 <= options.calls <= 100_000:
        sys.exit("--calls must be from 1 to 100,000")
    options.marks = [mark for mark in (128, 1_000, 5_000, 20_000, 100_000) if mark <= options.calls]
    program = os.environ.get("VULTUS", "target/release/vultus")
    numbers = random.Random(options.seed + 1)
    people = [drawn(numbers) for _ in range(options.people)]
    template = people[0]
    stranger = max(cosine(template, drawn(numbers)) for _ in range(10_000))
    print(f"the best of 10,000 made-up strangers: {stranger:.3f}")
    with tempfile.TemporaryDirectory() as folder:
        for digits in options.digits.split(","):
            data = pathlib.Path(folder) / digits
            service = Service(program, data, ["--score-digits", digits])
            try:
                enroller = service.key("enroll")
                for at, person in enumerate(people):
                    body = {"encoder": ENCODER, "embeddings": [person]}
                    status, answer = service.ask(f"classes/{TARGET + at}/enroll", enroller, body)
                    if status != 200:
                        sys.exit(f"cannot enrol: {answer}")
                for scopes_name, scopes in KEYS.items():
                    key = service.key(scopes)
                    for name in ATTACKS:
                        reached, made, refused, last = attack(service, key, name, template, options)
                        line = {"digits": int(digits), "scopes": scopes_name, "attack": name, "calls": made,
                                "refused": refused, "reached": reached, "last": round(last, 3)}
                        if options.json:
                            print(json.dumps(line), flush=True)
                        else:
                            steps = "  ".join(f"{mark}: {value:.3f}" for mark, value in reached.items())
                            print(f"{digits} digits  {scopes_name:18} {name:10} {made:6} calls, {refused:3} refused  "
                                  f"{steps}  last: {last:.3f}", flush=True)
            finally:
                service.stop()


if __name__ == "__main__":
    main()
