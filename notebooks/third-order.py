# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Third-order attention finds triples
#
# **The question.** A pairwise attention layer sees two tokens at a time, and for triples that is too little. What if a
# query may look at *pairs* of tokens? How many dimensions does one such unit need for $\operatorname{Match3}$, in which
# number format, and can one check it on a million tokens?
#
# **In one paragraph.** Think of $M=12$, the hours of a clock, and of a token that holds a 3. It looks for two tokens that make up a
# multiple of 12 with it, such as 1 and 8. To score one token at a time is of no use: whether the 1 is wanted depends on whether there is an 8. A query
# that looks at pairs sees both at once. Turn a hand by 3 hours, by 1 and by 8: it is back at the top, as happens for
# multiples of 12 and for no other sum ({numref}`fig-turns`). So the cosine of the total angle is the score, 1 for what is looked for and less for all else. And **the cosine of a
# sum of three angles is a sum of three products**, with one factor for each token, which is just what a score of this kind can compute: three coordinates, and a fourth for a blank token that is
# attended to where there is no such pair. The price is $N^2$ scores for each token.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-turns", "caption": "Left: 3, 1 and 8 hours make a full turn of the clock. Right: what the token 3 sees in the sequence 3, 1, 8, 5, 10, with third-order attention. Each cell is a pair of tokens, with the sum of the three; the brighter, the larger the score of the unit of this page. It is largest where the sum is 12."}, "image": {"alt": "Left: a clock's face with three arcs head to tail, 3, 1 and 8 hours, that end at the top again. Right: a grid of five by five cells with sums. The two cells with the sum 12, the pairs 1, 8 and 8, 1, are the brightest and are framed."}}
import matplotlib.pyplot as plt
import numpy as np
import torch

from attention_limits import figures
from attention_limits.constructions.third_order import match3_tensor_unit
from attention_limits.problems.matching import Match3

figures.use_style()
hours = torch.tensor([3, 1, 8, 5, 10])
clock_unit = match3_tensor_unit(Match3(5, 12)).double()
factors = clock_unit.queries(hours[None])[0, 0], *(clock_unit.keys(hours[None], s) for s in (1, 2))
seen = torch.einsum("r,jr,kr->jk", factors[0], factors[1][0, :5], factors[2][0, :5])
sums = hours[0] + hours[:, None] + hours
fig, (clock, grid) = plt.subplots(1, 2, figsize=(6.4, 3.4))
turned = 0
for turn, color in ((3, figures.BLUE), (1, figures.ORANGE), (8, figures.GREEN)):
    angle = np.linspace(turned + 0.12, turned + turn - 0.12, 60) * np.pi / 6
    clock.plot(np.sin(angle), np.cos(angle), color=color, linewidth=5)
    middle = 0.68 * np.sin(angle.mean()), 0.68 * np.cos(angle.mean())
    clock.text(*middle, f"+{turn}", ha="center", va="center", color=color, fontsize=17)
    turned += turn
for h in range(12):
    x, y = 1.22 * np.sin(h * np.pi / 6), 1.22 * np.cos(h * np.pi / 6)
    clock.text(x, y, h, ha="center", va="center", fontsize=13)
clock.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal")
clock.axis("off")
grid.imshow(seen, cmap=figures.SEQUENTIAL)
for (j, k), total in np.ndenumerate(sums.numpy()):
    ink = "white" if seen[j, k] < 0 else "black"
    grid.text(k, j, total, ha="center", va="center", color=ink, fontsize=14)
    if total % 12 == 0:
        grid.plot(k, j, "s", mfc="none", mec=figures.ORANGE, mew=3, markersize=31)
