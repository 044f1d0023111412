# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Function composition: where a bound bites
#
# **The question.** Two functions are written down as tables, one entry a token, and one more token asks for $f(g(x))$. A known theorem says that one attention layer needs
# about $n\log_2n$ bits for this, or errs. How good is that bound, at which sizes does it say anything, and what do two layers need?
#
# **In one paragraph.** Let $x=2$. In the table of $g$ one finds $g(2)=5$, and only then one knows where to look in the table of $f$: at 5, and the answer is $f(5)=3$ ({numref}`fig-composition-tables`). The second look-up depends on what the first one found.
# One layer looks only once: while the last token reads $g(x)$, the tokens of $f$ can't know which of them will be wanted, and so they must bring *all* of $f$. Two layers simply look twice, and a few bits are enough.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-composition-tables", "caption": "Function composition on n = 8 points. The last token holds x = 2. A first look finds g(2) = 5 (orange); only then it is known that f(5) = 3 is wanted (blue). In one layer both looks happen at the same time."}, "image": {"alt": "Two rows of eight squares with numbers, the tables of g and of f, and a circle, the last token, with x equal to 2. An orange arrow leads from the circle to the square of g at place 2, which holds 5. A blue arrow leads from there to the square of f at place 5, which holds 3."}}
import matplotlib.pyplot as plt

from attention_limits import figures

figures.use_style()
inner_table, outer_table, asked = [4, 0, 5, 7, 1, 1, 6, 2], [7, 2, 6, 0, 4, 3, 1, 5], 2
reached = inner_table[asked]
fig, axes = plt.subplots(figsize=(6.4, 3))
centred = {"ha": "center", "va": "center"}
rows = (2, "g", inner_table, asked, figures.ORANGE), (0, "f", outer_table, reached, figures.BLUE)
for height, name, table, wanted, color in rows:
    axes.text(-0.9, height, f"${name}$", fontsize=18, **centred)
    for place, entry in enumerate(table):
        fill, ink = (color, "white") if place == wanted else ("#f0f0f0", "black")
        square = {"ec": figures.GREY, "fc": fill}
        axes.add_patch(plt.Rectangle((place - 0.42, height - 0.4), 0.84, 0.8, **square))
        axes.text(place, height, entry, fontsize=16, color=ink, **centred)
        axes.text(place, height - 0.66, place, fontsize=12, color=figures.GREY, **centred)
axes.plot(8.8, 1, "o", markersize=44, color=figures.GREY, markerfacecolor="none")
axes.text(8.8, 1, f"$x={asked}$", fontsize=14, **centred)
for start, end, color, bend in (
    ((8.5, 1.5), (asked + 0.2, 2.45), figures.ORANGE, 0.42),
    ((asked + 0.2, 1.15), (reached - 0.1, 0.46), figures.BLUE, 0),
):
    arrow = {"arrowstyle": "-|>", "color": color, "lw": 2, "connectionstyle": f"arc3,rad={bend}"}
    axes.annotate("", end, start, arrowprops=arrow)
