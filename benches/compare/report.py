"""Turns measurements into `results.json`, `results.csv`, `table.md` and `summary.md`.

Run as `report.py DIR` to write the two pages of a `results.json` anew.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
from pathlib import Path
from typing import TextIO

import machine
from measure import System, best_exact, ratio
from settings import REFERENCE, Settings

SLOWER_BELOW = 0.995
"""A ratio that is printed as 1.00 is not called slower."""


def results(settings: Settings, systems: list[System], vultus: dict, about: dict) -> dict:
    """Gathers everything that is known about a run; it names no path of the machine."""
    return {
        **about,
        "machine": machine.describe(),
        "settings": {
            "rows": settings.rows,
            "dim": settings.dim,
            "probes": list(settings.probes),
            "threads": settings.threads,
            "top": settings.top,
            "rounds": settings.rounds,
            "data": settings.data,
            "seed": settings.seed,
            "truth_probes": min(settings.truth, max(settings.probes)),
            "seconds_max": settings.seconds_max,
        },
        "reference": REFERENCE,
        "best_exact": {
            str(count): best_exact(systems, count).key for count in settings.probes
        },
        "vultus": vultus,
        "systems": [_system(system, systems) for system in systems],
    }


def write(found: dict, out: Path) -> None:
    """Writes the files into a folder, which is made."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    _write_pages(found, out)
    with (out / "results.csv").open("w", newline="") as file:
        _write_csv(found, file)


def _write_pages(found: dict, out: Path) -> None:
    (out / "table.md").write_text(table(found))
    (out / "summary.md").write_text(summary(found))


def _system(system: System, systems: list[System]) -> dict:
    return {
        "key": system.key,
        "label": system.label,
        "exact": system.exact,
        "not_run": system.not_run,
        "build_seconds": system.build_seconds,
        "recall_1": system.recall_1,
        "recall_top": system.recall_top,
        "chosen": {str(count): way for count, way in system.chosen.items()},
        "cases": [_case(system, probes, systems) for probes in system.cases],
    }


def _case(system: System, probes: int, systems: list[System]) -> dict:
    case = system.cases[probes]
    median = statistics.median(case.milliseconds)
    described = {
        "probes": probes,
        "median_ms": median,
        "milliseconds": case.milliseconds,
        "single": case.single,
        "probes_per_second": probes / median * 1e3,
        "speed_to_best_exact": ratio(best_exact(systems, probes).cases[probes], case),
    }
    for vultus in systems:
        if vultus.key == "vultus":
            described["vultus_speed_to_it"] = ratio(case, vultus.cases[probes])
    return described


def table(found: dict) -> str:
    """Writes the page with everything, in Markdown."""
    return "\n".join(
        [
            *_heading(found),
            "",
            *_times(found),
            "",
            *_notes(found),
            "",
            *_against_vultus(found),
            "",
        ]
    )


def _heading(found: dict) -> list[str]:
    settings, machine_ = found["settings"], found["machine"]
    kernels = [f"{one['library']} {one['version']}: {one['kernel']}" for one in found["blas"]]
    return [
        f"# {settings['rows']:,} rows x {settings['dim']} values, {settings['data']}, "
        f"top {settings['top']}, {settings['threads']} threads",
        "",
        f"{found['date']}. {machine_['cpu']} ({', '.join(machine_['scan_flags'])}), "
        f"{machine_['memory_gb']} GB. {found['versions'].get('vultus', 'without Vultus')}, "
        f"commit {found['versions']['commit']}. Other programs took "
        f"{found['cpu_share_of_others']:.0%} of the processors meanwhile. Matrix products: "
        f"{', '.join(kernels) or 'none'}.",
    ]


def _times(found: dict) -> list[str]:
    """One line a system: times and, in brackets, how many times as fast as the best exact peer."""
    counts = found["settings"]["probes"]
    top = found["settings"]["top"]
    heads = [f"{count} {'probe' if count == 1 else 'probes'}, ms" for count in counts]
    lines = [
        _line(["system", "exact", "recall@1", f"recall@{top}", *heads, "probes/s", "build, s"]),
        _line([" --- ", " --- ", *[" ---: "] * (len(counts) + 4)]).replace(" ", ""),
    ]
    for system in found["systems"]:
        cells = [
            _bold(system["label"], system["key"] == "vultus"),
            "yes" if system["exact"] else "no",
            _number(system["recall_1"], ".3f"),
            _number(system["recall_top"], ".4f"),
        ]
        if system["not_run"] is not None:
            cells += [f"not run: {system['not_run']}", *["–"] * (len(counts) + 1)]
        else:
            cells += [_time(case, _is_best(found, system, case)) for case in system["cases"]]
            cells.append(_rate(system["cases"][-1]["probes_per_second"]))
            cells.append(_number(system["build_seconds"], ".1f"))
        lines.append(_line(cells))
    return lines


