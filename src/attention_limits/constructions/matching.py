"""Theorem 6 made of weights: one self-attention unit for pair detection, on the circle or in integers on a parabola.

A token's query is the mirror image of its own residue, so that a key scores highest exactly if it completes the token
to a multiple of M. A blank token, appended to every sequence, has a score half-way between a pair and the next best
thing. Its value is 0 and that of all others is 1: the output is the weight of the tokens, above 1/2 if there is a pair.

Letters: N = num_tokens, M = modulus, m = embed_dim, θ = 2π/M, δ = 1 − cos θ, g = margin in nats, c = scale,
u = unit roundoff (2^−24 in float32, 2^−53 in float64), σ the logistic function.
"""

import math

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from attention_limits.fixed_point import FixedPoint, PrecisionError
from attention_limits.models.attention import Attended, SelfAttentionUnit
from attention_limits.problems.matching import Match2, Match2Others

#: A score's error in units of c u, tokens' and blank's together, as proved on the book's page. Cosines and sines come
#: rounded from float64 in float32, and within one unit in the last place in float64.
SCORE_ERROR = {torch.float32: 4.0, torch.float64: 5.5}


def gap(modulus: int) -> float:
    """δ = 1 − cos(2π/M), computed as 2 sin²(π/M): the difference itself would cancel.

    Example:
        >>> gap(10**9) > 0, 1 - math.cos(2 * math.pi / 10**9)
        (True, 0.0)
    """
    return 2 * math.sin(math.pi / modulus) ** 2


def default_margin(num_tokens: int) -> float:
    """g = 4 + ln N: with it the largest M that a float type can do depends on N by a factor of 1.12 at most."""
    return 4 + math.log(num_tokens)


def power_of_two(least: float) -> float:
    """The smallest power of two that is at least ``least``; to multiply by it rounds nothing."""
    mantissa, exponent = math.frexp(least)
    return math.ldexp(1.0, exponent - (mantissa == 0.5))


