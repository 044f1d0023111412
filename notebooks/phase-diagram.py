# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Phase diagram: which dimension does training need for which sparsity?
#
# **The question.** [Learned attention](learned-attention.py) finds the average at one sparsity $q$ and one embedding dimension $m$. For which other
# pairs does training find it, where does it stop, and is that where the theorems say that small units end?
#
# **In one paragraph.** Of 32 tokens, with values of four coordinates, each asks for the mean of a few, say $q=4$. To say *which* four takes
# about $2q=8$ numbers, so keys and queries of about eight dimensions are enough; and training finds such addresses, at nearly every $q$. Now one hidden
# vector does all three jobs: it holds the value, the query and the key, and must keep them apart. Weights that do so exist from $4+8+8=20$ dimensions on.
# Training needs more, here up to over twice as much, but less when it is given more steps ({numref}`fig-phase-idea`).

# %% tags=["parameters"]
num_tokens: int = 32  # N, tokens
value_dim: int = 4  # d', coordinates of a value
sparsity_grid: list[int] = [1, 2, 3, 4, 6, 8, 12, 16]  # q of the first map
embed_grid: list[int] = [2, 4, 8, 16, 32, 64, 128]  # m of the first map
attention_rate: float = 5e-3  # Adam's learning rate after the warm-up, in the first map
address_sparsity_grid: list[int] = [1, 2, 3, 4, 6, 8, 12, 16]  # q of the second map
address_embed_grid: list[int] = [1, 2, 4, 8, 16, 32, 64, 128]  # m of the second map
address_rate: float = 2e-2  # Adam's learning rate after the warm-up, in the second map
step_grid: list[int] = [1600, 400]  # two budgets, in steps, the larger one first
batch_size: int = 8  # samples of a step
level: float = 0.25  # the share of uniform attention's error that is called learned
num_seeds: int = 3  # repetitions of every cell
seed: int = 0  # of the first repetition

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import intervals, positive, ranges, require, usual_ranges

quick = {
    "num_tokens": 8,
    "value_dim": 1,
    "sparsity_grid": [1, 2, 3],
    "embed_grid": [4, 8, 16, 32],
    "attention_rate": 0.01,
    "address_sparsity_grid": [1, 2, 3],
    "address_embed_grid": [1, 2, 4, 8],
    "step_grid": [300, 220],
    "level": 0.35,
    "num_seeds": 1,
}
study = "attention_limits.experiments.studies.phase_diagram:phase_diagram"

usual_ranges()
intervals(num_tokens=(3, 256, "each cell of a map is trained"))
ranges(value_dim=1)
for name, entries in {
    "sparsity_grid": sparsity_grid,
    "embed_grid": embed_grid,
    "address_sparsity_grid": address_sparsity_grid,
    "address_embed_grid": address_embed_grid,
}.items():
    require(
        len(entries) >= 2,
        f"{name} needs at least two entries (it is an axis of a map), got {entries}",
    )
    require(entries == sorted(set(entries)), f"{name}'s entries must rise, got {entries}")
ranges(sparsity_grid=1, embed_grid=1, address_sparsity_grid=1, address_embed_grid=1)
for name, most in (
    ("sparsity_grid", sparsity_grid[-1]),
    ("address_sparsity_grid", address_sparsity_grid[-1]),
):
    require(
        most < num_tokens,
        f"{name}'s q = {most} needs q < N = {num_tokens}: uniform attention is exact there",
    )
shared = [q for q in sparsity_grid if q in address_sparsity_grid]
require(
    any(q >= 2 for q in shared),
    f"sparsity_grid and address_sparsity_grid must share a q ≥ 2, they share {shared}",
)
require(
    len(step_grid) == 2 and step_grid[0] > step_grid[1] >= 1,
    f"step_grid must be two budgets, the larger one first, each at least 1, got {step_grid}",
)
positive("attention_rate", "address_rate")
require(0 < level < 0.5, f"level must lie strictly between 0 and 0.5, got {level}")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-phase-idea", "caption": "The smallest dimension with which training learns, for each q: the address alone and the whole unit, with the larger budget. Dashed: with so many dimensions weights exist that are exact, up to any accuracy; a small mean error may need fewer. Median of the seeds; a line ends where its transition leaves the map."}, "image": {"alt": "Two solid rising lines over q from 1 to 16, both axes logarithmic. The lower one, the address alone, runs along its dashed line. The upper one, the whole unit, lies above its dashed line, by a factor that grows to about two."}}
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.patheffects import Normal, Stroke
from scipy.stats import spearmanr

