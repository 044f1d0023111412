# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Theorem 2: sparse averaging with few dimensions and few bits
#
# **The question.** Each of $N$ tokens points to $q$ others and asks for the mean of their values. How large must one
# self-attention unit be to answer all of them, whatever the pointers and whatever the values?
#
# **In one paragraph.** Give each token a random key, $k$ signs scaled to length 1. Two such keys are nearly orthogonal:
# their inner product is noise of size $1/\sqrt k$. To ask for three tokens, add up their three keys: each of the three has
# an inner product of about 1 with the sum, and an outsider only noise, of size $\sqrt{3/k}$. Softmax with a large
# factor turns that difference into equal weights on the three and next to nothing elsewhere. What can go wrong is that
# *some* outsider's noise comes near to 1. With $N$ outsiders the largest noise is about $\sqrt{2\ln N}$ times the usual one,
# since the tails of a normal variable fall like $e^{-z^2/2}$, and the largest of $N$ draws lies about where they have fallen to $1/N$. So
# $\sqrt{q/k}\cdot\sqrt{2\ln N}$ must stay below a constant, and $k$ must be a few times $q\log N$: outsiders cost only their logarithm.
#
# ```{explorer} averaging
# One token asks for $q$ others, the diamonds. Its query $\alpha w_y$ is scored against every key $u_j\in\{\pm1\}^k$. Here
# $w_y$ is the shortest vector that has the inner product 1 with each key asked for. The gap from there down to the best
# outsider is the *margin* $\gamma$. The softmax turns it into weights: an outsider gets at most
# $e^{-\alpha\gamma}$ of what a token asked for gets. More coordinates $k$ of the keys widen the margin; the proof
# asks for $\tfrac12$.
# ```
#
# **Prerequisites and time.** Softmax, inner products, a little linear algebra. A quarter of a minute on one core.
#
# **On this page.**
#
# * The paper's theorem: $m$ of about $d'+q\log N$ and $p$ of about $\log(\frac q\eps\log N)$ are enough. [P] {prf:ref}`thm-fixed-precision`
# * The worst error over all values is the distance between two rows of weights, so that it can be measured exactly. [N] {prf:ref}`lem-worst-error`
# * With exact constants, and with rounding: how long a query must be, and how many bits are enough. [N] {prf:ref}`lem-error-bound`
# * For random subsets the least $k$ follows the prediction $q(1+4z^2)$, with $z$ a normal quantile; subsets chosen by an adversary need a better query. [N] {numref}`fig-key-dimensions`, {numref}`fig-adversarial`
# * Each halving of $\eps$ costs one bit. [N] {numref}`fig-bits`
#
# ## The statement
#
# :::{prf:theorem} 2 of the paper (fixed precision)
# :label: thm-fixed-precision
# :nonumber:
#
# There are constants such that for every $N$, every sparsity $q$, every accuracy $\eps\in(0,1)$, every value dimension
# $d'$, every embedding dimension $m\ge\Omega(d'+q\log N)$ and every $p\ge\Omega(\log(\tfrac q\eps\log N))$ some
# self-attention unit with $p$-bit numbers, after a token-wise map of its input, $\eps$-approximates sparse averaging
# $\qSA$ ({prf:ref}`def-sparse-averaging`) {cite}`sanford2023representational`.
# :::
#
# ## The idea
#
# **Attention is made for averaging.** An output of a unit is a convex combination of value vectors, and so is the answer,
# with weight $1/q$ on each token that is asked for. If the values are passed on unchanged, only the weights can be wrong.
# Say a token asks for the first two of three tokens, and its weights are $0.45$, $0.45$ and $0.1$ where $\tfrac12$, $\tfrac12$
# and $0$ would be right. With $z_1=z_2=-e_1$ and $z_3=e_1$ its output is off by $0.05+0.05+0.1=0.2$, and no values do worse.
# In this way the worst error is computed *exactly*, without a search over values:
#
# :::{prf:lemma} (the worst error, ours)
# :label: lem-worst-error
#
# Let the keys depend on positions only and let $v_j=z_j$. If query $i$ has the attention row $p$ and asks for the set
# $y$, and $u_y$ is the uniform distribution on $y$, then the largest error of output $i$ over all $z_1,\dots,z_N$ in the
# unit ball is $\norm{p-u_y}_1$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# The error is $\sum_j (p_j-u_y(j))\,z_j$. Its norm is at most $\sum_j\abs{p_j-u_y(j)}$ by the triangle inequality, and
# $z_j=\operatorname{sign}(p_j-u_y(j))\,e_1$ attains that. $\blacksquare$
# :::
#
# **Keys that can be singled out.** Give position $j$ a random key $u_j\in\{\pm1\}^k$. For a $q$-subset $y$ we look for a
# *dual certificate*: a direction $w_y$ with
#
# ```{math}
# :label: eq-certificate
# \inner{u_j}{w_y}=c\ \text{ for } j\in y,\qquad \inner{u_j}{w_y}\le c-\gamma\ \text{ for } j\notin y,
# ```
#
# with a *margin* $\gamma>0$. The query $\alpha w_y$ then gives every token of $y$ the same weight, and every other token at
# most $e^{-\alpha\gamma}$ of it. Compressed sensing, the theory of recovering sparse vectors from few measurements
# {cite}`candes2005decoding`, says that $k=\Theta(q\log N)$ random signs are enough for certificates of *every* $q$-subset;
# {numref}`fig-inner-products` shows one.
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 256  # N, tokens of the unit that is looked at closely
sparsity: int = 4  # q, tokens that each token points to
value_dim: int = 4  # d', coordinates of a value
accuracy: float = 0.01  # ε, the largest error allowed for any output
seed: int = 0  # of every random draw on this page
token_grid: list[int] = [16, 64, 256, 1024]  # N, where growth is measured; 4096 was run too
sparsity_grid: list[int] = [1, 2, 4, 8, 16, 32]  # q, in pairs with q ≤ N/2
accuracy_grid: list[float] = [0.1, 0.01, 0.001]  # ε, for errors and for bits
num_subsets: int = 2000  # random subsets at each size
largest_exhaustive: int = 12  # N up to which every subset of every size is checked

