"""What readers carry away from the printed book: pages as notebooks, figures as files, all of them in two archives.

Files lie in `_downloads` beside the pages. Each page's are written when the page is, the archives when all pages are.
"""

import copy
import html
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from attention_limits.companion import formulas, gate
from attention_limits.companion.pages import Page, all_pages, page_at
from attention_limits.companion.pixels import Drawer

NOTEBOOKS = "_downloads/notebooks"
FIGURES = "_downloads/figures"
#: A solution, in the fence of colons that it stands in.
_SOLUTION = re.compile(r"^(:{3,})\{solution\}.*?^\1$\n*", re.MULTILINE | re.DOTALL)
_drawer = Drawer()
OPENING = (
    "*A page of the book Attention Limits. Its code needs the book's package: `pip install -e '.[book]'` in a checkout "
    "of the source. Boxes fenced by colons are statements, proofs and exercises; JupyterLab draws them so with the "
    "extension `jupyterlab-myst`.*"
)
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def bare(page: Page) -> nbformat.NotebookNode:
    """The page without outputs and solutions, to work with."""
    notebook = copy.deepcopy(page.notebook)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _SOLUTION.sub("", cell.source).strip()
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    return notebook


def opening(macros: Mapping[str, Any]) -> nbformat.NotebookNode:
    """A cell that says what a notebook needs where the book is not around it, and defines the formulas' ``macros``."""
    defined = []
    for name, meaning in macros.items():
        text, count = (meaning, 0) if isinstance(meaning, str) else meaning
        defined.append(rf"\newcommand{{\{name}}}{f'[{count}]' if count else ''}{{{text}}}")
    cell = nbformat.v4.new_markdown_cell(f"{OPENING}\n\n${''.join(defined)}$" if defined else OPENING)
    cell.id = "opening"  # the same in every copy
    return cell


def write_notebooks(page: Page, folder: Path, macros: Mapping[str, Any]) -> None:
    """Write the page as it was run, NAME.ipynb, and as it would be run again, NAME-bare.ipynb."""
    folder.mkdir(parents=True, exist_ok=True)
    run = nbformat.read(gate.book_run(page).target, 4)
    for notebook, name in ((run, page.name), (bare(page), f"{page.name}-bare")):
        notebook.cells.insert(0, opening(macros))
        notebook.nbformat_minor = max(notebook.nbformat_minor, 5)  # from which on cells have names
        nbformat.write(notebook, folder / f"{name}.ipynb")


def archive(files: Iterable[Path], target: Path) -> None:
    """Put files into one, always in the same way, so that it changes only with what is in it."""
    with ZipFile(target, "w", ZIP_DEFLATED) as written:
        for file in sorted(files):
            written.writestr(ZipInfo(f"{target.stem}/{file.name}"), file.read_bytes(), ZIP_DEFLATED)


def figure_name(identifier: str, number: int) -> str:
    """A figure's file, without its suffix: fig-07-hop-chain."""
    return f"fig-{number:02d}-{identifier.removeprefix('fig-')}"


def carry_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document) -> None:
    """Write the files of a page that is being printed, and link to them."""
    if doctree is None or app.builder.name != "html":
        return
    root, out = Path(app.srcdir), Path(app.outdir)
    to = context["pathto"]
    if (page := page_at(root, pagename)) is not None:
        write_notebooks(page, out / NOTEBOOKS, formulas.macros_of(app.config))
        _add_buttons(context, f"{to(NOTEBOOKS, 1)}/{page.name}", to("_downloads", 1))
    numbers = app.env.toc_fignumbers.get(pagename, {}).get("figure", {})
    sources = {name: path for path, name in app.builder.images.items()}
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    for figure in doctree.findall(nodes.figure):
        image = next(figure.findall(nodes.image), None)
        for identifier in figure["ids"]:
            if image is not None and identifier in numbers:
                source = root / sources[Path(image["uri"]).name]
                name = figure_name(identifier, numbers[identifier][0])
                carried = out / FIGURES / f"{name}{source.suffix}"
                carry_figure(source, carried)
                if vector := source.suffix == ".svg":
                    _drawer.draw(carried)
                links = " ".join(
                    f'<a class="figure-file" href="{to(FIGURES, 1)}/{name}{suffix}" download>{suffix[1:].upper()}</a>'
                    for suffix in ((".svg", ".png") if vector else (source.suffix,))
                )
                own = rf'(<a class="headerlink" href="#{re.escape(identifier)}"[^>]*>[^<]*</a>)'
                context["body"] = re.sub(own, rf"\1 {links}", context["body"])


