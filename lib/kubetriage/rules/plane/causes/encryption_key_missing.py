"""The API server cannot read what is stored encrypted: the key or provider it needs is not configured.

Meaning: reads of these objects fail with an internal error, Secrets first, and with them pods that mount them, service
account tokens, and controllers that list them. etcd and the data are whole.

Told by: "unable to transform key" in the API server's log or answer, with a reason that is about prefix or key: stored
in plain while identity is missing from the providers, a key or provider that was taken out, keys that differ between
API servers, or a snapshot of another cluster. Told apart from a KMS plugin that does not answer.

Fix: the same EncryptionConfiguration on all API servers, with the provider and key that the data was written with;
then write everything anew.

Source: apiserver/pkg/storage/value/transformer.go; kubernetes.io/docs/tasks/administer-cluster/encrypt-data.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.stored_keys import UNREADABLE, fixes, meaning, told
from kubetriage.rules.plane.stored_keys import check as shown
from kubetriage.values.times import format_time

CODE = "EncryptionKeyMissing"
LINK = "API server health"

_LATELY = 3600.0


def check(case: Case) -> Iterator[Finding]:
    """Read the log for values that no key opens."""
    seen = case.lately("stored key", _LATELY)
    match = UNREADABLE.search(seen[-1].words) if seen else None
    if match is None:
        return
    what, why = told(match)
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        meaning(what, why),
        tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in {r.words: r for r in seen}.values())[-2:],
        (RuledOut("EtcdCorrupt", "the value was read from etcd; opening it failed"),),
        fixes(case.machine, what, why),
        (shown(),),
        {"link": LINK, "since": format_time(seen[0].at)},
    )