from attention_limits import figures
from attention_limits.companion.claims import claim, observed
from attention_limits.companion.training import replayed
from attention_limits.experiments.studies.phase_diagram import (
    over_seeds,
    phase_diagram,
    power_law,
    transitions,
)
from attention_limits.experiments.sweeps import Sweep

figures.use_style()
large, small = step_grid
sweep = Sweep()
frame = phase_diagram(
    sweep,
    num_tokens=num_tokens,
    value_dim=value_dim,
    sparsity_grid=sparsity_grid,
    embed_grid=embed_grid,
    attention_rate=attention_rate,
    address_sparsity_grid=address_sparsity_grid,
    address_embed_grid=address_embed_grid,
    address_rate=address_rate,
    step_grid=step_grid,
    batch_size=batch_size,
    num_seeds=num_seeds,
    seed=seed,
)


attention_cells, address_cells = (
    frame[(frame["map"] == name) & (frame["num_steps"] == large)]
    for name in ("attention", "address")
)
found = transitions(frame, level)
summary = over_seeds(found)


def crossings(name, steps):
    """Medians, least and most of m* by q, for one map and budget."""
    rows = summary[(summary["map"] == name) & (summary["num_steps"] == steps)]
    return rows.set_index("sparsity")[["median", "least", "most"]]


def inside(transition):
    """Those of a series that lie inside their map."""
    return transition[np.isfinite(transition) & (transition > 0)]


def exact(q):
    """The dimension of exact addresses, part 1 of the proposition."""
    return np.minimum(2 * q, num_tokens - 1)


def whole(q):
    """From here on a whole unit exists, part 2 of the proposition."""
    return value_dim + 2 * exact(q)


fig, axes = plt.subplots(figsize=(6.4, 3.6))
for name, exists, color, word, place in (
    ("attention", whole, figures.ORANGE, "the whole unit", (0.03, 0.84)),
    ("address", exact, figures.BLUE, "the address alone", (0.5, 0.3)),
):
    sparsities = np.array(sparsity_grid if name == "attention" else address_sparsity_grid)
    axes.plot(sparsities, exists(sparsities), "--", color=color, linewidth=1.5)
    learned = inside(crossings(name, large)["median"])
    axes.plot(learned.index, learned, "o-", color=color, linewidth=2.5)
    at = {"transform": axes.transAxes, "va": "center", "color": color, "fontsize": 13}
    axes.text(*place, f"{word}\nlearns from here on", **at)
corner = {"transform": axes.transAxes, "ha": "right", "color": figures.GREY, "fontsize": 13}
axes.text(0.99, 0.04, "dashed: exact weights exist from here on", **corner)
axes.set(xscale="log", yscale="log", xlabel="$q$, tokens asked for", ylabel="dimension $m$")
for axis, ticks in ((axes.xaxis, sparsity_grid), (axes.yaxis, embed_grid)):
    axis.set_ticks(ticks, ticks)
axes.minorticks_off()
plt.show()

