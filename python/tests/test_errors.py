"""Whoever expects what Python raises catches what Vultus raises."""

import copy
import errno
import io
import os
import pickle
import socket
import threading

import numpy as np
import pytest

import vultus
import vultus.bws
from vultus.errors import also, of_os_error, of_system, of_type, renamed

X = np.ones((4, 16), np.float32)

#: What else each is, always.
BASES = {
    "ApiError": RuntimeError,
    "ClosedError": ValueError,
    "DimensionError": ValueError,
    "DtypeError": TypeError,
    "EncoderError": ValueError,
    "FacesMissingError": ModuleNotFoundError,
    "ForkedError": RuntimeError,
    "InputError": ValueError,
    "InputFileError": OSError,
    "InternalError": RuntimeError,
    "LabelError": ValueError,
    "LockedError": BlockingIOError,
    "MasterKeyError": ValueError,
    "NoFaceError": ValueError,
    "NotCalibratedError": ValueError,
    "NotEnrolledError": KeyError,
    "NotReachedError": Exception,
    "PicklingError": pickle.PicklingError,
    "PictureError": ValueError,
    "PictureFileError": OSError,
    "ReadOnlyError": io.UnsupportedOperation,
    "RowError": ValueError,
    "SeveralFacesError": ValueError,
    "ShapeError": ValueError,
    "StorageError": OSError,
    "TooManyPairsError": ValueError,
    "VultusError": Exception,
}


def test_every_exception_has_its_base_and_shows_its_text():
    assert set(BASES) == set(vultus.errors.__all__)
    for name, base in BASES.items():
        kind = getattr(vultus, name)
        assert issubclass(kind, vultus.VultusError) and issubclass(kind, base), name
        error = kind("X: expected this")
        assert str(error) == "X: expected this", name
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind and str(again) == str(error), name
    jobs = pytest.importorskip("vultus.jobs")
    for name, base in (("Block", OSError), ("Output", OSError), ("Manifest", OSError)):
        assert issubclass(getattr(jobs, f"Corrupt{name}Error"), base)
    assert issubclass(jobs.ForeignManifestError, ValueError)


@pytest.mark.parametrize(
    "number, base",
    (
        (errno.ENOENT, FileNotFoundError),
        (errno.EACCES, PermissionError),
        (errno.EPERM, PermissionError),
        (errno.EISDIR, IsADirectoryError),
        (errno.ENOTDIR, NotADirectoryError),
        (errno.EEXIST, FileExistsError),
        (errno.ETIMEDOUT, TimeoutError),
        (errno.ENOSPC, OSError),
    ),
)
def test_what_the_system_says_is_a_base(number, base):
    for kind in (vultus.PictureFileError, vultus.StorageError, vultus.InputFileError, vultus.NotEnrolledError):
        for error in (
            of_system(kind, "`a.jpg` cannot be read", number, "a.jpg"),
            of_os_error(kind, "`a.jpg` cannot be read", OSError(number, "said", "a.jpg")),
        ):
            assert isinstance(error, kind) and isinstance(error, base)
            assert type(error).__name__ == kind.__name__
            for one in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
                assert type(one) is type(error) and str(one) == "`a.jpg` cannot be read"
                assert (one.errno, one.filename) == (number, "a.jpg")
            other = renamed(error, "pictures[2]: it")
            assert type(other) is type(error) and (str(other), other.errno) == ("pictures[2]: it", number)


def test_classes_are_made_once():
    assert type(of_type(vultus.InputError, "a")) is type(of_type(vultus.InputError, "b"))
    assert type(of_type(vultus.DtypeError, "a")) is vultus.DtypeError
    assert type(also(vultus.NotReachedError, TimeoutError, text="a")).__mro__[1] is vultus.NotReachedError


