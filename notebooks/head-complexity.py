# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Heads that nothing replaces
#
# **The question.** One attention layer reads $n$ bits, and a *linear* read-out tells a Boolean function of them from the sign of one number. How many heads does it take? Can more dimensions, or more bits in
# each number, stand in for a head?
#
# **In one paragraph.** Take four bits, and ask whether the number $c$ of ones among them is even. Then the output must be positive at $c=0,2,4$ and negative at $c=1,3$: it crosses zero four times. What can one head add to it? A head is a quotient, a weighted sum of values over the sum of the
# weights, and over $c$ that is a hyperbola: it rises or it falls, nothing else. **A sum of four hyperbolas can cross zero four times**
# ({numref}`fig-heads-hyperbolas`), and a sum of three can't: brought to one denominator it has a numerator of degree at most 3, with three zeros at most.
# More dimensions or more bits change the numbers in a hyperbola, but do not turn one hyperbola into two. So they can't stand in for a head.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-heads-hyperbolas", "caption": "Parity of four bits. Top: four heads, each a hyperbola in the number c of ones. Bottom: their sum, which is positive for even c and negative for odd ones. The scales differ: the heads almost cancel."}, "image": {"alt": "Two panels over the number of ones, from 0 to 4. Above four smooth curves, each rising throughout or falling throughout. Below one curve that crosses zero four times; markers at the integers lie above zero at 0, 2 and 4, labelled even, and below zero at 1 and 3, labelled odd."}}
import matplotlib.pyplot as plt
import numpy as np

from attention_limits import figures
from attention_limits.constructions.head_margins import best_values, parity_margin

figures.use_style()
shown_bits = 4
ones = np.linspace(0, shown_bits, 400)
levels = np.arange(shown_bits + 1)
total = np.zeros_like(ones)
fig, (top, bottom) = plt.subplots(2, 1, figsize=(5.6, 4.6), sharex=True)
for number, head in enumerate(best_values([-1, -3, 5, 7]), start=1):
    (zero, one), (u_zero, u_one) = map(np.double, (head.weights[0], head.values[0]))
    query, u_query = float(head.query_weight), float(head.query_value)
    shares = np.stack([(shown_bits - ones) * zero, ones * one, np.full_like(ones, query)])
    curve = np.array([u_zero, u_one, u_query]) @ shares / shares.sum(axis=0)
    total += curve
    (line,) = top.plot(ones, curve, linewidth=2)
    place = {1: (0.5, 0.83), 2: (0.5, -0.83)}.get(number, (4.08, curve[-1]))
    top.text(*place, f"head {number}", color=line.get_color(), fontsize=12, va="center")
bottom.plot(ones, total, color=figures.GREY)
for parity, color, name in ((0, figures.BLUE, "even"), (1, figures.ORANGE, "odd")):
    at = levels[levels % 2 == parity]
    heights = np.interp(at, ones, total)
    bottom.plot(at, heights, "o", color=color, markersize=8)
    bottom.text(at[-1] + 0.08, heights[-1], name, color=color, fontsize=12, va="center")
for axes, title in ((top, "each head"), (bottom, "their sum")):
    axes.axhline(0, color=figures.GREY, linewidth=0.8)
    axes.set_title(title, fontsize=13)
    axes.set_xticks(levels)
    axes.margins(y=0.15)
bottom.set_xlabel("ones, $c$")
plt.show()

