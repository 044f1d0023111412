"""Trials on pair and triple detection: pairwise attention of one or two layers against third-order attention.

All models are residual transformers with a blank token: a token-wise network reads the residue, then each layer adds
what attention finds and what a token-wise network makes of it, and a linear map gives a logit for each token. They
differ in the attention alone, and are compared at equal numbers of parameters.

Letters: N = num_tokens, M = modulus, w = size, the width of the stream and the embedding dimension m.
"""

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_limits.experiments.training import STEPS_AT_ONCE, Batch
from attention_limits.experiments.trials import Trial
from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit, multilayer_perceptron
from attention_limits.models.tensor_attention import reference_attention
from attention_limits.problems.matching import Match2, Match3

PROBLEMS: dict[str, type[Match2] | type[Match3]] = {"match2": Match2, "match3": Match3}
#: Frequencies at which a residue is shown: cos and sin of 2πkx/M for k = 1 … FREQUENCIES.
FREQUENCIES = 3
HEADS = 2
TEST_SAMPLES = 2000


class ThirdOrderLayer(nn.Module):
    """Third-order attention with matrices of its own for the query, two keys and two values, all w × w."""

    def __init__(self, width: int, *, generator: torch.Generator) -> None:
        super().__init__()

        def normal() -> nn.Parameter:
            return nn.Parameter(torch.randn(width, width, generator=generator, device=generator.device) / width**0.5)

        self.query, self.first_key, self.second_key = normal(), normal(), normal()
        self.first_value, self.second_value = normal(), normal()

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        """What each token finds among all pairs."""
        keys = (tokens @ self.first_key, tokens @ self.second_key)
        values = (tokens @ self.first_value, tokens @ self.second_value)
        return reference_attention(tokens @ self.query, keys, values)


class Detector(nn.Module):
    """A residual transformer from residues to a logit for each token; `kinds` names the attention of each layer."""

    def __init__(self, modulus: int, width: int, kinds: tuple[str, ...], *, generator: torch.Generator) -> None:
        super().__init__()
        self.modulus = modulus
        self.read = multilayer_perceptron((2 * FREQUENCIES, 2 * width, width), generator=generator)
        self.blank = nn.Parameter(torch.randn(width, generator=generator, device=generator.device))

        def attention(kind: str) -> nn.Module:
            if kind == "third order":
                return ThirdOrderLayer(width, generator=generator)
            heads = [SelfAttentionUnit(width, width, width, generator=generator) for _ in range(HEADS)]
            return MultiHeadAttention(heads)

        self.attentions = nn.ModuleList(attention(kind) for kind in kinds)
        self.networks = nn.ModuleList(
            multilayer_perceptron((width, 2 * width, width), generator=generator) for _ in kinds
        )
        self.logit = multilayer_perceptron((width, 1), generator=generator)

    def forward(self, residues: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
        """A logit for each token; the label is 1 where it is positive."""
        frequency = torch.arange(1, FREQUENCIES + 1, device=residues.device)
        angle = (residues.unsqueeze(-1) * frequency % self.modulus) * (2 * math.pi / self.modulus)
        stream = self.read(torch.cat([angle.cos(), angle.sin()], dim=-1))
        stream = torch.cat([stream, self.blank.expand_as(stream[:, :1])], dim=1)
        for attention, network in zip(self.attentions, self.networks, strict=True):
            stream = stream + attention(stream)
            stream = stream + network(stream)
        return self.logit(stream[:, :-1]).squeeze(-1)


@dataclass(frozen=True, kw_only=True)
class MatchingTrial(Trial):
    """One model trained on Match2 or Match3, on cross-entropy, with fresh uniform residues at every step.

    Its result has the ``accuracy`` on new samples, the ``loss`` (nats a label), and ``constant``, the accuracy of the
    better constant answer.

    Args:
        architecture: "one layer" or "two layers" of pairwise attention with two heads, or "third order": one layer.
        problem: "match2" or "match3".
        modulus: M.
        size: w.
    """

    problem: str
    modulus: int
    size: int = 32

    known_architectures: ClassVar[tuple[str, ...]] = ("one layer", "two layers", "third order")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.problem not in PROBLEMS:
            raise ValueError(f"unknown problem {self.problem!r}: use {' or '.join(PROBLEMS)}")
        self.task  # noqa: B018  # refuses what is no problem

    @property
    def task(self) -> Match2 | Match3:
        """The problem itself."""
        return PROBLEMS[self.problem](self.num_tokens, self.modulus)

    @property
    def family(self) -> Hashable | None:
        """All but the seed and the peak."""
        return replace(self, seed=0, peak_rate=1.0)

    def build(self, generator: torch.Generator) -> nn.Module:
        """The model."""
        kinds = {"one layer": ("pairwise",), "two layers": ("pairwise",) * 2, "third order": ("third order",)}
        return Detector(self.modulus, self.size, kinds[self.architecture], generator=generator)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Residues and labels, as floats for the loss."""
        task = self.task
        while True:
            inputs = task.sample(STEPS_AT_ONCE * self.batch_size, generator=generator)
            labels = task.target(inputs).float()
            yield from map(Batch, inputs.split(self.batch_size), labels.split(self.batch_size))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, in nats a label."""
        return nn.functional.binary_cross_entropy_with_logits(outputs, targets)

    def evaluate(self, model: nn.Module, generator: torch.Generator) -> dict[str, float]:
        """``accuracy``, ``loss`` and ``constant`` on `TEST_SAMPLES` new sequences."""
        inputs = self.task.sample(TEST_SAMPLES, generator=generator)
        labels = self.task.target(inputs)
        with torch.no_grad():
            logits = torch.cat([model(part) for part in inputs.split(100)])
        ones = labels.double().mean().item()
        return {
            "accuracy": ((logits > 0) == labels).double().mean().item(),
            "loss": self.loss(logits, labels.float()).item(),
            "constant": max(ones, 1 - ones),
        }
