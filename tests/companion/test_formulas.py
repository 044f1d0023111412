"""Formulas written while the book is printed: what is drawn, what a screen reader is told, and what is refused."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sphinx.config import Config

from attention_limits.companion.formulas import Typesetter, macros_of, share_outlines


@pytest.fixture(scope="module")
def typesetter() -> Typesetter:
    """One with two macros."""
    return Typesetter({"R": r"\mathbb{R}", "abs": [r"\left|#1\right|", 1]})


def test_a_formula_is_a_drawing_with_mathml_for_those_who_do_not_see_it(typesetter: Typesetter) -> None:
    formula = typesetter.typeset(r"x\in\R, \abs{x}\le 1")
    drawing, words = formula.split("<mjx-assistive-mml")
    assert drawing.startswith("<mjx-container")
    assert 'aria-hidden="true"' in drawing
    used, drawn = (re.findall(rf'{name}="#?(MJX-[^"]*)"', formula) for name in ("href", "path id"))
    assert set(used) == set(drawn)
    assert len(drawn) == len(set(drawn))
    assert re.search(r"<math [^>]*><mi>x</mi><mo>&#x2208;</mo>.*&#x2264;</mo><mn>1</mn></math>", words)


def test_macros_are_those_of_the_books_settings() -> None:
    settings = yaml.safe_load((Path(__file__).parents[2] / "_config.yml").read_text(encoding="utf-8"))
    config = Config({"mathjax3_config": settings["sphinx"]["config"]["mathjax3_config"]})
    config.add("mathjax3_config", None, "html", (dict,))
    macros = macros_of(config)
    assert (macros["R"], macros["abs"]) == (r"\mathbb{R}", [r"\left|#1\right|", 1])
    config.mathjax3_config = None
    assert macros_of(config) == {}


def test_a_display_is_one(typesetter: Typesetter) -> None:
    assert 'display="true"' in typesetter.typeset("x", display=True)
    assert 'display="true"' not in typesetter.typeset("x")


@pytest.mark.parametrize(
    ("tex", "reason"),
    [
        (r"\frac{1}", "Missing argument"),
        (r"\unknown x", "Undefined control sequence"),
        ("{x", "missing close brace"),
        (r"\left( x", r"Missing or unrecognized delimiter|Extra \\left|missing \\right"),
        ("a & b", "Misplaced &"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason_and_the_text(
    typesetter: Typesetter, tex: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        typesetter.typeset(tex)
    assert tex in str(error.value)
    assert typesetter.typeset("x")


def test_a_page_keeps_each_outline_once(typesetter: Typesetter) -> None:
    formulas = [typesetter.typeset(tex) for tex in ("x+y", "y+z", "x+y")]
    page = share_outlines("<p>" + "</p><p>".join(formulas) + "</p>\n")
    outlines = re.findall(r'<path id="(MJX-[^"]*)"', page)
    assert len(outlines) == len(set(outlines)) == 4
    assert set(re.findall(r'href="#(MJX-[^"]*)"', page)) == set(outlines)
    assert page.count("<defs>") == 1
    assert re.sub(r"<svg class=.outlines.*", "", page, flags=re.DOTALL).count("<mjx-container") == 3
    assert share_outlines("<p>none</p>") == "<p>none</p>"


def test_the_style_sheet_hides_what_is_for_screen_readers(typesetter: Typesetter) -> None:
    assert re.search(r"mjx-assistive-mml \{[^}]*clip: rect", typesetter.style)


def test_the_engine_is_closed_before_python_stops_its_threads() -> None:
    # What is registered first is called last: when the engine should be closed.
    program = (
        "import atexit\n"
        "atexit.register(lambda: print(kept._engine._ctx is None))\n"
        "from attention_limits.companion.formulas import Typesetter\n"
        "kept = Typesetter({})\n"
        "kept.typeset('x')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True)
    assert ended.stdout == "True\n"
