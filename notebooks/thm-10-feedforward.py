# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Theorem 10: feed-forward networks need width N
#
# **The question.** A fully-connected network sees all tokens at once. How wide must its first layer be before the layers
# after it, however many and however large, can average any $q$ tokens that the input names?
#
# **In one paragraph.** Let four tokens have one number each, and let the first layer have three units, which read
# $z_1+z_2$, $z_2+z_3$ and $z_3+z_4$. The values $1,-1,1,-1$ leave three zeros there, and so do $-1,1,-1,1$
# ({numref}`fig-forgotten`). Now let the pointers ask for tokens 1 and 3. The right answers are $1$ and $-1$, but **what the first layer forgets, no
# later layer can recall**: the network has one answer for both, and it is off by at least 1 on one of them. Any three units forget
# some direction, as three linear equations in four unknowns have a solution other than 0. And since pointers are part of the input, they can
# be chosen last, so that the forgotten direction is asked for. So a unit is needed for each number.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-forgotten", "caption": "Three units can't hold four numbers. Left: the values z (top) and −z (bottom) of four tokens; the orange ones are asked for, and the line is their mean. Both leave 0, 0, 0 on the three units of the first layer, so that all later layers give one answer, whatever they are."}, "image": {"alt": "Left: two bar charts of four bars, up, down, up, down and their mirror image; first and third bar are orange. An arrow leads from each to one box of three units that hold 0, 0, 0, and one arrow from there to the words: one answer. The means asked for are 1 and minus 1."}}
import matplotlib.pyplot as plt
import torch

from attention_limits import figures
from attention_limits.bounds.rank import find_collision
from attention_limits.problems.sparse_averaging import SparseAveraging

figures.use_style()
units = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
pair = find_collision(SparseAveraging(4, 2, 1), units)
z = torch.tensor([float(row[0]) for row in pair.values])
asked_for = list(pair.subset)
z *= z[asked_for].mean().sign()
fig, axes = plt.subplots(figsize=(6.4, 3.4))
text = {"ha": "center", "va": "center", "fontsize": 13}
leads = {"arrowstyle": "-|>", "color": figures.GREY, "lw": 1.8}
colors = [figures.ORANGE if j in asked_for else figures.BLUE for j in range(4)]
for values, middle, name in ((z, 1.4, "$z$"), (-z, -1.4, "$-z$")):
    axes.bar(range(4), values, 0.8, middle, color=colors)
    axes.plot([-0.5, 3.5], [middle] * 2, color=figures.GREY, linewidth=1)
    mean = values[asked_for].mean().item()
    axes.plot([-0.5, 3.7], [middle + mean] * 2, color=figures.ORANGE, linewidth=2)
    axes.text(3.9, middle + mean, f"mean ${mean:g}$", color=figures.ORANGE, **text | {"ha": "left"})
    axes.text(-1.0, middle, name, **text | {"fontsize": 16})
    axes.annotate("", (6.3, 0.3 if middle > 0 else -0.3), (3.8, 0.75 * middle), arrowprops=leads)
for unit, reading in enumerate((units @ z.long()).tolist()):
    place = (6.9 + unit, 0)
    axes.plot(*place, "o", markersize=29, color=figures.GREY, markerfacecolor="none")
    axes.text(*place, reading, **text)
