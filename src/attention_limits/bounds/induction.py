"""How many bits one layer needs for induction heads: rows of a table, exactly, and real layers as messages (ours).

N = 2n + 1. Alice holds the tokens at the places 2, 4, …, 2n, Bob the others, and he is to find the last token's answer
from one message. A table with a row for each of Alice's strings and a column for each of Bob's holds the answers. Two
strings may have the same message only if their rows are equal: ⌈log₂ of the rows⌉ bits are needed, and enough.

An attention layer gives the last token no more than such a message: see `attention_protocol`. There both know the last
token, whose query it is; so its rows are counted with the last token fixed.

Letters: n = num_alice, N = 2n + 1, S = num_symbols.
"""

from math import comb
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention_limits.bounds.attention_protocol import AttentionProtocol
from attention_limits.bounds.counting import least_bits
from attention_limits.constructions.induction import SlotLayer
from attention_limits.hypotheses import require, require_integer
from attention_limits.problems.composition import all_rows
from attention_limits.problems.induction import InductionHeads

#: Entries of a table that is listed at most.
MOST_ENTRIES = 2**24
#: η: how far a coordinate of Bob's output may be off.
ROUNDING = 1 / 4


def rows(num_alice: int, num_symbols: int) -> int:
    """Σ_{t ≤ n} (S − 1)^t, the different rows if both know the last token; S ≥ 3.

    Example: 2^{n+1} − 1 for three symbols.
        >>> [rows(n, 3) for n in (1, 2, 3)]
        [3, 7, 15]
    """
    _require_sizes(num_alice, num_symbols)
    return sum((num_symbols - 1) ** t for t in range(num_alice + 1))


def rows_with_last_token(num_alice: int, num_symbols: int) -> int:
    """S^n − Surj(n, S) + Σ_{t=S−1}^{n−1} S Surj(t, S − 1), the different rows if only Bob knows the last token; S ≥ 3.

    Example: 6 · 2^n − 6n − 3 for three symbols.
        >>> [rows_with_last_token(n, 3) for n in (1, 2, 3, 4)]
        [3, 9, 27, 69]
    """
    _require_sizes(num_alice, num_symbols)
    suffixes = sum(num_symbols * surjections(t, num_symbols - 1) for t in range(num_symbols - 1, num_alice))
    return num_symbols**num_alice - surjections(num_alice, num_symbols) + suffixes


def surjections(length: int, num_symbols: int) -> int:
    """Surj(t, S) = Σ_j (−1)^j C(S, j) (S − j)^t, the strings of length t in which all S symbols occur.

    Example:
        >>> surjections(3, 2)
        6
    """
    require_integer("length", length, 0)
    require_integer("num_symbols", num_symbols, 1)
    return sum((-1) ** j * comb(num_symbols, j) * (num_symbols - j) ** length for j in range(num_symbols + 1))


def count_rows(num_alice: int, num_symbols: int, *, public_last: bool = True) -> int:
    """The different rows, by listing the table; with ``public_last`` the last token is S − 1 in all inputs.

    Raises:
        ValueError: if the table has more than `MOST_ENTRIES`; unless n ≥ 1 and S ≥ 2.
    """
    require_integer("num_alice", num_alice, 1)
    require_integer("num_symbols", num_symbols, 2)
    entries = num_symbols ** (2 * num_alice + (0 if public_last else 1))
    if entries > MOST_ENTRIES:
        raise ValueError(f"a table of at most {MOST_ENTRIES:,} entries is listed, n = {num_alice} has {entries:,}")
    bob = all_rows(num_symbols, num_alice + (0 if public_last else 1))
    problem = InductionHeads(2 * num_alice + 1, num_symbols)
    inputs = torch.full((len(bob), problem.num_tokens), num_symbols - 1)
    inputs[:, 0 : 2 * bob.shape[1] : 2] = bob
    seen = set()
    for alice in all_rows(num_symbols, num_alice):
        inputs[:, 1::2] = alice
        seen.add(problem.target(inputs).numpy().tobytes())
    return len(seen)


def needed_bits(num_alice: int, num_symbols: int) -> int:
    """⌈log₂ rows⌉, what one message needs if both know the last token; n + 1 for three symbols.

    Example:
        >>> [needed_bits(n, 3) for n in (1, 2, 64)]
        [2, 3, 65]
    """
    return least_bits(rows(num_alice, num_symbols))


class Tally(NamedTuple):
    """What conversations cost, each as many bits, and how often Bob was wrong."""

    num_bits: int
    wrong: int


def talk_about(
    problem: InductionHeads, last: int, inputs: Int[Tensor, "inputs tokens"], *, error: float = ROUNDING
) -> Tally:
    """Conversations about a `SlotLayer`, of which both parties know that the last token is ``last``.

    Alice sends what her tokens bring the last token, rounded so that each coordinate of Bob's output is off by at most
    η = ``error``.

    Raises:
        ValueError: for inputs that end in another token.
    """
    if bool((inputs[:, -1] != last).any()):
        raise ValueError(f"all inputs must end in {last}")
    model = SlotLayer(problem)
    protocol = slot_protocol(model, last, error=error)
    wrong = 0
    for tokens, target in zip(model.tokens(inputs), problem.target(inputs), strict=True):
        answer = model.read(protocol.run(tokens[1:-1:2], tokens[0:-1:2]).bob_answer.unsqueeze(0))
        wrong += int(answer[0] != target)
    return Tally(protocol.num_bits, wrong)


def slot_protocol(model: SlotLayer, last: int, *, error: float = ROUNDING) -> AttentionProtocol:
    """The layer as a protocol for its last token, which both know."""
    problem = model.problem
    letters = torch.arange(problem.num_symbols).unsqueeze(1).expand(-1, problem.num_tokens).clone()
    letters[:, -1] = last
    tokens: Float[Tensor, "tokens letters tokens"] = model.tokens(letters).transpose(0, 1)
    return AttentionProtocol(model.layer, tokens[-1, 0], tokens[1:-1:2], tokens[0:-1:2], error=error)


def _require_sizes(num_alice: int, num_symbols: int) -> None:
    require_integer("num_alice", num_alice, 1)
    require_integer("num_symbols", num_symbols, 2)
    require(num_symbols >= 3, "rows are counted by formula for S ≥ 3 symbols: two have at most four rows, got S = 2")
