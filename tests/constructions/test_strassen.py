"""The Strassen layer for Match3: all small inputs, hard and random ones, sizes, bits, refusals, and broken copies."""

import math
from fractions import Fraction
from itertools import product

import pytest
import torch

from attention_limits.constructions.strassen import (
    OUTPUT_TOLERANCE,
    Match3StrassenLayer,
    match3_strassen_layer,
)
from attention_limits.fixed_point import FixedPoint
from attention_limits.models.strassen_attention import by_products, over_pairs, pair_scores
from attention_limits.problems.grading import grade
from attention_limits.problems.matching import Match3

LARGEST = 3000
SMALL = [(n, m) for n in range(1, 8) for m in range(2, 40) if m**n <= LARGEST]


def labels_by_loops(row: list[int], modulus: int) -> list[bool]:
    """Match3 as its definition says."""
    return [any((x + y + z) % modulus == 0 for y in row for z in row) for x in row]


@pytest.mark.parametrize("integers", [False, True])
def test_labels_are_right_on_all_small_inputs(integers: bool) -> None:
    checked = 0
    for size, modulus in SMALL:
        problem = Match3(size, modulus)
        layer, inputs = match3_strassen_layer(problem, integers=integers), problem.all_inputs()
        assert layer(inputs).equal(problem.target(inputs)), (size, modulus)
        checked += len(inputs)
    assert checked == sum(modulus**size for size, modulus in SMALL) > 30_000


