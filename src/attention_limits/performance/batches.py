"""Contests between one at a time and many at once: training, certificates, units, exhaustive checks.

Letters: N = num_tokens, q = sparsity, M = modulus, m = embed_dim, B = batch size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.constructions.keys import gram_matrix, minimum_norm_certificates, random_sign_keys
from attention_limits.constructions.sizes import random_subsets
from attention_limits.constructions.sparse_averaging import default_embed_dim, fixed_precision_unit
from attention_limits.constructions.third_order import match3_tensor_unit
from attention_limits.experiments.ensembles import train_ensemble
from attention_limits.experiments.training import Schedule, attention_model, fresh_batches, train
from attention_limits.performance.contests import Contest, Way
from attention_limits.problems.matching import Match3
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

MODELS = 8
#: (N, m, B): from steps that are all overhead to steps that are all arithmetic.
ENSEMBLE_CASES = [(20, 64, 8), (20, 64, 32), (32, 16, 32), (32, 128, 32)]
#: The first steps agree to rounding; later ones drift apart, as Adam amplifies it.
COMPARED_STEPS = 5


def ensemble_contests(cases: Sequence[tuple[int, int, int]], num_steps: int) -> list[Contest]:
    """Training of eight attention models: one after the other, and in ensembles of several sizes."""

    def training(case: tuple[int, int, int], group: int) -> Way:
        return lambda seeds: _errors(*case, group, seeds, num_steps)

    return [
        Contest(
            "training of 8 models",
            {"N": case[0], "m": case[1], "B": case[2], "steps": num_steps},
            lambda: range(MODELS),
            {
                "one by one": training(case, 0),
                **{f"ensembles of {group}": training(case, group) for group in (2, 4, 8)},
            },
            tolerance=1e-3,
            count=MODELS * num_steps,
        )
        for case in cases
    ]


def _errors(
    num_tokens: int, embed_dim: int, batch_size: int, group: int, seeds: range, num_steps: int
) -> Float[Tensor, "models steps"]:
    """The errors of the first steps of a whole training, in ensembles of ``group``; 0: one after the other."""
    problem, schedule = SparseAveraging(num_tokens, 3, 4), Schedule(num_steps, warmup_steps=10)
    models, batches = [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        models.append(attention_model(problem, embed_dim, generator=generator))
        batches.append(fresh_batches(problem, batch_size, generator=generator))
    runs = []
    if group == 0:
        for model, data in zip(models, batches, strict=True):
            runs.append(train(model, data, schedule, description=None))
    else:
        for start in range(0, len(models), group):
            part = slice(start, start + group)
            runs += train_ensemble(models[part], batches[part], [schedule] * len(models[part]), description=None)
    return torch.tensor([run.errors[:COMPARED_STEPS] for run in runs])


class CertificateInputs(NamedTuple):
    """The Gram matrix of sign keys, and subsets that ask for certificates."""

    gram: Float[Tensor, "tokens tokens"]
    subsets: Int[Tensor, "subsets sparsity"]


def certificate_contest(num_tokens: int, sparsity: int, num_subsets: int, seed: int) -> Contest:
    """Minimum-norm certificates and their margins for random subsets of random sign keys."""

    def draw() -> CertificateInputs:
        generator = torch.Generator().manual_seed(seed)
        keys = random_sign_keys(num_tokens, default_embed_dim(num_tokens, sparsity), generator=generator)
        return CertificateInputs(
            gram_matrix(keys), random_subsets(num_tokens, sparsity, num_subsets, generator=generator)
        )

    def one_by_one(inputs: CertificateInputs) -> tuple[Tensor, ...]:
        found = [minimum_norm_certificates(inputs.gram, subset) for subset in inputs.subsets.split(1)]
        return tuple(torch.cat(parts) for parts in zip(*found, strict=True))

    return Contest(
        "certificates",
        {"N": num_tokens, "q": sparsity, "subsets": num_subsets},
        draw,
        {"one by one": one_by_one, "in a batch": lambda inputs: tuple(minimum_norm_certificates(*inputs))},
        tolerance=1e-9,  # float64 solves of q × q systems
        count=num_subsets,
    )


def unit_contest(num_tokens: int, sparsity: int, num_inputs: int, seed: int) -> Contest:
    """The unit of Theorem 2 at ε = 0.01, certificates included."""
    problem = SparseAveraging(num_tokens, sparsity, 4)
    unit = fixed_precision_unit(problem, 0.01, generator=torch.Generator().manual_seed(seed))

    def one_by_one(inputs: SparseAveragingInputs) -> Tensor:
        pairs = zip(inputs.values.split(1), inputs.pointers.split(1), strict=True)
        return torch.cat([unit(SparseAveragingInputs(*pair)) for pair in pairs])

    return Contest(
        "unit of Theorem 2",
        {"N": num_tokens, "q": sparsity, "inputs": num_inputs},
        lambda: problem.sample(num_inputs, generator=torch.Generator().manual_seed(seed + 1)),
        {"one by one": one_by_one, "in a batch": unit},
        tolerance=1e-5,  # float32
        count=num_inputs,
    )


def exhaustive_contest(num_tokens: int, modulus: int) -> Contest:
    """Whether the third-order unit for Match3 labels every input of a small size rightly."""
    problem = Match3(num_tokens, modulus)
    unit = match3_tensor_unit(problem)

    def right(inputs: Int[Tensor, "inputs tokens"]) -> Tensor:
        return ((unit(inputs) > 0.5) == problem.target(inputs)).all(dim=1)

    return Contest(
        "check of all inputs",
        {"N": num_tokens, "M": modulus},
        problem.all_inputs,
        {"one by one": lambda inputs: torch.cat([right(row) for row in inputs.split(1)]), "in a batch": right},
        tolerance=0.0,
        count=modulus**num_tokens,
    )