# %% tags=["facts", "hide-input"]
import math

from attention_limits.hypotheses import (
    distinct,
    intervals,
    ranges,
    require,
    require_accuracy,
    usual_ranges,
)

quick = {
    "token_grid": [16, 64, 256],
    "sparsity_grid": [1, 2, 4, 8],
    "num_subsets": 1000,
    "largest_exhaustive": 8,
}

usual_ranges()
ranges(
    num_tokens=(2, 4096, "a least-squares problem for each"),
    num_subsets=1,
    largest_exhaustive=(2, 16, "a subset each of 2^N"),
)
distinct("token_grid", "sparsity_grid", "accuracy_grid")
intervals(token_grid=(2, 8192), sparsity_grid=(1, 64))
require(
    sparsity < num_tokens,
    f"sparsity q = {sparsity} leaves no token outside the subset: the page needs q < N = {num_tokens}",
)
longest = max(num_tokens, *token_grid)
widest = math.ceil(13 * sparsity * math.log(longest))
require(
    widest <= 4000,
    f"sparsity q = {sparsity} needs keys of {widest} coordinates at N = {longest}: at most 4000 are built",
)
require(
    max(token_grid) > sparsity,
    f"token_grid needs an N above the sparsity q = {sparsity}, got {token_grid}",
)
require(
    any(2 * q <= n <= 1024 and q <= 16 for n in token_grid for q in sparsity_grid),
    f"token_grid {token_grid} and sparsity_grid {sparsity_grid} have no pair with q ≤ N/2, N ≤ 1024 and q ≤ 16",
)
for least in (accuracy, *accuracy_grid):
    require_accuracy(least)
    require(
        least >= 1e-9,
        f"the page computes in float64: accuracies ε must be at least 1e-09, got {least}",
    )

# %% [markdown]
# ## The construction
#
# `fixed_precision_unit` stores in token $i$ its value, its position's key and its query,
# $x_i=(z_i;\,u_i;\,\alpha w_{y_i})\in\R^{d'+2k}$. The matrices $Q$, $K$ and $V$ each select one block, so that the output of
# {prf:ref}`def-unit` at token $i$ is $\sum_jp_jz_j$ with $p=\softmax\big(\inner{\alpha w_{y_i}}{u_j}\big)_j$. The bilinear form
# $QK^\top$ has rank $k$; this $k$ is what we count as the embedding dimension of the unit, and $d'+2k$ as what a token stores.

# %% tags=["hide-input"]
import math
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import display

from attention_limits import figures
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.keys import (
    adversarial_subsets,
    certify,
    gram_matrix,
    maximum_margin_certificates,
    minimum_norm_certificates,
    random_sign_keys,
)
from attention_limits.constructions.sizes import (
    predicted_embed_dim,
    random_subsets,
    smallest_embed_dim,
    smallest_query_format,
)
from attention_limits.constructions.sparse_averaging import (
    default_embed_dim,
    error_bound,
    fixed_precision_unit,
    narrow_embed_dim,
    softmax_scale,
    sufficient_format,
)
from attention_limits.problems.sparse_averaging import (
    SparseAveraging,
    SparseAveragingInputs,
    worst_case_error,
)
from attention_limits.runtime import progress, select_device

figures.use_style()
device = select_device()
generator = torch.Generator().manual_seed(seed)
SHADES = dict(zip(accuracy_grid, sns.color_palette(n_colors=len(accuracy_grid)), strict=True))

# %%
problem = SparseAveraging(num_tokens, sparsity, value_dim)
unit = fixed_precision_unit(problem, accuracy, generator=generator).double().to(device)
inputs = problem.sample(2, generator=generator, device=device, dtype=torch.float64)
output, attention = unit.attend(inputs)
output_error = (output - problem.target(inputs)).norm(dim=-1).max().item()
figures.prose(
    f"With $N={num_tokens}$ tokens, $q={sparsity}$ and $\\varepsilon={accuracy}$ the keys have "
    f"$k={unit.embed_dim}$ signs, a token stores {unit.model_dim} numbers, and "
    f"$\\alpha={unit.scale:.2f}$. On a first random input the largest error of any output is "
    f"{output_error:.1e}."
)

# %% [markdown]
# ### Keys, certificate and margin
#
# A certificate comes from one of two sources. *Minimum norm*, $w=U_y^\top(U_yU_y^\top)^{-1}\mathbf 1$ with the keys of $y$
# as the rows of $U_y$, takes a $q\times q$ linear system. The proof of Theorem 2 asks for the margin $\tfrac12$. Where minimum norm
# falls short of it, the *maximum-margin* direction takes its place: the shortest $w$ of margin 1, which is found by one
# non-negative least-squares problem. Either way we scale the certificate to margin 1, and check {eq}`eq-certificate` when it is
# built: a subset without a certificate raises an error and never gets a wrong answer.

