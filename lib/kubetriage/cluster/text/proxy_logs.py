"""Logs of a proxy that nobody said whose they are: requests that it could not pass on are no end of a program.

ingress-nginx 1.x writes the upstream as ``[NAMESPACE-SERVICE-PORT]`` into each line of its access log; nginx of any
version writes the address of the upstream into its error log.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_ERROR = lazy(
    r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(?:error|warn|crit)\] \d{1,9}#\d{1,9}: \*\d{1,12} "
    r"(?P<why>.{1,300}?)(?: while .{1,80})?, client: .{1,2000}?upstream: \"[a-z]{3,8}://(?P<address>[^/\"]{3,260})"
)
_ACCESS = lazy(r".{0,4000}\" \d{3} \d{1,12} .{0,2000}\[(?P<upstream>[a-z0-9-]{3,130})-\d{1,5}\] \[.{0,100}\] \S{1,200}")
_PLAIN = lazy(r"\S{3,45} - \S{1,60} \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] \"")


def failed_requests(rows: Sequence[str]) -> str:
    """Say what a proxy's log tells of the upstream that it could not reach; empty for any other log."""
    lines = [row.strip() for row in rows if row.strip()]
    errors = [found for found in map(_ERROR.match, lines) if found is not None]
    access = [found for row in lines if (found := _ACCESS.match(row)) is not None]
    known = len(errors) + len([row for row in lines if _PLAIN.match(row)])
    if not errors or known * 2 <= len(lines):
        return ""
    last = errors[-1]
    said = f"looks like a proxy's log: its requests to {last['address']} failed ({last['why']})"
    upstreams = dict.fromkeys(found["upstream"] for found in access)
    if len(upstreams) != 1:
        return f"{said}; name the Service with that pod: {kubectl('svc-trace', 'SERVICE')}"
    # A namespace and a Service may both have hyphens: only one split is sure.
    parts = next(iter(upstreams)).split("-")
    if len(parts) == 2:
        return f"{said}; ask for its Service: {kubectl('svc-trace', parts[1], namespace=parts[0])}"
    return f"{said}; its upstream is {'-'.join(parts)} (NAMESPACE-SERVICE): {kubectl('svc-trace', 'SERVICE')}"