axes.text(5.2, 3.75, "first look", color=figures.ORANGE, fontsize=14, **centred)
axes.text(5.3, 0.95, "second look", color=figures.BLUE, fontsize=14, **centred)
axes.set(xlim=(-1.3, 9.6), ylim=(-0.9, 4))
axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax, entropy. Half a minute on one core.
#
# **On this page.**
#
# * A message about $f$ to somebody who knows $g$ must bring all of $f$, $\lceil\log_2n^n\rceil$ bits, if the answer may never be wrong. [N] {prf:ref}`prop-composition-rows`
# * With fewer bits there are errors: three lower bounds. Fano's is at least the known one as soon as a bit is missing, for $n\ge45$. [N] {prf:ref}`prop-composition-fano`, {prf:ref}`prop-composition-volume`, {prf:ref}`prop-composition-compare`; the known one {prf:ref}`thm-composition`
# * The known bound says nothing about layers of usual sizes until $n$ is large ({numref}`fig-composition-silent`). [P~]
# * Two layers of one head with $m=2$ and $O(\log n)$ bits are enough: they fetch twice. [N] {prf:ref}`lem-fetch`, {prf:ref}`prop-composition-layers`
#
# ## The statement
#
# Write $[n]=\{0,\dots,n-1\}$. The input has $N=2n+1$ tokens: $g(0),\dots,g(n-1)$, then $f(0),\dots,f(n-1)$, then $x$, all in $[n]$; each token knows its position. The last token is to answer $f(g(x))$.
#
# :::{prf:theorem} (cited: Peng, Narayanan and Papadimitriou, Theorem 1)
# :label: thm-composition
#
# A transformer of one layer with $H$ heads of dimension $d$ and $p$-bit numbers answers $f(g(x))$ wrongly with a probability of at least
#
# ```{math}
# :label: eq-composition-cited
# \frac{R}{3\,n\log_2n},\qquad R=n\log_2n-H(d+1)p,
# ```
#
# if $R>0$ {cite}`peng2024limitations`.
# :::
#
# We know this theorem at second hand; two sources agree on {eq}`eq-composition-cited`, and neither says how the inputs are drawn. So what follows is proved from the beginning, for uniform inputs.
#
# **From a layer to a message.** Alice holds $f$; Bob holds $g$; both know $x$, so both know the query of the last token. For each head Bob needs from Alice's tokens the sum of their exponentiated scores and the
# $d$ sums of their values with these weights: $H(d+1)$ numbers, $B=H(d+1)p$ bits in *one message*, which can't depend on $g$. So a bound on messages is a bound on layers. (This takes for granted that $p$ bits are enough for each of these sums; [Theorem 7's page](thm-7-match3.py)
# counts what rounding them costs.)
#
# At $n=2$ Alice has one of four tables, and Bob asks for $f(0)$ or for $f(1)$, whichever his $g(x)$ wants. No two tables answer both questions alike, so she
# must send two bits.
#
# :::{prf:proposition} (rows; ours as far as we found)
# :label: prop-composition-rows
#
# Let $n\ge2$. The table with a row for each $f$, a column for each $g$ and the entry $f(g(x))$ has exactly $n^n$ different rows, for each $x$. So one message from which Bob always finds $f(g(x))$ needs
# $\lceil\log_2n^n\rceil$ bits, and as many are enough.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# There are $n^n$ functions $f$. If $f\ne f'$, they differ at some $i$; in the column of a $g$ with $g(x)=i$ their rows differ. If Alice sent the same message for two of them, Bob would err in that column. Sending the number of
# $f$ takes $\lceil\log_2n^n\rceil$ bits. $\blacksquare$
# :::
#
# Who holds what matters: had Alice held $g$, she would send $g(x)$, $\log_2n$ bits. A bound for layers may choose the hard split.
#
# What if fewer bits are sent? At $n=4$ all of $f$ takes 8 bits. With 4 of them Alice can send $f$ at two of the four points. Bob guesses at the other two,
# and errs with the probability $\frac12\cdot\frac34=\frac38$. How much better can another message be?
#
# :::{prf:proposition} (average error; Fano's inequality)
# :label: prop-composition-fano
#
# Let $n\ge2$, $f$ uniform, $g$ independent of $f$ with $g(x)$ uniform, and let Alice's message have at most $2^B$ values, $0\le B\le n\log_2n$. Then Bob's probability of an error, $\delta$, satisfies
#
# ```{math}
# :label: eq-composition-fano
# h(\delta)+\delta\log_2(n-1)\;\ge\;\log_2n-\frac Bn
# ```
#
# with $h(\delta)=-\delta\log_2\delta-(1-\delta)\log_2(1-\delta)$. So $\delta\ge\delta_F$, the point in $[0,1-\tfrac1n]$ where both sides are equal. Moreover
#
# ```{math}
# :label: eq-composition-gap
# \delta_F\ge1-\beta-\frac1{\log_2n},\qquad\beta=\frac B{n\log_2n},
# ```
#
# and sending $f$ at the first $\lfloor\beta n\rfloor$ points errs with probability at most $1-\beta+\tfrac1n$: both bounds are within $\tfrac1{\log_2n}+\tfrac1n$ of each other. At $B=0$ they agree, $\delta=1-\tfrac1n$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Fano's inequality* {cite}`cover2006elements`. Coins can be fixed to their best outcome, and so can, for each $i=g(x)$, all else that $g$ tells Bob, as it is independent of $f$. So let Alice's message $S$ be a function of $f$, and Bob's answer for $i$ a function $Y_i$ of $S$. Let $\delta_i$ be the probability of
# $Y_i\ne f(i)$ and $E$ its indicator. Given $S$, the pair $(f(i),E)$ and $f(i)$ determine each other, so
# $H(f(i)\mid S)=H(E\mid S)+H(f(i)\mid E,S)\le h(\delta_i)+\delta_i\log_2(n-1)$: if $E=0$ then $f(i)=Y_i$, and if $E=1$ it is one of $n-1$ other points.
#
# *All points together.* $S$ has at most $2^B$ values, so $H(f\mid S)\ge H(f)-H(S)\ge n\log_2n-B$. On the other hand $H(f\mid S)\le\sum_iH(f(i)\mid S)\le\sum_i\big(h(\delta_i)+\delta_i\log_2(n-1)\big)$, and as $h$ is concave, this is at most
# $n\big(h(\delta)+\delta\log_2(n-1)\big)$ with $\delta=\tfrac1n\sum_i\delta_i$, the probability of an error for uniform $i$. Divide by $n$.
#
# *The left side* has the derivative $\log_2\frac{(1-\delta)(n-1)}\delta$, positive for $\delta<1-\tfrac1n$; there it is $\log_2n$, its maximum. So it reaches the right side first at one point $\delta_F$.
#
# *The gap.* $h\le1$ and $\log_2(n-1)\le\log_2n$ give $1+\delta_F\log_2n\ge(1-\beta)\log_2n$. With $k=\lfloor\beta n\rfloor$ points, $n^k\le2^B$ messages are enough; elsewhere Bob guesses, and errs with probability
# $(1-\tfrac kn)(1-\tfrac1n)\le1-\tfrac kn\le1-\beta+\tfrac1n$. At $B=0$ it is $1-\tfrac1n=\delta_F$. $\blacksquare$
# :::
#
# Another bound counts tables. With one bit at $n=2$ Bob has two tables to answer from. So at most two of the four $f$ are answered without any error, and the
# other two with an error at one of the two points at least. The average error is at least $\frac{1+1}{4\cdot2}=\frac14$, and this is attained: Alice sends
# $f(0)$, and Bob guesses $f(1)$.
#
# :::{prf:proposition} (volume; the usual argument for coverings)
# :label: prop-composition-volume
#
# In {prf:ref}`prop-composition-fano` let $2^B=k$ be an integer. Then $\delta\ge\delta_V$, where $\delta_V\,n^{n+1}$ is the least sum of $n^n$ integers $j\ge0$ of which at most $k\binom nj(n-1)^j$ are $j$, for each $j$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# For each message Bob has an answer for each point, a codeword in $[n]^n$. Given $f$, the number of points at which he errs is at least the distance of $f$ from its nearest codeword. A codeword has $\binom nj(n-1)^j$ functions at
# distance $j$, so at most $k$ times as many have $j$ as their least distance. The average over all $f$ and $i$ is the sum of the $n^n$ distances divided by $n^n\cdot n$. $\blacksquare$
# :::
#
# :::{prf:proposition} (which bound is better; ours)
# :label: prop-composition-compare
#
# Let $n\ge2$ and $R=n\log_2n-B>0$. If $R\ge\frac{3\mathrm e\log_2n}n$, then $\delta_F$ is at least the cited $\frac R{3n\log_2n}$. For $n\ge45$ it is so whenever a whole bit is missing.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Let $\delta=\frac R{3n\log_2n}\le\tfrac13$. From $-(1-\delta)\ln(1-\delta)\le\delta$ we have $h(\delta)\le\delta\log_2\frac{\mathrm e}\delta$, so $h(\delta)+\delta\log_2(n-1)\le\delta\log_2\frac{\mathrm en}\delta$. The hypothesis says
# $\delta\ge\mathrm e/n^2$, hence this is at most $\delta\log_2n^3=\frac Rn=\log_2n-\frac Bn$: at $\delta$ the left side of {eq}`eq-composition-fano` has not passed the right one, and $\delta\le\delta_F$, as $\tfrac13\le1-\tfrac1n$. Finally
# $\frac{3\mathrm e\log_2n}n$ falls from $n=3$ on and is below 1 at $n=45$. $\blacksquare$
# :::
#
# If fewer bits are missing, and for small $n$, the cited bound can be the better one: it is at $n=3$, $B=3$, for instance.
#
# ## The idea: fetch twice
#
# A head of $m=2$ is enough to look something up by its address. Keys lie on a parabola, and a query is a tangent that touches it at the wanted address, as on the page on [windows](match3-local.py).
# Let the addresses be $0,1,2,3,4$, with the keys $(a,a^2)$. Whoever wants the address 2 asks with $c\,(4,-1)$. The scores are $0,3c,4c,3c,0$, and with a
# large $c$ almost all of the weight lies on the address 2.
#
# :::{prf:lemma} (fetch; ours as far as we found)
# :label: lem-fetch
#
# Let token $j$ have the key $(a_j,a_j^2)$ and the value $v_j$, and let a token ask with the query $c\,(2t,-1)$. Let $J$ be the tokens whose address is nearest to $t$, and $(a_j-t)^2$ larger by at least $\delta>0$ for all others. If a coordinate of the
# values lies in an interval of length $D$, then in this coordinate the output differs from the mean of the values over $J$ by at most
#
# ```{math}
# :label: eq-fetch
# \frac{N-\abs J}{\abs J}\;\mathrm e^{-c\delta}D .
# ```
#
# For integer addresses $\delta\ge1$ if $t$ is one of them. If $t$ is $\tfrac14$ below an integer, the nearest address is unique, whatever addresses occur, and $\delta\ge\tfrac12$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# The score of token $j$ is $c(2ta_j-a_j^2)=ct^2-c(a_j-t)^2$. Measured by the weight of a token of $J$, each other token weighs at most $\mathrm e^{-c\delta}$. So the others have a share of
# $w\le(N-\abs J)\mathrm e^{-c\delta}/\abs J$ of the whole weight, and the output is $1-w$ times the mean over $J$ plus $w$ times a mean over the others; two such means differ by at most $D$.
#
# Integers other than $t$ have a squared distance of at least 1 from an integer $t$. From $t=u-\tfrac14$ the integer $u+l$ has the squared distance $(l+\tfrac14)^2$, that is $\tfrac1{16},\tfrac9{16},\tfrac{25}{16},\tfrac{49}{16},\dots$
# for $l=0,-1,1,-2,\dots$: no two are equal, and neighbours in this list differ by $\tfrac12,1,\tfrac32,\dots$ $\blacksquare$
# :::
#
# :::{prf:proposition} (two layers; ours as far as we found)
# :label: prop-composition-layers
#
# For every $n\ge1$ there is a transformer of two layers with a residual connection, one head, $m=2$ and values of one coordinate, which gives $f(g(x))$ for every input. With $c$ the least power of two with
# $2n(n-1)\mathrm e^{-c}\le\tfrac18$, all queries, keys and values are integers below $\max\{4n^2,\,2c(2n-1)\}+1$, so that
#
# ```{math}
# :label: eq-composition-bits
# p=1+\big\lfloor\log_2\max\{4n^2,\,2c(2n-1)\}\big\rfloor+1=O(\log n)
# ```
#
# bits hold each of them exactly, and what is read may be rounded to an integer.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Token $k\in\{0,\dots,2n\}$ has the address $k$, its position, and its own entry as value. In layer 1 the last token asks for $t=x$, in layer 2 for $t=n+y$, where $y$ is what it read. Both addresses occur, once, so that $\abs J=1$ and $\delta=1$;
# values lie in $[0,n-1]$, and {prf:ref}`lem-fetch` with $N=2n+1$ gives an error of at most $2n(n-1)\mathrm e^{-c}\le\tfrac18<\tfrac12$. So rounding gives $y=g(x)$ and then $f(y)$. The other tokens may ask for anything: by the same rule they ask for their own value.
# The key of token $2n$ is $(2n,4n^2)$, and queries are at most $2c(2n-1)$. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
num_points: int = 4096  # n of the long input
exhaustive_points: int = 4  # all n^(2n+1) inputs up to this n
row_points: int = 4  # rows are counted up to this n
code_grid: list[int] = [2, 3, 4]  # n, where the best messages are looked for
restarts: int = 20  # random codes from which each search starts
curve_grid: list[int] = [64, 4096]  # n, where bounds are compared
talk_grid: list[int] = [2, 4, 8, 16, 32, 64]  # n, where one large layer becomes a message
num_talks: int = 10  # conversations at each of them
num_draws: int = 200  # random heads for the lemma, random inputs for what is broken
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import distinct, ranges, usual_ranges

