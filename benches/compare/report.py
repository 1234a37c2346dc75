"""Turns measurements into `results.json`, `results.csv` and `table.md`."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import TextIO

import machine
from measure import System, ratio
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
        "vultus": vultus,
        "systems": [_system(system, _by_key(systems)) for system in systems],
    }


def write(found: dict, out: Path) -> None:
    """Writes the three files into a folder, which is made."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "table.md").write_text(table(found))
    with (out / "results.csv").open("w", newline="") as file:
        _write_csv(found, file)


def _by_key(systems: list[System]) -> dict[str, System]:
    return {system.key: system for system in systems}


def _system(system: System, by_key: dict[str, System]) -> dict:
    return {
        "key": system.key,
        "label": system.label,
        "exact": system.exact,
        "not_run": system.not_run,
        "build_seconds": system.build_seconds,
        "recall_1": system.recall_1,
        "recall_top": system.recall_top,
        "cases": [_case(system, probes, by_key) for probes in system.cases],
    }


def _case(system: System, probes: int, by_key: dict[str, System]) -> dict:
    case = system.cases[probes]
    median = statistics.median(case.milliseconds)
    described = {
        "probes": probes,
        "median_ms": median,
        "milliseconds": case.milliseconds,
        "single": case.single,
        "probes_per_second": probes / median * 1e3,
        "speed_to_reference": ratio(by_key[REFERENCE].cases[probes], case),
    }
    if "vultus" in by_key:
        described["vultus_speed_to_it"] = ratio(case, by_key["vultus"].cases[probes])
    return described


def table(found: dict) -> str:
    """Writes the Markdown page."""
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
    return [
        f"# {settings['rows']:,} rows x {settings['dim']} values, {settings['data']}, "
        f"top {settings['top']}, {settings['threads']} threads",
        "",
        f"{found['date']}. {machine_['cpu']} ({', '.join(machine_['scan_flags'])}), "
        f"{machine_['memory_gb']} GB. {found['versions'].get('vultus', 'without Vultus')}, "
        f"commit {found['versions']['commit']}. Other programs took "
        f"{found['cpu_share_of_others']:.0%} of the processors meanwhile.",
    ]


def _times(found: dict) -> list[str]:
    """One line a system: times and, in brackets, speed as a multiple of the reference's."""
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
            cells += [_time(case) for case in system["cases"]]
            cells.append(_rate(system["cases"][-1]["probes_per_second"]))
            cells.append(_number(system["build_seconds"], ".1f"))
        lines.append(_line(cells))
    return lines


def _notes(found: dict) -> list[str]:
    settings = found["settings"]
    return [
        "In brackets: how many times faster than FAISS IndexFlatIP. Times are medians of "
        f"{settings['rounds']} rounds in which the systems took turns; ratios are medians of the "
        "rounds' ratios. `exact` scans all rows in single precision at least; Vultus answers as "
        "double precision does, which was checked. Recall is over "
        f"{settings['truth_probes']} probes; NumKong's scores alone are no answers. What several "
        f"rows share is built with the first. probes/s is at {settings['probes'][-1]} probes a "
        f"call. † A call took more than {settings['seconds_max']:g} s and was made once.",
    ]


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


def _time(case: dict) -> str:
    mark = " †" if case["single"] else ""
    milliseconds = case["median_ms"]
    digits = 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:,.{digits}f} ({case['speed_to_reference']:.2f}){mark}"


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
    names = ["probes", "median_ms", "probes_per_second", "speed_to_reference"]
    writer = csv.writer(file)
    about = ["key", "exact", "recall_1", "recall_top", "build_seconds"]
    writer.writerow([*about, *names, "vultus_speed_to_it", "single", "not_run"])
    for system in found["systems"]:
        for case in system["cases"] or [{}]:
            cells = [system[name] for name in about]
            cells += [case.get(name) for name in (*names, "vultus_speed_to_it", "single")]
            writer.writerow([*cells, system["not_run"]])
