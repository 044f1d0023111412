"""Explorers: the pictures at the head of three pages, as they are printed.

`{explorer} averaging` (or `triples`, or `crossover`) with a caption becomes a figure whose picture is drawn here, from
the package's own functions at the default state. In a browser book/_static/explorers.js puts the same panels with
controls in its place; print and readers without scripts keep this one. Both draw by the same layout, and
tests/test_explorers.py compares them shape by shape.

A panel is an SVG of a given width in pixels, so that its words are as large as they say. Colours are the style sheet's,
by class.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

#: Width of a panel as it is printed, in pixels: two fit beside each other in a column of text, one on a phone.
WIDTH = 328
#: The lone panel of the crossover is printed for both.
NARROW, WIDE = 328, 690
#: Key coordinates that are drawn for each token; an explorer uses the first k of them.
MOST_COORDINATES = 256
#: What a page with an explorer loads besides the explorer's own script.
SCRIPT, STYLE = "explorers.js", "explorers.css"
_WORD = 2**32 - 1

#: What a picture says in numbers: a name and a value each.
Numbers = list[tuple[str, str]]


# --- drawing ---------------------------------------------------------------------------------------------------------


def number(value: float) -> str:
    """A coordinate, to a hundredth of a pixel."""
    return f"{value:.2f}".removesuffix("0").removesuffix("0").removesuffix(".")


def shape(name: str, kind: str, content: str = "", **attributes: float | str) -> str:
    """One element of class ``kind``; an underscore in an attribute's name stands for a hyphen."""
    written = "".join(
        f' {key.replace("_", "-")}="{value if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
    )
    return f'<{name} class="{kind}"{written}>{escape(content, quote=False)}</{name}>'


