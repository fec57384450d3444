"""Attacks a rendered site from outside: `python -m tests.attacks SITE`."""

import sys
from pathlib import Path

# The testing kit is taken from the site's source, which is rendered as it lies there: no cache may be left in it.
sys.dont_write_bytecode = True
sys.path.append(str(Path(__file__).resolve().parents[2] / "{{cookiecutter.project_slug}}"))
