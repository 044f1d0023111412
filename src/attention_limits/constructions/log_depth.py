"""Match-s in logarithmic depth, at every order s: tokens multiply polynomials by a number-theoretic transform (ours).

Only the set A of residues that occur matters, as indices are unrestricted. Let a be the indicator of A on [0, M), and
b that of the set *repeated*, b_e = 1 if e mod M is in A, on [0, (s−1)M). Then a, s − 2 times, convolved with b has at
u = (s−2)M + (−x_i mod M) the number of solutions of token i, and nothing wraps around modulo M or modulo L ≥ (s−1)M:
no folding is needed, and one last fetch reads the label.

Token k < T owns W = L/T entries of each array. The transform is a butterfly across tokens: a stage pairs k with k xor
2^j, which share an address, k without bit j. Each publishes its entries in the slot of its own bit, so that twice the
mean is both tokens' entries; the rest is arithmetic modulo a prime P inside the token. Radix R = 2^ρ joins ρ stages
in one layer. Spare tokens, from T on, ask what token 0 asks and publish nowhere.

Letters: N = num_tokens, M = modulus, s = order, R = radix, T tokens own W entries each, L = T W, P = prime, ω of
order L.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, count, repeat
from math import isqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.deep_matching import (
    NOWHERE,
    READING_ERROR,
    DeepMatcher,
    Sizes,
    entry_bits,
    largest_readable,
    reading_scale,
    require_modulus,
)
from attention_limits.constructions.fetch import GAP_AT_QUARTER, Fetch, FetchStep, fetch_layer, fetch_scale
from attention_limits.fixed_point import PrecisionError
from attention_limits.hypotheses import require_integer, require_matching
from attention_limits.problems.tuples import MatchTuple

#: Products of two residues modulo P fit into int64 below this.
LARGEST_PRIME = 2**31


@dataclass(frozen=True)
class TransformPlan:
    """Who owns what, and what it takes: closed formulas, for any N.

    Raises:
        ValueError: unless N ≥ 1, M ≥ 2, s ≥ 2, and R ≥ 2 is a power of two.
        PrecisionError: for a modulus or an order that float64 and int64 do not hold.

    Example: 1,024 tokens modulo 1,025.
        >>> TransformPlan(1024, 1025).sizes
        Sizes(depth=22, num_heads=4, width=16, bits=22)
    """

    num_tokens: int
    modulus: int
    order: int = 3
    radix: int = 2

    def __post_init__(self) -> None:
        require_matching(self.num_tokens, self.modulus)
        require_integer("order", self.order, 2)
        require_integer("radix", self.radix, 2)
        if self.radix & (self.radix - 1):
            raise ValueError(f"radix R must be a power of two, got {self.radix}")
        most = min(isqrt(2**52 // 3) + 1, largest_readable(self.num_tokens) + 1)  # 3 (M − 1)² halves are exact scores
        require_modulus(MatchTuple(self.num_tokens, self.modulus, self.order), most)
        limit = min(LARGEST_PRIME, largest_readable(self.num_tokens, self._merged))
        if self.prime >= limit:
            primes = {s: least_prime(self.num_tokens, self.modulus, s) for s in range(2, self.order)}
            works = max((s for s, prime in primes.items() if prime < limit), default="none")
            raise PrecisionError(
                f"order s = {self.order} needs the prime P = {self.prime} at N = {self.num_tokens}, "
                f"M = {self.modulus}, not below {limit}: the largest s that works is {works}"
            )

    @property
    def length(self) -> int:
        """L, the least power of two from (s − 1)M on."""
        return array_length(self.modulus, self.order)

    @property
    def owners(self) -> int:
        """T, the largest power of two up to N, at most L."""
        return min(1 << (self.num_tokens.bit_length() - 1), self.length)

    @property
    def share(self) -> int:
        """W = L/T, the entries that a token owns."""
        return self.length // self.owners

    @cached_property
    def prime(self) -> int:
        """P."""
        return least_prime(self.num_tokens, self.modulus, self.order)

    @property
    def groups(self) -> list[tuple[int, int]]:
        """(lowest bit, how many bits) of the token's number that a layer transforms, from the top."""
        tops = range(self.owners.bit_length() - 1, 0, -(self.radix.bit_length() - 1))
        taken = [(top, min(top, self.radix.bit_length() - 1)) for top in tops]
        return [(top - bits, bits) for top, bits in taken]

    @property
    def _merged(self) -> int:
        """Tokens that a layer of the transform joins, at most: R or T."""
        return min(self.radix, self.owners)

    @property
    def presence_scale(self) -> float:
        """c of the first layer, for questions at a quarter below an integer."""
        spread = self.modulus - 1
        return max(2.0, fetch_scale(self.num_tokens, spread=spread, error=READING_ERROR, gap=GAP_AT_QUARTER))

    @property
    def transform_scale(self) -> float:
        """c of all other layers."""
        return reading_scale(self.num_tokens, self.prime - 1)

    @property
    def sizes(self) -> Sizes:
        """Depth 2 ⌈log₂ T/ρ⌉ + 2; W heads in the first layer and one in the others; d' = 2RW, or W if T = 1."""
        first, later, residue = int(self.presence_scale), int(self.transform_scale), self.modulus - 1
        asked = ((self.order - 1) * self.modulus - 1) // self.share  # the last token that is read
        cosets = max(((self.owners >> bits) - 1 for _, bits in self.groups), default=0)
        keys = max(residue**2, (self.owners - 1) ** 2, NOWHERE**2)
        queries = max(2 * first * residue - first // 2, first, 2 * later * max(asked, cosets), later)
        width = 2 * self._merged * self.share if self.groups else self.share
        bits = entry_bits(max(keys, queries, self.prime - 1))
        return Sizes(2 * len(self.groups) + 2, self.share, width, bits)


class LogDepthMatcher(DeepMatcher):
    """The layers of a `TransformPlan`.

    Args:
        plan: N, M, s and R.
        presence_scale: c of the first layer, a power of two; by default the one that is proved to be enough.
        root: ω, by default an element of order L modulo P.
    """

    def __init__(self, plan: TransformPlan, presence_scale: float | None = None, root: int | None = None) -> None:
        self.plan = plan
        position = torch.arange(plan.num_tokens)
        self._owning = position < plan.owners
        self._owner = torch.where(self._owning, position, 0)
        self._entries = self._owner.unsqueeze(1) * plan.share + torch.arange(plan.share)  # e, (tokens, W)
        root = root_of_unity(plan.prime, plan.length) if root is None else root
        self._powers = {
            False: powers(root, plan.length, plan.prime),
            True: powers(pow(root, -1, plan.prime), plan.length, plan.prime),
        }
        scale = plan.presence_scale if presence_scale is None else presence_scale
        turn = len(plan.groups)  # layers of the forward transform
        steps = [FetchStep(fetch_layer([1] * plan.share, scale), self._ask_presence, self._presence(turn == 0))]
        steps += [self._across(group, False, last=place == turn) for place, group in enumerate(plan.groups, start=1)]
        steps += [self._across(group, True) for group in reversed(plan.groups)]
        steps.append(FetchStep(fetch_layer([plan.share], plan.transform_scale), self._ask_count, self._label))
        super().__init__(MatchTuple(plan.num_tokens, plan.modulus, plan.order), plan.sizes, steps)

    def _ask_presence(self, registers: Tensor) -> list[Fetch]:
        """Head l: which residue is nearest to a quarter below e mod M, e the l-th entry of the token?"""
        residue = registers[..., 0]
        wanted = (self._entries % self.plan.modulus - 0.25).expand(*residue.shape, -1)
        return [Fetch(question, residue, residue.unsqueeze(-1)) for question in wanted.unbind(-1)]

    def _presence(self, turn: bool) -> Callable[[Tensor, Tensor], Tensor]:
        """What was read is within 1/8 of a residue that occurs: of e mod M if and only if that occurs."""
        plan = self.plan

        def keep(registers: Tensor, outputs: Tensor) -> Tensor:
            here = (outputs - self._entries % plan.modulus).abs() < 0.5
            single, repeated = (self._entries < times * plan.modulus for times in (1, plan.order - 1))
            arrays = torch.stack([here & single, here & repeated], dim=-2).long()
            return self._store(registers, self._multiply(arrays) if turn else arrays)

        return keep

    def _across(self, group: tuple[int, int], inverse: bool, last: bool = False) -> FetchStep:
        """A layer of the transform: a coset of 2^bits tokens shares its entries, and each takes its own further."""
        (low, bits), plan = group, self.plan
        merged, channels = 1 << bits, 1 if inverse else 2
        slot = (self._owner >> low) % merged
        coset = (self._owner >> (low + bits) << low) | (self._owner % (1 << low))
        address = torch.where(self._owning, coset, NOWHERE).double()
        first = self._owner - (slot << low)
        entries = ((first.unsqueeze(1) + (torch.arange(merged) << low)).unsqueeze(-1) * plan.share).unsqueeze(-1)
        entries = (entries.squeeze(-1) + torch.arange(plan.share)).flatten(1)  # (tokens, slots · W)
        own = torch.nn.functional.one_hot(slot, merged).double()  # (tokens, slots)

        def ask(registers: Tensor) -> list[Fetch]:
            arrays = registers[..., 1:].unflatten(-1, (channels, 1, plan.share))
            values = (own[:, None, :, None] * arrays).flatten(-3)
            shape = registers.shape[:-1]
            return [Fetch(coset.double().expand(shape), address.expand(shape), values)]

        def keep(registers: Tensor, outputs: Tensor) -> Tensor:
            arrays = (merged * outputs).round().long().unflatten(-1, (channels, merged * plan.share))
            for bit in range(bits) if inverse else reversed(range(bits)):
                arrays = self._butterfly(arrays, entries, plan.share << bit, plan.share << (low + bit), inverse)
            chosen = slot[:, None, None, None].expand(*arrays.shape[:-1], 1, plan.share)
            arrays = arrays.unflatten(-1, (merged, plan.share)).gather(-2, chosen).squeeze(-2)
            return self._store(registers, self._multiply(arrays) if last else arrays)

        return FetchStep(fetch_layer([channels * merged * plan.share], plan.transform_scale), ask, keep)

    def _butterfly(
        self,
        arrays: Int[Tensor, "inputs tokens channels entries"],
        entries: Int[Tensor, "tokens entries"],
        stride: int,
        half: int,
        inverse: bool,
    ) -> Int[Tensor, "inputs tokens channels entries"]:
        """One stage on what a token holds: entries at distance ``stride`` here, ``half`` in the whole array."""
        low, high = arrays.unflatten(-1, (-1, 2, stride)).unbind(-2)
        below = entries.unflatten(-1, (-1, 2, stride))[..., 0, :]
        twiddle = self._powers[inverse][below % half * (self.plan.length // (2 * half))].unsqueeze(1)
        if inverse:
            high = high * twiddle % self.plan.prime
        difference = (low - high) % self.plan.prime
        if not inverse:
            difference = difference * twiddle % self.plan.prime
        return torch.stack([(low + high) % self.plan.prime, difference], dim=-2).flatten(-3)

    def _multiply(self, arrays: Int[Tensor, "inputs tokens 2 share"]) -> Int[Tensor, "inputs tokens 1 share"]:
        """The last stages of the transform, the product a^{s−2} b, divided by L, and the first stages back."""
        plan, inside = self.plan, range(self.plan.share.bit_length() - 1)
        for bit in reversed(inside):
            arrays = self._butterfly(arrays, self._entries, 1 << bit, 1 << bit, False)
        single, product = arrays[..., :1, :], arrays[..., 1:, :] * pow(plan.length, -1, plan.prime) % plan.prime
        for _ in range(plan.order - 2):
            product = product * single % plan.prime
        for bit in inside:
            product = self._butterfly(product, self._entries, 1 << bit, 1 << bit, True)
        return product

    def _ask_count(self, registers: Tensor) -> list[Fetch]:
        """Token i asks the owner of entry (s−2)M + (−x_i mod M)."""
        position = torch.arange(self.plan.num_tokens)
        address = torch.where(self._owning, position, NOWHERE).double().expand(registers.shape[:-1])
        return [Fetch(self._wanted(registers) // self.plan.share, address, registers[..., 1:])]

    def _label(self, registers: Tensor, outputs: Tensor) -> Tensor:
        """The number of solutions modulo P, which is 0 only if there is none: it is below P."""
        place = (self._wanted(registers) % self.plan.share).long().unsqueeze(-1)
        return self._store(registers, outputs.round().gather(-1, place).unsqueeze(-2))

    def _wanted(self, registers: Tensor) -> Tensor:
        return (self.plan.order - 2) * self.plan.modulus + (-registers[..., 0]) % self.plan.modulus

    @staticmethod
    def _store(registers: Tensor, arrays: Tensor) -> Float[Tensor, "inputs tokens registers"]:
        """x_i, and then the arrays."""
        return torch.cat([registers[..., :1], arrays.flatten(-2).double()], dim=-1)


def array_length(modulus: int, order: int) -> int:
    """L, the least power of two from (s − 1)M on."""
    return 1 << ((order - 1) * modulus - 1).bit_length()


def least_prime(num_tokens: int, modulus: int, order: int) -> int:
    """The least prime P ≡ 1 (mod L) above min(N, M)^{s−2}, the most solutions that a token can have.

    Example:
        >>> least_prime(1024, 1025, 3)
        12289
    """
    length, most = array_length(modulus, order), min(num_tokens, modulus) ** (order - 2)
    start = max(1, most // length)
    return next(p for k in count(start) if (p := k * length + 1) > most and is_prime(p))


def is_prime(number: int) -> bool:
    """Whether no number from 2 to √n divides n ≥ 2.

    Example:
        >>> [n for n in range(2, 20) if is_prime(n)]
        [2, 3, 5, 7, 11, 13, 17, 19]
    """
    return number >= 2 and all(number % divisor for divisor in range(2, isqrt(number) + 1))


def root_of_unity(prime: int, length: int) -> int:
    """The power g^{(P−1)/L} of least g whose order modulo P is L, a power of two: its L/2-th power is −1."""
    candidates = (pow(base, (prime - 1) // length, prime) for base in range(2, prime))
    return next(root for root in candidates if pow(root, length // 2, prime) == prime - 1)


def powers(root: int, length: int, prime: int) -> Int[Tensor, " length"]:
    """1, ω, ω², … modulo P."""
    return torch.tensor(list(accumulate(repeat(root, length - 1), lambda a, b: a * b % prime, initial=1)))
