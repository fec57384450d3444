#!/usr/bin/env python
"""Django's command-line utility for administrative tasks."""

import os
import sys
import threading
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError

from config.environment import Environment


def main() -> None:
    """Run administrative tasks; a wrong configuration ends in a message instead of a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        if sys.argv[1:2] == ["dev"]:
            prepare_development()
        elif sys.argv[1:2] == ["oidc_doctor"]:
            Environment.is_lenient = True
        elif os.environ.get("RUN_MAIN") == "true":  # the development server, as `dev` and its reloader start it
            from dev.environment import end_with_parent

            threading.Thread(target=end_with_parent, daemon=True).start()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except OperationalError as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The database failed: {error}\nIs it up, is DATABASE_URL right, has `manage.py migrate` been run?")


def prepare_development() -> None:
    """Make `.env` if there is no environment yet, as after a fresh clone, and stop where `dev` is not installed."""
    from dev.environment import make_env

    is_configured = any(name in os.environ for name in ("SECRET_KEY", "SECRET_KEY_FILE", "ENV_FILE"))
    if not is_configured and make_env(Path(__file__).parent):
        print("Made .env for development, with fresh secrets.")
    if not settings.DEBUG:
        sys.exit("`dev` is for development: set DEBUG=true in .env, or serve the site with gunicorn.")


if __name__ == "__main__":
    main()
