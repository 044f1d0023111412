"""Matching: oracles against brute force on all small inputs and random ones, samplers, balance, and refusals."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from attention_limits.problems import matching
from attention_limits.problems.matching import (
    Match2,
    Match2Others,
    Match3,
    Match3Bigram,
    Match3Local,
    Matching,
    residue_counts,
    tuple_counts,
)

Maker = Callable[[int, int], Matching]


def local(window: int) -> Maker:
    return lambda num_tokens, modulus: Match3Local(num_tokens, modulus, window)


PROBLEMS: dict[str, Maker] = {
    "Match2": Match2,
    "Match2Others": Match2Others,
    "Match3": Match3,
    "Match3Bigram": Match3Bigram,
    "Match3Local, K = 0": local(0),
    "Match3Local, K = 1": local(1),
    "Match3Local, K = 2": local(2),
    "Match3Local, K = 9": local(9),
}
SMALL = [(num_tokens, modulus) for num_tokens in range(1, 6) for modulus in range(2, 8)]
every_problem = pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_loops(problem: Matching, row: list[int]) -> list[bool]:
    """The definitions, read aloud."""
    places, modulus = range(len(row)), problem.modulus

    def solved(i: int) -> bool:
        if isinstance(problem, Match2):
            others = isinstance(problem, Match2Others)
            return any((row[i] + row[j]) % modulus == 0 for j in places if not (others and j == i))
        if isinstance(problem, Match3Bigram):
            return any((row[i] + row[j] + row[j + 1]) % modulus == 0 for j in range(len(row) - 1))
        window = problem.window if isinstance(problem, Match3Local) else len(row)
        near = [j for j in places if abs(i - j) <= window]
        return any((row[i] + row[j] + row[k]) % modulus == 0 for j in near for k in near)

    return [solved(i) for i in places]


# --- targets ---------------------------------------------------------------------------------------------------------


@every_problem
def test_the_oracle_is_brute_force_on_all_small_inputs(make: Maker) -> None:
    for num_tokens, modulus in SMALL:
        problem = make(num_tokens, modulus)
        inputs = problem.all_inputs()
        assert len(inputs) == modulus**num_tokens
        assert torch.equal(problem.target(inputs), problem.brute_force(inputs)), (num_tokens, modulus)


@every_problem
def test_brute_force_is_the_definition_in_loops(make: Maker) -> None:
    for num_tokens, modulus in [(1, 2), (2, 3), (3, 4), (4, 5), (3, 6)]:
        problem = make(num_tokens, modulus)
        inputs = problem.all_inputs()
        assert problem.brute_force(inputs).tolist() == [by_loops(problem, row) for row in inputs.tolist()]


@every_problem
@pytest.mark.parametrize(("num_tokens", "modulus"), [(20, 6), (33, 101), (40, 1000), (24, 10**6)])
def test_the_oracle_is_brute_force_on_random_inputs(make: Maker, num_tokens: int, modulus: int) -> None:
    problem = make(num_tokens, modulus)
    for seed in range(3):
        generator = seeded(seed)
        for draw in (problem.sample, problem.sample_near_misses, problem.sample_planted):
            inputs = draw(8, generator=generator)
            assert torch.equal(problem.target(inputs), problem.brute_force(inputs)), f"seed {seed}"


@given(st.data())
def test_the_oracle_is_the_definition_on_any_input(data: st.DataObject) -> None:
    modulus = data.draw(st.integers(2, 60))
    row = data.draw(st.lists(st.integers(0, modulus - 1), min_size=1, max_size=9))
    for make in PROBLEMS.values():
        problem = make(len(row), modulus)
        assert problem.target(torch.tensor([row])).tolist() == [by_loops(problem, row)]


@given(st.integers(1, 12), st.integers(2, 40), st.integers(0, 2**31))
def test_a_permutation_of_the_tokens_permutes_the_labels(num_tokens: int, modulus: int, seed: int) -> None:
    order = torch.randperm(num_tokens, generator=seeded(seed))
    for make in (Match2, Match2Others, Match3):
        problem = make(num_tokens, modulus)
        inputs = problem.sample(3, generator=seeded(seed))
        assert torch.equal(problem.target(inputs[:, order]), problem.target(inputs)[:, order])


def test_a_window_longer_than_the_sequence_is_no_window() -> None:
    for num_tokens, modulus in SMALL:
        inputs = Match3(num_tokens, modulus).all_inputs()
        for window in (num_tokens - 1, num_tokens, 10**6):
            local_labels = Match3Local(num_tokens, modulus, window).target(inputs)
            assert torch.equal(local_labels, Match3(num_tokens, modulus).target(inputs))


@pytest.mark.parametrize("modulus", [2, 3, 6, 7, 9])
def test_a_lone_token_can_only_be_matched_with_itself(modulus: int) -> None:
    inputs = torch.arange(modulus).unsqueeze(1)
    assert Match2(1, modulus).target(inputs).flatten().tolist() == [2 * x % modulus == 0 for x in range(modulus)]
    assert Match3(1, modulus).target(inputs).flatten().tolist() == [3 * x % modulus == 0 for x in range(modulus)]
    assert torch.equal(Match3Local(1, modulus, 0).target(inputs), Match3(1, modulus).target(inputs))
    assert not Match2Others(1, modulus).target(inputs).any()
    assert not Match3Bigram(1, modulus).target(inputs).any()


def test_an_empty_batch_has_empty_labels() -> None:
    for make in PROBLEMS.values():
        assert make(3, 5).target(torch.zeros(0, 3, dtype=torch.int64)).shape == (0, 3)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=20))
def test_pair_counts_are_the_cyclic_self_convolution(row: list[int]) -> None:
    pairs = tuple_counts(torch.tensor([row]), 13, 2)[0].tolist()
    assert pairs == [sum((a + b) % 13 == r for a in row for b in row) for r in range(13)]
    assert residue_counts(torch.tensor([row]), 13)[0].tolist() == [row.count(r) for r in range(13)]


def test_a_convolution_that_cannot_be_rounded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "LARGEST_ROUNDING", -1.0)
    with pytest.raises(ValueError, match="the convolution may be"):
        Match3(4, 7).target(torch.zeros(1, 4, dtype=torch.int64))


# --- samplers and balance --------------------------------------------------------------------------------------------


@every_problem
def test_a_planted_sample_has_its_solution_and_without_it_none(make: Maker) -> None:
    for num_tokens, modulus in [(1, 5), (2, 5), (3, 7), (4, 9), (5, 100), (40, 1001)]:
        problem = make(num_tokens, modulus)
        if num_tokens == 1 and isinstance(problem, Match2Others | Match3Bigram):
            with pytest.raises(ValueError, match="needs N ≥ 2, got N = 1"):
                problem.sample_planted(4, generator=seeded(0))
            continue
        inputs = problem.sample_planted(64, generator=seeded(num_tokens))
        places = problem.planted_places(64, generator=seeded(num_tokens))
        assert places.min() >= 0
        assert places.max() < num_tokens
        found = problem.target(inputs)
        assert found.any(dim=1).all(), (num_tokens, modulus)
        most = (modulus - 1) // problem.order
        outside = (inputs > most) | (inputs == 0)
        assert (outside.sum(dim=1) <= 1).all()
        # With any residue of the interval in the planted token's place nothing is left to find.
        assert not problem.target(torch.where(outside, 1, inputs)).any()


@every_problem
def test_samples_are_inputs_and_the_same_for_the_same_seed(make: Maker) -> None:
    problem = make(6, 11)
    for draw in (problem.sample, problem.sample_near_misses, problem.sample_planted):
        inputs = draw(5, generator=seeded(1))
        problem.check(inputs)
        assert torch.equal(inputs, draw(5, generator=seeded(1)))


def test_planting_needs_room_below_the_modulus() -> None:
    with pytest.raises(ValueError, match="2 tokens needs M ≥ 3, got 2"):
        Match2(4, 2).sample_planted(1, generator=seeded(0))
    with pytest.raises(ValueError, match="3 tokens needs M ≥ 4, got 3"):
        Match3(4, 3).sample_planted(1, generator=seeded(0))


@pytest.mark.parametrize("problem_type", [Match2, Match2Others])
def test_the_chance_of_a_pair_is_exact(problem_type: type[Match2]) -> None:
    for num_tokens, modulus in SMALL:
        problem = problem_type(num_tokens, modulus)
        labels = problem.target(problem.all_inputs())
        assert int(labels.sum()) == problem.label_probability() * labels.numel()


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 7, 16, 100, 10**4, 10**6])
def test_the_balanced_modulus_of_pairs_is_odd_and_no_other_odd_one_is_better(num_tokens: int) -> None:
    modulus = Match2.balanced_modulus(num_tokens)
    assert modulus % 2 == 1
    assert modulus >= 3

    def distance(other: int) -> float:
        return abs(0.5 - math.exp(num_tokens * math.log1p(-1 / other)))

    assert all(distance(modulus) <= distance(other) for other in (modulus + 2, max(3, modulus - 2)))
    if num_tokens >= 16:
        assert distance(modulus) < 0.02


@pytest.mark.parametrize("num_tokens", [8, 16, 32, 64, 128])
def test_the_balanced_modulus_of_triples_balances_the_labels(num_tokens: int) -> None:
    problem = Match3(num_tokens, Match3.balanced_modulus(num_tokens))
    labels = problem.target(problem.sample(60_000 // num_tokens, generator=seeded(num_tokens)))
    share = labels.double().mean().item()
    # The rule's own error is at most .011; the labels of a sequence depend on each other, hence the .006.
    assert abs(share - problem.label_probability()) <= 0.017
    assert abs(share - 0.5) <= 0.02


def test_at_three_tokens_the_rule_for_triples_is_poor() -> None:
    problem = Match3(3, Match3.balanced_modulus(3))
    share = problem.target(problem.all_inputs()).double().mean().item()
    assert abs(share - problem.label_probability()) > 0.1


# --- refusals --------------------------------------------------------------------------------------------------------


@every_problem
def test_sizes_outside_the_definition_are_refused(make: Maker) -> None:
    with pytest.raises(ValueError, match="modulus must be at least 2, got 1"):
        make(3, 1)
    with pytest.raises(ValueError, match="num_tokens must be at least 1, got 0"):
        make(0, 3)


def test_a_negative_window_is_refused() -> None:
    with pytest.raises(ValueError, match="window must be at least 0, got -1"):
        Match3Local(3, 5, -1)


@every_problem
@pytest.mark.parametrize("solve", ["target", "brute_force"])
def test_residues_outside_the_range_are_named_with_their_place(make: Maker, solve: str) -> None:
    answer: Callable[[Tensor], Tensor] = getattr(make(3, 5), solve)
    for value in (5, -1):
        with pytest.raises(ValueError, match=f"0…4, got {value} at token 2 of input 1"):
            answer(torch.tensor([[0, 1, 2], [3, 4, value]]))
    with pytest.raises(ValueError, match=r"must have shape \(1, 3\), got \(1, 2\)"):
        answer(torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match=r"must be int64, got torch\.int32"):
        answer(torch.tensor([[0, 1, 2]], dtype=torch.int32))


def test_empty_batches_cannot_be_drawn() -> None:
    for draw in (Match2(3, 5).sample, Match2(3, 5).sample_near_misses, Match2(3, 5).sample_planted):
        with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
            draw(0, generator=seeded(0))
