"""The store: what was put in comes out, and nothing that is damaged, foreign or outdated does."""

import json
import math
import os
import resource
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import attention_limits
from attention_limits.experiments import store as store_module
from attention_limits.experiments import trials as trials_module
from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.detectors import MatchingTrial
from attention_limits.experiments.store import SET_ASIDE, Store, StoreError, default_folder
from attention_limits.experiments.trials import trial_digest
from attention_limits.runtime import STORE_VARIABLE

TRIAL = AveragingTrial(architecture="attention", num_tokens=5, sparsity=2, size=4, seed=3)
RESULT: dict[str, Any] = {"error": 0.1 + 0.2, "seconds": 1.5, "diverged": False, "curve": [1.0, math.inf, 1e-300]}


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    """A store with one record."""
    store = Store(tmp_path / "store")
    store.put(TRIAL, RESULT, "cpu", "one CPU")
    return store


def test_what_was_put_in_comes_out_bit_for_bit(filled: Store) -> None:
    assert filled.get(TRIAL) == RESULT
    filled.put(TRIAL, {**RESULT, "error": math.nan}, "cpu", "one CPU")
    found = filled.get(TRIAL)
    assert found is not None
    assert math.isnan(found["error"])
    assert len(list(filled.folder.iterdir())) == 1


def test_a_record_says_where_it_comes_from(filled: Store) -> None:
    record = json.loads(filled.path(TRIAL).read_text())
    assert record["trial"]["seed"] == 3
    assert record["device"] == "cpu"
    assert record["result"]["seconds"] == 1.5
    assert record["processor"] == "one CPU"
    assert record["versions"].keys() == {"python", "torch", "numpy"}
    assert record["trial"]["kind"] == "AveragingTrial"
    assert record["trial"]["num_tokens"] == 5


def test_every_field_of_a_trial_is_part_of_its_key(filled: Store) -> None:
    class OtherTrial(AveragingTrial):
        pass

    fields = asdict(TRIAL)
    others = [{"seed": 4}, {"size": 5}, {"num_steps": 9}, {"peak_rate": 1e-3}, {"sparsity": 1}, {"num_samples": 7}]
    paths = {filled.path(AveragingTrial(**{**fields, **change})) for change in others}
    paths |= {filled.path(OtherTrial(**fields)), filled.path(TRIAL)}
    assert len(paths) == len(others) + 2
    assert filled.get(AveragingTrial(**{**fields, "seed": 4})) is None


def test_a_record_of_other_code_is_not_found(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AveragingTrial, "code", "other")
    assert filled.get(TRIAL) is None
    monkeypatch.undo()
    assert filled.get(TRIAL) == RESULT


