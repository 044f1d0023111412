# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Architectures: who learns to average, and at what cost
#
# **The question.** On paper attention needs little for sparse averaging, a recurrent network a memory of $N$ bits, and a fully-connected
# network a first layer of width $Nd'$. What does *training* make of it: with equally many parameters, and with as many as each
# architecture asks for?
#
# **In one paragraph.** Each of twenty tokens asks for the average of three tokens. Attention gives every pair a weight of its own, made by *one* rule, "is this position among my pointers?", that all pairs share: learn it once, and it serves everywhere. A fully-connected network must learn a separate gate for each pair,
# and none helps the next one. A recurrent network must carry all the values along in its state until they are asked for, and one that reads in one direction
# never knows those to come. So at equal size attention's error falls by orders of magnitude. The fully-connected network stays at the level of the trivial
# answers, and the recurrent ones about halve the error ({numref}`fig-architecture-curves`). Then let them grow: one of them, the bidirectional LSTM, gets there.

# %% tags=["parameters"]
num_tokens: int = 20  # N, tokens
sparsity: int = 3  # q, tokens that each token points to
value_dim: int = 4  # d', coordinates of a value
embed_dim: int = 64  # m of the attention model that the others match
num_steps: int = 1500  # of training
batch_size: int = 32  # samples of a step
num_samples: int = 1000  # fixed training samples, where samples are not fresh
attention_sizes: list[int] = [16, 32]  # other m
feedforward_sizes: list[int] = [80, 1600]  # other widths: N d' and N² d'
recurrent_sizes: list[int] = [80]  # other hidden units a direction: N d'
large_size: int = 128  # hidden units a direction of the large recurrent network
large_layers: int = 1  # its layers
large_steps: int = 4000  # its steps
level: float = 0.05  # the error that counts as learned
large_error: float = 0.05  # what is claimed of the large recurrent network
num_seeds: int = 10  # repetitions at equal parameters
seed: int = 0  # of the first repetition

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import distinct, ranges, require, usual_ranges

quick = {
    "num_tokens": 6,
    "sparsity": 1,
    "value_dim": 1,
    "embed_dim": 24,
    "num_steps": 130,
    "batch_size": 32,
    "num_samples": 100,
    "attention_sizes": [12],
    "feedforward_sizes": [36],
    "recurrent_sizes": [6],
    "large_size": 32,
    "large_steps": 240,
    "level": 0.1,
    "large_error": 0.7,
    "num_seeds": 2,
}
study = "attention_limits.experiments.studies.architectures:compare_architectures"

usual_ranges()
require(
    2 <= num_tokens <= 64, f"num_tokens N must lie in 2…64 (N²d' units are built), got {num_tokens}"
)
require(sparsity < num_tokens, f"sparsity q must be below N = {num_tokens}, got {sparsity}")
distinct("attention_sizes", "feedforward_sizes", "recurrent_sizes")
ranges(attention_sizes=1, feedforward_sizes=1, recurrent_sizes=1)
ranges(num_samples=1, large_size=1, large_layers=1, large_steps=1)
require(0 < level < 1, f"level must lie strictly between 0 and 1, got {level}")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-architecture-curves", "caption": "Relative error on the training samples, fresh at every step, at equal numbers of parameters: median of the seeds, with their whole range shaded. 1 is what answering 0 scores."}, "image": {"alt": "Four learning curves on a logarithmic error axis. Attention falls below one hundredth. The fully-connected network stays at 1, and both LSTMs end between a third and two thirds."}}
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from attention_limits import figures
from attention_limits.bounds.in_step import in_step_error
from attention_limits.bounds.mean_error import least_mean_error
from attention_limits.companion.claims import claim, observed
from attention_limits.companion.training import replayed
from attention_limits.constructions.gates import gated_network
from attention_limits.experiments.studies.architectures import (
    PEAK_RATES,
    RATE_FACTORS,
    RATES_TRIED,
    compare_architectures,
    steps_to_reach,
    summarise_errors,
)
from attention_limits.experiments.sweeps import Sweep
from attention_limits.problems.sparse_averaging import SparseAveraging

