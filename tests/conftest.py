"""What all tests share: how hypothesis searches, and the devices of this machine."""

import os
from collections import Counter

# Before numpy is loaded: the threads of its matrix library wait busily, which costs minutes where the cores are busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

# No deadline: the first call of a checked function costs far more than the next. The same examples in each run, and no
# database of failures on the disk.
settings.register_profile("attention-limits", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("attention-limits")

# Tensors here are small: a second thread costs more than it brings, and far more where the cores are busy.
torch.set_num_threads(1)

# Without a GPU, Triton kernels run in Triton's interpreter, on CPU tensors. Triton decides so when it is imported, and
# nothing above imports it.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

#: Lines of the table of times.
SLOWEST_FILES = 20

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each kind of device that this machine has."""
    return torch.device(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the time went, by file; with several workers it is theirs together."""
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.location[0]] += report.duration
    if seconds.total() < 60:
        return
    terminalreporter.section("seconds by file")
    for file, spent in seconds.most_common(SLOWEST_FILES):
        terminalreporter.write_line(f"{spent:6.0f}  {file}")
    terminalreporter.write_line(f"{seconds.total():6.0f}  all {len(seconds)} files")
