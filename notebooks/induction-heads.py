# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Induction heads: one layer against two
#
# **The question.** What followed the last time that this symbol was seen? Models of language learn to answer this, and they use two layers for it {cite}`elhage2021mathematical,olsson2022context`. How much would one layer need, counted exactly, and how little do two need?
#
# **In one paragraph.** In `baebcabebdea` the last symbol is `a`. It was seen before at place 6, and `b` followed: the answer is `b`. The trick of two layers is to let every token first note down the symbol *before* it. Then the last token asks once
# for the latest token that noted down an `a`, and reads it ({numref}`fig-induction-example`). One layer has no notes to look for: while the last token asks for its `a`, the tokens after an `a` don't know yet that they are wanted, and so all of them must be brought, a bit for each.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-induction-example", "caption": "Induction heads on the string baebcabebdea. Layer 1 (orange): each token notes down the symbol before it. Layer 2 (blue): the last token, an a, looks for the latest token that noted down an a, at place 7, and finds b there."}, "image": {"alt": "Twelve squares with the letters b a e b c a b e b d e a. Below each square a small orange letter, the one before it. The two noted a's are circled, at places 3 and 7. A blue arrow leads from the last square to the square at place 7, a blue b."}}
import matplotlib.pyplot as plt

from attention_limits import figures

figures.use_style()
EXAMPLE = "baebcabebdea"
fig, axes = plt.subplots(figsize=(6.4, 3))
for place, letter in enumerate(EXAMPLE, start=1):
    color = figures.BLUE if place == 7 else figures.GREY if place == 12 else "#f0f0f0"
    axes.add_patch(plt.Rectangle((place - 0.42, -0.42), 0.84, 0.84, ec=figures.GREY, fc=color))
    axes.text(
        place,
        0,
        letter,
        ha="center",
        va="center",
        fontsize=15,
        color="black" if color == "#f0f0f0" else "white",
    )
    axes.text(place, 0.66, place, ha="center", va="center", fontsize=12, color=figures.GREY)
    if place > 1:
        noted = EXAMPLE[place - 2]
        axes.text(place, -1.12, noted, ha="center", va="center", fontsize=15, color=figures.ORANGE)
        bend = {"arrowstyle": "-|>", "color": figures.ORANGE, "lw": 1}
        axes.annotate("", (place - 0.12, -0.9), (place - 0.8, -0.46), arrowprops=bend)
        if noted == EXAMPLE[-1]:
            axes.plot(place, -1.12, "o", markersize=21, mfc="none", mec=figures.ORANGE)
