"""The book's one style of figures, tables and text: colour-blind safe, and legible in light and dark mode.

Figures lie on the page's own ground; in dark mode the book's style sheet turns their light and dark round.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown, display
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib_inline.backend_inline import set_matplotlib_formats

#: Okabe and Ito's colours, told apart with every common colour vision deficiency and in print.
BLUE, ORANGE, GREEN, PINK, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#595959"
#: Between green and pink, where a colour is wanted for each of many values.
OLIVE = "#9A8A00"
#: A sequential map whose lightness runs one way.
SEQUENTIAL = "cividis"
#: How a line looks that others are compared with.
REFERENCE: dict[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 1}
#: What stands in a table where there is no number.
MISSING = "–"


def use_style() -> None:
    """Set the style for all figures that follow, as SVG where a notebook shows them."""
    mpl.rcdefaults()  # whatever a reader's own settings are
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=[BLUE, ORANGE, GREEN, PINK, SKY, GREY],
        rc={
            "figure.figsize": (6.4, 3.6),
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


def shades(values: Iterable[Any]) -> dict[Any, str]:
    """A colour for each of a few ordered values, from blue over green and olive to pink.

    They are of middle lightness: dots and words in them are seen on a light ground and on a dark one.
    """
    names = list(values)
    hues = LinearSegmentedColormap.from_list("shades", [BLUE, GREEN, OLIVE, PINK])
    return dict(zip(names, map(to_hex, hues(np.linspace(0, 1, len(names)))), strict=True))


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


def learning_curves(trials: pd.DataFrame) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "seeds points"]]:
    """Learning curves of trials of as many steps, for `band`: the middle step of each stretch, a row of errors a trial.

    Args:
        trials: a row each, with ``num_steps`` and ``curve``, the means over stretches of equal length.

    Raises:
        ValueError: for trials of different lengths.
    """
    lengths = trials["num_steps"].unique()
    if len(lengths) != 1:
        raise ValueError(f"curves of as many steps are needed, got {sorted(lengths)}")
    errors = np.stack(trials["curve"].map(np.asarray).to_list())
    points = errors.shape[1]
    return (np.arange(points) + 0.5) * lengths[0] / points, errors


def reference_line(axes: Axes, height: float, name: str = "") -> None:
    """A grey dashed line across at ``height``, its name above its right end."""
    axes.axhline(height, **REFERENCE)
    if name:
        axes.annotate(name, (1, height), xycoords=("axes fraction", "data"), color=GREY, ha="right", va="bottom")


def prose(text: str) -> None:
    """Show a Markdown text, whose numbers are those of the run."""
    display(Markdown(text))


def table(
    frame: pd.DataFrame, formats: str | Mapping[Any, str] | None = None, caption: str = "", *, index: bool = True
) -> None:
    """Show a table; `MISSING` stands for nan.

    Args:
        frame: its rows.
        formats: of all cells, or by column; pandas' own for the others.
        caption: stands above it.
        index: whether the index is shown.
    """
    style = frame.style.format(formats, na_rep=MISSING)
    if caption:
        style = style.set_caption(caption)
    display(style if index else style.hide(axis="index"))
