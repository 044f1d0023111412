# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Theorem 3: infinite precision, dimension independent of N
#
# **The question.** [Theorem 2](thm-2-fixed-precision.py) averages over $q$ of $N$ tokens with about $q\log N$ key dimensions.
# If a unit may compute with real numbers, how many dimensions does it need? And what do the real numbers cost?
#
# **In one paragraph.** To find one token among many, put all keys on a circle. The tangent at one key touches that key and leaves
# all others on one side, however many there are: the direction across the tangent is a query with its largest score
# at this key alone. So two dimensions do for $q=1$ and any $N$. For $q$ tokens let the scores be a *polynomial*
# that touches zero from below at each of the $q$ keys that are asked for ({numref}`fig-curves`). Each touching point is a double root, and
# double roots can be put anywhere: a polynomial of degree $2q$ has room for $q$ of them, and its $2q$ coefficients are the query.
# But where $N$ keys crowd on one circle
# the next key is only just below the tangent, and a query must be long to tell them apart: $N$ has gone into the digits.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-curves", "caption": "Touching one key, and two, of twelve on a circle. Left, q = 1: the tangent at a key (diamond) has all other keys on one side; the query (arrow) points across it. Right, q = 2: the scores of all keys, now in four dimensions, up to a constant. They are values of a polynomial that touches zero from below at the two nodes asked for."}, "image": {"alt": "Left: twelve points on a circle with the tangent at one of them and an arrow across it; all other points lie on the other side. Right: a curve over the angle that stays below zero except at two nodes, where it touches zero."}}
import matplotlib.pyplot as plt
import numpy as np
import torch

from attention_limits import figures
from attention_limits.constructions.curves import trigonometric_keys, trigonometric_queries

figures.use_style()
fig, (circle, scores) = plt.subplots(1, 2, figsize=(6.4, 3.4), width_ratios=[1, 1.35])
curve, line = {"color": figures.GREY, "linewidth": 1}, {"color": figures.ORANGE, "linewidth": 1.8}
key, asked = {"color": figures.BLUE, "markersize": 6}, {"color": figures.ORANGE, "markersize": 9}
keys = trigonometric_keys(12, 1).numpy()
turn = np.linspace(0, 2 * np.pi, 300)
circle.plot(np.cos(turn), np.sin(turn), **curve)
circle.plot(*keys.T, "o", **key)
touched = keys[1]
along = np.array([-touched[1], touched[0]])
circle.plot(*np.transpose([touched - along, touched + along]), **line)
circle.plot(*touched, "D", **asked)
circle.annotate("", 1.5 * touched, touched, arrowprops={"arrowstyle": "-|>", **line})
circle.text(*(1.55 * touched), "query", color=figures.ORANGE, fontsize=13, va="center")
circle.set(title="$q=1$: a tangent", xlim=(-1.15, 2.2), ylim=(-1.3, 1.6), aspect="equal")
circle.axis("off")
pair = torch.tensor([[3, 8]])
query, fine = trigonometric_queries(12, pair)[0], trigonometric_keys(240, 2)
values = (trigonometric_keys(12, 2) @ query).numpy()
level = values[pair[0]].max()
scores.plot(np.arange(240) / 20, fine @ query - level, **curve)
off = np.setdiff1d(np.arange(12), pair)
scores.plot(off, values[off] - level, "o", **key)
scores.axhline(0, **line)
scores.plot(pair[0], values[pair[0]] - level, "D", **asked)
scores.set(title="$q=2$: two double roots", ylabel="score", yticks=[0], xticks=[])
scores.set_xlabel("key, round the circle")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Polynomials, the Theorem 2 page. A quarter of a minute on one core.
#
# **On this page.**
#
# * The paper's theorem: with real numbers $m$ of about $d'+q$ is enough, whatever $N$. [P] {prf:ref}`thm-infinite-precision`
# * Queries are coefficients of polynomials, on the moment curve or the circle: $2q$ key dimensions, checked on every subset in integers. [P~] {prf:ref}`lem-curve-queries`
# * The least margin has a closed form, and so has a bound on the entries of every query. [N] {prf:ref}`lem-curve-margins`
# * About $2q\log_2\frac{eN}q$ bits a number are enough. [N] {prf:ref}`prop-curve-bits`
# * In float64 the hardest subset fails long before random ones do ({numref}`fig-float-limits`); the unit refuses rather than answer wrongly. [N]
#
# ## The statement
#
# :::{prf:theorem} 3 of the paper (infinite precision)
# :label: thm-infinite-precision
# :nonumber:
#
# For every $N$, every sparsity $q$, every accuracy $\eps\in(0,1)$, every value dimension $d'$ and every embedding dimension
# $m\ge\Omega(d'+q)$ some self-attention unit with real numbers, after a token-wise map of its input, $\eps$-approximates
# sparse averaging $\qSA$ ({prf:ref}`def-sparse-averaging`) {cite}`sanford2023representational`.
# :::
#
# ## The idea
#
# A query singles out $y$ if its inner product with the keys is largest exactly on $y$, with the same value there. In the language of
# geometry some hyperplane touches the convex hull of the keys: those of $y$ lie on it, all others strictly on one side. Can *every* $q$-subset of
# *arbitrarily many* points be touched that way, in a space of fixed dimension? In the plane the answer for $q=1$ is yes: take points on a circle or on
# a parabola, and draw the tangent ({numref}`fig-curves`, {numref}`fig-parabola`). In $2q$ dimensions the answer is yes for every $q$: a **cyclic polytope**, the
# hull of points on the *moment curve* $t\mapsto(t,t^2,\dots,t^{2q})$, has each $q$ of its vertices on a face of
# their own {cite}`gale1963neighborly,ziegler1995lectures`.
#
# There is a reason in one line. A hyperplane cuts the moment curve where a polynomial of degree $2q$ at most vanishes, and $-\prod_{i\in y}(t-t_i)^2$
# touches zero at the *nodes* of $y$, the parameters $t_i$ of its keys, and is negative everywhere else. **Its coefficients are the
# query**; its constant is the same for all keys, and softmax ignores it. For $q=1$ and the node $t_i=2$ the polynomial is
# $-(t-2)^2=-t^2+4t-4$. The query $(4,-1)$ gives the key $(t,t^2)$ the score $4t-t^2=4-(t-2)^2$, which is largest at $t=2$ alone.
#
# :::{prf:lemma} (queries from polynomials, ours in this form)
# :label: lem-curve-queries
#
# Let $1\le q\le N-1$, and let $y$ be a $q$-subset of $N$ different nodes; on the circle, different modulo $2\pi$.
#
# * *Moment curve*, $u_j=(t_j,\dots,t_j^{2q})$. If $w_y$ holds the coefficients of $t,\dots,t^{2q}$ in $-\prod_{i\in y}(t-t_i)^2$, then
#   $\inner{u_j}{w_y}=\prod_{i\in y}t_i^2-\prod_{i\in y}(t_j-t_i)^2$.
# * *Trigonometric curve*, $u_j=(\cos k\theta_j,\sin k\theta_j)_{k\le q}$. If $w_y$ holds the coefficients of these $2q$
#   functions in $-\prod_{i\in y}(1-\cos(\theta-\theta_i))$, then $\inner{u_j}{w_y}=c_y-\prod_{i\in y}(1-\cos(\theta_j-\theta_i))$, where $c_y$ is the mean of
#   the product over the circle.
#
# Both products are 0 on $y$ and positive off it, so that $w_y$ is a certificate {eq}`eq-certificate` whose margin $\gamma_y$ is the least product off $y$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# The first polynomial has degree $2q$ and the constant term $-\prod t_i^2$; without it, its value at $t_j$ is $\inner{u_j}{w_y}$.
# Each factor $1-\cos\theta\cos\theta_i-\sin\theta\sin\theta_i$ of the second one is a trigonometric polynomial of degree 1, so that their product
# has degree $q$: it is a constant, its mean, plus a combination of $\cos k\theta$ and $\sin k\theta$ with $1\le k\le q$.
# A factor $1-\cos(\theta_j-\theta_i)$ vanishes for $j=i$ only, as the angles differ modulo $2\pi$. $\blacksquare$
# :::
#
# With {prf:ref}`lem-error-bound` this proves the theorem: the query $\alpha w_y/\gamma_y$ with $\alpha=\max\big(0,\ln((\tfrac2\eps-1)\tfrac{N-q}q)\big)$ has an
# error of at most $\eps$, and a token that stores value, key and query has $d'+4q$ coordinates. For $q=N$ the zero query is exact. That fewer than
# $\min(2q,N-1)$ key dimensions are not enough is the subject of [the next page](tight-dimension.py).
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 64  # N, tokens of the unit that is looked at closely
sparsity: int = 3  # q, tokens that each token points to
value_dim: int = 4  # d', coordinates of a value
accuracy: float = 0.01  # ε, the largest error allowed for any output
seed: int = 0  # of every random draw on this page
largest_exhaustive: int = 16  # N up to which every subset is checked exactly
exhaustive_sparsity: int = 5  # q up to which every subset is checked exactly
token_grid: list[int] = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]  # N, for bits and floats
sparsity_grid: list[int] = [1, 2, 3, 4, 6, 8]  # q, for bits and floats, in pairs with N > 2q + 1
accuracy_grid: list[float] = [0.1, 0.01, 0.001]  # ε, where digits are counted
num_subsets: int = 200  # random subsets at each size

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import distinct, ranges, require, require_accuracy, usual_ranges

