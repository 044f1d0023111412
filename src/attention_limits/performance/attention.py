"""Contests between forms of attention: order 3 in seven ways, and the unit of Definition 1 against torch's own.

Letters: N tokens, m = embed_dim, d = value_dim, B = batch size.
"""

import importlib.util
import math
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from joblib import cpu_count
from torch import Tensor, nn

from attention_limits.models.attention import SelfAttentionUnit
from attention_limits.models.tensor_attention import reference_attention, tensor_attention
from attention_limits.performance.contests import Contest, Way

#: (m, d): a usual head, and about the size that Match3 needs.
THIRD_ORDER_CASES = [(32, 32), (5, 1)]
#: float32, relative to the largest entry, up to `TOLERANCE_TOKENS` tokens: each way adds N² terms in another order, and
#: gradients are differences of such sums. Rounding errors of N² steps grow like N. Seen at N = 512 are 3e-5 forward and
#: 8e-5 in gradients, both by torch's fused attention.
TOLERANCE = {"forward": 1e-5, "both": 1e-4}
TOLERANCE_TOKENS = 128

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


class ThirdOrder(NamedTuple):
    """Queries, and keys and values that serve in both slots; the last is the gradient that comes from above."""

    query: Float[Tensor, "tokens embed"]
    key: Float[Tensor, "tokens embed"]
    value: Float[Tensor, "tokens value_dim"]
    gradient: Float[Tensor, "tokens value_dim"]


def third_order_inputs(num_tokens: int, embed_dim: int, value_dim: int, seed: int) -> ThirdOrder:
    """Normal queries and keys of standard deviation 1/2, values around 1; all three ask for gradients."""
    generator = torch.Generator().manual_seed(seed)
    dims = (embed_dim, embed_dim, value_dim, value_dim)
    query, key, value, gradient = (0.5 * torch.randn(num_tokens, dim, generator=generator) for dim in dims)
    return ThirdOrder(query.requires_grad_(), key.requires_grad_(), (1 + value).requires_grad_(), gradient)


def plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The definition as two einsums, with all N³ scores at once."""
    return reference_attention(query, (key, key), (value, value))


def khatri_rao(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Ordinary attention to N² keys: the rows of the Khatri–Rao products K ⋆ K and V ⋆ V."""
    keys, values = ((rows.unsqueeze(1) * rows.unsqueeze(0)).flatten(0, 1) for rows in (key, value))
    return torch.softmax(query @ keys.T, dim=-1) @ values


def khatri_rao_fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same through torch's fused attention, which holds no N³ scores but the N² keys and values.

    It is fused only where keys and values are equally long; zeros, which change neither scores nor sums, see to that.
    """
    value_dim, width = value.shape[-1], max(query.shape[-1], value.shape[-1])
    query, key, value = (nn.functional.pad(rows, (0, width - rows.shape[-1])) for rows in (query, key, value))
    keys, values = ((rows.unsqueeze(1) * rows.unsqueeze(0)).flatten(0, 1) for rows in (key, value))
    query, keys, values = (rows[None, None] for rows in (query, keys, values))
    return nn.functional.scaled_dot_product_attention(query, keys, values, scale=1.0)[0, 0, :, :value_dim]


def simplicial(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The naive function of the package simplicial-attention; it divides scores by √m, which is undone here."""
    from simplicial_attention import naive_two_simplicial_attend

    scaled, key, value = (x[None, None] for x in (query * math.sqrt(query.shape[-1]), key, value))
    return naive_two_simplicial_attend(scaled, (key, key), (value, value))[0, 0]


def streamed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """This package's form, which does not see that both slots hold the same."""
    return tensor_attention(query, (key, key.view_as(key)), (value, value.view_as(value)))


