# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The tight dimension: how small can keys be?
#
# **The question.** With unlimited precision $2q$ key dimensions are enough for sparse averaging: that is
# [Theorem 3](thm-3-infinite-precision.py). Are they needed, and which hypotheses does the answer rest on?
#
# **In one paragraph.** Put three keys on a line and ask for the middle one. Along a line scores rise or fall, so one of the two ends always scores
# at least as much: the middle key is out of reach. In the plane ask for two keys, the ends of one of two segments that cross ({numref}`fig-tight-radon`). If both ends have the largest score,
# so has the crossing, which lies between them. But the crossing lies between the ends of the other segment too, so these have the largest score as well.
# Two disjoint sets of points whose convex hulls meet, like the two pairs of ends, are a *Radon partition*; there is one among any $m+2$ points of $\R^m$.
# Its smaller set $A$ has at most $\frac m2+1$ points. If $m<2q$ these are at most $q$, and some $q$ keys include all of $A$ but not all of the other
# set $B$: no query singles them out. So $2q$ dimensions are needed, unless there are so few keys that they form a simplex.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-tight-radon", "caption": "Subsets that no query can single out; rings mark y. The hulls of A (diamonds, in y) and of B (squares) have a point in common (the cross, or the one key of A), so that B reaches the largest score as soon as all of A does. Left: q = 1 on a line. Middle and right: q = 2 in the plane, where two segments cross or a triangle holds a key."}, "image": {"alt": "Three drawings of keys. Left: three keys on a line, the middle one ringed between the other two. Middle: six keys in the plane, two segments cross, the ends of one are ringed. Right: a triangle with a key inside; that key and one more are ringed."}}
import matplotlib.pyplot as plt
import numpy as np

from attention_limits import figures
from attention_limits.bounds.radon import failing_subset

figures.use_style()
segments = [[-1, -0.7], [1, -0.5], [0.8, 0.8], [-0.8, 0.6], [0.1, 1.25], [0.2, -1.25]]
triangle = [[-1, -0.8], [1, -0.6], [0.1, 1], [0.05, -0.1], [1.2, 0.7]]
fig, panels = plt.subplots(1, 3, figsize=(6.4, 2.9))
for axes, title, points, ones in zip(
    panels,
    ("$q=1$ on a line", "$q=2$: segments", "$q=2$: a triangle"),
    ([[-1.0], [0.2], [1.0]], segments, triangle),
    (1, 2, 2),
    strict=True,
):
    partition = failing_subset(points, ones)
    plane = np.array([[*point, 0.0][:2] for point in points])
    parts = [list(partition.positive), list(partition.negative)]
    for part, color, shape in zip(parts, (figures.ORANGE, figures.BLUE), ("AD", "Bs"), strict=True):
        axes.fill(*plane[part].T, facecolor=color, edgecolor=color, alpha=0.35, linewidth=2)
        axes.plot(*plane[part].T, shape[1], color=color, markersize=7, zorder=3)
        beside = {"xytext": (0, 11), "textcoords": "offset points", "ha": "center", "fontsize": 14}
        axes.annotate(f"${shape[0]}$", plane[part[-1]], color=color, **beside)
    rest = [j for j in range(len(points)) if j not in parts[0] + parts[1]]
    axes.plot(*plane[rest].T, "o", color=figures.GREY, markersize=6, zorder=3)
    axes.plot(*plane[list(partition.subset)].T, "o", markersize=16, mfc="none", mec=figures.GREEN)
    share = np.array(partition.weights, dtype=float).clip(min=0)
    if len(parts[0]) > 1:
        common = share @ plane / share.sum()
        axes.plot(*common, "x", color=figures.GREY, markersize=9, markeredgewidth=2, zorder=4)
    axes.set(title=title, aspect="equal", xlim=(-1.6, 1.6), ylim=(-1.5, 1.6))
    axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Convex hulls, linear programming, the softmax, [Theorem 3](thm-3-infinite-precision.py). A quarter of a minute on one core.
