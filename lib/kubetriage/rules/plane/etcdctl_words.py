"""What etcdctl said of its members: in come its lines, out goes which member does not answer and which do.

``etcdctl endpoint status`` and ``endpoint health``, 3.4 to 3.6; a text that a colleague sent holds them alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.figure_format import count, names
from kubetriage.values.commands import shell
from kubetriage.values.patterns import lazy

TOOL = "etcdctl"
_LOST = lazy(r"Failed to get the status of endpoint (\S{3,260}) \((.{1,300})\)|(\S{3,260}) is unhealthy: (.{1,300})")
_ANSWERED = lazy(r"(\S{3,260}) is healthy: |\| *(https?://[^\s|]{3,253}) *\| *[0-9a-f]{6,16} *\|")


def member_findings(case: Case, code: str, link: str) -> Iterator[Finding]:
    """Report the members that etcdctl could not reach while others answered it, or that none commits."""
    log = case.snapshot.log("kube-system", TOOL, TOOL)
    lost: dict[str, str] = {}
    answered: dict[str, None] = {}
    for row in log.text.splitlines() if log.seen else ():
        if (found := _LOST.search(row)) is not None:
            lost[found[1] or found[3]] = row.strip()
        answered.update((one, None) for match in _ANSWERED.finditer(row) if (one := match[1] or match[2]))
    answered = {one: None for one in answered if one not in lost}
    if not lost:
        return
    hosts = [urlsplit(one).hostname or one for one in lost]
    some = len(answered) > len(lost)
    left = (
        f"{count(len(answered), 'member')} answered it, which still decide; one more lost member ends that."
        if some
        else f"{count(len(answered), 'member')} answered it: where these are no majority, nothing can be written."
    )
    yield Finding(
        code,
        Severity.WARNING if some else Severity.ERROR,
        Confidence.LIKELY if some else Confidence.POSSIBLE,
        CLUSTER,
        f"etcdctl got no answer from {names(list(lost))}. {left}",
        tuple(Evidence("log", TOOL, row) for row in list(lost.values())[:4]),
        (RuledOut("EtcdQuorumLost", "a majority answered"),) if some else (),
        (
            Fix(
                f"See on {names(hosts)} whether etcd runs, and by its last words why not: a full disk, a certificate,"
                " its address. Start it again; remove and add the member only where its data are lost.",
                actor=Actor.NODE,
                commands=tuple(
                    shell("ssh", host, "sudo", "crictl", "ps", "-a", "--name", "etcd") for host in hosts[:2]
                ),
            ),
            Fix(
                "If it runs there: a firewall or the network between it and who asked, ports 2379 and 2380.",
                actor=Actor.NODE,
                commands=tuple(shell("nc", "-zv", host, "2379") for host in hosts[:1]),
            ),
        ),
        (str(shell("etcdctl", "endpoint", "health", "--cluster")),),
        {"link": link, "members": list(lost)},
    )
