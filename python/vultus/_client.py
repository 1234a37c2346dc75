"""Clients of a running service, by its native API `/v1`."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vultus._arrays import as_rows
from vultus._sent import Picture, as_bearer, as_content, as_name, as_parameter, as_url, reaching
from vultus.errors import ApiError, InputError, PictureError, RowError, of_type


class Operation(NamedTuple):
    """A call of the service."""

    method: str
    path: str
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    """Members of the JSON that is sent."""


_SAMPLES = ("embeddings", "encoder", "liveness", "pictures")
_RECORD = ("expires_unix_milliseconds", "external_id", "labels", "name", "not_same_as", "note", "threshold")
_ENROLL = (*_SAMPLES, *_RECORD, "box", "replace")
_WHO = ("labels", "limit", "target_fpir", "threshold")
_PARTITION = "/v1/partitions/{partition}"
_CLASS = _PARTITION + "/classes/{class}"

OPERATIONS = {
    "compare": Operation("POST", "/v1/compare", body=("pictures", "threshold")),
    "confirm_decision": Operation("POST", "/v1/decisions/{decision}/confirm", body=("agrees",)),
    "create_snapshot": Operation("POST", "/v1/snapshots"),
    "delete_class": Operation("DELETE", _CLASS, query=("erase",)),
    "delete_partition": Operation("DELETE", _PARTITION, query=("confirm", "erase")),
    "detect": Operation("POST", "/v1/detect", body=("pictures",)),
    "embed": Operation("POST", "/v1/embed", body=("pictures",)),
    "enroll": Operation("POST", _CLASS + "/enroll", body=_ENROLL),
    "enroll_new": Operation("POST", _PARTITION + "/enroll", body=_ENROLL),
    "get_class": Operation("GET", _CLASS),
    "get_decision": Operation("GET", "/v1/decisions/{decision}"),
    "get_partition": Operation("GET", _PARTITION),
    "get_portrait": Operation("GET", _CLASS + "/portrait"),
    "get_receipt": Operation("GET", "/v1/receipts/{id}"),
    "identify": Operation("POST", _PARTITION + "/identify", body=(*_SAMPLES, *_WHO)),
    "identify_faces": Operation("POST", _PARTITION + "/identify-faces", body=("pictures", *_WHO)),
    "identify_many": Operation("POST", _PARTITION + "/identify-many", query=("encoder", *_WHO)),
    "list_classes": Operation(
        "GET", _PARTITION + "/classes", query=("name", "name_prefix", "external_id", "labels", "limit", "cursor")
    ),
    "list_decisions": Operation("GET", "/v1/decisions", query=("limit", "cursor")),
    "list_partitions": Operation("GET", "/v1/partitions", query=("limit", "cursor")),
    "list_receipts": Operation("GET", "/v1/receipts", query=("limit", "cursor")),
    "list_snapshots": Operation("GET", "/v1/snapshots"),
    "list_templates": Operation("GET", _CLASS + "/templates"),
    "merge_classes": Operation("POST", _CLASS + "/merge", body=("from",)),
    "metrics": Operation("GET", "/v1/metrics"),
    "move_templates": Operation("POST", _CLASS + "/move", body=("templates", "to")),
    "patch_class": Operation("PATCH", _CLASS, body=_RECORD),
    "problems": Operation("GET", "/v1/problems"),
    "put_class": Operation("PUT", _CLASS, body=_RECORD),
    "status": Operation("GET", "/v1/status"),
    "verify": Operation("POST", _CLASS + "/verify", body=(*_SAMPLES, "target_fmr", "threshold")),
}
"""All calls of `/v1` by their names in the OpenAPI document. A test compares both."""


class Request(NamedTuple):
    """A call as it is sent."""

    method: str
    path: str
    query: dict[str, Any]
    content: bytes | None
    headers: dict[str, str]


def request(name: str, path: Mapping[str, object], members: Mapping[str, Any]) -> Request:
    """What is sent for a call: `members` that are not None, as its query or as JSON. `InputError` for others."""
    from urllib.parse import quote

    operation = OPERATIONS[name]
    members = {key: value for key, value in members.items() if value is not None}
    for key in members:
        if key not in operation.query + operation.body:
            known = ", ".join(operation.query + operation.body) or "nothing"
            raise InputError(f"{name}: expected {known}, found {key!r}")
    given = {"pictures": _pictures, "embeddings": _embeddings}
    for key, value in members.items():
        members[key] = given[key](value) if key in given else as_parameter(value, f"{name}, {key}")
    filled = operation.path.format_map(
        {key: quote(as_name(path.get(key), f"{name}, {key}", form), safe="") for key, form in _in(operation.path)}
    )
    query = {key: members.pop(key) for key in operation.query if key in members}
    if isinstance(query.get("labels"), Mapping):
        query["labels"] = [f"{key}:{value}" for key, value in query["labels"].items()]
    content, headers = None, {}
    if operation.body:
        content = json.dumps(members).encode()
        headers["Content-Type"] = "application/json"
    return Request(operation.method, filled, query, content, headers)


def _in(path: str) -> list[tuple[str, str]]:
    """What a path wants to be filled with, each with its form."""
    wanted = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [(key, _FORMS.get(key, "a text")) for key in wanted]


_FORMS = {"partition": "`storage.number`", "class": "the number of a class"}


def _given(pictures: Any) -> Any:
    """Pictures that a call cannot do without: what is None is else left out."""
    if pictures is None:
        expected = "a path, the bytes of a file, or a list of them"
        raise of_type(PictureError, f"pictures: expected {expected}, found NoneType")
    return pictures


def _pictures(pictures: Picture | Sequence[Picture]) -> list[str]:
    """Pictures in base64, from bytes or paths."""
    one = isinstance(pictures, bytes | bytearray | memoryview | str | os.PathLike)
    several: Sequence[Any] = [pictures] if one else pictures  # type: ignore[assignment, list-item]
    if not isinstance(several, Sequence):
        found = type(pictures).__name__
        expected = "a path, the bytes of a file, or a list of them"
        raise of_type(PictureError, f"pictures: expected {expected}, found {found}")
    contents = [as_content(each, "pictures" if one else f"pictures[{at}]") for at, each in enumerate(several)]
    return [base64.b64encode(content).decode() for content in contents]


def _embeddings(embeddings: Any) -> list[list[float]]:
    return _finite(embeddings, "embeddings").astype(float).tolist()


def _npy(probes: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(_finite(probes, "Q")))
    return file.getvalue()


def _finite(rows: Any, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = as_rows(rows, name).astype(np.float32)
    is_finite = np.isfinite(values)
    if not is_finite.all():
        row, value = np.argwhere(~is_finite)[0]
        raise RowError(f"{name}: row {row} is no embedding: value {value} is not a finite number")
    return values


def _failed(answer: Any, content: bytes) -> ApiError:
    """What a refusal says, in the words of `/v1` or of the classic API."""
    code, text = None, None
    try:
        problem = json.loads(content)
        code = problem.get("code")
        text = problem.get("detail") or problem.get("title") or problem.get("Message")
    except (ValueError, AttributeError, RecursionError):
        # A proxy answers in its own way.
        pass
    status, after = answer.status_code, answer.headers.get("retry-after", "")
    # It may be a date, as of a proxy; the service tells seconds.
    seconds = int(after) if after.isdecimal() else None
    return ApiError(f"the service answered {status}: {text or 'without a reason'}", status, code, seconds)


class _Calls:
    """The calls. `partition` is `storage.number`, `label` the number of a class; a result is the parsed JSON."""

    def _call(self, name: str, path: Mapping[str, object], members: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def status(self) -> Any:
        """What the service says of itself."""
        return self._call("status", {}, {})

    def partitions(self, **page: Any) -> Any:
        """The partitions, a page of them: `limit`, `cursor`."""
        return self._call("list_partitions", {}, page)

    def people(self, partition: str, **filters: Any) -> Any:
        """The people of a partition, a page: `name`, `name_prefix`, `external_id`, `labels`, `limit`, `cursor`."""
        return self._call("list_classes", {"partition": partition}, filters)

    def person(self, partition: str, label: int) -> Any:
        """What is known of a class."""
        return self._call("get_class", {"partition": partition, "class": label}, {})

    def enroll(self, partition: str, label: int | None = None, **samples: Any) -> Any:
        """Enrols `pictures` (paths, bytes) or `embeddings` (an array, with `encoder`), of a class or somebody new."""
        if label is None:
            return self._call("enroll_new", {"partition": partition}, samples)
        return self._call("enroll", {"partition": partition, "class": label}, samples)

    def identify(self, partition: str, **samples: Any) -> Any:
        """Who `pictures` or `embeddings` of one person show: `limit`, `threshold`, `target_fpir`, `labels`, ..."""
        return self._call("identify", {"partition": partition}, samples)

    def identify_faces(self, partition: str, **samples: Any) -> Any:
        """Who is on a picture of several people."""
        return self._call("identify_faces", {"partition": partition}, samples)

    def verify(self, partition: str, label: int, **samples: Any) -> Any:
        """Whether samples show the person of a class: `threshold` or `target_fmr`."""
        return self._call("verify", {"partition": partition, "class": label}, samples)

    def compare(self, pictures: Sequence[Picture], threshold: float | None = None) -> Any:
        """Whether two pictures show one person."""
        return self._call("compare", {}, {"pictures": _given(pictures), "threshold": threshold})

    def detect(self, pictures: Picture | Sequence[Picture]) -> Any:
        """The faces on pictures."""
        return self._call("detect", {}, {"pictures": _given(pictures)})

    def embed(self, pictures: Picture | Sequence[Picture]) -> Any:
        """The embeddings of pictures."""
        return self._call("embed", {}, {"pictures": _given(pictures)})

    def change(self, partition: str, label: int, **record: Any) -> Any:
        """Changes what is known of a person: `name`, `external_id`, `labels`, `note`, ..."""
        return self._call("patch_class", {"partition": partition, "class": label}, record)

    def delete(self, partition: str, label: int, erase: str | None = None) -> Any:
        """Removes a class and all that is known of the person; `erase="now"` waits until nothing is stored of them."""
        return self._call("delete_class", {"partition": partition, "class": label}, {"erase": erase})

    def remove_partition(self, partition: str, confirm: str, erase: str | None = None) -> Any:
        """Removes a partition and everybody in it; `confirm` names it once more."""
        return self._call("delete_partition", {"partition": partition}, {"confirm": confirm, "erase": erase})

    def merge(self, partition: str, into: int, other: int) -> Any:
        """Makes one class of two."""
        return self._call("merge_classes", {"partition": partition, "class": into}, {"from": str(other)})

    def call(self, name: str, path: Mapping[str, object] | None = None, **members: Any) -> Any:
        """Any call by its name in the OpenAPI document, such as `list_templates`."""
        if not isinstance(name, str):
            raise of_type(InputError, f"name: expected a call of /v1, found {type(name).__name__}")
        if name not in OPERATIONS or name == "identify_many":
            raise InputError(f"name: expected a call of /v1, found {name!r}")
        if path is not None and not isinstance(path, Mapping):
            raise of_type(InputError, f"path: expected a dict, found {type(path).__name__}")
        return self._call(name, path or {}, members)


def _httpx() -> Any:
    try:
        import httpx
    except ImportError:
        raise ModuleNotFoundError("vultus.Client needs httpx: pip install 'vultus[client]'", name="httpx") from None
    return httpx


def _options(url: str, key: str | None, options: dict[str, Any]) -> dict[str, Any]:
    headers = {} if key is None else {"Authorization": f"Bearer {as_bearer(key, 'key')}"}
    return {"base_url": as_url(url), "headers": headers, "timeout": 60.0, **options}


class Client(_Calls):
    """A running service, for a program that waits for answers. Needs httpx.

    Args:
        url: Where it is, such as `http://127.0.0.1:8040`.
        key: An API key (`vultus key create`).
        options: Passed on to `httpx.Client`, such as `timeout` and `verify`.

    Calls raise `ApiError` with `status`, `code` and `retry_after_seconds` where the service refuses, and
    `NotReachedError`, which is also what httpx raises, where it is not reached. None is repeated by itself.
    """

    def __init__(self, url: str, key: str | None = None, **options: Any) -> None:
        self._http = _httpx().Client(**_options(url, key, options))

    def _call(self, name: str, path: Mapping[str, object], members: Mapping[str, Any]) -> Any:
        sent = request(name, path, members)
        with reaching(self._http.base_url):
            answer = self._http.request(
                sent.method, sent.path, params=sent.query, content=sent.content, headers=sent.headers
            )
        return _read(answer)

    def identify_many(self, partition: str, Q: Any, **options: Any) -> Iterator[Any]:
        """Who each row of `Q` shows, shape (q, d): an answer for each, as they come. `encoder`, `limit`, ..."""
        sent = request("identify_many", {"partition": partition}, options)
        headers = {"Content-Type": "application/x-npy"}
        asked = {"params": sent.query, "content": _npy(Q), "headers": headers}
        with reaching(self._http.base_url), self._http.stream(sent.method, sent.path, **asked) as answer:
            if not answer.is_success:
                raise _failed(answer, answer.read())
            for line in answer.iter_lines():
                if line.strip():
                    yield _line(line, answer.status_code)

    def close(self) -> None:
        """Lets go of connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        # Without the key.
        return f"<vultus.Client of {self._http.base_url}>"


