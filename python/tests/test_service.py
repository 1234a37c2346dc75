"""The clients against the real program, which `VULTUS` names: `scripts/python.sh` sets it."""

import asyncio
import importlib.util
import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import vultus
import vultus.bws

httpx = pytest.importorskip("httpx")
PROGRAM = os.environ.get("VULTUS")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="VULTUS names no program")

FACES = Path(__file__).resolve().parents[2] / "data" / "faces"
OBAMA, SPEECH, WHITE_HOUSE, BIDEN = (
    FACES / f"{name}.jpg" for name in ("obama-portrait", "obama-speech", "obama-white-house", "biden-portrait")
)
# A machine with much else to do must not make a test fail.
PATIENT = ["--picture-seconds-max", "60", "--queue-wait-seconds", "60", "--search-wait-seconds", "60"]


class Service:
    """The program on a data directory of its own."""

    def __init__(self, data, *flags):
        self.data = data
        command = [PROGRAM, "serve", "--data-dir", data, "--listen", "127.0.0.1:0", *PATIENT, *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.url = json.loads(self.process.stdout.readline())["listening"]

    def run(self, *verb, **options):
        ran = subprocess.run(
            [PROGRAM, *verb, "--data-dir", self.data], check=True, capture_output=True, text=True, **options
        )
        return ran.stdout

    def key(self, scopes, *reach):
        made = self.run("key", "create", "--name", "test", "--scopes", scopes, *(reach or ["--everything"]), "--json")
        return json.loads(made)["key"]

    def app(self):
        made = self.run("app", "create", "--name", "test", "--storage", "bws", "--json")
        made = json.loads(made)
        return made["id"], made["secret"]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def running(*flags):
    with tempfile.TemporaryDirectory() as data:
        service = Service(data, *flags)
        try:
            yield service
        finally:
            service.stop()


@pytest.fixture(scope="module")
def service():
    with running() as service:
        yield service


ALL = "enroll,identify,verify,read,delete,embed,embeddings,scores"


@pytest.fixture(scope="module")
def key(service):
    return service.key(ALL)


def test_from_a_picture_to_a_name_and_away_again(service, key):
    with vultus.Client(service.url, key) as client:
        enrolled = client.enroll("bws.1", 4711, pictures=OBAMA, name="Barack Obama")
        assert (enrolled["class"], enrolled["added"], enrolled["name"]) == ("4711", 1, "Barack Obama")
        new = client.enroll("bws.1", pictures=[BIDEN.read_bytes()])["class"]
        found = client.identify("bws.1", pictures=[WHITE_HOUSE, SPEECH], limit=2)
        assert [match["class"] for match in found["matches"]][0] == "4711"
        assert client.verify("bws.1", 4711, pictures=str(SPEECH))["accepted"] is True
        assert client.verify("bws.1", int(new), pictures=SPEECH)["accepted"] is False
        assert client.compare([OBAMA, SPEECH])["accepted"] is True
        assert len(client.detect(OBAMA)["faces"]) == 1
        (face,) = client.identify_faces("bws.1", pictures=WHITE_HOUSE)["faces"]
        assert face["matches"][0]["class"] == "4711"
        assert len(client.embed(OBAMA)["embeddings"]) == 1
        people = client.people("bws.1", name="Barack Obama")
        assert [person["class"] for person in people["classes"]] == ["4711"]
        changed = client.change("bws.1", 4711, note="44", labels={"office": "president"})
        assert changed["labels"] == {"office": "president"}
        assert client.person("bws.1", 4711)["note"] == "44"
        assert [each["class"] for each in client.people("bws.1", labels={"office": "president"})["classes"]] == ["4711"]
        assert len(client.call("list_templates", {"partition": "bws.1", "class": 4711})["templates"]) == 1
        assert any(each["partition"] == "bws.1" for each in client.partitions()["partitions"])
        client.merge("bws.1", 4711, int(new))
        assert client.status()["encoder"]
        client.delete("bws.1", 4711, erase="now")
        with pytest.raises(vultus.ApiError, match="answered 404") as caught:
            client.person("bws.1", 4711)
        assert (caught.value.status, caught.value.code) == (404, "class_not_found")


def test_arrays_of_embeddings(service, key):
    random = np.random.default_rng(3)
    X = random.standard_normal((40, 64)).astype(np.float32)
    with vultus.Client(service.url, key) as client:
        for label, row in enumerate(X):
            client.enroll("emb.1", label, embeddings=row[None], encoder="my-net@3")
        Q = np.asfortranarray(X[::3] + np.float32(0.01))
        answers = list(client.identify_many("emb.1", Q, encoder="my-net@3", threshold=0.5, limit=1))
        assert [answer["matches"][0]["class"] for answer in answers] == [str(label) for label in range(0, 40, 3)]
        found = client.identify("emb.1", embeddings=X[7:8].astype(np.float16), encoder="my-net@3", threshold=0.5)
        assert found["matches"][0]["class"] == "7"
        # What the service finds is what a search in this process finds.
        similarities, labels = vultus.exact_search(X, Q, 1)
        assert [answer["matches"][0]["similarity"] for answer in answers] == pytest.approx(similarities[:, 0], abs=1e-9)
        with pytest.raises(vultus.ApiError) as caught:
            list(client.identify_many("emb.1", Q[:, :32], encoder="my-net@3", threshold=0.5))
        assert caught.value.status in (409, 422)
        with pytest.raises(vultus.ApiError) as caught:
            client.identify("emb.1", embeddings=X[:1], encoder="other@1", threshold=0.5)
        assert (caught.value.status, caught.value.code) == (409, "encoder_mismatch")


def test_the_same_for_asyncio(service, key):
    async def ask():
        async with vultus.AsyncClient(service.url, key) as client:
            await client.enroll("bws.2", 1, pictures=OBAMA)
            found = await client.identify("bws.2", pictures=SPEECH)
            row = np.eye(1, 16)
            await client.enroll("emb.2", 5, embeddings=row, encoder="e@1")
            many = [each async for each in client.identify_many("emb.2", row, encoder="e@1", threshold=0.5)]
            with pytest.raises(vultus.ApiError) as caught:
                await client.identify("bws.404", pictures=SPEECH)
            return found, many, caught.value.code

    found, many, code = asyncio.run(ask())
    assert (found["matches"][0]["class"], many[0]["matches"][0]["class"], code) == ("1", "5", "partition_not_found")


def test_refusals_say_why(service, key):
    reader = service.key("read", "--storage", "bws")
    refusals = [
        ("vk_wrong", "bws.1", OBAMA, 401, "key_invalid"),
        (None, "bws.1", OBAMA, 401, "key_missing"),
        (reader, "bws.1", OBAMA, 403, "scope_missing"),
        (key, "bws.1", b"no picture", 422, "invalid_picture"),
        (key, "no partition", OBAMA, 400, "invalid_parameter"),
    ]
    for shown, partition, picture, status, code in refusals:
        with vultus.Client(service.url, shown) as client, pytest.raises(vultus.ApiError) as caught:
            client.identify(partition, pictures=picture)
        assert (caught.value.status, caught.value.code) == (status, code)
        assert caught.value.retry_after_seconds is None
    with vultus.Client("http://127.0.0.1:9", key) as client, pytest.raises(httpx.ConnectError):
        client.status()


def test_a_busy_service_says_when_to_come_again():
    async def ask(service):
        key = service.key("identify,enroll")
        async with vultus.AsyncClient(service.url, key) as client:
            calls = [client.enroll("bws.1", label, pictures=OBAMA) for label in range(12)]
            return await asyncio.gather(*calls, return_exceptions=True)

    # One picture at a time, and nobody may wait.
    with running("--workers", "1", "--queue-max", "0") as service:
        answers = asyncio.run(ask(service))
    refused = [answer for answer in answers if isinstance(answer, vultus.ApiError)]
    assert refused and len(refused) < len(answers)
    for error in refused:
        assert (error.status, error.code) in [(503, "busy"), (429, "share_exceeded")]
        assert error.retry_after_seconds >= 1


@pytest.fixture(scope="module")
def app(service):
    return service.app()


def test_the_classic_calls(service, app):
    with vultus.bws.Client(service.url, *app) as bws:
        assert app[1] not in repr(bws)
        assert bws.isenrolled("bws.112.4711") is False
        token = bws.token("bws.112.4711", "enroll", livedetection=False)
        assert bws.upload(token, OBAMA, index=1, trait="face") == {"Accepted": True, "Warnings": []}
        assert bws.enroll(token) == {"Success": True}
        assert bws.isenrolled("bws.112.4711", trait="face") is True
        token = bws.token("bws.112.4711", livedetection=False, maxtries=5, traits="face,periocular")
        for picture, same in ((SPEECH.read_bytes(), True), (BIDEN, False)):
            bws.upload(token, picture)
            assert bws.verify(token) == {"Success": same}
        assert bws.result(token)["Action"] == "verification"
        token = bws.token("bws.112.0", "identify", livedetection=False)
        assert bws.result(token) is None
        bws.upload(token, WHITE_HOUSE)
        found = bws.identify(token, maxResults=1)
        assert [(each["Partition"], each["ClassID"]) for each in found["Matches"]] == [(112, 4711)]
        assert bws.upload(token, FACES.joinpath("obama-portrait.jpg"))["Accepted"]
        # One picture never passes where liveness is demanded.
        token = bws.token("bws.112.1", "livenessdetection", challenge=True, challenges=2, mirrored=False)
        bws.upload(token, OBAMA, tag="any")
        assert bws.livenessdetection(token)["Error"] == "LiveDetectionFailed"
        assert bws.deleteclass("bws.112.4711") is None
        assert bws.isenrolled("bws.112.4711") is False


def test_the_classic_calls_that_bring_their_pictures(service, app):
    with vultus.bws.Client(service.url, *app) as bws:
        assert {"Enrollment", "PhotoVerify"} <= {each["Name"] for each in bws.status()["Features"]}
        checked = bws.qualitycheck(OBAMA, full=True, issuer="ICAO", state="mine")
        # No portrait as documents have it.
        assert (checked["State"], checked["EyeCenters"] is None) == ("mine", False)
        assert bws.qualitycheck(OBAMA, full=False)["Success"] is True
        assert bws.livedetection(OBAMA, OBAMA) is False
        assert bws.livedetection(OBAMA, OBAMA, state="details")["Success"] is False
        if importlib.util.find_spec("vultus_faces"):
            live = vultus.Faces(picture_seconds_max=600).liveness([OBAMA, SPEECH])
            for picture, one in zip((OBAMA, SPEECH), live):
                assert bws.passivelivedetection(picture)["Success"] is one.live
        assert bws.passivelivedetection(OBAMA)["Success"] in (True, False)
        verified = bws.photoverify2(OBAMA, None, SPEECH, accuracy=1, state="s")
        assert (verified["State"], len(verified["Samples"]) >= 2) == ("s", True)
        with pytest.raises(vultus.ApiError, match="LiveDetectionFailed") as caught:
            bws.photoverify(OBAMA, OBAMA, SPEECH)
        assert caught.value.status == 400
        with pytest.raises(vultus.ApiError, match="SampleNotOfExpectedType|InvalidSampleData"):
            bws.videolivedetection(b"\x00\x00\x00\x18ftypmp42 and no more")


def test_classic_refusals(service, app):
    with vultus.bws.Client(service.url, app[0], "wrong") as bws, pytest.raises(vultus.ApiError) as caught:
        bws.status()
    assert caught.value.status == 401
    with vultus.bws.Client(service.url, *app) as bws:
        with pytest.raises(vultus.ApiError, match="answered 403"):
            bws.token("other.1.1")
        with pytest.raises(vultus.ApiError, match="answered 403"):
            bws.isenrolled("other.1.1")
        token = bws.token("bws.112.1", livedetection=False)
        with pytest.raises(vultus.ApiError, match="answered 400: no samples have been uploaded"):
            bws.verify(token)
        with pytest.raises(vultus.ApiError, match="answered 401"):
            bws.verify("no-token")
        with pytest.raises(vultus.InputError, match="task: expected one of verify"):
            bws.token("bws.112.1", "enrol")
    with vultus.bws.Client(service.url + "/elsewhere", *app) as bws, pytest.raises(vultus.ApiError, match="404"):
        # Not "nobody is enrolled".
        bws.isenrolled("bws.112.1")


def test_the_classic_calls_for_asyncio(service, app):
    async def ask():
        async with vultus.bws.AsyncClient(service.url, *app) as bws:
            token = await bws.token("bws.113.5", "enroll", livedetection=False)
            await bws.upload(token, OBAMA)
            return await bws.enroll(token), await bws.isenrolled("bws.113.5"), await bws.isenrolled("bws.113.6")

    assert asyncio.run(ask()) == ({"Success": True}, True, False)
