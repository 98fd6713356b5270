"""Admission plugins that are compiled into the API server, by the words of their refusals: what each compares."""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.records import dataclass
from kubetriage.rules.crash.admission_refusals import Refusal
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import labels, mapping, objects, text
from kubetriage.values.patterns import lazy

NODE_SELECTOR = "scheduler.alpha.kubernetes.io/node-selector"
TOLERATIONS = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
_OPENSHIFT = "openshift.io/node-selector"


@dataclass(frozen=True)
class Told:
    """What one refusal means: it follows "... cannot create its pods: "."""

    message: str
    fix: tuple[Fix, ...]
    evidence: tuple[Evidence, ...] = ()


def told(refusal: Refusal) -> Told | None:
    """Read a refusal of a built-in plugin; None for words of another one."""
    for pattern, read in _PLUGINS:
        match = pattern.search(refusal.words)
        if match is not None:
            return read(refusal, match)
    return None


def asks_namespace(refusal: Refusal) -> bool:
    """Tell whether an annotation of the namespace decides about a refusal."""
    return bool(_SELECTOR.search(refusal.words) or _WHITELIST.search(refusal.words))


def _annotation(refusal: Refusal, *names: str) -> tuple[str, str]:
    """Return the first of the namespace's annotations that is set, and its name."""
    place = refusal.case.ref.namespace
    looked = refusal.case.snapshot.get("namespaces", "", place)
    held = labels(looked.obj, "metadata", "annotations") if looked.found else {}
    return next(((held[n], n) for n in names if held.get(n)), ("", names[0]))


def _look(refusal: Refusal) -> str:
    return kubectl("get", "namespace", refusal.case.ref.namespace, "-o", "yaml")


# plugin/pkg/admission/podnodeselector.
_SELECTOR = lazy(r"pod node label selector (?:conflicts with|labels conflict)")


def _node_selector(refusal: Refusal, _: re.Match[str]) -> Told:
    place = refusal.case.ref.namespace
    value, name = _annotation(refusal, NODE_SELECTOR, _OPENSHIFT)
    own = ", ".join(f"{k}={v}" for k, v in sorted(mapping(refusal.pod_spec, "nodeSelector").items()))
    asked = f"its nodeSelector ({own})" if own else "its nodeSelector"
    given = f"namespace {place} has {value} (annotation {name})" if value else f"annotation {name} of namespace {place}"
    evidence = [Evidence("spec", f"{refusal.maker} spec.template.spec.nodeSelector", own)] if own else []
    if value:
        evidence.append(Evidence("config", f"namespaces[{place}].metadata.annotations[{name}]", value))
    return Told(
        f"{asked} contradicts the node selector of the namespace: {given}.",
        (
            refusal.fix(
                f"Take the keys that contradict it out of nodeSelector of {refusal.target}"
                + (f" ({value} is added by itself)" if value else "")
                + ", or deploy into the namespace that is meant for those nodes.",
                commands=(_look(refusal),),
            ),
            Fix(
                f"Or change annotation {name} of namespace {place}, if its pods belong on those nodes.",
                actor=Actor.CLUSTER,
                commands=(kubectl("edit", "namespace", place),),
            ),
        ),
        tuple(evidence),
    )


# plugin/pkg/admission/podtolerationrestriction.
_WHITELIST = lazy(r"pod tolerations \(possibly merged with namespace default tolerations\) conflict")


def _tolerations(refusal: Refusal, _: re.Match[str]) -> Told:
    place = refusal.case.ref.namespace
    value, name = _annotation(refusal, TOLERATIONS)
    shown = ", ".join(text(t, "key") or "every taint" for t in objects(refusal.pod_spec, "tolerations"))
    evidence = (Evidence("config", f"namespaces[{place}].metadata.annotations[{name}]", value),) if value else ()
    return Told(
        f"its tolerations{f' ({shown})' if shown else ''} are not among those that namespace {place} allows.",
        (
            refusal.fix(f"Take the toleration out of {refusal.target} that the list of the namespace does not have."),
            Fix(
                f"Or add it to annotation {name} of namespace {place}.", actor=Actor.CLUSTER, commands=(_look(refusal),)
            ),
        ),
        evidence,
    )


# plugin/pkg/admission/priority.
_PRIORITY_VALUE = lazy(
    r"the integer value of priority \((?P<given>-?\d+)\) must not be provided in pod spec; priority admission "
    r"controller computed (?P<computed>-?\d+) from the given PriorityClass name"
)


def _priority_value(refusal: Refusal, match: re.Match[str]) -> Told:
    name = text(refusal.pod_spec, "priorityClassName")
    of_class = f" of PriorityClass {name}" if name else ""
    return Told(
        f"its template sets priority {match['given']}, and the value{of_class} is {match['computed']}.",
        (
            refusal.fix(
                f"Remove the field priority from the template of {refusal.target}; priorityClassName alone decides."
                " A pod that was exported with kubectl get -o yaml has it.",
            ),
        ),
    )


# plugin/pkg/admission/antiaffinity.
_ANTI_AFFINITY = lazy(r"RequiredDuringScheduling has TopologyKey (?P<key>\S+) but only key (?P<only>\S+) is allowed")


