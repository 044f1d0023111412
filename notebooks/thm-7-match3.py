# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Theorem 7: one small layer can't detect triples
#
# **The question.** Averaging a few chosen tokens is cheap for one layer of attention, and so is [finding pairs](thm-6-match2.py). What is expensive? The paper's
# answer is *triple detection*: do any two tokens complete mine to a multiple of $M$?
#
# **In one paragraph.** Take $M=10$, and let the first token hold a 1. It looks for two tokens that add up to 9: a 0 and a 9, a 2 and a 7, a 3 and a 6,
# or a 4 and a 5.
# (An 8, which would go with the 1 itself, is left out.) Alice holds four tokens, $0,2,6,5$, one of each of these pairs, and Bob holds a single one.
# With a 3 the answer is yes, as she has the 6; with a 2 it is no, as she hasn't the 7. So Bob's token asks *which member of this pair does Alice
# hold?*, and it may ask about any pair. Her tokens can be chosen in $2^4$ ways, and
# what reaches the first token from them must tell these apart. That takes four bits; for $N$ tokens it takes
# the order of $N$ bits if $M$ is about $N$, and more than $(N-2)\log_2N$ from $M=N^2$ on. But each head
# brings one weighted mean of her tokens and the total of their weights: a few numbers, however many tokens she has. If these have fewer bits than that,
# two of her choices leave the same numbers, and on one of them the layer is wrong.
#
# **Three is one too many.** In a pair the token that asks knows what it looks for, its own mirror image, and its query says so. In a triple the token that is
# wanted depends on the third one, of which the query knows nothing: a score sees only two. So everything must be brought that *might* be asked for.
#
# ```{explorer} triples
# Left: a *pair* is found by one look, at the mirror image $-x$ of a residue $x$ modulo $M$. A *triple* has the whole table
# of $N^2$ pairs to look through. Below: Alice holds all residues but the first and the last, Bob holds the last one. With
# one message from Alice he finds out whether the first token, 1, is in a triple. The bars compare the bits that this takes ({prf:ref}`prop-match3-rows`)
# with the most that a layer passes on, if its labels are read with some margin $\eta$ ({prf:ref}`thm-match3-bits`, where these letters are explained, with
# $r=m$, $G=H$, $D=2^p\eta$ and $R=2m\,4^p$).
# ```
#
# **Prerequisites and time.** Softmax, binomial coefficients, the two parties of {prf:ref}`thm-embedding-dimension`. A quarter of a minute on one core.
#
# **On this page.**
#
# * The paper's theorem: a layer that computes Match3 has $mpH=\Omega(N/\log\log N)$. [P] {prf:ref}`thm-match3`
# * A version with constants for every $N$, for labels with a margin, with no logarithm lost if $M\ge N^2$. [N] {prf:ref}`thm-match3-bits`, {prf:ref}`cor-match3-product`
# * How many bits Alice must send, exactly; and hardly fewer if some answers may be wrong. [N] {prf:ref}`prop-match3-rows`, {prf:ref}`prop-match3-index`
# * Any layer run as such a conversation, its bits counted, and four layers that do compute Match3. One of them sends at most $8M$ bits and has $mpH=12M$. [N] {prf:ref}`lem-merge`, {prf:ref}`prop-thresholds`
#
# ## The statement
#
# :::{prf:definition} Match3 (of the paper)
# :label: def-match3
# :nonumber:
#
# For residues $x\in\{0,\dots,M-1\}^N$, $\mathrm{Match3}(x)_i=1$ if $x_i+x_j+x_k\equiv0\pmod M$ for some $j$ and $k$,
# and 0 otherwise. Indices are unrestricted: $j=i$ and $j=k$ are allowed.
# :::
#
# :::{prf:theorem} 7 of the paper (triple detection is hard for one layer)
# :label: thm-match3
# :nonumber:
#
# There is a universal constant $c>0$ such that for all large enough $N$ and every $M\ge N+1$: if
# $mpH\le cN/\log\log N$, then no $f\in T^{1,H}_{1,m,1,p}$ computes $\mathrm{Match3}$ ({prf:ref}`def-transformer`)
# {cite}`sanford2023representational`.
# :::
#
# We prove a version of our own, for every $N$ and with constants. Its hypothesis differs from the paper's: we ask that the labels
# can be read with a *margin*. A layer *computes Match3 with margin* $\eta$ if the map behind it gives the right label of the
# first token for every vector within $\eta$, in each coordinate, of the layer's output there.
#
# An example shows what is counted. A head averages values between 0 and 1 in three coordinates, which no other head uses, and the label survives an error of $\eta=\frac1{16}$. Then Alice tells each of three means
# to within a sixteenth or so, four bits each, and the total of her weights by one number more. The proposition adds this up over the heads, for any layer, and compares it with what Bob must know.
#
# :::{prf:proposition} (one layer, with constants; ours)
# :label: thm-match3-bits
#
# Let a layer of $H$ heads compute $\mathrm{Match3}$ on $N\ge3$ tokens modulo $M\ge4$ with margin $\eta$. Then, with $\log_2$ of a number below 1 taken for 0,
#
# ```{math}
# :label: eq-match3-bits
# \begin{gathered}
# H\Big(r\Big\lceil\log_2\frac{GD}\eta\Big\rceil+\Big\lceil\log_2\frac{RGD}{2\eta}\Big\rceil\Big)\;\ge\;\lceil\log_2W\rceil,\\
# W=1+\sum_{j\le N-2}\binom{\lfloor(M-2)/2\rfloor}j2^j ,
# \end{gathered}
# ```
#
# where
#
# * $D$ is the most by which a value varies in a coordinate, over the tokens that can occur, and at most $G$ heads *write into* one coordinate of the output: their value varies there;
# * $r$ is the number of coordinates of a head's value that vary over the tokens $2,\dots,N-1$, the most over the heads;
# * $R$ is the range of the log-sum-exp of {prf:ref}`lem-merge` over these tokens for $x_1=1$ or, if that is less, its range over the tokens $1$, $N$ and blanks plus $2\ln\frac{4GD}\eta$; the largest over the heads.
# :::
#
# Always $G\le H$; and $G=1$ if heads write into coordinates of their own, as they do when they are concatenated.
#
# Let $p$ be the precision: values take at most $2^p$ steps of $\eta$, and queries and keys of $m$ numbers up to $2^p$ have scores up to $m\,4^p$.
#
# :::{prf:corollary} (a product, ours)
# :label: cor-match3-product
#
# Let moreover $r\le m$, $D\le2^p\eta$ and $R\le2m\,4^p$ for an integer $p\ge1$, the last of which holds if all
# $\abs{s_{1j}}\le m\,4^p$. Then
#
# ```{math}
# :label: eq-match3-product
# mH\,\big(5p+2\lceil\log_2G\rceil\big)\;\ge\;
# \begin{cases}\lfloor\frac{N-1}2\rfloor\log_23&\text{for }M\ge N+1,\\(N-2)\log_2N&\text{for }M\ge N^2.\end{cases}
# ```
#
# * For $M\ge N^2$ and every $H$: $mpH\ge\frac{N-2}6$.
# * For $M\ge N+1$: $mpH\ge\frac{\log_23}5\lfloor\frac{N-1}2\rfloor$ if $G=1$, $mpH\ge\frac{\log_23}7\lfloor\frac{N-1}2\rfloor$ if $G\le2^p$, and
#   $mpH\ge\lfloor\frac{N-1}2\rfloor\log_23\big/(5+2\lceil\log_2N\rceil)$ in any case.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Log-sum-exps of the same number of scores differ by no more than scores can, so scores of size $m\,4^p$ give $R\le2m\,4^p$. Then
# $\frac{RGD}{2\eta}\le mG\,8^p$. The left side of {eq}`eq-match3-bits` is at most
# $H\big(m(p+\lceil\log_2G\rceil)+3p+\lceil\log_2m\rceil+\lceil\log_2G\rceil\big)$, and with $\lceil\log_2m\rceil\le m\le mp$
# and $3p\le3mp$ this is at most $mH(5p+2\lceil\log_2G\rceil)$.
#
# *The right side.* For $M\ge N+1$, $t=\lfloor\frac{N-1}2\rfloor$ is at most $N-2$ and at most $\lfloor\frac{M-2}2\rfloor$, so that
# $W>\sum_{j\le t}\binom tj2^j=3^t$. For $M\ge N^2$ let $k=N-2$ and $P=\lfloor\frac{M-2}2\rfloor$, so that $2P\ge N^2-3$. Already the last term is enough:
# $W>\binom Pk2^k=\prod_{i<k}\frac{2P-2i}{k-i}$, and every factor is at least $N$, as $N^2-3-2i-N(N-2-i)=2N-3+(N-2)i>0$. Hence $W>N^{N-2}$.
#
# *The products.* If $G\ge N$, then $H\ge N$, and $mpH\ge N$ is more than is claimed. Otherwise
# $5p+2\lceil\log_2G\rceil\le p\,(5+2\lceil\log_2N\rceil)$. If $G\le2^p$, the left side is at most $7p$, and for $G=1$ it is $5p$.
# For $M\ge N^2$ it remains to see that $6\log_2N\ge5+2\lceil\log_2N\rceil$. This holds for $N=3$, where it says $9.5\ge9$. For $N\ge4$ the right side is at most
# $7+2\log_2N$, and $4\log_2N\ge8$. $\blacksquare$
# :::
#
# So where $M\ge N^2$ no logarithm is lost, however many heads there are; and where heads write into coordinates of their own, none is lost for any $M\ge N+1$.
# For smaller $M$ and many heads that share coordinates we lose a $\log N$ where the paper loses $\log\log N$. And we need the margin.
#
# ## The idea
#
# **Disjointness inside Match3.** Let the first token be 1. Two residues complete it if they are *partners*, $u$ and $-1-u$.
# The residue 1 serves as a filler: its partner $-2$ is never used. A residue with $2u\equiv-1$ would be its own partner and is left
# out too. The other residues form $\lfloor\frac{M-2}2\rfloor$ pairs, if $M\ge4$. For $M=10$ these are the four pairs from above.
#
# :::{prf:lemma} (disjointness inside Match3, in our form)
# :label: lem-match3-reduction
#
# Let $N\ge2n+1$, $M\ge2n+2$, and number $n$ of the pairs $\{u_i,-1-u_i\}$. Put $x_1=1$, $x_{1+i}=u_i$ if $a_i=1$,
# $x_{1+n+i}=-1-u_i$ if $b_i=1$, and 1 everywhere else. Then $\mathrm{Match3}(x)_1=\operatorname{DISJ}(a,b)=\max_ia_ib_i$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Since $M\ge2n+2$, there are at least $n$ pairs, and $M\ge4$. Output 1 is 1 if and only if two tokens, perhaps the same, are
# partners. The filler's partner $-2$ does not occur, and $1\not\equiv-2$. No residue that occurs is its own partner. Alice's
# tokens hold only first members and Bob's only second members, so partners are $u_i$ and $-1-u_i$ of one pair: $a_i=b_i=1$.
# $\blacksquare$
# :::
#
# If Alice owns $a$ and Bob owns $b$, then $n$ bits must cross, even back and forth ({prf:ref}`prop-disjointness`)
# {cite}`yao1979questions`. For one message, and a split that is less fair, we can count exactly.
#
# :::{prf:proposition} (one message, exactly; ours)
# :label: prop-match3-rows
#
# Let $N\ge3$, $M\ge4$ and $x_1=1$. Alice holds $x_2,\dots,x_{N-1}$, any residues, and Bob holds $x_N$. If she sends one
# message, from which Bob finds $\mathrm{Match3}(x)_1$, then $\lceil\log_2W\rceil$ bits are needed and enough.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# As with disjointness, she needs as many messages as the table, her inputs down and Bob's across, has different rows; we count
# them. Let $S$ be the set of residues of tokens $1,\dots,N-1$; it contains 1. If $S$ contains partners, or a residue that is its own partner, the answer is 1 whatever
# Bob holds: one row, of ones. It does occur, as $N\ge3$ lets Alice hold $-2$. This is the "1 +".
#
# Otherwise $S\setminus\{1\}$ contains at most one member of each of the $\lfloor\frac{M-2}2\rfloor$ pairs, and neither $-2$ nor a
# residue that is its own partner. For Bob's $b$ the answer is then 1 if and only if $-1-b\in S$, or $b$ is its own partner. This row
# tells $S$: the set of its ones, without the residue that is its own partner, is $\{-1-u:u\in S\}$. It is not the row of ones, since $b=1$ gives 0:
# $-2\notin S$, and 1 is not its own partner, both because $M\ge4$. All such $S$ with $j\le N-2$ further members occur, and places left over
# hold 1. There are $\binom{\lfloor(M-2)/2\rfloor}j2^j$ of them for each $j$. $\blacksquare$
# :::
#
# What if a wrong answer now and then is allowed? Not much changes.
#
# :::{prf:proposition} (answers that may be wrong; ours)
# :label: prop-match3-index
#
# In the same setting let $n=\min\big(N-2,\lfloor\frac{M-2}2\rfloor\big)$, and let Bob's answer be wrong with a probability of at most $\delta<\frac12$ on each input, over coins
# that are tossed beforehand and that both see. Then Alice's message has at least $(1-h(\delta))\,n$ bits, where
# $h(\delta)=-\delta\log_2\delta-(1-\delta)\log_2(1-\delta)$. Without coins the same holds if $\delta$ is the share of wrong answers among the $2^n\,n$ inputs in which she
# holds one member of each of $n$ pairs $\{u_i,-1-u_i\}$ and he holds some $-1-u_i$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Let $a\in\{0,1\}^n$ be uniform. Alice holds $u_i$ if $a_i=1$ and $-1-u_i$ if not, and 1 in the places that are left over; this is a set $S$ of
# {prf:ref}`prop-match3-rows`. If Bob holds $-1-u_i$, the right answer is $a_i$. Let him err on question $i$ with probability $\delta_i$ over $a$, the coins being fixed. By Fano's inequality for one bit
# its entropy given the message is at most $h(\delta_i)$. So a message of $B$ bits leaves $n-B\le\sum_ih(\delta_i)\le n\,h(\delta)$, where $\delta$ is the mean of the $\delta_i$ and $h$ is concave.
# With coins take the mean over them, by concavity once more; $h$ grows up to $\frac12$. $\blacksquare$
# :::
#
# For $M\ge N+1$ this $n$ is at least $\lfloor\frac{N-1}2\rfloor$, and for $M\ge2N-2$ it is $N-2$. So a layer that gives the first label with margin $\eta$ on all but a share $\delta$ of these inputs has at least $(1-h(\delta))\,n$ on the
# left of {eq}`eq-match3-bits`: the proof below is the same.
#
# **A softmax in two parts.** A layer is a protocol with few bits, because the softmax over all tokens can be merged from those over hers and over his
# ({numref}`fig-merge`).
#
# :::{prf:lemma} (merging, as in the paper; its error, ours)
# :label: lem-merge
#
# Let $S_A=\ln\sum_{j\in A}e^{s_j}$ and $a=\sum_{j\in A}e^{s_j-S_A}v_j$ be Alice's log-sum-exp and mean value, and $S_B$, $b$ Bob's.
# With $\sigma(t)=1/(1+e^{-t})$,
#
# ```{math}
# :label: eq-merge
# \sum_{j\in A\cup B}\frac{e^{s_j}}{e^{S_A}+e^{S_B}}\,v_j=w\,a+(1-w)\,b,\qquad w=\sigma(S_A-S_B).
# ```
#
# Let $\Phi\ge0$, and let $a$ be off by at most $\rho$ in a coordinate in which values differ by at most $D$; let $S_A$ be cut off to an interval that
# reaches from $\Phi$ below the least to $\Phi$ above the largest $S_B$ that is possible, and then be off by at most $\delta$. Then
# {eq}`eq-merge` is off by at most
#
# ```{math}
# :label: eq-merge-error
# \rho+D\big(\tanh\tfrac\delta4+\sigma(-\Phi)\big).
# ```
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# The sum over $A$ is $e^{S_A}a$ and that over $B$ is $e^{S_B}b$; divide by $e^{S_A}+e^{S_B}$. With $\tilde a$ and $\tilde w$ in place of
# $a$ and $w$ the error is $\tilde w(\tilde a-a)+(\tilde w-w)(a-b)$, at most $\rho+D\abs{\tilde w-w}$, as $0\le\tilde w\le1$ and $a$, $b$ are
# means of values. Cutting off moves $S_A$ only if $S_A-S_B$ is below $-\Phi$ or above $\Phi$, and then it stays there: both weights lie within
# $\sigma(-\Phi)$ of 0, or of 1. Moving $S_A$ by at most $\delta$ moves $w$ by at most $\max_t\,\sigma(t+\delta)-\sigma(t)$. The slope
# of $\sigma$ is even and falls away from 0, so the maximum is at $t=-\frac\delta2$: $2\sigma(\frac\delta2)-1=\tanh\frac\delta4$. $\blacksquare$
# :::
#
# This gives {prf:ref}`thm-match3-bits`:
#
# :::{prf:proof}
# :class: dropdown
#
# Fix $x_1=1$, known to both. Alice holds the tokens $2,\dots,N-1$. Bob's part of each softmax is over the tokens $1$, $N$ and any blanks. Both labels occur, and outputs for
# different labels differ by more than $2\eta$ in some coordinate, as otherwise their midpoint would need both. A coordinate changes by at most $GD$, so $GD>2\eta$. Each head gets the error
# $\frac\eta G$ in each coordinate that it writes into, and none in the others, so that the errors add up to $\eta$ at most. Half of it is for $\rho$, a quarter for $D\tanh\frac\delta4\le D\frac\delta4$, so $\delta=\frac\eta{GD}$, and a quarter for the cut,
# $\Phi=\ln\frac{4GD}\eta$, which leaves an interval of length $R$. A number in an interval of length $l$ is known within $\rho$ by its cell among $\lceil\frac l{2\rho}\rceil$; so
# each coordinate that varies over her tokens costs at most $\lceil\log_2\lceil\frac{GD}\eta\rceil\rceil$ bits, the others cost none, and $S_A$ costs $\lceil\log_2\lceil\frac{RGD}{2\eta}\rceil\rceil$. A ceiling
# inside the logarithm changes nothing. Bob finds the output within $\eta$, hence the label, and {prf:ref}`prop-match3-rows` says how many bits that takes. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 4  # N up to which the four layers are run on all inputs
modulus: int = 5  # M up to which they are, from M = 4 on
message_modulus: int = 7  # M up to which all messages of Alice's are compared with her rows
disjointness_bits: int = 6  # n up to which the reduction is run on all 4^n pairs
row_tokens: list[int] = [3, 5, 7]  # N at which the rows are counted
largest_modulus: int = 12  # M up to which they are, from M = 4 on
num_layers: int = 300  # random layers
token_grid: list[int] = [5, 9, 17, 33, 65]  # N of the chart, 129 was run too; M = N + 1
num_inputs: int = 4  # pairs of hard inputs that are run through the channel at each of these
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import intervals, ranges, require, usual_ranges

