"""A person at a terminal, for tests of questions."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs a command on a terminal of its own; `shown` is what it has shown so far, without colours."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.shown, self.position = "", 0
        self.master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(10)
        os.close(self.master)

    def expect(self, text: str, seconds: float = 20) -> None:
        """Wait until `text` is shown behind what was waited for before."""
        until = time.monotonic() + seconds
        while (found := self.shown.find(text, self.position)) < 0:
            is_alive = self._read()
            assert is_alive, f"The command ended without {text!r}:\n{self.shown}"
            assert time.monotonic() < until, f"{text!r} does not come:\n{self.shown}"
        self.position = found + len(text)

    def type(self, line: str = "") -> None:
        """Type a line, and Enter."""
        os.write(self.master, f"{line}\n".encode())

    def wait(self) -> int:
        """Return the exit code at the end."""
        while self._read():
            pass
        return self.process.wait(20)

    def _read(self) -> bool:
        """Take what is shown; tell whether more may come."""
        if not select.select([self.master], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.shown = COLOURS.sub("", self.shown + data.decode(errors="replace").replace("\r\n", "\n"))
        return bool(data)
