"""One thread for everything, so that what is compared is the code."""

import pytest
import torch


def pytest_report_header(config: pytest.Config) -> str:
    """Say how many threads are used."""
    torch.set_num_threads(1)
    return f"torch {torch.__version__}, {torch.get_num_threads()} thread"
