"""Heads that fetch by address: the lemma on all small addresses, counted bits, and what must be refused."""

import math
from fractions import Fraction
from itertools import combinations_with_replacement

import pytest
import torch
from torch import Tensor

from attention_limits.constructions.fetch import (
    GAP_AT_ADDRESS,
    GAP_AT_QUARTER,
    Fetch,
    FetchStep,
    FetchTransformer,
    entry_format,
    fetch_layer,
    fetch_scale,
    fetch_tokens,
    leakage,
)
from attention_limits.fixed_point import PrecisionError
from attention_limits.models.attention import causal_mask


def fetched(targets: Tensor, addresses: Tensor, values: Tensor, scale: float) -> Tensor:
    """The outputs of one head."""
    return fetch_layer([values.shape[-1]], scale)(fetch_tokens([Fetch(targets, addresses, values)]))


def by_hand(target: Fraction, addresses: list[int]) -> tuple[list[int], Fraction]:
    """The places of the nearest addresses, and how much further off the next ones are."""
    squares = [(a - target) ** 2 for a in addresses]
    least = min(squares)
    return [i for i, s in enumerate(squares) if s == least], min(
        (s for s in squares if s > least), default=least
    ) - least


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_lemma_holds_for_all_small_addresses_and_targets(size: int) -> None:
    generator, tried = torch.Generator().manual_seed(size), 0
    targets = [Fraction(quarters, 4) for quarters in range(-12, 13)]
    wanted = torch.tensor([float(target) for target in targets]).double().unsqueeze(1).expand(-1, size)
    for addresses in combinations_with_replacement(range(-2, 3), size):
        values = 3 * torch.rand(len(targets), size, 2, generator=generator, dtype=torch.float64) - 1
        for scale in (0.5, 2.0, 16.0):
            outputs = fetched(wanted, torch.tensor([addresses]).double().expand(len(targets), -1), values, scale)
            for row, target in enumerate(targets):
                places, gap = by_hand(target, list(addresses))
                bound = leakage(size, scale, spread=3, gap=float(gap), nearest=len(places)) if gap else 0
                error = (outputs[row] - values[row, places].mean(dim=0)).abs().max().item()
                assert error <= bound + 1e-12, (addresses, target, scale)
                tried += 1
    assert tried == 75 * math.comb(size + 4, size)


def test_a_quarter_below_an_integer_the_nearest_address_is_unique_with_a_gap_of_one_half() -> None:
    gaps = set()
    for low in range(-9, 10):
        for high in range(low + 1, 10):
            for integer in range(-9, 10):
                places, gap = by_hand(integer - Fraction(1, 4), [low, high])
                assert len(places) == 1
                gaps.add(gap)
    assert min(gaps) == Fraction(GAP_AT_QUARTER)


