"""Figures that are fitted to the sheets of a printed book, as a browser prints it."""

import re
from pathlib import Path

import pypdfium2
import pytest

from attention_limits.companion import pdf, sheets

from ..browser import browser_program

#: A drawing of 80 by 90 mm, dark to its edges.
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="80mm" height="90mm"><rect width="100%" height="100%"/></svg>'
).replace('"', "'")
STYLE = """@page { size: A4; margin: MARGINS; @bottom-center { content: counter(page); font: 9pt sans-serif; } }
body { margin: 0; font: 10pt sans-serif; } h2 { break-after: avoid; margin: 10mm 0 3mm; }
figure { break-inside: avoid; margin: 5mm 0; } img { max-height: 95mm; } figcaption { margin: 0; }
.before { background: #888; }""".replace("MARGINS", pdf.MARGINS)


def book(before: float, title: str = "") -> str:
    """A sheet that is filled down to ``before``, in millimetres, and a figure after it."""
    return (
        f"<!DOCTYPE html><html><head><meta charset='utf-8'><style>{STYLE}</style></head><body>"
        f'<div class="before" style="height: {before}mm"></div>{title}'
        f'<figure><img alt="" src="data:image/svg+xml,{DRAWING.replace("#", "%23")}">'
        '<figcaption><span class="caption-number">Fig. 7 </span>A drawing, which has a caption of a line or two, so '
        "that it is seen where it ends and where the text begins that comes after it on a sheet.</figcaption></figure>"
        "<p>As Fig. 7 shows, a text goes on.</p></body></html>"
    )


def printed(text: str, folder: Path) -> Path:
    """The PDF of a page of HTML."""
    page, target = folder / "page.html", folder / "page.pdf"
    page.write_text(text, encoding="utf-8")
    pdf._print(browser_program(), page, target)
    return target


def sheet_of_figure(target: Path) -> int:
    """On which sheet the caption stands, from 1 on."""
    with pypdfium2.PdfDocument(target) as document:
        texts = [sheet.get_textpage().get_text_range() for sheet in document]
    (place,) = (number for number, text in enumerate(texts, 1) if re.search(r"Fig\. 7 A drawing", text))
    return place


@pytest.mark.parametrize("title", ["", "<h2>A title</h2>"])
def test_a_figure_that_nearly_fits_is_made_smaller_until_it_does(tmp_path: Path, title: str) -> None:
    text = book(170, title)
    target = printed(text, tmp_path)
    assert sheet_of_figure(target) == 2
    heights = sheets.smaller_figures(target)
    assert list(heights) == [7]
    assert sheets.LEAST_SHARE * 85 < heights[7] < 90
    target = printed(sheets.shrink(text, heights), tmp_path)
    assert sheet_of_figure(target) == 1
    assert sheets.smaller_figures(target) == {}


@pytest.mark.parametrize("before", [40, 205, 245])
def test_figures_that_fit_or_would_be_too_small_or_leave_little_empty_are_left(tmp_path: Path, before: float) -> None:
    assert sheets.smaller_figures(printed(book(before), tmp_path)) == {}


def test_a_figure_after_some_text_is_left(tmp_path: Path) -> None:
    words = "<p>" + "A text that ends on the second sheet. " * 40 + "</p>"
    assert sheets.smaller_figures(printed(book(245, words), tmp_path)) == {}


def test_ink_is_seen_where_it_ends(tmp_path: Path) -> None:
    with pypdfium2.PdfDocument(printed(book(170), tmp_path)) as document:
        assert sheets.end_of_text(document[0]) == pytest.approx(sheets.TOP + 170, abs=1)


def test_what_is_made_smaller_again_gets_the_last_height() -> None:
    text = sheets.shrink(sheets.shrink(book(170), {7: 80.4}), {7: 70.2})
    assert re.findall(r'style="max-height: (\d+)mm"', text) == ["70", "80"]
