"""What a user set with `torch.set_default_dtype` changes nothing: every float type is stated where numbers are made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from attention_limits.constructions import (
    composition,
    feedforward,
    gates,
    infinite_precision,
    match3_layers,
    match3_variants,
    matching,
    one_dimension,
    planar_matching,
    sparse_averaging,
    strassen,
    third_order,
)
from attention_limits.experiments.averaging import AveragingTrial
from attention_limits.experiments.detectors import MatchingTrial
from attention_limits.experiments.trials import Trial, run_trials
from attention_limits.problems import matching as problems
from attention_limits.problems.composition import Composition
from attention_limits.problems.sparse_averaging import SparseAveraging

AVERAGING = SparseAveraging(6, 2, 2)
PLAIN = SparseAveraging(3, 1, 1)
MATCH2, MATCH3 = problems.Match2(5, 7), problems.Match3(5, 7)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def averages(
    build: Callable[[], torch.nn.Module], problem: SparseAveraging = AVERAGING, *, encoded: bool = False
) -> Tensor:
    inputs = problem.sample(3, generator=seeded())
    if problem.value_dim == 1:  # for units that know values ±1 only
        inputs = inputs._replace(values=inputs.values.sign())
    return build()(problem.encode(inputs) if encoded else inputs)


def labels(build: Callable[[Any], torch.nn.Module], problem: Any) -> Tensor:
    return build(problem)(problem.sample(3, generator=seeded()))


def composed(problem: Composition) -> Tensor:
    model = composition.CompositionTransformer(problem)
    return model(model.registers(problem.sample(3, generator=seeded())))


#: By name, what is computed.
COMPUTED: dict[str, Callable[[], Tensor]] = {
    "theorem 2": lambda: averages(lambda: sparse_averaging.fixed_precision_unit(AVERAGING, 0.1, generator=seeded())),
    "theorem 2, bits": lambda: averages(
        lambda: sparse_averaging.fixed_precision_unit(AVERAGING, 0.1, generator=seeded(), bits=24)
    ),
    "theorem 3": lambda: averages(lambda: infinite_precision.infinite_precision_unit(AVERAGING, 0.1)),
    "one dimension": lambda: averages(lambda: one_dimension.scalar_unit(PLAIN, generator=seeded()), PLAIN),
    "exact network": lambda: averages(lambda: feedforward.exact_network(PLAIN), PLAIN, encoded=True),
    "narrow network": lambda: averages(lambda: feedforward.narrow_network(PLAIN), PLAIN, encoded=True),
    "gated network": lambda: averages(lambda: gates.gated_network(AVERAGING), AVERAGING, encoded=True),
    "gated lstm": lambda: averages(lambda: gates.gated_lstm(AVERAGING), AVERAGING, encoded=True),
    "match2": lambda: labels(matching.match2_unit, MATCH2),
    "match2, parabola": lambda: labels(matching.match2_parabola_unit, MATCH2),
    "match2, residual": lambda: labels(planar_matching.match2_residual_unit, MATCH2),
    "match2, planar": lambda: labels(planar_matching.match2_planar_unit, problems.Match2(5, 4)),
    "match2, others": lambda: labels(matching.match2_others_unit, problems.Match2Others(5, 7)),
    "bigram": lambda: labels(match3_variants.match3_bigram_transformer, problems.Match3Bigram(5, 7)),
    "local": lambda: labels(match3_variants.match3_local_unit, problems.Match3Local(9, 7, 2)),
    "third order": lambda: labels(third_order.match3_tensor_unit, MATCH3),
    "strassen": lambda: labels(strassen.match3_strassen_layer, MATCH3),
    "composition": lambda: composed(Composition(4)),
    "slots": lambda: labels(match3_layers.slot_layer, MATCH3),
    "shifts": lambda: labels(match3_layers.shift_layer, MATCH3),
    "histogram": lambda: labels(match3_layers.histogram_layer, MATCH3),
    "thresholds": lambda: labels(match3_layers.threshold_layer, MATCH3),
}

SMALL = {"num_tokens": 5, "num_steps": 12, "batch_size": 4, "size": 8}
TRIALS: list[Trial] = [
    *(
        AveragingTrial(architecture=name, sparsity=2, value_dim=2, **SMALL)
        for name in AveragingTrial.known_architectures
    ),
    *(
        MatchingTrial(architecture=name, problem="match3", modulus=7, num_frequencies=2, read=read, **SMALL)
        for name, read in zip(MatchingTrial.known_architectures, ("fixed", "linear", "network"), strict=True)
    ),
]


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_construction_is_what_it_is_whatever_the_default(name: str, dtype: torch.dtype) -> None:
    usual = COMPUTED[name]()
    with default(dtype):
        found = COMPUTED[name]()
    assert found.dtype == usual.dtype
    assert torch.equal(found, usual)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{type(trial).__name__}-{trial.architecture}")
def test_a_trial_trains_the_same_model_whatever_the_default(trial: Trial) -> None:
    (usual,) = run_trials([trial])
    with default(torch.float64):
        (found,) = run_trials([trial])
    assert {**found, "seconds": 0} == {**usual, "seconds": 0}
