"""The least mean error of sparse averaging in one direction: what is asked of tokens that are still to come is lost."""

from fractions import Fraction

from attention_limits.problems.sparse_averaging import SparseAveraging


def in_step_error(problem: SparseAveraging) -> Fraction:
    """The least relative mean error of a machine that writes output i when it has read tokens 1 … i (ours).

    It is (N − 1)/(2N) on the inputs that `SparseAveraging.sample` draws, relative to the target's variance, whatever
    functions of the first i tokens the outputs are: no memory is large enough to do better. The proof is on the page of
    Theorem 11. (1/q) Σ z_j over those j ∈ y_i with j ≤ i attains it.

    Example:
        >>> in_step_error(SparseAveraging(num_tokens=20, sparsity=3, value_dim=4))
        Fraction(19, 40)
    """
    return Fraction(problem.num_tokens - 1, 2 * problem.num_tokens)
