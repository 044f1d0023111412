# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Match3Bigram: two layers do what one can't
#
# **The question.** Triples are hard for one layer of attention. What if the other two tokens of a triple must be
# *neighbours*? Then there are only $N-1$ pairs to try. How much does a transformer need to detect such triples?
#
# **In one paragraph.** Count modulo 10, so that only last digits matter, and let the tokens be $3,1,6,8,0,2$. The token 3 looks for two neighbours with the sum 7, and $1,6$ are such. In a first layer
# every token looks at the one after it and notes the sum of both: $4,7,4,8,2$. With that **a triple has become a pair**: in a second layer the 3 asks for a noted 7, as a token asks for its partner in [Theorem 6](thm-6-match2.py)
# ({numref}`fig-noted-sums`). The last token has no neighbour after it, and serves as the blank, to which questions go that find nothing.
# In one layer nobody has noted a sum when the 3 asks. What reaches it from the tokens at even places is one mean, which does not show who stood beside
# whom. So these tokens must all be told to it, as in [Theorem 7](thm-7-match3.py), with a bit for each.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-noted-sums", "caption": "Six tokens, modulo 10. Layer 1 (orange): each notes the last digit of the sum of itself and the next one; the last token is the blank. Layer 2: the 3 asks for a 7 and finds it noted at the second token (blue). The 0 asks for a 0, which nobody noted, and falls back on the blank (grey). Arrows end where the attention of this page's second layer is largest."}, "image": {"alt": "Six squares with the digits 3, 1, 6, 8, 0, 2. Below, in orange and joined to two neighbours each, the sums 4, 7, 4, 8, 2, and the word blank under the last. A blue arrow, asks for 7, leads from the 3 to the second square, whose 7 is circled, and a grey one, asks for 0, from the 0 to the last square."}}
import matplotlib.pyplot as plt
import torch

from attention_limits import figures
from attention_limits.constructions.match3_variants import match3_bigram_transformer
from attention_limits.problems.matching import Match3Bigram

figures.use_style()
digits = torch.tensor([3, 1, 6, 8, 0, 2])
digit_model = match3_bigram_transformer(Match3Bigram(6, 10)).double()
matched = digit_model.attend(digits[None])[1][1][0, 0].argmax(dim=1).tolist()
noted = [*((digits[:-1] + digits[1:]) % 10).tolist(), "blank"]
fig, axes = plt.subplots(figsize=(6.4, 3))
centred = {"ha": "center", "va": "center"}
askers = {0: figures.BLUE, 4: figures.GREY}
for place, digit in enumerate(digits.tolist()):
    color = askers.get(place, "#f0f0f0")
    axes.add_patch(plt.Rectangle((place - 0.4, -0.4), 0.8, 0.8, ec=figures.GREY, fc=color))
    axes.text(
        place, 0, digit, fontsize=20, color="white" if place in askers else "black", **centred
    )
    axes.text(place, -1.3, noted[place], fontsize=17, color=figures.ORANGE, **centred)
    for end in {place, min(place + 1, 5)}:
        axes.plot([end, place], [-0.46, -1.02], color=figures.ORANGE, linewidth=1.5)
for place, color in askers.items():
    goal = matched[place]
    arrow = {"arrowstyle": "-|>", "color": color, "lw": 2, "connectionstyle": "arc3,rad=-0.7"}
    axes.annotate("", (goal, 0.45), (place, 0.45), arrowprops=arrow)
    asked = f"asks for {-digits[place].item() % 10}"
    axes.text((place + goal) / 2, 1.05, asked, fontsize=14, color=color, **centred)