ticks = {"ticks": range(5), "labels": hours.tolist(), "fontsize": 13}
grid.set_xticks(**ticks)
grid.set_yticks(**ticks)
grid.set_xlabel("second token of the pair", fontsize=13)
grid.set_ylabel("first token", fontsize=13)
grid.grid(visible=False)
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax, complex exponentials, and what a Fourier transform is. Half a minute on one core.
#
# **On this page.**
#
# * One third-order unit with $m=4$ computes Match3, and with $m=s+1$ the same for $s$ tokens. [P~] {prf:ref}`thm-third-order`
# * Fewer than $s$ products don't make this score. [N] {prf:ref}`thm-least-terms`
# * Several frequencies in place of one: a gap that bfloat16 can hold. [N] {prf:ref}`prop-frequency-gap`
# * The same function evaluated by counting, on a million tokens ([below](#third-million)). [N]
# * The method finds triangles in a graph, too. [N] {prf:ref}`prop-triangles`
#
# ## The statement
#
# In *third-order attention* token $i$ has a query $q_i\in\R^m$, and each token two keys $k_j,k'_j\in\R^m$ and two values.
# The score of $i$ with the pair $(j,k)$ is $\sum_rq_{ir}k_{jr}k'_{kr}$, the softmax runs over all pairs, and the value of
# a pair is the entrywise product of two values; *order* $s$ has $s-1$ keys likewise. Order 2 is {prf:ref}`def-unit`.
# The paper {cite}`sanford2023representational` defines it, and so do {cite}`alman2024how`, who call it tensor attention.
#
# The problem is the paper's: tokens are residues modulo $M$, and $\operatorname{Match3}(x)_i=1$ if
# $x_i+x_j+x_k\equiv0\pmod M$ for some $j$ and $k$, which may be equal to each other and to $i$. At order $s$ we ask for
# $s-1$ tokens. The paper shows that one third-order unit computes $\operatorname{Match3}$. Its constants were not
# available to us: those below, and the proofs, are ours.
#
# :::{prf:proposition} (third-order attention computes Match3; constants ours)
# :label: thm-third-order
#
# Let $N\ge1$, $M\ge2$, $s\ge2$, $g>0$, $\theta=\frac{2\pi}M$, $\delta=1-\cos\theta=2\sin^2\frac\pi M$ and
# $X=(N+1)^{s-1}-N^{s-1}-1$. One unit of order $s$ with a blank token and
#
# ```{math}
# :label: eq-third-scale
# m=s+1,\qquad c=\max\Big(\frac{(s-1)\ln N+2g}{\delta},\;g+\ln2X\Big),\qquad b=\ln\!\big(e^{c-g}-X\big)
# ```
#
# answers with a number that is at least $\sigma(g)=\frac1{1+e^{-g}}$ where $x_i$ and some $s-1$ tokens add up to $0$
# modulo $M$, and at most $1-\sigma(g)$ elsewhere. ($X=0$ for $s=2$; then $c$ is its first entry.) For
# $\operatorname{Match3}$ that is $m=4$, $X=2N$.
# :::
#
# :::{prf:lemma} (the cosine of a sum by rotations, ours)
# :label: lem-rotations
#
# ```{math}
# :label: eq-rotations
# \cos(a_1+\dots+a_s)=\frac{2^{s-1}}s\sum_{k=0}^{s-1}(-1)^k\prod_{l=1}^s\cos\!\Big(a_l+\frac{\pi k}s\Big).
# ```
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Write each cosine as half the sum of $e^{\pm i(\cdot)}$. The product over $l$ is
# $2^{-s}\sum_{\epsilon\in\{\pm1\}^s}e^{i\sum_l\epsilon_la_l}\,e^{i\pi kE/s}$ with $E=\sum_l\epsilon_l$. Let $j$ of the
# signs be $+$; then $E=2j-s$. With $(-1)^k=e^{i\pi k}$ the sum over $k$ of the factors that contain $k$ is
# $\sum_{k<s}e^{i\pi k(s+E)/s}=\sum_{k<s}e^{2\pi ikj/s}$, which is $s$ for $j=0$ and $j=s$, and 0 for $0<j<s$. What
# remains is $2^{-s}s\,\big(e^{i\sum a_l}+e^{-i\sum a_l}\big)=s\,2^{1-s}\cos(a_1+\dots+a_s)$. $\blacksquare$
# :::
#
# With this lemma {prf:ref}`thm-third-order` is proved:
#
# :::{prf:proof}
# :class: dropdown
#
# *Weights.* By {eq}`eq-rotations` with $a_l=\theta x$ the score $c\cos\theta(x_i+x_{j_1}+\dots)$ is a sum of $s$ products.
# The coordinate $s+1$ belongs to the blank: its keys are $(0,\dots,0,1)$, those of all other tokens have a 0 there, and
# the query has $b$. Values are 1, and 0 for the blank. So a tuple of tokens has the score $c\cos\theta(\cdot)$ and the
# value 1, the tuple of blanks has the score $b$, and **mixed tuples**, of tokens and blanks, have the score 0. There
# are $X$ of these, and they count: all tuples with a blank have value 0 and together the weight $X+e^b=e^{c-g}$. Here
# $e^{c-g}\ge2X$, so that $b$ exists.
#
# *A match.* Some tuple of tokens has the score $c$, so the tokens' weight $A$ is at least $e^c$, and
# $A/e^{c-g}\ge e^g$. *No match.* All sums are at least 1 away from multiples of $M$, so the scores are at most
# $c(1-\delta)$, and $A\le N^{s-1}e^{c-c\delta}$. Then $e^{c-g}/A\ge e^{c\delta-g}/N^{s-1}\ge e^g$, by the choice of
# $c$. The output is $A/(A+e^{c-g})$. $\blacksquare$
# :::
#
# The addition theorem would do as well: it writes $\cos(a+b+c)$ with four products, hence $m=5$, and $2^{s-1}+1$ at
# order $s$. Rotations need $s$ terms, and it can't be done with fewer:
#
# :::{prf:proposition} (s terms are least, ours)
# :label: thm-least-terms
#
# Let $M\ge3$ and $s\ge2$. If functions satisfy $\sum_{r\le R}\prod_lf_{l,r}(x_l)=\cos\theta(x_1+\dots+x_s)+h(x_1)$ for
# all residues $x_1,\dots,x_s$, with any $h$ of the query alone, then $R\ge s$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# A function $h$ of the query alone does not change a softmax; so it is allowed. *To the circle.* For $M\ge3$ the functions
# $\cos\theta x$ and $\sin\theta x$ are linearly independent on the residues, and orthogonal to the constants. Project both
# sides orthogonally on their span, in each variable. The cosine of the sum stays as it is, $h(x_1)\cdot1\cdots1$ becomes
# 0, and each term remains a product, with factors $\rho\cos(\theta x_l-\alpha)$. As the products of $\cos\theta x_l$ and
# $\sin\theta x_l$ are linearly independent, the equation holds coefficient by coefficient, so it holds for all
# *real* angles $a_l$ in place of $\theta x_l$.
#
# *Induction.* Claim: for no real $\phi$ is $\cos(a_1+\dots+a_s+\phi)$ a sum of fewer than $s$ products of such factors.
# For $s=1$ it is not 0. For $s\ge2$ take $R$ terms, none of them zero; there is at least one. The first one's last factor
# $\rho\cos(a_s-\alpha)$ vanishes at $a_s=\alpha+\frac\pi2$. Put this in: the left side loses a term, and the right side
# is $\cos(a_1+\dots+a_{s-1}+\phi')$. By induction $R-1\ge s-1$. $\blacksquare$
# :::
#
# The proposition is about *this* score, and it counts the products of tokens only: that the blank needs a coordinate of its own is not
# shown. With outputs that are compared with $\frac12$, as above, it is open as far as we know whether
# $\operatorname{Match3}$ can be computed with $m<4$. Some restriction of this kind is necessary: uniform attention can
# put the counts of all residues into *one* number of many bits, and an arbitrary output map that also sees $x_i$ reads them.
#
# ## Parameters

# %% tags=["parameters"]
num_tokens: int = 64  # N of the input that is looked at closely
modulus: int = 2955  # M; near N²/(2 ln 2), where half of the labels are 1
largest_order: int = 6  # s up to which units are run
low_tokens: int = 256  # N in low precision
low_modulus: int = 47274  # M in low precision
num_frequencies: int = 12  # F of the unit that is proved right in bfloat16
num_draws: int = 60  # random sets of frequencies, of which the best is kept
long_tokens: int = 1_000_000  # N of the long input, evaluated by counting
long_modulus: int = 4_000_000  # M of the long input
num_planted: int = 3  # tokens of the long input that complete triples
digraph_vertices: int = 4  # all digraphs with 3 up to so many vertices are run
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import ranges, require_matching, usual_ranges

