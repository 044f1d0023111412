"""The large layer as a message: every small conversation, bits against the exact bound, a channel too narrow."""

import pytest
import torch

from attention_limits.bounds.composition import needed_bits
from attention_limits.bounds.composition_protocol import ROUNDING, composition_protocol, talk_about
from attention_limits.bounds.protocols import ProtocolError, run_protocol
from attention_limits.constructions.composition import OneLayerComposition
from attention_limits.constructions.fetch import fetch_tokens
from attention_limits.problems.composition import Composition


@pytest.mark.parametrize("num_points", [2, 3])
def test_bob_is_right_about_all_small_inputs(num_points: int) -> None:
    inputs = Composition(num_points).all_inputs()[:: 1 if num_points == 2 else 5]
    tally = talk_about(num_points, inputs)
    assert tally.wrong == 0
    assert tally.num_bits >= needed_bits(num_points)


@pytest.mark.parametrize("seed", range(3))
def test_bob_is_right_about_random_inputs_within_the_bits_of_the_layer(seed: int) -> None:
    n = [8, 20, 40][seed]
    inputs = Composition(n).sample(6, generator=torch.Generator().manual_seed(seed))
    tally = talk_about(n, inputs)
    assert tally.wrong == 0, f"seed {seed}"
    assert needed_bits(n) <= tally.num_bits <= 4 * needed_bits(n)


def test_the_output_is_within_the_rounding_and_a_narrower_channel_is_too_narrow() -> None:
    model = OneLayerComposition(Composition(5))
    inputs = model.problem.sample(1, generator=torch.Generator().manual_seed(0))
    tokens = fetch_tokens(model.steps[0].ask(model.registers(inputs)))[0]
    protocol = composition_protocol(model, int(inputs[0, -1]))
    talk = protocol.run(tokens[5:10], tokens[:5])
    exact = model.steps[0].layer(tokens.unsqueeze(0))[0, -1]
    assert (talk.bob_answer - exact).abs().max() <= protocol.error_bound.max() <= ROUNDING
    with pytest.raises(ProtocolError, match="over the capacity"):
        run_protocol(protocol.alice(tokens[5:10]), protocol.bob(tokens[:5]), capacity=protocol.num_bits - 1)


def test_a_coarser_message_than_the_layer_needs_is_caught() -> None:
    n, generator = 8, torch.Generator().manual_seed(1)
    model = OneLayerComposition(Composition(n))
    inputs = model.problem.sample(30, generator=generator)
    inputs[:, -1] = 0
    protocol = composition_protocol(model, 0)
    coarse = [plan.grid for plan in protocol.heads]
    for grid in coarse:
        grid.levels.clamp_(max=4)  # two bits a number instead of nine
    wrong = 0
    for row, target in zip(inputs, model.problem.target(inputs), strict=True):
        tokens = fetch_tokens(model.steps[0].ask(model.registers(row.unsqueeze(0))))[0]
        answer = protocol.run(tokens[n : 2 * n], tokens[:n]).bob_answer
        wrong += int(model.look_up(answer) != target)
    assert wrong > 0