def test_arguments_of_another_type_are_type_errors(tmp_path):
    gallery = vultus.Gallery(dimension=16)
    client = vultus.Client("http://localhost:1", "key") if _has_httpx() else None
    calls = [
        lambda: vultus.exact_search(X, X, "3"),
        lambda: vultus.exact_search(X, X, 1.0),
        lambda: vultus.exact_search(X, X, None),
        lambda: vultus.exact_search(X, X, 1, "high"),
        lambda: vultus.exact_search(X, X, 1, "0.5"),
        lambda: vultus.exact_search(X, X, 1, [0.5, 0.6]),
        lambda: vultus.exact_search(X, X, 1, threads=2.0),
        lambda: vultus.pairs_above(X, threshold=None),
        lambda: vultus.pairs_above(X, threshold=0.5, limit="all"),
        lambda: gallery.add(X, labels="anna"),
        lambda: gallery.add(X, labels=7),
        lambda: gallery.add(X, labels=[1.5, 2.5, 3.5, 4.5]),
        lambda: gallery.add(X, names="anna"),
        lambda: gallery.add(X, names=7),
        lambda: gallery.add(X, names=[1, 2, 3, 4]),
        lambda: gallery.add(X, metadata=7),
        lambda: gallery.add(X, metadata=[1, 2, 3, 4]),
        lambda: gallery.add(X, metadata={"town": 7}),
        lambda: gallery.search(X, "3"),
        lambda: gallery.threshold("often"),
        lambda: gallery.fpir("high"),
        lambda: gallery.calibrate("all"),
        lambda: gallery.snapshot(7),
        lambda: vultus.Gallery(7),
        lambda: vultus.Gallery(b"path"),
        lambda: vultus.Gallery(tmp_path / "a", 7),
        lambda: vultus.Gallery(tmp_path / "a", partition=7),
        lambda: vultus.Gallery(tmp_path / "a", dimension="16"),
        lambda: vultus.Gallery(tmp_path / "a", master_key=7),
        lambda: vultus.Gallery.open(7),
        lambda: vultus.Gallery.restore(7, tmp_path / "a"),
        lambda: vultus.Gallery.restore(tmp_path / "a", 7),
    ]
    if client is not None:
        calls += [
            lambda: client.detect(7),
            lambda: client.detect(None),
            lambda: client.person("bws.1", 1.5),
            lambda: vultus.Client(8040),
            lambda: vultus.Client("http://localhost", 7),
            lambda: vultus.bws.Client("http://localhost", "app", 7),
        ]
    for number, call in enumerate(calls):
        with pytest.raises(TypeError) as caught:
            call()
        assert isinstance(caught.value, vultus.VultusError), (number, caught.value)
        assert isinstance(caught.value, ValueError), (number, caught.value)
    assert len(gallery) == 0
    # Only the type of what may have embeddings in it.
    with pytest.raises(vultus.InputError, match="threshold: .*found ndarray$"):
        vultus.exact_search(X, X, 1, X[0])


def test_files_that_are_not_there_or_in_the_way(tmp_path):
    none, file = tmp_path / "none", tmp_path / "file"
    file.write_text("no gallery")
    with pytest.raises(FileNotFoundError, match="path: expected a data directory, found none at") as caught:
        vultus.Gallery.open(none)
    assert isinstance(caught.value, vultus.NotEnrolledError) and isinstance(caught.value, KeyError)
    assert caught.value.filename == os.fspath(none)
    with pytest.raises(FileNotFoundError) as caught:
        vultus.Gallery.restore(none, tmp_path / "restored")
    assert isinstance(caught.value, vultus.StorageError)
    with pytest.raises(NotADirectoryError) as caught:
        vultus.Gallery(file)
    assert isinstance(caught.value, vultus.StorageError)
    with vultus.Gallery(tmp_path / "gallery", dimension=16) as gallery:
        gallery.add(X)
        snapshot = gallery.snapshot(tmp_path / "monday.tar.zst")
        with pytest.raises(FileExistsError) as caught:
            gallery.snapshot(snapshot)
        assert isinstance(caught.value, vultus.StorageError)
        with pytest.raises(FileNotFoundError):
            gallery.snapshot(none / "monday.tar.zst")
        with pytest.raises(FileExistsError):
            vultus.Gallery.restore(snapshot, tmp_path / "gallery")
        with vultus.Gallery.open(tmp_path / "gallery", read_only=True) as other:
            with pytest.raises(io.UnsupportedOperation) as caught:
                other.add(X)
            assert isinstance(caught.value, vultus.ReadOnlyError)
    with pytest.raises(vultus.InputError, match="path: expected a path, found an empty text"):
        vultus.Gallery("")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_permission_error(tmp_path):
    with vultus.Gallery(tmp_path / "gallery", dimension=16) as gallery:
        gallery.add(X)
    (tmp_path / "gallery").chmod(0)
    try:
        for call in (vultus.Gallery, vultus.Gallery.open):
            with pytest.raises(PermissionError) as caught:
                call(tmp_path / "gallery")
            assert isinstance(caught.value, vultus.StorageError)
    finally:
        (tmp_path / "gallery").chmod(0o700)


