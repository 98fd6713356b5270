"""What the cluster's DNS pods say themselves of what they may not read."""

from __future__ import annotations

import re

from kubetriage.readers.pods import Pod
from kubetriage.records import dataclass
from kubetriage.rules.service.case import Trace
from kubetriage.rules.service.client_policies import DNS_LABELS, DNS_NAMESPACE
from kubetriage.rules.service.pod_lines import newest_lines
from kubetriage.values.patterns import lazy

_FORBIDDEN = lazy(
    r"forbidden: User \W{0,2}system:serviceaccount:[\w.-]{1,63}:[\w.-]{1,253}\W{1,4}cannot (?:list|watch) resource "
    r"\W{0,2}(?P<resource>\w{1,63})\W{1,4}in API group \W{0,2}(?P<group>[\w.]{0,253})"
)


@dataclass(frozen=True)
class Refusal:
    """One line of a DNS pod that the API server refuses."""

    match: re.Match[str]
    pod: Pod
    container: str


def dns_refusal(trace: Trace) -> Refusal | None:
    """Return the newest line with which a DNS pod says what it may not read; None where there is none."""
    for pod in trace.world.selected(DNS_NAMESPACE, DNS_LABELS):
        for container, line in newest_lines(trace.snapshot, pod):
            if (match := _FORBIDDEN.search(line)) is not None:
                return Refusal(match, pod, container)
    return None