axes.annotate(
    "",
    (7, 0.92),
    (12, 0.92),
    arrowprops={
        "arrowstyle": "-|>",
        "color": figures.BLUE,
        "lw": 1.8,
        "connectionstyle": "arc3,rad=0.22",
    },
)
axes.set(xlim=(0.4, 12.6), ylim=(-1.6, 2))
axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax; {prf:ref}`lem-fetch` for the two layers. A quarter of a minute on one core.
#
# **On this page.** What one message needs, counted exactly: {prf:ref}`prop-induction-rows`, {prf:ref}`prop-induction-last`. What one layer therefore needs:
# {prf:ref}`prop-induction-one-layer`. Why two symbols are too few for such a bound:
# {prf:ref}`prop-induction-two-symbols`. Two layers: {prf:ref}`prop-induction-two-layers`.
#
# ## The statement
#
# :::{prf:definition} (induction heads)
# :label: def-induction
#
# The input is a string $X_1,\dots,X_N$ over an alphabet of $S$ symbols. With
#
# ```{math}
# :label: eq-induction-find
# \operatorname{find}(i)=\max\big(\{0\}\cup\{j:2\le j\le i,\;X_{j-1}=X_i\}\big)
# ```
#
# the last token is to answer $X_{\operatorname{find}(N)}$, or "none" if $\operatorname{find}(N)=0$ {cite}`sanford2024parallel`.
# :::
#
# The case $X_{N-1}=X_N$ is included: then $\operatorname{find}(N)=N$, and the answer is the last symbol itself.
#
# :::{prf:theorem} (cited: Sanford, Hsu and Telgarsky 2024)
# :label: thm-induction
#
# One layer of $H$ heads of dimension $m$ with $p$-bit numbers that solves induction heads has $Hmp=\Omega(N)$, already over three symbols. Two layers do it with $H,m=O(1)$ and $p=O(\log N)$ for $S\le N$ {cite}`sanford2024onelayer`.
# :::
#
# We know this theorem at second hand; two independent sources agree. Its lower bound is said to come from INDEX: Alice has $n$ bits, Bob a place among them, and one message is to tell him that bit. We count the rows of the task itself.
#
# Take $N=3$, three symbols, and the last token `a`, known to both. Alice holds the second token, Bob the first. If Alice has `a`, the answer is `a`, whatever
# Bob has. If she has `b`, it is `b` if Bob has `a`, and "none" otherwise; likewise for `c`. These are three different rows of answers, which Alice's message
# must tell apart. At $N=5$, where she holds two tokens, some strings share a row: the answer is `a` for `aa`, `ba` and `ca`, whatever Bob has. Of 9 strings 7
# rows remain.
#
# :::{prf:proposition} (rows; ours as far as we found)
# :label: prop-induction-rows
#
# Let $N=2n+1$, $n\ge1$, $S\ge3$. Alice holds the tokens at the places $2,4,\dots,2n$, Bob those at $1,3,\dots,2n-1$, and both know the last one. The table of answers, with a row for each of Alice's strings and a column for each of Bob's, has exactly
#
# ```{math}
# :label: eq-induction-rows
# \sum_{t=0}^n(S-1)^t
# ```
#
# different rows: for three symbols $2^{n+1}-1$. So one message from which Bob always finds the answer needs $\big\lceil\log_2\sum_{t\le n}(S-1)^t\big\rceil$ bits, for three symbols $n+1$, and as many are enough.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Let $s$ be the last token, $a_1,\dots,a_n$ Alice's string, and $l$ the largest index with $a_l=s$, or 0.
#
# *A row is a function of $l$ and $a_{l+1},\dots,a_n$.* If Bob has $s$ at some place $2i-1$ with $i>l$, the last such $i$ gives the answer $a_i$. If not, the last $s$ before the end is Alice's at place $2l$, which is followed by Bob's token at place $2l+1$ (the last token $s$ itself if $l=n$); or, with $l=0$, there is none.
# As $a_{l+1},\dots,a_n$ avoid $s$, there are $(S-1)^{n-l}$ of them for each $l=0,\dots,n$.
#
# *Different ones have different rows.* Let $a$ have $l$ and $a'$ have $l'\le l$. If $a_i\ne a'_i$ for some $i>l$, let Bob write $s$ at place $2i-1$ and another symbol at his other places: the answers are $a_i$ and $a'_i$. Otherwise $l>l'$, and $a_l=s\ne a'_l$.
# Let Bob write $s$ at place $2l-1$ and a symbol $t\notin\{s,a'_l\}$ elsewhere; there is one, as $S\ge3$. For $a$ the answer is the token at place $2l+1$, $t$ or, if $l=n$, $s$. For $a'$ it is $a'_l$, which is neither. $\blacksquare$
# :::
#
# :::{prf:proposition} (rows if only Bob knows the last token; ours as far as we found)
# :label: prop-induction-last
#
# With $\operatorname{Surj}(t,S)$ strings of length $t$ that use all of $S$ symbols, the number of rows is then exactly
#
# ```{math}
# :label: eq-induction-last
# S^n-\operatorname{Surj}(n,S)+\sum_{t=S-1}^{n-1}S\,\operatorname{Surj}(t,S-1) ,
# ```
#
# for three symbols $6\cdot2^n-6n-3$, which takes $n+3$ bits from $n=4$ on.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Let $l(s)$ be the largest index at which $a$ has $s$, or 0, and $L=\min_sl(s)$. By {prf:ref}`prop-induction-rows` the answers for a last token $s$ depend on $l(s)\ge L$ and what follows it. So the row is a function of $a_L,\dots,a_n$ if $L\ge1$, and of $a$ if $L=0$: call this the *rest* of $a$.
#
# *Different rests have different rows.* Let $i\ge\max(L,L')$ be the largest index at which $a$ and $a'$ differ. There is one: if $L\ge L'$, and $a$ and $a'$ agreed from $L$ on, all symbols would occur there in $a'$ too (or $L=0$), so that $L'=L$ and the rests were the same.
# So $a_{i+1},\dots,a_n$ are common to both, and they miss a symbol $s$, as $i\ge L$. Bob writes $s$ as last token and at place $2i-1$, and $t\ne s$ elsewhere. If neither $a_i$ nor $a'_i$ is $s$, the answers are $a_i$ and $a'_i$. If $a_i=s$, he takes $t\ne a'_i$: the answers are $t$ (or $s$, if $i=n$) and $a'_i\ne s$.
#
# *Count.* $S^n-\operatorname{Surj}(n,S)$ strings miss a symbol, and have $L=0$. Otherwise the $t=n-L$ symbols after $a_L$ use all but the symbol $a_L$: $S\,\operatorname{Surj}(t,S-1)$ rests for each $t$ from $S-1$ to $n-1$. For $S=3$ we have $\operatorname{Surj}(n,3)=3^n-3\cdot2^n+3$
# and $\operatorname{Surj}(t,2)=2^t-2$, which add up to $6\cdot2^n-6n-3$. $\blacksquare$
# :::
#
# :::{prf:proposition} (one layer; after the cited theorem)
# :label: prop-induction-one-layer
#
# Let $N=2n+1$, $n\ge1$, $S\ge3$. One layer of $H$ heads, whose queries, keys and $d'$ values are any functions of a token and its place, with scores of at most $C$ and values of at most $R$ in size, and an output map that gives the right answer even if each coordinate of the layer's output is off by up to $\eta>0$, has
#
# ```{math}
# :label: eq-induction-one-layer
# H\left(\left\lceil\log_2\left\lceil\frac{HCR}\eta\right\rceil\right\rceil+d'\left\lceil\log_2\left\lceil\frac{2HR}\eta\right\rceil\right\rceil\right)\;\ge\;\log_2\sum_{t=0}^n(S-1)^t ,
# ```
#
# where $\log_20$ counts as 0. With numbers of $p$ bits, $mH(p+\log_2(mH))$ grows at least linearly in $N$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Both know the last token and so its queries. For each head, Alice finds the log-sum-exp $L_A$ of her tokens' scores, which lies in $[\ln n-C,\ln n+C]$, and the mean $\mu_A\in[-R,R]^{d'}$ of their values; Bob finds $L_B$ and $\mu_B$ of all others. The head gives $w\mu_A+(1-w)\mu_B$, $w=\sigma(L_A-L_B)$.
# Alice sends the cell of $L_A$ among $\lceil HCR/\eta\rceil$, and of each coordinate of $\mu_A$ among $\lceil2HR/\eta\rceil$. Cells' middles are off by at most $\delta_L=\frac\eta{HR}$ and $\delta_\mu=\frac\eta{2H}$, and as $\sigma$ has slopes of at most $\frac14$, the head is off by at most $\frac{\delta_L}4\cdot2R+\delta_\mu=\frac\eta H$
# in each coordinate, the layer by at most $\eta$. So Bob answers right, and {prf:ref}`prop-induction-rows` bounds the message. For $p$ bits, $d'\le m$, $R\le2^p$, $C\le m4^p$ and $\eta\ge2^{-p}$. $\blacksquare$
# :::
#
# :::{prf:proposition} (two symbols are easy; ours as far as we found)
# :label: prop-induction-two-symbols
#
# Over two symbols one layer of one head with $m=1$, all scores 0 and values of one coordinate solves induction heads for every $N$; the values are integers of at most $N+1$. The table of {prf:ref}`prop-induction-rows` has at most three rows then.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Let $s$ be the last token. If $X_{N-1}=s$, the answer is $s$. Otherwise, if $s$ occurs before, all tokens after its last place before the end are the other symbol, and the answer is that one. Otherwise there is none. So $X_{N-1}$ and the number of ones are enough. With symbols 0 and 1, let token $j$ have the value $X_j$, but token $N-1$ the value $(N+1)X_{N-1}$.
# The mean times $N$ is $(N+1)X_{N-1}+b$, where $b\le N-1$ counts the ones among the others: both can be read off. A row depends on $a_n$ and, if $a_n\ne s$, on whether $s$ occurs in $a$. $\blacksquare$
# :::
#
# ## The idea: note down what came before
#
# A symbol $s$ gets a block of addresses, and places count up inside of it: token $j$ publishes the address $Ks+j$ for the symbol $s$ that it *noted down*,
# with $K=2N$. A last token that looks for $s$ asks at $Ks+N$, the end of the block, and finds the largest address in it. The next block is too far away to
# interfere. In the example $K=24$. With the symbol 0 for `a` and 1 for `b` the notes `a` are at the addresses 3 and 7, and the notes `b` at 26, 29, 32 and
# 34: the last token, an `a`, asks at 12, and 7 is nearest.
#
# :::{prf:lemma} (last place; ours as far as we found)
# :label: lem-last-place
#
# Let $0\le i\le N$ and $K=2N$. Tokens $j$ at different places in $0,\dots,i$ have the addresses $Ks_j+j$ with integers $s_j$. The address nearest to $Ks+i$ is that of the largest $j$ with $s_j=s$, if there is such a $j\ge1$. In any case the nearest address is unique, and squared distances differ by $\delta\ge1$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# A token $j\ge1$ with $s_j=s$ is $i-j\le N-1$ off; one with $s_j>s$ at least $K+j-i\ge N$, one with $s_j<s$ at least $K$. So the nearest has $s_j=s$, and among these it is the largest $j$. If two tokens $j\ne l$ were equally far off, one would lie below and one above, $K(s_j+s_l-2s)=2i-j-l$. But $1\le2i-j-l\le2N-1$ is no multiple of $K$.
# All numbers are integers, so squared distances differ by at least 1. $\blacksquare$
# :::
#
# :::{prf:proposition} (two layers; weights ours as far as we found)
# :label: prop-induction-two-layers
#
# For all $N,S\ge1$ there is a transformer of two layers with a residual connection, one head each, $m=2$, values of one and two coordinates, which solves induction heads over $S$ symbols without a mask. Under the causal mask the same weights give $X_{\operatorname{find}(i)}$ at *every* token $i$. With $c\ge1$ the least power of two with
# $(N-1)S\,\mathrm e^{-c}\le\frac18$ and $A=\max\{(2S-1)N,2N-1\}$, all queries, keys and values are integers, and
#
# ```{math}
# :label: eq-induction-bits
# p=2+\big\lfloor\log_2\max\{A^2,\,2c\,(2S-1)N\}\big\rfloor=O(\log NS)
# ```
#
# bits hold each of them.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Layer 1.* Token $j$ has the address $j$ and the value $X_j$, and asks for the address $j-1$, which occurs: $\delta=1$. So it reads $X_{j-1}$ up to $\frac18$, by {prf:ref}`lem-fetch`, and rounds. Token 1 asks for itself, and notes down $X_0=-1$, no symbol.
#
# *Layer 2.* Token $j$ has the address $KX_{j-1}+j$ and the values $(X_{j-1},X_j)$; token $i$ asks at $KX_i+i$. By {prf:ref}`lem-last-place`, with all $j\le i=N$ for the last token, or those that the mask leaves, it reads token $\operatorname{find}(i)$ if $\operatorname{find}(i)\ne0$, and else some token with $X_{j-1}\ne X_i$;
# as $\delta\ge1$ and values lie in $[-1,S-1]$, up to $\frac18$. So it compares the first number with $X_i$, and answers the second, or "none".
#
# *Bits.* Addresses lie between $1-2N$, of token 1, and $(2S-1)N$; targets are at most $(2S-1)N$; keys are $(a,a^2)$ and queries $c(2t,-1)$. A sign and the digits of the largest of these are enough. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
largest_inputs: int = 50_000  # all S^N strings are run up to so many
row_symbols: list[int] = [2, 3, 4, 5]  # S, where rows are counted
row_entries: int = 2_000_000  # entries of a table that is listed, at most
talk_grid: list[int] = [2, 4, 8, 16, 32]  # n, where one layer becomes a message; three symbols
num_talks: int = 40  # conversations at each of them
long_tokens: int = 1024  # N of the long inputs
long_symbols: int = 1024  # S of the long inputs
num_draws: int = 20  # random strings of medium length
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from math import isqrt

