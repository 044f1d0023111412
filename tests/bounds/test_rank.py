"""Collisions: every small first layer, random and hardest ones, refusals, and broken collisions caught."""

import dataclasses
import itertools
import math
from fractions import Fraction

import pytest
import torch

from attention_limits.bounds.rank import (
    as_fractions,
    find_collision,
    hardest_rows,
    kernel_vector,
    least_forced_error,
    widest_subset,
)
from attention_limits.models.feedforward import feedforward_network
from attention_limits.problems.sparse_averaging import SparseAveraging


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def every_layer(width: int, columns: int) -> list[tuple[tuple[int, ...], ...]]:
    rows = list(itertools.product((-1, 0, 1), repeat=columns))
    return list(itertools.product(rows, repeat=width))


def determinant(rows: tuple[tuple[int, ...], ...]) -> int:
    """By cofactors."""
    if not rows:
        return 1
    minors = (tuple(row[:j] + row[j + 1 :] for row in rows[1:]) for j in range(len(rows)))
    return sum((-1) ** j * rows[0][j] * determinant(minor) for j, minor in enumerate(minors) if rows[0][j])


@pytest.mark.parametrize(
    ("num_tokens", "value_dim", "width"), [(2, 1, 1), (2, 1, 2), (2, 2, 1), (2, 2, 2), (3, 1, 1), (3, 1, 2)]
)
def test_every_small_layer_of_less_than_full_rank_collides(num_tokens: int, value_dim: int, width: int) -> None:
    size = num_tokens * value_dim
    for sparsity in range(1, num_tokens):
        problem = SparseAveraging(num_tokens, sparsity, value_dim)
        for rows in every_layer(width, size):
            if width == size and determinant(rows):
                with pytest.raises(ValueError, match=f"rank N d' = {size}: no collision is guaranteed"):
                    find_collision(problem, rows)
                continue
            collision = find_collision(problem, rows)
            flat = [x for row in collision.values for x in row]
            assert any(flat)
            assert all(sum(w * x for w, x in zip(row, flat, strict=True)) == 0 for row in rows)
            total = [sum(collision.values[j][a] for j in collision.subset) for a in range(value_dim)]
            longest = max(sum(x * x for x in row) for row in collision.values)
            forced = Fraction(sum(x * x for x in total)) / (sparsity**2 * longest)
            assert collision.forced_error_squared == forced >= Fraction(1, (2 * sparsity - 1) ** 2)
            assert len(set(collision.subset)) == sparsity
            assert collision.holds
            assert collision.difference == collision.tolerance == 0


def test_the_number_of_singular_matrices_with_entries_at_most_one_is_the_known_one() -> None:
    problem, found = SparseAveraging(3, 2, 1), 0
    for rows in every_layer(3, 3):
        found += kernel_vector(rows) is not None
    assert found == 7875
    assert sum(kernel_vector(rows) is not None for rows in every_layer(2, 2)) == 33
    assert find_collision(problem, ((1, 1, 0), (0, 1, 1), (1, 2, 1))).holds


def test_for_scalar_values_no_subset_is_wider_than_the_chosen_one() -> None:
    generator = seeded(5)
    for num_tokens in range(2, 8):
        for sparsity in range(1, num_tokens):
            numbers = torch.randint(-20, 21, (num_tokens,), generator=generator).tolist()
            numbers[0] = numbers[0] or 1
            chosen = widest_subset([[x] for x in numbers], sparsity)
            widest = max(abs(sum(subset)) for subset in itertools.combinations(numbers, sparsity))
            assert abs(sum(numbers[j] for j in chosen)) == widest, numbers
            assert abs(sum(numbers[j] for j in chosen)) * (2 * sparsity - 1) >= sparsity * max(map(abs, numbers))


@pytest.mark.parametrize("value_dim", [1, 2, 3])
def test_the_hardest_layers_force_the_threshold_exactly(value_dim: int) -> None:
    for num_tokens in range(2, 9):
        for sparsity in range(1, num_tokens):
            problem = SparseAveraging(num_tokens, sparsity, value_dim)
            rows = hardest_rows(problem)
            assert len(rows) == num_tokens * value_dim - 1
            collision = find_collision(problem, rows)
            assert collision.forced_error_squared == least_forced_error(problem) ** 2
            assert collision.forced_error_squared == Fraction(1, (2 * sparsity - 1) ** 2)
            floats = find_collision(problem, torch.tensor(rows, dtype=torch.float64))
            assert floats.holds
            assert floats.forced_error == pytest.approx(1 / (2 * sparsity - 1), rel=1e-12)


