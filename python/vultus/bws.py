"""Clients of the classic BWS Web API: the calls by their own names, at a service of Vultus or any other that speaks it.

    bws = vultus.bws.Client("http://127.0.0.1:8040", app_id, secret)
    token = bws.token("bws.112.4711", "verify", livedetection=False)
    bws.upload(token, "face.jpg")
    bws.verify(token)["Success"]

The secret belongs on a server: a device is given the token.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from vultus._client import _httpx, _read
from vultus._sent import Picture, as_bearer, as_content, as_name, as_parameter, as_secret, as_url, reaching
from vultus.errors import ApiError, InputError, PictureError, of_type

TASKS = ("verify", "identify", "enroll", "livenessdetection")
"""What a token can be for."""


class Request(NamedTuple):
    """A call as it is sent."""

    method: str
    name: str
    query: dict[str, Any]
    token: str | None = None
    """Whose call it is; the App-ID and the secret without one."""
    content: bytes | None = None
    kind: str | None = None
    """The media type of the content."""
    files: Mapping[str, Any] | None = None


def _data_url(picture: Picture, name: str = "picture") -> str:
    # The service looks at the picture and not at what it is called.
    return "data:image/jpeg;base64," + base64.b64encode(as_content(picture, name)).decode()


def _text(value: object, name: str) -> object:
    value = as_parameter(value, name)
    return str(value).lower() if isinstance(value, bool) else value


def _request(method: str, name: str, token: str | None = None, **query: Any) -> Request:
    given = {key: _text(value, key) for key, value in query.items() if value is not None}
    return Request(method, name, given, token)


def _of_token(method: str, name: str, token: str, **query: Any) -> Request:
    """A call of whoever has a token."""
    return _request(method, name, as_bearer(token, "token"), **query)


def _bcid(bcid: Any) -> str:
    return as_name(bcid, "bcid", "`storage.partition.class`")


def _pictures(name: str, pictures: Mapping[str, Picture | None], **query: Any) -> Request:
    """A call that brings pictures by name; one that is None is left empty."""
    members = {key: "data:," if picture is None else _data_url(picture, key) for key, picture in pictures.items()}
    content = json.dumps(members).encode()
    return _request("POST", name, **query)._replace(content=content, kind="application/json")


class _Calls:
    """The calls of the classic API. A BCID is `storage.partition.class`, a picture a path or its bytes.

    What a service says with status 200 is returned as it stands, `Error` included: `{"Success": False, "Error":
    "NoFaceFound"}` is an answer. Refusals are `ApiError`s.
    """

    def _send(self, request: Request, read: Any = _read) -> Any:
        raise NotImplementedError

    def token(
        self,
        bcid: str,
        task: str = "verify",
        *,
        livedetection: bool = True,
        maxtries: int | None = None,
        challenge: bool | None = None,
        challenges: int | None = None,
        mirrored: bool | None = None,
        autoenroll: bool | None = None,
        traits: str | None = None,
    ) -> Any:
        """A token for one task with a class: `verify`, `identify`, `enroll` or `livenessdetection`. A text."""
        if not isinstance(task, str) or task not in TASKS:
            raise InputError(f"task: expected one of {', '.join(TASKS)}, found {task!r}")
        asked = _request(
            "GET",
            "token",
            id=self._app_id,
            bcid=_bcid(bcid),
            task=task,
            livedetection=livedetection,
            maxtries=maxtries,
            challenge=challenge,
            challenges=challenges,
            mirrored=mirrored,
            autoenroll=autoenroll,
            traits=traits,
        )
        return self._send(asked)

    def upload(
        self,
        token: str,
        picture: Picture,
        *,
        index: int | None = None,
        tag: str | None = None,
        trait: str | None = None,
    ) -> Any:
        """Sends a sample for the next task of the token: `{"Accepted": …, "Warnings": […], "Error": …}`."""
        asked = _of_token("POST", "upload", token, index=index, tag=tag, trait=trait)
        return self._send(asked._replace(content=_data_url(picture).encode(), kind="text/plain"))

    def enroll(self, token: str, *, livedetection: bool | None = None) -> Any:
        """Makes the samples that wait templates of the token's class: `{"Success": …, "Error": …}`."""
        return self._send(_of_token("GET", "enroll", token, livedetection=livedetection))

    def verify(self, token: str, *, livedetection: bool | None = None, targetFMR: float | None = None) -> Any:
        """Whether the samples that wait show the person of the token's class: `{"Success": …, "Error": …}`.

        `targetFMR`, which only Vultus knows, asks for a rate of false matches.
        """
        return self._send(_of_token("GET", "verify", token, livedetection=livedetection, targetFMR=targetFMR))

    def identify(
        self,
        token: str,
        *,
        maxResults: int | None = None,
        livedetection: bool | None = None,
        targetFPIR: float | None = None,
    ) -> Any:
        """Who the samples show: `{"Success": …, "Matches": [{"Score", "Storage", "Partition", "ClassID"}]}`.

        No threshold cuts the list unless `targetFPIR`, which only Vultus knows, asks for one by rate.
        """
        asked = _of_token(
            "GET", "identify", token, maxResults=maxResults, livedetection=livedetection, targetFPIR=targetFPIR
        )
        return self._send(asked)

    def livenessdetection(self, token: str) -> Any:
        """Whether the samples that wait show a live person: `{"Success": …, "Error": …}`."""
        return self._send(_of_token("GET", "livenessdetection", token))

    def result(self, token: str) -> Any:
        """What came of the last task of a token, for the app that has it from a device; None if there was none."""
        return self._send(_request("GET", "result", access_token=as_bearer(token, "token")))

    def isenrolled(self, bcid: str, trait: str | None = None) -> Any:
        """Whether a class has a template."""
        return self._send(_request("GET", "isenrolled", bcid=_bcid(bcid), trait=trait), _is_there)

    def deleteclass(self, bcid: str) -> Any:
        """Removes a class, whether or not it is enrolled. None."""
        return self._send(_request("DELETE", "deleteclass", bcid=_bcid(bcid)))

    def status(self) -> Any:
        """The version and the features that the app may use."""
        return self._send(_request("GET", "status"))

    def qualitycheck(
        self, picture: Picture, *, full: bool | None = None, issuer: str | None = None, state: str | None = None
    ) -> Any:
        """Whether a picture is a portrait as documents have it, and what is wrong with it."""
        asked = _request("POST", "qualitycheck", full=full, issuer=issuer, state=state)
        return self._send(asked._replace(content=_data_url(picture).encode(), kind="text/plain"))

    def livedetection(self, liveimage1: Picture, liveimage2: Picture, *, state: str | None = None) -> Any:
        """Whether two pictures show a live person: a bool, or with any `state` an object with details."""
        pictures = {"liveimage1": _there(liveimage1, "liveimage1"), "liveimage2": _there(liveimage2, "liveimage2")}
        return self._send(_pictures("livedetection", pictures, state=state))

    def passivelivedetection(self, picture: Picture, *, state: str | None = None) -> Any:
        """Whether one picture shows a live person, by its texture alone."""
        asked = _request("POST", "passivelivedetection", state=state)
        return self._send(asked._replace(content=_data_url(picture).encode(), kind="text/plain"))

    def videolivedetection(self, video: Picture, *, state: str | None = None) -> Any:
        """Whether a video shows a live person."""
        content = as_content(video, "video")
        asked = _request("POST", "videolivedetection", state=state)
        return self._send(asked._replace(files={"video": ("video", content, "application/octet-stream")}))

    def photoverify(
        self, liveimage1: Picture, liveimage2: Picture, idphoto: Picture, *, accuracy: int | None = None
    ) -> Any:
        """Whether the live person on two pictures is the one on a photo: a bool. No liveness is an `ApiError`."""
        pictures = {"liveimage1": liveimage1, "liveimage2": liveimage2, "idphoto": idphoto}
        pictures = {key: _there(picture, key) for key, picture in pictures.items()}
        return self._send(_pictures("photoverify", pictures, accuracy=accuracy))

    def photoverify2(
        self,
        liveimage1: Picture | None,
        liveimage2: Picture | None,
        idphoto: Picture,
        *,
        accuracy: int | None = None,
        state: str | None = None,
    ) -> Any:
        """As `photoverify`, with an object as the answer; one of the live pictures may be None."""
        pictures = {"liveimage1": liveimage1, "liveimage2": liveimage2, "idphoto": _there(idphoto, "idphoto")}
        return self._send(_pictures("photoverify2", pictures, accuracy=accuracy, state=state))