# %%
subset = inputs.pointers[0, 0]
query = unit.queries(inputs.pointers)[0, 0] / unit.scale
inner_products = unit.keys @ query
on_subset = torch.zeros(num_tokens, dtype=torch.bool, device=device).index_fill(0, subset, True)
margin = (inner_products[on_subset].min() - inner_products[~on_subset].max()).item()
spread = (inner_products[on_subset].max() - inner_products[on_subset].min()).item()

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-inner-products", "caption": "One query against all keys. Top: the inner products of the certificate with the keys; those of the subset are equal, all others lie at least the margin 1 below. Bottom: the attention weights that follow, on a logarithmic scale."}, "image": {"alt": "Two scatter plots over token positions. Top: the subset's tokens lie on one horizontal line, all other tokens scatter around zero below a dashed line one unit lower. Bottom: the subset's tokens have weight one over q, all others have weights many orders of magnitude smaller."}}
positions, chosen = np.arange(num_tokens), on_subset.cpu().numpy()
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 6.2), sharex=True)
for axes, numbers in ((top, inner_products), (bottom, attention[0, 0])):
    heights = numbers.cpu().numpy()
    for kept, marker, size, color, label in (
        (~chosen, "o", 3, figures.BLUE, "off the subset"),
        (chosen, "D", 6, figures.ORANGE, "on the subset"),
    ):
        axes.plot(positions[kept], heights[kept], marker, markersize=size, color=color, label=label)
level = inner_products[on_subset].min().item()
top.axhspan(level - 1, level, color=figures.GREY, alpha=0.12, linewidth=0)
figures.reference_line(top, level - 1)
top.annotate("margin", (num_tokens * 0.02, level - 0.5), color=figures.GREY, va="center")
top.set(ylabel=r"inner product $\langle u_j, w_y\rangle$")
bottom.set(xlabel="token $j$", ylabel="attention weight $p_j$", yscale="log")
figures.reference_line(bottom, 1 / sparsity, "$1/q$")
top.legend(loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=2)
plt.show()

# %% [markdown]
# ### The exact error
#
# :::{prf:lemma} (error of a certificate, ours)
# :label: lem-error-bound
#
# Let $q<N$, let the scores on $y$ be $\alpha c$ and all others at most $\alpha(c-\gamma)$, with $\alpha\ge0$, and let each score be off
# by at most $\delta\ge0$, through rounding for example. With
# $\tau_\delta=\big(1+\tfrac{q}{N-q}\,e^{\alpha\gamma-2\delta}\big)^{-1}$ the error of the output is at most
#
# ```{math}
# :label: eq-error-bound
# (1-\tau_\delta)\cdot2\tanh(\delta/2)\cdot[q\ge2]\;+\;2\tau_\delta .
# ```
#
# For $\delta=0$ it is $2\tau_0$, attained when all scores off $y$ equal $\alpha(c-\gamma)$; solved for $\alpha$,
# $\alpha=\max\big(0,\tfrac1\gamma\ln\big((\tfrac2\eps-1)\tfrac{N-q}q\big)\big)$ gives an error of at most $\eps$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Write $t$ for the weight that the row $p$ puts off $y$, and $p^y$ for $p$ restricted to $y$ and scaled to sum 1. Then
# $\norm{p-u_y}_1\le(1-t)\norm{p^y-u_y}_1+2t$: on $y$ we have $p-u_y=(1-t)(p^y-u_y)-t\,u_y$, and off $y$ the weight is $t$.
#
# *The tail.* A token of $y$ has a score of at least $\alpha c-\delta$, another one of at most $\alpha(c-\gamma)+\delta$, so
# that $\frac{1-t}{t}\ge\frac{q}{N-q}e^{\alpha\gamma-2\delta}$, that is $t\le\tau_\delta$.
#
# *Within $y$.* $p^y$ is the uniform distribution tilted by factors in $[e^{-\delta},e^{\delta}]$. Let a set $A$ have the
# uniform weight $a$; the tilt that favours $A$ most gives it $\frac{ae^{\delta}}{ae^{\delta}+(1-a)e^{-\delta}}$, and the excess over $a$ is
# largest for $a=\frac{1}{1+e^{\delta}}$, where it is $\tanh(\delta/2)$. The $\ell_1$-distance is twice that, and zero when $q=1$.
#
# *Together.* $(1-t)D+2t$ with $D\le2$ does not decrease in $t$, so $t$ may be replaced by $\tau_\delta$. $\blacksquare$
# :::
#
# The unit takes $\alpha$ so that half of $\eps$ is left for rounding: {eq}`eq-error-bound` is at most $\eps$ for every
# $\delta\le\eps/2$. We measure the worst error over all values ({prf:ref}`lem-worst-error`) on **every** subset of every size at
# small $N$, and on random ones up to the largest.

# %% tags=["hide-input"]
exhaustive = []
for tokens in range(2, largest_exhaustive + 1):
    for ones in range(1, tokens + 1):
        task = SparseAveraging(tokens, ones, 1)
        small = fixed_precision_unit(task, accuracy, generator=generator).double().to(device)
        values, pointers = (part.to(device) for part in task.subset_inputs(dtype=torch.float64))
        weights = small.attend(SparseAveragingInputs(values, pointers)).attention
        error = worst_case_error(weights, pointers).max().item()
        bound = error_bound(tokens, ones, small.scale)
        exhaustive.append((tokens, ones, len(pointers), error, bound))
exhaustive = pd.DataFrame(exhaustive, columns=["N", "q", "subsets", "error", "bound"])
exhaustive_count = int(exhaustive["subsets"].sum())
exhaustive_excess = (exhaustive["error"] - exhaustive["bound"]).max()

