# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Size against length: how large must a model be to learn the average?
#
# **The question.** The theorems say how large an architecture must be to average $q$ of $N$ tokens *in the worst case*, with the best weights
# there are. How large must it be for gradient descent to get there, within a fixed number of steps and on random inputs?
#
# **In one paragraph.** Each of eight tokens asks for the value of one token, a single number. Attention learns that with a handful of dimensions, an LSTM with about ten units a direction, and a fully-connected network with about a thousand, although 64 are enough once the right weights are known. All pairs of tokens share attention's one rule, and
# a few more dimensions tell many more positions apart. An LSTM has a cell to find for every value, and a fully-connected network a gate for every pair. So the needs part quickly as the sequence grows ({numref}`fig-needed-size`).

# %% tags=["parameters"]
attention_tokens: list[int] = [8, 16, 32, 64, 128]  # N for attention
feedforward_tokens: list[int] = [4, 6, 8, 10, 12]  # N for fully-connected networks
recurrent_tokens: list[int] = [4, 8, 16, 24, 32]  # N for bidirectional LSTMs
size_caps: list[int] = [64, 2048, 64]  # largest size of each, in this order
peak_rates: list[float] = [5e-3, 5e-3, 8e-2]  # learning rate of each after warm-up
sparsity: int = 1  # q, tokens that each token points to
value_dim: int = 1  # d', coordinates of a value
target_error: float = 0.05  # relative error to be reached on new samples
num_steps: int = 900  # of training, the same for every size
batch_size: int = 32  # samples of a step
num_seeds: int = 3  # searches for each architecture and N
seed: int = 0  # of the first one

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import distinct, positive, ranges, require, usual_ranges

quick = {
    "attention_tokens": [4, 8],
    "feedforward_tokens": [2, 4],
    "recurrent_tokens": [2, 6],
    "size_caps": [11, 32, 4],
    "peak_rates": [1e-2, 1e-2, 8e-2],
    "target_error": 0.15,
    "num_steps": 150,
    "batch_size": 16,
    "num_seeds": 2,
}
study = "attention_limits.experiments.studies.size_against_length:searches_and_controls"

usual_ranges()
ranges(sparsity=1, value_dim=1)
distinct("attention_tokens", "feedforward_tokens", "recurrent_tokens")
for name, grid in {
    "attention_tokens": attention_tokens,
    "feedforward_tokens": feedforward_tokens,
    "recurrent_tokens": recurrent_tokens,
}.items():
    for tokens in grid:
        require(
            tokens <= 256, f"{name}'s N must be at most 256 (N²d' gates are built), got {tokens}"
        )
        require(
            tokens > sparsity, f"{name}'s N must exceed the sparsity q = {sparsity}, got {tokens}"
        )
for name, entries in {"size_caps": size_caps, "peak_rates": peak_rates}.items():
    require(
        len(entries) == 3,
        f"{name} needs an entry for each of the three architectures, got {entries}",
    )
