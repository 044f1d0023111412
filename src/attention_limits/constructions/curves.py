"""Keys on a curve, and the queries that single out q of them: the vertices of cyclic polytopes (for Theorem 3).

A polynomial that is 0 at the nodes of a q-subset y and negative at all others is, up to its constant, the inner product
of a point of the curve with the vector of the polynomial's coefficients. That vector is the query, and softmax ignores
the constant: 2q coordinates serve any number of keys.

Letters: N keys, y a q-subset of them. Moment curve: t ↦ (t, …, t^{2q}) at nodes t_j, polynomial −∏_{i∈y} (t − t_i)².
Trigonometric curve: θ ↦ (cos kθ, sin kθ; k ≤ q) at θ_j = 2πj/N, polynomial −∏_{i∈y} (1 − cos(θ − θ_i)). The *products*
of y are the values of these polynomials at the nodes without the sign; the least of them off y is the margin.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from attention_limits.constructions.keys import TABLE_ENTRIES
from attention_limits.hypotheses import require_integer


class Separation(NamedTuple):
    """How queries tell their subsets from the other keys; exact where keys and queries are integers."""

    #: Largest minus least inner product on y: 0 for a certificate.
    spread: Num[Tensor, " subsets"]
    #: Least inner product on y minus the largest off y: positive for a certificate.
    margin: Num[Tensor, " subsets"]


def separation(
    keys: Num[Tensor, "tokens embed_dim"],
    queries: Num[Tensor, "subsets embed_dim"],
    subsets: Int[Tensor, "subsets sparsity"],
) -> Separation:
    """Spread on y and margin of each query, in the dtype of keys and queries; needs q < N."""
    if subsets.shape[1] >= len(keys):
        raise ValueError(f"q = {subsets.shape[1]} leaves no key outside: it needs N > q, got {len(keys)}")
    scores = queries @ keys.T
    on = scores.gather(1, subsets)
    lowest = torch.iinfo(scores.dtype).min if not scores.is_floating_point() else -math.inf
    outside = scores.scatter(1, subsets, lowest).amax(dim=1)
    return Separation(on.amax(dim=1) - on.amin(dim=1), on.amin(dim=1) - outside)


# The moment curve.


def equispaced_nodes(num_tokens: int) -> Float[Tensor, " tokens"]:
    """N nodes from −1 to 1 at equal distances."""
    return torch.linspace(-1, 1, num_tokens, dtype=torch.float64)


def moment_keys(nodes: Num[Tensor, " tokens"], sparsity: int) -> Num[Tensor, "tokens {2*sparsity}"]:
    """(t_j, t_j², …, t_j^{2q}) for every node; exact for int64 nodes.

    Raises:
        ValueError: for integer nodes with which some score could pass 2⁶³.
    """
    require_integer("sparsity", sparsity, 1)
    _require_representable(nodes, sparsity)
    return torch.stack([nodes**power for power in range(1, 2 * sparsity + 1)], dim=1)


def moment_queries(
    nodes: Num[Tensor, " tokens"], subsets: Int[Tensor, "subsets sparsity"]
) -> Num[Tensor, "subsets 2*sparsity"]:
    """The coefficients of −∏_{i∈y} (t − t_i)² from t to t^{2q}, in the dtype of the nodes: exact for int64.

    Its margin is the least of `moment_products` off y.

    Example:
        >>> moment_queries(torch.tensor([1, 2, 3]), torch.tensor([[1]])).tolist()  # −(t − 2)² = −4 + 4t − t²
        [[4, -1]]
    """
    sparsity = subsets.shape[1]
    _require_representable(nodes, sparsity)
    coefficients = nodes.new_zeros(len(subsets), 2 * sparsity + 1)
    coefficients[:, 0] = -1
    for node in nodes[subsets].T.repeat_interleave(2, dim=0):
        shifted = coefficients.roll(1, dims=1)  # times t; the leading coefficient is still 0
        coefficients = shifted - node.unsqueeze(1) * coefficients
    return coefficients[:, 1:]


def moment_products(
    nodes: Num[Tensor, " tokens"], subsets: Int[Tensor, "subsets sparsity"]
) -> Num[Tensor, "subsets tokens"]:
    """∏_{i∈y} (t_j − t_i)² for every j, from differences: no cancellation, so all its digits are good in floats."""
    _require_representable(nodes, subsets.shape[1])
    products = nodes.new_ones(len(subsets), len(nodes))
    for node in nodes[subsets].T:
        products = products * (nodes - node.unsqueeze(1)) ** 2
    return products


def moment_certificates(
    nodes: Float[Tensor, " tokens"], subsets: Int[Tensor, "subsets sparsity"]
) -> Float[Tensor, "subsets 2*sparsity"]:
    """`moment_queries` divided by their margins, zero for q = N; with nodes in [−1, 1] keys have coordinates ≤ 1."""
    if subsets.shape[1] == len(nodes):
        return nodes.new_zeros(len(subsets), 2 * len(nodes))
    margins = moment_products(nodes, subsets).scatter(1, subsets, math.inf).amin(dim=1, keepdim=True)
    return moment_queries(nodes, subsets) / margins


def _require_representable(nodes: Num[Tensor, " tokens"], sparsity: int) -> None:
    """Every number met on the way is at most ∏ (|t_j| + |t_i|)² ≤ (2 max|t|)^{2q}: in int64 it must stay below 2⁶³."""
    if nodes.dtype not in (torch.int64, torch.float64):
        raise ValueError(f"nodes must be int64 or float64, got {nodes.dtype}")
    if nodes.dtype == torch.int64:
        largest = max(1, int(nodes.abs().max()))
        bits = ((2 * largest) ** (2 * sparsity)).bit_length()
        if bits > 63:
            raise ValueError(
                f"integer nodes up to {largest} with q = {sparsity} need {bits} bits, more than int64's 63"
            )


# The trigonometric curve.


def _cosines(num_tokens: int) -> Float[Tensor, " tokens"]:
    """cos(2πr/N) for r = 0 … N−1 in float64, off by less than 2.3e-16.

    It is sin(π(N − 4c)/(2N)) with c = min(r, N − r): where that argument is large, and its rounding too, sine is flat.
    """
    turns = torch.arange(num_tokens)
    folded = torch.minimum(turns, num_tokens - turns)
    return torch.sin(math.pi * (num_tokens - 4 * folded).double() / (2 * num_tokens))


def _sines(num_tokens: int) -> Float[Tensor, " tokens"]:
    """sin(2πr/N) for r = 0 … N−1, folded in the same way."""
    turns = torch.arange(num_tokens)
    folded = torch.minimum(turns, num_tokens - turns)
    folded = torch.minimum(2 * folded, num_tokens - 2 * folded)
    return torch.sin(math.pi * folded.double() / num_tokens) * torch.where(2 * turns > num_tokens, -1.0, 1.0)


def trigonometric_keys(num_tokens: int, sparsity: int) -> Float[Tensor, "tokens {2*sparsity}"]:
    """(cos kθ_j, k = 1 … q; sin kθ_j, k = 1 … q) at θ_j = 2πj/N, in float64."""
    require_integer("num_tokens", num_tokens, 1)
    require_integer("sparsity", sparsity, 1)
    turns = torch.outer(torch.arange(num_tokens), torch.arange(1, sparsity + 1)) % num_tokens
    return torch.cat([_cosines(num_tokens)[turns], _sines(num_tokens)[turns]], dim=1)


def circle_products(num_tokens: int, subsets: Int[Tensor, "subsets sparsity"]) -> Float[Tensor, "subsets tokens"]:
    """∏_{i∈y} (1 − cos(θ_j − θ_i)) for every j, in float64, as a product of 2 sin²((θ_j − θ_i)/2): no cancellation."""
    turns = torch.arange(num_tokens, device=subsets.device)
    table = 2 * torch.sin(math.pi * torch.minimum(turns, num_tokens - turns).double() / num_tokens) ** 2
    products = table.new_ones(len(subsets), num_tokens)
    for position in subsets.T:
        products = products * table[(turns - position.unsqueeze(1)) % num_tokens]
    return products


def trigonometric_queries(
    num_tokens: int, subsets: Int[Tensor, "subsets sparsity"]
) -> Float[Tensor, "subsets 2*sparsity"]:
    """Queries of unit margin on the trigonometric keys, in float64; zero for q = N.

    For N > 2q + 1 they are the coefficients of −∏ (1 − cos(θ − θ_i)), divided by the margin. Its degree q is below N/2,
    so that its values −P_j at the nodes determine it: w = −(2/N) Σ_j P_j u_j with the keys u_j, as Σ_j cos² kθ_j =
    Σ_j sin² kθ_j = N/2 and other sums of products are 0. The P_j have one sign: an entry is off by a few units in the
    last place of the largest.

    For N ≤ 2q + 1 the keys are the vertices of a simplex (repeated coordinates apart), and the same sum, with the
    frequencies up to N/2 only and half the weight at N/2, gives *any* scores: we ask for 0 on y and −1 off it.

    A margin below float64's range leaves entries that are not finite.
    """
    sparsity, device = subsets.shape[1], subsets.device
    keys = trigonometric_keys(num_tokens, sparsity).to(device)
    frequency = torch.arange(1, sparsity + 1, device=device).repeat(2)
    weight = torch.where(2 * frequency < num_tokens, 2.0, torch.where(2 * frequency == num_tokens, 1.0, 0.0))
    queries = []
    for chunk in subsets.split(max(1, TABLE_ENTRIES // num_tokens)):
        if num_tokens > 2 * sparsity + 1:
            products = circle_products(num_tokens, chunk)
            wanted = products / products.scatter(1, chunk, math.inf).amin(dim=1, keepdim=True)
        else:
            wanted = torch.ones(len(chunk), num_tokens, dtype=torch.float64, device=device).scatter(1, chunk, 0.0)
        queries.append(-(wanted @ keys) * weight.double() / num_tokens)
    return torch.cat(queries) if sparsity < num_tokens else keys.new_zeros(len(subsets), 2 * sparsity)


# Margins, and the subsets that have the least.


def least_integer_margin(sparsity: int) -> int:
    """(⌊q/2⌋! ⌈q/2⌉!)², the least margin over all y on the moment curve with nodes 1 … N, for every N > q.

    Seen from a node off y, at most two nodes of y lie at each distance 1, 2, …; a block with one hole attains that.
    """
    require_integer("sparsity", sparsity, 1)
    return (math.factorial(sparsity // 2) * math.factorial((sparsity + 1) // 2)) ** 2


def least_circle_margin(num_tokens: int, sparsity: int) -> float:
    """∏_{a≤⌊q/2⌋} (1 − cos(2πa/N)) · ∏_{b≤⌈q/2⌉} (1 − cos(2πb/N)), the least margin on the circle; q < N."""
    return circle_products(num_tokens, hardest_subset(num_tokens, sparsity).unsqueeze(0))[0, (sparsity + 1) // 2].item()


def largest_query_entry(num_tokens: int, sparsity: int) -> float:
    """2 C(2q, q) 2^{−q} / (least margin): no entry of `trigonometric_queries` is larger; at most (e N/q)^{2q}.

    For N ≤ 2q + 1 it is 2 (N − q)/N.
    """
    margin = least_circle_margin(num_tokens, sparsity)
    if num_tokens <= 2 * sparsity + 1:
        return 2 * (num_tokens - sparsity) / num_tokens
    if not margin > 0:
        raise ValueError(f"the least margin of N = {num_tokens}, q = {sparsity} lies below float64's range")
    return 2 * math.comb(2 * sparsity, sparsity) / 2**sparsity / margin


def hardest_subset(num_tokens: int, sparsity: int) -> Int[Tensor, " sparsity"]:
    """A contiguous block with one hole, {0 … q} without ⌈q/2⌉: its margin is the least of all q-subsets."""
    return holed_blocks(num_tokens, sparsity)[(sparsity + 1) // 2 - 1]


def holed_blocks(num_tokens: int, sparsity: int) -> Int[Tensor, "sparsity sparsity"]:
    """{0 … q} without h, for h = 1 … q: among them is the subset of longest query, on each curve that we tried."""
    if not 1 <= sparsity < num_tokens:
        raise ValueError(f"sparsity q = {sparsity} leaves room for a hole if 1 ≤ q < N, got N = {num_tokens}")
    block, holes = torch.arange(sparsity + 1), torch.arange(1, sparsity + 1)
    return block.expand(sparsity, -1)[block != holes.unsqueeze(1)].view(sparsity, sparsity)


# The trigonometric curve without rounding.


class CircleCheck(NamedTuple):
    """What integer arithmetic says about the trigonometric polynomials of some subsets."""

    #: Exactly 0 at every node of y?
    zero_on_subset: Bool[Tensor, " subsets"]
    #: A lower bound of ∏ (1 − cos(θ_j − θ_i)) over j off y; float64's rounding is subtracted.
    margin: Float[Tensor, " subsets"]


def circle_coefficients(
    num_tokens: int, subsets: Int[Tensor, "subsets sparsity"]
) -> Int[Tensor, "subsets frequencies tokens"]:
    """The Fourier coefficients of 2^q ∏_{i∈y} (1 − cos(θ − θ_i)), frequencies −q … q, as integers.

    With X = e^{iθ} and ζ = e^{2πi/N} it is ∏_{j∈y} (2 − ζ^{−j} X − ζ^j X^{−1}). Coefficients are integer sums of
    1, ζ, …, ζ^{N−1}: the last axis holds them, and multiplication by ζ is a cyclic shift of it.
    """
    sparsity = subsets.shape[1]
    if sparsity > 30:
        raise ValueError(f"sparsity q = {sparsity} must be at most 30: the integers reach 4^q")
    coefficients = torch.zeros(len(subsets), 2 * sparsity + 1, num_tokens, dtype=torch.int64)
    coefficients[:, sparsity, 0] = 1
    exponents = torch.arange(num_tokens)
    for position in subsets.T:
        forward, backward = (
            coefficients.gather(
                2, ((exponents + sign * position.unsqueeze(1)) % num_tokens).unsqueeze(1).expand_as(coefficients)
            )
            for sign in (-1, 1)  # times ζ^{position}, times ζ^{−position}
        )
        # No frequency beyond ±q is reached, so that the roll carries zeros round.
        coefficients = 2 * coefficients - backward.roll(1, dims=1) - forward.roll(-1, dims=1)
    return coefficients


def check_circle(
    coefficients: Int[Tensor, "subsets frequencies tokens"], subsets: Int[Tensor, "subsets sparsity"]
) -> CircleCheck:
    """Evaluate at X = ζ^j for every node j: the zeros exactly, the other values with a rigorous error bound.

    A combination Σ n_l ζ^l whose integers n_l are all 0 is 0. Of the others, real like the polynomial, we compute
    Σ n_l cos(2πl/N) in float64, whose rounding is below (N + 8) 2^{−52} Σ |n_l|.
    """
    num_tokens, sparsity = coefficients.shape[2], subsets.shape[1]
    nodes, exponents = torch.arange(num_tokens), torch.arange(num_tokens)
    values = coefficients.new_zeros(len(subsets), num_tokens, num_tokens)
    for index, frequency in enumerate(range(-sparsity, sparsity + 1)):
        shift = (exponents - frequency * nodes.unsqueeze(1)) % num_tokens
        values += coefficients[:, index][:, shift]
    zero = (values == 0).all(dim=2)
    rounding = values.abs().sum(dim=2).double() * (num_tokens + 8) * torch.finfo(torch.float64).eps
    lower = (values.double() @ _cosines(num_tokens) - rounding) / 2**sparsity
    return CircleCheck(zero.gather(1, subsets).all(dim=1), lower.scatter(1, subsets, math.inf).amin(dim=1))
