"""What the tests of deep matchers share: small problems, labels by definition, and sizes as built against formulas."""

from collections.abc import Iterator

import torch
from torch import Tensor

from attention_limits.constructions.deep_matching import DeepMatcher


def small_problems(most: int, shortest: int = 1, largest_modulus: int = 30) -> Iterator[tuple[int, int]]:
    """(N, M) with at most so many inputs."""
    for tokens in range(shortest, 11):
        for modulus in range(2, largest_modulus + 1):
            if modulus**tokens > most:
                break
            yield tokens, modulus


def all_inputs(num_tokens: int, modulus: int) -> Tensor:
    return torch.cartesian_prod(*[torch.arange(modulus)] * num_tokens).reshape(-1, num_tokens)


def by_definition(inputs: Tensor, modulus: int, order: int = 3) -> Tensor:
    """Labels from all N^(s−1) tuples."""
    sums = inputs
    for _ in range(order - 2):
        sums = (sums.unsqueeze(2) + inputs.unsqueeze(1)).flatten(1)
    return ((inputs.unsqueeze(2) + sums.unsqueeze(1)) % modulus == 0).any(dim=2)


def measured_bits(model: DeepMatcher, inputs: Tensor) -> int:
    """p on these inputs, after the other sizes were found to be those of the formulas."""
    sizes = model.sizes
    assert (model.depth, model.num_heads, model.embed_dim, model.width) == (*sizes[:2], 2, sizes.width)
    formats = model.formats(model.registers(inputs))
    assert {form.fraction_bits for form in formats} == {0}
    return max(form.bits for form in formats)


def largest_reading_error(model: DeepMatcher, inputs: Tensor, multiples: list[int]) -> float:
    """The most by which a layer's outputs, times a multiple for each layer, are off an integer."""
    outputs = [attended.output for _, attended, _ in model.run(model.registers(inputs))]
    scaled = [output * multiple for output, multiple in zip(outputs, multiples, strict=True)]
    return max((numbers - numbers.round()).abs().max().item() for numbers in scaled)
