# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Strassen attention: pairwise terms, cubic reach, and what it costs in numbers
#
# **The question.** [Third-order attention](third-order.py) finds triples, but it goes through $N^3$ scores. *Strassen attention* looks at pairs of tokens too, and yet it can be computed by products of $N\times N$ matrices. What does it take to find triples with
# it: how many heads, how many dimensions, and how large must the numbers be?
#
# **In one paragraph.** Let $x_i=5$ ask for two tokens that make up 16 with it. If the score of a pair is $-(5+x_j+x_k-16)^2$, the pairs with the sum 11 are on top. Multiply the square out: there are products of *two* variables only, never of three. So it is a sum of
# three tables, one for each side of the triangle $i,j,k$, and none of them sees the triple ({numref}`fig-strassen-tables`). That is why pairwise terms reach this far. The price is in the numbers: next to the ridge of matches the sum falls by as little as 1, while the middle
# table, of $j$ and $k$, ranges over hundreds. In the sum this cancels. But matrix products work with the exponential of each table alone, and **there nothing cancels**.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-strassen-tables", "caption": "One query, x = 5, and all pairs of residues, M = 16, target T = 16. Three tables of pairwise scores, the first of i and j alone, the second of j and k, the third of k and i; and their sum. Circles: the pairs that complete the query to T. Each panel has its own scale, light is high; in the last one all that is more than 40 below the top is dark. Above each, the range of its entries: the step from the ridge to the next pairs is 1."}, "image": {"alt": "Four square heat maps. The first has horizontal stripes, the third vertical stripes; the second is high in two opposite corners and low in the other two. The fourth, their sum, has one straight bright ridge from the upper left to the lower right, with circles along its top."}}
import matplotlib.pyplot as plt
import torch

from attention_limits import figures
from attention_limits.constructions.strassen import match3_strassen_layer
from attention_limits.models.strassen_attention import pair_scores
from attention_limits.problems.matching import Match3

figures.use_style()
shown, query = 16, 5
residues = torch.arange(shown)
layer = match3_strassen_layer(Match3(shown, shown), scale=2.0)  # a gap of 1
alpha, beta, gamma = (t[0] for t in pair_scores(*layer.vectors(residues[None], shown)))
first = alpha[query].unsqueeze(1).expand(shown, shown)
third = gamma[:, query].expand(shown, shown)
tables = {
    "of $i$ and $j$": first,
    "of $j$ and $k$": beta,
    "of $k$ and $i$": third,
    "the sum": first + beta + third,
}
fig, panels = plt.subplots(2, 2, figsize=(5.2, 5.4), sharex=True, sharey=True)
for axes, (name, table) in zip(panels.flat, tables.items(), strict=True):
    lowest = table.max() - 40 if name == "the sum" else table.min()
    axes.imshow(table, cmap=figures.SEQUENTIAL, origin="lower", vmin=lowest)
    axes.set_title(f"{name}: range {(table.max() - table.min()).item():.0f}", fontsize=13)
    axes.set(xticks=[0, 5, 10, 15], yticks=[0, 5, 10, 15])
    axes.grid(visible=False)
for edge in range(2):
    panels[1, edge].set_xlabel("$x_k$")
    panels[edge, 0].set_ylabel("$x_j$")