# %% [markdown]
# **Prerequisites and time.** Softmax, polynomials. A quarter of a minute on one core.
#
# **On this page.** What is known comes with proofs of our own.
#
# * $k$ bits' parity takes $k$ heads. [P~] {prf:ref}`thm-head-parity`, by {prf:ref}`lem-head-quotient`
# * Heads are at least the sign degree; equal to it for symmetric functions and up to four bits, and more at ten bits. [P~] {prf:ref}`prop-head-sign-degree`, {prf:ref}`prop-head-symmetric`, {prf:ref}`prop-head-four-bits`, {prf:ref}`prop-head-ten-bits`
# * Certificates for all functions of up to four bits, in integers and rationals. [N]
# * How many heads some function needs, by counting. [N] {prf:ref}`prop-head-counting`
# * What it costs in numbers: heads almost cancel, and float64 may not see what is left ({numref}`fig-heads-margin`). [N]
#
# ## The statement
#
# **The model.** Tokens are the bits of $x\in\{0,1\}^n$ at their places, $n\ge1$, and a token "?", where the output is read. Each bit at each place has a key and a value of its own, of any dimension and precision. Behind the layer stands
# nothing but a linear read-out, which may be taken into the values. So the output is the sum of $k\ge1$ heads
#
# ```{math}
# :label: eq-head-output
# F(x)=\sum_{j=1}^k\frac{r^j_?u^j_?+\sum_i r^j_{x_i,i}\,u^j_{x_i,i}}{r^j_?+\sum_i r^j_{x_i,i}},\qquad r>0,
# ```
#
# with weights $r$, the exponentials of scores, and numbers $u$. The heads *compute* $f$ if $F(x)>0$ where $f(x)=0$, and $F(x)<0$ where $f(x)=1$. Let $H(f)$ be the least $k$ that does.
#
# One head computes "both" of two bits, for instance: with all weights 1, $u_{1,i}=-1$, $u_{0,i}=0$ and $u_?=\frac32$ the output is
# $F=\frac13(\frac32-x_1-x_2)$, negative for two ones only.
#
# The read-out matters. {prf:ref}`def-transformer` allows any map behind the layer, and then one head is enough for everything: equal weights and values $2^{i}x_i$ make an output that tells all $2^n$ inputs apart, given enough bits. The bounds on $mpH$ of [Theorem 7](thm-7-match3.py) hold against such maps; there, bits can
# replace heads. Here they can't.
#
# :::{prf:lemma} (a head is a quotient; Rajaraman, Sundaram and Tesfaye, scalar normal form)
# :label: lem-head-quotient
#
# The functions of one head are exactly $A/B$ with $A,B$ affine in $x$ and $B>0$ on $\{0,1\}^n$. If $A$ and $B$ are rational, so are $r$ and $u$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# $r_{x_i,i}=r_{0,i}+(r_{1,i}-r_{0,i})x_i$ is affine, and so is $r_{x_i,i}u_{x_i,i}$; the denominator is a sum of weights. Conversely let $B=b_0+\sum_ib_ix_i$ have the least value $\beta>0$ on the cube, $\beta=b_0+\sum_i\min(b_i,0)$. Take
# $r_?=\tfrac\beta2$, $r_{0,i}=\max(-b_i,0)+\tfrac\beta{2n}$ and $r_{1,i}=r_{0,i}+b_i=\max(b_i,0)+\tfrac\beta{2n}$. All are positive, and $r_?+\sum_ir_{0,i}=\tfrac\beta2+\tfrac\beta2+\sum_i\max(-b_i,0)=b_0$. For $A=a_0+\sum_ia_ix_i$ take
# $u_?=a_0/r_?$, $u_{0,i}=0$, $u_{1,i}=a_i/r_{1,i}$. $\blacksquare$
# :::
#
# A constant may be added to $A/B$ without another head, since $A/B+\theta=(A+\theta B)/B$. So a threshold is no gain for $k\ge1$.
#
# :::{prf:theorem} (cited: Rajaraman, Sundaram and Tesfaye, Theorems 1 and 2)
# :label: thm-head-parity
#
# $k$ heads compute the parity of $k$ bits. $k$ heads do not compute the parity of $k+1$ bits, at any dimension and precision {cite}`rajaraman2026head`. So $H(\text{parity of }n\text{ bits})=n$.
# :::
#
# ## The idea: clear the denominators
#
# Multiplied by all denominators, which are positive, {eq}`eq-head-output` becomes
#
# ```{math}
# :label: eq-head-cleared
# P(x)=\sum_{j=1}^kA_j(x)\prod_{l\ne j}B_l(x),
# ```
#
# with the same signs and of degree at most $k$. This proves the lower bound of {prf:ref}`thm-head-parity`:
#
# :::{prf:proof}
# :class: dropdown
#
# With $x_i^2=x_i$ each monomial of $P$ has at most $k$ of the $k+1$ bits. Sum it with the signs $(-1)^{\abs x}$: over a bit that is missing the sum is $1-1=0$. So $\sum_x(-1)^{\abs x}P(x)=0$, *whatever the weights are*. If the heads computed parity, every term
# would be positive. $\blacksquare$
# :::
#
# The upper bound is a case of {prf:ref}`prop-head-symmetric`. The *sign degree* (or threshold degree) $\deg_\pm f$ is the least degree of a polynomial that is positive where $f=0$ and negative where $f=1$.
# For the exclusive or of two bits it is 2: with $c=x_1+x_2$ the polynomial $(\frac12-c)(\frac32-c)$ has the right signs, and degree 1 is too little by the
# proof above.
#
# :::{prf:proposition} (heads and sign degree; public, *xorformer*, Theorem 6)
# :label: prop-head-sign-degree
#
# $H(f)\ge\deg_\pm f$ {cite}`xorformer2026`.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# $P$ of {eq}`eq-head-cleared` is such a polynomial, of degree at most $k$. $\blacksquare$
# :::
#
# For functions of the number $c=\abs x$ of ones alone, heads that see no more than $c$ are enough: hyperbolas $\theta+R/\abs{c-p}$, with a *pole* $p$ outside
# of $[0,n]$.
#
# :::{prf:proposition} (symmetric functions; public, *xorformer*, Theorem 12)
# :label: prop-head-symmetric
#
# Let $f(x)$ depend on $c=\abs x$ alone, and let it change $t$ times as $c$ runs through $0,\dots,n$. Then $\deg_\pm f=t$ and $H(f)=\max(1,t)$ {cite}`xorformer2026`. The poles of the heads may be any $t$ different numbers outside $[0,n]$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Enough.* For $t=0$ a constant head will do. Let $f$ change between $c_l$ and $c_l+1$ for $l=1,\dots,t$, and $P(c)=\pm\prod_l(c_l+\tfrac12-c)$ with the sign that is right at $c=0$; then it is right everywhere. For different poles $p_1,\dots,p_t$ outside $[0,n]$ all $\abs{c-p_j}$ are positive and affine on $[0,n]$, and as the degrees
# agree, $P(c)\big/\prod_j\abs{c-p_j}=\theta+\sum_jR_j/\abs{c-p_j}$ for some numbers $\theta,R_j$. These are $t$ heads by {prf:ref}`lem-head-quotient`, one of which takes $\theta$ too.
#
# *Needed.* Let $p$ have the signs of $f$ and degree $d$. Average it over all permutations of the places: the signs stay, since $f$ is symmetric. The average of a monomial of degree $e$ is $\binom ce\big/\binom ne$, a polynomial in $c$ of degree $e$. So there is a polynomial of degree at most $d$ in $c$ that changes its sign $t$ times, and it has $t$ zeros:
# $d\ge t$. Then use {prf:ref}`prop-head-sign-degree`. $\blacksquare$
# :::
#
# Public proofs for symmetric functions and for up to four bits exist in a narrower model, where all slopes of a denominator have one sign
# {cite}`xorformer2026,karthikviswanathn2026heads`. Their heads are heads here too. There a constant costs no head, as that model has a threshold; here a
# layer has at least one head.
#
# :::{prf:proposition} (at most four bits; the counts are public, *how-many-attention-heads-xor*, Lemma 183; the certificates below are ours)
# :label: prop-head-four-bits
#
# $H(f)=\max(1,\deg_\pm f)$ for *every* function of at most four bits {cite}`karthikviswanathn2026heads`.
# :::
#
# *How it is decided.* $\deg_\pm f>d$ if and only if some $\nu\ge0$, not all 0, has $\sum_x\nu_x(-1)^{f(x)}x^S=0$ for all monomials $x^S=\prod_{i\in S}x_i$
# with $\abs S\le d$. This is Gordan's theorem, and such a $\nu$ is checked in integers. Heads with given denominators compute $f$ if and only if a system of
# strict linear inequalities in their numerators has a solution, and that is
# checked in rationals. Permuting places, negating bits and negating the output leave $H$ and $\deg_\pm$ as they are, as each bit at each place has its own weight: one function of each class is enough. Two pairs of denominators, one triple, the constant 1 and the poles of parity turn out to serve all classes.
#
# :::{prf:proposition} (where the two part; public, *xorformer*, Theorem 13)
# :label: prop-head-ten-bits
#
# For $x,y\in\{-1,1\}^5$, a bit 1 standing for $-1$, let $Q(x,y)=\big(\sum_ix_i\big)\big(\sum_iy_i\big)-3\sum_ix_iy_i$. The function of ten bits that is 1 where $Q<0$ has sign degree 2, and $H\ge3$ {cite}`xorformer2026`.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *Degree 2.* With $a,b$ bits equal to 1 in $x$ and in $y$, and $g$ in both at the same place, $Q=(5-2a)(5-2b)-3(5-2a-2b+4g)\equiv2\pmod4$, so $Q\ne0$. It is no function of degree 1: at $x=(s,1,1,-1,-1)$, $y=(t,1,-1,1,-1)$ we have $Q=-2st$, exclusive or of two bits.
#
# *Two heads give rank at most 4.* For two heads $P=A_1B_2+A_2B_1$. In a product of two affine forms the coefficients at $x_iy_j$ are a sum of two matrices of rank 1, so for $P$ they form a matrix $K$ of rank at most 4.
#
# *The signs force rank 5.* Let $s^{(j)}$ be $-1$ at place $j$ and 1 elsewhere. Then $Q(x,s^{(j)})=6x_j$, and $Q$ changes its sign if $x$ is negated, or $y$. So $P$ has alternating signs at $(\pm x,\pm s^{(j)})$, and the combination
# $P(x,s)-P(x,-s)-P(-x,s)+P(-x,-s)=4\,x^{\mathsf T}Ks$ has the sign of $x_j$ for $s=s^{(j)}$: with $M=K\,(s^{(1)},\dots,s^{(5)})$, $x_j\sum_iM_{ij}x_i>0$ for all $x$. Choose the other $x_i$ against it: $M_{jj}>\sum_{i\ne j}\abs{M_{ij}}$ for each column $j$. Such a matrix is invertible, so $K$ has
# rank 5. $\blacksquare$
# :::
#
# The proof does not use the signs of the slopes, so it holds in the wider model of this page. An example of eight bits, whether $x,y\in\{0,1\}^4$ differ at
# two places or more, is public too {cite}`karthikviswanathn2026heads`; its proof does use them, and we have not carried it over.
#
# :::{prf:proposition} (counting; the method is Rajaraman, Sundaram and Tesfaye's, Theorem 7; the numbers are ours)
# :label: prop-head-counting
#
# If $k\,(2n+1)\log_2\frac{4\mathrm e\,2^n}{2n+1}<2^n$, then some function of $n$ bits needs more than $k$ heads.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Divide $A_j$ and $B_j$ by $B_j(0)>0$: $2n+1$ numbers a head remain, $v=(2n+1)k$ in all. For each of the $m=2^n$ inputs $P(x)$ is a polynomial of degree at most $k$ in them. By Warren's theorem {cite}`warren1968lower` $m\ge v$ polynomials of degree at most $k$ in $v$ variables have at most
# $(4\mathrm ekm/v)^v=\big(\tfrac{4\mathrm e2^n}{2n+1}\big)^v$ patterns of signs $\pm1$, by hypothesis fewer than $2^{2^n}$; and $m\ge v$, as the logarithm is at least 1. Each function that $k$ heads compute is one of the patterns. $\blacksquare$
# :::
#
# For almost all functions the cited paper gets $\Omega(2^n/n^2)$ heads from this, against $2^n$ that are always enough {cite}`rajaraman2026head`. By {prf:ref}`prop-head-sign-degree` alone no bound above $n$ can come, since $\deg_\pm f\le n$.
#
# ## Parameters