axes.text(7.9, 0.95, "first layer", **text)
axes.annotate("", (10.5, 0), (9.5, 0), arrowprops=leads)
axes.text(10.7, 0, "one answer\nfor both", **text | {"ha": "left"})
axes.set(xlim=(-1.4, 13.3), ylim=(-2.6, 2.6))
axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Rank and kernel of a matrix, means. A quarter of a minute on one core.
#
# **On this page.**
#
# * The paper's theorem: the first layer has a width of at least $Nd'/2$. [P] {prf:ref}`thm-feedforward`
# * The exact width is $Nd'$, for every error below $\frac1{2q-1}$; with one unit fewer the best network is off by just that much. [N] {prf:ref}`thm-feedforward-rank`
# * Pointers that are known in advance ask for the rank $Nd'$ too, if they are chosen well. [N] {prf:ref}`prop-fixed-pointers`
# * Trained networks have a pair of inputs that they cannot tell apart, read off their weights exactly ({numref}`fig-trained`). [N]
#
# ## The statement
#
# A *fully-connected network* is $f(X)=g(Wx+b)$. Here $x$ holds all coordinates of all tokens, values $z$ and pointers $y$ alike;
# the number of rows of $W$ is the *first-layer width*; and $g$, all later layers together, may be any function at all.
#
# :::{prf:theorem} 10 of the paper (feed-forward networks)
# :label: thm-feedforward
# :nonumber:
#
# Let $q\le N/2$. A fully-connected network that approximates $\qSA$ ({prf:ref}`def-sparse-averaging`) has a first-layer
# width of at least $Nd'/2$ {cite}`sanford2023representational`.
# :::
#
# The self-attention unit of [Theorem 2](thm-2-fixed-precision.py) grows with $q\log N$ instead. How accurate the approximation
# must be for the paper's bound is not known to us. Our own bound names the accuracy, doubles the width, and can't be improved:
#
# :::{prf:proposition} (the exact width, ours)
# :label: thm-feedforward-rank
#
# Let $1\le q<N$ and $d'\ge1$. Write $W_z$ for the $Nd'$ columns of $W$ that the values meet.
#
# 1. If $W_z$ has rank less than $Nd'$, then every network $g(Wx+b)$ is off by at least $\frac1{2q-1}$ on some input.
#    To $\eps$-approximate $\qSA$ with $\eps<\frac1{2q-1}$ therefore takes the first-layer width $Nd'$.
# 2. Some network of width $Nd'$ is right on every input.
# 3. Some network of width $Nd'-1$ is off by at most $\frac1{2q-1}$ on every input.
# :::
#
# ## The idea
#
# If $W_zz=0$ for some $z\ne0$, the values $z$ and the values $-z$ leave the
# same numbers on the first layer, under any pointers and any bias. The network gives both inputs one answer, while the right answers
# are $\qSA(z)$ and $-\qSA(z)$. One of them is missed by at least $\norm{\qSA(z)}$. We call such a pair a
# *collision*, and $\norm{\qSA(z)}$ the error that it *forces*.
#
# **Pointers come last.** The pointers are part of the input, so they may be chosen when $W$ and $z$ are known: we pick the $q$ tokens
# whose values point most in one direction. {numref}`fig-collision` shows such a pair.
#
# :::{prf:proof}
# :class: dropdown
#
# *Part 1.* Let $W_zz=0$ with $z\ne0$, scaled so that $\max_j\norm{z_j}=1$, attained at $j^*$. Put $c_j=\inner{z_j}{z_{j^*}}$, so that
# $c_{j^*}=1$ and $\abs{c_j}\le1$. If all tokens point to $y$, every output of $\qSA$ has a norm of at least
# $\tfrac1q\abs{\sum_{j\in y}c_j}$. Suppose that $\abs{\sum_{j\in y}c_j}<s$ for every $q$-subset $y$, and let $\mu$ be the mean of
# $c_j$ over the $N-1\ge q$ tokens $j\ne j^*$.
#
# * Some $q-1$ of these tokens have a sum of at least $(q-1)\mu$. With $j^*$ they make a $q$-subset, hence $1+(q-1)\mu<s$.
# * Some $q$ of them have a sum of at most $q\mu$, and it is more than $-s$, hence $\mu>-s/q$.
#
# Together $1<s+(q-1)s/q=s\,(2q-1)/q$, that is $s>\frac q{2q-1}$. For $s=\frac q{2q-1}$ the supposition is therefore false: some $y$ has
# $\norm{\qSA(z)}\ge\frac1{2q-1}$. Either sum is largest in size for the $q$ largest or for the $q$ smallest $c_j$, so one of these two is
# such a $y$. The inputs $(z,y)$ and $(-z,y)$ give the same $Wx+b$ and so the same answer $a$, and
# $\norm{a-\qSA(z)}+\norm{a+\qSA(z)}\ge2\norm{\qSA(z)}$. $\blacksquare$
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Part 2.* Let unit $(i,a)$ hold coordinate $a$ of $z_i$, and add $3\sum_{j\in y_i}2^{j}$ to unit $(i,1)$: a linear function of
# the pointers as zeros and ones. What the unit holds is within 1 of a multiple of 3. Rounding to that multiple gives
# the code of $y_i$, whose binary digits are $y_i$, and the rest is the value. Later layers then take the mean.
#
# *Part 3.* Let $v$ have $v_1=e_1$ and $v_j=-\frac1{2q-1}e_1$ for $j\ge2$. A $q$-subset with token 1 has the sum
# $1-\frac{q-1}{2q-1}=\frac q{2q-1}$ along $e_1$, one without it $-\frac q{2q-1}$: $\norm{\qSA(v)}=\frac1{2q-1}$ for *every* subset. The vector
# $\hat z=z-z_{1,1}v$ has a 0 at coordinate $(1,1)$. The other $Nd'-1$ coordinates are linear in $z$; let the units hold them, scaled by
# $2q-1$, and the codes beside them as before (with $4q+1$ for 3; for $d'=1$ one unit carries the
# codes of two tokens, in digits of its own for each). The network answers $\qSA(\hat z)$. This is off by $\abs{z_{1,1}}\,\norm{\qSA(v)}\le\frac1{2q-1}$. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 12  # N, tokens
sparsity: int = 3  # q, tokens that each token points to; below N
value_dim: int = 1  # d', coordinates of a value
seed: int = 0  # of every random draw on this page
num_layers: int = 50  # random first layers for each width and q; 100 were tried too
largest_program: int = 10  # N up to which linear programs find the least forced error
largest_rank: int = 30  # N up to which ranks and determinants are exact
largest_integer_width: int = 3  # all layers of −1, 0, 1 up to this width
num_seeds: int = 3  # trained networks
num_steps: int = 1000  # of training each, on fresh samples

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import ranges, require, usual_ranges

quick = {
    "num_layers": 10,
    "largest_program": 7,
    "largest_rank": 16,
    "largest_integer_width": 2,
    "num_seeds": 2,
    "num_steps": 100,
}
study = "attention_limits.experiments.studies.averaging:narrow_networks"

usual_ranges()
require(
    sparsity < num_tokens,
    f"sparsity q = {sparsity} makes all tokens ask for one mean: the bound needs q < N = {num_tokens}",
)
numbers = num_tokens * value_dim
require(numbers >= 3, f"N d' = {numbers} leaves no width below N d'/2: it must be at least 3")
ranges(num_tokens=(1, 32, "N digits beside a value in float64"))
require(numbers <= 64, f"N d' = {numbers} must be at most 64: the page computes in exact fractions")
ranges(
    num_layers=(1, 10_000),
    largest_program=(2, 11),  # a constraint for each subset, a program for each token
    largest_rank=(2, 64),
    largest_integer_width=(1, 3),  # 3^(width · N) layers
)

