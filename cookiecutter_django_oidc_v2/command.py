"""The command that renders the template: whether it can ask, what it was given, how it ends."""

import json
import sys
from collections.abc import Collection
from typing import Any

import click


class Refused(click.ClickException, SystemExit):
    """Ends the command with one line and exit code 1, cruft's too, which has an own copy of click."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = f"Error: {message}"


def options() -> dict[str, Any]:
    """Return the options of the running command, none if the engine was called from Python."""
    for module in ("click", "typer._click.globals"):
        if module in sys.modules and (context := sys.modules[module].get_current_context(silent=True)):
            return dict(context.params)
    return {}


def can_ask() -> bool:
    """Tell whether somebody answers questions: not with --no-input, --replay, an update, or a call from Python."""
    given = options()
    is_replay = given.get("replay") or given.get("replay_file")
    return (given.get("no_input") is False and not is_replay) or given.get("cookiecutter_input") is True


def given(names: Collection[str]) -> Collection[str]:
    """Return the names that were answered on the command line; an update answers all of `names`."""
    found = options()
    if found and "no_input" not in found:
        return names
    context = found.get("extra_context") or {}
    try:
        context = json.loads(context) if isinstance(context, str) else context
    except ValueError:
        return ()
    return list(context) if isinstance(context, dict) else ()