quick = {
    "message_modulus": 6,
    "num_tokens": 3,
    "disjointness_bits": 4,
    "row_tokens": [3, 5],
    "largest_modulus": 9,
    "num_layers": 60,
    "token_grid": [5, 9, 17],
    "num_inputs": 2,
}

usual_ranges()
ranges(
    num_tokens=(3, 5, "all M^N inputs are run"),
    modulus=(4, 8, "all M^N inputs are run"),
    message_modulus=(4, 12, "all of Alice's inputs are run"),
    disjointness_bits=(1, 9, "all 4^n pairs are run"),
    largest_modulus=(4, 16, "all multisets are listed"),
    num_layers=(1, 10_000, "each is run"),
    num_inputs=(1, 1000, "each is run"),
)
inputs = modulus**num_tokens
require(
    inputs <= 4096, f"modulus^num_tokens must be at most 4096 (all inputs are run), got {inputs}"
)
intervals(row_tokens=(3, 7), token_grid=(3, 129))

# %% [markdown]
# ## The construction

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from attention_limits import figures
from attention_limits.bounds.attention_protocol import AttentionProtocol, merge, message_bits_bound
from attention_limits.bounds.counting import least_bits
from attention_limits.bounds.disjointness import all_pairs
from attention_limits.bounds.match3 import (
    DisjointnessInMatch3,
    count_different_rows,
    hard_inputs,
    index_inputs,
    num_different_rows,
    num_index_bits,
    one_way_bits,
    send_row,
)
from attention_limits.bounds.protocols import ProtocolError, run_protocol
from attention_limits.bounds.random_access import random_access_bits
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.match3_layers import LAYERS, OUTPUT_TOLERANCE
from attention_limits.models.attention import MultiHeadAttention, SelfAttentionUnit
from attention_limits.problems.disjointness import Disjointness
from attention_limits.problems.grading import grade, grade_outputs
from attention_limits.problems.matching import Match3
from attention_limits.runtime import progress

