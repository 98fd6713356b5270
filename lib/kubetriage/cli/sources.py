"""Where an invocation reads from: a cluster of the kubeconfig, a recording, or a manifest that nobody applied yet."""

from __future__ import annotations

import os
from collections.abc import Callable

from kubetriage.cli.usage import UsageError, echo
from kubetriage.plugins import Plugin, Request
from kubetriage.records import dataclass, field, replace
from kubetriage.typed import TYPE_CHECKING, Any
from kubetriage.values.fields import name_of, namespace_of
from kubetriage.values.resources import BY_PLURAL

if TYPE_CHECKING:
    from kubetriage.cli.progress import Progress
    from kubetriage.cluster.connect import Session
    from kubetriage.model import Diagnosis
    from kubetriage.snapshot import Reader, Snapshot

_CONNECTIONS, _FOR_A_SCAN = 7, 2
"""That are opened at once: seven reads begin together about a pod of a Deployment, a scan begins with a list."""


class ExplainedError(Exception):
    """A text holds nothing but what kubectl said of a cluster that it could not read; ``answer`` says what it means."""

    def __init__(self, answer: Diagnosis, snapshot: Snapshot) -> None:
        """Hold the answer, and the snapshot in which nothing was seen."""
        super().__init__(answer.summary)
        self.answer = answer
        self.snapshot = snapshot


@dataclass
class Sources:
    """The readers of one invocation."""

    plugin: Plugin
    values: dict[str, Any]
    """The parsed options."""
    sessions: dict[str, Session] = field(default_factory=dict)
    """Connections by context, each made once."""

    def contexts(self, patterns: str) -> list[str]:
        """Return the contexts that match ``--contexts``; a usage error where a pattern matches none."""
        from fnmatch import fnmatchcase

        from kubetriage.cluster.kubeconfig import load_kubeconfig

        known = load_kubeconfig(self.values["kubeconfig"] or "", os.environ).contexts
        chosen: dict[str, None] = {}
        for pattern in (p.strip() for p in patterns.split(",")):
            found = [name for name in known if fnmatchcase(name, pattern)]
            if pattern and not found:
                raise UsageError(f'no context matches "{pattern}"')
            chosen.update(dict.fromkeys(found))
        if not chosen:
            raise UsageError(f'no context matches "{patterns}"')
        return list(chosen)

    def reader(self, request: Request, context: str, progress: Progress) -> tuple[Reader, Snapshot, Request]:
        """Return the reader, its opened snapshot, and the request with what the user left out."""
        if self.values["dump"]:
            return self._recorded(request)
        if any(
            o.kind == "manifest" and request.options.get(o.flag.removeprefix("--").replace("-", "_"))
            for o in self.plugin.options
        ):
            from kubetriage.cluster.manifest import NoCluster

            nobody = NoCluster()
            return nobody, nobody.open(), _placed(request, "default")
        v = self.values
        is_first = context not in self.sessions
        session = self.session(context)
        if is_first:
            # While the handshakes are under way everything else is imported. Later looks have kept connections.
            session.dial(_FOR_A_SCAN if request.is_scan else _CONNECTIONS)
        from kubetriage.cluster.live import LiveReader

        interval, deadline = request.options.get("interval"), request.options.get("deadline")
        live = LiveReader(
            session,
            # The samples are the interval apart; the deadline is for everything else.
            deadline=deadline + (interval or 0.0) if deadline else None,
            trace=tracer(context if v["contexts"] else "") if v["verbosity"] else None,
            progress=progress.tell,
            **({} if interval is None else {"interval": interval}),
        )
        return live, live.open(), _placed(request, session.namespace)

    def _recorded(self, request: Request) -> tuple[Reader, Snapshot, Request]:
        from pathlib import Path

        from kubetriage.cli import pasted
        from kubetriage.cluster.errors import NoObjectsError
        from kubetriage.cluster.recorded import RecordedReader
        from kubetriage.render.sanitize import sanitized

        dump = self.values["dump"]
        recorded = RecordedReader(Path("/dev/stdin" if dump == "-" else dump), pasted.hint(request, self.values), dump)
        try:
            snapshot = recorded.open()
        except NoObjectsError as error:
            self._explain(error.said)
            raise
        # A line that looks like one of a log may be what kubectl or Helm wrote.
        if self.plugin.explains is not None and not request.targets:
            self._explain(recorded.said)
        for line in pasted.notes(recorded):
            echo(sanitized(line), err=True)
        request = pasted.about(request, self.plugin, recorded, snapshot)
        if request.namespace or request.all_namespaces:
            return recorded, snapshot, request
        places = _namespaces_of_dump(snapshot, request)
        if request.is_scan and len(places) > 1:
            return recorded, snapshot, replace(request, all_namespaces=True)
        return recorded, snapshot, replace(request, namespace=places.pop() if len(places) == 1 else "default")

    def _explain(self, said: tuple[str, ...]) -> None:
        """Raise ExplainedError where the plugin knows what one of the messages means."""
        from datetime import datetime, timezone

        from kubetriage.cli import pasted
        from kubetriage.snapshot import Snapshot

        dump = self.values["dump"]
        told = pasted.explained(self.plugin, said, dump)
        if told is not None:
            now = self.values.get("now") or datetime.now(timezone.utc)
            raise ExplainedError(told, Snapshot(now, dated=False, source=dump))

    def session(self, context: str) -> Session:
        """Connect to the cluster of a context, once."""
        known = self.sessions.get(context)
        if known is not None:
            return known
        from kubetriage.cluster.connect import Connection, connect

        v = self.values
        session = self.sessions[context] = connect(
            Connection(
                kubeconfig=v["kubeconfig"] or "",
                context=context,
                cluster=v["cluster"] or "",
                user=v["user"] or "",
                namespace=v["namespace"] or "",
                as_=v["as_user"] or "",
                as_uid=v["as_uid"] or "",
                as_groups=tuple(v["as_group"]),
                request_timeout=v["request_timeout"],
                server=v["server"] or "",
                token=v["token"] or "",
                insecure_skip_tls_verify=v["insecure_skip_tls_verify"],
                certificate_authority=v["certificate_authority"] or "",
                client_certificate=v["client_certificate"] or "",
                client_key=v["client_key"] or "",
                tls_server_name=v["tls_server_name"] or "",
            ),
            os.environ,
        )
        return session


