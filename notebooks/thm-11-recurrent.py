# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Theorem 11: recurrent networks need memory N
#
# **The question.** A recurrent network reads its tokens one after the other and keeps what it may still need in a state. How
# many bits must the state have, if any later token may ask for any earlier value?
#
# **In one paragraph.** Five signs have been read, and three tokens are still to come. Each of these will ask for one of the five signs, but
# which one, nobody knows yet ({numref}`fig-cut`). Suppose that a machine is in the same state after $+\,+\,-\,+\,-$ and after $+\,+\,-\,+\,+$. From here on it
# does the same after both; now let token 8 ask for the fifth sign, and one of the two answers is wrong. So each of the $2^5$ strings of signs needs a state of its own, that is 5 bits, and
# before the last of $N$ tokens $N-1$ bits: **what may be asked for must be kept**. Attention keeps nothing, as it can look back.
# With two layers that run in both directions a machine may first carry the question back and then the answer forth. That helps while
# few ask. But half of the tokens may ask for the other half, and then $\lfloor N/2\rfloor$ bits must cross the middle all the same.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-cut", "caption": "A cut after five of eight tokens, q = 1. The tokens to the right will ask for values on the left, but which ones is not known yet when the state crosses the cut: it must be ready for each of them."}, "image": {"alt": "Eight boxes in a row, the values z1 to z8. A dashed vertical line separates the first five from the last three. A thick arrow labelled state crosses the line from left to right below the boxes. From each box on the right a thin curved arrow leads back to a different box on the left."}}
import matplotlib.pyplot as plt

from attention_limits import figures

figures.use_style()
fig, axes = plt.subplots(figsize=(6.4, 3.2))
cut, asked_for = 5, {6: 2, 7: 5, 8: 1}
text = {"ha": "center", "va": "center", "fontsize": 13}
for j in range(1, 9):
    color = figures.BLUE if j <= cut else figures.ORANGE
    axes.add_patch(plt.Rectangle((j - 0.38, 0), 0.76, 0.76, fc=color, alpha=0.18, ec=color))
    axes.text(j, 0.38, f"$z_{j}$", **text | {"fontsize": 15})
asks = {"arrowstyle": "-|>", "color": figures.ORANGE, "connectionstyle": "arc3,rad=0.38", "lw": 1.5}
for i, j in asked_for.items():
    axes.annotate("", (j, 0.8), (i, 0.8), arrowprops=asks)
