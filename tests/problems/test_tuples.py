"""s-tuples against Match2, Match3 and brute force; planted inputs against the convolution."""

from itertools import product

import pytest
import torch

from attention_limits.problems.grading import grade, grade_outputs
from attention_limits.problems.matching import Match2, Match3, triples, tuple_counts
from attention_limits.problems.tuples import MatchTuple, planted_triples, rule_of_pairs


@pytest.mark.parametrize(("num_tokens", "modulus"), [(1, 2), (2, 5), (3, 4), (3, 7)])
def test_orders_two_and_three_are_match2_and_match3_on_all_inputs(num_tokens: int, modulus: int) -> None:
    pairs, triples = Match2(num_tokens, modulus), Match3(num_tokens, modulus)
    inputs = pairs.all_inputs()
    assert MatchTuple(num_tokens, modulus, 2).target(inputs).equal(pairs.target(inputs))
    assert MatchTuple(num_tokens, modulus, 3).target(inputs).equal(triples.target(inputs))


@pytest.mark.parametrize("order", [4, 5])
def test_higher_orders_equal_brute_force(order: int) -> None:
    problem = MatchTuple(3, 6, order)
    inputs = problem.all_inputs()
    expected = torch.zeros_like(inputs, dtype=torch.bool)
    for places in product(range(3), repeat=order - 1):
        expected |= (inputs + inputs[:, list(places)].sum(dim=1, keepdim=True)) % 6 == 0
    assert problem.target(inputs).equal(expected)


@pytest.mark.parametrize(("num_tokens", "modulus"), [(1, 2), (1, 9), (2, 6), (3, 2), (3, 7), (4, 5), (4, 6)])
def test_the_rule_of_pairs_finds_the_solutions_with_at_most_two_places(num_tokens: int, modulus: int) -> None:
    inputs, place = Match3(num_tokens, modulus).all_inputs(), torch.arange(num_tokens)
    i, j, k = place[:, None, None], place[:, None], place
    expected = (triples(inputs, modulus) & ((i == j) | (i == k) | (j == k))).flatten(2).any(dim=2)
    assert rule_of_pairs(inputs, modulus).equal(expected)


@pytest.mark.parametrize(("num_tokens", "modulus"), [(1, 3), (2, 2), (2, 5), (2, 12), (4, 9), (5, 4)])
def test_the_rule_of_pairs_is_right_but_where_three_places_are_needed(num_tokens: int, modulus: int) -> None:
    problem = Match3(num_tokens, modulus)
    labels, answers = problem.target(problem.all_inputs()), rule_of_pairs(problem.all_inputs(), modulus)
    assert not (answers & ~labels).any()
    found = grade(lambda inputs: rule_of_pairs(inputs, modulus), problem)
    assert found.wrong == int(labels.sum() - answers.sum())
    assert (found.wrong == 0) == (num_tokens <= 2)
    assert found.accuracy == (answers == labels).double().mean().item()


def test_the_rule_of_pairs_on_balanced_triples_lies_between_a_constant_and_all_triples() -> None:
    problem = Match3(8, Match3.balanced_modulus(8))
    inputs = problem.sample(4000, generator=torch.Generator().manual_seed(0))
    labels = problem.target(inputs)
    found = grade_outputs(rule_of_pairs(inputs, problem.modulus), labels)
    # A label is found unless 2N − 1 conditions fail, each with a chance of about 1 − 1/M.
    expected = (1 - labels.double().mean().item()) + 1 - (1 - 1 / problem.modulus) ** 15
    assert found.accuracy == pytest.approx(expected, abs=0.02)
    assert 0.7 < found.accuracy < 0.8


@pytest.mark.parametrize("half", [0, 1])
def test_half_of_the_rule_of_pairs_is_caught(half: int) -> None:
    problem = Match3(2, 7)  # where the whole rule is exact

    def broken(inputs: torch.Tensor) -> torch.Tensor:
        own, other = ((1, 2), (2, 1))[half]
        return ((own * inputs.unsqueeze(2) + other * inputs.unsqueeze(1)) % 7 == 0).any(dim=2)

    assert grade(lambda inputs: rule_of_pairs(inputs, 7), problem).wrong == 0
    assert grade(broken, problem).wrong > 0


@pytest.mark.parametrize(("num_tokens", "modulus", "length"), [(2**14, 3, 4), (9741, 2, 4), (6000, 97, 4)])
def test_counts_beyond_what_floats_can_count_are_refused(num_tokens: int, modulus: int, length: int) -> None:
    # 9741⁴ is below 2^53, where every float is an integer, however wrong.
    with pytest.raises(ValueError, match=r"may be .* away from integers"):
        tuple_counts(torch.zeros(1, num_tokens, dtype=torch.int64), modulus, length)


@pytest.mark.parametrize(("num_tokens", "length"), [(10**6, 2), (5000, 3), (500, 4)])
def test_large_counts_that_are_accepted_are_exact(num_tokens: int, length: int) -> None:
    for modulus in (2, 3, 97, 128, 4099):
        inputs = torch.ones(1, num_tokens, dtype=torch.int64)
        counts = tuple_counts(inputs, modulus, length)
        assert counts[0, length % modulus].item() == num_tokens**length
        assert counts.count_nonzero() == 1


def test_a_long_input_whose_pairs_floats_cannot_count_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2-tuples of 5000000 tokens modulo 3: .* away from integers"):
        Match3(5_000_000, 3).target(torch.zeros(1, 5_000_000, dtype=torch.int64))


def test_no_inputs_have_no_labels() -> None:
    assert MatchTuple(3, 5, 4).target(torch.zeros(0, 3, dtype=torch.int64)).shape == (0, 3)


def test_a_convolution_far_from_integers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.fft.irfft
    monkeypatch.setattr(torch.fft, "irfft", lambda spectrum, n: original(spectrum, n=n) + 0.3)
    with pytest.raises(ValueError, match=r"may be 0\.3 away from integers"):
        tuple_counts(torch.zeros(1, 3, dtype=torch.int64), 5, 2)


@pytest.mark.parametrize("seed", range(5))
def test_labels_of_planted_triples_equal_the_convolutions(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    planted = planted_triples(400, 2500, 3, generator=generator)
    problem = Match3(400, 2500)
    assert planted.target.equal(problem.target(planted.inputs)), seed
    counts = tuple_counts(planted.inputs, 2500, 2)
    near = sum(counts.gather(1, (total - planted.inputs) % 2500) for total in (1, -1)) > 0
    assert planted.near_misses.equal(near & ~planted.target), seed
    assert planted.target.any(), seed
    assert planted.near_misses.any(), seed
    outside = (9 * planted.inputs <= 2500) | (9 * planted.inputs >= 2 * 2500)
    assert outside.sum() == 3, seed


def test_planted_triples_refuse_what_leaves_no_token_to_plant_them_in() -> None:
    with pytest.raises(ValueError, match="num_planted must be below N = 3"):
        planted_triples(3, 100, 3, generator=torch.Generator())
