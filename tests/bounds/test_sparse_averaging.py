"""Theorem 4's reduction and the unit of Theorem 2 as a protocol: all inputs, counted bits, and sabotage."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch

from attention_limits.bounds.counting import required_bits
from attention_limits.bounds.disjointness import all_pairs
from attention_limits.bounds.protocols import Bits, ProtocolError, run_protocol
from attention_limits.bounds.sparse_averaging import (
    DisjointnessReduction,
    QueryProtocol,
    fixed_precision_protocol,
    run_query_protocol,
    sign_protocol,
)
from attention_limits.constructions.keys import MissingCertificateError
from attention_limits.constructions.sizes import smallest_unit
from attention_limits.constructions.sparse_averaging import (
    FixedPrecisionUnit,
    default_embed_dim,
    fixed_precision_unit,
    narrow_embed_dim,
    sufficient_format,
)
from attention_limits.problems.disjointness import Disjointness


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """The matrices here are tiny: more threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def proved_unit(reduction: DisjointnessReduction, accuracy: float, *, seed: int = 0) -> FixedPrecisionUnit:
    """Theorem 2's unit with exactly the bits that are proved to be enough."""
    size = reduction.num_tokens, reduction.num_bits
    k = default_embed_dim(*size)
    bits = sufficient_format(*size, k, accuracy).bits
    generator = torch.Generator().manual_seed(seed)
    return fixed_precision_unit(reduction.problem, accuracy, generator=generator, embed_dim=k, bits=bits).double()


def protocol_for(num_bits: int, num_tokens: int | None = None, **options: Any) -> QueryProtocol:
    """That unit at ε = 1/(2q) as a protocol for all strings."""
    reduction = DisjointnessReduction(num_bits, num_tokens or 2 * num_bits + 1, **options)
    unit = proved_unit(reduction, 1 / (2 * num_bits))
    return fixed_precision_protocol(reduction, unit, Disjointness(num_bits).strings())


# The reduction.


@pytest.mark.parametrize(("num_bits", "fillers", "value_dim"), [(1, 0, 1), (2, 0, 1), (3, 2, 2), (4, 1, 3), (5, 0, 1)])
def test_the_average_is_minus_one_plus_the_overlap_on_all_pairs(num_bits: int, fillers: int, value_dim: int) -> None:
    reduction = DisjointnessReduction(num_bits, 2 * num_bits + 1 + fillers, value_dim)
    pairs = all_pairs(Disjointness(num_bits))
    overlap = (pairs.alice & pairs.bob).sum(dim=1)
    # In integers: q times the average is the sum of q signs.
    sums = reduction.signs(pairs.bob).gather(1, reduction.pointers(pairs.alice)).sum(dim=1)
    assert torch.equal(sums, 2 * overlap - num_bits)
    answers = reduction.problem.target(reduction.inputs(*pairs))[:, reduction.own_token]
    assert torch.allclose(answers[:, 0], 2 / num_bits * overlap.double() - 1, rtol=0, atol=1e-15)
    assert torch.equal(answers[:, 1:], torch.zeros_like(answers[:, 1:]))
    assert torch.equal(reduction.decide(answers), overlap > 0)


@pytest.mark.parametrize("num_bits", [1, 2, 3, 8])
def test_any_error_below_one_over_q_is_decided_and_one_over_q_is_not(num_bits: int) -> None:
    reduction = DisjointnessReduction(num_bits, 2 * num_bits + 1)
    assert reduction.threshold == Fraction(1, num_bits) - 1
    below = 0.999 / num_bits
    disjoint, meets = torch.tensor([-1 + below]), torch.tensor([-1 + 2 / num_bits - below])
    assert not reduction.decide(disjoint)
    assert reduction.decide(meets)
    over = 1.001 / num_bits
    assert reduction.decide(torch.tensor([-1 + over]))
    assert not reduction.decide(torch.tensor([-1 + 2 / num_bits - over]))


