"""One unit of third-order attention for Match3, with m = 4; its like at every order; and its evaluation by counting.

The score of token i with a tuple is c cos θ(x_i + x_j + x_k), θ = 2π/M: largest exactly where the sum is 0 modulo M.
A blank key catches the rest. As a sum of products of functions of one token each the cosine takes s terms, not 2^(s−1).

Letters: N = num_tokens, M = modulus, s = order, c = scale, g = log_odds, δ = gap (1 − cos θ for one frequency).
"""

import math
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_limits.constructions.frequencies import check_frequencies, frequency_gap, profile_gaps
from attention_limits.hypotheses import require_integer
from attention_limits.models.tensor_attention import tensor_attention
from attention_limits.problems.matching import Match3, Matching, tuple_counts


class CosineForm(NamedTuple):
    """cos(a_1 + … + a_s) as Σ_r weights[r] ∏_l (factors[l, r, 0] cos a_l + factors[l, r, 1] sin a_l)."""

    weights: Float[Tensor, " terms"]
    factors: Float[Tensor, "order terms 2"]
    amplification: float  # bound on Σ_r |weights[r]| ∏_l |factor of a_l|: how rounding of the terms is magnified


def rotation_form(order: int) -> CosineForm:
    """s terms (ours): cos(a_1 + … + a_s) = (2^(s−1)/s) Σ_{k<s} (−1)^k ∏_l cos(a_l + πk/s)."""
    require_integer("order", order, 1)
    turn = torch.arange(order, dtype=torch.float64) * (math.pi / order)
    signs = torch.tensor([(-1.0) ** k for k in range(order)], dtype=torch.float64)
    factors = torch.stack([turn.cos(), -turn.sin()], dim=-1).expand(order, order, 2)
    # Hölder: Σ_k ∏_l |cos| ≤ max_a Σ_k |cos(a + πk/s)|^s, and Σ_k cos^(2j) = s C(2j, j)/4^j for 2j ≤ s.
    half = order // 2
    bound = math.comb(2 * half, half) * 2.0 ** (order - 1 - 2 * half)
    return CosineForm(signs * 2.0 ** (order - 1) / order, factors, bound)


