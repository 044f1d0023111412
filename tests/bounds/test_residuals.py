"""Residual functions: all inputs against the reduction against the formulas, as integers."""

import itertools
from math import comb

import numpy as np
import pytest

from attention_limits.bounds.counting import least_bits
from attention_limits.bounds.residuals import (
    Machine,
    deferred_formula,
    fixed_pointer_outputs,
    half_cut_pointers,
    literal_outputs,
    literal_residuals,
    reduced_residuals,
    residual_formula,
    undetermined_outputs,
)

SMALL = [(n, q) for n in range(1, 5) for q in range(1, n + 1)]
UNLIMITED = [machine for machine in Machine if machine is not Machine.STACKED]


@pytest.mark.parametrize("machine", Machine)
@pytest.mark.parametrize(("tokens", "ones"), [*SMALL, (5, 1), (5, 4), (5, 5)])
def test_the_reduction_counts_what_all_inputs_show(machine: Machine, tokens: int, ones: int) -> None:
    for cut in range(tokens + 1):
        assert literal_residuals(machine, tokens, ones, cut) == reduced_residuals(machine, tokens, ones, cut)


@pytest.mark.parametrize("machine", [Machine.BIDIRECTIONAL, Machine.DEFERRED])
def test_all_inputs_agree_with_a_plain_loop_over_strings(machine: Machine) -> None:
    tokens, ones = 3, 2
    letters = list(itertools.product((1, -1), itertools.combinations(range(tokens), ones)))
    for cut in range(tokens + 1):
        functions = set()
        for prefix in itertools.product(letters, repeat=cut):
            outputs = []
            for suffix in itertools.product(letters, repeat=tokens - cut):
                word = prefix + suffix
                sums = [sum(word[j][0] for j in pointers) for _, pointers in word]
                outputs.append(tuple(sums if machine is Machine.DEFERRED else sums[cut:]))
            functions.add(tuple(outputs))
        assert literal_residuals(machine, tokens, ones, cut) == len(functions)


@pytest.mark.parametrize("machine", UNLIMITED)
@pytest.mark.parametrize("tokens", range(2, 9))
def test_the_reduction_gives_the_formula_at_every_cut(machine: Machine, tokens: int) -> None:
    for ones in range(1, tokens - (machine is Machine.STRICT_LOOK_BACK)):
        for cut in range(tokens + 1):
            assert reduced_residuals(machine, tokens, ones, cut) == residual_formula(machine, tokens, ones, cut)