@pytest.mark.parametrize(
    ("num_tokens", "sparsity", "value_dim", "width"), [(40, 7, 1, 39), (40, 39, 1, 20), (16, 8, 4, 63), (64, 1, 1, 63)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_random_layers_collide_in_floats(
    num_tokens: int, sparsity: int, value_dim: int, width: int, dtype: torch.dtype
) -> None:
    problem = SparseAveraging(num_tokens, sparsity, value_dim)
    for seed in range(3):
        weights = torch.randn(width, num_tokens * value_dim, generator=seeded(seed), dtype=dtype)
        weights[0] *= 1e-6  # a short row counts as much as a long one
        collision = find_collision(problem, weights)
        assert collision.holds, f"seed {seed}"
        assert 0 < collision.difference <= collision.tolerance, f"seed {seed}"
        size = num_tokens * value_dim
        assert collision.tolerance == pytest.approx(size * 2.0**-52, rel=1e-9)


def test_short_rows_of_floats_collide_within_the_tolerance() -> None:
    for num_tokens, value_dim in [(2, 1), (2, 2), (3, 1), (4, 1)]:
        size = num_tokens * value_dim
        for seed in range(300):
            weights = torch.randn(1 + seed % (size - 1), size, generator=seeded(seed), dtype=torch.float64)
            assert find_collision(SparseAveraging(num_tokens, 1, value_dim), weights).holds, f"seed {seed}"


def test_random_square_layers_of_floats_are_refused() -> None:
    for seed in range(50):
        with pytest.raises(ValueError, match="rank N d' = 6: no collision"):
            find_collision(SparseAveraging(6, 2, 1), torch.randn(6, 6, generator=seeded(seed)))


def test_kernel_vectors_too_long_for_floats_still_give_inputs() -> None:
    problem = SparseAveraging(40, 2, 1)
    layer = find_collision(problem, as_fractions(torch.randn(39, 40, generator=seeded(1), dtype=torch.float64)))
    assert max(abs(row[0]) for row in layer.values) > 10**400
    problem.check(layer.inputs())
    assert problem.target(layer.inputs())[0, 0].abs().item() == pytest.approx(layer.forced_error, rel=1e-9)


def test_floats_read_as_fractions_collide_exactly() -> None:
    problem = SparseAveraging(6, 2, 2)
    weights = torch.randn(11, 12, generator=seeded(0), dtype=torch.float32)
    exact, rounded = find_collision(problem, as_fractions(weights)), find_collision(problem, weights)
    assert exact.holds
    assert exact.difference == 0 < rounded.difference
    assert exact.subset == rounded.subset
    assert exact.forced_error == pytest.approx(rounded.forced_error, rel=1e-9)


def test_integers_in_a_tensor_are_exact_and_fractions_may_stand_in_rows() -> None:
    problem = SparseAveraging(3, 1, 1)
    assert find_collision(problem, torch.tensor([[1, 3, 0], [1, 0, 3]])).difference == 0
    collision = find_collision(problem, [[Fraction(1, 3), 1, 0], [Fraction(1, 7), 0, Fraction(3, 7)]])
    assert [abs(int(row[0])) for row in collision.values] == [3, 1, 1]


@pytest.mark.parametrize("value_dim", [1, 3])
def test_a_whole_network_answers_both_inputs_alike_and_one_of_them_wrongly(value_dim: int) -> None:
    problem = SparseAveraging(5, 2, value_dim)
    for seed in range(5):
        network = feedforward_network(problem, 5 * value_dim - 1, (32, 32), generator=seeded(seed)).double()
        collision = find_collision(problem, network.value_block)
        inputs = collision.inputs()
        problem.check(inputs)
        answers, targets = network(problem.encode(inputs)), problem.target(inputs)
        torch.testing.assert_close(answers[0], answers[1], rtol=0, atol=1e-12)
        torch.testing.assert_close(targets[0], -targets[1])
        assert targets[0].norm(dim=-1).min().item() == pytest.approx(collision.forced_error, rel=1e-9)
        worst = (answers - targets).norm(dim=-1).amax(dim=0).min().item()
        assert worst >= collision.forced_error - 1e-9 >= 1 / 3 - 2e-9, f"seed {seed}"


def test_a_layer_that_sees_no_values_collides_on_one_token() -> None:
    collision = find_collision(SparseAveraging(2, 1, 1), [[0, 0]])
    assert collision.holds
    assert collision.forced_error_squared == 1


def test_inputs_stay_in_the_ball_in_float32() -> None:
    problem = SparseAveraging(6, 2, 3)
    for seed in range(20):
        weights = torch.randn(17, 18, generator=seeded(seed))
        problem.check(find_collision(problem, weights).inputs(torch.float32))


@pytest.mark.parametrize("tensor", [False, True])
def test_full_rank_is_refused_with_the_reason(tensor: bool) -> None:
    rows = [[int(i == j) for j in range(12)] for i in range(12)]
    weights = torch.tensor(rows, dtype=torch.float64) if tensor else rows
    with pytest.raises(ValueError, match="rank N d' = 12: no collision is guaranteed"):
        find_collision(SparseAveraging(6, 2, 2), weights)


def test_a_wide_layer_of_low_rank_still_collides() -> None:
    factors = torch.randint(-3, 4, (9, 5), generator=seeded(0)), torch.randint(-3, 4, (5, 6), generator=seeded(1))
    product = factors[0] @ factors[1]
    assert find_collision(SparseAveraging(6, 3, 1), product).holds
    assert find_collision(SparseAveraging(6, 3, 1), product.double()).holds


def test_all_pointers_alike_is_refused_by_name() -> None:
    for value_dim in (1, 2):
        problem = SparseAveraging(4, 4, value_dim)
        for call in (least_forced_error, hardest_rows):
            with pytest.raises(ValueError, match="the bound needs q < N, got q = 4 = N"):
                call(problem)
        with pytest.raises(ValueError, match="the bound needs q < N"):
            find_collision(problem, [[0] * 4 * value_dim])


@pytest.mark.parametrize("sparsity", [0, -1])
def test_no_pointers_at_all_are_refused_by_name(sparsity: int) -> None:
    with pytest.raises(ValueError, match=f"sparsity must be at least 1, got {sparsity}"):
        find_collision(SparseAveraging(4, sparsity, 1), [[0] * 4])


def test_a_matrix_of_another_shape_is_refused_with_both_sizes() -> None:
    problem = SparseAveraging(4, 2, 1)
    with pytest.raises(ValueError, match="must have N d' = 4 numbers, got 3"):
        find_collision(problem, [[1, 2, 3]])
    with pytest.raises(ValueError, match="at least one unit, got none"):
        find_collision(problem, [])


def test_broken_collisions_do_not_hold() -> None:
    problem = SparseAveraging(5, 3, 1)
    good = find_collision(problem, hardest_rows(problem))
    assert good.holds
    # values that cancel on the subset
    zero = tuple((Fraction(x),) for x in (1, -1, 0, 0, 0))
    assert not dataclasses.replace(good, values=zero, subset=(0, 1, 2)).holds
    # a subset that is neither the largest nor the smallest
    spread = tuple((Fraction(x),) for x in (-2, -1, 0, 1, 2))
    assert dataclasses.replace(good, values=spread, subset=widest_subset(spread, 3)).holds
    assert not dataclasses.replace(good, values=spread, subset=(0, 2, 4)).holds
    # pre-activations that differ
    assert not dataclasses.replace(good, difference=1e-30).holds


def test_one_changed_weight_breaks_the_kernel_vector() -> None:
    problem = SparseAveraging(4, 2, 1)
    rows = hardest_rows(problem)
    flat = [x for row in find_collision(problem, rows).values for x in row]
    rows[1][0] += 1
    assert sum(w * x for w, x in zip(rows[1], flat, strict=True)) != 0
    assert find_collision(problem, rows).forced_error_squared > Fraction(1, 9)
    assert math.isclose(
        find_collision(problem, rows).forced_error ** 2, find_collision(problem, rows).forced_error_squared
    )
