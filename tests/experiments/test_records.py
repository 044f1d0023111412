"""Records: found by their trial, trusted only when whole, and written whole."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.detectors import MatchingTrial
from attention_limits.experiments.records import ORIGIN, Record, RecordError, Records, read_line, rounded, write_records
from attention_limits.experiments.store import Store, digest, versions
from attention_limits.experiments.sweeps import Sweep
from attention_limits.experiments.trials import as_json, from_json, group_name, groups, run_trials

FIRST = AveragingTrial(architecture="attention", num_tokens=5, sparsity=2, size=4, num_steps=5)
TRIALS = [FIRST, replace(FIRST, seed=1)]
ORIGINS: dict[str, Any] = {
    "code": TRIALS[0].code,
    "processor": "a CPU",
    "versions": versions(),
    "device": "cpu",
    "finished": "2026-01-02T03:04:05+00:00",
}


def record(seed: int = 0, **origin: Any) -> Record:
    trial = TRIALS[seed]
    result = {"error": 1 / 3, "seconds": 2.0, "group": 2, "group_name": group_name(TRIALS), "curve": [1.0, 0.123456789]}
    return Record(trial, result, {**ORIGINS, **origin})


def published(folder: Path, *records: Record, name: str = "page") -> Records:
    write_records(folder / f"{name}.jsonl", records)
    return Records(folder)


def test_a_record_is_found_by_its_trial_with_six_digits_and_where_it_comes_from(tmp_path: Path) -> None:
    records = published(tmp_path, record(1), record(0))
    found = records.get(TRIALS[1])
    assert found is not None
    assert found.result["error"] == 0.333333
    assert found.result["curve"] == [1.0, 0.123457]
    assert found.result["group"] == 2
    assert found.origin == ORIGINS
    assert found.seconds == 2.0
    assert found.of_today
    assert records.get(replace(FIRST, seed=7)) is None
    assert records.problems == []
    assert [one.trial.seed for one in records.of_file("page")] == [0, 1]  # sorted
    assert records.file_of(TRIALS[0]) == "page"


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path / "nowhere")
    assert records.get(TRIALS[0]) is None
    assert records.problems == []


def test_a_trial_is_its_json_and_back() -> None:
    assert from_json(json.loads(json.dumps(as_json(TRIALS[1])))) == TRIALS[1]
    with pytest.raises(ValueError, match="unknown kind of trial 'Other'"):
        from_json({"kind": "Other"})
    with pytest.raises(ValueError, match=r"no AveragingTrial: .*colour"):
        from_json({**as_json(TRIALS[0]), "colour": 3})
    with pytest.raises(ValueError, match="unknown architecture 'tree'"):
        from_json({**as_json(TRIALS[0]), "architecture": "tree"})
    lacking = as_json(TRIALS[0])
    del lacking["num_layers"]  # a field that was added since, with a default that means what was meant
    assert from_json(lacking) == TRIALS[0]


def foreign(line: str) -> dict[str, str]:
    """Lines that are not to be trusted."""
    data = json.loads(line)

    def signed(**changes: Any) -> str:
        changed = {key: value for key, value in {**data, **changes}.items() if key != "checksum"}
        return json.dumps({**changed, "checksum": digest(changed)})

    return {
        "truncated": line[: len(line) // 2],
        "edited": line.replace("0.333333", "0.111111"),
        "another seed": line.replace('"seed": 0', '"seed": 5'),
        "empty": "",
        "no JSON": "hello",
        "a list": "[]",
        "another program's": '{"x": 1}',
        "not UTF-8": "\udcff" + line,
        "without where it comes from": json.dumps({key: data[key] for key in data if key not in ORIGIN}),
        "an unknown kind": signed(trial={**data["trial"], "kind": "Other"}),
        "no trial": signed(trial={**data["trial"], "num_tokens": 0}),
        "conflict marker": "<<<<<<< HEAD",
    }


@pytest.mark.parametrize("kind", foreign(record().line))
def test_a_line_that_can_not_be_trusted_is_told_by_file_and_line_and_not_read(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{record(1).line}\n{foreign(record().line)[kind]}\n"
    (tmp_path / "page.jsonl").write_bytes(text.encode(errors="surrogateescape"))
    records = Records(tmp_path)
    assert records.get(TRIALS[0]) is None
    assert records.get(TRIALS[1]) is not None
    (problem,) = records.problems
    assert problem.startswith(f"{tmp_path.name}/page.jsonl, line 2 is not used: ")
    assert "\n" not in problem
    assert capsys.readouterr().err == problem + "\n"


@pytest.mark.parametrize("other", ["page", "another"])
def test_two_records_of_one_trial_are_an_error_that_names_both(other: str, tmp_path: Path) -> None:
    lines = record().line, record(finished="2027-01-01T00:00:00+00:00").line
    (tmp_path / "page.jsonl").write_text(lines[0] + "\n")
    with (tmp_path / f"{other}.jsonl").open("a") as file:
        file.write(lines[1] + "\n")
    with pytest.raises(RecordError, match=r"one trial has two records: .*jsonl, line 1, and .*page\.jsonl, line [12]"):
        Records(tmp_path).get(TRIALS[0])


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, record(0))
    before = (tmp_path / "page.jsonl").read_bytes()

    def fails(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="No space left"):
        write_records(tmp_path / "page.jsonl", [record(0), record(1)])
    assert (tmp_path / "page.jsonl").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["page.jsonl"]


def test_numbers_are_rounded_and_what_is_no_number_is_kept() -> None:
    values = {"a": 123456.789, "b": [1e-9 / 3, math.inf], "c": 12345678, "d": True, "e": "0.1234567"}
    expected = {"a": 123457.0, "b": [3.33333e-10, math.inf], "c": 12345678, "d": True, "e": "0.1234567"}
    assert rounded(values) == expected
    assert math.isnan(rounded(math.nan))


def test_a_company_is_there_when_all_of_it_is_recorded(tmp_path: Path) -> None:
    whole = published(tmp_path / "whole", record(1), record(0))
    found = whole.get(TRIALS[1])
    assert found is not None
    assert [one.trial for one in whole.company(found)] == TRIALS
    part = published(tmp_path / "part", record(1))
    found = part.get(TRIALS[1])
    assert found is not None
    assert part.company(found) == []


def test_groups_and_their_names_do_not_depend_on_the_order_of_the_list() -> None:
    results = run_trials(TRIALS)
    assert {result["group_name"] for result in results} == {group_name(TRIALS)}
    cpu = torch.device("cpu")
    assert groups(TRIALS, cpu) == groups(TRIALS[::-1], cpu)
    assert group_name(TRIALS[:1]) != group_name(TRIALS)


def test_a_sweep_reads_the_store_then_the_records_and_trains_the_rest(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    records = published(tmp_path / "records", record(0), record(1))
    store.put(TRIALS[0], {"error": 0.5}, "cpu", "a CPU")
    third = replace(FIRST, seed=2)
    sweep = Sweep(store, records, jobs=1)
    results = sweep([*TRIALS, third])
    assert [result["error"] for result in results[:2]] == [0.5, 0.333333]
    assert (len(sweep.asked), sweep.recorded, sweep.computed) == (3, 1, 1)
    assert math.isfinite(results[2]["error"])
    assert len(list(store.folder.glob("*.json"))) == 2  # what is recorded is not copied
    fresh = Sweep(store, records, jobs=1, fresh=True)
    assert fresh(TRIALS)[1]["error"] != 0.333333
    assert (fresh.recorded, fresh.computed) == (0, 2)


def test_records_of_other_code_are_read_but_for_those_who_make_records(tmp_path: Path) -> None:
    records = published(tmp_path, record(0, code="other"), record(1))
    found = records.get(TRIALS[0])
    assert found is not None
    assert not found.of_today
    assert Records(tmp_path, of_today=True).get(TRIALS[0]) is None
    assert Records(tmp_path, of_today=True).get(TRIALS[1]) is not None


def test_a_record_is_read_where_its_kind_is_not_loaded(tmp_path: Path) -> None:
    trial = MatchingTrial(architecture="one layer", problem="match2", num_tokens=4, modulus=5, num_steps=3)
    published(tmp_path, Record(trial, {"group_name": "x", "seconds": 1.0}, ORIGINS))
    script = f"""
from pathlib import Path
from attention_limits.experiments.records import Records
records = Records(Path({str(tmp_path)!r}))
assert len(records.of_file("page")) == 1 and records.problems == [], records.problems
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_line_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="its checksum does not fit: it was edited or damaged"):
        read_line(record().line.replace("0.333333", "0.1"))
    with pytest.raises(ValueError, match="it is no record, or a part of one"):
        read_line("{")


def test_the_books_own_records_can_all_be_read_and_most_can_be_repeated_to_the_bit() -> None:
    records = Records(Path(__file__).parents[2] / "records")
    assert records.problems == []
    files = sorted(path.stem for path in records.folder.glob("*.jsonl"))
    assert len(files) >= 7
    for name in files:
        of_page = records.of_file(name)
        assert of_page
        assert {record.origin["device"] for record in of_page} == {"cpu"}
    repeatable = [bool(records.company(record)) for name in files for record in records.of_file(name)]
    assert sum(repeatable) / len(repeatable) >= 0.9
