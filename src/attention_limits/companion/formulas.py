"""Formulas typeset while the book is printed: MathJax, run without a browser, writes SVG and beside it MathML.

So a page shows its formulas without a script, at once and on paper; nobody's Tab key stops at them, and a screen reader
is given the MathML. TeX that MathJax cannot read is a warning, at which the book is not printed.
"""

import atexit
import functools
import html
import json
import re
from importlib.resources import files
from typing import Any

from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

NAME = "svg"
STYLE_SHEET = "formulas.css"
_logger = logging.getLogger(__name__)
#: Each formula comes with the outlines of its letters, under names that count formulas; a page keeps each outline once.
_OUTLINES = re.compile(r"<defs>(.*?)</defs>", re.DOTALL)
_OUTLINE = re.compile(r'<path id="([^"]*)" d="([^"]*)"></path>')
_COUNTED = re.compile(r"MJX-\d+-")
_ERROR = re.compile(r'data-mjx-error="([^"]*)"')


class Typesetter:
    """MathJax with a book's macros."""

    def __init__(self, macros: dict[str, Any]) -> None:
        settings = {
            "startup": {"typeset": False},
            "options": {"enableMenu": False},
            "svg": {"fontCache": "local"},
            "tex": {"macros": macros, "packages": {"[-]": ["noundefined"]}},  # else an unknown name is shown in red
        }
        mathjax = files("sphinx-mathjax-offline") / "static" / "mathjax" / "tex-svg.js"
        self._engine = MiniRacer()
        # Collected later, when Python has stopped its threads, it may wait for one of them for ever.
        atexit.register(self._engine.close)
        self._engine.eval((files(__package__) / "document.js").read_text(encoding="utf-8"))
        self._engine.eval(f"var MathJax = {json.dumps(settings)}")
        self._engine.eval(mathjax.read_text(encoding="utf-8"))
        self._engine.eval("MathJax.startup.defaultReady()")
        self._engine.eval(
            "const typeset = (tex, display) => MathJax.startup.adaptor.outerHTML(MathJax.tex2svg(tex, {display}))"
        )

    @functools.cache  # noqa: B019 - a typesetter lives as long as the program
    def typeset(self, tex: str, *, display: bool = False) -> str:
        """The formula as HTML; on the page `share_outlines` is called.

        Raises:
            ValueError: if MathJax cannot read it, with what it says.
        """
        formula = _COUNTED.sub("MJX-", self._engine.call("typeset", tex, display))
        if error := _ERROR.search(formula):
            raise ValueError(f"{html.unescape(error[1])}: {tex}")
        return formula

    def typeset_text(self, text: str) -> str:
        """A plain text as HTML, what stands between dollars as formulas.

        Raises:
            ValueError: if MathJax cannot read one of them.
        """
        parts = text.split("$")
        if len(parts) % 2 == 0:
            raise ValueError(f"a formula without an end: {text}")
        return "".join(self.typeset(part) if place % 2 else html.escape(part) for place, part in enumerate(parts))

    @property
    def style(self) -> str:
        """What a style sheet must hold for the formulas."""
        return self._engine.eval("MathJax.startup.adaptor.textContent(MathJax.svgStylesheet())")


_macros: dict[str, Any] = {}


@functools.cache
def typesetter() -> Typesetter:
    """The one with the macros of the book that is printed; it takes a third of a second to start."""
    return Typesetter(_macros)


def _typeset(self: Any, node: nodes.math | nodes.math_block, *, display: bool) -> str:
    """A node's formula; what cannot be read is a warning and stays as it is written."""
    tex = node.astext()
    if display and "\\\\" in tex and not node.get("nowrap"):
        tex = rf"\begin{{split}}{tex}\end{{split}}"
    try:
        found = typesetter().typeset(tex, display=display)
    except ValueError as error:
        _logger.warning("no formula: %s", error, location=node)
        found = html.escape(tex)
    return found


def visit_inline(self: Any, node: nodes.math) -> None:
    """Write a formula in a line of text."""
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    self.body.append(_typeset(self, node, display=False) + "</span>")
    raise nodes.SkipNode


def visit_display(self: Any, node: nodes.math_block) -> None:
    """Write a formula on lines of its own, with its number if it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(_typeset(self, node, display=True) + "</div>\n")
    raise nodes.SkipNode


def share_outlines(page: str) -> str:
    """The page with each outline of a letter once, at its end."""
    outlines: dict[str, str] = {}
    for found in _OUTLINES.finditer(page):
        outlines |= dict(_OUTLINE.findall(found[1]))
    if not outlines:
        return page
    paths = "".join(f'<path id="{name}" d="{line}"></path>' for name, line in outlines.items())
    return _OUTLINES.sub("", page) + f'<svg class="outlines" aria-hidden="true"><defs>{paths}</defs></svg>\n'


def macros_of(config: Config) -> dict[str, Any]:
    """The macros in _config.yml, by name: a text, or a text and its number of arguments."""
    return (config.mathjax3_config or {}).get("tex", {}).get("macros", {})


def setup(app: Sphinx) -> None:
    """Let Sphinx write formulas so, with the macros of _config.yml."""
    _macros.update(macros_of(app.config))
    app.add_html_math_renderer(NAME, (visit_inline, None), (visit_display, None))
    app.config.html_math_renderer = NAME
    app.add_css_file(STYLE_SHEET)