def test_alices_string_touches_her_token_only_and_bobs_only_the_values() -> None:
    reduction = DisjointnessReduction(3, 9)
    pairs = all_pairs(Disjointness(3))
    inputs = reduction.inputs(*pairs)
    others = [token for token in range(9) if token != reduction.own_token]
    assert (inputs.pointers[:, others] == inputs.pointers[:1, others]).all()
    same_bob = inputs.values.view(8, 8, 9, 1)
    assert (same_bob == same_bob[:1]).all()
    assert (inputs.values[:, reduction.own_token :] == 0).all()


# The protocol.


@pytest.mark.parametrize("num_bits", range(1, 9))
def test_the_unit_decides_all_pairs_with_exactly_k_p_bits(num_bits: int) -> None:
    protocol, strings = protocol_for(num_bits), Disjointness(num_bits).strings()
    size = 2 * num_bits + 1, num_bits
    k = default_embed_dim(*size)
    outcome = run_query_protocol(protocol, strings, strings)
    assert outcome.wrong == 0
    assert outcome.num_bits == protocol.message_bits == k * sufficient_format(*size, k, 1 / (2 * num_bits)).bits
    assert outcome.num_bits >= required_bits(*size, Fraction(1, 2 * num_bits)) >= num_bits
    assert outcome.num_messages == 2**num_bits
    exact = 2 / num_bits * (strings.double() @ strings.double().T) - 1
    assert (outcome.outputs - exact).abs().max().item() <= 1 / (2 * num_bits)


@pytest.mark.parametrize(("fillers", "value_dim"), [(1, 1), (7, 3), (40, 2)])
def test_fillers_and_more_value_coordinates_change_nothing(fillers: int, value_dim: int) -> None:
    strings = Disjointness(3).strings()
    assert run_query_protocol(protocol_for(3, 7 + fillers, value_dim=value_dim), strings, strings).wrong == 0


def test_the_worst_error_over_all_values_is_attained_by_values_and_passed_by_none() -> None:
    protocol, strings = protocol_for(3), Disjointness(3).strings()
    attention, subsets = protocol.attention(strings), protocol.reduction.pointers(strings)
    uniform = torch.zeros_like(attention).scatter(1, subsets, 1 / 3)
    values = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 7)
    errors = ((attention - uniform) @ values.T).abs()  # linear in the values: extremes are attained at the corners
    assert protocol.worst_error(strings) == pytest.approx(errors.max().item(), rel=1e-9)
    assert protocol.worst_error(strings) <= 1 / 6


def test_bobs_output_is_the_output_of_the_unit_on_the_whole_input() -> None:
    reduction = DisjointnessReduction(4, 11, 2)
    unit = proved_unit(reduction, 1 / 8)
    protocol = fixed_precision_protocol(reduction, unit, Disjointness(4).strings())
    pairs = all_pairs(Disjointness(4))
    whole = unit(reduction.inputs(*pairs))[:, reduction.own_token, 0]
    strings = Disjointness(4).strings()
    assert torch.allclose(run_query_protocol(protocol, strings, strings).outputs.flatten(), whole, rtol=0, atol=1e-12)


def test_one_pair_at_a_time_gives_the_same_answers() -> None:
    protocol, pairs = protocol_for(3), all_pairs(Disjointness(3))
    for a, b in zip(*pairs, strict=True):
        talk = run_protocol(protocol.alice(a), protocol.bob(b[None]), capacity=protocol.message_bits)
        assert bool(talk.bob_answer.meets) == bool((a & b).any())
        assert len(talk.transcript) == 1


@pytest.mark.parametrize("num_bits", [16, 33, 64])
def test_hard_random_pairs_are_decided(num_bits: int) -> None:
    seed = 70 + num_bits
    reduction = DisjointnessReduction(num_bits, 2 * num_bits + 1)
    pairs = Disjointness(num_bits).sample(12, generator=torch.Generator().manual_seed(seed))
    protocol = fixed_precision_protocol(reduction, proved_unit(reduction, 1 / (2 * num_bits), seed=seed), pairs.alice)
    assert run_query_protocol(protocol, *pairs).wrong == 0, f"seed {seed}"