# %% tags=["parameters"]
largest_parity: int = 12  # k up to which parity is computed, exactly and in float64
symmetric_bits: int = 7  # n up to which all symmetric functions are run
class_bits: int = 4  # n up to which heads of all functions are counted
sum_heads: int = 4  # k up to which alternating sums are taken, over k + 1 bits
num_layers: int = 20  # random rational layers for each k
degree_bits: int = 8  # n up to which the sign degree of parity is certified
counting_grid: list[int] = [8, 9, 10, 11, 12, 14, 16]  # n, for Warren's bound
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import distinct, ranges, usual_ranges

quick = {
    "largest_parity": 6,
    "symmetric_bits": 5,
    "class_bits": 3,
    "sum_heads": 3,
    "num_layers": 5,
    "degree_bits": 5,
}

usual_ranges()
ranges(
    largest_parity=(4, 12, "float64 sees no smaller margins"),
    symmetric_bits=(1, 9, "2^(n+1) functions for each n"),
    class_bits=(2, 4, "all 2^(2^n) functions are counted"),
    sum_heads=(1, 6, "2^(k+1) inputs in fractions"),
    num_layers=1,
    degree_bits=(1, 9, "the certificate has 4^n entries"),
    counting_grid=(8, 16, "powers with 2^n bits are compared"),
)
distinct("counting_grid")

