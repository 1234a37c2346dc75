#!/usr/bin/env python3
"""How several samples of a probe and several templates of a person are best put together.

    vultus embed --faces one --output faces.jsonl PEOPLE
    python3 scripts/fusion.py faces.jsonl

PEOPLE is a folder of people's folders, with five pictures of each at least. Half of the people are
enrolled, the others are strangers, 20 times over; noise makes pictures worse, since good ones are all
recognised. Prints FNIR where 1 % of strangers pass, and rank 1. Needs NumPy.
"""

import json
import pathlib
import sys

import numpy as np

RUNS = 20
PEOPLE_ENROLLED = 20


def read(path):
    people = {}
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        values = np.array(row["embedding"])
        person = pathlib.Path(row["picture"]).parent.name
        people.setdefault(person, []).append(values / np.linalg.norm(values))
    return {name: rows for name, rows in people.items() if len(rows) >= 5}


def unit(values):
    return values / np.linalg.norm(values)


def score(samples, templates, of_samples, of_templates):
    probes = [unit(np.mean(samples, axis=0))] if of_samples == "mean direction" else samples
    if of_templates == "centroid":
        templates = [unit(np.mean(templates, axis=0))]
    similarities = np.array(templates) @ np.array(probes).T
    of_each = similarities.mean(axis=0) if of_templates == "mean" else similarities.max(axis=0)
    return of_each.mean() if of_samples == "mean score" else of_each.max()


def measure(people, noise, samples, templates, of_samples, of_templates):
    random = np.random.default_rng(1)
    mated, first, strangers = [], [], []
    for _ in range(RUNS):
        pictures = {}
        for name, rows in people.items():
            worse = [unit(row + noise * random.standard_normal(len(row)) / len(row) ** 0.5) for row in rows]
            pictures[name] = [worse[at] for at in random.permutation(len(worse))]
        names = list(random.permutation(list(people)))
        enrolled = names[:PEOPLE_ENROLLED]

        def scores(probe):
            of = lambda name: score(probe, pictures[name][:templates], of_samples, of_templates)
            return [of(name) for name in enrolled]

        for at, name in enumerate(enrolled):
            probe = pictures[name][templates : templates + samples]
            if len(probe) == samples:
                found = scores(probe)
                mated.append(found[at])
                first.append(found[at] == max(found))
        strangers += [max(scores(pictures[name][:samples])) for name in names[PEOPLE_ENROLLED:]]
    missed = np.mean(np.array(mated) < np.quantile(strangers, 0.99))
    return f"FNIR {100 * missed:5.1f} %, rank 1 {100 * np.mean(first):5.1f} %"


def main():
    people = read(sys.argv[1])
    for noise in (0.0, 1.0, 1.6):
        for samples, templates in ((1, 1), (1, 3), (3, 1), (3, 3)):
            for of_templates in ("max", "mean", "centroid")[: 3 if templates > 1 else 1]:
                for of_samples in ("mean direction", "max score", "mean score")[: 3 if samples > 1 else 1]:
                    found = measure(people, noise, samples, templates, of_samples, of_templates)
                    how = f"templates: {of_templates:8} samples: {of_samples:14}"
                    print(f"noise {noise}, {samples} of {templates}: {how} {found}", flush=True)


if __name__ == "__main__":
    main()
