# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Match3Local: triples within a window
#
# **The question.** Triples are hard for one layer if they may lie anywhere. What if the three tokens of a triple must lie close together,
# within $K$ positions? How large must one unit be, and does its size depend on the length of the sequence?
#
# **In one paragraph.** Let $K=2$: a token has to learn the residues of five tokens, itself and two on either side, and then it can try all triples. One unit gives it an average, in which residues
# get mixed. So token $j$ writes its residue into one of eight coordinates, the *slot* with the number $j\bmod8$ ({numref}`fig-slots`). The five never
# share a slot, but each of them shares its own with the tokens eight places before and after it.
# Those must not count. So let the weights fall like a bell around the token that asks. **A tangent makes such a bell**: put the keys on a parabola; the
# height of a key above the tangent at the query is the square of the
# distance, and the score falls with it. The token knows the bell; it divides each slot by its weight, rounds, and has the five residues. All this depends on the window alone, whatever the length of the sequence. With more slots the bell may be flatter, which saves bits.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-slots", "caption": "A window of five, K = 2, and eight slots, in the unit of this page. Bars: the attention of the middle token. Squares: the residues, coloured by slot where the window's five tokens and those that share a slot with one of them lie. Below: what the token reads in the eight slots after dividing by the bell and rounding."}, "image": {"alt": "Seventeen squares with digits in a row. Bell-shaped bars stand on them, highest in the middle. The five middle squares have five colours, and squares eight places to the left or right repeat the colour of one of them, under tiny bars. Below, eight slots: five in these colours hold the digits of the middle squares, the three others hold a dot."}}
import matplotlib.pyplot as plt
import torch

from attention_limits import figures
from attention_limits.constructions.match3_variants import match3_local_unit
from attention_limits.problems.matching import Match3Local

figures.use_style()
digits = torch.tensor([[7, 2, 4, 0, 9, 6, 1, 3, 8, 5, 2, 0, 4, 7, 1, 9, 3]])
local_unit = match3_local_unit(Match3Local(17, 10, 2)).double()
averages, bell = local_unit.attend(digits)
window_read = local_unit.window_residues(averages)[0, 8].round().long().tolist()
slot_color = [figures.GREEN, figures.PINK, figures.SKY] + ["#f0f0f0"] * 3 + [figures.BLUE]
slot_color += [figures.ORANGE]
fig, axes = plt.subplots(figsize=(6.4, 3.4))
box, text = {"ec": figures.GREY, "linewidth": 1}, {"ha": "center", "va": "center"}
for j, digit in enumerate(digits[0].tolist()):
    color, height = slot_color[j % 8], 13 * bell[0, 8, j].item()
    axes.add_patch(plt.Rectangle((j - 0.46, -0.6), 0.92, 1.2, fc=color, **box))
    axes.add_patch(plt.Rectangle((j - 0.46, 0.75), 0.92, height, fc=figures.GREY))
    ink = "black" if color in ("#f0f0f0", figures.SKY, figures.PINK) else "white"
    axes.text(j, 0, digit, fontsize=16, color=ink, **text)
axes.plot([5.5, 5.5, 10.5, 10.5], [-0.75, -0.95, -0.95, -0.75], color=figures.GREY)
for slot, color in enumerate(slot_color):
    place, offset = 4.5 + slot, (slot + 2) % 8
    axes.add_patch(plt.Rectangle((place - 0.46, -2.9), 0.92, 1.2, fc=color, **box))
    ink = "black" if color in ("#f0f0f0", figures.SKY, figures.PINK) else "white"
    read = window_read[offset] if offset < 5 else "·"
    axes.text(place, -2.3, read, fontsize=16, color=ink, **text)
    axes.text(place, -3.35, slot, fontsize=12, color=figures.GREY, **text)