quick = {"token_grid": [16, 32, 64, 256, 1024], "largest_exhaustive": 10, "num_subsets": 100}

usual_ranges()
require(
    sparsity < num_tokens,
    f"sparsity q = {sparsity} leaves no token outside the subset: the page needs q < N = {num_tokens}",
)
ranges(num_subsets=4, largest_exhaustive=4, exhaustive_sparsity=1, sparsity_grid=1)
require(
    (2 * largest_exhaustive) ** (2 * exhaustive_sparsity) < 2**63 and largest_exhaustive <= 24,
    f"integers of (2N)^(2q) must stay below 2^63 and N ≤ 24: got largest_exhaustive N = {largest_exhaustive}, "
    f"exhaustive_sparsity q = {exhaustive_sparsity}",
)
require(
    accuracy >= 1e-6,
    f"formats are simulated in float64 here: accuracy ε must be at least 1e-06, got {accuracy}",
)
distinct("token_grid", "sparsity_grid", "accuracy_grid")
least = 2 * min(sparsity_grid) + 2
for tokens in token_grid:
    require(
        tokens >= least,
        f"token_grid's N = {tokens} is too small for sparsity_grid: it needs N ≥ {least}",
    )
for error in accuracy_grid:
    require_accuracy(error)

# %% [markdown]
# ## The construction

# %% tags=["hide-input"]
import math
from itertools import product

import pandas as pd
from IPython.display import display

from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.curve_precision import (
    chebyshev_nodes,
    largest_error,
    moment_entry_bits,
    significand_bits,
    sufficient_bits,
    trigonometric_entry_bits,
)
from attention_limits.constructions.curves import (
    check_circle,
    circle_coefficients,
    equispaced_nodes,
    hardest_subset,
    holed_blocks,
    largest_query_entry,
    least_circle_margin,
    least_integer_margin,
    moment_certificates,
    moment_keys,
    moment_queries,
    separation,
)
from attention_limits.constructions.infinite_precision import CURVES
from attention_limits.constructions.sizes import random_subsets
from attention_limits.constructions.sparse_averaging import (
    PrecisionError,
    default_embed_dim,
    infinite_precision_unit,
    softmax_scale,
    sufficient_format,
)
from attention_limits.fixed_point import FixedPoint
from attention_limits.problems.sparse_averaging import SparseAveraging
from attention_limits.runtime import progress, select_device

