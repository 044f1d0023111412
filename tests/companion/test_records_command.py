"""attention-limits records: what it trains, what it publishes, what it says before, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from attention_limits.companion import sweep_commands
from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.records import Records
from attention_limits.experiments.store import Store, StoreError, digest
from attention_limits.experiments.trials import Trial, TrialRunner, run_trials

from .conftest import Project, invoke


def trials(num_tokens: int, seeds: int = 3) -> list[Trial]:
    return [
        AveragingTrial(architecture="attention", num_tokens=num_tokens, sparsity=2, size=2, num_steps=3, seed=seed)
        for seed in range(seeds)
    ]


def study(run: TrialRunner, *, num_tokens: int) -> None:
    """What page alpha trains."""
    run(trials(num_tokens))


def larger_study(run: TrialRunner, *, num_tokens: int) -> None:
    """What page beta trains: what alpha does, and two seeds more."""
    run(trials(num_tokens, 5))


@pytest.fixture
def book(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A book of two pages with studies, and one without."""
    project.add("alpha", facts=f'study = "{__name__}:study"')
    project.add("beta", facts=f'study = "{__name__}:larger_study"')
    project.add("gamma")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return project


def lines(book: Project, page: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (book.root / "records" / f"{page}.jsonl").read_text().splitlines()]


def store(book: Project) -> list[Path]:
    return list((book.root / "_build" / "store").glob("*.json"))


def test_each_page_gets_a_file_and_each_trial_one_line(book: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(book, "records") == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("core hours, as recorded: nothing is recorded yet")
    assert output[1].startswith("alpha: 3 records, 3 of them computed in")
    assert output[2].startswith("beta: 2 records, 5 of them computed in") or output[2].startswith("beta: 2 records, 2")
    assert [line["trial"]["seed"] for line in lines(book, "alpha")] == [0, 1, 2]
    assert [line["trial"]["seed"] for line in lines(book, "beta")] == [3, 4]
    (first, *_) = lines(book, "alpha")
    assert first.keys() >= {"trial", "result", "code", "processor", "versions", "device", "finished", "checksum"}
    assert first["device"] == "cpu"
    assert Records(book.root / "records").problems == []


def test_what_is_recorded_is_not_trained_again_and_the_files_stay_as_they_are(
    book: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(book, "records")
    before = {page: (book.root / "records" / f"{page}.jsonl").read_bytes() for page in ("alpha", "beta")}
    for path in store(book):
        path.unlink()  # a checkout elsewhere has records and no store
    capsys.readouterr()
    assert invoke(book, "records") == 0
    hours, alpha, beta = capsys.readouterr().out.splitlines()
    assert hours.startswith("core hours, as recorded: alpha 0.00, beta 0.00; in all 0.00")
    assert "0 of them computed" in alpha
    assert "0 of them computed" in beta
    assert store(book) == []
    assert before == {page: (book.root / "records" / f"{page}.jsonl").read_bytes() for page in before}
    assert invoke(book, "records", "--fresh", "alpha") == 0
    assert "3 of them computed" in capsys.readouterr().out


def test_what_the_store_has_is_published_and_not_trained(book: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(book, "sweep", "alpha", "--device", "cpu") == 0
    capsys.readouterr()
    assert invoke(book, "records", "alpha") == 0
    assert "alpha: 3 records, 0 of them computed" in capsys.readouterr().out
    recorded = Records(book.root / "records").get(trials(6)[1])
    assert recorded is None or recorded.result["error"] == pytest.approx(run_trials(trials(6))[1]["error"], rel=1e-4)


def test_what_is_recorded_stays_as_it_is_whatever_the_store_has(book: Project) -> None:
    invoke(book, "records", "alpha")
    before = (book.root / "records" / "alpha.jsonl").read_bytes()
    for trial in trials(lines(book, "alpha")[0]["trial"]["num_tokens"]):
        Store(book.root / "_build" / "store").put(trial, {"error": 0.5, "seconds": 1.0}, "cpu", "another")
    assert invoke(book, "records", "alpha") == 0
    assert (book.root / "records" / "alpha.jsonl").read_bytes() == before


def test_results_of_another_device_are_not_published(book: Project, capsys: pytest.CaptureFixture[str]) -> None:
    invoke(book, "records", "alpha")
    asked = trials(lines(book, "alpha")[0]["trial"]["num_tokens"])
    path = book.root / "records" / "alpha.jsonl"
    path.unlink()
    Store(book.root / "_build" / "store").put(asked[1], {"error": 0.5, "seconds": 1.0}, "NVIDIA H100", "another")
    assert invoke(book, "records", "alpha") == 1
    assert "error: the store has results of alpha from NVIDIA H100: use --fresh" in capsys.readouterr().err
    assert not path.exists()


def test_records_of_other_code_are_trained_anew(book: Project, capsys: pytest.CaptureFixture[str]) -> None:
    invoke(book, "records", "alpha")
    path = book.root / "records" / "alpha.jsonl"
    changed = []
    for line in lines(book, "alpha"):
        line.pop("checksum")
        other = {**line, "code": "of another day"}
        changed.append(json.dumps({**other, "checksum": digest(other)}))
    path.write_text("\n".join(changed) + "\n")
    for file in store(book):
        file.unlink()
    capsys.readouterr()
    assert invoke(book, "records", "alpha") == 0
    assert "alpha: 3 records, 3 of them computed" in capsys.readouterr().out
    assert "of another day" not in path.read_text()


def test_a_trial_that_is_no_longer_asked_for_leaves_the_file(book: Project) -> None:
    invoke(book, "records")
    assert invoke(book, "records", "beta") == 0
    assert len(lines(book, "beta")) == 2
    book.add("beta", facts=f'study = "{__name__}:study"')
    assert invoke(book, "records", "beta") == 0
    assert not (book.root / "records" / "beta.jsonl").exists()


def test_a_page_that_is_not_complete_leaves_its_file_alone(
    book: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(book, "records", "alpha")
    before = (book.root / "records" / "alpha.jsonl").read_bytes()

    def fails(run: TrialRunner, *, num_tokens: int) -> None:
        run(trials(num_tokens, 4))
        raise StoreError("the store can't be written: No space left on device")

    monkeypatch.setitem(globals(), "study", fails)
    assert invoke(book, "records", "alpha") == 1
    assert "No space left on device. 1 trials were computed and kept: run it again" in capsys.readouterr().err
    assert (book.root / "records" / "alpha.jsonl").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_in_one_line(book: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (book.root / "records").write_text("a file")
    assert invoke(book, "records", "alpha") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: records can't be written: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gamma",), "no page 'gamma' that trains: the pages are alpha, beta"),
        (("alpha", "-j", "-1"), "jobs must be at least 0, got -1"),
        (("alpha", "--scheduler", "tcp://127.0.0.1:9"), "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_bad_input_is_one_line(
    book: Project,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("attention_limits.experiments.sweeps.SCHEDULER_SECONDS", 1)
    assert invoke(book, "records", *arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (book.root / "records").exists()


def test_two_records_of_one_trial_are_told(book: Project, capsys: pytest.CaptureFixture[str]) -> None:
    invoke(book, "records", "alpha")
    path = book.root / "records" / "alpha.jsonl"
    path.write_text(path.read_text() + path.read_text())
    assert invoke(book, "records", "alpha") == 2
    assert "one trial has two records: records/alpha.jsonl, line 1" in capsys.readouterr().err
    assert invoke(book, "sweep", "beta", "--device", "cpu") == 1


def test_the_commands_know_their_pages() -> None:
    assert sweep_commands.records.__doc__
