"""Sets of frequencies that tell a zero sum from all others: their exact gap, its limit, and a search at random.

The profile of frequencies w_1 … w_F modulo M is the mean of cos(2π w_f r/M): 1 at r = 0, at most 1 − gap elsewhere.

Letters: M = modulus, F = number of frequencies, r a residue.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.hypotheses import require_integer

#: Products of two residues have to fit into int64.
LARGEST_MODULUS = 2**31


def check_frequencies(frequencies: Int[Tensor, " frequencies"], modulus: int) -> None:
    """Refuse what is no set of frequencies: not int64, empty, or outside 1…M − 1."""
    if modulus > LARGEST_MODULUS:
        raise ValueError(f"modulus must be at most {LARGEST_MODULUS}, got {modulus}")
    if frequencies.dtype != torch.int64:
        raise ValueError(f"frequencies must be int64, got {frequencies.dtype}")
    if not (frequencies.ndim == 1 and len(frequencies) >= 1):
        raise ValueError("a set of frequencies must have at least one, got none")
    outside = frequencies[(frequencies < 1) | (frequencies >= modulus)]
    if len(outside) != 0:
        raise ValueError(f"frequencies must lie in 1…{modulus - 1}, got {outside[:1].tolist()}")


def profile_gaps(frequencies: Int[Tensor, " frequencies"], modulus: int) -> Float[Tensor, " modulus"]:
    """1 − profile at each residue, as the mean of 2 sin²(π w r/M), which does not cancel; exactly 0 at r = 0."""
    check_frequencies(frequencies, modulus)
    residues = torch.arange(modulus, device=frequencies.device)
    total = torch.zeros(modulus, dtype=torch.float64, device=frequencies.device)
    for frequency in frequencies:
        turned = (frequency * residues) % modulus
        centred = torch.minimum(turned, modulus - turned).double()
        total += 2 * torch.sin(math.pi / modulus * centred).square()
    return total / len(frequencies)


def frequency_gap(frequencies: Int[Tensor, " frequencies"], modulus: int) -> float:
    """The certificate: the least of `profile_gaps` over all residues but 0, by enumeration.

    Example:
        >>> round(frequency_gap(torch.tensor([1]), 4), 12)  # 1 − cos(π/2)
        1.0
    """
    if frequencies.tolist() == [1]:
        return 2 * math.sin(math.pi / modulus) ** 2
    return profile_gaps(frequencies, modulus)[1:].min().item()


def dirichlet_limit(num_frequencies: int, modulus: int) -> float:
    """No F frequencies have a gap above 2π² M^(−2/F) (Dirichlet's theorem, by Minkowski)."""
    return 2 * math.pi**2 * modulus ** (-2 / num_frequencies)


def random_frequencies(
    modulus: int, num_frequencies: int, *, generator: torch.Generator, num_draws: int = 32
) -> Int[Tensor, " frequencies"]:
    """Of ``num_draws`` sets of independent uniform frequencies the one with the largest gap."""
    require_integer("num_frequencies", num_frequencies, 1)
    require_integer("num_draws", num_draws, 1)
    require_integer("modulus", modulus, 2)
    draws = torch.randint(1, modulus, (num_draws, num_frequencies), generator=generator, device=generator.device)
    return max(draws, key=lambda frequencies: frequency_gap(frequencies, modulus))
