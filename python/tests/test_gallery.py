"""Galleries: what is added is found, exactly, and what is removed is not."""

import pickle
import subprocess
import sys
import textwrap
import threading
import uuid

import numpy as np
import pytest
from conftest import by_sorting

import vultus


@pytest.fixture
def X(rng):
    return rng.standard_normal((500, 32)).astype(np.float32)


@pytest.fixture(params=(True, False), ids=("on disk", "temporary"))
def gallery(request, tmp_path):
    with vultus.Gallery(tmp_path / "data" if request.param else None, "test") as gallery:
        yield gallery


def test_what_is_added_in_many_rounds_and_files_is_what_it_was(tmp_path, rng):
    # Each row is the one before, shifted by a value, so that the array takes no memory: more rows than a file has.
    count, dimension = 20_000, 4096
    values = rng.standard_normal(count + dimension).astype(np.float16)
    X = np.lib.stride_tricks.sliding_window_view(values, dimension)[:count]
    seen = []
    with vultus.Gallery(tmp_path / "data") as gallery:
        labels = np.arange(count) * 7 - 50_000
        gallery.add(X, labels, progress=lambda done, total: seen.append((done, total)))
        assert gallery.templates == len(gallery) == count
        rows = rng.choice(count, 40, replace=False).tolist() + [0, 1023, 1024, 2047, 2048, 16_383, 16_384, count - 1]
        found = gallery.search(X[rows], 2)
        assert found.labels[:, 0].tolist() == labels[rows].tolist()
        for row in rows:
            assert (gallery[int(labels[row])] == X[row].astype(np.float32)).all()
    assert [total for _, total in seen] == [count] * len(seen)
    assert seen[-1][0] == count and [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("how", ("Ctrl-C", "an error"))
def test_who_is_interrupted_has_whole_files_and_can_go_on(tmp_path, rng, how):
    X = rng.standard_normal((6000, 2048)).astype(np.float32)

    def stop(done, total):
        if done:
            raise KeyboardInterrupt if how == "Ctrl-C" else ZeroDivisionError

    with vultus.Gallery(tmp_path / "data") as gallery:
        with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
            gallery.add(X, progress=stop)
        # All of it is one file, which was not whole.
        assert gallery.templates == 0
        assert not list((tmp_path / "data").rglob("*.vseg*"))
        gallery.add(X)
        assert gallery.templates == 6000
        assert (gallery[gallery.labels[5999].item()] == X[5999]).all()


@pytest.mark.parametrize("count", (1, 20, 500))
@pytest.mark.parametrize("dtype", (np.float16, np.float32, np.float64))
def test_what_is_added_is_found(gallery, X, count, dtype):
    X = X[:count].astype(dtype)
    numbers = gallery.add(X, labels=np.arange(count) * 3 - 100)
    assert numbers.tolist() == [row * 3 - 100 for row in range(count)]
    Q = X[:70] + np.float32(0.1)
    D, I = gallery.search(Q, k=7)
    expected_D, expected_I = by_sorting(X, Q, 7)
    np.testing.assert_array_equal(I, np.where(expected_I < 0, -1, expected_I * 3 - 100))
    np.testing.assert_allclose(D, expected_D, rtol=0, atol=1e-12)
    assert len(gallery) == gallery.templates == count
    assert (gallery.encoder, gallery.dimension) == ("test@1", 32)


def test_an_empty_gallery_answers_nobody(gallery, X):
    D, I = gallery.search(X[:3], k=2)
    assert (I == -1).all() and np.isneginf(D).all()
    assert len(gallery) == 0 and list(gallery) == [] and 1 not in gallery and gallery
    assert gallery.search_one(X[0]) == [] and len(gallery.duplicates(0.5)) == 0
    assert gallery.encoder is None and gallery.dimension is None
    assert gallery.add(X[:0]).shape == (0,)


def test_labels_are_numbers_texts_or_uuids(gallery, X):
    people = [uuid.UUID(int=at + 1) for at in range(300)]
    assert gallery.add(X[:300], people).tolist() == people
    assert sorted(gallery) == people and people[7] in gallery and uuid.UUID(int=999) not in gallery
    assert str(people[7]) not in gallery and 7 not in gallery
    np.testing.assert_array_equal(gallery[people[7]], X[7:8])
    D, I = gallery.search(X[:300], k=1)
    assert I[:, 0].tolist() == people
    D, I = gallery.search(X[:2], k=400)
    assert I[0, 300:].tolist() == [None] * 100
    with pytest.raises(vultus.LabelError, match="has labels of UUID, found int"):
        gallery.add(X[:1], [5])
    with pytest.raises(vultus.LabelError, match="has labels of UUID, found int"):
        gallery.add(X[:1])


@pytest.mark.parametrize("count", (5, 400))
def test_names_and_metadata_stay_with_people(tmp_path, X, count):
    labels = [f"id-{row}" for row in range(count)]
    names = [f"Ada {row}" if row % 2 else None for row in range(count)]
    with vultus.Gallery(tmp_path, "test@2") as gallery:
        gallery.add(X[:count], labels, names, {"site": ["berlin"] * count, "age": range(count)})
    with vultus.Gallery.open(tmp_path, read_only=True) as gallery:
        assert gallery.labels.tolist() == labels
        assert gallery.name("id-3") == "Ada 3" and gallery.name("id-2") is None
        assert gallery.metadata("id-3") == {"site": "berlin", "age": "3"}
        (match,) = gallery.search_one(X[3], k=1)
        assert match == ("id-3", 1.0, "Ada 3")
        with pytest.raises(vultus.NotEnrolledError, match="'id-999' is not enrolled"):
            gallery.name("id-999")
        with pytest.raises(vultus.ReadOnlyError):
            gallery.add(X[:1], ["new"])
        with pytest.raises(vultus.ReadOnlyError):
            gallery.remove("id-3")


@pytest.mark.parametrize("count", (4, 200))
@pytest.mark.parametrize("kind", (int, str))
def test_nobody_is_merged_by_chance(gallery, X, count, kind):
    labels = [kind(row) for row in range(count)]
    gallery.add(X[:count], labels)
    with pytest.raises(vultus.LabelError, match=r"labels: .* in row 1 is enrolled already: pass repeat=True"):
        gallery.add(X[:2], [kind(9999), labels[2]])
    with pytest.raises(vultus.LabelError, match="comes twice, again in row 2: pass repeat=True"):
        gallery.add(X[:3], [kind(500), kind(501), kind(500)])
    assert len(gallery) == gallery.templates == count
    gallery.add(X[count : 2 * count], labels, repeat=True)
    assert len(gallery) == count and gallery.templates == 2 * count
    # The better of both rows counts, and a person is listed once.
    D, I = gallery.search(X[count : count + 1], k=3)
    assert I[0, 0] == labels[0] and len(set(I[0])) == 3
    np.testing.assert_array_equal(gallery[labels[1]], X[[1, count + 1]])


def test_without_labels_everybody_is_new(gallery, X):
    first, second = gallery.add(X[:150]), gallery.add(X[150:160])
    assert first.tolist() == list(range(1, 151)) and second.tolist() == list(range(151, 161))
    gallery.remove(160)
    assert gallery.add(X[:1]).tolist() == [161]


def test_removed_people_are_gone(gallery, X):
    gallery.add(X, np.arange(500))
    assert gallery.remove(7) == 1 and gallery.remove([8, 9]) == 2
    assert 7 not in gallery and len(gallery) == 497
    assert not np.isin(gallery.search(X, k=3).labels, [7, 8, 9]).any()
    with pytest.raises(vultus.NotEnrolledError, match="7 is not enrolled"):
        gallery.remove([10, 7])
    assert 10 in gallery
    with pytest.raises(KeyError):
        gallery[7]


def test_who_is_enrolled_twice(gallery, X):
    labels = [f"p{row}" for row in range(500)]
    X[400] = X[3] + np.float32(0.01)
    gallery.add(X, labels)
    pairs = gallery.duplicates(0.95)
    assert [(a, b) for a, b, _ in zip(*pairs)] == [("p3", "p400")]
    assert pairs.similarities[0] > 0.99


def test_tables(gallery, X):
    gallery.add(X, [str(row) for row in range(500)])
    found = gallery.search(X[:3], k=500, threshold=0.2)
    for name in ("pandas", "polars", "arrow"):
        pytest.importorskip("pyarrow" if name == "arrow" else name)
        table = getattr(found, f"to_{name}")()
        columns = list(table.column_names if name == "arrow" else table.columns)
        assert columns == ["probe", "rank", "label", "similarity"]
        assert len(table) == (found.similarities > -np.inf).sum()
        assert table["label"][0] == "0" if name != "arrow" else table["label"][0].as_py() == "0"
    assert (found.to_pandas().groupby("probe")["rank"].min() == 1).all()


def test_rates(gallery, rng):
    people = rng.standard_normal((400, 32)).astype(np.float32)
    gallery.add(people, np.arange(400))
    with pytest.raises(vultus.NotCalibratedError, match="call calibrate"):
        gallery.search(people[:1], target_fpir=0.01)
    assert gallery.calibrate() == 400
    rate = gallery.threshold(0.05)
    assert 0 < rate.threshold < 1 and rate.low <= rate.fpir <= rate.high
    assert rate.fpir == pytest.approx(0.05, rel=0.2)
    assert gallery.fpir(rate.threshold).fpir == pytest.approx(rate.fpir)
    found = gallery.search(people[:5], target_fpir=0.05)
    assert found.threshold == rate.threshold == gallery.search(people[:5], targetFPIR=0.05).threshold
    strangers = rng.standard_normal((1000, 32)).astype(np.float32)
    taken = (gallery.search(strangers, 1, target_fpir=0.05).labels[:, 0] >= 0).mean()
    assert 0.02 < taken < 0.1
    with pytest.raises(vultus.InputError, match="found more than one"):
        gallery.search(people[:1], threshold=0.5, target_fpir=0.1)
    with pytest.raises(vultus.InputError, match="target_fpir"):
        gallery.threshold(0)


def test_evaluation(gallery, rng):
    people = rng.standard_normal((200, 32)).astype(np.float32)
    gallery.add(people, np.arange(200))
    Q = np.concatenate([people[:50] + np.float32(0.1), rng.standard_normal((40, 32), np.float32)])
    y = list(range(50)) + [900 + row for row in range(40)]
    found = gallery.evaluate(Q, y)
    D, I = by_sorting(people, Q, 1)
    strangers = D[50:, 0]
    assert found.fnir(0.5) == (D[:50, 0] < 0.5).mean() and found.cmc[0] == (I[:50, 0] == np.arange(50)).mean()
    for target in (0.1, 0.5):
        threshold = found.threshold(target)
        assert found.fpir(threshold) <= target < found.fpir(np.nextafter(threshold, -1))
        assert found.fpir(threshold) == pytest.approx((strangers >= threshold).mean())
    with pytest.raises(vultus.InputError, match="there are 40 strangers"):
        found.threshold(0.001)
    with pytest.raises(vultus.LabelError, match="expected 90, one for each row, found 89"):
        gallery.evaluate(Q, y[:-1])


def test_snapshots_come_back(tmp_path, X):
    with vultus.Gallery(tmp_path / "one", "test") as gallery:
        gallery.add(X, [str(row) for row in range(500)])
        gallery.snapshot(tmp_path / "all.snapshot")
        with pytest.raises(vultus.StorageError, match="exists"):
            gallery.snapshot(tmp_path / "all.snapshot")
        expected = gallery.search(X[:9], 4)
    with vultus.Gallery.restore(tmp_path / "all.snapshot", tmp_path / "two") as gallery:
        found = gallery.search(X[:9], 4)
        assert (found.labels == expected.labels).all() and gallery.encoder == "test@1"
    with pytest.raises(vultus.StorageError):
        vultus.Gallery.restore(tmp_path / "all.snapshot", tmp_path / "two")


def test_pickled_it_is_its_path(tmp_path, X):
    with vultus.Gallery(tmp_path, "test") as gallery:
        gallery.add(X, np.arange(500))
        with pickle.loads(pickle.dumps(gallery)) as other:
            assert other.is_read_only and (other.search(X[:4], 2).labels == gallery.search(X[:4], 2).labels).all()
    with vultus.Gallery() as gallery, pytest.raises(vultus.PicklingError, match="without a path"):
        pickle.dumps(gallery)


def test_another_process_must_wait_or_look(tmp_path, X):
    code = """
        import sys, vultus
        try:
            vultus.Gallery(sys.argv[1])
        except vultus.LockedError as error:
            print("locked", isinstance(error, OSError))
        print(len(vultus.Gallery.open(sys.argv[1], read_only=True)))
    """
    with vultus.Gallery(tmp_path / "data", "test") as gallery:
        gallery.add(X, np.arange(500))
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "data")], capture_output=True, text=True
        )
    assert done.stdout == "locked True\n500\n", done
    with vultus.Gallery(tmp_path / "data") as gallery:
        assert len(gallery) == 500


