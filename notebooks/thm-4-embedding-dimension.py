# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Theorem 4: the embedding dimension is needed
#
# **The question.** One self-attention unit averages $q$ tokens out of $N$ with about $q\log N$ dimensions
# ({prf:ref}`thm-fixed-precision`). Could it do with far fewer? How many bits must a token hand to the layer, whatever
# the layer does with them?
#
# **In one paragraph.** A token asks for the mean of 4 out of 8 values: there are 70 such choices. Suppose it hands the
# same bits to the layer for two of them. Then the layer answers the same for both, whatever the values are; yet with
# $+1$ at the tokens that only one choice holds and $-1$ at those that only the other holds, the two right answers are
# apart. So each choice needs bits of its own, here 7 of them, and in general
# $\log_2\binom Nq\ge q\log_2\frac Nq$. The paper tells this as a game ({numref}`fig-reduction`): what a token asks for
# is Alice's secret, the values are Bob's, and the average tells Bob whether their secrets meet. A layer that needed few
# bits would let them finish the game with fewer bits than it takes.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-reduction", "caption": "Two secrets, one average, q = 4. Alice's token 2q + 1 asks for one slot of each pair, the right one where her bit is 1. Bob writes + into the right slot where his bit is 1, and − into all others. The average is above −1 exactly if some arrow ends at a +, that is, if both have a 1 in one place. Only what token 2q + 1 asks for crosses from Alice to Bob."}, "image": {"alt": "Four pairs of squares in a row. A circle above them, Alice's token, has one arrow to a square of each pair, according to her bits 1 0 1 0. Squares are marked minus, except the right ones of the second and third pair, as Bob's bits are 0 1 1 0. One arrow ends at a plus, in the third pair. The average of the four is minus one half."}}
import matplotlib.pyplot as plt
import torch

from attention_limits import figures
from attention_limits.bounds.sparse_averaging import DisjointnessReduction

figures.use_style()
pictured = DisjointnessReduction(num_bits=4, num_tokens=9)
a_bits, b_bits = torch.tensor([[1, 0, 1, 0]]), torch.tensor([[0, 1, 1, 0]])
asked_for, signs = pictured.pointers(a_bits.bool())[0], pictured.signs(b_bits.bool())[0]
fig, axes = plt.subplots(figsize=(6.4, 3.3))
text, middle = {"ha": "center", "va": "center", "fontsize": 13}, (5.6, 2.3)
for slot in range(8):
    element, plus = slot // 2, signs[slot] > 0
    x = 3 * element + 1.1 * (slot % 2) + 0.55
    color = figures.ORANGE if plus else "#e4e4e4"
    axes.add_patch(plt.Rectangle((x - 0.45, -0.4), 0.9, 0.9, fc=color, ec=figures.GREY))
    axes.text(x, 0.05, "$+$" if plus else "$-$", color="black", **text | {"fontsize": 17})
    if slot in asked_for:
        arrow = {"arrowstyle": "-|>", "color": figures.BLUE, "lw": 1.8, "shrinkA": 19, "shrinkB": 0}
        axes.annotate("", (x, 0.52), middle, arrowprops=arrow)
    if slot % 2:
        axes.text(x - 0.55, -0.78, f"Alice {a_bits[0, element]}", color=figures.BLUE, **text)
        axes.text(x - 0.55, -1.22, f"Bob {b_bits[0, element]}", color=figures.ORANGE, **text)