axes.plot(matched[0], -1.3, "o", markersize=27, mfc="none", mec=figures.BLUE, mew=2)
axes.set(xlim=(-0.6, 5.6), ylim=(-1.75, 1.3))
axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax, modular arithmetic; {prf:ref}`prop-disjointness` for the lower bound. Half a minute on one core.
#
# **On this page.**
#
# * Two layers of one head each, with $m=3$, do it for all $N$ and $M$. [P~] {prf:ref}`thm-bigram-two-layers`
# * One layer must carry about $N$ bits, even over an alphabet of four letters. [N] {prf:ref}`thm-bigram-one-layer`
# * Both are run: all small inputs through the two layers, and one-layer protocols through a channel that counts. [N]
#
# ## The statement
#
# Tokens are residues $x_1,\dots,x_N\in\{0,\dots,M-1\}$, and the answer for token $i$ is
#
# ```{math}
# :label: eq-bigram
# \operatorname{Match3Bigram}(x)_i=\begin{cases}1&\text{if }x_i+x_j+x_{j+1}\equiv0\pmod M\text{ for some }j<N,\\0&\text{otherwise.}\end{cases}
# ```
#
# The paper shows that such triples are within reach of two layers {cite}`sanford2023representational`. Its exact statement
# was not available to us: the statements, constants and proofs below are ours.
#
# :::{prf:proposition} (two layers are enough)
# :label: thm-bigram-two-layers
#
# For all $N\ge1$, $M\ge2$ and $g\ge0$ there is a transformer of two layers with one head each, without a residual
# connection, of embedding dimension $m=3$ (queries and keys of 2 coordinates and values of 3 in the first layer, 3 and 1 in the second), whose output for every
# token of every input lies in $[0,1]$, is at least $\sigma(g)=1/(1+e^{-g})$ where the answer is 1, and at most $1-\sigma(g)$ where it is 0.
# :::
#
# :::{prf:proposition} (one layer is not)
# :label: thm-bigram-one-layer
#
# Let $M=4$ and $n=\lfloor\frac{N-1}2\rfloor\ge1$. Consider one layer of $H$ heads, with queries, keys and $d'$ values that
# are any functions of a token and its position, its scores at most $S$ and its values at most $R$ in size, and an output map that gives the right
# first label on every input, even if each coordinate of the layer's output is off by up to $\eta>0$. Then
#
# ```{math}
# :label: eq-bigram-bits
# H\left(\left\lceil\log_2\left\lceil\frac{HSR}\eta\right\rceil\right\rceil+d'\left\lceil\log_2\left\lceil\frac{2HR}\eta\right\rceil\right\rceil\right)\;\ge\;n ,
# ```
#
# where $\log_2 0$ counts as 0. For queries, keys and values of at most $m$ coordinates below $2^p$ in size, $p\ge1$, and $\eta\ge2^{-p}$ this says
# that $mH\,(p+\log_2(mH))$ grows at least linearly in $N$.
# :::
#
# The alphabet has four letters, whatever $N$ is: it is not the size of the residues that makes the problem hard.
#
# ## The idea
#
# **Two layers.** The first layer brings $x_{i+1}$ to token $i$, which then knows the sum $z_i=x_i+x_{i+1}$ of its bigram.
# The second asks: is there a $j$ with $z_j\equiv-x_i$? {numref}`fig-bigram-flow` shows both at work. Two things need care.
#
# * *What about a token's own $x_i$?* {prf:ref}`def-layer` has no residual connection: whatever token $i$ needs later must pass
#   through the attention. We use **parity slots**: token $i$ looks half-way between $i$ and $i+1$, gives both the weight
#   $\tfrac12$, and residues sit in one slot at even positions and in another at odd ones. So $x_i$ and $x_{i+1}$ arrive
#   side by side. A third value, $i\bmod4$, tells which slot is token $i$'s own.
# * *What about the last token?* It has no successor and no bigram, and becomes the **blank**: a key that every query can fall
#   back on when nothing matches.
#
# :::{prf:proof}
# :class: dropdown
#
# {prf:ref}`thm-bigram-two-layers`. *Layer 1.* Let positions be integers $j$ (centred, which changes nothing). The query $c(2i+1,-1)$ and the key $(j,j^2)$ have the score
#
# $$c\,\big((2i+1)j-j^2\big)=c\,(i+\tfrac12)^2-c\,(j-i-\tfrac12)^2 .$$
#
# For a token with a successor, $i$ and $i+1$ have the same, largest score, and a token $k$ places beyond one of them has $ck(k+1)$ less. Relative to
# one of the two, all the others together weigh
# $r\le2\sum_{k\ge1}e^{-ck(k+1)}\le\frac{2e^{-2c}}{1-e^{-4c}}$, as $k(k+1)$ starts at 2 and grows by at least 4. A value that should be
# read as $v_i+v_{i+1}$ from twice the average, with values in $[0,B]$, is $\frac{2(v_i+v_{i+1}+\ell)}{2+r}$ with $0\le\ell\le rB$; as $v_i+v_{i+1}\le2B$ the difference is
# $\frac{2\ell-r(v_i+v_{i+1})}{2+r}$, at most $rB$ in size. In a slot one of $v_i$, $v_{i+1}$ is a residue and the other is 0. The codes $i\bmod4$ have $B=3$.
# The last token finds itself at the distance $\tfrac12$ and all others at least $2c$ below; its own values arrive with an error of at most $rB$, and twice its code with at most $2r\cdot3$.
#
# With $c\ge\tfrac12\ln(16\max(M,6))$ we have $e^{-2c}\le\frac1{16\max(M,6)}$ and $r\max(M-1,6)<\frac17$. Every number is rounded to
# the right integer, and more than $\frac13$ is left for floats. The codes of neighbours add up to $0+1=1$, $1+2=3$, $2+3=5$ or $3+0=3$: 3 exactly if $i$ is
# odd. The last token's doubled code is even; half of it modulo 2 is its parity. So token $i$ knows $x_i$, whether it is the last, and otherwise $x_{i+1}$.
#
# *Layer 2.* Let $t$ and $z_j$ be the representatives of $-x_i$ and of $x_j+x_{j+1}$ in $\{-\lfloor\frac M2\rfloor,\dots,\lceil\frac M2\rceil-1\}$. The query
# $c\,(2t,-1,t^2-\tfrac12)$ has with the key $(z_j,z_j^2,0)$ the score $ct^2-c(t-z_j)^2$: it is $ct^2$ if $j$ matches, and at most $ct^2-c$ if
# not. The last token's key $(0,0,1)$ has $ct^2-\tfrac c2$. Values are 1, and 0 for the last token. With $n=\max(N-1,1)$ and
# $c\ge2\ln n+2g$, the odds of the output are at least $e^{c/2}\ge e^g$ if some $j$ matches, and at most $n\,e^{-c/2}\le e^{-g}$ if none does. For $N=1$ the
# blank is alone, and the output is 0. $\blacksquare$
# :::
#
# **One layer.** In one layer, token 1 sees Alice's tokens and Bob's tokens as two separate sums; nobody has brought neighbours together. If the two share out the tokens alternately,
# {prf:ref}`prop-disjointness` applies. In the smallest case, modulo 4, the first token is a 1, and Alice and Bob each hold one bit and write one token.
# If both bits are 1, the tokens are $1,0,3$,
# and the bigram $0,3$ completes the 1 to 4. If only Alice's bit is 1, they are $1,0,1$, and no bigram has the sum 3.
#
# :::{prf:lemma} (disjointness inside bigrams)
# :label: lem-bigram-reduction
#
# Let $M=4$, $x_1=1$, and let Alice and Bob, who hold $a,b\in\{0,1\}^n$, write the tokens $2i$ and $2i+1$ for $i\le n$:
#
# | | Alice, if $a_i=1$ | Bob, if $b_i=1$ | either, if not |
# | --- | --- | --- | --- |
# | $i$ odd | 0 | 3 | 1 |
# | $i$ even | 3 | 0 | 1 |
#
# and let any further tokens be 1. Then the first answer is $\operatorname{DISJ}(a,b)$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Token 1 asks for a bigram whose sum is $\equiv3$. Within a pair the sums are $0+3\equiv3$ if both have the element, and $0+1$, $1+3$, $1+1\equiv1,0,2$ if not. From
# an odd pair to the next, Bob's 3 or 1 meets Alice's 3 or 1: $3+3,\ 3+1,\ 1+1\equiv2,0,2$. From an even pair his 0 or 1 meets her 0 or 1: $0,1,2$. The first token
# before her first: $1+0,1+1=1,2$. Bob's last before a filler: $3+1,\ 0+1,\ 1+1\equiv0,1,2$, and two fillers make 2. So 3 occurs exactly if some
# $a_i=b_i=1$. $\blacksquare$
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# {prf:ref}`thm-bigram-one-layer`. Token 1 is fixed, so its query is known to both, and so is the layer. For a head, let $L_A$ be the log-sum-exp of the scores of Alice's tokens and
# $\mu_A$ their weighted mean of values, and $L_B$, $\mu_B$ the same for all other tokens. The head gives
# $w\mu_A+(1-w)\mu_B$ with $w=\sigma(L_A-L_B)$. For each head Alice sends the cell of $L_A\in[\ln n-S,\ln n+S]$ in a grid of $\lceil HSR/\eta\rceil$ cells, and of each coordinate of $\mu_A\in[-R,R]^{d'}$ in
# one of $\lceil2HR/\eta\rceil$ cells. The cells' middles are off by at most $\delta_L=\frac\eta{HR}$ and $\delta_\mu=\frac\eta{2H}$. As $\sigma$ has slopes of at most $\tfrac14$, Bob's
# $\tilde w\tilde\mu_A+(1-\tilde w)\mu_B$ is off by at most
#
# $$\abs{\tilde w-w}\,\abs{\mu_A-\mu_B}+\tilde w\,\abs{\tilde\mu_A-\mu_A}\;\le\;\tfrac{\delta_L}4\cdot2R+\delta_\mu=\tfrac\eta H$$
#
# in each coordinate, and the sum over heads by at most $\eta$. He applies the output map and knows $\operatorname{DISJ}(a,b)$, by
# {prf:ref}`lem-bigram-reduction`. The message's length is the left side of {eq}`eq-bigram-bits`, and by {prf:ref}`prop-disjointness` {cite}`yao1979questions` it is at least $n$.
#
# *With $p$ bits.* Then $d'\le m$, $R\le2^p$, $S\le m4^p$ and $\eta\ge2^{-p}$; the left side is at most
# $H\big(4p+\log_2(mH)+2\big)+mH\,(2p+\log_2H+3)\le mH\,\big(6p+2\log_2(mH)+5\big)$. $\blacksquare$
# :::
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 9  # N of the example that is drawn
modulus: int = 10  # M of the example
largest_inputs: int = 20_000  # all inputs are tried at every size with M^N up to this
token_grid: list[int] = [128, 512, 2048]  # N of large random inputs, in float32
modulus_grid: list[int] = [500, 5793]  # M of large random inputs
num_inputs: int = 4  # random inputs at each of these sizes, half of them hard
reduction_bits: int = 7  # n up to which all 4^n pairs of strings are tried
channel_bits: int = 4  # n up to which all pairs go through the channel
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import intervals, ranges, require_matching, usual_ranges

