# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Crossover: who needs how much, and from which N on
#
# **The question.** In sparse averaging each token asks for the mean of $q$ of the $N$ values. Attention pays for this with a multiple of
# $q\log N$ coordinates, a recurrent network with $N$ bits, a feed-forward network with a width of $N$. Constants decide who is ahead at a
# given $N$. Where does each curve cross the others?
#
# **In one paragraph.** Let each token ask for one other, $q=1$. A recurrent layer can't know what will be asked for, so before the last token it must have
# kept all signs: $N-1$ bits. A token of an attention layer says only what it asks for, and a question costs about the
# logarithm of the number of possible answers: the unit that we build sends $4\,(\lceil4\ln N\rceil+1)$ bits. Among 32 tokens these are 60 bits against 31, and attention is behind; among
# 1,024 they are 116 against 1,023. It must come to this for every $q$, since a line $N-1$ overtakes any multiple of a logarithm. But the multiple
# is about $4q$ times the bits of a number. So the more a token asks for, the later attention gets ahead: from a multiple of $q\log^2q$ tokens on ({numref}`fig-crossover`).
#
# ```{explorer} crossover
# What sparse averaging takes, against the number of tokens $N$. Attention's curve is that of the unit that was built: $k=\lceil4\,q\ln N\rceil$
# and the precision of {eq}`eq-measured-precision`, measured at some sizes and extrapolated to the others
# (for $q=1$, $p=4$ if $\eps\ge\tfrac14$). Below it lies what any attention must send.
# A recurrent network's state has at least the bits shown if $\eps<\tfrac1q$, whatever $d'$, and a feed-forward network's first layer
# exactly the width shown if $\eps<\tfrac1{2q-1}$. The dot marks the $N$ from which on attention stays smaller. The rest of this page keeps to
# $\eps=\tfrac1{4q}$ and $d'=1$.
# ```
#
# **Prerequisites and time.** The pages that the table below names. A quarter of a minute on one core.
#
# **On this page.**
#
# * The $N$ from which attention needs fewer bits than a recurrent layer or a stack of them, for each $q$. [N] {numref}`fig-crossover`
# * The same for the width of a feed-forward network, against the coordinates that a token sends. [N] {numref}`fig-crossover-width`
# * Units built at their crossings keep the accuracy with the bits of the rule; with the precision that is proved, crossings come later. [N]
# * The crossing grows like $q\log^2q$, as the first exercise shows. [N]
#
# ## The statement
#
# This page draws together what the pages before it prove or build. A value is one number, $d'=1$, and the largest error that is allowed is
# $\eps=\tfrac1{4q}$. At this accuracy all rows of the table hold. Bits are counted for values $\pm1$, widths for values in $[-1,1]$.
#
# | Architecture | What is counted | Size | Where it comes from |
# | --- | --- | --- | --- |
# | attention, one unit | bits that one token sends: its query and its value | $(k+1)\,p$, built | [Theorem 2](thm-2-fixed-precision.py) |
# | attention, any unit | bits of all that one token puts into the layer | at least $\log_2\binom Nq$, proved | [Theorem 4](thm-4-embedding-dimension.py) |
# | recurrent, one bidirectional layer | bits of forward state at a cut | exactly $N-1$, proved | [Theorem 11](thm-11-recurrent.py) |
# | recurrent, a stack of bidirectional layers | bits of forward state of all layers together | at least $\lfloor N/2\rfloor$, proved | [Theorem 11](thm-11-recurrent.py) |
# | feed-forward | width of the first layer | exactly $N$, proved | [Theorem 10](thm-10-feedforward.py) |
#
# The paper's theorems {cite}`sanford2023representational` give the orders of growth. The constants are ours, and so is this
# comparison. For attention we take $k=\lceil4\,q\ln N\rceil$ key coordinates and the precision
#
# ```{math}
# :label: eq-measured-precision
# p=\Big\lceil\log_2\!\big(\tfrac q\eps\ln N\big)\Big\rceil+3\quad(q\ge2),\qquad p=4\quad(q=1),
# ```
#
# which is what [Theorem 2's page](thm-2-fixed-precision.py) measured. The first row is thus a construction that was *tested*, there and at the
# smaller crossings below, and is extrapolated to larger $N$; the other rows are proved.
#
# ## The idea
#
# A curve $(4q\ln N+1)(\log_2\ln N+\dots)$ against a straight line: the line is lower at first, because the logarithm is multiplied by $4q$
# and by the precision $p$. From some $N$ on the line is higher for good, and {numref}`fig-crossover` shows from which.
#
# ## Parameters