# %% [markdown]
# **Prerequisites and time.** [Learned attention](learned-attention.py), [the tight dimension](tight-dimension.py), least squares. Seconds where the results are recorded; the core
# hours of training them are given below.
#
# **On this page.** Two maps of the error over $q$ and $m$. This is an experiment: its results are ours, [N].
#
# * What can be represented: the address alone from $m=\min(2q,N-1)$ on, exactly; the whole unit from $d'+2\min(2q,N-1)$ on ({prf:ref}`prop-phase-sizes`).
# * The address is learned near the dimension that exact addresses need, within a factor of 2 ({numref}`fig-phase-address`).
# * The whole unit is learned later ({numref}`fig-phase-attention`), and its transition moves further with the budget: it shows how fast training is, not what the model can represent.
# * Both transitions grow about as $q$ itself ({numref}`fig-phase-transition`).
#
# The parameters and facts of the page are folded above the figure.
#
# ## The statement
#
# All settings of the experiment are ours. The paper {cite}`sanford2023representational` speaks of weights that exist, not of weights that are found. What exists in the two models that we train is
# known:
#
# :::{prf:proposition} (what the two models can represent, ours)
# :label: prop-phase-sizes
#
# Let $1\le q\le N-1$ and $m^\circ=\min(2q,N-1)$, and let numbers have unlimited precision and input networks any width.
#
# 1. *Address.* Values pass unchanged, keys are free vectors of $\R^m$, one for each position, queries a network's answer to the pointers.
#    Some weights have an error below every $\eps>0$ if $m\ge m^\circ$. If $m<m^\circ$ all weights miss some input by more than $1/(2q^2)$.
# 2. *Attention.* A network maps tokens to $\R^m$, and one unit ({prf:ref}`def-unit`) with $m\times m$ matrices $Q$ and $K$ follows. Some weights have an error
#    below every $\eps>0$ if $m\ge d'+2m^\circ$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Part 1* is {prf:ref}`thm-tight-dimension`. Pointers take finitely many values, and a network with one hidden layer that is wide enough takes any values
# on finitely many points.
#
# *Part 2.* Let the network write $(z_i,\,w_{y_i},\,u_i)$ into $d'+m^\circ+m^\circ$ coordinates, with the keys $u_j$ and queries $w_y$ of Part 1, and 0 into the others. It can: $w_{y_i}$ and $u_i$ depend on finitely many
# values of $(y_i,i)$, and $z=\max(z,0)-\max(-z,0)$. Let $V$ read the first part, $Q$ the second and $K$ the third, each into the same coordinates. The scores are $\inner{w_{y_i}}{u_j}$ and the values $z_j$, as in
# Part 1. $\blacksquare$
# :::
#
# [Theorem 2](thm-2-fixed-precision.py) is about the same unit with few bits: order $q\log N$ dimensions are then enough. So three lines cross our maps: $m=q$ (by
# [Theorem 4](thm-4-embedding-dimension.py) $m$ must grow like $q$ if the bits are fixed), $m=2q$ (where $2q>N-1$, it is $N-1$) and $m=q\ln N$
# (order $q\log N$ without its constant). We ask where the *learned* transition lies beside them, and with which power of $q$ it grows.
#
# ## The idea
#
# The first map is the whole model. The $m$ coordinates of its hidden vector carry the value, $d'$ numbers, and the *address*: the query and the key, which
# decide who looks at whom. The second map is given the values, $f(X)_i=\sum_j p_{ij}z_j$, and learns $p$ alone. There $m$ is the dimension of the address and of nothing else.
#
# Errors at different $q$ are not comparable as they are, because uniform attention, which knows nothing, has the relative error
# $1-q/N$ ({prf:ref}`prop-baselines`). We divide by it, and call the quotient
# the *share*: it is 1 for uniform attention and 0 for the exact average. A pair $(q,m)$ *is learned* if its share is below a fixed level, and the
# *transition* $m^*(q)$ is the smallest $m$ with which $q$ is learned ({numref}`fig-phase-attention`, {numref}`fig-phase-address`).
#
# %% [markdown]
# ## The experiment
#
# A trial is one pair $(q,m)$, one budget and one seed. Within a budget all cells have the same steps, samples and schedule: 100 steps of linear warm-up, then half a cosine down to 0. The schedule is as long as the budget, so
# the smaller budget is a run of its own, not the beginning of the longer one. The network has one hidden layer of 128 rectified linear units. Every step draws new
# samples.
#
# Each map has one peak learning rate. We found both by trying four rates, a factor 2 apart, on a few cells with one seed. The address takes a
# larger one. A rate for each cell would move the transitions, and would no longer be one method.


# %% tags=["hide-input"]
def listed(entries):
    return ", ".join(map(str, entries))


