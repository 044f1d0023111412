"""Function composition: the inputs, and the answer against tables read by hand."""

from itertools import product

import pytest
import torch

from attention_limits.problems.composition import Composition, all_rows


@pytest.mark.parametrize("num_points", [1, 2, 3])
def test_targets_are_those_of_python_functions(num_points: int) -> None:
    problem, n = Composition(num_points), num_points
    inputs = problem.all_inputs()
    assert len(inputs) == n ** (2 * n + 1)
    expected = [row[n + row[row[-1]]] for row in inputs.tolist()]
    assert problem.target(inputs).tolist() == expected


@pytest.mark.parametrize(("base", "length"), [(1, 1), (1, 4), (2, 5), (3, 3), (5, 2)])
def test_all_rows_are_listed_once_and_in_order(base: int, length: int) -> None:
    assert all_rows(base, length).tolist() == [list(row) for row in product(range(base), repeat=length)]


def test_samples_are_inputs_and_follow_the_generator() -> None:
    problem = Composition(7)
    first, again = (problem.sample(50, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (50, problem.num_tokens) == (50, 15)
    assert set(first.unique().tolist()) == set(range(7))


def test_what_is_no_problem_or_no_input_is_refused() -> None:
    with pytest.raises(ValueError, match="num_points must be at least 1, got 0"):
        Composition(0)
    with pytest.raises(ValueError, match="all inputs are listed for n ≤ 4 only, got n = 5"):
        Composition(5).all_inputs()
    with pytest.raises(ValueError, match=r"inputs must have 2n \+ 1 = 5 tokens, got 4"):
        Composition(2).target(torch.zeros(1, 4, dtype=torch.int64))
    for entry in (-1, 2):
        with pytest.raises(ValueError, match="tokens must lie in 0…1"):
            Composition(2).target(torch.tensor([[0, 0, 0, 0, entry]]))
    with pytest.raises(ValueError, match="num_inputs must be at least 1, got 0"):
        Composition(2).sample(0, generator=torch.Generator())
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        all_rows(2, 0)