axes.text(3.7, -2.3, "read in slots", fontsize=14, **text | {"ha": "right"})
axes.text(11, 2.6, "attention of the\nmiddle token", fontsize=14, **text | {"ha": "left"})
axes.set(xlim=(-0.6, 16.6), ylim=(-3.7, 4))
axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax, geometric series. Half a minute on one core.
#
# **On this page.**
#
# * One unit with $P\ge2K+1$ slots solves it for every $N$; with $P=4K$ numbers of $O(\log KM)$ bits are enough. [N] {prf:ref}`thm-local-unit`
# * Slots against bits: the fewest slots cost the most bits ({numref}`fig-local-bits`). [N]
# * No residual connection is needed for the position. [N] {prf:ref}`lem-local-position`
#
# The paper has a unit whose size grows with $N$, for windows of any shape [P]; ours needs that they are contiguous.
#
# ## The statement
#
# Tokens are residues $x_1,\dots,x_N\in\{0,\dots,M-1\}$, and the answer for token $i$ is
#
# ```{math}
# :label: eq-local
# \operatorname{Match3Local}(x)_i=\begin{cases}1&\text{if }x_i+x_j+x_k\equiv0\pmod M\text{ for some }j,k\text{ with }\abs{i-j},\abs{i-k}\le K,\\0&\text{otherwise.}\end{cases}
# ```
#
# The paper shows that one unit does this with an embedding dimension that grows like $K\log N$, and numbers of few bits
# {cite}`sanford2023representational`: token $i$ averages the $2K+1$ tokens of its window. Its exact statement was not available to us. What follows is ours: windows are
# *contiguous*, and for contiguous sets keys of two dimensions are enough, so that the size does not depend on $N$ at all.
#
# :::{prf:proposition} (windows, ours)
# :label: thm-local-unit
#
# Let $N\ge1$, $M\ge2$, $K\ge0$ and $P\ge2K+1$ be integers. There is a self-attention unit with queries and keys of two coordinates and
# values of $P$, so of embedding dimension $m=\max(P,2)$ with the values counted, after which a token that knows its
# position $i$ can read off the residues of its window, for every input. It still can if the averages are rounded to multiples of $2^{-f}$,
#
# ```{math}
# :label: eq-local-bits
# 2^f\ge2\,Z\,e^{cK^2},\qquad c\ge\frac{\ln(8M+1)}{P\,(P-2K)},\qquad Z=\max_i\sum_{j}e^{-c(j-i)^2},
# ```
#
# so that $\lceil\log_2M\rceil+f$ bits are enough for each of them. At $P=4K\ge4$ this is $O(\log(KM))$.
# :::
#
# A window longer than the sequence is the same as one with $K=N-1$, and we read $K$ so throughout. With $P\ge N$ no two tokens share a slot, and any $c>0$ would do;
# the proposition is of interest for $K<\frac N2$.
#
# ## The idea
#
# **A tangent selects a window.** Put the keys $(j,j^2)$ on a parabola. The score $c\,(2ij-j^2)=ci^2-c\,(j-i)^2$ says how far key $j$ lies
# above the tangent at $i$: the further, the less weight ({numref}`fig-local-parabola`).
#
# **Slots keep residues apart.** Token $j$ writes its residue into the coordinate $j\bmod P$ of its value. The $2K+1\le P$ tokens of a window use
# different coordinates; others share them, but lie at least $P$ further on.
#
# **What does the output map need?** Which slots are the window's depends on $i$, and {prf:ref}`def-unit` does not hand on a token's own data. We use a **residual connection** for the
# position. {prf:ref}`lem-local-position` below does without it, for one value coordinate more.
#
# **Few slots cost bits.** A *slot-mate* is a token outside the window that shares a slot with one inside. With $P=2K+1$ slot-mates come as close as
# $K+1$. So the bell must be steep,
# and then the window's edges have little weight and must be read very precisely. More slots allow a flatter bell.
#
# :::{prf:proof}
# :class: dropdown
#
# Token $i$ has the query $c\,(2i,-1)$ and the key $(i,i^2)$, so that token $j$ gets the weight $e^{-c(j-i)^2}/Z_i$ with $Z_i=\sum_je^{-c(j-i)^2}$. Let $j=i+o$ lie in the window, $\abs o\le K$. Its
# slot holds $\frac1{Z_i}\sum_le^{-c(o+lP)^2}x_{j+lP}$, the sum being over all integers $l$ for which there is such a token. Multiplied by $Z_ie^{co^2}$ this is $x_j$ plus
#
# $$\sum_{l\ne0}e^{-c\,lP(lP+2o)}\,x_{j+lP}\;\le\;(M-1)\cdot2\sum_{l\ge1}\rho^{\,l}=(M-1)\frac{2\rho}{1-\rho},\qquad\rho=e^{-cP(P-2K)},$$
#
# because $lP(lP+2o)\ge\abs lP(\abs lP-2K)\ge\abs lP(P-2K)$. With the $c$ of {eq}`eq-local-bits`, $\rho\le\frac1{8M+1}$ and $\frac{2\rho}{1-\rho}\le\frac1{4M}$: the
# sum is less than $\tfrac14$. Rounding an average moves it by at most $2^{-f-1}$ and the product by at most $Z_ie^{co^2}2^{-f-1}\le\frac14$. Together that is less than $\frac12$, and rounding the product
# gives $x_j$. An average of residues lies in $0\dots M-1$, which takes $\lceil\log_2M\rceil$ bits before the point; it is never negative. The output map tries all pairs of the window.
#
# *Slots and bits.* Since $\sum_je^{-c(j-i)^2}\le1+\int e^{-ct^2}dt=1+\sqrt{\pi/c}$, we have $Z\le1+\sqrt{\pi/c}$. At $P=4K$ with the least $c$, $cK^2=\tfrac18\ln(8M+1)$ and
# $\sqrt{\pi/c}=K\sqrt{8\pi/\ln(8M+1)}\le3K$, so that $f\le2+\log_2(1+3K)+\frac18\log_2(8M+1)$. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 256  # N of the unit that is looked at closely
modulus: int = 209  # M; about half of the labels are then 1
window: int = 8  # K, positions on either side
slot_grid: list[int] = [17, 18, 19, 20, 22, 24, 28, 32, 40, 48, 64]  # P ≥ 2K + 1
token_grid: list[int] = [16, 64, 256, 1024]  # N, where the size is compared
num_inputs: int = 8  # random inputs at each size
largest_inputs: int = 3000  # all inputs are tried at every size with M^N up to this
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import ranges, require, require_matching, usual_ranges