# %% [markdown]
# ## The construction
#
# ### A collision
#
# `find_collision` takes the matrix $W_z$ and returns the two inputs, or refuses when the rank is $Nd'$. For integers and fractions the kernel
# vector is computed exactly. For floats it is the last right singular vector, and "the same" means: the *pre-activations* $Wx+b$ of
# the two inputs differ by no more than rounding may move two sums of $n=Nd'$ terms in float64, $2\gamma\norm w\norm z$ on a unit with the
# row $w$, where $\gamma=nu/(1-nu)$ and $u=2^{-53}$. The subset is chosen in exact arithmetic in both cases.

# %% tags=["hide-input"]
import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import seaborn as sns

from attention_limits.bounds.pointers import (
    block_pointers,
    consecutive_pointers,
    fixed_forced_error,
    least_error,
    pointer_matrix,
)
from attention_limits.bounds.rank import as_fractions, hardest_rows, least_forced_error
from attention_limits.companion.claims import claim, observed
from attention_limits.companion.training import replayed
from attention_limits.constructions.feedforward import (
    exact_network,
    fixed_pointer_network,
    narrow_network,
)
from attention_limits.experiments.replay import alone
from attention_limits.experiments.studies.averaging import narrow_networks
from attention_limits.experiments.sweeps import Sweep
from attention_limits.experiments.trials import train_alone
from attention_limits.problems.sparse_averaging import SparseAveragingInputs
from attention_limits.runtime import progress, select_device

device = select_device()
generator = torch.Generator().manual_seed(seed)
problem = SparseAveraging(num_tokens, sparsity, value_dim)
size = num_tokens * value_dim
threshold = least_forced_error(problem)

