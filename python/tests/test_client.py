"""The client against the description of the API, and what it sends."""

import asyncio
import base64
import json
from pathlib import Path

import numpy as np
import pytest

import vultus
from vultus._client import OPERATIONS

httpx = pytest.importorskip("httpx")
DESCRIPTION = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "openapi.json"


def members_of(schema, schemas):
    for each in schema.get("oneOf", [schema]):
        if "$ref" in each:
            yield from schemas[each["$ref"].rpartition("/")[2]]["properties"]
        else:
            yield from each.get("properties", {})


def described():
    document = json.loads(DESCRIPTION.read_text())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/v1") or "operationId" not in operation:
                continue
            query = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            members = set()
            if content:
                members = set(members_of(content["schema"], document["components"]["schemas"]))
            yield operation["operationId"], (method.upper(), path, query, members)


def test_calls_are_those_of_the_description():
    ours = {name: (call.method, call.path, set(call.query), set(call.body)) for name, call in OPERATIONS.items()}
    theirs = dict(described())
    assert len(theirs) > 20
    # Its probes go as `.npy`, and all else in the address.
    method, path, query, _ = theirs["identify_many"]
    theirs["identify_many"] = (method, path, query, set())
    assert ours == theirs


def service(seen, status=200, answer=None, kind="application/json"):
    def handle(request):
        seen.append(request)
        return httpx.Response(status, content=json.dumps(answer or {}).encode(), headers={"content-type": kind})

    return {"transport": httpx.MockTransport(handle)}


def test_what_is_sent(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"picture")
    seen = []
    with vultus.Client("http://localhost:1", "vk_secret", **service(seen, answer={"matches": []})) as client:
        assert client.identify("bws.1", pictures=tmp_path / "a.jpg", limit=3) == {"matches": []}
        client.enroll("bws.1", 7, embeddings=np.ones((1, 16), np.float16), encoder="e@1", name="Ada")
        client.enroll("bws.1", pictures=[b"one", str(tmp_path / "a.jpg")])
        client.people("bws.1", labels={"site": "berlin"}, limit=5)
        client.delete("a/b.1", 7)
        client.merge("bws.1", 1, 2)
        assert "secret" not in repr(client)
    identify, enroll, new, people, delete, merge = seen
    assert (identify.method, identify.url.path) == ("POST", "/v1/partitions/bws.1/identify")
    assert identify.headers["authorization"] == "Bearer vk_secret"
    assert json.loads(identify.content) == {"pictures": [base64.b64encode(b"picture").decode()], "limit": 3}
    assert enroll.url.path == "/v1/partitions/bws.1/classes/7/enroll"
    assert json.loads(enroll.content) == {"embeddings": [[1.0] * 16], "encoder": "e@1", "name": "Ada"}
    assert new.url.path == "/v1/partitions/bws.1/enroll" and len(json.loads(new.content)["pictures"]) == 2
    assert people.url.params.multi_items() == [("labels", "site:berlin"), ("limit", "5")] or dict(
        people.url.params
    ) == {
        "labels": "site:berlin",
        "limit": "5",
    }
    assert delete.url.raw_path == b"/v1/partitions/a%2Fb.1/classes/7" and not delete.content
    assert json.loads(merge.content) == {"from": "2"}


def test_many_probes_are_a_stream():
    lines = [{"probe": 0, "matches": []}, {"probe": 1, "matches": [{"class": "7"}]}]
    seen = []

    def handle(request):
        seen.append(request)
        return httpx.Response(200, content="".join(json.dumps(line) + "\n" for line in lines).encode())

    options = {"transport": httpx.MockTransport(handle)}
    Q = np.asfortranarray(np.random.default_rng(1).standard_normal((2, 16)))
    with vultus.Client("http://localhost:1", **options) as client:
        assert list(client.identify_many("bws.1", Q, encoder="e@1", limit=2)) == lines

    async def ask():
        async with vultus.AsyncClient("http://localhost:1", **options) as client:
            return [line async for line in client.identify_many("bws.1", Q, encoder="e@1")]

    assert asyncio.run(ask()) == lines
    import io

    np.testing.assert_array_equal(np.load(io.BytesIO(seen[0].content)), Q.astype(np.float32))
    assert dict(seen[0].url.params) == {"encoder": "e@1", "limit": "2"}


def test_the_same_for_asyncio():
    async def ask():
        async with vultus.AsyncClient("http://localhost:1", "vk_x", **service([], answer={"matches": [1]})) as client:
            return await client.identify("bws.1", embeddings=np.ones((1, 16)), encoder="e@1")

    assert asyncio.run(ask()) == {"matches": [1]}


def test_refusals_are_exceptions():
    problem = {"code": "scope_missing", "title": "Forbidden", "detail": "the key lacks `enroll`", "status": 403}
    with vultus.Client("http://localhost:1", **service([], 403, problem, "application/problem+json")) as client:
        with pytest.raises(vultus.ApiError, match="answered 403: the key lacks `enroll`") as caught:
            client.status()
        assert (caught.value.status, caught.value.code) == (403, "scope_missing")
        with pytest.raises(vultus.ApiError, match="403"):
            list(client.identify_many("bws.1", np.ones((1, 16))))
    with vultus.Client("http://localhost:1", **service([], 502, ["proxy"], "text/html")) as client:
        with pytest.raises(vultus.ApiError, match="answered 502: without a reason"):
            client.status()


def test_wrong_calls_are_not_sent():
    seen = []
    with vultus.Client("http://localhost:1", **service(seen)) as client:
        with pytest.raises(vultus.InputError, match="identify: expected .*, found 'treshold'"):
            client.identify("bws.1", treshold=0.5)
        with pytest.raises(vultus.InputError, match="found 'drop'"):
            client.call("drop")
        with pytest.raises(vultus.InputError, match="row 0 is no embedding: value 0 is not a finite number"):
            client.identify("bws.1", embeddings=np.full((1, 16), np.nan))
        with pytest.raises(vultus.DtypeError):
            client.identify("bws.1", embeddings=np.ones((1, 16), int))
        with pytest.raises(vultus.PictureFileError):
            client.identify("bws.1", pictures="missing.jpg")
    assert seen == []