def expansion_form(order: int) -> CosineForm:
    """2^(s−1) terms: the addition theorem, a product of cosines and an even number of sines in each term."""
    require_integer("order", order, 1)
    choices = [sines for sines in product((0, 1), repeat=order) if sum(sines) % 2 == 0]
    weights = torch.tensor([(-1.0) ** (sum(sines) // 2) for sines in choices], dtype=torch.float64)
    factors = nn.functional.one_hot(torch.tensor(choices), 2).double().transpose(0, 1)
    return CosineForm(weights, factors, 2.0 ** (order / 2))  # ∏_l (|cos a_l| + |sin a_l|)


def evaluate_form(form: CosineForm, angles: Float[Tensor, "*batch order"]) -> Float[Tensor, "*batch"]:
    """The sum of products at given angles, one for each factor."""
    waves = torch.stack([angles.cos(), angles.sin()], dim=-1)
    return (torch.einsum("...lw,lrw->...lr", waves, form.factors).prod(dim=-2) * form.weights).sum(dim=-1)


class MatchTensorUnit(nn.Module):
    """One unit of order s: int64 residues (batch, tokens) → probabilities; the label is *output > 1/2*.

    The right side gets at least σ(g) in exact arithmetic, and at least σ(g/2) in the floats of the module, whose
    rounding is bounded when it is called. Queries and keys are rounded to the module's format.

    Attributes:
        embed_dim: m, one coordinate for each term and frequency, and one for the blank.
        scale: c = max(((s−1) ln N + 2g)/δ, g + ln 2X), X = `num_mixed`.
        num_mixed: X = (N+1)^(s−1) − N^(s−1) − 1 tuples of tokens and blanks; they score 0, and count.
        blank_score: ln(e^(c−g) − X), so that all tuples with a blank weigh e^(c−g) together.
    """

    num_heads = 1
    depth = 1
    frequencies: Tensor
    _format: Tensor

    def __init__(
        self, problem: Matching, form: CosineForm, frequencies: Int[Tensor, " frequencies"], log_odds: float
    ) -> None:
        super().__init__()
        size, modulus = problem.num_tokens, problem.modulus
        check_frequencies(frequencies, modulus)
        finite = math.isfinite(log_odds) and log_odds > 0
        if not finite:
            raise ValueError(f"log_odds g must be positive and finite, got {log_odds}")
        self.problem, self.form, self.log_odds = problem, form, log_odds
        self.order = form.factors.shape[0]
        self.gap = frequency_gap(frequencies, modulus)
        named = f"the frequencies {frequencies.tolist()}"
        if not self.gap > 0:
            raise ValueError(f"{named} do not tell all residues modulo {modulus} apart")
        slots = self.order - 1
        self.num_mixed = (size + 1) ** slots - size**slots - 1
        self.needed = slots * math.log(size) + 2 * log_odds  # c δ, at least
        least = log_odds + math.log(2 * self.num_mixed) if self.num_mixed else 0.0
        self.scale = max(self.needed / self.gap, least)
        self.blank_score = self.scale - log_odds + math.log1p(-self.num_mixed * math.exp(log_odds - self.scale))
        self.register_buffer("frequencies", frequencies.clone())
        self.register_buffer(
            "_format", torch.zeros((), dtype=torch.float32)
        )  # follows .double(), .bfloat16(), .to(device)

    @property
    def embed_dim(self) -> int:
        """m."""
        return len(self.form.weights) * len(self.frequencies) + 1

    def features(self, inputs: Int[Tensor, "batch tokens"], slot: int) -> Float[Tensor, "batch tokens terms"]:
        """The factors of one slot, for each frequency and term, in float64 from exactly reduced angles of at most π."""
        modulus = self.problem.modulus
        turned = (inputs.unsqueeze(-1) * self.frequencies) % modulus
        angles = torch.where(2 * turned > modulus, turned - modulus, turned).double() * (2 * math.pi / modulus)
        waves = torch.stack([angles.cos(), angles.sin()], dim=-1)
        return torch.einsum("bnfw,rw->bnfr", waves, self.form.factors[slot].to(inputs.device)).flatten(-2)

    def queries(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed"]:
        """c/F times the weighted factors of slot 0, and the blank's score."""
        weights = self.form.weights.to(inputs.device).repeat(len(self.frequencies)) * self.scale / len(self.frequencies)
        terms = self.features(inputs, 0) * weights
        return torch.cat([terms, terms.new_full((*inputs.shape, 1), self.blank_score)], dim=-1)

    def keys(self, inputs: Int[Tensor, "batch tokens"], slot: int) -> Float[Tensor, "batch tokens_and_blank embed"]:
        """The factors of a slot with 0 beside them; last the blank, (0, …, 0, 1)."""
        tokens = nn.functional.pad(self.features(inputs, slot), (0, 1))
        blank = tokens.new_zeros(len(inputs), 1, self.embed_dim)
        blank[..., -1] = 1
        return torch.cat([tokens, blank], dim=1)

    def forward(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
        """The weight on tuples of tokens, by `tensor_attention`: values are 1 for a token and 0 for the blank."""
        self.problem.check(inputs)
        self.check_format(self._format.dtype)
        dtype, slots = self._format.dtype, range(1, self.order)
        keys = tuple(self.keys(inputs, slot).to(dtype) for slot in slots)
        value = torch.ones(len(inputs), keys[0].shape[1], 1, dtype=dtype, device=inputs.device)
        value[:, -1] = 0
        return tensor_attention(self.queries(inputs).to(dtype), keys, (value,) * len(slots)).squeeze(-1)

    def by_counts(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
        """The same probabilities in float64 and O(N + M log M) steps for one frequency, whatever the size of c.

        The weight of a tuple depends on its sum modulo M only. So the tuples are counted by their sums, and these
        counts correlated with exp(−c · `profile_gaps`). Residues whose weight is so small that all tuples together
        would change the output by less than 1e-15 are left out; a few around 0 remain.
        """
        self.problem.check(inputs)
        size, modulus, slots = self.problem.num_tokens, self.problem.modulus, self.order - 1
        counts = tuple_counts(inputs, modulus, slots)
        exponents = -self.scale * profile_gaps(self.frequencies, modulus)
        kept = (exponents > math.log(1e-15) - self.log_odds - slots * math.log(size)).nonzero().flatten()
        found = torch.zeros(inputs.shape, dtype=torch.float64, device=inputs.device)
        for residue in kept:
            found += counts.gather(1, (residue - inputs) % modulus) * exponents[residue].exp()
        return found / (found + math.exp(-self.log_odds))  # both relative to e^c

    def rounding(self, dtype: torch.dtype) -> float:
        """How far the log-odds can be off in floats, relative to c: a bound on all roundings of the scores."""
        working = torch.promote_types(dtype, torch.float32)
        store, step, exact = (torch.finfo(kind).eps / 2 for kind in (dtype, working, torch.float64))
        # A term has s rounded entries, 4 factors in float64 in its query, and s − 1 products; then come the sums.
        roundings = ((store, self.order), (exact, 4), (step, self.order + self.embed_dim))
        growth = math.expm1(sum(times * math.log1p(unit) for unit, times in roundings))
        terms = self.form.amplification * growth
        # A factor is cos(a + b). Each angle, at most π, is off by 2.4 units relatively, so by 7.5; each wave by 2 more,
        # and the sum of two products by 1. That is 20 units, absolutely, and the other factors are at most 1.
        angles = 20 * self.order * exact * self.form.weights.abs().sum().item()
        blank_and_shift = store + 3 * step
        return terms + angles + blank_and_shift

    def check_format(self, dtype: torch.dtype) -> None:
        """Refuse a float type whose rounding could eat more than half of the log-odds g.

        Raises:
            ValueError: naming the type, M and, for the one frequency 1, the largest M that it can do.
        """
        tuples = (self.problem.num_tokens + 1) ** (self.order - 1)
        working = torch.promote_types(dtype, torch.float32)
        sums = 4 * tuples * torch.finfo(working).eps  # the softmax's two sums, in any order of summation
        output = 8 * torch.finfo(dtype).eps  # the result is rounded to dtype: σ'(0) = 1/4
        largest_scale = (self.log_odds / 2 - sums - output) / self.rounding(dtype)
        if self.scale <= largest_scale:
            return
        message = f"{dtype} is too small for M = {self.problem.modulus} at N = {self.problem.num_tokens}: "
        if self.frequencies.tolist() != [1]:
            raise ValueError(message + f"c = {self.scale:.4g}, and it can do c ≤ {max(largest_scale, 0):.4g}")
        ratio = self.needed / (2 * largest_scale) if largest_scale > 0 else math.inf
        largest = math.floor(math.pi / math.asin(math.sqrt(ratio))) if ratio <= 1 else 0
        able = f"it can do M ≤ {largest}" if largest >= 2 else "it can do no M"
        raise ValueError(f"{message}{able}; use .double(), or more frequencies")


def match3_tensor_unit(
    problem: Match3,
    *,
    form: CosineForm | None = None,
    frequencies: Int[Tensor, " frequencies"] | None = None,
    log_odds: float | None = None,
) -> MatchTensorUnit:
    """The unit for Match3: m = 4 as it comes, 5 with ``expansion_form(3)``, 3F + 1 with F frequencies.

    The paper has such a unit; m = 4, its constants and the frequencies are ours. g is 1 + ln N unless given.

    Raises:
        ValueError: for a form of another order, or frequencies that do not tell all residues apart.
    """
    form = rotation_form(3) if form is None else form
    if form.factors.shape[0] != 3:
        raise ValueError(f"Match3 needs a form of order 3, got {form.factors.shape[0]}")
    return match_tensor_unit(problem, form, frequencies=frequencies, log_odds=log_odds)


def match_tensor_unit(
    problem: Matching,
    form: CosineForm,
    *,
    frequencies: Int[Tensor, " frequencies"] | None = None,
    log_odds: float | None = None,
) -> MatchTensorUnit:
    """The unit of the form's order s ≥ 2: with ``rotation_form(s)`` m = s + 1."""
    require_integer("order", form.factors.shape[0], 2)
    frequencies = torch.tensor([1]) if frequencies is None else frequencies
    log_odds = 1 + math.log(problem.num_tokens) if log_odds is None else float(log_odds)
    return MatchTensorUnit(problem, form, frequencies, log_odds)
