"""What clients of a service are given, checked before anything is sent."""

from __future__ import annotations

import os
from numbers import Integral
from typing import Any
from uuid import UUID

from vultus.errors import InputError, PictureError, PictureFileError

Picture = bytes | bytearray | memoryview | str | os.PathLike[str]
"""A picture: its bytes, or the path of its file."""


def as_content(picture: Any, name: str) -> bytes:
    """The bytes of a picture or a video. `name` is what the argument is called in errors.

    Raises `PictureFileError` if its file cannot be read, `PictureError` if it is something else or has no bytes.
    """
    if isinstance(picture, bytes | bytearray | memoryview):
        content = bytes(picture)
    elif isinstance(picture, str | os.PathLike):
        path = os.fspath(picture)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (OSError, ValueError) as error:
            raise PictureFileError(f"{name}: `{path!s}` cannot be read: {error}") from None
    else:
        raise PictureError(f"{name}: expected a path or the bytes of a file, found {type(picture).__name__}")
    if not content:
        raise PictureError(f"{name}: expected a picture, found no bytes")
    return content


def as_url(url: Any) -> str:
    """Where a service is. Raises `InputError` unless it is a URL of HTTP."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        found = repr(url) if isinstance(url, str) else type(url).__name__
        raise InputError(f"url: expected one such as 'http://127.0.0.1:8040', found {found}")
    return url


def as_secret(value: Any, name: str) -> str:
    """A key, token, App-ID or secret, of which errors show nothing but what kind of thing it is.

    Raises `InputError` unless it is a text that shows something.
    """
    if not isinstance(value, str):
        raise InputError(f"{name}: expected a text, found {type(value).__name__}")
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
    is_known = isinstance(value, str | Integral | UUID) and not isinstance(value, bool)
    if not is_known or not str(value).strip():
        found = repr(value) if isinstance(value, str) else type(value).__name__
        raise InputError(f"{name}: expected {form}, found {found}")
    return str(value)
