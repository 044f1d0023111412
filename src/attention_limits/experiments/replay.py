"""Replays: recorded trials that are trained again, here and now, to see that the code still gives what is recorded.

The cheapest groups of a page's records are replayed on every run. Where records were made by other code, a sample of
every family is replayed as well, once for each state of the code, and kept beside the store.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn

from attention_limits.experiments.records import Record, Records, rounded
from attention_limits.experiments.store import Store, versions
from attention_limits.experiments.sweeps import Sweep
from attention_limits.experiments.training import TrainingRun
from attention_limits.experiments.trials import (
    TEST_SEED,
    Result,
    Trial,
    curve,
    group_name,
    num_parameters,
    run_group,
)
from attention_limits.runtime import processor_name

#: Core seconds, as recorded, of the groups that are replayed on every run, and of a sample for other code.
EVERY_RUN_SECONDS = 5.0
SAMPLE_SECONDS = 60.0
#: How far a replay may differ from its record, relatively, on the processor and versions that the record names.
ALIKE = 1e-5
#: Elsewhere sums are rounded otherwise, and training amplifies it: the first tenth of the learning curve is compared
#: (measured: less than 1e-5 between AVX2 and AVX-512), and what is measured at the end may differ by the larger of an
#: absolute and a relative amount.
ELSEWHERE_EARLY = 1e-3
ELSEWHERE_END = 0.05, 0.25
COLUMNS = ["trial", "family", "why", "seconds", "alike", "early", "end", "agrees"]
#: What is told of a trial besides what is measured at its end.
_TOLD = ("num_parameters", "seconds", "group", "group_name", "diverged", "curve")


@dataclass(frozen=True)
class Replay:
    """What came out when recorded trials were trained again."""

    #: A row for each: trial, family, why ("every run" or "other code"), seconds (as recorded), alike (processor,
    #: versions and company are the record's), early and end (differences as parts of what is allowed), agrees.
    table: pd.DataFrame

    @property
    def disagreeing(self) -> int:
        """Trials whose replay is not what is recorded. If there are any, train the records anew: make records."""
        return int((~self.table["agrees"]).sum())

    @property
    def worst(self) -> float:
        """The largest difference, as a part of what is allowed; 0 if nothing was replayed."""
        return max([0.0, *self.table["early"], *self.table["end"]])


def replay(sweep: Sweep, trained: Sequence[tuple[Trial, Result]] = ()) -> Replay:
    """Train some of the records again that ``sweep`` has been asked for; see the module.

    Args:
        sweep: after the trials were asked for.
        trained: results of trials that were just trained by other means (`alone`); if that was on a CPU, as the
            records were, they stand for every run's.

    Raises:
        StoreError: if the sample can't be kept.
    """
    records = sweep.records or Records()
    found = {trial: record for trial in sweep.asked if (record := records.get(trial))}
    companies: dict[str, list[Record]] = {}
    for record in found.values():
        if company := records.company(record):
            companies[record.result["group_name"]] = company
    trained = [(trial, result) for trial, result in trained if trial in found and result["device"] == "cpu"]
    rows = [_compared(found[trial], result, "every run") for trial, result in trained]
    chosen = [] if trained else cheapest(companies.values(), EVERY_RUN_SECONDS)
    for company in chosen:
        results = run_group([record.trial for record in company])
        rows += [_compared(record, result, "every run") for record, result in zip(company, results, strict=True)]
    kept = Store(sweep.store.folder / "replays")
    others = [company for company in companies.values() if company not in chosen and not company[0].of_today]
    for company in sample(others, SAMPLE_SECONDS):
        known = [result for record in company if (result := kept.get(record.trial)) is not None]
        if len(known) < len(company):
            known = run_group([record.trial for record in company])
            for record, result in zip(company, known, strict=True):
                kept.put(record.trial, result, "cpu", processor_name())
        rows += [_compared(record, result, "other code") for record, result in zip(company, known, strict=True)]
    return Replay(pd.DataFrame(rows, columns=COLUMNS))


def alone(trial: Trial, model: nn.Module, run: TrainingRun) -> tuple[Trial, Result]:
    """A trial with the result of a model that `trials.train_alone` has trained, as `replay` takes it."""
    device = next(model.parameters()).device
    result = {
        **trial.evaluate(model, torch.Generator(device).manual_seed(TEST_SEED)),
        "device": device.type,
        "num_parameters": num_parameters(trial),
        "group_name": group_name([trial]),
        "diverged": False,
        "curve": curve(run.errors),
    }
    return trial, result


def cheapest(companies: Iterable[list[Record]], seconds: float) -> list[list[Record]]:
    """The cheapest companies that fit into ``seconds`` together, one of each family before a second one of any."""
    by_cost = sorted(companies, key=_cost)
    first: dict[str, list[Record]] = {}
    for company in by_cost:
        first.setdefault(family(company[0]), company)
    return _fitting([*first.values(), *(company for company in by_cost if company not in first.values())], seconds)


def sample(companies: Iterable[list[Record]], seconds: float) -> list[list[Record]]:
    """A company of each family, drawn with the code's digest as the seed; the cheapest one where its share is less."""
    families: dict[str, list[list[Record]]] = {}
    for company in sorted(companies, key=_cost):
        families.setdefault(family(company[0]), []).append(company)
    drawn = []
    for members in families.values():
        allowed = [company for company in members if _cost(company) <= seconds / len(families)] or members[:1]
        drawn.append(random.Random(members[0][0].trial.code).choice(allowed))
    return _fitting(drawn, seconds)


