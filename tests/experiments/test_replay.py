"""Replays: what is recorded is what the code gives, and code that gives something else is found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from attention_limits.experiments import replay as replay_module
from attention_limits.experiments.averaging import Address, AveragingTrial
from attention_limits.experiments.detectors import MatchingTrial, ThirdOrderLayer
from attention_limits.experiments.records import Record, Records, write_records
from attention_limits.experiments.replay import alone, cheapest, differences, replay, sample
from attention_limits.experiments.store import Store, versions
from attention_limits.experiments.sweeps import Sweep
from attention_limits.experiments.training import Schedule
from attention_limits.experiments.trials import Trial, groups, run_group, run_trials, train_alone
from attention_limits.models.attention import SelfAttentionUnit
from attention_limits.models.tensor_attention import reference_attention
from attention_limits.runtime import processor_name

AVERAGING = AveragingTrial(architecture="attention", num_tokens=6, sparsity=2, size=8, num_steps=30, batch_size=4)
TRIPLES = MatchingTrial(
    architecture="third order", problem="match3", num_tokens=4, modulus=11, size=12, num_steps=30, batch_size=8
)
#: One of each kind and architecture that is trained.
ONE_OF_EACH: list[Trial] = [
    *(replace(AVERAGING, architecture=name) for name in AveragingTrial.known_architectures),
    *(replace(TRIPLES, architecture=name) for name in MatchingTrial.known_architectures),
]


def records_of(trials: list[Trial], folder: Path, **origin: Any) -> Records:
    """The records that training ``trials`` gives."""
    results = dict(zip(trials, run_trials(trials), strict=True))
    usual = {"processor": processor_name(), "versions": versions(), "device": "cpu", "finished": "2026-01-02"}
    found = [Record(trial, result, {"code": trial.code, **usual, **origin}) for trial, result in results.items()]
    write_records(folder / "page.jsonl", found)
    return Records(folder)


def asked(trials: list[Trial], records: Records, folder: Path) -> Sweep:
    """A sweep that was asked for ``trials``."""
    sweep = Sweep(Store(folder / "store"), records, jobs=1)
    sweep(trials)
    return sweep


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is recorded here is replayed, however long it took on a busy machine."""
    monkeypatch.setattr(replay_module, "EVERY_RUN_SECONDS", 1e6)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Trial], Path]:
    """Trials of all families, two of each, and the folder of their records."""
    folder = tmp_path_factory.mktemp("records")
    trials = [replace(one, seed=seed) for one in ONE_OF_EACH for seed in (0, 1)]
    records_of(trials, folder)
    return trials, folder


def test_replays_on_the_records_processor_agree_bit_for_bit(recorded: tuple[list[Trial], Path], tmp_path: Path) -> None:
    trials, folder = recorded
    found = replay(asked(trials, Records(folder), tmp_path))
    assert found.disagreeing == 0
    assert set(found.table["family"]) == {f"{type(one).__name__}, {one.architecture}" for one in ONE_OF_EACH}
    assert found.table["alike"].all()
    assert set(found.table["why"]) == {"every run"}
    assert found.worst == 0.0


def wrong_scale(self: SelfAttentionUnit, tokens: torch.Tensor) -> torch.Tensor:
    query, key = tokens @ self.query, tokens @ self.key
    return query @ key.transpose(-1, -2) / self.embed_dim**0.5


def wrong_address(self: Address, tokens: torch.Tensor) -> torch.Tensor:
    values, selection, _ = tokens.split([self.problem.value_dim, *[self.problem.num_tokens] * 2], dim=-1)
    return torch.softmax(2 * self.query(selection) @ self.key.T, dim=-1) @ values


def wrong_triples(self: ThirdOrderLayer, tokens: torch.Tensor) -> torch.Tensor:
    keys, values = (
        (tokens @ self.first_key, tokens @ self.second_key),
        (tokens @ self.first_value, tokens @ self.second_value),
    )
    return reference_attention(1.5 * tokens @ self.query, keys, values)


