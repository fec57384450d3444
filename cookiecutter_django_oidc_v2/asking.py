"""While questions are asked: each answer is checked behind its question, and a wrong one is asked again there.

Filters in cookiecutter.json run these functions. They get the answers so far, and may change them.
"""

from collections.abc import MutableMapping
from difflib import get_close_matches
from typing import Any, NoReturn

import click
from cookiecutter import prompt

from cookiecutter_django_oidc_v2 import answers as rules
from cookiecutter_django_oidc_v2 import command, discovery, presets
from cookiecutter_django_oidc_v2.answers import ENDPOINTS, questions
from cookiecutter_django_oidc_v2.command import Refused

Answers = MutableMapping[str, Any]

ALGORITHM = "oidc_rp_sign_algo"
METADATA = {f"oidc_op_{endpoint}_endpoint": name for endpoint, name in ENDPOINTS.items()}
MAX_SHOWN = 80


def checked(answers: Answers) -> str:
    """Make sure that the last answer is right, and return "": ask again as long as it is not.

    Raises `Refused` where nobody can be asked.
    """
    question = next((name for name in reversed([*answers]) if not name.startswith("_")), "")
    if question == ALGORITHM and not command.can_ask():
        _decide_algorithm(answers)
    _understand(answers, question)
    while problem := rules.problem(answers, question):
        answers[question] = _ask_again(answers, question, problem)
        _understand(answers, question)
    if question == "oidc_op_issuer" and command.can_ask() and answers[question] == presets.usual_issuer("local"):
        click.echo("  The development OP comes with the site: Enter keeps it at the next six questions.")
    return ""


def looked_up(answers: Answers) -> str:
    """Empty the endpoints if all are as the OP's metadata says, and return "": the site looks them up itself."""
    metadata = discovery.known(str(answers.get("oidc_op_issuer")))
    as_published = {question: discovery.endpoint(metadata, name) for question, name in METADATA.items()}
    if metadata and as_published.items() <= answers.items():
        answers.update(dict.fromkeys(METADATA, ""))
    return ""


def narrowed(answers: Answers) -> str:
    """Let the next question offer the algorithms of this OP only, the recommended one first, and return "".

    The engine knows no choices that depend on an answer, so its function is another one for just that question.
    """
    if command.can_ask():
        engines_own = prompt.read_user_choice

        def read_user_choice(name: str, options: list[str], *rest: Any, **named: Any) -> Any:
            prompt.read_user_choice = engines_own
            return engines_own(name, _offered(answers, options) if name == ALGORITHM else options, *rest, **named)

        prompt.read_user_choice = read_user_choice
    return ""


def check_again(answers: Answers) -> str:
    """Check all answers once more, as a replay asks no questions; leaves no folder behind. Raises `Refused`."""
    for question in questions():
        if problem := rules.problem(answers, question, is_rendering=True):
            rules.remove_empty(answers)
            _refuse(answers, question, problem)
    return ""


def refuse_unknown_names() -> None:
    """Raise `Refused` for a name on the command line that is no question: the engine would ignore it."""
    for name in command.given(questions()):
        if name not in questions():
            nearest = get_close_matches(name, questions(), 1, 0)[0]
            raise Refused(f"{name}: there is no such question. The nearest one is {nearest}.")


def _understand(answers: Answers, question: str) -> None:
    """Take an issuer as it is meant."""
    if question == "oidc_op_issuer":
        answers[question] = discovery.understood(str(answers[question]))


def _decide_algorithm(answers: Answers) -> None:
    """Take the algorithm of the OP, or of the preset, unless another one was answered."""
    options, answer = questions()[ALGORITHM], answers[ALGORITHM]
    offered = _offered(answers, [answer, *(option for option in options if option != answer)])
    if answer == options[0] and ALGORITHM not in command.given(questions()):
        answers[ALGORITHM] = offered[0]
    elif answer not in offered:
        click.echo(f"{ALGORITHM}: the OP does not offer {answer}, but {', '.join(offered)}.", err=True)


def _offered(answers: Answers, options: list[str]) -> list[str]:
    """Return those of `options` that the OP offers, all if it is not known; the recommended one comes first.

    That is the one which was answered on the command line, as the engine puts it first, or else the preset's.
    """
    supported = discovery.known(str(answers.get("oidc_op_issuer"))).get("id_token_signing_alg_values_supported")
    usual = questions()[ALGORITHM]
    was_answered = options[0] != usual[0] or ALGORITHM in command.given(questions())
    recommended = options[0] if was_answered else presets.chosen(answers).algorithm
    offered = [option for option in usual if isinstance(supported, list) and option in supported] or usual
    return sorted(offered, key=lambda option: option != recommended)


def _ask_again(answers: Answers, question: str, problem: str) -> Any:
    if not command.can_ask():
        _refuse(answers, question, problem)
    click.secho(f"  {_sentence(answers, question, problem)}", fg="red")
    options, number = questions()[question], [*questions()].index(question) + 1
    asked = rules.texts()["__prompts__"], f"  [dim][{number}/{len(questions())}][/] "
    try:
        if isinstance(options, list):
            return prompt.read_user_choice(question, options, *asked)
        return prompt.read_user_variable(question, _suggestion(answers, question), *asked)
    except EOFError:
        _refuse(answers, question, problem)


def _suggestion(answers: Answers, question: str) -> str:
    """Return what to suggest in place of a wrong answer."""
    answer, preset = str(answers[question]), presets.chosen(answers)
    candidates = {
        "project_name": ["My Site"],
        "project_slug": [rules.slug(answer), f"{rules.slug(answer)}_2"],
        "oidc_op_issuer": [f"{answer}/", answer.rstrip("/"), f"https://{answer}", preset.issuer],
        "session_renewal_seconds": ["900"],
        **{
            endpoint: [discovery.discovered(answers, name)]
            for endpoint, name in METADATA.items()
            if endpoint == question
        },
    }.get(question, [""])
    good = (text for text in candidates if not rules.problem({**answers, question: text}, question))
    return next(good, candidates[-1])


def _refuse(answers: Answers, question: str, problem: str) -> NoReturn:
    raise Refused(_sentence(answers, question, problem))


def _sentence(answers: Answers, question: str, problem: str) -> str:
    text = " ".join(str(answers.get(question, "")).split())
    shown = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."
    return f"{question}: {shown!r} {problem}."