# %% [markdown]
# ## Parity and symmetric functions, exactly
#
# `symmetric_heads` follows the proof of {prf:ref}`prop-head-symmetric` in rational numbers, so that each sign is certain. We look at every number of ones, for parity and for all symmetric functions.

# %% tags=["hide-input"]
from fractions import Fraction
from itertools import product

import pandas as pd
import torch

from attention_limits.bounds.head_complexity import (
    alternating_sum,
    cleared,
    computes,
    count_heads,
    mixed_rank,
    patterns_suffice,
    ten_bit_score,
    two_head_form,
)
from attention_limits.bounds.sign_degree import cube, excludes, function_classes, monomials, signed
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.rational_heads import (
    HeadWeights,
    RationalHead,
    attention_layer,
    bit_tokens,
    output,
    sign_changes,
    symmetric_heads,
)

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(seed)


def wrong_levels(heads, labels):
    """Numbers of ones at which symmetric heads give a wrong label, or 0."""
    n = len(labels) - 1
    outputs = [output(heads, [1] * c + [0] * (n - c)) for c in range(n + 1)]
    return sum(
        not (value < 0 if label else value > 0)
        for value, label in zip(outputs, labels, strict=True)
    )


# %% [markdown]
# The sum of four heads on four bits, at 0 to 4 ones, as a fraction. Its sign tells even from odd.

# %%
four_heads = symmetric_heads([0, 1, 0, 1, 0])
[str(output(four_heads, [1] * c + [0] * (4 - c))) for c in range(5)]

# %% tags=["hide-input"]
parity_wrong = {
    k: wrong_levels(symmetric_heads([c % 2 for c in range(k + 1)]), [c % 2 for c in range(k + 1)])
    for k in range(1, largest_parity + 1)
}
symmetric_runs, symmetric_wrong, symmetric_extra = 0, 0, 0
for n in range(1, symmetric_bits + 1):
    for labels in product((0, 1), repeat=n + 1):
        heads = symmetric_heads(labels)
        symmetric_runs += 1
        symmetric_wrong += wrong_levels(heads, labels) > 0
        symmetric_extra += len(heads) - max(1, len(sign_changes(labels)))
