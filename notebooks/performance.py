# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Speed and memory
#
# **The question.** The book evaluates attention on triples, certifies thousands of subsets and labels two hundred thousand tokens. Which ways of doing so are there, do they
# compute the same, how long do they take, and how near do they come to what the machine can do?
#
# **In one paragraph.** Attention on triples gives each of $N$ tokens a score for every pair of tokens. At $N=512$ these are $512^3$, over a hundred million, and the usual ways write them all down, half a gigabyte, and read them again for the softmax, for the sums and for the gradients. But a token's output needs only two running sums over its pairs. So this package takes a
# tile of pairs at a time, adds it to the sums and forgets it; and where both places of a pair, its *slots*, hold the same keys it takes each pair once instead
# of twice. The memory of a call then no longer depends on $N$, and nearly half of the time of a forward pass goes into arithmetic that no such way can avoid ({numref}`fig-performance-cost`).

# %% tags=["parameters"]
benchmarks: str = "records/benchmarks.json"  # from `make bench`; without it a few are timed
token_grid: list[int] = [32, 64, 128]  # N of the contests that this page runs
seconds_each: float = 0.05  # for each contest that this page times
memory_tokens: int = 256  # N of the calls whose memory is measured, or that threads share
long_tokens: int = 200_000  # N of the long input
long_modulus: int = 800_000  # M of the long input
num_planted: int = 3  # tokens of the long input that complete triples
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import (
    distinct,
    intervals,
    ranges,
    require,
    require_matching,
    usual_ranges,
)

quick = {"seconds_each": 0.02, "memory_tokens": 200, "long_tokens": 50_000, "long_modulus": 200_000}

usual_ranges()
require_matching(long_tokens, long_modulus)
ranges(
    memory_tokens=(128, 1024, "the plain form holds N³ scores several times"),
    long_tokens=(10_000, 10**7, "the input is long"),
    long_modulus=(10_000, 10**8, "the transforms are of this length, and their error is bounded"),
    num_planted=(1, 100, "each is looked up"),
)
distinct("token_grid")
require(len(token_grid) >= 3, f"token_grid needs three N for a growth exponent, got {token_grid}")
intervals(token_grid=(8, 512, "N³ scores are held"))
require(
    0 < seconds_each <= 60, f"seconds_each must lie above 0 and be at most 60, got {seconds_each}"
)
require(benchmarks != "", "benchmarks must name a file, got ''")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-performance-cost", "caption": "What one call of third-order attention costs, forward and backward, at the largest N that was timed: median milliseconds on one thread, by this package (blue) and by the usual ways (grey). Above wide keys and values, below narrow ones, as for Match3. A record of one machine, shown and not claimed."}, "image": {"alt": "Two groups of horizontal bars, a bar each way of computing third-order attention, with its milliseconds. In both groups the two bars of this package, streamed and streamed with the same keys, are among the shortest, and with narrow keys the longest bars are more than ten times as long."}}
import math
from dataclasses import replace
from itertools import chain, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from attention_limits import figures
from attention_limits.companion.claims import claim
from attention_limits.companion.pages import all_pages, find_root
from attention_limits.companion.runner import read_run
from attention_limits.performance.attention import (
    FORMS,
    third_order_contests,
    thread_contests,
    unit_contests,
)
from attention_limits.performance.batches import (
    certificate_contest,
    ensemble_contests,
    exhaustive_contest,
    unit_contest,
)
from attention_limits.performance.contests import DisagreementError, race
from attention_limits.performance.memory import memory_uses
from attention_limits.performance.report import (
    growth_table,
    measure_report,
    read_report,
    seconds_by_file,
    timing_table,
    wide_timing_table,
)
from attention_limits.performance.roofline import floor
from attention_limits.performance.structure import (
    evaluation_contests,
    long_contest,
    oracle_contests,
)
from attention_limits.problems.tuples import planted_triples

figures.use_style()
torch.set_num_threads(1)
root = find_root()

