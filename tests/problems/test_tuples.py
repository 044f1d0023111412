"""s-tuples against Match2, Match3 and brute force; planted inputs against the convolution."""

from itertools import product

import pytest
import torch

from attention_limits.problems.matching import Match2, Match3, tuple_counts
from attention_limits.problems.tuples import MatchTuple, planted_triples


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
