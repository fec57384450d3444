"""A file of NAME=value lines, as `.env` is, changed as a whole."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def set_values(path: str | Path, values: Mapping[str, str]) -> None:
    """Set variables, all or none; everything else in the file stays. Raises `OSError` or `UnicodeError`."""
    file = Path(path).resolve(strict=True)
    with file.open(encoding="utf-8", newline="") as source:
        text = source.read()
    for name, value in values.items():
        template = "\\g<1>" + value.replace("\\", "\\\\")
        text, number = re.subn(rf"(?m)^([ \t]*(?:export )?{name}=)[^\r\n]*", template, text)
        text += "" if number else f"{'' if text.endswith(chr(10)) else chr(10)}{name}={value}\n"
    # A device is no file that could be replaced.
    descriptor, temporary = tempfile.mkstemp(dir=file.parent if file.is_file() else file, prefix=f"{file.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as target:
            target.write(text)
        shutil.copymode(file, temporary)
        os.replace(temporary, file)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