figures.prose(
    f"These are {len(frame):,} trials, {frame['diverged'].sum()} of which diverged: the first map has "
    f"$q\\in\\{{{listed(sparsity_grid)}\\}}$ and $m\\in\\{{{listed(embed_grid)}\\}}$, the second "
    f"$q\\in\\{{{listed(address_sparsity_grid)}\\}}$ and $m\\in\\{{{listed(address_embed_grid)}\\}}$, "
    f"each with the budgets of {small:,} and {large:,} steps and the seeds {seed} … {seed + num_seeds - 1}."
)

# %% [markdown]
# ### Where the transition is
#
# For every $q$ and seed we read off where the share first crosses the level as $m$ grows. This is between two values of $m$ that were trained; there we
# interpolate, with the logarithms of $m$ and of the share. The grid brackets $m^*$; the interpolation is a convention. A seed that never crosses has $m^*=\infty$, and one that is
# learned at the smallest $m$ already has $m^*=0$: the median over seeds then still says on which side of the map the transition
# lies. Such a $q$ is left out of the fit, and marked in the figures by a triangle.

# %% tags=["hide-input"]
laws = {}
for name in ("attention", "address"):
    for steps in step_grid:
        points = crossings(name, steps)["median"]
        laws[name, steps] = power_law(points.index.to_numpy(float), points.to_numpy(float))

ADDRESS_LINES = {
    "$m=q$": (lambda q: q, ":"),
    "$m=\\min(2q,N-1)$": (exact, "--"),
    "$m=q\\,\\ln N$": (lambda q: q * np.log(num_tokens), "-."),
}
#: The lines that each map is compared with.
LINES = {
    "attention": ADDRESS_LINES | {"$m=d'+2\\,\\min(2q,N-1)$": (whole, (0, (6, 1, 1, 1, 1, 1)))},
    "address": ADDRESS_LINES,
}


#: White lines with a dark rim are seen on every colour of a map.
RIM = [Stroke(linewidth=3.6, foreground="black"), Normal()]


def median_shares(name, steps):
    """The median share over seeds, a row each m and a column each q."""
    cells = frame[(frame["map"] == name) & (frame["num_steps"] == steps)]
    return cells.groupby(["embed_dim", "sparsity"])["share"].median().unstack()


def phase_map(axes, name, steps):
    """The median share of every cell, with the transition and the map's lines."""
    shares = median_shares(name, steps)
    q, m = shares.columns.to_numpy(float), shares.index.to_numpy(float)
    look = {"norm": LogNorm(1e-3, 1), "cmap": figures.SEQUENTIAL, "rasterized": True}
    clipped = np.clip(shares, 1e-3, 1)
    mesh = axes.pcolormesh(np.log2(q), np.log2(m), clipped, shading="nearest", **look)
    limits = axes.get_xlim(), axes.get_ylim()
    fine = np.linspace(*limits[0], 200)
    for label, (line, style) in LINES[name].items():
        look = {"linestyle": style, "linewidth": 2, "path_effects": RIM}
        axes.plot(fine, np.log2(line(2**fine)), color="white", label=label, **look)
    middle = crossings(name, steps)["median"]
    crossed = inside(middle)
    places = np.log2(crossed.index), np.log2(crossed)
    axes.plot(*places, color=figures.ORANGE, linewidth=2, path_effects=RIM)
    style = {"color": figures.ORANGE, "markeredgecolor": "black"}
    axes.plot(*places, "o", label="transition $m^*(q)$", markersize=8, **style)
    for edge, marker, outside in (
        (limits[1][1] - 0.25, "^", middle[middle == np.inf]),
        (limits[1][0] + 0.25, "v", middle[middle == 0]),
    ):
        height = np.full(len(outside), edge)
        axes.plot(np.log2(outside.index), height, marker, markersize=11, **style)
    axes.set(xlim=limits[0], ylim=limits[1], ylabel="$m$", title=f"{steps:,} steps")
    axes.set_xticks(np.log2(q), [f"{value:.0f}" for value in q])
    axes.set_yticks(np.log2(m), [f"{value:.0f}" for value in m])
    axes.grid(visible=False)
    return mesh