# %% tags=["hide-input"]
random_rows = []
for tokens, target in progress(list(product(token_grid, accuracy_grid)), "random inputs"):
    if sparsity >= tokens:
        continue
    task = SparseAveraging(tokens, sparsity, value_dim)
    large = fixed_precision_unit(task, target, generator=generator).double().to(device)
    sample = task.sample(
        max(1, 512 // tokens), generator=generator, device=device, dtype=torch.float64
    )
    attended = large.attend(sample)
    error = (attended.output - task.target(sample)).norm(dim=-1).max().item()
    worst = worst_case_error(attended.attention, sample.pointers).max().item()
    bound = error_bound(tokens, sparsity, large.scale)
    random_rows.append((tokens, target, large.embed_dim, large.scale, error, worst, bound))
random_rows = pd.DataFrame(
    random_rows, columns=["N", "ε", "k", "α", "error on this input", "worst error", "bound"]
)
random_excess = (random_rows["worst error"] - random_rows["bound"]).max()
accuracy_ratio = max(
    (random_rows["worst error"] / random_rows["ε"]).max(), exhaustive["error"].max() / accuracy
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-errors", "caption": "Measured error against the bound. Top: the worst error over all values, largest over every subset of every size, at small N. Bottom: random inputs; full markers are the worst error over all values, hollow ones the error on the values drawn. Dashed: ε at the top; at the bottom the bound for the unit's α with exact scores."}, "image": {"alt": "Two plots of error on a logarithmic scale. Top: worst errors for all small N and q lie on or below the dashed line of ε. Bottom: for each accuracy, the worst error stays below a dashed bound for all N up to the largest, and the error on random values is smaller still."}}
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 6.8))
inside = exhaustive[exhaustive["q"] < exhaustive["N"]]
shades = figures.shades(sorted(inside["N"].unique()))
sns.scatterplot(inside, x="q", y="error", hue="N", palette=shades, ax=top, s=22, linewidth=0)
figures.reference_line(top, accuracy, r"$\varepsilon$")
top.set(yscale="log", ylabel="worst error", xlabel="$q$", xticks=range(1, largest_exhaustive, 2))
top.legend(title="$N$", loc="center left", bbox_to_anchor=(1, 0.5), fontsize=11)
top.set_title("every subset, the worst values", fontsize=11)
for target, rows in random_rows.groupby("ε", sort=False):
    style = {"color": SHADES[target], "markersize": 5}
    bottom.plot(rows["N"], rows["worst error"], "o-", label=f"{target:g}", **style)
    bottom.plot(rows["N"], rows["error on this input"], "o", markerfacecolor="white", **style)
    bottom.plot(rows["N"], rows["bound"], "--", color=SHADES[target], linewidth=1)
bottom.set(xscale="log", yscale="log", xlabel="$N$", ylabel="error")
bottom.set_xticks(token_grid, labels=map(str, token_grid))
bottom.xaxis.set_minor_locator(plt.NullLocator())
bottom.set_title("full: worst values; hollow: values drawn; dashed: bound", fontsize=11)
bottom.legend(title=r"$\varepsilon$", loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% tags=["hide-input"]
display(
    random_rows.set_index(["N", "ε"])
    .style.format("{:.3g}", subset=["α", "error on this input", "worst error", "bound"])
    .format_index("{:g}", level=1)
)

# %% [markdown]
# ### How many key dimensions
#
# For a random subset, an outsider's inner product with the minimum-norm $w_y$ is close to a normal variable of variance
# $q/(k-q)$. For all but one subset in a thousand, all $N-q$ outsiders stay below $\tfrac12$ when
#
# ```{math}
# :label: eq-predicted-k
# k\approx q\,(1+4z^2),\qquad z=\Phi^{-1}\Big(1-\frac{10^{-3}}{N-q}\Big).
# ```
#
# We search for the smallest $k$ at which at most one random subset in a thousand misses the margin $\tfrac12$.

# %% tags=["hide-input"]
grid = [
    (tokens, ones) for tokens, ones in product(token_grid, sparsity_grid) if ones <= tokens // 2
]
growth = []
for tokens, ones in progress(grid, "key dimensions"):
    draw = torch.Generator(device=device).manual_seed(seed)
    smallest = smallest_embed_dim(tokens, ones, num_subsets=num_subsets, generator=draw)
    growth.append((tokens, ones, smallest, predicted_embed_dim(tokens, ones)))
growth = pd.DataFrame(growth, columns=["N", "q", "k", "predicted"])
growth["ratio"] = growth["k"] / growth["predicted"]
growth["q ln N"] = growth["q"] * np.log(growth["N"])
rate = float((growth["k"] * growth["q ln N"]).sum() / (growth["q ln N"] ** 2).sum())
# The prediction is one of large N: it leaves out that few outsiders are not normal, and that q = 1 has
# nothing to invert.
asymptotic = growth[(growth["N"] >= 128) & (growth["q"] >= 2)]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-key-dimensions", "caption": "The smallest key dimension k at which 99.9 % of random subsets have the margin 1/2. Top: against the prediction q(1 + 4z²), with the diagonal. Bottom: against q ln N, with the least-squares line through the origin."}, "image": {"alt": "Two logarithmic scatter plots of the smallest key dimension found. Top: the points follow the diagonal, measured equals predicted. Bottom: the points follow a straight line in q times the logarithm of N."}}
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 7.4))
shades = figures.shades(sorted(growth["N"].unique()))
for axes, x in ((top, "predicted"), (bottom, "q ln N")):
    for (size, color), (_, rows) in zip(shades.items(), growth.groupby("N"), strict=True):
        axes.plot(rows[x], rows["k"], "o", color=color, markersize=6, label=f"{size}")
    axes.set(xscale="log", yscale="log", ylabel="smallest $k$")