from attention_limits.hypotheses import distinct, ranges, require, usual_ranges

quick = {
    "largest_inputs": 1000,
    "row_entries": 20_000,
    "talk_grid": [2, 4, 8],
    "num_talks": 10,
    "long_tokens": 128,
    "long_symbols": 128,
}

usual_ranges()
ranges(
    largest_inputs=(100, 10**6),
    row_symbols=(2, 10),
    row_entries=(3000, 2**24, "all are listed"),
    talk_grid=(1, 128, "values have 2n + 1 coordinates"),
    num_talks=1,
    long_tokens=(64, 4096, "N² weights of 8 bytes are held"),
    long_symbols=3,
    num_draws=(10, 10**4),
)
distinct("row_symbols", "talk_grid")
require(
    2 in row_symbols and max(row_symbols) > 2,
    f"row_symbols needs S = 2 and an S above it, got {row_symbols}",
)
most_symbols = (isqrt(2**53 // 3) // long_tokens + 1) // 2
require(
    long_symbols <= most_symbols,
    f"long_symbols S must be at most {most_symbols} for N = {long_tokens} (scores exact in float64), got {long_symbols}",
)

# %% [markdown]
# ## Rows, counted
#
# All of Alice's strings against all of Bob's: how many different rows are there? The claims below compare each number with its formula.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch

from attention_limits.bounds.composition import layer_bits
from attention_limits.bounds.induction import (
    count_rows,
    needed_bits,
    rows,
    rows_with_last_token,
    talk_about,
)
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.induction import (
    READING_ERROR,
    InductionTransformer,
    SlotLayer,
    TwoSymbolLayer,
    induction_bits,
    proved_scale,
)
from attention_limits.models.attention import causal_mask
from attention_limits.problems.induction import Hops, InductionHeads

torch.set_num_threads(1)  # exact checks on the CPU, most of them small
generator = torch.Generator().manual_seed(seed)

# %% tags=["hide-input"]
counted = []
for num_symbols in row_symbols:
    for public_last in (True, False):
        n = 1
        while num_symbols ** (2 * n + (not public_last)) <= row_entries:
            formula = rows if public_last else rows_with_last_token
            counted.append(
                {
                    "S": num_symbols,
                    "last token": "both know it" if public_last else "Bob's",
                    "n": n,
                    "rows": count_rows(n, num_symbols, public_last=public_last),
                    "formula": formula(n, num_symbols) if num_symbols > 2 else np.nan,
                }
            )
            n += 1
counted = pd.DataFrame(counted)
figures.table(
    counted.pivot_table(index=["S", "last token"], columns="n", values="rows"),
    "{:.0f}",
    "Different rows of the table, by S and by who knows the last token; columns are n",
)

# %% [markdown]
# The formulas are for $S\ge3$. For two symbols the number does not grow, and {prf:ref}`prop-induction-two-symbols` says why.
#
# ## The two layers
#
# `InductionTransformer` is {prf:ref}`prop-induction-two-layers`, made of real softmax layers (`fetch_layer`). It is run on *all* strings of many small lengths and alphabets, without a mask (the last token's answer) and under the causal mask (every token's), and so are the layer for two symbols and the wide layer of the next section.


# %% tags=["hide-input"]
def small_problems():
    """Lengths and alphabets with few enough strings."""
    for num_tokens in range(1, 15):
        for num_symbols in range(1, 9):
            if num_symbols**num_tokens <= largest_inputs:
                yield InductionHeads(num_tokens, num_symbols)


tried = dict.fromkeys(("last token", "causal mask", "two symbols", "slots"), 0)
wrong = dict(tried)
excess = miscounted = 0
reading_error = 0.0
for problem in small_problems():
    num_tokens, num_symbols = problem.num_tokens, problem.num_symbols
    inputs = problem.all_inputs()
    targets = problem.target(inputs)
    model = InductionTransformer(problem)
    runs = {
        "last token": (model.answers(inputs)[:, -1], targets),
        "slots": (SlotLayer(problem).answer(inputs), targets),
    }
    if num_symbols == 2:
        runs["two symbols"] = (TwoSymbolLayer(num_tokens).answer(inputs), targets)
    if len(inputs) <= largest_inputs / 4:
        every = Hops(num_tokens, num_symbols, 1).target(inputs)
        runs["causal mask"] = (model.answers(inputs, causal_mask(num_tokens)), every)
        reading_error = max(reading_error, model.reading_error(inputs))
        forms = model.formats(model.registers(inputs))
        miscounted += max(form.bits for form in forms) > induction_bits(num_tokens, num_symbols)
    sizes = (model.depth - 2, model.num_heads - 1, model.embed_dim - 2, model.width - 2)
    excess = max(excess, *sizes)
    for name, (answers, right) in runs.items():
        tried[name] += right.numel()
        wrong[name] += int((answers != right).sum())

long = InductionHeads(long_tokens, long_symbols)
long_inputs = long.sample(2, generator=generator)
long_inputs[:, long_tokens // 3] = long_inputs[:, -1]  # so that there is an answer
long_model = InductionTransformer(long)
long_answers = long_model.answers(long_inputs, causal_mask(long_tokens))
long_wrong = int((long_answers != Hops(long_tokens, long_symbols, 1).target(long_inputs)).sum())
# Every largest entry occurs where the largest symbol stands at the last two places.
extreme = torch.full((1, long_tokens), long_symbols - 1)
long_bits = max(form.bits for form in long_model.formats(long_model.registers(extreme)))
reading_error = max(reading_error, long_model.reading_error(long_inputs))
figures.table(
    pd.DataFrame({"answers": tried, "wrong": wrong}),
    "{:,}",
    "Answers on all strings of small lengths and alphabets",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-induction-attention", "caption": "The weights of both layers on baebcabebdea, under the causal mask: queries downwards, keys across. Layer 1 is the diagonal below the main one. In layer 2 a row has a dot where the token finds what followed its own symbol; rows without a dot find nothing, and look where it does not matter."}, "image": {"alt": "Two square maps of twelve rows and columns, labelled with the letters of the string. In the first, bright cells lie on the line just below the diagonal. In the second, one bright cell lies in each row; orange dots mark seven of them, the last row's at column 7."}}
letters = sorted(set(EXAMPLE))
example = InductionHeads(len(EXAMPLE), len(letters))
example_input = torch.tensor([[letters.index(letter) for letter in EXAMPLE]])
model = InductionTransformer(example)
maps = model.attend(model.registers(example_input), causal_mask(len(EXAMPLE))).attention
hops = Hops(example.num_tokens, example.num_symbols, 1).places(example_input)[0].numpy()
fig, panels = plt.subplots(2, 1, figsize=(5, 9.6))
for layer, panel in enumerate(panels):
    panel.imshow(maps[layer][0, 0], cmap=figures.SEQUENTIAL, vmin=0, vmax=1)
    found = np.flatnonzero(hops)
    if layer == 1:
        panel.plot(hops[found] - 1, found, "o", color=figures.ORANGE, markeredgecolor="white")
    panel.set(title=f"layer {layer + 1}", xlabel="key", ylabel="query")
    panel.set_xticks(range(len(EXAMPLE)), EXAMPLE)
    panel.set_yticks(range(len(EXAMPLE)), EXAMPLE)
    panel.grid(visible=False)
plt.show()
example_answer = letters[model.answers(example_input)[0, -1].item()]

# %% tags=["hide-input"]
figures.prose(
    f"The last token answers `{example_answer}`. At $N={long_tokens}$ and $S={long_symbols}$ the same weights, with "
    f"$c={long_model.scale:g}$ and $p={long_bits}$, made {long_wrong} wrong answers of {long_answers.numel():,}."
)

# %% [markdown]
# ## One layer as a message
#
# One layer can do it if it is wide: all scores are 0, token $j$ has the value $NX_j$ in slot $j$, and the mean is the whole string (`SlotLayer`). Alice and Bob simulate this real layer over a channel that counts bits, as on [Theorem 7's page](thm-7-match3.py); each coordinate of Bob's output is off by at most $\frac14$.

# %% tags=["hide-input"]
talks = []
for n in talk_grid:
    problem = InductionHeads(2 * n + 1, 3)
    inputs = problem.sample(num_talks, generator=generator)
    inputs[:, -1] = 2
    tally = talk_about(problem, 2, inputs)
    both_layers = layer_bits(1, 1, bits := induction_bits(2 * n + 1, 3)) + layer_bits(1, 2, bits)
    talks.append(
        {
            "n": n,
            "bits needed": needed_bits(n, 3),
            "bits sent": tally.num_bits,
            "wrong": tally.wrong,
            "two layers bring": both_layers,
        }
    )
talks = pd.DataFrame(talks)
figures.table(
    talks,
    "{:,}",
    f"Three symbols, N = 2n + 1: the wide layer as a message, {num_talks} conversations at each n, and what two layers bring "
    "the last token",
    index=False,
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-induction-bits", "caption": "Bits against n, three symbols, N = 2n + 1. Blue: what any message, and so any one layer, needs, exactly n + 1. Orange: what the wide layer sends. Green: what both layers of our construction bring the last token, five numbers of p bits."}, "image": {"alt": "A log-log plot. A blue straight line, n plus 1, rises from the lower left. Orange markers lie on a parallel line several times higher. A green line rises slowly from 45 to about 165 and is crossed by the blue one at n near 110."}}
fig, axes = plt.subplots(figsize=(6, 4))
lengths = np.unique(np.geomspace(1, 5000, 60).astype(int))
bits_of = [induction_bits(2 * int(n) + 1, 3) for n in lengths]
brought = [layer_bits(1, 1, bits) + layer_bits(1, 2, bits) for bits in bits_of]
axes.loglog(lengths, lengths + 1, color=figures.BLUE, label="needed by one layer, $n+1$")
axes.loglog(talks["n"], talks["bits sent"], "o-", color=figures.ORANGE, label="wide layer sends")
axes.loglog(lengths, brought, color=figures.GREEN, label="two layers bring")
axes.set(xlabel="$n$", ylabel="bits")
axes.legend()
plt.show()


# %% tags=["hide-input"]
def two_layers_bring_less(n: int) -> bool:
    """Whether both layers bring the last token fewer bits than one message needs."""
    bits = induction_bits(2 * n + 1, 3)
    return layer_bits(1, 1, bits) + layer_bits(1, 2, bits) < needed_bits(n, 3)


crossing = next(n for n in range(1, 1000) if two_layers_bring_less(n))
figures.prose(
    f"From $n={crossing}$ on, $N={2 * crossing + 1}$, the two layers together bring the last token fewer bits than one layer "
    "of any kind must."
)

# %% [markdown]
# ### What breaks
#
# Four things that should go wrong: blocks of addresses that are too short ($K=N/2$ in place of $2N$), a scale that is too small, every token's answer without
# the mask, and the layer for two symbols without its one large value. The checks count the wrong answers.

# %% tags=["hide-input"]
small = InductionHeads(6, 3)
inputs = small.all_inputs()
targets = small.target(inputs)
short_blocks = int((InductionTransformer(small, stride=3).answers(inputs)[:, -1] != targets).sum())
medium = InductionHeads(64, 8)
drawn = medium.sample(num_draws, generator=generator)
flat = InductionTransformer(medium, scale=proved_scale(medium) / 16)
flat_wrong = int((flat.answers(drawn)[:, -1] != medium.target(drawn)).sum())
everywhere = Hops(6, 3, 1).target(inputs)
unmasked = int((InductionTransformer(small).answers(inputs) != everywhere).sum())
binary = InductionHeads(8, 2)
plain = TwoSymbolLayer(8)
plain.weights.fill_(1.0)
strings = binary.all_inputs()
plain_wrong = int((plain.answer(strings) != binary.target(strings)).sum())

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
most = counted[counted["S"] > 2]
claim("induction.rows", int((most["rows"] - most["formula"]).abs().sum()), "==", 0,
    statement=f"The rows counted are as many as the formulas say, in {len(most)} tables of three and more symbols: "
    "the differences, added up.")
binary_counts = counted[counted["S"] == 2]
claim("induction.two-symbol-rows", int((binary_counts["rows"] - 3 - (binary_counts["last token"] == "Bob's")).max()), "<=", 0,
    statement="Over two symbols there are at most three rows or, if the last token is Bob's, four: the excess over this, "
    "most at any n that was counted.")
claim("induction.last-token", wrong["last token"], "==", 0,
    statement=f"Two layers answer right without a mask: no exception on all {tried['last token']:,} strings of small "
    "sizes.")
claim("induction.every-token", wrong["causal mask"], "==", 0,
    statement=f"Every token answers right under the causal mask: no exception among {tried['causal mask']:,} answers.")
claim("induction.long", long_wrong, "==", 0,
    statement=f"Every token answers right on random strings with N = {long_tokens:,}, S = {long_symbols:,}: no "
    "exception.")
claim("induction.sizes", excess, "==", 0,
    statement="Depth 2, one head, m = 2 and values of two coordinates are enough: the largest excess over all sizes.")
claim("induction.bits", miscounted, "==", 0,
    statement="The proposition's p bits hold every query, key and value exactly: no exception among the sizes.")
claim("induction.long-bits", long_bits, "==", induction_bits(long_tokens, long_symbols),
    statement=f"At N = {long_tokens:,}, S = {long_symbols:,} the format that holds all queries, keys and values "
    "exactly has the proposition's p bits.")
claim("induction.reading", reading_error, "<=", READING_ERROR,
    statement="What the last token reads is near an integer before it is rounded: the largest distance.")
claim("induction.two-symbols", wrong["two symbols"], "==", 0,
    statement=f"Over two symbols one layer of one head answers right: no exception on all {tried['two symbols']:,} "
    "strings up to their size.")
claim("induction.slots", wrong["slots"] + int(talks["wrong"].sum()), "==", 0,
    statement="The wide layer answers right on all strings of small sizes, and so does Bob in "
    f"{num_talks * len(talks)} conversations about it: no exception.")
claim("induction.slot-bits", int((talks["bits sent"] - talks["bits needed"]).min()), ">=", 0,
    statement="That message has at least the bits that any message needs: the least excess over these n.")
claim("induction.example", example_answer == "b", "==", True, source="P",
    statement="The answer on baebcabebdea is b, as in the cited paper.")
claim("induction.crossing", crossing, "<=", 128,
    statement="Two layers bring the last token fewer bits than any one layer over three symbols must, from a small n "
    "on: the first such n.")
observed("induction.long-blocks-needed", short_blocks, ">=", 100,
    statement="With blocks of K = N/2 addresses many answers are wrong, N = 6, S = 3, of 729 strings.")
observed("induction.scale-needed", flat_wrong, ">=", 1,
    statement=f"With a sixteenth of the scale c some answers are wrong, N = 64, S = 8, of {num_draws} random strings.")
observed("induction.mask-needed", unmasked, ">=", 100,
    statement=f"Without a mask many answers of all tokens are wrong, N = 6, S = 3, of {everywhere.numel():,}.")
observed("induction.large-value-needed", plain_wrong, ">=", 1,
    statement="The plain mean over two symbols gives wrong answers, N = 8, of 256 strings.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *A new theorem for one layer.* That one layer needs $\Omega(N)$ is cited; the exact rows sharpen the constant, from the $n$ bits of INDEX to $n+1$ over three symbols. A layer of heads may need more than a message does.
# * *Anything about unlimited precision.* {prf:ref}`prop-induction-one-layer` needs an output map that tolerates an error. Without that, one real number may carry the whole string.
# * *That these weights are learned.* Trained models have heads that look at the token before, and heads that look for what these found. Whether they resemble ours in more than this we don't measure.
# * *What two layers need at least.* Ours use $O(\log NS)$ bits, and we know no lower bound for them.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-induction-digits
#
# One head with all scores 0 and values of *one* coordinate solves the task over three symbols too. How many bits has its value?
# :::
#
# :::{solution} ex-induction-digits
# :class: dropdown
#
# Token $j$ has the value $N\,3^{j-1}X_j$; the mean is the number whose digits in base 3 are the string. The largest value has about $N\log_23$ bits, so that
# again $Hmp$ is of order $N$: heads, dimensions and bits can be traded for each other, but they can't all be small.
# :::
#
# :::{exercise}
# :label: ex-induction-alice
#
# Let Alice hold the first half of the string and Bob the second. How many rows are there over $S\ge3$ symbols if both know the last token?
# :::
#
# :::{solution} ex-induction-alice
# :class: dropdown
#
# Bob needs Alice's string only if he has no $s$ before the last place. Then it matters which symbol followed her last $s$, one of the $S-1$ others; or that her last token is $s$, so that the answer is Bob's first token; or that she has none. If she has two tokens or more, that makes $S+1$ rows, however long the string is. The split matters: a bound may choose the hard one.
# :::
#
# :::{exercise}
# :label: ex-induction-residual
#
# Where do the two layers use the residual connection, and what replaces it?
# :::
#
# :::{solution} ex-induction-residual
# :class: dropdown
#
# In layer 2 a token still needs its own symbol and place. A second head in layer 1 that asks for the token's own place brings both: two heads, three value coordinates in all.
# :::
#
# :::{exercise}
# :label: ex-induction-first
#
# Let the last token answer what followed the *first* occurrence of its symbol. What changes in layer 2?
# :::
#
# :::{solution} ex-induction-first
# :class: dropdown
#
# It asks at $KX_N$, just below the block: the wanted tokens are $j$ off, and the smallest $j$ is nearest. A token of another block is at least $K-N=N$ off, and $N$ only if it is token $N$; then a wanted one is another token, and nearer.
# :::
#
# ## Reference
#
# The task as defined here is from {cite}`sanford2024parallel`, and so is the example; the theorem on one layer and two is from {cite}`sanford2024onelayer`, known to us at second hand. That a head which looks at the token before makes the second look possible was found in trained models {cite}`elhage2021mathematical,olsson2022context`. The exact rows, the layer for two symbols, the addresses, scale and bits of the two layers, and all measurements are ours, as far as we found.
