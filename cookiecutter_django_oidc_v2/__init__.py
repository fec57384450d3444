"""What the questions of this template need while they are asked: presets, discovery, checks, quoting.

The package carries its version in its name, because an update renders an old and a new template in
one process. A change of what a filter means needs a new name.
"""

import json
from functools import cache

from jinja2 import Environment
from jinja2.ext import Extension

from cookiecutter_django_oidc_v2 import answers, asking, discovery, presets, quoting, rendering
from cookiecutter_django_oidc_v2.answers import REPOSITORY

SITE = "{{cookiecutter.project_slug}}"


class SiteExtension(Extension):
    """Adds the template's filters, and keeps the engine from evaluating what people answer."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        asking.refuse_unknown_names()
        environment.filters.update(
            slug=answers.slug,
            usual_issuer=presets.usual_issuer,
            discovered=discovery.discovered,
            checked=asking.checked,
            looked_up=asking.looked_up,
            narrowed=asking.narrowed,
            check_again=asking.check_again,
            preset=rendering.preset,
            reason=rendering.reason,
            provider_settings=rendering.provider_settings,
            provider_name=rendering.provider_name,
            provider_steps=rendering.provider_steps,
            closing_words=rendering.closing_words,
            quoted=quoting.quoted,
        )

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return `source` as a template, or as a literal if it is an answer, a page of the site, or a file of `oidc`.

        Answers given on the command line are rendered like defaults, so braces in them would be run. Pages
        have braces of their own, and the engine cannot copy a file whose name is conditional. No file of the
        relying party is a template.
        """
        if name is None:
            is_template = source in _own_texts() or _is_own_path(source)
        else:
            is_template = not name.startswith(("oidc/", "templates/"))
        return source if is_template else f"{{{{ {source!r} }}}}"


@cache
def _own_texts() -> frozenset[str]:
    """Return the texts of this repository that the engine renders without a file name."""
    defaults = json.loads((REPOSITORY / "cookiecutter.json").read_text(encoding="utf-8")).values()
    hooks = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "hooks").glob("*.py")]
    return frozenset([SITE, *hooks, *(value for value in defaults if isinstance(value, str))])


def _is_own_path(source: str) -> bool:
    """Tell whether `source` is the name of a file of the site, which may be conditional."""
    return "\n" not in source and len(source) < 250 and (REPOSITORY / SITE / source).is_file()
