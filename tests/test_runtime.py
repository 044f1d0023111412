"""The device that code runs on, and progress bars."""

import pytest
import torch

from attention_limits.runtime import DEVICE_VARIABLE, PAGE_VARIABLE, device_name, progress, select_device


@pytest.fixture(autouse=True)
def _outside_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)
    monkeypatch.delenv(PAGE_VARIABLE, raising=False)


def test_without_a_wish_the_device_is_cuda_exactly_where_there_is_one() -> None:
    assert select_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("count", [0, 1])
def test_the_number_of_cuda_devices_decides_the_default(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert select_device() == torch.device("cuda" if count else "cpu")


def test_the_runner_s_device_is_the_default_and_an_argument_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    assert select_device() == torch.device("cpu")
    assert select_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:", "cuda:x", "cuda:-1", "cuda:1:1", "CPU", "cpu:0", " cpu"])
def test_an_unknown_device_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match="use cpu, cuda or cuda:N") as refusal:
        select_device(name)
    assert repr(name) in str(refusal.value)


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1), ("cuda:7", 3)])
def test_a_cuda_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ValueError, match=f"device '{name}' needs more CUDA devices than the {count} here"):
        select_device(name)


def test_an_unknown_device_in_the_environment_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "tpu")
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        select_device()


def test_a_device_has_a_name_in_words(device: torch.device) -> None:
    expected = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    assert device_name(device) == expected


def test_progress_passes_its_items_on_and_shows_its_description(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    assert "counting" in capsys.readouterr().err


def test_progress_is_silent_in_a_headless_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PAGE_VARIABLE, "some-page")
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
