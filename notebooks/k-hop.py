# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # k-hop: pointers that double
#
# **The question.** Ask an [induction head](induction-heads.py) again and again: find what followed the last time that this symbol was seen, then what followed the last time that *that* one was seen, $k$ times over. How many layers does it take? And does it matter whether a token may see itself?
#
# **In one paragraph.** One hop a layer would take about $k$ layers. But all tokens hop at the same time: if each knows where *its* first hop leads, a token can ask the one it points to for its pointer, and has made two hops; in the next layer four, then eight
# ({numref}`fig-hop-chain`). So about $\log_2k$ layers are enough. The exact number depends on how the first pointer is found, and there a token's own key can be in the way.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-hop-chain", "caption": "A chain: each hop leads two places back, only the first one from the last token by one. The pointer of the last token after layers 1 to 4, one, two, four and eight hops: in each layer it takes over the pointer of the token that it points to."}, "image": {"alt": "Seventeen squares with letters, b a c b d c e d f e g f h g i h i. Four arcs start at the last square. They end one, three, seven and fifteen squares before it, labelled layer 1 to layer 4 and one, two, four and eight hops below."}}
import matplotlib.pyplot as plt
import numpy as np

from attention_limits import figures

figures.use_style()
CHAIN = "bacbdcedfegfhgihi"
last = len(CHAIN)
fig, axes = plt.subplots(figsize=(6.4, 3.4))
colors = (figures.SKY, figures.GREEN, figures.ORANGE, figures.BLUE)
reached = {last + 1 - 2 * 2**doubled: color for doubled, color in enumerate(colors)}
for place, letter in enumerate(CHAIN, start=1):
    color = reached.get(place, figures.GREY if place == last else "#f0f0f0")
    box = plt.Rectangle((place - 0.43, -0.43), 0.86, 0.86, ec=figures.GREY, fc=color)
    axes.add_patch(box)
    ink = "black" if color in ("#f0f0f0", figures.SKY) else "white"
    axes.text(place, 0, letter, ha="center", va="center", fontsize=15, color=ink)
turn = np.linspace(0, np.pi, 60)
for layer, (place, color) in enumerate(reached.items(), start=1):
    middle, radius = (place + last) / 2, (last - place) / 2
    hops = f"layer {layer}\n{2 ** (layer - 1)} hop{'s' if layer > 1 else ''}"
    heights = 0.5 + 0.42 * radius * np.sin(turn)
    axes.plot(middle + radius * np.cos(turn), heights, color=color, lw=2)
    axes.text(place, -0.65, hops, ha="center", va="top", fontsize=12)
    axes.plot(place, 0.56, marker="v", color=color, markersize=7)
axes.set(xlim=(0.3, 17.7), ylim=(-1.9, 3.7))
axes.axis("off")
plt.show()