@pytest.mark.parametrize("tokens", range(2, 8))
def test_a_stack_is_left_two_to_the_half_cut_and_for_one_pointer_the_smaller_side(tokens: int) -> None:
    for ones in range(1, tokens):
        for cut in range(tokens + 1 if ones == 1 else tokens // 2 + 1):
            expected = residual_formula(Machine.STACKED, tokens, ones, cut)
            assert reduced_residuals(Machine.STACKED, tokens, ones, cut) == expected


def test_asking_for_everything_leaves_only_the_sum() -> None:
    for tokens in range(1, 9):
        for cut in range(tokens):
            for machine in (Machine.BIDIRECTIONAL, Machine.DEFERRED, Machine.LOOK_BACK):
                assert reduced_residuals(machine, tokens, tokens, cut) == cut + 1
            assert reduced_residuals(Machine.STRICT_LOOK_BACK, tokens, tokens, cut) == 1
        assert reduced_residuals(Machine.DEFERRED, tokens, tokens, tokens) == tokens + 1


def test_strictly_back_to_all_but_the_last_leaves_only_the_sum() -> None:
    for tokens in range(2, 9):
        counts = [reduced_residuals(Machine.STRICT_LOOK_BACK, tokens, tokens - 1, cut) for cut in range(tokens)]
        assert counts == [cut + 1 for cut in range(tokens)]


@pytest.mark.parametrize("tokens", [2, 3, 7, 20, 64])
def test_the_formula_for_one_pointer_is_the_general_one(tokens: int) -> None:
    for c in range(1, tokens):
        short = (2**c - 2) * (tokens - c + 2) ** c + 2 * (tokens - c + 1) ** c
        assert deferred_formula(tokens, 1, c) == short
    assert deferred_formula(tokens, 1, 0) == 1
    assert deferred_formula(tokens, 1, tokens) == 2**tokens


def test_the_formula_takes_its_middle_terms_together_rightly() -> None:
    for tokens, ones, cut in [(30, 3, 17), (41, 5, 9), (41, 5, 40), (12, 11, 7), (50, 2, 25)]:
        total = 0
        for positive in range(cut + 1):
            functions = 0
            for asked in range(max(0, ones - (tokens - cut)), min(ones, cut) + 1):
                sums = {k for k in range(asked + 1) if k <= positive and asked - k <= cut - positive}
                functions += comb(tokens - cut, ones - asked) * len(sums)
            total += comb(cut, positive) * functions**cut
        assert deferred_formula(tokens, ones, cut) == total


def test_writing_in_order_leaves_every_output_but_the_last_undetermined() -> None:
    for tokens, ones in SMALL:
        assert undetermined_outputs(tokens, ones) == tokens - 1


def test_the_half_cut_pointers_are_pointer_sets_that_show_the_whole_prefix() -> None:
    for tokens in range(2, 21):
        for ones in range(1, tokens):
            pointers = half_cut_pointers(tokens, ones)
            assert pointers.shape == (tokens - tokens // 2, tokens)
            assert (pointers.sum(axis=1) == ones).all()
            assert fixed_pointer_outputs(pointers, tokens // 2) == 2 ** (tokens // 2)


def test_the_half_cut_pointers_are_regular_at_random_large_sizes() -> None:
    generator = np.random.default_rng(5)
    for _ in range(20):
        tokens = int(generator.integers(30, 200))
        ones = int(generator.integers(1, tokens))
        square = half_cut_pointers(tokens, ones)[: tokens // 2, : tokens // 2].astype(float)
        sign, _ = np.linalg.slogdet(square)
        assert sign != 0, f"seed 5, N = {tokens}, q = {ones}"


def test_a_pointer_set_that_misses_a_token_shows_less() -> None:
    pointers = half_cut_pointers(8, 1)
    pointers[2, 2], pointers[2, 7] = False, True  # nobody asks for token 2 any more
    assert fixed_pointer_outputs(pointers, 4) == 2**3


def test_one_bit_less_is_fewer_states_than_residual_functions() -> None:
    for tokens, ones in SMALL:
        if ones < tokens:
            count = literal_residuals(Machine.BIDIRECTIONAL, tokens, ones, tokens - 1)
            assert least_bits(count) == tokens - 1
            assert 2 ** (tokens - 2) < count


def test_three_weighings_tell_four_signs_apart() -> None:
    assert reduced_residuals(Machine.STACKED, 7, 3, 4) == 2**4 > 2 ** (7 // 2)


def test_outputs_of_the_literal_enumeration_are_the_sums() -> None:
    outputs = literal_outputs(Machine.BIDIRECTIONAL, 2, 1)
    # Letters: (+, {1}), (−, {1}), (+, {2}), (−, {2}).
    assert outputs[0 * 4 + 1].tolist() == [1, 1]
    assert outputs[2 * 4 + 3].tolist() == [-1, -1]
    assert outputs[1 * 4 + 2].tolist() == [-1, 1]


@pytest.mark.parametrize("machine", Machine)
def test_cuts_outside_the_sequence_are_refused(machine: Machine) -> None:
    for count in (literal_residuals, reduced_residuals, residual_formula):
        with pytest.raises(ValueError, match=r"cut c = 4 lies outside 0…3"):
            count(machine, 3, 1, 4)
        with pytest.raises(ValueError, match="cut must be at least 0, got -1"):
            count(machine, 3, 1, -1)


@pytest.mark.parametrize("machine", Machine)
def test_formulas_refuse_as_many_pointers_as_tokens(machine: Machine) -> None:
    with pytest.raises(ValueError, match=r"q = 4 needs num_tokens N ≥ [56] in this model, got N = 4"):
        residual_formula(machine, 4, 4, 2)
    for count in (literal_residuals, reduced_residuals, residual_formula):
        with pytest.raises(ValueError, match="q = 5 needs num_tokens N ≥ 5, got N = 4"):
            count(machine, 4, 5, 2)


def test_the_strict_formula_refuses_one_pointer_less_than_tokens() -> None:
    with pytest.raises(ValueError, match="q = 3 needs num_tokens N ≥ 5 in this model, got N = 4"):
        residual_formula(Machine.STRICT_LOOK_BACK, 4, 3, 2)


def test_a_formula_that_is_not_proved_is_refused() -> None:
    with pytest.raises(ValueError, match="cut c = 5 lies beyond N/2 for N = 8: there the formula needs sparsity q = 1"):
        residual_formula(Machine.STACKED, 8, 2, 5)


def test_half_cut_pointers_and_deferred_formula_refuse_as_many_pointers_as_tokens() -> None:
    with pytest.raises(ValueError, match="q = 6 needs num_tokens N > 6, got N = 6"):
        half_cut_pointers(6, 6)
    with pytest.raises(ValueError, match="q = 6 needs num_tokens N > 6, got N = 6"):
        deferred_formula(6, 6, 3)


def test_enumerations_refuse_sizes_that_are_too_large() -> None:
    with pytest.raises(ValueError, match="N = 6 with sparsity q = 2 has 729000000 inputs"):
        literal_residuals(Machine.DEFERRED, 6, 2, 3)
    with pytest.raises(ValueError, match="N = 20 with sparsity q = 1 has tables of 20971520 entries"):
        reduced_residuals(Machine.BIDIRECTIONAL, 20, 1, 3)
    with pytest.raises(ValueError, match=r"N = 14 with sparsity q = 5 and cut c = 8 has .* choices of pointers"):
        reduced_residuals(Machine.STACKED, 14, 5, 8)


def test_bits_of_counts_with_thousands_of_digits() -> None:
    assert least_bits(2**20000) == 20000
    assert least_bits(2**20000 + 1) == 20001
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        least_bits(0)
