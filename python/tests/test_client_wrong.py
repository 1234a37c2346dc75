"""What clients of a service are given wrong is told before anything is sent."""

import asyncio

import numpy as np
import pytest

import vultus
import vultus.bws

httpx = pytest.importorskip("httpx")

PICTURE = b"no picture, but bytes"


def refuse(request):
    raise AssertionError(f"sent: {request.method} {request.url}")


@pytest.fixture
def client():
    with vultus.Client("http://localhost:1", "vk_key", transport=httpx.MockTransport(refuse)) as client:
        yield client


@pytest.fixture
def bws():
    transport = httpx.MockTransport(refuse)
    with vultus.bws.Client("http://localhost:1", "app", "secret", transport=transport) as client:
        yield client


def test_wrong_calls_of_the_native_api(client, tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    nan = np.ones((3, 16), np.float32)
    nan[1, 5] = np.nan
    wrong = [
        (lambda: client.identify("bws.1", pictures=5), vultus.PictureError, "^pictures: expected a path, .*found int$"),
        (
            lambda: client.identify("bws.1", pictures=[PICTURE, None]),
            vultus.PictureError,
            r"^pictures\[1\]: .*NoneType",
        ),
        (lambda: client.detect("no/such.jpg"), vultus.PictureFileError, "^pictures: `no/such.jpg` cannot be read"),
        (lambda: client.detect([tmp_path]), vultus.PictureFileError, r"^pictures\[0\]: .*Is a directory"),
        (lambda: client.detect(empty), vultus.PictureError, "^pictures: expected a picture, found no bytes$"),
        (lambda: client.detect(None), vultus.PictureError, "^pictures: .*found NoneType$"),
        (lambda: client.embed(None), vultus.PictureError, "found NoneType$"),
        (lambda: client.compare(None), vultus.PictureError, "found NoneType$"),
        (lambda: client.detect(b""), vultus.PictureError, "found no bytes"),
        (lambda: client.detect("a\0b"), vultus.PictureFileError, "null byte"),
        (lambda: client.detect(np.zeros((4, 4, 3), np.uint8)), vultus.PictureError, "found ndarray$"),
        (
            lambda: client.identify("e.1", embeddings=nan),
            vultus.RowError,
            "^embeddings: row 1 .* value 5 is not a finite",
        ),
        (lambda: client.identify("e.1", embeddings=np.full((1, 16), 1e300)), vultus.RowError, "row 0"),
        (lambda: client.identify("e.1", embeddings=np.ones(16)), vultus.ShapeError, "^embeddings: expected the shape"),
        (lambda: list(client.identify_many("e.1", nan)), vultus.RowError, "^Q: row 1"),
        (
            lambda: client.identify(None),
            vultus.InputError,
            "^identify, partition: expected `storage.number`, found NoneT",
        ),
        (lambda: client.identify("  "), vultus.InputError, "found '  '$"),
        (lambda: client.person("bws.1", None), vultus.InputError, "^get_class, class: expected the number of a class"),
        (lambda: client.person("bws.1", 1.5), vultus.InputError, "found float$"),
        (lambda: client.person("bws.1", True), vultus.InputError, "found bool$"),
        (lambda: client.call("list_templates", {"partition": "bws.1"}), vultus.InputError, "list_templates, class: "),
        (lambda: client.call("drop"), vultus.InputError, "expected a call of /v1, found 'drop'"),
        (lambda: client.identify("bws.1", treshold=1), vultus.InputError, "expected .*threshold, found 'treshold'"),
    ]
    for call, kind, text in wrong:
        with pytest.raises(kind, match=text) as caught:
            call()
        # And no kind of it, but for the bases of Python.
        assert type(caught.value).__name__ == kind.__name__


def test_numbers_of_numpy_are_labels():
    seen = []

    def answer(request):
        seen.append(request.url.path)
        return httpx.Response(200, json={})

    with vultus.Client("http://localhost:1", transport=httpx.MockTransport(answer)) as client:
        client.person("bws.1", np.int64(7))
        client.detect(memoryview(PICTURE))
        client.detect([bytearray(PICTURE)])
    assert seen[0].endswith("/classes/7") and len(seen) == 3


def test_wrong_calls_of_the_classic_api(bws):
    wrong = [
        (lambda: bws.token(None), vultus.InputError, "^bcid: expected `storage.partition.class`, found NoneType$"),
        (lambda: bws.token(""), vultus.InputError, "^bcid: .*found ''$"),
        (lambda: bws.token("bws.1.1", "enrol"), vultus.InputError, "^task: expected one of verify, .*found 'enrol'$"),
        (lambda: bws.isenrolled(None), vultus.InputError, "^bcid: "),
        (lambda: bws.deleteclass([1]), vultus.InputError, "^bcid: .*found list$"),
        (lambda: bws.upload(None, PICTURE), vultus.InputError, "^token: expected a text, found NoneType$"),
        (lambda: bws.upload("tok en", PICTURE), vultus.InputError, "^token: expected ASCII without spaces"),
        (lambda: bws.upload("t", None), vultus.PictureError, "^picture: expected a path or the bytes .*NoneType$"),
        (lambda: bws.upload("t", "no/such.jpg"), vultus.PictureFileError, "^picture: `no/such.jpg` cannot be read"),
        (lambda: bws.verify(""), vultus.InputError, "^token: expected a text, found an empty one$"),
        (lambda: bws.identify(b"token"), vultus.InputError, "^token: expected a text, found bytes$"),
        (lambda: bws.enroll("t\n"), vultus.InputError, "a new line at its end"),
        (lambda: bws.livenessdetection("ö"), vultus.InputError, "^token: "),
        (lambda: bws.result(5), vultus.InputError, "^token: "),
        (lambda: bws.qualitycheck(b""), vultus.PictureError, "^picture: expected a picture, found no bytes$"),
        (lambda: bws.passivelivedetection(3), vultus.PictureError, "^picture: "),
        (lambda: bws.livedetection(PICTURE, None), vultus.PictureError, "^liveimage2: "),
        (lambda: bws.videolivedetection(None), vultus.PictureError, "^video: "),
        (lambda: bws.photoverify(PICTURE, None, PICTURE), vultus.PictureError, "^liveimage2: "),
        (lambda: bws.photoverify2(PICTURE, None, None), vultus.PictureError, "^idphoto: "),
        (lambda: bws.photoverify2(PICTURE, "no.jpg", PICTURE), vultus.PictureFileError, "^liveimage2: `no.jpg`"),
    ]
    for call, kind, text in wrong:
        with pytest.raises(kind, match=text) as caught:
            call()
        # And no kind of it, but for the bases of Python.
        assert type(caught.value).__name__ == kind.__name__


def test_clients_of_no_service():
    for made in (
        lambda url: vultus.Client(url),
        lambda url: vultus.AsyncClient(url),
        lambda url: vultus.bws.Client(url, "app", "secret"),
        lambda url: vultus.bws.AsyncClient(url, "app", "secret"),
    ):
        for url in ("localhost:8040", "ftp://host", "", None, 8040, b"http://host"):
            with pytest.raises(vultus.InputError, match="^url: expected one such as 'http://127.0.0.1:8040', found"):
                made(url)
    # What is wrong is told without the key.
    for key in ("vk s3cret", "vk_s3cret\n", "schlüss3l", "", 7):
        with pytest.raises(vultus.InputError, match="^key: ") as caught:
            vultus.Client("http://host", key)
        assert "s3" not in str(caught.value)
    for app_id, secret in ((None, "s"), ("a", None), ("a:b", "s"), ("", "s"), ("a", "")):
        with pytest.raises(vultus.InputError, match="^(app_id|secret): "):
            vultus.bws.Client("http://host", app_id, secret)


def test_an_answer_that_is_not_what_it_says_is_told():
    def answer(request):
        return httpx.Response(200, content=b"<html>", headers={"content-type": "application/json"})

    with vultus.Client("http://localhost:1", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(vultus.ApiError, match="answered 200: expected JSON, found 6 bytes") as caught:
            client.status()
        assert caught.value.status == 200

    async def asked():
        async with vultus.AsyncClient("http://localhost:1", transport=httpx.MockTransport(answer)) as client:
            with pytest.raises(vultus.ApiError, match="expected JSON"):
                await client.status()
            with pytest.raises(vultus.PictureError):
                await client.detect(None)

    asyncio.run(asked())