def test_the_digest_of_a_trial_sees_what_computes_it_and_not_what_keeps_or_draws_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "attention_limits"
    shutil.copytree(Path(attention_limits.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(attention_limits, "__file__", str(copy / "__init__.py"))

    def changed(name: str, added: str = "\nADDED = 1\n") -> bool:
        before = trial_digest(AveragingTrial)
        (copy / name).write_text((copy / name).read_text(encoding="utf-8") + added, encoding="utf-8")
        return trial_digest(AveragingTrial) != before

    for name in ("averaging", "trials", "training", "ensembles"):
        assert changed(f"experiments/{name}.py")
    for name in ("models/recurrent.py", "problems/sparse_averaging.py", "models/__init__.py"):
        assert changed(name)
    for name in ("experiments/store.py", "experiments/sweeps.py", "experiments/studies/phase_diagram.py"):
        assert not changed(name)
    for name in ("figures.py", "models/streamed_attention.py", "experiments/detectors.py"):
        assert not changed(name)
    assert not changed("experiments/averaging.py", "# a comment\n")


def test_kinds_of_trials_have_digests_of_their_own() -> None:
    assert trial_digest(AveragingTrial) != trial_digest(MatchingTrial)


def test_the_digest_of_a_trial_changes_with_the_version_of_torch_and_not_with_its_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digests = []
    for version in ("2.13.0", "2.13.0+cpu", "2.14.0"):
        monkeypatch.setattr(trials_module, "version", lambda name, version=version: version)
        digests.append(trial_digest(AveragingTrial))
    assert digests[0] == digests[1] != digests[2]


def test_a_trial_that_is_defined_elsewhere_is_known_by_its_source_and_without_one_never_again() -> None:
    class Mine(AveragingTrial):
        pass

    class Yours(AveragingTrial):
        """Another."""

    assert Mine.code == trial_digest(Mine)
    assert len({AveragingTrial.code, Mine.code, Yours.code}) == 3
    typed = type("Typed", (AveragingTrial,), {"__module__": "__main__"})
    assert trial_digest(typed) != trial_digest(typed)


def test_a_file_that_is_edited_after_it_was_loaded_does_not_change_the_code_of_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = AveragingTrial.code
    monkeypatch.setattr(attention_limits, "__file__", str(tmp_path / "__init__.py"))
    assert trial_digest(AveragingTrial) != before
    assert AveragingTrial.code == before


def damaged(text: str) -> dict[str, str]:
    """Ways in which a record's text can be wrong, by name."""
    record = json.loads(text)
    other = {**record, "trial": {**record["trial"], "seed": 4}}
    older = {**record, "code": "older"}
    other.pop("checksum")
    older.pop("checksum")
    return {
        "truncated": text[: len(text) // 2],
        "empty": "",
        "another program's": '{"x": 1}',
        "a list": "[]",
        "edited": text.replace("1.5", "1.25"),
        "another trial's": json.dumps({**other, "checksum": store_module.digest(other)}),
        "other code's": json.dumps({**older, "checksum": store_module.digest(older)}),
    }


@pytest.mark.parametrize(
    "how", ["truncated", "empty", "another program's", "a list", "edited", "another trial's", "other code's"]
)
def test_a_bad_record_is_reported_set_aside_and_not_used(
    filled: Store, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = filled.path(TRIAL)
    text = damaged(path.read_text())[how]
    path.write_text(text)
    assert filled.get(TRIAL) is None
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert path.name in message
    assert not path.exists()
    (aside,) = (filled.folder / SET_ASIDE).iterdir()
    assert aside.read_text() == text
    filled.put(TRIAL, RESULT, "cpu", "one CPU")
    assert filled.get(TRIAL) == RESULT
    assert capsys.readouterr().err == ""


def test_bytes_that_are_no_text_are_set_aside(filled: Store) -> None:
    filled.path(TRIAL).write_bytes(b"\xff\xfe\x00")
    assert filled.get(TRIAL) is None
    assert len(list((filled.folder / SET_ASIDE).iterdir())) == 1


def test_a_full_disk_keeps_the_old_record_and_leaves_nothing_half_written(filled: Store) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    long = {**RESULT, "curve": [0.123456789] * 10_000}
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StoreError, match="can't be written: File too large"):
            filled.put(TRIAL, long, "cpu", "one CPU")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert filled.get(TRIAL) == RESULT
    assert list(filled.folder.iterdir()) == [filled.path(TRIAL)]


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "store")
    with pytest.raises(StoreError, match=r"the store .*file/store can't be written: Not a directory") as caught:
        store.check_writable()
    assert "\n" not in str(caught.value)


def test_what_killed_writers_left_is_swept_up_and_what_others_write_is_not(filled: Store) -> None:
    old, new = filled.folder / ".a.json.1.new", filled.folder / ".b.json.2.new"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    filled.check_writable()
    assert not old.exists()
    assert new.exists()
    assert filled.get(TRIAL) == RESULT


def test_a_file_that_another_writer_renames_meanwhile_is_no_trouble(filled: Store) -> None:
    filled.folder.joinpath(".c.json.3.new").symlink_to("gone")  # listed, and no longer there when it is looked at
    filled.check_writable()
    assert filled.get(TRIAL) == RESULT


def test_the_store_lies_where_the_environment_says_or_in_the_book(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_toc.yml").touch()
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path / "notebooks")
    assert default_folder() == tmp_path / "_build" / "store"
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path / "elsewhere"))
    assert default_folder() == tmp_path / "elsewhere"
