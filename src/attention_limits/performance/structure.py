"""Contests between trying all tuples and using the structure of modular sums: counting, sorting, convolution.

Letters: N = num_tokens, M = modulus.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor

from attention_limits.constructions.third_order import match3_tensor_unit
from attention_limits.performance.contests import Contest, Way
from attention_limits.problems.matching import Match2, Match3, Matching
from attention_limits.problems.tuples import PlantedTriples, planted_triples

#: From an input and M to its labels.
Search = Callable[[list[int], int], list[bool]]


def loop_over_pairs(row: list[int], modulus: int) -> list[bool]:
    """Match2 as its definition says; a token's search ends at its first partner.

    Example:
        >>> loop_over_pairs([1, 2, 3], 5)
        [False, True, True]
    """
    return [any((x + y) % modulus == 0 for y in row) for x in row]


def loop_over_triples(row: list[int], modulus: int) -> list[bool]:
    """Match3 as its definition says; a token's search ends at its first pair of partners.

    Example:
        >>> loop_over_triples([1, 2, 3], 7)
        [True, True, True]
    """
    return [any((x + y + z) % modulus == 0 for y in row for z in row) for x in row]


def set_of_residues(row: list[int], modulus: int) -> list[bool]:
    """Match2 by looking up −x in a hash table."""
    present = set(row)
    return [-x % modulus in present for x in row]


def set_of_sums(row: list[int], modulus: int) -> list[bool]:
    """Match3 by looking up −x in a hash table of the N² sums."""
    sums = {(y + z) % modulus for y in row for z in row}
    return [-x % modulus in sums for x in row]


def oracle_contests(pair_grid: Sequence[int], triple_grid: Sequence[int], seed: int) -> list[Contest]:
    """The exact targets of Match2 and Match3 at the M that makes about half of the labels 1; one input."""
    contests = []
    for size in pair_grid:
        pairs = Match2(size, Match2.balanced_modulus(size))
        contests.append(_oracle(pairs, loop_over_pairs, set_of_residues, "sorting", seed))
    for size in triple_grid:
        triples = Match3(size, Match3.balanced_modulus(size))
        contests.append(_oracle(triples, loop_over_triples, set_of_sums, "convolution", seed))
    return contests


def _one_input(problem: Matching, seed: int) -> Int[Tensor, "1 tokens"]:
    return problem.sample(1, generator=torch.Generator().manual_seed(seed))


def _oracle(problem: Matching, loop: Search, table: Search, method: str, seed: int) -> Contest:
    def listed(search: Search) -> Way:
        return lambda inputs: torch.tensor([search(row, problem.modulus) for row in inputs.tolist()])

    return Contest(
        f"labels of {type(problem).__name__}",
        {"N": problem.num_tokens, "M": problem.modulus},
        partial(_one_input, problem, seed),
        {
            "loop over tuples": listed(loop),
            "all tuples at once": problem.brute_force,
            "hash table": listed(table),
            method: problem.target,
        },
        tolerance=0.0,
        count=problem.num_tokens,
    )


def evaluation_contests(token_grid: Sequence[int], seed: int) -> list[Contest]:
    """The output of the third-order unit for Match3 in float64: all pairs streamed, and by counting sums of pairs."""
    contests = []
    for size in token_grid:
        problem = Match3(size, Match3.balanced_modulus(size))
        unit = match3_tensor_unit(problem).double()
        contests.append(
            Contest(
                "unit for Match3",
                {"N": size, "M": problem.modulus},
                partial(_one_input, problem, seed),
                {"all pairs, streamed": unit, "by counting": unit.by_counts},
                tolerance=unit.rounding(torch.float64) * unit.scale,  # the unit's own bound on the log-odds
                count=size,
            )
        )
    return contests


def long_contest(num_tokens: int, modulus: int, num_planted: int, seed: int) -> Contest:
    """The labels of one long input with planted triples, by the oracle and by the unit."""
    problem = Match3(num_tokens, modulus)
    unit = match3_tensor_unit(problem)

    def draw() -> PlantedTriples:
        return planted_triples(num_tokens, modulus, num_planted, generator=torch.Generator().manual_seed(seed))

    return Contest(
        "labels of a long input",
        {"N": num_tokens, "M": modulus},
        draw,
        {
            "convolution": lambda planted: problem.target(planted.inputs),
            "the unit, by counting": lambda planted: unit.by_counts(planted.inputs) > 0.5,
        },
        tolerance=0.0,
        count=num_tokens,
    )
