"""Theorem 10 of the paper made executable, and sharpened: two inputs that a given first layer can't tell apart.

If the z-block of the first layer has a kernel vector z, then z and −z, with the same pointers, give the same
pre-activations, whatever the pointers' columns, the bias and the later layers are. The theorem of the page (ours): some
q-subset y has ‖qSA‖ ≥ 1/(2q−1) there, for every 1 ≤ q < N, so one of the two answers is off by at least that.

All is exact in integers and fractions. A matrix of floats has its kernel vector from a singular value decomposition;
the vector is then taken as the fractions that its floats are, and only W z = 0 holds up to a tolerance.

Letters: N tokens, q = sparsity, d' = value_dim, W the z-block (width × N d'), z the kernel vector, y the subset.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import mul

import torch
from flint import fmpz_mat
from torch import Tensor

from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

Rows = Sequence[Sequence[int | Fraction]]


@dataclass(frozen=True)
class Collision:
    """The inputs z and −z, all tokens pointing to one subset, that a first layer can't tell apart.

    The values are kept unscaled, as fractions: token j has z_j = values[j]/√radius_squared, in the unit ball.
    """

    problem: SparseAveraging
    #: N rows of d' fractions, not all 0.
    values: tuple[tuple[Fraction, ...], ...]
    #: y, the q tokens that every token points to, in increasing order.
    subset: tuple[int, ...]
    #: The most, over the rows w of W, of 2|⟨w, z⟩| / (‖w‖‖z‖): how far the two pre-activations lie apart; 0 if exact.
    difference: float
    #: What `difference` may be: 0 for exact weights, else what rounding to float64 may do to these pre-activations.
    tolerance: float

    @property
    def radius_squared(self) -> Fraction:
        """max_j ‖values[j]‖²."""
        return max(_inner(row, row) for row in self.values)

    @property
    def forced_error_squared(self) -> Fraction:
        """‖(1/q) Σ_{j∈y} z_j‖², exactly: the squared distance of either answer from the midpoint of both."""
        total = [sum(self.values[j][a] for j in self.subset) for a in range(self.problem.value_dim)]
        return Fraction(_inner(total, total)) / (self.problem.sparsity**2 * self.radius_squared)

    @property
    def forced_error(self) -> float:
        """An error that no network with this first layer stays below on both inputs."""
        return math.sqrt(self.forced_error_squared)

    @property
    def holds(self) -> bool:
        """Whether the pre-activations are the same and the forced error is at least 1/(2q − 1), compared exactly."""
        return self.difference <= self.tolerance and self.forced_error_squared >= least_forced_error(self.problem) ** 2

    def inputs(self, dtype: torch.dtype = torch.float64) -> SparseAveragingInputs:
        """The two inputs, z first, in ``dtype``; shrunk by a few roundings, so that they stay in the ball."""
        largest = max(abs(x) for row in self.values for x in row)  # integers may be too long for floats
        scaled = torch.tensor([[float(x / largest) for x in row] for row in self.values], dtype=torch.float64)
        one = (scaled / scaled.norm(dim=-1).max() * (1 - 4 * torch.finfo(dtype).eps)).to(dtype)
        pointers = torch.tensor(self.subset).expand(2, self.problem.num_tokens, -1)
        return SparseAveragingInputs(torch.stack([one, -one]), pointers)


def least_forced_error(problem: SparseAveraging) -> Fraction:
    """1/(2q − 1), for 1 ≤ q < N.

    Raises:
        ValueError: for q = N, where d' units that hold the mean of all values are enough.
    """
    tokens, ones = problem.num_tokens, problem.sparsity
    if not ones < tokens:
        raise ValueError(f"the bound needs q < N, got q = {ones} = N: every token then asks for the same mean")
    return Fraction(1, 2 * ones - 1)


def find_collision(problem: SparseAveraging, value_block: Rows | Tensor) -> Collision:
    """The collision of a first layer with this z-block.

    Args:
        problem: gives N, q and d'.
        value_block: W, one row of N d' numbers for each unit, as in `FeedForwardNetwork.value_block`. Integers and
            fractions, in rows or in an int64 tensor, are treated exactly; a tensor of floats by `float_kernel_vector`.

    Raises:
        ValueError: for q = N; for rows of another length; and if W has rank N d', naming it: then nothing is forced.

    Example:
        >>> collision = find_collision(SparseAveraging(num_tokens=3, sparsity=2, value_dim=1), [[1, 3, 0], [1, 0, 3]])
        >>> [int(row[0]) for row in collision.values], collision.subset, collision.forced_error_squared
        ([-3, 1, 1], (0, 2), Fraction(1, 9))
    """
    least_forced_error(problem)  # refuses q = N
    size = problem.num_tokens * problem.value_dim
    floats = isinstance(value_block, Tensor) and value_block.is_floating_point()
    rows = as_fractions(value_block) if isinstance(value_block, Tensor) else value_block
    if len(rows) < 1:
        raise ValueError("a first layer needs at least one unit, got none")
    for row in rows:
        if len(row) != size:
            raise ValueError(f"a row of the z-block must have N d' = {size} numbers, got {len(row)}")
    # Two float64 dot products of n terms are each off by at most γ‖w‖‖z‖, γ = n u/(1 − n u), u = 2⁻⁵³ (Higham).
    unit = size * 2.0**-53
    tolerance = 2 * unit / (1 - unit) if floats else 0.0
    vector = float_kernel_vector(value_block) if floats else kernel_vector(rows)  # type: ignore[arg-type]
    difference = math.inf if vector is None else _difference(rows, vector)
    if vector is None or not difference <= tolerance:
        raise ValueError(f"rank N d' = {size}: no collision is guaranteed")
    values = tuple(tuple(vector[start : start + problem.value_dim]) for start in range(0, size, problem.value_dim))
    return Collision(problem, values, widest_subset(values, problem.sparsity), difference, tolerance)


def widest_subset(values: Rows, sparsity: int) -> tuple[int, ...]:
    """The q tokens with the largest or those with the smallest c_j = ⟨z_j, z_{j*}⟩, whichever |Σ c| is greater.

    j* is a token of the largest norm. For q < N this |Σ c| is at least ‖z_{j*}‖²·q/(2q − 1) (the theorem of the page).
    """
    longest = max(values, key=lambda row: _inner(row, row))
    components = [_inner(row, longest) for row in values]
    order = sorted(range(len(values)), key=lambda j: components[j])
    largest, smallest = order[-sparsity:], order[:sparsity]
    sums = [abs(sum((components[j] for j in subset), Fraction(0))) for subset in (largest, smallest)]
    return tuple(sorted(largest if sums[0] >= sums[1] else smallest))


def kernel_vector(rows: Rows) -> list[Fraction] | None:
    """A non-zero z with W z = 0, exactly and in coprime integers; None if there is none."""
    integers = [_integers(row)[0] for row in rows]
    basis, nullity = fmpz_mat(integers).nullspace()
    if nullity == 0:
        return None
    column = [int(basis[i, 0]) for i in range(len(integers[0]))]
    return [Fraction(entry, math.gcd(*column)) for entry in column]


def float_kernel_vector(value_block: Tensor) -> list[Fraction]:
    """The last right singular vector of W with rows scaled to norm 1, in float64, refined once; as fractions.

    It is a kernel vector up to rounding if W has a kernel. Scaling keeps a short row from being drowned. The refinement
    removes W z, computed exactly, along the other singular vectors; what is left comes from rounding z itself.
    """
    scaled = torch.nn.functional.normalize(value_block.detach().double().cpu(), dim=1)
    left, singular, right = torch.linalg.svd(scaled, full_matrices=True)
    vector = right[-1]
    exact = [Fraction(x) for x in vector.tolist()]
    left_over = torch.tensor([float(_inner(row, exact)) for row in as_fractions(scaled)], dtype=torch.float64)
    kept = singular[: len(vector) - 1]
    kept = kept[kept > len(vector) * torch.finfo(torch.float64).eps * singular[0]]
    correction = (left.T[: len(kept)] @ left_over / kept) @ right[: len(kept)]
    return [Fraction(x) for x in (vector - correction).tolist()]


def as_fractions(weights: Tensor) -> list[list[Fraction]]:
    """The numbers that the floats or integers of a matrix are, exactly."""
    return [[Fraction(x) for x in row] for row in weights.detach().cpu().tolist()]


def hardest_rows(problem: SparseAveraging) -> list[list[int]]:
    """N d' − 1 rows of integers whose collision forces no more than 1/(2q − 1): the theorem is sharp for every d'.

    Their kernel is spanned by (2q−1, −1, …, −1) on the first coordinates of the tokens: token j ≥ 2 has the row
    e_{1,1} + (2q−1) e_{j,1}, every other coordinate its own unit.

    Raises:
        ValueError: unless q < N.
    """
    scale = least_forced_error(problem).denominator
    size = problem.num_tokens * problem.value_dim
    rows = [[scale * (column == unit) for column in range(size)] for unit in range(1, size)]
    for unit in range(problem.value_dim, size, problem.value_dim):
        rows[unit - 1][0] = 1
    return rows


def _difference(rows: Rows, vector: Sequence[Fraction]) -> float:
    """max over rows w ≠ 0 of 2|⟨w, z⟩|/(‖w‖‖z‖), from exact inner products."""
    squares = [
        _inner(row, vector) ** 2 / (_inner(row, row) * _inner(vector, vector)) for row in rows if _inner(row, row)
    ]
    return 2 * math.sqrt(max(squares, default=Fraction(0)))


def _inner(left: Sequence[int | Fraction], right: Sequence[int | Fraction]) -> Fraction:
    """Σ a b in integers over one denominator: to reduce every term of a sum of fractions costs more than the sum."""
    (lefts, left_scale), (rights, right_scale) = _integers(left), _integers(right)
    return Fraction(sum(map(mul, lefts, rights)), left_scale * right_scale)


def _integers(numbers: Sequence[int | Fraction]) -> tuple[list[int], int]:
    """The numerators over the least common denominator, and that."""
    scale = math.lcm(*(x.denominator for x in numbers))
    return [x.numerator * (scale // x.denominator) for x in numbers], scale
