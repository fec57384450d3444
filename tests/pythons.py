"""The Pythons of this machine that the template supports. Nothing but the standard library is needed here."""

import glob
import os
import shutil
import subprocess
import sys
from functools import cache

SUPPORTED = [(3, 11), (3, 12), (3, 13), (3, 14)]


@cache
def found() -> dict[tuple[int, int], str]:
    """Return the path of a Python for each supported version that is on this machine, the oldest first."""
    return {version: path for version in SUPPORTED if (path := _find(*version))}


def at_least(minimum: tuple[int, int]) -> str | None:
    """Return a Python of at least the version `minimum`, the running one if it is new enough, or None."""
    if sys.version_info >= minimum:
        return sys.executable
    return next((path for version, path in found().items() if version >= minimum), None)


def _find(major: int, minor: int) -> str | None:
    name = f"python{major}.{minor}"
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    candidates = [shutil.which(name), *sorted(glob.glob(f"{pyenv}/versions/*/bin/{name}"))]
    if sys.version_info[:2] == (major, minor):
        candidates.insert(0, sys.executable)
    # A shim of a version manager is on the PATH whether or not its version is switched on.
    works = (path for path in candidates if path and not subprocess.run([path, "-V"], capture_output=True).returncode)
    return next(works, None)