axes.axvline(cut + 0.5, 0.02, 0.98, **figures.REFERENCE)
state = {"arrowstyle": "-|>", "color": figures.BLUE, "linewidth": 3}
axes.annotate("", (cut + 1.3, -0.5), (cut - 0.3, -0.5), arrowprops=state)
axes.text(cut - 0.45, -0.5, "state: one of $2^5$", color=figures.BLUE, **text | {"ha": "right"})
axes.text(7.35, 2.35, "not known yet:\nwho asks for what", color=figures.ORANGE, **text)
axes.text(cut + 0.6, -1.05, "cut $c=5$", color=figures.GREY, **text | {"ha": "left"})
axes.set(xlim=(0.4, 8.7), ylim=(-1.3, 2.7), aspect="equal")
axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Finite automata, binomial coefficients. A quarter of a minute on one core; the trained results are recorded.
#
# **On this page.**
#
# * The paper's theorem: at least $\frac{N-1}2$ bits. [P] {prf:ref}`thm-recurrent`
# * Four models of a recurrent network, each counted: exactly $N-1$ bits in one bidirectional layer, $\Theta(N\log N)$ if all is read before anything is written, at least $\lfloor N/2\rfloor$ in all layers of a stack. [N] {prf:ref}`thm-recurrent-models`
# * Machines that toss coins and err need nearly as much. [N] {prf:ref}`prop-recurrent-coins`
# * When pointers look ahead, no memory helps a machine that answers each token as it reads it: its error has an exact floor. [N] {prf:ref}`prop-in-step`
#
# ## The statement
#
# :::{prf:theorem} 11 of the paper (recurrent networks)
# :label: thm-recurrent
# :nonumber:
#
# A recurrent network that computes sparse averaging ({prf:ref}`def-sparse-averaging`) needs a memory of at least $(N-1)/2$
# bits, even for $q=1$ {cite}`sanford2023representational`.
# :::
#
# The paper's exact model of a recurrent network was not available to us. The number depends on it: which outputs does the
# state serve, and how often may the network read? So we fix four models, each in its strongest form: the maps that update
# states and write outputs are *arbitrary functions*, and may be different ones for each position. A *cut* $c$ divides the
# tokens into a prefix of $c$ and a suffix of $N-c$; we count the values that the state takes there.
#
# 1. **One bidirectional layer.** A forward state $f_c=F_c(f_{c-1},x_c)$, a backward state $b_c=B_c(b_{c+1},x_c)$, and the
#    output $G_i(f_{i-1},x_i,b_{i+1})$. The forward state at a cut serves the outputs after it.
# 2. **Read all, then write all.** One state reads tokens $1,\dots,N$; only then are the $N$ outputs written, from that state
#    alone, as an encoder hands its last state on to a decoder.
# 3. **One direction, in step.** Output $i$ is $G_i(f_{i-1},x_i)$, written when token $i$ is read.
# 4. **A stack of $L$ bidirectional layers.** The tokens of a layer are the outputs of the one below, of any size; each state,
#    forward or backward, has $s$ bits.
#
# :::{prf:proposition} (memory at a cut, ours)
# :label: thm-recurrent-models
#
# Let $1\le q<N$. The lower bounds hold for any error below $1/q$ and already for values $\pm e_1$; the numbers that are
# called enough are for $d'=1$ and values $\pm1$.
#
# 1. *One bidirectional layer.* At each cut $c\le N-1$ the forward state takes at least $2^c$ values, and some machine needs
#    no more: $N-1$ bits are necessary and enough.
# 2. *Read all, then write all.* At a cut $1\le c\le N-1$ exactly
#
#    ```{math}
#    :label: eq-deferred
#    D(c)=\sum_{n=0}^{c}\binom cn R_n^{\,c},\qquad R_n=\sum_{s=0}^{q}\binom{N-c}{s}\,w_n(q-s)
#    ```
#
#    states are necessary and enough, where $w_n(a)=\max\big(0,\min(a,n)-\max(0,a-c+n)+1\big)$ for $a\ge0$. For $q=1$ this is
#    $(2^c-2)(N-c+2)^c+2(N-c+1)^c$. The largest cut needs at most $N\big(1+\log_2\binom Nq\big)$ bits and, for
#    $q\le\lceil\frac N2\rceil$, at least $\lfloor\frac N2\rfloor\log_2\binom{\lceil N/2\rceil}q$: $\Theta(N\log N)$ for fixed $q$.
# 3. *One direction, in step.* No memory is enough if $N\ge2$. If pointers only look back, $y_i\subseteq\{1,\dots,i\}$, the
#    first statement holds again; if strictly, $y_i\subseteq\{1,\dots,i-1\}$, it holds for $q\le N-2$, while for $q=N-1$ only
#    $c+1$ states are needed. (A token that sees fewer than $q$ positions has no pointers and no output.)
# 4. *A stack.* $L\cdot s\ge\lfloor N/2\rfloor$, and $s=\lceil (N-1)/L\rceil$ is enough.
# :::
#
# These machines are right on every input. If they may toss coins and err, little changes:
#
# :::{prf:proposition} (machines that err, ours)
# :label: prop-recurrent-coins
#
# Let coins be tossed beforehand that every map may use, and let each output be off by less than $\frac1q$ with a probability of at least $1-\delta$ on every input, $\delta<\frac12$. With
# $h(\delta)=-\delta\log_2\delta-(1-\delta)\log_2(1-\delta)$,
#
# * the forward state of one bidirectional layer takes at least $2^{(1-h(\delta))(N-q)}$ values at the cut $N-1$: $(1-h(\delta))(N-1)$ bits for $q=1$. The same holds for one direction in step, with pointers back or strictly back;
# * a stack has $L\cdot s\ge(1-h(\delta))\lfloor N/2\rfloor$, if $q\le\lceil N/2\rceil$.
# :::
#
# For machines that are right on every input the paper's number follows in each of the four models, since
# $\lfloor N/2\rfloor\ge(N-1)/2$, with all layers' states counted together; only pointers strictly back with $q=N-1$ escape it.
# Asking for *everything* is another matter: for $q=N$ the sum of the prefix is all that counts, and $c+1$ states are enough.
#
# ## The idea
#
# **What a prefix leaves behind.** After $c$ tokens, what remains to be answered is a function of the tokens to come: the
# prefix's *residual function*. Two prefixes with different residual functions must not lead to the same state. Counting
# residual functions is all that there is to it.
#
# :::{prf:lemma} (states are residual functions; Myhill and Nerode, in our setting)
# :label: lem-residual
#
# In models 1 and 2, and in model 3 where pointers look back, the state at a cut takes at least as many values as there are
# residual functions there, whatever the machine. Some machine takes exactly as many at every cut at once.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Call $r_p$ the function that maps a suffix to the outputs that the state at the cut serves, after the prefix $p$: the
# outputs $i>c$ in models 1 and 3, all outputs in model 2. Outputs that the state serves are functions of the state and of the
# suffix. In model 1 this includes the backward states after the cut, which depend on the suffix alone. So if $p$ and $p'$
# lead to the same state, then $r_p=r_{p'}$.
#
# *With an error.* Two different values of an output of the task, with values $\pm1$, differ by at least $2/q$, so that no
# number is closer than $1/q$ to both: a machine with an error below $1/q$ determines the exact outputs.
#
# *Attained.* Let the state after $p$ be $r_p$ itself. It can be updated: the residual function of $p$ followed by a token $x$
# maps a suffix $t$ to what $r_p$ gives for $x$ followed by $t$, apart from the output that was due at $x$. And it answers:
# that output is what $r_p$ says of $x$, given the suffix, which in model 1 the backward state may hold whole. In model 2 the
# state after $N$ tokens is the list of all outputs. $\blacksquare$
# :::
#
# :::{prf:lemma} (any difference can be asked for, ours)
# :label: lem-ask
#
# Let $1\le q<M$ and let $z\ne z'$ be in $\R^M$. Some $q$-subset $y$ of $\{1,\dots,M\}$ has
# $\sum_{j\in y}z_j\ne\sum_{j\in y}z'_j$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Let $\delta=z-z'$ and suppose that $\sum_{y}\delta_j=0$ for every $q$-subset $y$. For any $j\ne k$ there is a $y$ with
# $j\in y$ and $k\notin y$, because $1\le q<M$. Exchanging $j$ for $k$ leaves the sum 0, so $\delta_j=\delta_k$. All
# $\delta_j$ are equal, $q$ of them sum to 0, hence $\delta=0$. $\blacksquare$
# :::
#
# {prf:ref}`prop-recurrent-coins` needs another argument, from entropy. One of many values will be asked for, and at the cut nobody
# knows yet which one.
#
# :::{prf:proof}
# :class: dropdown
#
# **Machines that err.** Fix the coins. Let $n$ of the prefix's signs be uniform and independent, and let the suffix be able to ask for any one of them: if it asks for $z_j$, its answer is wrong with a probability $\delta_j$ over the signs. By Fano's
# inequality for one bit, the entropy of $z_j$ given the states that cross the cut is at most $h(\delta_j)$. The $n$ signs together have the entropy $n$, so that states of $B$ bits in all have $B\ge n-\sum_jh(\delta_j)\ge n\,(1-h(\delta))$, where
# $\delta$ is the mean of the $\delta_j$: $h$ is concave. The mean over the coins is at most the $\delta$ of the statement, and concavity serves once more; $h$ grows up to $\frac12$.
#
# *One layer.* $c=N-1$. The signs of $n=N-q$ tokens of the prefix are random, those of the $q-1$ others are 1. Token $N$ asks for any one of the first and for all of these others: its output, known within less than $\frac1q$ and so exactly, tells the sign.
#
# *Stack.* $c=\lfloor N/2\rfloor=n$, all signs of the suffix are 1, and token $c+i$ asks for token $i$ and for $q-1$ tokens of the suffix. As for machines that are right, what comes out after the cut depends on the $L$ forward states that cross it, of $Ls$ bits. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 8  # N: residual functions are counted up to it; the LSTM's task
literal_tokens: int = 4  # N up to which all inputs are listed
token_grid: list[int] = [4, 8, 16, 32, 64, 128, 256, 512, 1024]  # N of the curves of memory
sparsity: int = 1  # q, the LSTM's task
value_dim: int = 1  # d', the LSTM's task
hidden_grid: list[int] = [2, 4, 8, 16, 32]  # h, hidden units of an LSTM in each direction
num_steps: int = 800  # of training, each on fresh samples
batch_size: int = 64  # samples of a step
peak_rate: float = 2e-2  # Adam's learning rate after the warm-up
num_seeds: int = 5  # trainings of each LSTM
seed: int = 0  # of the first training

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import distinct, intervals, ranges, require, usual_ranges

