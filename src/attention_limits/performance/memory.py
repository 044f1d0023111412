"""How far one call of third-order attention raises the memory of a fresh process.

``python -m attention_limits.performance.memory '[[FORM, N, m, d, PASSES], ...]'`` prints bytes, a line for each call:
the peak of the resident memory during it, beyond what was resident before. A call of `WARM_TOKENS` tokens comes first,
so that the code it runs is loaded by then.
"""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from attention_limits.performance.attention import FORMS, one_pass, third_order_inputs

#: Enough to go the way of long inputs, few enough to leave next to nothing behind: all N³ scores are 1.5 MB.
WARM_TOKENS = 72
#: One thread. And the C library (glibc) hands freed blocks from 128 KiB on back at once: so what is counted is what was
#: held at a time, not also what the library kept for later, which differs by some MB from run to run.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "MALLOC_MMAP_THRESHOLD_": "131072"}
_PROCESS = Path("/proc/self")
#: Writing 5 to it lets the peak start anew (Linux); so one process can measure one call after the other.
_CLEAR = _PROCESS / "clear_refs"

#: Form, N, m, d and passes, as `memory_use` takes them.
Call = tuple[str, int, int, int, str]


class MemoryUse(NamedTuple):
    """The memory that one call of a form took."""

    form: str
    num_tokens: int
    embed_dim: int
    value_dim: int
    passes: str
    num_bytes: int


def memory_use(form: str, num_tokens: int, embed_dim: int, value_dim: int, passes: str) -> MemoryUse:
    """How far a call raises the peak of resident memory, measured in a process of its own with one thread.

    Args:
        form: a name in `attention.FORMS`.
        num_tokens, embed_dim, value_dim: N, m and d.
        passes: forward, or both.

    Raises:
        ValueError: for an unknown form.
        RuntimeError: if the process fails, with its last line.
    """
    return memory_uses([(form, num_tokens, embed_dim, value_dim, passes)])[0]


def memory_uses(calls: Sequence[Call]) -> list[MemoryUse]:
    """The same for several calls, one after the other in one process where the system can let the peak start anew.

    It spares starting a process for each. Name the call that takes least first: what the C library keeps of a call's
    small blocks is missing in the next one's peak.
    """
    for form, *_ in calls:
        if form not in FORMS:
            raise ValueError(f"unknown form {form!r}: use one of {', '.join(FORMS)}")
    together = [list(calls)] if _CLEAR.exists() else [[call] for call in calls]
    found = [num_bytes for some in together for num_bytes in _run(some)]
    return [MemoryUse(*call, num_bytes) for call, num_bytes in zip(calls, found, strict=True)]


def _run(calls: list[Call]) -> list[int]:
    """What a process prints that measures ``calls``."""
    command = [sys.executable, "-m", "attention_limits.performance.memory", json.dumps(calls)]
    environment = {**os.environ, **_ENVIRONMENT}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, encoding="utf-8")
    measured = [int(line) for line in done.stdout.split()]
    if done.returncode != 0:
        form, num_tokens, *_ = calls[min(len(measured), len(calls) - 1)]  # it may also fail when all is measured
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise RuntimeError(f"measuring the memory of {form} at N = {num_tokens} failed: {last}")
    return measured


def _measure(form: str, num_tokens: int, embed_dim: int, value_dim: int, passes: str) -> int:
    torch.set_num_threads(1)
    work = one_pass(FORMS[form], passes)
    work(third_order_inputs(WARM_TOKENS, embed_dim, value_dim, 0))
    inputs = third_order_inputs(num_tokens, embed_dim, value_dim, 0)
    before = _reset_peak()
    work(inputs)
    return max(0, _peak() - before)


def _reset_peak() -> int:
    """Let the peak start at what is resident now, where the system can; bytes."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")
    return _peak()


def _peak() -> int:
    """The peak of this process's resident memory in bytes."""
    if (_PROCESS / "status").exists():  # Linux; its getrusage counts the parent's memory in
        line = re.search(r"^VmHWM:\s*(\d+) kB", (_PROCESS / "status").read_text(), re.MULTILINE)
        if line is not None:
            return 1024 * int(line[1])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


if __name__ == "__main__":
    for _call in json.loads(sys.argv[1]):
        print(_measure(*_call), flush=True)