figures.use_style()
# The matrices of this page are small: more threads would only wait for each other.
torch.set_num_threads(1)
torch.set_grad_enabled(False)
generator = torch.Generator().manual_seed(seed)  # exact checks: all on the CPU

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-merge", "caption": "A softmax in two parts. Each party computes the softmax over its own tokens; in each of the upper panels the weights add up to 1. Alice sends one mean and one log-sum-exp. Bob scales her part by w and his own by 1 − w: these are the weights of the whole, below."}, "image": {"alt": "Three bar charts. Above on the left, in blue, the attention weights among Alice's five tokens; on the right, in orange, those among Bob's three. Below, the weights over all eight tokens, blue and orange bars together, each party's bars scaled down."}}
drawn = torch.tensor([0.3, 1.4, -0.5, 0.9, 0.1, 1.9, 0.6, 1.2]).double()
hers, his = drawn[:5], drawn[5:]
share = torch.sigmoid(hers.logsumexp(0) - his.logsumexp(0)).item()
fig, panels = plt.subplot_mosaic(
    "AAAAABBB;MMMMMMMM", figsize=(6, 4.6), sharey=True, gridspec_kw={"hspace": 0.08}
)
parts = {"A": (hers, range(1, 6)), "B": (his, range(6, 9)), "M": (drawn, range(1, 9))}
for name, (scores, places) in parts.items():
    colors = [figures.BLUE if place <= 5 else figures.ORANGE for place in places]
    panels[name].bar(places, scores.softmax(0), color=colors)
    panels[name].set(xticks=list(places))
    panels[name].grid(visible=False)
