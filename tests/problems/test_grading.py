"""Grades against a plain loop on all small inputs, in chunks, formats and devices; broken models and refusals."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attention_limits.problems.grading import Grade, grade, grade_outputs
from attention_limits.problems.matching import Match2, Match3, Match3Local, Matching

SMALL = [Match2(3, 4), Match3(3, 4), Match3(1, 2), Match2(1, 7), Match3Local(4, 3, 1)]


def noisy(inputs: Tensor) -> Tensor:
    """Some probability for each token that depends on its whole sequence: right for some, wrong for others."""
    place = torch.arange(1, inputs.shape[1] + 1, device=inputs.device)
    return torch.sin((inputs * place).sum(dim=1, keepdim=True) + place).square().double()


def by_hand(model: Callable[[Tensor], Tensor], problem: Matching) -> tuple[int, int, float]:
    """One input, one label at a time, against the definition."""
    count, wrong, least = 0, 0, math.inf
    for row in problem.all_inputs():
        answers = model(row.unsqueeze(0))[0].tolist()
        for answer, label in zip(answers, problem.brute_force(row.unsqueeze(0))[0].tolist(), strict=True):
            count += 1
            wrong += (answer > 0.5) != label
            least = min(least, answer if label else 1 - answer)
    return count, wrong, least


@pytest.mark.parametrize("problem", SMALL, ids=repr)
@pytest.mark.parametrize("batch_size", [1, 7, 10**6])
def test_a_grade_is_what_a_loop_over_all_inputs_finds(problem: Matching, batch_size: int) -> None:
    assert grade(noisy, problem, batch_size=batch_size) == pytest.approx(by_hand(noisy, problem), abs=1e-15)


@pytest.mark.parametrize("problem", SMALL, ids=repr)
def test_the_target_itself_has_no_wrong_label_and_its_opposite_has_nothing_else(problem: Matching) -> None:
    count = problem.modulus**problem.num_tokens * problem.num_tokens
    assert grade(problem.target, problem) == Grade(count, 0, 1.0)
    assert grade(problem.target, problem).accuracy == 1.0
    assert grade(lambda inputs: ~problem.target(inputs), problem) == Grade(count, count, 0.0)


def test_a_single_broken_label_is_caught_wherever_it_lies() -> None:
    problem = Match3(2, 3)
    for index in range(problem.all_inputs().numel()):
        flipped = problem.target(problem.all_inputs()).double()
        flipped.view(-1)[index] = 1 - flipped.view(-1)[index]
        found = grade_outputs(flipped, problem.target(problem.all_inputs()))
        assert (found.wrong, found.right_side) == (1, 0.0)
        assert found.accuracy == 17 / 18


def test_one_half_is_label_0_and_nan_is_wrong_either_way() -> None:
    labels = torch.tensor([True, False])
    assert grade_outputs(torch.tensor([0.5, 0.5]), labels) == Grade(2, 1, 0.5)
    found = grade_outputs(torch.tensor([math.nan, math.nan]), labels)
    assert found.wrong == 2
    assert math.isnan(found.right_side)
    hidden = grade(lambda inputs: torch.where(inputs == 1, math.nan, 0.0), Match2(1, 5), batch_size=1)
    assert hidden.wrong == 2  # nan at residue 1, and 0 where 0 + 0 ≡ 0
    assert math.isnan(hidden.right_side)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_probabilities_may_have_any_format_and_the_other_side_is_not_rounded_to_it(dtype: torch.dtype) -> None:
    outputs = torch.tensor([2**-10, 0.75], dtype=dtype)
    assert grade_outputs(outputs, torch.tensor([False, True])).right_side == 0.75
    assert grade_outputs(outputs[:1], torch.tensor([False])).right_side == 1 - 2**-10


def test_inputs_go_to_the_models_device_and_labels_to_that_of_its_answers(device: torch.device) -> None:
    problem, seen = Match3(4, 5), []

    def model(inputs: Tensor) -> Tensor:
        seen.append(inputs.device.type)
        return noisy(inputs)

    assert grade(model, problem, device=device, batch_size=100) == pytest.approx(grade(noisy, problem), abs=1e-12)
    assert set(seen) == {device.type}
    inputs = problem.sample(9, generator=torch.Generator().manual_seed(0))
    there = grade_outputs(noisy(inputs.to(device)), problem.target(inputs))
    assert there == pytest.approx(grade(noisy, problem, inputs), abs=1e-12)


def test_what_cannot_be_graded_is_refused() -> None:
    problem = Match2(2, 3)
    with pytest.raises(ValueError, match=r"the labels' shape \(9, 2\), got \(9, 2, 1\)"):
        grade(lambda inputs: noisy(inputs).unsqueeze(-1), problem)
    with pytest.raises(ValueError, match="no inputs to grade"):
        grade(noisy, problem, problem.all_inputs()[:0])
    with pytest.raises(ValueError, match="no labels to grade"):
        grade_outputs(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="residues must lie in 0…2, got 3"):
        grade(noisy, problem, torch.tensor([[0, 3]]))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        grade(noisy, problem, batch_size=0)
