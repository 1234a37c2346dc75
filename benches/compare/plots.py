"""Draws `plot.png` and `hnsw.png` from the results. Run as `plots.py DIR` to draw them anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axis import Axis  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: E402

COLOURS = {
    "vultus": "#D55E00",
    "faiss": "#0072B2",
    "usearch": "#009E73",
    "scann": "#CC79A7",
    "numkong": "#E69F00",
    "numpy": "#7F7F7F",
    "hnswlib": "#56B4E9",
}
"""One for each library, from Okabe and Ito: told apart by the colour-blind too."""

MARKERS = "osD^vPX"
"""Tell the ways to use one library apart."""

HNSW_RECALL = 0.9
"""The plot of all systems shows the least effort of hnswlib that recalls so much."""

DOTS_PER_INCH = 200


def write(found: dict, out: Path) -> None:
    """Draws what the results allow into a folder."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    _speeds(found, out / "plot.png")
    if _graphs(found):
        _graph_trade(found, out / "hnsw.png")


def _title(found: dict) -> str:
    settings = found["settings"]
    return (
        f"{settings['rows']:,} rows x {settings['dim']} values ({settings['data']}), "
        f"top {settings['top']}, {settings['threads']} threads"
    )


def _ran(found: dict) -> list[dict]:
    return [system for system in found["systems"] if system["not_run"] is None]


def _graphs(found: dict) -> list[dict]:
    return [system for system in _ran(found) if system["key"].startswith("hnswlib")]


def _shown(found: dict) -> list[dict]:
    """What the plot of all systems shows, the fastest at most probes first.

    Of hnswlib's efforts that is one. Of a way to quantise that was measured with and without
    splitting the rows, it is the faster at each number of probes; exact ones are all shown.
    """
    graphs = _graphs(found)
    enough = [graph for graph in graphs if graph["recall_top"] >= HNSW_RECALL] or graphs[-1:]
    left_out = [graph["key"] for graph in graphs if graph not in enough[:1]]
    shown: dict[str, dict] = {}
    for system in _ran(found):
        key = system["key"].removesuffix("-split")
        if key in shown and not system["exact"]:
            shown[key] = _better(shown[key], system)
        elif system["key"] not in left_out:
            shown[system["key"]] = system
    return sorted(shown.values(), key=lambda system: -system["cases"][-1]["speed_to_best_exact"])


def _better(whole: dict, split: dict) -> dict:
    """Joins two systems into one that always is the faster of them."""

    def speed(case: dict) -> float:
        return case["speed_to_best_exact"]

    cases = [max(pair, key=speed) for pair in zip(whole["cases"], split["cases"])]
    recall = min(whole["recall_top"], split["recall_top"])
    return {**whole, "cases": cases, "recall_top": recall}


def _styles(systems: list[dict]) -> dict[str, dict]:
    """Colour by library, marker by use, dashes for what is not exact."""
    styles: dict[str, dict] = {}
    used: dict[str, int] = {}
    for system in sorted(systems, key=lambda system: system["key"]):
        library = system["key"].split("-")[0]
        number = used[library] = used.get(library, -1) + 1
        own = library == "vultus"
        styles[system["key"]] = {
            "color": COLOURS[library],
            "marker": MARKERS[number % len(MARKERS)],
            "linestyle": "-" if system["exact"] else (0, (4, 2)),
            "linewidth": 3 if own else 1.5,
            "markersize": 8 if own else 6,
            "zorder": 5 if own else 3,
        }
    return styles


def _legend(system: dict) -> str:
    if system["exact"]:
        return system["label"]
    if system["recall_top"] is None:
        return f"{system['label']}: no answers"
    return f"{system['label']}: recall {system['recall_top']:.3f}"


