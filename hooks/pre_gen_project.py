"""Checks every answer again: `cookiecutter --replay` and `cruft update` ask no questions."""
{{ cookiecutter | check_again }}
