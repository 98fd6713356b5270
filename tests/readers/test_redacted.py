"""What is redacted does not change what a log says: every log of the captures and cases, read raw and redacted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetriage.cluster.recorded import RecordedReader
from kubetriage.readers.logs import addresses, last_error, last_line
from kubetriage.redact import clean, redact, redact_raw
from kubetriage.values.fields import text
from support.clock import least
from support.offline import ROOT

LOGS = sorted(path for folder in ("captures", "cases", "pastes") for path in (ROOT / "tests" / folder).rglob("*.log"))


def said(content: str) -> tuple:
    error = last_error(content)
    return (
        clean(last_line(content)),
        [(a.kind, a.host, a.port) for a in addresses(content)],
        error and (error.language, error.weight, error.name, clean(error.summary), error.at, error.end, error.trailing),
    )


def test_there_are_logs() -> None:
    assert len(LOGS) > 150


@pytest.mark.attack("logs that mean the same when redacted")
@pytest.mark.parametrize("part", range(10))
def test_a_redacted_log_says_the_same(part: int, record_property: Callable[[str, object], None]) -> None:
    record_property("tried", len(LOGS[part::10]))
    for path in LOGS[part::10]:
        content = path.read_text(encoding="utf-8", errors="replace")
        shown = redact_raw(content)
        assert shown.count("\n") == content.count("\n"), path
        assert said(shown) == said(content), path


@pytest.mark.parametrize(
    "log",
    [
        "Error: DB_PASSWORD: environment variable is required",
        "FATAL: MISSING_API_KEY: set API_KEY",
        "Error: auth: 10.0.0.1:8443 connection refused",
        "Error: cannot reach secret=vault.shop.svc:8200: connection refused",
        "panic: jwt: token is invalid",
        'secrets is forbidden: User "system:serviceaccount:a:b" cannot list resource "secrets"',
    ],
)
def test_what_a_diagnosis_needs_is_there(log: str) -> None:
    assert said(redact(log)) == said(log)
    assert redact(log) == log


SECRET_NAMES = [
    "password",
    "token",
    "secret",
    "api-key",
    "db-password",
    "session-secret",
    "auth",
    "access-token",
    "credentials",
    "jwt",
    "signing-key",
]
QUOTED = re.compile(r'"([a-z0-9][a-z0-9._/:-]{2,60})"')


def messages() -> set[str]:
    """Return what events and statuses of all captures and cases say."""
    found: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            found.update(v for k, v in value.items() if k in ("message", "note") and isinstance(v, str))
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    for path in (p.parent for f in ("captures", "cases") for p in (ROOT / "tests" / f).glob("**/truth.json")):
        walk([obj for _, obj in RecordedReader(path).open().objects])
    return found


def test_no_message_of_the_cluster_is_changed_though_its_objects_are_named_like_secrets() -> None:
    known = messages()
    assert len(known) > 400
    tried = 0
    for message in sorted(known):
        assert redact_raw(message) == message
        for word in set(QUOTED.findall(message)):
            if "://" in word:
                continue
            path, _, last = word.rpartition("/")
            _, colon, tag = last.partition(":")
            for name in SECRET_NAMES:
                renamed = message.replace(word, f"{path}{'/' if path else ''}{name}{colon}{tag}")
                tried += 1
                assert redact_raw(renamed) == renamed
    assert tried > 1000


def seconds(content: str) -> float:
    begun = time.process_time()
    redact(content)
    return time.process_time() - begun


@pytest.mark.slow
def test_redaction_of_a_log_of_ten_megabytes_takes_linear_time() -> None:
    whole = "".join(Path(path).read_text(encoding="utf-8", errors="replace") for path in LOGS)[:650_000]
    assert least(lambda: seconds(whole * 4) / seconds(whole), 6) < 6, "four times the text"
    # 10 s here are 1 µs for a character; the live reader takes 512 KiB of a log.
    assert seconds((whole * 16)[: 10 * 1024 * 1024]) < 60


def test_text_is_cut_before_rules_read_it() -> None:
    assert len(text({"message": "a: " * 60_000}, "message")) == 32 * 1024
