"""A file of NAME=value lines, as `.env` is, changed as a whole."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def set_values(path: str | Path, values: Mapping[str, str]) -> None:
    """Set variables, at once or not at all; everything else in the file stays, its permissions too.

    Raises `OSError` or `UnicodeError` for a file that cannot be read or replaced.
    """
    file = Path(path).resolve(strict=True)
    if not file.is_file():
        raise FileNotFoundError(errno.ENOENT, "not a file")
    with file.open(encoding="utf-8", newline="") as source:
        text = source.read()
    for name, value in values.items():
        line = re.compile(rf"^([ \t]*(?:export )?{name}=)[^\r\n]*", re.MULTILINE)
        if line.search(text):
            text = line.sub(lambda match, value=value: match[1] + value, text)
        else:
            text += f"{'' if text.endswith(chr(10)) else chr(10)}{name}={value}\n"
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as target:
            target.write(text)
        shutil.copymode(file, temporary)
        os.replace(temporary, file)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
