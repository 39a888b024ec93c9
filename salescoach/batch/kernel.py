"""The kernel of one report: talks over private sockets instead of open ports, and does not outlive its worker."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from weakref import WeakSet

from jupyter_client.manager import AsyncKernelManager

_managers: WeakSet[AsyncKernelManager] = WeakSet()


class PrivateKernelManager(AsyncKernelManager):
    """Kernels over Unix sockets in the user's private runtime folder; over TCP only where there are none."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        if sys.platform != "win32":
            self.transport = "ipc"
        _managers.add(self)


def end_kernels() -> None:
    """Kill the kernels of this process, with all that they started, at any moment of their lives."""
    for manager in list(_managers):
        process = getattr(manager.provisioner, "process", None)
        if process is not None and process.returncode is None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
                os.waitpid(process.pid, 0)  # not process.wait(): its lock may be held where a signal broke in
