# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Theorem 6: one unit finds pairs
#
# **The question.** Which tokens of a sequence have a partner, one that completes them to a multiple of $M$? How small can an
# attention unit be that answers this for all tokens at once, and how many bits do its numbers need?
#
# **In one paragraph.** Take $M=12$, the hours of a clock. A 2 and a 10 are partners, since $2+10=12$; and 10 o'clock is the **mirror image** of 2 o'clock.
# So let the token 2 ask for the point of 10: this is its query. Each token shows its own point: this is its key. The inner
# product of the two is largest exactly for a partner ({numref}`fig-mirror`). A token that asks in vain must be able to say so, but a softmax always
# attends to something. So a **blank token** is appended whose score lies just below a partner's
# and above all others: where there is no partner the blank gets the weight. Two coordinates for the clock and one for the blank are enough for any $M$, and no token needs to see more than one other at a time. The neighbours of 10 o'clock come close to it when $M$ is large: to tell them apart is what the bits are for.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-mirror", "caption": "Residues modulo 12 as the hours of a clock, and the four tokens 2, 3, 8, 10. The token 2 looks for its mirror image 10, and finds it; the token 3 looks for 9, which isn't there. Right: the attention of the unit of this page on the four tokens and the blank. The blank takes what finds no partner."}, "image": {"alt": "Left: a clock's face with twelve hours; the tokens 2, 3, 8 and 10 are filled. A blue arrow leads across from 2 to 10, an orange one from 3 to the empty 9. Right: two bar charts over 2, 3, 8, 10 and the blank. The token 2 attends to 10, the token 3 to the blank."}}
import matplotlib.pyplot as plt
import numpy as np
import torch

from attention_limits import figures
from attention_limits.constructions.matching import match2_unit
from attention_limits.problems.matching import Match2

figures.use_style()
clock_tokens, asking = [2, 3, 8, 10], {2: figures.BLUE, 3: figures.ORANGE}
weights = match2_unit(Match2(4, 12)).attend(torch.tensor([clock_tokens])).attention[0]
fig, panels = plt.subplot_mosaic("ca;cb", figsize=(6.4, 3.4), width_ratios=[1, 1.05])
clock = panels["c"]
clock.add_patch(plt.Circle((0, 0), 1, fill=False, color="#c8c8c8"))
clock.plot([0, 0], [-1, 1], ":", color="#c8c8c8")
hour = [(np.sin(np.pi * h / 6), np.cos(np.pi * h / 6)) for h in range(12)]
for h, (x, y) in enumerate(hour):
    fill = asking.get(h, figures.GREY if h in clock_tokens else "white")
    clock.plot(x, y, "o", markersize=11, color=fill, markeredgecolor=figures.GREY, zorder=3)
    clock.text(1.25 * x, 1.25 * y, h, ha="center", va="center", fontsize=14)
for (token, color), panel in zip(asking.items(), (panels["a"], panels["b"]), strict=True):
    (x, y), shown = hour[token], [*map(str, clock_tokens), "blank"]
    arrow = {"arrowstyle": "-|>", "color": color, "lw": 2}
    clock.annotate("", (0.08 - x, y), (x - 0.08, y), arrowprops=arrow)
    clock.text(0, y + 0.04, f"{token} asks for {12 - token}", ha="center", va="bottom", fontsize=13)
    panel.bar(shown, weights[clock_tokens.index(token)], color=color)
    panel.set_title(f"token {token} attends to", fontsize=13)
    panel.set(yticks=[0, 1], ylim=(0, 1.05))
    panel.tick_params(labelsize=13)
    panel.grid(visible=False)
