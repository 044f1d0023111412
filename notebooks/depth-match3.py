# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Match3 in depth: how small can deep transformers be?
#
# **The question.** One small layer of attention [can't](thm-7-match3.py) detect triples modulo $M$. The paper [conjectures](conjecture.py) that several layers must be large too. How small can
# they be made, at which depth, and for which $M$?
#
# **In one paragraph.** It depends on $M$. If $M$ is about $N$, then $2\log_2N+2$ layers of fixed width are enough: the tokens multiply two polynomials by a fast Fourier transform, whose
# butterflies pair tokens. For *any* $M$ two layers of width about $N^{2/3}$ are enough, or five of width about $\sqrt N$, or about $N^{1/3}$ layers
# of width about $N^{1/3}$, up to logarithms. What is left for the conjecture is the shaded wedge of {numref}`fig-depth-wedge`.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-depth-wedge", "caption": "Exponents of N: M has the exponent μ, the size of a layer γ, up to logarithms. Dashed: what one layer must have (Theorem 7). Solid: what layers of several kinds have, all of them built in this book. Shaded: what the conjecture is about."}, "image": {"alt": "Lines over log M / log N from 1 to 3. A dashed line at height 1: one layer. Two layers rise from 1/2 to 2/3 and stay there. Five layers lie at 1/2. Logarithmically many layers rise from 0 at M = N to 1/2. The lowest line rises from 0 to 1/3, and the area below it is shaded."}}
import matplotlib.pyplot as plt
import numpy as np

from attention_limits import figures

figures.use_style()
exponent = np.linspace(1, 3, 201)
wedge = np.minimum(1 / 3, exponent - 1)
fig, axes = plt.subplots(figsize=(6, 4))
axes.axhline(1, **figures.REFERENCE)
axes.text(3, 0.985, "one layer, at least", ha="right", va="top", color=figures.GREY)
for height, color, thickness, name, place in (
    (np.minimum(2 / 3, exponent - 1 / 2), figures.ORANGE, 2.2, "width of two layers", (3, 0.7)),
    (np.full_like(exponent, 1 / 2), figures.PINK, 5, "width of five layers", (3, 0.54)),
    (
        np.minimum(1 / 2, exponent - 1),
        figures.GREEN,
        2.2,
        r"width of about $\log N$ layers",
        (2.38, 0.43),
    ),
    (wedge, figures.BLUE, 2.2, "depth and width", (3, 0.365)),
):
    axes.plot(exponent, height, color=color, linewidth=thickness)
    axes.text(*place, name, ha="right", va="center", color=color)
axes.fill_between(exponent, 0, wedge, color=figures.SKY, alpha=0.35, linewidth=0)
axes.text(2.2, 0.15, "open", ha="center", va="center", fontsize=12)
axes.set(xlabel=r"$\mu=\log_NM$", ylabel=r"$\gamma=\log_N$ size", xlim=(1, 3.02), ylim=(0, 1.06))
plt.show()

