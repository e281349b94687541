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

#: A name that ends like this holds a secret: `api_key`, `admin-api-key`, `ssl_keyfile_password`.
SECRET_NAME = re.compile(r"(?i)(?:^|[-_])(?:api[-_]key|password|secret|(?:hf|hub)[-_]token)$")

# `api_key='...'` as Python prints it, `"api_key": "..."` as JSON does, `--api-key ...` as a
# command line does. The name is kept, the value is masked, however short it is.
_NAMED_SECRET = re.compile(
    r"""(?ix)
    ( [\w-]* (?: api[-_]key | keyfile[-_]password | hf[-_]token ) ["']?
      (?: \s*[=:]\s* | \s+(?=["']) ) )
    ( "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
    """
)
_NAMED_OPTION = re.compile(r"(?i)(--(?:admin-)?api-key|--ssl-keyfile-password)([= ]+)(\S+)")


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


def is_secret_name(name: str) -> bool:
    """Whether a flag, an environment variable or a JSON key of this name holds a secret."""
    return bool(SECRET_NAME.search(name.lstrip("-")))


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """The values of every variable that holds a secret."""
    return [
        value.strip()
        for name, value in environment.items()
        if is_secret_name(name) and value.strip()
    ]


class Redactor:
    """Takes secrets out of text.

    A value is masked wherever it appears when it has at least `SHORTEST` characters: masking
    every "1" because someone's key is "1" would destroy the text without hiding anything. In a
    log line a value of any length is masked behind its name (`api_key='1'`).
    """

    SHORTEST = 6

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) >= self.SHORTEST:
                forms.update(
                    {
                        secret,
                        repr(secret)[1:-1],
                        json.dumps(secret)[1:-1],
                        json.dumps(secret, ensure_ascii=False)[1:-1],
                        urllib.parse.quote(secret, safe=""),
                    }
                )
        self._forms = sorted(forms, key=len, reverse=True)

    @property
    def longest(self) -> int:
        """The length of the longest text that is looked for: what a cut must not split."""
        return max((len(form) for form in self._forms), default=0)

    def text(self, text: str) -> str:
        """`text` without any secret's value."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def line(self, line: str) -> str:
        """A line of a log: secrets' values, and whatever stands behind a secret's name."""
        line = self.text(line)
        lowered = line.lower()
        if "key" in lowered or "password" in lowered or "token" in lowered:
            line = _NAMED_SECRET.sub(lambda m: m[1] + m[2][0] + MASK + m[2][0], line)
            line = _NAMED_OPTION.sub(lambda m: m[1] + m[2] + MASK, line)
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