def tracer(context: str) -> Callable[[str], None]:
    """Return what prints one line per request to stderr, for ``-v``; with the context where there are several."""
    from kubetriage.redact import clean

    def trace(line: str) -> None:
        echo(clean(f"{context} {line}" if context else line), err=True)

    return trace


_ASIDE = ("events", "nodes", "leases", "configmaps", "secrets")
_TELLING = ("pods", "deployments", "statefulsets", "jobs", "services")
"""Resources whose namespaces tell what a dump is about."""


def _namespaces_of_dump(snapshot: Snapshot, request: Request) -> set[str]:
    """Return the namespaces that hold the named objects, or without any those that a dump is about."""
    places = set[str]()
    for target in request.targets:
        if target.resource in BY_PLURAL:
            places |= {namespace_of(o) for o in snapshot.list(target.resource).items if name_of(o) == target.name}
    if not places:
        found = {namespace_of(o) for r in _TELLING for o in snapshot.list(r).items}
        if request.is_scan:
            found |= {namespace_of(o) for o in snapshot.others} - {""}
        # A Gateway alone is in its own namespace.
        found = found or {namespace_of(o) for r, o in snapshot.objects if r not in _ASIDE} - {""}
        places = found - {"kube-system", "default"} or found
    return places


def _placed(request: Request, namespace: str) -> Request:
    if request.namespace or request.all_namespaces:
        return request
    return replace(request, namespace=namespace)
