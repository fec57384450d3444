"""What a team does to its site in the first weeks, as edits of a rendered site's files."""

import re
from pathlib import Path

HOME = """from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


@login_required
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html")
"""
URLS = """from django.urls import path

from pages import views

urlpatterns = [path("", views.home, name="home")]
"""
BASE = """<!doctype html>
<html lang="en">
<head><title>{% block title %}Ours{% endblock %}</title></head>
<body>{% block content %}{% endblock %}</body>
</html>
"""
OTHER_PAGE = '{% extends "base.html" %}\n{% block content %}<p>Our own page</p>{% endblock %}\n'


def follow_the_suggestion(site: Path) -> None:
    """Edit the user policy as the docstring of `verify_claims` suggests."""
    file = site / "accounts" / "backends.py"
    text = file.read_text(encoding="utf-8")
    suggestion = re.search(r'def verify_claims\(.*?""".*?`(and [^`]+)`', text, re.DOTALL)
    assert suggestion, "verify_claims suggests no condition any more"
    before = "return super().verify_claims(claims)"
    assert before in text
    edited = text.replace(before, f"{before} {suggestion[1]}")
    file.write_text(edited, encoding="utf-8")


def replace_the_pages(site: Path) -> None:
    """Put other pages in the place of the examples: a home page for people who are logged in, and no profile."""
    (site / "pages" / "views.py").write_text(HOME)
    (site / "pages" / "urls.py").write_text(URLS)
    for page in (site / "templates").rglob("*.html"):
        page.write_text(BASE if page.name == "base.html" else OTHER_PAGE)
    (site / "templates" / "profile.html").unlink()


def add_a_field(site: Path) -> None:
    """Give users a department."""
    file = site / "accounts" / "models.py"
    text = file.read_text(encoding="utf-8").rstrip()
    field = "department = models.CharField(max_length=50, blank=True)"
    file.write_text(f"from django.db import models\n{text}\n\n    {field}\n", encoding="utf-8")


def change_the_settings(site: Path) -> None:
    """Add an app and change a value of the site."""
    file = site / "config" / "settings.py"
    text = file.read_text(encoding="utf-8")
    edited = text.replace('    "accounts",\n', '    "django.contrib.humanize",\n    "accounts",\n', 1)
    edited = edited.replace('TIME_ZONE = "UTC"', 'TIME_ZONE = "Europe/Vienna"')
    assert len(edited) > len(text) + 20
    file.write_text(edited, encoding="utf-8")
