"""Admission webhooks: what they intercept, whether anything answers, and how the calls went."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from kubetriage.needs import List
from kubetriage.readers.events import Event, read_event
from kubetriage.readers.prometheus import Window
from kubetriage.records import dataclass, field
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, flag, labels, mapping, name_of, number, objects, text, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.selectors import label_selector_matches, selector_text

CONFIGURATIONS = (
    List("validatingwebhookconfigurations", cached=True, timeout=5.0),
    List("mutatingwebhookconfigurations", cached=True, timeout=5.0),
)
FAILED_CREATES = List("events", fields="reason=FailedCreate", timeout=5.0)
"""Controllers report a create that a webhook rejected or that could not be admitted as FailedCreate."""

_DURATION = "apiserver_admission_webhook_admission_duration_seconds"
_REJECTIONS = "apiserver_admission_webhook_rejection_count"

# apiserver/pkg/admission/plugin/webhook/errors: 'failed calling webhook "NAME": failed to call webhook: ...'
# (1.22 and later; before, without the second part).
_CALL_FAILED = lazy(r'failed calling webhook "([^"]+)": (.*)', re.DOTALL)


@dataclass(frozen=True)
class Webhook:
    """One webhook of a configuration."""

    name: str
    configuration: str
    kind: str
    """Kind of the configuration."""
    closed: bool
    """failurePolicy Fail: a call that fails rejects the request."""
    timeout: int
    """Seconds."""
    service: tuple[str, str] | None
    """Namespace and name of the service that answers; None for a URL."""
    url: str
    resources: frozenset[str]
    operations: frozenset[str]
    index: int = 0
    """Its place in the configuration, for a patch."""
    namespaces: Obj = field(default_factory=dict)
    """``namespaceSelector``; empty takes in all namespaces."""
    narrowed: bool = False
    """``objectSelector`` or ``matchConditions`` take in some objects only."""

    def calls_for(self, namespace: str, marks: Mapping[str, str] | None = None) -> bool:
        """Tell whether requests in a namespace pass through it; ``marks`` are the namespace's labels where known."""
        known = {"kubernetes.io/metadata.name": namespace, **(marks or {})}
        return not self.namespaces or label_selector_matches(
            selector_text({"spec": {"selector": self.namespaces}}), known
        )

    @property
    def only(self) -> tuple[str, ...]:
        """Namespaces to which its selector confines it by name; empty when it does not do so."""
        wanted = labels(self.namespaces, "matchLabels").get("kubernetes.io/metadata.name")
        if wanted:
            return (wanted,)
        for expression in objects(self.namespaces, "matchExpressions"):
            if text(expression, "key") == "kubernetes.io/metadata.name" and text(expression, "operator") == "In":
                return tuple(texts(expression, "values"))
        return ()

    def takes(self, resource: str) -> bool:
        """Tell whether requests for a plural resource name pass through it (selectors not considered)."""
        return "*" in self.resources or "*/*" in self.resources or resource in self.resources


def read_webhooks(snapshot: Snapshot) -> tuple[Webhook, ...]:
    """Read all webhooks of the cluster that are known."""
    found = []
    for need, kind in zip(
        CONFIGURATIONS, ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"), strict=True
    ):
        for configuration in snapshot.list(need.resource).items:
            for index, raw in enumerate(objects(configuration, "webhooks")):
                found.append(_webhook(raw, name_of(configuration), kind, index))
    return tuple(found)


def _webhook(raw: Obj, configuration: str, kind: str, index: int) -> Webhook:
    service = mapping(raw, "clientConfig", "service")
    rules = objects(raw, "rules")
    return Webhook(
        text(raw, "name"),
        configuration,
        kind,
        text(raw, "failurePolicy") != "Ignore",
        number(raw, "timeoutSeconds") or 10,
        (text(service, "namespace"), text(service, "name")) if service else None,
        text(raw, "clientConfig", "url"),
        frozenset(r for rule in rules for r in texts(rule, "resources")),
        frozenset(o for rule in rules for o in texts(rule, "operations")),
        index,
        mapping(raw, "namespaceSelector"),
        bool(mapping(raw, "objectSelector") or objects(raw, "matchConditions")),
    )


