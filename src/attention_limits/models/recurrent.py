"""Recurrent machines for sparse averaging: one whose bits of state are counted, and an LSTM to train (Theorem 11).

A bidirectional layer keeps a forward state, a function of its predecessor and one token, and a backward state likewise.
Output i is a function of the forward state before token i, the token, and the backward state after it. In a stack, the
tokens of a layer are the outputs of the one below.

Letters: N = num_tokens, q = sparsity, L layers, c = cut: the forward state at cut c has read tokens 1 … c.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attention_limits.hypotheses import require_integer
from attention_limits.problems.sparse_averaging import SparseAveraging, SparseAveragingInputs

#: The state of a machine at one place, for each input of a batch.
StateBits = Bool[Tensor, "batch bits"]


class StoreRun(NamedTuple):
    """What a `ValueStore` answered, with every state that it was in."""

    #: Σ_{j ∈ y_i} z_j, q times the outputs.
    sums: Int[Tensor, "batch tokens"]
    #: For each layer, the forward state at the cuts 0 … N − 1; after token N no output is left that would read it.
    forward_states: list[list[StateBits]]
    #: For each layer, the backward state at the cuts 1 … N; at cut 0 nothing would read it.
    backward_states: list[list[StateBits]]

    @property
    def bits(self) -> int:
        """The bits of the largest state."""
        return max(state.shape[1] for layer in self.forward_states + self.backward_states for state in layer)

    def distinct_forward_states(self, layer: int) -> list[int]:
        """How many forward states occurred at the cuts 0 … N − 1 of a layer."""
        return [len(state.unique(dim=0)) if state.shape[1] else 1 for state in self.forward_states[layer]]


class ValueStore:
    """A stack of bidirectional layers, each of which stores the signs of some positions, a bit each, and nothing else.

    A token carries what the layers so far have found of its sum: Σ of z_j over those j ∈ y_i that they store.

    Args:
        problem: sparse averaging with d' = 1; values must be ±1.
        blocks: for each layer the positions that it stores, ascending, counted from 0. The machine is right if and only
            if every position is in exactly one of them.
    """

    def __init__(self, problem: SparseAveraging, blocks: Sequence[Sequence[int]]) -> None:
        if problem.value_dim != 1:
            raise ValueError(f"a store of signs needs value_dim d' = 1, got {problem.value_dim}")
        self.problem, self.blocks = problem, [list(block) for block in blocks]

    def run(self, inputs: SparseAveragingInputs) -> StoreRun:
        """Read a batch of inputs and answer; exact.

        Raises:
            ValueError: for inputs that are not the problem's, and for values other than ±1.
        """
        self.problem.check(inputs)
        values = inputs.values[..., 0]
        if not (values.abs() == 1).all():
            raise ValueError("the store holds signs: values must be ±1")
        signs, tokens = values > 0, range(self.problem.num_tokens)
        sums = torch.zeros(signs.shape, dtype=torch.int64, device=signs.device)
        run = StoreRun(sums, [], [])
        for block in self.blocks:
            forward = self._states(signs, block, list(tokens))
            backward = self._states(signs, block, list(reversed(tokens)))[::-1]
            for i in tokens:  # forward[i] is the state before token i, backward[i] the one after it
                sums[:, i] += self._found(block, i, forward[i], signs[:, i], backward[i], inputs.pointers[:, i])
            run.forward_states.append(forward)
            run.backward_states.append(backward)
        return run

    @staticmethod
    def _states(signs: Bool[Tensor, "batch tokens"], block: list[int], order: list[int]) -> list[StateBits]:
        """The states before each token, in the order of reading."""
        states = [signs[:, :0]]
        for position in order[:-1]:
            states.append(torch.cat([states[-1], signs[:, [position]]], dim=1) if position in block else states[-1])
        return states

    @staticmethod
    def _found(
        block: list[int],
        i: int,
        before: Bool[Tensor, "batch bits_before"],
        own: Bool[Tensor, " batch"],
        after: Bool[Tensor, "batch bits_after"],
        pointers: Int[Tensor, "batch sparsity"],
    ) -> Int[Tensor, " batch"]:
        """The layer's part of sum i, from two states and the token alone."""
        positions = [j for j in block if j < i] + [j for j in block if j == i] + [j for j in reversed(block) if j > i]
        known = torch.cat([before, own.unsqueeze(1)[:, : int(i in block)], after], dim=1)
        asked = (pointers.unsqueeze(-1) == torch.tensor(positions, device=pointers.device)).any(dim=1)
        return ((2 * known.long() - 1) * asked).sum(dim=1)


def value_store(problem: SparseAveraging, num_layers: int = 1) -> ValueStore:
    """The machine that is right with ⌈(N − 1)/L⌉ bits a state: N − 1 for one layer, which is least (Theorem 11, ours).

    The first and the last position share a place: a forward state never needs the last one, a backward state never the
    first. The N − 1 places are dealt out to the layers in turn.

    Example:
        >>> value_store(SparseAveraging(5, 2, 1), num_layers=2).blocks
        [[0, 2, 4], [1, 3]]
    """
    require_integer("num_layers", num_layers, 1)
    last = problem.num_tokens - 1
    places = [sorted({0, last}), *([position] for position in range(1, last))]
    return ValueStore(problem, [sorted(chain(*places[layer::num_layers])) for layer in range(num_layers)])


class LSTMModel(nn.Module):
    """LSTM layers over encoded tokens (`SparseAveraging.encode`) with a linear readout, to be trained.

    Weights start uniform in ±1/√h, drawn from ``generator``. Output i reads the hidden vectors of token i, which have
    read token i itself: both directions' if ``bidirectional``, else only the forward one.
    """

    def __init__(
        self,
        problem: SparseAveraging,
        hidden_dim: int,
        *,
        bidirectional: bool,
        num_layers: int = 1,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        require_integer("hidden_dim", hidden_dim, 1)
        require_integer("num_layers", num_layers, 1)
        directions, device = 2 if bidirectional else 1, generator.device
        # Built without storage, so that PyTorch draws no weights from its global generator.
        self.lstm = nn.LSTM(
            problem.token_dim,
            hidden_dim,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            device="meta",
            dtype=torch.float32,
        ).to_empty(device=device)
        self.readout = nn.utils.skip_init(
            nn.Linear, directions * hidden_dim, problem.value_dim, device=device, dtype=torch.float32
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-(hidden_dim**-0.5), hidden_dim**-0.5, generator=generator)

    @property
    def state_numbers(self) -> int:
        """Numbers in one direction's state: h of the hidden vector and h of the cell."""
        return 2 * self.lstm.hidden_size

    def forward(self, tokens: Float[Tensor, "batch tokens token_dim"]) -> Float[Tensor, "batch tokens value_dim"]:
        """The outputs of all tokens."""
        return self.readout(self.lstm(tokens)[0])