# %% [markdown]
# **Prerequisites and time.** [Fetching by address](composition.py) ({prf:ref}`lem-fetch`), the discrete Fourier transform. A quarter of a minute on one core.
#
# **On this page.** What is conjectured, and what we know of it. Logarithmic depth: {prf:ref}`thm-depth-log`. Two layers: {prf:ref}`thm-depth-cubes`, {prf:ref}`thm-depth-sums`. Five: {prf:ref}`thm-depth-five`.
# Depth against width: {prf:ref}`thm-depth-trade`. Why it may stop there: {prf:ref}`prop-depth-3sum`. What a proof would cost: {prf:ref}`prop-depth-circuits`.
#
# ## The statement
#
# We know the conjecture's words at second hand only. They are quoted as:
#
# > Every multi-layer transformer that computes Match3 must have width, depth, embedding dimension, or bit complexity at least $N^{\Omega(1)}$.
#
# None of our sources says for which $M$. The paper itself {cite}`sanford2023representational` may attach a condition that we could not see. Its Theorem 7, for one layer, holds from $M=N+1$ on. So there are two readings:
#
# * **Read with $M=N+1$ it is false as quoted**, by {prf:ref}`thm-depth-log`.
# * **Read with $M\ge N^{1+c}$ it is open**, and its exponent is at most $\frac13$, by {prf:ref}`thm-depth-trade`: a bound $N^\gamma$ for all large $N$ can only hold with $\gamma\le\frac13$.
#
# *Who found what.* That $M=N+1$ needs no $N^{\Omega(1)}$ follows from Theorem 3.1 of {cite}`sanford2024parallel`, by the same authors, and a constant-round Fourier transform: that theorem turns rounds of parallel
# computation into layers, so that for every $\eps>0$ constantly many layers of size $N^\eps$ are enough. The polylogarithmic construction and the exact
# layers, widths and bits below are ours, as far as we found. For larger $M$ that theorem says less. It turns processors with memory $N^\delta$ into layers of
# size about $N^{4\delta}$, so that it is silent from $\delta=\frac14$ on; the memory of cubes has $\delta=\frac23$, that of five layers $\delta=\frac12$.
# Sorted blocks, done in about $N^{1-2\delta}$ rounds, give through it at best about $N^{2/3}$ for depth and size, where {prf:ref}`thm-depth-trade` has
# $N^{1/3}$. A later simulation may cover all of these up to $N^\eps$ (arXiv 2405.18512, which we could not read). If it does, the two and the five layers,
# $m=2$, and sizes without a factor $N^\eps$ are what is new here. A simulation for another kind of attention is in arXiv 2509.09001, of which we know the
# abstract. The parts are known:
# the butterfly {cite}`cooley1965algorithm`, blocks for all triples {cite}`afrati2010optimizing,dolev2012tri`, sorted blocks {cite}`gronlund2014threesomes`, merge sort in a network {cite}`batcher1968sorting`, and parallel algorithms for 3SUM and
# Fourier transforms in few rounds {cite}`hajiaghayi2019mapreduce`.
#
# **Conventions.** Token $i<N$ starts with its residue $x_i$ and knows $i$, as the maps between the layers may be arbitrary ({prf:ref}`def-transformer`). A
# token keeps what it had (a residual connection); without one, each layer needs one more head, with which a token looks at itself. All heads fetch by
# address, with queries and keys of $m=2$: each token publishes a number, its address, and a head that asks for the address 5 reads the mean of the values at
# the address nearest to 5. The *width* $d'$ counts the value coordinates of a layer, all heads together, and $p$ bits hold each entry of queries, keys and
# values exactly. What is read is rounded to the nearest multiple of its unit, which is 1 for a residue. In general, $\mathrm{Match}_s(x)_i=1$ if $x_i$ and
# the residues of $s-1$ tokens add up to a multiple of $M$, where a token may be chosen several times.
#
# :::{prf:theorem} (logarithmic depth; ours as far as we found)
# :label: thm-depth-log
#
# Let $N\ge1$, $M\ge2$, $s\ge2$. Let $L$ be the least power of two from $(s-1)M$ on, $T=\min\{2^{\lfloor\log_2N\rfloor},L\}$ and $W=L/T$, so that $W=1$ or $W<4(s-1)M/N$. For every radix $R=2^\rho\ge2$ there is a transformer with $m=2$ that gives the right label of
# $\mathrm{Match}_s$ for every input in $\{0,\dots,M-1\}^N$. It has depth
#
# ```{math}
# :label: eq-depth-log
# D=2\lceil\tfrac1\rho\log_2T\rceil+2,
# ```
#
# $W$ heads in its first layer and one in each other, width at most $2RW$, and $p=O(s\log NM)$. So for $M\le N\operatorname{polylog}N$, radix 2 and fixed $s$, its depth, heads, width and bits are all polylogarithmic in $N$.
# :::
#
# :::{prf:theorem} (two layers by cubes, every $M$; ours as far as we found)
# :label: thm-depth-cubes
#
# Let $B$ be the largest integer with $B^2(B+1)/2\le N$, and $w=\lceil N/B\rceil$. For every $M\ge2$ two layers with $m=2$, of 3 heads and width $3w$ and then of one head and width $w$, compute $\mathrm{Match3}$, with $p=O(\log NM)$. For $N\ge2$
#
# ```{math}
# :label: eq-depth-cubes
# w\le\frac N{(2N)^{1/3}-\frac43}+1\approx0.79\,N^{2/3}.
# ```
# :::
#
# :::{prf:theorem} (two layers by sums; ours as far as we found)
# :label: thm-depth-sums
#
# Let $U$ be the largest integer with $U(U+1)/2\le N$, and $w=\lceil M/U\rceil\approx M/\sqrt{2N}$. Two layers with $m=2$, of 2 heads and width $2(w+1)$ and then of 4 heads and width $8w$, compute $\mathrm{Match3}$, with $p=O(\log NM)$.
# :::
#
# Sums are narrower than cubes while $M$ is below about $0.4\,N^{7/6}$.
#
# :::{prf:theorem} (five layers, every $M$; ours as far as we found)
# :label: thm-depth-five
#
# Let $N\ge2$, $B=\big\lfloor\frac16(1+\sqrt{12N+1})\big\rfloor$ and $w=\lceil N/B\rceil\approx\sqrt{3N}$. For every $M\ge2$ five layers with $m=2$, at most 3 heads and width $3w$ compute $\mathrm{Match3}$, with $p=O(\log NM)$.
# :::
#
# :::{prf:theorem} (depth against width, every $M$; ours as far as we found)
# :label: thm-depth-trade
#
# Let $1\le w\le N$, $B=\lceil N/w\rceil$ and $l=\lceil\log_2N\rceil$. For every $M\ge2$ a transformer with $m=2$, at most 3 heads, width $3w$, $p=O(\log NM)$ and depth
#
# ```{math}
# :label: eq-depth-trade
# D=\frac{l(l+1)}2+\Big\lceil\frac{3B^2-B}N\Big\rceil\big(\lceil\log_2B\rceil+2\big)+1
# ```
#
# computes $\mathrm{Match3}$. For $w\le\sqrt N$ this is $D\,w^2\le\frac12N(l+2)(l+27)$: *depth times width squared is $N$, up to logarithms.* With $w=\lceil N^{1/3}\rceil$ both are $N^{1/3}$ up to logarithms.
# :::
#
# ## The idea
#
# **Only the set of residues matters**, as a token may be chosen several times. Write $A$ for the set that occurs, and $a$ for its indicator on $[0,M)$. Label
# $i$ asks whether $-x_i$ is a sum of $s-1$ members modulo $M$, which a convolution tells. The trick is to convolve
# with the set *repeated*: $b_e=1$ if $e<(s-1)M$ and $e\bmod M\in A$. Then the plain product of polynomials already counts modulo $M$, at one place for each $i$; nothing is folded, and one last fetch reads the label.
# For example, let $s=3$, $M=6$ and $A=\{1,2\}$: $a$ is 1 at 1 and 2, and $b$ at 1, 2, 7 and 8. A token with the residue 2 needs $-2\equiv4$, and looks at
# entry $6+4=10$ of the product. It is 1, from $10=2+8$: indeed $2+2+2=6$. A token with the residue 1 needs $-1\equiv5$, and entry $6+5=11$ is 0.
#
# :::{prf:proof}
# :class: dropdown
#
# *The proof of* {prf:ref}`thm-depth-log`.
#
# *Presence.* Token $k<T$ owns the entries $e=kW,\dots,kW+W-1$ of $[0,L)$. Residues are addresses and values, and head $l$ of token $k$ asks for $(e\bmod M)-\frac14$ with $e=kW+l$. By {prf:ref}`lem-fetch` the nearest residue that occurs is unique, and with
# $(N-1)(M-1)\mathrm e^{-c/2}\le\frac18$ it is read within $\frac18$. So the number read is within $\frac12$ of $e\bmod M$ if and only if this is in $A$. The token knows its entries of $a$ and $b$.
#
# *Transform.* Let $P$ be the least prime with $P\equiv1\pmod L$ and $P>\min(N,M)^{s-2}$, and $\omega$ of order $L$ modulo $P$. If $L'\ge L$ is a power of two above $\min(N,M)^{s-2}$, then a prime that is 1 modulo $L'$ is among them, and by Linnik's theorem the least of these is polynomial in $L'$: so $\log P=O(s\log NM)$. In the transform with decimation in frequency, the stage of half-distance $2^jW$ maps entries
# $y_e,y_{e'}$ at this distance to $y_e+y_{e'}$ and $(y_e-y_{e'})\omega^{\cdots}$: it pairs token $k$ with $k\oplus2^j$. Let the address of both be $k$ without bit $j$, an integer that both ask for, and let each put its entries into the slot of its own bit. No other token has that address, so that the mean is half of both tokens' entries, and
# with $(N-1)(P-1)\mathrm e^{-c}\le\frac18$ twice the mean is within $\frac18$ of them. The rest is arithmetic modulo $P$ by the token itself. In the same way $\rho$ stages take one layer: $R$ tokens share an address, with a slot each. The last $\log_2W$ stages pair entries of one token.
#
# *Product.* Each token multiplies its entries of $\hat a^{\,s-2}\,\hat b\,L^{-1}$. The inverse transform goes back through the same layers, in reverse, with $\omega^{-1}$; then the entries are in their old order, and bit reversal never matters.
#
# *Reading.* Token $i$ asks the owner $\lfloor u/W\rfloor$ of the entry $u=(s-2)M+t$, $t=-x_i\bmod M$, for its $W$ entries, and answers 1 if entry $u\bmod W$ is not 0. Here $u<(s-1)M\le L$.
#
# *It is right.* The entry counts the $e_1,\dots,e_{s-2}\in A$ and $f<(s-1)M$ with $f\bmod M\in A$ whose sum is $u$ modulo $L$. Let $E=\sum_re_r\le(s-2)(M-1)$. Then $u-E\ge t+s-2\ge0$ and $u-E\le u<(s-1)M\le L$, so that $f=u-E$, without wrapping around, and $f\equiv t-E\pmod M$:
# the entry is the number of $e_1,\dots,e_{s-2}\in A$ with $t-E\bmod M\in A$. It is at most $\min(N,M)^{s-2}<P$, and so it is 0 modulo $P$ only if there is none.
#
# *Sizes.* If $T<L$, then $T>N/2$ and $L<2(s-1)M$, hence $W<4(s-1)M/N$. Tokens $k\ge T$ ask what token 0 asks, and have an address of their own that nobody asks for. Both scales are $O(s\log NM)$, keys are at most $\max\{M^2,T^2,4\}$, and values below $P$. $\blacksquare$
# :::
#
# **Cubes and sums.** Two layers split the work. In the first each token $\tau$ does a part of it, in the second each token asks all those that worked for it.
# *Cubes:* the positions are cut into $B$ blocks of $w$, and $\tau$ looks for completions of the members of one block by members of two others. With $N=6$
# there are $B=2$ blocks of $w=3$; as the order of the two others does not matter, there are $2\cdot3=6$ triples of blocks, one for each token. *Sums:* the
# residues are cut into $U$ blocks of $w$, and $\tau$ finds the sums of two blocks.
#
# :::{prf:proof}
# :class: dropdown
#
# *The proof of* {prf:ref}`thm-depth-cubes`.
#
# There are $B'=\lceil N/w\rceil\le B$ blocks, and at most $N$ triples $(s;u\le v)$ of them: one for each of the first tokens. In layer 1 the address of token $j$ is its block $\lfloor j/w\rfloor$, and its value is $x_j$ in slot $j\bmod w$ of $w$. Token $\tau$ asks for $s$, $u$ and $v$, a head each. A mean times the size of the block is the list of its residues,
# within $\frac18$ if $(N-1)(M-1)\mathrm e^{-c}\le\frac18$. By itself $\tau$ finds the bits of the members of block $s$ which one of $u$ and one of $v$ complete. In layer 2 the address of $\tau$ is $s$, and its values are these $w$ bits. Token $i$ asks for its block and takes slot $i\bmod w$ of the mean, times
# $B'(B'+1)/2$: the number of $\tau$ that found a completion. For every $j,k$ exactly one $\tau$ has $s$ the block of $i$ and $\{u,v\}$ those of $j$ and $k$. Other tokens have an address that nobody asks for.
#
# With $b=(2N)^{1/3}$ we have $(b-\frac13)^2(b+\frac23)=b^3-\frac b3+\frac2{27}\le2N$, so $B\ge\lfloor b-\frac13\rfloor>b-\frac43$, which is positive for $N\ge2$, and $w<\frac NB+1$. $\blacksquare$
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *The proof of* {prf:ref}`thm-depth-sums`.
#
# There are $U'=\lceil M/w\rceil\le U$ blocks of residues, and a token $\tau$ for each pair $u\le v$. In layer 1 the address of token $j$ is $\lfloor x_j/w\rfloor$, and its value is a 1 in slot $x_j\bmod w$, and the address. Token $\tau$ asks for $u-\frac14$ and $v-\frac14$. Addresses are read within $\frac18$; if one is not the one that $\tau$ wants, the block is empty. Else
# a slot has a mean of at least $\frac1N$ if its residue occurs and 0 otherwise, and leakage is at most $\frac1{4N}$. By itself $\tau$ finds all sums $(u+v)w+\sigma$ of a residue of block $u$ and one of $v$, as $2w-1$ bits for $0\le\sigma\le2w-2$.
#
# In layer 2 the address of $\tau$ is $u+v$, also among its values. Token $i$ looks for the sums $M-x_i$ and $2M-x_i$, or $M$ and $0$ if $x_i=0$: as sums lie in $[0,2M-2]$, no others complete it. A sum $t$ has $u+v=r$ with $t-rw\in[0,2w-2]$, so $r=\lfloor t/w\rfloor$ or $\lfloor t/w\rfloor-1$. Token $i$ asks for both, at $r-\frac14$, for both sums:
# four heads. Slot $t-rw$ has a mean of at least $\frac1N$ if a $\tau$ with $u+v=r$ found $t$, and 0 otherwise. $\blacksquare$
# :::
#
# **Sorted blocks.** For every $M$, sorting helps: of the block triples along a *diagonal* only one has to be tried.
# Let the residues be $1,2\mid4,7\mid8,9$ in three blocks, $M=10$. The triples $(0;0,1)$ and $(1;1,2)$ lie on a diagonal. The first has sums from $1+1+4=6$ to
# $2+2+7=11$, the second from $4+4+8=16$ to $7+7+9=23$: so the sum 10 has to be looked for in the first only, and the sum 20 in the second only.
#
# :::{prf:lemma} (one box a diagonal; compare algorithms for 3SUM)
# :label: lem-depth-diagonal
#
# Let $v_0\le v_1\le\dots$ be the residues in order, in $B$ blocks of $w$ ranks with least residues $\lambda_b$, and $K$ an integer. For the boxes $(s+t;u+t,v+t)$ of a diagonal, $t=0,1,\dots$, put $L_t=\lambda_{s+t}+\lambda_{u+t}+\lambda_{v+t}$. If $x+y+z=K$ with $x$ in block $a$ and residues $y,z$ that occur, then there
# are blocks $b$ and $c$ with members $y$ and $z$ so that $(a;b,c)$ is the *last* box with $L_t\le K$ on its diagonal.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Let $b$ and $c$ be the last blocks that have $y$ and $z$ as members. Then $\lambda_a+\lambda_b+\lambda_c\le x+y+z=K$. The next box on the diagonal, if there is one, has $\lambda_{a+1}\ge x$, $\lambda_{b+1}>y$ and $\lambda_{c+1}>z$, so that its sum is above $K$; and the $L_t$ do not fall along a diagonal. $\blacksquare$
# :::
#
# Let $u\le v$, as order does not matter there. Each box lies on one diagonal, which starts with $s=0$ or $u=0$: there are
# $\frac12B(B+1)+(B-1)B=\frac12(3B^2-B)$ of them. If three residues that are not all 0 add up to a multiple of $M$, this multiple is $K=M$ or $K=2M$; and a
# residue 0 completes itself. So there are $3B^2-B$ *jobs*, a diagonal and a $K$ each.
#
# :::{prf:proof}
# :class: dropdown
#
# *The proof of* {prf:ref}`thm-depth-trade`.
#
# *Sort.* Batcher's odd-even merge sort has $\frac12l(l+1)$ stages of disjoint pairs, and all its comparators put the smaller one first; so those beyond $N$ can be left out, as if there were larger numbers. A stage is a layer: a token fetches its partner's residue by position and keeps the smaller or the larger one. Then the token at position $r$ holds $v_r$ beside its own $x_r$.
#
# *Rounds.* In a round each token takes one job. It finds the last $t$ with $L_t\le K$, or 0, by bisection in $\lceil\log_2B\rceil$ layers, each with three fetches, by position, of a $\lambda_b$. One layer fetches three blocks, with the address $\lfloor r/w\rfloor$ and the slot $r\bmod w$, as in {prf:ref}`thm-depth-cubes`. By itself it finds the bits of the members of block $s+t$ that members of the two others complete to $K$. One more layer collects them:
# the address is $s+t$, also among the values; token $r$ asks a quarter below its block, and knows from the address that it reads whether there is any job for it. A bit has a mean of at least $\frac1N$ or 0. By {prf:ref}`lem-depth-diagonal` every position $r$ whose $v_r\ne0$ has a solution gets a 1 in some round, and a 1 always stands for a solution.
#
# *Return.* In the last layer token $i$ asks for the address $x_i$ among the $v_r$, and reads the bits of its equals; if $x_i=0$ it answers 1 in any case. Widths are 1, 3, $3w$, $w+1$ and 1. All numbers read are integers at most $M$, multiplied by block sizes where means are taken, or shares, so that $c=O(\log NM)$.
#
# *The product.* For $w\le\sqrt N$ we have $Bw\le N+w$ and $\frac{3B^2w^2}N\le\frac3N(N+\sqrt N)^2=3(\sqrt N+1)^2$, so $D\,w^2\le N\big(\tfrac12l(l+1)+1\big)+\big(3(\sqrt N+1)^2+N\big)(l+2)$. The last bracket is at most $13N$, and $\frac12l(l+1)+1+13(l+2)\le\frac12(l+2)(l+27)$. $\blacksquare$
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *The proof of* {prf:ref}`thm-depth-five`.
#
# $B$ is the largest integer with $3B^2-B\le N$: with $\lceil N/w\rceil\le B$ blocks there is a token for each job.
#
# *Ranks, layers 1 and 2.* Positions lie in parts of $q=\lceil N/\lfloor\sqrt N\rfloor\rceil$, of which there are $A\le\lfloor\sqrt N\rfloor$, and there is a token for each ordered pair of parts. It reads both, and counts for each member of the first the members of the second that are smaller, or equal and further left. Token $i$ takes the mean of its slot over all pairs whose first part is
# its own, times $A$: its rank.
#
# *Lows, layer 3.* Tokens of rank divisible by $w$ have the address 0 and their residue in the slot of their block, all others the address 1. Everybody asks for 0 and reads all $\lambda_b$ at once, so that each token finds its box by itself. *Blocks and verdicts, layers 4 and 5,* are those of {prf:ref}`thm-depth-trade`, with the rank in place of the position;
# as a token knows its rank, it reads its own verdict; again $x_i=0$ has the answer 1 in any case.
# Widths are $2q$, $q$, at most $B$, $3w$ and $w+1$, and $B\le\lfloor\sqrt N\rfloor\le q\le w$. $\blacksquare$
# :::
#
# ### Why it may stop there, and what a proof would cost
#
# :::{prf:proposition} (conditional and within a class; ours as far as we found)
# :label: prop-depth-3sum
#
# Let transformers for $\mathrm{Match3}$, for all $N$ and $M\le8N^3$, have depth $D$, polylogarithmically many heads a layer, all of which fetch means by address, width $w$, and $O(\log N)$-bit numbers; and let an algorithm compute their maps in time $w^2\operatorname{polylog}N$ a token and layer. If 3SUM on $N$ integers below $N^3$ takes time $N^{2-o(1)}$ on a word RAM with random bits, as is conjectured, then
# $D\,w^2\ge N^{1-o(1)}$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# *A head is fast.* Sort the addresses, add up the values of each, and find the nearest one to each question by bisection: $O((N+w_hN)\operatorname{polylog}N)$ steps for a head with $w_h$ value coordinates. So the whole transformer runs in $D\,N\,w^2\operatorname{polylog}N$ steps, as $w\ge1$.
#
# *3SUM is Match3.* Given three lists of $n$ integers of absolute value below $n^3$, put $V=3n^3$, $M=64V$, and take the residues $V+a$, $8V+b$ and $55V+c$ modulo $M$, $N=3n$. The tags 1, 8 and 55 add up to 64, and any other three of them, with repetition, to a number at distance at least 3 from all multiples of 64, while $a+b+c$ moves the sum by less than $V$. So a label is 1 if and only if it takes part in $a+b+c=0$.
# Here $M=192n^3<8N^3$; if $N$ is no multiple of 3, repeat a residue.
#
# If $D\,w^2\le N^{1-\eps}$ for infinitely many $N$, then 3SUM would take $N^{2-\eps}\operatorname{polylog}N$ steps there. $\blacksquare$
# :::
#
# The maps of {prf:ref}`thm-depth-trade` take $O(w^2\log w)$ steps, so it is tight within this class, up to logarithms, if the hypothesis holds. Soft heads, and maps that take longer, are not excluded.
#
# :::{prf:proposition} (circuits; well known in spirit)
# :label: prop-depth-circuits
#
# Let a circuit of gates with at most two inputs, any fan-out and depth $d$ compute the labels from the bits of the residues; and let its inputs and gates be spread over $N$ tokens, at most $g$ on each, so that token $i$ has the bits of $x_i$ and the output $i$. Then a transformer of depth $d$ with $m=2$, $2g$ heads, width $2g^2$ and $p=O(\log N)$ computes the labels.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Token $k$ has the address $k$ and, as values, the bits of its inputs and gates, at most $g$; those of gates are 0 at first. In each layer it fetches, a head for each input of each gate, the bits of the token that has this input, takes the right one, and evaluates its gates. After $t$ layers all gates of level at most $t$ are right. An integer address that occurs once gives bits within $\frac18$ for $(N-1)\mathrm e^{-c}\le\frac18$; keys are at most
# $(N-1)^2$ and queries $2c(N-1)$. $\blacksquare$
# :::
#
# This has two consequences. First, for $M\le N\operatorname{polylog}N$ sorting and a Fourier transform make a circuit of $N\operatorname{polylog}N$ gates and
# polylogarithmic depth. So at $M=N+1$ polylogarithmic sizes are enough once more. Second, let $M\ge N^{1+c}$. A proof that no polylogarithmic depth, width,
# heads and bits are enough would show that $\mathrm{Match3}$ has no circuits of $N\operatorname{polylog}N$ gates and polylogarithmic depth. It would be a
# bound of more than linearly many gates for an explicit function, and to prove such a bound, even for circuits of logarithmic depth alone, is a famous open
# problem. {prf:ref}`prop-depth-3sum` says why the conjecture is plausible, {prf:ref}`prop-depth-circuits` why it is hard.
#
# ## Parameters