axes.plot(*middle, "o", markersize=36, color=figures.BLUE, markerfacecolor="none")
axes.text(*middle, "$2q{+}1$", **text)
axes.text(4.6, 2.6, "Alice's token", color=figures.BLUE, **text | {"ha": "right"})
mean = signs[asked_for].double().mean().item()
axes.text(6.6, 2.6, f"average ${mean:g} > -1$:\nthey meet", **text | {"ha": "left"})
axes.set(xlim=(-0.1, 11.3), ylim=(-1.5, 3.0))
axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax, binomial coefficients. A quarter of a minute on one core.
#
# **On this page.**
#
# * The paper's theorem: $mp$ must grow like $q$. [P] {prf:ref}`thm-embedding-dimension`
# * It holds for every $q$, with the constant $\log_23$ where $m$ counts all that a token stores. [P~] {prf:ref}`cor-every-sparsity`
# * Plain counting asks for more, $\log_2\binom Nq$ bits, and works for every accuracy. [N] {prf:ref}`thm-counting`
# * The paper's game gives $q$ bits and can't give more: a unit with one bit a coordinate plays it. [N] {prf:ref}`prop-signs`
# * Both parties run as code, and the channel counts every bit: between what is needed and what Theorem 2's unit sends lie
#   two logarithms ({numref}`fig-bits-sent`). [N]
#
# ## The statement
#
# :::{prf:theorem} 4 of the paper (the dimension is needed)
# :label: thm-embedding-dimension
# :nonumber:
#
# There is a universal constant $c>0$ such that for all large enough $q$, every $N\ge2q+1$ and every $d'\ge1$: if
# $mp\le cq$, then no $f\in T^{1,1}_{d,m,d',p}$ $\tfrac1{2q}$-approximates $\qSA$ ({prf:ref}`def-transformer`,
# {prf:ref}`def-sparse-averaging`) {cite}`sanford2023representational`.
# :::
#
# Here $m$ is the embedding dimension and $p$ the bits of a number. The paper proves the theorem through *disjointness*, a
# problem about two parties who must talk to each other. Plain counting is simpler, and it proves more.
#
# :::{prf:proposition} (counting, ours)
# :label: thm-counting
#
# Let $1\le q\le N$ and $0<\eps<1$. Fix a token $i$, and let output $i$ of $f$ depend on $x_i$ only through some
# $\varphi(x_i)$ that takes at most $2^B$ values. If $f$ $\eps$-approximates $\qSA$, then
#
# ```{math}
# :label: eq-packing
# B\;\ge\;\log_2 P,\qquad P\;\ge\;\binom Nq\Big/\sum_{j\le\eps q}\binom qj\binom{N-q}j ,
# ```
#
# where $P$ is the largest number of $q$-subsets of which any two have $\abs{y\setminus y'}>\eps q$. For $\eps<\tfrac1q$
# these are all subsets: $B\ge\log_2\binom Nq\ge q\log_2\frac Nq$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Take subsets $y\ne y'$ with $\abs{y\setminus y'}=k$, and suppose $\varphi(x_i)$ is the same for $x_i=(e_1;y;i)$ and
# $x_i'=(e_1;y';i)$. Give the value $e_1$ to the tokens of one of the sets $y\setminus y'$, $y'\setminus y$ and $-e_1$
# to those of the other, so that token $i$, if it lies in one of them, has the value $e_1$ that it has already. All
# other values are 0, and what the other tokens ask for is fixed. On $y\cap y'$ the two averages agree, so that they are
# $2k/q$ apart. The output is the same for both inputs, as $f$ sees no difference, and lies within $\eps$ of both
# averages. Hence $2k/q\le2\eps$, that is $k\le\eps q$.
#
# So $\varphi$ takes different values on the members of a packing, and $2^B\ge P$. A packing that can't be enlarged has
# every subset within $\abs{y\setminus y'}\le\eps q$ of a member; each member has $\binom qj\binom{N-q}j$ subsets with
# $\abs{y\setminus y'}=j$, and this bounds $P$ from below. If $\eps q<1$, only $j=0$ is left. Finally
# $\binom Nq=\prod_{j<q}\frac{N-j}{q-j}\ge(\tfrac Nq)^q$. $\blacksquare$
# :::
#
# **What is counted.** If $\varphi(x_i)$, all of what a token stores, has $m$ coordinates of $p$ bits, then $B=mp$. If
# one counts instead what the layer reads of token $i$, a query and a key of $m$ coordinates each and a value of $d'$,
# then $B=(2m+d')\,p$, and this stands in place of $mp$ in every bound below. It is at most $3mp$ if $d'\le m$, so that
# only the constant changes, to a third. With this $m$, that of {prf:ref}`def-unit`, and $d'>m$ the counting bounds $(2m+d')\,p$ and not $mp$ alone.
#
# :::{prf:corollary} (Theorem 4 for every q, our constant)
# :label: cor-every-sparsity
#
# Let $B=mp$. For every $q\ge1$, $N\ge2q+1$ and $\eps<\tfrac1q$ we have $mp\ge\log_2\binom{2q+1}q\ge q\log_23$. So
# {prf:ref}`thm-embedding-dimension` holds for every $q\ge1$, with $c=\log_23\approx1.58$ for this $m$, and with a third of it where $m$ counts the columns of $Q$, $K$ and
# $V$ and $d'\le m$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# $\binom Nq$ grows with $N$. The quotient $\binom{2q+1}q\big/\binom{2q-1}{q-1}=\frac{2q(2q+1)}{q(q+1)}=4-\frac2{q+1}$
# is at least 3 for $q\ge1$, and $\binom10=1$; so $\binom{2q+1}q\ge3^q$ by induction. Equality $mp=q\log_23$ is
# impossible, since the left side is an integer and the right side is irrational; hence $mp\le cq$ is ruled out too.
# $\blacksquare$
# :::
#
# ## The idea
#
# **Two parties.** Alice holds a string $a\in\{0,1\}^q$, Bob holds $b\in\{0,1\}^q$. *Disjointness* asks whether both have a
# one in the same place, as $1010$ and $0110$ do in the third. We write $\operatorname{DISJ}(a,b)=\max_ia_ib_i$, which is 0 if
# the strings, read as sets of places, are disjoint. Alice and Bob see nothing of each other but the bits that they send.
#
# :::{prf:proposition} (disjointness is hard)
# :label: prop-disjointness
#
# If Alice sends one message, from which Bob finds $\operatorname{DISJ}$ on $n$ bits, then $n$ bits are needed and
# enough. If they may talk back and forth, $n$ bits are needed still, on some input {cite}`yao1979questions`.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *One message.* Strings $a\ne a'$ differ in some place $i$, where one of them has a one: for Bob's $b=e_i$ the answers
# differ. So all $2^n$ rows of the table of $\operatorname{DISJ}$ are different, and if Alice sent the same message for
# two of them, Bob would err. Sending $a$ itself is enough.
#
# *Back and forth.* Consider the $2^n$ pairs $(a,\bar a)$ of a string and its complement. All are disjoint. Suppose
# $(a,\bar a)$ and $(a',\bar a')$, $a\ne a'$, had the same transcript. What each party says depends on its own string
# and on what was said before, so $(a,\bar a')$ and $(a',\bar a)$ have this transcript too. On them Bob, who knows
# $\bar a'$ or $\bar a$ and the transcript, says "disjoint", as before. But one of $a\wedge\bar a'$ and $a'\wedge\bar a$
# is not empty. So there are $2^n$ different transcripts; none is the beginning of another, since both know at each
# moment from what was said whether there is more to come. Therefore one has at least $n$ bits. $\blacksquare$
# :::
#
# **Disjointness inside sparse averaging.** Two tokens stand for each element $i$, its slots "0" and "1". Alice has one more
# token, which points at one slot of each element: at slot "1" if $a_i=1$, and at slot "0" if not. Bob writes the value $+e_1$
# into slot "1" if $b_i=1$, and $-e_1$ into all other slots ({numref}`fig-reduction`).
#
# :::{prf:lemma} (the paper's reduction)
# :label: lem-reduction
#
# Let $N\ge2q+1$, $y_{2q+1}=\{2i-1+a_i:i\le q\}$, $z_{2i}=(2b_i-1)e_1$ and $z_{2i-1}=-e_1$ for $i\le q$. Then
#
# ```{math}
# :label: eq-reduction
# \qSA(X)_{2q+1}=\Big(-1+\frac2q\,\abs{a\wedge b}\Big)\,e_1 ,
# ```
#
# and an output that is less than $\tfrac1q$ away tells whether $a$ and $b$ are disjoint: compare its first coordinate
# with $-1+\tfrac1q$ {cite}`sanford2023representational`.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# The value that is read for element $i$ is $+e_1$ if $a_i=b_i=1$, and $-e_1$ otherwise. The mean of the $q$ values is
# {eq}`eq-reduction`. It is $-e_1$ for disjoint strings and has a first coordinate of at least $-1+\tfrac2q$ for all
# others; the threshold lies half-way. $\blacksquare$
# :::
#
# This proves {prf:ref}`thm-embedding-dimension` by the paper's route, for every $q\ge1$:
#
# :::{prf:proof}
# :class: dropdown
#
# From a unit to a protocol, step by step.
#
# 1. Let $f$ $\tfrac1{2q}$-approximate $\qSA$ on $N\ge2q+1$ tokens; any $\eps<\tfrac1q$ would do. Alice and Bob agree on $f$, on the value 0 and the
#    position of token $2q+1$, on what the other tokens ask for, and on fillers for the positions from $2q+2$ on.
# 2. Alice knows token $2q+1$ and sends $\varphi(x_{2q+1})$: $B$ bits.
# 3. Bob knows all other tokens. He computes the query, key and value of token $2q+1$ from her message, the other keys and values by himself, one
#    row of the softmax, and the output at token $2q+1$.
# 4. By {prf:ref}`lem-reduction` he compares it with $-1+\tfrac1q$ and knows $\operatorname{DISJ}(a,b)$.
# 5. This is a protocol of one message on $q$ bits, so $B\ge q$ by {prf:ref}`prop-disjointness`. With $B=mp$ we get $mp\ge q$,
#    which rules out $mp\le cq$ for any $c<1$. $\blacksquare$
# :::
#
# **Two bounds, two tasks.** Steps 1 to 5 need the right *decision* only, on $4^q$ inputs: they give $mp\ge q$ and, as
# we shall see, no more. {prf:ref}`thm-counting` uses that $f$ *approximates* on every input, and gives
# $\log_2\binom Nq$, which is close to $2q$ at $N=2q+1$ and grows with $N$.
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 20  # N ≥ 2q + 1; the tokens beyond 2q + 1 are fillers
sparsity: int = 8  # q, bits each; all 4^q pairs are run, up to this q
value_dim: int = 1  # d', coordinates of a value
accuracy: float = 0.0625  # ε < 1/q, for the unit that is looked at closely
seed: int = 0  # of every random draw on this page
all_subsets_sparsity: int = 5  # q up to which a unit serves all C(2q + 1, q) subsets
sparsity_grid: list[int] = [16, 32, 64]  # q, where random hard pairs are run
num_inputs: int = 64  # strings of Alice and of Bob at each of these
matrix_bits: int = 10  # n up to which rows of the communication matrix are counted
rank_bits: int = 8  # n up to which its rank is computed exactly
num_draws: int = 4  # draws of the keys at each size in the search for a small unit

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import (
    ranges,
    require,
    require_disjointness_reduction,
    require_separating_accuracy,
    usual_ranges,
)

