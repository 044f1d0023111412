"""How many bits one message, or one layer of attention, needs for f(g(x)): exactly, on average, and as cited.

Alice holds f: [n] → [n] as a table, Bob holds g and the public point x; she sends one message, and he is to say f(i)
for i = g(x), which may be any point. The last token of one attention layer gets no more than such a message from the
tokens that hold f: H heads with d value coordinates bring H (d + 1) numbers of p bits.

**Fano's bound.** Let f be uniform, g independent of f with i = g(x) uniform, and let the message have at most 2^B
values. Then the probability δ of an error satisfies h(δ) + δ log₂(n − 1) ≥ log₂ n − B/n, with the binary entropy
h(δ) = −δ log₂ δ − (1 − δ) log₂(1 − δ).
The left side grows up to δ = 1 − 1/n, where it is log₂ n: so δ is at least the point where both sides are equal.

Letters: n = num_points, B = bits, δ = error, k messages.
"""

import math
from fractions import Fraction

import torch

from attention_limits.bounds.counting import least_bits
from attention_limits.hypotheses import require, require_integer
from attention_limits.problems.composition import Composition, all_rows

#: The largest denominator of an error that is compared in integers: they have about n b log₂ b digits.
LARGEST_DENOMINATOR = 10_000
#: Halvings of the interval in which the least δ lies: below the rounding of a float.
HALVINGS = 100


def count_rows(num_points: int) -> int:
    """The different rows of the table with a row for each f, a column for each g, at x = 0: by listing them all.

    Raises:
        ValueError: unless 2 ≤ n ≤ 5.
    """
    _require_points(num_points)
    if num_points > 5:
        raise ValueError(f"all n^(2n) pairs are listed for n ≤ 5 only, got n = {num_points}")
    problem, functions = Composition(num_points), all_rows(num_points, num_points)
    point = torch.zeros(len(functions), 1, dtype=torch.int64)
    rows = set()
    for outer in functions:
        row = problem.target(torch.cat([functions, outer.expand_as(functions), point], dim=1))
        rows.add(tuple(row.tolist()))
    return len(rows)


def needed_bits(num_points: int) -> int:
    """⌈log₂ nⁿ⌉: the bits of one message from which Bob finds f(g(x)) always. As many are enough: f itself.

    Example:
        >>> [needed_bits(n) for n in (2, 3, 4, 4096)]
        [2, 5, 8, 49152]
    """
    _require_points(num_points)
    return least_bits(num_points**num_points)


def fano_error(num_points: int, bits: int | float) -> float:
    """The least δ that Fano's bound allows a message of B bits, as a float; 0 from n log₂ n on.

    Example: without a message one guesses.
        >>> fano_error(4, 0)
        0.75
    """
    _require_points(num_points)
    _require_bits(bits)
    need = math.log2(num_points) - bits / num_points
    if need <= 0:
        return 0.0
    low, high = 0.0, 1 - 1 / num_points
    if bits == 0:
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if information(middle, num_points) >= need else (middle, high)
    return low


def information(error: int | float, num_points: int) -> float:
    """h(δ) + δ log₂(n − 1) in bits, for 0 ≤ δ ≤ 1: the most that is left open about f(i) where Bob errs this often."""
    _require_points(num_points)
    if not 0 <= error <= 1:
        raise ValueError(f"error δ must lie in 0…1, got {error}")
    entropy = sum(-p * math.log2(p) for p in (error, 1 - error) if p > 0)
    return entropy + error * math.log2(num_points - 1)


def fano_allows(num_points: int, bits: int, error: Fraction) -> bool:
    """Whether B bits and the error δ = a/b pass Fano's bound, in integers.

    Multiplied by b n and raised from logarithms, h(δ) + δ log₂(n − 1) ≥ log₂ n − B/n reads
    (b^b (n − 1)^a)^n 2^{bB} ≥ (a^a (b − a)^{b−a} n^b)^n.

    Example: one bit of message on two points; (1 − δ) = 3/4 is within the bound, (1 − δ) = 15/16 is not.
        >>> fano_allows(2, 1, Fraction(1, 4)), fano_allows(2, 1, Fraction(1, 16))
        (True, False)
    """
    _require_points(num_points)
    require_integer("bits", bits, 0)
    if not 0 <= error <= 1:
        raise ValueError(f"error δ must lie in 0…1, got {error}")
    a, b = error.numerator, error.denominator
    if b > LARGEST_DENOMINATOR:
        raise ValueError(f"error δ must have a denominator of at most {LARGEST_DENOMINATOR}, got {b}")
    left = (b**b * (num_points - 1) ** a) ** num_points << b * bits
    return left >= (a**a * (b - a) ** (b - a) * num_points**b) ** num_points


def cited_error(num_points: int, bits: int | float) -> float:
    """R/(3 n log₂ n) with R = n log₂ n − B, the bound that is cited for one layer, B = H (d + 1) p; 0 for R ≤ 0."""
    _require_points(num_points)
    _require_bits(bits)
    full = num_points * math.log2(num_points)
    return max(0.0, (full - bits) / (3 * full))


def partial_table_error(num_points: int, bits: int) -> Fraction:
    """The error of a message that is f at the first k points, n^k ≤ 2^B, where Bob guesses elsewhere.

    (1 − k/n)(1 − 1/n), an upper bound beside Fano's lower one.

    Example: three bits tell f at one of four points.
        >>> partial_table_error(4, 3)
        Fraction(9, 16)
    """
    _require_points(num_points)
    require_integer("bits", bits, 0)
    known = min(num_points, int(bits / math.log2(num_points)) + 1)
    while num_points**known > 2**bits:
        known -= 1
    return (1 - Fraction(known, num_points)) * (1 - Fraction(1, num_points))


def layer_bits(num_heads: int, value_dim: int, precision: int) -> int:
    """H (d + 1) p, what one layer brings to one token: a normaliser and d sums for each head."""
    for name, value in (("num_heads", num_heads), ("value_dim", value_dim), ("precision", precision)):
        require_integer(name, value, 1)
    return num_heads * (value_dim + 1) * precision


def first_bound_points(bits: int) -> int:
    """The least n ≥ 2 with n log₂ n > B, in integers: below it a bound by n log₂ n says nothing of B bits.

    Example: one head of 16 coordinates and 32 bits.
        >>> first_bound_points(layer_bits(1, 16, 32))
        85
    """
    require_integer("bits", bits, 0)
    low, high = 1, 2  # nⁿ > 2^B fails at low
    while not _exceeds(high, bits):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _exceeds(middle, bits) else (middle, high)
    return high


def _exceeds(num_points: int, bits: int) -> bool:
    return bool(num_points**num_points > 1 << bits)


def _require_points(num_points: int) -> None:
    require_integer("num_points", num_points, 2)


def _require_bits(bits: int | float) -> None:
    require(0 <= bits < math.inf, f"bits B must be at least 0 and finite, got {bits}")
