"""The plotting style, and what the figures draw."""

import io
import itertools
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from attention_limits import figures

COLOURS = [figures.BLUE, figures.ORANGE, figures.GREEN, figures.PINK, figures.SKY, figures.GREY]


@pytest.fixture
def axes() -> Iterator[Axes]:
    """Axes in the book's style, without a display."""
    with mpl.rc_context():
        mpl.use("Agg")
        figures.use_style()
        figure, axes = plt.subplots()
        yield axes
        plt.close(figure)


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance of an sRGB colour, as the WCAG define it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_style_cycles_through_the_named_colours(axes: Axes) -> None:
    assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == [to_rgb(colour) for colour in COLOURS]
    assert len(set(COLOURS)) == len(COLOURS)


def test_the_sequential_map_grows_lighter_all_along() -> None:
    shades = [luminance(tuple(colour[:3])) for colour in mpl.colormaps[figures.SEQUENTIAL](np.linspace(0, 1, 64))]
    assert all(dark < light for dark, light in itertools.pairwise(shades))


def test_the_same_figure_gives_the_same_file_with_text_as_paths(axes: Axes) -> None:
    axes.plot([0, 1], [1, 0], label="a line")
    axes.legend()
    files = []
    for _ in range(2):
        buffer = io.BytesIO()
        axes.figure.savefig(buffer, format="svg", metadata={"Date": None})
        files.append(buffer.getvalue())
    assert files[0] == files[1]
    assert b"<text" not in files[0]


def test_an_attention_map_shows_the_weights_and_a_dot_on_each_token_asked_for(axes: Axes) -> None:
    attention = np.array([[0.5, 0.5, 0.0], [0.1, 0.4, 0.5], [0.3, 0.3, 0.4]])
    pointers = np.array([[0, 1], [1, 2], [0, 2]])
    figures.attention_map(axes, attention, pointers, "a title")
    (image,) = axes.get_images()
    assert np.array_equal(image.get_array(), attention)
    assert image.get_clim() == (0, 0.5)  # 1/q, the weight that is asked for, is the lightest shade
    (dots,) = axes.get_lines()
    # Across is the key, down is the query.
    assert dots.get_xydata().tolist() == [[0, 0], [1, 0], [1, 1], [2, 1], [0, 2], [2, 2]]
    assert axes.get_title() == "a title"


def test_a_band_is_the_median_within_the_whole_range(axes: Axes) -> None:
    curves = np.array([[1.0, 5.0, 2.0], [2.0, 1.0, 9.0], [6.0, 3.0, 4.0]])
    figures.band(axes, [10, 20, 30], curves, figures.BLUE, "three seeds")
    (line,) = axes.get_lines()
    assert line.get_xydata().tolist() == [[10, 2], [20, 3], [30, 4]]
    assert line.get_label() == "three seeds"
    (area,) = axes.collections
    corners = {tuple(corner) for corner in area.get_paths()[0].vertices.tolist()}
    assert corners >= {(10, 1), (10, 6), (20, 1), (20, 5), (30, 2), (30, 9)}
