"""The book's one plotting style: colour-blind safe, and legible in light and dark mode.

Figures are drawn on a white card of their own; the book's style sheet keeps the card in dark mode.
"""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import seaborn as sns
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib_inline.backend_inline import set_matplotlib_formats

#: Okabe and Ito's colours, told apart with every common colour vision deficiency and in print.
BLUE, ORANGE, GREEN, PINK, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#595959"
#: A sequential map whose lightness runs one way.
SEQUENTIAL = "cividis"


def use_style() -> None:
    """Set the style for all figures that follow, as SVG where a notebook shows them."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=[BLUE, ORANGE, GREEN, PINK, SKY, GREY],
        rc={
            "figure.figsize": (7.2, 3.6),
            "figure.dpi": 96,
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#e4e4e4",
            "axes.titlesize": "medium",
            "legend.frameon": False,
            "svg.hashsalt": "attention-limits",  # the same figure gives the same file
        },
    )
    set_matplotlib_formats("svg", facecolor="white", bbox_inches="tight")
    mpl.rcParams["svg.fonttype"] = "path"  # no font of the reader's machine enters


def attention_map(
    axes: Axes,
    attention: Float[np.ndarray, "tokens tokens"],
    pointers: Int[np.ndarray, "tokens sparsity"],
    title: str,
) -> None:
    """A heat map of an attention matrix, queries downwards and keys across, with a dot on each token asked for."""
    axes.imshow(attention, cmap=SEQUENTIAL, vmin=0, vmax=1 / pointers.shape[1], interpolation="nearest")
    rows = np.repeat(np.arange(len(pointers)), pointers.shape[1])
    axes.plot(pointers.ravel(), rows, "o", color=ORANGE, markersize=3.2, markeredgecolor="white", markeredgewidth=0.5)
    axes.set(title=title, xlabel="key j", xticks=[], yticks=[])
    axes.grid(visible=False)


def band(
    axes: Axes,
    x: Sequence[float] | np.ndarray,
    curves: Float[np.ndarray, "seeds points"],
    color: str,
    label: str,
) -> None:
    """The median of several curves with their whole range, least to largest, shaded."""
    axes.fill_between(x, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.25, linewidth=0)
    axes.plot(x, np.median(curves, axis=0), color=color, label=label)