panels["A"].set(ylabel="weight", title="Alice: sends $S_A$ and $a$")
panels["B"].set(title="Bob: $S_B$ and $b$")
title = f"merged: $w={share:.2f}$ for Alice, $1-w={1 - share:.2f}$ for Bob"
panels["M"].set(xlabel="token", ylabel="weight", title=title)
plt.show()

# %% [markdown]
# ### The reduction, on all strings
#
# For each $n$ we use the least $N=2n+1$ and two moduli, the least and the next one. One of the two is odd, and has a residue that is its own partner.

# %% tags=["hide-input"]
reduced = []
for n in range(1, disjointness_bits + 1):
    pairs = all_pairs(Disjointness(n))
    meets = Disjointness(n).target(pairs)
    for size in (2 * n + 2, 2 * n + 3):
        reduction = DisjointnessInMatch3(n, 2 * n + 1, size)
        found = reduction.problem.target(reduction.inputs(*pairs))[:, 0]
        reduced.append((n, 2 * n + 1, size, len(meets), grade_outputs(found, meets).wrong))
reduced = pd.DataFrame(reduced, columns=["n", "N", "M", "pairs", "wrong"])
shown = reduced[reduced["M"] == reduced["N"] + 1].set_index("n").T
figures.table(shown, "{:,}", "Match3's first output against DISJ, all pairs of strings")

# %% [markdown]
# ### The rows, counted
#
# We set all multisets that Alice can hold against all of Bob's residues, and count the different rows. The order of her tokens does not matter to the first output.

# %%
sizes = [(N, M) for N in row_tokens for M in range(4, largest_modulus + 1)]
rows = [(*s, count_different_rows(*s), num_different_rows(*s)) for s in progress(sizes, "rows")]
rows = pd.DataFrame(rows, columns=["N", "M", "counted", "formula"])
shown = rows.pivot(index="N", columns="M", values="counted")
figures.table(shown, "{:,}", "Different rows, counted")

# %% [markdown]
# ### Any layer as a protocol
#
# `AttentionProtocol` takes any layer. Both parties know the layer, the token that asks, and which tokens can stand where. From this both compute, for each head, the interval of each number that
# Alice may have to send, and cut it into as few cells as the error allows. What can't vary costs no bit. The channel counts, and carries no more than was announced.
#
# First, layers that compute nothing in particular: random sizes, random matrices, scores between tiny and huge, $\eta$ from coarse to fine.


# %% tags=["hide-input"]
def random_case():
    """A random layer's protocol, the tokens of both, and the layer's own output."""

    def pick(low, high):
        return int(torch.randint(low, high, (1,), generator=generator))

    hers, his, dim = pick(1, 30), pick(0, 30), pick(1, 6)
    embed, coordinates, heads = pick(1, 6), pick(1, 6), pick(1, 5)
    scale, error = 10.0 ** pick(-1, 3), 2.0 ** -pick(-2, 12)
    drawn, places = {"generator": generator, "dtype": torch.float64}, 1 + hers + his
    units = [SelfAttentionUnit(dim, embed, coordinates, **drawn) for _ in range(heads)]
    for unit in units:
        unit.query *= scale
    layer = MultiHeadAttention(units)
    letters = torch.randn(places, 3, dim, **drawn)
    chosen = letters[torch.arange(places), torch.randint(0, 3, (places,), generator=generator)]
    others = letters[1:]
    protocol = AttentionProtocol(layer, chosen[0], others[:hers], others[hers:], error=error)
    return protocol, chosen, hers, layer(chosen.unsqueeze(0))[0, 0]


def bits_from_sizes(protocol):
    """The left side of the proposition's inequality for a layer."""
    return message_bits_bound(
        len(protocol.heads),
        protocol.num_coordinates,
        writers=protocol.writers,
        spread=protocol.spread,
        log_sum_range=protocol.log_sum_range,
        error=protocol.error,
    )


def refused_when_short(protocol, alice, bob):
    """Whether a channel of one bit less breaks the conversation off; true if nothing is sent."""
    if protocol.num_bits == 0:
        return True
    try:
        run_protocol(protocol.alice(alice), protocol.bob(bob), capacity=protocol.num_bits - 1)
    except ProtocolError:
        return True
    return False