quick = {
    "num_points": 256,
    "exhaustive_points": 3,
    "code_grid": [2, 3],
    "restarts": 4,
    "talk_grid": [2, 4, 8, 16],
    "num_draws": 100,
}

usual_ranges()
ranges(
    num_points=(64, 4096, "N² weights of 8 bytes are held"),
    exhaustive_points=(2, 4, "all n^(2n+1) inputs are run"),
    row_points=(2, 5, "all n^(2n) pairs are listed"),
    code_grid=(2, 4, "all pairs of functions are compared"),
    curve_grid=(45, 10**6),
    restarts=(1, 1000),
    talk_grid=(2, 128, "values have n + 1 coordinates"),
    num_talks=1,
    num_draws=(50, 10**4),
)
distinct("code_grid", "curve_grid", "talk_grid")

# %% [markdown]
# ## The construction
#
# `CompositionTransformer` is {prf:ref}`prop-composition-layers`, made of `fetch_layer`s: layers of {prf:ref}`def-layer` whose heads read the blocks $(t,1,a,a^2,v)$ of a token. We run it on all inputs at small $n$, and at one large $n$.

# %% tags=["hide-input"]
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import torch

from attention_limits.bounds.composition import (
    cited_error,
    count_rows,
    fano_allows,
    fano_error,
    first_bound_points,
    layer_bits,
    needed_bits,
    partial_table_error,
)
from attention_limits.bounds.composition_codes import best_code, volume_error
from attention_limits.bounds.composition_protocol import talk_about
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.composition import (
    READ,
    READING_ERROR,
    CompositionTransformer,
    composition_bits,
)
from attention_limits.constructions.fetch import (
    Fetch,
    entry_format,
    fetch_layer,
    fetch_tokens,
    leakage,
)
from attention_limits.problems.composition import Composition