def carry_figure(source: Path, target: Path) -> None:
    """Copy a figure; what was drawn of another one goes."""
    if not target.exists() or target.read_bytes() != source.read_bytes():
        target.with_suffix(".png").unlink(missing_ok=True)
        shutil.copyfile(source, target)


class Shown(SphinxDirective):
    """``{shown} fig-name``: another page's figure, with a link to where it comes from."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A place that `show_figures` fills."""
        return [nodes.raw("", "", format="html", shown=self.arguments[0])]


def show_figures(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Fill the places of `Shown`, now that all figures are numbered."""
    labels = app.env.get_domain("std").labels
    for place in doctree.findall(lambda node: isinstance(node, nodes.raw) and "shown" in node):
        identifier = place["shown"]
        home, _, caption = labels.get(identifier, ("", "", ""))
        number = app.env.toc_fignumbers.get(home, {}).get("figure", {}).get(identifier)
        if number is None:
            raise ExtensionError(f"{docname} shows {identifier!r}, and no page has a figure of that name")
        file = f"{app.builder.get_relative_uri(docname, FIGURES)}".removesuffix(".html")
        page = app.builder.get_relative_uri(docname, home)
        title = app.env.titles[home].astext()
        text = html.escape(f"Figure {number[0]} of the page {title}: {caption}")
        place += nodes.Text(
            f'<figure class="shown"><img src="{file}/{figure_name(identifier, number[0])}.svg" alt="{text}">'
            f'<figcaption>{html.escape(caption)} From <a href="{page}#{identifier}">{html.escape(title)}</a>'
            f"{'' if title.endswith('?') else '.'}</figcaption></figure>"
        )


def _add_buttons(context: dict[str, Any], page: str, downloads: str) -> None:
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            group["buttons"][:0] = [
                _button(f"{page}.ipynb", ".ipynb", "This page as it was run"),
                _button(f"{page}-bare.ipynb", ".ipynb, bare", "This page without outputs and solutions"),
                _button(f"{downloads}/attention-limits-notebooks.zip", "all pages", "All pages as notebooks, a zip"),
                _button(f"{downloads}/attention-limits-figures.zip", "all figures", "All figures, a zip"),
            ]


def _button(url: str, text: str, tooltip: str) -> dict[str, str]:
    look = {"type": "link", "icon": "fas fa-file", "label": "carry-button"}
    return {**look, "url": url, "text": text, "tooltip": tooltip}


def archive_all(app: Sphinx, exception: Exception | None) -> None:
    """Write the archives; files of pages and figures that are gone go first."""
    if exception is not None or app.builder.name != "html":
        return
    try:
        _drawer.finish()
    except ValueError as error:
        raise ExtensionError(str(error)) from error
    out = Path(app.outdir)
    pages = {f"{page.name}{kind}.ipynb" for page in all_pages(Path(app.srcdir)) for kind in ("", "-bare")}
    figures = {
        figure_name(identifier, number[0])
        for of_page in app.env.toc_fignumbers.values()
        for identifier, number in of_page.get("figure", {}).items()
    }
    for folder, known in ((out / NOTEBOOKS, pages), (out / FIGURES, figures)):
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if not {file.name, file.stem} & known:
                file.unlink()
        archive(folder.iterdir(), out / "_downloads" / f"attention-limits-{folder.name}.zip")


def setup(app: Sphinx) -> None:
    """Connect it."""
    app.add_directive("shown", Shown)
    app.connect("doctree-resolved", show_figures)
    app.connect("html-page-context", carry_page, priority=900)
    app.connect("build-finished", archive_all)