#
# **On this page.**
#
# * Exactly $\min(2q,N-1)$ key dimensions are needed and enough, and the accuracy $1/(2q^2)$ already forces them. [N] {prf:ref}`thm-tight-dimension`
# * If values may be scaled, at least $\min(2q-1,N-q-2)$ are still needed. [N] {prf:ref}`thm-any-values`
# * Keys that see their value are no help while values pass unchanged. [N] {prf:ref}`prop-midpoint-keys`
# * For $q=1$ in one dimension and $N\ge5$, scaled values alone reach no error below $\frac12$; a unit whose keys and values both see $z$ does. [N] {prf:ref}`prop-tight-half`
# * With a free output map nothing is left of the bound: one dimension is enough. [N] {prf:ref}`prop-one-dimension`
#
# ## The statement
#
# Throughout, $1\le q\le N-1$, and a query is asked for the uniform distribution on a $q$-subset $y$ of the $N$ tokens. (At $q=N$
# there is nothing to choose: the zero query is exact.) *Position-only keys* means that the key $u_j\in\R^m$ of token $j$ depends on $j$ alone; values
# *pass unchanged* if $v_j=z_j$. The query may depend on all of its own token, and the output is the attended average itself: no map follows.
#
# :::{prf:proposition} (the tight dimension, ours)
# :label: thm-tight-dimension
#
# Let keys be position-only and values pass unchanged, and let $m^*=\min(2q,N-1)$.
#
# 1. Fixed keys allow an arbitrarily small error for every $y$ if and only if every $q$-subset of them is the point set of an
#    exposed face: some $w$ has $\inner{u_j}{w}=c$ on $y$ and $\inner{u_j}{w}<c$ off $y$. Call such a subset *separable*.
# 2. There are $N$ keys in $\R^m$ all of whose $q$-subsets are separable if and only if $m\ge m^*$.
# 3. A unit with $m<m^*$ has an error larger than $\eps_0(q)$ for some input, where $u=\tfrac q2\eps_0$ is the root of
#
#    ```{math}
#    :label: eq-forcing-accuracy
#    u\,(1+u)^{2q-1}=(1-u)^{2q},\qquad\text{and}\qquad \eps_0(q)>\frac1{2q^2}.
#    ```
# :::
#
# For $q=1$ the equation is $u(1+u)=(1-u)^2$, with the root $u=\tfrac13$: three or more keys on a line leave an error above $\eps_0(1)=\tfrac23$.
# In general the accuracy $\eps\le1/(2q^2)$ already forces $m\ge m^*$, even if the keys are chosen anew for each $\eps$. Where $N\le2q$, $m^*=N-1$ is
# less than the $2q$ of Theorem 3: the keys are then the corners of a simplex.
#
# ## The idea
#
# A Radon partition $(A,B)$, two disjoint sets of keys whose convex hulls meet, puts every $y$ out of reach that contains $A$ but not all of $B$ ({numref}`fig-tight-radon`).
# In the language of polytopes: keys all of whose $q$-subsets are faces span a $q$-neighbourly polytope, and one of
# dimension below $2q$ is a simplex {cite}`gale1963neighborly,ziegler1995lectures`.
#
# :::{prf:proof}
# :class: dropdown
#
# Write $p$ for the attention row, and recall that the worst error over all values is $\norm{p-u_y}_1$
# ({prf:ref}`lem-worst-error`). If the query depends on its own value $z_i$, fix a unit vector for it and choose the other values as $\pm z_i$ so that all terms
# have the sign of $p_i-u_y(i)$: the worst error is the same.
#
# *The alternative.* $y$ is separable if and only if the affine hull of its keys misses the convex hull of the other keys. If the two
# meet, no $w$ can be constant on the first and smaller on the second. If not, they can be separated strictly, one being closed and the other compact,
# and a functional that is bounded on one side of an affine space is constant on it. A common point is a $\lambda\in\R^N$ with
#
# ```{math}
# :label: eq-tight-radon
# \sum_j\lambda_j=0,\qquad\sum_j\lambda_ju_j=0,\qquad\lambda_j\le0\text{ off }y,\qquad\lambda_j<0\text{ for some }j\text{ off }y .
# ```
#
# *Part 1.* If $y$ is separable, the queries $\alpha w$ have the error $2\tau_0\to0$ as $\alpha\to\infty$
# ({prf:ref}`lem-error-bound`). If not, take $\lambda$ from {eq}`eq-tight-radon`. A score is linear in the key, so $\log p_j$ is an
# affine function of $u_j$ for every query, and
# $\sum_j\lambda_j\log p_j=0$. If $p\to u_y$, the terms on $y$ converge, those off $y$ are
# at least $0$, and one of them tends to $+\infty$: a contradiction.
#
# *Part 2.* Let $m<m^*$. Then $m+2\le N$, and some $\lambda\ne0$ has $\sum\lambda_j=0$ and $\sum\lambda_ju_j=0$, supported on $m+2$ keys. Let $A=\{\lambda>0\}$
# and $B=\{\lambda<0\}$, with $\abs A\le\abs B$ (else change the sign). Then $\abs A\le(m+2)/2<q+1$, so $\abs A\le q\le N-1$, and there is a
# $q$-subset $y\supseteq A$ that misses any one chosen $b\in B$: it satisfies {eq}`eq-tight-radon`, so it is not separable. Conversely $N-1$ dimensions hold
# $N$ affinely independent keys; these can be given any scores. The moment curve in $2q$ dimensions does it for every $N$ ({prf:ref}`lem-curve-queries`): the score
# $-\prod_{i\in y}(t-t_i)^2$, less its constant term, is largest exactly on $y$. Further coordinates may be 0.
#
# *Part 3.* Take $A$, $B$ as above, scaled to $\sum_A\lambda_j=\sum_B\abs{\lambda_j}=1$, and let $b$ be the key of $B$ with the largest $\abs{\lambda_b}\ge1/\abs B$; here
# $\abs B\le m+1\le2q$. Choose $y\supseteq A$ without $b$. Suppose that $\norm{p-u_y}_1\le\eps$ and put $u=q\eps/2$; if $u\ge1$ then $\eps\ge2/q$, which is more than $\eps_0$. Positive and
# negative parts of $p-u_y$ have the same sum, so each entry is at most $\eps/2$ in size: $qp_j\in[1-u,1+u]$ on $y$, $qp_j\le u$ off $y$. From
# $\sum_A\lambda_j\log(qp_j)=\sum_B\abs{\lambda_j}\log(qp_j)$,
#
# $$\log(1-u)\;\le\;\abs{\lambda_b}\log u+(1-\abs{\lambda_b})\log(1+u)\;\le\;\tfrac1{2q}\log u+\tfrac{2q-1}{2q}\log(1+u),$$
#
# that is $(1-u)^{2q}\le u(1+u)^{2q-1}$. The left side falls in $u$ and the right side rises, so $\eps\ge\eps_0$. Equality would need
# $\abs B=2q$ and $qp_j=1+u$ for the $2q-1$ other keys of $B$, which then lie in $y$ beside those of $A$: more than $q$ keys. Hence $\eps>\eps_0$.
#
# *The simple form.* At $u=\tfrac1{4q}$ we have $(1-u)^{2q}\ge1-2qu=\tfrac12$ by Bernoulli, and
# $u(1+u)^{2q-1}\le\tfrac1{4q}e^{1/2}<\tfrac12$. So the root is larger, and $\eps_0>\tfrac2q\cdot\tfrac1{4q}=\tfrac1{2q^2}$. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
largest_tokens: int = 9  # N, up to which all sizes are tried; 10 was tried too
largest_sparsity: int = 4  # q, up to which all sizes are tried
num_draws: int = 10  # random configurations of keys at each size; 20 were tried too
map_tokens: int = 8  # N of the map over q and m; 9 was mapped too
scalar_tokens: int = 4  # N of the largest one-dimensional unit; at most 4
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import ranges, require, usual_ranges