def family(record: Record) -> str:
    """Trials of one kind and architecture, in words."""
    return f"{type(record.trial).__name__}, {record.trial.architecture}"


def differences(recorded: Result, found: Result, alike: bool) -> tuple[float, float]:
    """How far two results of one trial lie apart, as parts of what is allowed: early in training, and at its end.

    Args:
        alike: whether processor and versions are the same; the whole curve then counts as early.
    """
    found = rounded(found)
    curves = recorded["curve"], found["curve"]
    early = len(curves[0]) if alike else max(1, len(curves[0]) // 10)
    allowed = ALIKE if alike else ELSEWHERE_EARLY
    at_first = max(_apart(one, other, 0.0, allowed) for one, other in zip(*(c[:early] for c in curves), strict=True))
    ends = [name for name in recorded if name not in _TOLD]
    absolute, relative = (0.0, ALIKE) if alike else ELSEWHERE_END
    at_end = max(_apart(recorded[name], found.get(name, math.nan), absolute, relative) for name in ends)
    if recorded["num_parameters"] != found["num_parameters"] or recorded["diverged"] != found["diverged"]:
        at_end = math.inf
    return at_first, at_end


def _apart(one: float, other: float, absolute: float, relative: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    part = abs(one - other) / max(absolute, relative * max(abs(one), abs(other)))
    return part if math.isfinite(part) else math.inf


def _compared(record: Record, result: Result, why: str) -> dict[str, Any]:
    same_place = (record.origin["processor"], record.origin["versions"]) == (processor_name(), versions())
    alike = same_place and record.result["group_name"] == result["group_name"]
    early, end = differences(record.result, result, alike)
    row = {"trial": record.trial, "family": family(record), "why": why, "seconds": record.seconds, "alike": alike}
    return {**row, "early": early, "end": end, "agrees": early <= 1 and end <= 1}


def _cost(company: Sequence[Record]) -> float:
    return sum(record.seconds for record in company)


def _fitting(companies: Iterable[list[Record]], seconds: float) -> list[list[Record]]:
    """Those that fit one after the other; the first one in any case."""
    found: list[list[Record]] = []
    for company in companies:
        if not found or sum(map(_cost, found)) + _cost(company) <= seconds:
            found.append(company)
    return found
