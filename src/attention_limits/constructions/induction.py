"""Induction heads: two small layers for any alphabet, one tiny layer for two symbols, one wide layer (ours).

Tokens stand at the places 1 … N. In two layers, token j fetches the symbol before it, X_{j−1} (−1 for token 1); then it
publishes the address K X_{j−1} + j with K = 2N, and a token that wants what followed its own symbol asks at K X_i + i.

**Lemma (last place).** Let tokens j, at different places in 0 … i ≤ N, have the addresses K s_j + j with integers s_j.
The address nearest to K s + i, s an integer, is that of the largest j with s_j = s, if there is one with j ≥ 1; and
δ ≥ 1 whether there is one or not.

*Proof.* A token with s_j = s and j ≥ 1 is i − j ≤ N − 1 off. One with s_j > s is at least K + j − i ≥ N off, one with
s_j < s at least K + i − j ≥ K. So the nearest is one with s_j = s, and among these the one with the largest j. If two
tokens j ≠ l were equally far, one below and one above, then K (s_j + s_l − 2s) = 2i − j − l. As j and l differ, this
lies in 1 … 2N − 1: no multiple of K. So squared distances are different integers. ∎

All numbers are integers and the scale c is one of `fetch`, so that what is read is within 1/8 of an integer.

Letters: N = num_tokens, S = num_symbols, K = stride, c = scale, A = largest address.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attention_limits.constructions.fetch import (
    LARGEST_EXACT,
    Fetch,
    FetchStep,
    FetchTransformer,
    fetch_layer,
    fetch_scale,
)
from attention_limits.fixed_point import PrecisionError
from attention_limits.hypotheses import require_integer
from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit
from attention_limits.problems.induction import NONE, InductionHeads

#: How far what is read may be from an integer, at most.
READING_ERROR = 1 / 8
#: A with 3A² ≤ 2^53: scores 2ta − a² of targets and addresses up to A are exact in float64.
LARGEST_ADDRESS = math.isqrt(LARGEST_EXACT // 3)
#: The registers of a token: its symbol, its place, the symbol before it, and the answer.
SYMBOL, PLACE, BEFORE, ANSWER = range(4)


def largest_address(num_tokens: int, num_symbols: int, *, kinds: int = 1) -> int:
    """A = (2 kinds S − 1) N, the largest address and target where each symbol has a block of ``kinds`` times K = 2N.

    Raises:
        PrecisionError: if its scores are not exact in float64, with the largest S that works at this N.
    """
    address = (2 * kinds * num_symbols - 1) * num_tokens
    if address > LARGEST_ADDRESS:
        most = (LARGEST_ADDRESS // num_tokens + 1) // (2 * kinds)
        hint = f"at this N up to S = {most:,}" if most >= 1 else "N is too large for any S"
        raise PrecisionError(
            f"N = {num_tokens:,} tokens and S = {num_symbols:,} symbols need addresses up to {address:,}; "
            f"up to {LARGEST_ADDRESS:,} scores are exact in float64, {hint}"
        )
    return address


class InductionTransformer(FetchTransformer):
    """Two layers of one head, m = 2, a residual connection; values of one and two coordinates.

    Without a mask the last token answers, with `causal_mask` every token does.

    Args:
        problem: N and S.
        stride: K, by default 2N, which is proved to be enough.
        scale: c, a power of two; by default the one that is proved to be enough.

    Raises:
        PrecisionError: if addresses are too large for exact scores.
    """

    def __init__(self, problem: InductionHeads, *, stride: int | None = None, scale: float | None = None) -> None:
        largest_address(problem.num_tokens, problem.num_symbols)
        self.problem = problem
        self.stride = 2 * problem.num_tokens if stride is None else stride
        self.scale = proved_scale(problem) if scale is None else scale

        def look_back(registers: Tensor) -> list[Fetch]:
            place = registers[..., PLACE]
            return [Fetch((place - 1).clamp(min=1), place, registers[..., SYMBOL : SYMBOL + 1])]

        def keep_before(registers: Tensor, outputs: Tensor) -> Tensor:
            before = torch.where(registers[..., PLACE] == 1, NONE, outputs[..., 0].round())
            return _written(registers, BEFORE, before)

        def look_for_own(registers: Tensor) -> list[Fetch]:
            symbol, place, before, _ = registers.unbind(dim=-1)
            values = torch.stack([before, symbol], dim=-1)
            return [Fetch(self.stride * symbol + place, self.stride * before + place, values)]

        def keep_answer(registers: Tensor, outputs: Tensor) -> Tensor:
            before, follower = outputs.round().unbind(dim=-1)
            return _written(registers, ANSWER, torch.where(before == registers[..., SYMBOL], follower, NONE))

        super().__init__(
            [
                FetchStep(fetch_layer([1], self.scale), look_back, keep_before),
                FetchStep(fetch_layer([2], self.scale), look_for_own, keep_answer),
            ]
        )

    def registers(self, inputs: Int[Tensor, "inputs tokens"]) -> Float[Tensor, "inputs tokens 4"]:
        """(X_j, j, −1, −1) for each token j = 1 … N."""
        self.problem.check(inputs)
        places = torch.arange(1, self.problem.num_tokens + 1).expand_as(inputs)
        unknown = torch.full_like(inputs, NONE)
        return torch.stack([inputs, places, unknown, unknown], dim=-1).double()

    def answers(
        self, inputs: Int[Tensor, "inputs tokens"], mask: Bool[Tensor, "tokens tokens"] | None = None
    ) -> Int[Tensor, "inputs tokens"]:
        """What each token answers; without a mask only the last one's answer is proved."""
        return self(self.registers(inputs), mask=mask)[..., ANSWER].long()

    def reading_error(
        self, inputs: Int[Tensor, "inputs tokens"], mask: Bool[Tensor, "tokens tokens"] | None = None
    ) -> float:
        """The most by which an output that is rounded was off an integer: the last token's, or all under a mask."""
        asking = slice(-1, None) if mask is None else slice(None)
        outputs = [attended.output[:, asking] for _, attended, _ in self.run(self.registers(inputs), mask)]
        return max((output - output.round()).abs().max().item() for output in outputs)


