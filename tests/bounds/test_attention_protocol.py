"""A layer as a protocol: merging is exact, rounding stays in its bound, bits are counted, a wrong merge fails."""

import math

import pytest
import torch
from torch import Tensor

from attention_limits.bounds import attention_protocol
from attention_limits.bounds.attention_protocol import (
    AttentionProtocol,
    Grid,
    PartialSoftmax,
    merge,
    merge_error_bound,
    message_bits_bound,
    partial_softmax,
)
from attention_limits.bounds.protocols import Bits, ProtocolError
from attention_limits.constructions.match3_layers import LAYERS, OUTPUT_TOLERANCE
from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit
from attention_limits.problems.matching import Match3

ROUNDING = 1e-9


def random_case(seed: int, letters: int = 3) -> tuple[AttentionProtocol, Tensor, Tensor, Tensor]:
    """A protocol for a random layer, with Alice's and Bob's tokens, and the layer's own output."""
    generator = torch.Generator().manual_seed(seed)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    hers, his, dim = pick(1, 9), pick(0, 9), pick(1, 5)
    scale, error = 10.0 ** pick(-1, 3), 2.0 ** -pick(-2, 12)
    embed, values = pick(1, 4), pick(1, 4)
    units = [SelfAttentionUnit(dim, embed, values, generator=generator, dtype=torch.float64) for _ in range(pick(1, 4))]
    layer = MultiHeadAttention(units)
    for unit in units:
        unit.query.data *= scale
    table = torch.randn(hers + his + 1, letters, dim, generator=generator, dtype=torch.float64)
    chosen = table[torch.arange(len(table)), torch.randint(0, letters, (len(table),), generator=generator)]
    own, alice, bob = chosen[0], chosen[1 : hers + 1], chosen[hers + 1 :]
    protocol = AttentionProtocol(layer, own, table[1 : hers + 1], table[hers + 1 :], error=error)
    return protocol, alice, bob, layer(chosen.unsqueeze(0))[0, 0].detach()


def bits_from_sizes(protocol: AttentionProtocol) -> int:
    return message_bits_bound(
        len(protocol.heads),
        protocol.num_coordinates,
        writers=protocol.writers,
        spread=protocol.spread,
        log_sum_range=protocol.log_sum_range,
        error=protocol.error,
    )


@pytest.mark.parametrize("block", range(3))
def test_random_layers_stay_within_the_bound_and_the_bits(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        protocol, alice, bob, truth = random_case(seed)
        talk = protocol.run(alice, bob)
        error = (talk.bob_answer - truth).abs()
        assert bool((error <= protocol.error_bound + ROUNDING).all()), f"seed {seed}"
        assert bool((protocol.error_bound <= protocol.error + ROUNDING).all()), f"seed {seed}"
        assert talk.num_bits == protocol.num_bits == sum(sum(plan.grid.widths) for plan in protocol.heads)
        assert talk.num_bits <= bits_from_sizes(protocol), f"seed {seed}"


def test_omitting_the_log_sum_exp_breaks_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_halves(first: PartialSoftmax, second: PartialSoftmax) -> PartialSoftmax:
        return PartialSoftmax(first.log_sum, (first.mean + second.mean) / 2)

    monkeypatch.setattr(attention_protocol, "merge", by_halves)
    outside = 0
    for seed in range(60):
        protocol, alice, bob, truth = random_case(seed)
        error = (protocol.run(alice, bob).bob_answer - truth).abs()
        outside += not bool((error <= protocol.error_bound + ROUNDING).all())
    assert outside > 30


def test_merging_is_exact_wherever_the_tokens_are_cut() -> None:
    generator = torch.Generator().manual_seed(1)
    for scale in (0.0, 1.0, 50.0, 1e4):
        scores = scale * torch.randn(9, generator=generator, dtype=torch.float64)
        values = torch.randn(9, 2, generator=generator, dtype=torch.float64)
        whole = partial_softmax(scores, values)
        for cut in range(1, 9):
            merged = merge(partial_softmax(scores[:cut], values[:cut]), partial_softmax(scores[cut:], values[cut:]))
            torch.testing.assert_close(merged.mean, whole.mean)
            torch.testing.assert_close(merged.log_sum, whole.log_sum)


def test_the_error_bound_is_attained() -> None:
    """Two tokens with values ±1 and scores that differ by half of the error, rounded to the other side."""
    delta = 0.3
    share = torch.sigmoid(torch.tensor([-delta / 2, delta / 2], dtype=torch.float64))
    moved = 2 * (share[1] - share[0]).item()
    assert moved == pytest.approx(merge_error_bound(0.0, delta, 2.0), rel=1e-12)


def test_a_grid_keeps_its_error_and_spends_the_fewest_bits() -> None:
    low, high, error = (torch.tensor(row).double() for row in ([0.0, -3.0, 5.0], [1.0, 4.0, 5.0], [0.125, 0.5, 1.0]))
    grid = Grid.within(low, high, error)
    assert (grid.levels.tolist(), grid.widths, grid.num_bits) == ([4, 7, 1], [2, 3, 0], 5)
    for share in torch.linspace(0, 1, 41).double():
        numbers = low + share * (high - low)
        assert bool(((grid.decode(grid.encode(numbers)) - numbers).abs() <= error + 1e-12).all())
    outside = grid.decode(grid.encode(torch.tensor([9.0, -9.0, 5.0]).double()))
    assert outside.tolist() == [0.875, -2.5, 5.0]


def test_values_that_are_all_equal_cost_nothing() -> None:
    zero = torch.zeros(2, 1, dtype=torch.float64)
    layer = MultiHeadAttention([SelfAttentionUnit.from_matrices(zero + 1, zero + 1, zero)])
    table = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    protocol = AttentionProtocol(layer, table[0, 0], table[1:3], table[3:], error=0.5)
    talk = protocol.run(table[1:3, 0], table[3:, 0])
    assert (protocol.num_bits, talk.num_bits, talk.bob_answer.tolist()) == (0, 0, [0.0])


def test_a_channel_that_is_one_bit_short_is_an_error() -> None:
    protocol, alice, bob, _ = random_case(3)

    class Short(AttentionProtocol):
        num_bits = protocol.num_bits - 1

    protocol.__class__ = Short
    with pytest.raises(ProtocolError):
        protocol.run(alice, bob)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("num_tokens", "modulus"), [(3, 2), (3, 4), (4, 3)])
