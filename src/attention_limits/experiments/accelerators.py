"""Each of several processes takes an accelerator of this machine for itself."""

import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from attention_limits.hypotheses import require_integer

#: The lock on this process's accelerator, held until it ends.
_claimed: list[FileLock] = []


def claim_accelerator(count: int) -> int:
    """The accelerator of this process, of ``count`` in this machine: the first that no other worker has taken.

    It is taken by a lock on a file, which the system frees when the process ends. With more workers than accelerators
    the later ones share.
    """
    require_integer("count", count, 1)
    if _claimed:
        return int(Path(_claimed[0].lock_file).stem.rpartition("-")[2])
    for index in range(count):
        lock = FileLock(Path(tempfile.gettempdir()) / f"attention-limits-accelerator-{index}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _claimed.append(lock)
        return index
    return os.getpid() % count