quick = {
    "low_tokens": 64,
    "low_modulus": 2955,
    "long_tokens": 100_000,
    "long_modulus": 400_000,
    "num_draws": 20,
    "digraph_vertices": 3,
}

usual_ranges()
require_matching(num_tokens, modulus)
require_matching(low_tokens, low_modulus)
require_matching(long_tokens, long_modulus)
ranges(
    num_tokens=(2, 200, "the scores of all pairs are held at once"),
    modulus=(72, 10**6, "the interval (M/9, 2M/9) must hold a few residues"),
    low_tokens=(2, 300, "the scores of all pairs are held at once"),
    low_modulus=(72, 10**6, "all residues are enumerated for each set of frequencies"),
    long_tokens=(10_000, 10**7, "the input is long"),
    long_modulus=(10_000, 10**8, "the transforms are of this length, and their error is bounded"),
    num_planted=(1, 100, "each is looked up"),
    largest_order=(3, 6, "all N^(s−1) tuples are held at once"),
    num_frequencies=(1, 64, "m = 3F + 1"),
    num_draws=(1, 1000, "each is certified"),
    digraph_vertices=(3, 4, "all digraphs are run"),
)

# %% [markdown]
# ## The construction
#
# `tensor_attention` takes any order. At order 3 it goes through the scores tile by tile, so that their number, $N^3$, costs
# time and not memory; at other orders it holds all of them.
# `match3_tensor_unit(problem)` builds {prf:ref}`thm-third-order`'s unit; residues go in, probabilities come out.
# {numref}`fig-third-scores` shows one token's scores over all pairs of a longer input.

# %% tags=["hide-input"]
import math
import time
from itertools import permutations, product

import pandas as pd
from scipy.special import expit

from attention_limits.bounds.disjointness import all_pairs
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.frequencies import (
    dirichlet_limit,
    frequency_gap,
    profile_gaps,
    random_frequencies,
)
from attention_limits.constructions.third_order import (
    CosineForm,
    evaluate_form,
    expansion_form,
    match_tensor_unit,
    rotation_form,
)
from attention_limits.constructions.triangles import TriangleUnit, directed_triangles
from attention_limits.models.tensor_attention import tensor_attention
from attention_limits.problems.disjointness import Disjointness
from attention_limits.problems.grading import grade, grade_outputs
from attention_limits.problems.tuples import MatchTuple, planted_triples

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(seed)


def evaluate_unchecked(unit, inputs, dtype):
    """The unit with its vectors rounded to a format, whether or not the format passes the unit's check."""
    keys = tuple(unit.keys(inputs, slot).to(dtype) for slot in (1, 2))
    value = torch.ones(*keys[0].shape[:2], 1, dtype=dtype)
    value[:, -1] = 0
    return tensor_attention(unit.queries(inputs).to(dtype), keys, (value, value))[..., 0]


def with_near_misses(task, count):
    """Random inputs, and as many near misses, one off M/3: many sums are ±1, none 0 if 3 | M."""
    drawn = task.sample(count, generator=generator)
    nudge = 2 * torch.randint(0, 2, drawn.shape, generator=generator) - 1
    return torch.cat([drawn, round(task.modulus / 3) + nudge]) % task.modulus


def best_frequencies(base, count, draws):
    """The best of several random sets; one frequency is 1."""
    if count == 1:
        return torch.tensor([1])
    return random_frequencies(base, count, generator=generator, num_draws=draws)


