"""A token's own key in the way: what it costs one head to find the last earlier place of a symbol under j ≤ i (ours).

Let query i score all places j ≤ i that hold its symbol, so that whichever of them are occupied, the last one before i
wins: u_i·k_j grows with j < i, and u_i·k_i is the least. Under the mask j < i, where u_i·k_i does not matter, keys on a
parabola do it with m = 2 and O(log N) bits. With the own key in sight:

**Proposition.** If all entries are integers below 2^{p−1} in size, times one power of two for queries and one for keys,
then N − 1 ≤ m (4p − 2 + log₂(mN)) and mp ≥ (N − 2)/9.

*Proof.* Let e_j = k_{j+1} − k_j and D_j = u_i·e_j ≥ 1 for j ≤ i − 2. As u_i·k_i < u_i·k_1, u_i·e_{i−1} ≤ −1 − Σ D_j.
With G_n = λI + Σ_{j≤n} e_j e_jᵀ and λ = 1/(m 4^{p−1}), u_iᵀ G_{i−2} u_i ≤ 1 + Σ D_j² ≤ (u_i·e_{i−1})². So by Cauchy and
Schwarz e_{i−1}ᵀ G_{i−2}⁻¹ e_{i−1} ≥ 1, and det G_{i−1} = det G_{i−2} (1 + e_{i−1}ᵀ G_{i−2}⁻¹ e_{i−1}) ≥ 2 det G_{i−2}.
In the end 2^{N−1} λ^m ≤ det G_{N−1} ≤ (N 4^p)^m, as the mean of the eigenvalues is at most λ + (N − 1) 4^p.

For i ≥ s + 2, s ≥ 1, there are i − 2 ≥ s numbers D_j ≥ 1, and even s² + Σ D_j² ≤ (1 + Σ D_j)². So the determinant
doubles for these i with λ = s²/(m 4^{p−1}) too: 2^{N−1−s} ≤ (1 + m (N − 1) 4^{2p−1}/s²)^m. If 3 ≤ N and m < N, then
s = ⌊N/2⌋ gives (N − 2)/2 ≤ m log₂(1 + 16^p) ≤ 9mp/2; if not, mp ≥ (N − 2)/9 is clear. ∎

Letters: N = num_tokens, m = embed_dim, p = bits, u queries, k keys.
"""

from fractions import Fraction
from itertools import pairwise

from attention_limits.hypotheses import require_integer

Vectors = list[tuple[int, ...]]


def excludes_itself(queries: Vectors, keys: Vectors) -> bool:
    """Whether u_i·k_j grows with j < i, and u_i·k_i is less than all of these, for each i."""
    for place, query in enumerate(queries):
        *earlier, own = (sum(u * k for u, k in zip(query, key, strict=True)) for key in keys[: place + 1])
        if any(one >= other for one, other in pairwise([own, *earlier])):
            return False
    return True


def exponential_head(num_tokens: int) -> tuple[Vectors, Vectors]:
    """Queries (2i − 1, −2) and keys 4^j (1, j), m = 2, which exclude themselves: scores 4^j (2i − 1 − 2j).

    With d = i − j the score is 4^i (2d − 1)/4^d, which falls with d ≥ 1, and −4^i for d = 0.
    """
    require_integer("num_tokens", num_tokens, 1)
    places = range(1, num_tokens + 1)
    return [(2 * i - 1, -2) for i in places], [(4**j, j * 4**j) for j in places]


def parabola_head(num_tokens: int) -> tuple[Vectors, Vectors]:
    """Queries (2i, −1) and keys (j, j²): the head of the strict mask, whose own key wins if it is seen."""
    require_integer("num_tokens", num_tokens, 1)
    places = range(1, num_tokens + 1)
    return [(2 * i, -1) for i in places], [(j, j * j) for j in places]


def entry_bits(*vectors: Vectors) -> int:
    """p: a sign and the digits of the largest entry."""
    return 1 + max(abs(entry).bit_length() for some in vectors for vector in some for entry in vector)


def bound_holds(num_tokens: int, embed_dim: int, bits: int) -> bool:
    """Whether both bounds hold, in integers: 2^{N−1} ≤ (2^{4p−2} m N)^m and N − 2 ≤ 9mp."""
    for name, value in (("num_tokens", num_tokens), ("embed_dim", embed_dim), ("bits", bits)):
        require_integer(name, value, 1)
    product = num_tokens - 2 <= 9 * embed_dim * bits
    return product and bool(1 << (num_tokens - 1) <= ((embed_dim * num_tokens) << (4 * bits - 2)) ** embed_dim)


def least_bits_allowed(num_tokens: int, embed_dim: int) -> int:
    """The least p that the proposition allows.

    Example:
        >>> [least_bits_allowed(n, 2) for n in (16, 128, 1024)]
        [2, 15, 126]
    """
    bits = 1
    while not bound_holds(num_tokens, embed_dim, bits):
        bits += 1
    return bits


def least_growth(keys: Vectors, bits: int, *, start: int = 1) -> Fraction:
    """The least det G_n / det G_{n−1} over n > s, and n = 1 if s = 1; at least 2 for keys that exclude themselves.

    Exact; m = 2 and λ = s²/(m 4^{p−1}).

    Args:
        keys: at least s + 2, at least two.
        bits: p.
        start: s.
    """
    require_integer("start", start, 1)
    shift = Fraction(start**2, 2 * 4 ** (bits - 1))
    a, b, d = shift, Fraction(0), shift  # G = (a b; b d)
    least = None
    for step, (one, other) in enumerate(pairwise(keys), start=1):
        x, y = other[0] - one[0], other[1] - one[1]
        before = a * d - b * b
        a, b, d = a + x * x, b + x * y, d + y * y
        growth = (a * d - b * b) / before
        if start == 1 or step > start:
            least = growth if least is None else min(least, growth)
    if least is None:
        raise ValueError(f"growth needs at least {'two' if start == 1 else start + 2} keys, got {len(keys)}")
    return least