figures.use_style()
problem = SparseAveraging(num_tokens, sparsity, value_dim)
NAMES = {
    "attention": "attention",
    "feedforward": "fully connected",
    "lstm": "LSTM",
    "bidirectional lstm": "bidirectional LSTM",
}
COLOURS = dict(zip(NAMES, (figures.BLUE, figures.ORANGE, figures.GREEN, figures.PINK), strict=True))

sweep = Sweep()
trials = compare_architectures(
    sweep,
    num_tokens=num_tokens,
    sparsity=sparsity,
    value_dim=value_dim,
    embed_dim=embed_dim,
    num_steps=num_steps,
    batch_size=batch_size,
    num_samples=num_samples,
    attention_sizes=attention_sizes,
    feedforward_sizes=feedforward_sizes,
    recurrent_sizes=recurrent_sizes,
    large_size=large_size,
    large_layers=large_layers,
    large_steps=large_steps,
    num_seeds=num_seeds,
    seed=seed,
)

equal = trials[trials["series"] == "equal"]
fresh, fixed = (equal[equal["num_samples"] == count] for count in (0, num_samples))
fig, axes = plt.subplots(figsize=(6.4, 3.4))
for (key, name), shift in zip(NAMES.items(), (0, 3, 1, -7), strict=True):
    steps, errors = figures.learning_curves(fresh[fresh["architecture"] == key])
    figures.band(axes, steps, errors, COLOURS[key], name)
    end = steps[-1], np.median(errors[:, -1])
    look = {"color": COLOURS[key], "fontsize": 12, "va": "center", "textcoords": "offset points"}
    axes.annotate(name, end, (8, shift), **look)
axes.set(yscale="log", xlabel="step", ylabel="relative error")
plt.show()

# %% [markdown]
# **Prerequisites and time.** [Learned attention](learned-attention.py). Seconds where the results are recorded; the core hours of training them are
# given below.
#
# **On this page.** This is an experiment: its results are ours, [N].
#
# * With equally many parameters attention learns to average, with every seed; no other architecture comes near. They fail in three ways: the fully-connected network is too
#   narrow to do it, the LSTM of one direction can't do it at any size, and the bidirectional LSTM, which no bound known to us rules out, does not learn it.
# * On fixed samples attention still learns the task; the LSTMs memorise the samples ({numref}`fig-fixed-samples`).
# * A bidirectional LSTM that is much larger and trained for longer does learn ({numref}`fig-needs`). A fully-connected network does not at any width tried, though one that is right on every input exists ({prf:ref}`prop-gates`).
#
# The parameters and facts of the page are folded above the figure.
#
# ## The statement
#
# The bounds of the paper {cite}`sanford2023representational` are for the worst input, and for weights that may be anything. The models, the sizes, the learning rates, the numbers of
# steps and all numbers are ours.
#
# Errors are relative to the variance of the target, as in {eq}`eq-relative-error`: answering 0 scores 1, and answering the mean of all values scores
# $1-q/N$ ({prf:ref}`prop-baselines`). [Theorem 10](thm-10-feedforward.py) and [Theorem 11](thm-11-recurrent.py) speak of the worst input and of
# bits; training reports a *mean* over random inputs, in floats. For two of the four architectures there is a bound on that mean, too.
#
# A machine that writes output $i$ when it has read tokens $1,\dots,i$ has a relative mean error of at least $\frac{N-1}{2N}$, whatever its memory
# ({prf:ref}`prop-in-step`). So the LSTM of one direction can do little more than halve the error. A fully-connected network whose first layer is narrower than $Nd'$ has a
# least mean error as well; [Size against length](size-against-length.py) proves it. For the other two, attention and the bidirectional LSTM, we know of no bound
# that rules out the sizes below: what they reach here is a matter of training.

