"""How right a model is on a matching problem: labels that are wrong, and the least probability of a right one.

A model answers each token with a probability of label 1, or with the label itself; a label is 1 above 1/2.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from attention_limits.hypotheses import require_integer
from attention_limits.problems.matching import Matching

#: Sequences that go through a model at once.
BATCH_SIZE = 2**14


class Grade(NamedTuple):
    """What came out, over all labels that were asked for."""

    num_labels: int
    #: Labels that differ from the right ones; an answer of nan is always one of them.
    wrong: int
    #: The least probability that a right label gets, in float64; nan if an answer is.
    right_side: float

    @property
    def accuracy(self) -> float:
        """The share of labels that are right."""
        return (self.num_labels - self.wrong) / self.num_labels


def grade_outputs(outputs: Shaped[Tensor, "*answers"], labels: Bool[Tensor, "*labels"]) -> Grade:
    """Grade answers against the right labels, on the device of the answers.

    Args:
        outputs: probabilities in any float format, or labels.
        labels: the right ones, on any device.

    Raises:
        ValueError: for another shape, and for no label at all.

    Example: the second of three is wrong, its right side gets 0.25.
        >>> grade_outputs(torch.tensor([0.75, 0.75, 0.5]), torch.tensor([True, False, False]))
        Grade(num_labels=3, wrong=1, right_side=0.25)
    """
    found, wanted = tuple(outputs.shape), tuple(labels.shape)
    if found != wanted:
        raise ValueError(f"outputs must have the labels' shape {wanted}, got {found}")
    if labels.numel() == 0:
        raise ValueError("there are no labels to grade")
    labels, probability = labels.to(outputs.device), outputs.detach().double()
    right = torch.where(labels, probability > 0.5, probability <= 0.5)
    return Grade(
        num_labels=labels.numel(),
        wrong=int((~right).sum()),
        right_side=torch.where(labels, probability, 1 - probability).min().item(),
    )


def grade(
    model: Callable[[Tensor], Tensor],
    problem: Matching,
    inputs: Int[Tensor, "inputs tokens"] | None = None,
    *,
    device: torch.device | str | None = None,
    batch_size: int = BATCH_SIZE,
) -> Grade:
    """Run a model on ``inputs``, by default on all M^N of the problem, and grade it against `Matching.target`.

    Args:
        model: from residues (batch, tokens) to answers (batch, tokens).
        problem: says what is right.
        inputs: residues, on any device.
        device: where the model expects its inputs; by default where they are, which for all inputs is the CPU.
        batch_size: sequences that go through the model at once.
    """
    require_integer("batch_size", batch_size, 1)
    inputs = problem.all_inputs() if inputs is None else inputs
    if len(inputs) == 0:
        raise ValueError("there are no inputs to grade a model on")
    grades = []
    with torch.no_grad():
        for batch in inputs.split(batch_size):
            batch = batch.to(device)
            grades.append(grade_outputs(model(batch), problem.target(batch)))
    num_labels, wrong, right_sides = zip(*grades, strict=True)
    return Grade(sum(num_labels), sum(wrong), torch.tensor(right_sides, dtype=torch.float64).min().item())
