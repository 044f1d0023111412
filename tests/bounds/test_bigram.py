"""Disjointness inside Match3Bigram, and the protocol that one layer would be."""

from fractions import Fraction
from math import log2

import pytest
import torch

from attention_limits.bounds import bigram
from attention_limits.bounds.bigram import (
    BigramReduction,
    FirstRow,
    message_bits,
    read_slots,
    run_first_row,
    slot_row,
)
from attention_limits.bounds.disjointness import all_pairs
from attention_limits.problems.disjointness import Disjointness


def wrong_answers(num_bits: int) -> int:
    """Pairs of strings for which the first label is not DISJ."""
    task, reduction = Disjointness(num_bits), BigramReduction(num_bits)
    pairs = all_pairs(task)
    labels = reduction.problem.target(reduction.inputs(*pairs))[:, 0]
    return int((labels != task.target(pairs)).sum())


def random_row(num_bits: int, heads: int, value_dim: int, seed: int, slack: Fraction) -> FirstRow:
    generator = torch.Generator().manual_seed(seed)
    size = 2 * num_bits + 1
    scores = 3 * torch.randn(heads, size, 4, generator=generator, dtype=torch.float64)
    values = torch.randn(heads, size, 4, value_dim, generator=generator, dtype=torch.float64)
    return FirstRow(scores, values, slack)


@pytest.mark.parametrize("num_bits", range(1, 8))
def test_the_first_label_is_disjointness_on_all_pairs(num_bits: int) -> None:
    assert wrong_answers(num_bits) == 0


@pytest.mark.parametrize("num_bits", [64, 500])
def test_the_first_label_is_disjointness_on_hard_random_pairs(num_bits: int) -> None:
    task, reduction = Disjointness(num_bits), BigramReduction(num_bits)
    pairs = task.sample(200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reduction.problem.target(reduction.inputs(*pairs))[:, 0], task.target(pairs))


@pytest.mark.parametrize(
    ("name", "value"),
    [("FILLER", 0), ("FILLER", 2), ("ALICE_LETTERS", (0, 0)), ("BOB_LETTERS", (3, 3)), ("ALICE_LETTERS", (3, 0))],
)
def test_any_other_letter_breaks_the_reduction(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigram, name, value)
    assert wrong_answers(3) > 0


def test_one_alphabet_for_all_pairs_breaks_the_reduction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigram, "ALICE_LETTERS", (0, 0))
    monkeypatch.setattr(bigram, "BOB_LETTERS", (3, 3))
    assert wrong_answers(1) == 0
    assert wrong_answers(2) > 0


@pytest.mark.parametrize("num_bits", [1, 2, 4])
def test_a_layer_of_slots_decides_through_the_channel(num_bits: int) -> None:
    reduction, row = BigramReduction(num_bits), slot_row(num_bits)
    tally = run_first_row(row, reduction, Disjointness(num_bits).strings())
    answers = read_slots(reduction, tally.outputs.flatten(0, 1))
    assert torch.equal(answers, tally.labels.flatten())
    assert tally.worst_error <= row.slack
    size = 2 * num_bits + 1
    assert tally.num_bits == row.num_bits == size * (32 * size - 1).bit_length() >= num_bits


@pytest.mark.parametrize(("heads", "value_dim"), [(1, 1), (2, 3), (5, 1)])
@pytest.mark.parametrize("slack", [Fraction(1, 2), Fraction(1, 1000)])
def test_bob_is_off_by_no_more_than_the_slack(heads: int, value_dim: int, slack: Fraction) -> None:
    for seed in range(5):
        row = random_row(3, heads, value_dim, seed, slack)
        tally = run_first_row(row, BigramReduction(3), Disjointness(3).strings())
        assert tally.worst_error <= slack, f"seed {seed}"
        assert tally.num_bits == row.num_bits


def test_bob_takes_the_middle_of_the_cell_that_alice_names() -> None:
    # With equal scores her weight is 3/7, and her mean is all that is rounded: by at most η/2.
    slack, errors = Fraction(1, 10), []
    for seed in range(5):
        values = torch.randn(1, 7, 4, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        row = FirstRow(torch.zeros(1, 7, 4, dtype=torch.float64), values, slack)
        errors.append(run_first_row(row, BigramReduction(3), Disjointness(3).strings()).worst_error)
    half = 3 / 7 * float(slack) / 2
    assert 0.8 * half < max(errors) <= half + 1e-12


def test_the_bits_are_those_of_the_formula() -> None:
    for heads, value_dim, score, value, slack in ((1, 1, 1.0, 1.0, Fraction(1)), (3, 2, 5.0, 4.0, Fraction(1, 7))):
        scale = heads * Fraction(value) / slack
        totals, means = -(-scale * Fraction(score) // 1), -(-2 * scale // 1)
        expected = heads * (int(totals - 1).bit_length() + value_dim * int(means - 1).bit_length())
        assert message_bits(heads, value_dim, score, value, slack) == expected
        assert expected >= heads * (log2(totals) + value_dim * log2(means)) - 1e-9
    assert message_bits(1, 1, 0.0, 1.0, Fraction(2)) == 0


def test_a_coarser_grid_than_the_proved_one_breaks_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    original = bigram.message_cells
    monkeypatch.setattr(bigram, "message_cells", lambda *sizes: tuple(-(-cells // 40) for cells in original(*sizes)))
    rows = [random_row(3, 1, 2, seed, Fraction(1, 100)) for seed in range(5)]
    errors = [run_first_row(row, BigramReduction(3), Disjointness(3).strings()).worst_error for row in rows]
    assert max(errors) > rows[0].slack


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 1.0, 1.0, 1.0), "num_heads must be at least 1, got 0"),
        ((1, 0, 1.0, 1.0, 1.0), "value_dim must be at least 1, got 0"),
        ((1, 1, -1.0, 1.0, 1.0), "score_bound S must be at least 0, got -1.0"),
        ((1, 1, 1.0, 0.0, 1.0), "value_bound R must be positive, got 0.0"),
        ((1, 1, 1.0, 1.0, 0.0), "slack η must be positive, got 0.0"),
    ],
)
def test_what_is_outside_the_hypotheses_is_refused(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        message_bits(*arguments)  # type: ignore[arg-type]


def test_a_reduction_of_no_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="num_bits must be at least 1, got 0"):
        BigramReduction(0)
