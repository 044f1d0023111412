"""The browser that reads the printed book: Chromium or Chrome, where there is one."""

import os

import pytest

from attention_limits.companion.pdf import find_browser

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def browser_program() -> str:
    """Its program. Without one the calling test is skipped, but under CI=true it fails."""
    try:
        return find_browser()
    except ValueError as none:
        if os.environ.get("CI") == "true":
            pytest.fail(str(none))
        pytest.skip(str(none))
