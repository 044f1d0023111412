"""How many states sparse averaging needs at a cut: residual functions counted, for machine models (Theorem 11).

A *cut* c divides N tokens into a prefix of c and a suffix of N − c. A prefix leaves a *residual function*: what the
machine must still answer, as a function of the suffix. Prefixes with different residual functions need different
states (Myhill and Nerode), so log₂ of their number is a lower bound on the bits of state, and it is attained.

Every number comes in three ways: over all inputs (`literal_residuals`), through a reduction that is proved on the page
of Theorem 11 (`reduced_residuals`), and by a formula (`residual_formula`). All of them are exact integers.

Letters: N = num_tokens, q = sparsity, c = cut, z = values in {±1} (d' = 1), y = pointers; outputs are the integers
Σ_{j ∈ y_i} z_j, q times those of the task.
"""

from enum import Enum
from itertools import combinations, combinations_with_replacement
from math import comb, prod

import numpy as np
from jaxtyping import Bool, Int8

from attention_limits.hypotheses import require_integer

#: Inputs, or rows of a table, above which an enumeration is refused: some seconds and a few hundred megabytes.
LARGEST_ENUMERATION = 4_000_000

Outputs = Int8[np.ndarray, "inputs tokens"]
#: Which tokens each of several subsets contains.
SubsetMasks = Bool[np.ndarray, "subsets tokens"]


class Machine(Enum):
    """Which outputs the state at a cut serves, and which pointers may occur."""

    #: Forward state of one bidirectional layer: the outputs after the cut, for every suffix.
    BIDIRECTIONAL = "forward state, one bidirectional layer"
    #: Read all tokens, then write all N outputs.
    DEFERRED = "read all, then write"
    #: Output i when token i is read; y_i ⊆ {1, …, i}. A token before position q points to nothing and has no output.
    LOOK_BACK = "one direction, pointers back"
    #: The same with y_i ⊆ {1, …, i − 1}.
    STRICT_LOOK_BACK = "one direction, pointers strictly back"
    #: All forward states of a stack of bidirectional layers together: the outputs after the cut, for the worst suffix.
    STACKED = "stack of bidirectional layers"


def literal_residuals(machine: Machine, num_tokens: int, sparsity: int, cut: int) -> int:
    """The number of residual functions at a cut, over all inputs: every sign and every pointer set of every token.

    For `Machine.STACKED` it is the largest number of output vectors after the cut that one suffix sees, over all
    prefixes.

    Raises:
        ValueError: unless 1 ≤ q ≤ N, 0 ≤ c ≤ N and there are at most `LARGEST_ENUMERATION` inputs.

    Example:
        >>> literal_residuals(Machine.BIDIRECTIONAL, num_tokens=3, sparsity=1, cut=2)
        4
    """
    _require_cut(num_tokens, sparsity, cut)
    outputs = literal_outputs(machine, num_tokens, sparsity)
    prefixes = prod(_alphabet(machine, num_tokens, sparsity)[:cut])
    by_cut = outputs.reshape(prefixes, -1, num_tokens)  # prefix-major: the first token's letter varies slowest
    if machine is Machine.DEFERRED:
        return _distinct_rows(by_cut)
    later = by_cut[:, :, cut:]
    if machine is not Machine.STACKED:
        return _distinct_rows(later)
    # One integer for each output vector; then distinct ones are counted for all suffixes at once.
    base = (2 * sparsity + 1) ** np.arange(num_tokens - cut, dtype=np.int64)
    codes = np.sort((later.astype(np.int64) + sparsity) @ base, axis=0)
    return int((1 + (np.diff(codes, axis=0) != 0).sum(axis=0)).max())


