"""Explorers: the pictures at the head of three pages, as they are printed.

`{explorer} averaging` (or `triples`, or `crossover`) with a caption becomes a figure whose picture is drawn here, from
the package's own functions at the default state. In a browser book/_static/explorers.js and the explorer's own script
put the same panels with controls in its place; print and readers without scripts keep this one. Both draw by the same
layout, and tests/test_explorers.py compares them shape by shape.

A panel is an SVG of a given width in pixels, so that its words are as large as they say.
"""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from attention_limits.companion.explorers import averaging, crossover, triples
from attention_limits.companion.explorers.drawing import Numbers

#: Width of a panel as it is printed, in pixels: two fit beside each other in a column of text or on paper, one on a
#: phone.
WIDTH = 300
#: The lone panel of the crossover is printed for both.
NARROW, WIDE = 328, 690
#: What a page with an explorer loads besides the explorer's own script.
SCRIPT, STYLE = "explorers.js", "explorers.css"

Draw = Callable[[Any, float], tuple[list[str], Numbers]]
#: Each explorer, by the name of its module: its default state, what draws it, and the widths in which a panel is
#: printed; of two the style sheet shows the one for which there is room.
EXPLORERS: dict[str, tuple[Any, Draw, tuple[int, ...]]] = {
    module.__name__.rpartition(".")[2]: (state, module.picture, widths)
    for module, state, widths in (
        (averaging, averaging.Averaging(), (WIDTH,)),
        (triples, triples.Triples(), (WIDTH,)),
        (crossover, crossover.Crossover(), (NARROW, WIDE)),
    )
}


def picture(name: str, width: float) -> tuple[list[str], Numbers]:
    """An explorer's panels and numbers at its default state."""
    state, drawn, _ = EXPLORERS[name]
    return drawn(state, width)


def twin(name: str) -> str:
    """The printed picture: panels and numbers at the default state."""
    pictures = [picture(name, width) for width in EXPLORERS[name][2]]
    panels = "".join(shown for panels, _ in pictures for shown in panels)
    listed = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in pictures[0][1])
    return f'<div class="explorer-panels">{panels}<dl class="explorer-numbers">{listed}</dl></div>'


class Explorer(Directive):
    """A figure with the picture of an explorer; the content is its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The figure's opening, its caption, its closing.

        Raises:
            DirectiveError: for a name that is no explorer's, or without a caption.
        """
        name = self.arguments[0]
        if name not in EXPLORERS:
            raise self.error(f"there is no explorer {name!r}: it must be one of {', '.join(EXPLORERS)}")
        self.assert_has_content()
        environment = self.state.document.settings.env
        for module in Path(__file__).parent.glob("*.py"):
            environment.note_dependency(str(module))
        environment.metadata[environment.docname]["explorer"] = name
        caption = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, caption)
        opening = f'<figure class="explorer" id="explorer-{name}" data-explorer="{name}">{twin(name)}<figcaption>'
        return [
            nodes.raw("", opening, format="html"),
            *caption.children,
            nodes.raw("", "</figcaption></figure>", format="html"),
        ]


def add_files(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Load scripts and style on a page that holds an explorer."""
    name = app.env.metadata.get(pagename, {}).get("explorer")
    if name is not None:
        for script in (SCRIPT, f"explorer-{name}.js"):
            app.add_js_file(script, loading_method="defer")
        app.add_css_file(STYLE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive."""
    app.add_directive("explorer", Explorer)
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