quick = {
    "num_tokens": 15,
    "sparsity": 6,
    "all_subsets_sparsity": 4,
    "sparsity_grid": [16, 32],
    "num_inputs": 16,
    "matrix_bits": 8,
    "rank_bits": 6,
    "num_draws": 2,
}

require_disjointness_reduction(num_tokens, sparsity)
usual_ranges()
require_separating_accuracy(accuracy, sparsity)
ranges(
    sparsity=(1, 10, "all 4^q inputs are run"),
    all_subsets_sparsity=(1, 6, "all C(2q + 1, q) subsets are served"),
    matrix_bits=(1, 12, "the matrix has 4^n entries"),
    rank_bits=(1, 9, "the elimination is exact"),
    num_inputs=1,
    num_draws=1,
    sparsity_grid=(1, 128, "units are built for them"),
)
require(
    rank_bits <= matrix_bits,
    f"rank_bits = {rank_bits} must be at most matrix_bits = {matrix_bits}: both stand in one table",
)

# %% [markdown]
# ## The construction
#
# ### The channel, and who knows what
#
# `run_protocol` lets two Python generators talk, one for each party. A party can only send strings of bits of a width that
# the other awaits, so that neither the length of a message nor silence tells anything. A number that does not fit into its
# width is an error, and so is a bit beyond the channel's capacity. The layer is the unit of Theorem 2, whose token stores
# $(z_i;\,u_i;\,\alpha w_{y_i})$.
#
# | | knows |
# | --- | --- |
# | both, beforehand | $q$, $N$, $d'$; the keys $u_j$ of all positions; that token $2q+1$ has the value 0; that values pass unchanged; the number format |
# | Alice | $a$, hence $y_{2q+1}$ and the query $\alpha w_{y_{2q+1}}$ |
# | Bob | $b$, hence all values $z_j$ |
# | **sent** | the query: $k$ coordinates of $p$ bits, nothing else |
#
# The keys are drawn, and found good for all of Alice's strings, before the two part. Of the $d'+2k$ numbers that token
# $2q+1$ stores, Bob knows the first two blocks already. We count what crosses: $kp$ bits, with $k$ the embedding
# dimension.

# %% tags=["hide-input"]
import math
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from IPython.display import display

from attention_limits.bounds.counting import (
    greedy_packing,
    guaranteed_packing,
    log2,
    required_bits,
    separating_values,
)
from attention_limits.bounds.disjointness import Blocks, OneWay, all_pairs, run_on_pairs
from attention_limits.bounds.protocols import Bits, different_transcripts, pack_numbers
from attention_limits.bounds.sparse_averaging import (
    fixed_precision_protocol,
    run_query_protocol,
    sign_protocol,
)
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.sizes import smallest_unit
from attention_limits.constructions.sparse_averaging import (
    default_embed_dim,
    fixed_precision_unit,
    narrow_embed_dim,
    sufficient_format,
)
from attention_limits.problems.disjointness import Disjointness
from attention_limits.problems.sparse_averaging import SparseAveraging
from attention_limits.runtime import progress

# The matrices of this page are tiny: more threads would only wait for each other.
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(seed)  # small exact checks: all on the CPU


# %%
def proved_bits(tokens, ones, target, embed_dim):
    """p for the queries of Theorem 2's unit, proved to be enough for ε."""
    return sufficient_format(tokens, ones, embed_dim, target).bits


def proved_unit(task, target, embed_dim):
    """The unit of Theorem 2 with that many bits."""
    bits = proved_bits(task.num_tokens, task.sparsity, target, embed_dim)
    return fixed_precision_unit(
        task, target, generator=generator, embed_dim=embed_dim, bits=bits
    ).double()


# %% [markdown]
# ### Disjointness, computed
#
# What {prf:ref}`prop-disjointness` says, we also compute: the number of different rows of the table of
# $\operatorname{DISJ}$; the rank of $1-\operatorname{DISJ}$ over the rationals, by exact elimination; and that the
# pairs $(a,\bar a)$ are a *fooling set*: when any two of them exchange Bob's strings, one of the new pairs is not disjoint, as
# the proof needs it. For protocols that go back and forth the rank is a second proof: a transcript's inputs form a rectangle, a
# matrix of rank 1, so a right protocol has at least as many transcripts as the rank.