device = select_device()
generator = torch.Generator().manual_seed(seed)
SHADES = figures.shades(sparsity_grid)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-parabola", "caption": "The moment curve for q = 1 is a parabola. Its tangent at one node has all other keys on one side; the query (arrow) points across it."}, "image": {"alt": "Eight points on a parabola with the tangent at one of them, and an arrow across it. All other points lie above the tangent."}}
fig, parabola = plt.subplots(figsize=(5, 3.2))
picked, nodes, fine = 5, np.linspace(-1, 1, 8), np.linspace(-1.12, 1.12, 200)
parabola.plot(fine, fine**2, **curve)
parabola.plot(fine, 2 * nodes[picked] * fine - nodes[picked] ** 2, **line)
parabola.plot(nodes, nodes**2, "o", **key)
touched = (nodes[picked], nodes[picked] ** 2)
parabola.plot(*touched, "D", **asked)
normal = np.array([2 * nodes[picked], -1]) / np.hypot(2 * nodes[picked], 1) * 0.45
parabola.annotate("", touched + normal, touched, arrowprops={"arrowstyle": "-|>", **line})
parabola.text(*(touched + 1.15 * normal), "query", color=figures.ORANGE, va="top")
parabola.set(xlabel="$t$", ylabel="$t^2$", ylim=(-0.75, 1.3), aspect="equal")
plt.show()

# %% [markdown]
# `infinite_precision_unit` uses the trigonometric curve with the angles $\theta_j=2\pi j/N$; with `curve="moment"` it takes the moment curve at $N$
# equispaced nodes from $-1$ to $1$. At these angles the query needs no expansion of a product: for
# $N>2q+1$ the keys' coordinates are orthogonal functions on the nodes, and
#
# ```{math}
# :label: eq-fourier-query
# w_y=-\frac2N\sum_{j=1}^N P_y(\theta_j)\,u_j,\qquad P_y(\theta)=\prod_{i\in y}\big(1-\cos(\theta-\theta_i)\big).
# ```
#
# The values $P_y(\theta_j)$, computed as products of $2\sin^2\tfrac{\theta_j-\theta_i}2$, are right to the last digits and have one sign, so that
# rounding moves the sum by little more than the last digit of its largest entry.
# (For $N\le2q+1$ the keys are, up to repeated coordinates, the vertices of a simplex. The same sum then gives any scores we like,
# and we ask for 0 on $y$ and $-1$ off it.) The query is divided by the margin $\gamma_y$ of its own $y$, so that its margin is 1, and
# multiplied by the $\alpha$ of the Theorem 2 page, which leaves half of $\eps$ for rounding.

# %%
problem = SparseAveraging(num_tokens, sparsity, value_dim)
unit = infinite_precision_unit(problem, accuracy).double().to(device)
inputs = problem.sample(2, generator=generator, device=device, dtype=torch.float64)
output_error = (unit(inputs) - problem.target(inputs)).norm(dim=-1).max().item()
figures.prose(
    f"With $N={num_tokens}$, $q={sparsity}$ and $\\varepsilon={accuracy}$ the unit has "
    f"{unit.embed_dim} key dimensions, where Theorem 2's has "
    f"{default_embed_dim(num_tokens, sparsity)}; a token stores {unit.model_dim} numbers, and "
    f"$\\alpha={unit.scale:.2f}$. On a first random input the largest error of any output is "
    f"{output_error:.1e}. The largest entry of a query there is "
    f"{unit.queries(inputs.pointers).abs().max().item():.3g}; keep an eye on that number."
)

# %% [markdown]
# ### Every subset, without rounding
#
# Are the products of {prf:ref}`lem-curve-queries` right? On both curves the zeros on $y$ can be checked with integers only. On the moment curve with the
# nodes $1,\dots,N$ keys and queries are integers. On the circle, with $\zeta=e^{2\pi\mathrm i/N}$ and $X=e^{\mathrm i\theta}$,
#
# ```{math}
# 2^qP_y(\theta)=\prod_{i\in y}\big(2-\zeta^{-i}X-\zeta^{i}X^{-1}\big),
# ```
#
# and the coefficients of its powers of $X$ are integer combinations of $1,\zeta,\dots,\zeta^{N-1}$: we multiply out, put $X=\zeta^j$, and see an
# exact zero as $N$ integers 0. The values off $y$ on the circle are evaluated in floats with a proved bound on their rounding.

# %% tags=["hide-input"]
exact = []
sizes = [
    (tokens, ones)
    for tokens in range(2, largest_exhaustive + 1)
    for ones in range(1, min(exhaustive_sparsity, tokens - 1) + 1)
]
for tokens, ones in progress(sizes, "exact checks"):
    subsets, places = SparseAveraging(tokens, ones, 1).subsets(), torch.arange(1, tokens + 1)
    on_curve = separation(moment_keys(places, ones), moment_queries(places, subsets), subsets)
    on_circle = check_circle(circle_coefficients(tokens, subsets), subsets)
    exact.append(
        {
            "N": tokens,
            "q": ones,
            "subsets": len(subsets),
            "spread": int(on_curve.spread.abs().max()),
            "margin": int(on_curve.margin.min()),
            "formula": least_integer_margin(ones),
            "zeros": int(on_circle.zero_on_subset.sum()),
            "proved margin": on_circle.margin.min().item(),
            "circle formula": least_circle_margin(tokens, ones),
        }
    )
exact = pd.DataFrame(exact)
exact_count = int(exact["subsets"].sum())
circle_ratio = (exact["proved margin"] / exact["circle formula"]).agg(["min", "max"])

# %% tags=["hide-input"]
largest = exact[exact["N"] == largest_exhaustive].drop(columns=["N", "spread"]).set_index("q")
names = {
    "margin": "nodes 1…N: least margin",
    "formula": "(⌊q/2⌋! ⌈q/2⌉!)²",
    "zeros": "circle: zeros",
    "proved margin": "margin ≥",
    "circle formula": "γ(N, q)",
}
figures.table(
    largest.rename(columns=names),
    dict.fromkeys(["margin ≥", "γ(N, q)"], "{:.4g}"),
    f"Every subset of N = {largest_exhaustive} nodes: least margins and, for the circle, subsets with an exact zero",
)