# %% [markdown]
# **Prerequisites and time.** {prf:ref}`lem-fetch` and {prf:ref}`lem-last-place`; determinants for one proof. A quarter of a minute on one core.
#
# **On this page.** Three constructions, {prf:ref}`prop-hop-strict`, {prf:ref}`prop-hop-heads` and {prf:ref}`prop-hop-one-head`, all on one lemma, {prf:ref}`lem-hop-doubling`. Why the mask matters: {prf:ref}`prop-own-key`.
#
# ## The statement
#
# :::{prf:definition} (k-hop)
# :label: def-hop
#
# With $\operatorname{find}$ of {eq}`eq-induction-find`, $\operatorname{find}(0)=0$, let $\operatorname{find}^k$ be its $k$-fold iterate, $k\ge1$. The $k$-hop task asks every token $i$ for $X_{\operatorname{find}^k(i)}$, or "none" if $\operatorname{find}^k(i)=0$ {cite}`sanford2024parallel`.
# :::
#
# In `baebcabebdea` two hops lead from the last `a` to `b` at place 7 and on to `c` at place 5.
#
# :::{prf:theorem} (cited: Sanford, Hsu and Telgarsky, Theorem 4.2)
# :label: thm-hop
#
# For every $k$ and every alphabet of at most $N$ symbols there is a transformer with a causal mask, one head, $m=O(1)$ and depth $\lfloor\log_2k\rfloor+2$ that solves $k$-hop {cite}`sanford2024parallel`.
# :::
#
# This transformer has a precision of $O(\log N)$, and its mask lets token $i$ see $j\le i$. The same paper shows that depth $\Omega(\log k)$ is needed if
# $mH=O(k^{1-\epsilon})$, *provided that* a conjecture on parallel computation holds (its Corollary 4.3, for $k=\Theta(N^\xi)$, $\xi\le\frac12$, $k$ even). It
# also shows that a recurrent network needs depth $k$ or width $\Omega(N/k^6)$ (its Corollary 5.2). We build three versions, with all weights, and count their
# bits.
#
# :::{prf:proposition} (the strict mask; weights ours as far as we found)
# :label: prop-hop-strict
#
# Let token $i$ see the tokens $j<i$, and the first token itself. For all $N,S,k\ge1$ a transformer of depth $\lfloor\log_2k\rfloor+2$ with a residual connection, one head, $m=2$ and values of two coordinates solves $k$-hop at every token. With $A=(2S-1)N$ and $c\ge1$ the least power of two with $(N-1)\max\{N,S\}\,\mathrm e^{-c}\le\frac18$, all queries, keys and values are integers, held by
#
# ```{math}
# :label: eq-hop-bits
# p=2+\big\lfloor\log_2\max\{A^2,\,2cA\}\big\rfloor=O(\log NS)
# ```
#
# bits. Depth $L$ reaches all $k<2^{L-1}$.
# :::
#
# :::{prf:proposition} (the mask $j\le i$, several heads; ours as far as we found)
# :label: prop-hop-heads
#
# Let token $i$ see the tokens $j\le i$. The same holds with $\max\{1,\lceil\log_2N\rceil\}$ heads in the first layer, each with values of two coordinates, one head in every other, and $A=(4S-1)N$.
# :::
#
# :::{prf:proposition} (the mask $j\le i$, one head; weights ours as far as we found)
# :label: prop-hop-one-head
#
# Let token $i$ see the tokens $j\le i$. With one head in every layer, $m=2$ and values of at most three coordinates, depth $\lceil\log_2k\rceil+2$ is enough; depth $L$ reaches all $k\le2^{L-2}$. In {eq}`eq-hop-bits` only $A^2$ becomes $\max\{A,2N-1\}^2$.
# :::
#
# For powers of two this is the depth of the theorem, for other $k$ one layer more. Why not find the first pointer in layer 1 under this mask too, with one
# head? Because a token sees its own key, which is a key of its own symbol, and the latest one: it would find itself. To score it lower than all other keys of
# the symbol is expensive:
#
# :::{prf:proposition} (the own key; ours as far as we found)
# :label: prop-own-key
#
# Let a head's queries $u_1,\dots,u_N$ and keys $k_1,\dots,k_N$ for one symbol, in $m$ dimensions, be such that, whichever places hold the symbol, token $i$ has strictly the largest score, of all places $j\le i$ that hold it, at the last one before $i$ (if there is one). If all entries are integers below $2^{p-1}$ in size, times one power of two for queries and one for keys, then
#
# ```{math}
# :label: eq-own-key
# N-1\;\le\;m\,\big(4p-2+\log_2(mN)\big)\qquad\text{and}\qquad mp\;\ge\;\frac{N-2}9 .
# ```
# :::
#
# So $mp=\Omega(N)$ for all $m$ and $p$, while $m=2$ and $p=O(\log N)$ are enough under the strict mask. The bound is right up to a constant: $u_i=(2i-1,-2)$
# and $k_j=4^j(1,j)$ do it with $m=2$ and $p=2N+O(\log N)$.
#
# ## The idea: pointers one layer ahead of symbols
#
# Let $k=5=1+4$, under the strict mask. After layer 1 each token has its pointer, one hop on, and its own symbol. In layer 2 it fetches from there the symbol
# one hop on, and a pointer two hops on. In layer 3 it fetches a pointer four hops on, and keeps its symbol. In layer 4 it fetches the symbol that the token
# four hops on has by then, which is one hop further on: five hops in all.
#
# :::{prf:lemma} (doubling)
# :label: lem-hop-doubling
#
# Let each token $i$ keep a pointer $\operatorname{find}^h(i)$ and the symbol $X_{\operatorname{find}^g(i)}$, $h\ge1$, $g\ge0$. One more layer of one head, $m=2$ and values of two coordinates gives it, under either mask, the pointer $\operatorname{find}^{2h}(i)$ and, as one wants, $X_{\operatorname{find}^g(i)}$ or $X_{\operatorname{find}^{g+h}(i)}$.
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# Token $i$ asks for the address $P=\operatorname{find}^h(i)$ among places, and reads $P$'s pointer $\operatorname{find}^h(P)=\operatorname{find}^{2h}(i)$ and symbol $X_{\operatorname{find}^g(P)}=X_{\operatorname{find}^{g+h}(i)}$; $\delta=1$ in {prf:ref}`lem-fetch`. It sees $P$ if $P<i$. If $P=0$, the new pointer is 0 and the symbol "none", whatever is read.
# If $P=i$, then $\operatorname{find}(i)=i$, as hops never lead to later places; so both numbers stay as they are, whatever is read. $\blacksquare$
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# {prf:ref}`prop-hop-strict`. *Layer 1.* Token $j$ has the address $KX_j+j$, $K=2N$, and the values $(X_j,j)$; token $i$ asks at $KX_i+i$. By {prf:ref}`lem-last-place`, for the places $1,\dots,i-1$ that it sees, it reads the last earlier place of its own symbol, or some token of another symbol, and the symbol read tells which.
# In the first case $\operatorname{find}(i)$ is the next place, in the second it is 0. (Token 1 reads itself, and knows that this is no earlier place.) So after layer 1 the pointer is $\operatorname{find}^1(i)$, and the symbol $X_i$, with $g=0$.
#
# *Layers $l\ge2$* double: before layer $l$ we have $h=2^{l-2}$, so that bit $l-2$ of $k$ decides whether the symbol follows. After layer $L$ it is $X$ at $\operatorname{find}^g(i)$ where $g$ has the lowest $L-1$ bits of $k$: that is $k$ if $k<2^{L-1}$.
#
# *Bits.* Addresses and targets are at most $K(S-1)+N=A$, keys $(a,a^2)$ and queries $c(2t,-1)$, values at most $\max\{N,S-1\}\le A$ in size. $\blacksquare$
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# {prf:ref}`prop-hop-heads`. Head $b$ has for symbols the pairs of $X_j$ and digit $b$ of $j-1$, written $2X_j+\beta_b(j)$, and token $i$ asks for $2X_i+1-\beta_b(i)$. Its own key has another pair, so that {prf:ref}`lem-last-place` gives the last place of the symbol $X_i$ whose digit $b$ differs from its own, if there is one. Any earlier place
# differs from $i$ in some of the $\lceil\log_2N\rceil$ digits. So the largest of all places read that hold $X_i$ and are below $i$ is the last earlier one. The rest is the same, with twice as many blocks of addresses. $\blacksquare$
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# {prf:ref}`prop-hop-one-head`. Layers 1 and 2 are those of {prf:ref}`prop-induction-two-layers`, with the place as a third value: after them the pointer is $\operatorname{find}^1(i)$, and the symbol $X_{\operatorname{find}^1(i)}$, $g=1$. Before layer $l\ge3$ we have $h=2^{l-3}$, and bit $l-3$ of $k-1$ decides. After layer $L$ we have $g=1+(k-1)=k$ if $k-1<2^{L-2}$. $\blacksquare$
# :::
#
# :::{prf:proof}
# :class: dropdown
#
# {prf:ref}`prop-own-key`. Powers of two change no order, so let all entries be integers. Let $e_j=k_{j+1}-k_j$. For $j\le i-2$ let $j$, $j+1$ and $i$ hold the symbol: $D_j=u_i\cdot e_j\ge1$. Let 1 and $i$ hold it: $u_i\cdot(k_i-k_1)\le-1$. So $u_i\cdot e_{i-1}\le-1-\sum_{j\le i-2}D_j$.
#
# Let $\lambda=\frac1{m4^{p-1}}$ and $G_n=\lambda I+\sum_{j\le n}e_je_j^{\mathsf T}$. As $\abs{u_i}^2\le m4^{p-1}$,
#
# $$u_i^{\mathsf T}G_{i-2}\,u_i\;\le\;1+\sum_{j\le i-2}D_j^2\;\le\;\Big(1+\sum_{j\le i-2}D_j\Big)^2\;\le\;(u_i\cdot e_{i-1})^2 .$$
#
# By the inequality of Cauchy and Schwarz $(u_i\cdot e_{i-1})^2\le(u_i^{\mathsf T}G_{i-2}u_i)(e_{i-1}^{\mathsf T}G_{i-2}^{-1}e_{i-1})$, so the last factor is at least 1, and
# $\det G_{i-1}=\det G_{i-2}\,(1+e_{i-1}^{\mathsf T}G_{i-2}^{-1}e_{i-1})\ge2\det G_{i-2}$ for $i=2,\dots,N$: **with each token the determinant doubles.** Entries of $e_j$ are below $2^p$, so the mean of the eigenvalues of $G_{N-1}$ is at most $\lambda+(N-1)4^p\le N4^p$, and
#
# $$2^{N-1}\Big(\frac1{m4^{p-1}}\Big)^m\;\le\;\det G_{N-1}\;\le\;(N4^p)^m .$$
#
# *Without the logarithm.* There are $i-2$ numbers $D_j\ge1$, so that $\big(1+\sum D_j\big)^2-\sum D_j^2=1+2\sum D_j+\sum_{j\ne l}D_jD_l\ge1+2(i-2)+(i-2)(i-3)>(i-2)^2$. For $1\le s\le i-2$ the inequalities above therefore hold with $\lambda=\frac{s^2}{m4^{p-1}}$ too, and
# $s^2$ in place of the first 1: the determinant doubles for $i=s+2,\dots,N$, and $2^{N-1-s}\lambda^m\le\big(\lambda+(N-1)4^p\big)^m$. If $m\ge N$ or $N\le2$, the second inequality is clear. If not, take $s=\lfloor\frac N2\rfloor$. As $s^2\ge\frac{(N-1)^2}4$,
#
# $$\frac{N-2}2\;\le\;N-1-s\;\le\;m\log_2\Big(1+\frac{m(N-1)4^{2p-1}}{s^2}\Big)\;\le\;m\log_2(1+16^p)\;\le\;\frac92\,mp .$$
#
# *The example.* $u_i\cdot k_j=4^j(2i-1-2j)$; with $d=i-j$ it is $4^i(2d-1)/4^d$, which falls from $d=1$ on, and for $d=0$ it is $-4^i<0$. $\blacksquare$
# :::
#
# **An index, as printed.** In the copy of the paper that we read, the proof of the theorem has the pointer $\operatorname{find}^1$ after two layers, as in {prf:ref}`prop-hop-one-head`, and lets layer $\ell+1$ add $2^{\ell-2}$ hops for the digit $k_{\ell-1}$ of $k=\sum_jk_j2^j$, whose weight is $2^{\ell-1}$.
# Carried out literally that makes $k_0+\sum_{j\ge1}k_j2^{j-1}=\lceil\frac k2\rceil$ hops. It is a small slip, which a later version may have mended. With the digits of $k-1$ the argument is right, at depth $\lceil\log_2k\rceil+2$; the depth of the theorem is attained by {prf:ref}`prop-hop-strict` and {prf:ref}`prop-hop-heads`. Whether one head attains it under $j\le i$ when $k$ is no power of two, we don't know.
# (A lemma of that proof asks for the last $i'<i$, where its own proof, and the definition of the task, take $i'\le i$: the own note counts, the own symbol doesn't.)
#
# ## Parameters