@pytest.mark.parametrize("num_bits", range(1, 9))
def test_the_signs_decide_with_exactly_q_bits_and_stay_within_the_accuracy(num_bits: int) -> None:
    strings = Disjointness(num_bits).strings()
    for fillers in (0, 3):
        reduction, accuracy = DisjointnessReduction(num_bits, 2 * num_bits + 1 + fillers), 0.5 / num_bits
        protocol = sign_protocol(reduction, accuracy)
        outcome = run_query_protocol(protocol, strings, strings)
        assert (outcome.wrong, outcome.num_bits, outcome.num_messages) == (0, num_bits, 2**num_bits)
        assert protocol.worst_error(strings) <= accuracy * (1 + 1e-9)


# Sabotage.


def test_a_channel_of_one_bit_fewer_refuses_the_message() -> None:
    protocol = protocol_for(2)
    with pytest.raises(ProtocolError, match="over the capacity"):
        run_protocol(
            protocol.alice(torch.tensor([True, False])),
            protocol.bob(Disjointness(2).strings()),
            capacity=protocol.message_bits - 1,
        )


@pytest.mark.parametrize("num_bits", [1, 2, 3, 4])
def test_each_flipped_sign_makes_the_same_number_of_answers_wrong(num_bits: int) -> None:
    protocol = sign_protocol(DisjointnessReduction(num_bits, 2 * num_bits + 1), 0.5 / num_bits)
    strings = Disjointness(num_bits).strings()
    for bit in range(num_bits):
        flipped = replace(protocol, read=lambda m, bit=bit: protocol.read(Bits(m.value ^ 1 << bit, m.width)))
        assert run_query_protocol(flipped, strings, strings).wrong == 2 * 3 ** (num_bits - 1)


@pytest.mark.parametrize("broken", ["zeros", "negated", "backwards"])
def test_a_broken_message_of_the_unit_is_noticed(broken: str) -> None:
    protocol, strings = protocol_for(3), Disjointness(3).strings()
    change = {"zeros": torch.zeros_like, "negated": torch.neg, "backwards": lambda query: query.flip(0)}[broken]
    sabotaged = replace(protocol, read=lambda message: change(protocol.read(message)))
    assert run_query_protocol(sabotaged, strings, strings).wrong > 0


def test_two_strings_that_share_a_message_give_a_wrong_answer() -> None:
    protocol, strings = protocol_for(3), Disjointness(3).strings()
    stuck = replace(protocol, write=lambda string: protocol.write(string & torch.tensor([True, True, False])))
    outcome = run_query_protocol(stuck, strings, strings)
    assert outcome.num_messages == 4
    assert outcome.wrong == 9  # 3^{q−1}: the last element is common, and no other


def test_keys_that_are_drawn_again_after_parting_are_an_error() -> None:
    reduction = DisjointnessReduction(2, 5)
    unit = proved_unit(reduction, 0.25)
    protocol = fixed_precision_protocol(reduction, unit, Disjointness(2).strings())
    with torch.no_grad():
        unit.keys.neg_()
    with pytest.raises(MissingCertificateError, match="keys that both know"):
        protocol.write(torch.tensor([True, True]))


# The search for small units.