def test_wrong_things_are_refused(gallery, tmp_path, X):
    gallery.add(X, np.arange(500))
    for call, kind, text in (
        (
            lambda: gallery.add(X[:, :31]),
            vultus.DimensionError,
            "expected rows of 32 values as the gallery has, found 31",
        ),
        (lambda: gallery.search(X[:, :31]), vultus.DimensionError, "Q: expected rows of 32 values"),
        (lambda: gallery.add(X[:2], [1000]), vultus.LabelError, "expected 2, one for each row, found 1"),
        (lambda: gallery.add(X[:2], "ab"), vultus.LabelError, "found one text"),
        (lambda: gallery.add(X[:2], [1000, "b"]), vultus.LabelError, "all of one kind, found int and str"),
        (lambda: gallery.add(X[:2], [1000, 2.5]), vultus.LabelError, "found float in row 1"),
        (lambda: gallery.add(X[:2], [1000, True]), vultus.LabelError, "found bool in row 1"),
        (lambda: gallery.add(X[:2], [1000, None]), vultus.LabelError, "found NoneType in row 1"),
        (lambda: gallery.add(X[:2], [1000, 2**63]), vultus.LabelError, "numbers of 64 bits"),
        (lambda: gallery.add(X[:2], 7), vultus.LabelError, "expected a label for each of 2 rows"),
        (lambda: gallery.add(X[:2], names=["a"]), vultus.InputError, "names: expected 2, one for each row, found 1"),
        (lambda: gallery.add(X[:2], names=[1, 2]), vultus.InputError, "names: expected a text or None, found int"),
        (lambda: gallery.add(X[:2], names=["a", " "]), vultus.InputError, "empty"),
        (
            lambda: gallery.add(X[:2], metadata=[{}]),
            vultus.InputError,
            "metadata: expected 2, one for each row, found 1",
        ),
        (lambda: gallery.add(X[:2], metadata={"a": [1]}), vultus.InputError, "expected 2 of 'a'"),
        (lambda: gallery.add(X[:2], metadata=[{}, {"a b": 1}]), vultus.InputError, "the key of a label"),
        (lambda: gallery.search(X, 0), vultus.InputError, "k: expected"),
        (lambda: gallery.search(X, 1, 2.0), vultus.InputError, "threshold: expected"),
        (lambda: gallery.search_one(X), vultus.ShapeError, r"q: expected the shape \(dimension,\)"),
        (lambda: gallery.duplicates(np.nan), vultus.InputError, "threshold: expected"),
        (lambda: vultus.Gallery.open(tmp_path / "none"), vultus.NotEnrolledError, "found none at"),
        (lambda: vultus.Gallery(partition="x"), vultus.InputError, "partition: "),
        (lambda: vultus.Gallery(encoder="a b", dimension=32), vultus.InputError, "encoder: expected a name"),
        (lambda: vultus.Gallery(dimension=5), vultus.InputError, "16 to 4096"),
        (lambda: vultus.Gallery(read_only=True), vultus.InputError, "without a path"),
    ):
        with pytest.raises(kind, match=text):
            call()
    bad = X[:200].copy()
    bad[150, 3] = np.nan
    with pytest.raises(vultus.RowError, match="X: row 150 is no embedding: value 3 is not a finite number"):
        gallery.add(bad)
    with pytest.raises(vultus.RowError, match="Q: row 150 is no embedding"):
        gallery.search(bad)
    assert len(gallery) == gallery.templates == 500