def test_the_four_layers_answer_through_the_channel_on_all_inputs(name: str, num_tokens: int, modulus: int) -> None:
    problem = Match3(num_tokens, modulus)
    layer, inputs = LAYERS[name](problem), problem.all_inputs()
    tokens, truth = layer.tokens(inputs), problem.target(inputs)[:, 0]
    exact = layer.outputs(inputs)[:, 0]
    cut = num_tokens - 1
    answers = []
    for first in range(modulus):
        own = layer.table[0, first]
        protocol = AttentionProtocol(layer.layer, own, layer.table[1:cut], layer.table[cut:], error=OUTPUT_TOLERANCE)
        for row in (inputs[:, 0] == first).nonzero().flatten().tolist():
            talk = protocol.run(tokens[row, 1:cut], tokens[row, cut:])
            assert talk.num_bits == protocol.num_bits
            assert bool(((talk.bob_answer - exact[row]).abs() <= protocol.error_bound + ROUNDING).all())
            answers.append(bool(layer.decide(talk.bob_answer)))
    assert answers == truth.tolist()


def test_heads_with_coordinates_of_their_own_share_no_error_and_constant_values_cost_nothing() -> None:
    sizes = {}
    for name, build in LAYERS.items():
        layer = build(Match3(65, 66))
        table = layer.table
        protocol = AttentionProtocol(layer.layer, table[0, 1], table[1:64], table[64:], error=OUTPUT_TOLERANCE)
        sizes[name] = (protocol.writers, protocol.num_coordinates, protocol.num_bits, bits_from_sizes(protocol))
    assert sizes == {
        "slots": (1, 63, 945, 945),
        "shifts": (1, 1, 520, 520),
        "histogram": (1, 66, 939, 939),
        "thresholds": (1, 0, 526, 528),
    }


def test_heads_that_write_into_one_coordinate_share_the_error() -> None:
    generator = torch.Generator().manual_seed(2)
    units = [SelfAttentionUnit(2, 1, 3, generator=generator, dtype=torch.float64) for _ in range(4)]
    for coordinate, unit in enumerate(units[:2]):
        unit.value.data[:, coordinate] = 0
    table = torch.randn(5, 3, 2, generator=generator, dtype=torch.float64)
    protocol = AttentionProtocol(MultiHeadAttention(units), table[0, 0], table[1:3], table[3:], error=0.5)
    assert (protocol.writers, protocol.num_coordinates) == (4, 3)
    assert bool((protocol.error_bound <= 0.5 + ROUNDING).all())
    alone = AttentionProtocol(MultiHeadAttention(units[:1]), table[0, 0], table[1:3], table[3:], error=0.5)
    assert (alone.writers, alone.num_coordinates) == (1, 2)


def test_what_has_no_meaning_is_refused() -> None:
    layer = MultiHeadAttention([SelfAttentionUnit(2, 1, 1, generator=torch.Generator().manual_seed(0)).double()])
    table = torch.zeros(3, 2, 2, dtype=torch.float64)
    for error in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="error η must be positive and finite"):
            AttentionProtocol(layer, table[0, 0], table[1:], table[:0], error=error)
    with pytest.raises(ValueError, match="Alice must hold at least one token"):
        AttentionProtocol(layer, table[0, 0], table[:0], table, error=0.1)
    with pytest.raises(ValueError, match="doesn't fit"):
        Bits(4, 2)
