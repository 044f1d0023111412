"""The triangle unit on all digraphs with 3 and 4 vertices, on random ones, and a broken copy."""

import math
from itertools import permutations, product

import pytest
import torch
from scipy.special import expit
from torch import Tensor

from attention_limits.constructions.triangles import TriangleUnit, directed_triangles
from attention_limits.problems.grading import grade_outputs


def digraphs(vertices: int) -> list[Tensor]:
    """All digraphs without loops and with an edge, stacked by their numbers of edges."""
    arcs = torch.tensor(list(permutations(range(vertices), 2)))
    chosen = torch.tensor(list(product((False, True), repeat=len(arcs))))
    sizes = chosen.sum(dim=1)
    return [torch.stack([arcs[row] for row in chosen[sizes == size]]) for size in range(1, len(arcs) + 1)]


@pytest.mark.parametrize(("vertices", "count"), [(3, 63), (4, 4095)])
@pytest.mark.parametrize("log_odds", [0.25, 0.5, 1.0])
def test_all_small_digraphs_get_sigma_g(vertices: int, count: int, log_odds: float) -> None:
    checked = 0
    for edges in digraphs(vertices):
        unit = TriangleUnit(edges.shape[1], log_odds).double()
        assert grade_outputs(unit(edges), directed_triangles(edges)).right_side >= expit(log_odds) - 1e-9
        checked += len(edges)
    assert checked == count


def test_the_scale_is_the_formulas_rounded_up() -> None:
    for size, log_odds in product((1, 2, 3, 12, 100), (0.1, 0.5, 1.0, 5.0)):
        unit = TriangleUnit(size, log_odds)
        assert unit.scale == math.ceil(max(2 * math.log(size) + 2 * log_odds, log_odds + math.log(4 * size)))
        assert [part.shape[-1] for part in unit.vectors(torch.tensor([[[0, 1]] * size]))] == [unit.embed_dim] * 3


def triangle(first: int, second: int, third: int) -> Tensor:
    return torch.tensor([[[first, second], [second, third], [third, first]]])


def test_vertices_up_to_the_largest_are_right_in_float32_and_the_next_is_refused() -> None:
    unit = TriangleUnit(3)  # c = 5, and 10 c V² < 2^23 for V ≤ 409
    assert unit.scale == 5
    for second in (0, 200, 408):
        assert unit(triangle(409, second, 1)).min() >= expit(0.5)
        assert unit(triangle(409, second, 1)[:, [0, 1, 1]]).max() <= expit(-0.5)
    with pytest.raises(ValueError, match="too small for vertex 410"):
        unit(triangle(410, 0, 1))


def test_log_odds_that_rounding_would_eat_are_refused() -> None:
    # In float32 the blank's score, about 10⁶, is a multiple of 1/16: with g = 0.01 both sides would get 1/2.
    edges = triangle(527, 300, 0)
    unit = TriangleUnit(3, 0.01)
    for refused in (edges, triangle(200, 1, 0)):
        with pytest.raises(ValueError, match=r"rounding may cost 0\.\d+, more than half of the log-odds g = 0\.01"):
            unit(refused)
    assert (unit(triangle(60, 1, 0)) > 0.5).all()
    assert (unit.double()(edges) > 0.5).all()


def test_the_target_equals_three_loops_on_random_digraphs() -> None:
    for seed in range(10):
        edges = torch.randint(0, 5, (1, 12, 2), generator=torch.Generator().manual_seed(seed))
        edges = edges[:, edges[0, :, 0] != edges[0, :, 1]]
        listed = edges[0].tolist()
        expected = [any(v == a and b == p and q == u for a, b in listed for p, q in listed) for u, v in listed]
        assert directed_triangles(edges)[0].tolist() == expected, seed


def test_larger_random_digraphs_are_right_in_float32() -> None:
    edges = torch.randint(0, 60, (1, 150, 2), generator=torch.Generator().manual_seed(0))
    edges = edges[:, edges[0, :, 0] != edges[0, :, 1]]
    target = directed_triangles(edges)
    assert 0 < target.sum() < target.numel()
    assert (TriangleUnit(edges.shape[1])(edges) > 0.5).equal(target)


def test_a_unit_without_its_blank_is_caught() -> None:
    edges = torch.tensor([[[0, 1], [1, 2]]])
    unit = TriangleUnit(2).double()
    sound = unit.vectors
    unit.vectors = lambda edges: (sound(edges)[0].index_fill(2, torch.tensor(5), -1e9), *sound(edges)[1:])
    assert (unit(edges) > 0.5).any()
    assert not directed_triangles(edges).any()


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([[[1, 1]]], "got a loop at"),
        ([[[-1, 0]]], "at least 0"),
        ([[[0, 1], [1, 2]]], "edges must be 1, got 2"),
        ([[[0, 5000]]], "too small for vertex 5000"),
    ],
)
def test_what_is_no_input_is_refused(edges: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TriangleUnit(1)(torch.tensor(edges))