# %%
facts = pd.DataFrame({"n": range(1, matrix_bits + 1)})
tasks = [Disjointness(n) for n in facts["n"]]
facts["2ⁿ"] = [2**task.num_bits for task in tasks]
facts["different rows"] = [task.num_different_rows() for task in tasks]
facts["rank of 1 − DISJ"] = pd.Series([task.complement_rank() for task in tasks[:rank_bits]])
facts["fooling set"] = [
    len(pairs.alice) if task.is_fooling_set(pairs) else 0
    for task in tasks
    for pairs in [task.fooling_set()]
]
figures.table(facts.set_index("n").T, "{:,.0f}")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-matrix", "caption": "Top: the table of disjointness for n = 6; blue where the strings are disjoint, orange on the fooling set (a, ā). Every row is different. Bottom: bits that cross for n = 4 in two right protocols, on all pairs of strings, in falling order; the worst input costs at least n in both."}, "image": {"alt": "Top: a 64 by 64 table in the pattern of a Sierpinski triangle, with the anti-diagonal marked. Bottom: two step curves of bits over the 256 pairs; sending everything always costs four bits, the protocol in blocks of two costs three or five bits."}}
shown, short = Disjointness(6), Disjointness(4)
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6, 6.6), height_ratios=[1.5, 1])
disjoint = ~shown.communication_matrix().numpy()
top.imshow(disjoint, cmap="Blues", interpolation="nearest", vmax=1.3)
fooling = np.arange(2**shown.num_bits)
top.plot(fooling[::-1], fooling, "s", color=figures.ORANGE, markersize=2.2)
top.set(xlabel="Bob's string $b$", ylabel="Alice's string $a$", xticks=[], yticks=[])
top.grid(visible=False)
top.text(61, 36, "fooling set", color=figures.ORANGE, ha="right")
for protocol, label, color in (
    (OneWay(4), "one message", figures.BLUE),
    (Blocks(4, 2), "blocks of 2, Bob may stop", figures.ORANGE),
):
    tally = run_on_pairs(protocol, all_pairs(short))
    costs = sorted((talk.num_bits for talk in tally.conversations), reverse=True)
    bottom.step(range(1, len(costs) + 1), costs, color=color, label=label)
bottom.set(xlabel="pairs of strings", ylabel="bits", ylim=(0, 5.5))
figures.reference_line(bottom, short.num_bits, "$n$")
bottom.legend(loc="lower left")
plt.show()

# %% [markdown]
# The second protocol of {numref}`fig-matrix` talks back and forth: Alice sends two bits at a time, and Bob stops her when they
# meet. It saves on some inputs, but its worst input costs more than $n$ bits. On its worst input no protocol does better than $n$.

# %% tags=["hide-input"]
talks = []
for n in range(1, 6):
    task = Disjointness(n)
    for name, protocol, formula in (
        ("one message", OneWay(n), n),
        ("one bit fewer", OneWay(n, n - 1), n - 1),
        ("blocks of 1", Blocks(n, 1), 2 * n - 1),
        ("blocks of 2", Blocks(n, 2), n + math.ceil(n / 2) - 1),
    ):
        tally = run_on_pairs(protocol, all_pairs(task))
        fooled = different_transcripts(run_on_pairs(protocol, task.fooling_set()).conversations)
        worst, mean = tally.worst_bits, tally.mean_bits
        talks.append((name, n, tally.wrong, worst, formula, mean, fooled))
columns = ["protocol", "n", "wrong", "worst bits", "formula", "mean bits", "transcripts"]
talks = pd.DataFrame(talks, columns=columns)
is_short = talks["protocol"] == "one bit fewer"
right_talks, short_talks = talks[~is_short], talks[is_short]
figures.table(
    talks[talks["n"] == talks["n"].max()].set_index("protocol"),
    {"mean bits": "{:.2f}"},
    "All pairs of strings; transcripts are counted on the fooling set",
)

# %% [markdown]
# ### The unit as a protocol
#
# Alice's query is written in $p$-bit fixed point, with $p$ the bits that are proved to be enough for $\eps$. Each of
# her $2^q$ messages is made from $a$ alone, crosses the channel, and is read again by Bob, who answers for each of his
# $2^q$ strings from that string and the message alone.

# %%
reduction = DisjointnessReduction(sparsity, num_tokens, value_dim)
strings = Disjointness(sparsity).strings()
unit = proved_unit(reduction.problem, accuracy, default_embed_dim(num_tokens, sparsity))
protocol = fixed_precision_protocol(reduction, unit, strings)
outcome = run_query_protocol(protocol, strings, strings)

# %% tags=["hide-input"]
problem = Disjointness(sparsity)
overlap = strings.long() @ strings.long().T

# The reduction itself, in integers: q times the average is the sum of q signs.
sums = reduction.signs(strings)[:, reduction.pointers(strings)].sum(dim=-1).T
reduction_misses = int((sums != 2 * overlap - sparsity).sum())

