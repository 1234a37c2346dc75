#!/usr/bin/env python3
"""Tries to compute templates from what the service answers, with the attacks that are published, and says how near they
come for how many calls. It starts a service of its own on this machine, with made-up people, and calls no other.

  linear    probes along the axes: each similarity is a value of the template
  bisect    thresholds of the caller's choice, halved, for each axis: one bit an answer
  composite the mean of made-up probes, each weighted by what is told of it (composite faces, by embeddings)
  climb     small changes of the best probe so far, of which the better ones stay (hill climbing)
  enter     the same from another picture of the person, which is recognised at once
  edge      from such a picture along each axis to where it is no longer recognised, halved: one bit an answer

Each is tried without defence, where probes that climb are refused (`climb`), and where a key has 500 answers about one
class a day (`budget-class-answers`); `--defences` chooses. `--honest N` asks N times for known people, as a door does,
with the same settings, and counts refusals. `--plot FILE` draws similarities against calls, as SVG. VULTUS names the
program; see docs/security.md for what came out."""

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
THRESHOLD = 0.41
KEYS = {
    "default": "identify,verify",
    "embeddings": "identify,verify,embeddings",
    "embeddings,scores": "identify,verify,embeddings,scores",
}
DEFENCES = {
    "none": ["--climb", "off", "--budget-class-answers", "0"],
    "climb": ["--climb", "refuse", "--budget-class-answers", "0"],
    "budget": ["--climb", "off", "--budget-class-answers", "500"],
}
DEFENCE_TITLES = {"none": "no defence", "climb": "climb = refuse", "budget": "budget-class-answers = 500"}


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


def edge(caller, _numbers, start):
    """Where `start + a * axis` is just recognised, `start . t + a * t_axis = threshold * |start + a * axis|`."""
    steps, reached = {}, [0.0] * DIMENSION
    told = (caller.verify(start)[1] or THRESHOLD) + 0.005
    for at in range(DIMENSION):
        low, high = 0.0, 8.0
        for _ in range(14):
            if caller.refused:
                # What is refused says nothing; what was found before stays.
                raise Spent
            middle = (low + high) / 2
            probe = list(start)
            probe[at] += middle
            low, high = (middle, high) if caller.verify(probe)[0] else (low, middle)
        step = (low + high) / 2
        length = math.sqrt(1 + 2 * step * start[at] + step * step)
        steps[at], reached[at] = step, THRESHOLD * length
        alike = told
        if len(steps) == DIMENSION:
            # start . t is the sum of start times t, and so exact when all axes are known.
            known = sum(start[other] * reached[other] / a for other, a in steps.items())
            alike = known / (1 + sum(start[other] / a for other, a in steps.items()))
        yield [(reached[other] - alike) / steps[other] if other in steps else alike * value
               for other, value in enumerate(start)]


ATTACKS = {"linear": linear, "bisect": bisect, "composite": composite, "climb": climb, "enter": climb, "edge": edge}
# Another picture of the person, as alike as pictures of one person are, is what these begin with.
FROM_A_PICTURE = ("enter", "edge")


def attack(service, key, name, template, options):
    """The similarity of what was put together with the template after so many calls, at each of `options.marks`."""
    numbers = random.Random(options.seed)
    start = mixed(template, drawn(numbers), 0.9) if name in FROM_A_PICTURE else None
    caller, found, reached = Caller(service, key, options.calls), None, {}
    marks = sorted(options.marks)
    if start:
        reached[1] = cosine(start, template)
    try:
        for found in ATTACKS[name](caller, numbers, start):
            while marks and caller.made >= marks[0]:
                reached[marks.pop(0)] = cosine(found, template)
    except Spent:
        pass
    last = cosine(found, template) if found and any(found) else 0.0
    return reached, caller.made, caller.refused, last


def tried(program, data, kind, people, options):
    """All attacks on a service of this kind: how many digits it tells, and which defence it has."""
    (digits, defence), lines = kind, []
    service = Service(program, data, ["--score-digits", digits, *DEFENCES[defence]])
    try:
        enroller = service.key("enroll")
        for at, person in enumerate(people):
            body = {"encoder": ENCODER, "embeddings": [person]}
            status, answer = service.ask(f"classes/{TARGET + at}/enroll", enroller, body)
            if status != 200:
                sys.exit(f"cannot enrol: {answer}")
        for scopes_name, scopes in KEYS.items():
            for name in ATTACKS:
                # Each is a caller of its own, as if it were the only one.
                reached, made, refused, last = attack(service, service.key(scopes), name, people[0], options)
                line = {"digits": int(digits), "defence": defence, "scopes": scopes_name, "attack": name,
                        "calls": made, "refused": refused, "reached": reached, "last": round(last, 3)}
                lines.append(line)
                if options.json:
                    print(json.dumps(line), flush=True)
                else:
                    print(f"{digits} digits  {defence:6} {scopes_name:18} {name:10} {made:6} calls, {refused:3} refused"
                          f"  last: {last:.3f}", flush=True)
        if options.honest:
            honest(service, digits, defence, people, options)
    finally:
        service.stop()
    return lines


def honest(service, digits, defence, people, options):
    """Known people at a door: each probe is another picture of one of them, in any order."""
    numbers, key, refused, known = random.Random(options.seed + 2), service.key(KEYS["embeddings"]), 0, 0
    for _ in range(options.honest):
        at = numbers.randrange(len(people))
        # Pictures of one person are alike now more, now less.
        picture = mixed(people[at], drawn(numbers), numbers.uniform(0.6, 1.4))
        status, answer = service.ask("identify", key, {"encoder": ENCODER, "embeddings": [picture]})
        refused += status != 200
        known += status == 200 and bool(answer["matches"]) and answer["matches"][0]["class"] == str(TARGET + at)
    print(f"{digits} digits  {defence:6} {options.honest} pictures of known people: {known} known, {refused} refused",
          flush=True)