# %% tags=["parameters"]
long_tokens: int = 1024  # N of the long input, M = N + 1
exhaustive_inputs: int = 300  # all M^N inputs are run where there are no more,
largest_modulus: int = 12  # for M up to this
planted_tokens: int = 24  # N where a triple is planted in every triple of blocks
planted_block: int = 4  # w of depth against width there
butterfly_tokens: int = 16  # N of the attention maps
trade_tokens: int = 4096  # N of the curve of depth against width
built_tokens: int = 100  # N where points of that curve are built and run
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import ranges, require, usual_ranges

quick = {
    "long_tokens": 128,
    "exhaustive_inputs": 30,
    "largest_modulus": 5,
    "planted_tokens": 12,
    "planted_block": 3,
    "trade_tokens": 256,
    "built_tokens": 25,
}

usual_ranges()
ranges(
    long_tokens=(72, 2048, "N² weights of 8 bytes are held"),
    exhaustive_inputs=(16, 3000, "in six constructions"),
    largest_modulus=(3, 30),
    planted_tokens=(12, 48, "an input for every triple of blocks"),
    planted_block=(2, 16),
    butterfly_tokens=(4, 32, "a panel for each layer"),
    trade_tokens=(64, 10**6),
    built_tokens=(25, 256, "thousands of layers at w = 1"),
)
require(
    planted_block**2 <= planted_tokens,
    f"planted_block w = {planted_block} needs w² ≤ N = planted_tokens = {planted_tokens}",
)
require(
    planted_tokens <= 12 * planted_block,
    f"planted_block w = {planted_block} needs planted_tokens N ≤ 12w = {12 * planted_block} "
    f"(an input for every triple of blocks), got {planted_tokens}",
)

