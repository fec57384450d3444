"""What the development server writes."""

import logging
import re


class WithoutQuery(logging.Filter):
    """Cuts the query from request lines: the one of a callback holds an authorization code."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(re.sub(r"\?\S*", "", arg) if isinstance(arg, str) else arg for arg in record.args)
        return True