# %% [markdown]
# ## The experiment
#
# Four architectures get the same number of parameters, the same samples and the same number of steps, and each its own learning rate. Each model reads the
# tokens $(z_i;y_i;i)$, with $y_i$ as $N$ zeros and ones and $i$ as a unit vector. These are the models:
#
# * **attention**: a token-wise network with one hidden layer of 128 rectified linear units, then one unit of embedding dimension $m$, as on
#   [Learned attention](learned-attention.py);
# * **fully connected**: one hidden layer of rectified linear units over all tokens at once;
# * **LSTM** and **bidirectional LSTM**: one layer, with a linear readout at each token.
#
# Adam minimises the mean squared error; the rate rises linearly over the first 100 steps and then follows half a cosine down to 0. The sizes of the last three
# are those whose number of parameters comes closest to attention's. Fresh samples are drawn at every step; fixed ones are drawn once, and batches are drawn
# from them with replacement. All errors named "test" are on 1,000 samples that no model was trained on.
#
# The large bidirectional LSTM and the models of other sizes are trained on fresh samples with one seed.

# %% [markdown]
# ### Learning rates
#
# A comparison is only as fair as its learning rates. We looked for them with one seed at this page's own sizes, in a grid, and took the rate with
# the least error on new samples, or one near it; the page runs each again at half and at twice the rate. For attention the larger of these would have been better still.

# %% tags=["hide-input"]
rates = pd.concat([trials[trials["series"] == "rates"], fresh[fresh["seed"] == seed]])
rows = []
for key, name in NAMES.items():
    row = {"architecture": name, "taken": f"{PEAK_RATES[key]:g}"}
    of_one = rates[rates["architecture"] == key]
    for factor in sorted((*RATE_FACTORS, 1.0)):
        at_rate = np.isclose(of_one["peak_rate"], PEAK_RATES[key] * factor)
        row[f"at {factor:g} ×"] = of_one.loc[at_rate, "error"].item()
    rows.append(row)
formats = dict.fromkeys([column for column in rows[0] if column.startswith("at ")], "{:.3g}")
caption = "Test error at multiples of the rate taken"
figures.table(pd.DataFrame(rows).set_index("architecture"), formats, caption)
tried = (
    f"{name} {', '.join(f'{rate:g}' for rate in RATES_TRIED[key])}" for key, name in NAMES.items()
)
figures.prose(f"Rates tried: {'; '.join(tried)}.")

# %% [markdown]
# ### Equal parameters
#
# The time of a step is measured on each model trained alone, on one thread. Where it comes from the records of this book, it is the time on the machine that
# made the records, and not on the one that ran this page. (For the errors several models may be trained as one, which is faster.)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-architecture-seconds", "caption": "The curves of the first figure against seconds of training. Dashed: uniform attention, 1 − q/N. Dotted: the least error in one direction, which binds the LSTM."}, "image": {"alt": "Four learning curves against seconds, with a logarithmic error axis. All end within ten seconds, the fully-connected network first. The LSTM's curve ends just above the dotted line, attention's far below it."}}
in_step = float(in_step_error(problem))
uniform = 1 - sparsity / num_tokens
fig, axes = plt.subplots(figsize=(6.4, 3.6))
for key, name in NAMES.items():
    chosen = fresh[fresh["architecture"] == key]
    steps, errors = figures.learning_curves(chosen)
    figures.band(axes, steps * chosen["step_seconds"].iloc[0], errors, COLOURS[key], name)
figures.reference_line(axes, uniform)
axes.axhline(in_step, color=COLOURS["lstm"], linestyle=":", linewidth=1.5)
axes.set(yscale="log", xlabel="seconds", ylabel="relative error")
axes.legend(loc="lower left")
plt.show()