torch.set_num_threads(1)  # exact checks on the CPU, most of them small
generator = torch.Generator().manual_seed(seed)


def run(problem, inputs):
    """What the two layers do on some inputs, as a row of a table."""
    model = CompositionTransformer(problem)
    batches = inputs.split(2**14)
    wrong = sum(int((model.compose(batch) != problem.target(batch)).sum()) for batch in batches)
    return {
        "n": problem.num_points,
        "inputs": len(inputs),
        "wrong": wrong,
        "c": model.scale,
        "depth": model.depth,
        "heads": model.num_heads,
        "m": model.embed_dim,
        "width": model.width,
        "p": composition_bits(problem.num_points),
    }


def counted_bits(problem, inputs):
    """p as it is counted: the largest over the layers, on these inputs."""
    model = CompositionTransformer(problem)
    return max(form.bits for form in model.formats(model.registers(inputs)))


# %%
small = [Composition(n) for n in range(1, exhaustive_points + 1)]
runs = pd.DataFrame([run(problem, problem.all_inputs()) for problem in small])
long = Composition(num_points)
long_run = run(long, long.sample(1, generator=generator))
figures.table(
    pd.concat([runs, pd.DataFrame([long_run])]),
    {"inputs": "{:,}", "n": "{:,}", "c": "{:g}"},
    "All inputs at small n, one random input at the largest: the two layers and their sizes",
    index=False,
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-composition-attention", "caption": "The weights of the last token in both layers, at the tables of the first figure (n = 8). Layer 1 looks at place x of g, layer 2 at place g(x) of f. Neighbours get a weight of e^{−c}, too small to see."}, "image": {"alt": "Two bar charts over seventeen tokens. In the first a single bar of height one stands at position 2, among the tokens of g. In the second a single bar of height one stands at position 13, among the tokens of f."}}
example = Composition(8)
example_input = torch.tensor([[*inner_table, *outer_table, asked]])
model = CompositionTransformer(example)
weights = [
    layer[0, 0, -1].numpy() for layer in model.attend(model.registers(example_input)).attention
]
fig, panels = plt.subplots(2, 1, figsize=(6, 4), sharey=True)
for panel, heights, title in zip(panels, weights, ("layer 1", "layer 2"), strict=True):
    colors = [figures.ORANGE] * 8 + [figures.BLUE] * 8 + [figures.GREY]
    panel.bar(range(17), heights, color=colors)
    panel.set(title=title, ylabel="weight", ylim=(0, 1.05))
    panel.set_xticks([3.5, 11.5, 16], ["$g$", "$f$", "$x$"])
    for edge in (7.5, 15.5):
        panel.axvline(edge, color=figures.GREY, linewidth=0.8)
plt.show()

# %% [markdown]
# ### How good is the bound?
#
# At small $n$ we look for the best message itself. A message amounts to a list of $2^B$ *codewords*, tables in $[n]^n$ from which Bob answers: Alice names
# the one nearest to $f$. Where there are few such lists we try all; else a search replaces one codeword after the other. An error that meets
# {prf:ref}`prop-composition-volume` is the least, however it was found.

# %% tags=["hide-input"]
codes = []
for n in code_grid:
    for bits in range(needed_bits(n) + 1):
        code = best_code(n, bits, restarts=restarts, generator=generator)
        codes.append(
            {
                "n": n,
                "B": bits,
                "best message found": code.error,
                "is the best": code.best,
                "volume": volume_error(n, bits),
                "Fano": fano_error(n, bits),
                "cited": cited_error(n, bits),
                "part of f": partial_table_error(n, bits),
            }
        )
codes = pd.DataFrame(codes)
exact = ["best message found", "volume", "part of f"]
figures.table(
    codes.assign(**{name: codes[name].map(float) for name in exact}),
    dict.fromkeys([*exact, "Fano", "cited"], "{:.4f}"),
    "Average error of B bits: the best message found, three lower bounds, and f at some points",
    index=False,
)

# δ_F from floats, against the comparison in integers at the thousandths next to it.
contradicted = sum(
    fano_allows(row["n"], row["B"], Fraction(math.floor(1000 * row["Fano"]), 1000))
    or not fano_allows(row["n"], row["B"], Fraction(math.ceil(1000 * row["Fano"]), 1000))
    for row in codes.to_dict("records")
    if 0 < row["B"] < row["n"] * math.log2(row["n"])
)

# %% tags=["hide-input"]
shares = np.append(np.arange(0, 1, 0.01), [0.995, 0.999])
curves = pd.DataFrame(
    {
        "n": n,
        "share": share,
        "missing": (1 - share) * n * math.log2(n),
        "Fano": fano_error(n, share * n * math.log2(n)),
        "cited": cited_error(n, share * n * math.log2(n)),
        "part of f": float(partial_table_error(n, int(share * n * math.log2(n)))),
    }
    for n in curve_grid
    for share in shares
)
# Where the proposition applies; the cited bound is positive there.
compared = curves[curves["missing"] >= 3 * math.e * np.log2(curves["n"]) / curves["n"]]
ratio = compared["Fano"] / compared["cited"]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-composition-error", "caption": "Average error against the bits of the message, as a share of n log₂ n. Top: small n, the best messages found (filled where no better one exists), the volume bound, Fano's bound and the cited one. Bottom: Fano's bound at large n, the cited bound, which is the same for all n, and f at some of the points."}, "image": {"alt": "Two panels of curves that fall from the upper left to the lower right. Above: markers lie on or just above a line, the volume bound, well above Fano's curve, which crosses the dashed cited line near the right end. Below: two Fano curves start near one and sag below a dotted diagonal, the one for the larger n less; both stay above the dashed line, which starts at one third."}}
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6, 8), sharex=True)
n = max(code_grid)
found = codes[codes["n"] == n]
places = found["B"] / (n * math.log2(n))
top.plot(places, found["volume"].map(float), color=figures.GREEN, label="volume bound")
top.plot(places, found["Fano"], color=figures.BLUE, label="Fano's bound")
top.plot(places, found["cited"], **figures.REFERENCE, label="cited bound")
for best in (True, False):
    chosen = found["is the best"] == best
    top.plot(
        places[chosen],
        found.loc[chosen, "best message found"].map(float),
        "o",
        color=figures.ORANGE,
        markerfacecolor=figures.ORANGE if best else "white",
        label="messages" if best else None,
    )
