"""Triton attention against the reference: outputs and gradients, large scores, masks, broken kernels, who uses it.

On a machine with CUDA all of this runs there. Elsewhere it runs in Triton's interpreter (see tests/conftest.py), which
takes milliseconds for each step of a kernel: sizes are small, and blocks are made small with them.
"""

import importlib.util
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from attention_limits.models import tensor_attention as dispatcher
from attention_limits.models.streamed_attention import streamed_attention
from attention_limits.models.tensor_attention import reference_attention, tensor_attention

pytest.importorskip("triton", reason="Triton is published for Linux only")

from attention_limits.models import triton_attention as kernels

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TENSORS = ("output", "query", "first key", "second key", "first value", "second value")


def draw(
    batch: int, tokens: tuple[int, int, int], embed: int, dim: int, *, scale: float = 1.0, seed: int = 0
) -> list[Tensor]:
    """Query, keys and values in float32 with scores of about ``scale``, to be differentiated."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(tokens[0], embed), (tokens[1], embed), (tokens[2], embed), (tokens[1], dim), (tokens[2], dim)]
    tensors = [torch.randn(batch, *shape, generator=generator) for shape in shapes]
    tensors[0] *= scale
    return [tensor.to(DEVICE).requires_grad_() for tensor in tensors]


def draw_mask(shape: tuple[int, ...], seed: int = 2) -> Tensor:
    """True for a third of the pairs, and for the last pair of each query."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 1 / 3
    mask[..., -1, -1] = True
    return mask.to(DEVICE)


def results(attend: Callable[..., Tensor], tensors: list[Tensor], mask: Tensor | None) -> list[Tensor]:
    """The output, and the gradient of each different tensor."""
    output = attend(*tensors, mask)
    different = list({id(tensor): tensor for tensor in tensors}.values())
    return [output, *torch.autograd.grad(output, different, cotangent(output))]


def cotangent(output: Tensor) -> Tensor:
    """The output's gradient in all comparisons."""
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output)


def reference(query: Tensor, first: Tensor, second: Tensor, left: Tensor, right: Tensor, mask: Tensor | None) -> Tensor:
    return reference_attention(query, (first, second), (left, right), mask)


def double(tensors: list[Tensor]) -> list[Tensor]:
    """The same numbers in float64; one object stays one object."""
    copies = {id(tensor): tensor.detach().double().requires_grad_() for tensor in tensors}
    return [copies[id(tensor)] for tensor in tensors]


def sizes(tensors: list[Tensor], mask: Tensor | None) -> tuple[list[float], float]:
    """How large the terms are whose sums are the output and the gradients, which may cancel; the largest score."""
    query, first, second, left, right = tensors
    scores = torch.einsum("bxe,bje,bke->bxjk", query, first, second).detach()
    masked = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    weights = masked.flatten(2).softmax(-1).view_as(scores)
    query, first, second, left, right = different = [tensor.detach().abs().requires_grad_() for tensor in tensors]
    output = torch.einsum("bxjk,bjd,bkd->bxd", weights, left, right)
    products = torch.einsum("bxd,bjd,bkd->bxjk", cotangent(output).abs(), left, right)
    terms = (weights * products.detach() * torch.einsum("bxe,bje,bke->bxjk", query, first, second)).sum()
    of_keys = torch.autograd.grad(terms, different[:3])
    of_values = torch.autograd.grad((weights * products).sum(), different[3:])
    return [x.max().item() for x in (output, *of_keys, *of_values)], scores.abs().max().item()


