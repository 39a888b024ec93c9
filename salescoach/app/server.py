"""Start the coaching session as a page of its own: on this machine only, behind a token, gone with Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salescoach.errors import StorageError, UsageError
from salescoach.kit import kit_path
from salescoach.reports.stories import find_story
from salescoach.wording import words

NOTEBOOK = "coaching_session"
HOST = "127.0.0.1"
START_WITHIN = 60.0
STOP_WITHIN = 5.0
FRONTS = ("voila", "lab")


@dataclass(frozen=True)
class Served:
    """A running session: its address with the token, the process, and the folder that holds its notebook."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path


def front_of(asked: str | None) -> str:
    """Voilà where it is installed, else JupyterLab. Raises UsageError where what is asked for, or both, are missing."""
    here = [f for f, module in zip(FRONTS, ("voila", "jupyterlab"), strict=True) if importlib.util.find_spec(module)]
    if asked and asked not in here:
        extra = "app" if asked == "voila" else "lab"
        raise UsageError(
            "{asked} is not installed. Install it with: pip install 'salescoach[{extra}]'", asked=asked, extra=extra
        )
    if not here:
        raise UsageError("Neither Voilà nor JupyterLab is installed. Install one with: pip install 'salescoach[app]'")
    return asked or here[0]


@contextmanager
def served(parameters: dict[str, Any], port: int = 0, front: str | None = None) -> Iterator[Served]:
    """Serve the coaching session with these parameters; when the block is left, server and kernels have ended.

    port   0: any that is free
    Raises UsageError where nothing is installed to serve it, StorageError where the server does not start.
    """
    chosen, token, port = front_of(front), secrets.token_urlsafe(24), port or _free_port()
    with tempfile.TemporaryDirectory(prefix="salescoach-app-") as name:
        folder = Path(name)
        file = _notebook(folder, parameters)
        command, path = _command(chosen, file, port, token)
        log = folder / "server.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, cwd=folder, env=_environment(folder), stdout=out, stderr=out, start_new_session=True
            )
        try:
            _wait(process, port, log)
            yield Served(f"http://{HOST}:{port}/{path}?token={token}", process, folder)
        finally:
            _stop(process)


def wait_for_end(running: Served, stopped: Callable[[], bool] = lambda: False) -> int:
    """Wait until the server ends by itself or somebody stops it. Returns its exit code, 0 if it was stopped."""
    while not stopped():
        code = running.process.poll()
        if code is not None:
            return code
        time.sleep(0.2)
    return 0


def _notebook(folder: Path, parameters: dict[str, Any]) -> Path:
    """Our notebook with the parameters of this session, in a folder that nobody else can read."""
    (folder / "session").mkdir()
    file = folder / "session" / f"{NOTEBOOK}.ipynb"
    find_story(NOTEBOOK).write(file, words(str(parameters.get("language", "en"))), parameters)
    return file


def _command(front: str, file: Path, port: int, token: str) -> tuple[list[str], str]:
    """The server's command, and the path of the page below its root."""
    if front == "voila":
        options = {"ip": HOST, "port": port, "token": token, "open_browser": False}
        config = [f"--Voila.{key}={value}" for key, value in options.items()]
        return [sys.executable, "-m", "voila", str(file), "--template=salescoach", *config], ""
    options = {"ip": HOST, "port": port, "open_browser": False, "port_retries": 0, "root_dir": file.parent}
    config = [f"--ServerApp.{key}={value}" for key, value in options.items()]
    config.append(f"--IdentityProvider.token={token}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        config.append("--allow-root")
    return [sys.executable, "-m", "jupyterlab", *config], f"lab/tree/{file.name}"


def _environment(folder: Path) -> dict[str, str]:
    """That of this process, with our page template, and runtime files that are gone with the session."""
    ours = kit_path("templates/app")
    first = {"JUPYTER_PATH": ours, "JUPYTER_CONFIG_PATH": ours / "config"}
    found = {n: os.pathsep.join(p for p in (str(own), os.environ.get(n, "")) if p) for n, own in first.items()}
    return {**os.environ, **found, "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the server takes connections. Raises StorageError with the end of what it said."""
    end = time.monotonic() + START_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection((HOST, port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace")[-800:]
    raise StorageError("The session did not start. The server said:\n{said}", said=said)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server with all that it started: kindly first, then at once."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
