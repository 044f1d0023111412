"""Sign degrees with certificates: all functions of up to three bits against an oracle, known families, refusals."""

import random
from collections import Counter
from fractions import Fraction
from itertools import combinations, product
from math import comb

import pytest

from attention_limits.bounds import sign_degree as module
from attention_limits.bounds.radon import InvalidCertificateError
from attention_limits.bounds.sign_degree import (
    alternative,
    cube,
    excludes,
    function_classes,
    monomials,
    polynomial_values,
    sign_degree,
    signed,
)


def threshold_functions(num_bits: int) -> set[tuple[int, ...]]:
    """All linear threshold functions of up to three bits: weights from −3 to 3 are enough there."""
    inputs = list(product((0, 1), repeat=num_bits))
    sums = {
        tuple(sum(w * b for w, b in zip(weights, bits, strict=True)) for bits in inputs)
        for weights in product(range(-3, 4), repeat=num_bits)
    }
    return {tuple(int(2 * value > bound) for value in values) for values in sums for bound in range(-19, 20, 2)}


def certificates_hold(labels: tuple[int, ...], num_bits: int) -> bool:
    """Both certificates, checked without the package's arithmetic."""
    found = sign_degree(labels)
    values = polynomial_values(found.polynomial, num_bits, found.degree)
    if not all(value < 0 if label else value > 0 for value, label in zip(values, labels, strict=True)):
        return False
    if found.degree == 0:
        return found.multipliers is None
    assert found.multipliers is not None
    inputs = list(product((0, 1), repeat=num_bits))
    sums = [
        sum(
            v * (-1) ** label
            for v, label, bits in zip(found.multipliers, labels, inputs, strict=True)
            if all(bits[i] for i in places)
        )
        for size in range(found.degree)
        for places in combinations(range(num_bits), size)
    ]
    return min(found.multipliers) >= 0 and max(found.multipliers) > 0 and not any(sums)


@pytest.mark.parametrize("num_bits", [1, 2, 3])
def test_all_functions_of_few_bits_have_certificates_and_degree_one_is_linear_threshold(num_bits: int) -> None:
    thresholds = threshold_functions(num_bits)
    assert len(thresholds) == {1: 4, 2: 14, 3: 104}[num_bits]
    for labels in product((0, 1), repeat=2**num_bits):
        assert certificates_hold(labels, num_bits), labels
        assert (sign_degree(labels).degree <= 1) == (labels in thresholds), labels


@pytest.mark.parametrize("seed", range(6))
def test_random_functions_of_five_bits_have_certificates(seed: int) -> None:
    generator = random.Random(seed)
    labels = tuple(generator.randint(0, 1) for _ in range(32))
    assert certificates_hold(labels, 5), f"seed {seed}: {labels}"


@pytest.mark.parametrize("num_bits", range(1, 7))
def test_parity_has_full_degree_and_the_all_ones_certificate(num_bits: int) -> None:
    labels = tuple(sum(bits) % 2 for bits in cube(num_bits))
    assert sign_degree(labels).degree == num_bits
    assert excludes(signed(labels, monomials(num_bits, num_bits - 1)), [1] * 2**num_bits)
    assert not excludes(signed(labels, monomials(num_bits, num_bits)), [1] * 2**num_bits)


@pytest.mark.parametrize("num_bits", [2, 3, 4])
def test_symmetric_functions_have_as_many_degrees_as_sign_changes(num_bits: int) -> None:
    for levels in product((0, 1), repeat=num_bits + 1):
        labels = tuple(levels[sum(bits)] for bits in cube(num_bits))
        assert sign_degree(labels).degree == sum(levels[c] != levels[c + 1] for c in range(num_bits))


def test_monomials_are_as_many_as_they_should_be() -> None:
    for num_bits, degree in [(1, 0), (3, 2), (4, 4), (5, 1)]:
        table = monomials(num_bits, degree)
        assert {len(row) for row in table} == {sum(comb(num_bits, size) for size in range(degree + 1))}
        assert len(table) == 2**num_bits


@pytest.mark.parametrize(("num_bits", "count"), [(1, 2), (2, 4), (3, 14), (4, 222)])
def test_classes_are_as_many_as_known_and_cover_all_functions(num_bits: int, count: int) -> None:
    classes = list(function_classes(num_bits))
    assert len(classes) == count
    assert sum(size for _, size in classes) == 2**2**num_bits


def test_the_members_of_a_class_have_the_same_degree() -> None:
    by_class = Counter({0: 0})
    for labels, size in function_classes(3):
        by_class[sign_degree(labels).degree] += size
    assert by_class == Counter(sign_degree(labels).degree for labels in product((0, 1), repeat=8))


def test_a_wrong_multiplier_excludes_nothing() -> None:
    rows = signed((0, 1, 1, 0), monomials(2, 1))
    assert excludes(rows, [1, 1, 1, 1])
    for wrong in ([1, 1, 1, 0], [0, 0, 0, 0], [-1, -1, -1, -1], [2, 1, 1, 1]):
        assert not excludes(rows, wrong)


@pytest.mark.parametrize("seed", range(30))
def test_the_alternative_is_decided_for_random_small_rows(seed: int) -> None:
    generator = random.Random(seed)
    rows = [[Fraction(generator.randint(-2, 2)) for _ in range(3)] for _ in range(generator.randint(1, 7))]
    vector, multipliers = alternative(rows)
    if vector is None:
        assert multipliers is not None
        assert excludes(rows, multipliers), f"seed {seed}: {rows}"
        return
    assert multipliers is None
    assert all(sum(a * b for a, b in zip(row, vector, strict=True)) > 0 for row in rows), f"seed {seed}: {rows}"


def test_a_solver_that_errs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "gordan_guesses", lambda rows: iter([([Fraction(0)] * rows.ncols(), []), (None, [Fraction(0)])])
    )
    with pytest.raises(InvalidCertificateError, match="gave a wrong answer for 4 rows"):
        sign_degree((0, 1, 1, 0))


@pytest.mark.parametrize("labels", [(), (0,), (0, 1, 0), (0, 2), (0, 1, 1, -1)])
def test_what_is_no_function_is_refused(labels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"2\^n labels, n ≥ 1, each 0 or 1"):
        sign_degree(labels)


@pytest.mark.parametrize("num_bits", [0, 5])
def test_classes_of_more_bits_are_refused(num_bits: int) -> None:
    with pytest.raises(ValueError, match=f"1 ≤ n ≤ 4 bits, got n = {num_bits}"):
        list(function_classes(num_bits))