# %% [markdown]
# The least margins follow formulas. Ask for the nodes 1, 3 and 4 on the moment curve. Node 2, in the hole of this block, has the
# product $1^2\cdot1^2\cdot2^2=4$, and no choice of three nodes leaves a smaller product to an outsider.
#
# :::{prf:lemma} (margins and the size of queries, ours)
# :label: lem-curve-margins
#
# For $1\le q\le N-1$, the least margin over all $q$-subsets is
#
# * $\big(\lfloor q/2\rfloor!\,\lceil q/2\rceil!\big)^2$ on the moment curve with nodes $1,\dots,N$, and
# * $\gamma(N,q)=\prod_{a=1}^{\lfloor q/2\rfloor}\big(1-\cos\tfrac{2\pi a}N\big)\prod_{b=1}^{\lceil q/2\rceil}\big(1-\cos\tfrac{2\pi b}N\big)$ on the circle,
#
# both attained by a contiguous block with one hole. On the circle no entry of a query $w_y/\gamma_y$ of unit margin exceeds
#
# ```{math}
# :label: eq-query-size
# M(N,q)=\frac{2}{\gamma(N,q)}\binom{2q}q2^{-q}\;\le\;\Big(\frac{eN}q\Big)^{2q}.
# ```
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Margins.* Fix $j\notin y$. Among the nodes $1,\dots,N$ at most two have the distance $d$ from $j$, for each $d\ge1$; so the $k$-th smallest distance to a node of $y$
# is at least $\lceil k/2\rceil$, and their product at least $\prod_{k\le q}\lceil k/2\rceil=\lfloor q/2\rfloor!\,\lceil q/2\rceil!$. On the circle the same holds for the number of steps
# $d\le N/2$ from $j$ to $i$, and $1-\cos(2\pi d/N)$ increases in $d$ up to $N/2$. A block of $q+1\le N$ nodes without
# the one that has $\lfloor q/2\rfloor$ of them on one side and $\lceil q/2\rceil$ on the other attains both bounds: $\lceil q/2\rceil\le N/2$.
#
# *Entries.* $P_y\ge0$ has the mean $c_y$, so that its coefficients at $\cos k\theta$ and $\sin k\theta$, twice the means of $P_y\cos k\theta$ and $P_y\sin k\theta$, are at most $2c_y$.
# By Hölder's inequality the mean of a product of $q$ functions $f_i=1-\cos(\theta-\theta_i)\ge0$ is at most $\prod_i(\operatorname{mean} f_i^q)^{1/q}$, and all
# $f_i$ have the same mean of $f_i^q$: $c_y\le\operatorname{mean}\,(1-\cos\theta)^q=2^q\operatorname{mean}\,\sin^{2q}\tfrac\theta2=\binom{2q}q2^{-q}$. Dividing by $\gamma_y\ge\gamma(N,q)$ gives $M$.
#
# *Closed form.* $1-\cos\tfrac{2\pi a}N=2\sin^2\tfrac{\pi a}N\ge8a^2/N^2$ for $a\le N/2$, because $\sin x\ge2x/\pi$ on $[0,\tfrac\pi2]$. Hence
# $\gamma(N,q)\ge(8/N^2)^q\big(\lfloor q/2\rfloor!\,\lceil q/2\rceil!\big)^2$, and $\lfloor q/2\rfloor!\,\lceil q/2\rceil!=q!/\binom q{\lfloor q/2\rfloor}\ge(\tfrac qe)^q2^{-q}$. With $\binom{2q}q\le\tfrac12\,4^q$,
# $M\le 2^q\,\big(\tfrac{N^2}8\big)^q\big(\tfrac{2e}q\big)^{2q}=\big(\tfrac{eN}q\big)^{2q}$. $\blacksquare$
# :::
#
# ### Every subset, in floats
#
# The unit itself computes in floats. Here small units in float64, with keys on either curve, answer every subset of every size, each
# with the values that are worst for its attention row.

# %% tags=["hide-input"]
float_rows = []
for curve, tokens in product(CURVES, range(1, min(12, largest_exhaustive) + 1)):
    for ones in range(1, tokens + 1):
        task = SparseAveraging(tokens, ones, 1)
        small = infinite_precision_unit(task, accuracy, curve=curve).double().to(device)
        worst = small.worst_inputs(task.subsets().to(device))
        error = (small(worst) - task.target(worst)).abs().max().item()
        float_rows.append((curve, tokens, ones, len(worst.pointers), error))
float_rows = pd.DataFrame(float_rows, columns=["curve", "N", "q", "subsets", "error"])
float_errors = float_rows.groupby("curve")["error"].max()
figures.prose(
    f"{float_rows['subsets'].sum() // 2} subsets with $1\\le q\\le N\\le{float_rows['N'].max()}$: the "
    f"largest error is {float_errors['trigonometric']:.2g} on the trigonometric curve and "
    f"{float_errors['moment']:.2g} on the moment curve, allowed is $\\varepsilon={accuracy}$."
)

# %% [markdown]
# ### Where $N$ went: the size of a query
#
# A query of unit margin has entries up to about $(eN/q)^{2q}$, while the scores on $y$ must agree to within $\eps$. Such a query needs all the digits between: about
# $2q\log_2(N/q)$ bits for each number. Scaling the query down to entries of at most 1 does not help: its margin is then one over
# the former largest entry, and the same bits stand after the point. At small $N$ we compute the largest entry over all subsets, and find it in
# blocks with one hole; at large $N$ we search only these. The moment curve needs more bits than the circle. Chebyshev nodes, good for
# interpolation, make it worse: they crowd at the ends, and a subset there has a tiny margin.