class Match2Unit(nn.Module):
    """What the units for pairs share. A token stores (query; key; value), and the matrices of the unit select blocks.

    Calling it maps residues (batch, tokens) to probabilities (batch, tokens); a label is 1 if its output is above 1/2.

    Attributes:
        embed_dim: m. `num_heads` and `depth` are 1.
        margin: g; the right side of every label gets at least σ(g), but for rounding.
        scale: c, a power of two.
    """

    embed_dim = 3
    num_heads = 1
    depth = 1

    def __init__(self, problem: Match2, margin: float | None) -> None:
        super().__init__()
        goal = default_margin(problem.num_tokens) if margin is None else margin
        if not (math.isfinite(goal) and goal >= 1):
            raise ValueError(f"margin g must be finite and at least 1 (nat), got {goal}")
        self.problem, self.margin = problem, goal
        self.scale = 1.0
        blocks = torch.eye(2 * self.embed_dim + 1, dtype=torch.float32)
        self.attention = SelfAttentionUnit.from_matrices(
            query=blocks[:, : self.embed_dim], key=blocks[:, self.embed_dim : -1], value=blocks[:, -1:]
        )

    @property
    def dtype(self) -> torch.dtype:
        """The float type that the unit computes in."""
        return self.attention.query.dtype

    def queries(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """The tokens' queries in float64; the last coordinate is the blank's score."""
        raise NotImplementedError

    def keys(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """The tokens' keys in float64; the last coordinate is 0."""
        raise NotImplementedError

    def largest_modulus(self, dtype: torch.dtype) -> int:
        """The largest M for which labels are proved to be right in this float type, at this N and g."""
        raise NotImplementedError

    def blank_key(self) -> Float[Tensor, " embed_dim"]:
        """(0, …, 0, 1)."""
        return torch.eye(self.embed_dim, dtype=torch.float64)[-1]

    def tokens(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens_and_blank model_dim"]:
        """The token-wise map, each entry rounded once to the unit's float type; the blank token is the last one."""
        # On the CPU, whose cosine is known to be right to one unit in the last place.
        queries, keys = self.queries(inputs.cpu()), self.keys(inputs.cpu())
        stored = torch.cat([queries, keys, torch.ones_like(queries[..., :1])], dim=-1)
        blank = torch.cat(
            [torch.zeros(self.embed_dim, dtype=torch.float64), self.blank_key(), torch.zeros(1, dtype=torch.float64)]
        )
        with_blank = torch.cat([stored, blank.expand(len(stored), 1, -1)], dim=1)
        return with_blank.to(device=self.attention.query.device, dtype=self.dtype)

    def attend(self, inputs: Int[Tensor, "batch tokens"]) -> Attended:
        """The probabilities (batch, tokens, 1), and the attention (batch, tokens, tokens + 1), the blank last.

        Raises:
            ValueError: for what is no input of the problem.
            PrecisionError: if the float type is too small for M.
        """
        self.problem.check(inputs)
        self.check_precision()
        output, attention = self.attention.attend(self.tokens(inputs))
        assert isinstance(attention, Tensor)
        return Attended(output[:, : self.problem.num_tokens], attention[:, : self.problem.num_tokens])

    def forward(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
        """The probabilities of label 1."""
        return self.attend(inputs).output.squeeze(-1)

    def check_precision(self) -> None:
        """Raise `PrecisionError`, with the largest M that would do, unless the float type is large enough."""
        if self.dtype not in SCORE_ERROR:
            raise ValueError(f"the unit computes in float32 or float64, got {self.dtype}")
        unit_roundoff, tokens = torch.finfo(self.dtype).eps / 2, self.problem.num_tokens
        # The softmax and its sums: exp is off by at most a thousand roundings where it does not vanish.
        if 16 * (tokens + 1000) * unit_roundoff > 1:
            raise PrecisionError(f"{self.dtype} is too small for sums over N = {tokens} tokens")
        if self.problem.modulus > (most := self.largest_modulus(self.dtype)):
            raise PrecisionError(
                f"{self.dtype} is too small for modulus M = {self.problem.modulus}: the largest M at N = {tokens} and "
                f"g = {self.margin:.3g} is {most}" + ("; use .double()" if self.dtype == torch.float32 else "")
            )


class CircleUnit(Match2Unit):
    """Theorem 6: query c (cos θx, −sin θx, b/c), key (cos θx, sin θx, 0). Build it with `match2_unit`.

    Two tokens score c cos θ(x + x'): c for a pair, at most c (1 − δ) else. The blank's b = c (1 − δ/2) + ln N / 2 lies
    between. With c δ ≥ ln N + 2g the odds of the tokens against it are at least e^g with a pair, at most e^−g without.
    """

    def __init__(self, problem: Match2, margin: float | None, form: FixedPoint | None = None) -> None:
        super().__init__(problem, margin)
        self.delta, self.form = gap(problem.modulus), form
        log_tokens = math.log(problem.num_tokens)
        self.goal = self.margin
        self.scale = power_of_two((log_tokens + 2 * self.margin) / self.delta)
        # Rounding c up leaves more room than was asked for.
        self.margin = (self.scale * self.delta - log_tokens) / 2
        self.blank_score = self.scale - self.margin
        # In fixed point c is shared between both sides: the entries are of the size of √c.
        self.key_scale = 1.0 if form is None else math.ldexp(1.0, int(math.log2(self.scale)) // 2)

    def angles(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
        """θx in float64, for the residue nearest to 0."""
        return centred(inputs, self.problem.modulus).double() / self.problem.modulus * (2 * math.pi)

    def queries(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """c (cos θx, −sin θx, b/c); c is a power of two, so that its factor rounds nothing."""
        angle = self.angles(inputs)
        scale = self.scale / self.key_scale
        blank = torch.full_like(angle, self.blank_score / self.key_scale)
        return self._rounded(torch.stack([scale * angle.cos(), -scale * angle.sin(), blank], dim=-1))

    def keys(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """(cos θx, sin θx, 0)."""
        angle = self.angles(inputs)
        circle = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=-1)
        return self._rounded(self.key_scale * circle)

    def blank_key(self) -> Float[Tensor, " embed_dim"]:
        """(0, 0, 1), or in fixed point a power of two in place of the 1."""
        return self.key_scale * super().blank_key()

    def largest_modulus(self, dtype: torch.dtype) -> int:
        """Scores off by k c u leave a margin of ln 2 while 2 sin²(π/M) ≥ k u (ln N + 2g)/(g − ln 2), g as asked for."""
        relative = (math.log(self.problem.num_tokens) + 2 * self.goal) / (self.goal - math.log(2))
        least = SCORE_ERROR[dtype] * torch.finfo(dtype).eps / 2 * relative
        return int(math.pi / math.asin(math.sqrt(least / 2)))

    def check_precision(self) -> None:
        """As for all units; numbers of a fixed-point format must stay as they are."""
        super().check_precision()
        if not (self.form is None or self.dtype == torch.float64):
            raise ValueError("a unit in fixed point needs .double()")

    def _rounded(self, numbers: Tensor) -> Tensor:
        return numbers if self.form is None else self.form.round(numbers)


class ParabolaUnit(Match2Unit):
    """In integers (ours): query c (2t, −1, t² − ½), key (z, z², 0), where z and t are x and −x, nearest to 0.

    A pair scores c (2tz − z²) = c (t² − (t − z)²): c t² if t = z, at most c (t² − 1) if not. With a power of two
    c ≥ 2 ln N + 2g all entries are c/2 times integers of at most M²/2.
    """

    def __init__(self, problem: Match2, margin: float | None) -> None:
        super().__init__(problem, margin)
        log_tokens = math.log(problem.num_tokens)
        self.scale = power_of_two(2 * log_tokens + 2 * self.margin)
        self.margin = self.scale / 2 - log_tokens

    def queries(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """c (2t, −1, t² − ½)."""
        wanted = centred(-inputs, self.problem.modulus).double()
        return self.scale * torch.stack([2 * wanted, -torch.ones_like(wanted), wanted.square() - 0.5], dim=-1)

    def keys(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """(z, z², 0)."""
        residue = centred(inputs, self.problem.modulus).double()
        return torch.stack([residue, residue.square(), torch.zeros_like(residue)], dim=-1)

    def largest_modulus(self, dtype: torch.dtype) -> int:
        """All products are exact while 2⌊M/2⌋² ≤ 1/u: rounding their sum can't change an order."""
        return 2 * math.isqrt(round(1 / torch.finfo(dtype).eps)) + 1


class OthersUnit(CircleUnit):
    """Pairs with j ≠ i (ours): where 2x ≡ 0 the token itself scores c, and the blank c + ln 2 / 2.

    There the odds are at most (1 + e^{−2g})/√2 without another partner and at least √2 with one. The right side gets
    about √2/(1 + √2) = 0.586: no unit that knows residues only can do better.
    """

    def queries(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens embed_dim"]:
        """As on the circle, with the other score for the blank where a token is its own partner."""
        queries, own = super().queries(inputs), 2 * inputs % self.problem.modulus == 0
        queries[..., 2] = torch.where(own, self.scale + math.log(2) / 2, queries[..., 2])
        return queries

    def largest_modulus(self, dtype: torch.dtype) -> int:
        """Scores off by k c u and sums off by R must leave some of ln √2 − ln(1 + e^{−2g}); proved on the page."""
        unit_roundoff, tokens = torch.finfo(dtype).eps / 2, self.problem.num_tokens
        room = math.log(2) / 2 - math.log1p(math.exp(-2 * self.goal))
        room = min(room / 2, room - 4 * (tokens + 1000) * unit_roundoff)
        if room <= 0:
            return 1  # no modulus at all
        # c may be twice as large as asked for.
        scaled = 2 * (math.log(tokens) + 2 * self.goal)
        least = SCORE_ERROR[dtype] * unit_roundoff * scaled / room
        return int(math.pi / math.asin(math.sqrt(min(1.0, least / 2))))


def centred(numbers: Num[Tensor, "*shape"], modulus: int) -> Num[Tensor, "*shape"]:
    """The representative modulo M that is nearest to 0, in −⌊M/2⌋ … ⌈M/2⌉ − 1; integers, in any type.

    Example:
        >>> centred(torch.arange(5), 5).tolist(), centred(torch.arange(4), 4).tolist()
        ([0, 1, 2, -2, -1], [0, 1, -2, -1])
    """
    return (numbers + modulus // 2) % modulus - modulus // 2


def match2_format(problem: Match2, margin: float | None = None) -> FixedPoint:
    """A fixed-point format in which every label of `match2_unit` is proved right: about 2 log₂ M bits.

    Entries are at most A = 2^⌈k/2⌉ in the queries and B = 2^⌊k/2⌋ in the keys, c = AB = 2^k. If each is off by at most
    h = 2^{−f−1}, scores and the blank's score together are off by at most h(√2(A + B) + B) + 2h² < g/2. The right side
    still gets more than σ(g/2).

    Example:
        >>> match2_format(Match2(num_tokens=64, modulus=1024)).bits
        22
    """
    unit = CircleUnit(problem, margin)
    exponent = int(math.log2(unit.scale))
    large, small = math.ldexp(1.0, exponent - exponent // 2), math.ldexp(1.0, exponent // 2)
    fraction = 0
    while (half := math.ldexp(0.5, -fraction)) * (math.sqrt(2) * (large + small) + small + 2 * half) >= unit.margin / 2:
        fraction += 1
    return FixedPoint.holding(large, fraction)


def match2_unit(problem: Match2, *, margin: float | None = None, form: FixedPoint | None = None) -> CircleUnit:
    """The unit of Theorem 6 for ``problem``: m = 3, right for every input.

    Where we depart from the paper: c is a power of two, which saves a rounding.

    Args:
        problem: any N ≥ 1 and M ≥ 2.
        margin: g ≥ 1 in nats: the right side of every label gets at least σ(g). 4 + ln N by default.
        form: a fixed-point format to which all entries of queries and keys are rounded; see `match2_format`. Call
            ``.double()`` on the unit then.

    Raises:
        ValueError: outside the hypotheses, and *when called* with a modulus too large for the float type.

    Example:
        >>> unit = match2_unit(Match2(num_tokens=4, modulus=10))
        >>> (unit(torch.tensor([[1, 2, 3, 7]])) > 0.5).tolist(), unit.embed_dim
        ([[False, False, True, True]], 3)
    """
    if isinstance(problem, Match2Others):
        raise ValueError("pairs with j ≠ i need match2_others_unit")
    return CircleUnit(problem, margin, form)


def match2_parabola_unit(problem: Match2, *, margin: float | None = None) -> ParabolaUnit:
    """The integer unit for ``problem`` (ours), m = 3: exact to M = 5,793 in float32 and 134,217,729 in float64."""
    if isinstance(problem, Match2Others):
        raise ValueError("pairs with j ≠ i need match2_others_unit")
    return ParabolaUnit(problem, margin)


def match2_others_unit(problem: Match2Others, *, margin: float | None = None) -> OthersUnit:
    """The unit for pairs with j ≠ i (ours), m = 3."""
    return OthersUnit(problem, margin)
