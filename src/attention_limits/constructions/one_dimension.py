"""Units with one key dimension, m = 1, that pass below m* = min(2q, N−1) once a hypothesis is dropped (for Theorem 3).

Every number is enclosed in an interval (Arb, through python-flint): errors and differences are proved, not estimated.

Letters: N tokens, q = sparsity, y a pointer set, z ∈ {±1}^N values, t the number that stands for a token,
k and v a token's key and value, r a query.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product
from math import inf, nextafter
from typing import NamedTuple

import numpy as np
import torch
from flint import arb, ctx, fmpq
from jaxtyping import Float
from torch import Tensor, nn

from attention_limits.models.attention import SelfAttentionUnit
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

#: Bits of the enclosures.
PRECISION = 192


@dataclass(frozen=True)
class SingleUnit:
    """A unit for q = 1, m = 1 on z ∈ {±1}^N: key and value of token j may depend on j and z_j, the query on y alone.

    Attributes:
        keys: k_j for z_j = −1 and for z_j = +1: two rows of N decimals; equal rows are position-only keys.
        values: v_j, likewise.
        queries: r for y = {1}, …, {N}.
    """

    keys: tuple[tuple[str, ...], tuple[str, ...]]
    values: tuple[tuple[str, ...], tuple[str, ...]]
    queries: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        """N."""
        return len(self.queries)

    def worst_error(self) -> float:
        """The largest error over all 2^N value patterns and all N pointers, rounded up: a proved upper bound."""
        worst, tokens = 0.0, range(self.num_tokens)
        previous, ctx.prec = ctx.prec, PRECISION
        try:
            keys, values = ([[_enclose(entry) for entry in row] for row in part] for part in (self.keys, self.values))
            for y, query in enumerate(_enclose(entry) for entry in self.queries):
                weights = [[(query * keys[sign][j]).exp() for j in tokens] for sign in (0, 1)]
                for signs in product((0, 1), repeat=self.num_tokens):
                    total = sum((weights[sign][j] for j, sign in enumerate(signs)), arb(0))
                    mixed = sum((weights[sign][j] * values[sign][j] for j, sign in enumerate(signs)), arb(0))
                    error = abs(mixed / total - (2 * signs[y] - 1))
                    worst = max(worst, nextafter(float(error.upper()), inf))
        finally:
            ctx.prec = previous
        return worst


#: Position-only keys, values scaled for each token.
SCALED_VALUES = SingleUnit(
    keys=(("-5.788", "9.671", "-6.146", "9.319"),) * 2,
    values=(("-2.147", "-0.655", "-0.655", "-2.145"), ("2.147", "0.655", "0.655", "2.145")),
    queries=("-0.365", "17.130", "-16.839", "0.366"),
)
#: Keys and values that see z: below 1/2 at N = 5, which position-only keys cannot reach with any values.
KEYS_THAT_SEE_VALUES = SingleUnit(
    keys=(("0.704", "-3.802", "0.746", "-4.013", "-3.726"), ("0.877", "-2.406", "0.882", "-4.267", "-3.044")),
    values=(("2.574", "-6.560", "-3.851", "-0.574", "3.552"), ("2.132", "-9.715", "-0.919", "0.556", "11.934")),
    queries=("12.105", "-1.633", "1.445", "-18.688", "-0.302"),
)


class ScalarRows(NamedTuple):
    """The outputs of a scalar unit on all inputs of a finite alphabet, in increasing order."""

    #: Rounded to floats.
    outputs: Float[np.ndarray, " rows"]
    #: The right answer to each.
    answers: Float[np.ndarray, " rows"]
    #: A proved lower bound on the difference of any two outputs.
    least_gap: float


class ScalarUnit(nn.Module):
    """A transformer of one layer with m = 1 that computes sparse averaging on z ∈ {±1}^N exactly.

    Token (i, z, y) becomes one number t(i, z, y), Q = K = V = 1, and the output map looks the attended number up: all
    rows of all inputs give different numbers, which is proved by intervals when the unit is built.

    Attributes:
        numbers: t, (N, 2, C(N, q)): position, z = −1 or +1, subsets in lexicographic order; multiples of 2^−20.
        rows: what each row of each input gives, and what it should.
    """

    embed_dim = 1
    num_heads = 1
    depth = 1
    numbers: Tensor

    def __init__(self, problem: SparseAveraging, numbers: Float[Tensor, "tokens 2 subsets"]) -> None:
        super().__init__()
        self.problem = problem
        self.register_buffer("numbers", numbers)
        self.attention = SelfAttentionUnit.from_matrices(*(torch.ones(1, 1, dtype=torch.float64) for _ in range(3)))
        subsets = problem.subsets()
        index = torch.zeros(2**problem.num_tokens, dtype=torch.int64)
        index[(2**subsets).sum(dim=1)] = torch.arange(len(subsets))
        self.register_buffer("subset_index", index)
        self.rows = distinct_rows(problem, numbers)

    def forward(self, inputs: SparseAveragingInputs) -> Float[Tensor, "batch tokens 1"]:
        """The exact answers; values must be −1 or +1."""
        self.problem.check(inputs)
        if not (inputs.values.abs() == 1).all():
            raise ValueError("the alphabet of this unit is z = ±1, got another value")
        subsets = self.get_buffer("subset_index")[(2**inputs.pointers).sum(dim=-1)]
        signs = (inputs.values[..., 0] > 0).long()
        numbers = self.numbers[torch.arange(self.problem.num_tokens), signs, subsets]
        attended = self.attention(numbers.unsqueeze(-1)).squeeze(-1)
        # The output map: the nearest of the numbers that can occur.
        outputs = torch.from_numpy(self.rows.outputs)
        nearest = torch.searchsorted((outputs[1:] + outputs[:-1]) / 2, attended)
        return torch.from_numpy(self.rows.answers)[nearest].unsqueeze(-1)


def scalar_unit(problem: SparseAveraging, *, generator: torch.Generator) -> ScalarUnit:
    """A `ScalarUnit` with random numbers in [−3/2, 3/2); almost every choice will do.

    Raises:
        ValueError: unless d' = 1 and the (2 C(N, q))^N inputs are at most 2^16, or if two rows cannot be told apart.
    """
    if problem.value_dim != 1:
        raise ValueError(f"the scalar unit has value_dim d' = 1, got {problem.value_dim}")
    alphabet = 2 * len(problem.subsets())
    count = alphabet**problem.num_tokens
    if count > 2**16:
        raise ValueError(f"all inputs are listed, at most {2**16}: got {alphabet}^{problem.num_tokens} = {count}")
    shape = (problem.num_tokens, 2, alphabet // 2)
    steps = torch.randint(-3 * 2**19, 3 * 2**19, shape, generator=generator, device=generator.device)
    return ScalarUnit(problem, steps.double() / 2**20)


def distinct_rows(problem: SparseAveraging, numbers: Float[Tensor, "tokens 2 subsets"]) -> ScalarRows:
    """All outputs Σ_j t_j e^{t_i t_j} / Σ_j e^{t_i t_j}, over all inputs and rows i, proved to be different.

    Raises:
        ValueError: if two of their enclosures meet.
    """
    subsets, tokens = problem.subsets().tolist(), range(problem.num_tokens)
    alphabet = [(sign, subset) for sign in (0, 1) for subset in range(len(subsets))]
    rows: list[tuple[float, arb, float]] = []
    previous, ctx.prec = ctx.prec, PRECISION
    try:
        t = {(j, *letter): arb(numbers[(j, *letter)].item()) for j in tokens for letter in alphabet}
        for i, own in product(tokens, alphabet):
            weights = {token: (t[(i, *own)] * number).exp() for token, number in t.items()}
            pairs = {token: (weight, weight * t[token]) for token, weight in weights.items()}
            for others in product(alphabet, repeat=len(tokens) - 1):
                letters = (*others[:i], own, *others[i:])
                terms = [pairs[(j, *letter)] for j, letter in enumerate(letters)]
                output = sum((term[1] for term in terms), arb(0)) / sum((term[0] for term in terms), arb(0))
                answer = sum(2 * letters[j][0] - 1 for j in subsets[own[1]]) / problem.sparsity
                rows.append((float(output.mid()), output, answer))
        rows.sort(key=lambda row: row[0])
        gaps = (upper[1] - lower[1] for lower, upper in pairwise(rows))
        least = min(float(gap.lower()) for gap in gaps)
    finally:
        ctx.prec = previous
    if not least > 0:
        raise ValueError("two rows of these numbers cannot be told apart: draw others")
    return ScalarRows(np.array([row[0] for row in rows]), np.array([row[2] for row in rows]), nextafter(least, 0))


def _enclose(decimal: str) -> arb:
    value = Fraction(decimal)
    return arb(fmpq(value.numerator, value.denominator))
