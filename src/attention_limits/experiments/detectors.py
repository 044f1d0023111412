"""Trials on pair and triple detection: pairwise attention of one or two layers against third-order attention.

All models are residual transformers with a blank token. A residue is shown as cosines and sines at a few frequencies,
each layer adds what attention finds and what a token-wise network makes of it, and a linear map gives a logit for each
token. They differ in the attention alone. What else can be chosen is a field of the trial, so that each choice can be
tried by itself.

Letters: N = num_tokens, M = modulus, w = size, the width of the stream and the embedding dimension m, F = frequencies.
"""

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_limits.constructions.frequencies import frequency_gap, random_frequencies
from attention_limits.experiments.training import STEPS_AT_ONCE, Batch
from attention_limits.experiments.trials import Trial
from attention_limits.hypotheses import require_integer
from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit, multilayer_perceptron
from attention_limits.models.tensor_attention import reference_attention
from attention_limits.problems.matching import Match2, Match3
from attention_limits.problems.tuples import rule_of_pairs

PROBLEMS: dict[str, type[Match2] | type[Match3]] = {"match2": Match2, "match3": Match3}
#: How the features of a residue become a token of the stream.
READ_INS = ("fixed", "linear", "network")
HEADS = 2
#: Length and labels a step of the sequences that training may begin with.
SHORT_TOKENS = 8
SHORT_LABELS = 1024
TEST_SAMPLES = 2000


def residue_features(
    residues: Int[Tensor, "*batch tokens"], frequencies: Int[Tensor, " frequencies"], modulus: int
) -> Float[Tensor, "*batch tokens features"]:
    """cos 2πkx/M for each frequency k, then sin 2πkx/M for each."""
    angle = (residues.unsqueeze(-1) * frequencies % modulus).float() * (2 * math.pi / modulus)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


@cache
def seed_frequencies(modulus: int, num_frequencies: int, num_draws: int, seed: int) -> tuple[int, ...]:
    """The frequencies of a seed: of so many random sets the one with the largest gap, or the lowest ones for 0 draws.

    No label is looked at. The gap is that of `constructions.frequencies.frequency_gap`.
    """
    if num_draws == 0:
        return tuple(range(1, num_frequencies + 1))
    generator = torch.Generator().manual_seed(seed)
    return tuple(random_frequencies(modulus, num_frequencies, generator=generator, num_draws=num_draws).tolist())


class ThirdOrderLayer(nn.Module):
    """Third-order attention with matrices of its own for the query, two keys and two values, all w × w.

    At tokens of length √w its scores start with the standard deviation ``score_scale``.
    """

    def __init__(self, width: int, score_scale: float, *, generator: torch.Generator) -> None:
        super().__init__()

        def normal(gain: float = 1.0) -> nn.Parameter:
            entries = torch.randn(width, width, generator=generator, device=generator.device, dtype=torch.float32)
            return nn.Parameter(gain * entries / width**0.5)

        gain = (score_scale**2 / width) ** (1 / 6)
        self.query, self.first_key, self.second_key = normal(gain), normal(gain), normal(gain)
        self.first_value, self.second_value = normal(), normal()

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        """What each token finds among all pairs."""
        keys = (tokens @ self.first_key, tokens @ self.second_key)
        values = (tokens @ self.first_value, tokens @ self.second_value)
        return reference_attention(tokens @ self.query, keys, values)


def pairwise_layer(width: int, score_scale: float, *, generator: torch.Generator) -> MultiHeadAttention:
    """`HEADS` heads with m = w, whose scores start like those of `ThirdOrderLayer`."""
    heads = [SelfAttentionUnit(width, width, width, generator=generator) for _ in range(HEADS)]
    with torch.no_grad():
        for head in heads:
            for matrix in (head.query, head.key):
                matrix.mul_((score_scale**2 / width) ** (1 / 4))
    return MultiHeadAttention(heads)


