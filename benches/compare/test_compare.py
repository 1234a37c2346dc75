"""Tests of the comparison itself, on few rows, with fake_vultus.py in place of Vultus.

Run as `cache/venv/bin/python -m unittest test_compare` in this folder.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data import exact_answers
from measure import Case, ratio, recalls
from peers import Gallery
from peers.score_peers import Best

HERE = Path(__file__).resolve().parent
EXACT_PEERS = ("faiss-flat", "faiss-flat-split", "faiss-flat-tuned", "numpy-f32")
SMALL = ["--rows", "3000", "--dim", "32", "--probes", "1,5", "--rounds", "2", "--truth", "4"]
CHOSEN = (
    "vultus,faiss-flat-split,faiss-flat-tuned,numpy-f32,numkong-i8,numkong-i8-scores,"
    "hnswlib-20,hnswlib-40"
)


def compare(folder: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(HERE / "compare.py"), *SMALL, "--only", CHOSEN]
    command += ["--vultus", str(HERE / "fake_vultus.py"), "--cache", folder, "--out", folder]
    # The stand-in runs on the Python of this test, wherever that is.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [*command, *arguments],
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
    )


def waiting(milliseconds: float, each: float, answer: int) -> Callable[[np.ndarray], np.ndarray]:
    """A search that takes so long, and so much longer for each probe, and says which one it is."""

    def search(asked: np.ndarray) -> np.ndarray:
        time.sleep((milliseconds + each * len(asked)) / 1e3)
        return np.array([answer])

    return search


class WholeRun(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls._folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._folder.cleanup)
        cls.out = Path(cls._folder.name)
        done = compare(cls._folder.name)
        assert done.returncode == 0, done.stderr
        cls.found = json.loads((cls.out / "results.json").read_text())
        cls.systems = {system["key"]: system for system in cls.found["systems"]}

    def test_every_system_asked_for_and_the_reference_have_all_times(self) -> None:
        self.assertEqual(set(self.systems), {*CHOSEN.split(","), "faiss-flat"})
        for system in self.systems.values():
            self.assertIsNone(system["not_run"], system)
            self.assertEqual([case["probes"] for case in system["cases"]], [1, 5])
            self.assertTrue(all(len(case["milliseconds"]) == 2 for case in system["cases"]))

    def test_exact_scans_recall_everything_and_others_nearly(self) -> None:
        for key in ("vultus", *EXACT_PEERS):
            self.assertEqual(self.systems[key]["recall_top"], 1.0, key)
        self.assertGreater(self.systems["numkong-i8"]["recall_top"], 0.9)
        self.assertIsNone(self.systems["numkong-i8-scores"]["recall_top"])

    def test_ratios_point_the_right_way(self) -> None:
        for system in self.systems.values():
            for place, case in enumerate(system["cases"]):
                best = self.found["best_exact"][str(case["probes"])]
                reference = self.systems[best]["cases"][place]["milliseconds"]
                own = self.systems["vultus"]["cases"][place]["milliseconds"]
                times = case["milliseconds"]
                to_best = np.median(np.divide(reference, times))
                to_vultus = np.median(np.divide(times, own))
                self.assertAlmostEqual(case["speed_to_best_exact"], to_best)
                self.assertAlmostEqual(case["vultus_speed_to_it"], to_vultus)

    def test_the_best_exact_peer_is_the_fastest_of_them_and_never_vultus(self) -> None:
        for place, count in enumerate(("1", "5")):
            medians = {
                key: self.systems[key]["cases"][place]["median_ms"] for key in EXACT_PEERS
            }
            self.assertEqual(self.found["best_exact"][count], min(medians, key=medians.get))

    def test_what_is_tuned_says_which_way_it_took(self) -> None:
        for key, system in self.systems.items():
            tuned = key in ("faiss-flat-tuned", "numpy-f32")
            self.assertEqual(list(system["chosen"]), ["1", "5"] if tuned else [], key)

    def test_the_kernels_of_matrix_products_are_named(self) -> None:
        for library in self.found["blas"]:
            self.assertIn(f"{library['version']}: {library['kernel']}", self.page("table.md"))
        self.assertGreater(len(self.found["blas"]), 0)

    def test_the_summary_marks_the_best_exact_peer_of_each_column(self) -> None:
        lines = [line.split("|") for line in self.page("summary.md").splitlines()]
        rows = {line[1].strip().strip("*"): line[3:5] for line in lines}
        for place, count in enumerate(("1", "5")):
            bold = [label for label, cells in rows.items() if "**" in cells[place]]
            best = self.systems[self.found["best_exact"][count]]
            self.assertEqual(bold, [best["label"]])
            ratio_ = best["cases"][place]["vultus_speed_to_it"]
            row = rows["times as fast as the best exact peer"]
            self.assertEqual(row[place].strip(), f"{ratio_:.1f}")

    def page(self, name: str) -> str:
        return (self.out / name).read_text()

    def test_tables_list_every_system(self) -> None:
        page = self.page("table.md")
        for system in self.systems.values():
            self.assertIn(system["label"], page)
        with (self.out / "results.csv").open() as file:
            lines = list(csv.DictReader(file))
        self.assertEqual(len(lines), 2 * len(self.systems))

    def test_pictures_are_drawn(self) -> None:
        for name in ("plot.png", "hnsw.png"):
            self.assertEqual((self.out / name).read_bytes()[:4], b"\x89PNG")

    def test_results_name_no_path_of_the_machine(self) -> None:
        for name in ("results.json", "table.md", "results.csv"):
            text = (self.out / name).read_text()
            self.assertNotIn(str(HERE), text)
            self.assertNotIn(str(self.out), text)


class PeersThatCannotRun(unittest.TestCase):
    def test_a_crash_and_a_missing_library_are_rows_with_a_reason(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            crash = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
            (Path(folder) / "hnswlib.py").write_text(crash)
            (Path(folder) / "numkong.py").write_text("raise ImportError('not for you')\n")
            done = compare(folder, PYTHONPATH=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            found = json.loads((Path(folder) / "results.json").read_text())
            page = (Path(folder) / "table.md").read_text()
        reasons = {system["key"]: system["not_run"] for system in found["systems"]}
        self.assertIn("SIGILL", reasons["hnswlib-20"])
        self.assertEqual(reasons["numkong-i8"], "ImportError: not for you")
        self.assertIsNone(reasons["numpy-f32"])
        self.assertEqual(page.count("not run: "), 4)


class Refusals(unittest.TestCase):
    def refused(self, expected: str, *arguments: str, **environment: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            done = compare(folder, *arguments, **environment)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(expected, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_rows_in_another_order(self) -> None:
        self.refused("expected classes", FAKE_FAULT="order")

    def test_a_similarity_that_is_a_little_off(self) -> None:
        self.refused("at rank 3", FAKE_FAULT="similarity")

    def test_arguments_that_make_no_sense(self) -> None:
        self.refused("--rows: expected at least 1000, found 0", "--rows", "0")
        self.refused("--probes: expected a whole number, found `x`", "--probes", "1,x")
        self.refused("--dim: expected 16 to 4096, found 5000", "--dim", "5000")
        self.refused("--threads: expected at most", "--threads", "9999")
        self.refused("--top: expected an answer", "--top", "3000")
        self.refused("--seconds-max: expected more than 0", "--seconds-max", "-1")
        self.refused("found nobody", "--only", "nobody", "--vultus", sys.executable)
        self.refused("is no program", "--vultus", "/nowhere/vultus")


class Parts(unittest.TestCase):
    def setUp(self) -> None:
        random = np.random.default_rng(7)
        self.base = random.standard_normal((20_000, 24)).astype(np.float32)
        self.base[9_000] = self.base[17_000] = self.base[3]  # ties across chunks
        self.probes = np.vstack([self.base[3], random.standard_normal((2, 24))])
        self.probes = self.probes.astype(np.float32)

    def test_ground_truth_is_a_full_sort_with_ties_by_row(self) -> None:
        truth = exact_answers(self.base, self.probes, np.array([0, 2]), 20)
        for line, probe in enumerate(self.probes[[0, 2]].astype(np.float64)):
            lengths = np.linalg.norm(self.base.astype(np.float64), axis=1)
            cosines = self.base @ probe / lengths / np.linalg.norm(probe)
            order = np.lexsort((np.arange(len(cosines)), -cosines.round(14)))[:20]
            self.assertEqual(truth.rows[line].tolist(), order.tolist())
            np.testing.assert_allclose(truth.similarities[line], cosines[order], rtol=1e-13)
        self.assertEqual(truth.rows[0, :3].tolist(), [3, 9_000, 17_000])

    def test_recall_counts_places_found_and_the_first_place(self) -> None:
        truth = exact_answers(self.base, self.probes, np.array([0, 2]), 4)
        answers = truth.rows.copy()
        answers[1] = [answers[1, 1], answers[1, 0], -1, -2]
        self.assertEqual(recalls(answers, truth), (0.5, 0.75))

    def test_best_of_blocks_equals_a_sort(self) -> None:
        scores = (self.probes @ self.base.T * 1000).astype(np.int32)
        best = Best(len(scores), 20, np.int32)
        firsts = [0, 7, 5_000, 19_999]
        for first, end in zip(firsts, [*firsts[1:], scores.shape[1]]):
            best.offer(scores[:, first:end], first)
        found, numbers = best.answer()
        expected = np.sort(scores, axis=1)[:, -20:]
        np.testing.assert_array_equal(np.sort(found, axis=1), expected)
        np.testing.assert_array_equal(np.take_along_axis(scores, numbers, 1), found)

    def test_split_search_merges_the_parts_best_first(self) -> None:
        gallery = Gallery(self.base, top=5, threads=3)

        def build(rows: slice) -> object:
            def search(probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                scores = probes @ self.base[rows].T
                order = np.argsort(-scores, axis=1)[:, :5]
                return np.take_along_axis(scores, order, 1), order + rows.start

            return search

        whole = np.argsort(-(self.probes @ self.base.T), axis=1, kind="stable")[:, :5]
        np.testing.assert_array_equal(gallery.split(build)(self.probes)[1:], whole[1:])

    def test_the_fastest_way_is_taken_at_each_number_of_probes(self) -> None:
        gallery = Gallery(self.base, 5, 1, (self.probes[:1], self.probes))
        ways = {"few": waiting(0, 10, 1), "many": waiting(20, 0, 2), "never": waiting(200, 0, 3)}
        search = gallery.fastest("tuned", ways)
        self.assertEqual(gallery.chosen["tuned"], {1: "few", 3: "many"})
        self.assertEqual(search(self.probes[:1]).item(), 1)
        self.assertEqual(search(self.probes).item(), 2)

    def test_ratio_compares_round_by_round(self) -> None:
        slow, fast = Case([10.0, 90.0, 4.0]), Case([1.0, 30.0])
        self.assertEqual(ratio(slow, fast), 6.5)


if __name__ == "__main__":
    unittest.main()