top.set(title=f"$n={n}$")
for n, color in zip(sorted(curve_grid), (figures.SKY, figures.BLUE, figures.PINK), strict=False):
    chosen = curves[curves["n"] == n]
    bottom.plot(chosen["share"], chosen["Fano"], color=color, label=f"Fano's bound, n = {n:,}")
chosen = curves[curves["n"] == max(curve_grid)]
bottom.plot(chosen["share"], chosen["part of f"], ":", color=figures.GREY, label="part of $f$")
bottom.plot(chosen["share"], chosen["cited"], **figures.REFERENCE, label="cited bound")
bottom.set(title="large $n$")
bottom.set_xlabel(r"bits of the message, $B/(n\log_2n)$")
for axes in (top, bottom):
    axes.set(ylabel=r"average error $\delta$", ylim=(-0.02, 1.02))
    axes.legend(loc="upper right")
plt.show()

# %% [markdown]
# ### Where the bound bites
#
# The cited bound is silent where $H(d+1)p\ge n\log_2n$. Here are four layers of usual sizes and the first $n$ at which it says anything about them, found in
# integers from $n^n>2^{H(d+1)p}$:

# %% tags=["hide-input"]
SIZES = {(1, 16, 32): 85, (8, 64, 16): 855, (12, 64, 16): 1218, (96, 128, 16): 14350}
silent = pd.DataFrame(
    {
        "H": heads,
        "d": value_dim,
        "p": precision,
        "bits": (bits := layer_bits(heads, value_dim, precision)),
        "silent below n": first_bound_points(bits),
    }
    for heads, value_dim, precision in SIZES
)
figures.table(silent, {"bits": "{:,}", "silent below n": "{:,}"}, index=False)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-composition-silent", "caption": "Bits against n. Solid: n log₂ n, what one message needs. Horizontal, with H, d and p: what four layers bring, H(d + 1)p; up to its marker the bound says nothing about a layer. Green: what both layers of our construction bring the last token, 2·2p bits."}, "image": {"alt": "A log-log plot. A steep straight line, n log n, crosses four horizontal dashed lines at four markers, from n equal to 85 to n equal to 14,350. A nearly flat green line stays below all of them for large n."}}
fig, axes = plt.subplots(figsize=(6, 4.8))
points = np.unique(np.geomspace(4, 2**16, 60).astype(int))
axes.loglog(
    points, points * np.log2(points), color=figures.BLUE, label=r"$n\log_2n$, one layer needs"
)
two_layers = [2 * layer_bits(1, 1, composition_bits(int(n))) for n in points]
axes.loglog(points, two_layers, color=figures.GREEN, label="two layers bring")
for _, row in silent.iterrows():
    axes.hlines(
        row["bits"],
        points[0],
        row["silent below n"],
        color=figures.GREY,
        linestyle="--",
        linewidth=1,
    )
    name = f"${row['H']},\\ {row['d']},\\ {row['p']}$"
    below = row["H"] == 8  # the two middle lines are close
    axes.annotate(
        name,
        (points[0], row["bits"]),
        color=figures.GREY,
        va="top" if below else "bottom",
        xytext=(0, -2 if below else 1),
        textcoords="offset points",
    )
