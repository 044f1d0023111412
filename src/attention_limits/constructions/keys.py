"""Random sign keys and dual certificates: the directions that single out a q-subset of the keys (for Theorem 2).

A *certificate* for a subset y is a direction w_y whose inner product with every key of y is the same, c, and with every
other key at most c − γ; γ > 0 is its margin. Attention with the query α w_y then gives every token of y the same weight
and every other token at most e^{−αγ} of it. Scaled to γ = 1, all subsets share one α.

Letters: N keys, k = embed_dim their coordinates, S the (N, k) matrix of keys, y a q-subset of the N tokens.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import nnls
from torch import Tensor

from attention_limits.hypotheses import require_integer

#: Entries of the (subsets, N) and (subsets, q, q) tables that are held at once: 64 MiB each in float64.
TABLE_ENTRIES = 2**23
#: How far the inner products of a certificate may differ on its subset, at unit margin (float64 solves).
EQUALITY_TOLERANCE = 1e-7


class MissingCertificateError(ValueError):
    """A subset for which these keys have no certificate."""


class MinimumNorm(NamedTuple):
    """Minimum-norm certificates w_y = Σ_{j ∈ y} a_j key_j with inner product 1 on y."""

    coefficients: Float[Tensor, "subsets sparsity"]
    #: The largest inner product with a key outside y, inf where the equations on y have no solution; margin = 1 − it.
    outside: Float[Tensor, " subsets"]

    @property
    def has_margin(self) -> Bool[Tensor, " subsets"]:
        """Where the margin is at least 1/2, as Theorem 2's proof asks."""
        return self.outside <= 0.5


class Certificates(NamedTuple):
    """Checked certificates at unit margin."""

    directions: Float[Tensor, "subsets embed_dim"]
    #: True where minimum norm missed the margin 1/2 and the maximum-margin certificate stands in.
    by_maximum_margin: Bool[Tensor, " subsets"]


def random_sign_keys(
    num_tokens: int, embed_dim: int, *, generator: torch.Generator
) -> Float[Tensor, "tokens embed_dim"]:
    """N independent keys with k independent uniform signs each, as ±1 in float32.

    The paper divides them by √k; we leave that factor to the query, so that a coordinate of a key costs one sign.
    """
    require_integer("num_tokens", num_tokens, 1)
    require_integer("embed_dim", embed_dim, 1)
    bits = torch.randint(0, 2, (num_tokens, embed_dim), generator=generator, device=generator.device)
    return (2 * bits - 1).float()


def gram_matrix(keys: Float[Tensor, "tokens embed_dim"]) -> Float[Tensor, "tokens tokens"]:
    """All inner products of the keys, in float64. Exact for sign keys even in float32: integers of at most k < 2²⁴."""
    return (keys @ keys.T).double()