def _anti_affinity(refusal: Refusal, match: re.Match[str]) -> Told:
    key, only = match["key"], match["only"].rstrip(".,")
    return Told(
        f"its required anti-affinity spreads over {key}, and this cluster allows {only} only.",
        (
            refusal.fix(
                f"Use topologyKey {only} in the required podAntiAffinity of {refusal.target}, or make the rule over "
                f"{key} a preferred one.",
            ),
        ),
    )


# plugin/pkg/admission/serviceaccount: LimitSecretReferences, annotation enforce-mountable-secrets.
_MOUNTABLE = lazy(
    r"(?:secret(?:\.secretName|KeyRef|Ref)?[^\n]{0,60}?=\"?|Secret )\"?(?P<secret>[a-z0-9.-]{1,253})\"?"
    r"[^\n]{0,60} is not allowed because service account (?P<account>\S+) does not reference that (?P<kind>\S*secret)",
    re.I,
)


def _mountable(refusal: Refusal, match: re.Match[str]) -> Told:
    account, secret, place = match["account"], match["secret"], refusal.case.ref.namespace
    return Told(
        f"ServiceAccount {account} allows only the Secrets in its list, and {secret} is not one of them.",
        (
            Fix(
                f"Add {secret} to the field secrets of ServiceAccount {account}, or drop its annotation "
                "kubernetes.io/enforce-mountable-secrets.",
                actor=Actor.CLUSTER,
                commands=(kubectl("edit", "serviceaccount", account, namespace=place),),
            ),
        ),
    )


# plugin/pkg/admission/imagepolicy.
_IMAGE_POLICY = lazy(r"image policy webhook backend denied one or more images: (?P<why>[^\n]{1,300})")


def _image_policy(refusal: Refusal, match: re.Match[str]) -> Told:
    images = ", ".join(text(c, "image") for c in objects(refusal.pod_spec, "containers")[:3])
    return Told(
        f"the image policy of the cluster denies {images or 'one of its images'}: {match['why'].rstrip('.')}.",
        (
            refusal.fix(f"Use an image that the policy allows in {refusal.target} (its registry, its signature)."),
            Fix(
                "Or have the server behind --admission-control-config-file (ImagePolicyWebhook) allow the image.",
                actor=Actor.CLUSTER,
            ),
        ),
    )


# plugin/pkg/admission/runtimeclass.
_RUNTIME_CLASS = lazy(
    r"conflict: (?P<what>cannot merge node selectors|cannot merge tolerations|Overhead set without corresponding "
    r"RuntimeClass defined Overhead|pod requested overhead[^\n]{0,120}|runtimeClass\.[^\n]{0,160})"
)


def _runtime_class(refusal: Refusal, match: re.Match[str]) -> Told:
    name = text(refusal.pod_spec, "runtimeClassName")
    return Told(
        f"its template contradicts RuntimeClass {name or '(none is set)'}: {match['what']}.",
        (
            refusal.fix(
                f"Remove from the template of {refusal.target} what the RuntimeClass sets itself (overhead, its "
                "nodeSelector and tolerations).",
                commands=(kubectl("get", "runtimeclass", *((name,) if name else ()), "-o", "yaml"),),
            ),
        ),
    )


# PodSecurityPolicy, until 1.24.
_POD_SECURITY_POLICY = lazy(r"PodSecurityPolicy: |unable to (?:validate against any pod security policy|admit pod)")


def _pod_security_policy(refusal: Refusal, _: re.Match[str]) -> Told:
    account, place = text(refusal.pod_spec, "serviceAccountName") or "default", refusal.case.ref.namespace
    why = refusal.words.partition(": [")[2].rstrip("] ")[:240]
    empty = not why
    return Told(
        f"no PodSecurityPolicy that ServiceAccount {account} may use allows them{f': {why}' if why else ''}.",
        (
            Fix(
                f"Let ServiceAccount {account} use a policy that allows these pods (verb use on "
                "podsecuritypolicies, by a RoleBinding in the namespace).",
                actor=Actor.CLUSTER,
                commands=(
                    kubectl("get", "podsecuritypolicies"),
                    kubectl(
                        *(
                            "auth",
                            "can-i",
                            "use",
                            "podsecuritypolicies",
                            f"--as=system:serviceaccount:{place}:{account}",
                        ),
                        namespace=place,
                    ),
                ),
            ),
            *(() if empty else (refusal.fix(f"Or drop from {refusal.target} the fields that the message names."),)),
        ),
    )


_PLUGINS: tuple[tuple[re.Pattern[str], Callable[[Refusal, re.Match[str]], Told]], ...] = (
    (_SELECTOR, _node_selector),
    (_WHITELIST, _tolerations),
    (_PRIORITY_VALUE, _priority_value),
    (_ANTI_AFFINITY, _anti_affinity),
    (_MOUNTABLE, _mountable),
    (_IMAGE_POLICY, _image_policy),
    (_RUNTIME_CLASS, _runtime_class),
    (_POD_SECURITY_POLICY, _pod_security_policy),
)