axes.plot(
    silent["silent below n"],
    silent["bits"],
    "o",
    color=figures.ORANGE,
    label="first $n$ that is bounded",
)
axes.set(xlabel="$n$", ylabel="bits")
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %% tags=["hide-input"]
both_layers = long_run["depth"] * layer_bits(long_run["heads"], long_run["width"], long_run["p"])
figures.prose(
    f"At $n={num_points:,}$".replace(",", "{,}")
    + f" one message needs {needed_bits(num_points):,} bits. The two layers have $p={long_run['p']}$, and both together bring "
    f"the last token {both_layers} bits: what a bound for one layer counts is not what the task costs, but what it costs "
    "to look only once."
)

# %% [markdown]
# ### One large layer
#
# One layer can do it too, if it is large. One head fetches $g(x)$. A second head takes the plain mean of values with a slot for each $f(j)$, so that the last
# token has the whole table of $f$, and the map after the layer looks up the entry at $g(x)$ (`OneLayerComposition`). This is a real layer, so we let Alice
# and Bob simulate it, over a channel that counts bits: for each head she sends a log-sum-exp and a mean, rounded as [Theorem 7's page](thm-7-match3.py) does.

# %% tags=["hide-input"]
talks = pd.DataFrame(
    {
        "n": n,
        "value coordinates": n + 1,
        "bits sent": tally.num_bits,
        "bits needed": needed_bits(n),
        "wrong": tally.wrong,
    }
    for n in talk_grid
    for tally in [talk_about(n, Composition(n).sample(num_talks, generator=generator))]
)
talks["sent / needed"] = talks["bits sent"] / talks["bits needed"]
figures.table(
    talks,
    {"sent / needed": "{:.2f}"},
    f"One large layer as a message: {num_talks} conversations at each n",
    index=False,
)

# %% [markdown]
# ### The lemma, and what breaks
#
# We test {prf:ref}`lem-fetch` on random heads. Their addresses are random, some of them shared, and so are their targets, integers that occur and integers
# less a quarter. Scales are small, so that what leaks in from other addresses is seen. Then we break the two layers: with a quarter of the proved scale, and
# with a single look, without $g$, which finds $f(x)$.

