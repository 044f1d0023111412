"""The device of a command: torch, whose import takes seconds, is asked only where it may find an accelerator."""

import sys
from pathlib import Path

import pytest
import torch

from attention_limits.companion import terminal
from attention_limits.runtime import DEVICE_VARIABLE


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The names for which torch was asked, which knows one accelerator here."""
    names: list[str | None] = []

    def select(name: str | None) -> torch.device:
        names.append(name)
        return torch.device("cuda" if name is None else name)

    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)
    monkeypatch.setattr(terminal, "select_device", select)
    monkeypatch.setattr(terminal, "device_name", lambda device: f"a {device.type} device")
    return names


def test_without_a_driver_a_command_uses_the_cpu_and_asks_nobody(
    asked: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "DRIVERS", ("/no/such/driver",))
    monkeypatch.setattr(sys, "platform", "linux")
    assert terminal.resolve_device(None) == ("cpu", "cpu")
    assert asked == []


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_where_there_may_be_an_accelerator_torch_is_asked(
    asked: list[str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str
) -> None:
    driver = tmp_path / "driver"
    monkeypatch.setattr(terminal, "DRIVERS", ("/no/such/driver", str(driver)))
    monkeypatch.setattr(sys, "platform", platform)
    if platform == "linux":
        driver.touch()
    assert terminal.resolve_device(None) == ("cuda", "a cuda device")
    assert asked == [None]


def test_a_device_that_is_named_is_looked_for_without_a_driver_too(
    asked: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "DRIVERS", ())
    assert terminal.resolve_device("cuda:1") == ("cuda:1", "a cuda device")
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda:0")
    terminal.resolve_device(None)
    assert asked == ["cuda:1", None]
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    assert terminal.resolve_device(None) == ("cpu", "cpu")
    assert len(asked) == 2