quick = {"largest_inputs": 3000, "token_grid": [128, 512], "reduction_bits": 6, "channel_bits": 3}

usual_ranges()
require_matching(num_tokens, modulus)
intervals(num_tokens=(2, 16, "it is drawn"))
ranges(
    modulus=(2, 1000, "it is drawn"),
    largest_inputs=(100, 10**6, "all of them are run"),
    num_inputs=(1, 100, "N² scores each"),
    reduction_bits=(1, 9, "all 4^n pairs are run"),
    channel_bits=(1, 6, "all 4^n pairs go through the channel"),
    token_grid=(2, 5793, "exact in float32"),
    modulus_grid=(3, 5793, "exact in float32"),
)

# %% [markdown]
# ## The construction
#
# `match3_bigram_transformer` is {prf:ref}`def-transformer` with two layers and three token-wise maps, with $g=2$. The scales $c$ are the
# powers of two next above what the proof asks for. Scores that matter are then a power of two times an integer below $2^{24}$,
# which float32 computes *exactly*; sizes at which they would not be are refused when the module is called.

# %% tags=["hide-input"]
import math
from fractions import Fraction

import pandas as pd
from scipy.special import expit

from attention_limits.bounds.bigram import (
    BigramReduction,
    FirstRow,
    read_slots,
    run_first_row,
    slot_row,
)
from attention_limits.bounds.disjointness import all_pairs
from attention_limits.companion.claims import claim
from attention_limits.constructions.match3_variants import MARGIN, largest_exact
from attention_limits.problems.disjointness import Disjointness
from attention_limits.problems.grading import grade, grade_outputs
from attention_limits.runtime import progress

