#!/usr/bin/env python3
"""Fits the weights of the liveness score to presentations that `vultus evaluate liveness --details` has looked at.

usage: liveness_fit.py DETAILS.jsonl

Prints the weights of src/liveness/active.rs, and how often the score alone errs for a person who was left out of the
fit. The names of presentations are expected to be .../PERSON/live/N and .../PERSON/attack/KIND/N.
"""
import json
import sys

import numpy as np

RIDGE = 1


def read(path):
    rows = []
    for line in open(path):
        shown = json.loads(line)
        parts = shown["outcome"].get("decided", {}).get("parts", {})
        motion = parts.get("motion")
        if motion is None:
            continue  # No face, or two people: the score is not asked.
        live = shown["truth"] == "live"
        name = shown["name"].split("/")
        shares = np.clip([sample["passive_score"] for sample in parts["samples"]], 0.01, 0.99)
        rows.append({
            "person": name[-3 if live else -4],
            "kind": "live" if live else name[-2],
            "parallax": np.log(max(motion["parallax"], 0.005)),
            "difference": np.log(np.clip(1 - motion["detail"], 0.005, 0.3)),
            "passive": np.mean(np.log(shares / (1 - shares))),
            "least": np.min(np.log(shares / (1 - shares))),
            "fringes": motion["fringes"],
        })
    return rows


def fit(rows, features):
    """The start and the weight of each feature, by ridge logistic regression; live and attack weigh the same."""
    values = np.array([[row[feature] for feature in features] for row in rows])
    live = np.array([row["kind"] == "live" for row in rows], float)
    share = np.where(live == 1, 1 / live.sum(), 1 / (1 - live).sum()) * len(live) / 2
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    design = np.c_[np.ones(len(live)), (values - mean) / deviation]
    ridge = RIDGE * np.diag([0.0] + [1.0] * len(features))
    weights = np.zeros(design.shape[1])
    for _ in range(100):  # Newton's method.
        guess = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (share * (live - guess)) - ridge @ weights
        curve = (design * (share * guess * (1 - guess))[:, None]).T @ design + ridge
        weights += np.linalg.solve(curve, slope)
    slopes = weights[1:] / deviation
    return np.r_[weights[0] - slopes @ mean, slopes]


def errors(rows, features, weights):
    scores = np.array([weights[0] + sum(w * row[f] for w, f in zip(weights[1:], features)) for row in rows])
    live = np.array([row["kind"] == "live" for row in rows])
    return (f"{np.sum(live & (scores < 0))} of {live.sum()} live refused, "
            f"{np.sum(~live & (scores >= 0))} of {(~live).sum()} attacks passed")


rows = read(sys.argv[1])
for name, features, attacks in [
    ("solid", ["parallax", "difference"], ["print", "waved", "same", "cropped", "mirrored", "shaded"]),
    ("natural", ["fringes", "passive", "least"], ["screen"]),
]:
    part = [row for row in rows if row["kind"] in ["live", *attacks]]
    weights = fit(part, features)
    print(f"{name}: start {weights[0]:.2f}, " + ", ".join(f"{f} {w:.2f}" for f, w in zip(features, weights[1:])))
    print(f"  all: {errors(part, features, weights)}")
    for person in sorted({row["person"] for row in part if row["kind"] == "live"}):
        others = fit([row for row in part if row["person"] != person], features)
        own = [row for row in part if row["person"] == person]
        print(f"  {person}, fitted without: {errors(own, features, others)}")