# The same unit on whole inputs, without any channel.
some = problem.sample(64, generator=generator)
whole = unit(reduction.inputs(*some))[:, reduction.own_token, 0]
received = run_query_protocol(protocol, *some).outputs.diagonal()
channel_gap = (whole - received).abs().max().item()
figures.prose(
    f"With $q={sparsity}$, $N={num_tokens}$ and $\\varepsilon={accuracy:g}$ the unit has "
    f"$k={unit.embed_dim}$ and $p={unit.format.bits}$: {outcome.num_bits:,} bits cross in each "
    f"conversation. Of Bob's {outcome.outputs.numel():,} answers {outcome.wrong} are wrong. Alice "
    f"sends {outcome.num_messages} different messages for her {len(strings)} strings."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-outputs", "caption": "What Bob computes on all pairs of strings: the first coordinate of the output against the number of common ones. Grey bands: the exact average ± ε. Dashed: the threshold."}, "image": {"alt": "Outputs rise in steps of two over q with the number of common elements, from minus one to one. All points lie within narrow bands. A dashed threshold separates zero common elements from one and more."}}
outputs = outcome.outputs.numpy()
fig, axes = plt.subplots(figsize=(6.4, 3.6))
jitter = np.random.default_rng(seed).uniform(-0.28, 0.28, outputs.shape)
places, dots = overlap.numpy() + jitter, {"markersize": 1.5, "markeredgewidth": 0}
axes.plot(places.ravel(), outputs.ravel(), "o", color=figures.BLUE, rasterized=True, **dots)
common = np.arange(sparsity + 1)
lowest = -1 + 2 * common / sparsity - accuracy
axes.bar(common, 2 * accuracy, 0.8, lowest, color=figures.GREY, alpha=0.2, linewidth=0)
edge = float(reduction.threshold)
axes.axhline(edge, color=figures.ORANGE, linestyle="--", linewidth=1)
axes.text(sparsity + 0.4, edge, "threshold $-1+1/q$", color=figures.ORANGE, va="bottom", ha="right")
axes.set(xlabel=r"common ones $|a\wedge b|$", ylabel="output of token $2q+1$", xticks=common)
plt.show()

# %% [markdown]
# ### How many bits the unit uses, and how few will do
#
# At $N=2q+1$ and $\eps=\tfrac1{2q}$ we run five units on all $4^q$ inputs. Two have the bits that are proved to be enough
# for every subset that has a certificate. The other three have fewer, and need to serve the $2^q$ subsets of the
# reduction only: the least bits at $k=\lceil4q\ln N\rceil$, and two that are *selected*, the best of a small search over
# $k$, keys, the length $\alpha$ of the query, and $p$. Of the selected ones the first is within $\eps$ for all values, the
# second only decides disjointness.

# %% tags=["hide-input"]
DEFAULT, NARROW = "k = ⌈13 q ln N⌉, proved p", "k = ⌈4 q ln N⌉, proved p"
LEAST, SELECTED = "k = ⌈4 q ln N⌉, least p", "selected, approximates"
DECIDES, EVERY, SIGNS = "selected, decides only", "selected, all subsets", "signs"


def sizes_to_try(tokens, ones):
    """Embedding dimensions for the search, up to ⌈4 q ln N⌉."""
    rates = (0.7, 1, 1.5, 2, 3, 4)
    return sorted({math.ceil(rate * ones * math.log(tokens)) for rate in rates})


def all_units(ones):
    """Six protocols at N = 2q + 1, each run on all 4^q pairs."""
    tokens, target = 2 * ones + 1, 1 / (2 * ones)
    small, strings = DisjointnessReduction(ones, tokens), Disjointness(ones).strings()
    signs, threshold = small.signs(strings).double().T, float(small.threshold)
    meets = Disjointness(ones).communication_matrix()
    subsets = small.pointers(strings)
    search = partial(smallest_unit, small.problem, target, subsets, generator=generator)
    narrow = narrow_embed_dim(tokens, ones)
    tried = {"embed_dims": sizes_to_try(tokens, ones), "num_draws": num_draws}
    units = {
        DEFAULT: proved_unit(small.problem, target, default_embed_dim(tokens, ones)),
        NARROW: proved_unit(small.problem, target, narrow),
        LEAST: search(embed_dims=[narrow], num_draws=1),
        SELECTED: search(**tried),
        DECIDES: search(accept=lambda rows: torch.equal(rows @ signs > threshold, meets), **tried),
    }
    protocols = {
        name: fixed_precision_protocol(small, unit, strings) for name, unit in units.items()
    }
    protocols[SIGNS] = sign_protocol(small, target)
    for name, talk in protocols.items():
        done, k = run_query_protocol(talk, strings, strings), talk.keys.shape[1]
        error = talk.worst_error(strings) / target
        yield ones, name, k, talk.message_bits // k, done.num_bits, done.wrong, error


asked = progress(range(1, sparsity + 1), "bits against q")
sizes = pd.DataFrame(
    [row for ones in asked for row in all_units(ones)],
    columns=["q", "unit", "k", "p", "bits", "wrong", "error/ε"],
)

# %% [markdown]
# The reduction asks for $2^q$ subsets only, and those can be served by a unit that is made for them:
#
# :::{prf:proposition} (the reduction gives no more than q, ours)
# :label: prop-signs
#
# For every $q\ge1$, $N\ge2q+1$ and $\eps\in(0,1)$ there is a unit of embedding dimension $q$ whose queries have *one
# bit a coordinate*, and whose output at token $2q+1$ is within $\eps$ for all values and each of the subsets $y_{2q+1}$
# of the reduction. So $q$ bits are enough for the reduction's inputs, which can't prove more than $B\ge q$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Slot $s\in\{0,1\}$ of element $i$ has the key $(2s-1)\,\alpha e_i\in\R^q$, all other tokens have the key 0, and the
# query is $(2a_i-1)_{i\le q}$. Then the slots that are asked for have the score $\alpha$, the other slots $-\alpha$,
# and all other tokens 0: scores as in {prf:ref}`lem-error-bound`, with $c=\gamma=1$, and its $\alpha$ gives the error
# $\eps$. The keys are known to both, and token $2q+1$ has the key 0 and the value 0: Alice sends her $q$ signs.
# $\blacksquare$
# :::
#
# So the factor between $q$ and what Theorem 2's unit sends is nothing that a cleverer analysis of this reduction could
# close. It is the price of serving *every* subset, together with the gap between that unit and the counting bound. To
# compare like with like, we also search for units that serve all $\binom{2q+1}q$ subsets.

# %% tags=["hide-input"]
served, forced = [], []
for ones in progress(range(1, all_subsets_sparsity + 1), "all subsets"):
    tokens = 2 * ones + 1
    task = SparseAveraging(tokens, ones, 1)
    subsets, tried = task.subsets(), sizes_to_try(tokens, ones)
    small_unit = smallest_unit(
        task, 1 / (2 * ones), subsets, generator=generator, embed_dims=tried, num_draws=num_draws
    )
    queries = small_unit.queries(subsets.unsqueeze(1))[:, 0]
    messages = {pack_numbers(query, small_unit.format) for query in queries}
    k, p = small_unit.embed_dim, small_unit.format.bits
    served.append((ones, EVERY, k, p, k * p, len(messages)))
    # One bit fewer than ⌈log₂ C(N, q)⌉: subsets 2s and 2s + 1 share a message, and
    # Bob's best answer to both is half-way.
    attention = torch.softmax(queries @ small_unit.keys.T, dim=-1)
    for first in range(0, len(subsets) - 1, 2):
        pair = subsets[first : first + 2]
        values = separating_values(*pair.tolist(), num_tokens=tokens, own_token=tokens - 1)[:, 0]
        answer = attention[first : first + 2].mean(dim=0) @ values
        error = (answer - values[pair].mean(dim=1)).abs().max().item()
        differing = len(set(pair[0].tolist()) - set(pair[1].tolist()))
        forced.append(error * ones / differing)
served = pd.DataFrame(served, columns=["q", "unit", "k", "p", "bits", "messages"])

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-bits-sent", "caption": "Bits that Alice's token sends against q, at N = 2q + 1 and ε = 1/(2q). Lines: formulas, run on all inputs for small q and on random hard ones beyond. Markers: found by search. Lower lines: what is needed. Bottom: bits over log₂ C(2q + 1, q)."}, "image": {"alt": "Top, both axes logarithmic: bits against q. Two upper lines for the units of Theorem 2 rise a little faster than q; below them lie markers of units found by search, and at the bottom two nearly parallel lower bounds, q and the logarithm of the number of subsets. Bottom: the ratios to the counting bound; those of the units with proved bits grow slowly with q."}}
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 9), sharex=True)
curve = np.array(sorted({*range(1, sparsity + 1), *sparsity_grid}))
needed = pd.Series({q: log2(math.comb(2 * q + 1, q)) for q in curve.tolist()})
proved = {}
for embed_dim, label, line in ((default_embed_dim, DEFAULT, "-"), (narrow_embed_dim, NARROW, "--")):
    dims = {q: embed_dim(2 * q + 1, q) for q in curve.tolist()}
    proved[label] = pd.Series(
        {q: k * proved_bits(2 * q + 1, q, 1 / (2 * q), k) for q, k in dims.items()}
    )
    top.plot(proved[label], line, color=figures.BLUE, label=label)
    bottom.plot(proved[label] / needed, line, color=figures.BLUE)