def both_budgets(name):
    fig, panels = plt.subplots(2, 1, figsize=(6.4, 8), sharex=True)
    for axes, steps in zip(panels, (small, large), strict=True):
        mesh = phase_map(axes, name, steps)
    panels[-1].set_xlabel("$q$")
    bar = fig.colorbar(mesh, ax=panels, fraction=0.04, label="share of uniform attention's error")
    bar.ax.axhline(level, color=figures.ORANGE, linewidth=2.5)
    handles, labels = panels[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=12)
    plt.show()


def share_table(name):
    """The map of the larger budget in numbers, the largest m on top as in the figure."""
    shares = median_shares(name, large).iloc[::-1].rename_axis(index="m", columns="q")
    caption = f"Share of uniform attention's error, median over seeds, {large:,} steps"
    figures.table(shares, "{:.2g}", caption)


# %% [markdown]
# ### The first map: attention

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-phase-attention", "caption": "Attention: median over seeds of the share of uniform attention's error, above with the smaller budget, below with the larger. Circles: where the share crosses the level. A triangle at the upper edge: not inside the map. White lines, for comparison: q, min(2q, N − 1), q ln N and d' + 2 min(2q, N − 1). Orange in the colour bar: the level."}, "image": {"alt": "Two heat maps with q across and m upwards, both on logarithmic scales. Errors are low in the upper left, where m is large and q small, and near one in the lower right. The transition rises with q and lies above the comparison lines; with the larger budget it lies lower."}}
both_budgets("attention")

# %% tags=["hide-input"]
share_table("attention")

# %% tags=["hide-input"]
at_widest = attention_cells[attention_cells["embed_dim"] == max(embed_grid)]
worst = at_widest.groupby("sparsity")["share"].max()
missed = worst[worst > level]
if len(missed):
    figures.prose(
        f"At the largest dimension, $m={max(embed_grid)}$, and after {large:,} steps attention has not "
        "learned with all seeds at "
        + ", ".join(f"$q={q}$ (largest share {share:.2g})" for q, share in missed.items())
        + "."
    )

# %% [markdown]
# ### The second map: the address alone

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-phase-address", "caption": "The address alone, values given: median over seeds of the share of uniform attention's error, above with the smaller budget, below with the larger. Marks and lines as in the map of attention."}, "image": {"alt": "Two heat maps with q across and m upwards, both on logarithmic scales. The dark region of low errors reaches much further down than in the map of attention. The transition rises with q close to the line of 2 q and falls below it at the largest q."}}
both_budgets("address")

# %% tags=["hide-input"]
share_table("address")

# %% [markdown]
# ### The transition and its power of $q$
#
# Least squares fit $\log m^*$ by $\log q$, a point for each $q$: the median of its seeds. The band is the 95 % confidence band of the line, from the scatter of the points about it. A curve that is no power law is part of that scatter. Where few points are left the band is wide.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-phase-transition", "caption": "The transition against q for both maps and both budgets. Points: median of the seeds, bars from the least to the largest. Triangles: transitions outside the map. Line and band: fitted power law with its 95 % confidence band, where three points allow one. Black, for comparison: q, min(2q, N − 1) and q ln N, and for attention d' + 2 min(2q, N − 1)."}, "image": {"alt": "Two panels with q across and m upwards, both logarithmic. Above, attention: the points of the larger budget rise along a straight line above all comparison lines, those of the smaller budget lie higher, most of them beyond the upper edge. Below, address: the points lie between the line of q and the line of q ln N, close to 2 q, and bend down at the largest q."}}
ones = sorted({*sparsity_grid, *address_sparsity_grid})
ticks = sorted({*embed_grid, *address_embed_grid})
top = ticks[-1]
fig, panels = plt.subplots(2, 1, figsize=(6.4, 8), sharex=True, sharey=True)
for axes, name in zip(panels, ("attention", "address"), strict=True):
    for steps, color in ((large, figures.BLUE), (small, figures.ORANGE)):
        points, law = crossings(name, steps), laws[name, steps]
        middle = inside(points["median"])
        low = middle - points["least"][middle.index].clip(lower=0.5)
        high = points["most"][middle.index].clip(upper=2 * top) - middle
        look = {"fmt": "o", "capsize": 3, "color": color, "label": f"{steps:,} steps"}
        axes.errorbar(middle.index, middle, [low, high], **look)
        beyond = points[points["median"] == np.inf]
        axes.plot(beyond.index, np.full(len(beyond), 1.15 * top), "^", color=color, markersize=8)
        under = points[points["median"] == 0]
        axes.plot(under.index, np.full(len(under), 0.75), "v", color=color, markersize=8)
        if law.model is not None:
            fine = np.geomspace(middle.index.min(), middle.index.max(), 60)
            middle, low, high = law.band(fine)
            axes.plot(fine, middle, color=color, linewidth=1.5)
            axes.fill_between(fine, low, high, color=color, alpha=0.18, linewidth=0)
    fine = np.geomspace(ones[0], ones[-1], 200)
    for label, (line, style) in LINES[name].items():
        axes.plot(fine, line(fine), linestyle=style, color="black", linewidth=1.2, label=label)
    axes.set(xscale="log", yscale="log", ylabel="$m^*$", title=name, ylim=(0.7, 2 * top))
    axes.set_xticks(ones, ones)
    axes.set_yticks(ticks, ticks)
    axes.minorticks_off()
    if any((crossings(name, steps)["median"] == np.inf).any() for steps in step_grid):
        axes.text(ones[0], 1.15 * top, "above the map", va="center", color=figures.GREY)
