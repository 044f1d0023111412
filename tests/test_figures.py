"""The plotting style, and what the figures draw."""

import io
import itertools
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from IPython.display import Markdown
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


def test_shades_of_ordered_values_are_seen_on_light_and_on_dark_ground() -> None:
    shades = figures.shades(f"q = {count}" for count in range(12))
    assert list(shades) == [f"q = {count}" for count in range(12)]
    assert len(set(shades.values())) == 12
    white, night = 1.05, luminance(to_rgb("#121212")) + 0.05
    for shade in shades.values():
        # In dark mode the style sheet turns lightness round: what is as dark as this becomes as light.
        light = luminance(to_rgb(shade)) + 0.05
        assert white / light > 2.5
        assert light / night > 2.5
    assert figures.shades([7]) == {7: figures.BLUE.lower()}
    assert figures.shades([]) == {}


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


def test_curves_are_placed_at_the_middle_of_their_stretches() -> None:
    frame = pd.DataFrame({"num_steps": [100, 100], "curve": [[1.0, 0.5], [0.9, 0.3]]})
    steps, errors = figures.learning_curves(frame)
    assert steps.tolist() == [25, 75]
    assert errors.tolist() == [[1.0, 0.5], [0.9, 0.3]]


def test_curves_of_different_lengths_are_refused() -> None:
    frame = pd.DataFrame({"num_steps": [100, 200], "curve": [[1.0], [0.9]]})
    with pytest.raises(ValueError, match=r"as many steps are needed, got \[.*100.*200.*\]"):
        figures.learning_curves(frame)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_reference_line_runs_across_with_its_name_above_its_right_end(axes: Axes, scale: str) -> None:
    axes.set(xscale=scale, yscale=scale, xlim=(1, 100), ylim=(0.01, 1))
    figures.reference_line(axes, 0.1, "a tenth")
    axes.figure.canvas.draw()
    (line,) = axes.get_lines()
    assert set(line.get_ydata()) == {0.1}
    assert (line.get_color(), line.get_linestyle(), line.get_linewidth()) == (figures.GREY, "--", 1)
    (name,) = axes.texts
    box, right = name.get_window_extent(), axes.transAxes.transform((1, 0))[0]
    level = axes.transData.transform((1, 0.1))[1]
    assert name.get_text() == "a tenth"
    assert box.x1 == pytest.approx(right, abs=1)
    assert level <= box.y0 <= level + 5


def test_a_reference_line_may_have_no_name(axes: Axes) -> None:
    figures.reference_line(axes, 0.5)
    assert len(axes.get_lines()) == 1
    assert len(axes.texts) == 0


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list:
    """What a page would show."""
    shown: list = []
    monkeypatch.setattr(figures, "display", shown.append)
    return shown


def test_a_table_shows_its_numbers_in_their_formats_and_a_dash_for_none(shown: list) -> None:
    frame = pd.DataFrame({"N": [1000, 2], "error": [0.25, np.nan], "name": ["a", "b"]}, index=["first", "second"])
    figures.table(frame, {"N": "{:,}", "error": "{:.1e}"}, "A caption")
    figures.table(frame[["N"]], "{:05d}", index=False)
    whole, bare = (style.to_html() for style in shown)
    assert "<caption>A caption</caption>" in whole
    for entry in ("1,000", "2.5e-01", "–", "first", "second"):
        assert f">{entry}<" in whole
    assert "nan" not in whole
    assert "<caption>" not in bare
    assert "first" not in bare
    assert ">01000<" in bare


def test_prose_is_markdown(shown: list) -> None:
    figures.prose("**bold**")
    (text,) = shown
    assert isinstance(text, Markdown)
    assert text.data == "**bold**"


def test_the_style_starts_from_the_defaults_whatever_a_reader_has_set() -> None:
    with mpl.rc_context({"image.origin": "lower", "font.family": ["cursive"], "lines.linewidth": 9}):
        figures.use_style()
        found = {name: mpl.rcParams[name] for name in ("image.origin", "font.family", "lines.linewidth")}
    with mpl.rc_context():
        mpl.rcdefaults()
        figures.use_style()
        assert found == {name: mpl.rcParams[name] for name in found}
        assert found["image.origin"] == "upper"
