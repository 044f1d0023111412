"""Accounts of what was recorded and what was trained here: in words, in the notebook, and on the status page."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from attention_limits.companion import runner, status, training
from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.records import Record, Records, write_records
from attention_limits.experiments.store import Store, versions
from attention_limits.experiments.sweeps import Sweep
from attention_limits.experiments.trials import run_trials
from attention_limits.runtime import processor_name

from .conftest import Project
from .test_status import LONG_AGO

ACCOUNT: dict[str, Any] = {
    "asked": 1200,
    "recorded": 1198,
    "trained": 2,
    "days": ["2026-01-02", "2026-01-03", "2026-01-04"],
    "processors": ["a CPU"],
    "hours": 1.5,
    "other_code": 0,
    "replayed": 3,
    "sampled": 0,
    "alike": True,
    "disagreeing": 0,
    "worst": 0.25,
    "problems": [],
}


def test_an_account_in_words() -> None:
    text = training.describe(ACCOUNT)
    assert "1,200 trained models are shown here." in text
    assert "1,198 of them are recorded (trained 2026-01-02 to 2026-01-04 on a CPU, in 1.5 core hours)" in text
    assert "2 were trained on this machine" in text
    assert text.endswith(
        "3 records were trained again in this run, on the same kind of processor and in the same groups: all agree; "
        "the largest difference is 0.25 of what is allowed."
    )
    other = {**ACCOUNT, "other_code": 7, "sampled": 4, "alike": False, "disagreeing": 1, "problems": ["x, line 3"]}
    text = training.describe(other)
    assert "7 records were made by other code than today's; of these 4 were sampled and trained again." in text
    assert "not on the same kind of processor and in the same groups, so that sums are rounded otherwise: 1 dis" in text
    assert text.endswith("x, line 3")
    assert "None of them is among the records" in training.describe({**ACCOUNT, "recorded": 0})


def test_replayed_gives_the_replay_and_prints_the_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = AveragingTrial(architecture="address", num_tokens=5, sparsity=2, size=2, num_steps=5)
    origin = {"code": trial.code, "processor": processor_name(), "versions": versions(), "device": "cpu"}
    record = Record(trial, run_trials([trial])[0], {**origin, "finished": "2026-01-02T03:04:05+00:00"})
    write_records(tmp_path / "records" / "page.jsonl", [record])
    sweep = Sweep(Store(tmp_path / "store"), Records(tmp_path / "records"), jobs=1)
    sweep([trial])
    found = training.replayed(sweep)
    assert found.disagreeing == 0
    printed = capsys.readouterr().out
    assert "1 trained models are shown here. 1 of them are recorded (trained 2026-01-02 on " in printed
    assert "0 were trained on this machine" in printed
    assert "1 record was trained again in this run" in printed


def test_the_status_page_has_a_row_for_each_account(finished: Project) -> None:
    status.write_tables(finished.root, LONG_AGO)
    table = status.generated_folder(finished.root) / "training.md"
    assert table.read_text() == "No page trains anything.\n"
    notebook = nbformat.read(finished.executed("alpha"), 4)
    output = nbformat.v4.new_output("display_data", {training.MIME_TYPE: {**ACCOUNT, "sampled": 2, "problems": ["x"]}})
    next(cell for cell in notebook.cells if cell.cell_type == "code").outputs.append(output)
    written = json.loads(nbformat.writes(notebook))
    notebook.metadata[runner.METADATA_KEY]["checksum"] = runner.checksum(written)
    nbformat.write(notebook, finished.executed("alpha"))
    status.write_tables(finished.root, LONG_AGO)
    (row,) = [line for line in table.read_text().splitlines() if "alpha" in line]
    cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
    assert cells == [
        "[Page alpha](../../notebooks/alpha.py)",
        *["1,200", "1,198", "2", "2026-01-02 to 2026-01-04", "a CPU", "1.50", "0", "3 + 2", "0, 1 lines unread"],
    ]