panels[-1].set_xlabel("$q$")
handles, labels = panels[0].get_legend_handles_labels()
fig.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=12)
plt.show()


# %% tags=["hide-input"]
def shown(value):
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "above the map"
    return f"{value:.3g}" if value > 0 else "below the map"


table = summary[["map", "num_steps", "sparsity"]].set_axis(["map", "steps", "q"], axis="columns")
table["median of m*"] = summary["median"].map(shown)
table["over seeds"] = summary["least"].map(shown) + " … " + summary["most"].map(shown)
table["min(2q, N − 1)"] = exact(table["q"])
table["q ln N"] = table["q"] * np.log(num_tokens)
figures.table(table, {"q ln N": "{:.1f}"}, index=False)

# %% [markdown]
# The exponent of the power law, with its 95 % interval. The level is a choice of ours, so the table gives two others beside it, from the same trials.

# %% tags=["hide-input"]
rows = []
for other in sorted({level, level / 2, 2 * level}):
    medians = over_seeds(transitions(frame, other))
    for (name, steps), points in medians.groupby(["map", "num_steps"]):
        law = power_law(points["sparsity"].to_numpy(float), points["median"].to_numpy(float))
        low, high = law.interval
        row = {"map": name, "steps": steps, "level": f"{other:g}", "points": law.num_points}
        row |= {"exponent": law.exponent, "95 % interval": f"{low:.2f} … {high:.2f}"}
        rows.append({**row, "m* at q = 1": shown(law.factor)})
exponents = pd.DataFrame(rows).sort_values(["map", "steps", "level"])
exponents = exponents.replace({"nan … nan": figures.MISSING})
figures.table(exponents, {"exponent": "{:.2f}"}, index=False)

# %% [markdown]
# ### What the budget does, and how to read the maps

# %% tags=["hide-input"]
by_budget = found.set_index(["map", "sparsity", "seed", "num_steps"])["transition"]
by_budget = by_budget.unstack("num_steps")
address_crossings, attention_crossings = crossings("address", large), crossings("attention", large)
tight = exact(address_crossings.index.to_numpy())
with np.errstate(divide="ignore"):
    # Outside the map on both sides of a ratio: inf/inf or 0/0. That says nothing, it is nan, and min and max
    # pass over it.
    moved = by_budget[small] / by_budget[large]
    middles = {
        name: crossings(name, small)["median"] / crossings(name, large)["median"]
        for name in ("attention", "address")
    }
    contrast = (middles["attention"] / middles["address"])[[q for q in shared if q >= 2]].min()
    below = (address_crossings["most"] / attention_crossings["least"])[shared].max()
    factors = address_crossings[["least", "most"]].div(tight, axis="index").to_numpy()
    distance = np.maximum(factors, 1 / factors).max()
