"""What the explorers' pictures are drawn with: shapes and panels as SVG, numbers as text, and draws for pictures.

Colours are the style sheet's, by class. book/_static/explorers.js holds the same functions.
"""

import math
from collections.abc import Iterable
from html import escape

#: What a picture says in numbers: a name and a value each.
Numbers = list[tuple[str, str]]
_WORD = 2**32 - 1


def number(value: float) -> str:
    """A coordinate, to a hundredth of a pixel."""
    return f"{value:.2f}".removesuffix("0").removesuffix("0").removesuffix(".")


def shape(name: str, kind: str, content: str = "", **attributes: float | str) -> str:
    """One element of class ``kind``; an underscore in an attribute's name stands for a hyphen."""
    written = "".join(
        f' {key.replace("_", "-")}="{value if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
    )
    return f'<{name} class="{kind}"{written}>{escape(content, quote=False)}</{name}>'


def words(x: float, y: float, content: str, kind: str = "word", anchor: str = "start", **more: float | str) -> str:
    """A line of text; ``anchor`` says which part of it lies at x."""
    return shape("text", kind, content, x=x, y=y, text_anchor=anchor, **more)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return shape("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)


def box(x: float, y: float, width: float, height: float, kind: str, radius: float = 0) -> str:
    """A rectangle."""
    return shape("rect", kind, x=x, y=y, width=width, height=height, rx=radius)


def dot(x: float, y: float, radius: float, kind: str) -> str:
    """A disc."""
    return shape("circle", kind, cx=x, cy=y, r=radius)


def diamond(x: float, y: float, radius: float, kind: str) -> str:
    """A square on its corner."""
    corners = ((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y))
    return shape("path", kind, d="M" + "L".join(f"{number(a)} {number(b)}" for a, b in corners) + "Z")


def curve(points: Iterable[tuple[float, float]], kind: str) -> str:
    """A line through points."""
    return shape("polyline", kind, points=" ".join(f"{number(x)},{number(y)}" for x, y in points))


def panel(name: str, width: float, height: float, title: str, says: str, shapes: Iterable[str]) -> str:
    """A picture with its title, and with what it shows in words."""
    size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
    head = words(0, 15, title, "title")
    label = escape(says)
    return (
        f'<svg class="explorer-panel" data-panel="{name}" xmlns="http://www.w3.org/2000/svg" {size} role="img" '
        f'aria-label="{label}">{head}{"".join(shapes)}</svg>'
    )


def grouped(value: int) -> str:
    """An integer with commas."""
    return f"{value:,}"


def raised(exponent: int) -> str:
    """10 to a power, in characters."""
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return {0: "1", 1: "10"}.get(exponent, "10" + digits)


def decimal(value: float, places: int) -> str:
    """A number with so many decimals and a true minus."""
    written = f"{abs(value):.{places}f}"
    return f"−{written}" if value < 0 and float(written) else written


def percentage(share: float) -> str:
    """A share in per cent: two decimals, or a power of ten where these would say nothing."""
    if share >= 5e-5:
        return f"{100 * share:.2f} %"
    return f"about {raised(round(math.log10(share)))}" if share >= 1e-12 else f"under {raised(-12)}"


def draw(seed: int, index: int) -> int:
    """The number at a place of a stream, below 2³² (mulberry32 of a counter; for pictures only)."""
    state = ((seed + 1) * 0x9E3779B1 + (index + 1) * 0x6D2B79F5) & _WORD
    word = (state ^ state >> 15) * (state | 1) & _WORD
    word ^= (word + ((word ^ word >> 7) * (word | 61) & _WORD)) & _WORD
    return word ^ word >> 14