matches = residues[: shown - query + 1]
ring = {"color": figures.ORANGE, "markersize": 5, "markeredgecolor": "white"}
panels[1, 1].plot(shown - query - matches, matches, "o", markeredgewidth=0.5, **ring)
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax, products of matrices; [Theorem 7's page](thm-7-match3.py) for why pairs of tokens are not enough. Some ten seconds on
# one core.
#
# **On this page.**
#
# * One layer with two heads and $m=4$ computes Match3. The result is known; vectors and constants are ours. [P~] {prf:ref}`prop-strassen-match3`
# * One head can't do it in this way. [N] {prf:ref}`prop-strassen-one-head`
# * The middle table of *any* such head ranges over about $gM^2/4$, where $g$ is the gap between matches and the next sums. [N] {prf:ref}`prop-strassen-range`
# * So matrix products of exponentials are for small scores: the nats (factors of $e$) that a number format must span grow like $M^2$. [N] {prf:ref}`cor-strassen-products`, {numref}`fig-strassen-range`
#
# ## The statement
#
# :::{prf:definition} (Strassen attention; Kozachinskiy and others)
# :label: def-strassen
#
# Each token has vectors $f_i,g_i,h_i\in\R^m$ and values $v_i,w_i\in\R^d$. The output at token $i$ is
#
# ```{math}
# :label: eq-strassen
# a_i=\sum_{j,k}\frac{e^{s_{ijk}}}{\sum_{j',k'}e^{s_{ij'k'}}}\,(v_j\circ w_k),\qquad s_{ijk}=f_i\cdot g_j+g_j\cdot h_k+h_k\cdot f_i ,
# ```
#
# with $\circ$ entry by entry {cite}`kozachinskiy2025strassen`. There scores are divided by $\sqrt m$; here they are not, as in {prf:ref}`def-unit`. Heads are summed, as in {prf:ref}`def-layer`.
# :::
#
# :::{prf:theorem} (cited: Kozachinskiy and others, Theorem 4.1)
# :label: thm-strassen-products
#
# With $X_{ij}=e^{f_i\cdot g_j}$, $Y_{jk}=e^{g_j\cdot h_k}$, $Z_{ki}=e^{h_k\cdot f_i}$, and for each coordinate of the values,
#
# ```{math}
# :label: eq-strassen-products
# a_i=\frac{\big(X\,\mathrm{diag}(v)\,Y\,\mathrm{diag}(w)\,Z\big)_{ii}}{(XYZ)_{ii}} .
# ```
#
# So $a$ takes $O(N^\omega d)$ operations, where $\omega<3$ is the exponent of matrix multiplication {cite}`kozachinskiy2025strassen`.
# :::
#
# *Proof.* $e^{s_{ijk}}=X_{ij}Y_{jk}Z_{ki}$; write out the products. $\blacksquare$
#
# They also show that one Strassen layer of constant size computes $\operatorname{Match3}$ on residues modulo $M$ polynomial in $N$, and two kinds of function composition (their Theorem 4.2), and that one layer of ordinary attention of small size can't (Theorems 3.2 to 3.6) {cite}`kozachinskiy2025strassen`. We take
# $\operatorname{Match3}$, {prf:ref}`def-match3`, with vectors and constants of our own. Statements and proofs from here on are ours, as far as we know.
#
# :::{prf:proposition} (two heads with m = 4; the result is theirs, vectors and constants are ours)
# :label: prop-strassen-match3
#
# Let $N\ge1$, $M\ge2$ and $c\ge2\ln(16N^2M)$. A head for a target $T$ has, with $q=x-\frac13(T-\frac14)$ and unit vectors $e_1,e_2,e_3$ of the plane at angles of 120°,
#
# ```{math}
# :label: eq-strassen-vectors
# \begin{aligned}f&=\big(2\sqrt c\,q\,e_1,\,1,\,1\big),\\g&=\big(2\sqrt c\,q\,e_2,\,-\tfrac c2q^2,\,1\big),\\h&=\big(2\sqrt c\,q\,e_3,\,1,\,-\tfrac c2q^2\big)\end{aligned}
# ```
#
# and the values $v=(x,1)$, $w=(1,x)$. One layer with the two heads $T=M$ and $T=2M$ and a residual connection that keeps $x_i$ computes $\operatorname{Match3}$: the label is 1 if and only if $x_i=0$, or $x_i$ and the two outputs of a head add up to its $T$ within less than $\frac12$.
# This still holds if outputs are rounded to multiples of $\frac18$, which takes $\lceil\log_2M\rceil+3$ bits.
#
# With $m=5$, and $N^2M\le\frac1{16}e^{36}$, all entries of $f,g,h$ can be integers of at most $2\lceil\log_2M\rceil+5$ bits, the sign included.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *The score.* $e_1\cdot e_2=e_2\cdot e_3=e_3\cdot e_1=-\frac12$. So
# $f_i\cdot g_j=-2cq_iq_j-\frac c2q_j^2+1$, $g_j\cdot h_k=-2cq_jq_k-\frac c2q_j^2-\frac c2q_k^2$ and $h_k\cdot f_i=-2cq_kq_i-\frac c2q_k^2+1$. Together, with $S=x_i+x_j+x_k$,
#
# $$s_{ijk}=-c\,(q_i+q_j+q_k)^2+cq_i^2+2=-c\,\big(S-T+\tfrac14\big)^2+cq_i^2+2 .$$
#
# The last two terms do not depend on the pair, so the softmax drops them.
#
# *The best pairs.* The squares of $S-T+\frac14$ are $\frac1{16},\frac9{16},\frac{25}{16},\frac{49}{16},\dots$ for $S=T,\,T-1,\,T+1,\,T-2,\dots$: all different, and at least $\frac12$ apart. So the best pairs of token $i$ all have the same sum $S^*$, and $S^*=T$ if some pair has the sum $T$. Every other pair weighs at most
# $e^{-c/2}$ relative to a best one. The two outputs together are the mean of $x_j+x_k$, which is $S^*-x_i$ on the best pairs and lies in $[0,2M-2]$ on all. So they are off from $S^*-x_i$ by at most $(N^2-1)e^{-c/2}(2M-2)<2MN^2e^{-c/2}\le\frac18$. Rounding two outputs adds at most $\frac18$. Hence $x_i$ and they add up to an integer $S^*$, up to
# $\frac14$, and comparing with $T$ up to less than $\frac12$ tells whether $S^*=T$.
#
# *The label.* If $x_i=0$, the token is completed by itself, twice. Otherwise $1\le S\le3M-3$, and $S\equiv0$ means $S=M$ or $S=2M$.
#
# *Integers.* Let $t=12q=12x-4T+1$ and
#
# $$f=(t,-t,0,1,1),\qquad g=\big(0,t,-t,-\tfrac{t^2-1}4,1\big),\qquad h=\big(-t,0,t,1,-\tfrac{t^2-1}4\big).$$
#
# As $t$ is odd, $t^2-1$ is a multiple of 8. The score is $-\frac12(t_i+t_j+t_k)^2+\frac12t_i^2+3$, which is the one above with $c=72$, up to a constant. And $72\ge2\ln(16N^2M)$ is the condition on $N^2M$. From $-8M+1\le t\le8M-11$ we have $\frac{t^2-1}4\le16M^2-4M$, less than $2^{2\lceil\log_2M\rceil+4}$. $\blacksquare$
# :::
#
# No blank token is needed. Without a residual connection a third head would have to tell $x_i$. Compare $mpH$: it is of order $\log M$ here, while a layer of pairwise attention needs $mpH$ of order $N/\log\log N$ ([Theorem 7](thm-7-match3.py)).
#
# *Three numbers for three vectors are too few.* With one coordinate in place of the plane, say $\kappa q$, $\lambda q$ and $\mu q$ in $f$, $g$ and $h$, these
# would contribute $\kappa\lambda\,q_iq_j+\lambda\mu\,q_jq_k+\mu\kappa\,q_kq_i$. But $\kappa\lambda$, $\lambda\mu$ and $\mu\kappa$ can't all be negative, as
# their product is a square. This does not show that $m=4$ is least.
#
# ### One head is too few, and the middle table is large
#
# Why not one head for all multiples of $M$, as third-order attention has? From here on a head's scores are *any* sum
#
# ```{math}
# :label: eq-strassen-tables
# s(x,y,z)=\alpha(x,y)+\beta(y,z)+\gamma(z,x)
# ```
#
# for residues $x$ of the query and $y,z$ of the pair: {eq}`eq-strassen` with any token-wise maps, at any dimension and precision.
#
# :::{prf:proposition} (no head serves two queries modulo M, ours)
# :label: prop-strassen-one-head
#
# Let $M\ge2$ and $x\ne x'$ be residues. There are no tables in {eq}`eq-strassen-tables` such that for the query $x$ each pair with $x+y+z\equiv0\pmod M$ scores above each pair without, and for the query $x'$ likewise.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Sum the scores of the query $x$ over the $M$ pairs with $y+z\equiv r$. As $y$ runs through all residues, so does $z$, and the sum is $A_x+B_r+C_x$ with $A_x=\sum_y\alpha(x,y)$, $C_x=\sum_z\gamma(z,x)$ and $B_r=\sum_{y+z\equiv r}\beta(y,z)$. If matches score above the others, then $B_{-x}>B_r$ for all $r\ne-x$. For two queries: $B_{-x}>B_{-x'}$ and $B_{-x'}>B_{-x}$. $\blacksquare$
# :::
#
# In {prf:ref}`prop-strassen-match3` this does not happen, because $x+y+z=M$ is an equation between integers: which residues $y$ and $z$ occur in its
# solutions depends on the query, so that the sums of the proof no longer agree.
#
# How far must the middle table $\beta$ range? Take $M=4$ and the query $x=3$. The pairs $(1,0)$ and $(0,1)$ have the sum 4 with it; $(0,0)$ has the sum 3 and
# $(1,1)$ the sum 5. In the scores of the former two minus those of the latter two $\alpha(3,0)$, $\alpha(3,1)$, $\gamma(0,3)$ and $\gamma(1,3)$ occur once
# with each sign, and cancel. So $\beta$ alone has to make the difference.
#
# :::{prf:proposition} (the middle table is large, ours)
# :label: prop-strassen-range
#
# Let $M\ge2$ and $g>0$, and for every query $x=1,\dots,M-1$ let each pair with $x+y+z=M$ score at least $g$ above each pair with $x+y+z=M\pm1$. Then for $y_0,z_0\ge0$, $a,b\ge1$ with $y_0+z_0+a+b\le M$
#
# ```{math}
# :label: eq-strassen-mixed
# \beta(y_0+a,z_0)+\beta(y_0,z_0+b)-\beta(y_0,z_0)-\beta(y_0+a,z_0+b)\;\ge\;2g\,ab .
# ```
#
# So $\beta$ ranges over at least $g\lfloor M^2/4\rfloor$, and over at least $g\lfloor(M-2)^2/4\rfloor$ on the pairs that match some query $x\ge1$, those with $1\le y+z\le M-1$. This remains so if functions of $x$, of $y$ and of $z$ are moved between the three tables.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *One cell.* Let $y+z\le M-2$ and $x=M-1-y-z$, which lies in $1\dots M-1$. The pairs $(y+1,z)$ and $(y,z+1)$ have $x+y+z=M$; $(y,z)$ and $(y+1,z+1)$ have $M-1$ and $M+1$. So the scores of the former two minus those of the latter two are at least $2g$ together. Each of $y,y+1$ and each of $z,z+1$ occurs once with $+$ and once with $-$, so that $\alpha(x,\cdot)$ and
# $\gamma(\cdot,x)$ cancel. What is left is {eq}`eq-strassen-mixed` with $a=b=1$.
#
# *A rectangle.* Sum over the $ab$ cells with $y_0\le y<y_0+a$, $z_0\le z<z_0+b$; they have $y+z\le y_0+z_0+a+b-2\le M-2$. All entries of $\beta$ cancel but the four at the corners.
#
# *The range.* The left side is a sum of two differences, so at most twice the range of $\beta$ on the corners. Take $y_0=z_0=0$ and $a=\lfloor\frac M2\rfloor$, $b=\lceil\frac M2\rceil$. On pairs that match: $y_0+z_0=1$ and $a+b=M-2$, for $M\ge4$; the corners have sums from 1 to $M-1$. A function of $y$ alone, or of $z$ alone, has mixed difference 0, and tables with the same sum have the same gap. $\blacksquare$
# :::
#
# The left side of {eq}`eq-strassen-mixed` is called the *mixed difference*. Equality holds for the score $-g(x+y+z-M)^2$. The tables of
# {prf:ref}`prop-strassen-match3` have the gap $\frac c2$ below and $\frac{3c}2$ above, hence $g=\frac c2$, and the mixed difference $2c\,ab$, twice the
# bound.
#
# :::{prf:corollary} (exponentials, ours)
# :label: cor-strassen-products
#
# Let a head be as in {prf:ref}`prop-strassen-range`.
#
# 1. If a number format holds $e^\beta$ as a positive number on all pairs that match some query, in whatever way the three tables were shifted, then its largest and smallest positive numbers are at least $g\lfloor(M-2)^2/4\rfloor$ nats apart.
# 2. Let pairs with $x+y+z=M$ score at least $g$ above *all* others, $M\ge6$ even. On the four tokens $(1,\,\frac M2-1,\,M-2,\,2)$ some query has $(XYZ)_{ii}\le16\,e^{-g(M/2-2)^2}$ relative to the product of the largest entries of its row of $X$, of $Y$ and of its column of $Z$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *1.* This is the range of $\beta$. *2.* The query $M-2$ is completed by the pair of residues $(1,1)$ and by no other, and the query $2$ by $(\frac M2-1,\frac M2-1)$ alone. So these are their best pairs. Let $a=\frac M2-2\ge1$. By {eq}`eq-strassen-mixed` with $y_0=z_0=1$ and $b=a$, $2+2a=M-2\le M$, the largest entry of $\beta$ lies at least $ga^2$
# above $\beta(1,1)$ or above $\beta(1+a,1+a)$, hence at the best pair of one of the two queries. There the largest entries of $\alpha(x,\cdot)$ and $\gamma(\cdot,x)$ are no smaller than those of the best pair. So its weight is at most $e^{-ga^2}$, and there are 16 pairs, none heavier. $\blacksquare$
# :::
#
# ## The idea
#
# **A square has only pairs**, and $(q_i+q_j+q_k)^2$ is all that is needed, once the equation is between integers. Third-order attention takes a cosine of the
# sum, which expands into products of three, and so can turn around the circle as often as it likes; its scores stay small with
# [several frequencies](third-order.py), even in bfloat16.
#
# **What cancels in a sum does not cancel in exponentials.** Moving functions of one index from table to table changes nothing in the mixed difference, so this can't be
# scaled away. One could keep the logarithms, and add before exponentiating. But that is to be done for each of $N^3$ triples, and then the gain is gone.
#
# ## Parameters

# %% tags=["parameters"]
largest_inputs: int = 10_000  # all inputs are tried at every size with M^N up to this; 20,000 was
token_grid: list[int] = [16, 32, 64, 100]  # N of random inputs, with the M that balances labels
identity_tokens: int = 128  # N where the three ways to compute are compared
gap: int = 10  # g, nats between the target and the next sum, where ranges are measured
range_grid: list[int] = [4, 8, 16, 32, 64]  # M, where tables are measured
num_draws: int = 100  # random heads with a gap
head_modulus: int = 12  # M of these, at most
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import distinct, ranges, require, usual_ranges

quick = {
    "largest_inputs": 1500,
    "token_grid": [16, 32],
    "identity_tokens": 48,
    "range_grid": [8, 16, 32],
    "head_modulus": 7,
}

usual_ranges()
distinct("token_grid", "range_grid")
ranges(
    largest_inputs=(100, 10**5),
    token_grid=(1, 200, "all N³ scores are computed"),
    identity_tokens=(1, 512, "all N³ scores are computed"),
    gap=(10, 100, "from 10 on labels are sure to be right, and beyond 100 few M are left"),
    range_grid=(2, 200, "tables have M² entries"),
    num_draws=(1, 1000, "each is tried"),
    head_modulus=(4, 16, "all rectangles are tried"),
)
require(max(range_grid) >= 6, f"range_grid needs an M of at least 6, got {range_grid}")

# %% [markdown]
# ## The construction
#
# `match3_strassen_layer(problem)` is {prf:ref}`prop-strassen-match3`'s layer. It is given a form of attention: `over_pairs`, which is {eq}`eq-strassen` as it
# stands, one query after the other, or `by_products`, which is {eq}`eq-strassen-products`. All is in float64.

# %% tags=["hide-input"]
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from attention_limits.bounds.mixed_differences import (
    best_single_gap,
    format_nats,
    hard_input,
    largest_modulus,
    least_range,
    least_shortfall,
    middle_range,
    mixed_difference,
    rectangles,
    target_gap,
    two_query_sum,
)
from attention_limits.companion.claims import claim, observed
from attention_limits.fixed_point import FixedPoint
from attention_limits.models.strassen_attention import (
    PairScores,
    by_products,
    over_pairs,
    product_room,
    shortfall,
)
from attention_limits.performance.strassen import strassen_contests

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(seed)


def wrong_labels(found, problem, inputs):
    return int((found != problem.target(inputs)).sum())


# %% [markdown]
# Modulo 10, $1+4+5\equiv0$, and no two tokens complete the 6.

# %%
match3_strassen_layer(Match3(4, 10))(torch.tensor([[1, 4, 5, 6]])).tolist()

# %% tags=["hide-input"]
small = []
for tokens in range(1, 8):
    for modulus in range(2, 40):
        if modulus**tokens > largest_inputs:
            break
        problem = Match3(tokens, modulus)
        inputs = problem.all_inputs()
        for integers in (False, True):
            layer = match3_strassen_layer(problem, integers=integers)
            outputs = layer.outputs(inputs)
            rounded = FixedPoint(layer.output_bits - 3, 3).round(outputs)
            entries = [part for target in layer.targets for part in layer.vectors(inputs, target)]
            small.append(
                {
                    "m": layer.embed_dim,
                    "heads": outputs.shape[-2],
                    "entries": "integers" if integers else "real",
                    "columns": max(part.shape[-1] for part in entries),
                    "not integers": sum(int((part != part.round()).sum()) for part in entries),
                    "spare": 16 * modulus**2 - 4 * modulus - max(p.abs().max() for p in entries),
                    "inputs": len(inputs),
                    "labels": inputs.numel(),
                    "wrong": wrong_labels(layer.decide(inputs, outputs), problem, inputs),
                    "wrong, rounded": wrong_labels(layer.decide(inputs, rounded), problem, inputs),
                }
            )
small = pd.DataFrame(small)
summed = small.groupby(["m", "entries"], as_index=False).agg(
    {"heads": "max", "inputs": "sum", "labels": "sum", "wrong": "sum", "wrong, rounded": "sum"}
)
figures.table(
    summed,
    {"inputs": "{:,}", "labels": "{:,}"},
    f"All inputs with M^N ≤ {largest_inputs:,}, N ≤ 7 and M ≤ 39; rounded: outputs to multiples of 1/8",
    index=False,
)

# %% [markdown]
# ### Random inputs, and what can go wrong
#
# We draw inputs of growing lengths, with the $M$ that makes about half of the labels 1. Then come three ways to break the layer on all inputs with $N=3$,
# $M=9$: only one of the heads; the quarter left out, so that $T-1$ and $T+1$ tie; a scale that is too small.

# %% tags=["hide-input"]
random_inputs = []
for tokens in token_grid:
    problem = Match3(tokens, Match3.balanced_modulus(tokens))
    inputs = torch.cat(
        [problem.sample(2, generator=generator), problem.sample_near_misses(1, generator=generator)]
    )
    layer = match3_strassen_layer(problem)
    random_inputs.append(
        {
            "N": tokens,
            "M": problem.modulus,
            "c": layer.scale,
            "labels 1": problem.target(inputs).double().mean().item(),
            "wrong, m = 4": wrong_labels(layer(inputs), problem, inputs),
            "wrong, m = 5": wrong_labels(
                match3_strassen_layer(problem, integers=True)(inputs), problem, inputs
            ),
            "scores off by at most": layer.rounding(),
        }
    )
random_inputs = pd.DataFrame(random_inputs)
figures.table(
    random_inputs,
    {"c": "{:.1f}", "labels 1": "{:.0%}", "scores off by at most": "{:.0e}"},
    "Two random inputs and one with many near misses; the last column is the bound on rounding, in nats",
    index=False,
)

problem = Match3(3, 9)
inputs = problem.all_inputs()
layer = match3_strassen_layer(problem)
outputs = layer.outputs(inputs)
one_head = outputs.clone()
one_head[:, :, 1] = -100.0
broken = {
    "the head for M alone": wrong_labels(layer.decide(inputs, one_head), problem, inputs),
    "c = 1": wrong_labels(match3_strassen_layer(problem, scale=1.0)(inputs), problem, inputs),
}


def without_the_quarter(scores, first_value, second_value):
    """Adds c times what the quarter adds: the score becomes −c (S − T)², up to a function of i."""
    slope = layer.scale / 2 * inputs.double()
    moved = scores._replace(
        alpha=scores.alpha + slope.unsqueeze(1), gamma=scores.gamma + slope.unsqueeze(2)
    )
    return over_pairs(moved, first_value, second_value)


broken["no quarter"] = wrong_labels(layer(inputs, without_the_quarter), problem, inputs)
figures.prose(
    f"Of {inputs.numel():,} labels, wrong: "
    + "; ".join(f"{name}, {count}" for name, count in broken.items())
    + f". As built: {wrong_labels(layer(inputs), problem, inputs)}."
)

# %% [markdown]
# ### Three ways to compute the same
#
# Small random scores, $m=16$ and $d=2$. Third-order attention computes {eq}`eq-strassen` too: with ones filled in, a sum of products of two is one of
# products of three, of the $3m$ entries of $(f,1,f)$, $(g,g,1)$ and $(1,h,h)$. `make bench` times the three ways against each other up to $N=512$, once they
# agree. What can be counted is the number of
# exponentials: $3N^2$ instead of $N^3$. Multiplications are of order $N^3$ in both, as torch multiplies matrices in the usual way; only a fast matrix multiplication makes them fewer.

# %% tags=["hide-input"]
(contest,) = strassen_contests([identity_tokens], seed)
# What is allowed is for the claims to say.
deviations = replace(contest, tolerance=np.inf).deviations(contest.draw())
figures.table(
    pd.DataFrame(
        {
            "way": list(deviations),
            "exponentials": [identity_tokens**3, 3 * identity_tokens**2, identity_tokens**3],
            "deviation": list(deviations.values()),
        }
    ),
    {"exponentials": "{:,}", "deviation": "{:.0e}"},
    f"N = {identity_tokens}, m = 16, d = 2; deviations from the first way, relative to its largest entry",
    index=False,
)

# %% [markdown]
# ### One head, two queries
#
# We check {prf:ref}`prop-strassen-one-head` in two ways: a linear program finds the largest gap of one head for given queries, among all tables with entries
# in $[-1,1]$; and the sum over two queries that would have to be positive is 0 in integers, for random tables.

# %% tags=["hide-input"]
single, pairs_of_queries = [], []
for modulus in range(2, 6):
    single += [best_single_gap(modulus, [x]) for x in range(modulus)]
    pairs_of_queries += [best_single_gap(modulus, pair) for pair in combinations(range(modulus), 2)]
sums = []
for modulus in (2, 5, 11):
    tables = torch.randint(-(10**6), 10**6, (3, modulus, modulus), generator=generator)
    sums += [two_query_sum(PairScores(*tables), *pair) for pair in combinations(range(modulus), 2)]
figures.prose(
    f"With one query the best gap is {min(single):.1f} or more, at every $M\\le5$; with two it is "
    f"{max(pairs_of_queries) + 0.0:.0e} at most, for all {len(pairs_of_queries)} pairs of queries."
)

# %% [markdown]
# ### Heads with a gap
#
# Random heads in integers: the tables of $-(4(x+y+z-M)+1)^2$, times a random factor, with random integers added to every entry of every table, and functions
# of $y$ and of $z$ moved between tables. Those that pass the gap test of {prf:ref}`prop-strassen-range` are kept; for each of them {eq}`eq-strassen-mixed` is
# checked on *every* rectangle.


# %% tags=["hide-input"]
def random_head():
    """Integer tables; the noise may well destroy the gap."""
    modulus, factor, noise = (
        int(torch.randint(low, high + 1, (), generator=generator))
        for low, high in ((3, head_modulus), (1, 5), (0, 12))
    )
    y, last = 4 * torch.arange(modulus), 4 * torch.arange(modulus) - 4 * modulus + 1
    alpha = -factor * (y.unsqueeze(1) ** 2 + 2 * y.unsqueeze(1) * y)
    beta = -factor * (y.unsqueeze(1) ** 2 + 2 * y.unsqueeze(1) * last)
    gamma = -factor * (last.unsqueeze(1) ** 2 + 2 * last.unsqueeze(1) * y)
    alpha, beta, gamma = (
        table + torch.randint(-noise, noise + 1, table.shape, generator=generator)
        for table in (alpha, beta, gamma)
    )
    most = int(10 ** torch.randint(0, 4, (), generator=generator))
    of_first, of_second = torch.randint(-most, most + 1, (2, modulus), generator=generator)
    return PairScores(
        alpha - of_first, beta + of_first.unsqueeze(1) + of_second, gamma - of_second.unsqueeze(1)
    )


heads, drawn = [], 0
while len(heads) < num_draws:
    drawn += 1
    head = random_head()
    g = target_gap(head)
    if g <= 0:
        continue
    modulus = len(head.beta)
    slack = [
        mixed_difference(head.beta, one).item() - 2 * g * one.rows * one.columns
        for one in rectangles(modulus)
    ]
    heads.append(
        {
            "M": modulus,
            "g": g,
            "rectangles": len(slack),
            "slack": min(slack),
            "range slack": middle_range(head.beta) - least_range(modulus, g),
        }
    )
heads = pd.DataFrame(heads)
y = torch.arange(head_modulus)
exact = PairScores(  # −(x + y + z − M)²
    -(y.unsqueeze(1) ** 2) - 2 * y.unsqueeze(1) * y,
    -(y.unsqueeze(1) ** 2) - 2 * y.unsqueeze(1) * (y - head_modulus),
    -((y - head_modulus).unsqueeze(1) ** 2) - 2 * (y - head_modulus).unsqueeze(1) * y,
)
equality = max(
    mixed_difference(exact.beta, one).item() - 2 * target_gap(exact) * one.rows * one.columns
    for one in rectangles(head_modulus)
)
figures.prose(
    f"{num_draws} of {drawn} random heads have a gap, from {heads['g'].min()} to {heads['g'].max()}. Least slack in "
    f"{{eq}}`eq-strassen-mixed` over their {heads['rectangles'].sum():,} rectangles: {heads['slack'].min()}. For "
    f"$-(x+y+z-M)^2$ at $M={head_modulus}$ it is {equality} on all rectangles."
)

# %% [markdown]
# ### What float64 holds
#
# Now the layer's own tables at the gap $g$, so $c=2g$. First their range. Then matrix products: for each $M$, inputs of six tokens $(x,y,-x-y,1,M-1,\lfloor M/2\rfloor)$ for all $x,y\ge1$, and the four tokens of {prf:ref}`cor-strassen-products`. `by_products` divides out the largest entries and measures
# how many nats below them a query's pairs lie. If that is more than float64 leaves, $\ln(\varepsilon/\eta)-\ln8N^2$ with its spacing $\varepsilon$ and its smallest normal number $\eta$, it refuses the input, with an error that says so.

# %% tags=["hide-input"]
scale = 2.0 * gap
double, single_precision = format_nats(torch.float64), format_nats(torch.float32)
measured = []
for modulus in range_grid:
    layer = match3_strassen_layer(Match3(1, modulus), scale=scale)
    tables = pair_scores(*layer.vectors(torch.arange(modulus)[None], modulus))
    measured.append(
        {
            "M": modulus,
            "gap": target_gap(PairScores(*(table[0] for table in tables))),
            "range": middle_range(tables.beta[0]),
            "bound": least_range(modulus, gap),
        }
    )
measured = pd.DataFrame(measured)
proved_limit = largest_modulus(gap, double)

trials = []
for modulus in range(2, proved_limit + 1):
    inputs = torch.cartesian_prod(torch.arange(1, modulus), torch.arange(1, modulus))
    others = torch.tensor([1, modulus - 1, modulus // 2]).expand(len(inputs), 3)
    inputs = torch.cat([inputs, -inputs.sum(1, keepdim=True) % modulus, others], dim=1)
    problem = Match3(6, modulus)
    layer = match3_strassen_layer(problem, scale=scale)
    needed = torch.stack(
        [shortfall(pair_scores(*layer.vectors(inputs, target))) for target in layer.targets]
    )
    fits = (needed <= product_room(torch.float64, 6)).all(dim=2).all(dim=0)
    accepted = inputs[fits]
    try:
        layer(inputs, by_products)
        refused = False
    except ValueError as error:
        refused, message = True, str(error)
    trials.append(
        {
            "M": modulus,
            "inputs": len(inputs),
            "refused": int((~fits).sum()),
            "whole batch refused": refused,
            "wrong": wrong_labels(layer(accepted, by_products), problem, accepted)
            if len(accepted)
            else 0,
            "wrong over pairs": wrong_labels(layer(inputs), problem, inputs),
            "nats": needed.max().item(),
        }
    )
trials = pd.DataFrame(trials)
first_refused = int(trials.loc[trials["refused"] > 0, "M"].min())
refused_exactly = int((trials["whole batch refused"] != (trials["refused"] > 0)).sum())

hard = []
for modulus in range(6, max(range_grid) + 1, 2):
    row = hard_input(modulus)
    layer = match3_strassen_layer(Match3(4, modulus), scale=scale)
    nats = shortfall(pair_scores(*layer.vectors(row, modulus))).max().item()
    hard.append({"M": modulus, "nats": nats, "bound": least_shortfall(modulus, gap)})
hard = pd.DataFrame(hard)
four_tokens = product_room(torch.float64, 4)
must_refuse = next(m for m in range(6, 10**4, 2) if least_shortfall(m, gap) > four_tokens)
shown = (trials["M"] <= first_refused + 3) | (trials["M"] == proved_limit)
figures.table(
    trials.loc[shown, ["M", "inputs", "refused", "wrong", "wrong over pairs", "nats"]],
    {"nats": "{:.0f}"},
    f"Matrix products at the gap {gap}: inputs that are refused, wrong labels on the others and over all pairs, and "
    f"the most nats that a query needs; with six tokens float64 leaves {product_room(torch.float64, 6):.0f}",
    index=False,
)

# %% tags=["hide-input"]
layer = match3_strassen_layer(Match3(6, proved_limit), scale=scale)
row = torch.tensor([[1, 2, proved_limit - 3, 1, proved_limit - 1, proved_limit // 2]])
x, y, z = (table.exp() for table in pair_scores(*layer.vectors(row, proved_limit)))
plain = (x @ y @ z).diagonal(dim1=1, dim2=2)
useless = int((~plain.isfinite() | (plain == 0)).sum())
figures.prose(
    f"The first refusal is at $M={first_refused}$. The corollary says that on the four tokens every head with this gap "
    f"is refused at $M={must_refuse}$, and that no shift lets float64 hold its middle table beyond $M={proved_limit}$. "
    f"Without any check, at $M={proved_limit}$: of {plain.numel()} denominators $(XYZ)_{{ii}}$ of one input {useless} "
    f"are 0, infinite or not a number. The error reads: *{message}*."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-strassen-range", "caption": "Top: range of the middle table on the pairs that match some query, of this construction and of every head with this gap at least; both axes logarithmic. Dashed: what float64 and float32 span. Bottom: how many nats a query's pairs lie below the largest exponentials, on the four hard tokens and, for every such head, at least; dashed, what float64 leaves. Shaded: M at which some input of the table above is refused."}, "image": {"alt": "Above, two rising straight lines on logarithmic axes, the measured range above the bound by a factor of about five; both cross the dashed lines of float32 and float64. Below, two rising curves against M, the measured one above the bound; the measured one crosses the dashed line between M equal to 10 and 12, the bound between 20 and 22. The shaded area begins at 9."}}
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6, 7))
grid = np.arange(4, max(range_grid) + 1)
bounds = [least_range(int(m), gap) for m in grid]
top.plot(measured["M"], measured["range"], "o", color=figures.BLUE, label="this construction")
top.plot(grid, bounds, color=figures.ORANGE, label="at least, for every head")
for nats, name in ((double, "float64"), (single_precision, "float32")):
    figures.reference_line(top, nats, name)
top.set(xscale="log", yscale="log", xlabel="$M$", ylabel="nats", title="range of $g_j\\cdot h_k$")
top.set_xticks(range_grid, [str(m) for m in range_grid])
top.minorticks_off()
near = hard[hard["M"] <= proved_limit]
bottom.axvspan(first_refused - 0.5, proved_limit, color=figures.GREY, alpha=0.13, linewidth=0)
bottom.plot(near["M"], near["nats"], "o-", color=figures.BLUE)
bottom.plot(near["M"], near["bound"].clip(lower=0), "s-", color=figures.ORANGE)
figures.reference_line(bottom, four_tokens, "float64")
bottom.set(xlabel="$M$", ylabel="nats", ylim=(0, 3.2 * four_tokens))
bottom.set_title("nats below the largest entries")
fig.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
is_integer = small["entries"] == "integers"
claim("strassen.small-inputs", int(small.loc[~is_integer, "wrong"].sum()), "==", 0, source="P~",
    statement=f"m = 4: all labels are right, no exception on all inputs with $M^N$ ≤ {largest_inputs:,}, N ≤ 7, M ≤ "
    "39.")
claim("strassen.small-inputs-integers", int(small.loc[is_integer, "wrong"].sum()), "==", 0,
    statement="m = 5, integer entries: all labels are right, no exception on the same inputs.")
claim("strassen.rounded-outputs", int(small["wrong, rounded"].sum()), "==", 0,
    statement=r"With outputs of $\lceil\log_2M\rceil+3$ bits and a sign all labels are right: no exception on the "
    "same inputs, either form.")
claim("strassen.integers", int(small.loc[is_integer, "not integers"].sum()), "==", 0,
    statement="All entries of queries and keys of the integer form are integers: no exception over all of these "
    "inputs.")
claim("strassen.bits", int(small.loc[is_integer, "spare"].min()), ">=", 0,
    statement="The largest integer entry is at most $16M^2-4M$: the least difference, over all sizes.")
claim("strassen.heads", int(small["heads"].max()), "==", 2, statement="The layer has two heads.")
claim("strassen.dimension", int(small.loc[~is_integer, "columns"].max()), "==", 4,
    statement="Queries and keys have 4 coordinates as built; with integers there is one more.")
claim("strassen.random-inputs", int(random_inputs[["wrong, m = 4", "wrong, m = 5"]].to_numpy().sum()), "==", 0,
    statement=f"All labels are right on random inputs up to N = {max(token_grid)}, either form: no exception.")
claim("strassen.identity", deviations["matrix products"], "<=", 0, tolerance=1e-12, source="P",
    statement=f"Matrix products give what all pairs give, N = {identity_tokens}: the relative deviation.",
    note="rounding of N² terms in float64")
claim("strassen.third-order", deviations["third order"], "<=", 0, tolerance=1e-12,
    statement="So does third-order attention with 3m coordinates, on the same input.",
    note="rounding of N² terms in float64")
claim("strassen.one-head", max(pairs_of_queries) + 0.0, "<=", 0, tolerance=1e-9, note="linear programs in floats",
    statement="One head that serves two queries modulo M has no gap: the largest gap over all pairs of queries with "
    "M ≤ 5.")
claim("strassen.one-query", min(single), ">=", 1,
    statement="The program does find heads where there are any: the largest gap for one query, least over all of "
    "them.")
claim("strassen.two-query-sum", max(abs(one) for one in sums), "==", 0,
    statement="The sum that two queries would make positive is 0 for random integer tables: the largest absolute "
    "value.")
claim("strassen.mixed-difference", int(heads["slack"].min()), ">=", 0,
    statement=f"The mixed difference is at least 2gab: the least excess over all rectangles of {num_draws} random "
    "heads with a gap.")
claim("strassen.range", int(heads["range slack"].min()), ">=", 0,
    statement=r"On pairs that match the middle table ranges over at least $g\lfloor(M-2)^2/4\rfloor$: the least "
    "excess over these heads.")
claim("strassen.attained", int(equality), "==", 0,
    statement=f"For the score $-(x+y+z-M)^2$ the mixed difference is 2gab, M = {head_modulus}: the largest excess.")
claim("strassen.gap", (measured["gap"] - gap).abs().max(), "<=", 0, tolerance=1e-9, note="rounding of float64",
    statement=r"The layer's tables have the gap $\frac c2$: the largest deviation over the M measured.")
claim("strassen.all-pairs", int(trials["wrong over pairs"].sum()), "==", 0,
    statement=f"Over all pairs labels are right up to M = {proved_limit}, where matrix products are refused: no "
    "exception.")
claim("strassen.products-right", int(trials["wrong"].sum()), "==", 0,
    statement="By matrix products labels are right on inputs that are not refused: no exception.")
claim("strassen.products-refused", refused_exactly, "==", 0,
    statement="Matrix products refuse a batch if and only if some input lacks nats: no exception among the M.")
claim("strassen.products-limit", first_refused, "<=", must_refuse,
    statement=f"At the gap {gap} the first M with a refused input is no larger than the M at which every head is "
    "refused.")
claim("strassen.hard-input", (hard["nats"] - hard["bound"]).min(), ">=", 0,
    statement=r"The four hard tokens need at least $g(\frac M2-2)^2-2\ln4$ nats: the least excess over even M.")
observed("strassen.unchecked", useless, ">=", 1,
    statement=f"Without the check some denominators are 0, infinite or no number at M = {proved_limit}.")
observed("strassen.parts-needed", min(broken.values()), ">=", 1,
    statement="With one head, without the quarter or with c = 1 labels are wrong: the fewest of the three.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That two heads or $m=4$ are least.* {prf:ref}`prop-strassen-one-head` excludes one head whose best pairs are the matches; other ways to use one head are open. No lower bound on $m$ is given.
# * *That Strassen attention can't be computed fast with few bits.* {prf:ref}`cor-strassen-products` is about $e^\alpha,e^\beta,e^\gamma$ as numbers of one format. Matrices of numbers with an exponent of their own, or with more bits, hold larger tables: $M$ grows like the square root of the number of nats.
# * *That it fails in practice.* Small scores are what {eq}`eq-strassen-products` is for, and those of a trained model may well be small. The bound is about exact triples, at a gap that tells one match from $N^2$ other pairs.
# * *Anything about training.* All weights are written down, and whether training finds such weights is another question.
# * *That it is faster.* The exponent $\omega$ is that of fast matrix multiplication, which torch does not use; here only exponentials are saved.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-strassen-quarter
#
# Why $T-\frac14$ and not $T$? Find an input with a wrong label for the score $-c\,(S-T)^2$.
# :::
#
# :::{solution} ex-strassen-quarter
# :class: dropdown
#
# If no pair has the sum $T$, then $T-1$ and $T+1$ tie, and the mean over both lies between them: near $T$ if they occur about equally often. Odd residues have odd sums only. With $M=10$ and the tokens 1, 3 and 5, the token 1 has the sums $1+3+5=9$ twice, as $(3,5)$ and $(5,3)$, and $1+5+5=11$ once.
# The mean of $S$ is $9\tfrac23$, which is read as 10.
# :::
#
# :::{exercise}
# :label: ex-strassen-one-value
#
# Show that in exact arithmetic the single value $x_j\cdot1$ is enough for each head. Why do we take two?
# :::
#
# :::{solution} ex-strassen-one-value
# :class: dropdown
#
# The score of {prf:ref}`prop-strassen-match3` is the same for $(j,k)$ and $(k,j)$. So over the best pairs the means of $x_j$ and of $x_k$ are equal, and twice the first is $S^*-x_i$. In floats the two orders are rounded differently, and the mean of $x_j$ then leans to one side by up to $M$ times the rounding. The sum
# $x_j+x_k$ is the same on all best pairs, so that it doesn't matter how they share the weight.
# :::
#
# :::{exercise}
# :label: ex-strassen-order
#
# At order $s$ let a score be a sum of functions of $s-1$ tokens each, instead of products of $s$. Which mixed difference takes the place of {eq}`eq-strassen-mixed` for $x_1+\dots+x_s=M$, and what does {prf:ref}`prop-strassen-one-head` become?
# :::
#
# :::{solution} ex-strassen-order
# :class: dropdown
#
# Fix the query $x_1$. All functions but that of $x_2,\dots,x_s$ lack one of these variables, and the alternating sum over the corners of a cube in them cancels all of those. What is left of the one function is the same for all queries. For two queries and sums modulo $M$: for each query the average of the scores over all tuples with
# $x_2+\dots+x_s\equiv r$ is a number of the query plus a number $B_r$, as $s-2$ of these tokens are free. So $B_{-x}>B_{-x'}>B_{-x}$ again: one head serves no two queries.
# :::
#
# ## Reference
#
# Strassen attention, {prf:ref}`thm-strassen-products` and the result that one layer of constant size computes $\operatorname{Match3}$ are from {cite}`kozachinskiy2025strassen`; $\operatorname{Match3}$ and third-order attention from {cite}`sanford2023representational`. Vectors and constants of {prf:ref}`prop-strassen-match3`, {prf:ref}`prop-strassen-one-head`,
# {prf:ref}`prop-strassen-range`, {prf:ref}`cor-strassen-products` and all measurements are ours. We did not find them elsewhere, and may have missed some.