# %% tags=["parameters"]
largest_inputs: int = 1000  # all S^N strings are run up to so many
hop_grid: list[int] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15]  # k on these strings
long_tokens: int = 1024  # N of the long string
long_symbols: int = 3  # S of it
long_hops: int = 255  # k on it
chain_tokens: int = 513  # N of the chains
chain_hops: int = 200  # k on the chains
compared_hops: int = 48  # k, where kinds of strings are compared
depth_hops: int = 64  # depths are counted up to this k
own_tokens: int = 64  # N, up to which heads that exclude themselves are built
seed: int = 0  # of every random draw on this page

# %% tags=["facts", "hide-input"]
from attention_limits.hypotheses import distinct, ranges, require, usual_ranges

quick = {
    "largest_inputs": 200,
    "hop_grid": [1, 2, 3, 6],
    "long_tokens": 128,
    "long_hops": 31,
    "chain_tokens": 129,
    "chain_hops": 50,
    "compared_hops": 24,
    "own_tokens": 24,
}

usual_ranges()
ranges(
    largest_inputs=(50, 10**5),
    hop_grid=1,
    long_tokens=(16, 1024, "each head holds N² weights"),
    long_symbols=(2, 10**4, "scores exact in float64"),
    long_hops=1,
    chain_tokens=(33, 1025, "each head holds N² weights"),
    chain_hops=2,
    compared_hops=2,
    depth_hops=(8, 512),
    own_tokens=(8, 256, "numbers of 2N bits"),
)
distinct("hop_grid")
require(
    chain_tokens % 2 == 1,
    f"chain_tokens must be odd, so that the last token starts, got {chain_tokens}",
)
for name, hops in (("chain_hops", chain_hops), ("compared_hops", compared_hops)):
    require(
        hops <= chain_tokens // 2,
        f"{name} k must be at most {chain_tokens // 2} for N = {chain_tokens} (hops lead two places back), got {hops}",
    )