ends = np.array([growth["predicted"].min(), growth["predicted"].max()])
top.plot(ends, ends, **figures.REFERENCE)
top.set(xlabel="$q\\,(1+4z^2)$")
ends = np.array([growth["q ln N"].min(), growth["q ln N"].max()])
bottom.plot(ends, rate * ends, **figures.REFERENCE)
bottom.annotate(f"$k={rate:.1f}\\,q\\ln N$", (ends[0], rate * ends[1] * 0.7), color=figures.GREY)
bottom.set(xlabel="$q\\,\\ln N$")
bottom.legend(title="$N$", loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% tags=["hide-input"]
by_size = growth.pivot_table(index="N", columns="q")
figures.table(by_size["k"], "{:.0f}", "Smallest k")
figures.table(by_size["ratio"], "{:.2f}", "Measured over predicted")

# %% [markdown]
# ### All subsets, and the hardest ones
#
# The theorem speaks of *every* subset, and random subsets hide the hard ones. For an outsider $j$ take the $q$ keys that
# correlate most with $u_j$: minimum norm pulls $j$ up with them. At $k=\lceil13\,q\ln N\rceil$ almost all random subsets
# are fine, while most of these *adversarial* subsets fail. The
# maximum-margin certificate serves them too: in every case below it exists for all subsets at $k=\lceil4\,q\ln N\rceil$, and it is
# short, $\norm{w}\le4.1\sqrt q$ in units where keys have length 1. At the smallest $N$ two keys may happen to be equal, and then
# some subsets have no certificate at all.

# %% tags=["hide-input"]
wide = random_sign_keys(num_tokens, unit.embed_dim, generator=generator).to(device)
gram = gram_matrix(wide)
kinds = {
    "random": random_subsets(num_tokens, sparsity, num_subsets, generator=generator).to(device),
    "adversarial": adversarial_subsets(gram, sparsity),
}
outside = {
    kind: minimum_norm_certificates(gram, subsets).outside.cpu() for kind, subsets in kinds.items()
}
missing = {kind: int((largest > 0.5).sum()) for kind, largest in outside.items()}

narrow = random_sign_keys(num_tokens, narrow_embed_dim(num_tokens, sparsity), generator=generator)
hard = torch.cat([adversarial_subsets(gram_matrix(narrow), sparsity), kinds["random"][:100].cpu()])
without_certificate = int((~maximum_margin_certificates(narrow, hard).exists).sum())

# %% tags=["hide-input"]
every_subset = []
shapes = [(16, 1), (16, 2), (16, 3), (32, 2), (64, 1), (64, 2)]
for tokens, ones in progress(shapes, "maximum margin"):
    k = narrow_embed_dim(tokens, ones)
    keys = random_sign_keys(tokens, k, generator=torch.Generator().manual_seed(seed))
    found = maximum_margin_certificates(keys, SparseAveraging(tokens, ones, 1).subsets())
    # Keys of length 1 instead of √k make a certificate √k times as long.
    longest = found.directions[found.exists].norm(dim=1).max().item() * math.sqrt(k / ones)
    missed = int((~found.exists).sum())
    every_subset.append((tokens, ones, k, len(found.exists), missed, longest))
every_subset = pd.DataFrame(
    every_subset, columns=["N", "q", "k", "subsets", "without certificate", "longest ‖w‖/√q"]
).set_index(["N", "q"])
figures.table(every_subset, {"longest ‖w‖/√q": "{:.2f}"})

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-adversarial", "caption": "The largest inner product with an outsider under minimum norm, whose inner product on the subset is 1. Nearly all random subsets stay below 1/2; most subsets chosen against one outsider do not."}, "image": {"alt": "Two histograms over the largest outside inner product. The histogram of random subsets lies left of a dashed line at one half, most of the histogram of adversarial subsets lies right of it."}}
fig, axes = plt.subplots(figsize=(6.4, 3.2))
bins = np.linspace(
    min(x.min().item() for x in outside.values()), max(x.max().item() for x in outside.values()), 45
)
for (kind, largest), color in zip(outside.items(), (figures.BLUE, figures.ORANGE), strict=True):
    axes.hist(
        largest.numpy(), bins=bins, density=True, color=color, alpha=0.75, label=f"{kind} subsets"
    )
axes.axvline(0.5, **figures.REFERENCE)
axes.set(xlabel=r"$\max_{j\notin y}\,\langle u_j, w_y\rangle$", ylabel="density")
axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
plt.show()

# %% [markdown]
# ### How many bits
#
# Keys are signs, so only the queries need rounding. In $p$-bit fixed point with $f$ fractional bits a score moves by at most
# $\delta=k2^{-f-1}$, so that $f=\lceil\log_2(k/\eps)\rceil$ keeps $\delta\le\eps/2$, and {prf:ref}`lem-error-bound` does the
# rest: that many bits are enough, with proof. We also search for the least $p$ that keeps the worst error within $\eps$ on
# random subsets, and set it beside the theorem's $\log_2\!\big(\tfrac q\eps\ln N\big)$.

# %% tags=["hide-input"]
MINIMUM_NORM, MAXIMUM_MARGIN = ("minimum norm, k = ⌈13 q ln N⌉", "maximum margin, k = ⌈4 q ln N⌉")
LOGARITHM = "log₂((q/ε) ln N)"
bits = []
for tokens, ones in progress([(n, q) for n, q in grid if n <= 1024 and q <= 16], "bits"):
    subsets = random_subsets(tokens, ones, 60, generator=generator).to(device)
    sources = {MINIMUM_NORM: (certify, default_embed_dim(tokens, ones))}
    if tokens <= 256:  # one least-squares problem for each subset
        sources[MAXIMUM_MARGIN] = (maximum_margin_certificates, narrow_embed_dim(tokens, ones))
    for certificate, (find, k) in sources.items():
        while True:
            keys = random_sign_keys(tokens, k, generator=generator).to(device)
            directions = find(keys, subsets).directions
            if not directions.isnan().any():  # at tiny N two keys may be equal
                break
        for target in accuracy_grid:
            least = smallest_query_format(keys, directions, subsets, target).bits
            proved = sufficient_format(tokens, ones, k, target).bits
            logarithm = math.log2(ones / target * math.log(tokens))
            bits.append((certificate, tokens, ones, target, least, proved, logarithm))
bits = pd.DataFrame(bits, columns=["certificate", "N", "q", "ε", "p", "enough, proved", LOGARITHM])
bits_excess = int((bits["p"] - np.ceil(bits[LOGARITHM])).max())
# Minimum norm weighs both keys of a pair alike, so that rounding keeps their scores equal.
several = bits[bits["q"] >= np.where(bits["certificate"] == MINIMUM_NORM, 3, 2)]
single_bits = int(bits.loc[bits["q"] == 1, "p"].max()) if (bits["q"] == 1).any() else 0

# %% [markdown]
# A unit with exactly the bits that are proved to be enough, run on every subset:

# %% tags=["hide-input"]
rounded_excess = -math.inf
for tokens, ones in [(8, 1), (8, 3), (12, 2), (12, 5)]:
    task = SparseAveraging(tokens, ones, 1)
    form = sufficient_format(tokens, ones, default_embed_dim(tokens, ones), accuracy)
    rounded = fixed_precision_unit(task, accuracy, generator=generator, bits=form.bits).double()
    subsets = task.subsets()
    queries = rounded.queries(subsets.unsqueeze(1))[:, 0]
    weights = torch.softmax(queries @ rounded.keys.T, dim=-1)
    rounded_excess = max(rounded_excess, worst_case_error(weights, subsets).max().item() - accuracy)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-bits", "caption": "The least query bits p that keep the worst error of 60 random subsets within ε, against log₂((q/ε) ln N). Hollow: q = 1. The lines are x and x + 3."}, "image": {"alt": "Two scatter plots of bits against the theorem's logarithm, one for each kind of certificate. Most points rise with slope about one between two parallel lines. Points for q equal to one stay flat near the bottom, and under minimum norm so do most points for q equal to two."}}
fig, panels = plt.subplots(2, 1, figsize=(6.4, 7.4), sharex=True, sharey=True)
ends = np.array([bits[LOGARITHM].min(), bits[LOGARITHM].max()])
for axes, (certificate, part) in zip(panels, bits.groupby("certificate", sort=False), strict=False):
    for (target, single), rows in part.groupby(["ε", part["q"] == 1], sort=False):
        color = SHADES[target]
        face, label = ("white", None) if single else (color, f"{target:g}")
        style = {"color": color, "markerfacecolor": face, "markersize": 6}
        axes.plot(rows[LOGARITHM], rows["p"], "o", label=label, **style)
    axes.plot(ends, ends, "-", color=figures.GREY, linewidth=1)
    axes.plot(ends, ends + 3, **figures.REFERENCE)
    beside = {
        "xytext": (4, 0),
        "textcoords": "offset points",
        "color": figures.GREY,
        "va": "center",
    }
    for shift, name in ((0, "$x$"), (3, "$x+3$")):
        axes.annotate(name, (ends[1], ends[1] + shift), **beside)
    axes.set(
        title=certificate, ylabel="least bits $p$", yticks=range(2, int(bits["p"].max()) + 3, 3)
    )
panels[-1].set(xlabel=r"$\log_2\left(\frac{q}{\varepsilon}\,\ln N\right)$")
panels[0].legend(title=r"$\varepsilon$", loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% tags=["hide-input"]
enough = bits[bits["certificate"] == MINIMUM_NORM].assign(
    certificate="proved to be enough", p=bits["enough, proved"]
)
summary = pd.concat([bits, enough]).pivot_table(
    index=["N", "q"], columns=["certificate", "ε"], values="p", sort=False
)
display(
    summary.style.format("{:.0f}", na_rep="–")
    .format_index("{:g}", axis=1, level=1)
    .set_caption("Least bits p found, and bits that are proved to be enough at k = ⌈13 q ln N⌉")
)

# %% [markdown]
# For $q=1$ there is no equality among the tokens of $y$ to keep: a score that is off by $\delta$ costs nothing in the first
# part of {eq}`eq-error-bound`, and in the second a longer query makes up for it. That is why a few bits are enough, whatever $\eps$.
# For $q=2$ minimum norm keeps the equality by symmetry: its two coefficients are the same, every coordinate of $w_y$ is $0$ or
# $\pm2a$, and rounding multiplies them all by one factor. There few bits are enough too, unless one of the 60 subsets falls back on maximum margin.
# Everywhere else each halving of $\eps$ costs one bit.
#
# ### Number formats side by side
#
# Here the same unit runs in float64, float32 and bfloat16. The score error $\delta$ is measured against float64, and the worst
# error is compared with both forms of the bound: $2\tau_0$, which ignores rounding, and {eq}`eq-error-bound`, which counts it.

# %% tags=["hide-input"]
formats = []
for target in accuracy_grid:
    keys = random_sign_keys(num_tokens, unit.embed_dim, generator=generator).to(device)
    subsets = random_subsets(num_tokens, sparsity, 500, generator=generator).to(device)
    scale = softmax_scale(num_tokens, sparsity, target)  # nothing left for rounding
    queries = scale * certify(keys, subsets).directions
    exact = queries @ keys.double().T
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        scores = queries.to(dtype) @ keys.to(dtype).T
        weights = torch.softmax(scores, dim=-1)
        worst = worst_case_error(weights, subsets).max().item()
        score_error = (scores.double() - exact).abs().max().item()
        bound = error_bound(num_tokens, sparsity, scale)
        # A weight itself is rounded to the format: by a share of at most eps/2 each, and they sum to 1.
        counted = error_bound(num_tokens, sparsity, scale, score_error=score_error)
        counted += torch.finfo(dtype).eps / 2
        name = str(dtype).removeprefix("torch.")
        formats.append((target, name, score_error, worst, bound, counted))
formats = pd.DataFrame(formats, columns=["ε", "format", "δ", "worst error", "2τ₀", "with δ"])
display(formats.set_index(["ε", "format"]).style.format("{:.2e}").format_index("{:g}", level=0))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-formats", "caption": "The worst error of the same unit in three number formats. The line is 2τ₀, which equals ε here; the caps are the bound that counts the measured score error δ."}, "image": {"alt": "Three groups of markers for accuracies 0.1, 0.01 and 0.001. float64 and float32 stay below the line error equals epsilon; bfloat16 rises above it at the two smaller accuracies, but stays below the caps of the bound that counts its score error."}}
fig, axes = plt.subplots(figsize=(6.4, 3.8))
offsets = {"float64": 0.8, "float32": 1.0, "bfloat16": 1.25}
for (name, shift), color in zip(
    offsets.items(), (figures.BLUE, figures.GREEN, figures.ORANGE), strict=True
):
    rows = formats[formats["format"] == name]
    axes.plot(rows["ε"] * shift, rows["worst error"], "o", color=color, label=name, markersize=7)
    axes.plot(rows["ε"] * shift, rows["with δ"], "_", color=color, markersize=16, markeredgewidth=2)
ends = np.array([min(accuracy_grid) * 0.6, max(accuracy_grid) * 1.6])
axes.plot(ends, ends, **figures.REFERENCE)
axes.set(xscale="log", yscale="log", xlabel=r"$\varepsilon$ aimed at", ylabel="worst error")
axes.text(0.7 * ends.mean(), ends.mean(), r"error $=\varepsilon$", color=figures.GREY, ha="right")
axes.legend()
plt.show()

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("thm-2.margin", margin, ">=", 1.0, tolerance=1e-7, note="rounding of a float64 solve", source="P",
    statement=f"The certificate drawn above has margin 1 (N = {num_tokens}, q = {sparsity}).")
claim("thm-2.equal-on-subset", spread, "<=", 0.0, tolerance=1e-7, note="rounding of a float64 solve", source="P",
    statement="Its inner products on the subset are all the same.")
claim("thm-2.error", output_error, "<=", accuracy, source="P",
    statement="The unit's output is within ε of sparse averaging on a random input.")
claim("thm-2.subsets-checked", exhaustive_count, "==", 2 ** (largest_exhaustive + 1) - 4 - (largest_exhaustive - 1),
    statement=f"Every non-empty subset for N = 2 … {largest_exhaustive} was checked: the sum of $2^N-1$.")
claim("thm-2.accuracy", accuracy_ratio, "<=", 1.0, tolerance=1e-6, note="float64 softmax, as a share of ε", source="P",
    statement="The unit is within ε whatever the values: worst error over ε, every subset at small N, random ones at large N.")
claim("thm-2.exact-bound", max(exhaustive_excess, random_excess), "<=", 0.0, tolerance=1e-9, note="float64 softmax",
    statement=r"The same worst errors never pass the exact bound $2\tau_0$ for the unit's α: largest error minus bound.")
if len(asymptotic):
    observed("thm-2.k-at-least-predicted", asymptotic["ratio"].min(), ">=", 0.85,
        note="bisection to 1/60 and sampling of the 99.9 % quantile",
        statement=r"The smallest k is not far below the prediction $q(1+4z^2)$: their ratio, least over N ≥ 128 and q ≥ 2.")
    observed("thm-2.k-at-most-predicted", asymptotic["ratio"].max(), "<=", 1.15,
        note="bisection to 1/60 and sampling of the 99.9 % quantile",
        statement=r"The smallest k is not far above the prediction $q(1+4z^2)$: their ratio, largest over N ≥ 128 and q ≥ 2.")
observed("thm-2.k-rate", rate, "<=", 17.0,
    statement="The smallest k grows like q ln N: slope of the line through the origin.")
observed("thm-2.adversarial-fail", missing["adversarial"], ">=", num_tokens // 2,
    statement=f"Most adversarial subsets miss the margin under minimum norm at k = ⌈13 q ln N⌉: how many of {num_tokens}.")
observed("thm-2.random-pass", missing["random"] / num_subsets, "<=", 0.02,
    statement="Almost all random subsets have the margin under minimum norm, same keys: share that misses it.")
observed("thm-2.maximum-margin", without_certificate + int(every_subset["without certificate"].sum()), "==", 0,
    statement="All have a maximum-margin certificate at k = ⌈4 q ln N⌉. No exception among adversarial and random subsets at "
    f"N = {num_tokens}, and all {every_subset['subsets'].sum()} subsets of the table.")
observed("thm-2.short-certificates", every_subset["longest ‖w‖/√q"].max(), "<=", 4.1,
    statement=r"Maximum-margin certificates are short: the longest over $\sqrt q$, all subsets of the table.")
claim("thm-2.proved-bits", rounded_excess, "<=", 0.0,
    statement=r"With $\lceil\log_2(k/\varepsilon)\rceil$ fractional bits the worst error stays within ε: the error minus ε, over "
    "every subset at four small sizes.")
observed("thm-2.bits", bits_excess, "<=", 3,
    statement=r"Three bits more than the theorem's logarithm are enough: the least p found minus "
    r"$\lceil\log_2(\frac q\varepsilon\ln N)\rceil$, largest over the grid.")
if len(several) and len(accuracy_grid) > 1:
    # Slope of p in log₂(1/ε), one intercept for each (certificate, N, q).
    groups = several.assign(x=np.log2(1 / several["ε"])).groupby(["certificate", "N", "q"])
    centred = groups[["x", "p"]].transform(lambda column: column - column.mean())
    slope = float((centred["x"] * centred["p"]).sum() / (centred["x"] ** 2).sum())
    observed("thm-2.bits-slope", abs(slope - 1), "<=", 0.15, note="p is an integer, ε spans two decades",
        statement=f"Each halving of ε costs one bit: slope of p in log₂(1/ε) is {slope:.2f} (q ≥ 2 under maximum "
        "margin, q ≥ 3 under minimum norm).")
observed("thm-2.bits-for-one", single_bits, "<=", 6,
    statement="For q = 1 the least p stays small whatever ε: the largest of them.")
full = formats[formats["format"] != "bfloat16"]
half = formats[formats["format"] == "bfloat16"]
observed("thm-2.float-formats", (full["worst error"] - full["2τ₀"]).max(), "<=", 0.0,
    statement=r"float64 and float32 stay within $2\tau_0$, though it ignores rounding: worst error minus bound.")
observed("thm-2.bfloat16-breaks", (half["worst error"] - half["2τ₀"]).max(), ">", 0.0,
    statement=r"bfloat16 passes $2\tau_0$ for some ε: worst error minus bound.")
claim("thm-2.rounding-bound", (formats["worst error"] - formats["with δ"]).max(), "<=", 0.0,
    tolerance=num_tokens * 2.0**-23, note="float32's sum of N weights, a rounding step each",
    statement="All three formats stay within the bound that counts the measured score error δ: worst error minus bound.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That $q\log N$ dimensions are needed.* Nothing here is a lower bound; with unlimited precision fewer dimensions do.
# * *That training finds this unit.* [Learned attention](learned-attention.py) is another page.
# * *Certificates for all subsets at large $N$.* There we check random and adversarial subsets. We know of no
#   cheap proof that all subsets have one at $k\approx q\log N$; the coherence of the keys, the largest inner product in size of
#   two of them, gives such a proof, but only from an order of $q^2\log N$ dimensions on.
# * *The cost of the token-wise map.* Finding $w_{y}$ is a linear system or a least-squares problem for each token; the
#   theorem counts dimensions and bits of the attention, not that work.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-uniform-alpha
#
# For which $N$, $q$ and $\eps$ is $\alpha=0$, so that uniform attention is accurate enough without any key?
# :::
#
# :::{solution} ex-uniform-alpha
# :class: dropdown
#
# Uniform attention puts the weight $(N-q)/N$ off $y$, so its worst error is $2(N-q)/N$. This is at most $\eps$ when
# $q\ge(1-\eps/2)N$; there $(\tfrac2\eps-1)\tfrac{N-q}q\le1$, and the logarithm in {prf:ref}`lem-error-bound` is not positive.
# :::
#
# :::{exercise}
# :label: ex-simplex-keys
#
# Take the unit vectors of $\R^N$ as keys. Find $w_y$ with margin 1, and show that the bound $2\tau_0$ is attained.
# :::
#
# :::{solution} ex-simplex-keys
# :class: dropdown
#
# $w_y=\sum_{j\in y}e_j$ has the inner product 1 on $y$ and 0 off it. All scores off $y$ are equal, so the weight off $y$ is
# exactly $\tau_0$, and the error of the lemma is $2\tau_0$: weight $\tau_0$ is missing on $y$ and stands off it.
# :::
#
# :::{exercise}
# :label: ex-run-it
#
# Run this page with $q=1$ and $\eps=10^{-6}$:
# `attention-limits run thm-2-fixed-precision -p sparsity=1 -p accuracy=1e-6`. Which part of {eq}`eq-error-bound` vanishes?
# :::
#
# :::{solution} ex-run-it
# :class: dropdown
#
# The first: a single token has nobody to share its weight with. With exact scores it would vanish for every $q$, as $\tanh0=0$; with rounded ones
# only for $q=1$, where $2\tau_\delta$ is all that is left.
# :::
#
# ## Reference
#
# The theorem and its construction are from {cite}`sanford2023representational`. Ours are: {prf:ref}`lem-worst-error`, the
# exact constants and the treatment of rounding in {prf:ref}`lem-error-bound`, the prediction {eq}`eq-predicted-k`, the
# maximum-margin certificate, and all measurements.