ranks = (
    frame[
        (frame["sparsity"] >= 2)
        & (frame["embed_dim"] <= 2 * num_tokens)
        & (frame["num_steps"] == large)
    ]
    .groupby(["map", "num_steps", "sparsity", "seed"])[["embed_dim", "share"]]
    .apply(lambda cells: spearmanr(cells["embed_dim"], cells["share"].fillna(1)).statistic)
    .rename("correlation")
    .reset_index()
)
above = attention_crossings["median"] / whole(attention_crossings.index.to_numpy())


def span(numbers):
    """The range of the finite ones."""
    finite = inside(numbers)
    return f"{finite.min():.2f} to {finite.max():.2f}" if len(finite) else "(no)"


figures.prose(
    f"From {large:,} to {small:,} steps $m^*$ grows by a factor of {span(middles['attention'])} for "
    f"attention and of {span(middles['address'])} for the address (medians, range over the $q$ that stay "
    f"inside the map). At {large:,} steps attention's $m^*$ is {span(above)} times the dimension "
    "$d'+2\\min(2q,N-1)$ from which on weights exist, and the address's is "
    f"{span(address_crossings['median'] / tight)} times $\\min(2q,N-1)$."
)

# %% [markdown]
# What weights exist does not depend on a budget. So far as a transition moves with the budget, it shows how fast training is, not what the model can represent. In the first map that is a large part: the cells
# between the line of {prf:ref}`prop-phase-sizes` and the transition have weights that training did not reach in time, and width buys speed. In the second map the
# transition moves less, and it lies near the dimension that exact addresses need. It may lie below that dimension, because a small *mean* error does not need
# every subset to be singled out. At the smallest $q$ it may also do so by the interpolation alone: the grid only says between which two $m$ it lies.

# %% [markdown]
# ### What was trained again
#
# Where results of this page come from the records of the book, the cheapest of them are trained again on every run.

# %% tags=["hide-input"]
replays = replayed(sweep)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
roomy = worst[(worst.index >= 2) & (3 * whole(worst.index.to_numpy()) <= max(embed_grid))]
if len(roomy):
    observed("phase.attention-wide", roomy.max(), "<=", level,
        statement=f"Where it is wide attention learns: after {large:,} steps at the largest m its share of uniform "
        f"attention's error is at most {level:g} with every seed, for those q ≥ 2 for which m is at least three times "
        f"d' + 2 min(2q, N − 1): q = {listed(roomy.index)}.")
narrow = attention_cells[attention_cells["embed_dim"] <= 2 * attention_cells["sparsity"]]
if len(narrow):
    observed("phase.attention-narrow", narrow["share"].min(), ">=", 0.6,
        statement="Where it is narrow attention hardly learns: for m ≤ 2q the share of uniform attention's error is "
        "at least 0.6 in all cells, with every seed.")
narrow = address_cells[address_cells["embed_dim"] <= address_cells["sparsity"]]
if len(narrow):
    observed("phase.address-narrow", narrow["share"].min(), ">=", 0.4,
        statement="Narrow addresses hardly learn either: for m ≤ q the share of uniform attention's error is at least "
        "0.4 in all cells, with every seed.")
enough = address_cells["embed_dim"] >= np.minimum(4 * address_cells["sparsity"], num_tokens)
enough &= address_cells["embed_dim"] <= 2 * num_tokens
if enough.any():
    observed("phase.address-wide", address_cells.loc[enough, "share"].max(), "<=", level,
        statement="Wide addresses are learned: for min(4q, N) ≤ m ≤ 2N the share of uniform attention's error is at "
        f"most {level:g} in all cells, with every seed.")
observed("phase.address-below-attention", below, "<=", 0.6,
    statement=f"The address is learned at smaller dimensions: after {large:,} steps its m* is at most 0.6 times "
    "attention's, for the worst seeds and every q that both maps have.")
observed("phase.address-near-tight", distance, "<=", 2,
    statement=f"The address is learned near the dimension of exact ones: after {large:,} steps m* and min(2q, N − 1) "
    "differ by a factor of at most 2, for all q and seeds.")
observed("phase.monotone", ranks["correlation"].max(), "<=", -0.75,
    statement=f"Errors fall with the dimension: in both maps, after {large:,} steps, for every q ≥ 2 and seed, the "
    "rank correlation of error and m ≤ 2N is at most −0.75.")