torch.set_num_threads(1)  # many tiny matrices: more threads would wait for each other
generator = torch.Generator().manual_seed(seed)

# %%
problem = Match3Bigram(num_tokens, modulus)
model = match3_bigram_transformer(problem).double()
example = problem.sample(1, generator=generator)
output, (first_layer, second_layer) = model.attend(example)
figures.prose(
    f"Here $N={num_tokens}$, $M={modulus}$, the scales are {model.fetch_scale:g} and "
    f"{model.match_scale:g}, $m={model.embed_dim}$ with {model.depth} layers of "
    f"{model.num_heads} head. Float32 is enough for $N$ and $M$ up to "
    f"{largest_exact(torch.float32):,}, float64 up to {largest_exact(torch.float64):,}."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-bigram-flow", "caption": "Both layers on one input. Top: layer 1, each token half on itself and half on its successor, the last one alone. Bottom: layer 2; rows are labelled with the residue asked for, −xᵢ, columns with the sum of the bigram that starts there. Circles mark matches; a row without one falls back on the blank, the last column."}, "image": {"alt": "Two attention maps. In the upper one the diagonal and the cells right of it have weight one half, and the last row has its weight on the last token alone. In the lower one each row has its weight where the bigram's sum equals the residue asked for, marked by circles, or else in the last column, the blank."}}
residues = example[0]
sums = (residues[:-1] + residues[1:]) % modulus
wanted = -residues % modulus
ticks = range(num_tokens)
fig, (top, bottom) = plt.subplots(2, 1, figsize=(5, 9))
for axes, weights, title in (
    (top, first_layer[0, 0], "layer 1: fetch the successor"),
    (bottom, second_layer[0, 0], "layer 2: match bigrams"),
):
    axes.imshow(weights, cmap=figures.SEQUENTIAL, vmin=0, vmax=1)
    axes.set(title=title, xticks=ticks, yticks=ticks)
    axes.grid(visible=False)
top.set(xticklabels=residues.tolist(), yticklabels=residues.tolist())
top.set(xlabel="key: $x_j$", ylabel="query: $x_i$")
bottom.set(xticklabels=[*sums.tolist(), "blank"], yticklabels=wanted.tolist())
bottom.set(xlabel="key: $x_j+x_{j+1}$", ylabel="query: $-x_i$")
rows, columns = (wanted.unsqueeze(1) == sums).nonzero(as_tuple=True)
ring = {"color": figures.ORANGE, "fillstyle": "none", "markersize": 11, "markeredgewidth": 2}
bottom.plot(columns, rows, "o", **ring)
plt.show()

# %% [markdown]
# What the tokens know on the way: the slots of layer 1 with the code that tells which is the own one, the sum of the bigram, and the probability in the end.

# %% tags=["hide-input"]
hidden = model.transformer.layers[0](model.before_fetching(model.tokens(example)))[0]
own, following, last = model.read_bigrams(hidden)
journey = pd.DataFrame(
    {
        "x": residues,
        "even slot": hidden[:, 0],
        "odd slot": hidden[:, 1],
        "code": hidden[:, 2],
        "x read": own.long(),
        "next read": ["–" if end else int(r) for r, end in zip(following, last, strict=True)],
        "bigram": [*sums.tolist(), "blank"],
        "asks for": wanted,
        "probability": output[0, :, 0],
    }
)
formats = dict.fromkeys(["even slot", "odd slot", "code", "probability"], "{:.2f}")
figures.table(journey, formats, "One input through both layers", index=False)

# %% [markdown]
# ### Every small input
#
# All $M^N$ inputs at every size where there are not too many of them, from the lone token on. We look at three things: the labels,
# the distance of the output from $\tfrac12$, which should be at least $\sigma(g)-\tfrac12$, and what layer 1 fetched before it was rounded.


# %% tags=["hide-input"]
def fetched_error(model, inputs):
    """The most by which twice a fetched slot misses its residue, tokens with a successor."""
    tokens = model.tokens(inputs)
    slots = model.transformer.layers[0](model.before_fetching(tokens))[:, :-1, :2]
    odd = tokens[:, :-1, 1].remainder(2) == 1
    own, following = inputs[:, :-1], inputs[:, 1:]
    even_odd = torch.where(odd, following, own), torch.where(odd, own, following)
    right = torch.stack(even_odd, dim=-1)
    return (2 * slots - right).abs().max().item() if right.numel() else 0.0


small = []
for tokens in range(1, 9):
    for residue_count in range(2, 13):
        if residue_count**tokens > largest_inputs:
            break
        task = Match3Bigram(tokens, residue_count)
        inputs = task.all_inputs()
        tried = match3_bigram_transformer(task)
        single, double = grade(tried, task, inputs), grade(tried.double(), task, inputs)
        wrong, margin = single.wrong + double.wrong, double.right_side - 0.5
        fetched = fetched_error(tried, inputs)
        small.append((tokens, residue_count, len(inputs), wrong, margin, fetched))
small = pd.DataFrame(small, columns=["N", "M up to", "inputs", "wrong", "margin", "fetched"])
by_length = small.groupby("N").agg(
    {"M up to": "max", "inputs": "sum", "wrong": "sum", "margin": "min", "fetched": "max"}
)
figures.table(
    by_length,
    {"margin": "{:.3f}", "fetched": "{:.1e}", "inputs": "{:,}"},
    "All inputs, in both float types: wrong labels, least distance from ½, largest error fetched",
)

# %% [markdown]
# ### Large inputs, and a broken transformer
#
# Random inputs, and inputs on which almost everything is a near miss: tokens $a$ and $1-a$, so that many bigrams sum to 1, met by a few
# queries for 1 and 2. Then a small transformer whose blank has the score 0 whatever is asked, on all inputs: the checks should notice.


# %% tags=["hide-input"]
def near_miss_inputs(task, count):
    """Bigrams that sum to 1, with a few tokens that ask for 1 (a match) or for 2 (a miss)."""
    base = torch.randint(task.modulus, (count, 1), generator=generator)
    inputs = torch.where(torch.arange(task.num_tokens) % 2 == 0, base, 1 - base)
    inputs[:, 0], inputs[:, -1] = -1, -2
    return inputs % task.modulus


large = []
for tokens in progress(token_grid, "large inputs"):
    for residue_count in modulus_grid:
        task = Match3Bigram(tokens, residue_count)
        count = max(1, num_inputs // 2)
        inputs = torch.cat([task.sample(count, generator=generator), near_miss_inputs(task, count)])
        found, ones = grade(match3_bigram_transformer(task), task, inputs), task.target(inputs)
        share = ones.double().mean().item()
        large.append((tokens, residue_count, found.num_labels, share, found.wrong))
large = pd.DataFrame(large, columns=["N", "M", "labels", "share of ones", "wrong"])
formats = {"share of ones": "{:.2f}", "labels": "{:,}"}
figures.table(large, formats, "Large inputs in float32", index=False)
crippled_task = Match3Bigram(4, 5)
crippled = match3_bigram_transformer(crippled_task)
crippled.transformer.layers[1].heads[0].query[:, 2] = 0
wrong_without_blank = grade(crippled, crippled_task).wrong
widest = []  # columns of queries, keys and values, the most of each transformer
for size in ((1, 2), (30, 9), (5000, 5000)):
    matrices = match3_bigram_transformer(Match3Bigram(*size)).transformer.parameters()
    widest.append(max(matrix.shape[1] for matrix in matrices))

# %% [markdown]
# ### One layer: the reduction and the channel
#
# We run {prf:ref}`lem-bigram-reduction` on all pairs of strings. A string of Alice's has a *row*: the first labels, one for each string of Bob's. All
# of her strings must have
# different rows, and her message must tell them apart. Then we run the protocol of the proof itself. A layer is given by its scores and values for the
# first token's query, Alice's message goes through a channel that
# counts every bit, and Bob sees nothing else of her tokens.
#
# **What one layer can do with $m=N$.** Let token $j$ have the value $(x_j+1)\,e_j$, a slot for each position, the key $e_j$ and the query
# $\ln(M+1)\,e_j$. Token $i$ receives, up to
# the known factor $N+M$, the number $x_j+1\le M$ in each slot $j\ne i$ and $(M+1)(x_i+1)>M$ in its own: it knows all of $x$ and its place, and
# its output map does the rest. For the first token uniform attention is enough; this is the layer that we send through the channel, beside random ones.

# %% tags=["hide-input"]
reduction_rows = []
for bits in range(1, reduction_bits + 1):
    strings, reduction = Disjointness(bits), BigramReduction(bits)
    pairs = all_pairs(strings)
    labels = reduction.problem.target(reduction.inputs(*pairs))[:, 0]
    found = grade_outputs(labels, strings.target(pairs))
    different = len(labels.view(2**bits, 2**bits).unique(dim=0))
    size = bits, reduction.problem.num_tokens
    reduction_rows.append((*size, found.num_labels, found.wrong, different))
columns = ["n", "N", "pairs", "wrong", "different rows"]
reduction_rows = pd.DataFrame(reduction_rows, columns=columns)
caption = "Disjointness as the first label of Match3Bigram, M = 4"
figures.table(reduction_rows, {"pairs": "{:,}"}, caption, index=False)

# %% tags=["hide-input"]


def bits_of_formula(row):
    """The bits of the proof, from the layer's sizes, its largest score and its largest value."""
    heads, _, _, value_dim = row.values.shape
    score, value = (Fraction(part.abs().max().item()) for part in (row.scores, row.values))
    cells = heads * value / row.slack
    of_mean = math.ceil(math.log2(math.ceil(2 * cells)))
    return heads * (math.ceil(math.log2(max(1, math.ceil(cells * score)))) + value_dim * of_mean)


channel = []
for bits in progress(range(1, channel_bits + 1), "conversations"):
    reduction, strings = BigramReduction(bits), Disjointness(bits).strings()
    layers = {"slots": slot_row(bits)}
    for heads, value_dim in ((1, 1), (2, 3), (4, 2)):
        shape = (heads, reduction.problem.num_tokens, reduction.problem.modulus)
        layers[f"random, H = {heads}, d' = {value_dim}"] = FirstRow(
            3 * torch.randn(shape, generator=generator, dtype=torch.float64),
            torch.randn(*shape, value_dim, generator=generator, dtype=torch.float64),
            Fraction(1, 50),
        )
    for name, row in layers.items():
        tally = run_first_row(row, reduction, strings)
        error, wrong = tally.worst_error / float(row.slack), None
        if name == "slots":
            answers = read_slots(reduction, tally.outputs.flatten(0, 1))
            wrong = grade_outputs(answers, tally.labels.flatten()).wrong
        channel.append((name, bits, tally.num_bits, bits_of_formula(row), error, wrong))
columns = ["layer", "n", "bits sent", "of the formula", "error / η", "wrong"]
channel = pd.DataFrame(channel, columns=columns)
slots = channel[channel["layer"] == "slots"]
shown = channel[channel["n"] == channel_bits]
caption = f"One layer through the channel, all 4^n pairs, n = {channel_bits}"
figures.table(shown, {"error / η": "{:.2f}", "wrong": "{:.0f}"}, caption, index=False)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("bigram.lone-token", int(by_length.loc[1, "wrong"]), "==", 0,
    statement="A lone token has no bigram, and its label is 0: no exception at N = 1.")
claim("bigram.small-inputs", int(small["wrong"].sum()), "==", 0, source="P~",
    statement=f"The two layers give all labels right: no exception on all {int(small['inputs'].sum()):,} inputs "
    f"with $M^N$ ≤ {largest_inputs:,}, N ≤ 8, M ≤ 12, in float32 and float64.")
claim("bigram.margin", small["margin"].min(), ">=", expit(MARGIN) - 0.5, tolerance=1e-12,
    note="rounding of float64",
    statement=r"On these inputs every output is at least $\sigma(g)-\frac12$ away from $\frac12$: the least distance.")
claim("bigram.fetched", small["fetched"].max(), "<=", Fraction(1, 7), note="the proof's bound",
    statement="Layer 1 fetches a residue with an error of at most a seventh, before rounding: the largest error.")
claim("bigram.large-inputs", int(large["wrong"].sum()), "==", 0, source="P~",
    statement=f"The labels of random and hard inputs up to N = {max(token_grid)}, M = {max(modulus_grid)} are right "
    f"in float32: no exception among {int(large['labels'].sum()):,}.")
claim("bigram.dimension", sum(columns != 3 for columns in widest), "==", 0,
    statement="Whatever N and M are, the widest query, key or value matrix has 3 columns: no exception among three "
    "sizes from N = 1 to N = 5,000.")
claim("bigram.blank-needed", wrong_without_blank, ">=", 1,
    statement="When the blank's score no longer depends on the query some labels are wrong (N = "
    f"{crippled_task.num_tokens}, M = {crippled_task.modulus}, all inputs).")
claim("bigram.reduction", int(reduction_rows["wrong"].sum()), "==", 0,
    statement=f"The first label is DISJ: no exception among all pairs of strings, n ≤ {reduction_bits}, N = 2n + 1, "
    "M = 4.")
claim("bigram.rows", int(reduction_rows["different rows"].iloc[-1]), "==", 2**reduction_bits,
    statement=f"All $2^n$ strings of Alice's have different rows of first labels, n = {reduction_bits}: she must "
    "send n bits.")
claim("bigram.channel-bits", int((slots["bits sent"] - slots["n"]).min()), ">=", 0,
    statement="The layer of slots sends at least the n bits that any right protocol needs: the least excess.")
claim("bigram.channel", int(slots["wrong"].sum()), "==", 0,
    statement=f"Bob's answers about the layer of N slots are right: no exception among all pairs, n ≤ {channel_bits}.")
claim("bigram.channel-error", channel["error / η"].max(), "<=", 1.0,
    statement=r"Bob's output is off by at most $\eta$: the largest error over $\eta$, all layers and pairs.")
claim("bigram.channel-length", int((channel["bits sent"] != channel["of the formula"]).sum()), "==", 0,
    statement=f"Alice's messages are as long as the formula says: no exception among {len(channel)} layers.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That Match3 needs two layers, or that two are enough for it.* Bigrams are $N-1$ pairs; Match3 tries all $N^2$, and what several layers
#   need for it is open.
# * *A bound on one layer with unlimited precision.* {prf:ref}`thm-bigram-one-layer` needs an output map that tolerates an error $\eta$. Without
#   it one real number could carry all tokens.
# * *How large one layer must be, exactly.* The logarithm on the left of {eq}`eq-bigram-bits` may be due to the proof; the layer of slots sends about $N\log_2N$ bits.
# * *That training finds these weights.*
#
# ## Exercises
#
# :::{exercise}
# :label: ex-bigram-two-heads
#
# Replace the parity slots by a second head in layer 1. Which queries, keys and values do the heads have?
# :::
#
# :::{solution} ex-bigram-two-heads
# :class: dropdown
#
# Both have the keys $(j,j^2)$. One has the query $c\,(2i,-1)$, and finds token $i$ itself, the other $c\,(2i+2,-1)$, and finds token $i+1$. Heads are summed, so they must not write into
# the same coordinate: the first has the values $(x_j,0,[j=N])$ and the second $(0,x_j,0)$. The gap between the largest score and the next is $c$ now, not $2c$.
# :::
#
# :::{exercise}
# :label: ex-bigram-code
#
# Why isn't $i\bmod2$ enough as the third value? Would $i\bmod3$ be?
# :::
#
# :::{solution} ex-bigram-code
# :class: dropdown
#
# Two neighbours have the codes 0 and 1, in either order, so that their average is always $\tfrac12$ and tells nothing about $i$. Modulo 3 the average is $\tfrac12$, $\tfrac32$ or
# $1$, which gives $i\bmod3$ but not its parity, and 1 would also be what a last token finds.
# :::
#
# :::{exercise}
# :label: ex-bigram-three
#
# Show that $M=2$ can't serve in {prf:ref}`lem-bigram-reduction`: for $M=2$ one bit from Alice is enough when she owns the even positions.
# :::
#
# :::{solution} ex-bigram-three
# :class: dropdown
#
# The first answer asks for a bigram of the sum $x_1$ modulo 2. If $x_1=1$ there is one unless all tokens are equal to 1; if $x_1=0$ there is one
# unless the tokens alternate $0,1,0,1,\dots$. In both cases Alice only needs to say whether all of hers are 1: one bit.
# :::
#
# ## Reference
#
# The problem and the use of two layers are the paper's {cite}`sanford2023representational`. Ours are: parity slots, the parabola and its exact
# scores, the margins, the reduction with a constant alphabet, {eq}`eq-bigram-bits`, and all measurements.
