"""Which subsets of keys are separable: known polytopes, an independent decision, and keys that floats cannot decide."""

from fractions import Fraction
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest

from attention_limits.bounds import polytopes
from attention_limits.bounds.polytopes import separate, separate_all
from attention_limits.bounds.radon import (
    InvalidCertificateError,
    RadonPartition,
    SeparatingDirection,
    affine_dependency,
    check_direction,
    check_partition,
    tight_dimension,
)

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]
SIZES = [(n, q) for n in range(2, 8) for q in range(1, min(4, n - 1) + 1)]


def fails_by_circuits(keys: Any, subset: tuple[int, ...]) -> bool:
    """Whether y is inseparable, decided without linear programming: some minimal dependency is a Radon partition."""
    for size in range(2, len(keys[0]) + 3):
        for support in combinations(range(len(keys)), size):
            try:
                weights = affine_dependency([keys[j] for j in support])
            except ValueError:
                continue
            for sign in (1, -1):
                signed = {j: sign * w for j, w in zip(support, weights, strict=True)}
                inside = {j for j, w in signed.items() if w > 0} <= set(subset)
                if inside and not {j for j, w in signed.items() if w < 0} <= set(subset):
                    return True
    return False


@pytest.mark.parametrize(("tokens", "sparsity"), SIZES)
def test_the_curve_and_the_simplex_separate_every_subset(tokens: int, sparsity: int) -> None:
    least = tight_dimension(tokens, sparsity)
    curve = [[(2 * j - tokens) ** k for k in range(1, least + 1)] for j in range(tokens)]
    for keys in (curve, np.eye(tokens), np.eye(tokens)[:, 1:]):
        found = separate_all(keys, sparsity)
        assert isinstance(found, list)
        assert len(found) == comb(tokens, sparsity)
        assert all(0 < one.margin <= 1 for one in found)


@pytest.mark.parametrize("seed", range(8))
def test_linear_programming_and_circuits_agree_on_every_subset(seed: int) -> None:
    generator = np.random.default_rng(seed)
    tokens, dim = int(generator.integers(3, 8)), int(generator.integers(1, 4))
    keys = generator.integers(-2, 3, size=(tokens, dim)).tolist()  # collinear and equal keys are frequent
    for sparsity in range(1, tokens):
        for subset in combinations(range(tokens), sparsity):
            failed = isinstance(separate(keys, subset), RadonPartition)
            assert failed == fails_by_circuits(keys, subset), f"seed {seed}, keys {keys}, subset {subset}"


def test_the_sides_of_a_square_are_separable_and_its_diagonals_are_not() -> None:
    for subset in combinations(range(4), 2):
        side = (subset[1] - subset[0]) % 2 == 1
        assert isinstance(separate(SQUARE, subset), SeparatingDirection) == side


def test_a_point_inside_a_triangle_is_not_separable() -> None:
    keys = [[0, 0], [4, 0], [0, 4], [1, 1]]
    assert isinstance(separate(keys, (0,)), SeparatingDirection)
    found = separate(keys, (3,))
    assert isinstance(found, RadonPartition)
    assert (found.positive, found.negative) == ((3,), (0, 1, 2))


def test_the_ends_of_a_line_are_separable_and_its_middle_is_not() -> None:
    line = [[0, 0], [1, 1], [2, 2], [3, 3]]  # of affine dimension 1 in the plane
    answers = [isinstance(separate(line, (j,)), SeparatingDirection) for j in range(4)]
    assert answers == [True, False, False, True]
    assert isinstance(separate(line, (0, 1)), RadonPartition)  # the segment continues
    assert isinstance(separate(line, (0, 3)), RadonPartition)


def test_of_two_equal_keys_neither_is_separable_alone() -> None:
    keys = [[0.5], [0.5], [2.0]]
    alone, both = separate(keys, (0,)), separate(keys, (0, 1))
    assert isinstance(alone, RadonPartition)
    assert (alone.positive, alone.negative) == ((0,), (1,))
    assert isinstance(both, SeparatingDirection)
    assert isinstance(separate_all([[0], [0], [0]], 2), RadonPartition)