# %% tags=["hide-input"]
models = fresh.groupby("architecture").first()
width = int(models.loc["feedforward", "size"])
least_errors = {"lstm": in_step, "feedforward": least_mean_error(problem, width)}
found = [summarise_errors(fresh.loc[fresh["architecture"] == key, "error"]) for key in NAMES]
models = models.loc[list(NAMES)]
table = pd.DataFrame(
    {
        "size": models["size"],
        "parameters": models["num_parameters"],
        "counted by the bounds": models["counted"],
        "least error": pd.Series(least_errors),
        "error": [one.median for one in found],
        "range": [f"{one.least:.3g} … {one.most:.3g}" for one in found],
        "95 % interval": [f"{one.low:.3g} … {one.high:.3g}" for one in found],
        "ms a step": 1000 * models["step_seconds"],
        "seconds": models["step_seconds"] * num_steps,
    },
    index=models.index,
)
formats = {"parameters": "{:,}", "least error": "{:.3f}", "error": "{:.3g}"}
formats |= dict.fromkeys(["ms a step", "seconds"], "{:.1f}")
for column, form in formats.items():  # a row each in what is shown, which has no formats by row
    table[column] = table[column].map(form.format, na_action="ignore")
figures.table(table.rename(index=NAMES).rename_axis(None).T)

# %% [markdown]
# *Size* is $m$, the width, or the hidden units of a direction. *Counted by the bounds* is what the theorems speak of: the embedding dimension $m$
# for Theorems 2 to 4, the width of the first layer for Theorem 10, and for Theorem 11 the numbers in the forward state, a hidden vector and a cell. *Error* is the median over
# seeds on test samples after the last step, with the range and with Student's interval of the geometric mean.

# %% tags=["hide-input"]
figures.prose(
    "The three failures are of three kinds. The fully-connected network has a first layer of "
    f"{width:,} units where Theorem 10 asks for $Nd'={num_tokens * value_dim:,}$: "
    + (
        "it *cannot*, on the worst input or on the mean, and it does not even find "
        if width < num_tokens * value_dim
        else "the bounds forbid it nothing, and it does not even find "
    )
    + f"the mean of all values, which would score {uniform:.3g}. "
    f"The LSTM reads in one direction and *cannot* get below {in_step:.3g}. The bidirectional LSTM is "
    f"forbidden nothing that we know of: its state has {models.loc['bidirectional lstm', 'counted']} "
    f"numbers of 32 bits, far more than the $N-1={num_tokens - 1}$ bits of Theorem 11. At this size it "
    "*does not learn* more."
)

# %% [markdown]
# The numbers of the [crossover](crossover.py) page are the exact sizes at which the bounds cross. None of them predicts an error at equal size: they
# say where an architecture fails for certain, not where it is trained with ease.
#
# ### Fresh and fixed samples
#
# With fixed samples a model can do well in training without having learned the task. The training error of {numref}`fig-fixed-samples` is that of the
# batches, the test error that of new samples; where they part, the model has memorised.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-fixed-samples", "caption": "Fresh samples (grey) and fixed samples (coloured): training error over the steps, median and range of the seeds. Circles and diamonds at the end: test errors after training on fresh and on fixed samples, one a seed, moved apart sideways. A gap between the end of a coloured curve and its diamonds is memorising."}, "image": {"alt": "Four panels, one for each architecture. For attention the curves of fresh and fixed samples and all test errors nearly agree. For the LSTMs the training error on fixed samples falls below that on fresh ones, while the test errors on fixed samples lie far above it."}}
fig, panels = plt.subplots(2, 2, figsize=(6.4, 6), sharex=True, sharey=True)
for axes, (key, name) in zip(panels.flat, NAMES.items(), strict=True):
    for part, colour, label, marker, shift in (
        (fresh, figures.GREY, "fresh", "o", 1.03),
        (fixed, COLOURS[key], "fixed", "D", 1.08),
    ):
        chosen = part[part["architecture"] == key]
        figures.band(axes, *figures.learning_curves(chosen), colour, label)
        end = np.full(len(chosen), num_steps * shift)
        axes.plot(end, chosen["error"], marker, color=colour, markersize=5, alpha=0.7)
    axes.set(title=name, yscale="log")
    axes.legend(loc="lower left")
for axes in panels[-1]:
    axes.set_xlabel("step")
for axes in panels[:, 0]:
    axes.set_ylabel("relative error")
plt.show()