def words(x: float, y: float, content: str, kind: str = "word", anchor: str = "start", **more: float | str) -> str:
    """A line of text; ``anchor`` says which part of it lies at x."""
    return shape("text", kind, content, x=x, y=y, text_anchor=anchor, **more)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return shape("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)


def box(x: float, y: float, width: float, height: float, kind: str, radius: float = 0) -> str:
    """A rectangle."""
    return shape("rect", kind, x=x, y=y, width=width, height=height, rx=radius)


def dot(x: float, y: float, radius: float, kind: str) -> str:
    """A disc."""
    return shape("circle", kind, cx=x, cy=y, r=radius)


def diamond(x: float, y: float, radius: float, kind: str) -> str:
    """A square on its corner."""
    corners = ((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y))
    return shape("path", kind, d="M" + "L".join(f"{number(a)} {number(b)}" for a, b in corners) + "Z")


def curve(points: Iterable[tuple[float, float]], kind: str) -> str:
    """A line through points."""
    return shape("polyline", kind, points=" ".join(f"{number(x)},{number(y)}" for x, y in points))


def panel(name: str, width: float, height: float, title: str, says: str, shapes: Iterable[str]) -> str:
    """A picture with its title, and with what it shows in words."""
    size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
    head = words(0, 15, title, "title")
    label = escape(says)
    return (
        f'<svg class="explorer-panel" data-panel="{name}" xmlns="http://www.w3.org/2000/svg" {size} role="img" '
        f'aria-label="{label}">{head}{"".join(shapes)}</svg>'
    )


def grouped(value: int) -> str:
    """An integer with commas."""
    return f"{value:,}"


def raised(exponent: int) -> str:
    """10 to a power, in characters."""
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return {0: "1", 1: "10"}.get(exponent, "10" + digits)


def decimal(value: float, places: int) -> str:
    """A number with so many decimals and a true minus."""
    written = f"{abs(value):.{places}f}"
    return f"−{written}" if value < 0 and float(written) else written


def percentage(share: float) -> str:
    """A share in per cent: two decimals, or a power of ten where these would say nothing."""
    if share >= 5e-5:
        return f"{100 * share:.2f} %"
    return f"about {raised(round(math.log10(share)))}" if share >= 1e-12 else f"under {raised(-12)}"


# --- draws -----------------------------------------------------------------------------------------------------------


def draw(seed: int, index: int) -> int:
    """The number at a place of a stream, below 2³² (mulberry32 of a counter; for pictures only)."""
    state = ((seed + 1) * 0x9E3779B1 + (index + 1) * 0x6D2B79F5) & _WORD
    word = (state ^ state >> 15) * (state | 1) & _WORD
    word ^= (word + ((word ^ word >> 7) * (word | 61) & _WORD)) & _WORD
    return word ^ word >> 14


def signs(seed: int, num_tokens: int) -> list[list[int]]:
    """Keys of ±1; a token keeps its key, and a key its first coordinates, as N and k change."""
    return [
        [1 if draw(seed, MOST_COORDINATES * token + place) >> 31 else -1 for place in range(MOST_COORDINATES)]
        for token in range(num_tokens)
    ]


def random_subset(seed: int, num_tokens: int, sparsity: int) -> list[int]:
    """q tokens, those of the least draws."""
    return sorted(sorted(range(num_tokens), key=lambda token: draw(seed, 2**20 + token))[:sparsity])


# --- averaging -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Averaging:
    """State of the first explorer: N, q tokens y, k, the query's length α, and the seed of the keys."""

    num_tokens: int = 64
    sparsity: int = 4
    embed_dim: int = 40
    scale: int = 12
    seed: int = 1


def averaging(state: Averaging, width: float) -> tuple[list[str], Numbers]:
    """Panels and numbers: scores under the minimum-norm certificate, weights, and the margin against k."""
    import torch

    from attention_limits.constructions.averaging_unit import error_bound
    from attention_limits.constructions.keys import gram_matrix, minimum_norm_certificates
    from attention_limits.problems.sparse_averaging import worst_case_error

    drawn = torch.tensor(signs(state.seed, state.num_tokens), dtype=torch.float32)
    subset = torch.tensor([random_subset(state.seed, state.num_tokens, state.sparsity)])
    chosen = subset[0].tolist()
    margins = []
    gram = torch.zeros(state.num_tokens, state.num_tokens, dtype=torch.float64)
    for column in drawn.double().T:
        gram = gram + torch.outer(column, column)
        margins.append(1 - minimum_norm_certificates(gram, subset).outside.item())
    gram = gram_matrix(drawn[:, : state.embed_dim])
    certificate = minimum_norm_certificates(gram, subset)
    scores = gram[:, chosen] @ certificate.coefficients[0]
    weights = (state.scale * scores).softmax(dim=0)
    error = worst_case_error(weights.unsqueeze(0), subset).item()
    margin = 1 - certificate.outside.item()
    outside = weights.scatter(0, subset[0], 0.0).sum().item()
    bound = error_bound(state.num_tokens, state.sparsity, float(state.scale), margin=margin) if margin > 0 else math.nan
    needed = needed_embed_dim(margins)
    top = max((token for token in range(state.num_tokens) if token not in chosen), key=lambda token: scores[token])
    panels = [
        scores_panel(width, scores.tolist(), chosen, margin, top),
        weights_panel(width, weights.tolist(), chosen, outside),
        margins_panel(width, margins, state.embed_dim, needed, state.sparsity),
    ]
    numbers = [
        ("margin γ", decimal(margin, 3)),
        ("outsiders’ mass", percentage(outside)),
        ("worst error ‖p − u‖₁", decimal(error, 4)),
        ("at most, by the margin", decimal(bound, 4) if margin > 0 else "no bound"),
        ("k that is needed", str(needed) if needed else f"over {MOST_COORDINATES}"),
    ]
    return panels, numbers


def needed_embed_dim(margins: Sequence[float]) -> int | None:
    """The least k from which on the margin is at least 1/2, of margins at k = 1, 2, …; None if the last one is not."""
    short = [k for k, margin in enumerate(margins, 1) if margin < 0.5]
    first = short[-1] + 1 if short else 1
    return first if first <= len(margins) else None


def scores_panel(width: float, scores: Sequence[float], chosen: Sequence[int], margin: float, top: int) -> str:
    """Each token's score, and the band between those asked for and the best of the others."""
    height, left, right, upper, lower = 250.0, 30.0, width - 6, 34.0, 226.0
    least, most = min(-0.6, *scores) - 0.1, max(1.0, *scores) + 0.25
    n = len(scores)

    def across(token: float) -> float:
        return left + (token + 0.5) / n * (right - left)

    def up(score: float) -> float:
        return lower - (score - least) / (most - least) * (lower - upper)

    ends = sorted((up(1), up(1 - margin)))
    holds = margin > 0
    shapes = [
        box(left, ends[0], right - left, ends[1] - ends[0], "band" if holds else "band bad"),
        line(left, up(0), right, up(0), "rule"),
        line(left, up(1), right, up(1), "on-line"),
        words(left - 5, up(0) + 4, "0", "small", "end"),
        words(left - 5, up(1) + 4, "1", "small", "end"),
    ]
    radius = max(1.4, min(3.2, (right - left) / n / 1.6))
    for token, score in enumerate(scores):
        kind = "off" if score < 1 else "off leak"
        shapes.append(
            diamond(across(token), up(score), 5.5, "on")
            if token in chosen
            else dot(across(token), up(score), radius, kind)
        )
    shapes.append(dot(across(top), up(1 - margin), radius + 3, "ring"))
    label = f"margin {decimal(margin, 2)}" if holds else f"no margin: token {top + 1} scores {decimal(1 - margin, 2)}"
    y = min(max((ends[0] + ends[1]) / 2 + 4, ends[0] + 12), lower)
    shapes.append(words(left + 6, y, label, "label halo" if holds else "label halo bad"))
    shapes.append(words(right, up(1) - 9, "tokens asked for", "small on-word halo", "end"))
    shapes += token_axis(left, right, lower + 16, n)
    says = (
        f"Scores of {n} tokens. The {len(chosen)} tokens asked for score 1; the best of the others, token {top + 1}, "
        f"scores {decimal(1 - margin, 2)}, a margin of {decimal(margin, 2)}."
    )
    return panel("scores", width, height, "Scores: the query against every key", says, shapes)


def weights_panel(width: float, weights: Sequence[float], chosen: Sequence[int], outside: float) -> str:
    """Each token's attention weight on a logarithmic scale, and how the whole is shared."""
    height, left, right, upper, lower = 250.0, 30.0, width - 6, 34.0, 172.0
    n, floor = len(weights), -8

    def across(token: float) -> float:
        return left + (token + 0.5) / n * (right - left)

    def up(weight: float) -> float:
        return lower - (max(math.log10(max(weight, 1e-300)), floor) - floor) / -floor * (lower - upper)

    shapes = []
    for exponent in (0, -2, -4, -6, -8):
        shapes.append(line(left, up(10.0**exponent), right, up(10.0**exponent), "rule"))
        shapes.append(words(left - 5, up(10.0**exponent) + 4, raised(exponent), "small", "end"))
    radius = max(1.4, min(3.2, (right - left) / n / 1.6))
    for token, weight in enumerate(weights):
        shapes.append(
            diamond(across(token), up(weight), 5.5, "on")
            if token in chosen
            else dot(across(token), up(weight), radius, "off")
        )
    shapes += token_axis(left, right, lower + 16, n)
    start, bar = left, 204.0
    for token in chosen:
        share = weights[token] * (right - left)
        shapes.append(box(start, bar, share, 16, "on-part"))
        start += share
    shapes.append(box(start, bar, max(0.0, right - start), 16, "leak-part"))
    shapes.append(words(left, bar + 32, f"asked for {percentage(1 - outside)}", "small on-word"))
    shapes.append(words(right, bar + 32, f"outsiders {percentage(outside)}", "small leak-word", "end"))
    says = (
        f"Attention weights on a logarithmic scale; the tokens asked for together have {percentage(1 - outside)}, "
        f"all others {percentage(outside)}."
    )
    return panel("weights", width, height, "Weights after the softmax", says, shapes)


def margins_panel(width: float, margins: Sequence[float], embed_dim: int, needed: int | None, sparsity: int) -> str:
    """The margin as the keys grow, coordinate by coordinate."""
    height, left, right, upper, lower = 250.0, 30.0, width - 6, 34.0, 212.0
    most = len(margins)

    def across(k: float) -> float:
        return left + k / most * (right - left)

    def up(margin: float) -> float:
        return lower - (min(max(margin, -1.0), 1.0) + 1) / 2 * (lower - upper)

    shapes = []
    for level, label in ((1, "1"), (0, "0"), (-1, "−1")):
        shapes += [
            line(left, up(level), right, up(level), "rule"),
            words(left - 5, up(level) + 4, label, "small", "end"),
        ]
    shapes.append(line(left, up(0.5), right, up(0.5), "dashed"))
    shapes.append(words(left - 5, up(0.5) + 4, "½", "small", "end"))
    known = [(k, margin) for k, margin in enumerate(margins, 1) if math.isfinite(margin)]
    shapes.append(curve(((across(k), up(margin)) for k, margin in known), "margin-line"))
    if needed:
        x, near = across(needed), needed > 0.6 * most
        shapes.append(line(x, upper, x, lower, "needed"))
        anchor, shift = ("end", -6) if near else ("start", 6)
        shapes.append(words(x + shift, up(-0.55), f"½ for good from k = {needed} on", "small halo", anchor))
    else:
        shapes.append(words(right, up(-0.55), f"not ½ for good up to k = {most}", "small halo", "end"))
    here = margins[embed_dim - 1]
    shapes.append(line(across(embed_dim), upper, across(embed_dim), lower, "here-line"))
    shapes.append(dot(across(embed_dim), up(here if math.isfinite(here) else -1), 5, "here"))
    far = embed_dim > 0.7 * most
    shapes.append(
        words(
            across(embed_dim) + (-8 if far else 8),
            up(-0.82),
            f"here: k = {embed_dim}",
            "label halo",
            "end" if far else "start",
        )
    )
    for k in (0, most // 4, most // 2, 3 * most // 4, most):
        anchor = "end" if k == most else "middle"
        shapes.append(words(right if k == most else across(k), lower + 16, str(k), "small", anchor))
    shapes.append(words((left + right) / 2, lower + 32, "key coordinates k", "small", "middle"))
    says = (
        f"The margin of these {sparsity} tokens against the number k of key coordinates; at k = {embed_dim} it is "
        f"{decimal(here, 2) if math.isfinite(here) else 'not defined'}, and "
        + (
            f"from k = {needed} on it stays at least one half."
            if needed
            else f"it is not one half for good up to {most}."
        )
    )
    return panel("margins", width, height, "How many coordinates does this take?", says, shapes)


def token_axis(left: float, right: float, y: float, num_tokens: int) -> list[str]:
    """The first and the last token's number below a plot."""
    return [
        words(left, y, "1", "small"),
        words((left + right) / 2, y, "token", "small", "middle"),
        words(right, y, str(num_tokens), "small", "end"),
    ]


# --- triples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Triples:
    """State of the second explorer: N, M, the token looked at, Bob's residue, seed of Alice's, and a layer's H, m, p."""

    num_tokens: int = 12
    modulus: int = 60
    token: int = 9
    bob: int = 10
    seed: int = 39
    num_heads: int = 1
    embed_dim: int = 2
    precision: int = 1


def residues(state: Triples) -> list[int]:
    """The residues of all tokens: 1, Alice's random ones, Bob's."""
    drawn = (draw(state.seed, 2**21 + place) for place in range(1, state.num_tokens - 1))
    return [1, *(number * state.modulus >> 32 for number in drawn), state.bob]


def triples(state: Triples, width: float) -> tuple[list[str], Numbers]:
    """Panels and numbers: residues on a circle, the table of pairs, and the cut between Alice and Bob."""
    import torch

    from attention_limits.bounds.attention_protocol import message_bits_bound
    from attention_limits.bounds.match3 import num_different_rows, one_way_bits
    from attention_limits.problems import matching

    n, m = state.num_tokens, state.modulus
    tokens = residues(state)
    found = matching.triples(torch.tensor([tokens]), m)[0]
    cells = found[state.token - 1].nonzero().tolist()
    first = found[0].nonzero().tolist()
    paired = matching.Match2(n, m).target(torch.tensor([tokens]))[0].tolist()
    rows, needed = num_different_rows(n, m), one_way_bits(n, m)
    passed = message_bits_bound(
        state.num_heads,
        state.embed_dim,
        writers=state.num_heads,
        spread=2.0**state.precision,
        log_sum_range=2 * state.embed_dim * 4.0**state.precision,
        error=1.0,
    )
    panels = [
        circle_panel(width, tokens, m, state.token, paired),
        table_panel(width, tokens, state.token, cells),
        cut_panel(width, tokens, m, first, passed, needed),
    ]
    written = grouped(rows) if rows < 10**12 else f"about {raised(len(str(rows)) - 1)}"
    numbers = [
        (f"token {state.token} holds", f"{tokens[state.token - 1]} of 0…{m - 1}"),
        ("in a pair (Match2)", "yes" if paired[state.token - 1] else "no"),
        ("in a triple (Match3)", f"yes, {len(cells)} of {n * n} ways" if cells else "no"),
        ("Alice’s different rows W", written),
        ("bits needed, ⌈log₂ W⌉", str(needed)),
        ("bits a layer passes, at most", str(passed)),
    ]
    return panels, numbers


def circle_panel(width: float, tokens: Sequence[int], modulus: int, token: int, paired: Sequence[bool]) -> str:
    """Residues as an angle: x and −x are mirror images in the horizontal axis."""
    height, radius = 330.0, 108.0
    x, y = width / 2, 162.0
    own = tokens[token - 1]
    mirror = -own % modulus

    def at(residue: int, distance: float) -> tuple[float, float]:
        angle = 2 * math.pi * residue / modulus
        return x + distance * math.cos(angle), y - distance * math.sin(angle)

    shapes = [
        shape("circle", "ring-line", cx=x, cy=y, r=radius),
        line(x - radius - 30, y, x + radius + 30, y, "dashed"),
        words(width, y - 6, "mirror", "small", "end"),
    ]
    if modulus <= 72:
        shapes += [line(*at(residue, radius - 3), *at(residue, radius + 3), "tick") for residue in range(modulus)]
    for residue in sorted({min(one, -one % modulus) for one, has in zip(tokens, paired, strict=True) if has}):
        shapes.append(line(*at(residue, radius), *at(-residue % modulus, radius), "pair"))
    shapes.append(line(*at(own, radius), *at(mirror, radius), "chosen-pair"))
    stacked: dict[int, int] = {}
    for place, residue in enumerate(tokens):
        level = stacked[residue] = stacked.get(residue, -1) + 1
        kind = "on" if place == token - 1 else "off"
        shapes.append(dot(*at(residue, radius + 11 * level), 6 if kind == "on" else 4.5, kind))
    if mirror not in tokens:
        shapes.append(dot(*at(mirror, radius), 6, "hollow"))
    for residue, label in ((own, f"x = {own}"), (mirror, f"−x = {mirror}"))[: 1 if mirror == own else 2]:
        aside = abs(at(residue, 1)[0] - x) > 0.75  # there is no room beside the circle
        across, up = at(residue, radius + (-14 if aside else 14))
        anchor = "end" if (across > x) == aside else "start"
        shapes.append(words(across, up + (-3 if 2 * residue <= modulus else 11), label, "label halo", anchor))
    partners = [place for place, residue in enumerate(tokens, 1) if residue == mirror]
    answer = f"token {partners[0]} holds {mirror}: a pair" if partners else f"no token holds {mirror}: no pair"
    shapes.append(words(x, height - 6, answer, "label", "middle"))
    says = (
        f"{len(tokens)} residues modulo {modulus} on a circle, with the horizontal axis as mirror. Token {token} holds "
        f"{own}; {answer}."
    )
    return panel("circle", width, height, "Pairs: one look at the mirror image", says, shapes)


def table_panel(width: float, tokens: Sequence[int], token: int, cells: Sequence[Sequence[int]]) -> str:
    """All pairs j, k, with those marked that complete the token's residue to a multiple of M."""
    height, left, upper = 330.0, 30.0, 48.0
    n = len(tokens)
    side = min(width - left - 6, 254.0)
    step = side / n
    shapes = [box(left, upper, side, side, "grid")]
    for place in range(n + 1):
        shapes.append(line(left + place * step, upper, left + place * step, upper + side, "rule"))
        shapes.append(line(left, upper + place * step, left + side, upper + place * step, "rule"))
    for row, column in cells:
        shapes.append(box(left + column * step + 1, upper + row * step + 1, step - 2, step - 2, "on"))
    for place, residue in enumerate(tokens):
        middle = (place + 0.5) * step + 3.5
        kind = "tiny on-word" if place == token - 1 else "tiny"
        shapes.append(words(left - 4, upper + middle, str(residue), kind, "end"))
        turn = f"rotate(-90 {number(left + middle)} {number(upper - 4)})"
        shapes.append(words(left + middle, upper - 4, str(residue), kind, transform=turn))
    answer = (
        f"{len(cells)} of {n * n} cells complete token {token}"
        if cells
        else f"none of {n * n} cells completes token {token}"
    )
    shapes.append(words(left + side / 2, height - 6, answer, "label", "middle"))
    says = f"A table of {n} by {n} pairs of tokens. {answer[0].upper()}{answer[1:]}, which holds {tokens[token - 1]}."
    return panel("table", width, height, "Triples: a whole table to look through", says, shapes)


def cut_panel(
    width: float, tokens: Sequence[int], modulus: int, first: Sequence[Sequence[int]], passed: int, needed: int
) -> str:
    """Who holds what, the answer for token 1, and the bits that pass beside those that are needed."""
    height, upper, lower = 330.0, 24.0, 176.0
    alice, bob = 0.69 * width, 0.73 * width
    wanted = (-1 - tokens[-1]) % modulus
    fit = int((alice - 12) // 37)
    shapes = [
        box(0, upper, alice, lower - upper, "alice", 6),
        box(bob, upper, width - bob, lower - upper, "bob", 6),
        line((alice + bob) / 2, upper - 4, (alice + bob) / 2, lower + 4, "cut"),
        words(8, upper + 18, f"Alice: tokens 2 … {len(tokens) - 1}", "label"),
        words(bob + 8, upper + 18, "Bob", "label"),
    ]
    for place, residue in enumerate(tokens[1:-1]):
        across, down = 8 + place % fit * 37, upper + 27 + place // fit * 24
        shapes.append(box(across, down, 33, 20, "chip on" if residue == wanted else "chip", 4))
        shapes.append(
            words(
                across + 16.5, down + 14.5, str(residue), "chip-word on" if residue == wanted else "chip-word", "middle"
            )
        )
    shapes.append(box(bob + 8, upper + 27, 33, 20, "chip", 4))
    shapes.append(words(bob + 24.5, upper + 41.5, str(tokens[-1]), "chip-word", "middle"))
    shapes.append(words(bob + 8, upper + 82, "both know", "small"))
    shapes.append(box(bob + 8, upper + 89, 33, 20, "chip", 4))
    shapes.append(words(bob + 24.5, upper + 103.5, "1", "chip-word", "middle"))
    if first:
        j, k = first[0]
        sum_of = f"1 + {tokens[j]} + {tokens[k]} = {1 + tokens[j] + tokens[k]}"
        answer = f"token 1 is in a triple: {sum_of}"
    else:
        answer = "token 1 is in no triple"
    shapes.append(words(0, lower + 22, answer, "small"))
    most, enough = max(passed, needed), passed >= needed
    for y, bits, label, kind in (
        (lower + 48, passed, f"a layer passes at most {passed} bits", "off-part"),
        (lower + 90, needed, f"{needed} bits are needed", "on-part"),
    ):
        shapes.append(words(0, y, label, "label"))
        shapes.append(box(0, y + 6, width * bits / most, 14, kind, 2))
    verdict = "Enough: this bound rules nothing out." if enough else "Too few: no such layer computes Match3."
    shapes.append(words(0, height - 6, verdict, "label third-word" if enough else "label bad"))
    says = (
        f"Alice holds {len(tokens) - 2} residues and Bob one; both know the first. A layer passes at most {passed} bits, and "
        f"{needed} are needed. {verdict}"
    )
    return panel("cut", width, height, "The cut: what has to cross it", says, shapes)


# --- crossover -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crossover:
    """State of the third explorer: q, ε = 2^−e, d', what is counted (0 bits, 1 numbers), and N = 10^(n/100)."""

    sparsity: int = 4
    halvings: int = 4
    value_dim: int = 1
    resource: int = 0
    place: int = 300


#: N up to which curves are drawn and crossings looked for.
LARGEST = 10**6


def crossover(state: Crossover, width: float) -> tuple[list[str], Numbers]:
    """The panel and the numbers: sizes against N, one resource at a time, and where attention falls below."""
    import numpy as np

    from attention_limits.bounds import crossover as sizes
    from attention_limits.bounds.counting import required_bits
    from attention_limits.constructions.sparse_averaging import narrow_embed_dim

    q, dim, accuracy = state.sparsity, state.value_dim, Fraction(1, 2**state.halvings)
    here = round(10 ** (state.place / 100))
    tokens = sorted({round(10 ** (place / 40)) for place in range(12, 241)} | {q + 1})
    tokens = [n for n in tokens if n > q]
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
    curves = [list(zip(tokens, size(grid).tolist(), strict=True)) for _, size in drawn]
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
        return lower - min(max(math.log10(max(size, 1)) / decades, 0), 1.06) * (lower - upper)

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
    shapes += [dot(across(here), up(size), 3.5, "here-dot") for size in values]
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
    title = (
        f"{what.capitalize()} that are needed, q = {state.sparsity}, ε = 1/{2**state.halvings}, d′ = {state.value_dim}"
    )
    says = (
        f"{what.capitalize()} against N with logarithmic axes, for q = {state.sparsity}: {'; '.join(labels)}. {found}"
    )
    return panel("crossover", width, height, title, says, shapes)


# --- the directive ---------------------------------------------------------------------------------------------------

Draw = Callable[[Any, float], tuple[list[str], Numbers]]
#: Each explorer's default state, and what draws it.
EXPLORERS: dict[str, tuple[Any, Draw]] = {
    "averaging": (Averaging(), averaging),
    "triples": (Triples(), triples),
    "crossover": (Crossover(), crossover),
}


def widths(name: str) -> tuple[int, ...]:
    """The widths in which a panel is printed: one, or the style sheet shows the one for which there is room."""
    return (NARROW, WIDE) if name == "crossover" else (WIDTH,)


def picture(name: str, width: float) -> tuple[list[str], Numbers]:
    """An explorer's panels and numbers at its default state."""
    state, drawn = EXPLORERS[name]
    return drawn(state, width)


def twin(name: str) -> str:
    """The printed picture: panels and numbers at the default state."""
    pictures = [picture(name, width) for width in widths(name)]
    panels = "".join(shown for panels, _ in pictures for shown in panels)
    listed = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in pictures[0][1])
    return f'<div class="explorer-panels">{panels}<dl class="explorer-numbers">{listed}</dl></div>'


class Explorer(Directive):
    """A figure with the picture of an explorer; the content is its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The figure's opening, its caption, its closing.

        Raises:
            DirectiveError: for a name that is no explorer's, or without a caption.
        """
        name = self.arguments[0]
        if name not in EXPLORERS:
            raise self.error(f"there is no explorer {name!r}: it must be one of {', '.join(EXPLORERS)}")
        self.assert_has_content()
        environment = self.state.document.settings.env
        environment.note_dependency(__file__)
        environment.metadata[environment.docname]["explorer"] = name
        caption = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, caption)
        opening = f'<figure class="explorer" id="explorer-{name}" data-explorer="{name}">{twin(name)}<figcaption>'
        return [
            nodes.raw("", opening, format="html"),
            *caption.children,
            nodes.raw("", "</figcaption></figure>", format="html"),
        ]


def add_files(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Load scripts and style on a page that holds an explorer."""
    name = app.env.metadata.get(pagename, {}).get("explorer")
    if name is not None:
        for script in (SCRIPT, f"explorer-{name}.js"):
            app.add_js_file(script, loading_method="defer")
        app.add_css_file(STYLE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive."""
    app.add_directive("explorer", Explorer)
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
