"""p-bit fixed-point numbers: one sign bit, i integer bits and f fractional bits, p = 1 + i + f.

The numbers are k·2^{-f} with integers |k| < 2^{i+f}: sign and magnitude, symmetric around 0.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.hypotheses import require_integer


class SaturationError(ValueError):
    """A value outside the range of its fixed-point format."""


class PrecisionError(ValueError):
    """A float type that is too small for what a unit is asked to compute."""


@dataclass(frozen=True)
class FixedPoint:
    """A fixed-point format; rounding is to nearest, ties to even, and leaving the range is an error.

    Example:
        >>> form = FixedPoint(integer_bits=1, fraction_bits=2)
        >>> form.bits, form.resolution, form.largest
        (4, 0.25, 1.75)
        >>> form.round(torch.tensor([0.3, -1.1])).tolist()
        [0.25, -1.0]
    """

    integer_bits: int
    fraction_bits: int

    def __post_init__(self) -> None:
        require_integer("integer_bits", self.integer_bits, 0)
        require_integer("fraction_bits", self.fraction_bits, 0)
        total = self.integer_bits + self.fraction_bits
        if not 1 <= total <= 52:
            raise ValueError(f"integer and fractional bits together must be 1…52, got {total}")

    @classmethod
    def holding(cls, largest: float, fraction_bits: int) -> "FixedPoint":
        """The format of fewest bits with ``fraction_bits`` that holds magnitudes up to ``largest`` after rounding."""
        if not (math.isfinite(largest) and largest >= 0):
            raise ValueError(f"largest must be finite and at least 0, got {largest}")
        code = round(math.ldexp(largest, fraction_bits))
        return cls(max(0, code.bit_length() - fraction_bits, 1 - fraction_bits), fraction_bits)

    @property
    def bits(self) -> int:
        """p, the bits of one number, sign included."""
        return 1 + self.integer_bits + self.fraction_bits

    @property
    def resolution(self) -> float:
        """2^{-f}, the distance between neighbouring numbers; rounding moves a number by at most half of it."""
        return math.ldexp(1.0, -self.fraction_bits)

    @property
    def largest(self) -> float:
        """2^i − 2^{-f}, the largest number."""
        return math.ldexp(1.0, self.integer_bits) - self.resolution

    def encode(self, numbers: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The integers k of the nearest numbers k·2^{-f}.

        Raises:
            SaturationError: if a rounded number lies outside ±(2^i − 2^{-f}), or is not finite.
        """
        scaled = (numbers.double() * 2.0**self.fraction_bits).round()
        inside = scaled.abs() < 2.0 ** (self.integer_bits + self.fraction_bits)
        if not bool(inside.all()):  # nan compares false, so it lands here too
            worst = numbers[~inside].flatten()[0].item()
            raise SaturationError(f"{worst} lies outside ±{self.largest}, the range of {self.describe()}")
        return scaled.long()

    def decode(self, codes: Int[Tensor, "*shape"], dtype: torch.dtype = torch.float64) -> Float[Tensor, "*shape"]:
        """The numbers k·2^{-f}, exact in float64, and in a smaller ``dtype`` that has the bits."""
        return (codes.double() * self.resolution).to(dtype)

    def round(self, numbers: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The nearest numbers of this format, in the dtype of ``numbers``; see `encode` for what is raised."""
        return self.decode(self.encode(numbers), numbers.dtype)

    def count_bits(self, numbers: Tensor) -> int:
        """Bits that it takes to store or send all of ``numbers`` in this format."""
        return numbers.numel() * self.bits

    def describe(self) -> str:
        """The format in words, for messages and tables."""
        return f"{self.bits}-bit fixed point (1 sign, {self.integer_bits} integer, {self.fraction_bits} fractional)"