quick = {"largest_tokens": 7, "num_draws": 5, "map_tokens": 7, "scalar_tokens": 3}

usual_ranges()
ranges(largest_tokens=(3, 12), map_tokens=(3, 12), scalar_tokens=(2, 4))
ranges(largest_sparsity=(1, 6), num_draws=(1, 1000))
shortest = min(largest_tokens, map_tokens)
require(
    largest_sparsity < shortest,
    f"largest_sparsity = {largest_sparsity} leaves no token outside a subset of {shortest}",
)

# %% [markdown]
# ## The construction
#
# `failing_subset` walks through the proof: for keys with $m<m^*$ it returns a $q$-subset that no query singles out, with the weights
# {eq}`eq-tight-radon`, in exact arithmetic. `separate` decides *any* subset of *any* keys: linear programming proposes a
# separating direction or a Radon partition, and the proposal counts only after a check in rational numbers. Floats are rationals too, so the answer is about exactly the given keys.

# %% tags=["hide-input"]
from bisect import bisect_left
from fractions import Fraction
from itertools import product
from math import comb

import pandas as pd
import seaborn as sns
import torch

from attention_limits.bounds.polytopes import separate, separate_all
from attention_limits.bounds.radon import (
    RadonPartition,
    failing_cut,
    forcing_accuracy,
    tight_dimension,
)
from attention_limits.companion.claims import claim
from attention_limits.constructions.one_dimension import (
    KEYS_THAT_SEE_VALUES,
    SCALED_VALUES,
    scalar_unit,
)
from attention_limits.problems.sparse_averaging import SparseAveraging, worst_case_error
from attention_limits.runtime import progress

generator = torch.Generator().manual_seed(seed)


