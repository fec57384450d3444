"""`manage.py oidc_doctor`: what to register at the OP, and what is wrong between it and this site."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from oidc import doctor
from oidc.doctor import Line
from oidc.errors import MANUAL

INDENT = 20
STYLES = {"pass": "SUCCESS", "warn": "WARNING", "fail": "ERROR"}


class Command(BaseCommand):
    help = "Print the URLs to register at the OP, and check this site and the OP live; exit with 1 if a check fails."
    requires_system_checks = []  # they are among the lines

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
        parser.add_argument("--write", action="store_true", help="write the endpoints that the OP publishes into .env")

    def handle(self, *args: Any, as_json: bool, write: bool, **options: Any) -> None:
        """Print each line as soon as it is known; raises `CommandError` if --write cannot do what it is for."""
        urls, lines = doctor.urls_to_register(), []
        if not as_json:
            names = [f"  {name:<24} {url}" for name, url in urls.items()]
            self.stdout.write("\n".join(["Register at the OP:", *names, "\n"]))
        for line in doctor.examine(self._show):
            lines.append(line)
            if not as_json:
                self._print(line)
        self._show("")
        counts = Counter(line.level for line in lines)
        if as_json:
            self.stdout.write(json.dumps({"urls": urls, "lines": [*map(asdict, lines)]}, indent=2))
        else:
            self.stdout.write(f"\n{counts['pass']} passed, {counts['warn']} warnings, {counts['fail']} failed.")
            mend, done = "mend what failed, from the top, and run this again", "log in; if it fails, the page says why"
            self.stdout.write(f"Next: {mend if counts['fail'] else done}.")
        if write:
            self._write()
        if counts["fail"]:
            sys.exit(1)

    def _print(self, line: Line) -> None:
        self._show("")
        level = getattr(self.style, STYLES[line.level])(line.level)
        texts = [line.text] if line.level == "pass" else [line.text, line.hint, f"See {MANUAL}#{line.anchor}"]
        # A terminal breaks lines anywhere; whatever else reads this wants whole ones.
        width = max(60, get_terminal_size().columns - INDENT) if self.stdout.isatty() else sys.maxsize
        parts = [part for text in texts for part in wrap(text, width, break_long_words=False, break_on_hyphens=False)]
        self.stdout.write(f"{level}  {line.name:<12}  " + f"\n{'':{INDENT}}".join(parts))
        self.stdout.flush()

    def _show(self, address: str) -> None:
        """Show on a terminal which address is asked at the moment; "" removes that again."""
        if self.stderr.isatty():
            self.stderr.write(f"\r\x1b[K{address and f'asking {address}'}", str, ending="")
            self.stderr.flush()

    def _write(self) -> None:
        try:
            self.stderr.write("\n".join(doctor.write_endpoints()), str)
        except ValueError as error:
            raise CommandError(f"Nothing was written: {error}") from error
