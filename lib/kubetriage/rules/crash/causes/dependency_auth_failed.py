"""A database, broker or API rejected the program's credentials, and the program ended because of it.

Meaning: the connection works and the other side answers; it does not accept the user, password, token or key.

Told by: the server's own words in the last error of the crashed instance (PostgreSQL 28P01, MySQL 1045, Redis NOAUTH
and WRONGPASS, MongoDB, RabbitMQ, Kafka SASL, HTTP 401, cloud APIs). The Secrets from which the container takes its
variables are named. A refusal by the Kubernetes API is RBACForbidden.

Fix: put the credentials that the server knows into the Secret and restart the workload; variables from a Secret are
read only when a container starts.

Source: PostgreSQL error codes class 28, MySQL ER_ACCESS_DENIED_ERROR, Redis ACL errors, RFC 9110 401.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Fix
from kubetriage.readers.logs import Address
from kubetriage.readers.pods import Container
from kubetriage.redact import secrecy
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import env_sources
from kubetriage.rules.crash.known_errors import unknown_words
from kubetriage.rules.crash.program_output import LastWords, short
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

CODE = "DependencyAuthFailed"

# The user that the server names: for user "app", for user 'app'@'10.0.0.1', role "app".
_USER = lazy(r"(?:for user|user|role) ['\"`](?P<user>[\w.@-]{1,128})['\"`]", re.IGNORECASE)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is a rejected credential."""
    for words in unknown_words(case):
        rejected = [(a, c) for a, c in words.failed_addresses() if a.kind == "unauthorized"]
        if rejected:
            yield _finding(case, words, *rejected[0])


def _finding(case: Case, words: LastWords, address: Address, confidence: Confidence) -> Finding:
    name = words.container.name
    line, host, port = address.line, address.host, address.port
    user = _USER.search(line)
    server = f"{host}:{port}" if port else host or "the server"
    login = f" for user {user['user']}" if user else ""
    secrets = _credentials(words.container)
    evidence = [
        Evidence("spec", f"{words.container.spec_path}.env[{variable}]", source) for variable, source in secrets
    ]
    sources = sorted(
        {source.rpartition(" of ")[2] for _, source in secrets}
        | {s for s in env_sources(words.container) if s.startswith("Secret")}
    )
    if sources:
        held = f"{name} takes its credentials from {' and '.join(sources)}"
        fix = Fix(
            f"Compare {' and '.join(sources)} in namespace {case.pod.namespace} with what {server} "
            f"accepts{login}, correct it, then "
            f"restart {case.workload_name}: variables are read only at the start."
        )
    else:
        held = "no Secret in its environment was found"
        fix = Fix(f"Correct the credentials{login} in the configuration of {name}, or the account on {server}.")
    verify = [case.kubectl(f"describe secret {s.removeprefix('Secret ')}") for s in sources if s.startswith("Secret ")]
    return words.finding(
        CODE,
        confidence,
        f"{name} ended because {server} rejected its credentials{login}: {short(line)}; {held}.",
        quoted=(line,),
        evidence=evidence,
        fix=(fix,),
        verify=verify,
    )


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
