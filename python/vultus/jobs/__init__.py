"""Jobs over whole galleries that are too long to be done twice: N probes against M people, and all
pairs of a gallery.

A job is cut into pairs of blocks. Each pair is one file in a folder, written once; a manifest says
what the job is. So whatever ends a job, the same call goes on with what is left. `identify` and
`duplicates` use the cores of this machine; `vultus.spark` has both for many machines.

`docs/jobs.md` has the whole.
"""

from .errors import (
    CorruptBlockError,
    CorruptManifestError,
    CorruptOutputError,
    ForeignManifestError,
    JobError,
)
from .local import Local
from .rates import threshold_at_rate
from .run import BLOCK_ROWS, Duplicates, Engine, Identified, duplicates, identify

__all__ = [
    "BLOCK_ROWS",
    "CorruptBlockError",
    "CorruptManifestError",
    "CorruptOutputError",
    "Duplicates",
    "Engine",
    "ForeignManifestError",
    "Identified",
    "JobError",
    "Local",
    "duplicates",
    "identify",
    "threshold_at_rate",
]