quick = {"largest_inputs": 300, "token_grid": [16, 64, 256], "num_inputs": 4}

usual_ranges()
require_matching(num_tokens, modulus)
ranges(window=1)
require(
    window <= 32, f"window K must be at most 32 (all pairs of a window are tried), got {window}"
)
least = 2 * window + 1
require(
    least <= num_tokens <= 1024, f"num_tokens N must lie in 2K + 1 = {least}…1024, got {num_tokens}"
)
require(modulus <= 1000, f"modulus M must be at most 1000 (float32 at N = 1024), got {modulus}")
for slots in slot_grid:
    require(
        slots >= least,
        f"slot_grid's P must be at least 2K + 1 = {least} for K = {window}, got {slots}",
    )
for tokens in token_grid:
    require(
        2 <= tokens <= 1024, f"token_grid's N must lie in 2…1024 (exact in float32), got {tokens}"
    )
require(max(token_grid) > 2 * window, f"token_grid needs a length above 2K = {2 * window}")
ranges(num_inputs=4, largest_inputs=(100, 10**5))

# %% [markdown]
# ## The construction
#
# `match3_local_unit` takes $P=4K$ unless told otherwise. Its $c$ is rounded up to five significant binary digits: with positions counted from the middle
# of the sequence, scores are then exact in floats. Floats need far fewer bits than fixed point here, as they read small averages with the same *relative*
# precision as large ones. Where a float type is too small for $N$, $M$ or the steepness of the bell, the unit refuses when it is called.

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd

from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.match3_variants import local_bits, reach
from attention_limits.fixed_point import FixedPoint
from attention_limits.problems.grading import grade, grade_outputs
from attention_limits.runtime import progress

torch.set_num_threads(1)  # many tiny matrices: more threads would wait for each other
generator = torch.Generator().manual_seed(seed)


def residue_error(unit, averages, inputs):
    """The most by which a residue of a window is missed, before it is rounded to an integer."""
    most = reach(unit.problem)
    padded = torch.nn.functional.pad(inputs.double(), (most, most), value=torch.nan)
    exact = padded.unfold(1, 2 * most + 1, 1)
    return (unit.window_residues(averages) - exact).abs().nan_to_num().max().item()