# %% tags=["parameters"]
sparsity_grid: list[int] = [1, 2, 4, 8, 16, 32]  # q, a colour each
largest: int = 1000000  # N, where the curves end
largest_built: int = 1500  # N, up to which units are built where they overtake
num_subsets: int = 40  # random subsets that each of those units is tried on
seed: int = 0  # of their keys and subsets

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import intervals, ranges, require, usual_ranges

quick = {"largest_built": 600, "num_subsets": 20}

usual_ranges()
ranges(sparsity_grid=(1, 32, "attention overtakes before N = 10⁵ then"), num_subsets=1)
require(10**5 <= largest <= 10**7, f"largest must lie in 10⁵…10⁷, got {largest}")
intervals(largest_built=(2, 5000, "a least-squares problem each subset"))

# %% [markdown]
# ## The construction

# %% tags=["hide-input"]
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from attention_limits import figures
from attention_limits.bounds.counting import required_bits
from attention_limits.bounds.crossover import (
    attention_bits,
    attention_precision,
    comparison_accuracy,
    feedforward_width,
    overtaking,
    recurrent_bits,
    stacked_bits,
)
from attention_limits.bounds.residuals import Machine, reduced_residuals
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.keys import (
    adversarial_subsets,
    gram_matrix,
    maximum_margin_certificates,
    random_sign_keys,
)
from attention_limits.constructions.sizes import random_subsets, smallest_query_format
from attention_limits.constructions.sparse_averaging import narrow_embed_dim, sufficient_format
from attention_limits.runtime import progress

figures.use_style()
generator = torch.Generator().manual_seed(seed)
COLOURS = figures.shades(sparsity_grid)

# %%
RECURRENT = "one recurrent layer, N − 1"
RIVALS = {
    RECURRENT: (attention_bits, recurrent_bits),
    "recurrent stack, ⌊N/2⌋": (attention_bits, stacked_bits),
    "feed-forward width, N": (lambda n, q: narrow_embed_dim(n, q) + 1, feedforward_width),
}
crossings = {
    (ones, name): overtaking(lambda n, q=ones, s=size: s(n, q), rival, ones, largest)
    for ones in sparsity_grid
    for name, (size, rival) in RIVALS.items()
}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-crossover", "caption": "Bits against N. Blue to pink: what a token of the attention unit sends, a curve each q; dotted: what any attention unit must send. Orange: the state of one bidirectional recurrent layer, and of a stack of them. The number beside a full dot is the N from which attention stays below the single layer; at a hollow dot it falls below the stack for good."}, "image": {"alt": "Both axes are logarithmic. Two orange lines for recurrent memory rise with slope one. The curves of attention start above them and are nearly flat; each crosses the lines, the smaller q the earlier, and ends far below. Dotted lower bounds run below the curves. A dot marks each crossing, with its N."}}
tokens = np.unique(np.geomspace(2, largest, 400).round().astype(np.int64))
decades = [10**power for power in range(len(str(largest)))]


def crossing_figure(height, size, what):
    """Axes with a curve for each q, its q beside its end."""
    fig, axes = plt.subplots(figsize=(6.4, height))
    for ones, color in COLOURS.items():
        sizes = tokens[tokens > ones]
        needs = size(sizes, ones)
        axes.plot(sizes, needs, color=color, linewidth=1.8)
        beside = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(f"$q={ones}$", (sizes[-1], needs[-1]), color=color, **beside)
    axes.set(xscale="log", yscale="log", xlabel="tokens $N$", ylabel=what, ylim=(1, largest))
    axes.set_xticks(decades[1:], labels=[f"{n:,}" for n in decades[1:]])
    axes.set_yticks(decades, labels=[f"{n:,}" for n in decades])
    axes.minorticks_off()
    return fig, axes


def mark_crossings(axes, name, *, hollow=False):
    """A dot where attention falls below this rival for good; N beside a full one."""
    for ones, color in COLOURS.items():
        settled = crossings[ones, name][1]
        place = settled, RIVALS[name][1](np.array([settled]))[0]
        face = "white" if hollow else color
        axes.plot(*place, "o", color=color, markersize=8, mfc=face, mew=1.8, zorder=4)
        if not hollow:
            beside = {"xytext": (-7, 3), "textcoords": "offset points", "ha": "right"}
            axes.annotate(f"{settled:,}", place, color=color, **beside)