for label, table, marker, color in (
    (LEAST, sizes, "v", figures.GREEN),
    (EVERY, served, "D", figures.PINK),
    (SELECTED, sizes, "o", figures.SKY),
    (DECIDES, sizes, "s", figures.ORANGE),
):
    bits = table[table["unit"] == label].set_index("q")["bits"]
    top.plot(bits, marker, color=color, markersize=6, label=label)
    counted = [log2(math.comb(2 * q + 1, q)) for q in bits.index]
    bottom.plot(bits / counted, marker, color=color, markersize=6)
top.plot(needed, "-", color=figures.GREY, label="needed: log₂ C(2q + 1, q)")
top.plot(curve, curve, ":", color=figures.GREY, label="needed to decide: q (and enough)")
bottom.axhline(1, color=figures.GREY, linewidth=1.5)
for axes, name in ((top, "bits"), (bottom, "bits over the counting bound")):
    axes.set(xscale="log", yscale="log", ylabel=name)
    ticks = [2**power for power in range(max(curve).item().bit_length())]
    axes.set_xticks(ticks, labels=map(str, ticks))
    axes.minorticks_off()
bottom.set_xlabel("$q$")
fig.legend(loc="outside lower center", ncols=2)
plt.show()

# %% tags=["hide-input"]
every = pd.concat([sizes, served])
order = [DEFAULT, NARROW, LEAST, EVERY, SELECTED, DECIDES, SIGNS]
table = every.pivot(index="unit", columns="q", values="bits").reindex(order)
table.loc["needed: ⌈log₂ C(2q + 1, q)⌉"] = [
    required_bits(2 * q + 1, q, Fraction(1, 2 * q)) for q in table
]
table.loc["needed to decide: q"] = list(table)
figures.table(
    table.rename_axis(index=None), "{:,.0f}", "Bits that cross, by q (N = 2q + 1, ε = 1/(2q))"
)
every["size"] = every["k"].astype(str) + "×" + every["p"].astype(str)
found = every.pivot(index="unit", columns="q", values="size")
figures.table(
    found.reindex([LEAST, EVERY, SELECTED, DECIDES]), caption="The units found by search, k × p"
)
ratios = {name: (bits / needed).iloc[-1] for name, bits in proved.items()}
figures.prose(
    f"At $q={curve[-1]}$ the default unit sends {ratios[DEFAULT]:,.0f} times what counting asks for, "
    f"and the narrow one {ratios[NARROW]:,.0f} times. These are the factors $\\log N$ in $k$ and "
    "$\\log(\\tfrac q\\varepsilon\\log N)$ in $p$, with their constants. The true cost lies between them "
    "and the bound. We don't know where."
)

# %% [markdown]
# ### Large q
#
# Where there are too many pairs to run them all, we draw hard ones: each $a$ has a partner $b$ that is disjoint from it
# or, half of the time, has exactly one element in common with it. Each $a$ is also tried against the partners of all
# others.

# %% tags=["hide-input"]
random_runs = []
for ones in progress(sparsity_grid, "large q"):
    tokens, target = 2 * ones + 1, 1 / (2 * ones)
    large = DisjointnessReduction(ones, tokens)
    pairs = Disjointness(ones).sample(num_inputs, generator=generator)
    large_unit = proved_unit(large.problem, target, default_embed_dim(tokens, ones))
    talk = fixed_precision_protocol(large, large_unit, pairs.alice)
    done = run_query_protocol(talk, *pairs)
    exact = 2 / ones * (pairs.alice.double() @ pairs.bob.double().T) - 1
    disjoint = int((exact == -1).sum())
    error = (done.outputs - exact).abs().max().item() / target
    k, p, answers = large_unit.embed_dim, large_unit.format.bits, done.outputs.numel()
    random_runs.append((ones, k, p, done.num_bits, answers, disjoint, done.wrong, error))
columns = ["q", "k", "p", "bits", "pairs", "disjoint", "wrong", "error/ε"]
random_runs = pd.DataFrame(random_runs, columns=columns).set_index("q")
display(random_runs.style.format(precision=2, thousands=","))

# %% [markdown]
# ### Coarser accuracy
#
# For $\eps\ge\tfrac1q$ nearby subsets may share a message, and {eq}`eq-packing` counts subsets that are far apart. At constant
# accuracy a good part of the bound is left. At small sizes we also build packings, greedily: most are larger than
# {eq}`eq-packing` guarantees.

# %% tags=["hide-input"]
coarse = pd.DataFrame(
    {
        (tokens, ones): {
            label: log2(guaranteed_packing(tokens, ones, target))
            for label, target in (
                ("1/(2q)", Fraction(1, 2 * ones)),
                ("0.1", Fraction(1, 10)),
                ("0.25", Fraction(1, 4)),
                ("0.4", Fraction(2, 5)),
            )
        }
        for tokens, ones in [(1024, 4), (1024, 16), (1024, 64), (65536, 16)]
    }
).T.rename_axis(index=["N", "q"], columns="ε")
figures.table(coarse, "{:.1f}", "log₂ of the packing that is guaranteed")

