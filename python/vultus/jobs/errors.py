"""What goes wrong in a job beside what is wrong with its input, each kind by a type of its own.

Every message says what was being done, where, what was expected and what was found. None shows a
value of an embedding.
"""

from __future__ import annotations

from vultus import errors
from vultus.errors import VultusError


class JobError(VultusError):
    """A job cannot go on. The types below say why."""


class CorruptBlockError(JobError, OSError):
    """Embeddings that are not those which the job began with, or a file that cannot be read."""


class CorruptOutputError(JobError, OSError):
    """A file of results that is damaged, or of another job or other blocks."""


class CorruptManifestError(JobError, OSError):
    """A manifest that is damaged, or of a version that this program does not know."""


class ForeignManifestError(JobError, ValueError):
    """The folder holds another job. The message says what differs."""


def kinds() -> dict[str, type[VultusError]]:
    """All of them by name, so that what was raised on another machine can be raised again here."""
    here = (JobError, CorruptBlockError, CorruptOutputError, CorruptManifestError)
    there = (getattr(errors, name) for name in errors.__all__)
    return {kind.__name__: kind for kind in (*here, ForeignManifestError, *there)}