def _there(picture: Any, name: str) -> Any:
    if picture is None:
        raise of_type(PictureError, f"{name}: expected a path or the bytes of a file, found NoneType")
    return picture


def _credentials(app_id: Any, secret: Any) -> tuple[str, tuple[str, str]]:
    app_id = as_bearer(app_id, "app_id")
    if ":" in app_id:
        raise InputError("app_id: expected a text without a colon, found one with it")
    return app_id, (app_id, as_secret(secret, "secret"))


def _is_there(answer: Any) -> bool:
    if answer.status_code == 404 and _of_the_class(answer):
        return False
    _read(answer)
    return True


def _of_the_class(answer: Any) -> bool:
    """Whether it is the class that is not there, and not the API: nobody must count as unknown for a wrong address."""
    if not answer.content:
        return True
    try:
        return "template" in json.loads(answer.content)["Message"]
    except (ValueError, LookupError, TypeError):
        return False


def _sent(request: Request, credentials: tuple[str, str]) -> dict[str, Any]:
    """The arguments of `httpx.Client.request`."""
    headers = {"Accept": "application/json, text/plain"}
    if request.token is not None:
        headers["Authorization"] = f"Bearer {request.token}"
    if request.kind is not None:
        headers["Content-Type"] = request.kind
    sent: dict[str, Any] = {
        "method": request.method,
        "url": f"extension/{request.name}",
        "params": request.query,
        "headers": headers,
    }
    if request.token is None:
        sent["auth"] = credentials
    if request.content is not None:
        sent["content"] = request.content
    if request.files is not None:
        sent["files"] = request.files
    return sent


