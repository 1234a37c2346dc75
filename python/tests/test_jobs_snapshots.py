"""Jobs over snapshots of galleries, and over galleries of an old encoder and of a new one."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from naive_jobs import naive_matches, naive_pairs, people, rows_of, same, same_pairs

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


def named(path: Path, X: np.ndarray, labels: list[object], file: Path, encoder: str = "net@1") -> Path:
    """A snapshot of a gallery whose people are called otherwise than by numbers."""
    with vultus.Gallery(path, encoder) as gallery:
        gallery.add(X, labels, repeat=True)
        gallery.snapshot(file)
    return file


@pytest.mark.parametrize("read", [str, uuid.UUID])
def test_people_of_a_snapshot_are_called_as_they_are_there(tmp_path: Path, read: type) -> None:
    X, classes = gallery_of(51)
    # Not in the order of the numbers that they get.
    texts = {number: str(uuid.UUID(int=int(number) * 7_919 % 10_007)) for number in classes.tolist()}
    labels = [read(texts[number]) for number in classes.tolist()]
    file = named(tmp_path / "data", X, labels, tmp_path / "monday.tar.zst")
    twice = jobs.duplicates(file, 0.5, tmp_path / "twice", block_rows=70, engine=QUIET)
    expected = {
        frozenset((texts[a], texts[b])): similarity for (a, b), similarity in naive_pairs(X, classes, 0.5).items()
    }
    found = twice.pairs()
    got = {frozenset((a, b)): s for a, b, s in rows_of(found, "label", "other_label", "similarity")}
    assert got.keys() == expected.keys() and len(expected) > 3
    assert all(abs(got[pair] - similarity) < 1e-12 for pair, similarity in expected.items())
    groups = twice.groups()
    by_number = dict(rows_of(groups, "class", "label"))
    assert all(by_number[number] == label for number, label in rows_of(found, "class", "label"))
    # As a gallery, and as probes.
    own = jobs.identify(file, file, 1, tmp_path / "own", block_rows=70, engine=QUIET).to_arrow()
    assert sorted(own["id"].to_pylist()) == sorted(texts[number] for number in classes.tolist())
    others = [row for row in rows_of(own, "id", "label", "similarity") if row[0] != row[1]]
    # Of copies the first comes.
    assert len(others) < len(X) / 2 and all(similarity > 0.999999 for *_, similarity in others)
    assert jobs.identify(file, file, 1, tmp_path / "own", block_rows=70, engine=QUIET).to_arrow().equals(own)
    # Those of a gallery of numbers have no such column.
    plain = jobs.duplicates((X, classes), 0.5, tmp_path / "plain", engine=QUIET)
    assert plain.pairs().column_names == ["class", "other", "similarity", "group"]


def test_who_is_in_two_snapshots_is_one_by_label(tmp_path: Path) -> None:
    """Numbers of one say nothing of those of the other: what came first was 1 in both."""
    rng = np.random.default_rng(52)
    X = rng.standard_normal((4, 24)).astype(np.float32)
    old = named(tmp_path / "old", X[:3], ["ada", "grace", "mary"], tmp_path / "old.tar.zst")
    # Mary again, somebody new who looks like Ada, and somebody who is like nobody.
    new = named(tmp_path / "new", X[[2, 0, 3]], ["mary", "zoe", "joan"], tmp_path / "new.tar.zst")
    found = jobs.duplicates(new, 0.9, tmp_path / "both", against=old, engine=QUIET)
    pairs = found.pairs()
    assert list(map(set, rows_of(pairs, "label", "other_label"))) == [{"ada", "zoe"}]
    assert sorted(found.groups()["label"].to_pylist()) == ["ada", "zoe"]
    again = jobs.duplicates(new, 0.9, tmp_path / "both", against=old, engine=QUIET)
    assert again.resumed and again.pairs().equals(pairs)
    with pytest.raises(jobs.ForeignManifestError, match="expected snapshot"):
        jobs.duplicates(old, 0.9, tmp_path / "both", against=old, engine=QUIET)


def test_numbers_against_texts_are_refused(tmp_path: Path) -> None:
    X, classes = gallery_of(53)
    texts = named(tmp_path / "texts", X, [f"p{number}" for number in classes], tmp_path / "texts.tar.zst")
    ids = [uuid.UUID(int=int(number)) for number in classes]
    uuids = named(tmp_path / "uuids", X, ids, tmp_path / "uuids.tar.zst")
    numbers = made(tmp_path / "numbers", X, classes, "net@1", tmp_path / "numbers.tar.zst")
    for at, (gallery, against, kinds) in enumerate(
        (
            (texts, numbers, "str of gallery, int of against"),
            (numbers, texts, "int of gallery, str of against"),
            (texts, uuids, "str of gallery, UUID of against"),
            ((X, classes), texts, "int of gallery, str of against"),
            (texts, (X, classes), "str of gallery, int of against"),
        )
    ):
        with pytest.raises(vultus.LabelError, match=f"labels of one kind, found those of {kinds}"):
            jobs.duplicates(gallery, 0.5, tmp_path / f"job-{at}", against=against, engine=QUIET)
    jobs.duplicates(texts, 0.5, tmp_path / "whole", against=texts, engine=QUIET)


def test_a_damaged_list_of_labels_is_named(tmp_path: Path) -> None:
    X, classes = gallery_of(54)
    file = named(tmp_path / "data", X, [f"person {number}" for number in classes], tmp_path / "monday.tar.zst")
    jobs.duplicates(file, 0.5, tmp_path / "twice", engine=QUIET)
    labels = tmp_path / "twice" / "staged" / "_gallery-labels.parquet"
    whole = labels.read_bytes()
    for data in (b"", whole[:-9], whole[:60] + bytes([whole[60] ^ 8]) + whole[61:], b"PAR1" * 9):
        labels.write_bytes(data)
        with pytest.raises(
            jobs.CorruptBlockError,
            match="_gallery-labels.parquet: expected the table of labels that was kept here, found another",
        ):
            jobs.duplicates(file, 0.5, tmp_path / "twice", engine=QUIET)
    labels.write_bytes(whole)
    assert jobs.duplicates(file, 0.5, tmp_path / "twice", engine=QUIET).resumed
    place = tmp_path / "twice" / "staged" / "_gallery.json"
    told = json.loads(place.read_text())
    odd = [json.dumps(told | {"labels": kind}).encode() for kind in ("none", None, [1], {"a": 1})]
    for facts in (b"[]", b"{", b"7", *odd):
        place.write_bytes(facts)
        with pytest.raises(jobs.CorruptBlockError, match="_gallery.json: expected"):
            jobs.duplicates(file, 0.5, tmp_path / "twice", engine=QUIET)


def three(tmp_path: Path) -> tuple[np.ndarray, Path, Path]:
    """Two snapshots: in the second Mary again, Zoe, who looks like Ada, and somebody who is like nobody."""
    X = np.random.default_rng(61).standard_normal((4, 24)).astype(np.float32)
    old = named(tmp_path / "old", X[:3], ["ada", "grace", "mary"], tmp_path / "old.tar.zst")
    new = named(tmp_path / "new", X[[2, 0, 3]], ["mary", "zoe", "joan"], tmp_path / "new.tar.zst")
    return X, old, new


def test_labels_that_are_gone_are_not_taken_for_none(tmp_path: Path) -> None:
    """Whoever is compared would get numbers that others have, and everybody be like everybody."""
    _, old, new = three(tmp_path)
    jobs.identify(new, new, 1, tmp_path / "out", engine=QUIET)
    (tmp_path / "out" / "matches.parquet").unlink()
    (tmp_path / "out" / "staged" / "_gallery-labels.parquet").unlink()
    with pytest.raises(jobs.CorruptBlockError, match="_gallery-labels.parquet: expected the table .*, found none"):
        jobs.identify(new, new, 1, tmp_path / "out", engine=QUIET)
    with pytest.raises(vultus.InputError, match="against"):
        jobs.duplicates(new, 0.9, tmp_path / "both", against=tmp_path / "none.parquet", engine=QUIET)
    (tmp_path / "both" / "staged" / "_gallery-labels.parquet").unlink()
    with pytest.raises(jobs.CorruptBlockError, match="found none"):
        jobs.duplicates(new, 0.9, tmp_path / "both", against=old, engine=QUIET)


def test_where_rows_are_numbered_nobody_is_called_by_the_label_of_another(tmp_path: Path) -> None:
    X, old, new = three(tmp_path)
    found = jobs.identify(old, old, 1, tmp_path / "found", class_column=None, engine=QUIET).to_arrow()
    assert rows_of(found, "id", "class") == [("ada", 0), ("grace", 1), ("mary", 2)]
    assert "label" not in found.column_names
    both = jobs.duplicates(new, 0.9, tmp_path / "both", against=old, class_column=None, engine=QUIET)
    assert "label" not in both.pairs().column_names
    # Mary and Mary, Zoe and Ada.
    assert sorted(rows_of(both.pairs(), "class", "other")) == [(0, 5), (1, 3)]
    # Rows of an array are numbered on, too.
    rows = jobs.duplicates(new, 0.9, tmp_path / "rows", against=X, class_column=None, engine=QUIET)
    assert sorted(rows_of(rows.pairs(), "class", "other")) == [(0, 5), (1, 3), (2, 6)]


def test_arrays_against_snapshots_and_arrays(tmp_path: Path) -> None:
    X, old, _ = three(tmp_path)
    both = jobs.duplicates(X, 0.9, tmp_path / "arrays", against=X.copy(), engine=QUIET)
    assert sorted(rows_of(both.pairs(), "class", "other")) == [(0, 4), (1, 5), (2, 6), (3, 7)]
    numbers = made(tmp_path / "numbers", X, np.arange(4) + 1_000, "net@1", tmp_path / "numbers.tar.zst")
    for at, (gallery, against) in enumerate(((X, numbers), (numbers, X))):
        both = jobs.duplicates(gallery, 0.9, tmp_path / f"one-{at}", against=against, engine=QUIET)
        assert both.pairs().num_rows == 4
    for at, (gallery, against) in enumerate(((X, old), (old, X))):
        with pytest.raises(vultus.LabelError, match="labels of one kind"):
            jobs.duplicates(gallery, 0.9, tmp_path / f"other-{at}", against=against, engine=QUIET)


def test_what_an_older_program_has_kept_is_not_gone_on_with(tmp_path: Path) -> None:
    """It kept no labels, and compared numbers that mean nothing in another snapshot."""
    _, old, new = three(tmp_path)
    jobs.duplicates(new, 0.9, tmp_path / "out", against=old, engine=QUIET)
    for name in ("gallery", "against"):
        facts = tmp_path / "out" / "staged" / f"_{name}.json"
        told = json.loads(facts.read_text())
        facts.write_text(json.dumps({what: told[what] for what in ("snapshot", "partition")}))
        (tmp_path / "out" / "staged" / f"_{name}-labels.parquet").unlink()
    with pytest.raises(jobs.ForeignManifestError, match="expected version 2, found None. Choose another folder"):
        jobs.duplicates(new, 0.9, tmp_path / "out", against=old, engine=QUIET)
    # Where there was no job yet, what it kept is made anew.
    (tmp_path / "out" / "staged").rename(tmp_path / "staged")
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "staged").rename(tmp_path / "out" / "staged")
    both = jobs.duplicates(new, 0.9, tmp_path / "out", against=old, engine=QUIET)
    assert list(map(set, rows_of(both.pairs(), "label", "other_label"))) == [{"ada", "zoe"}]


def test_a_call_that_was_refused_leaves_nothing_to_the_right_one(tmp_path: Path) -> None:
    X, old, new = three(tmp_path)
    numbers = made(tmp_path / "numbers", X, np.arange(4) + 1_000, "net@1", tmp_path / "numbers.tar.zst")
    with pytest.raises(vultus.InputError, match="k: expected 1 to 3"):
        jobs.identify(old, new, 9, tmp_path / "out", id_column="pid", class_column="person", engine=QUIET)
    found = jobs.identify(old, new, 1, tmp_path / "out", engine=QUIET).to_arrow()
    assert found["id"].to_pylist() == ["ada", "grace", "mary"] and "label" in found.column_names
    with pytest.raises(vultus.LabelError):
        jobs.duplicates(numbers, 0.9, tmp_path / "both", against=old, engine=QUIET)
    both = jobs.duplicates(new, 0.9, tmp_path / "both", against=old, engine=QUIET)
    assert list(map(set, rows_of(both.pairs(), "label", "other_label"))) == [{"ada", "zoe"}]
    # Of a job that is begun, the columns are part.
    with pytest.raises(jobs.ForeignManifestError, match="expected columns"):
        jobs.duplicates(new, 0.9, tmp_path / "both", against=old, class_column="person", engine=QUIET)


def test_columns_of_one_name(tmp_path: Path) -> None:
    _, old, new = three(tmp_path)
    for at, columns in enumerate(({"id_column": "class"}, {"class_column": "id"})):
        found = jobs.identify(old, new, 1, tmp_path / f"{at}", engine=QUIET, **columns).to_arrow()
        assert found["id"].to_pylist() == ["ada", "grace", "mary"]
    for columns in ({"embedding_column": "class"}, {"embedding_column": "id"}, {"class_column": "embedding"}):
        with pytest.raises(vultus.InputError, match="embedding_column: expected a column of its own"):
            jobs.identify(old, new, 1, tmp_path / "none", engine=QUIET, **columns)
    assert not (tmp_path / "none").exists()


def test_a_partition_in_which_nobody_is(tmp_path: Path) -> None:
    _, old, _ = three(tmp_path)
    with vultus.Gallery(tmp_path / "empty", "net@1", 24) as gallery:
        gallery.snapshot(tmp_path / "empty.tar.zst")
    for at, (gallery, against) in enumerate(((old, "empty.tar.zst"), ("empty.tar.zst", old))):
        with pytest.raises(vultus.InputError, match="expected at least one row"):
            jobs.duplicates(tmp_path / gallery, 0.9, tmp_path / f"{at}", against=tmp_path / against, engine=QUIET)


def test_new_numbers_are_those_of_nobody(rng: np.random.Generator) -> None:
    """As a loop that counts up would choose them."""
    import pyarrow as pa

    from vultus.jobs.snapshots import LABELS, _People

    for _ in range(200):
        there, here = rng.integers(0, 12, 2)
        taken = rng.choice(np.arange(1, 25), there, replace=False)
        theirs = [f"p{number}" for number in rng.choice(20, there, replace=False)]
        ours = [None if rng.random() < 0.2 else f"p{number}" for number in rng.choice(20, here, replace=False)]
        table = pa.table([np.sort(taken), theirs], schema=LABELS)
        by_label, free = dict(zip(theirs, np.sort(taken).tolist())), (n for n in range(1, 99) if n not in taken)
        expected = [by_label[label] if label in by_label else next(free) for label in ours]
        labels = pa.array(ours, LABELS.field("label").type)
        people = _People("str", np.arange(here) + 50, labels, np.arange(here) + 50).numbered_as(table)
        assert people.numbers.tolist() == expected
