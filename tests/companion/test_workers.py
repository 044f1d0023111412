"""The processes that run pages: who is given a job. What they do is tested with the runner."""

import os
from pathlib import Path

import pytest

from attention_limits.companion.workers import Workers


def test_a_process_that_ended_while_it_was_idle_is_given_no_job(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        first, second = (workers.engage(os.environ) for _ in range(2))
        workers._idle += [first, second]
        second.kill()
        second.wait()
        assert workers.engage(os.environ) is first
        third = workers.engage(os.environ)
        assert third not in (first, second)
        third.kill()
        assert workers.do(third, tmp_path / "job.json", lambda report: None) == {"killed": -9}
    assert first.returncode == 0


def test_nobody_is_given_a_job_once_all_are_stopped(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        worker = workers.engage(os.environ)
        workers.stop()
        with pytest.raises(KeyboardInterrupt):
            workers.engage(os.environ)
    assert worker.returncode == -15
