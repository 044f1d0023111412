"""The directive `{explorer}` and the pictures that it prints; tests/test_explorers.py tries them in a browser."""

import io
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from attention_limits.bounds.crossover import attention_bits, overtaking, recurrent_bits
from attention_limits.bounds.match3 import one_way_bits
from attention_limits.companion import explorers
from attention_limits.companion.explorers import averaging, drawing

SVG = "{http://www.w3.org/2000/svg}"
PAGE = """# A page

```{explorer} triples
Pairs and *triples* of $x$.
```
"""


def printed(folder: Path, **pages: str) -> tuple[dict[str, str], str]:
    """A book of these pages in HTML, and what Sphinx warned of."""
    source, warnings = folder / "source", io.StringIO()
    source.mkdir()
    for name, text in pages.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    (source / "conf.py").write_text(
        "extensions = ['myst_parser', 'attention_limits.companion.explorers']\n"
        "myst_enable_extensions = ['dollarmath']\nroot_doc = 'one'\n",
        encoding="utf-8",
    )
    html = folder / "html"
    with docutils_namespace():
        app = Sphinx(source, source, html, folder / "trees", "html", status=None, warning=warnings, freshenv=True)
        app.build()
    return {name: (html / f"{name}.html").read_text(encoding="utf-8") for name in pages}, warnings.getvalue()


def test_the_directive_prints_a_figure_with_picture_numbers_and_caption(tmp_path: Path) -> None:
    pages, warnings = printed(tmp_path, one=PAGE, two="---\norphan: true\n---\n\n# No explorer\n")
    assert warnings == ""
    figure = re.search(r'<figure class="explorer" id="explorer-triples".*?</figure>', pages["one"], flags=re.DOTALL)
    assert figure is not None
    assert figure[0].count("<svg") == 3
    assert figure[0].count("<dt>") == 6
    assert '<em>triples</em> of <span class="math' in figure[0].split("<figcaption>")[1]
    for script in ("explorers.js", "explorer-triples.js", "explorers.css"):
        assert f"_static/{script}" in pages["one"]
    assert pages["one"].index("explorers.js") < pages["one"].index("explorer-triples.js")
    assert "explorer-averaging.js" not in pages["one"]
    assert "_static/explorer" not in pages["two"]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("```{explorer} circles\nText.\n```\n", "there is no explorer 'circles'"),
        ("```{explorer} triples\n```\n", "Content block expected"),
    ],
)
def test_an_unknown_name_and_a_missing_caption_are_refused(tmp_path: Path, written: str, reason: str) -> None:
    _, warnings = printed(tmp_path, one=f"# A page\n\n{written}")
    assert reason in warnings


@pytest.mark.parametrize("name", explorers.EXPLORERS)
def test_each_panel_is_a_picture_that_says_what_it_shows(name: str) -> None:
    for width in explorers.EXPLORERS[name][2]:
        for written in explorers.picture(name, width)[0]:
            root = ElementTree.fromstring(written)
            assert root.tag == f"{SVG}svg"
            assert root.get("role") == "img"
            assert len(root.get("aria-label", "")) > 40
            assert float(root.get("width", "0")) == width
            assert not re.search(
                r"nan|inf",
                " ".join(value for one in root.iter() for value in one.attrib.values() if value[:1].isdigit()),
            )


def test_what_is_printed_is_the_packages() -> None:
    one, two, three = (dict(explorers.picture(name, 328)[1]) for name in explorers.EXPLORERS)
    assert 0 < float(one["margin γ"]) < 0.5  # there is something to try
    assert float(one["worst error ‖p − u‖₁"]) <= float(one["at most, by the margin"])
    assert two["bits needed, ⌈log₂ W⌉"] == str(one_way_bits(12, 60))
    settled = overtaking(lambda n: attention_bits(n, 4), recurrent_bits, 4, 10**6)[1]
    assert three["attention below N − 1 from"] == f"N = {settled:,}"


def test_without_a_margin_there_is_no_bound_and_the_picture_says_so() -> None:
    panels, numbers = averaging.picture(replace(averaging.Averaging(), embed_dim=8), 328)
    assert dict(numbers)["at most, by the margin"] == "no bound"
    assert "no margin: token" in unescape(panels[0])


def test_the_needed_k_is_where_the_margin_stays_one_half() -> None:
    assert averaging.needed_embed_dim([0.1, 0.6, 0.4, 0.5, 0.9]) == 4
    assert averaging.needed_embed_dim([0.5]) == 1
    assert averaging.needed_embed_dim([0.9, 0.4]) is None


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.00 %"), (0.0123, "1.23 %"), (5e-5, "0.01 %"), (1.3e-7, "about 10⁻⁷"), (0.0, "under 10⁻¹²")],
)
def test_percentages(share: float, text: str) -> None:
    assert drawing.percentage(share) == text


def test_draws_are_below_two_to_the_32_and_balanced() -> None:
    drawn = [drawing.draw(0, index) for index in range(10_000)]
    assert all(0 <= number < 2**32 for number in drawn)
    assert len(set(drawn)) > 9_990
    # Four standard deviations of the mean of uniform numbers.
    assert abs(sum(drawn) / 2**32 / len(drawn) - 0.5) < 4 / (12 * len(drawn)) ** 0.5
    assert drawing.draw(1, 0) != drawn[0]