class Client(_Calls):
    """The classic API for a program that waits for answers. Needs httpx.

    Args:
        url: Where the service is, without `/extension`: `http://127.0.0.1:8040`.
        app_id: The App-ID (`vultus app create`).
        secret: Its secret.
        options: Passed on to `httpx.Client`, such as `timeout` and `verify`.

    Calls raise `ApiError` with `status` and `retry_after_seconds` where the service refuses, and `NotReachedError`,
    which is also what httpx raises, where it is not reached.
    """

    def __init__(self, url: str, app_id: str, secret: str, **options: Any) -> None:
        self._app_id, self._credentials = _credentials(app_id, secret)
        self._http = _httpx().Client(**{"base_url": as_url(url), "timeout": 60.0, **options})

    def _send(self, request: Request, read: Any = _read) -> Any:
        with reaching(self._http.base_url):
            answer = self._http.request(**_sent(request, self._credentials))
        return read(answer)

    def close(self) -> None:
        """Lets go of connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        # Without the secret.
        return f"<vultus.bws.Client of {self._http.base_url}>"


class AsyncClient(_Calls):
    """As `Client`, for asyncio: every call is awaited."""

    def __init__(self, url: str, app_id: str, secret: str, **options: Any) -> None:
        self._app_id, self._credentials = _credentials(app_id, secret)
        self._http = _httpx().AsyncClient(**{"base_url": as_url(url), "timeout": 60.0, **options})

    async def _send(self, request: Request, read: Any = _read) -> Any:  # type: ignore[override]
        with reaching(self._http.base_url):
            answer = await self._http.request(**_sent(request, self._credentials))
        return read(answer)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<vultus.bws.AsyncClient of {self._http.base_url}>"


__all__ = ["TASKS", "ApiError", "AsyncClient", "Client"]
