"""Units with one key dimension: proved errors, rows that all differ, and what breaks them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from attention_limits.constructions.one_dimension import (
    KEYS_THAT_SEE_VALUES,
    SCALED_VALUES,
    SingleUnit,
    distinct_rows,
    scalar_unit,
)
from attention_limits.problems.sparse_averaging import SparseAveraging

SIZES = [(2, 1), (3, 1), (3, 2), (4, 1), (4, 3)]


@pytest.mark.parametrize("unit", [SCALED_VALUES, KEYS_THAT_SEE_VALUES])
def test_the_proved_error_is_what_floats_give(unit: SingleUnit) -> None:
    keys, values = np.array(unit.keys, dtype=float), np.array(unit.values, dtype=float)
    tokens, worst = np.arange(unit.num_tokens), 0.0
    for signs in product((0, 1), repeat=unit.num_tokens):
        for y, query in enumerate(float(entry) for entry in unit.queries):
            weights = np.exp(query * keys[list(signs), tokens])
            output = weights @ values[list(signs), tokens] / weights.sum()
            worst = max(worst, abs(output - (2 * signs[y] - 1)))
    assert abs(unit.worst_error() - worst) < 1e-12


def test_the_stored_units_pass_below_what_their_hypotheses_would_forbid() -> None:
    assert SCALED_VALUES.keys[0] == SCALED_VALUES.keys[1]
    assert SCALED_VALUES.num_tokens == 4
    assert SCALED_VALUES.worst_error() < 0.36
    assert KEYS_THAT_SEE_VALUES.num_tokens == 5
    assert KEYS_THAT_SEE_VALUES.worst_error() < 0.45


def test_a_wrong_sign_or_keys_that_see_nothing_spoil_the_unit() -> None:
    unit = KEYS_THAT_SEE_VALUES
    turned = replace(unit, queries=(unit.queries[0].replace("12", "-12"), *unit.queries[1:]))
    assert turned.worst_error() > 1
    for row in unit.keys:
        assert replace(unit, keys=(row, row)).worst_error() >= 0.5


@pytest.mark.parametrize(("tokens", "sparsity"), SIZES)
def test_the_scalar_unit_is_exact_on_every_input(tokens: int, sparsity: int) -> None:
    task = SparseAveraging(tokens, sparsity, 1)
    unit = scalar_unit(task, generator=torch.Generator().manual_seed(tokens))
    assert unit.embed_dim == unit.attention.embed_dim == 1
    inputs = task.all_inputs(dtype=torch.float64)
    assert torch.equal(unit(inputs), task.target(inputs))
    assert len(unit.rows.outputs) == tokens * len(inputs.values)
    assert unit.rows.least_gap > 0
    assert np.diff(unit.rows.outputs).min() > unit.rows.least_gap / 2


def test_the_scalar_unit_answers_for_a_lone_pointer_set() -> None:
    task = SparseAveraging(2, 2, 1)  # q = N: one subset, so a token is its position and its value
    unit = scalar_unit(task, generator=torch.Generator().manual_seed(0))
    inputs = task.all_inputs(dtype=torch.float64)
    assert torch.equal(unit(inputs), task.target(inputs))


def test_numbers_that_agree_for_two_tokens_are_refused() -> None:
    task = SparseAveraging(3, 1, 1)
    numbers = scalar_unit(task, generator=torch.Generator().manual_seed(1)).numbers.clone()
    distinct_rows(task, numbers)
    numbers[1, 0, 2] = numbers[1, 1, 2]
    with pytest.raises(ValueError, match="cannot be told apart"):
        distinct_rows(task, numbers)


def test_what_the_scalar_unit_does_not_cover_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="value_dim d' = 1, got 2"):
        scalar_unit(SparseAveraging(3, 1, 2), generator=generator)
    with pytest.raises(ValueError, match=r"got 10\^5 = 100000"):
        scalar_unit(SparseAveraging(5, 1, 1), generator=generator)
    task = SparseAveraging(2, 1, 1)
    inputs = task.all_inputs(dtype=torch.float64)
    with pytest.raises(ValueError, match="z = ±1"):
        scalar_unit(task, generator=generator)(inputs._replace(values=inputs.values / 2))