figures.prose(
    f"Parity is right for all $k\\le{largest_parity}$, with $k$ heads. Of {symmetric_runs} symmetric functions up to "
    f"{symmetric_bits} bits, {symmetric_wrong} are wrong."
)

# %% [markdown]
# ## Too few heads: the lower bound, executed
#
# The proof says that $\sum_x(-1)^{\abs x}P(x)=0$ for *any* $k$ heads on $k+1$ bits. So we draw layers of rational weights and values at random, and add up. On $k$ bits the same sum has no reason to vanish, and for heads that compute parity it is positive.


# %% tags=["hide-input"]
def random_layer(k, n):
    """k heads on n bits with random rational weights and values."""

    def draw(low, high, *shape):
        return torch.randint(low, high + 1, shape, generator=generator).tolist()

    return [
        RationalHead.from_weights(
            HeadWeights(
                tuple((Fraction(a, d), Fraction(b, d)) for a, b, d in draw(1, 99, n, 3)),
                tuple((Fraction(a), Fraction(b)) for a, b in draw(-99, 99, n, 2)),
                Fraction(*draw(1, 99, 2)),
                Fraction(*draw(-99, 99, 1)),
            )
        )
        for _ in range(k)
    ]


sums = pd.DataFrame(
    {
        "k": k,
        "bits": n,
        "layers": num_layers,
        "sum is 0": sum(alternating_sum(random_layer(k, n)) == 0 for _ in range(num_layers)),
    }
    for k in range(1, sum_heads + 1)
    for n in (k, k + 1)
)
figures.table(sums, caption="Alternating sums of random rational layers", index=False)
parity_terms = min(
    (-1) ** sum(bits) * cleared(symmetric_heads([c % 2 for c in range(k + 1)]), bits)
    for k in range(1, sum_heads + 1)
    for bits in cube(k)
)

# %% [markdown]
# ## All functions of few bits
#
# Each class of functions gets two certificates. For the lower bound there are multipliers $\nu$ that exclude a smaller sign degree. For the upper bound there
# are denominators and numerators in rational numbers, and the signs of the output are then checked on all inputs. As an example, equality of two pairs of
# bits.

# %% tags=["hide-input"]
counted, bad_certificates = [], 0
for n in range(2, class_bits + 1):
    for labels, size in function_classes(n):
        found = count_heads(labels)
        degree = found.lower.degree
        bad_certificates += not computes(found.heads, labels)
        if degree:
            rows = signed(labels, monomials(n, degree - 1))
            bad_certificates += not excludes(rows, found.lower.multipliers)
        counted.append(
            {"n": n, "sign degree": degree, "heads": len(found.heads), "functions": size}
        )
counted = pd.DataFrame(counted)
by_heads = counted.pivot_table(
    index="n", columns="heads", values="functions", aggfunc="sum", fill_value=0
)
by_degree = counted.pivot_table(
    index="n", columns="sign degree", values="functions", aggfunc="sum", fill_value=0
)
figures.table(by_heads, "{:,}", "Functions of n bits by the number of heads they need")
figures.table(by_degree, "{:,}", "Functions of n bits by sign degree")

example = count_heads([int(x[:2] == x[2:]) for x in cube(4)])
support = sum(v > 0 for v in example.lower.multipliers)
num_classes = counted.groupby("n").size()[class_bits]
figures.prose(
    f"There are {num_classes} classes for $n={class_bits}$. Equality of two pairs needs "
    f"{len(example.heads)} heads; $\\nu$, which excludes the sign degree "
    f"{example.lower.degree - 1}, sits on {support} of the 16 inputs."
)

# %% [markdown]
# ## Ten bits: sign degree 2, more than two heads
#
# We check what the proof of {prf:ref}`prop-head-ten-bits` uses: $Q$ on all inputs, the sixes in $Q(x,s^{(j)})=6x_j$, and the rank of the mixed coefficients for random pairs of heads.

# %% tags=["hide-input"]
scores = [ten_bit_score(bits) for bits in cube(10)]
residues = sum(score % 4 != 2 for score in scores)
sixes = sum(
    ten_bit_score((*bits, *(int(i == j) for i in range(5)))) != 6 * (1 - 2 * bits[j])
    for bits in cube(5)
    for j in range(5)
)
odd = sum(
    ten_bit_score((*(1 - bit for bit in bits[:5]), *bits[5:])) != -score
    or ten_bit_score((*bits[:5], *(1 - bit for bit in bits[5:]))) != -score
    for bits, score in zip(cube(10), scores, strict=True)
)
ranks = [mixed_rank(two_head_form(*random_layer(2, 10), 5)) for _ in range(num_layers)]
own_rank = mixed_rank([[1 - 3 * (i == j) for j in range(5)] for i in range(5)])