# %% tags=["hide-input"]
bits = []
for tokens, ones in product(token_grid, sparsity_grid):
    if tokens > 2 * ones + 1:
        blocks = holed_blocks(tokens, ones)
        bits.append(
            {
                "N": tokens,
                "q": ones,
                "circle": trigonometric_entry_bits(tokens, blocks),
                "equispaced": moment_entry_bits(equispaced_nodes(tokens), blocks),
                "Chebyshev": moment_entry_bits(chebyshev_nodes(tokens), blocks),
                "log₂ M": math.log2(largest_query_entry(tokens, ones)),
                "2q log₂(N/q)": 2 * ones * math.log2(tokens / ones),
                "2q log₂(eN/q)": 2 * ones * math.log2(math.e * tokens / ones),
            }
        )
bits = pd.DataFrame(bits)
everywhere = []  # bits over all subsets, less those over the blocks
for tokens, ones in sizes:
    if tokens > 2 * ones + 1:
        subsets, blocks = SparseAveraging(tokens, ones, 1).subsets(), holed_blocks(tokens, ones)
        for place in (equispaced_nodes(tokens), chebyshev_nodes(tokens)):
            everywhere.append(moment_entry_bits(place, subsets) - moment_entry_bits(place, blocks))
        everywhere.append(
            trigonometric_entry_bits(tokens, subsets) - trigonometric_entry_bits(tokens, blocks)
        )

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-query-bits", "caption": "Bits before the point: log₂ of the largest query entry at unit margin, keys of coordinates at most 1. Top: on the circle (markers), with 2q log₂(N/q) (dashed). Bottom: three sets of keys for one q; the horizontal lines are the digits of float32 and float64."}, "image": {"alt": "Two plots of bits against the number of tokens on a logarithmic axis. Top: for each q the bits rise along a straight line of slope 2q, next to the dashed line two q log N over q. Bottom: circle, equispaced and Chebyshev nodes rise ever more steeply; all pass the lines at 24 and 53 bits, Chebyshev nodes first."}}
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 7.6))
for ones, rows in bits.groupby("q"):
    top.plot(rows["N"], rows["circle"], "o", color=SHADES[ones], markersize=5, label=f"{ones}")
    top.plot(rows["N"], rows["2q log₂(N/q)"], "--", color=SHADES[ones], linewidth=1)