# %%
problem = Match3Local(num_tokens, modulus, window)
unit = match3_local_unit(problem).double()
inputs = problem.sample(num_inputs, generator=generator)
truth, found = problem.target(inputs), grade(unit, problem, inputs)
error = residue_error(unit, unit.attend(inputs).output, inputs)
figures.prose(
    f"With $N={num_tokens}$, $M={modulus}$, $K={window}$ the unit has $P={unit.value_slots}$ "
    f"slots, $m={unit.embed_dim}$ and $c={unit.scale:.4g}$. On {num_inputs} random inputs it "
    f"mislabels {found.wrong} of {found.num_labels:,} tokens, of which "
    f"{truth.double().mean().item():.0%} have the answer 1; the residues that it reads are off by "
    f"at most {error:.3f} before they are rounded."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-local-parabola", "caption": "A query is a tangent. Top: keys on the parabola, here with K = 2 and P = 5 slots, one colour a slot; the tangent at i touches key i, and the gap between key j and the tangent is (j − i)². The shaded strip is the window: five keys of different colours. Bottom: the weights that follow, on a logarithmic scale; a slot-mate has less weight than the window's token by at least the factor 8M + 1, M = 10."}, "image": {"alt": "Top: points on a parabola in five repeating colours with a tangent line at the middle one; a shaded strip holds five neighbouring points, each of another colour. Bottom: attention weights of the same keys, an upside-down parabola on a logarithmic scale, falling away from the middle on both sides."}}
small_unit = match3_local_unit(Match3Local(15, 10, 2), value_slots=5).double()
weights = small_unit.attend(torch.zeros(1, 15, dtype=torch.int64)).attention[0, 9].numpy()
position, here = np.arange(-7, 8), 2  # centred, as in the unit
palette = np.array([figures.BLUE, figures.ORANGE, figures.GREEN, figures.PINK, figures.SKY])
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6, 6.6))
top.plot(position, position**2, color=figures.GREY, linewidth=0.8, zorder=1)
tangent = 2 * here * position - here**2
top.plot(position, tangent, "--", color=figures.GREY, linewidth=1.2, zorder=1)
top.vlines(position, tangent, position**2, color=figures.GREY, linewidth=0.8, alpha=0.6)
top.scatter(position, position**2, color=palette[position % 5], s=40, zorder=2)
top.annotate("tangent at $i$", (5.2, 12), color=figures.GREY, va="top", ha="left")
top.set(xlabel="$j$", ylabel="$j^2$", title="keys $(j, j^2)$")
bottom.scatter(position, weights, color=palette[position % 5], s=40, zorder=2)
bottom.set(xlabel="$j$", ylabel="attention weight", yscale="log", title="weights of query $i$")
for axes in (top, bottom):
    axes.axvspan(here - 2.5, here + 2.5, color=figures.GREY, alpha=0.13, linewidth=0)
    axes.set_xticks(
        [here - 5, here - 2, here, here + 2, here + 5], ["$i-5$", "$i-2$", "$i$", "$i+2$", "$i+5$"]
    )
plt.show()

# %% [markdown]
# ### Every small input
#
# All $M^N$ inputs, for windows from $K=0$ to windows longer than the sequence, and for several numbers of slots $P\ge2K+1$, in float32 and float64.


# %% tags=["hide-input"]
def columns(unit):
    """m as it was built: the columns of the widest matrix, of queries, keys and values."""
    return max(matrix.shape[1] for matrix in unit.parameters())


small = []
for tokens in range(1, 8):
    for residue_count in range(2, 8):
        if residue_count**tokens > largest_inputs:
            break
        for K in (0, 1, 2, 3, 9):
            task = Match3Local(tokens, residue_count, K)
            every, most = task.all_inputs(), reach(task)
            for slots in {2 * most + 1, 2 * most + 2, 4 * most + 1}:
                tried = match3_local_unit(task, value_slots=slots)
                wrong = grade(tried, task, every).wrong + grade(tried.double(), task, every).wrong
                error = residue_error(tried, tried.attend(every).output, every)
                small.append((K, tokens, slots, columns(tried), len(every), wrong, error))