def too_few(n):
    """The most heads that Warren's bound shows to be too few for some function of n bits."""
    return next(k for k in range(2**n) if patterns_suffice(n, k + 1))


counting = pd.DataFrame(
    {"n": n, "too few heads for some function": too_few(n), "always enough": 2**n}
    for n in counting_grid
)
figures.table(
    counting,
    "{:,}",
    "Heads, by counting sign patterns, and by one head for each monomial",
    index=False,
)
figures.prose(
    f"Two random heads have mixed coefficients of rank {max(ranks)}, $Q$ has rank {own_rank}."
)

# %% [markdown]
# ## What it costs in numbers
#
# Precision does not replace heads, but heads need precision: they almost cancel. Let all values lie in $[-1,1]$, and ask how far from 0 the output of $k$ heads on $k$ bits can stay. For given poles that is a linear program; we try poles on geometric grids on both sides of $[0,k]$, and compute the margin
# of what is found exactly. A larger one may exist.
#
# The poles decide whether float64 is enough. The same exact heads, run as a real softmax layer in float64 (`attention_layer`, $m=1$, scores $\ln r$), on all inputs: with far poles $-(k+3),-(k+5),\dots$, with the poles $-1,\dots,-k$ of the cited construction, and with the poles that were found.


# %% tags=["hide-input"]
def wrong_in_float64(heads, k):
    """Labels of k-bit parity that a float64 layer gets wrong, of 2^k."""
    bits = torch.tensor(cube(k))
    answers = attention_layer(heads)(bit_tokens(bits))[:, -1, 0] < 0
    return int((answers != (bits.sum(1) % 2 == 1)).sum())


margins = {k: parity_margin(k) for k in range(1, largest_parity + 1)}
FAR, CITED, SPREAD = "far poles", "poles −1, …, −k", "spread poles"
floats = []
for k, found in margins.items():
    labels = [c % 2 for c in range(k + 1)]
    far = symmetric_heads(labels, [-(k + 1 + 2 * j) for j in range(1, k + 1)])
    for name, heads in (
        (FAR, [head.to_weights() for head in far]),
        (CITED, [head.to_weights() for head in symmetric_heads(labels)]),
        (SPREAD, found.heads),
    ):
        floats.append({"k": k, "poles": name, "wrong": wrong_in_float64(heads, k)})
floats = pd.DataFrame(floats)
figures.table(
    floats.pivot(index="k", columns="poles", values="wrong"),
    caption="Wrong labels in float64, of 2^k",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-heads-margin", "caption": "k heads on k-bit parity. Top: the margin found, values in [−1, 1], on a logarithmic scale. Bottom: share of wrong labels in float64; half is guessing."}, "image": {"alt": "Above, a falling line of markers on a logarithmic scale, from about 1 at k equal to 1 to below a millionth at 12, in steps that are larger from even to odd k. Below, shares of wrong labels against k: zero for spread poles at all k; with far poles they are large from k equal to 9 on, and with poles at the negative integers at 12."}}
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6, 6), sharex=True)
sizes = list(margins)
top.semilogy(sizes, [float(found.margin) for found in margins.values()], "o-", color=figures.BLUE)
top.set(title="margin, values in [−1, 1]")
for name, color, marker in (
    (FAR, figures.ORANGE, "s"),
    (CITED, figures.PINK, "^"),
    (SPREAD, figures.BLUE, "o"),
):
    rows = floats[floats["poles"] == name]
    share = rows["wrong"] / 2.0 ** rows["k"]
    bottom.plot(rows["k"], share, marker=marker, color=color, label=name)
bottom.set(title="share wrong in float64", xlabel="heads and bits, $k$", ylim=(-0.03, 1.0))
bottom.set_xticks(sizes)
bottom.legend(loc="upper left")
plt.show()

# %% tags=["hide-input"]
bits_a_head = float(
    np.log2(float(margins[2].margin) / float(margins[largest_parity].margin)) / (largest_parity - 2)
)
wrong_by_poles = floats.groupby("poles")["wrong"].sum()
all_labels = sum(2**k for k in sizes)
figures.prose(
    f"From $k=2$ to $k={largest_parity}$ the margin found falls by {bits_a_head:.1f} bits a head. With far poles {wrong_by_poles[FAR]:,} of {all_labels:,} labels are wrong in float64, "
    f"with the poles of the cited construction {wrong_by_poles[CITED]:,}, with spread poles {wrong_by_poles[SPREAD]:,}. The heads are right in all three cases, as exact numbers: what fails is the arithmetic."
)

# %% [markdown]
# ### With a map behind the layer
#
# One head with equal weights and values $2^ix_i$, and its outputs on all inputs. A broken variant: with values $x_i$ only $n+1$ of them differ.