quick = {
    "num_tokens": 5,
    "token_grid": [4, 8, 16, 32, 64, 128],
    "hidden_grid": [1, 16],
    "num_steps": 220,
    "num_seeds": 1,
    "batch_size": 32,
    "peak_rate": 0.06,
}
study = "attention_limits.experiments.studies.averaging:recurrent_errors"

usual_ranges()
require(
    sparsity < num_tokens,
    f"sparsity q = {sparsity} needs q < N = {num_tokens}: for q = N memory is not what is short",
)
intervals(num_tokens=(3, 10, "tables of 2^N rows"), literal_tokens=(2, 4, "all inputs are listed"))
distinct("token_grid")
intervals(token_grid=(3, 2048))
ranges(hidden_grid=1)

# %% tags=["hide-input"]
import itertools
import math
from fractions import Fraction

import pandas as pd
import torch

from attention_limits.bounds.counting import least_bits
from attention_limits.bounds.in_step import in_step_error
from attention_limits.bounds.random_access import least_mean_error, random_access_bits
from attention_limits.bounds.residuals import (
    Machine,
    deferred_formula,
    fixed_pointer_outputs,
    half_cut_pointers,
    literal_residuals,
    reduced_residuals,
    residual_formula,
    undetermined_outputs,
)
from attention_limits.companion.claims import claim, observed
from attention_limits.companion.training import replayed
from attention_limits.experiments.studies.averaging import recurrent_errors
from attention_limits.experiments.sweeps import Sweep
from attention_limits.models.recurrent import ValueStore, value_store
from attention_limits.problems.sparse_averaging import SparseAveraging
from attention_limits.runtime import progress

# %% [markdown]
# ## The count
#
# First we count residual functions **over all inputs**: every sign and every pointer set of every token, as the definition
# says. Each function is written out as a table, and the tables are compared byte for byte. That is quick up to $N=4$. For larger
# $N$ a reduction helps, which we prove.
#
# :::{prf:lemma} (reduction, ours)
# :label: lem-residual-reduction
#
# For signs $z_P$ of the prefix let $T_{z_P}$ be the table of $\sum_{j\in y}z_j$, one row for each choice of the suffix's
# signs and one column for each $y$ that token $N$ may have. At a cut $c<N$ the number of residual functions is
#
# * in models 1 and 3, the number of different tables;
# * in model 2, the sum over the different tables of (number of different columns)$^c$.
#
# In model 4, the largest number of output vectors $(o_i)_{i>c}$ that one suffix sees over all prefixes is the largest number
# of different vectors $\big(\sum_{j\in y_i,\,j\le c}z_j\big)_{i>c}$ over all $z_P$, with the pointers $y_{c+1},\dots,y_N$
# chosen once for all.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Later outputs.* Output $i>c$ is the entry of $T_{z_P}$ in the row of the suffix's signs and the column $y_i$. Every pointer
# set that token $i$ may have token $N$ may have too, and $N>c$ is a token of the suffix, whose pointers and signs are free.
# So the residual function determines the table, and is determined by it.
#
# *All outputs.* The residual function also contains output $i\le c$ as a function of the suffix: this is the column $y_i$ of
# the table, as a function of its row. A residual function is thus a table together with $c$ of its columns, seen as
# functions; $y_1,\dots,y_c$ are free, so every choice occurs.
#
# *Stack.* Given the suffix, output $i>c$ is $\sum_{j\in y_i,\,j\le c}z_j$ plus a constant. $\blacksquare$
# :::


# %% tags=["hide-input"]
def all_cuts(most):
    """Every model at every cut, for all q < N and N = 2 … most."""
    for tokens in range(2, most + 1):
        for ones, cut, machine in itertools.product(range(1, tokens), range(tokens + 1), Machine):
            yield machine, tokens, ones, cut


cases = []
for machine, tokens, ones, cut in all_cuts(literal_tokens):
    row = {"machine": machine.value, "N": tokens, "q": ones, "cut": cut}
    row["literal"] = literal_residuals(machine, tokens, ones, cut)
    cases.append({**row, "reduced": reduced_residuals(machine, tokens, ones, cut)})
cases = pd.DataFrame(cases)
literal_mismatches = int((cases["literal"] != cases["reduced"]).sum())
figures.table(
    cases[cases["N"] == literal_tokens]
    .pivot(index=["q", "machine"], columns="cut", values="literal")
    .reindex([machine.value for machine in Machine], level="machine"),
    "{:,}",
    f"Residual functions at each cut, over all inputs, N = {literal_tokens}",
)

