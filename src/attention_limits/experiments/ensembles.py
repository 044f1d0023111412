"""Many small models trained as one: their parameters stacked, every operation done for all of them at once.

On small models and batches most of a step is overhead, which an ensemble pays once. On large ones there is nothing to
gain, and more to keep in the cache: `group_size` says how many models to stack.

Models may differ in their widths. Narrow ones are padded with zeros, and a padded weight stays at zero: its gradient is
a product with another padded weight or with a unit that is always 0, and Adam does not move where the gradient is 0.
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from attention_limits.experiments.training import (
    Batch,
    Loss,
    Schedule,
    StateDict,
    TrainingRun,
    mean_squared_error,
)
from attention_limits.hypotheses import require_integer
from attention_limits.runtime import progress

#: Parameters times tokens of a step, over all models of a group, that a CPU core does best with. Measured on attention
#: models (`make bench`): at 4 million a model four to eight stacked ones train about 1.6 times as fast as one after
#: the other, at 12 million about 1.1 times, and at 60 million they are slower.
CPU_WORK = 5e7
MOST_ON_CPU = 8
#: On a GPU a step of small models is all overhead until its work fills the device.
GPU_WORK = 2e10
MOST_ON_GPU = 256


def group_size(num_parameters: int, step_tokens: int, device: torch.device) -> int:
    """How many models to train as one, from the work of one model's step.

    Args:
        num_parameters: of one model.
        step_tokens: tokens of one step, batch size times sequence length.
        device: where they are trained.

    Returns:
        At least 1; at most 8 on a CPU, 256 on a GPU.

    Example:
        >>> [group_size(24_000, tokens, torch.device("cpu")) for tokens in (160, 640, 4096)]
        [8, 3, 1]
    """
    require_integer("num_parameters", num_parameters, 1)
    require_integer("step_tokens", step_tokens, 1)
    best, most = (CPU_WORK, MOST_ON_CPU) if device.type == "cpu" else (GPU_WORK, MOST_ON_GPU)
    return max(1, min(most, round(best / (num_parameters * step_tokens))))


def train_ensemble(
    models: Sequence[nn.Module],
    batches: Sequence[Iterator[Batch]],
    schedules: Sequence[Schedule],
    *,
    target_variances: Sequence[float] | None = None,
    loss_function: Loss = mean_squared_error,
    description: str | None = "training",
) -> list[TrainingRun]:
    """Train all ``models`` in place, as `training.train` trains each of them alone, but for rounding.

    Unlike there, a model whose loss stops being finite does not end the run: its errors then read nan, and the others
    are not touched by it. Ctrl-C raises KeyboardInterrupt and leaves the models as they were.

    Args:
        models: of one architecture; widths may differ. They must be free of buffers and of randomness.
        batches: each model's own data; all of one shape.
        schedules: each model's own; they may differ in the peak only.
        target_variances: each model's unit of the recorded errors; 1 by default.
        loss_function: what is minimised, of a kind that `torch.func.vmap` understands.
        description: the label of the progress bar; None for no bar.

    Returns:
        Each model's errors at every step.

    Raises:
        ValueError: for models that can't be stacked, or lists of different lengths.
    """
    if len(models) < 1:
        raise ValueError("an ensemble needs at least one model, got none")
    variances = [1.0] * len(models) if target_variances is None else list(target_variances)
    for name, entries in (("batches", batches), ("schedules", schedules), ("target_variances", variances)):
        if len(entries) != len(models):
            raise ValueError(f"{len(models)} models need as many {name}, got {len(entries)}")
    shapes = {(schedule.num_steps, schedule.warmup_steps) for schedule in schedules}
    if len(shapes) != 1:
        raise ValueError(f"an ensemble's schedules must agree in steps and warm-up, got {sorted(shapes)}")
    stacked = _stack([dict(model.named_parameters()) for model in models])
    base = copy.deepcopy(models[0]).to("meta")  # the computation; its own parameters are never used

    def loss_of_one(parameters: StateDict, tokens: Tensor, targets: Tensor) -> Tensor:
        return loss_function(functional_call(base, parameters, (tokens,)), targets)

    losses_of_all = vmap(loss_of_one)
    # The optimiser sees each model's own part of the stacked parameters, a view, in a group of its own learning rate.
    views = [[tensor.detach()[index] for tensor in stacked.values()] for index in range(len(models))]
    groups = [{"params": of_one, "lr": schedule.peak} for of_one, schedule in zip(views, schedules, strict=True)]
    optimiser = torch.optim.Adam(groups, fused=True)
    losses: list[Tensor] = []
    # A loop beside the one of `training.train`, which differs in most of its lines: its Adam is not fused, which rounds
    # otherwise, and its gradients are those of the parameters themselves. One loop for both could stack each model's
    # own parameters anew at every step, but small ensembles then take 3 to 11 % longer; or let gradients stay where
    # they are and fill them with zeros, but a small model alone then takes up to 5 % longer. Only rates and progress
    # are alike, and to share those takes more lines than it saves.
    with progress(range(schedules[0].num_steps), description) as steps:
        for step in steps:
            for group, schedule in zip(optimiser.param_groups, schedules, strict=True):
                group["lr"] = schedule.rate(step)
            tokens, targets = (torch.stack(parts) for parts in zip(*map(next, batches), strict=True))
            loss = losses_of_all(stacked, tokens, targets)
            gradients = torch.autograd.grad(loss.sum(), list(stacked.values()))
            for index, of_one in enumerate(views):
                for view, gradient in zip(of_one, gradients, strict=True):
                    view.grad = gradient[index].contiguous()  # the fused optimiser ignores strides
            optimiser.step()
            losses.append(loss.detach())
    for index, model in enumerate(models):
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(stacked[name].detach()[index][tuple(map(slice, parameter.shape))])
    losses_by_model = torch.stack(losses, dim=1)
    return [TrainingRun((row / unit).tolist()) for row, unit in zip(losses_by_model, variances, strict=True)]


def _stack(states: Sequence[StateDict]) -> StateDict:
    """Parameters with a leading axis of models, padded with zeros to the widest."""
    names = [list(state) for state in states]
    if not all(other == names[0] for other in names):
        raise ValueError(f"models of one architecture are needed, got {names}")
    stacked: StateDict = {}
    for name, first in states[0].items():
        of_all = [state[name].detach() for state in states]
        if len({tensor.ndim for tensor in of_all}) != 1:
            raise ValueError(f"parameter {name} must have as many axes in all models")
        shape = [max(sizes) for sizes in zip(*(tensor.shape for tensor in of_all), strict=True)]
        padded = first.new_zeros(len(states), *shape)
        for index, tensor in enumerate(of_all):
            padded[index][tuple(map(slice, tensor.shape))] = tensor
        stacked[name] = padded.requires_grad_()
    return stacked