clock.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
clock.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax, cosines. A quarter of a minute.
#
# **On this page.**
#
# * One unit with $m=3$ finds all pairs, with every constant. [P] {prf:ref}`thm-match2`, [P~] {prf:ref}`lem-match2-margin`
# * The largest $M$ of a float type, and the bits that a number needs: two for each bit of $M$, and a constant. [N] {prf:ref}`lem-match2-float`, [P~] {prf:ref}`lem-match2-bits`
# * Integers on a parabola do as well as cosines, up to $M=5{,}793$ in float32. [N] {prf:ref}`prop-match2-parabola`
# * Two dimensions are enough with a residual connection, and too few without one, if $M\ge5$ and the labels have a margin. [N] {prf:ref}`prop-match2-residual`, {prf:ref}`prop-match2-least`
# * If the partner must be another token, labels are still right, but barely: some right label gets a probability of no more than 0.586. [N]
#   {prf:ref}`prop-match2-others`
#
# ## The statement
#
# :::{prf:definition} of the paper (Match2)
# :label: def-match2
# :nonumber:
#
# For residues $x\in\{0,\dots,M-1\}^N$ let $\operatorname{Match2}(x)_i=1$ if $x_i+x_j\equiv0\pmod M$ for some $j$, and 0 if not. $j=i$ is
# allowed {cite}`sanford2023representational`.
# :::
#
# :::{prf:theorem} 6 of the paper (pairs are easy)
# :label: thm-match2
# :nonumber:
#
# For all $N$ and $M$ some self-attention unit ({prf:ref}`def-unit`) with embedding dimension $m=3$ and numbers of $p=O(\log M)$ bits, with a
# token-wise map before and after it, computes $\operatorname{Match2}$ {cite}`sanford2023representational`.
# :::
#
# $O(\log M)$ holds as long as $\ln N$ is at most a power of $M$; beyond that a $\log\log N$ is added.
#
# ## The idea
#
# Put the residue $x$ on a circle at the angle $\theta x$, $\theta=2\pi/M$. With the mirror image for its query a token has
# the score $\cos\theta(x_i+x_j)$, which is 1 exactly for partners and at most $\cos\theta$ for all others ({numref}`fig-circle`). The blank's score lies
# between the two. Its value is 0, and that of all others is 1: the output says whether tokens outweigh the blank.
#
# :::{prf:lemma} (margins, the constants ours)
# :label: lem-match2-margin
#
# Let $\delta=1-\cos\theta$, $c\,\delta=\ln N+2g$ with $g>0$, and let token $i$ have
#
# ```{math}
# :label: eq-match2-unit
# \text{query}\;\big(c\cos\theta x_i,\,-c\sin\theta x_i,\,b\big),\qquad \text{key}\;\big(\cos\theta x_i,\,\sin\theta x_i,\,0\big),\qquad
# b=c\big(1-\tfrac\delta2\big)+\tfrac12\ln N=c-g,
# ```
#
# and the blank token the key $(0,0,1)$. Then output $i$ is at least $\sigma(g)$ if $\operatorname{Match2}(x)_i=1$, and at most $\sigma(-g)$ if not,
# where $\sigma(g)=1/(1+e^{-g})$. The second bound is attained for odd $M$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# The output is $S/(S+e^b)=\sigma(\ln S-b)$ with $S=\sum_je^{c\cos\theta(x_i+x_j)}$. First, $b=c-\tfrac12(c\delta-\ln N)=c-g$. If there is a partner, $S\ge e^c$ and
# $\ln S-b\ge g$. If there is none, every $x_i+x_j$ is $r\not\equiv0$, and $\cos\theta r\le\cos\theta=1-\delta$. So $S\le Ne^{c-c\delta}$, and
# $\ln S-b\le\ln N-c\delta+g=-g$. For odd $M$ let all tokens be $\tfrac{M+1}2$: each sum is $M+1\equiv1$, there is no partner, and
# $S=Ne^{c(1-\delta)}$. $\blacksquare$
# :::
#
# **Two traps in floats.** For large $M$ both $\cos\theta$ and 1 are the same float, so that $1-\cos\theta$ is 0: compute $\delta=2\sin^2(\pi/M)$. And $c\approx
# (\ln N+2g)M^2/2\pi^2$ is huge, while a margin of $g$ has to survive the rounding of scores of size $c$.
#
# :::{prf:lemma} (how far floats go, ours)
# :label: lem-match2-float
#
# Let $u$ be the unit roundoff, $c$ a power of two with $c\,\delta\ge\ln N+2g$, and $\kappa=4$ if the entries are correctly rounded, $\kappa=5.5$ if each is off by at most
# one unit in the last place and the angles by $10u$. Then scores are off by less than $\kappa cu$ relative to the blank's, up to terms of order $cu^2$, and labels are right if
#
# ```{math}
# :label: eq-match2-float
# 2\sin^2\frac\pi M\;\ge\;\kappa u\,\frac{\ln N+2g}{g-\ln2},
# ```
#
# as long as $16(N+1000)u\le1$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Scores, in units of $cu$.* Floats just below 1 lie $u$ apart, so that a correctly rounded cosine is off by $\tfrac12u$ at most; by $u$ if only the last place is sure. With $\kappa_0=\tfrac12$
# or 1, the query and the key each contribute $\kappa_0(\abs{\cos}+\abs{\sin})\le\sqrt2\,\kappa_0$. The factor $c$ rounds nothing. The two products are off by
# $\abs{\cos\cos}+\abs{\sin\sin}\le1$ together, their sum by 1, and $b<c$ by $\tfrac12$. In all $2\sqrt2\kappa_0+2.5$, that is 3.92 or 5.33. An angle that is off by $10u$ on either side moves
# $\cos\theta r$ by $20u\abs{\sin\theta r}$ to first order: nothing for $r\equiv0$, and no more than $20u\sin\theta$ at the nearest miss, which stays the largest. This is at most $0.13u$ for $M\ge1000$; for smaller $M$ all errors are negligible against $g$.
#
# *Labels.* Let $c_0\delta=\ln N+2g$. By {eq}`eq-match2-float` $\kappa c_0u\le g-\ln2$. Replacing $c_0$ by $c\ge c_0$ multiplies the left side by $c/c_0$, and raises the margin to $\tfrac12(c\delta-\ln N)\ge\tfrac c{c_0}g$;
# so log-odds of at least $\ln2$ are left, that is probabilities of $\tfrac23$ and $\tfrac13$. An exponential that doesn't vanish is off by a factor of $1\pm1000u$ at most, and sums of $N$ terms by $1\pm Nu$; together below a quarter, which doesn't reach $\tfrac12$. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 512  # N of the large sequences
modulus: int = 13  # M of the picture, odd and from 5 on
seed: int = 0  # of every random draw on this page
exhaustive_tokens: int = 5  # all inputs are run for each N up to this
exhaustive_modulus: int = 7  # ... and each M up to this
num_inputs: int = 24  # hard sequences at each large M; 60 were run too
modulus_grid: list[int] = [4, 16, 64, 256, 1024, 4096, 16384]  # M, for the bits
bit_tokens: int = 16  # N there

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import ranges, require, usual_ranges

quick = {"num_tokens": 128, "exhaustive_modulus": 6, "num_inputs": 20}

usual_ranges()
ranges(
    num_inputs=1,
    num_tokens=(2, 2048),
    modulus=(5, 61),
    exhaustive_tokens=(1, 6),
    exhaustive_modulus=(2, 8),
    bit_tokens=(3, 256),
)
require(modulus % 2 == 1, f"modulus must be odd (the picture), got {modulus}")
require(
    len(set(modulus_grid)) >= 3,
    f"modulus_grid needs three different M for a slope, got {modulus_grid}",
)
ranges(modulus_grid=4)
require(
    max(modulus_grid) <= 2**20,
    f"modulus_grid's entries must be at most 2^20 (52 bits), got {max(modulus_grid)}",
)

# %% [markdown]
# ## The construction

# %% tags=["hide-input"]
import math

import pandas as pd
from IPython.display import display
from scipy.special import expit

from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.matching import (
    PrecisionError,
    gap,
    match2_format,
    match2_others_unit,
    match2_parabola_unit,
)
from attention_limits.constructions.planar_matching import match2_planar_unit, match2_residual_unit
from attention_limits.fixed_point import FixedPoint, SaturationError
from attention_limits.problems.grading import grade
from attention_limits.problems.matching import Match2Others

# The matrices of this page are small: more threads would only wait for each other.
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(seed)  # small exact checks: all on the CPU

# %% [markdown]
# `match2_unit(problem)` is the unit of {prf:ref}`lem-match2-margin`: residues go in, the probabilities of label 1 come out. Of the tokens 2, 3, 8 and 10 the first and the last have a partner modulo 12.