# %% tags=["hide-input"]
one_head, broken_head = (
    HeadWeights(
        ((Fraction(1), Fraction(1)),) * class_bits,
        tuple((Fraction(0), Fraction(base) ** i) for i in range(class_bits)),
        Fraction(1),
        Fraction(0),
    )
    for base in (2, 1)
)
different, different_broken = (
    len({head.output(bits) for bits in cube(class_bits)}) for head in (one_head, broken_head)
)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
claim("heads.parity", sum(parity_wrong.values()), "==", 0, source="P~",
    statement="k rational heads compute the parity of k bits: no exception among the numbers of ones, k = "
    f"1…{largest_parity}.")
claim("heads.symmetric", symmetric_runs - symmetric_wrong, "==", sum(2 ** (n + 1) for n in range(1, symmetric_bits + 1)),
    source="P~", statement=f"All symmetric functions up to {symmetric_bits} bits are computed by their heads, in "
        "fractions.")
claim("heads.symmetric-count", symmetric_extra, "==", 0, source="P~",
    statement="They take no more than max(1, sign changes) heads: no exception among all these functions.")
claim("heads.alternating-sum", int(sums.loc[sums["bits"] > sums["k"], "sum is 0"].sum()), "==", num_layers * sum_heads,
    source="P~", statement="The alternating sum of k heads on k + 1 bits is exactly 0, for every random rational "
        "layer.")
claim("heads.parity-terms", parity_terms, ">", 0,
    statement="For k heads that compute the parity of k bits every term of that sum is positive, so that it can't be "
    "0: the least term.")
observed("heads.sum-on-k-bits", int(sums.loc[sums["bits"] == sums["k"], "sum is 0"].sum()), "<=",
    num_layers // 2,
    statement="On k bits the alternating sum of k heads is rarely 0: random layers at which it happens to be, of "
    f"{num_layers * sum_heads}.")
claim("heads.parity-degree", sum(not excludes(signed([sum(x) % 2 for x in cube(n)], monomials(n, n - 1)), [1] * 2**n)
    for n in range(1, degree_bits + 1)), "==", 0, source="P~",
    statement=rf"$\nu=1$ excludes a sign degree of n − 1 for parity: no exception among the sizes n ≤ {degree_bits}.")
claim("heads.certificates", bad_certificates, "==", 0,
    statement=f"All certificates hold when they are checked again: no exception among {len(counted)} classes of "
    "functions.")
claim("heads.equal-sign-degree", int((counted["heads"] != counted["sign degree"].clip(lower=1)).sum()), "==", 0,
    source="P~",
    statement=f"A function of 2…{class_bits} bits needs max(1, sign degree) heads: no exception among their classes.")
claim("heads.all-functions", int(counted["functions"].sum()), "==", sum(2 ** 2**n for n in range(2, class_bits + 1)),
    statement="These classes hold all functions there are.")
PUBLIC = {2: (14, 2), 3: (104, 150, 2), 4: (1882, 55692, 7960, 2)}
claim("heads.public-counts", sum(int(by_heads.loc[n, heads]) != count for n in range(2, class_bits + 1)
    for heads, count in enumerate(PUBLIC[n], start=1)), "==", 0, source="P~",
    statement="The numbers of functions by heads are those of the public table, and for n < 4 those that we had "
    "before: no exception.")
claim("heads.ten-bits-degree", residues, "==", 0, source="P~",
    statement="Q is 2 modulo 4, and so represents its function by sign: no exception among 1,024 inputs.")
claim("heads.ten-bits-signs", sixes + odd, "==", 0, source="P~",
    statement="$Q(x,s^{(j)})=6x_j$, and Q changes its sign with x and with y: no exception.")
claim("heads.two-head-rank", max(ranks), "<=", 4, source="P~",
    statement=f"The mixed coefficients of two heads have rank at most 4: the largest of {num_layers} random rational "
    "pairs.")
claim("heads.ten-bits-rank", own_rank, "==", 5, source="P~",
    statement="The mixed coefficients of Q have rank 5.")
claim("heads.counting", too_few(12), ">", 12,
    statement="Some function of 12 bits needs more heads than it has bits: the most heads that are too few, by "
    "Warren's bound, in integers.")
eight = min(8, largest_parity)
claim("heads.margin", int(margins[eight].margin * 10**6), ">=", 100,
    statement=f"{eight} heads compute {eight}-bit parity with a margin of at least a ten-thousandth, values in [−1, "
    "1]: in millionths, rounded down.")
claim("heads.margins-hold", sum(found.margin <= 0 for found in margins.values()), "==", 0,
    statement="The heads found compute parity, with a positive exact margin: no exception among the sizes k ≤ "
    f"{largest_parity}.")
claim("heads.values-bounded", max(head.largest_value for found in margins.values() for head in found.heads), "<=", 1,
    statement="These heads have values in [−1, 1]: the largest absolute value.")
