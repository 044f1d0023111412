"""The explorer of the crossover: sizes against N, one resource at a time, and where attention falls below."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from attention_limits.companion.explorers.drawing import (
    Numbers,
    curve,
    dot,
    grouped,
    line,
    number,
    panel,
    raised,
    words,
)


@dataclass(frozen=True)
class Crossover:
    """State of the explorer: q, ε = 2^−e, d', what is counted (0 bits, 1 numbers), and N = 10^(n/100)."""

    sparsity: int = 4
    halvings: int = 4
    value_dim: int = 1
    resource: int = 0
    place: int = 300


if TYPE_CHECKING:
    from attention_limits.bounds.crossover import Size

#: N up to which curves are drawn and crossings looked for.
LARGEST = 10**6


def picture(state: Crossover, width: float) -> tuple[list[str], Numbers]:
    """The panel and the numbers: sizes against N, one resource at a time, and where attention falls below."""
    import numpy as np

    from attention_limits.bounds import crossover as sizes
    from attention_limits.bounds.counting import required_bits
    from attention_limits.constructions.sparse_averaging import narrow_embed_dim

    q, dim, accuracy = state.sparsity, state.value_dim, Fraction(1, 2**state.halvings)
    here = round(10 ** (state.place / 100))
    tokens = sorted({round(10 ** (place / 40)) for place in range(12, 241)} | {q + 1})
    tokens = [n for n in tokens if n > q]
    rivals: list[tuple[str, Size]]
    least: tuple[str, Size] | None
    if state.resource == 0:
        proved = accuracy * q < 1
        own = ("attention, built: (k + d′) p", lambda n: sizes.attention_bits(n, q, accuracy, dim))
        least = ("any attention, at least", lambda n: np.array([required_bits(int(one), q, accuracy) for one in n]))
        rivals = [("one recurrent layer: N − 1", sizes.recurrent_bits), ("recurrent stack: ⌊N/2⌋", sizes.stacked_bits)]
    else:
        proved = accuracy * (2 * q - 1) < 1
        own = ("attention, built: k + d′", lambda n: narrow_embed_dim(n, q) + dim)
        least = None
        rivals = [("feed-forward width: N d′", lambda n: sizes.feedforward_width(n, dim))]
    crossings = [sizes.overtaking(own[1], rival, q, LARGEST)[1] for _, rival in rivals] if proved else []
    drawn = [own, *([least] if least else []), *(rivals if proved else [])]
    grid = np.array(tokens)
    curves = [
        [(n, one) for n, one in zip(tokens, size(grid).tolist(), strict=True) if one <= LARGEST] for _, size in drawn
    ]
    values = [int(size(np.array([here]))[0]) for _, size in drawn]
    numbers = [(f"at N = {grouped(here)}", "bits" if state.resource == 0 else "numbers")]
    numbers += [(label, grouped(value)) for (label, _), value in zip(drawn, values, strict=True)]
    if proved:
        for (label, _), settled in zip(rivals, crossings, strict=True):
            numbers.append((f"attention below {label.partition(': ')[2]} from", f"N = {grouped(settled)}"))
    else:
        numbers += [(label, "not proved at this ε") for label, _ in rivals]
    labels = [label for label, _ in drawn]
    heights = [int(rival(np.array([settled]))[0]) for (_, rival), settled in zip(rivals, crossings, strict=False)]
    marks = list(zip(crossings, heights, strict=True))
    return [crossover_panel(width, state, labels, curves, here, values, marks)], numbers


def crossover_panel(
    width: float,
    state: Crossover,
    labels: Sequence[str],
    curves: Sequence[Sequence[tuple[int, int]]],
    here: int,
    values: Sequence[int],
    marks: Sequence[tuple[int, int]],
) -> str:
    """Sizes against N with logarithmic axes: attention, its lower bound, and its rivals if something is proved."""
    height, left, right, upper, lower = 400.0, 36.0, width - 8, 44.0, 362.0
    decades = math.log10(LARGEST)
    bits = state.resource == 0

    def across(n: float) -> float:
        return left + math.log10(n) / decades * (right - left)

    def up(size: float) -> float:
        return lower - max(math.log10(max(size, 1)) / decades, 0) * (lower - upper)

    shapes = []
    for exponent in range(0, 7):
        x, y = across(10**exponent), up(10**exponent)
        shapes += [line(x, upper, x, lower, "rule"), line(left, y, right, y, "rule")]
        shapes.append(words(left - 5, y + 4, raised(exponent), "small", "end"))
        shapes.append(words(x, lower + 16, raised(exponent), "small", "end" if exponent == 6 else "middle"))
    shapes.append(words((left + right) / 2, lower + 32, "tokens N", "small", "middle"))
    shapes.append(line(across(here), upper, across(here), lower, "here-line"))
    kinds = ["own", "least", "rival", "rival second"] if bits else ["own", "rival"]
    steep = math.degrees(math.atan2(lower - upper, right - left))
    for kind, points in zip(kinds, curves, strict=False):
        shapes.append(curve(((across(n), up(size)) for n, size in points), f"curve {kind}"))
    for label, kind, points in zip(labels, kinds, curves, strict=False):
        name = label if width >= 500 else label.partition(":")[0]
        if kind == "own":
            top = min(up(size) for n, size in points if across(n) <= max(left + 7 * len(name), across(points[0][0])))
            shapes.append(words(left + 4, top - 8, name, "label own-word halo"))
        elif kind == "least":
            low = max(up(size) for n, size in points if across(n) >= right - 7 * len(name))
            y = low + 16 if low + 20 < lower else up(points[-1][1]) - 8
            shapes.append(words(right - 2, y, name, "label least-word halo", "end"))
        else:
            n, size = min(points, key=lambda point: abs(point[0] - 10**4.9))
            x, y = across(n), up(size) + (15 if kind == "rival second" else -7)
            turn = f"rotate({number(-steep)} {number(x)} {number(y)})"
            shapes.append(words(x, y, name, "label rival-word halo", "middle", transform=turn))
    shapes += [dot(across(here), up(size), 3.5, "here-dot") for size in values if size <= LARGEST]
    near_end = across(here) > 0.8 * right
    shapes.append(
        words(
            across(here) + (-5 if near_end else 5),
            lower - 6,
            f"N = {grouped(here)}",
            "small halo",
            "end" if near_end else "start",
        )
    )
    for place, (n, size) in enumerate(marks):
        shapes.append(dot(across(n), up(size), 6, "crossing" if place == 0 else "crossing second"))
    if marks:
        n, size = marks[0]
        text = f"smaller from N = {grouped(n)} on"
        end = min(across(n) + 12 + 7 * len(text), right)
        shapes.append(words(end, up(size) + 24, text, "label own-word halo", "end"))
        found = f"Attention is smaller from N = {grouped(n)} on."
    else:
        rival = "recurrent networks" if bits else "feed-forward networks"
        found = f"Nothing is proved for {rival} at this ε."
        shapes.append(words((left + right) / 2, upper + 20, found, "label bad halo", "middle"))
    what = "bits" if bits else "numbers"
    title = f"{what.capitalize()}: q = {state.sparsity}, ε = 1/{2**state.halvings}, d′ = {state.value_dim}"
    says = (
        f"{what.capitalize()} against N with logarithmic axes, for q = {state.sparsity}: {'; '.join(labels)}. {found}"
    )
    return panel(__name__.rpartition(".")[2], width, height, title, says, shapes)