# %%
match2_unit(Match2(4, 12))(torch.tensor([[2, 3, 8, 10]])).tolist()

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-circle", "caption": "Top: the residues on the circle. The token x looks for its mirror image −x; the next residues on either side are the nearest misses. Bottom: the scores of all residues. The blank's score lies between a partner and the nearest misses; the more tokens there are, the closer to the partner, since many misses may stand against one."}, "image": {"alt": "Top: points on a circle, one for each residue. An arrow leads from the point of x across the horizontal axis to its mirror image minus x, which is filled; its two neighbours are marked as nearest misses. Bottom: scores fall on both sides of the residue minus x like a cosine. A horizontal line, the blank's score, lies between the top point and its neighbours."}}
shown_token, shown_margin, shown_tokens = 2, 2.0, 4
shown_unit = match2_unit(Match2(shown_tokens, modulus), margin=shown_margin)
angle = 2 * np.pi * np.arange(modulus) / modulus
wanted = -shown_token % modulus
misses = [(wanted - 1) % modulus, (wanted + 1) % modulus]
colors = {shown_token: figures.BLUE, **dict.fromkeys(misses, figures.ORANGE), wanted: figures.GREEN}
fig, (circle, scores) = plt.subplots(2, 1, figsize=(6, 6.4), height_ratios=[1.25, 1])
circle.add_patch(plt.Circle((0, 0), 1, fill=False, color="#c8c8c8"))
circle.axhline(0, color="#c8c8c8", linewidth=1, linestyle=":")
for residue, a in enumerate(angle):
    color = colors.get(residue, "#b0b0b0")
    circle.plot(np.cos(a), np.sin(a), "o", color=color, markersize=9)
    circle.text(1.2 * np.cos(a), 1.2 * np.sin(a), residue, ha="center", va="center", fontsize=12)