small = pd.DataFrame(small, columns=["K", "N", "P", "m", "inputs", "wrong", "error"])
shown = small.groupby("K").agg(
    {"N": "max", "P": "max", "inputs": "sum", "wrong": "sum", "error": "max"}
)
figures.table(
    shown.rename(columns={"N": "N up to", "P": "P up to", "error": "largest error read"}),
    {"inputs": "{:,}", "largest error read": "{:.3f}"},
    "All inputs at small sizes: wrong labels, and the error of residues before rounding",
)

# %% [markdown]
# ### Slots against bits
#
# **How bits are counted.** We count those of an average, the number that the output map reads: $\lceil\log_2M\rceil$ before the point and $f$ after it, without a sign, as averages of residues are not
# negative. The values themselves are integers below $M$. Then we round all averages of the unit to exactly this format and let the output map decide. (`FixedPoint` always has a sign; that bit stays 0.) A format of
# more than 52 bits can't be simulated in float64 and is only counted.

# %% tags=["hide-input"]
trade = []
for slots in progress(slot_grid, "slots"):
    tried = match3_local_unit(problem, value_slots=slots).double()
    integer, fraction = local_bits(problem, slots)
    bits, wrong, error = integer + fraction, None, None
    if bits <= 52:
        rounded = FixedPoint(integer, fraction).round(tried.attend(inputs).output)
        wrong = grade_outputs(tried.decide(rounded), truth).wrong
        error = residue_error(tried, rounded, inputs)
    trade.append((slots, columns(tried), tried.scale, fraction, bits, wrong, error))
trade = pd.DataFrame(trade, columns=["P", "m", "c", "f", "bits", "wrong", "error read"])
formats = {"c": "{:.4f}", "wrong": "{:.0f}", "error read": "{:.3f}"}
caption = f"Slots against bits of an average, N = {num_tokens}, M = {modulus}, K = {window}"
figures.table(trade, formats, caption, index=False)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-local-bits", "caption": "Bits of an average that are enough, against the number of slots. To the left of 2K + 1 a window doesn't fit; the curve falls steeply and is flat from about 3K on. For comparison, the vertical dashed line stands at K log₂ N, the growth of the paper's dimension with its constant taken as 1."}, "image": {"alt": "A curve of bits against slots that starts high at two K plus one, falls to less than half within a few slots and levels off a little above log two of M. A dashed vertical line far to the right marks K log N."}}
fig, axes = plt.subplots(figsize=(6, 3.6))
axes.plot(trade["P"], trade["bits"], "o-", color=figures.BLUE)
axes.axvspan(2 * window - 4, 2 * window + 0.5, color=figures.GREY, alpha=0.13, linewidth=0)
top = trade["bits"].max()
axes.annotate("$P<2K+1$", (2 * window - 3.3, top), va="top", rotation=90, color=figures.GREY)
least, right_end = math.log2(modulus), max(slot_grid)
axes.axhline(least, color=figures.GREEN, linewidth=1, linestyle=":")
axes.annotate(r"$\log_2M$ ", (right_end, least), color=figures.GREEN, va="top", ha="right")
growth = window * math.log2(num_tokens)
axes.axvline(growth, color=figures.ORANGE, linestyle="--", linewidth=1.2)
axes.annotate(r"$K\log_2N$ ", (growth, top), color=figures.ORANGE, ha="right", va="top")
axes.set(xlabel="slots $P$", xlim=(2 * window - 4, None))
axes.set(ylabel="bits of an average", ylim=(0, None))
axes.set_title("parabola keys, $m=P$", color=figures.BLUE)
plt.show()

# %% [markdown]
# ### Independent of N
#
# The same unit at growing lengths, in float32, beside $K\log_2N$. Fewer slots than a window has tokens are refused. A bell that is too flat for its slots errs, as
# tokens outside the window disturb it, and so does a unit whose averages lose a few of the bits counted.

# %% tags=["hide-input"]
lengths = []
for tokens in progress(token_grid, "lengths"):
    task = Match3Local(tokens, modulus, window)
    tried = match3_local_unit(task)
    sample = task.sample(num_inputs, generator=generator)
    bits, wrong = sum(local_bits(task, tried.value_slots)), grade(tried, task, sample).wrong
    lengths.append((tokens, columns(tried), bits, window * math.log2(tokens), wrong))
