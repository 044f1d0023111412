"""Trials on sparse averaging: attention, a fully-connected network, and LSTMs, at a size that is a field of the trial.

Letters: N = num_tokens, q = sparsity, d' = value_dim, m = size of attention.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_limits.experiments.training import (
    Batch,
    attention_model,
    fixed_batches,
    fresh_batches,
    mean_squared_error,
)
from attention_limits.experiments.trials import Trial
from attention_limits.hypotheses import require_integer
from attention_limits.models.attention import Transformer, multilayer_perceptron
from attention_limits.models.feedforward import feedforward_network
from attention_limits.models.recurrent import LSTMModel
from attention_limits.problems.sparse_averaging import SparseAveraging, worst_case_error

#: Test samples of a trial, and how many go through a model at once.
TEST_SAMPLES = 1000
TEST_BATCH = 100
#: Units of the layers behind the first one of a "deep feedforward" network.
LATER_LAYERS = (128, 128)


class Address(nn.Module):
    """Attention whose values are given: output i = Σ_j p_ij z_j, and only p, who looks at whom, is learned.

    Keys are one free vector for each position and queries a network's answer to the pointers, so that both have m
    coordinates and nothing else stands between them: the dimension of the *address* is m.
    """

    def __init__(
        self, problem: SparseAveraging, embed_dim: int, *, generator: torch.Generator, hidden_dim: int = 128
    ) -> None:
        super().__init__()
        require_integer("embed_dim", embed_dim, 1)
        self.problem = problem
        self.query = multilayer_perceptron((problem.num_tokens, hidden_dim, embed_dim), generator=generator)
        keys = torch.randn(
            problem.num_tokens, embed_dim, generator=generator, device=generator.device, dtype=torch.float32
        )
        self.key = nn.Parameter(keys)

    def forward(self, tokens: Float[Tensor, "batch tokens token_dim"]) -> Float[Tensor, "batch tokens value_dim"]:
        """The averages, from `SparseAveraging.encode`."""
        values, selection, _ = tokens.split([self.problem.value_dim, *[self.problem.num_tokens] * 2], dim=-1)
        return torch.softmax(self.query(selection) @ self.key.T, dim=-1) @ values


@dataclass(frozen=True, kw_only=True)
class AveragingTrial(Trial):
    """One model trained on sparse averaging, on mean squared error; its result has the relative ``error``.

    Args:
        architecture: "attention" (a network of one hidden layer, then one unit of m = size), "address" (`Address` with
            m = size), "feedforward" (one hidden layer of ``size`` units over the whole input), "deep feedforward"
            (two more of `LATER_LAYERS` units), "lstm" and "bidirectional lstm" (``size`` hidden units a direction,
            ``num_layers`` layers).
        sparsity: q.
        value_dim: d'.
        num_layers: of an LSTM; 1 for the others.
        num_samples: how many training samples there are; 0 for fresh ones at every step.
    """

    sparsity: int
    value_dim: int = 4
    num_layers: int = 1
    num_samples: int = 0

    known_architectures: ClassVar[tuple[str, ...]] = (
        "attention",
        "address",
        "feedforward",
        "deep feedforward",
        "lstm",
        "bidirectional lstm",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        SparseAveraging(self.num_tokens, self.sparsity, self.value_dim)  # refuses what is no problem
        require_integer("num_layers", self.num_layers, 1)
        require_integer("num_samples", self.num_samples, 0)
        if not (self.num_layers == 1 or self._is_lstm):
            raise ValueError(f"num_layers of {self.architecture} is 1, got {self.num_layers}")

    @property
    def problem(self) -> SparseAveraging:
        """The task."""
        return SparseAveraging(self.num_tokens, self.sparsity, self.value_dim)

    @property
    def _is_lstm(self) -> bool:
        return self.architecture.endswith("lstm")

    @property
    def error_unit(self) -> float:
        """The variance of the target."""
        return self.problem.target_variance

    @property
    def family(self) -> Hashable | None:
        """All but q, size, peak and seed; an LSTM is trained alone, PyTorch's kernel takes one model."""
        if self._is_lstm:
            return None
        same = (self.num_tokens, self.value_dim, self.num_steps, self.batch_size, self.num_samples)
        return (self.architecture, *same)

    def build(self, generator: torch.Generator) -> nn.Module:
        """The model."""
        problem, size = self.problem, self.size
        match self.architecture:
            case "attention":
                return attention_model(problem, size, generator=generator)
            case "address":
                return Address(problem, size, generator=generator)
            case "feedforward":
                return feedforward_network(problem, size, [], generator=generator)
            case "deep feedforward":
                return feedforward_network(problem, size, LATER_LAYERS, generator=generator)
        bidirectional = self.architecture == "bidirectional lstm"
        return LSTMModel(problem, size, bidirectional=bidirectional, num_layers=self.num_layers, generator=generator)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Encoded tokens and averages."""
        if self.num_samples:
            return fixed_batches(self.problem, self.num_samples, self.batch_size, generator=generator)
        return fresh_batches(self.problem, self.batch_size, generator=generator)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error."""
        return mean_squared_error(outputs, targets)

    def evaluate(self, model: nn.Module, generator: torch.Generator) -> dict[str, float]:
        """``error``: mean squared error on `TEST_SAMPLES` new samples over the target's variance.

        Of attention also ``attention_mass``, the mean weight on the tokens asked for (at most 1), and ``distance``, the
        mean ℓ₁-distance of its rows from uniform weight on them (at most 2).
        """
        inputs = self.problem.sample(TEST_SAMPLES, generator=generator)
        measured: dict[str, float] = {}
        with torch.no_grad():
            if isinstance(model, Transformer):
                attended = [model.attend(tokens) for tokens in self.problem.encode(inputs).split(TEST_BATCH)]
                outputs = torch.cat([part.output for part in attended])
                weights = torch.cat([part.attention[0][:, 0] for part in attended])
                measured["attention_mass"] = weights.gather(-1, inputs.pointers).sum(dim=-1).mean().item()
                measured["distance"] = worst_case_error(weights, inputs.pointers).mean().item()
            else:
                outputs = torch.cat([model(tokens) for tokens in self.problem.encode(inputs).split(TEST_BATCH)])
        error = mean_squared_error(outputs, self.problem.target(inputs)).item() / self.error_unit
        return {"error": error} | measured