groups = {
    "third order": third_order_contests(token_grid, seed, compiled=False),
    "threads": thread_contests([memory_tokens], seed),
    "unit": unit_contests(token_grid, seed),
    "labels": oracle_contests(token_grid, [n // 2 for n in token_grid], seed),
    "evaluation": evaluation_contests(token_grid, seed),
    "long": [long_contest(long_tokens, long_modulus, num_planted, seed)],
    "training": ensemble_contests([(20, 64, 8)], 6),
    "batches": [certificate_contest(128, 4, 500, seed), unit_contest(64, 4, 16, seed)],
    "check": [exhaustive_contest(3, 6)],
}

path = root / benchmarks
PASSES = ("forward", "both")
forms = ("streamed", "plain einsum", "Khatri–Rao")
small_memory = memory_uses([(form, memory_tokens, 5, 1, "both") for form in forms])
if path.exists():
    report, left_out = read_report(path), ""
    source = f"They were read from `{benchmarks}`, which `make bench` published"
else:
    report = measure_report(list(chain(*groups.values())), seconds_each, small_memory)
    absent = dict(chain(*(contest.missing.items() for contest in groups["third order"])))
    left_out = "".join(f" Without {way}: {reason}." for way, reason in absent.items())
    source = (
        f"There is no `{benchmarks}`, so that this page measured a few sizes itself; "
        "`make bench` measures more, and publishes it"
    )
if not report.is_current:
    left_out += " **The code was another one than this book's**: `make bench` measures it anew."

third = report.about("third-order attention")
cases = list(dict.fromkeys((one.sizes["m"], one.sizes["d"]) for one in third))
frame = timing_table(third)
largest = frame[frame["N"] == frame["N"].max()]
fig, panels = plt.subplots(len(cases), 1, figsize=(6.4, 2.6 * len(cases)), squeeze=False)
for axes, (m, d) in zip(panels.flat, cases, strict=True):
    chosen = (largest["m"] == m) & (largest["d"] == d) & (largest["passes"] == "both")
    part = largest[chosen].sort_values("ms", ascending=False)
    ours = part["way"].str.startswith("streamed")
    bars = axes.barh(part["way"], part["ms"], color=np.where(ours, figures.BLUE, "#a6a6a6"))
    axes.bar_label(bars, fmt="{:,.0f} ms", padding=4, fontsize=12)
    axes.set(title=f"$N={largest['N'].max()}$, $m={m}$, $d={d}$", xticks=[])
    axes.set_xlim(right=1.15 * part["ms"].max())
    axes.tick_params(left=False, labelsize=12)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(visible=False)
plt.show()

# %% [markdown]
# **Prerequisites and time.** [Third-order attention](third-order.py). Some ten seconds on one core.
#
# **On this page.** All of it is ours, [N].
#
# * All ways to compute attention, labels and checks agree, and a way that deviates by 0.1 % is refused.
# * The streamed form takes a few megabytes where the plain one holds all $N^3$ scores. One known way is about as fast while its $N^2$ products of keys fit
#   into memory: *Khatri–Rao, fused*.
# * A floor for any third-order attention that computes all scores: {prf:ref}`prop-third-floor`. How near each way comes to it stands in the section on the machine.
# * Two hundred thousand tokens are labelled without a mistake, by the oracle and by the unit.
#
# The parameters and facts of the page are folded above the figure.
#
# ## The statement
#
# All numbers of this page are ours. Times are *shown*, with their spread, and never claimed: they change from run to run. They are a record of one long run, which says on which machine it was; a small contest is
# raced again at each run of this page. Claimed, and computed here, is what does not change: that all ways agree, that the long input has no wrong label, and what memory a call takes.
#
# :::{prf:proposition} (a floor for third-order attention, ours)
# :label: prop-third-floor
#
# Let a thread do at most $P$ floating-point operations a second, a multiplication with an addition counted as two, or one exponential in $e$ seconds, but not both at
# once. Whoever computes all $N^3$ scores of a third-order unit ({prf:ref}`thm-third-order`) as inner products of $m$ numbers, exponentiates each, and adds its multiple of
# $d$ numbers to a sum, needs at least
#
# ```{math}
# :label: eq-third-floor
# \frac{2N^3(m+d)}P+N^3e\quad\text{seconds.}
# ```
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# An inner product of $m$ numbers is $m$ multiplications with an addition, $2m$ operations as counted; so the scores take $2N^3m$. To add a multiple of $d$ numbers takes $2d$,
# so the sums take $2N^3d$. There are $N^3$ exponentials, and nothing overlaps. $\blacksquare$
# :::
#
# With the same keys and values in both slots the pairs $(j,k)$ and $(k,j)$ have equal scores, and half of this time is enough.
#
# ## The idea
#
# A *contest* is a named group of ways to compute one thing. All get the same inputs. First their results are compared, and a way that deviates is refused. Then they are timed *in turns* in one process: each
# round calls every way once, and each round begins with another one. What else the machine does meets all of them alike, and quotients within a round vary less than the times do. We show the median and the
# quartiles of the rounds.
#
# %% [markdown]
# ## The contests

# %% tags=["hide-input"]
deviations, rows = {}, {}
for group, contests in groups.items():
    # The claims judge: here nothing is refused.
    found = [
        replace(contest, tolerance=math.inf).deviations(contest.draw()).values()
        for contest in contests
    ]
    deviations[group] = found = list(chain(*found))
    allowed = max(contest.tolerance for contest in contests)
    rows[group] = len(contests), len(found), max(found), allowed
columns = ["contests", "results compared", "largest deviation", "allowed"]
compared = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
figures.table(compared, dict.fromkeys(["largest deviation", "allowed"], "{:.1e}"))

# %% [markdown]
# The ways, by contest:
#
# * **Third-order attention**, keys and values the same in both slots. *Plain einsum* is the definition. *Khatri–Rao* writes out the products of all pairs of keys and of values, and is then ordinary attention to $N^2$ keys;
#   *fused*, it hands them to torch's `scaled_dot_product_attention`. *simplicial-attention* is a package by others (its naive function; its scale $1/\sqrt m$ is undone). *torch.compile* compiles the plain form. *Streamed* is this package's
#   `tensor_attention`, and *same keys* says that it was told that both slots hold the same.
# * **Threads**: three of these forms on one thread, and on as many as there are cores.
# * **The unit** of {prf:ref}`def-unit` against `torch.nn.MultiheadAttention` and `scaled_dot_product_attention` with the same weights. The module multiplies by one more matrix, here the identity.
# * **Training** eight small models one by one, and stacked into ensembles.
# * **Labels** of $\operatorname{Match2}$ and $\operatorname{Match3}$ by loops over all tuples, all tuples at once, a hash table, and the sorting or convolution that the book uses.
# * **Evaluation by structure**: the unit of {prf:ref}`thm-third-order` through all pairs, and by counting their sums; and a long input.
# * **Batches**: certificates, the unit of Theorem 2, and checks of all small inputs, one by one and at once.

# %% tags=["hide-input"]
figures.prose(f"**Where the times below come from.** {source}. {report.description}.{left_out}")

# %% [markdown]
# ### Third-order attention
#
# *Both* is forward and backward, with the gradients of queries, keys and values.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-performance-third", "caption": "Third-order attention: milliseconds of a call against N, median and quartiles, both axes logarithmic. Dashed: the floor of a forward pass, from this machine's rates."}, "image": {"alt": "Four panels, forward and forward with backward for two pairs of sizes, with time against N on logarithmic axes. All curves become straight lines of about slope three; the streamed forms and the fused Khatri-Rao form end well below the forms that hold all scores. A dashed line, the floor, runs below the curves of the forward pass."}}
look = {
    "plain einsum": (figures.GREY, "o"),
    "Khatri–Rao": (figures.SKY, "s"),
    "Khatri–Rao, fused": (figures.GREEN, "D"),
    "simplicial-attention": (figures.PINK, "^"),
    "torch.compile": (figures.ORANGE, "v"),
    "streamed": (figures.BLUE, "P"),
    "streamed, same keys": ("black", "X"),
}
fig, grid = plt.subplots(2, len(cases), figsize=(6.4, 7), sharex=True, squeeze=False)
for axes, (passes, (m, d)) in zip(grid.flat, product(PASSES, cases), strict=True):
    rows = frame[(frame["m"] == m) & (frame["d"] == d) & (frame["passes"] == passes)]
    for way, part in rows.groupby("way", sort=False):
        color, marker = look[way]
        style = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1.2}
        spread = part["ms"] - part["ms low"], part["ms high"] - part["ms"]
        axes.errorbar(part["N"], part["ms"], spread, **style, label=way)
    sizes = sorted(rows["N"].unique())
    if passes == "forward":
        least = [1e3 * floor(int(n), int(m), int(d), report.machine) for n in sizes]
        axes.plot(sizes, least, "--", color="black", linewidth=1, label="floor")
    axes.set(xscale="log", yscale="log", title=f"{passes}, $m={m}$, $d={d}$")
    axes.set_xticks(sizes, [str(n) for n in sizes], minor=False)
    axes.minorticks_off()
for axes in grid[-1]:
    axes.set_xlabel("$N$")
for axes in grid[:, 0]:
    axes.set_ylabel("milliseconds")
handles, labels = grid[0, 0].get_legend_handles_labels()
fig.legend(handles, labels, loc="outside lower center", ncols=3)
plt.show()

# %% [markdown]
# Milliseconds of one call: median (lower – upper quartile).


# %% tags=["hide-input"]
def show(column):
    """A table for each m, d and pass, a row for each way and a column for each N."""
    for (m, d), passes in product(cases, PASSES):
        wanted = {"m": m, "d": d, "passes": passes}
        part = [one for one in third if wanted.items() <= one.sizes.items()]
        figures.prose(f"$m={m}$, $d={d}$, {passes}:")
        table = wide_timing_table(part, column, across="N").drop(columns=list(wanted))
        small = table.style.set_table_attributes('style="font-size: 0.8em"')
        display(small.hide(axis="index"))


show("ms")

# %% [markdown]
# How many times faster than the plain einsum, from the quotients within each round; below 1 is slower:

# %% tags=["hide-input"]
show("times faster")

# %% [markdown]
# A small contest is raced at every run of this page: again how many times faster than the plain einsum, here and, at the same sizes, in the record. Both are shown, neither is claimed. Another processor, other versions and what
# else runs beside this page move them.

# %% tags=["hide-input"]
small = [contest for contest in groups["third order"] if contest.sizes["passes"] == "forward"][-1]


def faster(measurements):
    """Quotients with their quartiles, by way."""
    return wide_timing_table(measurements, "times faster", across="N").set_index("way").iloc[:, -1]


beside = {"here": faster(race(small, seconds_each, least=11))}
recorded = [one for one in third if one.sizes == small.sizes]
if path.exists() and recorded:
    beside["recorded"] = faster(recorded)
here = pd.DataFrame(beside).reindex(beside["here"].index).fillna("").reset_index()
figures.prose(f"{small.title}:")
figures.table(here, index=False)

# %% [markdown]
# The backward pass alone, at the largest $N$: the difference of the medians of *both* and *forward*.

# %% tags=["hide-input"]
medians = largest.pivot(index=["m", "d", "way"], columns="passes", values="ms")
backward = (medians["both"] - medians["forward"]).rename("ms").reset_index()
plain_ms = backward[backward["way"] == "plain einsum"].set_index(["m", "d"])["ms"]
backward["times faster"] = [plain_ms[row.m, row.d] / row.ms for row in backward.itertuples()]
backward["way"] = pd.Categorical(backward["way"], list(look))
backward = backward.sort_values(["m", "way"], ascending=[False, True])
figures.table(backward, {"ms": "{:.1f}", "times faster": "{:.2f}"}, index=False)

# %% [markdown]
# ### Threads
#
# How many times faster than on one thread. The streamed form gives each thread pairs of keys of its own, and adds up their sums at the end; the others leave it to torch to divide each operation between threads.

# %% tags=["hide-input"]
on_threads = report.about("threads")
if len({one.way for one in on_threads}) == 1:
    figures.prose("This machine has one core.")
else:
    scaling = wide_timing_table(on_threads, "times faster").drop(columns="1 thread")
    figures.table(scaling, index=False)

# %% [markdown]
# ### Growth
#
# The exponent $a$ of *time* $\sim N^a$, by least squares on the logarithms of the medians, with its 95 % interval. A few sizes give wide intervals, and at small $N$ the cost of a call that does not depend on $N$ pulls the exponent
# down; forms that hold all scores go above 3 where these leave the caches. For labels and
# evaluation $M$ grows with $N$: it is about $N/\ln2$ for pairs and $N^2/(2\ln2)$ for triples, so that half of the labels are 1. For the unit $BN$ is fixed, so that work of order $BN^2$ has the exponent 1.


# %% tags=["hide-input"]
def exponents(topic, follow=()):
    """The fitted series of a topic, with what names each, and the exponent in words."""
    table = growth_table(report.about(topic), follow=follow)
    fits = zip(table["exponent"], table["low"], table["high"], strict=True)
    table["exponent"] = [f"{middle:.2f} ({low:.2f}–{high:.2f})" for middle, low, high in fits]
    table["N"] = [f"{least}–{most}" for least, most in zip(table["from"], table["to"], strict=True)]
    return table


table = exponents("third-order attention")
table["case"] = [f"m={row.m}, d={row.d}, {row.passes}" for row in table.itertuples()]
by_way = table.pivot(index="way", columns="case", values="exponent")
by_way = by_way.reindex(index=table["way"].unique(), columns=table["case"].unique())
figures.prose(f"Third-order attention, $N={table['N'].iloc[0]}$:")
figures.table(by_way.rename_axis(columns=None).reset_index(), index=False)
rest = [
    exponents(topic, follow).assign(contest=topic)
    for topic, follow in (
        ("attention unit", ("B",)),
        ("labels of Match2", ("M",)),
        ("labels of Match3", ("M",)),
        ("unit for Match3", ("M",)),
    )
]
columns = ["contest", "passes", "way", "N", "exponent"]
figures.table(pd.concat(rest).reindex(columns=columns).fillna(""), index=False)

# %% [markdown]
# ### The machine
#
# A product of two large matrices, $2^x$ on numbers that lie in the cache, and the copy of a large array were timed in the same run. They give $P$, $e$ and the memory's bandwidth, and {eq}`eq-third-floor` then the floor. *Share* is the floor
# over the measured time: 100 % would be a call that only multiplies and exponentiates. A form that holds all scores also writes and reads $N^3$ numbers several times; *passes through memory* says how often it could have done so in
# its time, reading and writing 8 bytes for each score.

# %% tags=["hide-input"]
machine = report.machine
figures.prose(
    f"$P={machine.flops / 1e9:.0f}$ GFLOP/s, $e={machine.exp_seconds * 1e9:.2f}$ ns, bandwidth "
    f"{machine.bandwidth / 1e9:.1f} GB/s (read and written)."
)
roof = largest.loc[largest["passes"] == "forward", ["N", "m", "d", "way", "ms"]]
roof["floor"] = [1e3 * floor(row.N, row.m, row.d, machine) for row in roof.itertuples()]
roof.loc[roof["way"] == "streamed, same keys", "floor"] /= 2
roof["share"] = roof["floor"] / roof["ms"]
roof["passes through memory"] = roof["ms"] / 1e3 * machine.bandwidth / (8 * roof["N"] ** 3)
formats = dict.fromkeys(["ms", "floor", "passes through memory"], "{:.1f}")
figures.table(roof, formats | {"share": "{:.0%}"}, index=False)

# %% [markdown]
# ### Memory
#
# The table shows by how many MB ($10^6$ bytes) one call raises the peak of a fresh process's resident memory, at $m=5$, $d=1$. Freed blocks go back to the system
# at once. The plain form holds $N^3$ scores and their softmax; the fused one $2N^2\max(m,d)$ numbers; the
# streamed one a tile, whatever $N$ is. The calls that the claims below are about were measured here.

# %% tags=["hide-input"]
calls = {}
for use in report.memory:
    key = (use.num_tokens, use.passes)
    calls.setdefault(key, {"N": use.num_tokens, "passes": use.passes})
    calls[key][use.form] = use.num_bytes / 1e6
megabytes = pd.DataFrame(list(calls.values()))
measured = dict.fromkeys([form for form in FORMS if form in megabytes], "{:,.1f}")
display(megabytes.style.hide(axis="index").format(measured, na_rep=""))
if path.exists():
    own = ", ".join(f"{use.form} {use.num_bytes / 1e6:,.1f} MB" for use in small_memory)
    figures.prose(f"Here, $N={memory_tokens}$, forward and backward: {own}.")

# %% [markdown]
# ### The unit against torch's
#
# The first table has milliseconds, the second how many times faster than this package's unit each way is; $BN$ is about 1024. The unit is written to return its attention matrix, which the others need not keep.

# %% tags=["hide-input"]
unit_times = report.about("attention unit")
figures.table(wide_timing_table(unit_times, "ms"), index=False)
figures.table(wide_timing_table(unit_times, "times faster"), index=False)

# %% [markdown]
# ### Ensembles
#
# The table shows how many times faster eight models train in ensembles than one by one, at dimension $m$ and batch size $B$, with $q=3$ and $d'=4$. Most of a small step is overhead, which an ensemble pays once; on large steps there is nothing to gain.

# %% tags=["hide-input"]
ensembles = report.about("training of 8 models")
figures.table(wide_timing_table(ensembles, "times faster"), index=False)

# %% [markdown]
# ### Labels, evaluation by structure, and batches
#
# Inputs per second: tokens for labels and for the unit, subsets for certificates, inputs for the rest; each contest at the largest $N$ that was run.

# %% tags=["hide-input"]
for topic in (
    "labels of Match2",
    "labels of Match3",
    "unit for Match3",
    "labels of a long input",
    "certificates",
    "unit of Theorem 2",
    "check of all inputs",
):
    found = report.about(topic)
    table = timing_table(found)
    top = table[table["N"] == table["N"].max()]
    sizes = ", ".join(f"{letter} = {top[letter].iloc[0]:,}" for letter in found[0].sizes)
    figures.prose(f"**{topic[0].upper() + topic[1:]}**, {sizes}:")
    names = {"per second": "inputs per second", "low": "lower quartile", "high": "upper quartile"}
    chosen = top[["way", "per second", "times faster", "low", "high"]].rename(columns=names)
    formats = dict.fromkeys(["times faster", "lower quartile", "upper quartile"], "{:.2f}")
    figures.table(chosen, formats | {"inputs per second": "{:,.0f}"}, index=False)
rival = next(one for one in report.about("labels of a long input") if one.way == "convolution")
figures.prose(
    "A hash table of the $N^2$ sums of pairs, in plain Python, is a hard rival of the convolution at "
    f"small $N$. For the long input it would have {rival.sizes['N'] ** 2:,} sums to try, where the "
    f"convolution took {rival.quartiles.median:.2g} s."
)

# %% [markdown]
# ### Why a kernel of our own
#
# `torch.compile` fuses what is done to each score, so that it goes through memory less often. It does not merge two products with a softmax between them, except where it recognises the pattern of ordinary attention; and there
# the score is a product of *two* vectors. So $N^3$ scores remain, and they decide both time and memory.
#
# Fused kernels, `scaled_dot_product_attention` and `flex_attention`, keep no scores. Both take pairs of a query and a key. Triples become pairs once the $N^2$ products of keys and of values are written out, which is the form
# *Khatri–Rao, fused*. The tables show that it comes near the streamed form at many sizes, and is ahead at some. Where $2N^2\max(m,d)$ numbers fit into memory, the
# two slots hold different keys and no mask is needed, it is the simplest fast way. At the largest $N$ it falls behind in the forward pass. It cannot do without
# the $N^2$ products, and it cannot use that $(j,k)$ and $(k,j)$ have the same score where both slots hold the same, which saves about half. The streamed form does without them and uses the symmetry, and it takes a mask on triples as a view
# that costs no memory.
#
# On a CUDA device `tensor_attention` takes a kernel in Triton, where that is installed (`pip install -e '.[triton]'`), for float32 and at most 128 dimensions: it keeps its tiles on the chip. The tests compare its outputs and all
# gradients with the definition in Triton's interpreter, and on the device where there is one; `benchmarks/bench_gpu_attention.py` times it against torch's own ways. No time on a GPU is reported here: none was measured.
#
# ### Where `make book` and `make test` spend their time

# %% tags=["hide-input"]
runs = {
    page: read_run(root / "_build" / "executed" / f"{page.name}.ipynb")
    for page in all_pages(root)
    if page.name != "performance"
}
rows = [(page.title, run["seconds"], run["threads"]) for page, run in runs.items() if run]
spent = pd.DataFrame(rows, columns=["page", "seconds", "threads"])
spent = spent.sort_values("seconds", ascending=False)
figures.prose(
    f"At the time of this run {len(spent)} of the {len(runs)} other pages had been run, in "
    f"{spent['seconds'].sum():.0f} s together; pages run in parallel, and trained models are read from "
    "the store where they are there. The [state of the runs](../book/status.md) has all pages of this "
    "print."
)
if len(spent):
    figures.table(spent, {"seconds": "{:.0f}"}, index=False)

# %% tags=["hide-input"]
junit = root / "_build" / "tests.xml"
if junit.exists():
    times = seconds_by_file(junit)
    figures.prose(
        f"The last `make test` took {times.seconds.sum():.0f} s for {times.tests.sum():,} tests, the sum "
        "of all its processes, after `make book` and the linters. These files took the most, some of it "
        "for running pages in small, for a book of their own and for processes that are killed halfway:"
    )
    figures.table(times.head(12), {"seconds": "{:.0f}"}, index=False)
else:
    figures.prose("`make test` had not been run here.")

# %% [markdown]
# ## Checks
#
# Each of these was computed by this page, whichever times it shows.

# %% tags=["hide-input"]
generator = torch.Generator().manual_seed(seed)
planted = planted_triples(long_tokens, long_modulus, num_planted, generator=generator)
(long,) = groups["long"]
long_wrong = {name: int((way(planted) != planted.target).sum()) for name, way in long.ways.items()}
(check,) = groups["check"]
small_wrong = int((~check.ways["in a batch"](check.draw())).sum())
honest = groups["third order"][0]
spoilt = dict(honest.ways)
spoilt["streamed"] = lambda inputs: 1.001 * honest.ways["streamed"](inputs)
try:
    replace(honest, ways=spoilt).deviations(honest.draw())
    refused = False
except DisagreementError as error:
    refused = True
    figures.prose(f"The spoilt contest ends with: *{error}*.")

# %% tags=["hide-input"]
# fmt: off
claim("performance.attention", max(deviations["third order"]), "<=", 0.0, tolerance=1e-4,
    note="float32 sums of N² terms",
    statement="All ways of third-order attention agree with the plain einsum, outputs and gradients relative to their "
    f"largest entries, N = {token_grid}.")
claim("performance.threads", max(deviations["threads"]), "<=", 0.0, tolerance=1e-4, note="float32 sums of N² terms",
    statement=f"All cores compute what one thread does, outputs and gradients, N = {memory_tokens}.")
claim("performance.unit", max(deviations["unit"]), "<=", 0.0, tolerance=1e-4, note="float32 sums of up to N terms",
    statement="Torch's attention agrees with the unit, outputs and gradients of the tokens.")
claim("performance.labels", sum(deviation > 0 for deviation in deviations["labels"]), "==", 0,
    statement="All ways to label Match2 and Match3 give the labels of the loop over all tuples: no exception among "
    f"{len(deviations['labels'])} comparisons.")
claim("performance.evaluation", max(deviations["evaluation"]), "<=", 0.0,
    tolerance=max(c.tolerance for c in groups["evaluation"]), note="the unit's own bound on the rounding of log-odds",
    statement="Evaluation by counting sums agrees with evaluation through all pairs.")
claim("performance.training", max(deviations["training"]), "<=", 0.0, tolerance=1e-3,
    note="float32, five steps of Adam",
    statement="An ensemble's first errors agree with those of models trained one by one.")
claim("performance.batches", max(deviations["batches"]), "<=", 0.0, tolerance=1e-5, note="float32 in the unit",
    statement="Certificates and outputs in a batch agree with those one by one.")
claim("performance.long", sum(long_wrong.values()), "==", 0,
    statement=f"At N = {long_tokens:,}, M = {long_modulus:,} the oracle and the unit give every token the label known "
    "from planting: no exception.")
claim("performance.check", small_wrong + int(max(deviations["check"]) > 0), "==", 0,
    statement=f"The third-order unit labels all inputs of {check.title.removeprefix('check of all inputs, ')} "
    "rightly, and the loop as the batch does: no exception.")
claim("performance.refused", refused, "==", True,
    statement="A way whose output is 0.1 % too large is refused.")
claim("performance.memory", sum(g.num_bytes > 10e6 for g in small_memory if g.form == "streamed"), "==", 0,
    statement="No streamed call, forward and backward, raises the memory of a process by more than 10 MB at N = "
    f"{memory_tokens}, m = 5, d = 1.")
claim("performance.memory-plain",
    sum(g.num_bytes < 4 * memory_tokens**3 for g in small_memory if g.form in ("plain einsum", "Khatri–Rao")), "==", 0,
    statement="Every call of the plain and the Khatri–Rao form takes the memory of all scores there, $N^3$ numbers of "
    f"4 bytes, {4e-6 * memory_tokens**3:,.0f} MB: no exception.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *What another machine does.* Rates, caches and libraries decide, and so does the number of threads, which is one here but for the contests of threads.
# * *What a GPU does.* There a call's overhead and the memory's bandwidth weigh differently.
# * *That no way is faster.* Each form was written or called as its documentation suggests, and none was tuned for these sizes.
# * *That the floor is attained.* It leaves out loads, stores and everything of order $N^2$.
#
# After a new `make bench`, `make book` runs this page again; after a new `make test`, `attention-limits run performance --force` does, and shows its times.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-performance-floor
#
# At which $m+d$ do the products of {eq}`eq-third-floor` take as long as the exponentials, if $P=160$ GFLOP/s and $e=0.3$ ns?
# :::
#
# :::{solution} ex-performance-floor
# :class: dropdown
#
# Where $2(m+d)/P=e$, so at $m+d=eP/2=24$. Below it, as for $\operatorname{Match3}$, a faster exponential helps more than a faster product.
# :::
#
# :::{exercise}
# :label: ex-performance-memory
#
# At which $N$ do the $N^3$ scores of the plain form in float32 fill 16 GB, and at which $N$ do the $2N^2\max(m,d)$ numbers of the fused Khatri–Rao form with $m=d=32$?
# :::
#
# :::{solution} ex-performance-memory
# :class: dropdown
#
# $4N^3=16\cdot10^9$ gives $N\approx1590$; if the softmax is held too, scores may fill 8 GB only: $N\approx1260$. And $4\cdot64N^2=16\cdot10^9$ gives $N\approx7900$. The streamed form is limited by time only.
# :::
#
# ## Reference
#
# Third-order attention is from {cite}`sanford2023representational`. The contests, the floor and all measurements are ours.