# Okabe and Ito's colours, which people with any kind of colour vision tell apart.
COLOURS = {"linear": "#E69F00", "bisect": "#56B4E9", "composite": "#009E73", "climb": "#D55E00", "enter": "#0072B2",
           "edge": "#CC79A7"}


def plot(path, lines, stranger, options):
    """A panel for each kind of key (down) and defence (across); a cross is where the service refused."""
    scopes = [name for name in KEYS if name != "default"]
    defences = options.defences
    width, height, left, top = 300, 190, 60, 62
    gap_x, gap_y = 24, 54
    most = math.log10(options.calls)
    parts = []

    def text(x, y, words, size=12, anchor="middle", more=""):
        words = words.replace("&", "&amp;")
        parts.append(f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" {more}>{words}</text>')

    def panel(row, column, scope, defence):
        x0, y0 = left + column * (width + gap_x), top + row * (height + gap_y)

        def at(calls, value):
            return x0 + width * math.log10(max(calls, 1)) / most, y0 + height * (1.05 - value) / 1.2

        parts.append(f'<rect x="{x0}" y="{y0}" width="{width}" height="{height}" fill="none" stroke="#888"/>')
        text(x0 + width / 2, y0 - 8, f"{scope.replace(',', ' and ')}: {DEFENCE_TITLES[defence]}", 12)
        for value in (0, 0.25, 0.5, 0.75, 1):
            y = at(1, value)[1]
            parts.append(f'<path d="M{x0} {y:.1f}h{width}" stroke="#e4e4e4"/>')
            if column == 0:
                text(x0 - 6, y + 4, f"{value:g}", 11, "end")
        for power in range(int(most) + 1):
            x = at(10 ** power, 0)[0]
            parts.append(f'<path d="M{x:.1f} {y0 + height}v4" stroke="#888"/>')
            text(x, y0 + height + 17, f"{10 ** power:,}", 11)
        for value, dashes in ((THRESHOLD, "7 4"), (stranger, "2 3")):
            y = at(1, value)[1]
            parts.append(f'<path d="M{x0} {y:.1f}h{width}" stroke="#333" stroke-dasharray="{dashes}"/>')
        for line in lines:
            if (line["scopes"], line["defence"]) != (scope, defence) or not line["reached"]:
                continue
            points = sorted(line["reached"].items())
            if line["calls"] > points[-1][0]:
                points.append((line["calls"], line["last"]))
            drawn_points = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in points)
            colour = COLOURS[line["attack"]]
            parts.append(f'<polyline points="{drawn_points}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
            if line["refused"]:
                x, y = at(*points[-1])
                parts.append(f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" stroke="{colour}" '
                             'stroke-width="2.2"/>')

    for row, scope in enumerate(scopes):
        for column, defence in enumerate(defences):
            panel(row, column, scope, defence)
    whole_width = left + len(defences) * (width + gap_x)
    whole_height = top + len(scopes) * (height + gap_y) + 6
    x = left
    for name, colour in COLOURS.items():
        parts.append(f'<path d="M{x} 20h26" stroke="{colour}" stroke-width="3"/>')
        text(x + 32, 24, name, 13, "start")
        x += 62 + 8 * len(name)
    for words, dashes in (("accepted", "7 4"), ("best of 10,000 strangers", "2 3")):
        parts.append(f'<path d="M{x} 20h26" stroke="#333" stroke-dasharray="{dashes}"/>')
        text(x + 32, 24, words, 13, "start")
        x += 56 + 7 * len(words)
    text(left + (whole_width - left) / 2, whole_height - 4, "calls", 13)
    middle = top + (whole_height - top) / 2 - 20
    text(16, middle, "similarity with the template", 13, "middle", f'transform="rotate(-90 16 {middle:.0f})"')
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole_width} {whole_height}" '
        f'font-family="sans-serif" fill="#222"><rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000, help="the most calls of an attack, at most 100,000")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--digits", default="2", help="values of score-digits to try, separated by commas")
    parser.add_argument("--defences", default=",".join(DEFENCES), help="which to try, separated by commas")
    parser.add_argument("--honest", type=int, default=0, help="how often known people are identified as well")
    parser.add_argument("--plot", type=pathlib.Path, help="draw what two digits give into this SVG file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not 2 <= options.calls <= 100_000:
        sys.exit("--calls must be from 2 to 100,000")
    options.defences = options.defences.split(",")
    if not set(options.defences) <= set(DEFENCES):
        sys.exit(f"--defences are {', '.join(DEFENCES)}")
    options.marks = sorted({round(10 ** (at / 10)) for at in range(51)} & set(range(options.calls + 1)))
    program = os.environ.get("VULTUS", "target/release/vultus")
    numbers = random.Random(options.seed + 1)
    people = [drawn(numbers) for _ in range(options.people)]
    stranger = max(cosine(people[0], drawn(numbers)) for _ in range(10_000))
    print(f"the best of 10,000 made-up strangers: {stranger:.3f}")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for digits in options.digits.split(","):
            for defence in options.defences:
                data = pathlib.Path(folder) / f"{digits}-{defence}"
                lines += tried(program, data, (digits, defence), people, options)
    if options.plot:
        plot(options.plot, [line for line in lines if line["digits"] == 2], stranger, options)


if __name__ == "__main__":
    main()