# %% [markdown]
# Model 3 has two rows here, for pointers that may include the token itself and for pointers that may not. For pointers in both
# directions there is nothing to count:
#
# :::{prf:proof}
# :class: dropdown
#
# **Part 3.** *Pointers in both directions.* Let $N\ge2$ and let $y_1$ contain $N$. Output 1 changes with $z_N$, which is not
# read yet: no state helps. The same goes for each output $i<N$.
#
# *Back.* Token $N$ may have every $q$-subset of $\{1,\dots,N\}$. Let two prefixes of length $c<N$ differ in their signs and
# give them the same suffix; by {prf:ref}`lem-ask` with $M=N$ some $y_N$ tells them apart. Prefixes with the same signs have
# the same residual function. So there are exactly $2^c$, and $N-1$ bits, the signs so far, are enough.
#
# *Strictly back.* Token $N$ may have every $q$-subset of $\{1,\dots,N-1\}$, and the lemma with $M=N-1\ge c$ needs $q\le N-2$.
# For $q=N-1$ only token $N$ can point at all, to $\{1,\dots,N-1\}$: the number of positive signs so far decides, one of
# $c+1$. $\blacksquare$
# :::
#
# ### One bidirectional layer, and a machine that meets the bound
#
# :::{prf:proof}
# :class: dropdown
#
# **Part 1.** Two prefixes with different signs have different residual functions: give both the same suffix, and let $y_N$ be
# the set of {prf:ref}`lem-ask` with $M=N$; the suffix contains token $N$, since $c\le N-1$. Prefixes with the same signs have
# the same one, because no output after the cut uses the prefix's pointers. Hence there are exactly $2^c$, and
# {prf:ref}`lem-residual` gives the bound. It is met by $f_c=(z_1,\dots,z_c)$ and $b_c=(z_c,\dots,z_N)$: output $i$ reads
# $f_{i-1}$, its own token and $b_{i+1}$, and so knows every value. After token $N$ no forward state is needed, so that the
# largest one holds $N-1$ bits. $\blacksquare$
# :::
#
# `value_store` is this machine, with its states laid open. We run it on every input of signs at small $N$, count the bits and
# the states that occur, and then make it forget one position at a time. With several layers it deals the positions out, so
# that each state holds a share of them: that is the second half of part 4.