# %% [markdown]
# ## The constructions
#
# A *plan* gives the sizes by formulas, for any $N$ and $M$, and a *matcher* is the transformer itself: a `FetchTransformer`, softmax layers of {prf:ref}`def-layer`. We run all of them on all inputs at small sizes, and compare the built sizes with the formulas.

# %% tags=["hide-input"]
import math
from fractions import Fraction
from math import isqrt

import pandas as pd
import torch

from attention_limits.bounds.match3_depth import first_smaller, one_layer_bits
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.five_layers import FiveLayersMatcher, FiveLayersPlan
from attention_limits.constructions.log_depth import LogDepthMatcher, TransformPlan
from attention_limits.constructions.trade_off import TradeMatcher, TradePlan
from attention_limits.constructions.two_layers import CubesMatcher, CubesPlan, SumsMatcher, SumsPlan
from attention_limits.problems.block_tuples import (
    block_places,
    plant,
    rank_triples,
    residue_pairs,
    search_triples,
)
from attention_limits.problems.matching import Match3
from attention_limits.problems.tuples import planted_triples

torch.set_num_threads(1)  # exact checks on the CPU, most of them small
generator = torch.Generator().manual_seed(seed)

BUILD = {
    "transform": lambda n, m: LogDepthMatcher(TransformPlan(n, m)),
    "transform, radix 4": lambda n, m: LogDepthMatcher(TransformPlan(n, m, radix=4)),
    "cubes": lambda n, m: CubesMatcher(CubesPlan(n, m)),
    "sums": lambda n, m: SumsMatcher(SumsPlan(n, m)),
    "five layers": lambda n, m: FiveLayersMatcher(FiveLayersPlan(n, m)),
    "depth against width": lambda n, m: TradeMatcher(TradePlan(n, m, min(2, n))),
}


