"""Figures as pixels, drawn by a process of their own while the book is printed, which keeps one core only.

``python -m attention_limits.companion.pixels`` reads the paths of SVG files, one a line, and ends with its input.
"""

import contextlib
import subprocess
import sys
from pathlib import Path

import resvg_py

CSS_DPI = 96


def draw(figure: Path) -> None:
    """Draw an SVG on white, NAME.png beside it, at one and a half times its size, unless that is there."""
    target = figure.with_suffix(".png")
    if not target.exists():
        drawn = resvg_py.svg_to_bytes(
            svg_path=str(figure), background="white", zoom=1.5, dpi=CSS_DPI, skip_system_fonts=True
        )
        aside = target.with_name(f".{target.name}")
        aside.write_bytes(drawn)
        aside.replace(target)


class Drawer:
    """The process that draws, begun with the first figure."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def draw(self, figure: Path) -> None:
        """Let a figure be drawn, now or later."""
        if self._process is None:
            command = [sys.executable, "-m", __name__]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended: what it said is told at the end
            self._process.stdin.write(f"{figure}\n")
            self._process.stdin.flush()

    def finish(self) -> None:
        """Wait until all are drawn.

        Raises:
            ValueError: if one could not be, with what was said of it.
        """
        if (process := self._process) is not None:
            self._process = None
            _, said = process.communicate()
            if process.returncode:
                raise ValueError(f"a figure could not be drawn: {said.strip().splitlines()[-1]}")


if __name__ == "__main__":
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        try:
            draw(path)
        except ValueError as error:
            sys.exit(f"{path.name}: {error}")