random_layers = []
for _ in progress(range(num_layers), "random layers"):
    protocol, chosen, count, truth = random_case()
    alice, bob = chosen[1 : count + 1], chosen[count + 1 :]
    talk = protocol.run(alice, bob)
    parts = [(plan.part(alice), plan.part(torch.cat([bob, chosen[:1]]))) for plan in protocol.heads]
    exact = sum(merge(*pair).mean for pair in parts)
    careless = sum((a.mean + b.mean) / 2 for a, b in parts)  # no log-sum-exp
    bound, spread, error = protocol.error_bound, protocol.spread, protocol.error
    random_layers.append(
        {
            "ratio": ((talk.bob_answer - truth).abs() / bound).max().item(),
            "careless": ((careless - truth).abs() / bound).max().item(),
            "merge": ((exact - truth).abs() / spread).max().item(),
            "over budget": int(not (bound <= error * (1 + 1e-12)).all()),
            "sent": talk.num_bits,
            "from sizes": bits_from_sizes(protocol),
            "refused": refused_when_short(protocol, alice, bob),
        }
    )
random_layers = pd.DataFrame(random_layers)
outside = int((random_layers["careless"] > 1).sum())
figures.prose(
    f"On {num_layers} random layers the error is at most {random_layers['ratio'].max():.2f} of the "
    "proved bound. If Bob averages the two means without the log-sum-exps, "
    f"{outside} of them leave the bound."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-ratio", "caption": "Error over proved bound, for random layers in order of size. With the log-sum-exps all stay below 1; without them most don't."}, "image": {"alt": "Two rising curves on a logarithmic scale. The blue one, the protocol, stays below the dashed line at one. The orange one, merging by plain averages, lies far above it for most layers."}}
fig, axes = plt.subplots(figsize=(6, 3.4))
order = np.arange(1, num_layers + 1) / num_layers
errors = random_layers[["careless", "ratio"]].clip(lower=1e-4)
for kind, name, color, place in (
    ("careless", "log-sum-exp omitted", figures.ORANGE, (0.03, 0.9)),
    ("ratio", "protocol", figures.BLUE, (0.97, 0.05)),
):
    axes.semilogy(order, errors[kind].sort_values(), color=color)
    side = "left" if place[0] < 0.5 else "right"
    axes.text(*place, name, color=color, ha=side, transform=axes.transAxes)
figures.reference_line(axes, 1)
axes.set(xlabel="share of the random layers", ylabel="error over bound")
plt.show()

# %% [markdown]
# ### Four layers that do compute Match3
#
# The lower bound says that a layer which computes Match3 is large. These four are, each in another way:
#
# | | heads $H$ | $d$ | $m$ | $d'$ | what it reads |
# | --- | --- | --- | --- | --- | --- |
# | slots | 1 | $2N$ | $N$ | $N$ | token $j$ puts its residue into slot $j$ of the value |
# | shifts | $N$ | 3 | 2 | $N$ | head $h$ turns the position's point on a circle by $h$ steps, and reads the token there |
# | histogram | 1 | $M$ | $M$ | $M$ | token $j$ votes for its residue |
# | thresholds | $2M$ | 4 | 3 | $2M$ | for each residue $h$: does $h$ occur, does $-x_i-h$ occur? with a blank token |
#
# Here $m$ is counted as in {prf:ref}`def-unit`: the coordinates of a query or a key. The tokens that enter the layer have $d$ coordinates and its
# output has $d'$. {prf:ref}`cor-match3-product` bounds neither, but asks for $r\le m$.
# This holds: a head's value varies in at most $m$ coordinates in the last three layers, and in the $N-2$ slots of Alice's tokens in the first. If one
# counts as $m$ the width of everything that is stored, the largest of $d$, $m$ and $d'$,
# it is $2N$, $N$, $M$ and $2M$, and then the two layers of many heads cost $N^2$ and $4M^2$ numbers.
#
# Each is a `Transformer` of one layer. Heads are summed ({prf:ref}`def-layer`), so that each writes into coordinates of its own. The definition has no
# residual connection, but the label of token $i$
# depends on $x_i$. So each layer brings $x_i$ along. In the layer of slots token $i$ gives itself more weight than others, and in the histogram it
# gives more to all tokens with its residue: its own slot or residue stands out.
# Head 0 of the shifts reads token $i$. The thresholds ask with $x_i$ in the query. The margin is the same for all four.
#
# All inputs go through each layer, and all first outputs through the channel as well, with Alice holding all tokens but the first and the last.


# %% tags=["hide-input"]
# H, d, m and d' of the table, at sizes where no two of its entries are equal by chance.
N, M = 5, 8
stated = {
    "slots": (1, 2 * N, N, N),
    "shifts": (N, 3, 2, N),
    "histogram": (1, M, M, M),
    "thresholds": (2 * M, 4, 3, 2 * M),
}
sizes_differ = 0
for name, build in LAYERS.items():
    built = build(Match3(N, M)).heads
    shape = len(built), *built[0].query.shape, built[0].value.shape[1]
    sizes_differ += sum(here != there for here, there in zip(shape, stated[name], strict=True))


def protocol_for(layer, first, factor=1):
    """Alice holds all tokens but the first and the last; η is the layer's margin, times a factor."""
    table, cut = layer.table, layer.problem.num_tokens - 1
    error = factor * OUTPUT_TOLERANCE
    return AttentionProtocol(layer.layer, table[0, first], table[1:cut], table[cut:], error=error)


def run_through_channel(layer, inputs, factor=1):
    """Labels of the first token, and the conversations."""
    tokens, cut = layer.tokens(inputs), layer.problem.num_tokens - 1
    protocols = {r: protocol_for(layer, r, factor) for r in set(inputs[:, 0].tolist())}
    talks = [
        protocols[row[0]].run(entry[1:cut], entry[cut:])
        for row, entry in zip(inputs.tolist(), tokens, strict=True)
    ]
    labels = layer.decide(torch.stack([talk.bob_answer for talk in talks]))
    return labels, talks


small = []
for name, build in LAYERS.items():
    for N in range(3, num_tokens + 1):
        for M in progress(range(4, modulus + 1), f"{name}, N = {N}"):
            problem = Match3(N, M)
            inputs, layer = problem.all_inputs(), build(problem)
            labels, talks = run_through_channel(layer, inputs)
            wrong = grade(layer, problem, inputs).wrong
            wrong_answers = grade_outputs(labels, problem.target(inputs)[:, 0]).wrong
            small.append((name, N, M, len(inputs), wrong, wrong_answers))
columns = ["layer", "N", "M", "inputs", "wrong labels", "wrong answers"]
small = pd.DataFrame(small, columns=columns)
shown = small[(small["N"] == num_tokens) & (small["M"] == modulus)].drop(columns=["N", "M"])
caption = f"N = {num_tokens}, M = {modulus}: all inputs, all N labels"
figures.table(shown.set_index("layer"), "{:,}", caption)

# %% [markdown]
# For the first token 1 we collect all of Alice's messages, and for each the rows of the inputs that lead to it. No message may serve two rows. The
# messages are those of the four layers: none was made for this.

# %% tags=["hide-input"]
shared, wrong_from_all_rows = [], 0
for N in range(3, num_tokens + 1):
    for M in range(4, message_modulus + 1):
        inputs = torch.cartesian_prod(torch.tensor([1]), *[torch.arange(M)] * (N - 1)).view(-1, N)
        labels = Match3(N, M).target(inputs)[:, 0].tolist()
        row_of = {}  # Alice's tokens ↦ the first output for each of Bob's
        for entry, label in zip(inputs.tolist(), labels, strict=True):
            row_of[tuple(entry[:-1])] = (*row_of.get(tuple(entry[:-1]), ()), label)
            wrong_from_all_rows += send_row(entry, M).bob_answer != label
        for name, build in LAYERS.items():
            layer = build(Match3(N, M))
            protocol, rows_of = protocol_for(layer, 1), {}
            for entry, row in row_of.items():
                tokens = layer.tokens(torch.tensor([[*entry, 0]]))[0, 1 : N - 1]
                rows_of.setdefault(tuple(protocol.alice(tokens)), set()).add(row)
            mixed = sum(len(found) > 1 for found in rows_of.values())
            shared.append((name, N, M, len(row_of), len(rows_of), len(set(row_of.values())), mixed))
columns = ["layer", "N", "M", "inputs", "messages", "rows", "messages for several rows"]
shared = pd.DataFrame(shared, columns=columns)
shown = shared[(shared["N"] == num_tokens) & (shared["M"] == message_modulus)]
caption = f"N = {num_tokens}, M = {message_modulus}, first token 1: all of Alice's inputs"
figures.table(shown.drop(columns=["N", "M"]).set_index("layer"), "{:,}", caption)

# %% [markdown]
# ### Bits against $N$
#
# Here $M=N+1$, the least modulus of the theorem. Inputs are hard for this split: Alice's set $S$ is drawn as in {prf:ref}`prop-match3-rows`, and Bob's one token is $-1-u$, by turns with $u$ in $S$ and with $u$ outside. So half of the
# labels are 1, and each of these becomes 0 if his token is exchanged. The $p$ of the table is the least for which {prf:ref}`cor-match3-product` applies; *from sizes* is the left side of {eq}`eq-match3-bits`. Last, the fewest bits of any protocol: Alice
# sends the number of her row, in a list that is ordered by the size of $S$.

# %% tags=["hide-input"]
large, wrong_from_rows, decided = [], 0, 0
for N in token_grid:
    M = N + 1
    inputs = hard_inputs(N, M, 2 * num_inputs, generator=generator)
    meets = Match3(N, M).target(inputs)[:, 0]
    exchanged = inputs.clone()
    exchanged[:, -1] = 1
    decided += int((meets & ~Match3(N, M).target(exchanged)[:, 0]).sum())
    answers = [send_row(entry, M).bob_answer for entry in inputs.tolist()]
    wrong_from_rows += grade_outputs(torch.tensor(answers), meets).wrong
    for name, build in progress(LAYERS.items(), f"N = {N}"):
        layer = build(Match3(N, M))
        protocol = protocol_for(layer, 1)
        labels, talks = run_through_channel(layer, inputs)
        m, H = layer.embed_dim, layer.num_heads
        steps, reach = protocol.spread / OUTPUT_TOLERANCE, max(protocol.log_sum_range, 1)
        p = max(1, math.ceil(math.log2(steps)), math.ceil(math.log2(reach / (2 * m)) / 2))
        large.append(
            {
                "N": N,
                "layer": name,
                "m": m,
                "H": H,
                "p": p,
                "longest number": protocol.widest,
                "bits": protocol.num_bits,
                "from sizes": bits_from_sizes(protocol),
                "lower bound": one_way_bits(N, M),
                "product": m * H * (5 * p + 2 * least_bits(protocol.writers)),
                "wrong": grade_outputs(labels, meets).wrong,
            }
        )
large = pd.DataFrame(large)
largest = large[large["N"] == max(token_grid)]
shown = largest.drop(columns="N").set_index("layer")
shown = shown.rename(columns={"product": "mH(5p + 2⌈log₂G⌉)"})
figures.table(shown, "{:,}", f"N = {max(token_grid)}, M = {max(token_grid) + 1}")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-match3-bits", "caption": "Bits that cross, for the four layers, and the least possible for one message. M = N + 1. The dashed line is disjointness alone."}, "image": {"alt": "Log-log chart of bits against the number of tokens. Four rising curves of layers lie above a solid black curve, the exact one-way complexity, which is a little above the dashed line of disjointness. At many tokens slots and histogram cost most."}}
fig, axes = plt.subplots(figsize=(6, 4.6))
colors = figures.BLUE, figures.ORANGE, figures.GREEN, figures.PINK
for name, marker, color in zip(LAYERS, "osD^", colors, strict=True):
    chosen = large[large["layer"] == name]
    axes.loglog(chosen["N"], chosen["bits"], marker=marker, markersize=5, color=color, label=name)
least = [one_way_bits(N, N + 1) for N in token_grid]
axes.loglog(token_grid, least, color="black", label="least, one message")
strings = [(N - 1) // 2 for N in token_grid]
axes.loglog(token_grid, strings, color=figures.GREY, linestyle="--", label="disjointness")
axes.set(xlabel="tokens $N$", ylabel="bits", xticks=token_grid, xticklabels=token_grid)
axes.minorticks_off()
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %%
cheapest = largest.loc[largest["bits"].idxmin()]
figures.prose(
    f"At $N={cheapest['N']}$ the cheapest, *{cheapest['layer']}*, sends {cheapest['bits']} bits; "
    f"the least possible is {cheapest['lower bound']}."
)

# %% [markdown]
# In all four layers each head writes into coordinates of its own, $G=1$. Slots, shifts and histogram send about $N$ numbers of $O(\log N)$ bits. The thresholds send $O(N)$ bits for $M=N+1$, so that up to a constant factor $\lceil\log_2W\rceil$ is the truth about *bits*. With the
# $p$ of {prf:ref}`cor-match3-product`, which is 2 for them at every $N$, it is the truth about $mpH$ as well:
#
# :::{prf:proposition} (linear in $M$; ours)
# :label: prop-thresholds
#
# Let $N\ge3$ and $M\ge2$. With $\eta=\frac38$ the layer of thresholds sends at most $8M$ bits, whatever $N$ is. If $M\ge4$, {prf:ref}`cor-match3-product` applies
# to it with $p=2$, and $mpH=12M$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# In each of the $2M$ heads all of Alice's values are 1, so that only $S_A$ is sent. Bob's part is over the token that asks, token $N$ and the blank. With the blank's score $c-g$ (Theorem 6's unit: $c$ is the largest
# score, and $g=2$) his $S_B$ lies between $c-g$ and $c+\ln3$. One head writes into each coordinate and $D=1$, so that $\delta=\eta$ and $\Phi=\ln\frac4\eta$ are enough. After cutting off, $S_A$ has a range of at most
# $g+\ln3+2\ln\frac4\eta<7.84$ nats, which cells of length $2\delta=\frac34$ cover with 11 cells: 4 bits.
#
# For the corollary, $r=0\le m$, $D=1\le2^2\eta=\frac32$ and $R<7.84\le2m\,4^2=96$, with $m=3$; and $H=2M$. $\blacksquare$
# :::
#
# So for $M=N+1$ the order $N$ of the corollary is right. If $p$ counts the bits in which queries and keys are *stored*, of order $\log N$ in all four layers, then $mpH$ is of order
# $N\log N$ in each of them, and we don't know whether less would do.
#
# ### Too few bits
#
# What if Alice rounds more coarsely than the margin allows? On the inputs of {prf:ref}`prop-match3-index` we multiply $\eta$, count the bits, and count
# the wrong answers. The bits cannot fall below $(1-h(\delta))\,n$. They stay far above this
# while all answers are right; once some are wrong, so many are that the bound is close to 0. No layer trades bits for errors well.

# %% tags=["hide-input"]
N, M = 5, 8
cases, n = index_inputs(N, M), num_index_bits(N, M)
index_misses = grade_outputs(Match3(N, M).target(cases.inputs)[:, 0], cases.answers).wrong
coarse = []
for name, build in LAYERS.items():
    layer = build(Match3(N, M))
    for factor in (1, 4, 16, 64):
        protocol = protocol_for(layer, 1, factor)
        labels = run_through_channel(layer, cases.inputs, factor)[0]
        wrong = grade_outputs(labels, cases.answers).wrong
        needed = random_access_bits(n, wrong / len(cases.answers))
        coarse.append((name, factor, protocol.num_bits, wrong, needed))
columns = ["layer", "times η", "bits", "wrong", "(1 − h(δ)) n"]
coarse = pd.DataFrame(coarse, columns=columns)
caption = f"Coarser numbers: wrong answers of {len(cases.answers)}, N = {N}, M = {M}, n = {n}"
figures.table(coarse.set_index(["layer", "times η"]), {"(1 − h(δ)) n": "{:.2f}"}, caption)

# %% [markdown]
# ### What breaks it
#
# Leave out a slot, a head, or a residue, and look at all inputs. In the fourth layer the heads for $h$ and those for $-x_i-h$ answer for each other, so that one head is missed only where $h\equiv-x_i-h$.

# %% tags=["hide-input"]
problem = Match3(3, 5)
broken = {}
for name, build in LAYERS.items():
    layer = build(problem)
    heads = layer.heads
    if len(heads) == 1:
        value = heads[0].value.clone()
        value[:, -1] = 0  # the last slot, or the last residue
        fewer = [SelfAttentionUnit.from_matrices(heads[0].query, heads[0].key, value)]
    else:
        fewer = heads[:-2] + heads[-1:]
    found = grade(layer.with_heads(fewer), problem)
    broken[name] = found.wrong
caption = f"One slot, head or residue fewer: of {found.num_labels:,} labels, N = 3, M = 5"
figures.table(pd.DataFrame({"wrong labels": broken}).T, "{:,}", caption)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("thm-7.reduction", int(reduced["wrong"].sum()), "==", 0,
    statement=f"Match3's first output is DISJ: no exception among {int(reduced['pairs'].sum()):,} pairs of strings.")
claim("thm-7.rows", int((rows["counted"] != rows["formula"]).sum()), "==", 0,
    statement=rf"The number of different rows is $1+\sum_j\binom{{\lfloor(M-2)/2\rfloor}}j2^j$: no exception among "
    f"{len(rows)} sizes.")
claim("thm-7.powers-of-three",
    min(num_different_rows(N, M) - 3 ** ((N - 1) // 2) for N in range(3, 60) for M in (N + 1, N + 2, N * N)), ">=", 1,
    statement=r"There are more than $3^{\lfloor(N-1)/2\rfloor}$ rows for M ≥ N + 1: the least excess, N = 3 … 59, "
    "three moduli each.")
claim("thm-7.row-powers",
    min(num_different_rows(N, M) - N ** (N - 2) for N in range(3, 60) for M in (N**2, N**2 + 1, N**3)), ">=", 1,
    statement=r"There are more than $N^{N-2}$ rows for $M\ge N^2$: the least excess, N = 3 … 59, three moduli each.")
claim("thm-7.no-logarithm", min(N**6 - 2 ** (5 + 2 * least_bits(N)) for N in range(3, 10_000)), ">=", 0,
    statement=r"$N^6\ge2^{5+2\lceil\log_2N\rceil}$, so that for $M\ge N^2$ a sixth of N − 2 is left of the product: "
    "the least difference, N from 3 on.")
claim("thm-7.best-message", wrong_from_rows + wrong_from_all_rows, "==", 0,
    statement=r"From the number of Alice's row alone, $\lceil\log_2W\rceil$ bits, Bob finds the answer: no "
    f"exception on all small inputs with the first token 1, and on the hard ones, N up to {max(token_grid)}.")
claim("thm-7.merge", random_layers["merge"].max(skipna=False), "<=", 0.0, tolerance=1e-9,
    note="float64 sums in another order",
    statement="The merged softmax is the whole one: the largest difference, in units of the spread of the values.")
claim("thm-7.random-layers", random_layers["ratio"].max(skipna=False), "<=", 1.0, tolerance=1e-9, note="float64",
    statement=f"The error stays within the proved bound: the largest quotient of the two over {num_layers} random "
    "layers.")
claim("thm-7.budget", int(random_layers["over budget"].sum()), "==", 0,
    statement=r"The proved bound is at most the $\eta$ that was asked for: no exception among the random layers.")
claim("thm-7.one-bit-short", int((~random_layers["refused"]).sum()), "==", 0,
    statement="A channel of one bit less than is announced breaks the conversation off: no exception among the "
    "random layers.")
claim("thm-7.bits-from-sizes",
    int(min((random_layers["from sizes"] - random_layers["sent"]).min(), (large["from sizes"] - large["bits"]).min())),
    ">=", 0,
    statement="From sizes alone, the left side of the bound is at least the number of bits sent: the least "
    "difference, over the random layers and the chart.")
claim("thm-7.sizes", sizes_differ, "==", 0,
    statement="The four layers have the sizes H, d, m and d' of the table: no exception among its entries, N = 5, M "
    "= 8.")
claim("thm-7.layers", int(small["wrong labels"].sum()), "==", 0,
    statement=f"All labels of the four layers are right: no exception on all {int(small['inputs'].sum()):,} inputs, "
    f"4 ≤ M ≤ {modulus}, 3 ≤ N ≤ {num_tokens}.")
claim("thm-7.channel", int(small["wrong answers"].sum()), "==", 0,
    statement="Bob, who hears only Alice's rounded numbers, gives the right answer for the first token: no exception "
    "on the same inputs.")
claim("thm-7.messages", int(shared["messages for several rows"].sum()), "==", 0,
    statement="Inputs of Alice's with different rows (first token 1) have different messages: no exception among "
    f"all inputs, M ≤ {message_modulus}, with up to {shared['rows'].max()} rows.")
claim("thm-7.large", int(large["wrong"].sum()), "==", 0,
    statement=f"All answers through the channel are right: no exception on {2 * num_inputs * len(large)} hard "
    f"inputs, N up to {max(token_grid)}.")
claim("thm-7.decided", decided, "==", num_inputs * len(token_grid),
    statement="Bob's token decides: half of the hard inputs have the label 1, which becomes 0 with another token of "
    "his.")
claim("thm-7.product", int((large["product"] - large["bits"]).min()), ">=", 0,
    statement=r"$mH(5p+2\lceil\log_2G\rceil)$ is at least the number of bits sent: the least difference, over the "
    "chart.")
claim("thm-7.index", index_misses, "==", 0,
    statement=f"Match3's first output is the bit that is asked for: no exception among {len(cases.answers)} strings "
    f"of {n} bits and questions.")
claim("thm-7.too-few-bits", (coarse["bits"] - coarse["(1 − h(δ)) n"]).min(), ">=", 0.0, tolerance=1e-12,
    note="logarithms in float64",
    statement=r"The layers send at least $(1-h(\delta))\,n$ bits, $\delta$ the share of wrong answers: the least "
    "difference, over layers and roundings.")
claim("thm-7.thresholds",
    max(protocol_for(LAYERS["thresholds"](Match3(N, M)), 1).num_bits - 8 * M
        for N, M in [*((N, N + 1) for N in token_grid), *((N, M) for N in (3, 50, 1000) for M in (4, 9, 17))]),
    "<=", 0,
    statement="The layer of thresholds sends at most 8M bits: the largest difference, over the chart and over N = 3, "
    "50, 1000 with M = 4, 9, 17.")
of_thresholds = large[large["layer"] == "thresholds"]
claim("thm-7.thresholds-product",
    int((of_thresholds["m"] * of_thresholds["p"] * of_thresholds["H"] - 12 * (of_thresholds["N"] + 1)).abs().max()),
    "==", 0,
    statement="The layer of thresholds has $mpH=12M$ with the least $p$ for which the corollary applies: the largest "
    "difference, over the chart.")
claim("thm-7.one-fewer", min(broken.values()), ">=", 1,
    statement="Each of the four layers has a wrong label when one slot, head or residue is missing: the fewest wrong "
    "labels.")
observed("thm-7.no-log-sum", outside, ">", num_layers // 2,
    statement=f"Most of the {num_layers} random layers leave the bound if the log-sum-exp is omitted.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *Anything about two layers.* After one layer Alice's and Bob's tokens are mixed, and the protocol ends there. That a transformer of more layers which computes Match3 must be large is a
#   conjecture of the paper. [Read with $M=N+1$ it is false; with $M\ge N^{1+c}$ it is open](depth-match3.py). "Match3 needs exponentially many layers" is sometimes read into this theorem; nothing of the kind is proved.
# * *That $m$ or $H$ alone must grow.* The bound is on a product. The four layers spend it in different ways, and none of them is claimed to be the smallest.
# * *A bound without a margin.* {prf:ref}`thm-match3-bits` needs labels that survive an error $\eta$. An output map that tells arbitrarily close numbers apart can read everything from one number. The paper
#   counts $p$-bit numbers instead; its theorem is not implied by ours, nor ours by it. Where the output map is a network of bounded size, neither a margin nor a precision is needed: by the *splitting VC dimension*, one layer that
#   computes $\operatorname{Match3}$ on $N$ tokens modulo $2N-2$ in exact real numbers has a number of heads, an embedding dimension or a size of this network that is polynomially large in $N$ {cite}`kozachinskiy2025strassen`.
# * *That $\lceil\log_2W\rceil$ bits are right for attention.* It is exact for one message. Our layers send several times as much, and we don't know with how little a layer can do.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-small-moduli
#
# Why does the reduction need $M\ge4$? What is Match3's first output for $M=3$ and $x_1=1$?
# :::
#
# :::{solution} ex-small-moduli
# :class: dropdown
#
# For $M=3$ the filler is its own partner: $1+1+1\equiv0$, and the output is 1 whatever the others hold. For $M=2$ the partners are 0 and 1, so the first token's partner
# is 0, the only other residue: the output tells whether a 0 occurs, and one bit is enough.
# :::
#
# :::{exercise}
# :label: ex-large-modulus
#
# How does $\lceil\log_2W\rceil$ grow with $N$ if $M=N^2$? Compare with what it costs to send all of Alice's tokens.
# :::
#
# :::{solution} ex-large-modulus
# :class: dropdown
#
# The last term, $j=N-2$, dominates; that it exceeds $N^{N-2}$ was shown above. It is about $\binom{N^2/2}{N}2^N$, so the logarithm is about $N\log_2\frac{N^2/2}N+N\log_2e+N\approx N\log_2N+1.44\,N$. Sending all tokens costs
# $2N\log_2N$: twice as much, because their order need not be sent.
# :::
#
# :::{exercise}
# :label: ex-tanh
#
# Two tokens have the values $1$ and $-1$. Choose their scores so that an error $\delta$ in one log-sum-exp changes the output by exactly $2\tanh\frac\delta4$.
# :::
#
# :::{solution} ex-tanh
# :class: dropdown
#
# Scores $-\frac\delta2$ for Alice's and 0 for Bob's. If hers is taken for $+\frac\delta2$, her weight rises from $\sigma(-\frac\delta2)$ to $\sigma(\frac\delta2)$, by $\tanh\frac\delta4$, and the
# output moves by the difference $D=2$ of the values times that.
# :::
#
# ## Reference
#
# {prf:ref}`thm-match3`, the definition of Match3, the route from disjointness and the protocol that sends a log-sum-exp and a mean for each head are from {cite}`sanford2023representational`; the hardness of disjointness is from {cite}`yao1979questions`. Ours are
# {prf:ref}`thm-match3-bits` with {prf:ref}`cor-match3-product`, {prf:ref}`prop-match3-rows`, {prf:ref}`prop-match3-index`, {prf:ref}`prop-thresholds`, the error bound of {prf:ref}`lem-merge`, the four layers, the protocol as a program, and all measurements.
