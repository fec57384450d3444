"""What a run of tests says at its end about what it could not test on this machine."""

from collections import Counter
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write how many tests were skipped for each reason."""
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    if reasons:
        terminalreporter.section("NOT TESTED on this machine", yellow=True)
        for reason, number in reasons.most_common():
            terminalreporter.line(f"{number} test{'s' if number > 1 else ''}: {reason}")
