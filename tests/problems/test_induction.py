"""Induction heads and k-hop: every small string by hand, chains, long strings, and what is refused."""

from collections.abc import Callable

import pytest
import torch

from attention_limits.problems.induction import NONE, Hops, InductionHeads


def find_by_hand(symbols: list[int], place: int) -> int:
    """find(i) by its definition; places count from 1."""
    return max([j for j in range(2, place + 1) if symbols[j - 2] == symbols[place - 1]], default=0) if place else 0


def hop_by_hand(symbols: list[int], num_hops: int) -> list[int]:
    """hop_k by its definition."""
    answers = []
    for start in range(1, len(symbols) + 1):
        place = start
        for _ in range(num_hops):
            place = find_by_hand(symbols, place)
        answers.append(symbols[place - 1] if place else NONE)
    return answers


SMALL = [(1, 1), (1, 3), (2, 2), (3, 3), (5, 3), (7, 2), (4, 4), (6, 1)]


@pytest.mark.parametrize(("num_tokens", "num_symbols"), SMALL)
def test_all_small_strings_are_answered_as_defined(num_tokens: int, num_symbols: int) -> None:
    inputs = InductionHeads(num_tokens, num_symbols).all_inputs()
    assert len(inputs.unique(dim=0)) == num_symbols**num_tokens
    for num_hops in (1, 2, 3, 7):
        expected = [hop_by_hand(row, num_hops) for row in inputs.tolist()]
        assert Hops(num_tokens, num_symbols, num_hops).target(inputs).tolist() == expected
        if num_hops == 1:
            answers = InductionHeads(num_tokens, num_symbols).target(inputs).tolist()
            assert answers == [row[-1] for row in expected]


@pytest.mark.parametrize("seed", range(3))
def test_long_strings_are_answered_as_defined(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    problem = Hops(60, [2, 5, 60][seed], [9, 3, 2][seed])
    for draw in (problem.sample, problem.sample_moving):
        inputs = draw(5, generator=generator)
        expected = [hop_by_hand(row, problem.num_hops) for row in inputs.tolist()]
        assert problem.target(inputs).tolist() == expected, f"seed {seed}"


def test_the_example_of_the_cited_paper_gives_b_and_c() -> None:
    letters = "abcde"
    inputs = torch.tensor([[letters.index(letter) for letter in "baebcabebdea"]])
    assert letters[InductionHeads(12, 5).target(inputs)[0]] == "b"
    assert letters[Hops(12, 5, 2).target(inputs)[0, -1]] == "c"


def test_strings_without_equal_neighbours_move_at_each_hop() -> None:
    problem = Hops(200, 4, 1)
    inputs = problem.sample_moving(6, generator=torch.Generator().manual_seed(0))
    assert not (inputs[:, 1:] == inputs[:, :-1]).any()
    assert inputs.min() == 0
    assert inputs.max() == 3
    assert (problem.places(inputs) < torch.arange(1, 201)).all()
    uniform = problem.sample(6, generator=torch.Generator().manual_seed(0))
    assert (problem.places(uniform) == torch.arange(1, 201)).any()


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 4, 9, 10, 31])
def test_chains_hop_two_places_back(num_tokens: int) -> None:
    need = num_tokens // 2 + 1
    for num_symbols in (need, need + 3):
        problem = Hops(num_tokens, num_symbols, 1)
        inputs = problem.sample_chains(4, generator=torch.Generator().manual_seed(num_tokens))
        problem.check(inputs)
        places = problem.first_hop(inputs)
        moved = torch.arange(num_tokens + 1) - places
        assert moved[places > 0].unique().tolist() in ([], [1, 2], [2], [1])
        if num_tokens % 2 == 1:
            half = num_tokens // 2
            for num_hops in range(1, half + 1):  # the m-th hop finds s_0, and no hop finds a symbol twice
                answers = Hops(num_tokens, num_symbols, num_hops).target(inputs)[:, -1]
                assert torch.equal(answers, inputs[:, 2 * (half - num_hops) + 1])
            assert (Hops(num_tokens, num_symbols, half + 1).target(inputs)[:, -1] == NONE).all()


def over(call: Callable[[], object], message: str) -> None:
    """The call is refused in these words."""
    with pytest.raises(ValueError, match=message):
        call()


def test_sizes_and_strings_outside_the_definition_are_refused() -> None:
    generator = torch.Generator()
    over(lambda: InductionHeads(0, 3), "num_tokens must be at least 1, got 0")
    over(lambda: InductionHeads(3, 0), "num_symbols must be at least 1, got 0")
    over(lambda: Hops(3, 3, 0), "num_hops must be at least 1, got 0")
    over(lambda: InductionHeads(21, 3).all_inputs(), r"S\^N = 3\^21 strings are more than 2,000,000")
    over(lambda: InductionHeads(3, 2).target(torch.tensor([[0, 1]])), "inputs must have N = 3 tokens, got 2")
    over(lambda: InductionHeads(2, 2).target(torch.tensor([[0, 2]])), "symbols must lie in 0…1, got 2")
    over(lambda: Hops(2, 2, 1).target(torch.tensor([[-1, 1]])), "symbols must lie in 0…1, got -1")
    over(lambda: Hops(4, 1, 1).sample_moving(1, generator=generator), "need S ≥ 2 symbols, got 1")
    over(
        lambda: Hops(9, 4, 1).sample_chains(1, generator=generator),
        "a chain of N = 9 tokens needs S ≥ 5 symbols, got 4: at most 7 tokens",
    )