def literal_outputs(machine: Machine, num_tokens: int, sparsity: int) -> Outputs:
    """The outputs of every input, in the order of the inputs: the first token varies slowest, its sign fastest.

    Raises:
        ValueError: unless 1 ≤ q ≤ N and there are at most `LARGEST_ENUMERATION` inputs.
    """
    _require_cut(num_tokens, sparsity, 0)
    sizes = _alphabet(machine, num_tokens, sparsity)
    if prod(sizes) > LARGEST_ENUMERATION:
        raise ValueError(
            f"num_tokens N = {num_tokens} with sparsity q = {sparsity} has {prod(sizes)} inputs: "
            f"a literal enumeration needs at most {LARGEST_ENUMERATION}"
        )
    letters = np.unravel_index(np.arange(prod(sizes)), sizes)
    signs = np.stack([1 - 2 * (letter % 2) for letter in letters], axis=1).astype(np.int8)
    outputs = np.zeros_like(signs)
    for position, letter in enumerate(letters):
        allowed = _allowed_subsets(machine, num_tokens, sparsity, position)
        if len(allowed):
            outputs[:, position] = (signs * allowed[letter // 2]).sum(axis=1, dtype=np.int8)
    return outputs


def undetermined_outputs(num_tokens: int, sparsity: int) -> int:
    """How many outputs i are no function of the first i tokens, over all inputs: a machine that writes i then errs."""
    outputs = literal_outputs(Machine.BIDIRECTIONAL, num_tokens, sparsity)
    sizes, count = _alphabet(Machine.BIDIRECTIONAL, num_tokens, sparsity), 0
    for position in range(num_tokens):
        by_suffix = outputs[:, position].reshape(prod(sizes[: position + 1]), -1)
        count += bool((by_suffix != by_suffix[:, :1]).any())
    return count


def reduced_residuals(machine: Machine, num_tokens: int, sparsity: int, cut: int) -> int:
    """The same number as `literal_residuals`, from one table for each assignment of signs to the prefix.

    The table of z_1 … z_c holds Σ_{j ∈ y} z_j for all signs of the suffix and all y that a later token may have.
    Residual functions of later outputs are tables; in `Machine.DEFERRED` each earlier output adds a column of it.

    Raises:
        ValueError: unless 1 ≤ q ≤ N, 0 ≤ c ≤ N and the tables have at most `LARGEST_ENUMERATION` entries together.
    """
    _require_cut(num_tokens, sparsity, cut)
    if machine is Machine.STACKED:
        return _most_fixed_pointer_outputs(num_tokens, sparsity, cut)
    if cut == num_tokens:
        return _output_vectors(num_tokens, sparsity) if machine is Machine.DEFERRED else 1
    tables = _tables(machine, num_tokens, sparsity, cut)
    if machine is not Machine.DEFERRED:
        return _distinct_rows(tables)
    columns = {table.tobytes(): _distinct_rows(table.T) for table in tables}
    return sum(count**cut for count in columns.values())


def residual_formula(machine: Machine, num_tokens: int, sparsity: int, cut: int) -> int:
    """The same number in closed form; proofs are on the page of Theorem 11.

    2^c for later outputs when c < N; for `Machine.DEFERRED`, `deferred_formula`; for `Machine.STACKED`, 2^c up to the
    half cut, and 2^min(c, N − c) for q = 1 at every cut.

    Raises:
        ValueError: where no formula is proved: q ≥ N (q ≥ N − 1 for `Machine.STRICT_LOOK_BACK`), a cut outside 0…N, and
            cuts beyond N/2 of `Machine.STACKED` when q ≥ 2.
    """
    _require_cut(num_tokens, sparsity, cut)
    least = sparsity + (2 if machine is Machine.STRICT_LOOK_BACK else 1)
    if num_tokens < least:
        raise ValueError(f"sparsity q = {sparsity} needs num_tokens N ≥ {least} in this model, got N = {num_tokens}")
    if machine is Machine.DEFERRED:
        return deferred_formula(num_tokens, sparsity, cut)
    if machine is Machine.STACKED:
        if not (sparsity == 1 or 2 * cut <= num_tokens):
            raise ValueError(
                f"cut c = {cut} lies beyond N/2 for N = {num_tokens}: there the formula needs sparsity q = 1, "
                f"got {sparsity}"
            )
        return 2 ** min(cut, num_tokens - cut)
    return 2**cut if cut < num_tokens else 1


def deferred_formula(num_tokens: int, sparsity: int, cut: int) -> int:
    """Residual functions of a machine that reads all tokens and then writes all outputs; any N > q.

    For c < N it is Σ_n C(c, n) R_n^c: n positive signs in the prefix and, for each of its c tokens, R_n functions of
    the suffix, R_n = Σ_s C(N − c, s) · #{sums of q − s of the prefix's values}. For c = N it counts output vectors.
    For q = 1 and 1 ≤ c < N: (2^c − 2)(N − c + 2)^c + 2(N − c + 1)^c.
    """
    _require_cut(num_tokens, sparsity, cut)
    if sparsity >= num_tokens:
        raise ValueError(f"sparsity q = {sparsity} needs num_tokens N > {sparsity}, got N = {num_tokens}")
    if cut == num_tokens:
        # Positive signs among the q tokens asked for: an interval that moves up with n. A vector that fits some of the
        # intervals fits consecutive ones, so "intervals minus neighbouring pairs" counts it once.
        singles = [_interval_width(n, n, num_tokens, sparsity) for n in range(num_tokens + 1)]
        pairs = [_interval_width(n, n + 1, num_tokens, sparsity) for n in range(num_tokens)]
        return sum(w**num_tokens for w in singles) - sum(w**num_tokens for w in pairs)

    def functions(positive: int) -> int:
        return sum(
            comb(num_tokens - cut, s) * _interval_width(positive, positive, cut, sparsity - s)
            for s in range(max(0, sparsity - cut), sparsity + 1)
        )

    # R_n is the same for all n from q to c − q.
    middle = range(sparsity, cut - sparsity + 1)
    ends = [n for n in range(cut + 1) if n not in middle]
    total = sum(comb(cut, n) * functions(n) ** cut for n in ends)
    if middle:
        total += (2**cut - sum(comb(cut, n) for n in ends)) * functions(sparsity) ** cut
    return total


def half_cut_pointers(num_tokens: int, sparsity: int) -> SubsetMasks:
    """Pointer sets of the last ⌈N/2⌉ tokens from whose outputs all of the first ⌊N/2⌋ values follow.

    With c = ⌊N/2⌋ the first c of them ask for r tokens of the prefix, in a pattern whose c × c matrix is regular, and
    for q − r tokens of the suffix; the rest repeat the last one. r is the least possible.

    Raises:
        ValueError: unless 1 ≤ q < N.
    """
    _require_cut(num_tokens, sparsity, 0)
    if sparsity >= num_tokens:
        raise ValueError(f"sparsity q = {sparsity} needs num_tokens N > {sparsity}, got N = {num_tokens}")
    half = num_tokens // 2
    asked = max(1, sparsity - (num_tokens - half))  # r, between 1 and max(1, c − 1)
    pointers = np.zeros((num_tokens - half, num_tokens), dtype=bool)
    for row in range(half):
        if row <= asked < half:  # all but one of the first r + 1
            pointers[row, : asked + 1] = True
            pointers[row, row] = False
        else:  # the first r − 1, and one of its own
            pointers[row, : asked - 1] = True
            pointers[row, row] = True
    pointers[half:] = pointers[half - 1]
    pointers[:, half : half + sparsity - asked] = True
    return pointers


def fixed_pointer_outputs(pointers: SubsetMasks, cut: int) -> int:
    """How many output vectors the prefix's signs give when the suffix's tokens have these pointers and fixed signs."""
    return _distinct_rows(_signs(cut) @ pointers[:, :cut].T.astype(np.int8))


def _require_cut(num_tokens: int, sparsity: int, cut: int) -> None:
    require_integer("num_tokens", num_tokens, 1)
    require_integer("sparsity", sparsity, 1)
    if sparsity > num_tokens:
        raise ValueError(f"sparsity q = {sparsity} needs num_tokens N ≥ {sparsity}, got N = {num_tokens}")
    require_integer("cut", cut, 0)
    if cut > num_tokens:
        raise ValueError(f"cut c = {cut} lies outside 0…{num_tokens}")


def _allowed_subsets(machine: Machine, num_tokens: int, sparsity: int, position: int) -> SubsetMasks:
    """The pointer sets that the token at this position, counted from 0, may have."""
    visible = {Machine.LOOK_BACK: position + 1, Machine.STRICT_LOOK_BACK: position}.get(machine, num_tokens)
    chosen = np.array(list(combinations(range(visible), sparsity)), dtype=np.int64).reshape(-1, sparsity)
    subsets = np.zeros((len(chosen), num_tokens), dtype=np.bool_)
    np.put_along_axis(subsets, chosen, True, axis=1)
    return subsets


def _alphabet(machine: Machine, num_tokens: int, sparsity: int) -> list[int]:
    """The number of letters of each token: two signs times its pointer sets, or two where it can't point."""
    return [2 * max(1, len(_allowed_subsets(machine, num_tokens, sparsity, i))) for i in range(num_tokens)]


def _signs(count: int) -> Int8[np.ndarray, "assignments tokens"]:
    """All 2^count assignments of signs."""
    bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
    return (1 - 2 * bits).astype(np.int8)


def _tables(
    machine: Machine, num_tokens: int, sparsity: int, cut: int
) -> Int8[np.ndarray, "prefixes suffixes subsets"]:
    """For each assignment of signs to the prefix: every sum that a later token may be asked for."""
    # The last token may have every pointer set that an earlier one may have.
    subsets = _allowed_subsets(machine, num_tokens, sparsity, num_tokens - 1).astype(np.int8)
    entries = 2**num_tokens * len(subsets)
    if entries > LARGEST_ENUMERATION:
        raise ValueError(
            f"num_tokens N = {num_tokens} with sparsity q = {sparsity} has tables of {entries} entries: "
            f"the reduction needs at most {LARGEST_ENUMERATION}"
        )
    prefix = _signs(cut) @ subsets[:, :cut].T
    suffix = _signs(num_tokens - cut) @ subsets[:, cut:].T
    return prefix[:, None, :] + suffix[None, :, :]


def _distinct_rows(rows: np.ndarray) -> int:
    """The number of different entries along the first axis; byte strings are compared in full, not by their hashes."""
    width = rows[0].nbytes
    data = np.ascontiguousarray(rows).tobytes()
    return len({data[i * width : (i + 1) * width] for i in range(len(rows))})


def _output_vectors(num_tokens: int, sparsity: int) -> int:
    """The number of vectors (o_1, …, o_N) of outputs: each value of a vector is attainable under the same signs."""
    subsets = _allowed_subsets(Machine.DEFERRED, num_tokens, sparsity, 0).astype(np.int8)
    value_sets = {frozenset(sums.tolist()) for sums in _signs(num_tokens) @ subsets.T}
    used = {
        frozenset(part) for values in value_sets for n in range(1, len(values) + 1) for part in combinations(values, n)
    }
    # Vectors whose set of values is exactly `part`: surjections from the tokens.
    return sum(
        (-1) ** (len(part) - k) * comb(len(part), k) * k**num_tokens for part in used for k in range(len(part) + 1)
    )


def _most_fixed_pointer_outputs(num_tokens: int, sparsity: int, cut: int) -> int:
    """The largest `fixed_pointer_outputs` over all choices of the suffix's pointers."""
    if cut in (0, num_tokens):
        return 1
    subsets = _allowed_subsets(Machine.STACKED, num_tokens, sparsity, 0)
    # Only what a set asks of the prefix matters, and neither order nor repetition among the suffix's tokens does.
    traces = np.unique(subsets[:, :cut], axis=0)
    choices = comb(len(traces) + num_tokens - cut - 1, num_tokens - cut)
    if choices * 2**cut > LARGEST_ENUMERATION:
        raise ValueError(
            f"num_tokens N = {num_tokens} with sparsity q = {sparsity} and cut c = {cut} has {choices} choices of "
            f"pointers: the enumeration needs at most {LARGEST_ENUMERATION // 2**cut}"
        )
    most = 0
    for rows in combinations_with_replacement(range(len(traces)), num_tokens - cut):
        most = max(most, fixed_pointer_outputs(traces[list(rows)], cut))
        if most == 2**cut:
            break
    return most


def _interval_width(low_n: int, high_n: int, tokens: int, asked: int) -> int:
    """How many counts of positive signs ``asked`` of ``tokens`` tokens can have, with low_n and with high_n of them."""
    return max(0, min(asked, low_n) - max(0, asked - (tokens - high_n)) + 1)