def minimum_norm_certificates(
    gram: Float[Tensor, "tokens tokens"], subsets: Int[Tensor, "subsets sparsity"]
) -> MinimumNorm:
    """Minimum-norm certificates of a batch of subsets at once, w = S_yᵀ (S_y S_yᵀ)⁻¹ 1, from the keys' Gram matrix.

    The equations are solved in float64; ``outside`` is computed in the dtype of ``gram``. Never raises: a subset whose
    equations are singular gets ``outside = inf``.
    """
    coefficients, outside = [], []
    for chunk in subsets.split(max(1, TABLE_ENTRIES // max(len(gram), subsets.shape[1] ** 2))):
        system = gram[chunk.unsqueeze(2), chunk.unsqueeze(1)].double()
        solution, info = torch.linalg.solve_ex(system, torch.ones_like(system[..., :1]))
        deviation = (system @ solution - 1).abs().amax(dim=(1, 2))
        solution = solution.squeeze(-1)
        products = torch.nn.functional.embedding_bag(chunk, gram, mode="sum", per_sample_weights=solution.to(gram))
        largest = products.scatter_(1, chunk, -torch.inf).amax(dim=1)
        solved = (info == 0) & (deviation <= EQUALITY_TOLERANCE / 2)  # nan compares false
        coefficients.append(solution)
        outside.append(largest.where(solved, torch.inf))
    return MinimumNorm(torch.cat(coefficients), torch.cat(outside))


def maximum_margin_certificate(
    keys: Float[np.ndarray, "tokens embed_dim"], subset: Int[np.ndarray, " sparsity"]
) -> Float[np.ndarray, " embed_dim"] | None:
    """The shortest w with ⟨key, w⟩ = c on y and ≤ c − 1 off y, c free; None if there is none.

    Geometry: ‖w‖ = 1/dist(aff S_y, conv S_off). Seen from a point of the affine hull of S_y, after removing the
    directions along it, the distance to the hull of the others is a least-squares problem over non-negative weights:
    minimise ‖Aᵀx‖² + (1 − Σx)², whose solution is a multiple of the nearest point's weights (scipy's NNLS).
    """
    outside = np.delete(np.arange(len(keys)), subset)
    relative = keys[outside] - keys[subset[0]]
    if len(subset) > 1:
        differences = (keys[subset[1:]] - keys[subset[0]]).T
        basis, lengths, _ = np.linalg.svd(differences, full_matrices=False)
        # Keys of y may be affinely dependent; a direction counts if its length is more than rounding.
        along = basis[:, lengths > lengths[0] * max(differences.shape) * np.finfo(float).eps]
        relative = relative - (relative @ along) @ along.T
    scale = np.sqrt(keys.shape[1])  # so that both parts of the objective have the same size
    system = np.vstack([relative.T / scale, np.ones(len(outside))])
    try:
        weights, _ = nnls(system, np.append(np.zeros(keys.shape[1]), 1.0), maxiter=20 * len(outside))
    except RuntimeError:  # no convergence: not certified
        return None
    if weights.sum() <= 0:
        return None
    nearest = relative.T @ (weights / weights.sum())
    if nearest @ nearest <= 1e-12 * keys.shape[1]:  # the hulls meet: y is not a face
        return None
    direction = -nearest / (nearest @ nearest)
    products = keys @ direction
    on, off = products[subset], products[outside]
    # The solver leaves the margin short by its own rounding; scale that away, then judge.
    margin = on.min() - off.max()
    if margin < 0.5:
        return None
    direction, spread = direction / margin, np.ptp(on) / margin
    return direction if spread <= EQUALITY_TOLERANCE else None


class MaximumMargin(NamedTuple):
    """Maximum-margin certificates at unit margin."""

    #: Rows of nan where there is none.
    directions: Float[Tensor, "subsets embed_dim"]

    @property
    def exists(self) -> Bool[Tensor, " subsets"]:
        """Which subsets have one."""
        return ~self.directions.isnan().any(dim=1)


def maximum_margin_certificates(
    keys: Float[Tensor, "tokens embed_dim"], subsets: Int[Tensor, "subsets sparsity"]
) -> MaximumMargin:
    """`maximum_margin_certificate` of each subset, in float64 on the device of ``keys``; it takes its time for each."""
    directions = torch.full((len(subsets), keys.shape[1]), torch.nan, dtype=torch.float64)
    dense = keys.double().cpu().numpy()
    for row, subset in zip(directions, subsets.cpu().numpy(), strict=True):
        direction = maximum_margin_certificate(dense, subset)
        if direction is not None:
            row[:] = torch.from_numpy(direction)
    return MaximumMargin(directions.to(keys.device))


def certify(keys: Float[Tensor, "tokens embed_dim"], subsets: Int[Tensor, "subsets sparsity"]) -> Certificates:
    """Checked certificates at unit margin: minimum norm where its margin reaches 1/2, else maximum margin.

    Raises:
        MissingCertificateError: naming the first subset for which neither exists.
    """
    gram = gram_matrix(keys)
    minimum_norm = minimum_norm_certificates(gram, subsets)
    fallback = ~minimum_norm.has_margin
    scaled = minimum_norm.coefficients / (1 - minimum_norm.outside).where(~fallback, 1).unsqueeze(1)
    directions = torch.nn.functional.embedding_bag(subsets, keys.double(), mode="sum", per_sample_weights=scaled)
    if bool(fallback.any()):
        dense = keys.double().cpu().numpy()
        for index in fallback.nonzero().flatten().tolist():
            direction = maximum_margin_certificate(dense, subsets[index].cpu().numpy())
            if direction is None:
                raise MissingCertificateError(
                    f"{len(keys)} keys of {keys.shape[1]} coordinates have no certificate for the subset "
                    f"{subsets[index].tolist()}: use a larger embed_dim"
                )
            directions[index] = torch.from_numpy(direction).to(directions)
    return Certificates(directions, fallback)


def adversarial_subsets(gram: Float[Tensor, "tokens tokens"], sparsity: int) -> Int[Tensor, "tokens sparsity"]:
    """For each token j, the q other tokens whose keys correlate most with key j: hard for minimum norm.

    Such a subset pulls its outsider j up with it: ⟨key_j, w_y⟩ ≈ q √(2 ln(N/q)/k), where a random subset
    gives a sum of q random signs' size, √(q/k).
    """
    if not 1 <= sparsity < len(gram):
        raise ValueError(f"sparsity q = {sparsity} needs an outsider: 1 ≤ q < N = {len(gram)}")
    others = gram.clone().fill_diagonal_(-torch.inf)
    return others.topk(sparsity, dim=1).indices.sort(dim=1).values
