"""Rendered sites that are installed and run for real."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests


@dataclass(frozen=True)
class Site:
    """A rendered site in `folder`, with an environment of its own for `python`."""

    folder: Path
    python: str

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the environment of commands: the one of this process without what is about this repository."""
        ours = {"CI", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV"}
        inherited = {name: value for name, value in os.environ.items() if name not in ours}
        # uv stands beside the Python of these tests, whether or not its environment is switched on.
        path = os.pathsep.join([os.path.dirname(sys.executable), inherited.get("PATH", "")])
        return inherited | {"PATH": path, "UV_PYTHON": self.python} | changes

    def try_to_run(self, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the site's folder and return how it ended."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(**changes), capture_output=True, text=True, timeout=600
        )

    def run(self, *command: str, **changes: str) -> str:
        """Run a command in the site's folder and return its output; raises `AssertionError` with it on failure."""
        result = self.try_to_run(*command, **changes)
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-8000:]}\n{result.stderr[-8000:]}"
        return result.stdout

    @contextmanager
    def running(self, *command: str, url: str, **changes: str) -> Iterator["Running"]:
        """Run a server in the site's folder until the context ends; it answers at `url` when the context begins."""
        log = Path(tempfile.mkdtemp(), "server.log")
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(**changes) | {"PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=output,
                start_new_session=True,
                # A shell that runs tests in the background lets its children ignore Ctrl-C.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
            server = Running(process, log)
            try:
                server.wait_for(url)
                yield server
            finally:
                server.interrupt()


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen
    log: Path

    def wait_for(self, url: str) -> None:
        for _ in range(600):
            assert self.process.poll() is None, self.log.read_text()
            try:
                requests.get(url, timeout=5)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"nothing answers at {url}: {self.log.read_text()}")

    def interrupt(self) -> int:
        """Press Ctrl-C, as a terminal does: for the whole group in the foreground. Return the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"Ctrl-C does not end it: {self.log.read_text()}") from None

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the whole group and wait: SIGTERM, as an orchestrator does, lets requests finish."""
        os.killpg(self.process.pid, number)
        self.process.wait(60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