lengths = pd.DataFrame(lengths, columns=["N", "m", "bits", "K log₂ N", "wrong"])
caption = f"Growing lengths, K = {window}, M = {modulus}, float32"
figures.table(lengths, {"K log₂ N": "{:.0f}"}, caption, index=False)

accepted = 0
for slots in range(1, 2 * window + 1):
    try:
        match3_local_unit(Match3Local(4 * window + 4, modulus, window), value_slots=slots)
        accepted += 1
    except ValueError:
        pass

break_task = Match3Local(64, 209, 4)
sample = break_task.sample(num_inputs, generator=generator)
coarse = match3_local_unit(break_task, value_slots=9).double()
integer, fraction = local_bits(break_task, 9)
rounded = FixedPoint(integer, fraction - 6).round(coarse.attend(sample).output)
wrong_when_coarse = grade_outputs(coarse.decide(rounded), break_task.target(sample)).wrong
flat = match3_local_unit(break_task, value_slots=9).double()
flat.scale /= 8  # the bell of more slots, on nine
wrong_when_flat = grade(flat, break_task, sample).wrong

# The bound of the proof, with the bit that ⌈log₂ M⌉ rounds up, and c rounded up by a factor of at most 17/16.
bits_excess = max(
    sum(local_bits(Match3Local(N, M, K), 4 * K))
    - (math.log2(M) + 3 + math.log2(1 + 3 * K) + 17 / 16 / 8 * math.log2(8 * M + 1))
    for N in (100, 10_000)
    for M in (2, 209, 10**6)
    for K in (1, 2, 8, 64)
)

# %% [markdown]
# ### Without a residual connection
#
# :::{prf:lemma} (averaged positions tell the position)
# :label: lem-local-position
#
# For every $c>0$ and $N\ge2$ the average $\bar\jmath(i)=\sum_jp_{ij}\,j$ of the positions is strictly increasing in $i$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# For real $i$ let $p_j\propto e^{2cij-cj^2}$. Then $\frac{d}{di}\sum_jp_jj=2c\big(\sum_jp_jj^2-(\sum_jp_jj)^2\big)$, a variance of a distribution that gives all positions a positive weight: it is positive. $\blacksquare$
# :::
#
# So one value coordinate more, the position itself, tells the output map its $i$, and $m=P+1$. We measure the least step of $\bar\jmath$, which says how precisely that coordinate must be read.

