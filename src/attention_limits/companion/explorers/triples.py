"""The explorer of Theorem 7: residues on a circle, the table of pairs, and the cut between Alice and Bob."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attention_limits.companion.explorers.drawing import (
    Numbers,
    box,
    dot,
    draw,
    grouped,
    line,
    number,
    panel,
    raised,
    shape,
    words,
)


@dataclass(frozen=True)
class Triples:
    """State of the explorer: N, M, the token looked at, Bob's residue, the seed of Alice's, and a layer's H, m, p."""

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


def picture(state: Triples, width: float) -> tuple[list[str], Numbers]:
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
        f"Alice holds {len(tokens) - 2} residues and Bob one; both know the first. A layer passes at most {passed} "
        f"bits, and {needed} are needed. {verdict}"
    )
    return panel("cut", width, height, "The cut: what has to cross it", says, shapes)
