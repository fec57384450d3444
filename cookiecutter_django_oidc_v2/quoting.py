"""Answers as they must be written in the language of the file where they land."""

import json
import re


def quoted(value: object, language: str) -> str:
    """Return `value` as a literal of `language`: python, toml, env or markdown.

    Raises `ValueError` for a line break in env, which has no way to write one.
    """
    return {"python": _python, "toml": _toml, "env": _env, "markdown": _markdown}[language](str(value))


def _python(text: str) -> str:
    # JSON writes a string as Python would, but leaves characters that nobody can see, such as marks of direction.
    body = json.dumps(text, ensure_ascii=False)[1:-1]
    body = "".join(character if character.isprintable() else _escape(ord(character)) for character in body)
    if text.count('"') > text.count("'"):
        return "'" + body.replace("'", "\\'").replace('\\"', '"') + "'"
    return f'"{body}"'


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _toml(text: str) -> str:
    # A basic string of TOML knows the escapes of JSON, and wants one for DEL too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _env(text: str) -> str:
    if re.search(r"[\r\n]", text):
        raise ValueError("a line break cannot be written in an env file")
    if re.fullmatch(r"[A-Za-z0-9._~:/?@&+,;=%-]*", text):
        return text
    return '"' + re.sub(r'([\\"])', r"\\\1", text) + '"'


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&-])", r"\\\1", " ".join(text.split()))
