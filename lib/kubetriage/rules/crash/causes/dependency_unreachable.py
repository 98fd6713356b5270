"""The program could not reach an address that it depends on, and ended because of it.

Meaning: the container runs as it should; what it connects to does not answer. Restarting helps only when the other
side comes up.

Told by: a refused, timed-out, reset, unroutable or unresolvable address in the last error of the crashed instance. A
connection error that the program survived is no cause. The address is looked up: the Service of that name, its ports,
its ready endpoints, the same name in other namespaces, ExternalName, the pod itself for 127.0.0.1.

Fix: what the look-up shows: the right name or namespace, a port that the Service offers, ready pods behind it; or
retry in the program until the dependency is up.

Source: connect(2) and getaddrinfo(3) errors in each language's words; DNS for Services and Pods (name.namespace.svc);
discovery.k8s.io/v1 EndpointSlice, conditions.ready.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Finding, RuledOut, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.readers.logs import Address
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.dependency_lookup import configured, look_up, service_names
from kubetriage.rules.crash.known_errors import unknown_words
from kubetriage.rules.crash.mesh_proxies import proxy_not_up
from kubetriage.rules.crash.program_output import LastWords, last_words, short
from kubetriage.values.addresses import is_address, is_loopback
from kubetriage.values.resources import SERVICE_NAME_LABEL

CODE = "DependencyUnreachable"


_WORDS = {
    "refused": "was refused",
    "timeout": "timed out",
    "unresolved": "could not be resolved",
    "reset": "was cut",
    "unreachable": "has no route",
    "failed": "failed",
}


def needs(case: Case) -> Iterator[Need]:
    """Ask for the Services and endpoints behind the addresses that the crashed instances name."""
    for words in last_words(case):
        for told, _ in words.failed_addresses()[:5]:
            address = (configured(words, told) or (told, ""))[0]
            if address.kind == "unauthorized" or not address.host or is_loopback(address.host):
                continue
            if is_address(address.host):
                yield List("services", cached=True)
                continue
            for name, namespace in service_names(case, address.host):
                yield Get("services", namespace, name)
                found = case.snapshot.get("services", namespace, name)
                if found.found:
                    yield List("endpointslices", namespace, labels=f"{SERVICE_NAME_LABEL}={name}")
                    yield List("pods", namespace)
                    if address.kind == "timeout":
                        yield List("networkpolicies", namespace)
                elif found.absent:
                    yield List("services", cached=True)
                    if not case.snapshot.list("services").complete:
                        yield List("services", namespace)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is an address that did not answer."""
    for words in unknown_words(case):
        reached = [(a, c) for a, c in words.failed_addresses() if a.kind != "unauthorized"]
        if not reached:
            continue
        # An address with a name says more than one without; a Service of this cluster more than a foreign host.
        address, confidence = min(reached, key=lambda pair: (not pair[0].host, pair[0].port is None))
        yield _finding(case, words, address, confidence)


def conclude(_: Case, findings: list[Finding]) -> list[Finding]:
    """Put a container of the pod that ended itself before one that only missed it."""
    broken = {f.object.container for f in findings if f.severity is Severity.ERROR}
    return [
        replace(f, severity=Severity.WARNING) if f.cause == CODE and f.details.get("container") in broken else f
        for f in findings
    ]


def _finding(case: Case, words: LastWords, address: Address, confidence: Confidence) -> Finding:
    name = words.container.name
    silent, variable = not address.host, ""
    if silent and (guessed := configured(words, address)) is not None:
        address, variable = guessed
        confidence = max(confidence, Confidence.LIKELY, key=lambda c: c.rank)
    verdict = look_up(case, words, address)
    early = proxy_not_up(words, address)
    if early is not None and "root" not in verdict.details:
        verdict = replace(
            verdict,
            words=f"{early[0]}; {verdict.words}" if verdict.words else early[0],
            fix=early[1][0],
            more=(*early[1][1:], verdict.fix),
            evidence=(early[2], *verdict.evidence),
        )
    place = place_of(address)
    if not address.host:
        said = (
            f"{name} ended because a connection {_WORDS[address.kind]}; its log does not say to which address: "
            f"{short(address.line)}."
        )
    elif variable:
        said = (
            f"{name} ended because a connection {_WORDS[address.kind]}: {short(address.line)}. Its log does not say "
            "to which "
            f"address; variable {variable} names {place}: {verdict.words}."
        )
    else:
        said = f"{name} ended because {place} {_WORDS[address.kind]}; {verdict.words}."
    ruled = [RuledOut("ServiceNotFound", f"not ruled out: {verdict.unseen}")] if verdict.unseen else []
    error = words.error
    quoted = [address.line]
    if error is not None:
        # The frame or message that holds the address, where the error itself does not.
        if address.host and address.host not in address.line:
            quoted += [row for row in error.lines if address.host in row][:1]
        if error.summary not in address.line:
            quoted.append(error.summary)
    return words.finding(
        CODE,
        confidence,
        said,
        quoted=quoted,
        evidence=verdict.evidence,
        ruled_out=ruled,
        fix=(verdict.fix, *verdict.more),
        verify=verdict.verify,
        details={"address": place, "failure": address.kind, **verdict.details}
        if address.host
        else {"failure": address.kind},
    )


def place_of(address: Address) -> str:
    """Return HOST:PORT of an address, as a URL writes it."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}" if address.port else host