def _speeds(found: dict, path: Path) -> None:
    """Speed as a multiple of the best exact peer's against the number of probes in a call."""
    systems = _shown(found)
    styles = _styles(systems)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 7), sharey=True, layout="constrained")
    exact = [system for system in systems if system["exact"]]
    _speed_panel(left, found, exact, styles)
    left.set_title("exact", fontsize=10)
    left.set_ylabel("times as fast as the best exact peer at that number of probes")
    rest = [system for system in systems if not system["exact"] or system["key"] == "vultus"]
    _speed_panel(right, found, rest, styles)
    right.set_title("quantised or approximate, beside exact Vultus", fontsize=10)
    left.set_yscale("log")
    _plain_numbers(left.yaxis, "x")
    figure.suptitle(_title(found), x=0.01, ha="left", fontsize=11)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    plt.close(figure)


def _speed_panel(axes: plt.Axes, found: dict, systems: list[dict], styles: dict[str, dict]) -> None:
    counts = found["settings"]["probes"]
    for system in systems:
        speeds = [case["speed_to_best_exact"] for case in system["cases"]]
        axes.plot(range(len(counts)), speeds, label=_legend(system), **styles[system["key"]])
    axes.axhline(1, color="#999999", linewidth=0.8, zorder=1, label="the best exact peer")
    axes.set_xticks(range(len(counts)), [f"{count:,}" for count in counts])
    axes.set_xlabel("probes in one call")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        fontsize=9,
        handlelength=3.5,
        frameon=False,
    )


def _graph_trade(found: dict, path: Path) -> None:
    """Speed of hnswlib against its recall, and the scans that lose nothing, as points."""
    counts = found["settings"]["probes"]
    ends = sorted({counts[0], counts[-1]})
    figure, panels = plt.subplots(
        1, len(ends), figsize=(10, 4.6), layout="constrained", squeeze=False
    )
    for axes, count in zip(panels[0], ends):
        _graph_panel(axes, found, count)
    panels[0][0].set_ylabel("probes per second")
    figure.suptitle(_title(found), x=0.01, ha="left", fontsize=11)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    plt.close(figure)


def _graph_panel(axes: plt.Axes, found: dict, count: int) -> None:
    def point(system: dict) -> tuple[float, float]:
        case = next(case for case in system["cases"] if case["probes"] == count)
        return system["recall_top"], case["probes_per_second"]

    graphs = _graphs(found)
    recalls, speeds = zip(*map(point, graphs))
    axes.plot(
        recalls, speeds, "o--", color=COLOURS["hnswlib"], label=graphs[0]["label"].split(",")[0]
    )
    for graph, recall, speed in zip(graphs, recalls, speeds):
        effort = graph["label"].rsplit(" ", 1)[1]
        axes.annotate(
            f"ef {effort}",
            (recall, speed),
            (-5, -5),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
        )
    for system in _ran(found):
        if system["key"] in ("vultus", found["reference"]):
            own = system["key"] == "vultus"
            axes.plot(
                *point(system),
                linestyle="none",
                marker="*" if own else "s",
                markersize=16 if own else 7,
                color=COLOURS[system["key"].split("-")[0]],
                label=f"{system['label']} (exact)",
                clip_on=False,
                zorder=5,
            )
    axes.set_yscale("log")
    axes.margins(x=0.12, y=0.12)
    _plain_numbers(axes.yaxis, "")
    axes.grid(alpha=0.25)
    axes.set_xlabel(f"recall@{found['settings']['top']}")
    probes = "1 probe" if count == 1 else f"{count:,} probes"
    axes.set_title(f"{probes} in one call", fontsize=10)
    axes.legend(fontsize=8.5, loc="lower left")


def _plain_numbers(axis: Axis, unit: str) -> None:
    """Writes 0.5 and 20 instead of powers of ten, at more places if few powers are in sight."""
    low, high = axis.get_view_interval()
    steps = (1, 2, 5) if high / low < 1000 else (1, 3) if high / low < 1e4 else (1,)
    exponents = range(-6, 9)
    ticks = [step * 10.0**exponent for exponent in exponents for step in steps]
    axis.set_ticks([tick for tick in ticks if low <= tick <= high])
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}{unit}"))
    axis.set_minor_formatter(NullFormatter())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(json.loads((folder / "results.json").read_text()), folder)