def test_files_of_jobs(tmp_path):
    jobs = pytest.importorskip("vultus.jobs")
    quiet = jobs.Local(1, False)
    for given in ("none.parquet", "none.npy", ("none.npy", "labels.npy"), "none.npz", "folder"):
        with pytest.raises(FileNotFoundError) as caught:
            jobs.duplicates(given, 0.5, tmp_path / "out", engine=quiet)
        assert isinstance(caught.value, vultus.InputFileError), given
    with pytest.raises(FileNotFoundError):
        jobs.threshold_at_rate(tmp_path / "none.json", 0.01, 7)
    with pytest.raises(IsADirectoryError):
        jobs.threshold_at_rate(tmp_path, 0.01, 7)
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(NotADirectoryError):
        jobs.duplicates(X, 0.5, file, engine=quiet)
    with pytest.raises(OSError) as caught:
        jobs.duplicates(X, 0.5, file / "below", engine=quiet)
    assert isinstance(caught.value, vultus.VultusError)
    for call in (
        lambda: jobs.duplicates(X, "0.5", tmp_path / "out"),
        lambda: jobs.duplicates(X, 0.5, 7),
        lambda: jobs.duplicates(X, 0.5, tmp_path / "out", block_rows=1.5),
        lambda: jobs.duplicates(X, 0.5, tmp_path / "out", class_column=7),
        lambda: jobs.identify(X, X, "1", tmp_path / "out"),
        lambda: jobs.identify(None, X, 1, tmp_path / "out"),
        lambda: jobs.Local("2"),
        lambda: jobs.threshold_at_rate(7, 0.01, 7),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert isinstance(caught.value, vultus.InputError)
    assert not (tmp_path / "out").exists()


def test_damaged_files_of_jobs(tmp_path):
    """Whatever stands in a file, it is an exception of Vultus, and soon."""
    jobs = pytest.importorskip("vultus.jobs")
    quiet = jobs.Local(1, False)

    def npy(name, header, data=b""):
        head = header.encode().ljust(117) + b"\n"
        (tmp_path / name).write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data)
        return tmp_path / name

    def header(shape, kind="<f4", order="False"):
        return f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"

    classes = tmp_path / "classes.npy"
    np.save(classes, np.arange(4).astype(">i8"))
    np.save(tmp_path / "good.npy", np.eye(4, 16, dtype=">f4"))
    for given, kind in (
        (npy("huge.npy", header((2**62, 512)), bytes(4096)), jobs.CorruptBlockError),
        (npy("negative.npy", header((-4, 16)), bytes(4096)), jobs.CorruptBlockError),
        (npy("narrower.npy", header((4, -16)), bytes(4096)), vultus.VultusError),
        (npy("empty.npy", header((2**62, 0))), vultus.DimensionError),
        (npy("objects.npy", header((4, 16), "|O"), bytes(4096)), vultus.InputError),
        (npy("order.npy", header((4, 16), order="True"), bytes(4096)), vultus.InputError),
        (npy("words.npy", "no header"), jobs.CorruptBlockError),
        (npy("deep.npy", "(" * 100), jobs.CorruptBlockError),
        (npy("cut.npy", header((4, 16)), bytes(255)), jobs.CorruptBlockError),
        ((tmp_path / "good.npy", npy("short.npy", header((4,), "<i8"), bytes(31))), jobs.CorruptBlockError),
        ((tmp_path / "good.npy", npy("texts.npy", header((4,), "<U1"), bytes(16))), vultus.InputError),
        ((np.eye(4, 16), np.array([1, "a", None, 2.5], object)), vultus.InputError),
        ((np.eye(4, 16), np.array([object()] * 4)), vultus.InputError),
        ((np.eye(4, 16), np.ones(4, complex)), vultus.InputError),
        ((np.eye(4, 16), [[1], [2], [3], [4]]), vultus.ShapeError),
        ((np.eye(4, 16), [[1], [2, 3], [4], [5]]), vultus.ShapeError),
    ):
        with pytest.raises(kind) as caught:
            jobs.duplicates(given, 0.5, tmp_path / "out", engine=quiet)
        assert isinstance(caught.value, vultus.VultusError), given
        assert not (tmp_path / "out").exists()
    found = jobs.duplicates((tmp_path / "good.npy", classes), -1.0, tmp_path / "whole", engine=quiet)
    assert found.pairs().num_rows == 6
    for text in ("[" * 100_000, "[]", "7", "null", '{"format": []}'):
        (tmp_path / "whole" / "manifest.json").write_text(text)
        with pytest.raises(jobs.CorruptManifestError):
            jobs.duplicates((tmp_path / "good.npy", classes), -1.0, tmp_path / "whole", engine=quiet)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(vultus.InputError):
        jobs.threshold_at_rate(tmp_path / "deep.json", 0.01, 7)
    for path in ("a\0b", "a\ud800"):
        with pytest.raises(vultus.InputError, match="expected a path in UTF-8"):
            jobs.duplicates(path, 0.5, tmp_path / "out", engine=quiet)
        with pytest.raises(vultus.InputError, match="expected a path in UTF-8"):
            jobs.duplicates(X, 0.5, path, engine=quiet)
    with pytest.raises(vultus.InputError, match=r"engine: expected one such as jobs.Local\(\), found str"):
        jobs.duplicates(X, 0.5, tmp_path / "out", engine="local")