packings = []
for tokens, ones in [(6, 3), (8, 4), (9, 4), (10, 5), (12, 4)]:
    every_subset = SparseAveraging(tokens, ones, 1).subsets().tolist()
    for target in [Fraction(n, 20) for n in (4, 5, 8, 10, 15)]:
        found = greedy_packing(every_subset, target)
        closest = min((len(y - other) for y, other in combinations(found, 2)), default=ones)
        far, least = closest > target * ones, guaranteed_packing(tokens, ones, target)
        packings.append((tokens, ones, float(target), far, least, len(found)))
packings = pd.DataFrame(packings, columns=["N", "q", "ε", "far", "guaranteed", "greedy"])
packings["sizes"] = packings["guaranteed"].astype(str) + " → " + packings["greedy"].astype(str)
display(
    packings.pivot(index=["N", "q"], columns="ε", values="sizes")
    .style.format_index("{:g}", axis=1)
    .set_caption("Packings: guaranteed → found greedily")
)

# %% [markdown]
# ### Sabotage
#
# A check that cannot fail shows nothing. Here are protocols that must fail. *One bit fewer*, in the table of protocols above:
# Alice keeps her last bit to herself. *A flipped bit*: the channel inverts one of the bits of her message. *A broken
# message*: the channel inverts all signs of her query.

# %% tags=["hide-input"]
few = min(3, sparsity)
small = DisjointnessReduction(few, 2 * few + 1)
strings = Disjointness(few).strings()
small_unit = proved_unit(small.problem, 1 / (2 * few), narrow_embed_dim(2 * few + 1, few))
sound = {
    SIGNS: sign_protocol(small, 1 / (2 * few)),
    NARROW: fixed_precision_protocol(small, small_unit, strings),
}


def tampered(protocol, mask):
    """The same protocol over a channel that inverts the bits of ``mask``."""
    return replace(
        protocol, read=lambda message: protocol.read(Bits(message.value ^ mask, message.width))
    )


flips = {
    name: [
        run_query_protocol(tampered(protocol, 1 << bit), strings, strings).wrong
        for bit in range(protocol.message_bits)
    ]
    for name, protocol in sound.items()
}
p = small_unit.format.bits
all_signs = sum(1 << (p * number + p - 1) for number in range(small_unit.embed_dim))
broken = run_query_protocol(tampered(sound[NARROW], all_signs), strings, strings).wrong
harmful = sum(count > 0 for count in flips[NARROW])
figures.prose(
    f"At $q={few}$, of {4**few} answers: with all signs inverted {broken} are wrong. In the message of "
    f"signs each of its {len(flips[SIGNS])} bits matters; if one is flipped, {flips[SIGNS][0]} answers "
    f"are wrong. In the {len(flips[NARROW]):,} bits that Theorem 2's unit sends, {harmful} matter by "
    "themselves: its message is redundant, and the price of that stands in the plot above."
)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
wide, signs = (sizes[sizes["unit"] == name] for name in (DEFAULT, SIGNS))
claim("thm-4.reduction", reduction_misses, "==", 0, source="P",
    statement=f"q times the average is 2|a ∧ b| − q, in integers. Exceptions among all {4**sparsity:,} pairs (a, b): none.")
claim("thm-4.rows", int((facts["different rows"] != facts["2ⁿ"]).sum()), "==", 0,
    statement=f"The table of DISJ has $2^n$ different rows at every size n = 1 … {matrix_bits}. No exception.")
claim("thm-4.rank", int((facts["rank of 1 − DISJ"] == facts["2ⁿ"]).sum()), "==", rank_bits,
    statement=f"1 − DISJ has the rank $2^n$ over the rationals, by exact elimination, at all {rank_bits} sizes n = 1 … {rank_bits}.")
claim("thm-4.fooling-set", int((facts["fooling set"] != facts["2ⁿ"]).sum()), "==", 0,
    statement=f"The $2^n$ pairs (a, ā) are a fooling set at every size n = 1 … {matrix_bits}. No exception.")
claim("thm-4.two-way", int((right_talks["transcripts"] != 2 ** right_talks["n"]).sum() + right_talks["wrong"].sum()),
    "==", 0,
    statement="All protocols that should be right, one-way and two-way, are right, and each pair of the fooling set has a "
    "transcript of its own: no wrong answer, and none shared.")
claim("thm-4.two-way-bits", int((right_talks["worst bits"] != right_talks["formula"]).sum()), "==", 0,
    statement="The bits on the worst input, counted by the channel, are those of the formula, for every such protocol.")
claim("thm-4.one-bit-fewer", int((short_talks["wrong"] - 3 ** (short_talks["n"] - 1)).abs().sum()), "==", 0,
    statement="If Alice leaves out one of n bits, exactly $3^{n-1}$ answers are wrong: sum of the deviations, n = 1 … 5.")
claim("thm-4.protocol", outcome.wrong, "==", 0,
    statement=f"Theorem 2's unit, as a protocol, answers right on all {4**sparsity:,} pairs (N = {num_tokens}): none wrong.")
claim("thm-4.bits-counted", outcome.num_bits, "==",
    unit.embed_dim * proved_bits(num_tokens, sparsity, accuracy, unit.embed_dim),
    statement="The bits that the channel counted are k p, p those that are proved to be enough.")
claim("thm-4.messages", outcome.num_messages, "==", 2**sparsity,
    statement="Alice sends a different message for each of her strings, as she must.")
claim("thm-4.same-output", channel_gap, "<=", 0.0, tolerance=1e-9, note="float64 softmax, summed in another order",
    statement="Bob's output is the unit's on the whole input, up to rounding: largest difference on 64 random pairs.")
claim("thm-4.every-q", int(sizes["wrong"].sum()), "==", 0,
    statement=f"All units in the table answer right on all $4^q$ pairs, q = 1 … {sparsity}: none wrong.")
claim("thm-4.large-q", int(random_runs["wrong"].sum()), "==", 0,
    statement=f"The default unit answers right on {int(random_runs['pairs'].sum()):,} hard random pairs, q up to "
    f"{max(sparsity_grid)}: none wrong.")
claim("thm-4.approximates", max(wide["error/ε"].max(), random_runs["error/ε"].max()), "<=", 1.0,
    statement=r"The default unit is within $\varepsilon=\frac1{2q}$: its worst error over ε, over all values for small q, on "
    "the random pairs beyond.")