def backends(webhooks: Iterable[Webhook]) -> tuple[List, ...]:
    """Return the lists that tell whether anything stands behind the webhooks that fail closed."""
    places = {w.service[0] for w in webhooks if w.closed and w.service}
    return tuple(List("endpointslices", place, cached=True, timeout=5.0) for place in sorted(places))


def ready_endpoints(webhook: Webhook, snapshot: Snapshot) -> int | None:
    """Return how many ready endpoints stand behind a webhook's service; None when not seen or not a service.

    An endpoint without a condition counts as ready, as the API's documentation asks of consumers.
    """
    if webhook.service is None:
        return None
    namespace, name = webhook.service
    listing = snapshot.list("endpointslices", namespace)
    mine = [s for s in listing.items if text(s, "metadata", "labels", "kubernetes.io/service-name") == name]
    if not mine and not listing.complete:
        return None
    return sum(flag(e, "conditions", "ready") is not False for s in mine for e in objects(s, "endpoints"))


@dataclass(frozen=True)
class Calls:
    """Calls of one webhook."""

    count: float
    mean: float | None
    """Seconds."""
    failed: float
    """Calls that failed, so that the request was rejected."""
    since_start: bool = False
    """Counted since the API server started, for want of a second sample: only the share tells, not the number."""

    @property
    def failing(self) -> float:
        """Calls that failed, where they speak of the present; a few failures of long ago do not."""
        return self.failed if not self.since_start or 2 * self.failed >= self.count else 0.0


def calls(window: Window | None, name: str) -> Calls | None:
    """Return how the calls of a webhook went; None when the metrics were not seen."""
    if window is None:
        return None
    if window.second is None or window.left_out(f"{_DURATION}_count") or window.left_out(_REJECTIONS):
        total = window.first.histogram(_DURATION, name=name)
        rejected = window.first.value(_REJECTIONS, name=name, error_type="calling_webhook_error")
        return Calls(total.count if total else 0.0, total.mean if total else None, rejected or 0.0, since_start=True)
    duration = window.histogram(_DURATION, name=name)
    failed = window.increase(_REJECTIONS, name=name, error_type="calling_webhook_error")
    return Calls(duration.count if duration else 0.0, duration.mean if duration else None, failed or 0.0)


def failed_by_webhook(window: Window | None) -> dict[str, float]:
    """Return how many calls failed closed, by webhook."""
    if window is None:
        return {}
    known = window.latest if window.second is not None and not window.left_out(_REJECTIONS) else window.first
    failed = known.by(_REJECTIONS, "name", error_type="calling_webhook_error")
    return {name: seen.failing for name in failed if (seen := calls(window, name)) and seen.failing}


def configurations_seen(snapshot: Snapshot) -> bool:
    """Tell whether all configurations are known; a recording without any may have left them out."""
    lists = [snapshot.list(need.resource) for need in CONFIGURATIONS]
    return all(listing.complete and not listing.presumed for listing in lists)


def failed_calls(snapshot: Snapshot) -> Iterator[tuple[str, Event]]:
    """Yield the events that quote a failed call, with the name of the webhook."""
    for raw in snapshot.list("events").items:
        if "failed calling webhook" in text(raw, "message") or "failed calling webhook" in text(raw, "note"):
            event = read_event(raw)
            match = _CALL_FAILED.search(event.message)
            if match:
                yield match[1], event


def configuration_path(webhook: Webhook) -> str:
    """Return kubectl's TYPE/NAME of the webhook's configuration."""
    return f"{webhook.kind.lower()}/{webhook.configuration}"