def test_what_is_no_text_and_no_number(tmp_path):
    gallery = vultus.Gallery(dimension=16)
    half = "a\ud800"
    for call, text in (
        (lambda: gallery.snapshot(tmp_path / half), "path: expected a path, found one with half a letter"),
        (lambda: vultus.Gallery.restore(half, tmp_path / "a"), "snapshot: expected a path"),
        (lambda: gallery.add(X, labels=["a", "b", half, "d"]), "labels: expected a text in row 2"),
        (lambda: gallery.add(X, names=["a", None, half, "d"]), "names: expected a text in row 2"),
        (lambda: gallery.add(X, metadata=[{}, {"town": half}, {}, {}]), "metadata: expected texts in row 1"),
        (lambda: vultus.Gallery(tmp_path / "a", encoder=half), "encoder: expected a text"),
        (lambda: vultus.Gallery(tmp_path / "a", partition=half), "partition: expected a text"),
        (lambda: vultus.Gallery(tmp_path / "a", read_only="no"), "read_only: expected a bool, found str"),
        (lambda: gallery.calibrate(10**30), "probes: expected a whole number"),
        (lambda: gallery.calibrate(10, 10**30), "seed: expected a whole number"),
        (lambda: vultus.exact_search(X, X, 10**30), "k: expected a whole number"),
        (lambda: vultus.exact_search(X, X, 1, 10**400), "threshold: expected a similarity"),
        (lambda: vultus.pairs_above(X, threshold=0.5, limit=10**30), "limit: expected a whole number"),
        (lambda: vultus.Gallery(dimension=10**30), "dimension: expected a whole number"),
    ):
        with pytest.raises(vultus.InputError, match=text):
            call()
    assert len(gallery) == 0 and not (tmp_path / "a").exists()
    gallery.add(np.eye(16), labels=range(16))
    assert gallery.remove(np.array(3)) == 1 and 3 not in gallery
    gallery.add(np.eye(16)[3:4], labels=[3])
    evaluation = gallery.evaluate(np.eye(16), range(8, 24))
    for call in (evaluation.fnir, evaluation.fpir, evaluation.threshold):
        with pytest.raises(TypeError) as caught:
            call("often")
        assert isinstance(caught.value, vultus.InputError)


