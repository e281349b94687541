"""What every module of the worker shares: errors of configuration, log lines and secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

log = logging.getLogger("worker")

#: What stands in a log line or an answer where a secret was.
MASK = "********"

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})

#: A name that holds a secret: `API_KEY`, `AWS_SECRET_ACCESS_KEY`, `keyfile_password`, `HF_TOKEN_2`.
SECRET_NAME = re.compile(
    r"(?i)(?:^|[-_])(?:api[-_]?keys?$|token(?:[-_]?(?:\d+|read|write))?$|secret|access[-_]?key|pass$"
    r"|(?:private|signing|encryption|account|auth|subscription|license)[-_]key$|credential$)"
    r"|[-_]pwd$|passw(?:or)?d|passphrase|^(?:set-)?cookie$"
)

#: Tokens that a model is made of, and that a setting counts: `eos_token`, `per_token`. As the name
#: of a variable `NEW_TOKEN` is a secret that takes the place of another.
_MODEL_TOKEN = re.compile(
    r"(?i)^(?:token|(?:.*[-_])?(?:bos|eos|pad|unk|sep|cls|mask|image|video|audio|think|start|end|"
    r"stop|begin|special|first|max|min|per|to|by)[-_]token"
    r"|(?-i:(?:[a-z_]*[-_])?(?:a|new|next|last)[-_]token))$"
)
#: In a log's prose also `OPENAI_KEY=…`: what such a variable holds is told by nothing else.
_CAPITAL_KEY = re.compile(r"[A-Z][A-Z0-9_]*_KEY$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

# `api_key='...'` as Python prints it, `"api_key": "..."` as JSON does, also within a text and with
# a list or an object behind it, `--api-key ...` as a command line does. The name is kept, the value
# is masked, however short it is.
_NAME = re.compile(r"""(?<![\w-])([A-Za-z_][\w-]*)\\*["']?(?:\s*[=:]\s*|\s+(?=["']))""")
_VALUE = re.compile(
    r"""(?x)
    \[[^\[\]]*\] | \{[^{}]*\} | \\+"[^"\\]*\\+" | b?"(?:[^"\\]|\\.)*"
    | b?'(?:[^'\\]|\\.)*' | [^\s"',;)\]}]+
    """
)
_QUOTE = re.compile(r"""b?(\\*["'])""")
_OPTION = re.compile(
    r"""(?<![\w-])(--[A-Za-z][\w-]*)([= ]+|["'],\s*["'])("[^"]*"|'[^']*'|(?!--)[^\s"']+)"""
)
_NO_VALUES = frozenset({"None", "null", "True", "False", "true", "false"})

# What is a secret by its shape: libraries put a whole request into their messages.
_SHAPED_SECRET = re.compile(
    r"""(?ix)
    ( \b (?: bearer | basic ) [ ]+ ) [\w.~+/=-]{6,}
    | ( \b authorization ["']? \s? [:=] \s? (?: b?["'] )? (?: [A-Za-z0-9-]{1,20} [ ] )? )
        [\w.~+/=-]{6,}
    | ( \b token ["']? \s? [:=] \s? (?: b?["'] )? ) (?= [\w.+/-]* \d ) [\w.+/-]{16,}
    | \b () (?: (?: hf | rpa | gh[opsu] ) _ | glpat- | sk- ) [A-Za-z0-9]{16,}
    | \b () (?: github_pat_ | sk-(?:ant|proj)- ) [\w-]{16,} | \b () (?-i: AKIA [A-Z0-9]{16} ) \b
    | ( :// [^/\s:@"']* : ) [^/\s@"']+ (?=@)
    | ( https?:// ) [^/\s:@"']{6,} (?=@)
    | ( [?&#] [\w-]* (?: token | signature | credential | key | sig | secret | password ) = )
        [^&\s"'<>]+
    """
)

# A line with none of these needs no look at the patterns.
_WORDS_OF_NAMES = ("key", "pass", "token", "secret", "credential", "pwd", "cookie")
_WORDS_OF_SHAPES = ("bearer ", "basic ", "authorization", "://", "=", "token", "_", "-", "akia")

#: What a reader may meet in any answer: words, or digits alone. Cutting them out hides nothing.
_ORDINARY = re.compile(r"(?:[^\W\d_]+(?:[ _-][^\W\d_]+)*|\d+)")
_ORDINARY_UP_TO = 15


class ConfigError(Exception):
    """The configuration cannot work. `problems` holds one readable line for each reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


def parse_bool(text: str) -> bool | None:
    """True, False, or None when `text` is neither in any spelling."""
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    return None


def without_quotes(text: str) -> str:
    """`text` without the quotes around the whole of it: a form's field needs none, unlike a
    shell."""
    if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0] or text[0] in text[1:-1]:
        return text
    return text[1:-1].strip()


def is_secret_name(name: str) -> bool:
    """Whether a flag, an environment variable or a JSON key of this name holds a secret."""
    name = name.lstrip("-")
    if not name.isupper():
        name = _CAMEL.sub("_", name)
    return bool(SECRET_NAME.search(name)) and not _MODEL_TOKEN.match(name)


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """The values of every variable that holds a secret."""
    return [
        value.strip()
        for name, value in environment.items()
        if is_secret_name(name) and value.strip()
    ]


def _forms_of(secret: str) -> set[str]:
    """A secret as Python, JSON and a URL write it."""
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        urllib.parse.quote(secret, safe=""),
    }


def _without(forms: Iterable[str], text: str) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, MASK)
    return text


def _masked(value: str) -> str:
    quote = _QUOTE.match(value)
    return f"{quote[0]}{MASK}{quote[1]}" if quote else MASK


def _mask_named(text: str) -> str:
    """The text with everything masked that stands behind a secret's name.

    What stands behind another name is looked through as well: it can have names of its own.
    """
    parts, done, at = [], 0, 0
    while name := _NAME.search(text, at):
        at = name.end()
        if not (is_secret_name(name[1]) or _CAPITAL_KEY.match(name[1])):
            continue
        value = _VALUE.match(text, at)
        if value and value[0] not in _NO_VALUES:
            parts += [text[done:at], _masked(value[0])]
            done = at = value.end()
    return "".join([*parts, text[done:]])


def _mask_option(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    if value in _NO_VALUES or not (is_secret_name(name) or name == "--token"):
        return match[0]
    return f"{name}{between}{_masked(value)}"


class Redactor:
    """Takes secrets out of text.

    A value is masked wherever it appears when it has at least `SHORTEST` characters: masking
    every "1" because someone's key is "1" would destroy the text without hiding anything. A value
    that is an ordinary word stays in answers for the same reason. In a log line a value of any
    length is masked behind its name (`api_key='1'`), and so is what has a secret's shape.
    """

    SHORTEST = 6

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._in_logs: list[str] = []
        self._in_answers: list[str] = []
        for secret in sorted(set(secrets), key=len, reverse=True):
            if len(secret) < self.SHORTEST:
                continue
            forms = _forms_of(secret)
            self._in_logs += forms
            if len(secret) > _ORDINARY_UP_TO or not _ORDINARY.fullmatch(secret):
                self._in_answers += forms
        for forms in (self._in_logs, self._in_answers):
            forms.sort(key=len, reverse=True)

    @property
    def longest(self) -> int:
        """The length of the longest text that is looked for: what a cut must not split."""
        return max((len(form) for form in self._in_logs), default=0)

    def text(self, text: str) -> str:
        """A part of an answer without any secret's value."""
        return _without(self._in_answers, text)

    def line(self, line: str) -> str:
        """A line of a log: secrets' values, what has their shape, and what stands behind a
        secret's name."""
        line = _without(self._in_logs, line)
        lowered = line.lower()
        if any(word in lowered for word in _WORDS_OF_NAMES):
            line = _OPTION.sub(_mask_option, _mask_named(line))
        if any(word in lowered for word in _WORDS_OF_SHAPES):
            line = _SHAPED_SECRET.sub(lambda m: next(filter(None, m.groups()), "") + MASK, line)
        return line

    def value(self, value: Any, *, by_name: bool = False) -> Any:
        """A parsed JSON value; with `by_name`, also whatever stands behind a secret's name."""
        if isinstance(value, str):
            return self.line(value) if by_name else self.text(value)
        if isinstance(value, Mapping):
            return {
                key: MASK
                if by_name and item and isinstance(item, str) and is_secret_name(str(key))
                else self.value(item, by_name=by_name)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.value(item, by_name=by_name) for item in value]
        return value


class _RedactingFormatter(logging.Formatter):
    """One line an event: line breaks are folded and secrets are masked."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)-7s worker | %(message)s", "%Y-%m-%d %H:%M:%S")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.line(super().format(record)).replace("\n", " | ")


def setup_logging(level: str, secrets: Iterable[str] = ()) -> Redactor:
    """Sends the worker's log to standard error; returns the redactor that it uses."""
    redactor = Redactor(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter(redactor))
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(level.upper())
    return redactor
