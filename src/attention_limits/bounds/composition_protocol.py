"""One large layer that composes functions as a message with counted bits: what n log₂ n bounds from below (ours).

Alice holds the tokens of f, Bob those of g, and both know x. For each head Alice sends a log-sum-exp and a mean,
rounded so that each coordinate of the last token's output is off by at most `ROUNDING`: see `attention_protocol`. With
the 1/8 at most by which the fetch leaks that is below 1/2, and Bob reads f(g(x)) off it.

Letters: n = num_points.
"""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from attention_limits.bounds.attention_protocol import AttentionProtocol
from attention_limits.constructions.composition import OneLayerComposition
from attention_limits.constructions.fetch import fetch_tokens
from attention_limits.problems.composition import Composition

#: η: how far a coordinate of Bob's output may be off.
ROUNDING = 1 / 4


class Tally(NamedTuple):
    """What conversations about some inputs cost, and how often Bob was wrong."""

    num_bits: int
    wrong: int


def composition_protocol(model: OneLayerComposition, point: int) -> AttentionProtocol:
    """The layer as a protocol for the last token, which holds x = ``point``."""
    n = model.problem.num_points
    letters = torch.arange(n).unsqueeze(1).expand(-1, model.problem.num_tokens).clone()
    letters[:, -1] = point
    tokens = _tokens(model, letters).transpose(0, 1)  # by position, then by entry
    return AttentionProtocol(model.steps[0].layer, tokens[-1, 0], tokens[n : 2 * n], tokens[:n], error=ROUNDING)


def talk_about(num_points: int, inputs: Int[Tensor, "inputs tokens"]) -> Tally:
    """A conversation about each input; all messages have as many bits, for each x.

    Returns:
        The bits of the longest message, and how many answers are wrong.
    """
    problem = Composition(num_points)
    model, targets = OneLayerComposition(problem), problem.target(inputs)
    num_bits = wrong = 0
    for point in inputs[:, -1].unique().tolist():
        protocol, chosen = composition_protocol(model, point), inputs[:, -1] == point
        for tokens, target in zip(_tokens(model, inputs[chosen]), targets[chosen], strict=True):
            talk = protocol.run(tokens[num_points : 2 * num_points], tokens[:num_points])
            num_bits = max(num_bits, talk.num_bits)
            wrong += int(model.look_up(talk.bob_answer) != target)
    return Tally(num_bits, wrong)


def _tokens(model: OneLayerComposition, inputs: Tensor) -> Tensor:
    return fetch_tokens(model.steps[0].ask(model.registers(inputs)))