def test_members_that_are_no_json():
    httpx = pytest.importorskip("httpx")
    seen = []

    def answer(request):
        seen.append((dict(request.url.params), request.content))
        return httpx.Response(200, json={})

    with vultus.Client("http://localhost:1", transport=httpx.MockTransport(answer)) as client:
        client.identify("e.1", embeddings=X, threshold=np.float32(0.5), limit=np.int64(3), labels={"town": np.int8(7)})
        assert b'"threshold": 0.5' in seen[0][1] and b'"limit": 3' in seen[0][1] and b'{"town": 7}' in seen[0][1]
        for members, text in (
            ({"threshold": np.nan}, "identify, threshold: expected a finite number, found nan"),
            ({"threshold": X}, "identify, threshold: expected a text, a number, .*found ndarray"),
            ({"labels": {"town": {1, 2}}}, r"identify, labels\['town'\]: expected .*found set"),
            ({"labels": "\ud800"}, "identify, labels: expected a text, found one with half a letter"),
        ):
            with pytest.raises(vultus.InputError, match=text):
                client.identify("e.1", embeddings=X, **members)
        for name, path in (([], None), ("status", [1]), ("status", X)):
            with pytest.raises(TypeError) as caught:
                client.call(name, path)
            assert isinstance(caught.value, vultus.InputError)
        with pytest.raises(vultus.InputError, match="person|partition"):
            client.person("bws.\ud800", 7)
        with pytest.raises(vultus.InputError, match="limit: expected .*found object"):
            client.people("bws.1", limit=object())
    assert len(seen) == 1
    with vultus.bws.Client("http://localhost:1", "app", "secret", transport=httpx.MockTransport(answer)) as bws:
        for call in (
            lambda: bws.token("bws.1.1", X),
            lambda: bws.token("bws.1.1", maxtries=object()),
            lambda: bws.token("bws.1.1", maxtries=float("inf")),
            lambda: bws.upload("t", b"bytes", tag="\ud800"),
        ):
            with pytest.raises(vultus.InputError):
                call()
        bws.enroll("t", livedetection=np.bool_(False))
    assert seen[1][0]["livedetection"] == "false"


def test_answers_that_are_no_json():
    httpx = pytest.importorskip("httpx")
    for text in (b"{", b"[" * 100_000, b"\xff\xfe"):

        def answer(request, text=text):
            status = 400 if request.method == "GET" else 200
            return httpx.Response(status, content=text, headers={"content-type": "application/json"})

        with vultus.Client("http://localhost:1", transport=httpx.MockTransport(answer)) as client:
            with pytest.raises(vultus.ApiError, match="answered 400"):
                client.status()
            with pytest.raises(vultus.ApiError, match="answered 200: expected JSON, found .* bytes"):
                client.detect(b"picture")
            with pytest.raises(vultus.ApiError, match="answered 200: expected JSON"):
                list(client.identify_many("e.1", X))


def test_pictures_that_are_not_there(tmp_path):
    if not _has_httpx():
        pytest.skip("no httpx")
    client = vultus.Client("http://localhost:1", "key")
    for path, base in ((tmp_path / "none.jpg", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(base) as caught:
            client.detect(path)
        assert isinstance(caught.value, vultus.PictureFileError) and isinstance(caught.value, ValueError)
        assert caught.value.filename == os.fspath(path)


def test_services_that_are_not_reached():
    httpx = pytest.importorskip("httpx")
    with socket.socket() as silent:
        # Nobody listens at the first port, and nobody answers at the second.
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        for client in (
            vultus.Client(f"http://user:s3cret@127.0.0.1:{port}", "key"),
            vultus.bws.Client(f"http://user:s3cret@127.0.0.1:{port}", "app", "s3cret"),
        ):
            with pytest.raises(ConnectionError, match=f"the service at `127.0.0.1:{port}` was not reached") as caught:
                client.status()
            assert isinstance(caught.value, vultus.NotReachedError) and isinstance(caught.value, httpx.ConnectError)
            assert "s3cret" not in str(caught.value) and caught.value.request.method == "GET"
        silent.listen()
        with vultus.Client(f"http://127.0.0.1:{port}", "key", timeout=0.05) as client:
            with pytest.raises(TimeoutError) as caught:
                client.status()
            assert isinstance(caught.value, vultus.NotReachedError) and isinstance(caught.value, httpx.ReadTimeout)
            with pytest.raises(TimeoutError):
                list(client.identify_many("e.1", X))


def test_services_that_hang_up():
    httpx = pytest.importorskip("httpx")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def hang_up():
            for _ in range(2):
                listening.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()

        async def asked():
            async with vultus.AsyncClient(f"http://127.0.0.1:{listening.getsockname()[1]}", "key") as client:
                with pytest.raises(ConnectionError) as caught:
                    await client.status()
                assert isinstance(caught.value, vultus.NotReachedError)
                assert isinstance(caught.value, httpx.TransportError)
                with pytest.raises(ConnectionError):
                    async for _ in client.identify_many("e.1", X):
                        raise AssertionError

        import asyncio

        asyncio.run(asked())
        thread.join()


def _has_httpx():
    try:
        import httpx  # noqa: F401
    except ImportError:
        return False
    return True
