"""The kernel of one report: talks over private sockets instead of open ports."""

from __future__ import annotations

import sys

from jupyter_client.manager import AsyncKernelManager


class PrivateKernelManager(AsyncKernelManager):
    """Kernels over Unix sockets in the user's private runtime folder; over TCP only where there are none."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        if sys.platform != "win32":
            self.transport = "ipc"
