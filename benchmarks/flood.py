"""Measures what a flood of made-up codes from one client does to honest logins and to the OP.

    python -m benchmarks.flood

`benchmarks/README.md` says what is measured and how.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from random import randrange
from typing import TypeVar

from benchmarks import load
from benchmarks.logins import connection_to, log_in
from benchmarks.serving import (
    OP,
    SITE_NAME,
    Project,
    end_as_by_ctrl_c,
    one_site,
    running_project,
    say,
    spread,
    table,
)
from tests.sites.site import Site

T = TypeVar("T")
# A module of settings beside the site's own, for a site without the limit.
UNLIMITED = "from config.settings import *\n\nOIDC_FAILED_LOGINS_PER_MINUTE = 0\n"
SETTINGS = {"no limit": "config.unlimited", "limit": "config.settings"}
HEAD = ["site", "flood", "passed, %", "median, ms", "p95, ms", "flood's logins", "refused with 429", "reached the OP"]


def main() -> None:
    options = arguments()
    end_as_by_ctrl_c()
    with one_site(options.delay / 1000) as (folder, port, op, site):
        (site.folder / "config" / "unlimited.py").write_text(UNLIMITED)
        rows = []
        for name, settings in SETTINGS.items():
            with running(port, site, folder, op, settings, options.database) as project:
                measure(project, 0, 2, options)
                for rate in (0, options.rate):
                    runs = [measure(project, rate, options.seconds, options) for _ in range(options.rounds)]
                    say(f"{name}, {rate} codes a second: {runs[-1]}")
                    rows.append([name, f"{rate}/s", *(spread([run[i] for run in runs]) for i in range(len(runs[0])))])
    print(f"{options.honest} honest logins a second, OP {options.delay} ms away, {options.capacity or 'any'} token")
    print(f"requests a second at the OP, {options.seconds:.0f} s, {os.cpu_count()} cores, {options.database}\n")
    print(table(HEAD, rows))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure honest logins beside a flood of made-up codes.")
    parser.add_argument("--rate", type=float, default=25, help="made-up codes a second (%(default)s)")
    parser.add_argument("--honest", type=float, default=4, help="honest logins a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="length of a flood (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="floods of each kind (%(default)s)")
    parser.add_argument("--delay", type=float, default=20, help="how far away the OP is, in ms (%(default)s)")
    parser.add_argument("--capacity", type=int, default=10, help="token requests a second, 0: any (%(default)s)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(%(default)s)")
    return parser.parse_args()


def running(
    port: int, site: Site, folder: Path, op: OP, settings: str, database: str
) -> AbstractContextManager[Project]:
    """Serve the site with other settings than its own; gunicorn and Django take them from the environment."""
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    return running_project(SITE_NAME, port, site, folder, op, database=database)


def measure(project: Project, rate: float, seconds: float, options: argparse.Namespace) -> list[float]:
    """Let people log in beside `rate` made-up codes a second, 0 for none; return the figures below `HEAD`."""
    project.op.be(latency=options.delay / 1000, capacity=options.capacity)
    asked = project.op.counts()["made_up"]

    def log_in_honestly(number: int) -> float:
        at_op, began = connection_to(project.op), time.perf_counter()
        try:
            is_in = log_in(project.port, at_op, address=f"127.2.{number // 250}.{number % 250 + 1}")
            return time.perf_counter() - began if is_in else 0.0
        finally:
            at_op.close()

    def attack(_: int) -> int:
        told = load.come_back(project.port, project.op.issuer, None, address=attacker)
        return told[0].status if told else 0

    # Another one each time, so that no flood begins where the one before it has used up a minute.
    attacker = f"127.66.{randrange(1, 250)}.{randrange(1, 250)}"

    with ThreadPoolExecutor(2) as sides:
        honest = sides.submit(at_rate, options.honest, seconds, log_in_honestly)
        flood = sides.submit(at_rate, rate, seconds, attack)
        logins, statuses = honest.result(), flood.result()
    took = sorted(1000 * login for login in logins if login)
    slowest = statistics.quantiles(took, n=20)[-1] if len(took) > 1 else float("nan")
    median = statistics.median(took) if took else float("nan")
    made_up = project.op.counts()["made_up"] - asked
    return [100 * len(took) / len(logins), median, slowest, len(statuses), statuses.count(429), made_up]


def at_rate(rate: float, seconds: float, act: Callable[[int], T]) -> list[T]:
    """Begin `act` `rate` times a second, however long each takes, and return what all have returned."""
    began = time.perf_counter()
    with ThreadPoolExecutor(200) as threads:
        acts = []
        for number in range(round(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            acts.append(threads.submit(act, number))
        return [done.result() for done in acts]


if __name__ == "__main__":
    main()