def _notes(found: dict) -> list[str]:
    settings = found["settings"]
    return [
        "**Bold**: the best exact peer at that number of probes. In brackets: how many times as "
        "fast as that one. Times are medians of "
        f"{settings['rounds']} rounds in which the systems took turns; ratios are medians of the "
        "rounds' ratios. `exact` scans all rows in single precision at least; Vultus answers as "
        "double precision does, which was checked. Recall is over "
        f"{settings['truth_probes']} probes; NumKong's scores alone are no answers. What several "
        f"rows share is built with the first. probes/s is at {settings['probes'][-1]} probes a "
        f"call. † A call took more than {settings['seconds_max']:g} s and was made once. "
        "A system that is tuned was tried in all its ways before, and takes the fastest for each "
        "number of probes:",
        "",
        *[
            f"* {system['label']}, {count} {'probe' if count == '1' else 'probes'}: {way}"
            for system in found["systems"]
            for count, way in system["chosen"].items()
        ],
    ]


def summary(found: dict) -> str:
    """Writes the table of the README: times, and Vultus against the best exact peer."""
    counts = found["settings"]["probes"]
    top = found["settings"]["top"]
    heads = ["1 probe" if count == 1 else f"{count:,}" for count in counts]
    lines = [
        _line(["system", "exact", *heads]),
        _line([" --- ", " --- ", *[" ---: "] * len(counts)]).replace(" ", ""),
    ]
    for system in sorted(found["systems"], key=lambda system: not system["exact"]):
        if system["not_run"] is not None or system["recall_top"] is None:
            continue
        exact = f"no: {system['recall_top']:.3f} of the {top} best"
        cells = [
            _bold(system["label"], system["key"] == "vultus"),
            "yes" if system["exact"] else exact,
        ]
        for case in system["cases"]:
            cells.append(_bold(_milliseconds(case), _is_best(found, system, case)))
        lines.append(_line(cells))
        if system["key"] == "vultus":
            ratios = [_times_as_fast(found, count) for count in counts]
            lines.append(_line(["times as fast as the best exact peer", "", *ratios]))
    return "\n".join([*lines, ""])


def _times_as_fast(found: dict, count: int) -> str:
    """Vultus against the best exact peer at a number of probes."""
    best = found["best_exact"][str(count)]
    cases = next(system["cases"] for system in found["systems"] if system["key"] == best)
    case = next(case for case in cases if case["probes"] == count)
    return f"{case['vultus_speed_to_it']:.1f}"


def _is_best(found: dict, system: dict, case: dict) -> bool:
    return found["best_exact"][str(case["probes"])] == system["key"]


def _against_vultus(found: dict) -> list[str]:
    """One line a peer: its time divided by that of Vultus."""
    if all(system["key"] != "vultus" for system in found["systems"]):
        return []
    counts = found["settings"]["probes"]
    lines = [
        "## Vultus against each",
        "",
        "How many times faster Vultus is. **Bold: Vultus is slower.**",
        "",
        _line(["system", "exact", *map(str, counts)]),
        _line([" --- ", " --- ", *[" ---: "] * len(counts)]).replace(" ", ""),
    ]
    for system in found["systems"]:
        if system["key"] == "vultus" or system["not_run"] is not None:
            continue
        ratios = [case["vultus_speed_to_it"] for case in system["cases"]]
        cells = [_bold(f"{ratio_:.2f}", ratio_ < SLOWER_BELOW) for ratio_ in ratios]
        lines.append(_line([system["label"], "yes" if system["exact"] else "no", *cells]))
    return lines


def _time(case: dict, best: bool) -> str:
    mark = " †" if case["single"] else ""
    time = _bold(_milliseconds(case), best)
    return f"{time} ({case['speed_to_best_exact']:.2f}){mark}"


def _milliseconds(case: dict) -> str:
    milliseconds = case["median_ms"]
    digits = 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:,.{digits}f}"


def _rate(probes_per_second: float) -> str:
    digits = 1 if probes_per_second < 100 else 0
    return f"{probes_per_second:,.{digits}f}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _write_csv(found: dict, file: TextIO) -> None:
    """One line a system and number of probes; one without times if it was not run."""
    names = ["probes", "median_ms", "probes_per_second", "speed_to_best_exact"]
    writer = csv.writer(file)
    about = ["key", "exact", "recall_1", "recall_top", "build_seconds"]
    writer.writerow([*about, *names, "vultus_speed_to_it", "single", "not_run"])
    for system in found["systems"]:
        for case in system["cases"] or [{}]:
            cells = [system[name] for name in about]
            cells += [case.get(name) for name in (*names, "vultus_speed_to_it", "single")]
            writer.writerow([*cells, system["not_run"]])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    _write_pages(json.loads((folder / "results.json").read_text()), folder)
