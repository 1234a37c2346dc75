"""Jobs over snapshots of galleries, and over galleries of an old encoder and of a new one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from naive_jobs import naive_matches, people, rows_of, same, same_pairs

import vultus
from vultus import jobs

QUIET = jobs.Local(threads=1, progress=False)


def made(
    path: Path, X: np.ndarray, classes: np.ndarray, encoder: str, file: Path, partition: str = "gallery.1"
) -> Path:
    """A snapshot of a gallery with these rows, and the data directory at `path`."""
    with vultus.Gallery(path, encoder, partition=partition) as gallery:
        gallery.add(X, classes, repeat=True)
        gallery.snapshot(file)
    return file


def gallery_of(seed: int, dimension: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """As `people`, with classes that a gallery may have."""
    X, classes = people(seed, dimension=dimension)
    return X, classes + 1_000


def test_a_snapshot_is_a_gallery_and_probes(tmp_path: Path) -> None:
    X, classes = gallery_of(41)
    file = made(tmp_path / "data", X, classes, "net@1", tmp_path / "monday.tar.zst")
    twice = jobs.duplicates(file, 0.5, tmp_path / "twice", block_rows=70, engine=QUIET)
    same_pairs(twice, X, classes, 0.5)
    # Whoever calls again unpacks nothing again.
    staged = tmp_path / "twice" / "staged" / "gallery.parquet"
    was = staged.stat().st_ino
    assert jobs.duplicates(str(file), 0.5, tmp_path / "twice", block_rows=70, engine=QUIET).resumed
    assert staged.stat().st_ino == was
    probes = people(42, 30)[0]
    found = jobs.identify(probes, file, 3, tmp_path / "found", engine=QUIET)
    same(rows_of(found.to_arrow(), "probe", "rank", "class", "similarity"), naive_matches(probes, X, classes, 3, None))
    # As probes they are called by their class, by rising ones.
    own = jobs.identify(file, (X, classes), 1, tmp_path / "own", engine=QUIET).to_arrow()
    assert own["id"].to_pylist() == sorted(classes.tolist())
    assert own["class"].to_pylist() == own["id"].to_pylist() or min(own["similarity"].to_pylist()) > 0.999999


def test_columns_of_other_names_and_uris(tmp_path: Path) -> None:
    X, classes = gallery_of(43)
    file = made(tmp_path / "data", X, classes, "net@1", tmp_path / "monday.tar.zst")
    found = jobs.duplicates(
        file.as_uri(), 0.5, (tmp_path / "twice").as_uri(), embedding_column="e", class_column="person", engine=QUIET
    )
    same_pairs(found, X, classes, 0.5)


def test_what_was_removed_is_in_no_job(tmp_path: Path) -> None:
    X, classes = gallery_of(44)
    gone = int(classes[3])
    with vultus.Gallery(tmp_path / "data", "net@1") as gallery:
        gallery.add(X, classes, repeat=True)
        gallery.remove(gone)
        gallery.snapshot(tmp_path / "monday.tar.zst")
    left = classes != gone
    found = jobs.duplicates(tmp_path / "monday.tar.zst", 0.5, tmp_path / "twice", engine=QUIET)
    same_pairs(found, X[left], classes[left], 0.5)


def test_one_of_several_partitions(tmp_path: Path) -> None:
    X, classes = gallery_of(45)
    made(tmp_path / "data", X[:9], np.arange(9), "net@1", tmp_path / "first.tar.zst", "bws.7")
    file = made(tmp_path / "data", X, classes, "net@1", tmp_path / "monday.tar.zst")
    with pytest.raises(vultus.InputError, match=r"gallery: expected a snapshot of one partition, .*bws.7, gallery.1"):
        jobs.duplicates(file, 0.5, tmp_path / "twice", engine=QUIET)
    same_pairs(jobs.duplicates((file, "gallery.1"), 0.5, tmp_path / "twice", engine=QUIET), X, classes, 0.5)
    with pytest.raises(vultus.NotEnrolledError, match="expected a partition 'bws.8' in .*monday.tar.zst, found none"):
        jobs.duplicates((file, "bws.8"), 0.5, tmp_path / "none", engine=QUIET)
    with pytest.raises(vultus.InputError, match="not a partition"):
        jobs.duplicates((file, "not a partition"), 0.5, tmp_path / "none", engine=QUIET)
    with pytest.raises(jobs.ForeignManifestError, match="expected partition bws.7, found gallery.1"):
        jobs.duplicates((file, "bws.7"), 0.5, tmp_path / "twice", engine=QUIET)


def test_another_snapshot_is_another_job(tmp_path: Path) -> None:
    X, classes = gallery_of(46)
    monday = made(tmp_path / "data", X, classes, "net@1", tmp_path / "monday.tar.zst")
    tuesday = made(tmp_path / "data", X[:1], np.array([99_999]), "net@1", tmp_path / "tuesday.tar.zst")
    jobs.duplicates(monday, 0.5, tmp_path / "twice", engine=QUIET)
    with pytest.raises(jobs.ForeignManifestError, match="expected snapshot [0-9a-f]{16}, found [0-9a-f]{16}"):
        jobs.duplicates(tuesday, 0.5, tmp_path / "twice", engine=QUIET)
    jobs.duplicates((X, classes), 0.5, tmp_path / "arrays", engine=QUIET)
    with pytest.raises(jobs.ForeignManifestError, match="job of this snapshot, found one without it"):
        jobs.duplicates(monday, 0.5, tmp_path / "arrays", engine=QUIET)
    assert not (tmp_path / "arrays" / "staged").exists()


def test_snapshots_that_are_damaged_or_encrypted(tmp_path: Path) -> None:
    X, classes = gallery_of(47)
    file = made(tmp_path / "data", X, classes, "net@1", tmp_path / "monday.tar.zst")
    whole = file.read_bytes()
    for name, data in (
        ("cut", whole[: len(whole) // 2]),
        ("head", whole[:40]),
        ("flipped", whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 4]) + whole[len(whole) // 2 + 1 :]),
        ("other", b"\x28\xb5\x2f\xfd" + b"no frame at all" * 10),
    ):
        damaged = tmp_path / f"{name}.tar.zst"
        damaged.write_bytes(data)
        with pytest.raises(jobs.CorruptBlockError, match=f"gallery, .*{name}.tar.zst"):
            jobs.duplicates(damaged, 0.5, tmp_path / name, engine=QUIET)
        assert not list((tmp_path / name).rglob("*.parquet"))
    key = os.urandom(32)
    with vultus.Gallery(tmp_path / "secret", "net@1", master_key=key) as gallery:
        gallery.add(X, classes, repeat=True)
        gallery.snapshot(tmp_path / "secret.tar.zst")
    with pytest.raises(vultus.MasterKeyError, match="expected a snapshot in plain, found an encrypted one"):
        jobs.duplicates(tmp_path / "secret.tar.zst", 0.5, tmp_path / "none", engine=QUIET)


@pytest.mark.parametrize("dimensions", [(24, 24), (24, 40)])
def test_after_a_change_of_encoder(tmp_path: Path, dimensions: tuple[int, int]) -> None:
    """The same people by an old encoder and by a new one: the same job in two folders, and never across."""
    rng = np.random.default_rng(48)
    classes = np.arange(1, 201)
    # Pairs of one person under two classes; the old encoder sees half of them, the new one all.
    X, files = {}, {}
    for at, (encoder, dimension) in enumerate(zip(("old@1", "new@1"), dimensions)):
        rows = rng.standard_normal((200, dimension)).astype(np.float32)
        seen = 10 * (at + 1)
        rows[100 : 100 + seen] = rows[:seen] + 0.2 * rng.standard_normal((seen, dimension))
        X[encoder] = rows
        files[encoder] = made(tmp_path / encoder, rows, classes, encoder, tmp_path / f"{encoder}.tar.zst")
    found = {}
    for encoder, file in files.items():
        twice = jobs.duplicates(file, 0.8, tmp_path / f"twice-{encoder}", block_rows=64, engine=QUIET)
        same_pairs(twice, X[encoder], classes, 0.8)
        found[encoder] = set(rows_of(twice.pairs(), "class", "other"))
    assert len(found["old@1"]) == 10 and len(found["new@1"]) == 20
    assert {(a, a + 100) for a in range(11, 21)} <= found["new@1"] - found["old@1"]
    # New pictures, by the new encoder, in the gallery of the new one.
    probes = X["new@1"] + 0.1 * rng.standard_normal(X["new@1"].shape).astype(np.float32)
    known = jobs.identify(probes, files["new@1"], 2, tmp_path / "known", threshold=0.8, engine=QUIET)
    expected = naive_matches(probes, X["new@1"], classes, 2, 0.8)
    same(rows_of(known.to_arrow(), "probe", "rank", "class", "similarity"), expected)
    # One against the other says nothing, and is refused also where both are as long.
    crossed = (
        lambda out: jobs.identify(files["new@1"], files["old@1"], 1, out, engine=QUIET),
        lambda out: jobs.duplicates(files["new@1"], 0.8, out, against=files["old@1"], engine=QUIET),
    )
    for across, job in enumerate(crossed):
        with pytest.raises(vultus.EncoderError, match="one encoder, found 'new@1' in .*, 'old@1' in"):
            job(tmp_path / f"across-{across}")