# %% tags=["hide-input"]
tokens, spread = 12, 5.0
quotient, ties, least_gap = 0.0, 0, Fraction(10**9)
for draw in range(num_draws):
    addresses = torch.randint(-6, 7, (tokens,), generator=generator)
    at_quarter = draw % 2 == 1
    wanted = addresses[0].double() - 0.25 if at_quarter else addresses[0].double()
    if at_quarter:  # whether it occurs or not
        wanted = torch.randint(-8, 9, (), generator=generator).double() - 0.25
    values = spread * torch.rand(1, tokens, 1, generator=generator, dtype=torch.float64)
    scale = 2.0 ** (draw % 4 - 1)
    fetch = Fetch(wanted.expand(1, tokens), addresses.double().unsqueeze(0), values)
    output = fetch_layer([1], scale)(fetch_tokens([fetch]))[0, 0, 0]
    squares = {a: (a - Fraction(wanted.item())) ** 2 for a in set(addresses.tolist())}
    nearest, *others = sorted(squares, key=squares.get)
    ties += sum(squares[other] == squares[nearest] for other in others) if at_quarter else 0
    gap = min((squares[other] - squares[nearest] for other in others), default=Fraction(1))
    least_gap = min(least_gap, gap) if at_quarter else least_gap
    held = addresses == nearest
    mean = values[0, held, 0].mean()
    allowed = leakage(tokens, scale, spread=spread, gap=float(gap), nearest=int(held.sum()))
    if allowed > 1e-6:  # far above the rounding of float64
        quotient = max(quotient, (output - mean).abs().item() / allowed)

broken_problem = Composition(64)
broken_inputs = broken_problem.sample(num_draws, generator=generator)
proved = CompositionTransformer(broken_problem).scale
too_flat = CompositionTransformer(broken_problem, scale=proved / 4)
wrong_when_flat = int(
    (too_flat.compose(broken_inputs) != broken_problem.target(broken_inputs)).sum()
)
one_look = broken_inputs[:, 64:128].gather(1, broken_inputs[:, -1:]).squeeze(1)  # f(x), without g
wrong_with_one_look = int((one_look != broken_problem.target(broken_inputs)).sum())
reading_error = max(
    CompositionTransformer(problem).reading_error(problem.sample(num_draws, generator=generator))
    for problem in (*small, broken_problem)
)
miscounted = sum(
    counted_bits(problem, problem.sample(num_draws, generator=generator))
    > composition_bits(problem.num_points)
    for problem in (*small, broken_problem)
)

model = CompositionTransformer(long)
registers = model.registers(torch.full((1, long.num_tokens), num_points - 1))
registers[..., READ] = num_points - 1  # all targets are as large as they get, in both layers
long_bits = max(
    entry_format(step.layer, fetch_tokens(step.ask(registers))).bits for step in model.steps
)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("composition.rows", sum(abs(count_rows(n) - n**n) for n in range(2, row_points + 1)), "==", 0,
    statement="There are $n^n$ different rows: the deviations of the rows counted, added up over n = "
    f"2…{row_points}.")
claim("composition.all-inputs", int(runs["wrong"].sum()), "==", 0,
    statement=f"Two layers give the right answer: no exception on all {int(runs['inputs'].sum()):,} inputs up to n = "
    f"{exhaustive_points}.")
claim("composition.long-input", long_run["wrong"], "==", 0,
    statement=f"The answer to a random input of {long.num_tokens:,} tokens is right: no exception, n = "
    f"{num_points:,}.")
claim("composition.sizes", max(max(row["depth"] - 2, row["heads"] - 1, row["m"] - 2, row["width"] - 1)
    for row in (*runs.to_dict("records"), long_run)), "==", 0,
    statement="Depth 2, one head, m = 2 and values of one coordinate are enough: the largest excess over all sizes.")
claim("composition.bits", miscounted, "==", 0,
    statement="The proposition's p bits hold every query, key and value exactly: no exception among the sizes.")
claim("composition.long-bits", long_bits, "==", composition_bits(num_points),
    statement=f"At n = {num_points:,} the format that holds all queries, keys and values exactly has the "
    "proposition's p bits.")
claim("composition.two-layers-bring-less", both_layers, "<", needed_bits(num_points),
    statement=f"Both layers bring the last token fewer bits than one message needs, n = {num_points:,}.")
claim("composition.reading", reading_error, "<=", READING_ERROR,
    statement="What the last token reads is near an integer before it is rounded: the largest distance.")
claim("composition.lemma", quotient, "<=", 1.0,
    statement="A fetched value is as near to the mean at the nearest address as the lemma says: the largest "
    f"distance, as a part of its bound, of {num_draws} random heads.")
claim("composition.unique", ties, "==", 0,
    statement="Where a head asks at a quarter below an integer the nearest address is unique: no exception.")
claim("composition.quarter-gap", least_gap, ">=", Fraction(1, 2),
    statement=r"These heads have a gap $\delta\ge\frac12$: the least, in fractions.")
claim("composition.codes-obey-fano", sum(not fano_allows(row["n"], row["B"], row["best message found"])
    for row in codes.to_dict("records")), "==", 0,
    statement=f"No message errs less than Fano's bound allows: no exception among {len(codes)} best ones found, "
    "compared in integers.")