# %% tags=["hide-input"]
gaps = fixed.assign(gap=fixed["error"] / fixed["training_error"])
of_fresh = fresh.groupby("architecture")[["training_error", "error"]].median()
of_fixed = gaps.groupby("architecture")[["training_error", "error", "gap"]].median()
table = pd.concat([of_fresh, of_fixed], axis="columns").loc[list(NAMES)].rename(index=NAMES)
columns = ["fresh: training", "fresh: test", "fixed: training", "fixed: test"]
figures.table(table.set_axis([*columns, "fixed: test / training"], axis="columns"), "{:.3g}")

# %% [markdown]
# ### At what each needs
#
# How large, and how long, until the error is at the level? *Steps to it* counts until the training error on fresh samples stays at or below the level;
# "–" means not within the steps of that run. The first row of each architecture is the one at equal parameters (median over seeds), the others have one seed.

# %% tags=["hide-input"]
rows = []
shapes = trials[trials["series"].isin(["equal", "sizes", "large"])]
shapes = shapes[shapes["num_samples"] == 0]
shapes = shapes.groupby(["architecture", "size", "num_layers", "num_steps"], sort=False)
for (key, size, layers, steps), group in shapes:
    reached = np.median([steps_to_reach(curve, steps, level) for curve in group["curve"]])
    first = group.iloc[0]
    row = {"series": first["series"], "architecture": NAMES[key], "layers": layers, "size": size}
    row |= {"parameters": first["num_parameters"], "steps": steps}
    row |= {"seconds": steps * first["step_seconds"], "error": group["error"].median()}
    row["steps to the level"] = reached
    rows.append({**row, "seconds to the level": reached * first["step_seconds"]})
needs = pd.DataFrame(rows)
needs["architecture"] = pd.Categorical(needs["architecture"], list(NAMES.values()))
needs["other"] = needs["series"] != "equal"
needs = needs.sort_values(["architecture", "other", "size", "steps"], kind="stable")
short = {"steps to the level": "steps to it", "seconds to the level": "seconds to it"}
figures.table(
    needs.drop(columns=["series", "other"])
    .rename(columns=short)
    .set_index("architecture")
    .replace(np.inf, np.nan),
    {"error": "{:.3g}", "steps to it": "{:,.0f}"}
    | dict.fromkeys(["parameters", "steps"], "{:,}")
    | dict.fromkeys(["seconds", "seconds to it"], "{:.1f}"),
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-needs", "caption": "Training error on fresh samples against seconds of training, for the models of the table: thick with all seeds' median at equal parameters, thin with one seed at other sizes, labelled with the size. Dotted: the level. The large bidirectional LSTM is dashed."}, "image": {"alt": "Learning curves over a logarithmic time axis. Attention at equal parameters crosses the level of 0.05 within a few seconds; the large bidirectional LSTM crosses it more than ten times later. Fully-connected networks stay near the top at all widths."}}
fig, axes = plt.subplots(figsize=(6.4, 4.6))
for (key, size, layers, _), group in shapes:
    series = group["series"].iloc[0]
    x, errors = figures.learning_curves(group)
    x, errors = x * group["step_seconds"].iloc[0], np.median(errors, axis=0)
    style = "--" if series == "large" else "-"
    (line,) = axes.plot(x, errors, style, color=COLOURS[key], linewidth=1.2)
    if series == "equal":
        line.set(linewidth=2.5, label=NAMES[key])
    name = f"{size} × {layers}" if layers > 1 else f"{size}"
    # Fully-connected networks end at one height: labels above it are out of the way of the longer curves.
    look = {"va": "center", "fontsize": 11, "color": COLOURS[key]}
    widest = key == "feedforward" and size == max(feedforward_sizes)
    place = (-4, 9) if key == "feedforward" and not widest else (4, 0)
    axes.annotate(name, (x[-1], errors[-1]), place, textcoords="offset points", **look)
axes.axhline(level, color=figures.GREY, linestyle=":", linewidth=1.5)
axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel="relative error")
axes.legend(loc="lower left")
plt.show()

