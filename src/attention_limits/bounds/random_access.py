"""What few bits can tell about many when answers may be wrong: a bound from entropy, and the best codes, by search.

Alice holds n independent fair bits and sends B of her own; then Bob is asked for any one of the n. If he is wrong with
probability δ_i about bit i, then by Fano's inequality that bit still has an entropy of at most h(δ_i) given the
message. The n bits have the entropy n, so that

    B ≥ Σ (1 − h(δ_i)) ≥ (1 − h(δ)) n,    δ the mean of the δ_i, h the binary entropy,

for any machine, coins included: h is concave. Conversely each message stands for a string, the best guess of all bits,
so that the least δ of B bits is the mean distance to the nearest of 2^B strings, divided by n.

Letters: n = num_bits, B = message_bits, δ = error.
"""

import math
from fractions import Fraction
from itertools import combinations

from attention_limits.hypotheses import require_integer


def binary_entropy(error: float | int | Fraction) -> float:
    """h(δ) = −δ log₂ δ − (1 − δ) log₂(1 − δ) in bits.

    Raises:
        ValueError: unless 0 ≤ δ ≤ 1.

    Example:
        >>> binary_entropy(0.5), binary_entropy(0)
        (1.0, 0.0)
    """
    if not 0 <= error <= 1:
        raise ValueError(f"a probability δ lies in 0…1, got {error}")
    return sum(-float(share) * math.log2(share) for share in (error, 1 - error) if share > 0)


def random_access_bits(num_bits: int, error: float | int | Fraction) -> float:
    """(1 − h(δ)) n, the least bits from which each of n bits can be named with the mean error δ; 0 from δ = ½ on.

    Example:
        >>> random_access_bits(12, 0), random_access_bits(12, 0.5)
        (12.0, 0.0)
    """
    require_integer("num_bits", num_bits, 1)
    return num_bits * (1 - binary_entropy(min(error, Fraction(1, 2))))


def least_mean_error(num_bits: int, message_bits: int) -> Fraction:
    """The least δ of a message of B bits about n, exactly, by search through all sets of 2^B strings.

    Raises:
        ValueError: unless 0 ≤ B ≤ n and there are at most 100,000 sets to try.

    Example: one bit about three, their majority: it errs for 6 of 8 strings, in one of three places.
        >>> least_mean_error(3, 1)
        Fraction(1, 4)
    """
    require_integer("num_bits", num_bits, 1)
    require_integer("message_bits", message_bits, 0)
    if message_bits > num_bits:
        raise ValueError(f"a message about n = {num_bits} bits has at most as many, got {message_bits}")
    strings, messages = 2**num_bits, 2**message_bits
    # A set can be moved by ⊕ so that it contains the string 0.
    sets = math.comb(strings - 1, messages - 1)
    if sets > 100_000:
        raise ValueError(f"{sets} sets of {messages} strings are too many to try")
    distance = [[(one ^ other).bit_count() for other in range(strings)] for one in range(strings)]
    least = min(
        sum(map(min, zip(*(distance[centre] for centre in (0, *others)), strict=True)))
        for others in combinations(range(1, strings), messages - 1)
    )
    return Fraction(least, num_bits * strings)