def excess(model, inputs):
    """How far depth, heads, m and width are from the formulas, and bits that these inputs take beyond p."""
    sizes, formats = model.sizes, model.formats(model.registers(inputs))
    built = (model.depth, model.num_heads, model.embed_dim, model.width)
    differences = [abs(a - b) for a, b in zip(built, (*sizes[:2], 2, sizes.width), strict=True)]
    return max(*differences, *(form.bits - sizes.bits for form in formats))


def on_all_inputs(build, orders=(3,), shortest=1):
    """Inputs, wrong labels and excess of sizes over all small problems; the oracle tries all tuples."""
    counted = wrong = beyond = 0
    for tokens in range(shortest, 8):
        for modulus in range(2, largest_modulus + 1):
            if modulus**tokens > exhaustive_inputs:
                break
            for order in orders:
                problem = Match3(tokens, modulus)
                inputs = problem.all_inputs()
                sums = inputs
                for _ in range(order - 2):
                    sums = (sums.unsqueeze(2) + inputs.unsqueeze(1)).flatten(1)
                solved = (inputs.unsqueeze(2) + sums.unsqueeze(1)) % modulus == 0
                model = build(tokens, modulus) if order == 3 else build(tokens, modulus, order)
                counted, beyond = counted + len(inputs), max(beyond, excess(model, inputs))
                wrong += int((model.labels(inputs) != solved.any(dim=2)).sum())
    return counted, wrong, beyond


# %%
small = {
    name: on_all_inputs(build, shortest=2 if name == "five layers" else 1)
    for name, build in BUILD.items()
}
small["transform, s = 2, 4"] = on_all_inputs(
    lambda n, m, s: LogDepthMatcher(TransformPlan(n, m, s)), orders=(2, 4)
)
figures.table(pd.DataFrame(small, index=["inputs", "wrong labels", "excess of sizes"]).T)