def test_separate_all_names_the_first_failing_subset() -> None:
    found = separate_all(SQUARE, 2)
    assert isinstance(found, RadonPartition)
    assert found.subset == (0, 2)


@pytest.mark.parametrize(
    ("third", "expected"),
    [
        ([0.3, 0.3], RadonPartition),
        ([0.3, float(np.nextafter(0.3, 1))], SeparatingDirection),
        ([Fraction(1, 3), Fraction(1, 3)], RadonPartition),
        ([Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**40)], SeparatingDirection),
    ],
)
def test_the_last_bit_of_a_key_decides(third: list[Any], expected: type) -> None:
    assert isinstance(separate([[0, 0], [1, 1], third], (0, 1)), expected)


def test_keys_that_floats_cannot_tell_apart_are_decided_exactly() -> None:
    tiny = Fraction(1, 10**40)
    bulge = [[0, 0], [1, 0], [Fraction(1, 2), tiny], [Fraction(1, 2), 10]]
    assert isinstance(separate(bulge, (0, 1)), SeparatingDirection)
    dent = [[0, 0], [1, 0], [Fraction(1, 2), -tiny], [Fraction(1, 2), 10]]
    assert isinstance(separate(dent, (0, 1)), RadonPartition)


def test_exact_programming_decides_where_the_float_solver_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        status = 1

    monkeypatch.setattr(polytopes, "linprog", lambda *args, **kwargs: Wrong())
    test_the_sides_of_a_square_are_separable_and_its_diagonals_are_not()
    test_the_ends_of_a_line_are_separable_and_its_middle_is_not()
    test_a_point_inside_a_triangle_is_not_separable()
    curve = [[Fraction(j, 3) ** k for k in range(1, 5)] for j in range(6)]
    assert isinstance(separate_all(curve, 2), list)
    assert isinstance(separate_all([row[:3] for row in curve], 2), RadonPartition)


def test_an_answer_without_a_certificate_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polytopes, "gordan_guesses", lambda rows: iter([([Fraction(0)] * rows.ncols(), [])]))
    with pytest.raises(InvalidCertificateError, match="no certificate"):
        separate(SQUARE, (0, 1))


def test_the_margin_does_not_depend_on_the_coordinates() -> None:
    keys = np.array([[0, 0], [3, 0], [1, 2], [2, -1], [5, 5]])
    moved = keys @ np.array([[2, 1], [7, 4]]) + 3
    for j in range(5):
        here, there = separate(keys, (j,)), separate(moved, (j,))
        assert type(here) is type(there)
        if isinstance(here, SeparatingDirection) and isinstance(there, SeparatingDirection):
            assert abs(float(here.margin - there.margin)) < 1e-9


@pytest.mark.parametrize(("tokens", "sparsity", "dim"), [(24, 3, 6), (16, 8, 15), (20, 2, 3)])
def test_large_random_configurations_have_a_checked_answer(tokens: int, sparsity: int, dim: int) -> None:
    generator = np.random.default_rng(tokens)
    keys = generator.normal(size=(tokens, dim))
    for _ in range(20):
        subset = tuple(sorted(generator.choice(tokens, sparsity, replace=False).tolist()))
        answer = separate(keys, subset)
        if isinstance(answer, SeparatingDirection):
            assert check_direction(keys, subset, answer.direction) == answer, f"seed {tokens}, subset {subset}"
        else:
            assert dim < tokens - 1
            assert check_partition(keys, subset, answer.weights) == answer, f"seed {tokens}, subset {subset}"


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ((), "sparsity q must be at least 1"),
        ((0, 1, 2, 3), "q < N = 4"),
        ((0, 0), "must differ"),
        ((0, 4), "must lie in 0…3"),
        ((-1,), "must lie in 0…3"),
    ],
)
def test_a_subset_that_is_none_is_refused(subset: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        separate(SQUARE, subset)