def streamed_same_keys(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """This package's form, which sees it and visits each unordered pair once."""
    return tensor_attention(query, (key, key), (value, value))


def compiled_plain() -> Attend:
    """The definition through torch.compile, for one shape; compiled at its first call."""
    made: list[Attend] = []

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if not made:
            torch.compiler.reset()  # else the ninth shape of a process falls back to the plain form
            made.append(torch.compile(plain, dynamic=False))
        return made[0](query, key, value)

    return attend


#: The forms that differ in memory.
FORMS: dict[str, Attend] = {
    "plain einsum": plain,
    "Khatri–Rao": khatri_rao,
    "Khatri–Rao, fused": khatri_rao_fused,
    "streamed": streamed,
}


def third_order_contests(token_grid: Sequence[int], seed: int, *, compiled: bool) -> list[Contest]:
    """Third-order attention at every N of the grid, (m, d) of `THIRD_ORDER_CASES`, forward and with the backward pass.

    Args:
        token_grid: N.
        seed: of the inputs.
        compiled: whether torch.compile takes part; it needs a C++ compiler, and several seconds for each contest.
    """
    contests = []
    for embed_dim, value_dim in THIRD_ORDER_CASES:
        for num_tokens in token_grid:
            for direction in ("forward", "both"):
                forms, missing = _forms(compiled)
                contests.append(
                    Contest(
                        "third-order attention",
                        {"N": num_tokens, "m": embed_dim, "d": value_dim, "passes": direction},
                        partial(third_order_inputs, num_tokens, embed_dim, value_dim, seed),
                        {name: one_pass(form, direction) for name, form in forms.items()},
                        _tolerance(direction, num_tokens),
                        missing=missing,
                    )
                )
    return contests


def _forms(compiled: bool) -> tuple[dict[str, Attend], dict[str, str]]:
    """The forms that this machine can run, the plain one first, and why it cannot run the others."""
    forms: dict[str, Attend] = {name: FORMS[name] for name in ("plain einsum", "Khatri–Rao", "Khatri–Rao, fused")}
    missing = {}
    if importlib.util.find_spec("simplicial_attention"):
        forms["simplicial-attention"] = simplicial
    else:
        missing["simplicial-attention"] = "the package is not installed; it belongs to the extra `bench`"
    compiler = os.environ.get("CXX", "g++")
    if not compiled:
        missing["torch.compile"] = "compiling takes seconds for each shape, and is left to `make bench`"
    elif shutil.which(compiler):
        forms["torch.compile"] = compiled_plain()
    else:
        missing["torch.compile"] = f"it needs a C++ compiler, and there is no {compiler}"
    return {**forms, "streamed": streamed, "streamed, same keys": streamed_same_keys}, missing


def one_pass(form: Attend, direction: str) -> Way:
    """What one call computes: the output, or with direction ``both`` the output and the three gradients."""

    def forward(inputs: ThirdOrder) -> Tensor:
        with torch.no_grad():
            return form(*inputs[:3])

    def both(inputs: ThirdOrder) -> tuple[Tensor, ...]:
        output = form(*inputs[:3])
        return (output, *torch.autograd.grad(output, inputs[:3], inputs.gradient))

    return forward if direction == "forward" else both


def _tolerance(direction: str, num_tokens: int) -> float:
    return TOLERANCE[direction] * max(1.0, num_tokens / TOLERANCE_TOKENS)


def thread_contests(token_grid: Sequence[int], seed: int) -> list[Contest]:
    """Each form that does without N³ scores, and the plain one, on one thread against as many as there are cores."""
    cores = cpu_count()
    counts = [1] if cores == 1 else [1, cores]
    return [
        Contest(
            "threads",
            {"form": name, "N": num_tokens, "m": embed_dim, "d": value_dim, "passes": direction},
            partial(third_order_inputs, num_tokens, embed_dim, value_dim, seed),
            {
                f"{count} thread{'s'[: count > 1]}": _on_threads(one_pass(FORMS[name], direction), count)
                for count in counts
            },
            _tolerance(direction, num_tokens),
            missing={"2 threads": "this machine has one core"} if cores == 1 else {},
        )
        for name in ("plain einsum", "Khatri–Rao, fused", "streamed")
        for embed_dim, value_dim in THIRD_ORDER_CASES
        for num_tokens in token_grid
        for direction in ("forward", "both")
    ]


def _on_threads(way: Way, count: int) -> Way:
    def limited(inputs: Any) -> Any:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            return way(inputs)
        finally:
            torch.set_num_threads(before)

    return limited


class UnitInputs(NamedTuple):
    """Tokens, and the same weights in the forms that the three ways take."""

    tokens: Float[Tensor, "batch tokens embed"]
    unit: SelfAttentionUnit
    module: nn.MultiheadAttention


def unit_inputs(batch_size: int, num_tokens: int, embed_dim: int, seed: int) -> UnitInputs:
    """A random unit with d = m = d', as torch's module wants it; the query's weights there undo its scale 1/√m."""
    generator = torch.Generator().manual_seed(seed)
    unit = SelfAttentionUnit(embed_dim, embed_dim, embed_dim, generator=generator)
    module = nn.MultiheadAttention(embed_dim, 1, bias=False, batch_first=True)
    with torch.no_grad():
        rows = (unit.query.T * math.sqrt(embed_dim), unit.key.T, unit.value.T)
        module.in_proj_weight.copy_(torch.cat(rows))
        module.out_proj.weight.copy_(torch.eye(embed_dim))
    tokens = torch.randn(batch_size, num_tokens, embed_dim, generator=generator)
    return UnitInputs(tokens.requires_grad_(), unit, module)


def _own_unit(inputs: UnitInputs) -> Tensor:
    return inputs.unit.attend(inputs.tokens).output


def _scaled_dot_product(inputs: UnitInputs) -> Tensor:
    query, key, value = (inputs.tokens @ weights for weights in inputs.unit.parameters())
    return nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0)


def _module(inputs: UnitInputs) -> Tensor:
    return inputs.module(inputs.tokens, inputs.tokens, inputs.tokens, need_weights=False)[0]


def unit_contests(token_grid: Sequence[int], seed: int) -> list[Contest]:
    """One self-attention unit on B sequences, B N = 1024, m = 64; forward, and with the gradients of all weights."""
    ways = {"attention unit": _own_unit, "scaled_dot_product": _scaled_dot_product, "nn.MultiheadAttention": _module}
    return [
        Contest(
            "attention unit",
            {"N": num_tokens, "B": max(1, 1024 // num_tokens), "m": 64, "passes": direction},
            partial(unit_inputs, max(1, 1024 // num_tokens), num_tokens, 64, seed),
            {name: _unit_pass(way, direction) for name, way in ways.items()},
            TOLERANCE[direction],
        )
        for num_tokens in token_grid
        for direction in ("forward", "both")
    ]


def _unit_pass(way: Callable[[UnitInputs], Tensor], direction: str) -> Way:
    def forward(inputs: UnitInputs) -> Tensor:
        with torch.no_grad():
            return way(inputs)

    def both(inputs: UnitInputs) -> tuple[Tensor, ...]:
        module: Any = inputs.module if way is _module else inputs.unit
        output = way(inputs)
        # The gradient of the tokens is compared; those of the weights, laid out differently, are computed as well.
        gradient, *_ = torch.autograd.grad(output.square().mean(), [inputs.tokens, *module.parameters()])
        return output, gradient

    return forward if direction == "forward" else both