#: What is broken, and an architecture whose results it changes.
BREAKS: dict[str, tuple[str, tuple[type, str, Callable[..., Any]]]] = {
    "the scale of attention": ("attention", (SelfAttentionUnit, "scores", wrong_scale)),
    "the scale of addresses": ("address", (Address, "forward", wrong_address)),
    "the scale of third order": ("third order", (ThirdOrderLayer, "forward", wrong_triples)),
    "twice the learning rate": (
        "attention",
        (Schedule, "rate", lambda self, step, rate=Schedule.rate: 2 * rate(self, step)),
    ),
    "a warm-up of another length": (
        "attention",
        (Schedule, "rate", lambda self, step, rate=Schedule.rate: rate(self, max(0, step - 3))),
    ),
}


@pytest.mark.parametrize("alike", [True, False], ids=["on the record's processor", "elsewhere"])
@pytest.mark.parametrize("broken", BREAKS)
def test_broken_code_disagrees(
    broken: str, alike: bool, recorded: tuple[list[Trial], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, folder = recorded
    if not alike:
        monkeypatch.setattr(replay_module, "processor_name", lambda: "another")
    architecture, change = BREAKS[broken]
    monkeypatch.setattr(*change)
    found = replay(asked([one for one in trials if one.architecture == architecture], Records(folder), tmp_path))
    assert found.table["alike"].all() == alike
    assert found.disagreeing == len(found.table) == 2
    assert found.worst > 10  # by far


def test_elsewhere_rounding_may_differ(
    recorded: tuple[list[Trial], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, folder = recorded
    monkeypatch.setattr(replay_module, "processor_name", lambda: "another")
    # Rates that are off in the fifth digit give results that are off a little, on every machine.
    monkeypatch.setattr(Schedule, "rate", lambda self, step, rate=Schedule.rate: (1 + 1e-4) * rate(self, step))
    found = replay(asked(trials, Records(folder), tmp_path))
    assert found.disagreeing == 0
    assert 0 < found.worst < 0.5
    assert not found.table["alike"].any()


def test_a_sample_is_replayed_once_for_each_state_of_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[Trial] = [replace(AVERAGING, seed=seed, num_steps=steps) for steps in (20, 40) for seed in (0, 1)]
    records = records_of(trials, tmp_path / "records", code="other")
    monkeypatch.setattr(replay_module, "EVERY_RUN_SECONDS", 1e-9)  # only the first of a list then fits
    counted = []

    def counting(group: list[Trial]) -> list[dict[str, Any]]:
        counted.extend(group)
        return run_group(group)

    monkeypatch.setattr(replay_module, "run_group", counting)
    for expected in (4, 2):  # the cheapest company each time, the other one the first time only
        counted.clear()
        found = replay(asked(trials, records, tmp_path))
        assert len(counted) == expected
        assert list(found.table["why"]) == ["every run"] * 2 + ["other code"] * 2
        assert found.disagreeing == 0
    assert len(list((tmp_path / "store" / "replays").glob("*.json"))) == 2


def test_a_sample_of_other_code_that_gives_something_else_disagrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[Trial] = [replace(AVERAGING, seed=seed, num_steps=steps) for steps in (20, 40) for seed in (0, 1)]
    records = records_of(trials, tmp_path / "records", code="other")
    monkeypatch.setattr(*BREAKS["the scale of attention"][1])
    found = replay(asked(trials, records, tmp_path))
    assert found.disagreeing == 4


def test_without_records_nothing_is_replayed(tmp_path: Path) -> None:
    found = replay(asked([AVERAGING], Records(tmp_path / "none"), tmp_path))
    assert len(found.table) == found.disagreeing == 0
    assert found.worst == 0.0


def test_what_is_in_the_store_is_replayed_too(tmp_path: Path) -> None:
    records = records_of([AVERAGING], tmp_path / "records")
    sweep = Sweep(Store(tmp_path / "store"), Records(tmp_path / "none"), jobs=1)
    sweep([AVERAGING])
    again = Sweep(sweep.store, records, jobs=1)
    again([AVERAGING])
    assert (again.recorded, again.computed) == (0, 0)
    assert list(replay(again).table["trial"]) == [AVERAGING]


def test_a_model_that_was_trained_by_other_means_stands_for_a_replay(tmp_path: Path) -> None:
    trials: list[Trial] = [replace(AVERAGING, seed=seed) for seed in (0, 1)]
    records = records_of(trials, tmp_path / "records")
    found = replay(asked(trials, records, tmp_path), [alone(trials[1], *train_alone(trials[1]))])
    assert list(found.table["trial"]) == [trials[1]]
    assert not found.table["alike"].any()  # the record's was trained in company
    assert found.disagreeing == 0
    wrong = replace(trials[1], seed=7)
    other = trials[1], alone(wrong, *train_alone(wrong))[1]
    assert replay(asked(trials, records, tmp_path), [other]).disagreeing == 1


def test_what_is_allowed() -> None:
    one: dict[str, Any] = {"error": 0.5, "num_parameters": 3, "diverged": False, "curve": [1.0] * 20}
    assert differences(one, one, alike=True) == (0.0, 0.0)
    close = {**one, "error": 0.5 * (1 + 0.9e-5)}
    assert differences(one, close, alike=True)[1] <= 1
    assert differences(one, {**one, "error": 0.50001}, alike=True)[1] > 1
    assert differences(one, {**one, "error": 0.6}, alike=False)[1] <= 1
    assert differences(one, {**one, "error": 0.7}, alike=False)[1] > 1
    late = {**one, "curve": [1.0] * 19 + [2.0]}
    assert differences(one, late, alike=True)[0] > 1
    assert differences(one, late, alike=False)[0] == 0
    assert differences(one, {**one, "curve": [1.0, 1.002] + [1.0] * 18}, alike=False)[0] > 1
    assert differences(one, {**one, "num_parameters": 4}, alike=False)[1] == float("inf")
    assert differences(one, {**one, "diverged": True}, alike=False)[1] == float("inf")
    assert differences(one, {key: one[key] for key in one if key != "error"}, alike=False)[1] == float("inf")
    nan = {**one, "error": float("nan"), "curve": [float("nan")] * 20}
    assert differences(nan, nan, alike=True) == (0.0, 0.0)
    assert differences(one, nan, alike=False) == (float("inf"), float("inf"))


def costing(seconds: float, architecture: str = "attention", seed: int = 0) -> list[Record]:
    trial = replace(AVERAGING, architecture=architecture, seed=seed)
    return [Record(trial, {"seconds": seconds}, {"code": "other"})]


def test_the_cheapest_are_of_all_families_before_a_second_of_one() -> None:
    companies = [costing(1.0), costing(0.5, seed=1), costing(2.0, "lstm"), costing(9.0, "address")]
    assert cheapest(companies, 4.0) == [companies[1], companies[2], companies[0]]
    assert cheapest(companies, 0.1) == [companies[1]]
    assert cheapest([], 4.0) == []


def test_a_sample_has_every_family_that_fits() -> None:
    companies = [costing(float(seed), seed=seed) for seed in range(1, 40)] + [
        costing(5.0, "lstm"),
        costing(6.0, "lstm"),
    ]
    drawn = sample(companies, 60.0)
    assert [one[0].trial.architecture for one in drawn] == ["attention", "lstm"]
    assert drawn[0][0].seconds <= 30
    assert sample(companies, 60.0) == drawn  # seeded
    assert sample([], 60.0) == []


def test_one_trial_of_a_family_that_is_trained_alone_is_a_company(recorded: tuple[list[Trial], Path]) -> None:
    trials, folder = recorded
    records = Records(folder)
    for group in groups(trials, torch.device("cpu")):
        found = records.get(group[0])
        assert found is not None
        assert [one.trial for one in records.company(found)] == group
