"""Files of a job, in a local folder or in any file system that Arrow knows by URI."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from pyarrow import fs

from vultus._sent import is_text
from vultus.errors import InputError, InputFileError, StorageError, VultusError, of_os_error, of_system


def resolve(place: str | os.PathLike[str]) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URI, and the path in it.

    Raises:
        InputError: The URI is of a scheme that Arrow does not know, or it is no text.
    """
    text = os.fsdecode(place)
    if "\0" in text or not is_text(text):
        raise InputError(f"expected a path in UTF-8, found {text!r}")
    if "://" not in text:
        return fs.LocalFileSystem(), os.path.abspath(text)
    try:
        return cast("tuple[fs.FileSystem, str]", fs.FileSystem.from_uri(text))
    except (ValueError, NotImplementedError) as error:
        raise InputError(f"{text}: expected a path, or a URI of a file system that Arrow knows; {error}") from error


@contextlib.contextmanager
def _telling(place: str) -> Iterator[None]:
    """What a file system refuses is a `StorageError` that names the place."""
    try:
        yield
    except OSError as error:
        if isinstance(error, VultusError):
            raise
        raise of_os_error(StorageError, f"{place}: {error}", error) from error


@dataclass(frozen=True)
class Folder:
    """A folder in which a job keeps what it knows. Small enough to be sent to every task."""

    place: str

    def read(self, name: str) -> bytes | None:
        """All bytes of a file, or nothing if there is none of that name."""
        system, root = resolve(self.place)
        try:
            with _telling(self.path(name)):
                with system.open_input_stream(f"{root}/{name}", compression=None) as stream:
                    return cast(bytes, stream.read())
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            text = f"{self.place}: expected a folder, found a file"
            raise of_system(InputFileError, text, errno.ENOTDIR, self.place) from None

    def names(self, folder: str = "") -> list[str]:
        """The names in a folder in here, in order; none if it is not there."""
        system, root = resolve(self.place)
        selector = fs.FileSelector(f"{root}/{folder}".rstrip("/"), allow_not_found=True)
        with _telling(self.path(folder)):
            return sorted(info.base_name for info in system.get_file_info(selector))

    def path(self, name: str) -> str:
        """How people and errors call a file in here."""
        return f"{self.place.rstrip('/')}/{name}"

    def write_once(self, name: str, data: bytes) -> bool:
        """Writes a file that appears under its name when it is whole.

        One that is there already stays, since it holds the same: whoever does a task again
        computes the same bytes. Returns whether it was written now.
        """
        system, root = resolve(self.place)
        target = f"{root}/{name}"
        if _is_file(system, target):
            return False
        with self.draft(name) as stream:
            stream.write(data)
        return True

    @contextlib.contextmanager
    def draft(self, name: str) -> Iterator[BinaryIO]:
        """A stream into a file that appears under its name, in place of what is there, at the end.

        What is left of one that was interrupted has a name that begins with a point, and nobody
        reads it.
        """
        system, root = resolve(self.place)
        target = f"{root}/{name}"
        parent, _, base = target.rpartition("/")
        draft = f"{parent}/.{base}.{uuid.uuid4().hex}.new"
        with _telling(self.path(name)):
            system.create_dir(parent, recursive=True)
            with _out(system, draft) as stream:
                yield stream
            _rename(system, draft, target)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        system, root = resolve(self.place)
        with _telling(self.path(name)):
            if _is_file(system, f"{root}/{name}"):
                system.delete_file(f"{root}/{name}")

    def sweep(self, folder: str) -> None:
        """Removes what interrupted writers left in a folder."""
        system, root = resolve(self.place)
        for name in self.names(folder):
            if name.startswith(".") and name.endswith(".new"):
                with contextlib.suppress(FileNotFoundError):
                    system.delete_file(f"{root}/{folder}/{name}")


def _is_file(system: fs.FileSystem, path: str) -> bool:
    return bool(system.get_file_info(path).type == fs.FileType.File)


@contextlib.contextmanager
def _out(system: fs.FileSystem, path: str) -> Iterator[BinaryIO]:
    """A new file. A local one is on the disk at the end, not only on its way there."""
    if isinstance(system, fs.LocalFileSystem):
        with open(path, "xb") as local:
            yield cast(BinaryIO, local)
            local.flush()
            os.fsync(local.fileno())
        return
    with system.open_output_stream(path) as stream:
        yield stream


def _rename(system: fs.FileSystem, draft: str, target: str) -> None:
    if isinstance(system, fs.LocalFileSystem):
        os.replace(draft, target)
        return
    try:
        system.move(draft, target)
    except OSError:
        # Some file systems do not rename over a file. Whoever was first wrote the same, except
        # where a merged result is made anew: that one gives way.
        if not _is_file(system, target):
            raise
        system.delete_file(target)
        system.move(draft, target)
