"""Measures what people feel of an OP that is slow, hangs, and comes back.

    python -m benchmarks.outage

`benchmarks/README.md` says what is measured and how.
"""

import argparse
import os
import statistics
import time
from bisect import bisect
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

from benchmarks import load
from benchmarks.load import Told
from benchmarks.logins import connection_to, log_in
from benchmarks.serving import (
    OP,
    SITE_NAME,
    Project,
    end_as_by_ctrl_c,
    one_site,
    running_project,
    say,
    table,
)
from tests.sites.site import Site

SIMULTANEOUS = 16
LATENCIES = (0.3, 1.0)
OUTAGES = {
    "/token": "token requests hang",
    "*": "everything hangs",
    "POST /token": "token requests hang, GET works",
    "REFUSE /token": "nothing hangs, tokens are refused",
}
WORKERS = {
    "2 workers x 8 threads": ["--workers", "2", "--threads", "8"],
    "2 sync workers": ["--workers", "2", "--threads", "1", "--worker-class", "sync"],
}
# In seconds: pages without any login, before and after; the first of an outage; after that; until logins have ended.
BEFORE, BEGINNING, STEADY, RECOVERY = 5.0, 5.0, 15.0, 3.0


def main() -> None:
    options = arguments()
    end_as_by_ctrl_c()
    options.site_core, *others = sorted(os.sched_getaffinity(0))
    if others:  # for everything but the site, which is moved to its own
        os.sched_setaffinity(0, others)
    with one_site() as (folder, port, op, site):
        latencies = [] if options.only else LATENCIES
        slow = [slow_op(port, site, folder, op, latency, options.rounds) for latency in latencies]
        outages = [
            [workers, what, *outage(port, site, folder, op, arguments, hanging, options)]
            for workers, arguments in WORKERS.items()
            for hanging, what in OUTAGES.items()
            if options.only in f"{workers}, {what}"
        ]
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end\n")
    print(f"Slow OP, one worker with 16 threads, {SIMULTANEOUS} logins at once:\n")
    print(table(["latency", "refused, cold", "refused, warm", "seconds, cold", "seconds, warm"], slow))
    print(
        f"\nHanging OP, {options.people} logins that try again after {options.pause} s; medians of {options.rounds}:\n"
    )
    head = ["workers", "OP", "pages/s before", f"first {BEGINNING:.0f} s", "then", "after", "kept of all", "kept then"]
    print(table([*head, "told in ms, median / p95", "longest wait, s", "first login after s"], outages))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure slow and hanging OPs.")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (%(default)s)")
    parser.add_argument("--people", type=int, default=100, help="who try to log in during an outage (%(default)s)")
    parser.add_argument("--only", default="", help="a part of the names of workers and outages (all)")
    parser.add_argument("--pause", type=float, default=5, help="seconds until somebody tries again (%(default)s)")
    return parser.parse_args()


def slow_op(port: int, site: Site, folder: Path, op: OP, latency: float, rounds: int) -> list[str]:
    """Let people come back from the OP at once: to a server that has just started, and then to the same again."""
    cold, warm, seconds_cold, seconds_warm = [], [], [], []
    for number in range(rounds):
        say(f"latency {latency} s, round {number + 1}")
        # Not cold in the first request, which is the one that waits for the server.
        op.be(latency=latency)
        with running_project(SITE_NAME, port, site, folder, op, "--workers", "1", "--threads", "16") as project:
            for refused, seconds in [(cold, seconds_cold), (warm, seconds_warm), (warm, seconds_warm)]:
                began = time.monotonic()
                refused.append(SIMULTANEOUS - simultaneous_logins(project))
                seconds.append(time.monotonic() - began)
    op.be()
    counts = [f"{sum(refused)} of {len(refused) * SIMULTANEOUS}" for refused in (cold, warm)]
    return [f"{latency} s", *counts, *(f"{statistics.median(seconds):.2f}" for seconds in (seconds_cold, seconds_warm))]


def simultaneous_logins(project: Project) -> int:
    """Return how many succeed of people who all come back from the OP at the same moment."""
    barrier = Barrier(SIMULTANEOUS, timeout=60)

    def one(_: int) -> bool:
        return bool(log_in(project.port, connection_to(project.op), barrier.wait))

    with ThreadPoolExecutor(SIMULTANEOUS) as people:
        return sum(people.map(one, range(SIMULTANEOUS)))


def outage(
    port: int, site: Site, folder: Path, op: OP, arguments: list[str], hanging: str, options: argparse.Namespace
) -> list[str]:
    """Let the OP hang while people visit the home page and try to log in, and come back; return cells of the table."""
    rounds: list[list[float]] = []
    told: list[Told] = []
    longest, recovery = 0.0, []
    visitors = 4 if "sync" in arguments else 16
    with running_project(SITE_NAME, port, site, folder, op, *arguments) as project, load.process() as submit:
        move(project, options.site_core)
        for _ in range(16):  # until every process knows the OP's keys
            assert log_in(port, connection_to(op))
        for number in range(options.rounds):
            say(f"{' '.join(arguments)}, {hanging} hangs, round {number + 1}")
            pages = submit(load.visit_home, port, visitors, 1 + BEFORE + BEGINNING + STEADY + RECOVERY + BEFORE)
            time.sleep(1)  # until the processes run
            began = time.monotonic()
            time.sleep(BEFORE)
            op.be(hanging=hanging)
            hung = time.monotonic()
            logins = submit(
                load.try_to_log_in, port, op.issuer, [None] * options.people, BEGINNING + STEADY, options.pause
            )
            time.sleep(BEGINNING + STEADY)
            op.be()
            back = time.monotonic()
            recovery.append(seconds_until_login(project))
            came, told_now = pages.result().came, logins.result()
            steady = hung + BEGINNING
            periods = [(began, hung), (hung, steady), (steady, back), (back + RECOVERY, back + RECOVERY + BEFORE - 1)]
            rounds.append([(bisect(came, end) - bisect(came, start)) / (end - start) for start, end in periods])
            longest = max(longest, *(one.seconds for one in told_now))
            told += [one for one in told_now if steady < one.at < back]
    of_beginning = BEGINNING / (BEGINNING + STEADY)
    whole = statistics.median(
        2 * (of_beginning * first + (1 - of_beginning) * steady) / (before + after)
        for before, first, steady, after in rounds
    )
    shares = statistics.median(2 * steady / (before + after) for before, _, steady, after in rounds)
    rates = [f"{statistics.median(values):.0f}" for values in zip(*rounds, strict=True)]
    waits = sorted(1000 * one.seconds for one in told) or [float("nan")]
    in_ms = f"{statistics.median(waits):.0f} / {waits[int(len(waits) * 0.95)]:.0f}"
    back_after = " / ".join(f"{seconds:.1f}" for seconds in recovery)
    return [*rates, f"{whole:.0%}", f"{shares:.0%}", in_ms, f"{longest:.1f}", back_after]


def move(project: Project, core: int) -> None:
    """Give the processes of a project a core, so that a page which does not come is not one that was not asked for."""
    for stat in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[3]) == project.group:
                os.sched_setaffinity(int(stat.parent.name), {core})


def seconds_until_login(project: Project) -> float:
    """Return how long after the OP is back a login succeeds for the first time; it is tried ten times a second."""
    began = time.monotonic()
    while not log_in(project.port, connection_to(project.op)):
        if time.monotonic() - began > 60:
            return float("inf")
        time.sleep(0.1)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
