"""k-hop under three masks: all small strings, long and planted ones, depth, heads and bits, and broken variants."""

import pytest
import torch

from attention_limits.constructions.fetch import Fetch
from attention_limits.constructions.induction import LARGEST_ADDRESS, READING_ERROR
from attention_limits.constructions.k_hop import (
    HELD,
    POINTER,
    HopTransformer,
    ManyHeadHops,
    OneHeadHops,
    StrictMaskHops,
    binary_digits,
    hop_bits,
    one_head_depth,
    printed_hops,
    strict_depth,
)
from attention_limits.fixed_point import PrecisionError
from attention_limits.models.attention import causal_mask
from attention_limits.problems.induction import NONE, Hops

CONSTRUCTIONS = [StrictMaskHops, ManyHeadHops, OneHeadHops]


def places_by_hand(symbols: list[int], num_hops: int) -> list[int]:
    """find^k(i) for i = 1 … N, by its definition."""
    reached = []
    for place in range(1, len(symbols) + 1):
        for _ in range(num_hops):
            earlier = [j for j in range(2, place + 1) if symbols[j - 2] == symbols[place - 1]]
            place = max(earlier, default=0)
        reached.append(place)
    return reached


def answers_by_hand(inputs: torch.Tensor, num_hops: int) -> list[list[int]]:
    """hop_k of each string."""
    return [[row[j - 1] if j else NONE for j in places_by_hand(row, num_hops)] for row in inputs.tolist()]


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize(
    ("num_tokens", "num_symbols"), [(1, 1), (1, 3), (2, 2), (3, 3), (4, 3), (5, 2), (7, 2), (6, 1)]
)
def test_all_small_strings_are_answered(construction: type[HopTransformer], num_tokens: int, num_symbols: int) -> None:
    inputs = Hops(num_tokens, num_symbols, 1).all_inputs()
    for num_hops in (1, 2, 3, 4, 5, 6, 7, 8, 11):
        model = construction(Hops(num_tokens, num_symbols, num_hops))
        assert model.answers(inputs).tolist() == answers_by_hand(inputs, num_hops), num_hops
        assert model.reading_error(inputs) <= READING_ERROR


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_long_strings_are_answered(construction: type[HopTransformer], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    num_tokens, num_symbols, num_hops = [(60, 2, 41), (65, 4, 16), (99, 3, 31), (128, 5, 22)][seed]
    problem = Hops(num_tokens, num_symbols, num_hops)
    inputs = torch.cat([draw(2, generator=generator) for draw in (problem.sample, problem.sample_moving)])
    inputs[0, -3:] = 1  # tokens that stand still at the end
    assert construction(problem).answers(inputs).tolist() == answers_by_hand(inputs, num_hops), f"seed {seed}"


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize(("num_tokens", "num_hops"), [(31, 15), (64, 9), (129, 63), (129, 64)])
def test_chains_are_followed_to_their_end(construction: type[HopTransformer], num_tokens: int, num_hops: int) -> None:
    problem = Hops(num_tokens, num_tokens // 2 + 2, num_hops)
    inputs = problem.sample_chains(2, generator=torch.Generator().manual_seed(num_hops))
    assert construction(problem).answers(inputs).tolist() == answers_by_hand(inputs, num_hops)


def test_pointers_double_and_symbols_follow_the_digits() -> None:
    num_hops = 0b1011
    problem = Hops(40, 3, num_hops)
    inputs = problem.sample_moving(2, generator=torch.Generator().manual_seed(0))
    for construction, first in ((StrictMaskHops, 1), (ManyHeadHops, 1), (OneHeadHops, 2)):
        model = construction(problem)
        states = [registers for _, _, registers in model.run(model.registers(inputs), model.mask)]
        for doubled, registers in enumerate(states[first - 1 :]):
            expected = [places_by_hand(row, 2**doubled) for row in inputs.tolist()]
            assert registers[..., POINTER].long().tolist() == expected, (construction, doubled)
            hops = num_hops % 2**doubled if first == 1 else 1 + (num_hops - 1) % 2**doubled
            assert registers[..., HELD].long().tolist() == answers_by_hand(inputs, hops)


def test_depth_heads_and_dimensions_are_those_of_the_propositions() -> None:
    for num_hops in (*range(1, 18), 31, 32, 33, 64, 127, 128, 129):
        problem = Hops(9, 2, num_hops)
        strict, many, one = (construction(problem) for construction in CONSTRUCTIONS)
        assert strict.depth == many.depth == strict_depth(num_hops) == len(f"{num_hops:b}") + 1
        assert one.depth == one_head_depth(num_hops) == min(d for d in range(2, 12) if 2 ** (d - 2) >= num_hops)
        assert (strict.num_heads, strict.embed_dim, strict.width) == (1, 2, 2)
        assert (many.num_heads, many.embed_dim, many.width) == (4, 2, 8)
        assert (one.num_heads, one.embed_dim, one.width) == (1, 2, 3)
    for num_tokens in (1, 2, 3, 4, 5, 8, 9, 16, 17, 33):
        model = ManyHeadHops(Hops(num_tokens, 2, 2))
        assert model.num_heads == max(1, len(f"{num_tokens - 1:b}") if num_tokens > 1 else 1)
        assert [len(step.layer.heads) for step in model.steps[1:]] == [1] * (model.depth - 1)


@pytest.mark.parametrize(("num_tokens", "num_symbols"), [(2, 1), (2, 2), (9, 1), (12, 5), (64, 3), (150, 150)])
def test_bits_are_those_of_the_propositions(num_tokens: int, num_symbols: int) -> None:
    problem = Hops(num_tokens, num_symbols, 5)
    generator = torch.Generator().manual_seed(num_tokens)
    extreme = torch.full((1, num_tokens), num_symbols - 1)
    inputs = torch.cat([extreme, problem.sample(3, generator=generator)])
    for construction, kind in zip(CONSTRUCTIONS, ({}, {"kinds": 2}, {"notes": True}), strict=True):
        model = construction(problem)
        forms = model.formats(model.registers(inputs), model.mask)
        counted, proved = max(form.bits for form in forms), hop_bits(num_tokens, num_symbols, **kind)
        # The digit of the last token's own place decides whether the largest address of two kinds occurs.
        assert counted == proved if construction is not ManyHeadHops else proved - 2 <= counted <= proved
        assert {form.fraction_bits for form in forms} == {0}


def test_digits_and_printed_hops_are_counted() -> None:
    assert [binary_digits(number) for number in (0, 1, 6)] == [[], [True], [False, True, True]]
    for number in range(300):
        assert sum(2**place for place, digit in enumerate(binary_digits(number)) if digit) == number
        if number:
            assert printed_hops(number) == -(-number // 2)


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_a_layer_less_a_flat_scale_and_a_wrong_digit_answer_wrongly(construction: type[HopTransformer]) -> None:
    problem = Hops(65, 33, 21)
    chain = problem.sample_chains(1, generator=torch.Generator().manual_seed(0))
    right = problem.target(chain)
    for dropped in range(construction(problem).depth):
        broken = construction(problem)
        broken.steps = (*broken.steps[:dropped], *broken.steps[dropped + 1 :])
        assert (broken.answers(chain) != right).any(), dropped
    assert (construction(problem, scale=construction(problem).scale / 16).answers(chain) != right).any()
    for num_hops in (20, 22, 5, 53):
        other = construction(Hops(65, 33, num_hops))
        assert other.answers(chain)[0, -1] != right[0, -1]


def test_weights_for_one_mask_fail_under_the_other() -> None:
    problem = Hops(6, 3, 2)
    inputs = problem.all_inputs()
    right = problem.target(inputs)
    for construction, strict in ((StrictMaskHops, False), (OneHeadHops, True)):
        model = construction(problem)
        model.mask = causal_mask(6, strict=strict)
        assert (model.answers(inputs) != right).any(), construction
    # Own keys never win among the many heads, so that the strict mask does not disturb them.
    model = ManyHeadHops(problem)
    model.mask = causal_mask(6, strict=True)
    assert torch.equal(model.answers(inputs), right)


@pytest.mark.parametrize("lost", range(3))
def test_each_of_the_many_heads_is_needed(lost: int) -> None:
    problem = Hops(6, 2, 1)
    inputs = problem.all_inputs()
    model = ManyHeadHops(problem)
    first = model.steps[0]
    kept = (lost + 1) % 3

    def ask(registers: torch.Tensor) -> list[Fetch]:
        fetches = list(first.ask(registers))
        fetches[lost] = fetches[kept]
        return fetches

    model.steps = (first._replace(ask=ask), *model.steps[1:])
    assert (model.answers(inputs) != problem.target(inputs)).any()


def test_what_is_too_large_or_too_small_is_refused() -> None:
    largest = (LARGEST_ADDRESS // 64 + 1) // 2
    StrictMaskHops(Hops(64, largest, 3))
    for construction, most in ((StrictMaskHops, largest), (OneHeadHops, largest), (ManyHeadHops, largest // 2)):
        with pytest.raises(PrecisionError, match=f"at this N up to S = {most:,}"):
            construction(Hops(64, most + 1, 3))
    with pytest.raises(ValueError, match="num_hops must be at least 1, got 0"):
        StrictMaskHops(Hops(4, 4, 0))
    for depth in (strict_depth, one_head_depth, printed_hops):
        with pytest.raises(ValueError, match="num_hops must be at least 1, got 0"):
            depth(0)
    with pytest.raises(ValueError, match="symbols must lie in 0…1, got 2"):
        OneHeadHops(Hops(3, 2, 1)).answers(torch.tensor([[0, 1, 2]]))
