"""The explorer of Theorem 2: scores under the minimum-norm certificate, weights, and the margin against k."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attention_limits.companion.explorers.drawing import (
    Numbers,
    box,
    curve,
    decimal,
    diamond,
    dot,
    draw,
    line,
    panel,
    percentage,
    raised,
    words,
)

#: Key coordinates that are drawn for each token; the explorer uses the first k of them.
MOST_COORDINATES = 256


@dataclass(frozen=True)
class Averaging:
    """State of the explorer: N, q tokens y, k, the query's factor α, and the seed of the keys."""

    num_tokens: int = 64
    sparsity: int = 4
    embed_dim: int = 40
    scale: int = 12
    seed: int = 1


def picture(state: Averaging, width: float) -> tuple[list[str], Numbers]:
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
        ("k for margin ½", str(needed) if needed else f"over {MOST_COORDINATES}"),
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
    shapes.append(words(right, up(1) + (-9 if holds else 18), "tokens asked for", "small on-word halo", "end"))
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


def signs(seed: int, num_tokens: int) -> list[list[int]]:
    """Keys of ±1; a token keeps its key, and a key its first coordinates, as N and k change."""
    return [
        [1 if draw(seed, MOST_COORDINATES * token + place) >> 31 else -1 for place in range(MOST_COORDINATES)]
        for token in range(num_tokens)
    ]


def random_subset(seed: int, num_tokens: int, sparsity: int) -> list[int]:
    """q tokens, those of the least draws."""
    return sorted(sorted(range(num_tokens), key=lambda token: draw(seed, 2**20 + token))[:sparsity])