ranges(size_caps=1)
positive("peak_rates")
require(
    0 < target_error < 1,
    f"target_error must lie strictly between 0 and 1 (the best constant's), got {target_error}",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-needed-size", "caption": "The size with which training reaches the error, against the length: a bar a seed, from the largest size that failed to the smallest that reached it. An arrow: the largest size tried failed. Lines: fitted powers of N. A size is the dimension m, the width, or the hidden units of a direction."}, "image": {"alt": "Bars on two logarithmic axes, length against size. Those of attention stay low up to 128 tokens. Those of the bidirectional LSTM rise more steeply, and end in arrows from 24 tokens on. Those of the fully-connected network lie a hundred times higher, rise most steeply, and end in arrows from 10 tokens on."}}
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from scipy import stats

from attention_limits import figures
from attention_limits.bounds.crossover import feedforward_width, recurrent_bits
from attention_limits.bounds.mean_error import least_mean_error, least_mean_width
from attention_limits.companion.claims import claim, observed
from attention_limits.companion.training import replayed
from attention_limits.constructions.gates import gated_lstm, gated_network
from attention_limits.constructions.sparse_averaging import narrow_embed_dim
from attention_limits.experiments.studies.growth import fit_growth
from attention_limits.experiments.studies.size_against_length import (
    SEARCHED_ARCHITECTURES,
    brackets,
    ladder,
    searches_and_controls,
)
from attention_limits.experiments.sweeps import Sweep
from attention_limits.problems.sparse_averaging import SparseAveraging

figures.use_style()
COLOURS = dict(
    zip(SEARCHED_ARCHITECTURES, (figures.BLUE, figures.ORANGE, figures.GREEN), strict=True)
)
MARKERS = dict(zip(SEARCHED_ARCHITECTURES, "oDs", strict=True))
UNITS = dict(zip(SEARCHED_ARCHITECTURES, ("$m$", "width", "hidden units"), strict=True))

sweep = Sweep()
trials, controls = searches_and_controls(
    sweep,
    attention_tokens=attention_tokens,
    feedforward_tokens=feedforward_tokens,
    recurrent_tokens=recurrent_tokens,
    size_caps=size_caps,
    peak_rates=peak_rates,
    sparsity=sparsity,
    value_dim=value_dim,
    target_error=target_error,
    num_steps=num_steps,
    batch_size=batch_size,
    num_seeds=num_seeds,
    seed=seed,
)

found = brackets(trials)
found["censored"] = ~np.isfinite(found["reached"])

lengths = (attention_tokens, feedforward_tokens, recurrent_tokens)
GRIDS = dict(zip(SEARCHED_ARCHITECTURES, map(np.sort, lengths), strict=True))
fits, unfitted = {}, []
for architecture, own in found.groupby("architecture", sort=False):
    whole = own[~own["censored"]]
    if len(whole) >= 3 and whole["num_tokens"].nunique() >= 2:
        fits[architecture] = fit_growth(own["num_tokens"], own["failed"], own["reached"])
    else:
        unfitted.append(architecture)

fig, axes = plt.subplots(figsize=(6.4, 3.9))
names = ("attention", "fully connected", "bidirectional LSTM")
for (architecture, color), name in zip(COLOURS.items(), names, strict=True):
    own, fit = found[found["architecture"] == architecture], fits.get(architecture)
    for row in own.itertuples():
        x = row.num_tokens * 1.05 ** (row.seed - seed - (num_seeds - 1) / 2)
        if row.censored:
            arrow = {"arrowstyle": "->", "color": color, "linewidth": 1.6}
            axes.annotate("", (x, row.failed * 1.7), (x, row.failed), arrowprops=arrow)
        else:
            ends = [max(row.failed, 0.5), row.reached]
            axes.plot([x, x], ends, color=color, linewidth=4, solid_capstyle="butt")
    top = own["failed"].max(), own["num_tokens"].max()
    if fit:
        grid = GRIDS[architecture]
        axes.plot(grid, fit.factor * grid**fit.exponent, color=color, linewidth=1.2)
        name += f"\n$N^{{{fit.exponent:.1f}}}$"
    look = {"color": color, "fontsize": 13, "va": "center", "textcoords": "offset points"}
    axes.annotate(name, top[::-1], (14, 0), **look)
axes.set_xscale("log", base=2)
axes.set_yscale("log", base=2)
axes.set(xlabel="$N$, tokens", ylabel="size")
for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter("{x:g}")
axes.set_ylim(top=1.7 * axes.get_ylim()[1])
plt.show()

# %% [markdown]
# **Prerequisites and time.** Stochastic gradient descent, the logistic scale, linear regression; entropy for one proof. Seconds where the results are
# recorded; the core hours of training them are given below.
#
# **On this page.** An experiment and two propositions; all of it is ours, [N].
#
# * With the same number of steps the size that attention needs grows most slowly with $N$, the fully-connected network's fastest: from
#   $N=10$ on it is beyond any size tried ({numref}`fig-size-length`, {numref}`fig-exponents`).
# * A first layer narrower than $Nd'$ forces a mean error, whatever is trained: {prf:ref}`prop-mean-width`.
# * Sizes that are enough, if only the weights are found: {prf:ref}`prop-gates`. What is missing is not size.
#
# The parameters and facts of the page are folded above the figure.
#
# ## The statement
#
# All settings of the experiment are ours. For each architecture and $N$ we search the smallest size at which a trained model reaches
# a given relative error ({eq}`eq-relative-error`) on new samples. A *size* is the embedding dimension $m$ for attention, the width for a
# fully-connected network with one hidden layer, and the number of hidden units of a direction for a bidirectional LSTM.
#
# {prf:ref}`thm-feedforward-rank` does not apply here: it is about the worst input, and a mean is easier. So we prove a bound for the mean:
#
# :::{prf:proposition} (a mean error that a narrow first layer forces, ours)
# :label: prop-mean-width
#
# Let values be independent and uniform in the unit ball of $\R^{d'}$, and let each token's pointers be a uniform $q$-subset, independent of the values. A network $g(Wx+b)$
# whose first layer has $Nd'-k$ units, $k\ge1$, has a relative mean error of at least
#
# $$\frac{N-q}{N-1}\cdot\kappa\,\rho^{1/\kappa},\qquad\kappa=\frac k{Nd'},\qquad\rho=\frac{d'+2}{2\pi e}\operatorname{vol}(B_{d'})^{2/d'},$$
#
# whatever $g$ is. For $d'=1$, $\rho=\frac6{\pi e}\approx0.70$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Tell the network all pointers. What it knows of the values is then $W_zz$, or less than that if some weights depend on each other: the projection $Qz$ of
# $z\in\R^{Nd'}$ on a space of $r\le Nd'-k$ dimensions. It suffices to treat $r=Nd'-k$, since the bound grows with $k$. Let $P=I-Q$, and let $D$ be the least mean of $\norm{z-\hat z}^2$ over estimates
# $\hat z$ that are functions of $Qz$; as $Qz$ is known, $D$ is also the least mean squared error for $Pz$, a vector of $k$ dimensions. Of all vectors with that
# mean square the Gaussian has the largest entropy {cite}`cover2006elements`: $h(Pz\mid Qz)\le\frac k2\ln\frac{2\pi e D}k$. On the other side, coordinates of $z$ are uncorrelated with
# the variance $s^2=\frac1{d'+2}$, so that $h(Qz)\le\frac r2\ln(2\pi es^2)$, and
#
# $$h(Pz\mid Qz)=h(z)-h(Qz)\ge N\ln\operatorname{vol}(B_{d'})-\tfrac r2\ln(2\pi es^2).$$
#
# Both together, with $\operatorname{vol}(B_{d'})^{2/d'}=2\pi es^2\rho$ and $r=Nd'-k$, give $D\ge k\,s^2\rho^{Nd'/k}$.
#
# *From values to means.* For one output and one coordinate let $C$ be the mean covariance, given $Qz$, of that coordinate of the $N$ values. The output asks for $u^\top z$ with
# $u=\frac1q1_y$, and its error is at least $u^\top Cu$. Over a random $y$ the mean of $uu^\top$ is $aI+c\,11^\top$ with $c=\frac{q-1}{qN(N-1)}\ge0$ and $a=\frac1{qN}-c=\frac{N-q}{qN(N-1)}$; so the error
# is at least $a\operatorname{tr}C$. Summed over coordinates this is $aD$. Dividing by $d'\sigma^2=d's^2/q$ we get the relative error
# $\frac{N-q}{N-1}\cdot\frac D{Nd's^2}$. $\blacksquare$
# :::
#
# In the other direction, sizes that are *enough* for the two forms that we train, if only the weights are found:
#
# :::{prf:proposition} (gates, ours)
# :label: prop-gates
#
# 1. One hidden layer of $N^2d'$ rectified linear units computes $\qSA$ exactly.
# 2. One bidirectional LSTM layer of $Nd'$ hidden units a direction approximates $\qSA$ to every accuracy.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Part 1.* For $\abs z\le1$ and $y\in\{0,1\}$, $\max(0,z+2y-1)=y(z+1)$. Take such a unit for each output token, each token and each coordinate. Those of one output add up to
# $q$ plus the sum that is asked for; divide by $q$ and subtract 1.
#
# *Part 2.* Cell $(k,a)$ stores coordinate $a$ of $z_k$, scaled down so that $\tanh$ does not bend it: its input gate opens at position $k$ only and its forget gate stays
# open. Its output gate opens at token $i$ if $k\in y_i$. So the forward layer gives the $z_k$ that are asked for with $k\le i$. The backward layer does the same, with an output gate
# that also stays shut at position $k$ itself, and gives those with $k>i$. The readout adds them up. Saturated gates come as close to 0 and 1 as we like. $\blacksquare$
# :::
#
# A *one-directional* LSTM is not on this page. Its output $i$ does not know the later values, and can do no better than to answer 0 for them. On average over
# tokens they are a share of $\frac{N-1}{2N}$ of the values that are asked for, and its relative error is at least this share, at every size ({prf:ref}`prop-in-step`).
#
# ## The idea
#
# **Bisection with trained models.** The largest size comes first. If it fails, the search ends there: the size that is needed, if there is one, lies above the cap, and we say
# that the search is *censored*. If it reaches the error, we go on in the middle (of the logarithms) between a size that failed and one that reached it, until they are
# neighbours on a ladder of powers of $\sqrt2$, rounded. With the cap 64, for example, 8 comes next, and if 8 reaches the error too, 3. What is left is a
# *bracket*: the largest size that failed and the smallest that reached the error, both of them trained. {numref}`fig-search` shows some of the searches.
#
# %% [markdown]
# ## The experiment
#
# The task is a small one, so that the architectures can learn it at all in the time that a page may take: by default each token asks for a single value of
# one coordinate. Every model trains for the same number of steps, on fresh samples, with Adam and the schedule of
# [learned attention](learned-attention.py). Each architecture has a learning rate of its own: one value for attention, the best of a few that we tried at $N=8$ for the other two, then kept for all $N$ and sizes. The lengths and caps
# of the three architectures are chosen by what they cost, and they differ.
#
# All searches go on side by side: a round trains the next size of each. The same study trains the networks that are too narrow, of which a later section tells.

# %% tags=["hide-input"]
figures.prose(
    f"{len(trials)} models were trained in {trials['round'].max() + 1} rounds, for {len(found)} searches. "
    f"{int(found['censored'].sum())} of them are censored: the cap failed."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-search", "caption": "The searches at the largest N at which an architecture has a bracket, a line each seed: the sizes in the order in which they were trained. Filled: the error was reached. Hollow: it was not."}, "image": {"alt": "Three plots of size against round. Each search starts at the cap and then jumps up and down in halving steps, and closes in on one size; filled markers lie above it and hollow ones below."}}
fig, panels = plt.subplots(3, 1, figsize=(6.4, 7), sharex=True)
for axes, (architecture, color) in zip(panels, COLOURS.items(), strict=True):
    own, marker = found[found["architecture"] == architecture], MARKERS[architecture]
    usable = own[~own["censored"]] if (~own["censored"]).any() else own
    shown = usable["num_tokens"].max()
    kept = (trials["architecture"] == architecture) & (trials["num_tokens"] == shown)
    for place, (_, path) in enumerate(trials[kept].groupby("seed")):
        shift = 0.12 * (place - (num_seeds - 1) / 2)
        rounds = path["round"] + 1 + shift
        axes.plot(rounds, path["size"], color=color, linewidth=0.8)
        for reached, kind in path.groupby("reached"):
            face = color if reached else "white"
            axes.plot(rounds[kind.index], kind["size"], marker, color=color, mfc=face, markersize=6)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set(title=f"{architecture}, $N={shown}$", ylabel=UNITS[architecture])
panels[-1].set(xlabel="round", xticks=range(1, trials["round"].max() + 2))
plt.show()

# %% [markdown]
# ### Errors of all trials
#
# The error falls with the size. How it falls differs: the smaller of two sizes can be the better one by chance, and for some architectures it falls so
# slowly that the size at which it crosses the level is not a sharp one. Bisection can't see whether a size between two others would break the order.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-size-errors", "caption": "Relative error on new samples of every model that was trained, against its size; a colour each N, lines through the medians of the seeds. Dashed: the error to be reached."}, "image": {"alt": "Three plots with logarithmic axes, one above the other, one for each architecture. Errors fall with size, and curves of larger N lie further to the right or higher. For attention they fall steeply, by orders of magnitude; for the fully-connected network slowly."}}
fig, panels = plt.subplots(3, 1, figsize=(6.4, 8.6), sharey=True)
shades = figures.shades(sorted(trials["num_tokens"].unique()))
for axes, architecture in zip(panels, SEARCHED_ARCHITECTURES, strict=True):
    own, marker = trials[trials["architecture"] == architecture], MARKERS[architecture]
    for tokens, group in own.groupby("num_tokens"):
        shade = shades[tokens]
        axes.plot(group["size"], group["error"], marker, color=shade, markersize=4, alpha=0.8)
        medians = group.groupby("size")["error"].median()
        axes.plot(medians.index, medians, color=shade, linewidth=1)
    figures.reference_line(axes, target_error)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(yscale="log", title=architecture, xlabel=UNITS[architecture])
    axes.set_ylabel("relative error")
handles = [
    plt.Line2D([], [], color=shade, marker="o", markersize=4, label=f"{n}")
    for n, shade in shades.items()
]
fig.legend(handles=handles, title="$N$", loc="outside lower center", ncols=5, fontsize=12)
plt.show()

# %% [markdown]
# ### The brackets, and how they grow
#
# Through the brackets of each architecture we lay $\text{size}=c\,N^{\beta}$, by *interval regression*: the logarithm of a size is normal about the line, and all that is known of it is that
# it lies between the two ends of a bracket; of a censored search, that it lies above the cap. The 95 % interval of $\beta$ is that of the profile likelihood, with a
# threshold that makes it Student's interval where sizes are known exactly. It covers the scatter of seeds and the width of brackets, not the error of assuming a power of $N$.

# %% tags=["hide-input"]
if unfitted:
    figures.prose(f"Too few brackets for a line: {', '.join(unfitted)}.")


def problem_of(tokens):
    """The task at N tokens."""
    return SparseAveraging(tokens, sparsity, value_dim)


# Sizes that theory names at each architecture's N.
networks, lstms = (
    list(map(problem_of, GRIDS[name].tolist())) for name in SEARCHED_ARCHITECTURES[1:]
)
THEORY = {
    "attention": {"construction, 4q ln N": narrow_embed_dim(GRIDS["attention"], sparsity)},
    "feedforward": {
        "needed in the worst case, N d'": feedforward_width(GRIDS["feedforward"]) * value_dim,
        "needed for this mean error": [least_mean_width(task, target_error) for task in networks],
        "enough, N² d'": [gated_network(task).width for task in networks],
    },
    "bidirectional lstm": {
        "bits needed, N − 1": recurrent_bits(GRIDS["bidirectional lstm"]),
        "units enough, N d'": [gated_lstm(task).lstm.hidden_size for task in lstms],
    },
}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-size-length", "caption": "The size needed against N. Bars: brackets, one each seed, from the largest size that failed to the smallest that reached the error. Arrows upwards: censored searches, where the cap failed. Solid lines: fitted powers of N. Grey: sizes that theory names."}, "image": {"alt": "Three plots with logarithmic axes. For attention short bars lie low and nearly level. For the fully-connected network bars rise steeply and end in arrows at the cap. For the LSTM bars rise with N. Grey lines show the bounds and constructions."}}
fig, panels = plt.subplots(3, 1, figsize=(6.4, 9))
for axes, architecture in zip(panels, SEARCHED_ARCHITECTURES, strict=True):
    own, color = found[found["architecture"] == architecture], COLOURS[architecture]
    arrow = {"arrowstyle": "->", "color": color, "linewidth": 1.6}
    marker, lengths = MARKERS[architecture], GRIDS[architecture]
    for row in own.itertuples():
        x = row.num_tokens * 1.06 ** (row.seed - seed - (num_seeds - 1) / 2)
        if row.censored:
            axes.annotate("", (x, row.failed * 3), (x, row.failed), arrowprops=arrow)
            axes.plot(x, row.failed, marker, color=color, markerfacecolor="white", markersize=5)
        else:
            ends = [max(row.failed, 0.5), row.reached]
            axes.plot([x, x], ends, color=color, linewidth=3, solid_capstyle="butt")
    if architecture in fits:
        factor, exponent = fits[architecture].factor, fits[architecture].exponent
        label = f"$N^{{{exponent:.2f}}}$"
        axes.plot(lengths, factor * lengths**exponent, color=color, linewidth=1.2, label=label)
    for style, (name, sizes) in zip(("--", ":", "-."), THEORY[architecture].items(), strict=False):
        axes.plot(lengths, sizes, style, color=figures.GREY, linewidth=1.2, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set(title=architecture, xlabel="$N$", ylabel=UNITS[architecture], xticks=lengths)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    top = max(axes.get_ylim()[1], own["failed"].max() * 2)
    axes.set_ylim(
        axes.get_ylim()[0], top * 4 ** (len(THEORY[architecture]) - 1)
    )  # room for the legend
    axes.legend(loc="upper left", fontsize=11)
plt.show()


# %% tags=["hide-input"]
def size_range(group):
    """All seeds' brackets in one phrase."""
    low = group["failed"].min()
    if group["censored"].all():
        return f"> {low}"
    finite = group.loc[~group["censored"], "reached"]
    high = "…" if group["censored"].any() else f"{int(finite.max())}"
    return f"{low} – {high}"


ranges = pd.DataFrame(
    {
        architecture: {tokens: size_range(group) for tokens, group in own.groupby("num_tokens")}
        for architecture, own in found.groupby("architecture", sort=False)
    }
)
figures.table(
    ranges.sort_index().fillna("").rename_axis(index="N"),
    caption="From the largest size that failed to the smallest that reached the error, over seeds",
)

# %% [markdown]
# ### The exponents beside those of the bounds
#
# Not all sizes that theory names are powers of $N$. We fit the same line to them, by least squares over the same $N$, so that
# exponents can be compared.

# %% tags=["hide-input"]
rows = []
for architecture in SEARCHED_ARCHITECTURES:
    if architecture in fits:
        fit = fits[architecture]
        rows.append((architecture, "trained", fit.exponent, fit.low, fit.high, fit.factor))
    if len(GRIDS[architecture]) >= 2:
        for name, sizes in THEORY[architecture].items():
            line = stats.linregress(np.log(GRIDS[architecture]), np.log(sizes))
            factor = math.exp(line.intercept)
            rows.append((architecture, name, line.slope, math.nan, math.nan, factor))
exponents = pd.DataFrame(rows, columns=["architecture", "size", "exponent", "from", "to", "factor"])
style = exponents.style.format("{:.2f}", subset=["exponent", "from", "to", "factor"], na_rep="")
display(style.hide(axis="index"))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-exponents", "caption": "Exponents of N: fitted to the trained models with their 95 % intervals (coloured), and of the sizes that theory names (grey)."}, "image": {"alt": "Points on one axis of exponents. Attention's interval lies lowest, the LSTM's higher, and the fully-connected network's is the highest. Grey marks show the exponents of bounds and constructions."}}
fig, axes = plt.subplots(figsize=(6.4, 0.42 * len(exponents) + 0.9))
labels = []
for place, row in enumerate(exponents.itertuples()):
    if row.size == "trained":
        color, marker, size = COLOURS[row.architecture], MARKERS[row.architecture], 8
        limits = np.clip([row[4], row[5]], -3, 6)
        axes.plot(limits, [place, place], color=color, linewidth=2)
        labels.append(f"{row.architecture}: {row.size}")
    else:
        color, marker, size = figures.GREY, "|", 12
        labels.append(row.size)
    axes.plot(row.exponent, place, marker, color=color, markersize=size, markeredgewidth=2)
axes.set(xlabel=r"exponent $\beta$", yticks=range(len(labels)), yticklabels=labels)
axes.invert_yaxis()
plt.show()

# %% [markdown]
# The theorems count three different things: dimensions, a width, and *bits*. A hidden unit of an LSTM holds two numbers of 32 bits each, so its curve may lie
# below $N-1$ bits with nothing wrong; only the growth is comparable. The worst case asks for the width $Nd'$; a mean error asks for the somewhat smaller width of
# {prf:ref}`prop-mean-width`. Attention's dimension is that of the construction of [the crossover](crossover.py), for the worst case.

# %% tags=["hide-input"]
shared = sorted(set.intersection(*map(set, GRIDS.values())))
lines = []
if shared:
    at = found[found["num_tokens"] == shared[-1]].groupby("architecture")
    lines.append(
        f"At $N={shared[-1]}$, the largest $N$ that all three have, the brackets over seeds are: "
        + "; ".join(f"{name} {ranges.loc[shared[-1], name]}" for name in SEARCHED_ARCHITECTURES)
        + "."
    )
for name, fit in fits.items():
    lines.append(
        f"{name.capitalize()}: $\\beta={fit.exponent:.2f}$, from {fit.low:.2f} to {fit.high:.2f}, with "
        f"{fit.bracketed} brackets and {fit.censored} censored searches."
    )
closest = found[found["censored"]].groupby(["architecture", "num_tokens"])["best"]
for (name, tokens), best in closest:
    lines.append(
        f"Censored: {name} at $N={tokens}$, with errors from {best.min():.2f} to {best.max():.2f} at the cap."
    )
figures.prose("\n".join(f"* {line}" for line in lines))

# %% [markdown]
# A censored search could go on in two ways, to larger sizes or to more steps. Single probes with seed 0, which are not among the records, say how far that leads. Larger: at $N=12$ a network of width 8,192 ends at an
# error of 0.13, at $N=32$ an LSTM of 128 units at 0.29. At the caps, three times as many steps bring the errors to 0.09 and 0.16. So at this budget more size
# alone helps little, and more steps help more.

# %% [markdown]
# ### The sizes that are enough
#
# We build both networks of {prf:ref}`prop-gates` and give them new samples. Training is a different matter: the weights exist at these sizes, and it
# is another question whether they are found.

# %% tags=["hide-input"]
built = []
for tokens in sorted({*feedforward_tokens, *recurrent_tokens}):
    task = problem_of(tokens)
    inputs = task.sample(50, generator=torch.Generator().manual_seed(seed))
    for model, size in (
        (network := gated_network(task), network.width),
        (lstm := gated_lstm(task), lstm.lstm.hidden_size),
    ):
        with torch.no_grad():
            difference = model(task.encode(inputs)) - task.target(inputs)
        relative = difference.square().mean().item() / task.target_variance
        built.append((type(model).__name__, tokens, size, relative, difference.abs().max().item()))
columns = ["network", "N", "size", "relative error", "largest error"]
built = pd.DataFrame(built, columns=columns).sort_values(["network", "N"])
figures.table(built, dict.fromkeys(["relative error", "largest error"], "{:.1e}"), index=False)

# %% [markdown]
# ### A width that cannot do
#
# As a control we train networks whose first layer has half the width $Nd'$. {prf:ref}`prop-mean-width` says what error is forced on them, whatever the later layers are.

# %%
controls["forced"] = [
    least_mean_error(problem_of(int(tokens)), int(width))
    for tokens, width in zip(controls["num_tokens"], controls["size"], strict=True)
]
figures.table(controls, dict.fromkeys(["error", "forced"], "{:.3f}"), index=False)

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
caps = dict(zip(SEARCHED_ARCHITECTURES, size_caps, strict=True))


def is_whole(row):
    """Whether the ends are neighbours on the ladder, or the cap that failed."""
    rungs = [0, *ladder(caps[row.architecture])]
    if row.censored:
        return row.failed == rungs[-1]
    return rungs.index(int(row.reached)) == rungs.index(row.failed) + 1


claim("size.brackets", sum(not is_whole(row) for row in found.itertuples()), "==", 0,
    statement="Every search ends as it should, with two trained neighbours on the ladder of sizes or with a cap that "
    f"failed: no exception among {len(found)}.")
claim("size.mean-error", float((controls["forced"] / controls["error"]).max()), "<=", 1.0, tolerance=0.1,
    note="sampling error of 1,000 test samples",
    statement="No trained network of half the width N d' has a smaller error than that width forces, at any N.")
claim("size.narrow-fails", controls["error"].min(), ">", target_error,
    statement="Half the width N d' is too narrow: no trained network of that width reaches the error "
    f"{target_error:g}, at any N.")
own = found[(found["architecture"] == "feedforward") & ~found["censored"]]
if len(own):
    margin = min(row.reached / least_mean_width(problem_of(row.num_tokens), target_error) for row in own.itertuples())
    claim("size.least-width", margin, ">=", 1.0,
        statement="No fully-connected network reached the error at a width below the least that it needs, in any "
        "search.")
gates = built.groupby("network")[["relative error", "largest error"]].max()
claim("size.gated-network", gates.loc["FeedForwardNetwork", "largest error"], "<=", 1e-5,
    note="float32 sums of N terms", tolerance=1e-5,
    statement=r"One hidden layer of $N^2d'$ units that are gates computes the average: on random inputs no entry is "
    "off by more "
    r"than rounding, $10^{-5}$, at any N.")
claim("size.gated-lstm", gates.loc["LSTMModel", "relative error"], "<=", target_error,
    statement="A bidirectional LSTM of N d' hidden units that are gates has a relative error of at most "
    f"{target_error:g}, at every N.")
missed = found[found["architecture"] == "attention"]["censored"].sum()
observed("size.attention-reaches", int(missed), "==", 0,
    statement="Attention reached the error in every search: no cap failed.")
for rival, least_tokens in (("feedforward", 1), ("bidirectional lstm", 12)):
    # Against the LSTM where both were trained on sequences of some length: on short ones they need alike.
    common = set(attention_tokens) & set(GRIDS[rival])
    last = found[found["num_tokens"] == max(common, default=0)]
    if len(last) and max(common) >= least_tokens:
        of_attention = last.loc[last["architecture"] == "attention", "reached"].max()
        of_rival = last.loc[last["architecture"] == rival, "failed"].min()
        observed(f"size.attention-below-{rival.replace(' ', '-')}", of_attention / of_rival, "<=", 1.0,
            statement=f"Attention needs less than the {rival}: at N = {max(common)} the largest m with which it "
            f"reached the error is at most the least {UNITS[rival]} at the lower end of a bracket, with which "
            "training failed.")
if len(fits) == len(SEARCHED_ARCHITECTURES):
    slowest = min(fits[name].low for name in SEARCHED_ARCHITECTURES[1:])
    observed("size.attention-slowest", fits["attention"].high - slowest, "<", 0.0,
        statement="Attention's size grows most slowly: the interval for its exponent ends below where the others' "
        "begin.")
if "feedforward" in fits:
    observed("size.feedforward-faster", fits["feedforward"].low, ">=", 1.0,
        statement="The trained width grows faster than the width N d', whose exponent is 1: the interval for the "
        "fully-connected network's exponent begins above.")
finite = found[~found["censored"]].groupby(["architecture", "num_tokens"])["reached"]
observed("size.seeds", float((finite.max() / finite.min()).max()), "<=", 3.0,
    statement="Seeds agree to a factor of 3: of the sizes that reached the error the largest is at most three times "
    "the smallest, for each architecture and N.")
if len(replays.table):
    claim("size.replayed", replays.disagreeing, "==", 0,
        statement="No recorded result differs by more than is allowed when it is trained again here. (If one does, "
        "make records trains them anew.)")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *The size that an architecture needs.* It is the size needed at this budget of steps, with this optimiser and one learning rate for each architecture. More steps
#   move the brackets down: with a hidden layer of gates much smaller networks exist than those that were found.
# * *A law for large $N$.* The exponents are slopes over a few $N$, and over different ones for each architecture. A rate chosen at $N=8$ may serve larger $N$ worse, which
#   would make a slope steeper than it has to be.
# * *A bound broken or met.* The theorems speak of the worst input, training of a mean. Only {prf:ref}`prop-mean-width` is about the same error.
# * *That no size reaches the error where an arrow stands.* Only the cap was trained there. Nor does one outcome a size
#   tell how likely it is: another seed may fail where this one did not, and the page shows how far seeds differ.
# * *Equal cost.* A size of one architecture is not a size of another, in parameters or in operations.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-size-budget
#
# Double the steps of the quick profile: `attention-limits run size-against-length --profile quick -p num_steps=300`. Which brackets move, and does the order of the
# architectures change?
# :::
#
# :::{exercise}
# :label: ex-size-mean-width
#
# Which share of the width $Nd'$ does {prf:ref}`prop-mean-width` ask for as $N$ grows, at $q=1$, $d'=1$ and relative error 0.05?
# :::
#
# :::{solution} ex-size-mean-width
# :class: dropdown
#
# The factor $\frac{N-q}{N-1}$ is 1. With $\kappa\rho^{1/\kappa}=0.05$ and $\rho=\frac6{\pi e}$ we find $\kappa\approx0.23$: the network may do without 23 % of the units, and needs
# the other 77 %. The bound is linear in $N$, as the one for the worst case.
# :::
#
# :::{exercise}
# :label: ex-size-sharp-pair
#
# For $N=2$, $q=1$, $d'=1$ and one unit, $W_z=(1,1)$, find the least relative mean error, and compare it with the proposition.
# :::
#
# :::{solution} ex-size-sharp-pair
# :class: dropdown
#
# Given $t=z_1+z_2$, each value is uniform on an interval of length $2-\abs t$ with the middle $t/2$. So the mean squared error is
# $\mathbb E\frac{(2-\abs t)^2}{12}$, where $2-\abs t$ has the density $\frac l2$ on $[0,2]$: it is $\frac1{12}\int_0^2\frac{l^3}2\,dl=\frac16$. Relative to the variance $\frac13$ this
# is $\frac12$. The proposition gives $\frac12\rho^2\approx0.25$.
# :::
#
# ## Reference
#
# The theorems that the sizes are compared with are from {cite}`sanford2023representational`, in the sharper forms of their pages. The experiment, its settings,
# {prf:ref}`prop-mean-width` and {prf:ref}`prop-gates` are ours.
