"""What a run of tests says at its end about what it could not test on this machine."""

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around pytest's own, so that nothing comes after it
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """Write how many tests were skipped for each reason."""
    yield
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    if reasons:
        terminalreporter.section("NOT TESTED on this machine", yellow=True)
        for reason, number in reasons.most_common():
            terminalreporter.line(f"{number} test{'s' if number > 1 else ''}: {reason}")
