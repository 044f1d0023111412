"""Two easy relatives of Match3 made of weights: bigrams by two layers, windows by one unit.

Both look for neighbours with keys (j, j²) on a parabola: the score c (2 a j − j²) = c a² − c (j − a)² is largest at the
positions next to a. Positions and residues are centred around 0 and c has few significant digits, so that the scores
that matter are exact in floats; `require_exact` refuses the sizes where they would not be.

Letters: N = num_tokens, M = modulus, K = window, P = value_slots, c = scale, g = MARGIN.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_limits.constructions.matching import centred
from attention_limits.hypotheses import require_integer
from attention_limits.models.attention import Attended, MultiHeadAttention, SelfAttentionUnit, Transformer
from attention_limits.problems.matching import Match3Bigram, Match3Local

#: g: the right side of each decision of the bigram transformer has a probability of at least σ(g).
MARGIN = 2.0
#: Significant binary digits of the local unit's scale c.
SCALE_DIGITS = 5


def largest_exact(dtype: torch.dtype, factor: int = 1) -> int:
    """The largest R for which ``factor`` · R ⌊R/2⌋ is an integer that floats of this type still count exactly.

    It bounds the products 2 a j of two numbers centred around 0, one of them scaled by at most ``factor``.

    Example:
        >>> largest_exact(torch.float32), largest_exact(torch.float64)
        (5793, 134217728)
    """
    most = round(2 / torch.finfo(dtype).eps) // factor
    size = math.isqrt(2 * most) + 1
    while size * (size // 2) > most:
        size -= 1
    return size


def require_exact(name: str, size: int, dtype: torch.dtype, factor: int = 1) -> None:
    """Refuse a size whose squares ``dtype`` can't hold."""
    most = largest_exact(dtype, factor)
    if size > most:
        raise ValueError(f"{name} = {size} is too large for {dtype}, which does at most {most}: widen it")


def bigram_scales(num_tokens: int, modulus: int) -> tuple[float, float]:
    """The powers of two (c₁, c₂) that scale the scores of the two layers.

    c₁ ≥ ½ ln(16 max(M, 6)): what layer 1 fetches is off by less than 1/4. c₂ ≥ 2 ln n + 2g with n = max(N − 1, 1)
    bigrams: layer 2 decides with probability at least σ(g).
    """
    first = math.log(16 * max(modulus, 6)) / 2
    second = 2 * math.log(max(num_tokens - 1, 1)) + 2 * MARGIN
    return 2.0 ** math.ceil(math.log2(first)), 2.0 ** math.ceil(math.log2(second))


def _blocks(*widths: int) -> tuple[Tensor, ...]:
    """Matrices that select consecutive blocks of coordinates."""
    return torch.eye(sum(widths), dtype=torch.float32).split(widths, dim=1)