@pytest.mark.parametrize("integers", [False, True])
def test_labels_equal_loops_over_triples(integers: bool) -> None:
    for size, modulus in [(1, 2), (1, 3), (2, 2), (2, 6), (3, 7), (4, 4)]:
        problem = Match3(size, modulus)
        expected = [labels_by_loops(row, modulus) for row in problem.all_inputs().tolist()]
        assert match3_strassen_layer(problem, integers=integers)(problem.all_inputs()).tolist() == expected


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize(("size", "modulus"), [(16, 185), (33, 740), (64, 2955), (40, 10**4)])
def test_random_planted_and_hard_inputs_are_right(size: int, modulus: int, integers: bool) -> None:
    seed = size + modulus
    generator = torch.Generator().manual_seed(seed)
    problem = Match3(size, modulus)
    layer = match3_strassen_layer(problem, integers=integers)
    near = torch.full((1, size), (modulus + 1) // 3)  # all sums miss M or 2M by at most two
    near[0, ::2] = (2 * modulus - 1) // 3
    for inputs in (
        problem.sample(3, generator=generator),
        problem.sample_planted(3, generator=generator),
        problem.sample_near_misses(2, generator=generator),
        near,
    ):
        assert layer(inputs).equal(problem.target(inputs)), f"seed {seed}"


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("modulus", [2, 11, 4001, 100_003])
def test_scores_are_the_square_up_to_a_function_of_the_query(modulus: int, integers: bool) -> None:
    layer = match3_strassen_layer(Match3(3, modulus), integers=integers)
    some = sorted({*range(min(modulus, 4)), *range(0, modulus, -(-modulus // 9)), modulus - 2, modulus - 1})
    residues = torch.tensor([some])
    for target in layer.targets:
        alpha, beta, gamma = (table[0] for table in pair_scores(*layer.vectors(residues, target)))
        scores = (alpha.unsqueeze(2) + beta + gamma.T.unsqueeze(1)).tolist()
        scale, allowed = Fraction(layer.scale), Fraction(layer.rounding())
        for (i, x), (j, y), (k, z) in product(enumerate(some), repeat=3):
            # Of the query: c q² + 2, in integers c q² + 3.
            own = scale * (Fraction(x) - (Fraction(target) - Fraction(1, 4)) / 3) ** 2 + (3 if integers else 2)
            exact = own - scale * (x + y + z - target + Fraction(1, 4)) ** 2
            assert abs(Fraction(scores[i][j][k]) - exact) <= allowed


@pytest.mark.parametrize(("size", "modulus"), [(1, 2), (4, 9), (6, 100), (3, 5000)])
def test_sizes_and_bits_equal_the_formulas(size: int, modulus: int) -> None:
    problem = Match3(size, modulus)
    ends = torch.tensor([[0, modulus - 1] * size])[:, :size] if size > 1 else torch.tensor([[0]])
    for integers, width in ((False, 4), (True, 5)):
        layer = match3_strassen_layer(problem, integers=integers)
        assert (layer.num_heads, layer.depth, layer.value_dim, layer.embed_dim) == (2, 1, 2, width)
        for target in layer.targets:
            assert [part.shape[-1] for part in layer.vectors(ends, target)] == [width] * 3
    assert math.isclose(match3_strassen_layer(problem).scale, 2 * math.log(16 * size**2 * modulus))
    layer = match3_strassen_layer(problem, integers=True)
    largest = 0
    for target in layer.targets:
        for part in layer.vectors(ends, target):
            assert part.equal(part.round())
            largest = max(largest, int(part.abs().max()))
    # Of x = 0 and T = 2M: t = 1 − 8M, so (t² − 1)/4 = 16M² − 4M.
    assert largest <= 16 * modulus**2 - 4 * modulus < 2 ** (2 * (modulus - 1).bit_length() + 4)


@pytest.mark.parametrize(("size", "modulus"), [(3, 12), (4, 7), (5, 4)])
def test_outputs_are_as_close_as_is_stated_and_survive_rounding(size: int, modulus: int) -> None:
    problem = Match3(size, modulus)
    inputs, residues = problem.all_inputs(), problem.all_inputs().tolist()
    layer = match3_strassen_layer(problem)
    outputs = layer.outputs(inputs)
    bound = 2 * modulus * size**2 * math.exp(-layer.scale / 2)
    assert bound <= 1 / 8 + 1e-12
    for row, found in zip(residues[::7], outputs.tolist()[::7], strict=True):
        for x, heads in zip(row, found, strict=True):
            for target, pair in zip(layer.targets, heads, strict=True):
                best = min(
                    (y + z for y in row for z in row), key=lambda s: abs(Fraction(x + s - target) + Fraction(1, 4))
                )
                assert abs(sum(pair) - best) <= bound + 1e-9
    form = FixedPoint(layer.output_bits - 3, 3)
    assert layer.decide(inputs, form.round(outputs)).equal(problem.target(inputs))


def test_labels_survive_errors_within_the_margin_and_not_beyond() -> None:
    problem = Match3(3, 8)
    inputs, layer = problem.all_inputs(), match3_strassen_layer(Match3(3, 8), integers=True)
    outputs = layer.outputs(inputs)
    for shift in (OUTPUT_TOLERANCE - 0.01, -OUTPUT_TOLERANCE + 0.01):
        assert layer.decide(inputs, outputs + shift / 2).equal(problem.target(inputs))
    assert not layer.decide(inputs, outputs + (OUTPUT_TOLERANCE + 0.01) / 2).equal(problem.target(inputs))


def test_matrix_products_give_the_same_labels_where_they_are_not_refused() -> None:
    for size, modulus in [(1, 3), (2, 5), (3, 7), (4, 5)]:
        problem = Match3(size, modulus)
        layer, inputs = match3_strassen_layer(problem), problem.all_inputs()
        assert layer(inputs, by_products).equal(problem.target(inputs))
    layer = match3_strassen_layer(Match3(8, 14))
    with pytest.raises(ValueError, match=r"query \(0, \d\): its pairs lie [\d.]+ nats below .*float64 leaves 666"):
        layer(torch.tensor([[1, 13, 5, 7, 2, 3, 4, 12]]), by_products)


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        (Match3(3, 5), {"scale": 0.0}, "scale c must be positive and finite, got 0.0"),
        (Match3(3, 5), {"scale": math.inf}, "scale c must be positive and finite, got inf"),
        (Match3(3, 5), {"scale": 20.0, "integers": True}, "in integers the scale is c = 72, got scale = 20.0"),
        (
            Match3(10**5, 10**5),
            {"integers": True},
            "N²M = 1000000000000000 needs c = 74.6, and in integers it is c = 72",
        ),
        (Match3(3, 10**6), {}, "float64 is too small for M = 1000000 at c ="),
        (Match3(3, 10**7), {"integers": True}, "float64 is too small for M = 10000000 at c = 72"),
    ],
)
def test_what_the_proposition_or_the_format_does_not_cover_is_refused(
    problem: Match3, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace("²", ".")):
        match3_strassen_layer(problem, **options)


def test_moduli_below_two_and_residues_outside_are_refused() -> None:
    with pytest.raises(ValueError, match="modulus must be at least 2, got 1"):
        Match3(3, 1)
    with pytest.raises(ValueError, match="residues must lie in 0…4, got 5"):
        match3_strassen_layer(Match3(2, 5))(torch.tensor([[0, 5]]))


class Broken(Match3StrassenLayer):
    """A copy with one thing wrong."""

    what = ""

    def vectors(self, inputs, target):
        """With a part of the vectors changed."""
        query, first, second = super().vectors(inputs, target)
        if self.what == "a sign":
            second = torch.cat([-second[..., :1], second[..., 1:]], dim=-1)
        elif self.what == "a square left out":
            first = torch.cat([first[..., :-2], 0 * first[..., -2:-1], first[..., -1:]], dim=-1)
        elif self.what == "keys exchanged":
            second = first
        return query, first, second


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("what", ["a sign", "a square left out", "keys exchanged"])
def test_wrong_vectors_are_caught(what: str, integers: bool) -> None:
    problem = Match3(3, 9)
    broken = Broken(problem, match3_strassen_layer(problem, integers=integers).scale, integers)
    assert grade(broken, problem).wrong == 0
    broken.what = what
    assert grade(broken, problem).wrong > 0


def test_one_head_and_a_small_scale_are_caught() -> None:
    problem = Match3(3, 9)
    inputs = problem.all_inputs()
    layer = match3_strassen_layer(problem)
    outputs = layer.outputs(inputs, over_pairs)
    for head in (0, 1):
        alone = outputs.clone()
        alone[:, :, 1 - head] = -100.0
        assert not layer.decide(inputs, alone).equal(problem.target(inputs))
    assert grade(match3_strassen_layer(problem, scale=1.0), problem).wrong > 0
