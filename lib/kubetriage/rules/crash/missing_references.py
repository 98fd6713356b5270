"""ConfigMaps, Secrets and keys that a pod needs and that are not there, in words: what exists instead, and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, Ref, Severity
from kubetriage.needs import Need
from kubetriage.readers.pods import Pod
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.config_references import GIVEN_BY_CLUSTER, Broken, Reference, broken, keys, references
from kubetriage.rules.crash.made_objects import maker_needs, maker_of, maker_pods
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import Obj, name_of, namespace_of, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy


def missing_objects(case: Case, resource: str, cause: str) -> Iterator[Finding]:
    """Yield a finding for each ConfigMap or Secret (by ``resource``) that does not exist."""
    for one in broken(case):
        if one.reference.resource == resource and not one.of_key:
            yield _missing_object(case, one, cause)


def missing_object_needs(case: Case, resource: str) -> Iterator[Need]:
    """Ask for the pods of the programs that make what is missing."""
    for one in broken(case):
        if one.reference.resource == resource and not one.of_key:
            yield from maker_needs(one.reference.kind, one.reference.name, case.pod.namespace)


def missing_object_leads(case: Case, resource: str) -> Iterator[Pod]:
    """Yield the pods of the programs that make what is missing."""
    for one in broken(case):
        if one.reference.resource == resource and not one.of_key:
            yield from maker_pods(case, one.reference.kind, one.reference.name)


def missing_keys(case: Case, resource: str, cause: str) -> Iterator[Finding]:
    """Yield a finding for each key that an existing ConfigMap or Secret does not have."""
    for one in broken(case):
        if one.reference.resource == resource and one.of_key:
            yield _missing_key(case, one, cause)


def _confidence(one: Broken) -> Confidence:
    # The API confirms that it is missing; that it is what holds the pod up is the kubelet's to say.
    return Confidence.CONFIRMED if one.said else Confidence.LIKELY


def _ref(case: Case, one: Broken) -> Ref:
    container = case.pod.container(one.reference.container) if one.reference.container else None
    return container.ref if container else case.pod.ref


def _uses(one: Broken) -> str:
    uses = list(dict.fromkeys(r.use for r in (one.reference, *one.also)))
    return ", ".join(uses[:3]) + (f" and {len(uses) - 3} more" if len(uses) > 3 else "")


def _missing_object(case: Case, one: Broken, cause: str) -> Finding:
    r, namespace = one.reference, case.pod.namespace
    listing = case.snapshot.list(r.resource, namespace)
    here = [o for o in listing.items if name_of(o) not in GIVEN_BY_CLUSTER and _meant(o)]
    names = [name_of(o) for o in here]
    elsewhere = [namespace_of(o) for o in case.snapshot.list(r.resource).items if name_of(o) == r.name]
    wanted = _wanted_keys(case, r)
    close = nearest(r.name, names) or _holder(wanted, here)
    evidence = [*one.said, Evidence("spec", r.at, r.name)]
    made: tuple[Fix, ...] = ()
    message = f"{r.kind} {r.name} does not exist in namespace {namespace}; {_uses(one)} needs it."
    if not one.blocking:
        message = f"{r.kind} {r.name} does not exist, either: {_uses(one)} of container {r.container} needs it."
    if close:
        held = keys(next(o for o in here if name_of(o) == close))
        evidence.append(Evidence("config", f"{r.kind.lower()}/{close}", f"keys {', '.join(sorted(held)) or '<none>'}"))
        message += f" {close} exists and has {_key_list(held)}."
        words = f"Name {close} instead of {r.name} in {case.workload_name} ({r.at}), or create {r.kind} {r.name}."
        fix = _renamed(case, one, close, words)
    else:
        if names and listing.complete:
            message += f" {r.kind}s there: {', '.join(sorted(names)[:3])}{' ...' if len(names) > 3 else ''}."
        fix = Fix(
            f"Create {r.kind} {r.name} in namespace {namespace}"
            + (f" with {_key_list(wanted)}" if wanted else "")
            + f", or correct the name in {case.workload_name}.",
            actor=Actor.MANIFEST,
            commands=_create(r, namespace, wanted),
        )
        maker = maker_of(case, r.kind, r.name)
        if maker is not None:
            message += maker.message
            evidence += maker.evidence
            made = maker.fixes
        elif r.resource == "secrets":
            made = (*_made_by(r.name), fix) if _CERTIFICATE.search(f"{r.name} {r.at}") else (fix, *_made_by(r.name))
    if elsewhere:
        evidence.append(Evidence("config", f"{r.kind.lower()}/{r.name}", f"exists in namespace {elsewhere[0]}"))
        message += f" One of that name exists in namespace {elsewhere[0]}; pods cannot use it from there."
    return Finding(
        cause=cause,
        severity=Severity.ERROR if one.blocking else Severity.WARNING,
        confidence=_confidence(one),
        object=_ref(case, one),
        message=message,
        evidence=tuple(evidence),
        fix=made or (fix,),
        verify=(
            kubectl("get", r.kind.lower(), r.name, namespace=namespace),
            kubectl("get", r.kind.lower(), namespace=namespace),
        ),
        details={"reference": {"kind": r.kind, "name": r.name, **({"nearest": close} if close else {})}},
    )


# Names of Secrets and volumes with certificates.
_CERTIFICATE = lazy(r"(?i)\b(?:tls|certs?|ssl|pki)\b|certificate|-tls|-cert")


def _made_by(name: str) -> tuple[Fix, ...]:
    """Say what else makes Secrets: operators, which tell in their own objects why they have not."""
    return (
        Fix(
            f"If an operator is to make {name} (a Certificate of cert-manager, an ExternalSecret, a SealedSecret): see "
            "that its object is there, and what its conditions say.",
            actor=Actor.CLUSTER,
            commands=(
                kubectl("get", "certificates.cert-manager.io", "-A", "-o", "wide"),
                kubectl("get", "externalsecrets.external-secrets.io", "-A"),
            ),
        ),
    )


def _create(reference: Reference, namespace: str, wanted: list[str]) -> tuple[str, ...]:
    """Write the command that creates what is missing, with the keys that the pod asks for."""
    kind = ("configmap",) if reference.resource == "configmaps" else ("secret", "generic")
    given = [f"--from-literal={key}={placeholder('value')}" for key in wanted] or [f"--from-file={placeholder('path')}"]
    return (kubectl("create", *kind, reference.name, *given, namespace=namespace),)


def _meant(obj: object) -> bool:
    """Leave out Secrets that only controllers use (tokens, Helm releases)."""
    kind = text(obj, "type")
    return kind not in ("kubernetes.io/service-account-token", "helm.sh/release.v1", "bootstrap.kubernetes.io/token")


def _wanted_keys(case: Case, reference: Reference) -> list[str]:
    same = (r for r in references(case.pod) if (r.resource, r.name) == (reference.resource, reference.name))
    return list(dict.fromkeys(r.key for r in same if r.key))


def _holder(wanted: list[str], objs: list[Obj]) -> str:
    """Return the only object that has all the wanted keys, or empty."""
    holders = [name_of(o) for o in objs if wanted and set(wanted) <= set(keys(o))]
    return holders[0] if len(holders) == 1 else ""


def _key_list(names: Iterable[str]) -> str:
    chosen = sorted(names)
    if not chosen:
        return "no keys"
    shown = ", ".join(chosen[:5]) + (" ..." if len(chosen) > 5 else "")
    return f"key {shown}" if len(chosen) == 1 else f"keys {shown}"


def _missing_key(case: Case, one: Broken, cause: str) -> Finding:
    r, namespace = one.reference, case.pod.namespace
    lookup = case.snapshot.get(r.resource, namespace, r.name)
    have = keys(lookup.obj)
    close = nearest(r.key, have)
    evidence = [*one.said, Evidence("spec", r.at, f"{r.name} key {r.key}")]
    message = f"{r.kind} {r.name} has no key {r.key}; {_uses(one)} needs it."
    if lookup.found:
        evidence.append(Evidence("config", f"{r.kind.lower()}/{r.name}", f"keys {', '.join(sorted(have)) or '<none>'}"))
        message += f" It has {_key_list(have)}."
    words = (
        f"Use key {close} instead of {r.key} in {case.workload_name} ({r.at}), or add {r.key} to {r.kind} {r.name}."
        if close
        else f"Add key {r.key} to {r.kind} {r.name}, or correct the key in {case.workload_name} ({r.at})."
    )
    return Finding(
        cause=cause,
        severity=Severity.ERROR if one.blocking else Severity.WARNING,
        confidence=_confidence(one),
        object=_ref(case, one),
        message=message,
        evidence=tuple(evidence),
        fix=(_rekeyed(case, one, close, words),),
        verify=(kubectl("describe", r.kind.lower(), r.name, namespace=namespace),),
        details={"reference": {"kind": r.kind, "name": r.name, "key": r.key, **({"nearest": close} if close else {})}},
    )


def _container_patch(case: Case, reference: Reference, part: Obj) -> Obj | None:
    container = case.pod.container(reference.container)
    return container.patch(part) if container is not None else None


def _renamed(case: Case, one: Broken, good: str, words: str) -> Fix:
    """Make the fix that names another object; a patch where a strategic merge can express it."""
    r = one.reference
    if one.also or (not r.container and ".projected." in r.at):
        return case.template_fix(words)
    if r.use.startswith("env "):
        field = "configMapKeyRef" if r.resource == "configmaps" else "secretKeyRef"
        part = {"env": [{"name": r.use.removeprefix("env "), "valueFrom": {field: {"name": good}}}]}
        return case.template_fix(words, _container_patch(case, r, part))
    if r.at.endswith((".configMap", ".secret")) and r.volume:
        field, name = ("configMap", "name") if r.resource == "configmaps" else ("secret", "secretName")
        return case.template_fix(words, {"volumes": [{"name": r.volume, field: {name: good}}]})
    # envFrom has no merge key: a patch would replace the whole list.
    return case.template_fix(words)


def _rekeyed(case: Case, one: Broken, good: str, words: str) -> Fix:
    r = one.reference
    if not good or one.also or not r.use.startswith("env "):
        return case.template_fix(words)
    field = "configMapKeyRef" if r.resource == "configmaps" else "secretKeyRef"
    part = {"env": [{"name": r.use.removeprefix("env "), "valueFrom": {field: {"key": good}}}]}
    return case.template_fix(words, _container_patch(case, r, part))
