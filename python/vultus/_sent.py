"""What clients of a service are given, checked before anything is sent."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import Any
from uuid import UUID

import numpy as np

from vultus.errors import InputError, NotReachedError, PictureError, PictureFileError, also, of_os_error, of_type

Picture = bytes | bytearray | memoryview | str | os.PathLike[str]
"""A picture: its bytes, or the path of its file."""


def as_content(picture: Any, name: str) -> bytes:
    """The bytes of a picture or a video. `name` is what the argument is called in errors.

    Raises `PictureFileError` if its file cannot be read (a `FileNotFoundError` if there is none), `PictureError` if
    it is something else or has no bytes.
    """
    if isinstance(picture, bytes | bytearray | memoryview):
        content = bytes(picture)
    elif isinstance(picture, str | os.PathLike):
        path = os.fspath(picture)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise of_os_error(PictureFileError, f"{name}: `{path!s}` cannot be read: {error}", error) from None
        except ValueError as error:
            raise PictureFileError(f"{name}: `{path!s}` cannot be read: {error}") from None
    else:
        found = type(picture).__name__
        raise of_type(PictureError, f"{name}: expected a path or the bytes of a file, found {found}")
    if not content:
        raise PictureError(f"{name}: expected a picture, found no bytes")
    return content


def as_url(url: Any) -> str:
    """Where a service is. Raises `InputError` unless it is a URL of HTTP."""
    expected = "url: expected one such as 'http://127.0.0.1:8040'"
    if not isinstance(url, str):
        raise of_type(InputError, f"{expected}, found {type(url).__name__}")
    if not url.lower().startswith(("http://", "https://")):
        raise InputError(f"{expected}, found {url!r}")
    return url


def is_text(value: str) -> bool:
    """Whether it is one that can be sent: half of a pair of surrogates is no letter."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_parameter(value: Any, name: str) -> Any:
    """A value of a query or of JSON: numbers of numpy as those of Python. Raises `InputError` for what is none."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str) and not is_text(value):
        raise InputError(f"{name}: expected a text, found one with half a letter")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name}: expected a finite number, found {value!r}")
    if isinstance(value, Mapping):
        return {str(as_parameter(key, name)): as_parameter(each, f"{name}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_parameter(each, f"{name}[{at}]") for at, each in enumerate(value)]
    if value is not None and not isinstance(value, str | bool | int | float):
        expected = "a text, a number, a bool or lists and dicts of them"
        raise of_type(InputError, f"{name}: expected {expected}, found {type(value).__name__}")
    return value


def as_secret(value: Any, name: str) -> str:
    """A key, token, App-ID or secret, of which errors show nothing but what kind of thing it is.

    Raises `InputError` unless it is a text that shows something.
    """
    if not isinstance(value, str):
        raise of_type(InputError, f"{name}: expected a text, found {type(value).__name__}")
    if not value.strip():
        raise InputError(f"{name}: expected a text, found an empty one")
    return value


def as_bearer(value: Any, name: str) -> str:
    """A key or token as a header has it. Raises `InputError` for one with spaces, new lines or other letters."""
    text = as_secret(value, name)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InputError(f"{name}: expected ASCII without spaces, found something else: a new line at its end?")
    return text


def as_name(value: Any, name: str, form: str) -> str:
    """A partition, a BCID or the like. Raises `InputError` unless it is a text or a number that shows something."""
    if not isinstance(value, str | Integral | UUID) or isinstance(value, bool):
        raise of_type(InputError, f"{name}: expected {form}, found {type(value).__name__}")
    if not str(value).strip() or not is_text(str(value)):
        raise InputError(f"{name}: expected {form}, found {value!r}")
    return str(value)


@contextmanager
def reaching(url: Any) -> Iterator[None]:
    """Has a service that is not reached raise `NotReachedError`, which is also what httpx raises."""
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        bases: list[type[BaseException]] = [type(error)]
        if isinstance(error, httpx.TimeoutException):
            bases.append(TimeoutError)
        elif isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
            bases.append(ConnectionError)
        # Not the whole URL, which may have a password in it.
        text = f"the service at `{url.host}:{url.port or url.scheme}` was not reached: {error or type(error).__name__}"
        made: Any = also(NotReachedError, *bases, text=text)
        made._request = error._request
        raise made from error
