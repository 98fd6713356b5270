"""The ServiceAccount that the pods are to run as does not exist in the namespace.

Meaning: the API server refuses to create the pods; when the account was deleted later, the kubelet gets no token for
pods that exist, and they do not start.

Told by: ``error looking up service account NS/NAME`` in the FailedCreate event or ReplicaFailure condition of the
controller, or ``serviceaccounts "NAME" not found`` in a FailedMount event of the token volume.

Fix: create the ServiceAccount, or correct serviceAccountName in the pod template.

Source: apiserver admission plugin ServiceAccount; kubelet token manager (TokenRequest).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Confidence, Evidence, Finding, Severity
from kubetriage.needs import Get, List, Need
from kubetriage.rules.crash.admission_refusals import Refused, refusals
from kubetriage.rules.crash.case import Case, ControllerCase
from kubetriage.rules.crash.config_references import current_mount_failures, volumes_pending
from kubetriage.rules.crash.pull_secrets import service_account
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import name_of, namespace_of, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

CODE = "ServiceAccountNotFound"

_REFUSED = lazy(r'serviceaccount "(?P<name>[^"]+)" not found|service account [^/\s]+/(?P<path>[^:\s]+)')
_TOKEN = lazy(r'failed to fetch token: .*serviceaccounts? "(?P<name>[^"]+)" not found')


def controller_needs(case: ControllerCase) -> Iterator[Need]:
    """Ask for the accounts that exist."""
    if any(refusals(case, Refused.SERVICE_ACCOUNT)):
        yield List("serviceaccounts", case.ref.namespace)


def check_controller(case: ControllerCase) -> Iterator[Finding]:
    """Name the account that pods cannot be created with."""
    for refusal in refusals(case, Refused.SERVICE_ACCOUNT):
        match = _REFUSED.search(refusal.words)
        name = (match["name"] or match["path"]) if match else text(refusal.pod_spec, "serviceAccountName")
        close, elsewhere = _near(case.snapshot, case.ref.namespace, name)
        patch = {"serviceAccountName": close} if close else None
        yield refusal.finding(
            CODE,
            f"{refusal.blocked}: ServiceAccount {name} does not exist in namespace {case.ref.namespace}.{elsewhere}",
            refusal.fix(_words(close, refusal.target), patch, commands=_create(name, case.ref.namespace)),
            evidence=(Evidence("spec", f"{refusal.maker} spec.template.spec.serviceAccountName", name),),
            verify=(kubectl("get", "serviceaccount", namespace=case.ref.namespace),),
            details={"reference": {"kind": "ServiceAccount", "name": name, **({"nearest": close} if close else {})}},
        )


def needs(case: Case) -> Iterator[Need]:
    """Ask for the account once the kubelet gets no token for it."""
    if _told(case):
        yield Get("serviceaccounts", case.pod.namespace, service_account(case.pod))
        yield List("serviceaccounts", case.pod.namespace)


def check(case: Case) -> Iterator[Finding]:
    """Name the account that the kubelet gets no token for."""
    told = _told(case)
    if told is None:
        return
    name, evidence = told
    pod = case.pod
    if case.snapshot.get("serviceaccounts", pod.namespace, name).found:
        return
    close, elsewhere = _near(case.snapshot, pod.namespace, name)
    yield Finding(
        CODE,
        Severity.ERROR,
        Confidence.CONFIRMED,
        pod.ref,
        f"ServiceAccount {name} does not exist in namespace {pod.namespace}, so the pod gets no token and does not "
        f"start.{elsewhere}",
        (evidence, pod.fact("spec", "spec.serviceAccountName", name)),
        fix=(
            case.template_fix(
                _words(close, case.workload_name),
                {"serviceAccountName": close} if close else None,
                commands=_create(name, pod.namespace),
            ),
        ),
        verify=(case.kubectl("get", "serviceaccount", name),),
        details={"reference": {"kind": "ServiceAccount", "name": name, **({"nearest": close} if close else {})}},
    )


def _told(case: Case) -> tuple[str, Evidence] | None:
    if not volumes_pending(case):
        return None
    for event in current_mount_failures(case):
        match = _TOKEN.search(event.message)
        if match:
            return match["name"], event.evidence()
    return None


def _near(snapshot: Snapshot, namespace: str, name: str) -> tuple[str, str]:
    """Return the nearest account, and a sentence about accounts of that name elsewhere."""
    known = snapshot.list("serviceaccounts").items
    here = [name_of(a) for a in known if namespace_of(a) == namespace and name_of(a) != "default"]
    elsewhere = [namespace_of(a) for a in known if name_of(a) == name and namespace_of(a) != namespace]
    close = nearest(name, here)
    sentence = f" {close} exists." if close else ""
    if elsewhere:
        sentence += f" One of that name exists in namespace {elsewhere[0]}."
    return close, sentence


def _words(close: str, target: str) -> str:
    return f"Use {close} in {target}, or create it." if close else f"Create it, or correct {target}."


def _create(name: str, namespace: str) -> tuple[str, ...]:
    return (kubectl("create", "serviceaccount", name, namespace=namespace),)