# %% [markdown]
# ### A triple in every triple of blocks
#
# At these sizes there are few blocks. And on longer random inputs a lost block goes unnoticed: with many solutions a token has another one, with few of them
# most block triples hold none. So we plant a solution in *every* block triple, an input each. The blocks are of positions for cubes, of residues for sums and
# the transform, and of ranks, with both sums $K$, for the sorted ones. Then we take one part of the work (a triple, a pair or a job) away from the
# construction.

# %% tags=["hide-input"]
wide = 64 * planted_tokens**3  # M, so large that there is hardly a solution but the planted one
narrow = planted_tokens + 1
cubes, sums = CubesPlan(planted_tokens, wide), SumsPlan(planted_tokens, narrow)
five = FiveLayersPlan(planted_tokens, wide)
trade = TradePlan(planted_tokens, wide, planted_block)
problem = Match3(planted_tokens, wide)
places = block_places(planted_tokens, cubes.block, generator=generator)
pairs = residue_pairs(planted_tokens, narrow)
by_rank = {
    plan: rank_triples(planted_tokens, wide, plan.block, generator=generator)
    for plan in (five, trade)
}
third = len(trade.jobs) // 3
matchers = {  # whole, with one part lost, and the inputs
    "transform": (LogDepthMatcher(TransformPlan(planted_tokens, narrow)), None, pairs),
    "cubes": (
        CubesMatcher(cubes),
        CubesMatcher(cubes, cubes.triples[:-1]),
        plant(problem, places, generator=generator),
    ),
    "sums": (SumsMatcher(sums), SumsMatcher(sums, sums.pairs[:-1]), pairs),
    "five layers": (
        FiveLayersMatcher(five),
        FiveLayersMatcher(five, five.jobs[:-1]),
        by_rank[five],
    ),
    "depth against width": (
        TradeMatcher(trade),
        TradeMatcher(trade, trade.jobs[:third] + trade.jobs[third + 1 :]),
        by_rank[trade],
    ),
}
planted = []
for name, (whole, lost, inputs) in matchers.items():
    target = search_triples(inputs, whole.problem.modulus)
    planted.append(
        {
            "construction": name,
            "M": whole.problem.modulus,
            "inputs": len(inputs),
            "labels 1": int(target.sum()),
            "wrong": int((whole.labels(inputs) != target).sum()),
            "wrong, one part lost": int((lost.labels(inputs) != target).sum())
            if lost
            else math.nan,
        }
    )
planted = pd.DataFrame(planted).set_index("construction")
figures.table(planted, {"wrong, one part lost": "{:.0f}", "M": "{:,}", "labels 1": "{:,}"})

# %% [markdown]
# ### Long inputs
#
# The transform and sums run at $M=N+1$, on residues from an interval in which no three add up to a multiple of $M$ and a few planted ones, so that labels of
# both kinds occur. The others run on uniform residues, at the modulus that balances the labels.

# %% tags=["hide-input"]
half, quarter = long_tokens // 2, long_tokens // 4
balanced = Match3.balanced_modulus
sparse = planted_triples(long_tokens, long_tokens + 1, 2, generator=generator)
longest = {
    "transform": LogDepthMatcher(TransformPlan(long_tokens, long_tokens + 1)),
    "transform, radix 32": LogDepthMatcher(TransformPlan(long_tokens, long_tokens + 1, radix=32)),
    "sums": SumsMatcher(SumsPlan(long_tokens, long_tokens + 1)),
    "cubes": CubesMatcher(CubesPlan(half, balanced(half))),
    "five layers": FiveLayersMatcher(FiveLayersPlan(half, balanced(half))),
    "depth against width": TradeMatcher(TradePlan(quarter, balanced(quarter), isqrt(quarter))),
}
long_runs = []
for name, model in longest.items():
    tokens, modulus = model.problem.num_tokens, model.problem.modulus
    inputs = sparse.inputs
    if tokens < long_tokens:
        inputs = model.problem.sample(1, generator=generator)
    target = search_triples(inputs, modulus)
    long_runs.append(
        {
            "construction": name,
            "N": tokens,
            "M": modulus,
            "depth": model.depth,
            "heads": model.num_heads,
            "width": model.width,
            "p": model.sizes.bits,
            "labels 1": int(target.sum()),
            "wrong": int((model.labels(inputs) != target).sum()),
            "excess": excess(model, inputs),
        }
    )
long_runs = pd.DataFrame(long_runs).set_index("construction")
figures.table(long_runs.drop(columns="excess"), {"M": "{:,}"})