class Detector(nn.Module):
    """From the features of residues to a logit for each token; `kinds` names the attention of each layer.

    Args:
        num_features: 2F.
        width: w.
        kinds: "pairwise" or "third order", a layer each.
        read: "fixed" (features times √(w/F), then zeros; 2F ≤ w), "linear", or "network" (one hidden layer of 2w).
        score_scale: standard deviation of the first layer's scores before training.
        residual: whether a layer adds to the stream, or replaces it.
    """

    def __init__(
        self,
        num_features: int,
        width: int,
        kinds: tuple[str, ...],
        *,
        read: str = "fixed",
        score_scale: float = 0.25,
        residual: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.num_features, self.width, self.residual = num_features, width, residual
        match read:
            case "fixed":
                self.read: nn.Module | None = None
            case "linear":
                self.read = multilayer_perceptron((num_features, width), generator=generator)
            case "network":
                self.read = multilayer_perceptron((num_features, 2 * width, width), generator=generator)
            case _:
                raise ValueError(f"unknown read-in {read!r}: use {', '.join(READ_INS)}")
        blank = torch.randn(width, generator=generator, device=generator.device, dtype=torch.float32)
        self.blank = nn.Parameter(blank)
        layer = {"pairwise": pairwise_layer, "third order": ThirdOrderLayer}
        self.attentions = nn.ModuleList(layer[kind](width, score_scale, generator=generator) for kind in kinds)
        self.networks = nn.ModuleList(
            multilayer_perceptron((width, 2 * width, width), generator=generator) for _ in kinds
        )
        self.logit = multilayer_perceptron((width, 1), generator=generator)

    def forward(self, features: Float[Tensor, "batch tokens features"]) -> Float[Tensor, "batch tokens"]:
        """A logit for each token; the label is 1 where it is positive."""
        # √(w/F): a token then has the length √w, as a normal vector has.
        stream = features * (2 * self.width / self.num_features) ** 0.5
        if self.read is None:
            if self.width < self.num_features:
                raise ValueError(f"a fixed read-in of {self.num_features} features needs w ≥ that, got {self.width}")
            stream = nn.functional.pad(stream, (0, self.width - self.num_features))
        else:
            stream = self.read(stream)
        stream = torch.cat([stream, self.blank.expand_as(stream[:, :1])], dim=1)
        for attention, network in zip(self.attentions, self.networks, strict=True):
            stream = attention(stream) + (stream if self.residual else 0)
            stream = network(stream) + (stream if self.residual else 0)
        return self.logit(stream[:, :-1]).squeeze(-1)


@dataclass(frozen=True, kw_only=True)
class MatchingTrial(Trial):
    """One model trained on Match2 or Match3, on cross-entropy, with fresh uniform residues at every step.

    Its result has the ``accuracy`` on new samples, the ``loss`` (nats a label), ``constant``, the accuracy of the
    better constant answer, ``rule``, that of `problems.tuples.rule_of_pairs` on the same samples (of Match3; 1 of
    Match2), and ``gap``, the gap of the frequencies.

    Args:
        architecture: "one layer" or "two layers" of pairwise attention with two heads, or "third order": one layer.
        problem: "match2" or "match3".
        modulus: M.
        size: w.
        num_frequencies: F.
        num_draws: random sets of frequencies of which the one with the largest gap is taken; 0 for the lowest ones.
        read: the read-in, see `Detector`.
        score_scale: standard deviation of the scores before training.
        residual: whether layers add to the stream.
        short_steps: how many of the steps show sequences of `SHORT_TOKENS` tokens, `SHORT_LABELS` labels a step, before
            those of N tokens.
    """

    problem: str
    modulus: int
    size: int = 64
    num_frequencies: int = 5
    num_draws: int = 20
    read: str = "fixed"
    score_scale: float = 0.25
    residual: bool = True
    short_steps: int = 0

    known_architectures: ClassVar[tuple[str, ...]] = ("one layer", "two layers", "third order")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.problem not in PROBLEMS:
            raise ValueError(f"unknown problem {self.problem!r}: use {' or '.join(PROBLEMS)}")
        self.task  # noqa: B018  # refuses what is no problem
        require_integer("num_frequencies", self.num_frequencies, 1)
        require_integer("num_draws", self.num_draws, 0)
        require_integer("short_steps", self.short_steps, 0)
        if self.read not in READ_INS:
            raise ValueError(f"unknown read-in {self.read!r}: use {', '.join(READ_INS)}")
        if not 0 < self.score_scale < math.inf:
            raise ValueError(f"score_scale must be positive and finite, got {self.score_scale}")
        if not self.short_steps < self.num_steps:
            raise ValueError(f"short_steps must be below num_steps = {self.num_steps}, got {self.short_steps}")

    @property
    def task(self) -> Match2 | Match3:
        """The problem itself."""
        return PROBLEMS[self.problem](self.num_tokens, self.modulus)

    @property
    def frequencies(self) -> Int[Tensor, " frequencies"]:
        """Those of the seed."""
        return torch.tensor(seed_frequencies(self.modulus, self.num_frequencies, self.num_draws, self.seed))

    @property
    def family(self) -> Hashable | None:
        """All but the seed and the peak."""
        return replace(self, seed=0, peak_rate=1.0)

    def build(self, generator: torch.Generator) -> nn.Module:
        """The model."""
        kinds = {"one layer": ("pairwise",), "two layers": ("pairwise",) * 2, "third order": ("third order",)}
        return Detector(
            2 * self.num_frequencies,
            self.size,
            kinds[self.architecture],
            read=self.read,
            score_scale=self.score_scale,
            residual=self.residual,
            generator=generator,
        )

    def features(self, residues: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens features"]:
        """What the model reads."""
        return residue_features(residues, self.frequencies.to(residues.device), self.modulus)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Features and labels, as floats for the loss: short sequences first, if any."""
        short = PROBLEMS[self.problem](SHORT_TOKENS, self.modulus)
        yield from islice(self._batches(short, SHORT_LABELS // SHORT_TOKENS, generator), self.short_steps)
        yield from self._batches(self.task, self.batch_size, generator)

    def _batches(self, task: Match2 | Match3, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        while True:
            inputs = task.sample(STEPS_AT_ONCE * batch_size, generator=generator)
            labels = task.target(inputs).float()
            yield from map(Batch, self.features(inputs).split(batch_size), labels.split(batch_size))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, in nats a label."""
        return nn.functional.binary_cross_entropy_with_logits(outputs, targets)

    def evaluate(self, model: nn.Module, generator: torch.Generator) -> dict[str, float]:
        """``accuracy``, ``loss``, ``constant`` and ``rule`` on `TEST_SAMPLES` new sequences, and ``gap``."""
        inputs = self.task.sample(TEST_SAMPLES, generator=generator)
        labels = self.task.target(inputs)
        with torch.no_grad():
            logits = torch.cat([model(self.features(part)) for part in inputs.split(100)])
        ones = labels.double().mean().item()
        rule = rule_of_pairs(inputs, self.modulus) if self.problem == "match3" else labels
        return {
            "accuracy": ((logits > 0) == labels).double().mean().item(),
            "loss": self.loss(logits, labels.float()).item(),
            "constant": max(ones, 1 - ones),
            "rule": (rule == labels).double().mean().item(),
            "gap": frequency_gap(self.frequencies, self.modulus),
        }
