"""The attack suite, black-box, on the default site: it withstands everything."""

import subprocess
import sys

from tests.rendering import REPOSITORY


def test_the_default_site_withstands_every_attack(installed) -> None:
    command = [sys.executable, "-m", "tests.attacks", str(installed().folder)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8", timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
