"""The sheets of a printed book: figures that begin one are made smaller where they then fit below what stands before.

A figure is not split. One that finds no room begins a sheet, and leaves the end of the one before it empty.
"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pypdfium2

#: Where a sheet of A4 ends, and where its text begins and ends, in millimetres from the top.
HEIGHT, TOP, BOTTOM = 297.0, 16.0, 279.0
#: Less than this share of its size is no figure made.
LEAST_SHARE = 0.6
#: What is left free around a figure, and between a figure and what stands before it.
AROUND = 6.0
BEFORE_TITLE = 10.0
_MILLIMETRE = 72 / 25.4
#: Grey from which on nothing is printed, of 255 for white.
_PALE = 250
#: A sheet's text if a figure begins it, after at most a title of two lines; a title's drawing holds no text.
_BEGINS = re.compile(r"(?:\d+\s+)?((?:[^\n]{1,90}\n){0,2}?)Fig\. (\d+) ")
#: Lines of a caption are less than this apart.
_NEXT_LINE = 7.0


def end_of_text(sheet: pypdfium2.PdfPage) -> float:
    """Where the last ink above the page number is, in millimetres from the top."""
    drawn = sheet.render(scale=1, grayscale=True).to_numpy()
    inked = np.flatnonzero((drawn[: round(BOTTOM * _MILLIMETRE)] < _PALE).any(axis=1))
    return float(inked.max(initial=0)) / _MILLIMETRE


def _figure_at_top(sheet: pypdfium2.PdfPage) -> tuple[int, float, float, float] | None:
    """The number of the figure that begins a sheet; where its drawing begins, and where its caption begins and ends."""
    text = sheet.get_textpage()
    words = text.get_text_range().replace("\r\n", " \n")  # as long as it was
    found = _BEGINS.match(words)
    if found is None:
        return None

    def place(index: int) -> tuple[float, float]:
        _, bottom, _, top = text.get_charbox(index)
        return HEIGHT - top / _MILLIMETRE, HEIGHT - bottom / _MILLIMETRE

    begins = found.start(2) - len("Fig. ")
    drawing = place(begins - 3)[1] if found[1] else TOP
    upper, lower = place(begins)
    for index in range(begins, text.count_chars()):
        if words[index].isspace():
            continue
        _, bottom = place(index)
        if bottom > lower + _NEXT_LINE:
            break
        lower = max(lower, bottom)
    return int(found[2]), drawing, upper, lower


def smaller_figures(pdf: Path) -> dict[int, float]:
    """For the numbers of figures that could end the sheet before theirs: how high they may be, in millimetres."""
    heights = {}
    with pypdfium2.PdfDocument(pdf) as document:
        for before, sheet in pairwise(document):
            if (found := _figure_at_top(sheet)) is None:
                continue
            number, drawing, upper, lower = found
            gap = BOTTOM - end_of_text(before)
            high = upper - drawing - AROUND
            fits = high - max(0.0, lower - TOP - gap) - AROUND - (BEFORE_TITLE if drawing > TOP else 0)
            if fits >= LEAST_SHARE * high:
                heights[number] = fits
    return heights


def shrink(book: str, heights: dict[int, float]) -> str:
    """The book's HTML with figures of these ``heights``, by number."""
    for number, height in heights.items():
        image = book.rindex("<img ", 0, book.index(f'<span class="caption-number">Fig. {number} </span>'))
        book = f'{book[:image]}<img style="max-height: {height:.0f}mm" {book[image + len("<img ") :]}'
    return book