def test_other_encoders_are_refused(tmp_path, X):
    with vultus.Gallery(tmp_path, "net@3") as gallery:
        gallery.add(X)
    for options, text in (
        ({"encoder": "net@4"}, "of 'net@3', not of 'net@4'"),
        ({"dimension": 64}, "32 values, not of 64"),
    ):
        with pytest.raises(vultus.EncoderError, match=text):
            vultus.Gallery(tmp_path, **options)
    with vultus.Gallery(tmp_path, "net@3", 32) as gallery:
        assert len(gallery) == 500


def test_closed_galleries_say_so(tmp_path, X):
    gallery = vultus.Gallery(tmp_path, "test", 32)
    gallery.close()
    gallery.close()
    assert gallery.is_closed and "closed" in repr(gallery)
    for call in (lambda: gallery.add(X), lambda: gallery.search(X), lambda: len(gallery), lambda: 1 in gallery):
        with pytest.raises(vultus.ClosedError, match="the gallery is closed"):
            call()


def test_what_is_no_gallery_is_not_opened(tmp_path):
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(vultus.VultusError):
        vultus.Gallery(tmp_path / "file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "catalog.redb").write_bytes(b"something else" * 1000)
    with pytest.raises(vultus.StorageError):
        vultus.Gallery(tmp_path / "other")


def test_a_partition_that_is_not_there_is_a_wrong_name_where_there_are_others(tmp_path, X):
    """It would look like a gallery in which nobody is enrolled, and every probe would be a stranger."""
    with vultus.Gallery(tmp_path / "data", partition="bws.1") as gallery:
        gallery.add(X)
    text = "partition: expected one that is at `.*data`, which are bws.1, found 'gallery.1'"
    with pytest.raises(vultus.NotEnrolledError, match=text):
        vultus.Gallery.open(tmp_path / "data")
    with pytest.raises(vultus.NotEnrolledError, match=text):
        vultus.Gallery(tmp_path / "data", read_only=True)
    with pytest.raises(vultus.NotEnrolledError, match="which are bws.1, found 'bws.2'"):
        vultus.Gallery.open(tmp_path / "data", partition="bws.2", read_only=True)
    # Whoever is to change it may make another one, and nothing that was refused holds the files.
    with vultus.Gallery(tmp_path / "data", partition="bws.2") as gallery:
        assert len(gallery) == 0
        gallery.add(X[:3])
    with vultus.Gallery.open(tmp_path / "data", partition="bws.2", read_only=True) as gallery:
        assert len(gallery) == 3
        gallery.snapshot(tmp_path / "monday.tar.zst")
    with pytest.raises(vultus.NotEnrolledError, match="which are bws.1, bws.2, found 'gallery.1'"):
        vultus.Gallery.restore(tmp_path / "monday.tar.zst", tmp_path / "again")
    with vultus.Gallery.restore(tmp_path / "monday.tar.zst", tmp_path / "third", partition="bws.2") as gallery:
        assert len(gallery) == 3


@pytest.mark.parametrize("read_only", (False, True))
def test_a_gallery_that_is_still_empty_opens(tmp_path, read_only):
    vultus.Gallery(tmp_path / "data").close()
    with vultus.Gallery.open(tmp_path / "data", read_only=read_only) as gallery:
        assert len(gallery) == 0


def test_a_fork_must_open_it_again(tmp_path, X):
    code = """
        import os, signal, sys
        import numpy as np, vultus
        gallery = vultus.Gallery(sys.argv[1], "test")
        gallery.add(np.eye(32, dtype=np.float32), np.arange(32))
        child = os.fork()
        if not child:
            signal.alarm(60)
            try:
                gallery.search(np.eye(32))
            except vultus.ForkedError:
                with vultus.Gallery.open(sys.argv[1], read_only=True) as other:
                    right = (other.search(np.eye(32), 1).labels[:, 0] == np.arange(32)).all()
                del gallery
                sys.exit(0 if right else 3)
            sys.exit(4)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        gallery.add(np.eye(32)[:1] + 1, [99])
        print(len(gallery))
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), str(tmp_path / "data")],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "0\n33\n", done


def test_temporary_galleries_leave_nothing(X):
    gallery = vultus.Gallery()
    gallery.add(X)
    path = gallery.path
    assert path.is_dir()
    gallery.close()
    assert not path.exists()
    gallery = vultus.Gallery()
    path = gallery.path
    del gallery
    assert not path.exists()


def test_threads_share_a_gallery(gallery, X):
    gallery.add(X[:100], np.arange(100))
    wrong = []

    def work(number):
        for row in range(5):
            label = 1000 + number * 100 + row
            gallery.add(X[100 + number * 5 + row][None], [label])
            if gallery.search(X[100 + number * 5 + row][None], 1).labels[0, 0] != label:
                wrong.append(label)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == [] and len(gallery) == 120


@pytest.mark.parametrize("count", (1, 5, 200))
@pytest.mark.parametrize("kind", (int, str))
def test_of_two_threads_with_the_same_labels_one_is_refused(gallery, X, count, kind):
    labels = [kind(row) for row in range(count)]
    for turn in range(3):
        begin, outcomes = threading.Barrier(2), []

        def work(first, labels=labels, begin=begin, outcomes=outcomes):
            begin.wait()
            try:
                gallery.add(X[first : first + count], labels)
                outcomes.append("added")
            except vultus.LabelError:
                outcomes.append("refused")

        threads = [threading.Thread(target=work, args=(first,)) for first in (0, count)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(outcomes) == ["added", "refused"], turn
        assert len(gallery) == gallery.templates == count
        assert gallery.remove(labels) == count


def test_labels_are_told_as_they_are_kept(gallery, X):
    labels = [f"Jose\u0301 {row} " for row in range(200)]
    told = gallery.add(X[:200], labels)
    assert told[3] == gallery.labels[3] == "José 3" and labels[3] in gallery and "José 3" in gallery
    assert gallery.search(X[:200], 1).labels[:, 0].tolist() == told.tolist()
    found = gallery.evaluate(X[:200], labels)
    assert len(found.strangers) == 0 and found.fnir(0.5) == 0
    with pytest.raises(vultus.LabelError, match="comes twice, again in row 2"):
        gallery.add(X[200:203], ["a", "b", "b "])
    with pytest.raises(vultus.LabelError, match="in row 0 is enrolled already"):
        gallery.add(X[200:201], [" José 3"])
    with pytest.raises(vultus.LabelError, match="found a set, which has no order"):
        gallery.add(X[200:202], {"a", "b"})
    with pytest.raises(vultus.InputError, match="names: .* found a set, which has no order"):
        gallery.add(X[200:202], ["a", "b"], {"Ada", "Bob"})
    assert len(gallery) == gallery.templates == 200
    gallery.add(X[200:203], ["c", "d", "d "], repeat=True)
    assert len(gallery) == 202


def test_damage_of_an_open_gallery_is_not_copied(tmp_path, rng):
    rows = rng.standard_normal((4000, 64), np.float32)
    with vultus.Gallery(tmp_path / "data", "test") as gallery:
        gallery.add(rows[:2000])
        gallery.add(rows[2000:])
        gallery.search(rows[:3], 1)
        file = min((tmp_path / "data").glob("segments/*/*.vseg"))
        with file.open("r+b") as stream:
            stream.seek(8192)
            stream.write(bytes(1000))
        with pytest.raises(vultus.StorageError):
            gallery.compact()
    with pytest.raises(vultus.StorageError), vultus.Gallery.open(tmp_path / "data") as gallery:
        gallery.search(rows, 1)


KEY = "0123456789abcdef" * 4


def test_encrypted_galleries(tmp_path, X):
    path = tmp_path / "data"
    with vultus.Gallery(path, "test", master_key=KEY) as gallery:
        gallery.add(X, names=[f"person {row}" for row in range(len(X))])
        assert gallery.search(X[:3], 1).labels[:, 0].tolist() == [1, 2, 3]
        gallery.snapshot(tmp_path / "all.snapshot")
        with pytest.raises(vultus.PicklingError, match="would show its key"):
            pickle.dumps(gallery)
    needle = X[7].tobytes()[:16]
    for file in [*path.rglob("*"), tmp_path / "all.snapshot"]:
        assert file.is_dir() or (needle not in file.read_bytes() and b"person 7" not in file.read_bytes())
    # As 32 bytes, and with blanks around as a file has them.
    for key in (bytes.fromhex(KEY), KEY.encode(), KEY.upper() + "\n"):
        with vultus.Gallery.open(path, read_only=True, master_key=key) as gallery:
            np.testing.assert_array_equal(gallery[8], X[7:8])
    with vultus.Gallery.restore(tmp_path / "all.snapshot", tmp_path / "two", master_key=KEY) as gallery:
        assert len(gallery) == len(X)


def test_keys_that_are_not_right(tmp_path, X):
    path = tmp_path / "data"
    vultus.Gallery(path, "test", 32, master_key=KEY).close()
    with pytest.raises(vultus.MasterKeyError, match="it is encrypted, and no master key is given"):
        vultus.Gallery(path)
    with pytest.raises(vultus.MasterKeyError, match="another one than the keys were sealed with"):
        vultus.Gallery(path, master_key="f" * 64)
    for key in ("", "secret-" * 9, "g" * 64, b"0" * 31, "\udcff" * 64):
        with pytest.raises(vultus.MasterKeyError, match="64 hexadecimal digits, or 32 bytes") as caught:
            vultus.Gallery(tmp_path / "new", master_key=key)
        assert "secret" not in str(caught.value) and not (tmp_path / "new").exists()
    with pytest.raises(vultus.MasterKeyError, match="expected a str or bytes, found int"):
        vultus.Gallery(path, master_key=7)
    with vultus.Gallery(path, master_key=KEY) as gallery:
        gallery.add(X)
        gallery.snapshot(tmp_path / "all.snapshot")
    with pytest.raises(vultus.MasterKeyError):
        vultus.Gallery.restore(tmp_path / "all.snapshot", tmp_path / "two")
    assert not (tmp_path / "two").exists()
    # Nobody is left to believe that what is in plain is encrypted.
    vultus.Gallery(tmp_path / "plain", "test", 32).close()
    with pytest.raises(vultus.MasterKeyError, match="is not encrypted"):
        vultus.Gallery(tmp_path / "plain", master_key=KEY)


def test_many_files_become_few(gallery, rng):
    X = rng.standard_normal((40 * 128, 16)).astype(np.float32)
    for part in X.reshape(40, 128, 16):
        gallery.add(part)
        assert gallery._handle.segments() <= 24
    gallery.remove([5, 6])
    left = np.delete(X, [4, 5], 0)
    for _ in range(2):
        np.testing.assert_array_equal(gallery.search(X[:50], 3).similarities, by_similarity(left, X[:50], 3))
        gallery.compact()
        assert gallery._handle.segments() == 1
    assert len(gallery) == len(left)


def by_similarity(X, Q, k):
    return vultus.exact_search(X, Q, k)[0]


@pytest.mark.parametrize("count", (10, 300))
@pytest.mark.parametrize("labels", (lambda at: f"person-{at}", lambda at: uuid.UUID(int=at + 1), lambda at: at + 1))
def test_several_rows_of_a_person_come_in_one_call(count, labels, rng):
    X = rng.standard_normal((2 * count, 16)).astype(np.float32)
    people = [labels(at // 2) for at in range(2 * count)]
    with vultus.Gallery() as gallery:
        gallery.add(X, people, repeat=True)
        # Again, with others who are new between them.
        gallery.add(X[::2], [labels(at // 2 if at % 4 else count + at) for at in range(0, 2 * count, 2)], repeat=True)
        assert len(gallery) == count + count // 2 and gallery.templates == 3 * count
        assert len(gallery[labels(1)]) == 3
        np.testing.assert_array_equal(gallery[labels(0)], X[:2])
        assert gallery.search(X[3:4], 1).labels[0, 0] == labels(1)