# %% tags=["hide-input"]
attention, large = (
    needs[(needs["architecture"] == NAMES[key]) & (needs["series"] == series)].iloc[0]
    for key, series in (("attention", "equal"), ("bidirectional lstm", "large"))
)
wide = trials[(trials["architecture"] == "feedforward") & (trials["series"] == "sizes")]
widest = wide.loc[wide["size"].idxmax()]
reached, seconds = np.isfinite(large["steps to the level"]), large["seconds to the level"]
how_far = (
    f"It reaches the level after {large['steps to the level']:,.0f} steps or {seconds:.0f} seconds: "
    f"{seconds / attention['seconds to the level']:.0f} times the time of attention"
    if reached
    else "It does not reach the level in that time"
)
figures.prose(
    f"**The large bidirectional LSTM{' does learn' if reached else ''}.** With "
    f"{large['parameters']:,} parameters, {large['parameters'] / attention['parameters']:.1f} times "
    f"attention's, it ends at an error of {large['error']:.2g} after {large['steps']:,} steps and "
    f"{large['seconds']:.0f} seconds. {how_far}.\n\n"
    f"**The wide fully-connected network does not.** At width {widest['size']:,} with "
    f"{widest['num_parameters']:,} parameters its error is {widest['error']:.3g}. The mean of all values "
    f"would score {uniform:.3g}. Being wide enough is not the obstacle: the next cell builds a network "
    f"with one hidden layer of $N^2d'={num_tokens**2 * value_dim:,}$ units that is right on every input "
    "({prf:ref}`prop-gates`)."
)

# %%
network = gated_network(problem)
inputs = problem.sample(500, generator=torch.Generator().manual_seed(seed))
with torch.no_grad():
    exact_error = (network(problem.encode(inputs)) - problem.target(inputs)).abs().max().item()

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
by_name = fresh.groupby("architecture")["error"]
most, fewest = by_name.max(), by_name.min()
others = [key for key in NAMES if key != "attention"]
sampling = "sampling error of 1,000 test samples"
ratio = equal["num_parameters"] / models.loc["attention", "num_parameters"]
claim("architectures.parameters", (ratio - 1).abs().max(), "<=", 0.05,
    statement="The models have equally many parameters: within 5 % of attention's.")
observed("architectures.attention", most["attention"], "<=", level,
    statement=f"Attention learns the task: on fresh samples its test error is at most {level:g} with each of "
    f"{num_seeds} seeds.")
for key in others:
    noun = "network " if key == "feedforward" else ""
    observed(f"architectures.{key.replace(' ', '-')}", fewest[key], ">=", 4 * level,
        statement=f"At the task, with as many parameters, the {NAMES[key]} {noun}stays far behind: its test error is "
        f"at least {4 * level:g} with each of {num_seeds} seeds.")
observed("architectures.gap", fewest[others].min() / most["attention"], ">=", 10,
    statement="Over all seeds the least error of the other architectures is at least ten times attention's largest.")
of_attention = rates["architecture"] == "attention"
observed("architectures.rates", rates.loc[~of_attention, "error"].min() / rates.loc[of_attention, "error"].max(), ">=",
    5,
    statement="The learning rates do not decide it: over half, one and two times each rate, first seed, the least "
    "error of the other architectures is at least five times attention's largest.")
claim("architectures.one-direction", fewest["lstm"], ">=", in_step, tolerance=0.02, note=sampling,
    statement="No LSTM of one direction beats (N − 1)/(2N) on test samples.")
claim("architectures.narrow-layer", fewest["feedforward"], ">=", least_errors["feedforward"], tolerance=0.02,
    note=sampling,
    statement="No fully-connected network of this width beats its least mean error on test samples.")
memorised = gaps[gaps["architecture"].isin(["lstm", "bidirectional lstm"])]
observed("architectures.memorising", memorised["gap"].min(), ">=", 1.5,
    statement="The LSTMs memorise fixed samples: their test error is at least 1.5 times their training error, with "
    "every seed.")
observed("architectures.fixed-attention", gaps.loc[gaps["architecture"] == "attention", "error"].max(), "<=", level,
    statement=f"Attention learns the task from fixed samples too: its test error is at most {level:g} with every seed.")
