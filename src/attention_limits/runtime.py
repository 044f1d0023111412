"""Where and how code runs: the device, and progress bars that stay out of headless runs.

The runner tells a page's kernel about its run through the environment variables named here. torch is imported only
where it is used: the command line reads this module too.
"""

import contextlib
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

#: The device that was asked for; unset outside the runner.
DEVICE_VARIABLE = "ATTENTION_LIMITS_DEVICE"
#: The page and the profile ("book", "quick" or "custom") of a headless run; unset when a reader runs the cells.
PAGE_VARIABLE = "ATTENTION_LIMITS_PAGE"
PROFILE_VARIABLE = "ATTENTION_LIMITS_PROFILE"
#: The folder of trained results.
STORE_VARIABLE = "ATTENTION_LIMITS_STORE"


def select_device(name: str | None = None) -> "torch.device":
    """The device called ``name``: cpu, cuda or cuda:N. By default what the runner was told, else CUDA if there is one.

    Raises:
        ValueError: for any other name, and for a CUDA device that this machine does not have.
    """
    import torch

    name = name or os.environ.get(DEVICE_VARIABLE)
    count = torch.cuda.device_count()
    if name is None:
        return torch.device("cuda" if count else "cpu")
    kind, _, index = name.partition(":")
    known = name == "cpu" or (kind == "cuda" and (name == "cuda" or index.isdecimal()))
    if not known:
        raise ValueError(f"unknown device {name!r}: use cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= count:
        raise ValueError(f"device {name!r} needs more CUDA devices than the {count} here")
    return torch.device(name)


def device_name(device: "torch.device") -> str:
    """The device in words: the GPU's model, or cpu."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def processor_name() -> str:
    """What a CPU's rounding depends on, in words: its model, the instructions that torch uses, and its caches."""
    import torch

    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):  # only Linux says more
        entries = dict(
            re.findall(r"^([\w ]+?)\s*: (.*)$", Path("/proc/cpuinfo").read_text().partition("\n\n")[0], re.M)
        )
        model = entries.get("model name", model)
        model += " " + "-".join(entries.get(name, "?") for name in ("cpu family", "model", "stepping"))
    caches = []
    with contextlib.suppress(OSError):
        caches = [
            path.read_text().strip() for path in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("*/size"))
        ]
    return ", ".join([model, torch.backends.cpu.get_cpu_capability(), *(["/".join(caches)] if caches else [])])


def progress(items: Iterable[Item] | None, description: str | None, total: int | None = None) -> "tqdm[Item]":
    """A progress bar over ``items``, in terminals and notebooks; silent in a headless run, to keep it off the page.

    Without a ``description`` it is silent too; without items it is moved by its ``update``.
    """
    silent = description is None or PAGE_VARIABLE in os.environ
    return tqdm(items, desc=description, total=total, mininterval=0.5, disable=silent)