# %% tags=["hide-input"]
machine_wrong, state_mismatches, least_wrong_when_dropped, inputs_run = 0, 0, math.inf, 0
for tokens in range(2, literal_tokens + 1):
    for ones in range(1, tokens):
        problem = SparseAveraging(tokens, ones, 1)
        inputs = problem.all_inputs()
        inputs_run += len(inputs.values)
        expected = (problem.target(inputs).double()[..., 0] * ones).round().long()
        for layers in (1, 2, 3):
            run = value_store(problem, layers).run(inputs)
            machine_wrong += int((run.sums != expected).sum())
            state_mismatches += run.bits != -(-(tokens - 1) // layers)
            if layers == 1:
                state_mismatches += run.distinct_forward_states(0) != [2**c for c in range(tokens)]
        for dropped in range(tokens):
            forgetful = ValueStore(problem, [[j for j in range(tokens) if j != dropped]])
            wrong = int((forgetful.run(inputs).sums != expected).sum())
            least_wrong_when_dropped = min(least_wrong_when_dropped, wrong)
figures.prose(
    f"On all {inputs_run:,} inputs of signs with $N\\le{literal_tokens}$ and $q<N$, machines of one, two "
    f"and three layers gave {machine_wrong} wrong outputs. Without one of the positions, a machine of "
    f"one layer is wrong at least {least_wrong_when_dropped} times."
)

# %% [markdown]
# ### Read all, then write all
#
# Now the prefix's own outputs are still to be written as well. So the state must also remember, for each token of the prefix, which
# tokens it points to after the cut, and the sum of the values that it points to before the cut.
#
# :::{prf:proof}
# :class: dropdown
#
# **Part 2.** *The count.* Let $1\le c\le N-1$. As in part 1 the outputs after the cut determine the signs $z_P$, so residual
# functions of prefixes with different signs differ. For fixed signs with $n$ positive ones, output $i\le c$ is a function of
# the suffix's signs, namely $\sum_{j\in y_i,\,j>c}z_j$ plus the number $\sum_{j\in y_i,\,j\le c}z_j$. This function
# determines the set $y_i\cap\{c+1,\dots,N\}$, of $s$ elements say, and the number, and nothing more. The number is the sum of
# $a=q-s$ of the prefix's values; with $k$ positive ones among them it is $2k-a$, and $k$ ranges over the integers from
# $\max(0,a-(c-n))$ to $\min(a,n)$: there are $w_n(a)$ of them. Hence each of the $c$ outputs is one of $R_n$ functions,
# independently of the others, and $\binom cn$ sign vectors have $n$ positive signs.
#
# *One pointer.* $R_n=(N-c)+w_n(1)$, and $w_n(1)$ is 1 for $n\in\{0,c\}$ and 2 otherwise.
#
# *Between.* There are $\big(2\binom Nq\big)^c$ prefixes, and no more residual functions than prefixes: this is the upper
# bound. For the lower one, the term $s=q$ shows $R_n\ge\binom{N-c}q$; take $c=\lfloor N/2\rfloor$.
#
# *All read.* At $c=N$ the residual function is the vector of outputs. Those that can occur with $n$ positive signs have all
# their numbers of positive terms in the interval $I_n=[\max(0,q-N+n),\min(q,n)]$. Both ends of $I_n$ grow with $n$, so that a
# vector that fits some $I_n$ fits those of consecutive $n$ only, and $\sum_n\abs{I_n}^N-\sum_n\abs{I_n\cap I_{n+1}}^N$ counts
# it once. $\blacksquare$
# :::

# %% tags=["hide-input"]
counts = []
for machine, tokens, ones, cut in all_cuts(num_tokens):
    if machine is Machine.STACKED and ones > 2:
        continue  # part 4 has its own check for all q
    row = {"machine": machine, "N": tokens, "q": ones, "cut": cut}
    row["count"] = reduced_residuals(machine, tokens, ones, cut)
    proved = (machine is not Machine.STRICT_LOOK_BACK or ones <= tokens - 2) and (
        machine is not Machine.STACKED or ones == 1 or 2 * cut <= tokens
    )
    row["formula"] = residual_formula(machine, tokens, ones, cut) if proved else None
    counts.append(row)
compared = [row for row in counts if row["formula"] is not None]


def mismatches(*machines):
    """Counts of these machines that are not what the formula says."""
    return sum(row["count"] != row["formula"] for row in compared if row["machine"] in machines)


# What the largest cut needs, beside the paper's number.
largest = {}
for row in counts:
    if row["machine"] is not Machine.STRICT_LOOK_BACK or row["q"] <= row["N"] - 2:
        case = row["machine"], row["N"], row["q"]
        largest[case] = max(row["count"], largest.get(case, 1))
least_over_paper = min(
    least_bits(count) - Fraction(n - 1, 2) for (_, n, _), count in largest.items()
)

only_the_sum = sum(
    reduced_residuals(machine, n, n - (machine is Machine.STRICT_LOOK_BACK), cut) != cut + 1
    for n in range(2, num_tokens + 1)
    for cut in range(n)
    for machine in Machine
    if machine is not Machine.STACKED
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-residuals", "caption": "Residual functions at every cut, in bits. Markers: counted. Lines: the formulas. For q = 2 no formula is claimed for the stack beyond the half cut; there a few more than the smaller side's bits survive. Machines that look back have the counts of the bidirectional layer."}, "image": {"alt": "Two panels, q equal to one at the top and two at the bottom: the logarithm of the number of residual functions against the cut. The bidirectional layer's points rise along a straight line to N minus one bits at the last cut but one. Read all, then write rises much higher, in an arch. The stack's points rise to the half cut and then fall. All markers lie on their lines."}}
STYLES = {
    Machine.DEFERRED: (figures.ORANGE, "s"),
    Machine.BIDIRECTIONAL: (figures.BLUE, "o"),
    Machine.STACKED: (figures.GREEN, "^"),
}
fig, panels = plt.subplots(2, 1, figsize=(6.4, 8), sharex=True, sharey=True)
for axes, ones in zip(panels, (1, 2), strict=True):
    for machine, (color, marker) in STYLES.items():
        case = machine, num_tokens, ones
        rows = [row for row in counts if (row["machine"], row["N"], row["q"]) == case]
        if machine is Machine.BIDIRECTIONAL:
            rows = rows[:-1]  # no output is left after the last token
        bits = [math.log2(row["count"]) for row in rows]
        axes.plot([row["cut"] for row in rows], bits, marker, color=color, label=machine.value)
        rows = [row for row in rows if row["formula"] is not None]
        bits = [math.log2(row["formula"]) for row in rows]
        axes.plot([row["cut"] for row in rows], bits, color=color, linewidth=1)
    figures.reference_line(axes, (num_tokens - 1) / 2, "$(N-1)/2$" if ones == 1 else "")
    axes.set(title=f"$q={ones}$", ylabel=r"$\log_2$ residual functions")
panels[1].set(xlabel="cut $c$", xticks=range(num_tokens + 1))
handles, names = panels[0].get_legend_handles_labels()
fig.legend(handles, names, loc="outside lower center", ncols=2)
plt.show()

# %% [markdown]
# ### Stacks: what survives two-way communication
#
# Once there are two layers, the suffix can tell the prefix what it needs: the backward state of the first layer carries the
# question, the forward state of the second one the answer. A cut near the end then proves little, since few questions come
# from there. The *half cut* $c=\lfloor N/2\rfloor$ survives, because after it as many tokens ask as there are values before it.
#
# :::{prf:proof}
# :class: dropdown
#
# **Part 4.** *Necessary.* Fix the suffix, signs and pointers. By induction over the layers, what layer $\ell$ gives to the
# tokens after the cut is determined by the suffix and the forward states $f^1_c,\dots,f^\ell_c$: the later forward states
# follow from $f^\ell_c$ and the layer's tokens after the cut, and its backward states after the cut depend on these tokens
# alone. So the outputs after the cut take at most $2^{Ls}$ values over all prefixes. It remains to choose the suffix's
# pointers such that the outputs determine $z_P$, at $c=\lfloor N/2\rfloor\le N-c$.
#
# If $c=1$ let token 2 ask for token 1 and, when $q=2$ (then $N=3$), for token 2. Otherwise put $r=\max(1,q-(N-c))$. Then
# $r\le q$, $q-r\le N-c$, and $r\le c-1$, because $q\le N-1$. Let token $c+i$, for $i\le r+1$, ask for
# $\{1,\dots,r+1\}\setminus\{i\}$ and, for $r+1<i\le c$, for $\{1,\dots,r-1\}\cup\{i\}$; all of them also ask for the first
# $q-r$ tokens of the suffix. If $z$ and $z'$ give the same outputs, $\delta=z-z'$ has the sum 0 over each of these sets. With
# $S=\delta_1+\dots+\delta_{r+1}$ the first ones say $\delta_i=S$ for $i\le r+1$, so $S=(r+1)S$ and $S=0$: these $\delta_i$
# vanish, and then the others do. So there are $2^c$ output vectors, and $2^{Ls}\ge2^{\lfloor N/2\rfloor}$.
#
# *Enough.* Let the first and the last position share a place and each other position have one of its own: $N-1$ places, dealt
# out to $L$ layers, at most $\lceil(N-1)/L\rceil$ each. The states of layer $\ell$ hold the signs of its positions, a forward
# state those before its token and a backward state those after it. A forward state never needs position $N$, a backward state
# never position 1, so that each has at most $\lceil(N-1)/L\rceil$ bits. Token $i$ adds up what it asks for, layer by layer.
# $\blacksquare$
# :::
#
# For few layers $\lfloor N/2\rfloor$ and $L\lceil(N-1)/L\rceil$ are about a factor of two apart. For $L=1$ the truth is
# $N-1$, by part 1; for $L\ge2$ we do not know where it lies.

# %% tags=["hide-input"]
half_mismatches, designs = 0, 0
for tokens in range(2, 2 * num_tokens + 1):
    for ones in range(1, tokens):
        pointers = half_cut_pointers(tokens, ones)
        designs += 1
        half_mismatches += not (pointers.sum(axis=1) == ones).all()
        half_mismatches += fixed_pointer_outputs(pointers, tokens // 2) != 2 ** (tokens // 2)
stacks = []
for tokens in token_grid[:6:2]:
    for layers in (1, 2, 4):
        problem = SparseAveraging(tokens, 1, 1)
        inputs = problem.sample(50, generator=torch.Generator().manual_seed(seed))
        inputs = inputs._replace(values=torch.where(inputs.values < 0, -1.0, 1.0))
        run = value_store(problem, layers).run(inputs)
        machine_wrong += int((run.sums != problem.target(inputs)[..., 0].long()).sum())
        least = tokens - 1 if layers == 1 else -(-(tokens // 2) // layers)
        row = {"N": tokens, "L": layers, "bits s of the machine": run.bits}
        stacks.append({**row, "bits s that are necessary": least})
stacks = pd.DataFrame(stacks).set_index(["N", "L"])
figures.table(stacks, caption="Stacks of bidirectional layers, q = 1")

# %% [markdown]
# ### With errors
#
# How good is the bound $(1-h(\delta))\,n$? As long as the error is averaged over all signs and questions, coins are no help, and each state
# stands for one string: its best guess of all $n$ signs. So the least mean error of $B$ bits is the mean distance of a string to the nearest of
# $2^B$ strings, divided by $n$, where the distance is the number of places that differ. Small cases can be searched through. With coins that all
# maps see, which turn signs and exchange places at random, this mean is also the error on *each* input and question.

# %% tags=["hide-input"]
codes = []
for length, sent in [(n, B) for n in range(1, 5) for B in range(n + 1)] + [(5, 1), (5, 2)]:
    error = least_mean_error(length, sent)
    codes.append((length, sent, error, random_access_bits(length, error)))
codes = pd.DataFrame(codes, columns=["n", "B", "δ", "(1 − h(δ)) n"])
codes["text"] = codes["δ"].map(str) + ": " + codes["(1 − h(δ)) n"].map("{:.2f}".format)
figures.table(
    codes.pivot(index="n", columns="B", values="text").fillna(""),
    caption="The least mean error δ of B bits about n signs, and the bits (1 − h(δ)) n that it needs",
)

# %% [markdown]
# ### Memory against N
#
# Here the models stand side by side. For *read all, then write all*, {eq}`eq-deferred` is evaluated exactly at every cut and the largest
# number is drawn.

# %% tags=["hide-input"]
memory = []
for tokens in progress(token_grid, "curves"):
    for ones in (1, 2):
        best = max(deferred_formula(tokens, ones, cut) for cut in range(tokens + 1))
        half = tokens // 2
        lower = math.comb(tokens - half, ones) ** half
        inside = lower <= best <= (2 * math.comb(tokens, ones)) ** tokens
        memory.append({"N": tokens, "q": ones, "bits": least_bits(best), "inside": inside})
memory = pd.DataFrame(memory)
bits = memory.pivot(index="N", columns="q", values="bits")
lengths = bits.index.to_series()
overview = pd.DataFrame(
    {
        "the paper's (N − 1)/2": (lengths - 1) / 2,
        "stack, ⌊N/2⌋": lengths // 2,
        "one layer, N − 1": lengths - 1,
        "read all, q = 1": bits[1],
        "read all, q = 2": bits[2],
    }
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-memory", "caption": "Bits of state against the number of tokens. Both upper curves are exact; one layer's N − 1 is exact too. The stack's line is a lower bound on all of its forward states together, and the dashed line is the paper's number."}, "image": {"alt": "Bits against N, both logarithmic. From top: read all then write all for two pointers, the same for one pointer, the line N minus one, the line N over two, and just below it the dashed line of the paper's bound. The upper two curves rise slightly more steeply than the straight lines."}}
fig, axes = plt.subplots(figsize=(6.4, 4.6))
for column, style, color, label in (
    ("read all, q = 2", "s-", figures.PINK, "read all, then write all, $q=2$"),
    ("read all, q = 1", "s-", figures.ORANGE, "read all, then write all, $q=1$"),
    ("one layer, N − 1", "o-", figures.BLUE, "one bidirectional layer, $N-1$"),
    ("stack, ⌊N/2⌋", "^-", figures.GREEN, r"stack, all layers, $\geq\lfloor N/2\rfloor$"),
):
    axes.plot(lengths, overview[column], style, color=color, markersize=5, label=label)
paper = overview["the paper's (N − 1)/2"]
axes.plot(lengths, paper, **figures.REFERENCE, label="the paper's $(N-1)/2$")
axes.set(xlabel="$N$", ylabel="bits of state")
axes.set_xscale("log", base=2)
axes.set_yscale("log", base=2)
axes.legend(loc="upper left")
plt.show()

# %% tags=["hide-input"]
figures.table(
    overview,
    "{:g}",
    "Bits of state: lower bounds in each model; those of the last three columns are exact",
)

# %% [markdown]
# ### An illustration: LSTMs of several sizes
#
# This part proves nothing. The theorem counts bits, while an LSTM's state is made of real numbers, one of which has room for
# all of the signs; and training finds what it finds. Still it is worth seeing that the error falls as the state grows. Values
# are uniform in the unit ball, errors are relative to the target's variance, and all settings are ours. One number is exact:
#
# :::{prf:proposition} (floor of one direction, ours)
# :label: prop-in-step
#
# Let values be independent with mean zero and equal covariance, and pointers uniform and independent. A machine that writes
# output $i$ when it has read tokens $1,\dots,i$ has an expected relative error of at least $\frac{N-1}{2N}$, whatever $q$,
# $d'$ and its memory. Some machine attains it.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Given the first $i$ tokens, the part $\frac1q\sum_{j\in y_i,\,j>i}z_j$ of target $i$ is a sum of independent terms of mean 0,
# and the rest is known. Each of the part's coordinates has the variance $k s^2/q^2$, with $s^2$ that of this coordinate of a
# value and $k$ the number of $j\in y_i$ with $j>i$. No prediction has a smaller mean squared error, and the rest alone attains
# it. The expectation of $k$ is $q\frac{N-i}N$, and the target's variance is $s^2/q$: the relative error of output $i$ is at
# least $\frac{N-i}N$. The mean over $i$ is $\frac{N-1}{2N}$. $\blacksquare$
# :::

# %% tags=["hide-input"]
sweep = Sweep()
trained = recurrent_errors(
    sweep,
    num_tokens=num_tokens,
    sparsity=sparsity,
    value_dim=value_dim,
    hidden_grid=hidden_grid,
    num_steps=num_steps,
    batch_size=batch_size,
    peak_rate=peak_rate,
    num_seeds=num_seeds,
    seed=seed,
)
errors = trained.groupby(["numbers", "architecture"])["error"].median().unstack()
floor = float(in_step_error(SparseAveraging(num_tokens, sparsity, value_dim)))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-lstm", "caption": "Illustration: relative error of trained LSTMs on test samples against the numbers in one direction's state, hidden vector and cell. A marker a seed, lines through the medians. Dashed: the exact floor of one direction, (N − 1)/(2N). The budget of training is the same for all."}, "image": {"alt": "Relative error against state size, both logarithmic. The errors of one-directional LSTMs fall towards a dashed floor a little below one half and do not pass it. Those of bidirectional LSTMs fall through it, to a few hundredths at the largest state."}}
fig, axes = plt.subplots(figsize=(6.4, 3.8))
for name, color, marker, label in (
    ("lstm", figures.ORANGE, "s", "one direction"),
    ("bidirectional lstm", figures.BLUE, "o", "bidirectional"),
):
    rows = trained[trained["architecture"] == name]
    axes.plot(rows["numbers"], rows["error"], marker, c=color, ms=6, alpha=0.7, label=label)
    axes.plot(errors.index, errors[name], color=color, linewidth=1)
figures.reference_line(axes, floor)
place = errors.index[-1], floor * 0.93
axes.text(*place, "floor of one direction", color=figures.GREY, ha="right", va="top")
axes.set(xscale="log", yscale="log")
axes.set(xlabel="numbers in one direction's state, $2h$", ylabel="relative error")
axes.set_xticks(errors.index, [str(numbers) for numbers in errors.index])
axes.minorticks_off()
axes.set_yticks([1, 0.3, 0.1, 0.03, 0.01], ["1", "0.3", "0.1", "0.03", "0.01"])
axes.legend(loc="lower left")
plt.show()

# %% tags=["hide-input"]
replays = replayed(sweep)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("thm-11.literal", literal_mismatches, "==", 0,
    statement=f"The reduction counts what a list of all inputs gives, in all {len(cases)} cases: every model, N = 2 … "
    f"{literal_tokens}, every q < N, every cut. No exception.")
claim("thm-11.forward-states", mismatches(Machine.BIDIRECTIONAL), "==", 0,
    statement=f"One bidirectional layer has $2^c$ residual functions at every cut c < N, and one at c = N (N ≤ {num_tokens}, every "
    "q < N). No exception.")
claim("thm-11.deferred", mismatches(Machine.DEFERRED), "==", 0,
    statement=f"Read all, then write all: the count is the formula's at every cut (N ≤ {num_tokens}, every q < N). No exception.")
claim("thm-11.n-log-n", int((~memory["inside"]).sum()), "==", 0,
    statement=r"Read all, then write all: the largest count lies between $\binom{\lceil N/2\rceil}q^{\lfloor N/2\rfloor}$ and "
    rf"$\big(2\binom Nq\big)^N$ at every size up to N = {max(token_grid)}. No exception.")
claim("thm-11.in-step",
    sum(undetermined_outputs(n, q) != n - 1 for n in range(2, literal_tokens + 1) for q in range(1, n + 1)), "==", 0,
    statement="One direction, in step: all outputs 1 … N − 1 depend on tokens to come, at every size (N ≤ "
    f"{literal_tokens}, all inputs). No exception.")
claim("thm-11.look-back", mismatches(Machine.LOOK_BACK, Machine.STRICT_LOOK_BACK), "==", 0,
    statement=f"Pointers that look back: $2^c$ residual functions at every cut (N ≤ {num_tokens}; strictly back for q ≤ N − 2). "
    "No exception.")
claim("thm-11.only-the-sum", only_the_sum, "==", 0,
    statement="Where everything visible is asked for, q = N or strictly back with q = N − 1, there are c + 1 at every cut. No "
    "exception.")
claim("thm-11.half-cut", half_mismatches, "==", 0,
    statement=rf"Stacks: the suffix's pointers are q-sets and give $2^{{\lfloor N/2\rfloor}}$ different outputs, in all {designs} "
    f"choices (N ≤ {2 * num_tokens}, every q < N). No exception.")
claim("thm-11.fixed-pointers", mismatches(Machine.STACKED), "==", 0,
    statement=rf"Stacks, N ≤ {num_tokens}: the best fixed pointers give $2^{{\min(c,N-c)}}$ outputs at every cut (q = 1), and $2^c$ "
    "up to the half cut (q = 2). No exception.")
claim("thm-11.machine", machine_wrong, "==", 0,
    statement=f"The machine that stores signs is right, with up to four layers: no wrong output on all {inputs_run:,} inputs at "
    "small N and random ones at larger N.")
claim("thm-11.machine-bits", state_mismatches, "==", 0,
    statement="Its states have ⌈(N − 1)/L⌉ bits, and with one layer exactly $2^c$ forward states occur at cut c. No exception.")
claim("thm-11.dropped-bit", least_wrong_when_dropped, ">=", 1,
    statement="Without any one of its positions the machine errs: least number of wrong outputs over positions and "
    "sizes.")
claim("thm-11.coins", (codes["B"] - codes["(1 − h(δ)) n"]).min(), ">=", 0.0, tolerance=1e-12,
    note="logarithms in float64",
    statement="No machine has fewer bits than (1 − h(δ)) n, δ the least mean error of any with so many: bits minus this, least of "
    f"all {len(codes)} sizes that were searched through.")
claim("thm-11.memory", least_over_paper, ">=", 0, source="P~",
    statement="The largest cut needs at least (N − 1)/2 bits: its bits minus this, least over our models, N = 2 … "
    f"{num_tokens} and the q that they cover.")
observed("thm-11.one-direction", trained.loc[trained["architecture"] == "lstm", "error"].min(), ">=", floor,
    tolerance=0.03, note="sampling error of 1000 test samples; the floor itself is the proposition's",
    statement=r"Illustration: no LSTM of one direction gets below $\frac{N-1}{2N}$: the least error.")
both = errors["bidirectional lstm"]
observed("thm-11.lstm", both.iloc[-1] / both.iloc[0], "<=", 0.5,
    statement="Illustration: the bidirectional LSTM's error falls with its state: at the largest over that at the smallest, medians "
    "over seeds.")
if len(replays.table):
    claim("thm-11.replayed", replays.disagreeing, "==", 0,
        statement="The recorded results come out again when they are trained here: none differs by more than is allowed (make "
        "records trains them anew).")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *The paper's theorem in the paper's model.* We don't have its model. Our models are ours, and each number above belongs to
#   one of them.
# * *That $N-1$ bits are needed by every kind of recurrence.* It is a statement about the forward state of **one** layer. Two
#   layers can ask and answer; for them we have $\lfloor N/2\rfloor$ bits, all layers together, and no machine that comes
#   close to it.
# * *What real values cost.* Lower bounds carry over, since signs are values. The machine that meets them stores signs; for
#   values in $[-1,1]$ and an error $\eps$ it is enough to store each of them in one of $\lceil1/\eps\rceil$ cells.
# * *The best bound for machines that err.* {prf:ref}`prop-recurrent-coins` loses $q-1$ signs in one layer. Machines that read all and then write all need at least as much; nothing more is shown of them.
# * *That an LSTM of $N-1$ bits learns this task, or that a smaller one fails for want of memory.* The illustration is one
#   task, one budget and one schedule.
# * *The best bound for larger $q$ in a stack.* An output that adds up several values tells more than one bit, so that cuts
#   beyond the middle can prove more than the half cut: see the second exercise.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-two-layers-last-cut
#
# Let $q=1$. Show that at the cut $c=N-1$ two bidirectional layers get by with $\lceil\log_2N\rceil$ bits backwards and one
# bit forwards, as far as token $N$ is concerned. Why does this not contradict part 4?
# :::
#
# :::{solution} ex-two-layers-last-cut
# :class: dropdown
#
# The first layer's backward state carries $y_N$, one of $N$ numbers. Token $y_N$ recognises itself, and the second layer's
# forward state carries its sign to token $N$. Part 4 speaks of the half cut, where $\lfloor N/2\rfloor$ tokens ask at once.
# :::
#
# :::{exercise}
# :label: ex-weighings
#
# Let $N=7$ and $q=3$. Find pointers for tokens 5, 6 and 7 whose three outputs determine $z_1,\dots,z_4\in\{\pm1\}$. What
# follows for a stack?
# :::
#
# :::{solution} ex-weighings
# :class: dropdown
#
# Take $\{1,2,4\}$, $\{1,3,4\}$ and $\{2,3,4\}$. If $\delta=z-z'$ has the sum 0 over each, then $\delta_1=\delta_2=\delta_3=t$
# and $\delta_4=-2t$. The entries of $\delta$ are 0 or $\pm2$, so $t=\pm2$ would make $\delta_4=\mp4$: hence $\delta=0$. All
# 16 sign vectors give different outputs, and $L\cdot s\ge4$, while $\lfloor N/2\rfloor=3$. These are the puzzles of finding
# false coins with few weighings.
# :::
#
# :::{exercise}
# :label: ex-own-output
#
# Change model 1: let output $i$ read the states $f_i$ and $b_i$, which have both seen token $i$, but not the token itself, as
# a bidirectional LSTM does. Show that $2^c$ forward states are still necessary at $c\le N-1$, and give a machine. How many
# bits do its states have?
# :::
#
# :::{solution} ex-own-output
# :class: dropdown
#
# The outputs after the cut still depend on the prefix through $f_c$ alone, so the proof of part 1 applies. For a machine let
# the backward state $b_i$ also hold the pointers $y_i$ of the token just read: $f_i=(z_1,\dots,z_i)$ and
# $b_i=(z_i,\dots,z_N,\,y_i)$. For $i<N$ the forward state has $i$ bits, and $f_N$ may leave out $z_N$, which $b_N$ knows:
# $N-1$ bits at most, again. The largest backward state has $N-1+\lceil\log_2\binom Nq\rceil$ bits, since $b_1$ may leave out
# $z_1$ in the same way.
# :::
#
# ## Reference
#
# The theorem is from {cite}`sanford2023representational`. Ours are: the four models and what is shown about each, the exact
# counts and formulas, the machine, the choice of pointers at the half cut, {prf:ref}`prop-recurrent-coins`, whose argument from entropy is well known, {prf:ref}`prop-in-step`, the settings of the
# illustration, and all measurements.