class AsyncClient(_Calls):
    """As `Client`, for asyncio: every call is awaited, and `identify_many` is an asynchronous iterator."""

    def __init__(self, url: str, key: str | None = None, **options: Any) -> None:
        self._http = _httpx().AsyncClient(**_options(url, key, options))

    async def _call(self, name: str, path: Mapping[str, object], members: Mapping[str, Any]) -> Any:  # type: ignore[override]
        sent = request(name, path, members)
        with reaching(self._http.base_url):
            answer = await self._http.request(
                sent.method, sent.path, params=sent.query, content=sent.content, headers=sent.headers
            )
        return _read(answer)

    async def identify_many(self, partition: str, Q: Any, **options: Any) -> AsyncIterator[Any]:
        """As `Client.identify_many`."""
        sent = request("identify_many", {"partition": partition}, options)
        headers = {"Content-Type": "application/x-npy"}
        asked = {"params": sent.query, "content": _npy(Q), "headers": headers}
        with reaching(self._http.base_url):
            async with self._http.stream(sent.method, sent.path, **asked) as answer:
                if not answer.is_success:
                    raise _failed(answer, await answer.aread())
                async for line in answer.aiter_lines():
                    if line.strip():
                        yield _line(line, answer.status_code)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<vultus.AsyncClient of {self._http.base_url}>"


def _line(content: bytes | str, status: int) -> Any:
    """What a service says in JSON, all of it or a line."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        found = f"{len(content)} bytes of something else"
        raise ApiError(f"the service answered {status}: expected JSON, found {found}", status) from None


def _read(answer: Any) -> Any:
    if not answer.is_success:
        raise _failed(answer, answer.content)
    if "json" in answer.headers.get("content-type", ""):
        return _line(answer.content, answer.status_code)
    if answer.headers.get("content-type", "").startswith("image/"):
        return answer.content
    return answer.text or None
