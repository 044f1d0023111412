"""Kernels that start at once: each is a fork of one process that has loaded what the pages import.

To import torch, pandas, matplotlib and seaborn takes some four seconds of a core, more than most pages compute. So the
runner starts one process that imports them, ``python -m attention_limits.companion.kernels SOCKET LIBRARY…``, and a
page's kernel is a fork of it. Nothing of one page reaches another: the process runs no page itself, it starts no
threads, and what a fork changes stays in the fork.

A connection to the socket stands for one kernel. The client sends an `Order`, a line of JSON. The answer is a line with
the process's number, and a line with its exit status when it ends. A client that closes the connection, by its own
death too, ends the kernel and all that it started. The process itself ends with its standard input, and all kernels
with it. Jupyter starts kernels through a *provisioner*; `ForkProvisioner` is one that asks for forks.

Only on Linux: elsewhere a fork of a process that has loaded numerical libraries is not safe.
"""

import contextlib
import gc
import importlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from attention_limits.dependencies import dependencies, package_folder
from attention_limits.runtime import DEVICE_VARIABLE

#: The part of this machine's memory that one kernel on a CPU may hold; one that asks for more gets an error.
MEMORY_SHARE = 0.75
#: The name under which pyproject.toml registers `ForkProvisioner`.
PROVISIONER = "attention-limits-fork"
#: What takes long to import, by the library that a page names.
SLOW = {"torch": "torch", "pandas": "pandas", "matplotlib": "matplotlib.pyplot", "seaborn": "seaborn"}

#: What an optimiser of torch imports at its first step, for a second.
OPTIMISER = "torch._dynamo"
_IMPORT = re.compile(r"(?:import|from)\s+\w")


class Order(TypedDict):
    """What a kernel needs to start."""

    #: Of the kernel's command line.
    arguments: list[str]
    folder: str
    environment: dict[str, str]


def can_fork(address: Path) -> bool:
    """Whether kernels are forks here, with a socket at ``address``, whose path has some 104 bytes at most."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and len(os.fsencode(address)) <= 100


def slow_imports(sources: Iterable[str]) -> list[str]:
    """The modules of `SLOW` that pages load: those that ``sources`` import, and what they import of this package.

    What a function of the package imports when it is called, few pages need. Where one trains, the optimiser's imports
    come with it.
    """
    text = list(sources)
    modules = set().union(*map(dependencies, text))
    lines = [line.lstrip() for part in text for line in part.splitlines()]
    lines += [line for path in modules for line in path.read_text(encoding="utf-8").splitlines()]
    words = {line.split()[1].split(".")[0] for line in lines if _IMPORT.match(line)}
    trains = package_folder() / "experiments" / "training.py" in modules
    return [module for library, module in SLOW.items() if library in words] + [OPTIMISER] * trains


class Nursery:
    """The process that kernels are forked from, as the runner holds it.

    Args:
        address: where its socket goes.
        modules: what it imports before the first fork.
        environment: its own; a kernel gets that of its order.
    """

    def __init__(self, address: Path, modules: Iterable[str], environment: Mapping[str, str]) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
            listener.listen()  # so that kernels can be asked for while libraries are loaded
            command = [sys.executable, "-P", "-m", __name__, str(listener.fileno()), *modules]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=2, env=environment, pass_fds=[listener.fileno()]
            )

    def close(self) -> None:
        """End it and all kernels."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class ForkedKernel:
    """A kernel's process, as `subprocess.Popen` would show it."""

    stdin = stdout = stderr = None

    def __init__(self, address: str, order: Order) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(address)
        self.connection.sendall(json.dumps(order).encode() + b"\n")
        self.lines = self.connection.makefile("r", encoding="utf-8")
        first = self.lines.readline()
        if not first:
            raise RuntimeError("the process that kernels are forked from has ended")
        self.pid = int(first)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, minus the signal's number if one ended it; None while the kernel lives."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self.connection, selectors.EVENT_READ)
                if selector.select(0):
                    self.returncode = int(self.lines.readline() or -signal.SIGKILL)
        return self.returncode

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        while (status := self.poll()) is None:
            time.sleep(0.01)
        self.lines.close()
        self.connection.close()
        return status

    def send_signal(self, number: int) -> None:
        """Send the kernel a signal, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the kernel at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel whose command is the address of a `Nursery`, followed by ipykernel's arguments."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Ask for a fork."""
        address, *arguments = cmd
        folder = str(kwargs.get("cwd") or Path.cwd())
        kernel = ForkedKernel(address, Order(arguments=arguments, folder=folder, environment=kwargs["env"]))
        self.process = cast(subprocess.Popen[bytes], kernel)
        self.pid = self.pgid = kernel.pid
        return self.connection_info


def serve(listener: socket.socket) -> Order | None:
    """Fork a kernel for each connection until standard input ends. In a fork, return its order; else None."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    clients: dict[socket.socket, int] = {}
    handles: dict[int, socket.socket] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                for pid in clients.values():
                    _kill(pid)
                return None
            if key.fileobj is listener:
                client, _ = listener.accept()
                line = client.makefile("r", encoding="utf-8").readline()
                if not line:
                    client.close()
                    continue
                pid = _fork()
                if pid == 0:
                    selector.close()
                    for connection in (listener, client, *clients):
                        connection.close()
                    for handle in handles:
                        os.close(handle)
                    return json.loads(line)
                _tell(client, pid)
                handle = os.pidfd_open(pid)
                clients[client], handles[handle] = pid, client
                selector.register(client, selectors.EVENT_READ)
                selector.register(handle, selectors.EVENT_READ)
            elif key.fd in handles:  # the kernel has ended
                client = handles.pop(key.fd)
                _kill(clients[client])  # what it started and left
                _, status = os.waitpid(clients.pop(client), 0)
                selector.unregister(key.fd)
                os.close(key.fd)
                if client in selector.get_map():
                    selector.unregister(client)
                    _tell(client, os.waitstatus_to_exitcode(status))
                client.close()
            elif key.fileobj in clients:  # the client has gone
                selector.unregister(key.fileobj)
                _kill(clients[key.fileobj])


def _tell(client: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # if it has gone, its end of the connection says so
        client.sendall(f"{number}\n".encode())


def _fork() -> int:
    with warnings.catch_warnings():  # of threads, which OpenBLAS starts and stops at a fork by itself
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _kill(pid: int) -> None:
    """End a kernel and what it started; a fork that has no group of its own yet, it alone."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Load libraries and serve; in a fork, become the kernel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's
    if not os.environ.get(DEVICE_VARIABLE, "").startswith("cuda"):  # which maps far more than it holds
        import resource  # here: not every system has it

        most = int(MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    # A kernel ends when this process is gone; whose child it is it learns when ipykernel is imported.
    os.environ["JPY_PARENT_PID"] = str(os.getpid())
    for module in (*sys.argv[2:], "ipykernel.kernelapp"):
        importlib.import_module(module)
    gc.freeze()  # forks share what is there
    order = serve(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        return
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.unfreeze()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["ipykernel_launcher", *order["arguments"]]
    sys.modules["ipykernel.kernelapp"].launch_new_instance()


if __name__ == "__main__":
    main()