# %% [markdown]
# ### The butterfly as attention
#
# In {numref}`fig-depth-butterfly` each token of a stage looks at itself and at one other, at half the distance of the stage before; after the product the same pairs come back in reverse.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-depth-butterfly", "caption": "Attention of the transform on one input with N tokens, M = N + 1: queries downwards, keys across, first head of each layer. Yellow: the largest weight of a row, which several tokens may share. First: which residue occurs? Then: the transform, and its inverse. Last: each token asks for its label."}, "image": {"alt": "A grid of square heat maps. The first has scattered bright dots, one or more in each row. The next ones are butterflies: each row has its diagonal and one more dot, at distance 8, 4, 2 and 1, then 1, 2, 4 and 8. The last has again one dot in each row."}}
maps = LogDepthMatcher(TransformPlan(butterfly_tokens, butterfly_tokens + 1))
shown = maps.problem.sample(1, generator=generator)
attention = maps.attend(maps.registers(shown)).attention
stages = (maps.depth - 2) // 2
titles = [
    "occurs?",
    *(f"transform {stage}" for stage in range(1, stages + 1)),
    *(f"inverse {stage}" for stage in range(1, stages + 1)),
    "label?",
]
rows = -(-maps.depth // 3)
fig, panels = plt.subplots(rows, 3, figsize=(5.4, 1.95 * rows), squeeze=False)
for axes in panels.flat:
    axes.set_axis_off()
for axes, layer, title in zip(panels.flat, attention, titles, strict=False):
    axes.set_axis_on()
    weights = layer[0, 0]
    axes.imshow(
        weights / weights.amax(dim=1, keepdim=True), cmap=figures.SEQUENTIAL, vmin=0, vmax=1
    )
    axes.set(title=title, xticks=[], yticks=[])
    axes.grid(visible=False)
plt.show()

# %% [markdown]
# ### Less than any one layer needs
#
# For each head a layer brings a token a normaliser and the head's value coordinates. That makes $(d'+H)\,p$ bits, if each number is told with $p$ bits. Here
# $p$ bits are enough, as what is read is rounded to one of at most $2^p$ multiples of its unit. [Theorem 7's page](thm-7-match3.py) counts exactly what *any*
# one layer must bring ({prf:ref}`prop-match3-rows`). The table says at which $N$ each layer of a construction first brings less than that.

# %% tags=["hide-input"]
PLANS = {
    "transform": TransformPlan,
    "cubes": CubesPlan,
    "sums": SumsPlan,
    "five layers": FiveLayersPlan,
    "depth against width, w = ∛N": lambda n, m: TradePlan(n, m, round(n ** (1 / 3))),
}
MODULI = {"N + 1": lambda n: n + 1, "N^1.5": lambda n: isqrt(n**3), "N²/(2 ln 2)": balanced}
LIMITS = {"N + 1": 2**18, "N^1.5": 2**12, "N²/(2 ln 2)": 2**11}
crossings = pd.DataFrame(
    {
        name: {
            f"M = {rule}": first_smaller(
                plan, modulus, (2**k for k in range(3, LIMITS[rule].bit_length()))
            )
            for rule, modulus in MODULI.items()
        }
        for name, plan in PLANS.items()
    }
).T
first_log = first_smaller(TransformPlan, MODULI["N + 1"], range(4, 2**10))
figures.table(
    crossings.astype(float),
    "{:,.0f}",
    "The least power of two at which each layer brings fewer bits than any one layer needs",
)

# %% tags=["hide-input"]
at, log_sizes = 4096, TransformPlan(4096, 4097).sizes
figures.prose(
    f"No entry: none up to {LIMITS['N + 1']:,}, {LIMITS['N^1.5']:,} and {LIMITS['N²/(2 ln 2)']:,}. For the transform at $M=N+1$ the first such $N$ at all is {first_log}. "
    f"At $N={at}$ one layer must bring {one_layer_bits(at, at + 1):,} bits; the transform brings at most {log_sizes.layer_bits} in each of its {log_sizes.depth} layers, "
    f"though {log_sizes.depth * log_sizes.layer_bits:,} in all of them."
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-depth-bits", "caption": "Bits that a layer brings to a token at M = N + 1. Dashed: what any one layer must bring, exactly."}, "image": {"alt": "A log-log plot. The dashed line rises in proportion to N. The transform's line is nearly flat and crosses it near 500. The lines of cubes, sums and five layers rise more slowly than the dashed one and cross it later, beyond ten thousand."}}
fig, axes = plt.subplots(figsize=(6, 4.6))
lengths = [2**k for k in range(4, 19)]
axes.loglog(
    lengths,
    [one_layer_bits(N, N + 1) for N in lengths],
    label="one layer needs",
    **figures.REFERENCE | {"linewidth": 1.8},
)
for (name, plan), color in zip(
    PLANS.items(),
    (figures.GREEN, figures.ORANGE, figures.PINK, figures.SKY, figures.BLUE),
    strict=True,
):
    axes.loglog(
        lengths, [plan(N, N + 1).sizes.layer_bits for N in lengths], color=color, label=name
    )
axes.set(xlabel="$N$", ylabel="bits a layer")
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# ### Depth against width

# %%
built = []
for block in sorted({2, 3, 4, isqrt(built_tokens)}):
    model = TradeMatcher(TradePlan(built_tokens, balanced(built_tokens), block))
    inputs = model.problem.sample(1, generator=generator)
    wrong = int((model.labels(inputs) != search_triples(inputs, model.problem.modulus)).sum())
    built.append({"w": block, "depth": model.depth, "width": model.width, "wrong": wrong})
built = pd.DataFrame(built)
figures.table(built, caption=f"Built and run at N = {built_tokens}", index=False)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-depth-trade", "caption": "Depth against width of sorted blocks, by formula (lines) and as built (dots). Dashed: slope −2. Where the lines leave it, sorting takes most of the layers."}, "image": {"alt": "A log-log plot with two falling lines, for a smaller and a larger N, that begin parallel to a dashed line of slope minus two and flatten at the right. Dots lie on the lower line."}}
fig, axes = plt.subplots(figsize=(6, 4))
for tokens, color in ((built_tokens, figures.ORANGE), (trade_tokens, figures.BLUE)):
    blocks = np.unique(np.geomspace(1, isqrt(tokens), 40).round().astype(int)).tolist()
    curve = [TradePlan(tokens, tokens + 1, w).sizes for w in blocks]
    axes.loglog(
        [s.width for s in curve], [s.depth for s in curve], color=color, label=f"$N={tokens}$"
    )
axes.loglog(built["width"], built["depth"], "o", color=figures.ORANGE)
start = curve[0].depth
axes.loglog(
    [3, 3 * isqrt(trade_tokens)], [start, start / isqrt(trade_tokens) ** 2], **figures.REFERENCE
)
axes.set(xlabel="width $3w$", ylabel="depth", ylim=(10, None))
axes.legend()
plt.show()

# %% [markdown]
# ### What breaks
#
# We break the transform twice: with a wrong root of unity, and with a first layer that is too flat to tell neighbouring residues apart.

# %% tags=["hide-input"]
tight = TransformPlan(4, 5)
every = Match3(4, 5).all_inputs()
right = Match3(4, 5).target(every)
broken = {
    "another root": LogDepthMatcher(tight, root=2),
    "flat first layer": LogDepthMatcher(tight, presence_scale=0.5),
}
wrong_when_broken = {
    name: int((model.labels(every) != right).sum()) for name, model in broken.items()
}
figures.prose(
    f"Of {right.numel():,} labels at $N=4$, $M=5$: "
    + ", ".join(f"{name} {wrong} wrong" for name, wrong in wrong_when_broken.items())
    + "."
)

# %% tags=["hide-input"]
small_runs = pd.DataFrame(small, index=["inputs", "wrong", "excess"]).T
product = max(
    Fraction(2 * sizes.depth * block**2, tokens * (log + 2) * (log + 27))
    for tokens in (built_tokens, trade_tokens)
    for log in [(tokens - 1).bit_length()]
    for block in range(1, isqrt(tokens) + 1)
    for sizes in [TradePlan(tokens, 2, block).sizes]
)
cubes_width = max(
    CubesPlan(N, 2).block - (N / ((2 * N) ** (1 / 3) - 4 / 3) + 1)
    for N in range(2, min(trade_tokens, 2**12))
)

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
for number, (name, title) in enumerate((("transform", "radix 2"), ("transform, radix 4", "radix 4"),
    ("transform, s = 2, 4", "radix 2, for s = 2 and 4"))):
    claim(f"depth.transform-{('small', 'radix', 'orders')[number]}", int(small_runs.loc[name, "wrong"]), "==", 0,
        statement=f"The transform, {title}, gives all labels right: no exception on all "
        f"{small_runs.loc[name, 'inputs']:,} small inputs.")
IDENTIFIERS = {"cubes": "cubes", "sums": "sums", "five layers": "five", "depth against width": "trade"}
for name, identifier in IDENTIFIERS.items():
    claim(f"depth.{identifier}-small", int(small_runs.loc[name, "wrong"]), "==", 0,
        statement=f"All labels are right ({name}): no exception on all {small_runs.loc[name, 'inputs']:,} small inputs.")
for name, identifier in ({"transform": "transform"} | IDENTIFIERS).items():
    claim(f"depth.{identifier}-planted", int(planted.loc[name, "wrong"]), "==", 0,
        statement=f"All labels are right ({name}) with a triple planted in every triple of blocks: no exception in "
        f"{planted.loc[name, 'inputs']:,} inputs of {planted_tokens} tokens.")
claim("depth.long", int(long_runs["wrong"].sum() + built["wrong"].sum()), "==", 0,
    statement=f"All labels on long inputs are right, up to N = {long_tokens:,}: no exception, all constructions "
    "together.")
claim("depth.sizes", int(max(small_runs["excess"].max(), long_runs["excess"].max())), "<=", 0,
    statement="Built depth, width, number of heads and m are those of the formulas, and p bits are enough: the "
    "largest difference, or bits beyond p.")
claim("depth.log-depth", int(long_runs.loc["transform", "depth"]), "==", 2 * (long_tokens.bit_length() - 1) + 2,
    statement=rf"At N = {long_tokens:,}, M = N + 1 the transform has the depth $2\log_2T+2$.")
claim("depth.log-width", int(long_runs.loc["transform", "width"]), "<=", 16,
    statement=f"At N = {long_tokens:,}, M = N + 1 the transform has a width of at most 16.")
claim("depth.log-bits", TransformPlan(1024, 1025).sizes.bits, "==", 22,
    statement="At N = 1,024, M = 1,025 the transform's queries, keys and values have 22 bits.")
claim("depth.log-crossing", first_log, "==", 481,
    statement="A layer of the transform first brings fewer bits than any one layer needs at N = 481, M = N + 1.")
claim("depth.cubes-width", cubes_width, "<=", 0.0, tolerance=1e-9, note="rounding of float64",
    statement=f"The cubes' block is within its bound: the largest excess over N below {min(trade_tokens, 2**12):,}.")
claim("depth.trade-product", product, "<=", 1,
    statement=r"$Dw^2$ is at most $\frac12N(l+2)(l+27)$: the largest quotient over $w\le\sqrt N$, in fractions.")
claim("depth.five-narrower", FiveLayersPlan(1024, 1025).sizes.width, "<", CubesPlan(1024, 1025).sizes.width,
    statement="Five layers are narrower than cubes, at N = 1,024.")
observed("depth.block-needed", int(planted["wrong, one part lost"].min()), ">=", 1,
    statement="When one of its parts is lost each construction gives wrong labels on the planted inputs: the fewest.")
observed("depth.breaks", min(wrong_when_broken.values()), ">=", 100,
    statement="A transform with another root, or with a flat first layer, gives wrong labels at N = 4, M = 5: the "
    "fewer of the two.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That the conjecture is settled.* For $M\ge N^{1+c}$ we know no construction below the exponent $\min\{\frac13,c\}$, and no lower bound for two or more layers. {prf:ref}`thm-depth-cubes` and {prf:ref}`thm-depth-five` only say that bounds for two and for five layers can't exceed $N^{2/3}$ and $N^{1/2}$, up to logarithms.
# * *That these layers are the first of their kind.* We found no direct construction for $\mathrm{Match3}$ in several layers, and absence from our sources is all that this says.
# * *That training finds them.* These weights are made by hand, and [trained pairwise models](conjecture.py) find no triples.
# * *That the maps between layers are simple.* {prf:ref}`def-transformer` allows any. Those of the transform, for radix 2 and fixed $s$, take $O(W\log2W)$ operations modulo $P$, those of cubes and of sorted blocks about $w^2\log w$.
# * *Anything about causal masks.* With one, early tokens see too little. An unconditional bound for several layers with a causal mask is known, for another task {cite}`chen2024theoretical`; it says nothing about $\mathrm{Match3}$.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-depth-one-head
#
# The first layer of the transform has $W$ heads. Do with one head in every layer. What does it cost?
# :::
#
# :::{solution} ex-depth-one-head
# :class: dropdown
#
# Ask the $W$ questions one after the other, in $W$ layers: depth $2\log_2T+1+W$ for radix 2.
# :::
#
# :::{exercise}
# :label: ex-depth-repeated
#
# Let $b$ be the indicator of $A$ on $[0,M)$ only, not repeated, and $s=3$. Which entries of the product have to be added up for label $i$? How many fetches does the last layer then need?
# :::
#
# :::{solution} ex-depth-repeated
# :class: dropdown
#
# With $t=-x_i\bmod M$, sums of two residues below $M$ that are $t$ modulo $M$ are $t$ or $M+t$: two entries, at two owners, two heads. The repeated set has both in entry $M+t$.
# :::
#
# :::{exercise}
# :label: ex-depth-order
#
# Extend cubes to $\mathrm{Match}_s$ for $s\ge3$. How wide are the two layers?
# :::
#
# :::{solution} ex-depth-order
# :class: dropdown
#
# A token stands for $s$ blocks, the first and a multiset of $s-1$ others: with $B^s\le N$ there are enough tokens. It reads $s$ lists of $w=\lceil N/B\rceil$, about $N^{1-1/s}$: width $sw$ with $s$ heads, then $w$ with one.
# :::
#
# :::{exercise}
# :label: ex-depth-symmetric
#
# In the last of the five layers, a job tells only the members of the first block what it found. What if it told all three blocks? How many jobs, and what width, would be enough?
# :::
#
# :::{solution} ex-depth-symmetric
# :class: dropdown
#
# Then $s\le u\le v$ is enough: diagonals start with $s=0$, $\frac12B(B+1)$ of them, so $B(B+1)\le N$ jobs in place of $3B^2-B$, and $w\approx\sqrt N$. Three heads collect, under the addresses of the three blocks, with $3(w+1)$ value coordinates: about $3\sqrt N$ in place of $3\sqrt{3N}$.
# :::
#
# ## Reference
#
# The conjecture and Theorem 7 are from {cite}`sanford2023representational`, the simulation of parallel algorithms from {cite}`sanford2024parallel`; the conjecture's words are known to us at second hand. What is ours, as far as we found, and what is known elsewhere stands with the statement. All measurements are ours.