def test_half_way_between_two_addresses_both_are_read() -> None:
    targets = torch.tensor([[0.5, 1.0]]).double()
    output = fetched(targets, torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[[4.0], [8.0]]]).double(), 64.0)
    assert output[0, :, 0].tolist() == pytest.approx([6.0, 8.0], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_long_sequences_with_shared_addresses_are_read_within_the_error_asked_for(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = 300
    addresses = torch.randint(-40, 40, (2, size), generator=generator).double()
    values = torch.randint(0, 1000, (2, size, 3), generator=generator).double()
    own = addresses.gather(1, torch.randint(size, (2, size), generator=generator))
    below = torch.randint(-50, 50, (2, size), generator=generator).double() - 0.25
    for targets, gap in ((own, GAP_AT_ADDRESS), (below, GAP_AT_QUARTER)):
        scale = fetch_scale(size, spread=999, error=1 / 8, gap=gap)
        output = fetched(targets, addresses, values, scale)
        distance = (targets.unsqueeze(2) - addresses.unsqueeze(1)).abs()
        held = (distance == distance.amin(dim=2, keepdim=True)).double()
        assert (output - held @ values / held.sum(dim=2, keepdim=True)).abs().max() <= 1 / 8, f"seed {seed}"


def test_heads_read_blocks_and_write_slots_of_their_own() -> None:
    generator = torch.Generator().manual_seed(0)
    size, value_dims = 5, [2, 1, 3]
    addresses = torch.arange(size).double().expand(1, -1)
    fetches = [
        Fetch(
            torch.randperm(size, generator=generator).double().unsqueeze(0),
            addresses,
            torch.randint(0, 9, (1, size, width), generator=generator).double(),
        )
        for width in value_dims
    ]
    layer, tokens = fetch_layer(value_dims, 64.0), fetch_tokens(fetches)
    assert tokens.shape == (1, size, sum(4 + width for width in value_dims))
    expected = torch.cat([f.values[:, f.target[0].long()] for f in fetches], dim=2)
    assert torch.equal(layer(tokens).round(), expected)
    assert [tuple(head.query.shape) for head in layer.heads] == [(18, 2)] * 3
    # A slot that two heads share adds up what they read: the layer sums, so the slots must be apart.
    for head in (0, 1):
        layer.heads[head].value.data[:, :3] = layer.heads[head].value.data[:, :3].roll(1, dims=1)
    assert not torch.equal(layer(tokens).round(), expected)


@pytest.mark.parametrize(
    ("targets", "addresses", "values", "scale", "bits"),
    [
        ([0.0], [0.0], [0.0], 1.0, (1, 0)),  # the query's −c
        ([3.0], [3.0], [0.0], 1.0, (4, 0)),  # 9 = 3²
        ([-0.25], [0.0], [0.0], 1.0, (1, 1)),  # 2t = −1/2
        ([-0.25], [0.0], [0.0], 2.0, (2, 0)),
        ([0.0], [0.0], [5.25], 1.0, (3, 2)),
        ([7.0], [1.0], [0.0], 32.0, (9, 0)),  # 2ct = 448
    ],
)
def test_bits_are_counted_of_the_largest_and_the_finest_entry(
    targets: list[float], addresses: list[float], values: list[float], scale: float, bits: tuple[int, int]
) -> None:
    fetch = Fetch(*(torch.tensor([row]).double() for row in (targets, addresses)), torch.tensor([[values]]).double())
    layer, tokens = fetch_layer([1], scale), fetch_tokens([fetch])
    form = entry_format(layer, tokens)
    assert (form.integer_bits, form.fraction_bits) == bits
    for head in layer.heads:
        for matrix in (head.query, head.key, head.value):
            assert torch.equal(form.round(tokens @ matrix), tokens @ matrix)


def test_the_scale_is_the_least_power_of_two() -> None:
    for tokens in (1, 2, 100, 8193):
        for spread in (0, 1, 4095):
            for gap in (0.5, 1.0):
                scale = fetch_scale(tokens, spread=spread, error=1 / 8, gap=gap)
                assert (tokens - 1) * math.exp(-scale * gap) * spread <= 1 / 8
                assert scale == 1 or (tokens - 1) * math.exp(-scale * gap / 2) * spread > 1 / 8


def test_registers_are_kept_from_layer_to_layer() -> None:
    # A linked list: token k knows the next place, and after two layers the place four steps on.
    def ask(registers: Tensor) -> list[Fetch]:
        return [Fetch(registers[..., 1], registers[..., 0], registers[..., 1:])]

    def keep(registers: Tensor, outputs: Tensor) -> Tensor:
        return torch.cat([registers[..., :1], outputs.round()], dim=-1)

    size = 11
    model = FetchTransformer([FetchStep(fetch_layer([1], 32.0), ask, keep)] * 2)
    places = torch.arange(size)
    output, attentions = model(torch.stack([places, (places + 3) % size], dim=1).double().unsqueeze(0), True)
    assert torch.equal(output[0, :, 1].long(), (places + 12) % size)
    assert [tuple(attention.shape) for attention in attentions] == [(1, 1, size, size)] * 2
    assert attentions[1][0, 0].argmax(dim=1).tolist() == ((places + 6) % size).tolist()
    assert (model.depth, model.num_heads, model.embed_dim, model.width) == (2, 1, 2, 1)


@pytest.mark.parametrize(("scale", "shift"), [(0.25, 0.0), (32.0, 0.5), (-32.0, 0.0)])
def test_a_flat_a_shifted_and_a_turned_head_read_something_else(scale: float, shift: float) -> None:
    size = 9
    addresses = torch.arange(size).double().expand(1, -1)
    values = addresses.square().unsqueeze(2)
    layer = fetch_layer([1], abs(scale))
    if scale < 0:
        layer.heads[0].query.data.neg_()  # the farthest address instead of the nearest
    output = layer(fetch_tokens([Fetch(addresses + shift, addresses, values)]))
    assert not torch.equal(output.round(), values)


def test_what_the_lemma_or_the_count_does_not_cover_is_refused() -> None:
    zero = torch.zeros(1, 1).double()
    with pytest.raises(ValueError, match=r"address must be an integer, got 0\.5"):
        fetch_tokens([Fetch(zero, zero + 0.5, zero.unsqueeze(2))])
    with pytest.raises(ValueError, match=r"target must be a multiple of 1/4, got 0\.125"):
        fetch_tokens([Fetch(zero + 0.125, zero, zero.unsqueeze(2))])
    for scale in (3.0, 0.0, -2.0, math.inf):
        with pytest.raises(ValueError, match="scale c must be a power of two"):
            fetch_layer([1], scale)
    with pytest.raises(ValueError, match="value_dims's entries must be at least 1, got 0"):
        fetch_layer([1, 0], 2.0)
    with pytest.raises(ValueError, match="a layer needs at least one head"):
        fetch_layer([], 2.0)
    with pytest.raises(ValueError, match=r"error must be positive and finite, got 0\.0"):
        fetch_scale(3, spread=1, error=0.0)
    with pytest.raises(ValueError, match=r"gap must be positive and finite, got -1\.0"):
        fetch_scale(3, spread=1, error=0.5, gap=-1.0)
    with pytest.raises(ValueError, match="spread must be at least 0 and finite, got -1"):
        fetch_scale(3, spread=-1, error=0.5)
    with pytest.raises(ValueError, match="nearest must be at most N = 3, got 4"):
        leakage(3, 1.0, spread=1, nearest=4)
    with pytest.raises(ValueError, match="a transformer needs at least one layer, got none"):
        FetchTransformer([])


def test_scores_that_float64_does_not_hold_are_refused() -> None:
    for address, target in ((2.0**25, 2.0**25), (2.0**26, 2.0**24)):
        place = torch.tensor([[address]]).double()
        fetch_tokens([Fetch(torch.tensor([[target]]).double(), place, place.unsqueeze(2))])
        with pytest.raises(PrecisionError, match="have scores that are not exact in float64"):
            fetch_tokens([Fetch(torch.tensor([[4 * target]]).double(), 4 * place, place.unsqueeze(2))])
    place = torch.tensor([[2.0**27]]).double()
    with pytest.raises(PrecisionError, match="not exact"):
        fetch_tokens([Fetch(place, place, place.unsqueeze(2))])
    fine = torch.tensor([[[2.0**-60]]]).double()
    zero = torch.zeros(1, 1).double()
    with pytest.raises(PrecisionError, match="do not fit into 52 bits and a sign"):
        entry_format(fetch_layer([1], 1.0), fetch_tokens([Fetch(zero, zero, fine)]))


def test_under_a_mask_the_nearest_visible_address_is_read() -> None:
    size, scale = 8, 32.0
    places = torch.arange(size).double()

    def ask(registers: Tensor) -> list[Fetch]:  # the next place, which the mask hides
        return [Fetch(registers[..., 0] + 1, registers[..., 0], registers[..., :1])]

    model = FetchTransformer([FetchStep(fetch_layer([1], scale), ask, lambda _, outputs: outputs.round())] * 2)
    registers = places.reshape(1, size, 1)
    for strict, expected in ((False, places), (True, (places - 1).clamp(min=0))):
        mask = causal_mask(size, strict=strict)
        first = next(model.run(registers, mask))[2]
        assert torch.equal(first.flatten(), expected)
    # In the second layer every token but the first asks for less than it did: formats are those of such a run.
    mask = causal_mask(size, strict=True)
    trace = [tokens for tokens, _, _ in model.run(registers, mask)]
    forms = [entry_format(step.layer, tokens) for step, tokens in zip(model.steps, trace, strict=True)]
    assert model.formats(registers, mask) == forms
    assert forms[1].bits < forms[0].bits == model.formats(registers)[1].bits
