"""Refusals of Pod Security Admission: how the template fits the level, or which level lets it in."""

from __future__ import annotations

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.crash.admission_refusals import Refusal
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

LABEL = "pod-security.kubernetes.io/enforce"

# Violations of the baseline checks (k8s.io/pod-security-admission/policy); level restricted adds others on top.
_BASELINE = lazy(
    r"hostPath|host namespaces|hostPort|privileged\b(?! escalation)|non-default capabilities|seLinuxOptions|procMount|"
    r"forbidden sysctls|AppArmor|hostProcess|hostProbes|securityContext\.seccompProfile\.type to \"Unconfined\"|"
    r"must not set securityContext\.(?:privileged|procMount|windowsOptions)"
)


def evidence(refusal: Refusal) -> tuple[Evidence, ...]:
    """Return the namespace's own label, where it has one."""
    own = _own_level(refusal)
    namespace = refusal.case.ref.namespace
    return (Evidence("spec", f"namespace/{namespace} {LABEL}", own),) if own else ()


def _own_level(refusal: Refusal) -> str:
    found = refusal.case.snapshot.get("namespaces", "", refusal.case.ref.namespace).obj
    return text(found, "metadata", "labels", LABEL)


def fixes(refusal: Refusal, level: str, why: str) -> tuple[Fix, ...]:
    """Say how the template fits the level, where it can, and which label lets it in as it is."""
    namespace = refusal.case.ref.namespace
    needed = "privileged" if _BASELINE.search(why) else "baseline"
    seen = refusal.case.snapshot.get("namespaces", "", namespace)
    where = f"Namespace {namespace} enforces level {level}."
    if seen.found and not _own_level(refusal):
        where = f"Level {level} is the default of the API server's admission configuration; a label overrides it."
    label = Fix(
        f"{where} Let it enforce level {needed}, if pods of {refusal.target} are to have what they ask for.",
        actor=Actor.CLUSTER,
        commands=(kubectl("label", "namespace", namespace, f"{LABEL}={needed}", "--overwrite"),),
    )
    if needed == "privileged":
        template = refusal.fix(f"Or remove from {refusal.target} what the message names, if its program does without.")
        return (label, template)
    template = refusal.fix(
        f"Give {refusal.target} the security context of level {level}. Its images then need a user other than root.",
        _restricted(refusal),
    )
    return (template, label)


def _restricted(refusal: Refusal) -> dict[str, object]:
    """Return the partial PodSpec that meets level restricted, as far as fields can."""
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    patch: dict[str, object] = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    for field in ("initContainers", "containers"):
        names = [text(c, "name") for c in objects(refusal.pod_spec, field)]
        if names:
            patch[field] = [{"name": n, "securityContext": own} for n in names]
    return patch
