"""Jobs over whole galleries: what they find is what a full sort finds, however they were ended and
begun again, and whatever was done to their files is found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from naive_jobs import naive_matches, naive_pairs, people, rows_of, same, same_pairs

import vultus
from vultus import jobs
from vultus.jobs import outputs

QUIET = jobs.Local(threads=1, progress=False)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (folder / outputs.FOLDER).iterdir()}


# Exactness


@pytest.mark.parametrize("block_rows", [7, 100, 1_000])
@pytest.mark.parametrize(("k", "threshold"), [(1, None), (5, 0.3), (20, -1.0), (150, None)])
def test_matches_are_those_of_a_full_sort(tmp_path: Path, block_rows: int, k: int, threshold: float | None) -> None:
    gallery, classes = people(1)
    probes = people(2, 40)[0]
    probes[0] = gallery[3]
    found = jobs.identify(
        probes, (gallery, classes), k, tmp_path, threshold=threshold, block_rows=block_rows,
        engine=QUIET,
    )  # fmt: skip
    expected = naive_matches(probes, gallery, classes, k, threshold)
    same(rows_of(found.to_arrow(), "probe", "rank", "class", "similarity"), expected)


@pytest.mark.parametrize("block_rows", [13, 150, 1_000])
@pytest.mark.parametrize("threshold", [0.85, 0.5, -0.2])
def test_pairs_and_groups_are_those_of_all_comparisons(tmp_path: Path, block_rows: int, threshold: float) -> None:
    gallery, classes = people(3)
    found = jobs.duplicates((gallery, classes), threshold, tmp_path, block_rows=block_rows, engine=QUIET)
    same_pairs(found, gallery, classes, threshold)


def test_many_rows_of_one_class_do_not_hide_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    one = rng.standard_normal(32)
    crowd = np.tile(one, (400, 1))
    others = one + 0.2 * rng.standard_normal((30, 32))
    gallery = np.concatenate([crowd, others]).astype(np.float32)
    classes = np.r_[np.full(400, 9), np.arange(30) + 100].astype(np.int64)
    found = jobs.identify(one[None, :].astype(np.float32), (gallery, classes), 5, tmp_path, engine=QUIET)
    expected = naive_matches(one[None, :].astype(np.float32), gallery, classes, 5, None)
    same(rows_of(found.to_arrow(), "probe", "rank", "class", "similarity"), expected)


def test_equal_ones_come_by_class_not_by_row(tmp_path: Path) -> None:
    row = np.arange(1, 17, dtype=np.float32)
    gallery, classes = np.tile(row, (60, 1)), np.arange(60, 0, -1)
    found = jobs.identify(row[None, :], (gallery, classes), 3, tmp_path, block_rows=25, engine=QUIET)
    assert rows_of(found.to_arrow(), "class", "similarity") == [(1, 1.0), (2, 1.0), (3, 1.0)]


def test_new_people_against_those_of_before(tmp_path: Path) -> None:
    gallery, classes = people(5)
    old, new = slice(0, 200), slice(200, 300)
    found = jobs.duplicates(
        (gallery[new], classes[new]), 0.5, tmp_path, against=(gallery[old], classes[old]),
        block_rows=37, engine=QUIET,
    )  # fmt: skip
    expected = naive_pairs(gallery, classes, 0.5)
    within_old = naive_pairs(gallery[old], classes[old], 0.5)
    got = {(a, b) for a, b in rows_of(found.pairs(), "class", "other")}
    fresh = naive_pairs(gallery[new], classes[new], 0.5).keys() | (expected.keys() - within_old)
    assert got >= fresh
    # A class on both sides of the border may bring a pair of the old ones again, never others.
    assert got <= expected.keys()


def test_without_classes_rows_are_numbered_through(tmp_path: Path) -> None:
    gallery, _ = people(6, 90)
    found = jobs.duplicates(gallery[:50], 0.6, tmp_path, against=gallery[50:], block_rows=20, engine=QUIET)
    numbers = np.arange(90)
    expected = {pair for pair in naive_pairs(gallery, numbers, 0.6) if pair[0] < 50}
    assert set(rows_of(found.pairs(), "class", "other")) == expected


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_precisions_are_what_they_are_in_single(tmp_path: Path, kind: type) -> None:
    gallery, classes = people(7)
    found = jobs.duplicates((gallery.astype(kind), classes), 0.5, tmp_path, engine=QUIET)
    same_pairs(found, gallery.astype(kind).astype(np.float32), classes, 0.5)


# Files


def write_parquet(path: Path, embeddings: np.ndarray, classes: np.ndarray, kind: Any = None) -> None:
    values = kind or pa.list_(pa.float32())
    table = pa.table({"class": classes, "embedding": pa.array(embeddings.tolist(), values)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=17)


@pytest.mark.parametrize("kind", [None, pa.list_(pa.float32(), 24), pa.large_list(pa.float64())], ids=str)
def test_parquet_folders_are_read_by_rows_of_any_groups(tmp_path: Path, kind: Any) -> None:
    gallery, classes = people(8)
    write_parquet(tmp_path / "in" / "a.parquet", gallery[:110], classes[:110], kind)
    write_parquet(tmp_path / "in" / "b" / "c.parquet", gallery[110:], classes[110:], kind)
    (tmp_path / "in" / "_SUCCESS").touch()
    found = jobs.duplicates(str(tmp_path / "in"), 0.5, tmp_path / "out", block_rows=40, engine=QUIET)
    same_pairs(found, gallery, classes, 0.5)


def test_npy_files_and_ids_of_probes(tmp_path: Path) -> None:
    gallery, classes = people(9)
    probes = people(10, 30)[0]
    for name, array in (
        ("g", gallery),
        ("c", classes),
        ("p", probes),
        ("i", np.arange(30) + 1_000),
    ):
        np.save(tmp_path / f"{name}.npy", array)
    found = jobs.identify(
        (tmp_path / "p.npy", tmp_path / "i.npy"), (tmp_path / "g.npy", tmp_path / "c.npy"), 3,
        f"file://{tmp_path}/out", block_rows=11, engine=QUIET,
    )  # fmt: skip
    expected = naive_matches(probes, gallery, classes, 3, None)
    same(rows_of(found.to_arrow(), "probe", "rank", "class", "similarity"), expected)
    assert all(i == probe + 1_000 for probe, i in rows_of(found.to_arrow(), "probe", "id"))


def test_texts_are_ids(tmp_path: Path) -> None:
    gallery, classes = people(11, 60)
    table = pa.table({"id": [f"p{n}" for n in range(60)], "embedding": gallery.tolist()})
    pq.write_table(table, tmp_path / "p.parquet")
    found = jobs.identify(tmp_path / "p.parquet", (gallery, classes), 1, tmp_path / "out", engine=QUIET)
    assert rows_of(found.to_arrow(), "id")[7] == ("p7",)


# Ended and begun again


CHILD = """
import sys
from vultus import jobs
jobs.duplicates(sys.argv[1], 0.5, sys.argv[2], block_rows=60, engine=jobs.Local(1, False))
"""


def start(tmp_path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "g.parquet"), str(tmp_path / "out")])


def test_killed_in_the_middle_it_goes_on(tmp_path: Path) -> None:
    gallery, classes = people(12, 1_200)
    write_parquet(tmp_path / "g.parquet", gallery, classes)
    child = start(tmp_path)
    pairs, everything = tmp_path / "out" / outputs.FOLDER, 20 * 21 // 2
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        if pairs.is_dir() and len(list(pairs.glob("*.parquet"))) >= 5:
            break
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = snapshot(tmp_path / "out")
    whole = {name for name in before if name.endswith(".parquet") and not name.startswith(".")}
    assert 5 <= len(whole) < everything
    assert not (tmp_path / "out" / "pairs.parquet").exists()
    found = jobs.duplicates(str(tmp_path / "g.parquet"), 0.5, tmp_path / "out", block_rows=60, engine=QUIET)
    assert found.resumed
    same_pairs(found, gallery, classes, 0.5)
    after = snapshot(tmp_path / "out")
    # What was there is there still, and was not written again; no draft is left.
    assert len(after) == everything
    assert {name: after[name] for name in whole} == {name: before[name] for name in whole}


def test_what_is_done_twice_has_the_same_bytes(tmp_path: Path) -> None:
    gallery, classes = people(13)
    for name in "ab":
        jobs.duplicates((gallery, classes), 0.4, tmp_path / name, block_rows=70, engine=QUIET)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 15 + 3
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_a_finished_job_compares_nothing_again(tmp_path: Path) -> None:
    gallery, classes = people(14)
    first = jobs.duplicates((gallery, classes), 0.5, tmp_path, block_rows=70, engine=QUIET)
    before = snapshot(tmp_path)
    (tmp_path / outputs.FOLDER / ".half.new").write_bytes(b"PAR1")
    again = jobs.duplicates((gallery, classes), 0.5, tmp_path, block_rows=70, engine=QUIET)
    assert (first.resumed, again.resumed) == (False, True)
    assert snapshot(tmp_path) == before
    same_pairs(again, gallery, classes, 0.5)


# Another job, and damage


@pytest.fixture
def done(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    gallery, classes = people(15)
    write_parquet(tmp_path / "g.parquet", gallery, classes)
    again(tmp_path)
    return tmp_path, gallery, classes


def again(folder: Path, **changed: Any) -> jobs.Duplicates:
    options: dict[str, Any] = {"threshold": 0.5, "block_rows": 120, "engine": QUIET} | changed
    return jobs.duplicates(str(folder / "g.parquet"), out=folder / "out", **options)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"threshold": 0.6}, "expected threshold 0.6, found 0.5"),
        ({"block_rows": 100}, "gallery: block 0|gallery: expected 3 blocks"),
        ({"block_rows": 20}, "gallery: expected 15 blocks, found 3"),
        ({"against": np.ones((2, 24), np.float32)}, "against: expected 2 rows, found none"),
    ],
)
def test_another_job_is_refused_with_what_differs(
    done: tuple[Path, np.ndarray, np.ndarray], changed: dict[str, Any], words: str
) -> None:
    before = snapshot(done[0] / "out")
    with pytest.raises(jobs.ForeignManifestError, match=words):
        again(done[0], **changed)
    assert snapshot(done[0] / "out") == before


def test_another_kind_is_refused(done: tuple[Path, np.ndarray, np.ndarray]) -> None:
    folder, gallery, classes = done
    with pytest.raises(jobs.ForeignManifestError, match="expected kind identify, found duplicates"):
        jobs.identify(gallery, (gallery, classes), 2, folder / "out", engine=QUIET)


def test_an_embedding_that_changed_is_named_by_its_block(
    done: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    folder, gallery, classes = done
    gallery[200, 5] += 0.001
    write_parquet(folder / "g.parquet", gallery, classes)
    with pytest.raises(jobs.ForeignManifestError, match="block 1 .rows 120 to 239 of .*g.parquet"):
        again(folder)


def test_a_class_that_changed_is_another_job(done: tuple[Path, np.ndarray, np.ndarray]) -> None:
    folder, gallery, classes = done
    classes[299] += 1
    write_parquet(folder / "g.parquet", gallery, classes)
    with pytest.raises(jobs.ForeignManifestError, match="block 2"):
        again(folder)


def test_files_that_moved_are_the_same_job(done: tuple[Path, np.ndarray, np.ndarray]) -> None:
    folder, gallery, classes = done
    found = jobs.duplicates((gallery, classes), 0.5, folder / "out", block_rows=120, engine=QUIET)
    assert found.resumed


def test_a_block_that_changes_while_the_job_runs_is_found(tmp_path: Path) -> None:
    gallery, classes = people(16)
    np.save(tmp_path / "g.npy", gallery)

    class Meddler(jobs.Local):
        def compare(self, job: Any, pairs: Any, of: int) -> None:
            changed = gallery.copy()
            changed[150, 0] += 1
            np.save(tmp_path / "g.npy", changed)
            super().compare(job, pairs, of)

    with pytest.raises(jobs.CorruptBlockError, match="rows 100 to 199 of .*g.npy: expected the emb"):
        jobs.duplicates(
            str(tmp_path / "g.npy"), 0.5, tmp_path / "out", block_rows=100,
            engine=Meddler(1, False),
        )  # fmt: skip
    # What was compared before stands.
    assert (tmp_path / "out" / outputs.name(0, 0)).exists()
    assert not (tmp_path / "out" / outputs.name(0, 1)).exists()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "swap", "foreign"])
def test_a_damaged_output_is_named_and_can_be_made_again(
    done: tuple[Path, np.ndarray, np.ndarray], damage: str
) -> None:
    folder, gallery, classes = done
    path = folder / "out" / outputs.name(0, 1)
    whole = path.read_bytes()
    if damage == "flip":
        flip(path, 40)
    elif damage == "cut":
        path.write_bytes(whole[:-9])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "swap":
        path.write_bytes((folder / "out" / outputs.name(1, 1)).read_bytes())
    else:
        empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        path.write_bytes(outputs.encode("duplicates", "0" * 64, 0, 1, empty))
    with pytest.raises(jobs.CorruptOutputError, match="000000-000001.parquet: expected"):
        again(folder)
    path.unlink()
    same_pairs(again(folder), gallery, classes, 0.5)
    assert path.read_bytes() == whole


def test_every_flipped_bit_of_an_output_is_found_or_changes_nothing(
    done: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    path = done[0] / "out" / outputs.name(0, 1)
    data, job = (
        path.read_bytes(),
        json.loads((done[0] / "out" / "manifest.json").read_text())["job"],
    )
    right = outputs.decode(data, "x", "duplicates", job, 0, 1)
    for at in range(0, len(data), 7):
        wrong = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        try:
            found = outputs.decode(wrong, "x", "duplicates", job, 0, 1)
        except jobs.CorruptOutputError:
            continue
        assert all(np.array_equal(a, b) for a, b in zip(found, right, strict=True)), at


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected the manifest"),
        ("[]", "expected the manifest"),
        ('{"format":"vultus-job","version":1}', "expected a whole manifest"),
        ('{"format":"vultus-job","version":2}', "found vultus-job of version 2"),
        ('{"format":"other","version":1}', "found other of version 1"),
        ("changed", "expected the id"),
    ],
)
def test_a_damaged_manifest_is_refused(done: tuple[Path, np.ndarray, np.ndarray], text: str, words: str) -> None:
    path = done[0] / "out" / "manifest.json"
    path.write_text(path.read_text().replace("0.5", "0.4") if text == "changed" else text)
    with pytest.raises(jobs.CorruptManifestError, match=words):
        again(done[0])


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(vultus.InputError, match="expected an empty folder.*letters.txt"):
        jobs.duplicates(people(17)[0], 0.5, tmp_path, engine=QUIET)
    assert os.listdir(tmp_path) == ["letters.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(vultus.InputError, match="letters.txt: expected a folder, found a file"):
        jobs.duplicates(people(17)[0], 0.5, tmp_path / "letters.txt", engine=QUIET)


# What was given wrong


def spoilt(row: int, value: float) -> np.ndarray:
    gallery = people(18, 60)[0]
    gallery[row, 3 if value else slice(None)] = value
    return gallery


@pytest.mark.parametrize(
    ("gallery", "error", "words"),
    [
        (spoilt(33, np.nan), vultus.RowError, "row 33: expected finite values"),
        (spoilt(0, np.inf), vultus.RowError, "row 0: expected finite values"),
        (spoilt(59, 0.0), vultus.RowError, "row 59: expected a direction, found zeros"),
        (np.full((3, 16), 1e300), vultus.RowError, "row 0: expected finite values"),
        (np.ones((0, 16), np.float32), vultus.InputError, "at least one row"),
        (np.ones((3, 15), np.float32), vultus.DimensionError, "16 to 4096 values a row, found 15"),
        (np.ones((3, 4_097), np.float32), vultus.DimensionError, "found 4097"),
        (np.ones((3, 16), np.int32), vultus.DtypeError, "found int32"),
        (np.array([["a"] * 16]), vultus.DtypeError, "found <U1"),
        (np.ones(16, np.float32), vultus.ShapeError, r"found \(16,\)"),
        ((np.ones((3, 16)), [1, 2]), vultus.ShapeError, "3 labels, one a row, found shape"),
        ((np.ones((3, 16)), [1.5, 2.0, 3.0]), vultus.InputError, "classes as whole numbers"),
        (
            (np.ones((3, 16)), np.array([2**63, 1, 2], np.uint64)),
            vultus.InputError,
            "64 bits, signed",
        ),
        ("nowhere.parquet", vultus.InputError, "found nothing at nowhere.parquet"),
        (("nowhere.npy", "c.npy"), vultus.InputError, "nowhere.npy: expected an .npy file"),
        ("gopher://host/file", vultus.InputError, "a URI of a file system that Arrow knows"),
        (None, vultus.InputError, "gallery: expected a path, an array, or a pair .* found None"),
        ("", vultus.InputError, "gallery: expected a path, found an empty text"),
        ((), vultus.InputError, "found 0 things"),
        ((np.ones((3, 16)), [1, 2, 3], [4, 5, 6]), vultus.InputError, "found 3 things"),
        (("gallery.parquet", [1, 2]), vultus.InputError, "two arrays or two .npy files, found a file and an array"),
        ([[1.0] * 16, [1.0] * 15], vultus.ShapeError, "gallery: expected rows of one length"),
        ({"a": 1}, vultus.ShapeError, "found an array of objects"),
        (5, vultus.DtypeError, "found int64"),
        (2.5, vultus.ShapeError, r"found \(\)"),
    ],
)
def test_what_is_no_gallery(tmp_path: Path, gallery: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        jobs.duplicates(gallery, 0.5, tmp_path / "out", block_rows=25, engine=QUIET)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threshold", [1.0001, -1.5, float("nan"), float("inf"), None, True, "0.5", [0.5], 1j])
def test_a_threshold_out_of_range(tmp_path: Path, threshold: Any) -> None:
    with pytest.raises(vultus.InputError, match="threshold: expected a similarity from -1 to 1, fou"):
        jobs.duplicates(people(19)[0], threshold, tmp_path, engine=QUIET)


@pytest.mark.parametrize("k", [0, -1, 301, 2.0, True, None, "3"])
def test_k_out_of_range(tmp_path: Path, k: Any) -> None:
    gallery = people(20)[0]
    with pytest.raises(vultus.InputError, match=f"k: expected 1 to 300, the rows .* found {k!r}"):
        jobs.identify(gallery, gallery, k, tmp_path, engine=QUIET)


@pytest.mark.parametrize("block_rows", [0, -5, 1.5, True])
def test_blocks_without_rows(tmp_path: Path, block_rows: Any) -> None:
    with pytest.raises(vultus.InputError, match="block_rows: expected a whole number from 1 on"):
        jobs.duplicates(people(21)[0], 0.5, tmp_path, block_rows=block_rows, engine=QUIET)


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    gallery, classes = people(22)
    one = jobs.duplicates((gallery, classes), np.float32(0.5), tmp_path, block_rows=np.int64(70), engine=QUIET)
    assert not one.resumed
    assert jobs.duplicates((gallery, classes), 0.5, tmp_path, block_rows=70, engine=QUIET).resumed
    found = jobs.identify(gallery, gallery, np.uint8(3), tmp_path / "found", engine=QUIET)
    assert max(found.to_arrow()["rank"].to_pylist()) == 3


@pytest.mark.parametrize("out", [None, 5, "", b"folder", ["folder"]])
def test_what_is_no_folder(out: Any) -> None:
    gallery = people(23)[0]
    with pytest.raises(vultus.InputError, match="out: expected a folder, a path or URI, found"):
        jobs.duplicates(gallery, 0.5, out, engine=QUIET)
    with pytest.raises(vultus.InputError, match="out: expected a folder"):
        jobs.identify(gallery, gallery, 1, out, engine=QUIET)


def test_other_arguments(tmp_path: Path) -> None:
    gallery = people(24)[0]
    for threads in (0, -1, 1.5, "all"):
        with pytest.raises(vultus.InputError, match="threads: expected"):
            jobs.Local(threads=threads)  # type: ignore[arg-type]
    for name, column in (("embedding_column", None), ("embedding_column", ""), ("class_column", 5)):
        with pytest.raises(vultus.InputError, match=f"{name}: expected the name of a column.*found {column!r}"):
            jobs.duplicates(gallery, 0.5, tmp_path, engine=QUIET, **{name: column})
    with pytest.raises(vultus.InputError, match="id_column: expected the name of a column, found 7"):
        jobs.identify(gallery, gallery, 1, tmp_path, engine=QUIET, id_column=7)  # type: ignore[arg-type]
    for calibration, text in ((5, "expected the path of a file, found int"), (tmp_path, "cannot read it")):
        with pytest.raises(vultus.InputError, match=f"calibration: .*{text}|.*: expected a calibration, {text}"):
            jobs.duplicates(gallery, None, tmp_path, target_fpir=0.1, calibration=calibration, engine=QUIET)
    assert not list(tmp_path.iterdir())


def test_probes_of_another_dimension(tmp_path: Path) -> None:
    with pytest.raises(vultus.DimensionError, match="gallery, rows 0 to 2 .*: expected 20 values"):
        jobs.identify(np.ones((2, 20), np.float32), np.ones((3, 16), np.float32), 1, tmp_path, engine=QUIET)


def test_rows_of_a_table_that_are_no_embeddings(tmp_path: Path) -> None:
    path = tmp_path / "g.parquet"
    good = [1.0] * 16
    for rows, error, words in [
        ([good, None], vultus.RowError, "row 1: expected an embedding, found null"),
        ([good, [1.0] * 17], vultus.DimensionError, "row 1: expected 16 values"),
        ([good, [None, *good[1:]]], vultus.RowError, "row 1: expected numbers, found null"),
    ]:
        pq.write_table(pa.table({"class": [1, 2], "embedding": rows}), path)
        with pytest.raises(error, match=words):
            jobs.duplicates(path, 0.5, tmp_path / "out", engine=QUIET)
    pq.write_table(pa.table({"class": [1, None], "embedding": [good, good]}), path)
    with pytest.raises(vultus.InputError, match="row 1: expected a class in class, found null"):
        jobs.duplicates(path, 0.5, tmp_path / "out", engine=QUIET)
    with pytest.raises(vultus.InputError, match="expected a column 'person', found 'class', 'emb"):
        jobs.duplicates(path, 0.5, tmp_path / "out", class_column="person", engine=QUIET)


def test_tables_and_matrices_that_are_cut_off(tmp_path: Path) -> None:
    gallery, classes = people(22)
    write_parquet(tmp_path / "g.parquet", gallery, classes)
    np.save(tmp_path / "g.npy", gallery)
    for name in ("g.parquet", "g.npy"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(jobs.CorruptBlockError, match=f"{name}"):
            jobs.duplicates(path, 0.5, tmp_path / "out", block_rows=90, engine=QUIET)


def test_too_many_pairs_name_their_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vultus.jobs.job.PAIRS_MAX", 100)
    with pytest.raises(vultus.TooManyPairsError, match="rows 0 to 99 of .* with .*raise the thresh"):
        jobs.duplicates(people(23)[0], -1.0, tmp_path, block_rows=100, engine=QUIET)


# Thresholds by rate


def calibration(path: Path, **changed: Any) -> Path:
    lines = [{"target_fpir": rate, "threshold": 1 - rate} for rate in (0.1, 0.01, 0.001)]
    path.write_text(json.dumps({"people": 1_000_000, "identification": lines} | changed))
    return path


def test_a_threshold_is_that_of_its_rate_among_so_many(tmp_path: Path) -> None:
    path = calibration(tmp_path / "c.json")
    assert jobs.threshold_at_rate(path, 0.01, 1_000_000) == 0.99
    assert jobs.threshold_at_rate(path, 0.001, 900_000) == 0.999
    with pytest.raises(vultus.InputError, match="among 1000001 people or more, found .* 1000000"):
        jobs.threshold_at_rate(path, 0.01, 1_000_001)
    for rate in (0.02, 0, 1, float("nan"), None):
        with pytest.raises(vultus.InputError, match="expected one of 0.1, 0.01, 0.001, found"):
            jobs.threshold_at_rate(path, rate, 10)  # type: ignore[arg-type]
    for count in ("a", None, 1.5, True, 0, -1, [10]):
        with pytest.raises(vultus.InputError, match="people: expected a whole number from 1 on, found"):
            jobs.threshold_at_rate(path, 0.01, count)  # type: ignore[arg-type]
    assert jobs.threshold_at_rate(path, 0.01, np.int64(10)) == 0.99


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"people":"9","identification":[]}'])
def test_what_is_no_calibration(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(vultus.InputError, match="expected what `vultus calibrate --json` prints"):
        jobs.threshold_at_rate(tmp_path / "c.json", 0.1, 10)
    with pytest.raises(vultus.InputError, match="found no file"):
        jobs.threshold_at_rate(tmp_path / "none.json", 0.1, 10)


def test_jobs_at_a_rate(tmp_path: Path) -> None:
    gallery, _ = people(3, 60, 16)
    rows = len(gallery)
    path = calibration(tmp_path / "c.json", people=rows)
    asked = {"target_fpir": 0.01, "calibration": path, "engine": QUIET}
    by_rate = jobs.duplicates(gallery, None, tmp_path / "rate", **asked)
    by_threshold = jobs.duplicates(gallery, 0.99, tmp_path / "threshold", engine=QUIET)
    assert by_rate.pairs().equals(by_threshold.pairs())
    # The same job, whichever way its threshold was asked for.
    assert jobs.duplicates(gallery, 0.99, tmp_path / "rate", engine=QUIET).resumed
    found = jobs.identify(gallery[:5], gallery, 3, tmp_path / "found", **asked)
    assert found.to_arrow().column("similarity").to_numpy().min() >= 0.99
    # All rows of both count.
    with pytest.raises(vultus.InputError, match=f"thresholds among {rows + 1} people or more"):
        jobs.duplicates(gallery, None, tmp_path / "new", against=gallery[:1], **asked)
    # What was measured of another encoder says nothing of these.
    table = pa.table({"embedding": gallery.tolist()}).replace_schema_metadata({"vultus.encoder": "mine@1"})
    pq.write_table(table, tmp_path / "mine.parquet")
    for encoder, is_other in (("mine@1/16", False), ("mine@2/16", True), ("other@1/16", True)):
        path = calibration(tmp_path / "c.json", people=rows, encoder=encoder)
        out = tmp_path / encoder.replace("/", "-")
        options = {"target_fpir": 0.01, "calibration": path, "class_column": None, "engine": QUIET}
        if not is_other:
            jobs.duplicates(tmp_path / "mine.parquet", None, out, **options)
            continue
        with pytest.raises(vultus.EncoderError, match=f"measured of 'mine@1', found '{encoder}'"):
            jobs.duplicates(tmp_path / "mine.parquet", None, out, **options)
    none = [{"target_fpir": 0.01, "threshold": 1.0, "reached": False}]
    path = calibration(tmp_path / "c.json", people=rows, identification=none)
    with pytest.raises(vultus.InputError, match="found none that keeps strangers to it"):
        jobs.duplicates(gallery, None, tmp_path / "new", target_fpir=0.01, calibration=path, engine=QUIET)
    path = calibration(tmp_path / "c.json", people=rows)
    wrong = [
        ((0.5,), {"target_fpir": 0.01, "calibration": path}, "found both"),
        ((None,), {"target_fpir": 0.01}, "expected a calibration with it"),
        ((None,), {"calibration": path}, "expected a target_fpir with it"),
        ((None,), {}, "found None and no target_fpir"),
    ]
    for arguments, options, expected in wrong:
        with pytest.raises(vultus.InputError, match=expected):
            jobs.duplicates(gallery, *arguments, tmp_path / "new", engine=QUIET, **options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("save", (np.savez, np.savez_compressed))
def test_npz_files(tmp_path: Path, save: Any) -> None:
    gallery, classes = people(8, 70, 24)
    probes = gallery[::7]
    ids = np.array([f"probe {row}" for row in range(len(probes))])
    save(tmp_path / "g.npz", embeddings=gallery, classes=classes, times=np.zeros(len(gallery)))
    save(tmp_path / "p.npz", embeddings=probes.astype(np.float64), ids=ids)
    save(tmp_path / "bare.npz", embeddings=probes)
    told = {"block_rows": 9, "engine": QUIET}
    of_files = jobs.identify(tmp_path / "p.npz", tmp_path / "g.npz", 3, tmp_path / "files", **told).to_arrow()
    of_arrays = jobs.identify((probes, ids), (gallery, classes), 3, tmp_path / "arrays", **told).to_arrow()
    assert of_files.equals(of_arrays)
    bare = jobs.identify(tmp_path / "bare.npz", tmp_path / "g.npz", 3, tmp_path / "bare", **told).to_arrow()
    assert bare.column("class").equals(of_arrays.column("class"))
    pairs = jobs.duplicates(tmp_path / "g.npz", 0.5, tmp_path / "pairs", **told).pairs()
    assert pairs.equals(jobs.duplicates((gallery, classes), 0.5, tmp_path / "again", **told).pairs())


def test_npz_files_that_are_wrong(tmp_path: Path) -> None:
    gallery, classes = people(8, 20, 16)
    whole = tmp_path / "whole.npz"
    np.savez(whole, embeddings=gallery, classes=classes)
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:-40])
    np.savez(tmp_path / "other.npz", rows=gallery)
    np.savez(tmp_path / "short.npz", embeddings=gallery, classes=classes[:-1])
    np.savez(tmp_path / "objects.npz", embeddings=gallery, classes=np.array([{}] * len(gallery), object))
    np.savez(tmp_path / "whole_numbers.npz", embeddings=gallery.astype(int), classes=classes)
    wrong = [
        ("cut", jobs.CorruptBlockError, "expected a whole .npz file"),
        ("other", vultus.InputError, "expected an array 'embeddings', found 'rows'"),
        ("short", vultus.InputError, "'classes': expected .* entries, as many as there are embeddings"),
        ("objects", jobs.CorruptBlockError, "expected a whole list"),
        ("whole_numbers", vultus.DtypeError, "half, single or double precision"),
        ("missing", vultus.InputError, "found nothing"),
    ]
    for name, kind, expected in wrong:
        with pytest.raises(kind, match=expected):
            jobs.duplicates(tmp_path / f"{name}.npz", 0.5, tmp_path / "out", engine=QUIET)
    np.savez(tmp_path / "rows.npz", embeddings=gallery)
    with pytest.raises(vultus.InputError, match="expected an array 'classes'"):
        jobs.duplicates(tmp_path / "rows.npz", 0.5, tmp_path / "out", engine=QUIET)
    assert jobs.duplicates(tmp_path / "rows.npz", 0.5, tmp_path / "out", class_column=None, engine=QUIET)
