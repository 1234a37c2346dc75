"""What a result depends on besides the programs: the machine and the versions."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("faiss-cpu", "hnswlib", "matplotlib", "numkong", "numpy", "scann", "usearch")

LENT_KERNELS = ("Haswell", "SkylakeX", "Zen")
"""Kernels of OpenBLAS that one from 2021 has, too; newer ones for AVX-512 come down to SkylakeX."""

FLAGS = ("avx", "fma", "amx", "sse4", "popcnt", "f16c")
"""Beginnings of the processor flags that matter to a scan; all flags are reported too."""


def describe() -> dict:
    """Returns processor, memory and system."""
    processor = _cpuinfo()
    flags = sorted(processor.get("flags", "").split())
    return {
        "cpu": processor.get("model name", platform.processor()),
        "family_model_stepping": [
            processor.get(name, "") for name in ("cpu family", "model", "stepping")
        ],
        "cpus_allowed": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "scan_flags": [flag for flag in flags if flag.startswith(FLAGS)],
        "flags": flags,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Returns the versions of the packages, and which commit is checked out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return {**found, "commit": _commit()}


def lend_kernel() -> None:
    """Has FAISS's OpenBLAS take the kernel that numpy's takes. Call it between the two imports.

    The wheel of FAISS carries an old OpenBLAS, which does not know newer processors and takes
    kernels of 2004 on them, although it has better ones.
    """
    import numpy  # noqa: F401  (loads the library that is asked)

    names = [library["kernel"] for library in blas()]
    newer = {"Cooperlake": "SkylakeX", "SapphireRapids": "SkylakeX"}
    for name in (newer.get(name, name) for name in names):
        if name in LENT_KERNELS:
            os.environ["OPENBLAS_CORETYPE"] = name


def blas() -> list[dict[str, str]]:
    """Returns the libraries for matrix products that are loaded, and which kernels they run."""
    from threadpoolctl import threadpool_info

    return [
        {
            "library": library["prefix"],
            "version": str(library["version"]),
            "kernel": str(library.get("architecture", "unknown")),
            "threads": str(library["num_threads"]),
        }
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


class Others:
    """How much of the processors other programs took since this was made."""

    def __init__(self, companions: list[int]) -> None:
        """Counts as ours this process, those it has waited for, and these living ones."""
        self._companions = companions
        self._started = time.monotonic()
        self._busy, self._own = _busy_seconds(), self._own_seconds()

    def share(self) -> float:
        """Returns it as a share of all processors' time, from 0 to 1."""
        others = (_busy_seconds() - self._busy) - (self._own_seconds() - self._own)
        elapsed = time.monotonic() - self._started
        return max(0.0, others / (elapsed * (os.cpu_count() or 1)))

    def _own_seconds(self) -> float:
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return own + sum(_process_seconds(pid) for pid in self._companions)


def _busy_seconds() -> float:
    """Returns what all programs and, in a virtual machine, its neighbours took since the start."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, fields)
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


def _process_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bytes_available() -> int:
    """Returns how much memory could be taken without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    raise RuntimeError("reading /proc/meminfo: expected a line MemAvailable, found none")


def _cpuinfo() -> dict[str, str]:
    """Returns what the kernel says about the first processor."""
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    fields = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}


def _commit() -> str:
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
