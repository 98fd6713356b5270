"""Connection URLs that cannot be taken apart, and what is shown of them."""
# ruff: noqa: E501

import pytest

from kubetriage.redact import redact
from support.objects import advised, back_off, container, crash_findings, pod, status, terminated


def told(log, env=()):
    raw = pod(
        containers=[container(env=list(env))], statuses=[status("app", back_off(), terminated(1, "Error", -80, -60))]
    )
    found = crash_findings(raw, logs={"app": log})[0]
    return found, f"{found.message}\n{advised(found)}\n{found.evidence}"


SECRET = {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "api-db", "key": "url"}}}
GO = '{"level":"fatal","msg":"open database","error":"parse \\"postgres://app:p@ss#1@db:5432/app\\": invalid port \\":p@ss\\" after host"}\n'


@pytest.mark.parametrize(
    "log",
    [
        GO,
        "ValueError: Port could not be cast to integer value as 'ss'\n",
        "pymongo.errors.InvalidURI: Username and password must be escaped according to RFC 3986, use urllib.parse.quote_plus\n",
        "Error: P1013: The provided database string is invalid. invalid port number in database URL\n",
    ],
)
def test_a_password_that_is_not_encoded(log):
    found, words = told(log, [SECRET, {"name": "PORT", "value": "80"}])
    assert found.details == {"mechanism": "url-not-encoded", "setting": "DATABASE_URL"}
    assert "percent-encoded in key url of Secret api-db" in words
    assert "p@ss" not in words
    assert "ss#1" not in words


def test_several_urls_are_named_and_none_is_chosen():
    other = {"name": "CACHE_URL", "valueFrom": {"secretKeyRef": {"name": "cache", "key": "url"}}}
    found, words = told("ValueError: Port could not be cast to integer value as 'x'\n", [SECRET, other])
    assert "setting" not in found.details
    assert "DATABASE_URL, CACHE_URL" in words


def test_a_port_that_is_refused_is_no_url():
    assert told('Error: invalid port "99999"\n')[0].details.get("mechanism") != "url-not-encoded"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://app:p@ss#1@db:5432/app", "postgres://app:[redacted]@db:5432/app"),
        ("redis://u:a?b#c@h:1/0 x", "redis://u:[redacted]@h:1/0 x"),
        ('invalid port ":p@ss" after host', 'invalid port ":[redacted]" after host'),
        ('invalid port ":99999" after host', 'invalid port ":99999" after host'),
        ("http://host/a#b@c", "http://host/a#b@c"),
    ],
)
def test_a_password_with_a_hash_is_hidden_whole(text, shown):
    assert redact(text) == shown