top.set(xscale="log", xlabel="$N$", ylabel="bits before the point", title="circle")
top.legend(title="$q$", loc="center left", bbox_to_anchor=(1, 0.5))
shown = sparsity_grid[len(sparsity_grid) // 2]
rows = bits[bits["q"] == shown]
for name, color, marker in (
    ("Chebyshev", figures.ORANGE, "^"),
    ("equispaced", figures.GREEN, "s"),
    ("circle", figures.BLUE, "o"),
):
    bottom.plot(rows["N"], rows[name], marker + "-", color=color, markersize=5, label=name)
for digits, name in ((24, "float32"), (53, "float64")):
    figures.reference_line(bottom, digits, name)
bottom.set(xscale="log", xlabel="$N$", ylabel="bits before the point", title=f"$q={shown}$")
bottom.legend()
plt.show()

# %% tags=["hide-input"]
chosen = bits["N"].isin([token_grid[0], token_grid[len(token_grid) // 2], token_grid[-1]])
figures.table(
    bits[chosen].set_index(["q", "N"]).sort_index(),
    "{:.1f}",
    "log₂ of the largest query entry at unit margin, its bound log₂ M, and the closed forms",
)

# %% [markdown]
# ### Digits that are enough
#
# :::{prf:proposition} (bits for the circle, ours)
# :label: prop-curve-bits
#
# Let $R=\alpha M(N,q)$ with $M$ from {eq}`eq-query-size` and the $\alpha$ of {prf:ref}`lem-error-bound` that allows a score error
# $\delta=\eps/2$. Fixed-point queries with $f=\lceil\log_2(4q/\eps)\rceil$ and keys with
# $g=\lceil\log_2(4qR/\eps)\rceil$ fractional bits keep every error within $\eps$, for all $q$-subsets of $N>2q+1$ tokens, when the scores of the rounded numbers are computed exactly. A number has
#
# ```{math}
# p=2q\log_2\frac{eN}q+\log_2\frac{q\,(\alpha+1)}\eps+O(1)
# ```
#
# bits at most.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Rounding moves an entry of the query by at most $2^{-f-1}$ and a coordinate of a key by at most $2^{-g-1}$. Rounded keys have coordinates of at most 1 and exact queries entries
# of at most $R$, so that a score, a sum of $2q$ products, moves by at most $2q\,(2^{-f-1}+R\,2^{-g-1})\le\tfrac\eps4+\tfrac\eps4$. Integer bits: $\lceil\log_2(R+1)\rceil$ for the query, 1 for a key, and the sign.
# $\log_2M\le2q\log_2(eN/q)$ is {prf:ref}`lem-curve-margins`. $\blacksquare$
# :::
#
# The same count for floating point says that a significand of $\lceil\log_2(4q(2q+3)R/\eps)\rceil$ bits is enough, to first order in the rounding, and if neither
# the computation of the query nor the softmax rounds.
# We round keys and queries to the proved fixed-point formats and test every subset at small sizes; then we list $\alpha$, the digits, and the float type that has them.

# %% tags=["hide-input"]
rounded_rows = []
for tokens, ones in [(8, 1), (8, 3), (12, 2), (12, 4), (16, 3), (24, 2), (40, 2)]:
    form = sufficient_bits(tokens, ones, accuracy)
    if form.bits > 52:  # beyond float64, in which the formats are simulated
        continue
    subsets = SparseAveraging(tokens, ones, 1).subsets()
    scale = softmax_scale(tokens, ones, accuracy, score_error=accuracy / 2)
    keys = FixedPoint(1, form.key_fraction_bits).round(trigonometric_keys(tokens, ones))
    queries = scale * trigonometric_queries(tokens, subsets)
    queries = FixedPoint(form.query_integer_bits, form.query_fraction_bits).round(queries)
    error = largest_error(keys, queries, subsets)
    rounded_rows.append((tokens, ones, form.bits, len(subsets), error))
rounded_rows = pd.DataFrame(rounded_rows, columns=["N", "q", "p", "subsets", "worst error"])
figures.table(
    rounded_rows.set_index(["N", "q"]),
    {"worst error": "{:.1e}"},
    f"Rounded to the proved formats, ε = {accuracy:g}: every subset",
)

# %% tags=["hide-input"]
FLOATS = {"float16": 11, "float32": 24, "float64": 53, "float128": 113}
digits_rows = []
for tokens, ones, target in product([16, 64, 256, 1024], [1, 2, 3, 4, 8], accuracy_grid):
    if tokens > 2 * ones + 1:
        digits = significand_bits(tokens, ones, target)
        name = next((name for name, most in FLOATS.items() if digits <= most), "none of these")
        scale = softmax_scale(tokens, ones, target, score_error=target / 2)
        digits_rows.append((tokens, ones, target, scale, f"{digits} ({name})"))
digits_rows = pd.DataFrame(
    digits_rows, columns=["N", "q", "ε", "α", "significand bits that are enough"]
).pivot(index=["N", "q"], columns="ε")
display(digits_rows.style.format("{:.1f}", subset=["α"]).format_index("{:g}", axis=1, level=1))

# %% [markdown]
# ### Where floats end
#
# What is enough need not be necessary, so we measure. We put the hardest subset, a block with one hole, at up to 64 places of the circle, and
# take random subsets beside it. On the moment curve the blocks are those that do not wrap round. Keys, queries and scores are in the
# float type, and $\alpha$ is the unit's. While digits last the error falls with $N$: $\alpha$ allows for all $N-q$ outsiders at a distance
# of exactly the margin, and only a few come so close.

# %% tags=["hide-input"]
limits = []
for tokens, ones in progress(list(product(token_grid, sparsity_grid)), "float limits"):
    if tokens <= 2 * ones + 1:
        continue
    scale = softmax_scale(tokens, ones, accuracy, score_error=accuracy / 2)
    turns = torch.arange(0, tokens, max(1, tokens // 64)).unsqueeze(1)
    kinds = {
        "hardest": (hardest_subset(tokens, ones) + turns) % tokens,
        "random": random_subsets(tokens, ones, num_subsets, generator=generator),
    }
    keys = trigonometric_keys(tokens, ones)
    row = {"N": tokens, "q": ones, "digits": significand_bits(tokens, ones, accuracy)}
    for kind, subsets in kinds.items():
        queries = scale * trigonometric_queries(tokens, subsets)
        row[f"float64, {kind}"] = largest_error(keys, queries, subsets)
        row[f"float32, {kind}"] = largest_error(keys, queries, subsets, torch.float32)
    nodes = equispaced_nodes(tokens)
    blocks = hardest_subset(tokens, ones) + turns[turns[:, 0] < tokens - ones]
    row["moment curve"] = largest_error(
        moment_keys(nodes, ones), scale * moment_certificates(nodes, blocks), blocks
    )
    limits.append(row)
limits = pd.DataFrame(limits)
enough = [
    error / accuracy
    for name in ("float64", "float32")
    for error in limits.loc[limits["digits"] <= FLOATS[name], f"{name}, hardest"]
]
hidden = (limits["float64, hardest"] > accuracy) & (limits["float64, random"] <= accuracy)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-float-limits", "caption": "The worst error of the unit in float64 against N. Top: the hardest subset, a block with one hole. Bottom: the largest over random subsets. The line is ε. Random subsets stay right where the hardest one has long been wrong."}, "image": {"alt": "Two logarithmic plots of error against the number of tokens, one line for each q. In both, lines fall slowly and then rise abruptly to two once float64 runs out of digits. At the top this happens at much smaller N than at the bottom."}}
fig, panels = plt.subplots(2, 1, figsize=(6.4, 7.6), sharex=True, sharey=True)
for axes, title in zip(panels, ("hardest subset", "random subsets"), strict=True):
    for ones, rows in limits.groupby("q"):
        errors = rows[f"float64, {title.split()[0]}"]
        axes.plot(rows["N"], errors, "o-", color=SHADES[ones], markersize=4, label=f"{ones}")
    figures.reference_line(axes, accuracy, r"$\varepsilon$")
    axes.set(xscale="log", yscale="log", ylabel="worst error", title=title)
panels[1].set(xlabel="$N$")
panels[0].legend(title="$q$", loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()


# %% tags=["hide-input"]
def last_right(rows, column):
    """The largest N of the grid up to which every measured error is within ε; 0 if there is none."""
    wrong = rows.loc[~(rows[column] <= accuracy), "N"]
    right = rows["N"] if wrong.empty else rows.loc[rows["N"] < wrong.min(), "N"]
    return int(right.max()) if len(right) else 0


ends = {}
for ones, rows in limits.groupby("q"):
    enough_for = rows.loc[rows["digits"] <= FLOATS["float64"], "N"]
    ends[ones] = {
        ("circle, float64", "digits enough"): max(enough_for, default=0),
        ("circle, float64", "hardest"): last_right(rows, "float64, hardest"),
        ("circle, float64", "random"): last_right(rows, "float64, random"),
        ("circle, float32", "hardest"): last_right(rows, "float32, hardest"),
        ("moment curve, float64", "hardest"): last_right(rows, "moment curve"),
    }
ends = pd.DataFrame(ends).T.rename_axis(index="q")
display(
    ends.style.format(lambda size: f"{size}" if size else "none").set_caption(
        f"The largest N of the grid, up to {max(token_grid)}, where the error stays within ε = {accuracy:g}"
    )
)

# %% [markdown]
# A unit must not answer wrongly when its digits run out. The attention does not depend on the values, and by {prf:ref}`lem-worst-error` its rows tell the worst error exactly. So
# the unit looks at the rows that it has just computed, adds the rounding of the final sum, and refuses the call when some row is not
# within $\eps$. We try this in float32, on random subsets and on the hardest one at eight places:

# %% tags=["hide-input"]
verdicts = {"answered": 0, "refused": 0, "wrong": 0}
for tokens, ones in progress([(32, 1), (32, 2), (32, 3), (64, 2), (64, 3)], "float32"):
    task = SparseAveraging(tokens, ones, 1)
    single = infinite_precision_unit(task, accuracy).to(device)
    turns = torch.arange(0, tokens, tokens // 8).unsqueeze(1)
    hard = (hardest_subset(tokens, ones) + turns) % tokens
    random = random_subsets(tokens, ones, num_subsets // 4, generator=generator)
    for subset in torch.cat([hard, random]).to(device):
        try:
            worst = single.worst_inputs(subset.unsqueeze(0))
        except PrecisionError:
            verdicts["refused"] += 1
            continue
        verdicts["answered"] += 1
        exact_answer = task.target(worst._replace(values=worst.values.double()))
        error = (single(worst).double() - exact_answer).abs().max().item()
        verdicts["wrong"] += int(error > accuracy)
figures.prose(
    f"Answered: {verdicts['answered']}, refused: {verdicts['refused']}, answered with an error above "
    f"$\\varepsilon={accuracy}$ for the worst values: {verdicts['wrong']}."
)

# %% [markdown]
# ### Dimension against digits
#
# What does a query cost in bits, dimension times precision? We take proved formats on both sides. Theorem 2 at $k=\lceil13\,q\ln N\rceil$
# (where its keys fail about one random subset in a thousand) pays for dimensions and little for digits. Theorem 3 does the opposite: it
# pays $2q\cdot2q\log_2(N/q)$ and lower terms, which grows with $q^2$ instead of $q$.

# %% tags=["hide-input"]
costs = {}
for tokens, ones in product([64, 256, 1024, 4096], [1, 4, 16, 64]):
    if tokens > 2 * ones + 1:
        k = default_embed_dim(tokens, ones)
        two = sufficient_format(tokens, ones, k, accuracy).bits
        three = sufficient_bits(tokens, ones, accuracy).bits
        costs[tokens, ones] = (k, two, k * two, 2 * ones, three, 2 * ones * three)
columns = pd.MultiIndex.from_product(
    [["Theorem 2", "Theorem 3"], ["dimensions", "bits p", "product"]]
)
costs = pd.DataFrame(costs, index=columns).T.rename_axis(index=["N", "q"])
figures.table(
    costs, caption=f"A query's dimensions and bits that are proved to be enough, ε = {accuracy:g}"
)
ratio = (costs[("Theorem 2", "product")] / costs[("Theorem 3", "product")]).xs(4096, level="N")
figures.prose(
    f"At $N=4096$ Theorem 2's query takes {ratio.iloc[0]:.0f} times as many bits for "
    f"$q={ratio.index[0]}$, and {ratio.iloc[-1]:.1f} times as many for $q={ratio.index[-1]}$: the "
    "advantage melts as $q$ grows. With $k=\\lceil4\\,q\\ln N\\rceil$ and maximum margin Theorem 2 would "
    "pay about $4/13$ of this, and its keys cost one bit a coordinate, where here a key costs as "
    "much as a query."
)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("thm-3.dimension", unit.embed_dim, "==", 2 * sparsity, source="P",
    statement=f"The unit has 2q key dimensions, whatever N: here for N = {num_tokens} tokens.")
claim("thm-3.subsets-checked", exact_count, "==", sum(math.comb(tokens, ones) for tokens, ones in sizes),
    statement=f"All subsets with N ≤ {largest_exhaustive}, q ≤ {exhaustive_sparsity}, q < N are checked in integer "
    "arithmetic.")
claim("thm-3.moment-zero", int(exact["spread"].max()), "==", 0, source="P",
    statement="Moment curve, integer nodes: the scores on each subset are exactly equal. Largest difference.")
claim("thm-3.moment-margin", int((exact["margin"] - exact["formula"]).abs().max()), "==", 0,
    statement=r"Its least margin is $(\lfloor q/2\rfloor!\,\lceil q/2\rceil!)^2$ at every size: largest deviation.")
claim("thm-3.circle-zero", int(exact["zeros"].sum()), "==", exact_count, source="P",
    statement="Circle: the polynomial is exactly 0 on every subset.")
claim("thm-3.circle-margin", circle_ratio["min"], ">=", 1.0, tolerance=1e-9,
    note="float64's rounding is subtracted from the margin",
    statement="No subset has a smaller margin than γ(N, q): the least margin, proved from below, over γ(N, q), at every size.")
claim("thm-3.circle-margin-attained", circle_ratio["max"], "<=", 1.0, tolerance=1e-9, note="float64 rounding",
    statement="A block with one hole has that margin: the same ratio is at most 1.")
claim("thm-3.error", output_error, "<=", accuracy, source="P",
    statement="The unit's output is within ε of sparse averaging on a random input.")
claim("thm-3.accuracy", float_rows["error"].max() / accuracy, "<=", 1.0, source="P",
    statement=f"The error is within ε for the worst values, every subset with 1 ≤ q ≤ N ≤ {float_rows['N'].max()} in "
    "float64, on both curves: largest error over ε.")
observed("thm-3.longest-query", max(everywhere), "<=", 0.0, tolerance=1e-6,
    note="float64, coefficients of sums of both signs",
    statement="Blocks with one hole have the longest queries: bits over all subsets, minus those over blocks, on three sets of "
    "keys.")
claim("thm-3.query-bound", (bits["circle"] - bits["log₂ M"]).max(), "<=", 0.0,
    statement=r"On the circle no query has more than $\log_2M(N,q)$ bits: its bits minus this, largest over the grid.")
claim("thm-3.closed-form", (bits["log₂ M"] - bits["2q log₂(eN/q)"]).max(), "<=", 0.0,
    statement=r"$\log_2M(N,q)\le2q\log_2\frac{eN}q$: the difference, largest over the grid.")
observed("thm-3.circle-is-best", (bits["equispaced"] - bits["circle"]).min(), ">", 0.0,
    statement="Equispaced nodes on the moment curve need more bits than the circle: how many more, least over the grid.")
observed("thm-3.chebyshev-is-worst", (bits["Chebyshev"] - bits["equispaced"]).min(), ">", 0.0,
    statement="Chebyshev nodes need more bits than equispaced ones: how many more, least over the grid.")
claim("thm-3.proved-bits", rounded_rows["worst error"].max() / accuracy, "<=", 1.0,
    statement="Rounded to the proved fixed-point formats the unit stays within ε: worst error over ε, every subset at several "
    "sizes.")
observed("thm-3.float-digits", max(enough, default=0.0), "<=", 1.0,
    statement="Where float64 or float32 has the digits that are enough, it is within ε: worst error over ε, hardest subset.")
observed("thm-3.floats-end", limits["float64, hardest"].max(), ">", accuracy,
    statement="float64 breaks within the grid: the largest error on a hardest subset passes ε.")
observed("thm-3.random-hides", int(hidden.sum()), ">=", 1,
    statement=f"Random subsets hide the failure: sizes where float64 is wrong on the hardest and right on {num_subsets} of them.")
claim("thm-3.never-wrong", verdicts["wrong"], "==", 0,
    statement=f"No float32 unit gives a wrong answer, in {sum(verdicts.values()) - verdicts['wrong']} calls: it answers or "
    "refuses.")
observed("thm-3.refused", verdicts["refused"], ">=", 1,
    statement="These units do refuse, where float32 is too small: calls refused.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That $2q\log_2(N/q)$ bits are necessary.* They are what these polynomials take. Other queries on the same keys, with a larger margin for
#   their length, may do with fewer; we prove no lower bound on the precision here.
# * *That the paper's unit is this one.* The paper takes vertices of a cyclic polytope; the circle, the formulas for margins and all counts of bits are ours.
# * *That $2q$ dimensions are needed.* They are, for keys that depend on positions only and for small errors, as soon as $N>2q$: [The tight
#   dimension](tight-dimension.py) proves $m\ge\min(2q,N-1)$ ({prf:ref}`thm-tight-dimension`), and shows what each hypothesis is for.
# * *That infinite precision is harmless.* A real number can hold anything. With an arbitrary map after the unit and real numbers, even one key dimension is
#   enough on a finite alphabet, as its output can encode the whole input ({prf:ref}`prop-one-dimension`); a limit on the dimension is meaningful only when that is excluded.
# * *That training would find it.* No unit is trained here, and its queries of size about $(N/q)^{2q}$ are far from any usual start.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-parabola
#
# For $q=1$ on the parabola, which score does token $j$ get from the query for token $i$, and what does attention do as $\alpha$ grows?
# :::
#
# :::{solution} ex-parabola
# :class: dropdown
#
# $\alpha(2t_it_j-t_j^2)=\alpha t_i^2-\alpha(t_j-t_i)^2$. The first term is the same for all $j$: the weights are those of a Gaussian around $t_i$, which narrows to the token $i$ as $\alpha\to\infty$.
# :::
#
# :::{exercise}
# :label: ex-half-angle
#
# Show that the circle is the moment curve in disguise: with $t=\tan(\theta/2)$,
# $1-\cos(\theta-\theta_i)=\dfrac{2(t-t_i)^2}{(1+t^2)(1+t_i^2)}$. Why do rational $t_j$ allow a check of the circle in fractions?
# :::
#
# :::{solution} ex-half-angle
# :class: dropdown
#
# $1-\cos(\theta-\theta_i)=2\sin^2\tfrac{\theta-\theta_i}2=2\big(\sin\tfrac\theta2\cos\tfrac{\theta_i}2-\cos\tfrac\theta2\sin\tfrac{\theta_i}2\big)^2
# =2\cos^2\tfrac\theta2\cos^2\tfrac{\theta_i}2\,(t-t_i)^2$, and $\cos^2\tfrac\theta2=1/(1+t^2)$. For rational $t$ the point
# $(\cos\theta,\sin\theta)=\big(\tfrac{1-t^2}{1+t^2},\tfrac{2t}{1+t^2}\big)$ is rational, and so are its powers $(\cos k\theta,\sin k\theta)$.
# :::
#
# :::{exercise}
# :label: ex-pairs
#
# Suppose that $y$ always consists of $q/2$ disjoint pairs of neighbouring positions. Find queries with $q$ coordinates instead of $2q$.
# :::
#
# :::{solution} ex-pairs
# :class: dropdown
#
# $(t-t_i)(t-t_{i+1})$ is negative only between the two nodes, where there is no other node. So
# $-\prod(t-t_i)(t-t_{i+1})$ over the pairs is 0 on $y$ and negative at all other nodes, and has degree $q$. (Gale's evenness condition says which sets are faces of
# a cyclic polytope; this is its simplest case.)
# :::
#
# :::{exercise}
# :label: ex-run-thm-3
#
# Ask for ten times the accuracy: `attention-limits run thm-3-infinite-precision -p accuracy=0.001`. By how much does the largest $N$ of each row of the last float table shrink? What does
# $2q\log_2N$ say about it?
# :::
#
# :::{solution} ex-run-thm-3
# :class: dropdown
#
# A tenth of $\eps$ costs $\log_2 10\approx3.3$ bits, and a little for $\alpha$. Halving $N$ saves $2q$ bits. So the largest $N$ shrinks by about
# a factor of $10^{1/(2q)}$: a power-of-two grid shows it for small $q$, and often not for large $q$.
# :::
#
# ## Reference
#
# The theorem is from {cite}`sanford2023representational`. Neighbourly and cyclic polytopes: {cite}`gale1963neighborly,ziegler1995lectures`. Ours are: the trigonometric
# keys with {eq}`eq-fourier-query`, {prf:ref}`lem-curve-margins`, {prf:ref}`prop-curve-bits`, the unit's refusals, and all measurements.