fig, axes = crossing_figure(6.8, attention_bits, "bits")
for ones, color in COLOURS.items():
    few = tokens[tokens > ones][::10]
    least = [required_bits(int(n), ones, comparison_accuracy(ones)) for n in few]
    axes.plot(few, least, ":", color=color, linewidth=1.2)
axes.plot(tokens, recurrent_bits(tokens), color=figures.ORANGE)
axes.plot(tokens, stacked_bits(tokens), color=figures.ORANGE, linestyle="--")
mark_crossings(axes, RECURRENT)
mark_crossings(axes, "recurrent stack, ⌊N/2⌋", hollow=True)
grey, orange = {"color": figures.GREY}, {"color": figures.ORANGE}
dot = {"marker": "o", "linestyle": "none", "markersize": 8, **grey}
for look, name in (
    (grey, "attention, the unit built"),
    ({"linestyle": ":", **grey}, "attention, at least"),
    (orange, "one recurrent layer, $N-1$"),
    ({"linestyle": "--", **orange}, r"recurrent stack, $\lfloor N/2\rfloor$"),
    (dot, "attention below the layer"),
    ({**dot, "markerfacecolor": "white"}, "attention below the stack"),
):
    axes.plot([], [], label=name, **look)
fig.legend(loc="outside lower center", ncols=2)
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-crossover-width", "caption": "Coordinates that a token of the attention unit sends, its query and its value, against the width N of a feed-forward network's first layer. The number beside a dot is the N from which they stay below it."}, "image": {"alt": "Both axes are logarithmic. An orange line of slope one for the width of feed-forward networks. The curves of attention, one for each q, start above it and are nearly flat; each crosses it, at a dot with its N, earlier than in the figure of bits."}}
fig, axes = crossing_figure(5.6, RIVALS["feed-forward width, N"][0], "coordinates, or width")
axes.plot(tokens, feedforward_width(tokens), color=figures.ORANGE)
axes.annotate("feed-forward\nwidth $N$", (largest / 30, largest / 7), ha="right", **orange)
mark_crossings(axes, "feed-forward width, N")
plt.show()

# %% [markdown]
# ### From which N on
#
# Attention's size is a product of rounded-up numbers, so it climbs in steps and may cross a line more than once. The table gives
# the first $N$ at which attention is below its rival, and, in brackets where it differs, the $N$ from which it stays below.

# %% tags=["hide-input"]
shown = {
    name: {
        q: f"{f:,}" + (f" ({s:,})" if s != f else "")
        for q in sparsity_grid
        for f, s in [crossings[q, name]]
    }
    for name in RIVALS
}
figures.table(
    pd.DataFrame(shown).rename_axis(index="q"), caption="First N at which attention is smaller"
)

# %% [markdown]
# The same as numbers of bits, beside the least that any attention unit can send:

# %% tags=["hide-input"]
columns = {}
for size in (2**10, 2**16, 2**20):
    exact = np.array([size])
    columns["attention, built", size] = {q: int(attention_bits(exact, q)[0]) for q in sparsity_grid}
    columns["attention, at least", size] = {
        q: required_bits(size, q, comparison_accuracy(q)) for q in sparsity_grid
    }
    columns["one recurrent layer", size] = dict.fromkeys(sparsity_grid, size - 1)
bits = pd.DataFrame(columns).rename_axis(index="q")
bits = bits.sort_index(axis=1, level=0, sort_remaining=False)
bits.columns.names = ["bits", "N"]
display(bits.style.format("{:,}").format_index("{:,}", axis=1, level=1))

# %% [markdown]
# ### Units that stand at the crossing
#
# The curve of attention rests on a measured rule. So we build units at the very $N$ where they overtake the single recurrent layer, with
# $k$ and $\eps$ of this page, and search for the fewest bits that keep the exact worst error ({prf:ref}`lem-worst-error`) within $\eps$ on random
# and on adversarial subsets. The *certificate* of a
# subset is the direction of a query that singles it out, as on [Theorem 2's page](thm-2-fixed-precision.py).

