"""Accelerators: processes take different ones, give them back when they end, and share where there are too few."""

import subprocess
import sys
from pathlib import Path

import pytest

from attention_limits.experiments import accelerators
from attention_limits.experiments.accelerators import claim_accelerator

#: Seconds after which something counts as hung.
TIMEOUT = 180.0

CLAIM = """
import sys
from attention_limits.experiments.accelerators import claim_accelerator
print(claim_accelerator(2), claim_accelerator(2), flush=True)
sys.stdin.read()
"""


def test_processes_take_different_accelerators_and_give_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def claiming() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", CLAIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    holders = [claiming() for _ in range(2)]
    taken = [holder.stdout.readline().split() for holder in holders if holder.stdout]
    assert sorted(taken) == [["0", "0"], ["1", "1"]]
    holders[0].communicate("", timeout=TIMEOUT)
    third = claiming()
    assert third.stdout is not None
    assert third.stdout.readline().split() == taken[0]
    for process in (holders[1], third):
        process.communicate("", timeout=TIMEOUT)


def test_more_workers_than_accelerators_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(accelerators, "_claimed", [])
    assert claim_accelerator(1) == 0
    held = list(accelerators._claimed)
    monkeypatch.setattr(accelerators, "_claimed", [])
    assert claim_accelerator(1) == 0
    assert accelerators._claimed == []
    held[0].release()