def _written(registers: Tensor, register: int, numbers: Tensor) -> Tensor:
    """A copy of the registers with one of them written anew."""
    changed = registers.clone()
    changed[..., register] = numbers
    return changed


def proved_scale(problem: InductionHeads) -> float:
    """c, the least power of two with (N − 1) S e^{−c} ≤ 1/8: values lie in −1 … S − 1."""
    return fetch_scale(problem.num_tokens, spread=problem.num_symbols, error=READING_ERROR)


def induction_bits(num_tokens: int, num_symbols: int) -> int:
    """p: the bits that hold all queries, keys and values of `InductionTransformer` exactly, on every input.

    The largest entries are a key, A² with A = max((2S − 1)N, 2N − 1), and a query, 2c (2S − 1)N, both integers.

    Example: at S = 3 and N = 128 the key 640² has 19 digits.
        >>> induction_bits(128, 3)
        20
    """
    scale = int(proved_scale(InductionHeads(num_tokens, num_symbols)))
    target = largest_address(num_tokens, num_symbols)
    return 1 + max(max(target, 2 * num_tokens - 1) ** 2, 2 * scale * target).bit_length()


class TwoSymbolLayer:
    """One layer of one head, m = 1 and values of one coordinate, for S = 2: all scores are 0.

    Token j has the value X_j, but token N − 1 has (N + 1) X_{N−1}. N times the mean is then b + (N + 1) X_{N−1} with
    the b < N ones among the others. If X_{N−1} is the last token's symbol s, the answer is s. If not, the
    other symbol follows the last s before the end: the answer is 1 − s if s occurs before, and else there is none.

    Raises:
        ValueError: unless N ≥ 1.
    """

    def __init__(self, num_tokens: int) -> None:
        require_integer("num_tokens", num_tokens, 1)
        self.problem = InductionHeads(num_tokens, 2)
        self.layer = MultiHeadAttention([uniform_head(torch.ones(1, 1, dtype=torch.float64))])
        self.weights = torch.ones(num_tokens, dtype=torch.float64)
        self.weights[-2:-1] = num_tokens + 1  # token N − 1, if there is one

    def answer(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, " inputs"]:
        """The last token's answer."""
        self.problem.check(inputs)
        n, own = self.problem.num_tokens, inputs[:, -1]
        mean = self.layer((self.weights * inputs).unsqueeze(-1))[:, -1, 0]
        total = (n * mean).round().long()
        before, others = total // (n + 1), total % (n + 1)
        ones = before + others
        occurs = torch.where(own == 1, ones, n - ones) >= 2  # besides the last token itself
        follower = torch.where(before == own, own, 1 - own)
        return torch.where(occurs, follower, NONE)


class SlotLayer:
    """One layer of one head, m = 1, with a slot for each token: all scores are 0, and the mean is the whole string.

    Token j has the value N X_j in slot j and 0 elsewhere. A map after the layer does the rest.
    """

    def __init__(self, problem: InductionHeads) -> None:
        self.problem = problem
        self.layer = MultiHeadAttention([uniform_head(torch.eye(problem.num_tokens, dtype=torch.float64))])

    def tokens(self, inputs: Int[Tensor, "inputs tokens"]) -> Float[Tensor, "inputs tokens tokens"]:
        """N X_j in slot j, for each token."""
        self.problem.check(inputs)
        return torch.diag_embed(self.problem.num_tokens * inputs.double())

    def read(self, outputs: Float[Tensor, "inputs tokens"]) -> Int[Tensor, " inputs"]:
        """The answer from the last token's output, right where each coordinate is off by less than 1/2."""
        return self.problem.target(outputs.round().long().clamp(0, self.problem.num_symbols - 1))

    def answer(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, " inputs"]:
        """The last token's answer."""
        return self.read(self.layer(self.tokens(inputs))[:, -1])


def uniform_head(value: Float[Tensor, "model_dim value_dim"]) -> SelfAttentionUnit:
    """A head with Q = K = 0 and m = 1: each token takes the mean of all values."""
    zero = torch.zeros(len(value), 1, dtype=value.dtype)
    return SelfAttentionUnit.from_matrices(zero, zero, value)