# %%
problem = Match3(num_tokens, modulus)
unit = match3_tensor_unit(problem).double()
inputs = problem.sample(4, generator=generator)
target = problem.target(inputs)
output = unit(inputs)
sample_wrong = grade_outputs(output, target).wrong
figures.prose(
    f"With $N={num_tokens}$, $M={modulus}$ and $g=1+\\ln N={unit.log_odds:.2f}$ the unit has "
    f"$m={unit.embed_dim}$, $c={unit.scale:.3g}$ and the blank's score {unit.blank_score:.6g}. "
    f"On {len(inputs)} random inputs, of whose labels {target.double().mean():.0%} are 1, "
    f"{sample_wrong} labels are wrong."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-third-scores", "caption": "The cosine score of one token over all pairs (j, k) of a short input, tokens sorted by their residues. Bright bands are pairs whose sum comes close to completing the token; circles mark the pairs that do complete it. Only these, at the very top of the bands, count after the softmax."}, "image": {"alt": "A square heat map over pairs of tokens with bright diagonal bands, symmetric about the diagonal. Small circles lie in the middle of the bands at the pairs whose residues complete the token's residue to a multiple of the modulus."}}
shown = Match3(28, 97)
tokens = shown.sample(1, generator=generator).sort(dim=1).values[0]
found = ((tokens[:, None, None] + tokens[:, None] + tokens) % 97 == 0).sum((1, 2))
chosen = int(found.argmax())
sums = (tokens[chosen] + tokens[:, None] + tokens) % 97
score = (2 * math.pi / 97 * sums.double()).cos()
fig, axes = plt.subplots(figsize=(5.4, 4.4))
image = axes.imshow(score.numpy(), cmap=figures.SEQUENTIAL, vmin=-1, vmax=1)
rows, columns = (sums == 0).nonzero(as_tuple=True)
dots = {"color": figures.ORANGE, "markersize": 6, "markeredgecolor": "white"}
axes.plot(columns, rows, "o", label="$x_i+x_j+x_k\\equiv0$", **dots)
axes.set(xlabel="token $k$, by residue", ylabel="token $j$, by residue", xticks=[], yticks=[])
axes.grid(visible=False)
axes.legend(loc="lower left", bbox_to_anchor=(0, 1))
fig.colorbar(image, label=r"$\cos\theta(x_i+x_j+x_k)$")
plt.show()

# %% [markdown]
# ### Every small input
#
# All inputs with $M\le8$ and $N\le4$, with the score by rotations and by the addition theorem, at $g=1$ and at the module's own $g=1+\ln N$. The *right
# side* of a label has the output
# as its probability where the label is 1, and 1 minus the output where it is 0; the table shows the least such probability minus $\sigma(g)$.

# %% tags=["hide-input"]
forms = {"rotations": rotation_form(3), "addition theorem": expansion_form(3)}
small = []
for name, form in forms.items():
    for log_odds in (1.0, None):
        count = wrong = 0
        slack, gap_to_counts = math.inf, 0.0
        for size, base in product(range(1, 5), range(2, 9)):
            task = Match3(size, base)
            everything = task.all_inputs()
            tiny = match3_tensor_unit(task, form=form, log_odds=log_odds)
            wrong += grade(tiny, task).wrong  # float32
            answers = tiny.double()(everything)
            found = grade_outputs(answers, task.target(everything))
            slack = min(slack, found.right_side - expit(tiny.log_odds))
            off = (answers - tiny.by_counts(everything)).abs().max().item()
            gap_to_counts = max(gap_to_counts, off)
            count += len(everything)
        kind = name, "1" if log_odds else "1 + ln N", len(form.weights) + 1
        small.append((*kind, count, wrong, slack, gap_to_counts))
spare, distance = "right side − σ(g)", "distance to counting"
columns = ["form", "g", "m", "inputs", "wrong in float32", spare, distance]
small = pd.DataFrame(small, columns=columns)
figures.table(small, {"inputs": "{:,}", spare: "{:.1e}", distance: "{:.1e}"}, index=False)

# %% [markdown]
# **The mixed pairs matter.** For pairwise matching the scale $(2\ln N+2g)/\delta$, with the blank half-way between a match
# and a near miss, would do. At order 3 it would not: the $2N$ pairs of a token and the blank score 0, and at $N=1$,
# $M=2$, $g=1$ they and the pair of blanks together outweigh a match.

# %% tags=["hide-input"]
lone = match3_tensor_unit(Match3(1, 2), log_odds=1.0).double()
lone_input = torch.tensor([[0]])
sound = lone(lone_input).item()
lone.scale = lone.needed / lone.gap
lone.blank_score = lone.scale * (1 - lone.gap / 2)
plain = lone(lone_input).item()
signs = rotation_form(3)
unsigned = CosineForm(signs.weights.abs(), signs.factors, signs.amplification)
task = Match3(3, 5)
found = grade(match3_tensor_unit(task, form=unsigned).double(), task)
unsigned_wrong = found.wrong
figures.prose(
    f"The token 0 matches itself. The plain scale answers {plain:.3f}, which is below one half; "
    f"{{eq}}`eq-third-scale` answers {sound:.3f}. And without the signs $(-1)^k$ of "
    f"{{eq}}`eq-rotations`, {unsigned_wrong} of the {found.num_labels} labels at $N=3$, $M=5$ are "
    "wrong."
)

# %% [markdown]
# ### Every order
#
# The identity {eq}`eq-rotations` at random angles, and units of order $s$ on all inputs of a few small sizes.

# %% tags=["hide-input"]
orders = []
for order in range(2, largest_order + 1):
    angles = 2 * math.pi * torch.rand(2000, order, generator=generator).double()
    error = (evaluate_form(rotation_form(order), angles) - angles.sum(1).cos()).abs().max().item()
    misses, runs, slack = 0, 0, math.inf
    for size, base in [(1, 2), (1, 7), (2, 3), (2, 6), (3, 4)]:
        task = MatchTuple(size, base, order)
        ranked = match_tensor_unit(task, rotation_form(order)).double()
        found = grade(ranked, task)
        misses += found.wrong
        slack = min(slack, found.right_side - expit(ranked.log_odds))
        runs += base**size
    rotations = ranked.queries(task.all_inputs()).shape[-1]
    additions = len(expansion_form(order).weights) + 1
    orders.append((order, rotations, additions, error, runs, misses, slack))
identity = "error of the identity"
columns = ["s", "m by rotations", "m by addition", identity, "inputs", "wrong", spare]
orders = pd.DataFrame(orders, columns=columns)
figures.table(orders, dict.fromkeys([identity, spare], "{:.1e}"), index=False)

# %% [markdown]
# ### Another way to the same score
#
# Roy et al. {cite}`roy2025fast` build the logits of a third-order unit from two determinants of order 3, with $d=7$
# coordinates. With $\kappa,\varsigma=\cos,\sin\theta x$ of the token itself, query, first and second keys are
# $(\kappa,\varsigma,0,\varsigma,\kappa,0,1)$, $(\varsigma,\kappa,0,-\varsigma,\kappa,0,0)$ and
# $(0,0,\kappa,0,0,-\varsigma,0)$, and the logit is the determinant of the three first triples plus that of the three
# next; the seventh coordinate serves the blank. Written from this formula, we compare it with our scores on all triples
# of residues.


# %% tags=["hide-input"]
def determinant_logits(residues, base):
    """Roy et al.'s logits for all triples of the given residues."""
    turn = 2 * math.pi / base * residues.double()
    cosine, sine, none = turn.cos(), turn.sin(), torch.zeros_like(turn)
    query = torch.stack([cosine, sine, none, sine, cosine, none], dim=1)
    first = torch.stack([sine, cosine, none, -sine, cosine, none], dim=1)
    second = torch.stack([none, none, cosine, none, none, -sine], dim=1)
    n = len(residues)
    total = torch.zeros(n, n, n, dtype=torch.float64)
    for part in (slice(0, 3), slice(3, 6)):
        rows = (query[:, None, None, part], first[None, :, None, part], second[None, None, :, part])
        matrices = torch.stack([row.expand(n, n, n, 3) for row in rows], dim=-2)
        total += torch.linalg.det(matrices)
    return total


base = 24
residues = torch.arange(base)
whole = match3_tensor_unit(Match3(base, base)).double()
vectors = (whole.queries(residues[None]), *(whole.keys(residues[None], slot) for slot in (1, 2)))
rotated = torch.einsum("im,jm,km->ijk", *(part[0, :base] for part in vectors))
determinant_gap = (determinant_logits(residues, base) - rotated / whole.scale).abs().max().item()
figures.prose(
    f"On all {base**3:,} triples of residues modulo {base} the two scores differ by at most "
    f"{determinant_gap:.1e}, relative to $c$."
)

# %% [markdown]
# ### Low precision: several frequencies
#
# One frequency has to tell $\cos\theta$ from 1, and $\delta\approx2\pi^2/M^2$: the scale $c$ grows as $M^2\log N$, and a
# format of few bits soon drowns the difference. Take frequencies $w_1,\dots,w_F$ instead, and the mean of
# $\cos\frac{2\pi}Mw_f(x_i+x_j+x_k)$ as the score: $m=3F+1$, and $\delta$ becomes the *gap*
#
# ```{math}
# :label: eq-frequency-gap
# \delta=\min_{r\not\equiv0}\;\frac1F\sum_{f=1}^F2\sin^2\frac{\pi w_fr}M .
# ```
#
# {prf:ref}`thm-third-order` holds with this $\delta$ if it is positive, by the same proof. Take the histogram of the given frequencies and
# the real parts of its Fourier coefficients. Leave out the first: $1-\delta$ is the largest of the others, divided by $F$. So enumeration
# or one FFT certifies the gap.
#
# :::{prf:proposition} (how large the gap can be, ours)
# :label: prop-frequency-gap
#
# Any $F$ frequencies have $\delta\le2\pi^2M^{-2/F}$. For each $0<\rho<1$ and $F>\frac{2\ln M}{\rho^2}$ some have
# $\delta>1-\rho$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *The limit* is Dirichlet's theorem on simultaneous approximation, modulo $M$. Let $w=(w_1,\dots,w_F)$. If $rw\equiv0$ for
# some $r\not\equiv0$, then $\delta=0$. Otherwise the integer vectors $z\equiv rw\pmod M$, $r$ any residue, form a lattice with $M$
# classes modulo $M\mathbb Z^F$, hence of determinant $M^{F-1}$. By Minkowski's theorem the closed cube of half-side
# $h=M^{1-1/F}$, of volume $2^FM^{F-1}$, contains a lattice point $z\ne0$. As $h<M$, it is not $\equiv0$, so it
# belongs to some $r\not\equiv0$, for which the mean in {eq}`eq-frequency-gap` is at most
# $2(\pi h/M)^2=2\pi^2M^{-2/F}$.
#
# *Random frequencies.* Draw each uniformly from $0,\dots,M-1$. For fixed $r\not\equiv0$ the $F$ cosines are
# independent, lie in $[-1,1]$ and have mean 0, since $w\mapsto wr$ covers a subgroup uniformly. By Hoeffding their mean is
# at least $\rho$ with probability at most $e^{-F\rho^2/2}<\frac1M$. So with positive probability it is below $\rho$ for
# all $r$. (A frequency 0 would only lower the gap, and may be replaced.) $\blacksquare$
# :::
#
# With $F=\Theta(\log M)$ frequencies, well chosen, the gap is at least a constant, and $c=O(\log N)$ for $g=O(\log N)$.
#
# By a *format* we mean that of queries, keys and values; numbers of 16 bits are multiplied and summed in float32, as matrix units do.
# Rounding moves the log-odds by a multiple of $c$ that the unit bounds when it is called. It refuses a format that could
# lose more than half of $g$. So, for *every* input, the right side keeps $\sigma(g/2)$, before the output itself is rounded.

# %% tags=["hide-input"]
moduli = [int(base) for base in np.unique(np.geomspace(16, low_modulus, 12).round())]
gaps = {
    count: [frequency_gap(best_frequencies(base, count, 8), base) for base in moduli]
    for count in (1, 4, 8, 16)
}
over_limit = sum(
    gap > dirichlet_limit(count, base)
    for count, row in gaps.items()
    for base, gap in zip(moduli, row, strict=True)
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-gaps", "caption": "The certified gap δ against the modulus: one frequency, and the best of 8 random sets of 4, 8 and 16. Dashed: the limit of Dirichlet for 1, 4 and 8 frequencies, where it is below 2; with one frequency it runs along the curve. No set lies above the limit of its size."}, "image": {"alt": "Log-log plot. The gap of one frequency falls as one over M squared, over seven orders of magnitude; those of four, eight and sixteen random frequencies fall ever more slowly. Each lies below a dashed line of its colour."}}
fig, axes = plt.subplots(figsize=(6, 3.8))
palette = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.PINK)
for color, (count, row) in zip(palette, gaps.items(), strict=True):
    axes.plot(moduli, row, "o-", color=color, markersize=4, label=f"$F={count}$")
    limit = np.array([dirichlet_limit(count, base) for base in moduli])
    axes.plot(moduli, np.where(limit <= 2, limit, np.nan), "--", color=color, linewidth=1)
axes.set(xscale="log", yscale="log", xlabel="modulus $M$", ylabel="gap $\\delta$")
axes.legend(loc="lower left", ncols=2)
plt.show()

# %% tags=["hide-input"]
low = Match3(low_tokens, low_modulus)
low_inputs = with_near_misses(low, 1)
low_target = low.target(low_inputs)
precision = []
for count in (1, 8, num_frequencies):
    frequencies = best_frequencies(low_modulus, count, num_draws)
    several = match3_tensor_unit(low, frequencies=frequencies)
    for dtype in (torch.bfloat16, torch.float32):
        try:
            several.check_format(dtype)
            proved = True
        except ValueError:
            proved = False
        found = grade_outputs(evaluate_unchecked(several, low_inputs, dtype), low_target)
        name = str(dtype).removeprefix("torch.")
        what = count, several.embed_dim, several.gap, several.scale, name
        answer = found.wrong, found.num_labels, found.right_side, expit(several.log_odds / 2)
        precision.append((*what, proved, *answer))
columns = ["F", "m", "gap", "c", "format", "proved", "wrong", "labels", "right side", "σ(g/2)"]
precision = pd.DataFrame(precision, columns=columns)
formats = {"gap": "{:.2g}", "c": "{:.3g}", "right side": "{:.4f}", "σ(g/2)": "{:.4f}"}
figures.table(precision, formats, index=False)
bits16 = precision[precision["format"] == "bfloat16"]
several_wrong = int(bits16.loc[bits16["F"] > 1, "wrong"].sum())
single_wrong = int(bits16.loc[bits16["F"] == 1, "wrong"].sum())
figures.prose(
    f"At N = {low_tokens} and M = {low_modulus:,}, on a random input and one of near misses: one "
    f"frequency in bfloat16 gets {single_wrong} of {low_target.numel()} labels wrong, several "
    f"frequencies {several_wrong}. *Proved* says whether the format passes the unit's check, and "
    "then no input at all is labelled wrong; a format that fails it may still be right on these "
    "inputs, which is then an observation."
)

# %% [markdown]
# How far does one frequency carry? The same in each format, with the largest $M$ that the unit accepts as a line.

# %% tags=["hide-input"]
few = 32
trend, accepted = {}, {}
grid = [int(base) for base in np.geomspace(8, 40_000, 16).round()]
for dtype in (torch.bfloat16, torch.float16, torch.float32):
    name = str(dtype).removeprefix("torch.")
    shares = []
    for base in grid:
        task = Match3(few, base)
        single = match3_tensor_unit(task)
        hard = with_near_misses(task, 4)
        # float16 ends at 65504: queries beyond are left out.
        if single.scale * 4 / 3 > torch.finfo(dtype).max:
            shares.append(math.nan)
            continue
        found = grade_outputs(evaluate_unchecked(single, hard, dtype), task.target(hard))
        shares.append(found.wrong / found.num_labels)
    trend[name] = shares
    try:
        match3_tensor_unit(Match3(few, 10**6)).check_format(dtype)
    except ValueError as refusal:
        accepted[name] = int(str(refusal).split("M ≤ ")[1].split(";")[0])
accepted_wrong = sum(
    share > 0
    for name, shares in trend.items()
    for base, share in zip(grid, shares, strict=True)
    if base <= accepted[name]
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-low-precision", "caption": "One frequency: the share of wrong labels against the modulus in three formats, N = 32, random inputs and near misses. Dotted: the largest M that the unit accepts in this format, by its bound on rounding. The first errors come after it."}, "image": {"alt": "Three curves of the share of wrong labels. Each stays at zero up to some modulus, tens for the two 16-bit formats and thousands for float32, and then rises. A dotted vertical line of the same colour stands to the left of each rise."}}
fig, axes = plt.subplots(figsize=(6, 3.8))
for color, (name, shares) in zip(palette, trend.items(), strict=False):
    axes.plot(grid, shares, "o-", color=color, markersize=4, label=name)
    axes.axvline(accepted[name], color=color, linestyle=":", linewidth=1.5)
axes.set(xscale="log", xlabel="modulus $M$", ylabel="share of wrong labels")
axes.set_yscale("symlog", linthresh=0.01, linscale=0.5)
axes.set_ylim(-0.001, 1)
fig.legend(loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# (third-million)=
# ### A million tokens
#
# The weight of a pair depends on $x_j+x_k$ modulo $M$ only. So count the pairs by their sums: this is a cyclic self-convolution of
# the residues' histogram. Then correlate these counts with $e^{-c(1-\cos\theta r)}$, which is negligible beyond a few
# residues. $O(N+M\log M)$ steps give the unit's output, **the same function** as the direct evaluation, mixed
# pairs included. Residues $r$ with $N^2e^{-c(1-\cos\theta r)}\le10^{-15}e^{-g}$ are left out: the pairs that fall on them
# weigh at most $10^{-15}$ of the blanks' $e^{c-g}$ together, which changes the output by no more than $10^{-15}$. Relative
# to $e^c$ everything is of moderate size, so $c$ itself never enters a difference. The counts are integers, exact after
# rounding; where the error of the transforms might reach a quarter, the input is refused.
#
# Uniform tokens would make every label 1 here. We draw them from the interval $(\frac M9,\frac{2M}9)$ instead: three of its
# residues add up to more than $\frac M3$ and less than $\frac{2M}3$, never to a multiple of $M$. A few planted tokens complete
# some pairs. The labels then follow by looking up complements, without any convolution; and near misses are tokens that
# lie in triples with the sum $\pm1$, but in none with the sum 0.

# %% tags=["hide-input"]
planted = planted_triples(long_tokens, long_modulus, num_planted, generator=generator)
long_unit = match3_tensor_unit(Match3(long_tokens, long_modulus))
start = time.perf_counter()
long_output = long_unit.by_counts(planted.inputs)
seconds = time.perf_counter() - start
found = grade_outputs(long_output, planted.target)
long_wrong, long_slack = found.wrong, found.right_side - expit(long_unit.log_odds)
near_count = int(planted.near_misses.sum())
direct_gap = (output - unit.by_counts(inputs)).abs().max().item()
figures.prose(
    f"At N = {long_tokens:,} and M = {long_modulus:,} the unit has $c={long_unit.scale:.3g}$. "
    f"Evaluated by counting in **{seconds:.1f} s**, it gets {long_wrong} labels wrong. Of the "
    f"right labels {planted.target.double().mean():.1%} are 1, and {near_count:,} tokens are near "
    f"misses. A direct evaluation would need {float(long_tokens) ** 3:.0e} scores. Where both can "
    f"be run, at $N={num_tokens}$, they differ by {direct_gap:.1e}."
)

# %% [markdown]
# ### Triangles
#
# The method is not tied to residues. Three edges $(0,1)$, $(1,2)$, $(2,0)$ of a graph form a directed triangle: each begins where another one ends. In
# general let each token be
# a directed edge $(u_i,v_i)$, $u_i\ne v_i$, of a graph, its vertices numbered from 0, and ask whether edge $i$ lies on a directed triangle.
#
# :::{prf:proposition} (directed triangles through each edge, ours)
# :label: prop-triangles
#
# The score $-c\,[(v_i-u_j)^2+(v_j-u_k)^2+(v_k-u_i)^2]$ is a sum of five products and a term of the query alone, so that
# $m=6$ with the blank. For $N\ge1$, $g>0$,
# $c\ge\max(2\ln N+2g,\;g+\ln4N)$, $n_i=u_i^2+v_i^2$ and the blank's score $\ln(e^{cn_i-g}-2N)$ for query $i$, the right
# side gets at least $\sigma(g)$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Expanded, the bracket is $n_i+n_j+n_k-2v_iu_j-2v_ju_k-2u_iv_k$. The term $-cn_i$ is the query's own; leave it out, that
# is, add $cn_i$. Five products remain: $2v_i\cdot u_j\cdot1$, $2\cdot v_j\cdot u_k$, $2u_i\cdot1\cdot v_k$,
# $-1\cdot n_j\cdot1$, $-1\cdot1\cdot n_k$, each times $c$. The blank's keys vanish on these, so the $2N$ mixed pairs
# score 0. A pair that closes a triangle has the score $cn_i$. Without loops, edges with bracket 0 form a triangle of
# three different vertices; for any other pair the bracket is an integer $\ge1$, and the score at most $c(n_i-1)$. As $u_i\ne v_i$, $n_i\ge1$, so
# $e^{cn_i-g}\ge e^{c-g}\ge4N$ and the blank's score exists. All pairs with a blank weigh
# $2N+e^{b_i}=e^{cn_i-g}$. The rest is the proof of {prf:ref}`thm-third-order` with $\delta=1$ and $cn_i$ in place of
# $c$. $\blacksquare$
# :::
#
# **Disjointness inside triangles.** Let the first edge be $(0,1)$. For each $t\le n$ Alice adds the edge $(1,1+t)$ if
# $a_t=1$, Bob adds $(1+t,0)$ if $b_t=1$, and each adds another $(0,1)$ if not. The first edge lies on a triangle exactly
# if $a_tb_t=1$ for some $t$. So a layer of *pairwise* attention that answers for the first edge gives a protocol for
# disjointness, which needs $n$ bits ({prf:ref}`prop-disjointness`): Bob knows the first edge's query, and needs of Alice's
# tokens, for each head, only the sum of their exponentials and the weighted mean of their values. If $B$ bits a head are enough to
# say these so that Bob still decides rightly, then $HB\ge n$ for $H$ heads: one of the two must grow with $n$.

# %% tags=["hide-input"]
digraphs, triangle_wrong, triangle_slack = 0, 0, math.inf
for vertices in range(3, digraph_vertices + 1):
    arcs = torch.tensor(list(permutations(range(vertices), 2)))
    masks = torch.tensor(list(product((False, True), repeat=len(arcs))))
    for size in range(1, len(arcs) + 1):
        edges = torch.stack([arcs[row] for row in masks[masks.sum(dim=1) == size]])
        found = grade_outputs(TriangleUnit(size).double()(edges), directed_triangles(edges))
        triangle_wrong += found.wrong
        triangle_slack = min(triangle_slack, found.right_side - expit(1.0))
        digraphs += len(edges)


def reduction_edges(a, b):
    """The first edge, Alice's and Bob's."""
    alice = [(1, 2 + t) if bit else (0, 1) for t, bit in enumerate(a)]
    bob = [(2 + t, 0) if bit else (0, 1) for t, bit in enumerate(b)]
    return [(0, 1), *alice, *bob]


reduction_wrong, strings = 0, 0
for length in range(1, 5):
    pairs = all_pairs(Disjointness(length))
    edges = torch.tensor([reduction_edges(a, b) for a, b in zip(*pairs, strict=True)])
    answers = TriangleUnit(2 * length + 1).double()(edges)[:, 0]
    found = grade_outputs(answers, Disjointness(length).target(pairs))
    reduction_wrong += found.wrong
    strings += found.num_labels
figures.prose(
    f"On all {digraphs:,} digraphs with 3 to {digraph_vertices} vertices {triangle_wrong} labels "
    f"are wrong. On all {strings} pairs of strings of up to 4 bits {reduction_wrong} answers to "
    "disjointness are wrong."
)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("third.exhaustive", int(small["wrong in float32"].sum()), "==", 0, source="P~",
    statement=f"All labels are right on all {small['inputs'].iloc[0]:,} inputs with M ≤ 8, N ≤ 4, in float32, for "
    "two forms and two g: no exception.")
claim("third.guarantee", small["right side − σ(g)"].min(), ">=", 0.0, tolerance=1e-9, note="float64 softmax",
    statement=r"The right side gets at least $\sigma(g)$: the least probability minus $\sigma(g)$, over the same "
    "inputs.")
claim("third.dimension", unit.queries(inputs).shape[-1], "==", 4,
    statement="A query of the unit for Match3 has 4 coordinates, the blank's included.")
claim("third.sample", sample_wrong, "==", 0, source="P~",
    statement=f"All labels are right on random inputs at N = {num_tokens}, M = {modulus}: no exception.")
claim("third.identity", orders["error of the identity"].max(), "<=", 0.0, tolerance=1e-12,
    note="float64 sums of up to 6 terms",
    statement=f"The cosine of a sum is the sum of s rotated products: the largest difference, s ≤ {largest_order}, "
    "2,000 random angles each.")
claim("third.orders", int(orders["wrong"].sum() + (orders["m by rotations"] - orders["s"] - 1).abs().sum()), "==", 0,
    statement="The unit of order s has m = s + 1 and gives all labels right: wrong labels plus deviations of m, no "
    "exception.")
claim("third.mixed-pairs", plain, "<", 0.5,
    statement="With the scale of pairwise matching the unit misses the lone token 0 at M = 2, g = 1: it answers "
    r"less than $\frac12$.")
claim("third.mixed-pairs-counted", sound, ">=", expit(1.0), tolerance=1e-12, note="float64 softmax",
    statement=r"With the mixed pairs counted it answers at least $\sigma(1)$.")
claim("third.broken-signs", unsigned_wrong, ">", 0,
    statement="Without the signs of the rotations labels are wrong, of all at N = 3, M = 5.")
claim("third.determinants", determinant_gap, "<=", 0.0, tolerance=1e-12, note="float64 determinants",
    statement="The score is that of Roy et al.'s determinants: the largest difference on all triples of residues "
    "modulo 24.")
histogram = torch.zeros(low_modulus, dtype=torch.float64)
histogram.index_add_(0, several.frequencies, torch.ones(num_frequencies, dtype=torch.float64))
spectrum = torch.fft.fft(histogram).real / num_frequencies
claim("third.certificate", (1 - spectrum - profile_gaps(several.frequencies, low_modulus)).abs().max().item(), "<=",
    0.0, tolerance=1e-11, note="rounding of the FFT",
    statement="Enumeration and FFT give the same profile of the frequencies: the largest difference over all "
    "residues.")
claim("third.dirichlet", over_limit, "==", 0,
    statement="No gap exceeds Dirichlet's limit: no exception among the sets of frequencies.")
observed("third.bfloat16", several_wrong, "==", 0,
    statement=f"In bfloat16 8 and {num_frequencies} frequencies give all labels right: no exception, N = "
    f"{low_tokens}, M = {low_modulus}.")
observed("third.bfloat16-proved", int(bits16.loc[bits16["F"] == num_frequencies, "proved"].iloc[-1]), "==", 1,
    note="of the frequencies drawn",
    statement=f"bfloat16 passes the check of the unit with {num_frequencies} frequencies, so that no input at all is "
    "labelled wrong (1 for yes).")
proved = precision[precision["proved"]]
claim("third.formats", (proved["right side"] - proved["σ(g/2)"]).min(), ">=", 0.0, tolerance=2**-8,
    note="an output in bfloat16",
    statement=r"Where the format passes the unit's check, the right side gets at least $\sigma(g/2)$: the least "
    r"probability minus $\sigma(g/2)$.")
claim("third.accepted", accepted_wrong, "==", 0,
    statement="With one frequency all labels are right at the moduli that a format accepts: no exception.")
claim("third.counting", max(small["distance to counting"].max(), direct_gap), "<=", 0.0,
    tolerance=unit.rounding(torch.float64) * unit.scale, note="the unit's own bound on the rounding of log-odds",
    statement="Evaluation by counting gives the outputs of direct evaluation: the largest difference.")
claim("third.long", long_wrong, "==", 0, source="P~",
    statement=f"All labels are right at N = {long_tokens:,}, M = {long_modulus:,}, evaluated by counting: no "
    "exception.")
claim("third.long-guarantee", long_slack, ">=", 0.0, tolerance=1e-9, note="float64 sums",
    statement=r"There, too, the right side gets at least $\sigma(g)$: the least probability minus $\sigma(g)$, over "
    "all tokens.")
observed("third.near-misses", near_count, ">", 0,
    statement="The long input has near misses, tokens that lie in triples with the sum ±1, and in none with the sum "
    "0.")
claim("third.triangles", triangle_wrong, "==", 0,
    statement=f"The triangle unit gives all labels right: no exception on all {digraphs:,} digraphs with 3 to "
    f"{digraph_vertices} vertices.")
claim("third.triangles-guarantee", triangle_slack, ">=", 0.0, tolerance=1e-9, note="float64 softmax",
    statement=r"There the right side gets at least $\sigma(1)$: the least probability minus $\sigma(1)$.")
claim("third.triangles-disjointness", reduction_wrong, "==", 0,
    statement=f"Through the triangle unit all answers to disjointness are right: no exception among all {strings} "
    "pairs of up to 4 bits.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That third-order attention is cheap.* Evaluated directly, one unit costs $N^3$ scores. Counting works for this unit,
#   whose weights depend on sums of residues only. In general, subcubic algorithms are known or excluded depending on how large
#   the entries are {cite}`alman2024how`; other forms of attention on triples are cheaper by design {cite}`kozachinskiy2025strassen`.
# * *That $m=4$ is least.* {prf:ref}`thm-least-terms` is about the cosine as a score. Another score might do with less, or a
#   blank that shares its coordinates with the tokens.
# * *That training finds these weights.* Nothing here is learned.
# * *That bfloat16 suffices for any frequencies.* The gap has to be certified for the set at hand, and the format checked against $c$.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-third-two
#
# For $M=2$ one term is enough for the score $\cos\pi(x_1+\dots+x_s)$. Which, and where does the proof of
# {prf:ref}`thm-least-terms` use $M\ge3$?
# :::
#
# :::{solution} ex-third-two
# :class: dropdown
#
# $\prod_l\cos\pi x_l=(-1)^{x_1+\dots+x_s}$. For $M=2$ the sine vanishes on the residues: cosine and sine are not
# independent there, and the coefficients of the products are not determined by the values.
# :::
#
# :::{exercise}
# :label: ex-third-blank
#
# Without a blank, and with all values 1, each output is 1. Which values make a blank unnecessary, if the output
# map may also see $x_i$?
# :::
#
# :::{solution} ex-third-blank
# :class: dropdown
#
# With a large $c$ the unit attends to the pairs whose sum comes closest to completing $x_i$. Let the values tell this sum:
# with left values $(\kappa,\varsigma,\varsigma,\kappa)$ and right values $(\kappa,\varsigma,\kappa,\varsigma)$, $\kappa,\varsigma=\cos,\sin\theta x$, the four products give
# $\cos$ and $\sin$ of $\theta(x_j+x_k)$. If the closest sums miss by $1$ and by $-1$, their mean has a shorter length than 1,
# and along $x_i$ still the cosine $\cos\theta$. The output map compares with $1-\frac\delta2$: numbers of about $2\log_2M$ bits are needed
# for that, and there is no probability $\sigma(g)$ any more.
# :::
#
# :::{exercise}
# :label: ex-third-rank
#
# Show that $\cos(a_1+\dots+a_s)$ has *more* than one representation by $s$ products: rotate the angles in
# {eq}`eq-rotations`.
# :::
#
# :::{solution} ex-third-rank
# :class: dropdown
#
# Replace $a_l$ by $a_l+\phi_l$ with $\sum_l\phi_l=0$: the left side stays, the factors turn.
# :::
#
# ## Reference
#
# Third-order attention, and that it computes $\operatorname{Match3}$, are from {cite}`sanford2023representational`; the
# determinants from {cite}`roy2025fast`. Ours are the constants of {prf:ref}`thm-third-order`, {prf:ref}`lem-rotations` with $m=s+1$,
# {prf:ref}`thm-least-terms`, {prf:ref}`prop-frequency-gap`, the evaluation by counting, {prf:ref}`prop-triangles`, and all
# measurements.