# %% tags=["hide-input"]
standing = {q: crossings[q, RECURRENT][1] for q in sparsity_grid}
standing = {q: size for q, size in standing.items() if size <= largest_built}
built = {}
for ones, size in progress(list(standing.items()), "units"):
    accuracy = float(comparison_accuracy(ones))
    k = narrow_embed_dim(size, ones)
    keys = random_sign_keys(size, k, generator=generator)
    hard = adversarial_subsets(gram_matrix(keys), ones)[:: max(1, size // 20)]
    subsets = torch.cat([random_subsets(size, ones, num_subsets, generator=generator), hard])
    found = maximum_margin_certificates(keys, subsets)
    directions, exists = found.directions, found.exists
    rule = int(attention_precision(np.array([size]), ones)[0])
    built[ones] = {
        "N": size,
        "k": k,
        "subsets": len(subsets),
        "without certificate": int((~exists).sum()),
        "p found": smallest_query_format(keys, directions[exists], subsets[exists], accuracy).bits,
        "p of the rule": rule,
        "p proved": sufficient_format(size, ones, k, accuracy).bits,
        "bits": (k + 1) * rule,
        "N − 1": size - 1,
    }
built = pd.DataFrame(built).T.rename_axis(index="q")
figures.table(built, "{:,}")

# %% [markdown]
# With the precision that is *proved* to be enough instead of the measured one, the crossings move to the right, by the factor in this table.

# %% tags=["hide-input"]
later = {}
for ones in sparsity_grid:
    first = size = crossings[ones, RECURRENT][0]
    accuracy = float(comparison_accuracy(ones))
    while True:
        k = narrow_embed_dim(size, ones)
        if (k + 1) * sufficient_format(size, ones, k, accuracy).bits < size - 1:
            break
        size += max(1, size // 500)  # to a fifth of a percent
    later[ones] = {"N, measured p": first, "N, proved p": size, "factor": size / first}
later = pd.DataFrame(later).T.rename_axis(index="q")
whole = dict.fromkeys(["N, measured p", "N, proved p"], "{:,.0f}")
figures.table(later, {**whole, "factor": "{:.2f}"})

# %% [markdown]
# ### What is compared with what
#
# **Attention's bits** are what one token sends into the layer: its query, $k$ numbers, and its value, one number, of $p$ bits each. The keys
# depend on positions alone and are fixed in advance. A value $\pm1$ needs no rounding; other values do, by up to $2^{-p}$. The work of the token-wise map, which finds the query, is not counted: neither the table of keys nor
# the least-squares problem behind each query.
#
# **Recurrent bits** are what the state carries across a cut between two tokens, whatever the machine computes at each step. For values $\pm1$
# the $N-1$ are exact; values in $[-1,1]$ need no less.
#
# **A width** counts numbers, not bits: that is why the feed-forward network has a figure of its own, beside the $k+1$ coordinates of
# attention.
#
# So the three are not one resource. They are what the theorems bound, architecture by architecture: the channel through which the tokens must speak to each other.

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
order = list(sparsity_grid)
for name, short in zip(RIVALS, ("recurrent", "stack", "feedforward"), strict=True):
    wrong = 0
    for q in order:
        size, rival = RIVALS[name]
        first, settled = crossings[q, name]
        edge = np.maximum([first - 1, first, settled - 1, settled], q + 1)
        smaller = size(edge, q) < rival(edge)
        wrong += int(not smaller[1]) + int(not smaller[3])
        wrong += int(first > q + 1 and smaller[0]) + int(settled > q + 1 and smaller[2])
        beyond = np.arange(settled, largest + 1)
        wrong += int((size(beyond, q) >= rival(beyond)).any())
    claim(f"crossover.edges-{short}", wrong, "==", 0,
        statement=f"At every crossing attention is not smaller just before, and smaller from there on ({name}). No exception.")
    observed(f"crossover.spread-{short}", max(crossings[q, name][1] / crossings[q, name][0] for q in order), "<=", 1.1,
        statement=f"Attention stays below soon after it is first below ({name}): the one N over the other, largest over q.")
observed("crossover.grows-with-q",
    sum(crossings[a, n][0] >= crossings[b, n][0] for n in RIVALS for a, b in pairwise(sorted(order)) if a < b), "==", 0,
    statement="The larger q, the later the crossing. No exception among pairs of neighbouring q.")
samples = [int(n) for n in np.unique(np.geomspace(3, largest, 60).round())]
slack = min(
    int(attention_bits(np.array([n]), q)[0]) - required_bits(n, q, comparison_accuracy(q))
    for q in order
    for n in samples
    if n > q
)
claim("crossover.above-the-bound", slack, ">=", 0,
    statement="Attention sends no less than any unit must: its bits minus the least, smallest over q and 60 sizes N.")
claim("crossover.accuracy-recurrent", max(comparison_accuracy(q) * q for q in order), "<", 1,
    statement=r"Recurrent bounds hold at the accuracy of this page, $\varepsilon<\frac1q$: largest ε q over its q.")
claim("crossover.accuracy-feedforward", max(comparison_accuracy(q) * (2 * q - 1) for q in order), "<", 1,
    statement=r"The feed-forward bound holds at the accuracy of this page, $\varepsilon<\frac1{2q-1}$: largest ε (2q − 1) over its q.")
claim("crossover.recurrent-formula",
    sum(reduced_residuals(Machine.BIDIRECTIONAL, n, q, n - 1) != 2 ** int(recurrent_bits(np.array([n]))[0])
        for n in range(2, 9) for q in range(1, n)),
    "==", 0,
    statement="Counted at the last cut there are $2^{N-1}$ residual functions, at all sizes N ≤ 8, q < N. No exception.")
if standing:
    observed("crossover.certificates", int(built["without certificate"].sum()), "==", 0,
        statement="Every subset has a certificate on a unit at its crossing. No exception among "
        f"{int(built['subsets'].sum())} tried.")
    observed("crossover.precision", int((built["p found"] - built["p of the rule"]).max()), "<=", 0,
        statement="A unit at its crossing needs no more bits than the measured rule says: its bits minus these, largest over q.")
observed("crossover.proved-precision", float(later["factor"].max()), "<=", 6.0,
    statement="With the precision that is proved attention overtakes the single recurrent layer later, by a small factor: the "
    "largest.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That attention is better in general from its crossing on.* The comparison is of one task, at its own accuracy, in worst cases.
# * *That the attention curve is optimal.* Between the built unit and the dotted bound lies a factor that grows like the precision: see
#   [Theorem 4](thm-4-embedding-dimension.py).
# * *A proof at $k=\lceil4\,q\ln N\rceil$.* Certificates for all subsets are proved to exist at a larger constant only; at this one they were found
#   wherever we looked. Every unit checks its certificates when it is built, so that a failure would be an error and not a wrong answer.
# * *The cost of computing.* Widths and bits of communication are not operations, parameters or seconds.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-crossover-growth
#
# Show that the crossing with a line of slope 1 lies at $N=\Theta(q\log^2q)$ as $q$ grows, if $p=\Theta(\log(q\log N))$ at $\eps=\tfrac1{4q}$.
# :::
#
# :::{solution} ex-crossover-growth
# :class: dropdown
#
# At the crossing $N\approx 4q\ln N\cdot p$. So $N\ge q$, and $N\le q^{3}$ for large $q$, as $4q\ln(q^3)\cdot p$ is below $q^3$: hence
# $\ln N=\Theta(\log q)$ and $p=\Theta(\log q)$, and $N=\Theta(q\log^2q)$.
# :::
#
# :::{exercise}
# :label: ex-crossover-real
#
# Values that are not signs cost a recurrent state more. At accuracy $\eps$ and $q=1$ a value of $[-1,1]$ takes $\log_2\lceil1/\eps\rceil$ bits. Where does the
# curve for $q=1$ cross then, with one value of $p$ bits in attention's message?
# :::
#
# :::{solution} ex-crossover-real
# :class: dropdown
#
# At $\eps=\tfrac14$ a stored value takes 2 bits, and no fewer: $-1,-\tfrac13,\tfrac13,1$ are more than $2\eps$ apart. So the state has $2(N-1)$ bits,
# and $4\,(\lceil4\ln N\rceil+1)$ is below that from $N=32$ on. One of 16 evenly spaced numbers is within $\tfrac1{16}$ of the value, which leaves
# $\eps-\tfrac1{16}=\tfrac3{16}$ for the weights. This is a little less than the page grants its queries, so that $p=4$ has to be tried again.
# :::
#
# ## Reference
#
# The orders of growth are from {cite}`sanford2023representational`. The constants, the sharper bounds and the comparison are ours; each has its proof or its
# measurement on the page that the table names.