# %% [markdown]
# ## The constructions, run
#
# `StrictMaskHops`, `ManyHeadHops` and `OneHeadHops` are the three propositions, made of real softmax layers under their masks. They are run on all strings of many small lengths and alphabets, on a long random string, and on long chains.

# %% tags=["hide-input"]
import pandas as pd
import torch

from attention_limits.bounds.own_key import (
    bound_holds,
    entry_bits,
    excludes_itself,
    exponential_head,
    least_bits_allowed,
    least_growth,
    parabola_head,
)
from attention_limits.companion.claims import claim, observed
from attention_limits.constructions.induction import READING_ERROR
from attention_limits.constructions.k_hop import (
    ManyHeadHops,
    OneHeadHops,
    StrictMaskHops,
    hop_bits,
    one_head_depth,
    printed_hops,
    strict_depth,
)
from attention_limits.models.attention import causal_mask
from attention_limits.problems.induction import NONE, Hops

torch.set_num_threads(1)  # exact checks on the CPU, most of them small
generator = torch.Generator().manual_seed(seed)


# %% tags=["hide-input"]
#: Each construction with its depth and what its count of bits needs to know.
CONSTRUCTIONS = {
    "strict mask, one head": (StrictMaskHops, strict_depth, {}),
    "j ≤ i, many heads": (ManyHeadHops, strict_depth, {"kinds": 2}),
    "j ≤ i, one head": (OneHeadHops, one_head_depth, {"notes": True}),
}


def wrong_answers(model, inputs):
    """Wrong labels of a construction on some strings."""
    return int((model.answers(inputs) != model.problem.target(inputs)).sum())