x, y = np.cos(angle[shown_token]), np.sin(angle[shown_token])
arrow = {"arrowstyle": "-|>", "color": figures.BLUE}
circle.annotate("", (x, -y + 0.06), (x, y - 0.06), arrowprops=arrow)
asks = f"$x={shown_token}$ asks\nfor $-x={wanted}$"
circle.text(x - 0.1, 0.06, asks, ha="right", va="bottom", fontsize=12)
circle.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal")
circle.axis("off")
offset = np.arange(-(modulus // 2), modulus // 2 + 1)
height = shown_unit.scale * np.cos(2 * np.pi * offset / modulus)
fine = np.linspace(offset[0], offset[-1], 400)
scores.plot(fine, shown_unit.scale * np.cos(2 * np.pi * fine / modulus), color="#c8c8c8")
palette = [
    figures.GREEN if r == 0 else figures.ORANGE if abs(r) == 1 else "#b0b0b0" for r in offset
]
scores.scatter(offset, height, c=palette, zorder=3)
scores.axhline(shown_unit.blank_score, color=figures.PINK)
scores.annotate(
    "blank", (offset[-1], shown_unit.blank_score), ha="right", va="top", color=figures.PINK
)
scores.set(xlabel="$x_i+x_j$, nearest to 0", ylabel="score")
plt.show()

# %% [markdown]
# The code takes for $c$ the next power of two, since multiplying by it rounds nothing, and counts the larger $g$ that this buys. It asks for $g=4+\ln N$
# unless told otherwise.
#
# ### Every input at small sizes
#
# All $M^N$ sequences, for all small $N$ and $M$. We compare the labels with the definition. The *right side* of a label has the output as its probability
# where the label is 1, and 1 minus the output where it is 0; we compare the least such probability with $\sigma(g)$. The other rows of the table are the
# variants that follow below.

# %% tags=["hide-input"]
kinds = {
    "circle": match2_unit,
    "parabola": match2_parabola_unit,
    "m = 2, residual": match2_residual_unit,
}
small = []
oracle_misses = 0
for tokens in range(1, exhaustive_tokens + 1):
    for size in range(2, exhaustive_modulus + 1):
        problem = Match2(tokens, size)
        inputs = problem.all_inputs()
        oracle_misses += int((problem.target(inputs) != problem.brute_force(inputs)).sum())
        units = {name: build(problem, margin=1.0) for name, build in kinds.items()}
        units["j ≠ i"] = match2_others_unit(Match2Others(tokens, size))
        for name, unit in units.items():
            single = grade(unit, unit.problem, inputs)
            found = grade(unit.double(), unit.problem, inputs)
            # The residual unit promises what was asked for, the others what c gives.
            promise = 0.5 if name == "j ≠ i" else expit(1.0 if "residual" in name else unit.margin)
            wrong = found.wrong, single.wrong
            small.append((name, found.num_labels, *wrong, found.right_side - promise))
spare = "least right side − promise"
columns = ["unit", "labels", "wrong, float64", "wrong, float32", spare]
small = pd.DataFrame(small, columns=columns).groupby("unit", sort=False)
table = small.sum().assign(**{spare: small[spare].min()})
figures.table(table, {"labels": "{:,}", spare: "{:.1e}"})

# %% [markdown]
# The promise is $\sigma(g)$, and $\tfrac12$ for the last unit. A zero, up to rounding, says that the bound is attained.
#
# ### The largest M of a float type
#
# {prf:ref}`lem-match2-float` gives the largest $M$; the unit refuses a larger one when it is called. Where do floats really fail? We let the unit run
# beyond its limit on hard sequences:
# a token among near misses on either side, in every second sequence with a single partner. For $j\ne i$ the token has $2x\equiv0$ in half of the
# sequences, with a second one like it or without.


# %% tags=["hide-input"]
def hard_sequences(tokens, size, count, own=False):
    """A token and the nearest misses around it; every second sequence has a partner too.

    With ``own`` the token is its own partner in two of four sequences.
    """
    base = torch.randint(0, size, (count, 1), generator=generator)
    if own:
        half = size // 2 if size % 2 == 0 else 0
        base[2::4], base[3::4] = half, half
    side = torch.randint(0, 2, (count, tokens), generator=generator) * 2 - 1
    inputs = (side - base) % size
    inputs[:, :1] = base
    inputs[::2, 1:2] = -base[::2] % size
    return inputs


def unit_of(name, tokens, size, dtype):
    """A unit of one kind in a float type."""
    if name == "j ≠ i":
        return match2_others_unit(Match2Others(tokens, size)).to(dtype)
    return kinds[name](Match2(tokens, size)).to(dtype)


def wrong_at(name, tokens, size, dtype):
    """Wrong labels on hard sequences with the refusal switched off."""
    unit = unit_of(name, tokens, size, dtype)
    unit.check_precision = lambda: None
    inputs = hard_sequences(tokens, size, num_inputs, own=name == "j ≠ i")
    return grade(unit, unit.problem, inputs).wrong


limits = {
    (name, dtype): unit_of(name, num_tokens, 2, dtype).largest_modulus(dtype)
    for name in (*kinds, "j ≠ i")
    for dtype in (torch.float32, torch.float64)
}
factors = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0]
runs = []
for (name, dtype), limit in limits.items():
    for factor in factors:
        wrong = wrong_at(name, num_tokens, int(limit * factor), dtype)
        runs.append((name, str(dtype)[6:], limit, factor, wrong))
# An odd modulus has one residue that is its own partner, an even one has two.
others_wrong, others_lengths = 0, (2, 16, 128)
for tokens in others_lengths:
    for dtype in (torch.float32, torch.float64):
        limit = unit_of("j ≠ i", tokens, 2, dtype).largest_modulus(dtype)
        others_wrong += sum(wrong_at("j ≠ i", tokens, size, dtype) for size in (limit - 1, limit))
runs = pd.DataFrame(runs, columns=["unit", "type", "accepted M", "factor", "wrong"])
labels = num_inputs * num_tokens
caption = f"Wrong labels, of {labels:,}, at multiples of the largest M that the unit accepts"
shown = runs.pivot(index=["unit", "type", "accepted M"], columns="factor", values="wrong")
shown = shown.sort_index(level=[1, 0]).style.set_caption(caption)
display(shown.format_index("× {:g}", axis=1).format_index("{:,}", level=2))
refused = 0
for (name, dtype), limit in limits.items():
    try:
        unit = unit_of(name, num_tokens, limit + 1, dtype)
        unit(torch.zeros(1, num_tokens, dtype=torch.int64))
    except PrecisionError:
        refused += 1
figures.prose(
    "Nothing fails at or below the limit. For $M=10^9$ the difference $1-\\cos\\theta$ in float64 "
    f"is {1 - math.cos(2 * math.pi / 10**9):g}, while $2\\sin^2(\\pi/M)$ is {gap(10**9):.3g}. In "
    "float32 it would be lost from about "
    f"$M\\approx2\\pi/\\sqrt{{u}}={2 * math.pi / math.sqrt(2**-24):,.0f}$ on."
)

# %% [markdown]
# ### How many bits
#
# In fixed point, share $c=2^k$ between query and key, so that both have entries of the size of $\sqrt c$.
#
# :::{prf:lemma} (bits, ours)
# :label: lem-match2-bits
#
# Let $c=AB$ with $A=2^{\lceil k/2\rceil}$ and $B=2^{\lfloor k/2\rfloor}$, multiply the keys by $B$ and divide the queries by it. If all entries are rounded to $f$ fractional bits, $h=2^{-f-1}$, and
#
# ```{math}
# :label: eq-match2-bits
# h\big(\sqrt2(A+B)+B\big)+2h^2<\tfrac g2 ,
# ```
#
# all labels are right. So, if $c\ge g^2$, $p\le2\log_2M+\log_2\frac{\ln N+2g}g+O(1)$ bits are enough; with $g\ge\ln N$, $2\log_2M+O(1)$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Let $w$ and $v$ be the first two coordinates of a query and of a key, with $\norm w=A$ and $\norm v=B$, and let rounding add $e$ and $e'$, $\norm e,\norm{e'}\le\sqrt2h$. The score moves by at most
# $\norm w\norm{e'}+\norm v\norm e+\norm e\norm{e'}\le\sqrt2h(A+B)+2h^2$. The blank's key is $B$, a power of two and not rounded; its query coordinate $b/B$ is off by $h$, so its score by $hB$.
# The margin shrinks from $g$ to more than $g/2$, which also leaves room for the float64 sums of the simulation.
# As $A,B\le\sqrt{2c}$ and $h\le1$, an $f$ with $2^f=O(\sqrt c/g)$ is enough. The largest entry is $A$, hence $\lceil k/2\rceil+1$ integer bits: in all $p\le\log_2c+\log_2\frac1g+O(1)$, where
# $c\le2(\ln N+2g)/\delta$ and $\delta=2\sin^2\frac\pi M\ge\frac8{M^2}$. $\blacksquare$
# :::
#
# Against this we measure the fewest bits without a mistake on hard sequences, for residues spread over the circle. Each residue stands among
# nearest misses alone, and beside a single partner among tokens that are far away.


# %% tags=["hide-input"]
def right_with(form, size):
    """Whether a format makes no mistake on hard sequences around up to 256 residues."""
    unit = match2_unit(Match2(bit_tokens, size), form=form).double()
    base = torch.arange(0, size, max(1, size // 256)).unsqueeze(1)
    blocks = []
    for step in (-1, 1, 0):
        # The others of a partner lie far away, on the other side of the circle.
        crowd = ((step if step else size // 2) - base) % size
        inputs = torch.cat([base, crowd.expand(-1, bit_tokens - 1)], dim=1)
        if step == 0:
            inputs[:, 1:2] = -base % size
        blocks.append(inputs)
    try:
        return grade(unit, unit.problem, torch.cat(blocks)).wrong == 0
    except SaturationError:
        return False


bits = []
for size in modulus_grid:
    form = match2_format(Match2(bit_tokens, size))
    fewest = form
    while fewest.fraction_bits and right_with(
        smaller := FixedPoint(form.integer_bits, fewest.fraction_bits - 1), size
    ):
        fewest = smaller
    bits.append((size, math.log2(size), form.bits, fewest.bits, right_with(form, size)))
bits = pd.DataFrame(bits, columns=["M", "log2 M", "proved", "measured", "right"])
slopes = {kind: np.polyfit(bits["log2 M"], bits[kind], 1)[0] for kind in ("proved", "measured")}
intercept = (bits["proved"] - 2 * bits["log2 M"]).max()

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-match2-bits", "caption": "Bits of a number in fixed point: proved to be enough, and fewest found without a wrong label. The dotted line has slope 2."}, "image": {"alt": "Bits against the base-two logarithm of M. Both curves rise in steps along a dotted line of slope two; the measured one lies a few bits below the proved one."}}
fig, axes = plt.subplots(figsize=(6, 3.8))
axes.plot(bits["log2 M"], bits["proved"], "o-", color=figures.BLUE, label="proved to be enough")
label = "fewest without a wrong label"
axes.plot(bits["log2 M"], bits["measured"], "s-", color=figures.ORANGE, label=label)
axes.plot(bits["log2 M"], 2 * bits["log2 M"] + intercept, ":", color=figures.GREY, label="slope 2")
axes.set(xlabel="$\\log_2M$", ylabel="bits $p$", ylim=(0, None))
axes.legend()
plt.show()

# %%
figures.prose(
    f"The slopes are {slopes['proved']:.2f} (proved) and {slopes['measured']:.2f} (measured): two "
    "bits for each bit of $M$, as $c\\approx M^2$. The proved formats have at most "
    f"$2\\log_2M+{intercept:.0f}$ bits at $N={bit_tokens}$."
)

# %% [markdown]
# ### Integers on a parabola
#
# Cosines aren't needed: integers do as well. Modulo 12 a token 2 looks for $-2$, and a token 10 is a $-2$. In general let $z$ and $t$ be the representatives
# of $x_j$ and of $-x_i$ that are nearest to 0 ($-\frac M2$ where $\frac M2$ is as near), and put the keys on a parabola.
#
# :::{prf:proposition} (integers, ours)
# :label: prop-match2-parabola
#
# With the query $c(2t,-1,t^2-\tfrac12)$, the key $(z,z^2,0)$, the blank's key $(0,0,1)$ and a power of two $c\ge2\ln N+2g$, $c\ge2$, the right side of each label gets at least $\sigma(g)$. Labels are right in
# floats with $2\lfloor\tfrac M2\rfloor^2\le1/u$, if $Nu$ is small: $M\le5{,}793$ in float32 and $M\le2^{27}+1$ in float64.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# The score is $c(2tz-z^2)=c(t^2-(t-z)^2)$. Partners have $z=t$ and score $ct^2$. All others are different integers and score at most $c(t^2-1)$. The blank scores $c(t^2-\tfrac12)$, so the log-odds are at least
# $\tfrac c2$ with a partner and at most $\ln N-\tfrac c2\le-g$ without.
#
# In floats, the entries $2ct$, $-c$ and the products $2ctz$, $cz^2$ are $c$ times integers of absolute value at most $2\lfloor\tfrac M2\rfloor^2\le1/u$, and the last entry, which is the blank's score, is $\tfrac c2$ times such an integer,
# $2t^2-1$. All of them are exact. Only the sum $2tz-z^2$ may be rounded.
# For a partner it is $t^2$, and exact. For another token it is at most $t^2-1$, which is a float; rounding is monotone, so the rounded sum is at most $t^2-1$ too. $\blacksquare$
# :::
#
# ### Two dimensions
#
# The third coordinate serves the blank alone. With a **residual connection**, the output map also sees the token itself, and can check what has been found.
#
# :::{prf:proposition} (m = 2 with a residual, ours)
# :label: prop-match2-residual
#
# Let $v_j=(\cos\theta x_j,\sin\theta x_j)$ be key and value, $r_i=(\cos\theta x_i,-\sin\theta x_i)$, the query $c\,r_i$ with $c\,\delta\ge\ln N+2g$, $g\ge1$, and $y_i$ the attended mean. Then $D_i=(1-\inner{y_i}{r_i})/\delta$
# is at most $e^{-2g}$ if token $i$ has a partner, and at least 1 if not. The output $\sigma(2g(1-2D_i))$ gives the right side at least $\sigma(g)$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# $D_i=\sum_jp_{ij}d_j$ with $d_j=(1-\cos\theta(x_i+x_j))/\delta$, which is 0 for partners and at least 1 for others. Without a partner the mean is at least 1. With one, another token's weight is at most
# $e^{-c\delta d_j}$; as $d\,e^{-c\delta d}$ falls for $d\ge1\ge\tfrac1{c\delta}$, the sum is at most $(N-1)e^{-c\delta}<e^{-2g}$. Finally $2g(1-2e^{-2g})\ge g$, since $e^{-2g}\le\tfrac14$ for $g\ge1$, and $2g(1-2)\le-g$. $\blacksquare$
# :::
#
# :::{prf:proposition} (floats for m = 2, ours)
# :label: prop-match2-residual-float
#
# In floats the labels of this unit are right under the conditions of {prf:ref}`lem-match2-float` if moreover $\delta\ge8(2N+16)u$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Weights.* Two scores, both of tokens, are off by less than $2\kappa cu$ relative to each other. With $c_0\delta=\ln N+2g$ and $\kappa c_0u\le g-\ln2$, another token's weight relative to a partner's is at most
# $e^{-c\delta d+2\kappa cu}\le e^{\frac c{c_0}(-(\ln N+2g)d+2g-2\ln2)}$. Times $d$ this falls for $d\ge1$, and at $d=1$ it is at most $\frac1{4N}$. So with a partner $D_i\le\frac14$, if nothing else were rounded. Without one
# all $d_j\ge1$, and $D_i\ge1$ whatever the weights are.
#
# *The mean and the difference.* Let $\hat p_j$ be the weights as computed. Then $\sum_j\hat p_j\inner{v_j}{r_i}=\sum_j\hat p_j-\delta\sum_j\hat p_jd_j$. An exponential's error stands above and below the fraction alike, so $\sum_j\hat p_j$ is off from 1 by the
# rounding of sum and quotient alone, $(N+1)u$. Rounded entries of $v_j$ and $r_i$ move the product by at most $2\sqrt2\,\kappa_0u<3u$, with $\kappa_0\le1$ as before, the sum $y_i$ by $Nu$ (since $\sum_j\hat p_j(\abs{r_1v_1}+\abs{r_2v_2})\le1$ up to rounding), its product
# with $r_i$ by $2u$, and the subtraction from 1 by $u$. In all that is less than $(2N+16)u\le\frac\delta8$, up to terms of order $u^2$. So the computed $D_i$ is at most $\frac38$ with a partner and at least $\frac78$ without, and the threshold is $\frac12$. $\blacksquare$
# :::
#
# The unit computes the small difference $1-\inner{y_i}{r_i}$ from sums over $N$ tokens. This is why its float limit is lower, and falls with $N$; the
# table above shows that in truth it goes further.
#
# Without a residual, and with the values of the theorem's unit, three dimensions are needed from $M=5$ on if the labels have a margin.
#
# :::{prf:proposition} (m = 3 is least, ours)
# :label: prop-match2-least
#
# Let the value be 1 for tokens and 0 for the blank, and let the output be the label's probability: no residual and no map follow. Queries and keys may be any functions of a token's residue and position. Let $N\ge2$, and let the right side of every label get at least
# $\sigma(g)$ with $e^g\ge\frac{1+\sqrt5}2$, that is $g\ge0.482$. Then $m\ge3$ for every $M\ge5$. For $M=3$ and $M=4$, $m=2$ is enough, for every $g$, and least.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Every partner is alone in a half-plane.* Fix two positions $i\ne j$. Let $\Delta_z$ be the key of the residue $z$ at position $j$ less the blank's key, and let $2y\not\equiv0$. Put $x=-y$ at position $i$ and everywhere else, and $z$ at position $j$. With the query $r_y$
# of $x$ at position $i$ the odds of the tokens against the blank are $A+e^{\inner{r_y}{\Delta_z}}$, where $A$ does not depend on $z$. For $z\ne y$ label $i$ is 0, since $2x\not\equiv0$ too, so both terms are at most $e^{-g}$: hence $\inner{r_y}{\Delta_z}<0$. For $z=y$ it is 1, so that
# $e^{\inner{r_y}{\Delta_y}}\ge e^g-A\ge e^g-e^{-g}\ge1$, and $\inner{r_y}{\Delta_y}\ge0$.
#
# *In the plane at most three are.* For $M\ge5$ there are at least four residues $y$ with $2y\not\equiv0$. Let $m\le2$. With the query of one of them the $\Delta$ of three others lie in an open half-plane. The one between, $\Delta_b$, is
# $\alpha\Delta_a+\beta\Delta_c$ with $\alpha,\beta\ge0$, not both 0. So $0\le\inner{r_b}{\Delta_b}=\alpha\inner{r_b}{\Delta_a}+\beta\inner{r_b}{\Delta_c}<0$: a contradiction.
#
# *$M=3$ and $M=4$.* Let the blank's key be 0. Residues with $2x\equiv0$ have the query $-c(1,1)$ and the key $(-1,-1)$, the residue 1 has $c(0,1)$ and $(2,-1)$, and $-1$ has $c(1,0)$ and $(-1,2)$. Each pair scores $2c$, and the queries for $\pm1$ score $-c$ with all others. With
# $c=\ln N+g$ the odds are at least $e^{2c}$ with a partner and at most $Ne^{-c}=e^{-g}$ without. A line is not enough: $r_1$ and $r_{-1}$ would have the same sign because of $\Delta_0$, on which both are negative, and different signs because of $\Delta_1$. $\blacksquare$
# :::
#
# We run that unit, and look for planar ones by gradient ascent on the least margin, in nats, over all labels at $N=2$. Where a unit exists the margin grows without end; in the plane at $M=5$ it stays below $\ln\frac{1+\sqrt5}2$, but not at 0: with a small margin something is possible.

# %% tags=["hide-input"]
planar_wrong, planar_spare = 0, math.inf
for tokens in range(1, exhaustive_tokens + 1):
    for size in (2, 3, 4):
        unit = match2_planar_unit(Match2(tokens, size), margin=1.0)
        planar_wrong += grade(unit, unit.problem).wrong
        found = grade(unit.double(), unit.problem)
        planar_wrong += found.wrong
        planar_spare = min(planar_spare, found.right_side - expit(unit.margin))


def best_margin(size, dim, starts=24, steps=100):
    """The largest margin that gradient ascent finds for any keys and queries of the residues, N = 2."""
    drawn = {"generator": generator, "dtype": torch.float64}
    entries = torch.randn(2, starts, size, dim, **drawn)
    partner = -torch.arange(size) % size
    others = torch.arange(size) != partner.unsqueeze(1)
    own_partner = partner == torch.arange(size)
    best = -math.inf
    for step in range(steps):  # normalised steps, more cautious from one to the next
        entries.requires_grad_()
        scores = entries[0] @ entries[1].mT  # of each query with each key, against the blank's 0
        log_odds = torch.logaddexp(scores, scores.diagonal(dim1=1, dim2=2).unsqueeze(2))
        signed = torch.where(others & ~own_partner.unsqueeze(1), -log_odds, log_odds)
        best = max(best, signed.flatten(1).amin(dim=1).max().item())
        loss = torch.logsumexp(-8 * signed.flatten(1), dim=1).sum()
        (slope,) = torch.autograd.grad(loss, entries)
        length = slope.square().sum(dim=(0, 2, 3), keepdim=True).sqrt()
        entries = (entries - 0.98**step * slope / length).detach()
    return best


golden = math.log((1 + math.sqrt(5)) / 2)
margins = {(size, dim): best_margin(size, dim) for size, dim in ((4, 2), (5, 2), (5, 3))}
shown = pd.DataFrame([(*key, margin) for key, margin in margins.items()], columns=["M", "m", "g"])
caption = f"The largest margin found, N = 2; m = 2 is excluded from {golden:.3f} on for M ≥ 5"
figures.table(shown, {"g": "{:.2f}"}, caption, index=False)

# %% [markdown]
# ### Another token
#
# Now let the partner be another token, $j\ne i$. A token with $2x_i\equiv0$ still finds itself. So the unit must tell one match from two, and softmax does so by the
# weight alone. Give the blank the score $c+\tfrac12\ln2$ for these queries: labels are right, but barely.
#
# :::{prf:proposition} (j ≠ i, ours)
# :label: prop-match2-others
#
# With this blank and $c\,\delta\ge\ln N+2g$, where $e^{-2g}<\sqrt2-1$, all labels with $j\ne i$ are right. On the other hand, let a unit's scores depend on the two residues and on nothing else, with value 1 for tokens and 0 for a blank, and let $N\ge2$. Then some right side gets no more than
#
# ```{math}
# :label: eq-match2-ceiling
# \frac{\sqrt2}{1+\sqrt2}=2-\sqrt2\approx0.586 .
# ```
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Labels.* Let $2x_i\equiv0$. Tokens that are no partners weigh at most $Ne^{c-c\delta}\le e^{c-2g}$ together. So without another partner the odds against the blank are at most $(1+e^{-2g})/\sqrt2<1$, and with one at least
# $2/\sqrt2=\sqrt2$. For other queries token $i$ is no partner of itself, and {prf:ref}`lem-match2-margin` holds.
#
# *Ceiling.* Take $x$ with $2x\equiv0$ and $z$ with $x+z\not\equiv0$, and let $F$ and $G$ be the weights $e^s$ of the residues $x$ and $z$ for the query $x$, relative to the blank's. On $(x,z,\dots,z)$ the first label is 0 and the odds are $F+(N-1)G=:\rho$. On $(x,x,z,\dots,z)$ it is 1 and
# they are $2F+(N-2)G\le2\rho$. The right sides get $\frac1{1+\rho}$ and at most $\frac{2\rho}{1+2\rho}$. One falls and the other grows with $\rho$; they meet at $\rho=1/\sqrt2$, in {eq}`eq-match2-ceiling`. $\blacksquare$
# :::
#
# So little room costs precision: a score may be off by a fraction of 1 only, where the unit that allows $j=i$ has a margin of $g$.
#
# :::{prf:proposition} (floats for j ≠ i, ours)
# :label: prop-match2-others-float
#
# Let $c$ be the least power of two with $c\,\delta\ge\ln N+2g$, $\lambda=\tfrac12\ln2-\ln(1+e^{-2g})>0$ and $R=4(N+1000)u<\lambda$. In floats the labels of this unit are right if
#
# ```{math}
# :label: eq-match2-others-float
# 2\sin^2\frac\pi M\;\ge\;\kappa u\,\frac{2(\ln N+2g)}{\min(\frac\lambda2,\,\lambda-R)},
# ```
#
# with $\kappa$ as in {prf:ref}`lem-match2-float`.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Here $c<2(\ln N+2g)/\delta$, so that {eq}`eq-match2-others-float` says $\kappa cu<\lambda-R$. The tokens' log-odds against the blank are, by the proof above, at most $\ln\frac{1+e^{-2g}}{\sqrt2}=-\lambda$ for a 0 and at least $\ln\sqrt2\ge\lambda$ for a 1; for queries
# with $2x_i\not\equiv0$ at least $g>\frac12\ln2>\lambda$ in absolute value, as $e^{-2g}<\sqrt2-1<\tfrac12$ implies $g>\frac12\ln2$. Scores move them by less than $\kappa cu$ ({prf:ref}`lem-match2-float`). Exponentials are off by factors of $1\pm1000u$ on either side, which makes $2000u$; the sum below the
# fraction and the sum of the weights are off by $Nu$ each, quotients by $u$, and a factor $1+\epsilon$ of an output of $\frac12$ moves its log-odds by $2\epsilon$: in all less than $4(N+1000)u=R$. What is left keeps the sign. $\blacksquare$
# :::

# %% tags=["hide-input"]
ceiling = math.sqrt(2) / (1 + math.sqrt(2))
alone = torch.tensor([[0, *[7] * 7]])
paired = torch.tensor([[0, 0, *[7] * 6]])
attained = []
for asked in (1.0, 2.0, 4.0, 8.0):
    unit = match2_others_unit(Match2Others(8, 101), margin=asked).double()
    attained.append((asked, 1 - unit(alone)[0, 0].item(), unit(paired)[0, 0].item()))
attained = pd.DataFrame(attained, columns=["g", "no partner", "one partner"])
# Every score of the blank, on a grid around c: the worse of the two right sides.
unit = match2_others_unit(Match2Others(8, 101), margin=8.0).double()
usual, any_blank = unit.queries, []
for shift in np.linspace(-3, 3, 121):
    score = torch.tensor([0.0, 0.0, shift - math.log(2) / 2])
    unit.queries = lambda x, score=score: usual(x) + score
    any_blank.append(min(1 - unit(alone)[0, 0].item(), unit(paired)[0, 0].item()))
formats = {"g": "{:g}", "no partner": "{:.4f}", "one partner": "{:.4f}"}
caption = "Probability of the right side where 2x ≡ 0, whatever g"
figures.table(attained, formats, caption, index=False)

# %% [markdown]
# ### Sabotage
#
# Two broken units: the *sign* of the sine is wrong; or the *blank* scores 0. A third one, which computes $\delta$ as the difference $1-\cos\theta$,
# can't even be built for large $M$.

# %% tags=["hide-input"]
problem = Match2(4, 7)
inputs = problem.all_inputs()
broken = {}
unit = match2_unit(problem).double()
honest = unit.queries
unit.queries = lambda x: honest(x) * torch.tensor([1.0, -1.0, 1.0])
broken["sign of the sine"] = grade(unit, problem, inputs).wrong
unit.queries = lambda x: honest(x) * torch.tensor([1.0, 1.0, 0.0])
broken["blank at score 0"] = grade(unit, problem, inputs).wrong
counts = ", ".join(f"{name}: {count:,}" for name, count in broken.items())
figures.prose(f"Wrong labels, of {inputs.numel():,}: {counts}.")

# %% [markdown]
# ## Checks


# %% tags=["hide-input"]
# fmt: off
def wrong_of(name):
    """Wrong labels of one kind of unit on all small inputs, in both float types."""
    return int(table.loc[name, ["wrong, float64", "wrong, float32"]].sum())


def rounded_entries(size):
    """Numbers of the integer unit that float32 can't hold: all entries, and the products at the extreme residues."""
    unit = match2_parabola_unit(Match2(num_tokens, size))
    residues = torch.arange(size).unsqueeze(0)
    queries, keys = unit.queries(residues)[0], unit.keys(residues)[0]
    extreme = queries[[1, size // 2 - 1, size // 2, size // 2 + 1, size - 1]]
    numbers = torch.cat([queries, keys, (extreme.unsqueeze(1) * keys).flatten(0, 1)])
    return int((numbers.float().double() != numbers).sum())


within = runs[runs["factor"] <= 1]
every = match2_unit(Match2(101, 101)).double()
every_score = every.attention.scores(every.tokens(torch.arange(101).unsqueeze(0)))[0]
rank = int(torch.linalg.matrix_rank(every_score))
claim("thm-6.oracle", oracle_misses, "==", 0,
    statement="The oracle and the definition agree: no exception among the labels on all small inputs.")
claim("thm-6.every-input", wrong_of("circle"), "==", 0, source="P",
    statement=f"The unit with m = 3 gives all labels right: no exception on all inputs, N ≤ {exhaustive_tokens} and "
    f"M ≤ {exhaustive_modulus}, float32 and float64.")
claim("thm-6.dimension", rank, "==", 3, source="P",
    statement="The matrix of scores, of all residues modulo 101 with all of them and the blank, has rank 3.")
claim("thm-6.margin", table.loc["circle", spare], ">=", 0.0, tolerance=1e-12, note="float64",
    statement=r"The right side gets at least $\sigma(g)$: the least probability minus $\sigma(g)$, over the same "
    "inputs.")
tight = match2_unit(Match2(num_tokens, 101), margin=1.5).double()
tight_output = tight(torch.full((1, num_tokens), 51)).logit()
claim("thm-6.margin-attained", (tight_output + tight.margin).abs().max().item(), "<=", 0.0, tolerance=1e-9,
    note="float64 scores of size c",
    statement=f"Where all {num_tokens} tokens are nearest misses the log-odds are −g, M = 101: the largest distance.")
claim("thm-6.float-limits", int(within["wrong"].sum()), "==", 0,
    statement="All labels of all units are right up to the largest M that they accept: no exception on hard "
    f"sequences of {num_tokens} tokens.")
claim("thm-6.refused", refused, "==", len(limits),
    statement="Every unit, in either float type, refuses one more than its largest M when called.")
circle_single = runs[(runs["unit"] == "circle") & (runs["type"] == "float32")]
claim("thm-6.others-limit", others_wrong, "==", 0,
    statement="The unit for j ≠ i gives all labels right at its largest M and at the one before: no exception on "
    f"hard sequences, both float types, N = {', '.join(map(str, others_lengths))}.")
observed("thm-6.float-fails", int(circle_single.loc[circle_single["factor"] == max(factors), "wrong"].sum()), ">", 0,
    statement=f"The circle in float32 does make mistakes at {max(factors):g} times its proved limit: wrong labels.")
claim("thm-6.bits", int((~bits["right"]).sum()), "==", 0, source="P~",
    statement=f"The proved format makes no mistake on hard sequences: no exception among {len(bits)} moduli.")
observed("thm-6.bits-slope", slopes["proved"], "<=", 2.0, tolerance=0.15, note="p and log₂ c are whole numbers",
    statement="The proved format takes at most two bits for each bit of M, fitted.")
observed("thm-6.bits-slope-measured", abs(slopes["measured"] - 2), "<=", 0.3,
    statement="The fewest bits that work grow with slope 2 too: the distance of the slope from 2.")
claim("thm-6.parabola", wrong_of("parabola"), "==", 0,
    statement="The integer unit gives all labels right: no exception on all small inputs.")
claim("thm-6.parabola-limit", rounded_entries(limits["parabola", torch.float32]), "==", 0,
    statement="At its float32 limit nothing is rounded: no exception among the entries of queries and keys and the "
    "products of the two.")
claim("thm-6.parabola-limit-sharp", rounded_entries(limits["parabola", torch.float32] + 1), ">", 0,
    statement="At the next M some of them are rounded.")
claim("thm-6.two-dimensions", wrong_of("m = 2, residual"), "==", 0,
    statement="The unit with m = 2 and a residual gives all labels right: no exception on all small inputs.")
claim("thm-6.planar", planar_wrong, "==", 0,
    statement="The unit with m = 2 and no residual gives all labels right for M = 2, 3, 4: no exception on all small "
    "inputs, in both float types.")
claim("thm-6.planar-margin", planar_spare, ">=", 0.0, tolerance=1e-12, note="float64",
    statement=r"For that unit, too, the right side gets at least $\sigma(g)$: the least probability minus "
    r"$\sigma(g)$.")
claim("thm-6.no-plane", margins[5, 2], "<", golden,
    statement="In two dimensions the largest margin that the search finds for M = 5, N = 2 is below "
    r"$\ln\frac{1+\sqrt5}2$.")
observed("thm-6.some-space", min(margins[4, 2], margins[5, 3]), ">=", 2.0,
    statement="For M = 4 in two dimensions and for M = 5 in three the same search finds a margin of at least 2: the "
    "less of the two.")
claim("thm-6.others", wrong_of("j ≠ i"), "==", 0,
    statement="The unit for j ≠ i gives all labels right: no exception on all small inputs.")
claim("thm-6.ceiling", attained[["no partner", "one partner"]].min(axis=1).max(), "<=", ceiling, tolerance=1e-12,
    note="float64",
    statement=r"Where 2x ≡ 0 some right side gets no more than $\frac{\sqrt2}{1+\sqrt2}$: the worse one, largest "
    "over g.")
claim("thm-6.ceiling-any-blank", max(any_blank), "<=", ceiling, tolerance=1e-9, note="float64 scores of size c",
    statement="The same holds for every score of the blank on a grid.")
claim("thm-6.sabotage", min(broken.values()), ">", 0,
    statement="Both broken units give wrong labels: the fewer of the two.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That $m=3$ is least in every form.* With a residual $m=2$ is enough, and we don't say what one dimension can do there. Without one {prf:ref}`prop-match2-least` asks for a margin $g$ of about a half, for values 1 and 0 and for no map behind: an arbitrary map can read any
#   number of things from one number.
# * *That $2\log_2M$ bits are needed.* The parabola also takes about two bits for each bit of $M$, but another encoding might do with fewer.
# * *That the unit can be learned.* The scale $c$ grows like $M^2$; gradient descent has to find it. That is a matter of experiments.
# * *That float limits are sharp.* Those of all four units are proved on this page to be safe. That of the parabola in float32 is the largest for which
#   no entry is rounded. The table shows how much further each unit happens to go on our sequences.
# * *Anything about triples.* The score of a pair is an inner product of two tokens. Three tokens have no such product: that is the paper's next theorem.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-match2-three
#
# Show that for $M=3$ a unit with $m=2$, a blank token with key 0 and no residual computes $\operatorname{Match2}$.
# :::
#
# :::{solution} ex-match2-three
# :class: dropdown
#
# A pair scores $c$, any other two tokens $c\cos\frac{2\pi}3=-\frac c2$, and the blank always 0. The margin is there on its own: with a partner the log-odds are at least $c$, without one at most $\ln N-\frac c2$; take $c=2\ln N+2g$.
# For $M\ge4$ the nearest miss scores at least 0, and the blank needs a score of its own.
# :::
#
# :::{exercise}
# :label: ex-match2-count
#
# Without the condition $j\ne i$, can the output tell *how many* partners a token has? Give the odds, and the largest count that can be told from the next one with probabilities that differ by 0.01.
# :::
#
# :::{solution} ex-match2-count
# :class: dropdown
#
# With $n$ partners and a large $c$ the odds against a blank of score $b$ are $ne^{c-b}$. With $e^{c-b}=\lambda$ the outputs for $n$ and $n+1$ differ by $\frac{\lambda}{(1+n\lambda)(1+(n+1)\lambda)}$, which is largest for
# $\lambda=1/\sqrt{n(n+1)}$, and is then $1/(\sqrt n+\sqrt{n+1})^2$. This is at least 0.01 up to $n=24$. In exact arithmetic any count can be read off.
# :::
#
# ## Reference
#
# {prf:ref}`def-match2` and {prf:ref}`thm-match2` are from {cite}`sanford2023representational`. The constants, the limits of floats, the
# count of bits, the parabola, $m=2$ with a residual, {prf:ref}`prop-match2-least`, $j\ne i$ and all measurements are ours.
