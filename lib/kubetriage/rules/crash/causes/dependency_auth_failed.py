"""A database, broker or API rejected the program's credentials, and the program ended because of it.

Meaning: the connection works and the other side answers; it does not accept the user, password, token or key.

Told by: the server's own words in the last error of the crashed instance (PostgreSQL 28P01, MySQL 1045, Redis NOAUTH
and WRONGPASS, MongoDB, RabbitMQ, Kafka SASL, HTTP 401, cloud APIs). The Secrets from which the container takes its
variables are named. A refusal by the Kubernetes API is RBACForbidden.

Fix: what the kind of server needs (a password that was set on the first start only, pg_hba.conf, SASL, an ACL, a
role's trust), then the Secret, and a restart: variables from a Secret are read only when a container starts.

Source: PostgreSQL error codes class 28, MySQL ER_ACCESS_DENIED_ERROR, Redis ACL errors, RFC 9110 401.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding
from kubetriage.needs import Get, Need
from kubetriage.readers.logs import Address
from kubetriage.readers.pods import Container
from kubetriage.redact import secrecy
from kubetriage.rules.crash.acts import manifest, restart
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import env_sources
from kubetriage.rules.crash.dependency_lookup import service_names
from kubetriage.rules.crash.known_errors import known_findings, unknown_words
from kubetriage.rules.crash.program_output import LastWords, short
from kubetriage.rules.crash.rejected_credentials import by_server
from kubetriage.values.commands import PIPE, kubectl, shell
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

CODE = "DependencyAuthFailed"

# The user that the server names: for user "app", for user 'app'@'10.0.0.1', role "app".
_USER = lazy(r"(?:for user|user|role) ['\"`](?P<user>[\w.@-]{1,128})['\"`]", re.IGNORECASE)


def needs(case: Case) -> Iterator[Need]:
    """Ask for the Service of the server that rejected credentials."""
    for words in unknown_words(case):
        for address, _ in words.failed_addresses()[:3]:
            if address.kind == "unauthorized" and address.host:
                for name, namespace in service_names(case, address.host):
                    yield Get("services", namespace, name)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is a rejected credential."""
    yield from known_findings(case, CODE)
    for words in unknown_words(case):
        rejected = [(a, c) for a, c in words.failed_addresses() if a.kind == "unauthorized"]
        if rejected:
            yield _finding(case, words, *rejected[0])


def _finding(case: Case, words: LastWords, address: Address, confidence: Confidence) -> Finding:
    name = words.container.name
    line, host, port = address.line, address.host, address.port
    error = words.error
    if error is not None and error.summary and error.summary in line.replace('\\"', '"'):
        line = error.summary  # without the fields of its log library
    found = _USER.search(line)
    user = found["user"] if found else ""
    server = f"{host}:{port}" if port else host or "the server"
    login = f" for user {user}" if user else ""
    secrets = _credentials(words.container)
    evidence = [
        Evidence("spec", f"{words.container.spec_path}.env[{variable}]", source) for variable, source in secrets
    ]
    sources = sorted(
        {source.rpartition(" of ")[2] for _, source in secrets}
        | {s for s in env_sources(words.container) if s.startswith("Secret")}
    )
    meaning, fixes = by_server(words, address, user)
    if sources:
        held = f"{name} takes its credentials from {' and '.join(sources)}"
        own = manifest(
            words,
            f"Compare {_keys(secrets) or ' and '.join(sources)} with what {server} accepts{login} (a "
            "line end in the value "
            f"counts), then restart {case.workload_name}: variables are read only at the start.",
            None,
            *_lengths(case, words.container),
            *restart(words),
        )
    else:
        held = "no Secret in its environment was found"
        own = manifest(
            words, f"Correct the credentials{login} in the configuration of {name}, or the account on {server}."
        )
    told = f"; {meaning}" if meaning else ""
    return words.finding(
        CODE,
        confidence,
        f"{name} ended because {server} rejected its credentials{login}; it says: {short(line)}{told}; {held}.",
        quoted=(line,),
        evidence=evidence,
        fix=(*fixes, own),
        verify=[
            kubectl("describe", "secret", s.removeprefix("Secret "), namespace=case.pod.namespace)
            for s in sources
            if s.startswith("Secret ")
        ],
        details={"user": user} if user else {},
    )


def _keys(secrets: list[tuple[str, str]]) -> str:
    """Name the keys of Secrets whose variables look like passwords or users."""
    return ", ".join(
        source for variable, source in secrets if source.startswith("key ") and secrecy(variable)
    ) or ", ".join(source for _, source in secrets if source.startswith("key "))


def _lengths(case: Case, container: Container) -> tuple[str, ...]:
    """Write commands that print how long the password keys are: a line end shows, the value does not."""
    found = []
    for entry in objects(container.spec, "env"):
        secret, key = text(entry, "valueFrom", "secretKeyRef", "name"), text(entry, "valueFrom", "secretKeyRef", "key")
        if secret and key and secrecy(text(entry, "name")):
            path = f"jsonpath={{.data.{key.replace('.', chr(92) + '.')}}}"
            read = ("kubectl", "-n", case.pod.namespace, "get", "secret", secret, "-o", path)
            found.append(shell(*read, PIPE, "base64", "-d", PIPE, "wc", "-c"))
    return tuple(found[:1])


def _credentials(container: Container) -> list[tuple[str, str]]:
    """Return the variables that come from a Secret or are named like a secret, and where their value is from."""
    found = []
    for entry in objects(container.spec, "env"):
        variable = text(entry, "name")
        secret, key = text(entry, "valueFrom", "secretKeyRef", "name"), text(entry, "valueFrom", "secretKeyRef", "key")
        if secret:
            found.append((variable, f"key {key} of Secret {secret}"))
        elif secrecy(variable) == 2 and "valueFrom" not in entry:
            found.append((variable, "a literal value of the pod template"))
    return found
