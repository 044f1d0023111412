"""The gap of a set of frequencies: against the FFT, the limit of Dirichlet, and what must be refused."""

import math

import pytest
import torch

from attention_limits.constructions.frequencies import (
    LARGEST_MODULUS,
    dirichlet_limit,
    frequency_gap,
    profile_gaps,
    random_frequencies,
)


@pytest.mark.parametrize(("modulus", "count"), [(2, 1), (7, 2), (64, 3), (997, 5), (1000, 9)])
def test_the_gap_equals_the_fast_fourier_transforms(modulus: int, count: int) -> None:
    generator = torch.Generator().manual_seed(modulus)
    frequencies = random_frequencies(modulus, count, generator=generator, num_draws=3)
    histogram = torch.zeros(modulus, dtype=torch.float64).index_add_(0, frequencies, torch.ones(count).double())
    profile = torch.fft.fft(histogram).real / count
    assert torch.allclose(1 - profile, profile_gaps(frequencies, modulus), atol=1e-13)
    assert math.isclose(1 - profile[1:].max().item(), frequency_gap(frequencies, modulus), abs_tol=1e-13)


@pytest.mark.parametrize("modulus", [2, 3, 8, 101])
def test_one_frequency_has_the_gap_one_minus_cosine(modulus: int) -> None:
    enumerated = profile_gaps(torch.tensor([1]), modulus)[1:].min().item()
    assert math.isclose(enumerated, frequency_gap(torch.tensor([1]), modulus), rel_tol=1e-14)


def test_no_set_of_one_or_two_frequencies_beats_dirichlets_limit() -> None:
    for modulus in (2, 5, 12, 31):
        for first in range(1, modulus):
            assert frequency_gap(torch.tensor([first]), modulus) <= dirichlet_limit(1, modulus)
            for second in range(first, modulus):
                assert frequency_gap(torch.tensor([first, second]), modulus) <= dirichlet_limit(2, modulus)


def test_dirichlets_limit_is_close_to_the_gap_of_one_frequency() -> None:
    for modulus in (30, 1000, 10**6):
        assert 0.99 * dirichlet_limit(1, modulus) <= frequency_gap(torch.tensor([1]), modulus)
    assert math.isclose(dirichlet_limit(3, 8), math.pi**2 / 2)


def test_of_several_draws_the_one_with_the_largest_gap_is_kept() -> None:
    for seed in range(3):
        draws = torch.randint(1, 97, (9, 4), generator=torch.Generator().manual_seed(seed))
        best = random_frequencies(97, 4, generator=torch.Generator().manual_seed(seed), num_draws=9)
        gaps = [frequency_gap(draw, 97) for draw in draws]
        assert len(set(gaps)) > 1
        assert frequency_gap(best, 97) == max(gaps), seed


def test_a_modulus_whose_products_would_overflow_is_refused() -> None:
    assert (LARGEST_MODULUS - 1) ** 2 < 2**63
    with pytest.raises(ValueError, match="modulus must be at most 2147483648, got 2147483649"):
        profile_gaps(torch.tensor([1]), LARGEST_MODULUS + 1)


def test_frequencies_with_a_common_divisor_of_the_modulus_have_no_gap() -> None:
    assert frequency_gap(torch.tensor([2, 4]), 8) <= 0


@pytest.mark.parametrize(
    ("frequencies", "message"),
    [
        (torch.tensor([], dtype=torch.int64), "at least one"),
        (torch.tensor([1], dtype=torch.int32), "int64"),
        (torch.tensor([0]), r"1…6"),
        (torch.tensor([7]), r"1…6"),
    ],
)
def test_what_is_no_set_of_frequencies_is_refused(frequencies: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profile_gaps(frequencies, 7)