def errors(tensors: list[Tensor], mask: Tensor | None = None, module: ModuleType = kernels) -> list[float]:
    """The largest error of output and gradients, relative to what float32 allows: at most 1 is right.

    A score s is rounded to a few 2⁻²⁴ s, and its weight to that relative to itself; sums add a few 2⁻²⁴ of their terms.
    """
    exact = double(tensors)
    largest_terms, largest_score = sizes(exact, mask)
    unit = 2**-24 * (16 + 4 * largest_score)
    if len({id(tensor) for tensor in tensors}) < 5:  # the same keys and values in both slots
        output, query, first, second, left, right = largest_terms
        largest_terms = [output, query, first + second, left + right]
    pairs = zip(results(module.triton_attention, tensors, mask), results(reference, exact, mask), strict=True)
    worst = [(found.double() - expected).abs().max().item() for found, expected in pairs]
    return [error / (unit * size) for error, size in zip(worst, largest_terms, strict=True)]


def assert_right(tensors: list[Tensor], mask: Tensor | None = None) -> None:
    # A NaN is no number below 1.
    assert all(error <= 1 for error in errors(tensors, mask)), errors(tensors, mask)


@pytest.fixture(params=[(64, 1), (16, 1), (16, 7)], ids=lambda x: f"block {x[0]}, {x[1]} programs")
def tiling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that hold everything or not, first tokens in one part or in several."""
    monkeypatch.setattr(kernels, "_block", lambda width: request.param[0])
    monkeypatch.setattr(kernels, "PROGRAMS", request.param[1])


@pytest.mark.parametrize(
    ("batch", "tokens", "embed", "dim"),
    [(1, (1, 1, 1), 1, 1), (1, (17, 3, 18), 5, 1), (2, (4, 18, 2), 3, 2), (3, (16, 2, 5), 17, 33)],
)
@pytest.mark.usefixtures("tiling")
def test_outputs_and_gradients_equal_the_reference_at_every_tiling(
    batch: int, tokens: tuple[int, int, int], embed: int, dim: int
) -> None:
    assert_right(draw(batch, tokens, embed, dim))


@pytest.mark.parametrize("seed", range(8))
def test_random_shapes_equal_the_reference(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch, tokens, first, second, embed, dim = (
        int(torch.randint(1, top + 1, (), generator=generator)) for top in (2, 70, 4, 20, 40, 40)
    )
    tensors = draw(batch, (tokens, first, second), embed, dim, scale=10.0 ** (seed % 3), seed=seed)
    assert_right(tensors, draw_mask((batch, tokens, first, second)) if seed % 2 else None)


@pytest.mark.parametrize("scale", [1e3, 1e4])
def test_large_scores_are_right_where_one_pair_wins(scale: float) -> None:
    tensors = draw(1, (5, 4, 6), 3, 2, scale=scale)
    assert_right(tensors)
    query, first, second, left, right = (tensor.detach()[0] for tensor in tensors)
    best = torch.einsum("xe,ae,be->xab", query, first, second).flatten(1).argmax(dim=1)
    expected = left[best // 6] * right[best % 6]
    assert torch.allclose(kernels.triton_attention(*tensors)[0], expected)


@pytest.mark.usefixtures("tiling")
@pytest.mark.parametrize(
    "lead", [(2, 18, 3, 7), (18, 3, 7), (3, 7)], ids=["transposed", "of all entries", "of all rows"]
)
def test_masks_are_read_where_they_lie(lead: tuple[int, ...]) -> None:
    mask = draw_mask(lead).mT.contiguous().mT.expand(2, 18, 3, 7)
    assert_right(draw(2, (18, 3, 7), 3, 2), mask)


def test_a_query_whose_first_blocks_are_masked_is_answered_from_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_block", lambda width: 16)
    monkeypatch.setattr(kernels, "PROGRAMS", 3)  # the first parts have no pair at all
    mask = torch.zeros(1, 3, 6, 20, dtype=torch.bool, device=DEVICE)
    mask[:, :, 5, 17:] = True
    assert_right(draw(1, (3, 6, 20), 3, 2, scale=500), mask)


def test_the_same_object_in_both_slots_gets_the_sum_of_both_gradients() -> None:
    query, key, _, value, _ = draw(2, (6, 7, 1), 4, 3)
    assert_right([query, key, key, value, value])


def test_inputs_and_gradients_need_not_be_contiguous() -> None:
    tensors = [tensor.detach().mT.contiguous().mT.requires_grad_() for tensor in draw(2, (6, 5, 4), 3, 2)]
    assert not tensors[0].is_contiguous()
    assert_right(tensors)
    exact = double(tensors)
    kernels.triton_attention(*tensors).sum().backward()  # the gradient of a sum is one number, expanded
    reference(*exact, None).sum().backward()
    for found, expected in zip(tensors, exact, strict=True):
        assert torch.allclose(found.grad.double(), expected.grad, rtol=1e-5, atol=1e-5)


def test_an_empty_batch_gives_empty_results() -> None:
    tensors = draw(0, (2, 3, 4), 3, 1)
    assert [x.shape for x in results(kernels.triton_attention, tensors, None)] == [
        (0, 2, 1),
        *(x.shape for x in tensors),
    ]


def test_results_are_bitwise_the_same_on_each_run() -> None:
    tensors = draw(2, (20, 3, 4), 8, 8)
    for found, again in zip(*(results(kernels.triton_attention, tensors, None) for _ in range(2)), strict=True):
        assert found.equal(again)


def test_bfloat16_is_right_within_its_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_form", lambda *_: kernels.triton_attention)
    low = [tensor.detach().bfloat16().requires_grad_() for tensor in draw(1, (20, 4, 18), 4, 3)]
    found = results(lambda q, a, b, u, v, mask: tensor_attention(q, (a, b), (u, v), mask=mask), low, None)
    # bfloat16 has 8 bits, and both the weights of the output and the results are rounded to them.
    for name, x, y in zip(TENSORS, found, results(reference, double(low), None), strict=True):
        assert x.dtype == torch.bfloat16
        assert (x.double() - y).abs().max() <= 2**-7 * (1 + y.abs().max()), name


def test_a_second_derivative_is_refused_not_wrong() -> None:
    tensors = draw(1, (2, 3, 3), 2, 1)
    with pytest.raises(RuntimeError, match="can be differentiated once only"):
        torch.autograd.grad(kernels.triton_attention(*tensors).sum(), tensors[0], create_graph=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: [tensor.double() for tensor in tensors], "takes float32, got torch.float64"),
        (lambda tensors: [*tensors[:4], tensors[4].bfloat16()], "takes float32, got torch.bfloat16"),
        (lambda tensors: [tensor.repeat(1, 1, 50) for tensor in tensors], "at most 128 wide, got 150"),
    ],
)
def test_what_the_kernels_cannot_do_is_refused(change: Callable[[list[Tensor]], list[Tensor]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.triton_attention(*change(draw(1, (2, 3, 4), 3, 3)))


#: Batch, tokens, embed and value dimension of the comparison with broken kernels.
BROKEN = (2, (18, 2, 17), 3, 2)


@pytest.mark.parametrize(
    ("line", "broken", "wrong"),
    [
        ("larger = tl.maximum(largest, tl.max(exponents, 1))", "larger = largest * 0.0", "output"),
        ("denominator = denominator * shrink", "denominator = denominator", "output"),
        ("range(0, blocks, BLOCK)", "range(0, blocks - BLOCK, BLOCK)", "output"),
        ("(sums * scale.unsqueeze(-1)).sum(0)", "sums.sum(0)", "output"),
        ("mask.stride(0)", "0", "output"),
        ("(of_weights - means)", "of_weights", "query"),
        ("return of_keys.sum(0)", "return of_keys[0]", "query"),
        ("of_values.sum(0)", "of_values.sum(0) * 2", "second value"),
    ],
)
def test_the_comparison_sees_a_broken_kernel(
    line: str, broken: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(kernels.__file__).read_text(encoding="utf-8")
    assert line in source
    (tmp_path / "broken.py").write_text(source.replace(line, broken), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("broken", tmp_path / "broken.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "broken", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "_block", lambda width: 16)
    monkeypatch.setattr(module, "PROGRAMS", 6)
    tensors, mask = draw(*BROKEN, scale=100), draw_mask((2, *BROKEN[1]))  # scores beyond 2^±127
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the interpreter's, of infinities and what follows
        found = dict(zip(TENSORS, errors(tensors, mask, module), strict=True))
    assert not found[wrong] <= 1


def test_the_unbroken_kernel_passes_that_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_block", lambda width: 16)
    monkeypatch.setattr(kernels, "PROGRAMS", 6)
    assert_right(draw(*BROKEN, scale=100), draw_mask((2, *BROKEN[1])))


def test_tensor_attention_uses_the_kernels_on_cuda_only(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = kernels.triton_attention
    monkeypatch.setattr(kernels, "triton_attention", lambda *x: (calls.append(x), original(*x))[1])
    query, first, second, left, right = (tensor.detach().to(device) for tensor in draw(2, (3, 4, 5), 3, 2))
    mask = draw_mask((3, 4, 5)).to(device)
    for chosen in (None, mask):
        found = tensor_attention(query, (first, second), (left, right), mask=chosen)
        assert torch.allclose(found, reference(query, first, second, left, right, chosen), atol=1e-5)
    assert len(calls) == (2 if device.type == "cuda" else 0)


@pytest.mark.parametrize(
    ("device", "dtype", "width", "expected"),
    [
        ("cuda", torch.float32, 1, "triton"),
        ("cuda", torch.float32, 128, "triton"),
        ("cuda", torch.float32, 129, "streamed"),
        ("cuda", torch.float64, 1, "streamed"),
        ("cpu", torch.float32, 1, "streamed"),
    ],
)
def test_the_form_depends_on_device_format_and_width(
    device: str, dtype: torch.dtype, width: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = dispatcher._form(torch.device(device), dtype, width)
    assert form is {"triton": kernels.triton_attention, "streamed": streamed_attention}[expected]
    monkeypatch.setattr(dispatcher, "find_spec", lambda name: None)
    assert dispatcher._form(torch.device(device), dtype, width) is streamed_attention


def test_the_package_imports_and_attends_without_triton() -> None:
    code = """