# %%
layer = torch.randint(-9, 10, (size - 1, size), generator=generator)
collision = find_collision(problem, layer)
largest_entry = max(abs(x.numerator) for row in collision.values for x in row)
figures.prose(
    f"A first layer of width $Nd'-1={size - 1}$ with random digits as weights. Its kernel vector in "
    f"coprime integers has entries of up to {len(str(largest_entry))} digits, and $W_zz$ is 0 exactly. "
    f"When all tokens point to the {sparsity} tokens "
    f"{', '.join(str(j + 1) for j in collision.subset)}, the collision forces an error of "
    f"{collision.forced_error:.3f}; the theorem promises $1/(2q-1)={float(threshold):.3f}$."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-collision", "caption": "Two inputs that the first layer can't tell apart: the values z and −z, with all pointers on the orange tokens. The bars are the components along the longest value. The orange lines are the means that are asked for; the network has one answer for both."}, "image": {"alt": "Two bar charts over the tokens, the second the mirror image of the first. A few orange bars on one side of zero are the tokens that are pointed to, and an orange line marks their mean: above zero in one chart, equally far below zero in the other."}}
longest = max(collision.values, key=lambda row: sum(x * x for x in row))
inner = [sum(a * b for a, b in zip(row, longest, strict=True)) for row in collision.values]
components = np.array([float(x / collision.radius_squared) for x in inner])
fig, panels = plt.subplots(2, 1, figsize=(6.4, 5.2), sharex=True, sharey=True)
colors = [figures.ORANGE if j in collision.subset else figures.BLUE for j in range(num_tokens)]
for axes, sign, name in ((panels[0], 1, "$z$"), (panels[1], -1, "$-z$")):
    axes.bar(range(1, num_tokens + 1), sign * components, color=colors)
    mean = sign * components[list(collision.subset)].mean()
    axes.axhline(mean, color=figures.ORANGE, linewidth=1.5)
    axes.axhline(0, color=figures.GREY, linewidth=0.8)
    ticks = range(1, num_tokens + 1, max(1, num_tokens // 12))
    axes.set(title=f"values {name}", xticks=ticks, ylabel=r"$\langle z_j, z_{j^*}\rangle$")
    side = "bottom" if mean > 0 else "top"
    axes.text(0.5, mean, "mean asked for", color=figures.ORANGE, va=side)
panels[1].set_xlabel("token $j$")
plt.show()

# %% [markdown]
# ### How much is forced
#
# For $q\ge2$ random first layers force more than $\frac1{2q-1}$, and one missing unit is enough for that. (Of a kernel of many dimensions we take
# one vector, not the best.) One layer is the hardest for us, and the best of its width for whoever builds the network. Write $e_{j,a}$ for the row that
# reads coordinate $a$ of token $j$. The layer has the rows $e_{1,1}+(2q-1)\,e_{j,1}$ for $j\ge2$ and units of their own for all other
# coordinates. Its kernel is spanned by the $v$ of part 3, and it forces $\frac1{2q-1}$ exactly.

# %% tags=["hide-input"]
random_rows, widths = [], sorted({max(1, math.ceil(size / 2) - 1), size - 1})
for width, ones in progress(list(itertools.product(widths, range(1, num_tokens))), "random layers"):
    task = SparseAveraging(num_tokens, ones, value_dim)
    for number in range(num_layers):
        weights = torch.randn(width, size, generator=generator, dtype=torch.float64)
        found = find_collision(task, weights)
        row = {"width": width, "q": ones, "layer": number, "forced error": found.forced_error}
        row["over the threshold"] = found.forced_error / least_forced_error(task)
        pair = found.inputs().values.flatten(1)
        units = pair @ weights.T
        apart = (units[0] - units[1]).abs() / (weights.norm(dim=1) * pair[0].norm())
        row["difference"] = apart.max().item() / found.tolerance
        random_rows.append({**row, "holds": found.holds})
random_layers = pd.DataFrame(random_rows)

# %% tags=["hide-input"]
sharp, largest_sharp = 0, min(num_tokens, 12)
for tokens, dim in itertools.product(range(2, largest_sharp + 1), (1, 2, 3)):
    for ones in range(1, tokens):
        task = SparseAveraging(tokens, ones, dim)
        found = find_collision(task, hardest_rows(task))
        sharp += found.holds and found.forced_error_squared == Fraction(1, (2 * ones - 1) ** 2)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-forced-error", "caption": "The error that a collision forces, against q: random first layers of two widths, median and whole range, and the layers whose collisions force least. The line is 1/(2q−1)."}, "image": {"alt": "Two bands that fall as q grows, the one of the narrower layers and the one of width one below N d', overlap and lie above a falling line 1/(2q−1); diamonds lie on the line."}}
fig, axes = plt.subplots(figsize=(6.4, 3.8))
asked = np.arange(1, num_tokens)
for width, color in zip(widths, (figures.GREEN, figures.BLUE)[-len(widths) :], strict=True):
    rows = random_layers[random_layers["width"] == width]
    curves = rows.pivot(index="layer", columns="q", values="forced error").to_numpy()
    figures.band(axes, asked, curves, color, f"random, width {width}")
least, name = 1 / (2 * asked - 1), f"hardest, width {size - 1}"
axes.plot(asked, least, **figures.REFERENCE, label="$1/(2q-1)$")
axes.plot(asked, least, "D", color=figures.ORANGE, markersize=5, label=name)
axes.set(xlabel="$q$", ylabel="forced error", ylim=(0, 1.05))
axes.legend()
plt.show()

# %% [markdown]
# Is there a layer that forces less? Part 1 of {prf:ref}`thm-feedforward-rank` says no. A linear program says the same without our proof: over all $z$ with
# $\max_j\abs{z_j}=1$, it minimises the largest $\tfrac1q\abs{\sum_{j\in y}z_j}$ over **all** subsets $y$. We
# turn its primal and its dual solution into fractions and compute from them, exactly, an upper and a lower bound; they
# meet at $\frac1{2q-1}$. The lower bound for $d'=1$ carries over to every $d'$, since the proof needs the numbers $c_j$ only.

# %%
programs = {}
for tokens in progress(range(2, largest_program + 1), "linear programs"):
    for ones in range(1, tokens):
        subsets = SparseAveraging(tokens, ones, 1).subsets().tolist()
        programs[tokens, ones] = least_error(subsets, tokens)
met = sum(low == high == Fraction(1, 2 * ones - 1) for (_, ones), (low, high) in programs.items())

# %% [markdown]
# At the smallest sizes every first layer with entries $-1$, $0$ and $1$ can be tried, of every width up to $N$. A layer of full
# rank must be refused, all others must have a collision. The determinant, computed separately, tells which is which. The
# order and the signs of a layer's rows do not change its kernel, so that one layer is run for all that differ in nothing else.

# %% tags=["hide-input"]
integer_rows = []
for tokens in (2, 3):
    for width in range(1, min(tokens, largest_integer_width) + 1):
        row_choices = itertools.product((-1, 0, 1), repeat=tokens)
        alike = Counter(
            tuple(sorted(max(row, tuple(-x for x in row)) for row in rows))
            for rows in itertools.product(row_choices, repeat=width)
        )
        full_rank = torch.zeros(len(alike), dtype=bool)
        if width == tokens:
            full_rank = torch.linalg.det(torch.tensor(list(alike)).double()).abs() > 0.5
        for ones in range(1, tokens):
            task, collisions, refused = SparseAveraging(tokens, ones, 1), 0, 0
            for (rows, count), has_full_rank in zip(alike.items(), full_rank.tolist(), strict=True):
                try:
                    found = find_collision(task, rows)
                    same = found.holds and found.difference == 0
                    collisions += count * (same and not has_full_rank)
                except ValueError:
                    refused += count * has_full_rank
            row = {"N": tokens, "width": width, "q": ones, "layers": alike.total()}
            integer_rows.append({**row, "collisions": collisions, "refused": refused})
every_layer = pd.DataFrame(integer_rows).set_index(["N", "width", "q"])
figures.table(every_layer)

# %% [markdown]
# ### Width $Nd'$ is enough
#
# The networks of parts 2 and 3 are built by `exact_network` and `narrow_network`. We run them on **every** choice of pointers for $N\le4$
# with all values in $\{-1,0,1\}$ (the worst error of part 3 is attained there), and on random inputs with this page's parameters.


# %% tags=["hide-input"]
def largest_error(network, task, inputs):
    """The largest error of an output, in float64."""
    inputs = SparseAveragingInputs(*(part.to(device) for part in inputs))
    answers = network.double().to(device)(task.encode(inputs))
    return (answers - task.target(inputs)).norm(dim=-1).max().item()


sufficient_rows = []
for tokens, ones in [(2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3)]:
    task = SparseAveraging(tokens, ones, 1)
    inputs = task.all_inputs((-1.0, 0.0, 1.0), dtype=torch.float64)
    row = {"N": tokens, "q": ones, "d'": 1, "inputs": len(inputs.values)}
    for name, network in (("N d'", exact_network(task)), ("N d' − 1", narrow_network(task))):
        row[f"error, width {name}"] = largest_error(network, task, inputs)
        row[f"rounding, {name}"] = network.later.rounding_error(torch.float64)
    sufficient_rows.append({**row, "1/(2q−1)": 1 / (2 * ones - 1)})
sufficient = pd.DataFrame(sufficient_rows)
figures.table(
    sufficient.drop(columns=["rounding, N d'", "rounding, N d' − 1"]).set_index(["N", "q", "d'"]),
    {"error, width N d'": "{:.2g}"}
    | dict.fromkeys(["error, width N d' − 1", "1/(2q−1)"], "{:.6f}"),
)

# %%
exact = exact_network(problem)
sample = problem.sample(500, generator=generator, dtype=torch.float64)
exact_error = largest_error(exact, problem, sample)
exact_rounding = exact.later.rounding_error(torch.float64)
figures.prose(
    f"At $N={num_tokens}$, $q={sparsity}$, $d'={value_dim}$ the network of width {exact.width} is off "
    f"by at most {exact_error:.1e} on {len(sample.values)} random inputs, all of it rounding."
)

# %% [markdown]
# ### Pointers fixed in advance
#
# Must the pointers be chosen after $W$? Let token $i$ always point to the same set $y_i$, and let $A$ be the 0/1 matrix with the rows $y_i$. Then
# $\qSA$ is linear in the values, $\frac1qA$ on each coordinate, and the width $d'\operatorname{rank}A$ is enough: factor $A=BR$, let $R$ be
# the first layer and $\frac1qB$ the second. How large can the rank be, and what does a kernel vector force? For $N=4$ and $q=2$ let each
# token point to itself and the next one, the last to itself and token 1. The values $1,-1,1,-1$ then have the mean 0 everywhere, and the rank is 3.
# If instead each of tokens 1, 2 and 3 points to the other two of them, and token 4 to itself and token 1, all means are 0 only if all
# values are 0: the rank is 4.
#
# :::{prf:proposition} (fixed pointers, ours)
# :label: prop-fixed-pointers
#
# 1. If token $i$ points to $i,i+1,\dots,i+q-1$ modulo $N$, then $\operatorname{rank}A=N-\gcd(N,q)+1$.
# 2. Let $q<N$. Let the first $b(q+1)\le N$ tokens form $b\ge1$ blocks of $q+1$ tokens; each token of a block points to the
#    others of its block, and each token $i$ behind the blocks points to $i$ and to tokens $1,\dots,q-1$. Then
#    $\abs{\det A}=q^b$.
# 3. If $A$ has full rank and $W_z$ has rank less than $Nd'$, then every network is off by at least
#    $1/\norm{(A/q)^{-1}}_\infty$ on some values, and no larger number will do for every such $W_z$. For the pointers of 2 this is $\frac1{2q-1}$ if the blocks cover all tokens, and
#    $\frac1{4q-3}$ if not.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *1.* $A$ is a circulant. Its eigenvalues are $\lambda_k=\sum_{t<q}\omega^{kt}$ with $\omega=e^{2\pi\mathrm i/N}$ and $0\le k<N$: $q$ for $k=0$, else
# $(1-\omega^{kq})/(1-\omega^k)$, which is 0 if and only if $N$ divides $kq$, that is if $k$ is a multiple of $N/g$ with $g=\gcd(N,q)$.
# There are $g-1$ of these among $1,\dots,N-1$, and circulants are diagonalisable.
#
# *2.* $A$ is block triangular. Among the tokens of a block it is $J-I$ of size $q+1$ ($J$ all ones), with the eigenvalues $q$ (once) and $-1$
# ($q$ times); among the tokens behind the blocks it is the identity.
#
# *3.* As before $z$ and $-z$ collide. Let $B=(A/q)^{-1}$ and let $h$ be the largest norm of an output of $\qSA(z)$. Each $z_i$ is
# $\sum_jB_{ij}\qSA(z)_j$, so that $1=\max_i\norm{z_i}\le\norm B_\infty h$ with the largest absolute row sum $\norm B_\infty$. Equality is
# attained: take as outputs the signs of $B$'s row $i$ of largest sum, times $e_1/\norm B_\infty$; the values $v=B\,\qSA(v)$ then have
# $v_i=e_1$ and $\norm{v_j}\le1$. Let $v$ span the kernel of $W_z$. The network that answers $\qSA(z-z_{i,1}v)$ is a function
# of $W_zz$, and it is off by at most $\norm{\qSA(v)_j}=1/\norm B_\infty$.
#
# For a token of a block with outputs $a_j$ let $S$ be the sum of the block's values. Then $q\,a_i=S-z_i$ and, summed over the
# block, $\sum_ja_j=S$. So $z_i=\sum_ja_j-q\,a_i$: its row of $B$ has $q$ times the entry 1 and once $1-q$, in absolute value
# $2q-1$ together. For a token $i$ behind the blocks, $z_i=q\,a_i-\sum_{j<q}z_j=q\,a_i-(q-1)\sum_ja_j+q\sum_{j<q}a_j$ with the sums over $j$ in the
# first block: $q$ once, 1 for each of $q-1$ tokens, $-(q-1)$ for the two others, $4q-3$ in absolute value together. For $q=1$
# both are 1. $\blacksquare$
# :::
#
# So the rank $Nd'$ is forced by pointers that never change, for every $q<N$. If $q+1$ divides $N$, fixed pointers even force the
# full $\frac1{2q-1}$. Consecutive pointers lose rank when $N$ and $q$ have a common divisor above 1; elsewhere, for $q\ge2$, what they force
# falls towards 0 as $N$ grows, at the $q$ of {numref}`fig-ranks`. Which pointers force most when $q+1$ does not divide $N$, we do not know: blocks are not always best, for $N=5$ and $q=3$
# consecutive pointers force more.

# %% tags=["hide-input"]
ranks = {
    (tokens, ones): pointer_matrix(consecutive_pointers(tokens, ones), tokens).rank()
    for tokens in range(1, largest_rank + 1)
    for ones in range(1, tokens + 1)
}
ranks_right = sum(
    rank == tokens - math.gcd(tokens, ones) + 1 for (tokens, ones), rank in ranks.items()
)

fixed_rows = []
for ones, tokens in itertools.combinations(range(1, largest_rank + 1), 2):
    for blocks in sorted({1, tokens // (ones + 1)}):
        pointers = block_pointers(tokens, ones, blocks)
        determinant = abs(int(pointer_matrix(pointers, tokens).det())) == ones**blocks
        covered = blocks * (ones + 1) == tokens
        least = Fraction(1, 2 * ones - 1 if covered else 4 * ones - 3)
        forced = fixed_forced_error(pointers, tokens) == least
        fixed_rows.append({"determinant": determinant, "forced": forced})
fixed = pd.DataFrame(fixed_rows)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-ranks", "caption": "Pointers fixed in advance. Top: the rank of consecutive pointers as a share of N. Bottom: the error that they force on a first layer of lower rank; consecutive pointers force none where their rank is below N."}, "image": {"alt": "Top: a triangular heat map over q and N, mostly at its brightest value 1, with darker cells on rays where N and q share a divisor. Bottom: forced error against N. Blocks that cover all tokens lie on the line 1/(2q−1), one block on the lower line 1/(4q−3), and consecutive pointers fall towards zero."}}
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 8), height_ratios=(1.3, 1))
share = pd.Series({key: rank / key[0] for key, rank in ranks.items()}).unstack()
options = {"cbar_kws": {"label": "rank / $N$"}, "xticklabels": False, "yticklabels": False}
sns.heatmap(share, ax=top, cmap=figures.SEQUENTIAL, vmin=0, vmax=1, **options)
ticks = np.arange(5, largest_rank + 1, 5)
top.set(xlabel="$q$", ylabel="$N$")
top.set_xticks(ticks - 0.5, ticks)
top.set_yticks(ticks - 0.5, ticks)
top.invert_yaxis()
top.grid(visible=False)
lengths = range(sparsity + 1, max(largest_rank, sparsity + 1) + 1)
builders = {
    "as many blocks as fit": lambda n: block_pointers(n, sparsity, n // (sparsity + 1)),
    "one block": lambda n: block_pointers(n, sparsity, 1),
    "consecutive": lambda n: consecutive_pointers(n, sparsity),
}
looks = ("o", figures.BLUE), ("x", figures.GREEN), ("D", figures.ORANGE)
for (name, build), (marker, color) in zip(builders.items(), looks, strict=True):
    forced = [float(fixed_forced_error(build(n), n)) for n in lengths]
    bottom.plot(lengths, forced, marker, color=color, markersize=5, label=name)
height = float(threshold)
figures.reference_line(bottom, height, "$1/(2q-1)$")
bottom.set(
    xlabel="$N$", ylabel=f"forced error, $q={sparsity}$", ylim=(-0.03 * height, 1.15 * height)
)
bottom.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
plt.show()

# %% tags=["hide-input"]
width_rows = []
for name, build in reversed(builders.items()):
    pointers = build(num_tokens)
    network = fixed_pointer_network(problem, torch.tensor(pointers))
    inputs = sample._replace(pointers=torch.tensor(pointers).expand(len(sample.values), -1, -1))
    error = largest_error(network, problem, inputs)
    forced = fixed_forced_error(pointers, num_tokens)
    rank = pointer_matrix(pointers, num_tokens).rank()
    width_rows.append((name, str(rank), network.width, value_dim * rank, error, str(forced)))
fixed_error = max(error for *_, error, _ in width_rows)
width_rows.append(("any, part of the input", "", exact.width, size, exact_error, str(threshold)))
columns = ["pointers", "rank of A", "width built", "d' · rank", "its error", "forced"]
built = pd.DataFrame(width_rows, columns=columns).set_index("pointers")
figures.table(
    built.drop(columns="d' · rank"),
    {"its error": "{:.1e}"},
    "Least widths, and the error forced on a first layer of lower rank than Nd'",
)

# %% [markdown]
# ### A trained network
#
# The bound does not ask where $W$ comes from. We train networks of first-layer width $Nd'-1$ with two later layers of 128 units, then read the trained
# weights as the fractions that they are. The kernel vector is then exact: in exact arithmetic the pre-activations of
# both inputs are *equal*, and so is all that follows.

# %% tags=["hide-input"]
sweep = Sweep()
recorded = narrow_networks(
    sweep,
    num_tokens=num_tokens,
    sparsity=sparsity,
    value_dim=value_dim,
    num_steps=num_steps,
    num_seeds=num_seeds,
    seed=seed,
)
errors = recorded.set_index("seed")["error"]
trained_rows, trained_pairs, trained_here = [], [], []
for trial in sweep.asked:
    network, run = train_alone(trial, device)
    trained_here.append(alone(trial, network, run))
    network = network.double()
    found = find_collision(problem, as_fractions(network.value_block))
    pair = SparseAveragingInputs(*(part.to(device) for part in found.inputs()))
    with torch.no_grad():
        answers, targets = network(problem.encode(pair)), problem.target(pair)
    trained_pairs.append((found, answers.cpu(), targets.cpu()))
    row = {"seed": trial.seed, "test error": errors[trial.seed]}
    row["units differ"] = found.difference
    row["answers differ"] = (answers[0] - answers[1]).norm(dim=-1).max().item()
    row["forced error"] = found.forced_error
    row["pair's error"] = (answers - targets).norm(dim=-1).amax(dim=0).min().item()
    trained_rows.append({**row, "holds": found.holds})
trained = pd.DataFrame(trained_rows).set_index("seed")
figures.table(
    trained.drop(columns="holds"),
    {"units differ": "{:g}", "answers differ": "{:.1e}"}
    | dict.fromkeys(["test error", "forced error", "pair's error"], "{:.3f}"),
    "Relative test error, then the pair: differences, forced error, larger error",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-trained", "caption": "A trained network on its own failing pair, along the direction of the right answer. Circles: its answers to z; crosses: its answers to −z. The lines are the right answers; every circle is covered by a cross."}, "image": {"alt": "For each token a circle with a cross in it, somewhere between two horizontal lines at plus and minus the forced error. No token's mark can be near both lines."}}
found, answers, targets = trained_pairs[0]
direction = torch.nn.functional.normalize(targets[0], dim=-1)
along = (answers * direction).sum(dim=-1)
fig, axes = plt.subplots(figsize=(6.4, 3.6))
tokens = np.arange(1, num_tokens + 1)
axes.plot(tokens, along[0], "o", c=figures.BLUE, ms=10, mfc="none", label="answer to $z$")
axes.plot(tokens, along[1], "x", c=figures.GREEN, ms=6, mew=2, label="answer to $-z$")
for sign, name, side in ((1, "right for $z$", "bottom"), (-1, "right for $-z$", "top")):
    height = sign * found.forced_error
    axes.axhline(height, color=figures.ORANGE, linewidth=1.5)
    axes.annotate(name, (num_tokens + 0.4, height), color=figures.ORANGE, va=side, ha="right")
axes.set(xlabel="output token $i$", ylabel="answer, along the right one")
axes.set_xticks(tokens[:: max(1, num_tokens // 12)])
axes.margins(y=0.25)
axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2)
plt.show()

# %% [markdown]
# These networks are trained here, because their weights are needed. The test errors of the table are recorded ones, and are
# compared with those of the networks trained here.

# %% tags=["hide-input"]
replays = replayed(sweep, trained_here)

# %% [markdown]
# In {numref}`fig-trained` the network may answer anything between the lines, or outside them, but it has one answer for both inputs. Its
# errors on random inputs do not give the pair away. For comparison, answering the mean of all values has the relative error $1-q/N$ there,
# and answering 0 has 1.
#
# A layer of full rank is refused: there, nothing is forced.

# %%
try:
    find_collision(problem, torch.eye(size, dtype=torch.float64))
except ValueError as refusal:
    figures.prose(f"`{refusal}`")

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("thm-10.exact-collision", collision.difference, "<=", 0,
    statement="The first collision leaves the same pre-activations for z and −z: how far they lie apart, from exact inner products.")
narrow_layers = random_layers[(random_layers["width"] < size / 2) & (random_layers["q"] <= num_tokens / 2)]
claim("thm-10.paper-width", int(narrow_layers["holds"].sum()), "==", len(narrow_layers), source="P",
    statement="All random first layers of width below N d'/2, q ≤ N/2, have a collision.")
claim("thm-10.random-layers", int(random_layers["holds"].sum()), "==", num_layers * len(widths) * (num_tokens - 1),
    statement=f"All random first layers, of width up to N d' − 1 and for every q < N = {num_tokens}, have a collision whose "
    r"forced error, compared in fractions, is at least $\frac1{2q-1}$.")
claim("thm-10.forced-error", random_layers["over the threshold"].min(), ">=", 1.0, tolerance=1e-12,
    note="rounding of a square root",
    statement=r"None of these layers forces less than $\frac1{2q-1}$: the forced error over this, least of all.")
observed("thm-10.same-pre-activations", random_layers["difference"].max(), "<=", 1.0,
    statement="The two pre-activations in these layers are the same up to rounding in float64: largest difference over what float64 may do.")
claim("thm-10.hardest-layer", find_collision(problem, hardest_rows(problem)).forced_error_squared, "==", threshold**2,
    statement=r"The hardest layer of width N d' − 1 forces $\frac1{2q-1}$, no more: the squares, as fractions.")
claim("thm-10.sharp", sharp, "==", 3 * math.comb(largest_sharp, 2),
    statement=f"The same for every q < N ≤ {largest_sharp} and d' = 1, 2, 3.")
claim("thm-10.linear-programs", met, "==", math.comb(largest_program, 2),
    statement=rf"The linear program over all subsets gives $\frac1{{2q-1}}$ for all pairs q < N ≤ {largest_program}: both "
    "bounds, as fractions.")
claim("thm-10.every-small-layer", int((every_layer["collisions"] + every_layer["refused"]).sum()), "==",
    int(every_layer["layers"].sum()),
    statement="All first layers with entries −1, 0, 1 for N = 2, 3, of widths up to N and for every q < N, have a collision below "
    "full rank and are refused at it.")
claim("thm-10.width-enough",
    max((sufficient["error, width N d'"] / sufficient["rounding, N d'"]).max(), exact_error / exact_rounding), "<=",
    1.0,
    statement=f"The network of width N d' is right up to rounding: largest error over its rounding bound, all pointers and values "
    f"in {{−1, 0, 1}} for N ≤ 4, random inputs for N = {num_tokens}.")
narrow_rounding = (sufficient["rounding, N d' − 1"] * (2 * sufficient["q"] - 1)).max()
claim("thm-10.narrow-error", (sufficient["error, width N d' − 1"] * (2 * sufficient["q"] - 1)).max(), "<=", 1.0,
    tolerance=narrow_rounding, note="rounding of the decoded values",
    statement=r"The network of width N d' − 1 is off by no more than the forced error: largest error over $\frac1{2q-1}$, same "
    "inputs with N ≤ 4.")
claim("thm-10.consecutive-rank", ranks_right, "==", math.comb(largest_rank + 1, 2),
    statement=f"Consecutive pointers have rank N − gcd(N, q) + 1, exactly, for all pairs q ≤ N ≤ {largest_rank}.")
claim("thm-10.determinant", int(fixed["determinant"].sum()), "==", len(fixed),
    statement=f"All block pointers have the determinant $\\pm q^b$: every q < N ≤ {largest_rank}, one block and as many as fit.")
claim("thm-10.fixed-pointers", int(fixed["forced"].sum()), "==", len(fixed),
    statement=r"The same pointers force $\frac1{2q-1}$ where the blocks cover all tokens, $\frac1{4q-3}$ elsewhere: fractions from "
    "the exact inverse.")
claim("thm-10.blocks-not-best", fixed_forced_error(consecutive_pointers(5, 3), 5), ">",
    fixed_forced_error(block_pointers(5, 3, 1), 5),
    statement="For N = 5, q = 3 consecutive pointers force more than blocks.")
claim("thm-10.fixed-width", int((built["width built"] == built["d' · rank"]).sum()), "==", len(built),
    statement="The networks of the table have the width d' · rank A.")
claim("thm-10.fixed-error", fixed_error, "<=", 0.0, tolerance=1e-12, note="float64 sums of at most N terms of size 1",
    statement="Those for fixed pointers are right on random values: largest error.")
claim("thm-10.trained-collision", int(trained["holds"].sum()), "==", len(trained),
    statement="All trained networks of width N d' − 1 collide exactly, their weights read as fractions, and force at least "
    r"$\frac1{2q-1}$.")
observed("thm-10.trained-answers", trained["answers differ"].max(), "<=", 1e-9,
    note="float64 rounding through three layers",
    statement="A trained network answers both inputs alike: largest difference of its answers.")
claim("thm-10.trained-error", trained["pair's error"].min(), ">=", threshold, tolerance=1e-9,
    note="half the difference of the answers",
    statement=r"A trained network is off by at least $\frac1{2q-1}$ on one of the two inputs: larger error, least over networks and "
    "output tokens.")
if len(replays.table):
    claim("thm-10.replayed", replays.disagreeing, "==", 0,
        statement="The recorded results come out again when they are trained here: none differs by more than is allowed (make "
        "records trains them anew).")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That such a network is small.* The width $Nd'$ is enough because later layers are arbitrary, and because a weight of size $2^N$ is allowed to carry
#   pointers. Width is counted here, not bits and not the work of $g$.
# * *Anything about $q=N$.* There all tokens ask for the mean of all values, and $d'$ units hold it.
# * *Anything about errors of $\frac1{2q-1}$ or more.* One unit less than $Nd'$ is then enough. How the width falls when larger errors are allowed is another question;
#   always answering 0 has the error 1.
# * *That full rank helps training.* A trained network of width $Nd'$ or more has no such collision, and may still be far from the average.
# * *A bound for attention.* A token-wise map with shared weights, followed by attention, is not a fully-connected layer on the whole input; that is
#   how [Theorem 2](thm-2-fixed-precision.py) escapes this bound.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-one-output
#
# Suppose that the network only has to answer for token 1. Does the bound change?
# :::
#
# :::{solution} ex-one-output
# :class: dropdown
#
# No. In the proof all tokens point to one subset, so that every single output is missed by $\norm{\qSA(z)}$ on one of the two inputs. With pointers
# fixed in advance it changes: output 1 alone is a function of one mean, and $d'$ units are enough.
# :::
#
# :::{exercise}
# :label: ex-q-one
#
# What does {prf:ref}`thm-feedforward-rank` say for $q=1$, and how wide is the narrowest network with the error that part 3 allows?
# :::
#
# :::{solution} ex-q-one
# :class: dropdown
#
# The forced error is 1, the largest that there can be for a network that answers 0. So for every $\eps<1$ the width is $Nd'$, and for $\eps=1$ no unit is
# needed. A collision shows it at once: some $\norm{z_j}=1$, and all tokens point to $j$.
# :::
#
# :::{exercise}
# :label: ex-run-feedforward
#
# Choose $N=8$, $q=2$, $d'=3$: `attention-limits run thm-10-feedforward -p num_tokens=8 -p sparsity=2 -p value_dim=3`. Does {numref}`fig-forced-error`
# come closer to the line or move away from it, and why?
# :::
#
# :::{solution} ex-run-feedforward
# :class: dropdown
#
# Closer, at the same $q$. A collision is at its best when many values point where the longest one does. In one dimension every value lies
# along it, this way or that. In three dimensions only the component $c_j$ along it helps, and for independent directions its mean square is
# $\tfrac13\norm{z_j}^2$; and of fewer tokens the $q$ largest components are smaller.
# :::
#
# ## Reference
#
# Theorem 10 is from {cite}`sanford2023representational`. Ours are {prf:ref}`thm-feedforward-rank` and {prf:ref}`prop-fixed-pointers` with their proofs, the networks of
# width $Nd'$ and $Nd'-1$, and all measurements.