claim("heads.float64", int(wrong_by_poles[SPREAD]), "==", 0,
    statement=f"With spread poles a float64 layer gives all labels right: no exception among {all_labels:,}.")
if largest_parity >= 10:
    observed("heads.float64-fails", bool(wrong_by_poles[FAR]), "==", True,
        statement=f"With far poles a float64 layer gives wrong labels, though the same heads are right as fractions: "
        f"here {wrong_by_poles[FAR]:,} of {all_labels:,}, elsewhere others, as rounding has it.")
claim("heads.one-head-and-a-map", different, "==", 2**class_bits,
    statement=f"One head has $2^{{{class_bits}}}$ different outputs on {class_bits} bits, so that a map behind it "
    "could compute anything.")
claim("heads.broken-head", different_broken, "==", class_bits + 1,
    statement="If its values are all 1 only the number of ones is left: the number of different outputs.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *Anything about transformers with a network behind the layer.* The read-out is linear. For a rational read-out of degree $p$ there is a bound on $kp$: it must grow as $n$ {cite}`hsu2026lower`, which we know from its abstract; that fixed networks don't help for parity is in {cite}`kozachinskiy2026parity`. An arbitrary map helps at once, as we saw.
# * *That sign degree is the answer.* It is up to four bits, and not at ten. In between we know of public work in the narrower model: the two agree at five bits except perhaps at sign degree 3, and part at eight {cite}`karthikviswanathn2026heads`. We have checked neither.
# * *The number of heads of the ten-bit function.* More than two; we don't know how many.
# * *An explicit function that needs many heads.* Counting says that there are some, and names none.
# * *The best margin.* How fast it falls with $k$, we don't know.
# * *That such heads are learned.* All weights are made by hand, or by linear programs.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-heads-one
#
# Which functions need one head?
# :::
#
# :::{solution} ex-heads-one
# :class: dropdown
#
# $A/B$ has the signs of $A$: constants and linear threshold functions, and each of them with $B=1$, that is with equal attention to all tokens. A single head gains nothing from attending.
# :::
#
# :::{exercise}
# :label: ex-heads-middle
#
# How many heads does it take to tell whether exactly half of $n$ bits are 1, $n$ even? Give the poles some freedom and write the heads for $n=2$.
# :::
#
# :::{solution} ex-heads-middle
# :class: dropdown
#
# Two: the label changes twice ({prf:ref}`prop-head-symmetric`). For $n=2$ this is exclusive or. $P(c)=(\tfrac12-c)(\tfrac32-c)$, and with the poles $-1,-2$ we get $P/((c+1)(c+2))=1+\frac{15/4}{c+1}-\frac{35/4}{c+2}$; the values are $\tfrac38$, $-\tfrac1{24}$, $\tfrac1{16}$.
# :::
#
# :::{exercise}
# :label: ex-heads-restrict
#
# Show that fixing bits never raises $H$, and conclude that a function which contains parity of $k$ bits, with the others fixed, needs $k$ heads.
# :::
#
# :::{solution} ex-heads-restrict
# :class: dropdown
#
# With some $x_i$ fixed $A$ and $B$ stay affine in the others, and $B$ stays positive. So the same heads compute the restriction, and {prf:ref}`thm-head-parity` applies to it.
# :::
#
# :::{exercise}
# :label: ex-heads-terms
#
# Let a function be the sign of a polynomial with a constant, linear terms and $M$ further monomials. Show that $M+1$ heads are enough, whatever the degrees, and compare with {prf:ref}`prop-head-sign-degree`.
# :::
#
# :::{solution} ex-heads-terms
# :class: dropdown
#
# One head with $B=1$ takes the affine part. For a monomial $x^S$ take $A=1$ and $B=1+\Lambda\sum_{i\in S}(1-x_i)$ with a large $\Lambda$: the quotient is 1 where all bits of $S$ are 1, and at most $1/(1+\Lambda)$ elsewhere. Signs are strict and inputs are finite in number, so that some $\Lambda$ is large enough. A polynomial of degree $d$ may have many monomials; a product of few affine forms is cheap in
# heads all the same, as parity shows.
# :::
#
# ## Reference
#
# The model, the normal form, {prf:ref}`thm-head-parity` and the counting are from {cite}`rajaraman2026head`. That heads are at least the sign degree, the value for symmetric functions, and the ten bits are public in {cite}`xorformer2026`, the first also in {cite}`meiring2026symmetries`; the table of four bits is in {cite}`karthikviswanathn2026heads`. All proofs here were
# derived again. Parity lower bounds for one layer are also in {cite}`hsu2026lower` and {cite}`kozachinskiy2026parity`. Warren's theorem is {cite}`warren1968lower`. Ours are the certificates of this page, the numbers from Warren's bound, the margins and the measurements.
