"""Which scores of third-order attention are computed together, and by which thread.

A block is some pairs (j, k) of keys, folded together; its tiles are some of its pairs with some queries. Threads share
the blocks between them, and each runs its matrix products alone. One product after the other, each on all cores, would
leave cores waiting at its end. Meanwhile torch's own number of threads is 1, in a thread that uses torch for the first
time too.

Letters: N₁ and N₂ keys.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

#: Scores in a tile, 1 MiB in float32, half a core's level 2 cache; smaller tiles pay more calls. The backward pass
#: holds two.
TILE = 1 << 18
#: Queries in a tile, or more where the pairs don't fill it: matrix products of 5 coordinates are twice as fast with 128
#: as with 512.
QUERIES = 128
#: Most pairs over which one product sums; rounding errors grow with their number.
PAIRS = 1 << 12
#: Tiles and pairs that are worth a thread of their own, and blocks that each gets at least, so that all end together.
TILES_A_THREAD, PAIRS_A_THREAD, BLOCKS_A_THREAD = 8, 1 << 11, 4

T = TypeVar("T")


class Block(NamedTuple):
    """Which batch entries, first keys and second keys are folded together, and how many first keys go into a tile."""

    batch: slice
    first: slice
    second: slice
    rows: int

    @property
    def num_pairs(self) -> int:
        """Over all its batch entries."""
        return math.prod(part.stop - part.start for part in (self.batch, self.first, self.second))

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """The first keys, and the places among the block's pairs, of one tile after the other."""
        start, width = self.first.start, self.second.stop - self.second.start
        for part in slices(start, self.first.stop, self.rows):
            yield part, slice((part.start - start) * width, (part.stop - start) * width)


def slices(start: int, stop: int, limit: int) -> list[slice]:
    """The fewest slices of at most ``limit`` that cover range(start, stop), as equal as can be."""
    size = math.ceil((stop - start) / math.ceil((stop - start) / max(1, limit)))
    return [slice(i, min(i + size, stop)) for i in range(start, stop, size)]


@dataclass(frozen=True)
class PairTiles:
    """What a forward or a backward pass works on: query rows, and (k; 1; 1; 1; v) of each token of either slot."""

    queries: Float[Tensor, "batch rows tokens"]
    first: Float[Tensor, "batch coordinates first"]
    second: Float[Tensor, "batch coordinates second"]
    embed: int
    mask: Bool[Tensor, "batch tokens first second"] | None
    symmetric: bool

    def rows(self) -> list[slice]:
        """The queries of one tile after the other; all but the last have a size that matrix products like."""
        tokens, pairs = self.queries.shape[2], self.first.shape[2] * self.second.shape[2]
        size = min(TILE, max(QUERIES, TILE // pairs // 64 * 64))
        return [slice(i, min(i + size, tokens)) for i in range(0, tokens, size)]

    def blocks(self, numbers: int) -> Iterator[Block]:
        """Blocks that cover all pairs, folded of at most that many numbers, for tiles of at most `TILE` scores."""
        batch, coordinates, tokens = self.first.shape
        others = self.second.shape[2]
        folded, tile = numbers // coordinates, TILE // self.rows()[0].stop
        columns = max(1, min(others, folded, tile, PAIRS))
        keys = max(1, min(tokens, folded // columns))
        entries = min(folded // (keys * columns), tile // columns)
        for b in slices(0, batch, entries):
            for j in slices(0, tokens, keys):
                for k in slices(j.start if self.symmetric else 0, others, columns):
                    width = k.stop - k.start
                    yield Block(b, j, k, min(tile // (width * (b.stop - b.start)), PAIRS // width))

    def new_folded(self, numbers: int) -> Tensor:
        """Memory for the folded pairs of any of the `blocks`, of which the smallest is a single pair."""
        return self.first.new_empty(max(numbers, self.first.shape[1]))

    def shared(self, work: Callable[["PairTiles", list[Block]], T], numbers: int, threads: int) -> list[T]:
        """``work`` on all blocks, or on a share of them in each of up to ``threads`` threads."""
        pairs = self.first.shape[0] * self.first.shape[2] * self.second.shape[2]
        scores = pairs * self.queries.shape[2]
        threads = min(threads, scores // (TILES_A_THREAD * TILE), pairs // PAIRS_A_THREAD)
        if threads <= 1:
            return [work(self, list(self.blocks(numbers)))]
        smaller = min(numbers, pairs * self.first.shape[1] // (BLOCKS_A_THREAD * threads))
        blocks = sorted(self.blocks(smaller), key=lambda block: block.num_pairs, reverse=True)
        # Dealt back and forth, so that shares of unequal blocks are about equal.
        turn = 2 * threads
        shares = [blocks[i::turn] + blocks[turn - 1 - i :: turn] for i in range(threads)]
        with ThreadPoolExecutor(threads - 1, initializer=use_one_thread) as pool:
            others = pool.map(partial(work, self), shares[1:])
            return [work(self, shares[0]), *others]


def use_one_thread() -> None:
    """In this thread, and in no other, let torch's operations run alone."""
    torch.get_num_threads()  # a thread's first call takes the process's number, and would undo the next line
    torch.set_num_threads(1)


@contextmanager
def alone(device: torch.device) -> Iterator[int]:
    """Full precision, and no threads inside torch's operations, which wait busily for a while; gives their number."""
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    with torch.autocast(device.type, enabled=False):
        if threads == 1:
            yield 1
            return
        torch.set_num_threads(1)
        try:
            yield threads
        finally:
            torch.set_num_threads(threads)
