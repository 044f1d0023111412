"""attention-limits sweep: what it prints, what it refuses, and what it keeps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from attention_limits.experiments import sweeps
from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.store import Store, StoreError
from attention_limits.experiments.trials import TrialRunner

from .conftest import Project, invoke


def study(run: TrialRunner, *, num_tokens: int, num_seeds: int) -> None:
    """A study of two rounds."""
    for size in (2, 3):
        run(
            [
                AveragingTrial(
                    architecture="attention", num_tokens=num_tokens, sparsity=2, size=size, num_steps=3, seed=seed
                )
                for seed in range(num_seeds)
            ]
        )


@pytest.fixture
def book(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A book whose page alpha has a study."""
    project.add("alpha", facts=f'study = "{__name__}:study"')
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return project


def records(book: Project) -> list[Path]:
    return list((book.root / "_build" / "store").glob("*.json"))


def test_a_sweep_fills_the_store_and_the_next_one_reads_it(book: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(book, "sweep", "alpha", "--device", "cpu") == 0
    assert "alpha: 4 trials, 0 from the store, 0 recorded, 4 computed in" in capsys.readouterr().out
    assert len(records(book)) == 4
    assert invoke(book, "sweep", "alpha", "-p", "num_seeds=3") == 0
    assert "alpha: 6 trials, 4 from the store, 0 recorded, 2 computed in" in capsys.readouterr().out
    assert invoke(book, "sweep", "alpha", "--fresh") == 0
    assert "alpha: 4 trials, 0 from the store, 0 recorded, 4 computed in" in capsys.readouterr().out


def test_without_a_name_the_sweeps_and_their_axes_are_listed(book: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(book, "sweep") == 0
    assert ["alpha", "num_tokens,", "num_seeds"] in [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("alhpa",), "no sweep 'alhpa': did you mean 'alpha'?"),
        (("alpha", "-p", "width=3"), "unknown parameter 'width': alpha has num_tokens, sparsity"),
        (("alpha", "-p", "num_seeds=0"), "num_seeds must be at least 1, got 0"),
        (("alpha", "--profile", "huge"), "unknown profile 'huge': use book or quick"),
        (("alpha", "--device", "tpu"), "unknown device 'tpu'"),
        (("alpha", "--scheduler", "tcp://127.0.0.1:9"), "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_bad_input_is_one_line_and_trains_nothing(
    book: Project,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sweeps, "SCHEDULER_SECONDS", 1)
    assert invoke(book, "sweep", *arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.splitlines()[-1].startswith("error: ")
    assert message in errors
    assert records(book) == []


def test_a_store_that_cannot_be_written_is_bad_input(
    book: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATTENTION_LIMITS_STORE", str(tmp_path / "file" / "store"))
    assert invoke(book, "sweep", "alpha") == 2
    assert "can't be written: Not a directory" in capsys.readouterr().err


def test_a_disk_that_fills_up_ends_the_sweep_in_one_line_that_says_what_is_kept(
    book: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put = Store.put

    def full_at_the_third(self: Store, *arguments: Any) -> None:
        if len(records(book)) == 2:
            raise StoreError("the store can't be written: No space left on device")
        put(self, *arguments)

    monkeypatch.setattr(Store, "put", full_at_the_third)
    assert invoke(book, "sweep", "alpha") == 1
    assert "No space left on device. 2 trials were computed and kept" in capsys.readouterr().err.splitlines()[-1]
    assert len(records(book)) == 2


def test_ctrl_c_says_what_is_kept(
    book: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(run: TrialRunner, *, num_tokens: int) -> Sequence[Any]:
        run([AveragingTrial(architecture="attention", num_tokens=num_tokens, sparsity=2, size=2, num_steps=3)])
        raise KeyboardInterrupt

    monkeypatch.setitem(globals(), "study", interrupted)
    assert invoke(book, "sweep", "alpha") == 130
    assert "1 trials were computed and kept: run it again to go on" in capsys.readouterr().err