class Match3BigramTransformer(nn.Module):
    """Two layers of one head for Match3Bigram, without a residual connection. Build it by its function.

    *Layer 1.* Token i looks half-way between i and i + 1 and so gives both the weight 1/2. Residues sit in two slots,
    for even and for odd positions, so that x_i and x_{i+1} don't mix; a third value, i mod 4, tells which slot is its
    own: the two codes add up to 1 or 5 for an even i and to 3 for an odd one. The last token finds itself alone, and an
    even doubled code.

    *Layer 2.* Query x_i against the keys z_j = x_j + x_{j+1}, as in Theorem 6, on a parabola: with t ≡ −x_i the score
    c (2 t z − z²) = c t² − c (t − z)² is c t² for a match and at most c (t² − 1) otherwise. The last token has no
    bigram; it is the blank, of score c (t² − 1/2) and value 0.

    Attributes:
        embed_dim: 3, the larger of the layers' 2 and 3. `num_heads` is 1, `depth` 2.
        transformer: the `Transformer`, on tokens (residue, centred position).
    """

    embed_dim = 3
    num_heads = 1
    depth = 2

    def __init__(self, problem: Match3Bigram) -> None:
        super().__init__()
        self.problem = problem
        self.fetch_scale, self.match_scale = bigram_scales(problem.num_tokens, problem.modulus)
        fetch = SelfAttentionUnit.from_matrices(*_blocks(2, 2, 3))
        match = SelfAttentionUnit.from_matrices(*_blocks(3, 3, 1))
        self.transformer = Transformer(
            [MultiHeadAttention([fetch]), MultiHeadAttention([match])],
            [self.before_fetching, self.before_matching, torch.nn.Identity()],
        )

    def before_fetching(self, tokens: Float[Tensor, "batch tokens 2"]) -> Float[Tensor, "batch tokens 7"]:
        """φ₀: query c₁ (2a, −1) with a = j + 1/2, key (j, j²), values (x if j even, x if j odd, j mod 4)."""
        residue, position = tokens.unbind(-1)
        c, odd = self.fetch_scale, position.remainder(2)
        query = [c * (2 * position + 1), torch.full_like(position, -c)]
        key = [position, position.square()]
        return torch.stack([*query, *key, residue * (1 - odd), residue * odd, position.remainder(4)], dim=-1)

    def before_matching(self, fetched: Float[Tensor, "batch tokens 3"]) -> Float[Tensor, "batch tokens 7"]:
        """φ₁: read x_i and x_{i+1} off the slots; query c₂ (2t, −1, t² − 1/2), key (z, z², 0), value 1."""
        own, following, last = self.read_bigrams(fetched)
        c, t, z = self.match_scale, centred(-own, self.problem.modulus), centred(own + following, self.problem.modulus)
        query = [2 * c * t, torch.full_like(t, -c), c * (t.square() - 0.5)]
        key = [z * (1 - last), z.square() * (1 - last), last]
        return torch.stack([*query, *key, 1 - last], dim=-1)

    def read_bigrams(self, fetched: Float[Tensor, "batch tokens 3"]) -> tuple[Tensor, Tensor, Tensor]:
        """x_i, x_{i+1} and whether i is the last token (then the second means nothing), all rounded to integers."""
        code = (2 * fetched[..., 2]).round()
        last = 1 - code.remainder(2)
        odd = torch.where(last == 1, (code / 2).remainder(2), (code == 3).to(code))
        even_slot, odd_slot = fetched[..., 0], fetched[..., 1]
        own = torch.where(odd == 1, odd_slot, even_slot)
        other = torch.where(odd == 1, even_slot, odd_slot)
        return ((2 - last) * own).round(), (2 * other).round(), last

    def tokens(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens 2"]:
        """Residues and centred positions, in the dtype of the module.

        Raises:
            ValueError: for what is no input of the problem, or if the float type is too small for M or N.
        """
        self.problem.check(inputs)
        dtype = next(self.parameters()).dtype
        require_exact("modulus M", self.problem.modulus, dtype)
        require_exact("num_tokens N", self.problem.num_tokens, dtype)
        positions = torch.arange(self.problem.num_tokens, device=inputs.device) - self.problem.num_tokens // 2
        return torch.stack([inputs, positions.expand_as(inputs)], dim=-1).to(dtype)

    def attend(self, inputs: Int[Tensor, "batch tokens"]) -> Attended:
        """The probabilities (batch, tokens, 1) and the attention matrices of both layers."""
        return self.transformer.attend(self.tokens(inputs))

    def forward(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
        """Probabilities; the label is 1 where they pass 1/2."""
        return self.attend(inputs).output.squeeze(-1)


def match3_bigram_transformer(problem: Match3Bigram) -> Match3BigramTransformer:
    """Two layers of one head with m = 3 that compute Match3Bigram, right for every input.

    Float32 by default, exact scores up to M = N = 5793; ``.double()`` for more.

    Example:
        >>> task = Match3Bigram(num_tokens=4, modulus=5)
        >>> model = match3_bigram_transformer(task)
        >>> (model(torch.tensor([[2, 1, 2, 4]])) > 0.5).tolist()
        [[True, False, True, True]]
    """
    return Match3BigramTransformer(problem)


def reach(problem: Match3Local) -> int:
    """K as far as it matters: min(window, N − 1)."""
    return min(problem.window, problem.num_tokens - 1)


def local_scale(problem: Match3Local, value_slots: int) -> float:
    """c ≥ ln(8M + 1)/(P (P − 2K)), rounded up to `SCALE_DIGITS` significant binary digits.

    Slot-mates of a window's token lie at least P further on; together they disturb its residue by less than 1/4.
    """
    least = math.log(8 * problem.modulus + 1) / (value_slots * (value_slots - 2 * reach(problem)))
    step = 2.0 ** (math.floor(math.log2(least)) + 1 - SCALE_DIGITS)
    return math.ceil(least / step) * step


def local_bits(problem: Match3Local, value_slots: int) -> tuple[int, int]:
    """Integer and fractional bits of a fixed-point format that is enough for the averages, with proof.

    The output map multiplies an average by at most Z e^{cK²}, Z the largest total weight, and then rounds to an
    integer: rounding the average to multiples of 2^{−f} costs less than 1/4 if 2^f ≥ 2 Z e^{cK²}. An average of
    residues lies in 0 … M − 1, so that it takes i + f bits, and one more in a format with a sign.
    """
    c = local_scale(problem, value_slots)
    total = max(_total_weights(problem.num_tokens, c).tolist())
    fraction = math.ceil(math.log2(2 * total) + c * reach(problem) ** 2 / math.log(2))
    return (problem.modulus - 1).bit_length(), fraction


def _total_weights(num_tokens: int, scale: float) -> Float[Tensor, " tokens"]:
    """Z_i = Σ_j e^{−c(j − i)²} for each token, in float64."""
    weights = torch.exp(-scale * torch.arange(num_tokens, dtype=torch.float64).square())
    below = weights.cumsum(0)
    return below + below.flip(0) - 1


class Match3LocalUnit(nn.Module):
    """One unit for Match3Local: average the neighbours, residues in P slots. Build it by its function.

    Query c (2i, −1) and key (j, j²) give the weights e^{−c(j−i)²}/Z_i; token j has its residue in slot j mod P. The
    2K + 1 tokens of a window fall into different slots. The output map knows its position i by a *residual connection*:
    it multiplies slot j mod P by Z_i e^{c(j−i)²}, rounds, and has the residues of its window.

    Attributes:
        embed_dim: m = max(P, 2). `num_heads` and `depth` are 1.
        scale: c.
    """

    num_heads = 1
    depth = 1

    def __init__(self, problem: Match3Local, value_slots: int) -> None:
        super().__init__()
        self.problem, self.value_slots = problem, value_slots
        self.scale = local_scale(problem, value_slots)
        self.embed_dim = max(value_slots, 2)
        self.attention = SelfAttentionUnit.from_matrices(*_blocks(2, 2, value_slots))

    def tokens(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens model_dim"]:
        """The token-wise map: (query; key; residue in its slot), in the dtype of the unit.

        Raises:
            ValueError: for what is no input of the problem, or if the float type is too small for M, N or P.
        """
        self.problem.check(inputs)
        size, dtype = self.problem.num_tokens, self.attention.query.dtype
        require_exact("num_tokens N", size, dtype, factor=2**SCALE_DIGITS)
        # A sum of N positive floats is off by a factor of at most 1 ± N eps/2, and there are two; 8 for the rest.
        most = math.floor(1 / (4 * (size + 8) * torch.finfo(dtype).eps))
        if self.problem.modulus > most:
            raise ValueError(
                f"modulus M = {self.problem.modulus} is too large for {dtype}, which does at most {most} at N = {size}"
            )
        falls, room = self.scale * reach(self.problem) ** 2 + math.log(size), -math.log(torch.finfo(dtype).tiny)
        if not falls <= room:
            raise ValueError(
                f"value_slots P = {self.value_slots}: weights down to e^-{falls:.0f} underflow in {dtype}, which has "
                f"e^-{room:.0f}: widen it or take more slots"
            )
        position = torch.arange(size, device=inputs.device)
        centre = (position - size // 2).to(dtype)
        query = torch.stack([2 * self.scale * centre, torch.full_like(centre, -self.scale)], dim=-1)
        key = torch.stack([centre, centre.square()], dim=-1)
        slots = torch.nn.functional.one_hot(position % self.value_slots, self.value_slots)
        values = (inputs.unsqueeze(-1) * slots).to(dtype)
        return torch.cat([torch.cat([query, key], dim=-1).expand(len(inputs), -1, -1), values], dim=-1)

    def attend(self, inputs: Int[Tensor, "batch tokens"]) -> Attended:
        """The averages (batch, tokens, P) and the attention matrix, before the output map."""
        return self.attention.attend(self.tokens(inputs))

    def window_residues(self, averages: Float[Tensor, "batch tokens slots"]) -> Float[Tensor, "batch tokens offsets"]:
        """The first half of the output map: the residues of positions i − K … i + K, not rounded; nan where none is."""
        size, most = self.problem.num_tokens, reach(self.problem)
        offset = torch.arange(-most, most + 1, device=averages.device)
        position = torch.arange(size, device=averages.device).unsqueeze(1) + offset
        growth = torch.exp(self.scale * offset.double().square())
        factor = _total_weights(size, self.scale).to(averages.device).unsqueeze(1) * growth
        slots = averages.double().gather(2, (position % self.value_slots).expand(len(averages), -1, -1))
        return torch.where((position >= 0) & (position < size), slots * factor, torch.nan)

    def decide(self, averages: Float[Tensor, "batch tokens slots"]) -> Float[Tensor, "batch tokens"]:
        """The output map: 1 where two tokens of the window complete the own residue to a multiple of M, else 0."""
        residues = self.window_residues(averages).round()
        own = residues[..., reach(self.problem), None]
        found = torch.zeros_like(own[..., 0], dtype=torch.bool)
        for first in residues.split(1, dim=-1):  # nan equals nothing
            found |= ((own + first + residues) % self.problem.modulus == 0).any(dim=-1)
        return found.to(averages.dtype)

    def forward(self, inputs: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
        """Probabilities, 0 or 1; the label is 1 where they pass 1/2."""
        return self.decide(self.attend(inputs).output)


def match3_local_unit(problem: Match3Local, *, value_slots: int | None = None) -> Match3LocalUnit:
    """One unit with m = max(P, 2) that computes Match3Local, right for every input; m does not depend on N.

    Where we depart from the paper: keys on a parabola, residues in slots, and a residual connection for the position.

    Args:
        value_slots: P ≥ 2K + 1, 4K by default (at least 2K + 1). Fewer slots need more bits: see `local_bits`.

    Raises:
        ValueError: if P < 2K + 1, where a window longer than the sequence counts as K = N − 1.

    Example:
        >>> unit = match3_local_unit(Match3Local(num_tokens=5, modulus=6, window=1))
        >>> unit(torch.tensor([[1, 5, 4, 4, 0]])).tolist(), unit.embed_dim
        ([[0.0, 0.0, 1.0, 1.0, 1.0]], 4)
    """
    most = reach(problem)
    slots = max(4 * most, 2 * most + 1) if value_slots is None else value_slots
    require_integer("value_slots", slots, 1)
    if not slots >= 2 * most + 1:
        raise ValueError(f"value_slots P = {slots} must be at least 2K + 1 = {2 * most + 1} for K = {most}")
    return Match3LocalUnit(problem, slots)