@pytest.mark.parametrize("num_bits", [1, 2, 4])
def test_the_unit_that_was_found_keeps_its_promise_and_one_bit_fewer_does_not(num_bits: int) -> None:
    reduction, accuracy = DisjointnessReduction(num_bits, 2 * num_bits + 1), 1 / (2 * num_bits)
    strings = Disjointness(num_bits).strings()
    k = narrow_embed_dim(2 * num_bits + 1, num_bits)
    unit = smallest_unit(
        reduction.problem, accuracy, reduction.pointers(strings),
        embed_dims=[k, 2 * k], num_draws=2, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    protocol = fixed_precision_protocol(reduction, unit, strings)
    assert protocol.worst_error(strings) <= accuracy
    assert run_query_protocol(protocol, strings, strings).wrong == 0
    assert unit.format is not None
    assert unit.format.bits < sufficient_format(2 * num_bits + 1, num_bits, k, accuracy).bits
    assert unit.embed_dim == k
    if unit.format.fraction_bits and unit.format.bits > 2:
        unit.format = replace(unit.format, fraction_bits=unit.format.fraction_bits - 1)
        assert fixed_precision_protocol(reduction, unit, strings).worst_error(strings) > accuracy


def test_a_unit_is_found_for_any_promise_that_is_asked_for() -> None:
    reduction, strings = DisjointnessReduction(4, 9), Disjointness(4).strings()
    subsets, signs = reduction.pointers(strings), reduction.signs(strings).double().T
    meets = Disjointness(4).communication_matrix()
    sizes: dict[str, Any] = {"embed_dims": [9, 18, 36], "num_draws": 2}
    within = smallest_unit(reduction.problem, 1 / 8, subsets, generator=torch.Generator().manual_seed(1), **sizes)
    decides = smallest_unit(
        reduction.problem, 1 / 8, subsets, generator=torch.Generator().manual_seed(1),
        accept=lambda rows: torch.equal(rows @ signs > float(reduction.threshold), meets), **sizes,
    )  # fmt: skip
    used = {}
    for name, unit in (("within", within), ("decides", decides)):
        protocol = fixed_precision_protocol(reduction, unit, strings)
        assert run_query_protocol(protocol, strings, strings).wrong == 0, name
        used[name] = protocol.message_bits, protocol.worst_error(strings) <= 1 / 8
    assert used["within"][1]
    assert not used["decides"][1]
    assert used["decides"][0] < used["within"][0]  # deciding is the weaker promise


def test_a_search_that_finds_nothing_says_so() -> None:
    reduction = DisjointnessReduction(2, 5)
    subsets = reduction.pointers(Disjointness(2).strings())
    with pytest.raises(ValueError, match=r"none of the units tried with k in \[13\] passes"):
        smallest_unit(
            reduction.problem, 0.25, subsets, accept=lambda attention: False,
            embed_dims=[13], num_draws=1, generator=torch.Generator().manual_seed(0),
        )  # fmt: skip


# What the theorem does not cover.


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 5), "sparsity must be at least 1, got 0"),
        ((2, 4), "the reduction from disjointness needs N ≥ 5 for q = 2, got N = 4"),
        ((8, 16), "the reduction from disjointness needs N ≥ 17 for q = 8, got N = 16"),
        ((2, 5, 0), "value_dim must be at least 1, got 0"),
    ],
)
def test_sizes_outside_the_theorem_are_refused(sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        DisjointnessReduction(*sizes)


@pytest.mark.parametrize("accuracy", [0.5, 0.75])
def test_an_accuracy_of_one_over_q_or_more_is_refused(accuracy: float) -> None:
    reduction, strings = DisjointnessReduction(2, 5), Disjointness(2).strings()
    with pytest.raises(ValueError, match=f"accuracy ε must lie below 1/q = 1/2 for q = 2, got {accuracy}"):
        sign_protocol(reduction, accuracy)
    with pytest.raises(ValueError, match="must lie below 1/q"):
        fixed_precision_protocol(reduction, proved_unit(reduction, accuracy), strings)


def test_a_unit_without_a_format_or_for_another_problem_is_refused() -> None:
    reduction, strings = DisjointnessReduction(2, 5), Disjointness(2).strings()
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="must have a format"):
        fixed_precision_protocol(reduction, fixed_precision_unit(reduction.problem, 0.25, generator=generator), strings)
    with pytest.raises(ValueError, match="the unit is for SparseAveraging"):
        fixed_precision_protocol(reduction, proved_unit(DisjointnessReduction(2, 6), 0.25), strings)