sizes = [(n, s) for n in range(1, 11) for s in range(1, 9) if s**n <= largest_inputs]
tried = dict.fromkeys(CONSTRUCTIONS, 0)
wrong = dict(tried)
miscounted, too_large, reading_error = 0, 0, 0.0
for num_tokens, num_symbols in sizes:
    inputs = Hops(num_tokens, num_symbols, 1).all_inputs()
    for num_hops in hop_grid:
        problem = Hops(num_tokens, num_symbols, num_hops)
        for name, (construction, depth, kind) in CONSTRUCTIONS.items():
            model = construction(problem)
            tried[name] += inputs.numel()
            wrong[name] += wrong_answers(model, inputs)
            heads = max(1, (num_tokens - 1).bit_length()) if construction is ManyHeadHops else 1
            shape = (model.depth, model.num_heads, model.embed_dim)
            too_large += shape != (depth(num_hops), heads, 2)
            if num_hops == max(hop_grid):
                reading_error = max(reading_error, model.reading_error(inputs))
                counted = max(
                    form.bits for form in model.formats(model.registers(inputs), model.mask)
                )
                miscounted += counted > hop_bits(num_tokens, num_symbols, **kind)

long = Hops(long_tokens, long_symbols, long_hops)
chain = Hops(chain_tokens, chain_tokens // 2 + 1, chain_hops)
long_input = long.sample_moving(1, generator=generator)
chain_inputs = chain.sample_chains(2, generator=generator)
rows = []
for name, (construction, _, kind) in CONSTRUCTIONS.items():
    for title, problem, inputs in (("random", long, long_input), ("chain", chain, chain_inputs)):
        model = construction(problem)
        rows.append(
            {
                "construction": name,
                "string": title,
                "N": problem.num_tokens,
                "S": problem.num_symbols,
                "k": problem.num_hops,
                "depth": model.depth,
                "heads": model.num_heads,
                "p": hop_bits(problem.num_tokens, problem.num_symbols, **kind),
                "wrong": wrong_answers(model, inputs),
            }
        )
long_runs = pd.DataFrame(rows)
# Every largest entry occurs where the largest symbol stands everywhere.
strict_model = StrictMaskHops(long)
extreme = strict_model.registers(torch.full((1, long_tokens), long_symbols - 1))
long_bits = max(form.bits for form in strict_model.formats(extreme, strict_model.mask))
figures.table(
    pd.DataFrame({"answers": tried, "wrong": wrong}),
    "{:,}",
    "All strings of small lengths and alphabets",
)
figures.table(long_runs, {"N": "{:,}"}, "Long strings", index=False)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-hop-attention", "caption": "The attention of StrictMaskHops on abcabcabc… (N = 40, k = 31), where each hop leads two places back: queries downwards, keys across. Layer 1 finds the same symbol three places before. Then the line of bright cells moves away from the diagonal, twice as far in each layer: 2, 4, 8, 16, 32 places. Tokens whose pointer has left the string look at the first token, and ignore it."}, "image": {"alt": "Six square maps of forty rows and columns. Each has a bright line parallel to the diagonal, three places to its left in layer 1, then two, four, eight, sixteen and thirty-two; rows that the line does not reach have their bright cell in the first column."}}
period = Hops(40, 3, 31)
model = StrictMaskHops(period)
repeated = torch.arange(40).unsqueeze(0) % 3
maps = model.attend(model.registers(repeated), model.mask).attention
fig, panels = plt.subplots(3, 2, figsize=(5.6, 8.4))
for layer, panel in enumerate(panels.flat):
    panel.imshow(maps[layer][0, 0], cmap=figures.SEQUENTIAL, vmin=0, vmax=1)
    panel.set(title=f"layer {layer + 1}", xlabel="key", ylabel="query", xticks=[], yticks=[])
    panel.grid(visible=False)
plt.show()

# %% [markdown]
# ### Depth
#
# {numref}`fig-hop-depth` has the depths of the constructions as they are built, for each $k$, and those of one hop a layer. The paper's experiments are about
# depth, too: it reports that trained models of 4, 5 and 6 layers do well up to $k=4$, 8 and 16 (16 is the largest $k$ there). That is $2^{L-2}$, as for one
# head under $j\le i$ here, while the paper itself puts the threshold at $L=\lfloor\log_2k\rfloor+2$; but what is learned and what weights can do are two
# questions.

# %% tags=["hide-input"]
hop_range = range(1, depth_hops + 1)
depths = pd.DataFrame(
    {
        name: [construction(Hops(2, 2, k)).depth for k in hop_range]
        for name, (construction, _, _) in CONSTRUCTIONS.items()
    },
    index=pd.Index(hop_range, name="k"),
)
printed_right = [k for k in hop_range if printed_hops(k) == k]
floor_log = [k.bit_length() - 1 for k in hop_range]
ceiling_log = [(k - 1).bit_length() for k in hop_range]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-hop-depth", "caption": "Layers against k. Blue: the strict mask, or many heads in layer 1. Orange: one head under j ≤ i, one layer more unless k is a power of two. Dashed: one hop a layer."}, "image": {"alt": "Two staircases rise from two to eight layers as k goes from 1 to 64. The orange one goes up just after each power of two, the blue one at it. A dashed line leaves the picture at once."}}
fig, axes = plt.subplots(figsize=(6, 4.6))
marks = {"marker": ".", "linestyle": "none"}
axes.plot(depths.index, depths.index + 1, **figures.REFERENCE, label="a hop a layer")
label = r"$j\leq i$, one head: $\lceil\log_2k\rceil+2$"
axes.plot(depths["j ≤ i, one head"], color=figures.ORANGE, markersize=9, label=label, **marks)
label = r"$j<i$, or many heads in layer 1: $\lfloor\log_2k\rfloor+2$"
axes.plot(depths["strict mask, one head"], color=figures.BLUE, label=label, **marks)
axes.set(xlabel="$k$", ylabel="layers", ylim=(1.5, depths.to_numpy().max() + 0.5))
fig.legend(loc="outside upper center")
plt.show()

# %% [markdown]
# ### Hard inputs
#
# Which strings test the layers? In a uniform string, whose symbols are drawn at random, a hop leads about $S$ places back. With many symbols few tokens find
# anything after $k$ hops, and "none" is right whatever one does. With few symbols a wrong number of hops gives the right answer by chance, about one time in
# $S$. A chain has many symbols and short hops. (A token with $X_{i-1}=X_i$ stands still, and in a uniform string that is one in $S$. No other token ever
# stands still, as its hops lead to tokens that differ from the ones before them.) We leave out the last layer and count the tokens whose answer is then
# wrong.

# %% tags=["hide-input"]
half = chain_tokens // 2 + 1
compared = []
for title, num_symbols, draw in (
    ("uniform, two symbols", 2, "sample"),
    ("uniform, four symbols", 4, "sample"),
    (f"uniform, {half} symbols", half, "sample"),
    ("no equal neighbours, four symbols", 4, "sample_moving"),
    (f"chain, {half} symbols", half, "sample_chains"),
):
    problem = Hops(chain_tokens, num_symbols, compared_hops)
    inputs = getattr(problem, draw)(4, generator=generator)
    targets = problem.target(inputs)
    shallow = StrictMaskHops(problem)
    shallow.steps = shallow.steps[:-1]
    compared.append(
        {
            "strings": title,
            "answer is a symbol": (targets != NONE).double().mean().item(),
            "wrong without the last layer": (shallow.answers(inputs) != targets)
            .double()
            .mean()
            .item(),
        }
    )
compared = pd.DataFrame(compared)
figures.table(
    compared,
    dict.fromkeys(compared.columns[1:], "{:.2f}"),
    f"Four strings of each kind, N = {chain_tokens}, k = {compared_hops}: shares of all tokens",
    index=False,
)
noticed = dict(zip(["two", "four", "many", "moving", "chain"], compared.iloc[:, 2], strict=True))

# %% [markdown]
# ### The own key
#
# Two heads, in integers: the parabola of the strict mask, which is confused by its own key, and the exponential head of the example above, which is not. For
# the second we compute the determinants of the proof as fractions.

# %% tags=["hide-input"]
own_grid = np.unique(np.geomspace(2, own_tokens, 12).astype(int)).tolist()
own = []
for n in own_grid:
    queries, keys = exponential_head(n)
    bits = entry_bits(queries, keys)
    own.append(
        {
            "N": n,
            "exponential, p": bits,
            "p at least": least_bits_allowed(n, 2),
            "parabola, p": entry_bits(*parabola_head(n)),
            "excludes itself": excludes_itself(queries, keys),
            "parabola excludes itself": excludes_itself(*parabola_head(n)),
            "det grows by": float(least_growth(keys, bits)),
            "bound holds": bound_holds(n, 2, bits),
        }
    )
own = pd.DataFrame(own)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-hop-own-key", "caption": "Bits of one head that finds the last earlier place of its symbol, m = 2. Orange: exponential keys, which score the own key lowest. Grey: below this line no head of m = 2 can do it if it sees itself, by the bound. Blue: the parabola, under the strict mask."}, "image": {"alt": "A log-log plot against N. Orange markers rise in proportion to N, to about 136 at N equal to 64. A grey line rises in parallel far below, to 7. Blue markers rise slowly, to 14, and are crossed by the grey line's extension beyond N equal to 128."}}
fig, axes = plt.subplots(figsize=(6, 4))
axes.loglog(
    own["N"],
    own["exponential, p"],
    "o-",
    color=figures.ORANGE,
    label="exponential keys, $j\\leq i$",
)
axes.loglog(own["N"], own["parabola, p"], "o-", color=figures.BLUE, label="parabola, $j<i$")
wide_grid = np.unique(np.geomspace(2, 4096, 40).astype(int))
axes.loglog(
    wide_grid,
    [least_bits_allowed(int(n), 2) for n in wide_grid],
    color=figures.GREY,
    label="needed if $j\\leq i$",
)
axes.loglog(
    wide_grid,
    [entry_bits([(2 * int(n), 1)], [(int(n), int(n) ** 2)]) for n in wide_grid],
    ":",
    color=figures.BLUE,
)
axes.set(xlabel="$N$", ylabel="bits $p$")
axes.legend()
plt.show()

# %% [markdown]
# ### What breaks
#
# The weights of the strict mask under $j\le i$; one head of the many left out; a scale that is too small; and the construction without its last layer, on chains, for every $k$.

# %% tags=["hide-input"]
small = Hops(6, 3, 3)
inputs = small.all_inputs()
seen = StrictMaskHops(small)
seen.mask = causal_mask(small.num_tokens)
seen_wrong = wrong_answers(seen, inputs)
fewer = ManyHeadHops(small)
first = fewer.steps[0]
ask, keep = first.ask, first.keep
# Head 0 asks for what head 1 asks for.
fewer.steps = (
    first._replace(ask=lambda registers: [ask(registers)[1], *ask(registers)[1:]]),
    *fewer.steps[1:],
)
fewer_wrong = wrong_answers(fewer, inputs)
flat_wrong = wrong_answers(StrictMaskHops(small, scale=StrictMaskHops(small).scale / 16), inputs)
unnoticed = 0
for num_hops in range(1, chain_hops + 1, 7):
    problem = Hops(chain_tokens, chain_tokens // 2 + 1, num_hops)
    short = StrictMaskHops(problem)
    short.steps = short.steps[:-1]
    chosen = chain_inputs[:1]
    unnoticed += bool(short.answers(chosen)[0, -1] == problem.target(chosen)[0, -1])

# %% [markdown]
# ## Checks

# %% tags=["hide-input"]
# fmt: off
paper_example = Hops(12, 5, 2)
paper_string = torch.tensor([["abcde".index(letter) for letter in "baebcabebdea"]])
for short_name, name in (("strict", "strict mask, one head"), ("many", "j ≤ i, many heads"), ("one", "j ≤ i, one head")):
    claim(f"hop.{short_name}-all", wrong[name], "==", 0,
        statement=f"All answers are right ({name}): no exception on all strings of small sizes, {tried[name]:,} answers.")
    claim(f"hop.{short_name}-long", int(long_runs.loc[long_runs["construction"] == name, "wrong"].sum()), "==", 0,
        statement=f"All answers are right ({name}): no exception on a random string of {long_tokens:,} tokens, "
        f"k = {long_hops}, and on chains, k = {chain_hops}.")
claim("hop.sizes", too_large, "==", 0,
    statement="Depth, heads of the widest layer and m are those of the propositions: no exception among the "
    "constructions.")
claim("hop.depth-strict", int((depths["strict mask, one head"] != 2 + np.array(floor_log)).sum()
    + (depths["j ≤ i, many heads"] != 2 + np.array(floor_log)).sum()), "==", 0,
    statement=rf"Two of the depths are the theorem's $\lfloor\log_2k\rfloor+2$: no exception for k ≤ {depth_hops}.")
claim("hop.depth-one-head", int((depths["j ≤ i, one head"] != 2 + np.array(ceiling_log)).sum()), "==", 0,
    statement=rf"The third depth is $\lceil\log_2k\rceil+2$: no exception for k ≤ {depth_hops}.")
claim("hop.bits", miscounted, "==", 0,
    statement="The propositions' p bits hold every query, key and value exactly: no exception among the sizes.")
claim("hop.long-bits", long_bits, "==", hop_bits(long_tokens, long_symbols),
    statement=f"At N = {long_tokens:,}, S = {long_symbols}, strict mask, the format that holds all queries, keys and "
    "values exactly has the proposition's p bits.")
claim("hop.reading", reading_error, "<=", READING_ERROR,
    statement="Every output is near an integer before it is rounded: the largest distance.")
claim("hop.example", "abcde"[int(paper_example.target(paper_string)[0, -1])] == "c", "==", True, source="P",
    statement="Two hops on baebcabebdea lead to c, as in the cited paper.")
claim("hop.as-printed", printed_right == [1], "==", True,
    statement=f"Of all k ≤ {depth_hops} the recursion makes k hops, as printed in the copy we read, for k = 1 only.")
claim("hop.own-key-order", int((~own["excludes itself"]).sum()), "==", 0,
    statement="The exponential head scores its own key lowest and the others in order: no exception among the "
    "lengths.")
claim("hop.own-key-determinant", own["det grows by"].min(), ">=", 2.0,
    statement="The determinant of the proof at least doubles with each token: the least factor, over these heads.")
claim("hop.own-key-bound", int((~own["bound holds"]).sum()), "==", 0,
    statement="The exponential head has at least as many bits as both bounds ask for: no exception among the lengths.")
claim("hop.strict-below-bound", entry_bits(*parabola_head(1024)), "<", least_bits_allowed(1024, 2),
    statement="At N = 1,024 the head for the strict mask has fewer bits than any head needs that sees itself, m = 2.")
observed("hop.parabola-own-key", int(own["parabola excludes itself"].sum()), "==", 0,
    statement="The parabola doesn't exclude its own key: no exception among the lengths N ≥ 2.")
observed("hop.mask-needed", seen_wrong, ">=", 100,
    statement="Under j ≤ i the strict mask's weights give many wrong answers, N = 6, S = 3, k = 3, of "
    f"{inputs.numel():,}.")
observed("hop.heads-needed", fewer_wrong, ">=", 1,
    statement="If one of the many heads asks what another asks, some answers are wrong, on the same strings.")
observed("hop.scale-needed", flat_wrong, ">=", 1,
    statement="With a sixteenth of the scale c some answers are wrong, on the same strings.")
observed("hop.layers-needed", unnoticed, "==", 0,
    statement=f"Without the last layer the last token of a chain of {chain_tokens} is wrong: no exception among k = "
    "1, 8, 15, …")
observed("hop.chains-notice", noticed["chain"], ">=", 0.25,
    statement=f"Without the last layer a good share of the tokens of chains is wrong, k = {compared_hops}.")
observed("hop.many-symbols-hide", noticed["many"], "<=", 0.05,
    statement="Of uniform strings over as many symbols few tokens are then wrong: the share.")
# fmt: on

# %% [markdown]
# ## What this does not show
#
# * *That fewer layers are impossible.* That is known if the conjecture of the cited corollary holds; we only say what our constructions reach.
# * *That one head needs $\lceil\log_2k\rceil+2$ layers under $j\le i$.* {prf:ref}`prop-own-key` is about one way to find the first pointer in layer 1: by the largest score, in one head. A layer may bring the same in some other way.
# * *That models learn these pointers.* The paper looks into trained models and finds attention that matches $\operatorname{find}^j$; we train none.
# * *That all inputs are tested.* All small strings are, and of the long ones those that we thought hard.
#
# ## Exercises
#
# :::{exercise}
# :label: ex-hop-few-symbols
#
# A chain needs many symbols. Find strings over $S$ symbols in which every hop leads $S-1$ places back. What can a wrong number of hops hide behind?
# :::
#
# :::{solution} ex-hop-few-symbols
# :class: dropdown
#
# Repeat $0,1,\dots,S-1$, as in {numref}`fig-hop-attention`: the symbol of $i$ was last seen $S$ places before, so that $\operatorname{find}(i)=i-S+1$, and each hop adds 1 to the symbol modulo $S$. The answer tells the number of hops modulo $S$ only, up to the beginning of the string.
# :::
#
# :::{exercise}
# :label: ex-hop-content
#
# Under $j\le i$, let a later layer look for the last note $X_{j-1}=s$ at a place $j\le a$, where $a<i$ is known from before: that would put one hop more into each layer. Why does {prf:ref}`prop-own-key` speak against it?
# :::
#
# :::{solution} ex-hop-content
# :class: dropdown
#
# The token sees notes $s$ at the places $a+1,\dots,i$ too, and has to score them lower than all up to $a$, among which scores grow. With $u_a$ for the query, $u_a\cdot e_j\ge1$ for $j<a$ and $u_a\cdot(k_{a+1}-k_1)\le-1$: the same inequalities, so again $mp=\Omega(N)$ for one head that decides by the largest score.
# :::
#
# :::{exercise}
# :label: ex-hop-all
#
# Each token is given a $k$ of its own, up to $2^{L-1}-1$. What changes in {prf:ref}`prop-hop-strict`?
# :::
#
# :::{solution} ex-hop-all
# :class: dropdown
#
# What a token reads there is another token's symbol, which followed the digits of *that* token's $k$. So let each token keep the place $a$ where it has arrived, at first its own, and use two heads: one doubles its pointer, the other asks the token at $a$ for its pointer, and moves $a$ there if the digit is 1. Before layer $l$ these pointers make $2^{l-2}$ hops. One more layer reads the symbol at $a$.
# :::
#
# :::{exercise}
# :label: ex-hop-radix
#
# Three heads a layer could fetch from three tokens. Would pointers grow by a factor of 4 in each layer, and halve the depth?
# :::
#
# :::{solution} ex-hop-radix
# :class: dropdown
#
# No. A token can ask the tokens that it knows, up to $h$ hops away, and these know what is up to $h$ hops away from them: that is $2h$ together, however many it asks. To go further in one layer a token would have to find others in another way than by a place that it knows.
# :::
#
# ## Reference
#
# The task, the theorem, its idea of doubling pointers and the corollaries are from {cite}`sanford2024parallel`; we have read these statements and the proof. Doubling pointers is a classic of parallel computation. The paper says that its first two layers follow {cite}`bietti2023birth`. The weights, scales and bits, the version for the strict mask with the symbol one layer behind, that with many heads, the bound on the own key, and all measurements are ours, as far as we found.