# %%
steps, middle_steps = [], []
for slots in slot_grid:
    weights = match3_local_unit(problem, value_slots=slots).double().attend(inputs[:1]).attention[0]
    step = (weights @ torch.arange(num_tokens, dtype=torch.float64)).diff()
    steps.append(step.min().item())
    middle_steps.append((step[num_tokens // 2 - 1] - 1).abs().item())
figures.prose(
    "The least step of the averaged position, over all $i$ and all $P$ in the table: "
    f"{min(steps):.2f}; in the middle of the sequence it is 1, up to {max(middle_steps):.0e}."
)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("local.small-inputs", int(small["wrong"].sum()), "==", 0,
    statement=f"All labels are right on all inputs with $M^N$ ≤ {largest_inputs:,}, N ≤ 7, M ≤ 7, K from 0 to 9 and "
    f"three numbers of slots: no exception in {int(small['inputs'].sum()):,} runs in float32 and as many in float64.")
claim("local.long-windows", int(small.loc[small["K"] >= small["N"], "wrong"].sum()), "==", 0,
    statement="They are right where the window is longer than the sequence, too: no exception.")
claim("local.residues", small["error"].max(), "<", 0.25, tolerance=1e-9, note="rounding of float64",
    statement="A residue is read off the exact averages with an error below a quarter: the largest error on all "
    "small inputs.")
claim("local.dimension",
    int((small["m"] != small["P"].clip(lower=2)).sum()) + int((trade["m"] != trade["P"].clip(lower=2)).sum()), "==", 0,
    statement="Every unit has m = max(P, 2): no exception.")
claim("local.any-length", int(lengths.loc[lengths["N"] > 2 * window, "m"].nunique()), "==", 1,
    statement=f"The embedding dimension is one and the same for lengths up to N = {max(token_grid)}, at one K: the "
    "number of different ones.")
claim("local.random-inputs", int(lengths["wrong"].sum()), "==", 0,
    statement=f"All labels are right on random inputs up to N = {max(token_grid)}, in float32: no exception.")
claim("local.bits", int(trade["wrong"].sum()), "==", 0,
    statement="With averages rounded to the bits counted all labels are right: no exception, for "
    f"{int(trade['wrong'].notna().sum())} numbers of slots.")
claim("local.rounded-residues", trade["error read"].max(), "<", 0.5,
    statement="A residue is read off rounded averages with an error that rounding to integers forgives: the largest "
    "error.")
claim("local.log-bits", bits_excess, "<=", 0,
    statement=r"At P = 4K the bits are at most $\log_2M+3+\log_2(1+3K)+\frac{17}{128}\log_2(8M+1)$: the largest "
    r"difference, over 24 sizes with N ≤ 10,000, $M\le10^6$, K ≤ 64.")
claim("local.slots-needed", accepted, "==", 0,
    statement="The construction refuses fewer than 2K + 1 slots: no exception.")
observed("local.bits-needed", wrong_when_coarse, ">=", 1,
    statement="With six bits fewer some labels are wrong (N = 64, K = 4, P = 9, random inputs).")
observed("local.steepness-needed", wrong_when_flat, ">=", 1,
    statement="With an eighth of the scale c slot-mates disturb, and some labels are wrong (same sizes).")
claim("local.position", min(steps), ">", 0.0,
    statement="The averaged position grows with each step, so that a token can tell its place without a residual "
    "connection: the least step.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That $P$ slots are needed.* A window of $2K+1$ arbitrary residues can be packed into fewer numbers of more bits; we count slots and bits for one construction, and give no lower bound.
# * *That the paper's dimension is worse.* $K\log N$ serves *any* subsets of $2K+1$ positions, with few bits; ours uses that windows are contiguous. The line in {numref}`fig-local-bits` has the constant 1 for want of
#   a better one.
# * *What the output map costs.* It knows $c$, inverts the bell and tries all pairs. {prf:ref}`def-transformer` allows any such map.
# * *That distant triples are within reach.* $m\ge2K+1$ grows with the window, and from $K=\frac N2$ on a slot for each position is cheaper: $m=N$.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-local-position
#
# Give a unit with $m=P+1$ whose output map needs no residual connection. Where is the averaged position hardest to read?
# :::
#
# :::{solution} ex-local-position
# :class: dropdown
#
# Add the value coordinate $j$. By {prf:ref}`lem-local-position` its average determines $i$. The own residue is in the window already. In the middle of the sequence the average is $i$ up to tiny terms; near the
# ends half of the bell is cut off and the steps are smaller.
# :::
#
# :::{exercise}
# :label: ex-local-causal
#
# A causal window holds the tokens $i-K,\dots,i$ only. How many slots are needed now, and where should the tangent touch?
# :::
#
# :::{solution} ex-local-causal
# :class: dropdown
#
# The window has $K+1$ tokens, so $P\ge K+1$ slots. Let the tangent touch in the middle of the window, at $a=i-\frac K2$: the query is $c\,(2a,-1)$ and everything holds with $\frac K2$ in place of $K$.
# :::
#
# :::{exercise}
# :label: ex-local-limit
#
# What happens to the bits at $P=2K+1$ as $K$ grows with $M$ fixed? And at $P=3K$?
# :::
#
# :::{solution} ex-local-limit
# :class: dropdown
#
# At $P=2K+1$, $cK^2\approx\frac K2\ln(8M+1)$: about $\frac K2\log_2(8M+1)$ bits, so that the $2K+1$ slots hold far more than the residues need. At $P=3K$, $cK^2=\frac13\ln(8M+1)$ stays put, and only $\log_2Z\approx\log_2K$ grows.
# :::
#
# ## Reference
#
# The problem, and the idea to average the window, are the paper's {cite}`sanford2023representational`. Ours are: parabola keys, slots and their bits, {prf:ref}`thm-local-unit`, and all measurements.
