"""hop_k in about log₂ k layers: pointers that double, and symbols that follow them (weights ours; depth of the paper).

Token i keeps a pointer, at first find(i), and a symbol, at first its own. In a *doubling* layer it fetches by place
what the token P that it points to keeps; it takes over its pointer, and its symbol too if a bit of k says so. Let the
pointers be find^h(i) and the symbols X at find^g(i) before the layer. After it they are find^{2h}(i) and, if the bit
is 1, X at find^{g+h}(i). If P = i, then find(i) = i, and the token keeps what it has: so that P is visible under a
strict mask too.

How find(i) is found depends on the mask, by the lemma of the last place in `induction`:

* `StrictMaskHops`, j < i: layer 1 finds the last earlier place of the own symbol, and find(i) is the next one. No
  symbol has made a hop yet when the first pointers are there, and the bits 0, 1, … of k are left to layers 2, 3, …:
  depth ⌊log₂ k⌋ + 2, and depth L reaches all k < 2^{L−1}.
* `ManyHeadHops`, j ≤ i: the same depth. A token's own key would win, so ⌈log₂ N⌉ heads look in layer 1, each at places
  that differ from the own one in one binary digit; an earlier place differs in some.
* `OneHeadHops`, j ≤ i: layer 1 notes down X_{i−1}, layer 2 finds the last noted symbol X_i and makes the first hop, and
  the bits of k − 1 are left: depth ⌈log₂ k⌉ + 2, and depth L reaches all k ≤ 2^{L−2}.

Letters: N = num_tokens, S = num_symbols, k = num_hops, K = 2N, c = scale, A = largest address.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.fetch import Fetch, FetchStep, FetchTransformer, fetch_layer, fetch_scale
from attention_limits.constructions.induction import READING_ERROR, largest_address
from attention_limits.hypotheses import require_integer
from attention_limits.models.attention import causal_mask
from attention_limits.problems.induction import NONE, Hops

#: The registers of a token: its symbol, its place, its pointer (0: none), and the symbol that it hands on.
SYMBOL, PLACE, POINTER, HELD = range(4)


class HopTransformer(FetchTransformer):
    """What the three constructions share: some layers find the first hop, one for each bit that is left doubles it.

    Args:
        problem: N, S and k.
        strict: whether a token may see itself (the first always does).
        finding: the layers that make the pointer find(i).
        bits: for each doubling layer, whether the symbol follows the pointer there.
        scale: c.
    """

    def __init__(
        self, problem: Hops, *, strict: bool, finding: Sequence[FetchStep], bits: Sequence[bool], scale: float
    ) -> None:
        super().__init__([*finding, *(_doubling(follow, scale) for follow in bits)])
        self.problem, self.scale = problem, scale
        self.mask = causal_mask(problem.num_tokens, strict=strict)

    def registers(self, inputs: Int[Tensor, "inputs tokens"]) -> Float[Tensor, "inputs tokens 4"]:
        """(X_i, i, 0, X_i) for each token i = 1 … N."""
        self.problem.check(inputs)
        places = torch.arange(1, self.problem.num_tokens + 1).expand_as(inputs)
        return torch.stack([inputs, places, torch.zeros_like(inputs), inputs], dim=-1).double()

    def answers(self, inputs: Int[Tensor, "inputs tokens"]) -> Int[Tensor, "inputs tokens"]:
        """hop_k for each token, under the mask of the construction."""
        return self(self.registers(inputs), mask=self.mask)[..., HELD].long()

    def reading_error(self, inputs: Int[Tensor, "inputs tokens"]) -> float:
        """The most by which an output was off an integer before it was rounded."""
        outputs = [attended.output for _, attended, _ in self.run(self.registers(inputs), self.mask)]
        return max((output - output.round()).abs().max().item() for output in outputs)


class StrictMaskHops(HopTransformer):
    """Depth ⌊log₂ k⌋ + 2, one head, m = 2, values of two coordinates, under the mask j < i.

    Raises:
        PrecisionError: if addresses are too large for exact scores.
    """

    def __init__(self, problem: Hops, *, scale: float | None = None) -> None:
        largest_address(problem.num_tokens, problem.num_symbols)
        scale = proved_scale(problem) if scale is None else scale
        first = FetchStep(fetch_layer([2], scale), _look_for_own(problem.num_tokens, [None]), _keep_last_place)
        super().__init__(problem, strict=True, finding=[first], bits=binary_digits(problem.num_hops), scale=scale)


class ManyHeadHops(HopTransformer):
    """Depth ⌊log₂ k⌋ + 2, ⌈log₂ N⌉ heads in layer 1 (one, if N = 1), one head else, m = 2, under the mask j ≤ i.

    Raises:
        PrecisionError: if addresses are too large for exact scores.
    """

    def __init__(self, problem: Hops, *, scale: float | None = None) -> None:
        largest_address(problem.num_tokens, problem.num_symbols, kinds=2)
        scale = proved_scale(problem) if scale is None else scale
        digits = list(range(max(1, (problem.num_tokens - 1).bit_length())))
        layer = fetch_layer([2] * len(digits), scale)
        first = FetchStep(layer, _look_for_own(problem.num_tokens, digits), _keep_last_place)
        super().__init__(problem, strict=False, finding=[first], bits=binary_digits(problem.num_hops), scale=scale)


class OneHeadHops(HopTransformer):
    """Depth ⌈log₂ k⌉ + 2, one head, m = 2, values of at most three coordinates, under the mask j ≤ i.

    Raises:
        PrecisionError: if addresses are too large for exact scores.
    """

    def __init__(self, problem: Hops, *, scale: float | None = None) -> None:
        largest_address(problem.num_tokens, problem.num_symbols)
        scale = proved_scale(problem) if scale is None else scale
        stride = 2 * problem.num_tokens

        def look_back(registers: Tensor) -> list[Fetch]:
            place = registers[..., PLACE]
            return [Fetch((place - 1).clamp(min=1), place, registers[..., SYMBOL : SYMBOL + 1])]

        def note(registers: Tensor, outputs: Tensor) -> Tensor:
            symbol, place, pointer, _ = registers.unbind(dim=-1)
            noted = torch.where(place == 1, NONE, outputs[..., 0].round())
            return torch.stack([symbol, place, pointer, noted], dim=-1)

        def look_for_noted(registers: Tensor) -> list[Fetch]:
            symbol, place, _, noted = registers.unbind(dim=-1)
            values = torch.stack([noted, place, symbol], dim=-1)
            return [Fetch(stride * symbol + place, stride * noted + place, values)]

        def hop(registers: Tensor, outputs: Tensor) -> Tensor:
            symbol, place = registers[..., SYMBOL], registers[..., PLACE]
            noted, there, follower = outputs.round().unbind(dim=-1)
            found = noted == symbol
            return torch.stack(
                [symbol, place, torch.where(found, there, 0), torch.where(found, follower, NONE)], dim=-1
            )

        finding = [
            FetchStep(fetch_layer([1], scale), look_back, note),
            FetchStep(fetch_layer([3], scale), look_for_noted, hop),
        ]
        bits = binary_digits(problem.num_hops - 1)
        super().__init__(problem, strict=False, finding=finding, bits=bits, scale=scale)


def _look_for_own(num_tokens: int, digits: Sequence[int | None]) -> Callable[[Tensor], list[Fetch]]:
    """A fetch of the last place with the own symbol for each digit: None, or one in which the place has to differ."""

    def ask(registers: Tensor) -> list[Fetch]:
        symbol, place = registers[..., SYMBOL], registers[..., PLACE]
        values = torch.stack([symbol, place], dim=-1)
        fetches = []
        for digit in digits:
            if digit is None:
                wanted = published = symbol
            else:
                value = (place.long() - 1) >> digit & 1
                wanted, published = 2 * symbol + 1 - value, 2 * symbol + value
            fetches.append(Fetch(2 * num_tokens * wanted + place, 2 * num_tokens * published + place, values))
        return fetches

    return ask


def _keep_last_place(registers: Tensor, outputs: Tensor) -> Tensor:
    """The latest of the places read that hold the own symbol and come earlier; the pointer leads to the next one."""
    symbol, place = registers[..., SYMBOL], registers[..., PLACE]
    read, there = outputs.round().unflatten(-1, (-1, 2)).unbind(dim=-1)
    earlier = (read == symbol.unsqueeze(-1)) & (there < place.unsqueeze(-1))
    last = torch.where(earlier, there, 0).amax(dim=-1)
    return torch.stack([symbol, place, torch.where(last > 0, last + 1, 0), registers[..., HELD]], dim=-1)


def _doubling(follow: bool, scale: float) -> FetchStep:
    """A layer in which each token takes over the pointer, and with ``follow`` the symbol, of the one it points to."""

    def ask(registers: Tensor) -> list[Fetch]:
        return [Fetch(registers[..., POINTER].clamp(min=1), registers[..., PLACE], registers[..., POINTER:])]

    def keep(registers: Tensor, outputs: Tensor) -> Tensor:
        symbol, place, pointer, held = registers.unbind(dim=-1)
        read_pointer, read_held = outputs.round().unbind(dim=-1)
        stays = pointer == place
        further = torch.where(
            stays, pointer, read_pointer
        )  # without a pointer one reads token 1, which has none either
        followed = torch.where(stays, held, torch.where(pointer == 0, NONE, read_held))
        return torch.stack([symbol, place, further, followed if follow else held], dim=-1)

    return FetchStep(fetch_layer([2], scale), ask, keep)


def binary_digits(number: int) -> list[bool]:
    """The binary digits, lowest first; none for 0."""
    return [bool(number >> digit & 1) for digit in range(number.bit_length())]


def proved_scale(problem: Hops) -> float:
    """c, the least power of two with (N − 1) max(N, S) e^{−c} ≤ 1/8: values lie in 0 … N or −1 … S − 1."""
    spread = max(problem.num_tokens, problem.num_symbols)
    return fetch_scale(problem.num_tokens, spread=spread, error=READING_ERROR)


def strict_depth(num_hops: int) -> int:
    """⌊log₂ k⌋ + 2, the layers of `StrictMaskHops` and `ManyHeadHops`.

    Example:
        >>> [strict_depth(k) for k in (1, 2, 3, 4, 7, 8)]
        [2, 3, 3, 4, 4, 5]
    """
    require_integer("num_hops", num_hops, 1)
    return num_hops.bit_length() + 1


def one_head_depth(num_hops: int) -> int:
    """⌈log₂ k⌉ + 2, the layers of `OneHeadHops`.

    Example:
        >>> [one_head_depth(k) for k in (1, 2, 3, 4, 7, 8)]
        [2, 3, 4, 4, 5, 5]
    """
    require_integer("num_hops", num_hops, 1)
    return (num_hops - 1).bit_length() + 2


def hop_bits(num_tokens: int, num_symbols: int, *, kinds: int = 1, notes: bool = False) -> int:
    """p: the bits that hold all queries, keys and values exactly, on every input.

    The largest entries are a key, A², and a query, 2cA, with A = (2 kinds S − 1)N.

    Args:
        num_tokens, num_symbols: N and S.
        kinds: 2 for `ManyHeadHops`.
        notes: true for `OneHeadHops`, where token 1 has the address 1 − 2N; its key is larger for S = 1.

    Example: at S = 3 and N = 1,024 the key 5120² has 25 digits.
        >>> hop_bits(1024, 3)
        26
    """
    address = largest_address(num_tokens, num_symbols, kinds=kinds)
    scale = int(proved_scale(Hops(num_tokens, num_symbols, 1)))
    key = max(address, 2 * num_tokens - 1) if notes else address
    return 1 + max(key**2, 2 * scale * address).bit_length()


def printed_hops(num_hops: int) -> int:
    """The hops that a recursion makes which adds 2^{j−1} hops, not 2^j, for a digit k_j = 1 with j ≥ 1.

    Example:
        >>> [printed_hops(k) for k in (1, 2, 3, 4)]
        [1, 1, 2, 2]
    """
    require_integer("num_hops", num_hops, 1)
    return sum(1 << max(0, place - 1) for place, digit in enumerate(binary_digits(num_hops)) if digit)
