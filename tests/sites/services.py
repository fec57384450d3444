"""Throwaway servers for production's parts: PostgreSQL, Redis and nginx, each on a free port of loopback."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.sites.site import free_port

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream site {{
    {servers}
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://site;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""


def find(program: str) -> str | None:
    """Return the path of a server program, or None; Debian keeps PostgreSQL's and nginx's off a person's PATH."""
    versions = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"), reverse=True)
    return shutil.which(program) or next(iter(versions), None) or shutil.which(program, path="/usr/sbin:/sbin")


@contextmanager
def postgresql(folder: Path | None = None, port: int | None = None) -> Iterator[str]:
    """Run a PostgreSQL on the files of a `cluster`, or with an empty database; the value is its DATABASE_URL."""
    port = port or free_port()
    with ExitStack() as stack:
        folder = folder or stack.enter_context(cluster())
        server = [find("postgres"), "-D", f"{folder}/data", "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"]
        ready = [find("pg_isready"), "--host", "127.0.0.1", "--port", str(port)]
        with running(server, folder, lambda: subprocess.run(ready, capture_output=True).returncode == 0, **owner()):
            yield f"postgres://site@127.0.0.1:{port}/postgres"


@contextmanager
def cluster() -> Iterator[Path]:
    """Make the files of an empty database, for a server that is started more than once."""
    with temporary_folder() as folder:
        if owner():
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
        initdb = [find("initdb"), "--pgdata", f"{folder}/data", "--username", "site", "--auth", "trust"]
        options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 120, **owner()}
        made = subprocess.run([*initdb, "--encoding", "UTF8", "--locale", "C", "--no-sync"], **options)
        assert made.returncode == 0, made.stderr
        yield folder


def owner() -> dict[str, object]:
    """Return who runs PostgreSQL, which refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def redis(port: int | None = None) -> Iterator[str]:
    """Run a Redis that keeps nothing on disk; the value is its CACHE_URL."""
    port = port or free_port()

    def answers() -> bool:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")

    with temporary_folder() as folder:
        server = [find("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with running(server, folder, answers):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def nginx(port: int, backends: Sequence[int]) -> Iterator[None]:
    """Run nginx on `port`, which hands requests to the ports of `backends` in turn."""
    with temporary_folder() as folder:
        servers = " ".join(f"server 127.0.0.1:{backend};" for backend in backends)
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, servers=servers))
        server = [find("nginx"), "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
        with running(server, folder, lambda: requests.get(f"http://127.0.0.1:{port}/", timeout=5).status_code > 0):
            yield


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder outside of pytest's, which only their owner can enter."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(
    command: list[str], folder: Path, answers: Callable[[], bool], *, seconds: float = 30, **options: object
) -> Iterator[None]:
    """Run a server from when it `answers`, which may take some seconds, until the context ends."""
    log = folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True, **options)
        try:
            for _ in range(int(seconds / 0.05)):
                assert server.poll() is None, log.read_text()
                try:
                    if answers():
                        break
                except OSError:
                    pass
                time.sleep(0.05)
            else:
                raise AssertionError(f"{command[0]} does not answer: {log.read_text()}")
            yield
        finally:
            _end(server)


def _end(server: subprocess.Popen) -> None:
    """Interrupt a server, which is a fast shutdown for all of ours, and kill what does not end."""
    if server.poll() is not None:
        return
    os.killpg(server.pid, signal.SIGINT)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(20)