observed("architectures.fixed-others", fixed.loc[fixed["architecture"] != "attention", "error"].min(), ">=", 0.5,
    statement="From fixed samples the others do not learn the task: their test errors are at least 0.5 with every "
    "seed.")
observed("architectures.large", large["error"], "<=", large_error,
    statement=f"The large bidirectional LSTM learns: after {large_steps:,} steps its test error is at most "
    f"{large_error:g}.")
# Where the level is not reached all steps count: then the ratio is larger than this.
updates = np.minimum(needs["steps to the level"], needs["steps"]) * needs["parameters"]
observed("architectures.cost", updates[large.name] / updates[attention.name], ">=", 5,
    statement="The large bidirectional LSTM costs more: steps to the level (all, if it is not reached) times "
    "parameters are at least five times attention's.")
observed("architectures.wide", widest["error"], ">=", uniform / 2,
    statement=f"The widest fully-connected network, {widest['size']:,} units, does not learn: its test error is at "
    "least half of 1 − q/N.")
claim("architectures.one-hidden-layer", exact_error, "<=", 1e-5,
    statement=r"The network with one hidden layer of $N^2d'$ units computes the average: no coordinate of its outputs "
    "on 500 "
    r"inputs is off by more than $10^{-5}$.")
if len(replays.table):
    claim("architectures.replayed", replays.disagreeing, "==", 0,
        statement="No recorded result differs by more than is allowed when it is trained again here. (If one does, "
        "make records trains them anew.)")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That the others can't learn the task.* The large bidirectional LSTM does. More steps, other rates, other initial weights or another way to feed the
#   pointers may well help the fully-connected network, of which we know a solution.
# * *That these sizes are least.* [Size against length](size-against-length.py) looks for the smallest one.
# * *A law of time.* Seconds are those of one machine, the one that trained the models, with whatever else it did meanwhile. An LSTM reads its tokens one after the other, attention all at once: on an accelerator the
#   distance may well be larger.
# * *That each rate is the best.* Rates were looked for at equal parameters with one seed, and the same ones serve the larger models.
# * *The paper's experiment.* Its settings were not available to us.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-two-layers
#
# Give the large recurrent network a second layer, `attention-limits run architectures -p large_layers=2`. It has more than three times the parameters. Does it
# reach the level in fewer steps?
# :::
#
# :::{exercise}
# :label: ex-below-the-bound
#
# On fixed samples the training error of the LSTM can fall below $\frac{N-1}{2N}$, although it reads in one direction. Which hypothesis of
# {prf:ref}`prop-in-step` fails?
# :::
#
# :::{solution} ex-below-the-bound
# :class: dropdown
#
# Values to come are not independent of the tokens read so far: among a few fixed samples the first tokens tell which sample it is, and a model that has stored the
# samples knows the rest. On new samples the hypothesis holds, and with it the bound.
# :::
#
# :::{exercise}
# :label: ex-cells-as-values
#
# Choose weights of a bidirectional LSTM with $Nd'$ hidden units a direction that averages up to an arbitrarily small error.
# :::
#
# :::{solution} ex-cells-as-values
# :class: dropdown
#
# Cell $(j,k)$ stores a small multiple $\delta z_{jk}$: its input gate opens at token $j$ alone, which the one-hot position tells, and its forget gate stays open.
# Its output gate opens at token $i$ if $y_{ij}=1$, which the pointers tell, and shuts otherwise; in the backward direction it also shuts at $j=i$, so that the
# token's own value is counted once. All recurrent weights are zero. Outputs are $\tanh$ of $\tanh(\delta z)$, about $\delta z$ for small $\delta$; the readout adds the cells of coordinate
# $k$ in both directions and divides by $q\,\delta$. Gates are sigmoids: large weights bring them as near to 0 and 1 as one likes.
# :::
#
# ## Reference
#
# The task and the lower bounds of Theorems 10 and 11 are from {cite}`sanford2023representational`. Settings and all measurements are ours.