claim("thm-4.injective", int((served["messages"] != [math.comb(2 * q + 1, q) for q in served["q"]]).sum()), "==", 0,
    statement=rf"A unit that serves all $\binom{{2q+1}}q$ subsets sends as many different messages, q = 1 … "
    f"{all_subsets_sparsity}. No exception.")
claim("thm-4.counting-bound",
    min(int(bits) - required_bits(2 * q + 1, q, Fraction(1, 2 * q))
        for q, bits in zip(served["q"], served["bits"], strict=True)),
    ">=", 0,
    statement=r"No unit found for all subsets has fewer bits than counting asks for: its bits minus "
    r"$\lceil\log_2\binom{2q+1}q\rceil$, least over q.")
claim("thm-4.forced-error", min(forced), ">=", 1.0, tolerance=1e-9, note="float64 sums",
    statement=r"With one bit fewer than $\lceil\log_2\binom{2q+1}q\rceil$ subsets share messages, and each such pair has at "
    "least the error |y ∖ y'|/q: the error over this, least over the pairs.")
exponents = range(1, 2001)
quotients = [math.comb(2 * q + 1, q) for q in exponents]
claim("thm-4.constant", min(count - 3**q for q, count in zip(exponents, quotients, strict=True)), ">=", 0,
    statement=rf"$\binom{{2q+1}}q\ge3^q$: the difference, least over q = 1 … {len(quotients)}.")
claim("thm-4.constant-step", min(Fraction(after, before) for before, after in pairwise([1, *quotients])), ">=", 3,
    statement=r"The step of the induction is at least 3: $\binom{2q+1}q$ over $\binom{2q-1}{q-1}$, least over the same q.")
claim("thm-4.decides-with-q-bits", int((signs["bits"] - signs["q"]).abs().sum()), "==", 0,
    statement="The unit with one-bit queries decides with exactly q bits: sum of the deviations.")
claim("thm-4.signs-approximate", signs["error/ε"].max(), "<=", 1.0, tolerance=1e-9, note="float64 softmax",
    statement="That unit is within ε for all values, on the reduction's subsets: its worst error over ε.")
claim("thm-4.packing", int(((packings["greedy"] < packings["guaranteed"]) | ~packings["far"]).sum()), "==", 0,
    statement=f"All {len(packings)} greedy packings are packings, of at least the size that is guaranteed. No exception.")
claim("thm-4.flipped-bit", sum(abs(count - 2 * 3 ** (few - 1)) for count in flips[SIGNS]), "==", 0,
    statement=r"A flipped bit among the q signs makes exactly $2\cdot3^{q-1}$ answers wrong: sum of the deviations, "
    f"q = {few}.")
observed("thm-4.broken-message", broken, ">", 0,
    statement=f"With all signs of its message inverted Theorem 2's unit goes wrong: wrong answers, of {4**few}.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That $q\log N\cdot p$ bits are needed.* At $N=2q+1$ two logarithmic factors lie between $\log_2\binom Nq$ and what Theorem 2's unit sends. Where
#   $N\ge q^2$ it is one, that of $p$, since $\log_2\binom Nq\ge q\log_2\tfrac Nq\ge\tfrac12q\log_2N$. We don't know the truth. As a mere message,
#   $\lceil\log_2\binom Nq\rceil$ bits are enough: the number of $y$ in a list of all subsets.
# * *That $m$ alone must grow.* The bounds are on $mp$. With numbers of unlimited precision a token can carry any subset in one number, and these
#   bounds say nothing.
# * *Anything special to one layer, or to attention.* {prf:ref}`thm-counting` uses only that output $i$ sees $x_i$ through $\varphi(x_i)$. It holds for
#   any number of heads and layers, and for any output map. It says how much a token must carry, not how much a layer must compute.
# * *That the units found by search are the smallest.* They are the best of those that were tried.
# * *A bound for deciding disjointness that exceeds $q$.* {prf:ref}`prop-signs` shows that there is none.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-threshold-tight
#
# Show that {prf:ref}`thm-counting` needs $\eps<\tfrac1q$ to tell all subsets apart: for $\eps=\tfrac1q$ and $2\le q<N$
# give an $f$ that $\eps$-approximates $\qSA$, and whose $\varphi$ takes fewer than $\binom Nq$ values for each $z_i$.
# :::
#
# :::{solution} ex-threshold-tight
# :class: dropdown
#
# Let two subsets $y=c\cup\{j\}$ and $y'=c\cup\{j'\}$, $\abs c=q-1$, share one code, and let every other subset have its
# own; $\varphi(x_i)$ is $z_i$ with the code of $y_i$. For both let $f$ answer
# $\tfrac1q\big(\sum_{l\in c}z_l+\tfrac12(z_j+z_{j'})\big)$. It is $\tfrac1{2q}\norm{z_j-z_{j'}}\le\tfrac1q$ away from
# either average. For $y_i$ there are only $\binom Nq-1$ codes.
# :::
#
# :::{exercise}
# :label: ex-wrong-pairs
#
# Alice sends only $n-1$ of her $n$ bits, and Bob takes the last one for 0. Show that exactly $3^{n-1}$ of the $4^n$
# answers are wrong.
# :::
#
# :::{solution} ex-wrong-pairs
# :class: dropdown
#
# An answer is wrong when $a_n=b_n=1$ and the other $n-1$ places have no common one. Each of these places has three
# pairs of bits without a common one: $00$, $01$ and $10$.
# :::
#
# :::{exercise}
# :label: ex-larger-n
#
# For $q=8$, from which $N$ on is $\log_2\binom Nq\ge10\,q$? Use `required_bits`, and compare with the estimate
# $q\log_2\tfrac Nq$.
# :::
#
# :::{solution} ex-larger-n
# :class: dropdown
#
# The estimate gives $N=q\,2^{10}=8192$. The binomial coefficient is larger by a factor of about $q^q/q!$, so that
# somewhat less than half of that $N$ is enough: `next(N for N in range(16, 9000) if math.comb(N, 8) >= 2**80)` finds
# it, and `required_bits(N, 8, Fraction(1, 16))` says 81 for that $N$ and 80 for the one before.
# :::
#
# ## Reference
#
# {prf:ref}`thm-embedding-dimension`, the reduction and the route through disjointness are from
# {cite}`sanford2023representational`; the hardness of disjointness is from {cite}`yao1979questions`. Ours are
# {prf:ref}`thm-counting` with the constant of {prf:ref}`cor-every-sparsity`, {prf:ref}`prop-signs`, the protocols as programs, and all
# measurements.