def normal(*shape):
    """Independent normals in float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def integer_curve(tokens, dim):
    """Integer keys (t, …, t^dim) on the moment curve, t centred."""
    return [[(2 * j - tokens + 1) ** k for k in range(1, dim + 1)] for j in range(tokens)]


# %% [markdown]
# ### Below $m^*$, and at it
#
# We draw random keys in every dimension below $m^*$. Each configuration has its failing subset, which is checked exactly and confirmed by linear programming.
# At $m^*$ itself the moment curve separates every subset; in $N-1$ dimensions its $N$ points are affinely independent, so it serves there too,
# and so does the simplex.

# %% tags=["hide-input"]
sizes = [
    (n, q) for n in range(2, largest_tokens + 1) for q in range(1, min(largest_sparsity, n - 1) + 1)
]


def out_of_reach(keys, partition, ones):
    """Whether the weights show that no query singles the subset out: the equation of the proof, in rational numbers."""
    subset, weights = set(partition.subset), partition.weights
    exact = [[Fraction(1), *map(Fraction, key)] for key in keys.tolist()]
    sums = [
        sum(w * entry for w, entry in zip(weights, row, strict=True))
        for row in zip(*exact, strict=True)
    ]
    outside = [weight for j, weight in enumerate(weights) if j not in subset]
    return len(subset) == ones and not any(sums) and max(outside) <= 0 and min(outside) < 0


below, at_bound = [], []
for tokens, ones in progress(sizes, "sizes"):
    least = tight_dimension(tokens, ones)
    for dim in range(1, least):
        for _ in range(num_draws):
            keys = normal(tokens, dim)
            partition = failing_subset(keys, ones)
            answer = separate(keys, partition.subset)
            right = out_of_reach(keys, partition, ones), isinstance(answer, RadonPartition)
            below.append((tokens, ones, dim, *right))
    for kind, keys in (("curve", integer_curve(tokens, least)), ("simplex", np.eye(tokens)[:, 1:])):
        found = separate_all(keys, ones)
        count = 0 if isinstance(found, RadonPartition) else len(found)
        margin = float(min(one.margin for one in found)) if count else 0.0
        at_bound.append((kind, tokens, ones, least, count, margin))
below = pd.DataFrame(below, columns=["N", "q", "m", "out of reach", "linear programming agrees"])
at_bound = pd.DataFrame(at_bound, columns=["keys", "N", "q", "m*", "separated", "least margin"])
on_curve = at_bound[at_bound["keys"] == "curve"]
figures.prose(
    f"{len(below):,} random configurations below $m^*$, and each fails on its Radon subset. At $m^*$ all "
    f"{on_curve['separated'].sum():,} subsets of the moment curve are separable, and in $N-1$ "
    "dimensions those of the simplex. In the table: below $m^*$ how many random configurations fail; "
    "at $m^*$ the least margin on the curve, the gap below the subset as a share of the scores' whole "
    "range."
)
failing = below[below["linear programming agrees"]].groupby(["q", "m", "N"]).size()
margins = on_curve.set_index(["q", "m*", "N"])["least margin"]
outcomes = pd.concat([failing.map("{} fail".format), margins.map("✓ {:.1g}".format)])
outcomes.index.names = ["q", "m", "N"]
figures.table(outcomes.unstack("N", fill_value=""))


# %% tags=["hide-input"]
def least_separating(keys, subset):
    """The least m at which the keys' first m coordinates have the subset separable; one more than there are if none.

    A separating direction stays one when coordinates are added, a Radon partition when some are dropped: bisection.
    """

    def separable(dim):
        return not isinstance(separate(keys[:, :dim], subset), RadonPartition)

    return bisect_left(range(1, keys.shape[1] + 1), True, key=separable) + 1


cells, dims = [], range(1, 2 * largest_sparsity + 1)
for ones in progress(range(1, largest_sparsity + 1), "map"):
    subsets = SparseAveraging(map_tokens, ones, 1).subsets().tolist()
    for kind, keys in (
        ("random keys", normal(map_tokens, dims[-1])),
        ("moment curve", np.array(integer_curve(map_tokens, dims[-1]))),
    ):
        least = np.array([least_separating(keys, subset) for subset in subsets])
        for dim in dims:
            share = float((least <= dim).mean())
            cells.append((kind, ones, dim, share, "1" if share == 1 else f"{share:.2f}"))
cells = pd.DataFrame(cells, columns=["keys", "q", "m", "share", "text"])
needed = cells["q"].map(lambda ones: tight_dimension(map_tokens, ones))
whole, curve = cells["share"] == 1, cells["keys"] == "moment curve"
map_errors = int(np.where(cells["m"] < needed, whole, curve & ~whole).sum())

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-tight-map", "caption": "The share of q-subsets that some query singles out, decided exactly, for the first m coordinates of one draw of random keys and of the moment curve. The orange line is m*: no keys reach the share 1 to its left, and the curve does everywhere to its right."}, "image": {"alt": "Two heat maps over m and q. Shares grow with m. At the top, random keys reach one only near the largest m. At the bottom, the moment curve reaches one exactly from the stepped line m star on."}}
fig, panels = plt.subplots(2, 1, figsize=(6.4, 5.4), sharex=True)
for axes, (kind, part) in zip(panels, cells.groupby("keys", sort=False), strict=True):
    table = part.pivot(index="q", columns="m", values="share")
    sns.heatmap(
        table,
        ax=axes,
        cmap=figures.SEQUENTIAL,
        vmin=0,
        vmax=1,
        cbar=False,
        linewidths=1,
        annot=part.pivot(index="q", columns="m", values="text"),
        fmt="",
        annot_kws={"fontsize": 11},
    )
    for row, ones in enumerate(table.index):
        edge = tight_dimension(map_tokens, ones) - 1
        axes.plot([edge, edge], [row, row + 1], color=figures.ORANGE, linewidth=4)
        if row:
            before = tight_dimension(map_tokens, ones - 1) - 1
            axes.plot([before, edge], [row, row], color=figures.ORANGE, linewidth=4)
    axes.set(title=f"{kind}, $N={map_tokens}$", xlabel="", ylabel="$q$")
    axes.tick_params(length=0, rotation=0)
panels[-1].set(xlabel="$m$")
plt.show()

# %% [markdown]
# ### Which accuracy forces it
#
# The table has the root of {eq}`eq-forcing-accuracy`, bracketed in integers, beside $1/(2q^2)$. To see whether anything comes close to $\eps_0$, we optimise
# the query for failing subsets of random keys. The best errors found stay far above: $\eps_0$ is what the argument proves, not the least error.

# %% tags=["hide-input"]
root_sparsities = range(1, 65)
roots = {ones: forcing_accuracy(ones) for ones in root_sparsities}
roots_above = sum(root > Fraction(1, 2 * ones**2) for ones, root in roots.items())
best_errors = []
for ones in range(1, largest_sparsity + 1):
    tokens, dim = 2 * ones + 2, 2 * ones - 1
    keys = normal(50, tokens, dim)
    pointers = torch.tensor([failing_subset(k, ones).subset for k in keys])
    queries = normal(50, dim).requires_grad_()
    best = torch.full((50,), torch.inf, dtype=torch.float64)
    for step in range(400):  # normalised gradient descent with shrinking steps
        scores = (keys @ queries.unsqueeze(-1)).squeeze(-1)
        error = worst_case_error(torch.softmax(scores, dim=-1), pointers)
        best = torch.minimum(best, error.detach())
        (slope,) = torch.autograd.grad(error.sum(), queries)
        towards = torch.nn.functional.normalize(slope, dim=-1)
        queries = (queries - 0.5 * 0.99**step * towards).detach().requires_grad_()
    row = (ones, dim, tokens, best.min().item(), float(roots[ones]), 1 / (2 * ones**2))
    best_errors.append(row)
best_errors = pd.DataFrame(
    best_errors, columns=["q", "m", "N", "best error found", "ε₀", "1/(2q²)"]
).set_index("q")
figures.table(best_errors, dict.fromkeys(["best error found", "ε₀", "1/(2q²)"], "{:.3f}"))

# %% [markdown]
# ## What each hypothesis is for
#
# ### Small errors
#
# Some bound on $\eps$ is needed: at $N=q+1$ the zero query, $m=0$, has the error $2/(q+1)$. For errors between $\eps_0$ and this one we know of no exact answer.
#
# ### Values that pass unchanged
#
# Values that are scaled for each token lower the bound, but by little.
#
# :::{prf:proposition} (any values, ours)
# :label: thm-any-values
#
# Let keys be position-only, $v_j=v_j(z_j,y_j)$ any functions of the token, and $N\ge2q+1$. An error below $1/(2q)$ on all inputs needs
# $m\ge\min(2q-1,\,N-q-2)$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Look at output $i$. Fix $z_i$, the pointers of all other tokens, and let $y\subseteq[N]\setminus\{i\}$; these are $n=N-1\ge2q$ candidates, and the query $r$ depends on
# $y$ alone. (So may the own key and value: they enter only the normaliser and a constant.) Change $z_j$ from $-e_1$ to $e_1$ for one candidate $j$. As keys do not see $z$, the attention row $p$ stays, and the
# first coordinate of the output changes by $p_jg_j$, where $g_j$ is that of $v_j(e_1)-v_j(-e_1)$; the answer changes by $\tfrac2q$ for $j\in y$ and by $0$ otherwise.
# Hence $\abs{p_jg_j-\tfrac2q[j\in y]}\le2\eps<\tfrac1q$, that is $p_jg_j>\tfrac1q$ on $y$ and $p_jg_j<\tfrac1q$ off $y$. Each $j$ lies in some $y$, so $g_j>0$. With the normaliser $Z$,
#
# $$j\in y\iff\inner{r}{u_j}+\log g_j>\log\tfrac Zq\qquad\text{(and the reverse strict inequality off }y).$$
#
# So a hyperplane cuts every $q$-subset of the $n$ points $(u_j,\log g_j)\in\R^{m+1}$ off from the rest, strictly. If $n\ge m+3$, take a Radon partition $(A,B)$ of $m+3$ of
# them. No such $y$ can contain $A$ and avoid $B$, nor the reverse. The first means $\abs A>q$ or $\abs B>n-q$, the second $\abs B>q$ or $\abs A>n-q$. Either both parts
# have at least $q+1$ points, and $m+3\ge2q+2$; or one part has at least $n-q+1$ points (as $n-q\ge q$), the other at least one, and $m+3\ge n-q+2$. Together
# $m\ge\min(2q-1,n-q-1)$. If $n\le m+2$, then $m\ge n-2\ge n-q-1$. $\blacksquare$
# :::
#
# The proof runs as code: `failing_cut` finds, for any keys and scales below the bound, a subset that no threshold on $\inner r{u_j}+\log g_j$ cuts off.
# The argument cannot give $2q$: with $\log g_j=-t_j^{2q}$ the moment curve in $2q-1$ dimensions has such a threshold for every $y$. And scaling does help at
# moderate errors. For $q=1$ and $m=1$, where unchanged values stay above $\tfrac23$, scaled ones do better at $N=4$:

# %% tags=["hide-input"]
cuts = 0
cut_sizes = [(n, q) for n, q in sizes if 2 * q <= n]
cuts_expected = num_draws * sum(max(0, min(2 * q, n - q) - 1) for n, q in cut_sizes)
for tokens, ones in cut_sizes:
    # Lifted points are (u_j, log g_j), so m = lifted_dim − 1.
    for lifted_dim in range(1, min(2 * ones, tokens - ones)):
        for _ in range(num_draws):
            subset, weights = failing_cut(normal(tokens, lifted_dim), ones)
            right = all(w >= 0 if j in subset else w <= 0 for j, w in enumerate(weights))
            cuts += right and len(subset) == ones
scaled_error = SCALED_VALUES.worst_error()
figures.prose(
    f"{cuts:,} configurations below the bound, each with a subset that cannot be cut off. A unit with "
    f"$q=1$, $m=1$ and scaled values reaches the error {scaled_error:.4f} at "
    f"$N={SCALED_VALUES.num_tokens}$, over all inputs with $z_j=\\pm1$, by interval arithmetic."
)

# %% [markdown]
# ### Keys that do not see the values
#
# As long as values pass unchanged, keys that see them are no help:
#
# :::{prf:proposition} (keys that see their value, ours)
# :label: prop-midpoint-keys
#
# Let $v_j=z_j$, let key $j$ be any function $k_j(z_j)$, and let the query depend on $y$ alone. If such units reach arbitrarily small
# errors, so do position-only units of the same $m$; hence $m\ge m^*$. For $q=1$ the position-only unit with the same queries and the keys
# $\tfrac12\big(k_j(e_1)+k_j(-e_1)\big)$ is at least as good, subset by subset.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Take $z_j=\pm e_1$. For a query $r$ put $a_j=e^{\inner r{k_j(e_1)}}$, $b_j=e^{\inner r{k_j(-e_1)}}$, and write $a(S)$, $b(S)$ for sums over a set $S$. If $S$ is the set of
# plus signs, the error is twice the distance of $a(S)/\big(a(S)+b(S^c)\big)$ from $\abs{y\cap S}/q$. Call $y$'s complement $F$. The midpoint keys give token $j$ the weight
# $g_j=\sqrt{a_jb_j}$, and $g(F)\le\sqrt{a(F)\,b(F)}$ by Cauchy and Schwarz.
#
# $q=1$, $y=\{1\}$: $S=\{1\}$ and $S=F$ give $b(F)\le\rho a_1$ and $a(F)\le\rho b_1$ with $\rho=\frac{\eps/2}{1-\eps/2}$. Hence $g(F)\le\rho g_1$, and the midpoint keys have the error
# $2g(F)/(g_1+g(F))\le\eps$.
#
# $q\ge3$: scale $a$ and $b$ to the total sum 1 and let $\eps\to0$ along a subsequence on which all of them converge. For every $S$ the limits satisfy
# $\big(q-\abs{y\cap S}\big)a(S)=\abs{y\cap S}\,b(S^c)$. $S\subseteq F$ gives $a(F)=0$, $S\supseteq y$ gives $b(F)=0$. $S=\{j\}$ and $S^c=\{j\}$ with $j\in y$ give $(q-1)a_j=b(y)-b_j$ and $(q-1)b_j=a(y)-a_j$;
# with $d_j=a_j-b_j$ their difference is $(q-2)d_j=-d(y)$. Summed over $y$: $(2q-2)\,d(y)=0$, so $d(y)=0$ and $d_j=0$. Then $qa_j=b(y)=\tfrac12$: all $a_j=b_j$ on $y$
# are the same, and the midpoint keys tend to the uniform distribution on $y$.
#
# $q=2$, $y=\{1,2\}$: up to factors that tend to 1, $S=\{2\}$ gives $a_2\sim b_1+b(F)$ and $S=\{2\}\cup F$ gives $b_1\sim a_2+a(F)$. Together $a(F)+b(F)=o(a_2)$ and $a_2\sim b_1$; likewise
# $a(F)+b(F)=o(a_1)$ and $a_1\sim b_2$. So $g_1=\sqrt{a_1b_1}\sim\sqrt{a_1a_2}\sim g_2$, and $g(F)=o(\min(a_1,a_2))=o(g_1)$.
#
# In each case position-only units reach arbitrarily small errors, and part 3 of {prf:ref}`thm-tight-dimension` applies. $\blacksquare$
# :::
#
# Once values may be scaled as well, keys that see them do help. Without such keys one half is a floor for $q=1$ in one dimension:
#
# :::{prf:proposition} (no less than one half, ours)
# :label: prop-tight-half
#
# Let $q=1$, $m=1$, $N\ge5$, with position-only keys, any values $v_j(z_j)$, and a query that depends on $y$ alone. The error is at least $\tfrac12$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Suppose that it is $\eps<\tfrac12$. Let $h_j$ be half the first coordinate of $v_j(e_1)-v_j(-e_1)$, and $p$ the row for $y=\{i\}$. For $z_j=s_je_1$ the first coordinate of the error is
# $\sum_j(p_jh_j-[j=i])\,s_j$ plus a constant that does not depend on the signs; the best constant is 0, so that
# $\abs{1-p_ih_i}+\sum_{j\ne i}p_j\abs{h_j}\le\eps$. Hence $p_ih_i\ge1-\eps$, so $h_i\ge1-\eps>0$ for every $i$. The keys are different: if $u_i=u_j$, then $p_i=p_j$ and $p_ih_i\ge1-\eps>\eps\ge p_jh_j$, so $h_i>h_j$, and the
# same with $i$ and $j$ exchanged. Sort them. The score $ru_j$ is monotone in $j$, so a token between others has an end token of at least its weight: $p_i\le\tfrac12$ and $h_i\ge2(1-\eps)$ for $1<i<N$.
# Now let $i=3$. On one side of it, where scores are at least as large, there is another inner token $k$, and $p_k\ge p_3$. With $h_k\ge2(1-\eps)$ and
# $h_j\ge1-\eps$ for the rest, $\eps\ge\sum_{j\ne3}p_jh_j\ge(1-\eps)(1-p_3)+(1-\eps)p_k\ge1-\eps$: a contradiction. $\blacksquare$
# :::
#
# A unit whose keys and values both see $z_j\in\{\pm1\}$ passes below that, in one dimension, at $N=5$. Its numbers, found by gradient descent, are stored with three decimals and evaluated on all inputs by interval arithmetic:

# %% tags=["hide-input"]
seeing_error = KEYS_THAT_SEE_VALUES.worst_error()
midpoint_excess = -np.inf
for tokens, dim in product((3, 4, 5), (1, 2)):
    signs = torch.cartesian_prod(*[torch.tensor([0, 1])] * tokens)
    values = 2.0 * signs.double() - 1
    keys, queries = normal(200, 2, tokens, dim), 4 * normal(200, tokens, dim)
    scores = torch.einsum("bznm,bym->bzyn", keys[:, signs, torch.arange(tokens)], queries)
    outputs = torch.einsum("bzyn,zn->bzy", torch.softmax(scores, dim=-1), values)
    seen = (outputs - values).abs().amax(dim=1)
    middle = torch.softmax(torch.einsum("bnm,bym->byn", keys.mean(dim=1), queries), dim=-1)
    blind = worst_case_error(middle, torch.arange(tokens).view(1, tokens, 1).expand(200, -1, -1))
    midpoint_excess = max(midpoint_excess, (blind - seen).max().item())
unit_table = pd.DataFrame(
    [*KEYS_THAT_SEE_VALUES.keys, *KEYS_THAT_SEE_VALUES.values, KEYS_THAT_SEE_VALUES.queries],
    index=["key, z = −1", "key, z = +1", "value, z = −1", "value, z = +1", "query for this token"],
    columns=[f"token {j + 1}" for j in range(KEYS_THAT_SEE_VALUES.num_tokens)],
)
figures.prose(f"The largest error over all values and pointers is {seeing_error:.4f}.")
figures.table(unit_table)

# %% [markdown]
# ### No free output map
#
# Nothing at all is left of the bound once an arbitrary token-wise map may follow the attention and numbers are exact.
#
# :::{prf:proposition} (one dimension, ours)
# :label: prop-one-dimension
#
# On any finite alphabet of tokens some unit with $m=1$, one number per token and an output map computes sparse averaging exactly.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Map token $x$ to a number $t(x)$, and take $Q=K=V=1$. Row $a$ of the input with tokens $S$ gives $f_S(a)=\sum_{c\in S}t_ce^{t_at_c}/\sum_{c\in S}e^{t_at_c}$. Tokens carry their position, so they are different, and $S$ is a
# set with $a\in S$. We show that for almost every choice of the numbers $f_S(a)\ne f_{S'}(b)$ whenever $(S,a)\ne(S',b)$; an output map can then read off the answer. There are finitely many pairs, and the difference is a real-analytic
# function of all numbers, so it is enough that it is not identically zero.
#
# *$a\ne b$.* Let $t_b=-1$, $t_a\to\infty$ and all others be fixed. Then $f_S(a)\to\infty$, as $a$ has the score $t_a^2$ and the others at most a multiple of $t_a$. But $f_{S'}(b)$ stays bounded from above: if $a\in S'$, its weight
# is $e^{-t_a}$.
#
# *$a=b$, $S\ne S'$.* Some $c\ne a$ lies in one of them only. Let $t_a=1$ and $t_c\to\infty$: that one tends to infinity, the other is constant. $\blacksquare$
# :::
#
# For values in the unit ball, let the input map round $z$ to an $\eps$-net first. So a lower bound on $m$ at infinite precision has to restrict the output map, as
# {prf:ref}`thm-tight-dimension` does by having none. The price of the one dimension is precision: `scalar_unit` lists all inputs with $z\in\{\pm1\}^N$, and
# proves by interval arithmetic that all rows differ; the least gap shows how many bits the output map must read.

# %% tags=["hide-input"]
scalar_rows = []
for tokens, ones in [(n, q) for n in range(2, scalar_tokens + 1) for q in range(1, n)]:
    task = SparseAveraging(tokens, ones, 1)
    scalar = scalar_unit(task, generator=generator)
    everything = task.all_inputs(dtype=torch.float64)
    wrong = int((scalar(everything) != task.target(everything)).sum())
    num_inputs, num_rows = len(everything.values), len(scalar.rows.outputs)
    scalar_rows.append((tokens, ones, num_inputs, num_rows, scalar.rows.least_gap, wrong))
scalar_rows = pd.DataFrame(
    scalar_rows, columns=["N", "q", "inputs", "rows", "least gap", "wrong outputs"]
).set_index(["N", "q"])
figures.table(scalar_rows, {"least gap": "{:.1e}", "inputs": "{:,}", "rows": "{:,}"})

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("tight.below-fails", int(below["out of reach"].sum()), "==",
    num_draws * sum(tight_dimension(n, q) - 1 for n, q in sizes),
    statement=f"All random configurations with $m<m^*$ (N ≤ {largest_tokens}, q ≤ {largest_sparsity}) have a Radon subset "
    "that no query singles out, by the page's own check in rational numbers.")
claim("tight.below-by-programming", int((~below["linear programming agrees"]).sum()), "==", 0,
    statement="Linear programming finds none of these subsets separable.")
claim("tight.curve-attains", int(on_curve["separated"].sum()), "==", sum(comb(n, q) for n, q in sizes),
    statement="All subsets of the moment curve in $m^*$ dimensions have an exactly checked direction.")
on_simplex = at_bound[at_bound["keys"] == "simplex"]
claim("tight.simplex-attains", int(on_simplex["separated"].sum()), "==", sum(comb(n, q) for n, q in sizes),
    statement="All subsets of the simplex in N − 1 dimensions have one.")
claim("tight.tight-map", map_errors, "==", 0,
    statement=f"The map at N = {map_tokens} agrees with $m^*$: below it not all subsets are separable, from it on all are on "
    "the curve. No exception among its cells.")
claim("tight.forcing-accuracy", roots_above, "==", len(root_sparsities),
    statement=rf"$\varepsilon_0(q)>\frac1{{2q^2}}$ for all q ≤ {max(root_sparsities)}, $\varepsilon_0$ rounded down.")
claim("tight.best-query", (best_errors["best error found"] / best_errors["ε₀"]).min(), ">", 1.0,
    statement=r"At m = 2q − 1 no optimised query on a failing subset comes down to $\varepsilon_0(q)$: its best error over this, "
    "least over q.")
claim("tight.any-values", cuts, "==", cuts_expected,
    statement="All random keys and scales below the bound for any values have a subset that no threshold cuts off.")
claim("tight.scaled-values", scaled_error, "<", 2 / 3,
    statement=r"q = 1, m = 1, N = 4: values scaled for each token pass below $\varepsilon_0(1)=\frac23$ (upper bound over all "
    "inputs).")
claim("tight.midpoint-keys", midpoint_excess, "<=", 0.0, tolerance=1e-12, note="float64 softmax",
    statement="q = 1, unchanged values: midpoint keys are at least as good as the keys that see z: their error minus the other, "
    "largest over random units and subsets.")
claim("tight.keys-see-values", seeing_error, "<", 0.5,
    statement=r"q = 1, m = 1, N = 5: keys and values that see z pass below $\frac12$ (upper bound over all inputs).")
claim("tight.rows-differ", scalar_rows["least gap"].min(), ">", 0.0,
    statement="m = 1 with a free output map: any two rows differ. Proved lower bound on their gap, all inputs up to N = "
    f"{scalar_tokens}.")
claim("tight.one-dimension", int(scalar_rows["wrong outputs"].sum()), "==", 0,
    statement="These one-dimensional transformers answer right in float64: no wrong output, over all "
    f"{scalar_rows['rows'].sum():,} rows.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *How small $m$ can be at a constant error.* The bound needs $\eps\le\eps_0(q)$, which is of order $\log q/q^2$. For errors between that and $1/q$ we have no
#   matching construction.
# * *The exact bound for scaled values.* {prf:ref}`thm-any-values` loses one dimension, and we do not know whether $2q-1$ dimensions reach every accuracy with position-only keys and scaled values on all rows at once.
# * *Anything about precision.* Where $m\ge m^*$ the margins in the table shrink fast: few dimensions cost many bits. [Theorem 3's
#   page](thm-3-infinite-precision.py) counts them.
# * *That keys and values that both see $z$ reach small errors.* We know one unit with an error just below one half.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-tight-small
#
# Which keys attain $m^*$ for $q=N-1$, and what is their failing subset in one dimension less?
# :::
#
# :::{solution} ex-tight-small
# :class: dropdown
#
# $m^*=N-1$: the corners of a simplex, whose facets are the $q$-subsets. With $m=N-2$ take a Radon partition of all $N$ keys; $y$ is everything but one key of $B$.
# :::
#
# :::{exercise}
# :label: ex-tight-sink
#
# The nodes $t_j$ are positive. One designated row asks only for *other* tokens, its own key may depend on its pointers $y$, and values may be scaled per token. Show that
# $m=2q-1$ reaches every accuracy for this row.
# :::
#
# :::{solution} ex-tight-sink
# :class: dropdown
#
# Let $P_y(t)=-\prod_{i\in y}(t-t_i)^2$. The other tokens have the keys $(t_j,\dots,t_j^{2q-1})$ and the values $Ge^{-\alpha t_j^{2q}}z_j$. The query takes the coefficients of $\alpha\big(P_y(t)+t^{2q}\big)$, of degree $2q-1$, without the
# constant term $\alpha c$. It is not zero: the leading coefficient is $2\alpha\sum_{i\in y}t_i>0$. Then $p_jg_j=e^{\alpha P_y(t_j)-\alpha c}\,G/Z$. The own token has the value 0 and is a sink: its key, along the query, is chosen so that $Z=qGe^{-\alpha c}$. That is possible if the others sum to
# less, for which $G>\tfrac Nq e^{\alpha\max t_j^{2q}}$ is enough. Now $p_jg_j=\tfrac1q$ on $y$ and $\tfrac1qe^{\alpha P_y(t_j)}$ off $y$.
# :::
#
# :::{exercise}
# :label: ex-tight-duplicates
#
# Two tokens share a key. For which $q$ can all $q$-subsets be separable?
# :::
#
# :::{solution} ex-tight-duplicates
# :class: dropdown
#
# For none with $1\le q\le N-1$: some $y$ contains one of the two and not the other, and $A$, $B$ are these two tokens.
# :::
#
# ## Reference
#
# Theorem 3 and its construction are from {cite}`sanford2023representational`. That a $q$-neighbourly polytope of dimension below $2q$ is a simplex is classical {cite}`gale1963neighborly,ziegler1995lectures`. Ours are the statements about units on this page, with
# their constants, the units in one dimension, and all measurements.