claim("composition.codes-obey-volume", int((codes["best message found"] < codes["volume"]).sum()), "==", 0,
    statement="No message errs less than the volume bound allows: no exception, compared in fractions.")
claim("composition.fano-in-floats", contradicted, "==", 0,
    statement=r"The comparison in integers confirms $\delta_F$, a thousandth to either side: no exception.")
claim("composition.fano-above-cited", ratio.min(), ">=", 1.0,
    statement=r"Fano's bound is at least the cited one while $R\ge3\mathrm e\log_2(n)/n$: the least quotient over "
    "the curves.")
claim("composition.near-part-of-f", max((curves["part of f"] - curves["Fano"]) - 1 / np.log2(curves["n"])
    - 1 / curves["n"]), "<=", 0.0, tolerance=1e-12, note="rounding of float64",
    statement=r"Sending f at some points is within $\frac1{\log_2n}+\frac1n$ of Fano's bound: the most by which it "
    "is further off, over the curves.")
for number, ((heads, value_dim, precision), first) in enumerate(SIZES.items(), start=1):
    claim(f"composition.silent-{number}", first_bound_points(layer_bits(heads, value_dim, precision)), "==", first,
        source="P~",
        statement=f"Of H = {heads}, d = {value_dim}, p = {precision} the cited bound says nothing below this n.")
claim("composition.one-layer", int(talks["wrong"].sum()), "==", 0,
    statement="Bob, who gets one message about the large layer, answers right: no exception in "
    f"{num_talks * len(talks)} conversations.")
claim("composition.one-layer-bits", int((talks["bits sent"] - talks["bits needed"]).min()), ">=", 0,
    statement="That message has at least the bits that any message needs: the least excess over these sizes.")
observed("composition.scale-needed", wrong_when_flat, ">=", 1,
    statement=f"With a quarter of the scale c some answers are wrong, n = 64, of {num_draws} random inputs.")
observed("composition.second-look-needed", wrong_with_one_look, ">=", num_draws // 2,
    statement=f"f(x), which one look finds, is the wrong answer for at least half of the same {num_draws} inputs.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That the cited theorem is weak.* It is for one layer whose numbers have $p$ bits; its distribution of inputs is not in our sources, and its constant may buy generality. We compare formulas, for uniform inputs.
# * *Anything about chain of thought, or infinite precision.* The same paper has a bound on the steps of a chain of thought, and a later one treats infinite precision (arXiv 2412.20195). We know both at second hand only.
# * *That a layer exists right at the bound.* Ours sends more than twice what a message needs at these sizes; some of it is the price of rounding.
# * *That two layers are learned.* These weights are made by hand.
# * *That the best messages are known.* Where a marker is empty, a search found nothing better, and that is all.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-composition-order
#
# Let the tokens of $g$ look first: token $j$ fetches $f(g(j))$ in layer 1. What does the last token do in layer 2? What have the tokens learned that the other order does not tell?
# :::
#
# :::{solution} ex-composition-order
# :class: dropdown
#
# Token $j<n$ asks for the address $n+g(j)$ and keeps $f(g(j))$; the last token asks for the address $x$ in layer 2 and reads what token $x$ kept. After layer 1 the whole table of $f\circ g$ is there, so that any number of tokens may ask.
# :::
#
# :::{exercise}
# :label: ex-composition-chain
#
# How many layers does $f_k(\cdots f_2(f_1(x)))$ take in this way, with $kn+1$ tokens? And if $f_1=\dots=f_k$?
# :::
#
# :::{solution} ex-composition-chain
# :class: dropdown
#
# $k$ layers, a look-up each. If all are equal, let each token of the table of $f$ hold a pointer, at first $f(j)$, and fetch the pointer of the token it points to: after $l$ layers it is $f^{(2^l)}(j)$. So about $\log_2k$ layers are enough.
# :::
#
# :::{exercise}
# :label: ex-composition-residual
#
# Do without the residual connection.
# :::
#
# :::{solution} ex-composition-residual
# :class: dropdown
#
# Each token needs its entry and its position in layer 2. One more head in layer 1 with the query $c\,(2k,-1)$, at the token's own position $k$, fetches its own entry and its position: two heads in that layer, three coordinates in all.
# Its scale must bring $2n\cdot2n\,\mathrm e^{-c}$ below $\tfrac12$, as positions lie in $[0,2n]$.
# :::
#
# :::{exercise}
# :label: ex-composition-talk
#
# Let Bob speak first. How many bits do the two need together?
# :::
#
# :::{solution} ex-composition-talk
# :class: dropdown
#
# Bob sends $g(x)$, Alice answers $f(g(x))$: $2\lceil\log_2n\rceil$ bits. The bound is about *one* message, and a second layer is a second message.
# :::
#
# ## Reference
#
# The bound for one layer is from {cite}`peng2024limitations`, known to us at second hand. Fano's inequality is textbook {cite}`cover2006elements`, and so is the volume argument. That a second layer, or quadratic keys, can look up what the first one found is well known in spirit. The comparison of the bounds, the leakage and the bits of a
# fetch, the layers of this page and all measurements are ours, as far as we found.