import sys
sys.modules["triton"] = None  # as if it were not installed
import torch
from attention_limits.models.tensor_attention import _form, tensor_attention
one = torch.ones(2, 1)
assert tensor_attention(one, (one, one), (one, one)).tolist() == [[1.0], [1.0]]
print(_form(torch.device("cuda"), torch.float32, 1).__name__)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "streamed_attention"


COMPILE = """
import torch
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from attention_limits.models import triton_attention as kernels
INTEGERS = {"batch", "targets", "blocks", "singles", "chunk", "mask_entry", "mask_target", "mask_block", "mask_single"}
for kernel, width, mask, of_query in [
    (kernels._forward_kernel, 32, "*u8", {}),
    (kernels._backward_kernel, 32, "*u8", {"OF_QUERY": True}),
    (kernels._backward_kernel, 128, None, {"OF_QUERY": False}),
]:
    tile = torch.empty(1, 1, width)
    constants = {**kernels._widths(tile, tile), **of_query, **({"mask": None} if mask is None else {})}
    types = {name: "i32" if name in INTEGERS else mask if name == "mask" else "*fp32" for name in kernel.arg_names}
    source = ASTSource(kernel, {**types, **dict.fromkeys(constants, "constexpr")}, constants)
    print(compile(source, target=GPUTarget("cuda", 80, 32), options=kernels.OPTIONS).metadata.shared)
"""


def test_kernels_compile_for_a_gpu_and_fit_its_shared_memory(tmp_path: Path) -> None:
    # Needs no GPU. The interpreter takes more Python than the compiler does.
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    assert 0 < max(map(int, found.stdout.split())) <= 96 * 1024