observed("phase.budget", moved.min(), ">=", 1,
    statement=f"With fewer steps no transition lies lower: in both maps m* at {small:,} steps is at least m* at "
    f"{large:,}, for all q and seeds.")
observed("phase.budget-attention", contrast, ">=", 1.1,
    statement="The budget moves attention more: fewer steps raise its m* by a factor at least 1.1 times the "
    "address's, medians, for every q ≥ 2.")
for name, allowed in (("attention", 0.6), ("address", 0.5)):
    observed(f"phase.{name}-exponent", abs(laws[name, large].exponent - 1), "<=", allowed,
        statement=f"The transition grows about as q ({name}, {large:,} steps): the fitted exponent of m* in q is "
        f"within {allowed:g} of 1.")
observed("phase.diverged", int(frame["diverged"].sum()), "==", 0,
    statement="No trial diverged: every loss stayed finite.")
if len(replays.table):
    claim("phase.replayed", replays.disagreeing, "==", 0,
        statement="No recorded result differs by more than is allowed when it is trained again here. (If one does, "
        "make records trains them anew.)")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That training will always need more than the weights do.* The budgets are small, and the first map moves with them. A cell that is not learned here may be learned
#   with more steps, another rate, or a score scaled by $1/\sqrt m$, which the unit of {prf:ref}`def-unit` does not have.
# * *An asymptotic exponent.* Each law is fitted to a handful of $q$ at one $N$, and near $q=N/2$ the line $\min(2q,N-1)$ bends by itself.
#   How $m^*$ depends on $N$ is not asked at all.
# * *An $\eps$-approximation.* The share is a mean over random inputs. A unit can have a small one and still miss some subset, which is how the address can be
#   learned below $\min(2q,N-1)$ without a contradiction to {prf:ref}`prop-phase-sizes`.
# * *That $d'+2\min(2q,N-1)$ is least for the whole unit.* It is enough. Its keys may depend on values and pointers, and the lower bound does not cover that.
# * *What the best rate of each cell would give.* One rate serves a whole map. For addresses of dimension 128, four times $N$, it is too large: their shares rise again, and one seed at $q=16$ ends at 32 times
#   uniform attention's error. The claims on wide addresses and on the order of errors stop at $m=2N$ for that reason. With the smaller budget errors above 1 show the same in the first map.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-phase-level
#
# A unit attends with total weight $\mu$ on $y$, spread evenly, and the rest spread evenly over the other tokens; values pass unchanged. What is its share, and
# which $\mu$ has the share $1/4$?
# :::
#
# :::{solution} ex-phase-level
# :class: dropdown
#
# Its error is $(1-\mu)^2\,\frac N{N-q}$ (the second exercise of [Learned attention](learned-attention.py)). Divided by $1-q/N$ this is $\big(\frac{1-\mu}{1-q/N}\big)^2$: the square of the weight that is wasted, over
# what uniform attention wastes. It is $1/4$ at $\mu=\frac12(1+\frac qN)$, halfway from uniform attention to the exact average.
# :::
#
# :::{exercise}
# :label: ex-phase-channel
#
# Show that in the first map the relative error is at least $1-m/d'$ for $m<d'$, whatever is learned.
# :::
#
# :::{solution} ex-phase-channel
# :class: dropdown
#
# $V$ maps $\R^m$ to $\R^{d'}$, so all outputs lie in one subspace of dimension at most $m$. The target has the variance $\sigma^2$ in every direction. In the $d'-m$
# directions (or more) that are orthogonal to the subspace the output is 0, and the expected squared error there is at least $(d'-m)\,\sigma^2$. Divided by $d'\sigma^2$ this is $1-m/d'$.
# :::
#
# :::{exercise}
# :label: ex-phase-rate
#
# Run the page with `-p attention_rate=0.003 -p num_seeds=1`, which trains the first map anew, with one seed. Does the widest unit at $q=1$ learn better, and what do the
# other cells of that map pay for it?
# :::
#
# ## Reference
#
# The task and the attention unit are from {cite}`sanford2023representational`, and so is Theorem 2. The proposition, the two models, all settings and all
# measurements are ours.
