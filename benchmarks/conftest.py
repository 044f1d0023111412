"""One thread for all but the contests of threads, so that what is compared is the code; what the JSON says besides."""

from typing import Any

import pytest
import torch
from replay import recorded

from attention_limits.performance.report import FACTS_KEY, machine_facts


def pytest_report_header(config: pytest.Config) -> str:
    """Say how many threads are used."""
    torch.set_num_threads(1)
    return f"torch {torch.__version__}, {torch.get_num_threads()} thread"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a race has measured is played back."""
    for item in items:
        if isinstance(item, pytest.Function) and "contest" in item.fixturenames:
            item.add_marker(pytest.mark.benchmark(timer=recorded))


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Processor, threads and versions."""
    machine_info[FACTS_KEY] = machine_facts()
