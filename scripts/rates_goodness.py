#!/usr/bin/env python3
"""Draws the table of src/rates/goodness.rs: how high the statistic of Anderson and Darling is by chance
where a generalised Pareto distribution, both of whose parameters were fitted, is the right one.

    python3 scripts/rates_goodness.py [EXCESSES [DRAWS]]

prints a line for each shape. The table is of 200 excesses and 10,000 draws; it needs NumPy and about
ten minutes. Choulakian and Stephens (Technometrics 2001) have 0.796, 0.974 and 1.409 for 0.1, 0.05 and
0.01 where the shape is 0.
"""

import sys

import numpy as np

SHAPES = [-0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7]
PROBABILITIES = [0.5, 0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001]
DRAWS_AT_ONCE = 500


def fit(excesses):
    """The most likely `shape / scale` and scale of each row, whose mean is 1: Grimshaw's way."""
    rows = len(excesses)
    longest = excesses.max(axis=1)
    best = [np.full(rows, -np.inf), np.zeros(rows), np.ones(rows)]

    def consider(t):
        mean = np.log1p(t[:, None] * excesses).mean(axis=1) / t
        shape = t * mean
        likelihood = np.where((shape < -0.5) | (shape > 1), -np.inf, -np.log(mean) - shape - 1)
        better = likelihood > best[0]
        for at, value in enumerate((likelihood, t, mean)):
            best[at] = np.where(better, value, best[at])

    consider(np.full(rows, 1e-7))
    for share in np.concatenate([np.linspace(0.02, 0.9, 45), np.linspace(0.91, 0.9995, 30)]):
        consider(-share / longest)
    for step in range(90):
        consider(np.full(rows, 0.02 * 1.08**step))
    for width in (0.03, 0.01, 0.003):
        centre = best[1].copy()
        for offset in np.linspace(-1, 1, 8):
            t = centre + offset * width * np.maximum(np.abs(centre), 0.3)
            consider(np.maximum(np.where(t == 0, 1e-7, t), -0.9999 / longest))
    return best[1], best[2]


def anderson_darling(excesses, t, scale):
    rising = np.sort(excesses, axis=1)
    count = rising.shape[1]
    below = -np.expm1(-np.log1p(t[:, None] * rising) / (t * scale)[:, None])
    below = np.clip(below, 1e-12, 1 - 1e-12)
    weights = 2 * np.arange(1, count + 1) - 1
    return -count - (weights * (np.log(below) + np.log1p(-below[:, ::-1]))).sum(axis=1) / count


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    draws = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    random = np.random.default_rng(1)
    for shape in SHAPES:
        statistics = []
        for _ in range(max(1, draws // DRAWS_AT_ONCE)):
            steps = random.exponential(size=(DRAWS_AT_ONCE, count))
            excesses = steps if shape == 0 else np.expm1(shape * steps) / shape
            excesses /= excesses.mean(axis=1, keepdims=True)
            statistics.append(anderson_darling(excesses, *fit(excesses)))
        quantiles = np.quantile(np.concatenate(statistics), [1 - p for p in PROBABILITIES])
        print(f"    ({shape:.1f}, [{', '.join(f'{value:.3f}' for value in quantiles)}]),", flush=True)


if __name__ == "__main__":
    main()
