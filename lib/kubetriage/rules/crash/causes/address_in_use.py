"""The program could not listen because its port is taken inside the pod.

Meaning: all containers of a pod share one network, so two of them cannot listen on the same port; with hostNetwork
the whole node shares it, other pods included.

Told by: "Address already in use" (EADDRINUSE) in the last error of the crashed instance, with the port where the
message has one. The other containers' declared ports and hostNetwork say who may hold it.

Fix: give one of the two another port; with hostNetwork choose a port that is free on every node, or turn hostNetwork
off.

Source: bind(2) EADDRINUSE; containers of a pod share the network namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, Fix
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.known_errors import unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, without_clock
from kubetriage.values.fields import flag, number, objects
from kubetriage.values.patterns import lazy

CODE = "AddressInUse"

# strerror(EADDRINUSE), Node's name, Spring Boot's analyzer, Windows sockets, Errno 98 of Python and nginx.
_IN_USE = lazy(
    r"address (?:is )?already in use|\bEADDRINUSE\b|address in use|only one usage of each socket address"
    r"|port \d{1,5} (?:was|is) already in use|errno 98\b|os error 98\b|\(98: ",
    re.IGNORECASE,
)
_PORT = lazy(
    r"(?:[\w.*\]]|::):(?P<a>\d{1,5})(?!\d)|(?:^|\s):{1,3}(?P<b>\d{1,5})(?!\d)|\bport\D{0,4}(?P<c>\d{1,5})(?!\d)"
    r"|', (?P<d>\d{1,5})\)",
    re.IGNORECASE,
)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is a port that is taken."""
    for words in unknown_words(case):
        said = words.find(_IN_USE)
        if said is not None:
            yield _finding(case, words, said)


def _port(words: LastWords, said: Said) -> int | None:
    error = words.error
    for line in (said.line, *(error.lines if error else ())):
        for match in _PORT.finditer(without_clock(line)):
            port = int(next(g for g in match.groups() if g))
            if 0 < port < 65536:
                return port
    return None


def _declares(container: Container, port: int) -> bool:
    return any(number(p, "containerPort") == port for p in objects(container.spec, "ports"))


def _finding(case: Case, words: LastWords, said: Said) -> Finding:
    name = words.container.name
    port = _port(words, said)
    which = f"port {port}" if port else "its port"
    host = flag(case.pod.raw, "spec", "hostNetwork") is True
    rivals = [
        c for c in case.containers if c.name != name and c.kind != "init" and port is not None and _declares(c, port)
    ]
    evidence = [
        Evidence("spec", f"{c.spec_path}.ports", f"containerPort {port} is declared by {c.name} too") for c in rivals
    ]
    if host:
        evidence.append(Evidence("spec", "spec.hostNetwork", "true"))
    if rivals:
        holder = f"container {rivals[0].name} of the same pod declares it"
        fix = f"Give {name} or {rivals[0].name} of {case.workload_name} another port; a pod has one network."
    elif host:
        holder = f"the pod uses the network of node {case.pod.node or '(unknown)'}, where something else has it"
        fix = f"Choose a port that is free on the nodes, or turn hostNetwork off in {case.workload_name}."
    else:
        holder = "another process of this pod has it"
        others = [c.name for c in case.containers if c.name != name and c.kind in ("app", "sidecar")]
        among = f"; containers {', '.join(others)} share its network" if others else "; it may start its server twice"
        fix = f"Find the second listener on {which} in {case.workload_name}{among}."
    return words.finding(
        CODE,
        said.confidence,
        f"{name} could not listen on {which}: {holder}.",
        quoted=(said.line,),
        evidence=evidence,
        fix=(Fix(fix),),
        details={"port": port} if port else {},
    )
