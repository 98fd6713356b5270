"""What the API server answered a person's request, alone in a text: who refused it, and what ends that.

Lines of kubectl, Helm and Argo CD about admission, quotas and limits.
"""

from __future__ import annotations

import re

from kubetriage.model import Actor, Finding, Fix, Ref
from kubetriage.rules.crash.policy_engines import engine_of, plain, rule_of
from kubetriage.rules.crash.refused_words import Row, named, place, subject, told
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_BASELINE = lazy(
    r"hostPath|host namespaces|hostPort|privileged\b(?! escalation)|non-default capabilities|seLinuxOptions|procMount"
    r"|forbidden sysctls|AppArmor|hostProcess"
)
_RESTRICTED_YAML = """spec:
  securityContext:
    runAsNonRoot: true
    seccompProfile: {type: RuntimeDefault}
  containers:
  - name: NAME
    securityContext:
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}"""


_CONTAINER = lazy(r"container \\?\"(?P<name>[a-z0-9-]{1,63})\\?\" must set securityContext\.(?:allow|cap)")


def _restricted(why: str) -> str:
    """Write what meets level restricted, with the name of the container where the message tells one."""
    found = _CONTAINER.search(why)
    return _RESTRICTED_YAML.replace("NAME", found["name"]) if found is not None else _RESTRICTED_YAML


def _pod_security(line: str, said: re.Match[str]) -> Finding:
    about, level, why = subject(line), said["level"], plain(said["why"])
    needed = "privileged" if _BASELINE.search(said["why"]) else "baseline"
    label = Fix(
        f"{'Only' if needed == 'privileged' else 'Or'} if it must have that: let its namespace enforce level {needed}.",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("label", "namespace", place(about), f"pod-security.kubernetes.io/enforce={needed}", "--overwrite"),
        ),
    )
    fit = Fix(
        "Remove from the pod what the message names, if its program does without."
        if needed == "privileged"
        else f"Give the pod the security context of level {level}; its image then needs a user other than root.",
        actor=Actor.MANIFEST,
        yaml="" if needed == "privileged" else _restricted(said["why"]),
    )
    return told(
        "AdmissionDenied",
        line,
        about,
        f"Pod Security level {level} of the namespace refuses {named(about)}: {why}",
        (fit, label),
    )


def _webhook(line: str, said: re.Match[str]) -> Finding | None:
    hook, why = said["hook"], said["why"].strip()
    if not why:
        return None  # the reason stands in the next lines, which are asked as one paragraph
    about = subject(line)
    engine = engine_of(hook)
    rule = rule_of(why)
    find = kubectl(
        *("get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o"),
        "custom-columns=NAME:.metadata.name,WEBHOOKS:.webhooks[*].name",
    )
    if engine is None:
        whose, change = f"Webhook {hook}", "Change the object as its message asks."
        other = Fix(
            f"Or have the rule behind webhook {hook} changed, by whoever owns it.",
            actor=Actor.CLUSTER,
            commands=(find,),
        )
    else:
        whose = f"{engine.name}{f' ({rule})' if rule else ''}"
        change, other = engine.advice("the object", rule)
    return told(
        "AdmissionDenied",
        line,
        about,
        f"{whose} refuses {named(about)}: {plain(why).rstrip('.')}.",
        (Fix(change, actor=Actor.MANIFEST), other),
        webhook=hook,
    )


def _policy(line: str, said: re.Match[str]) -> Finding:
    about, policy = subject(line), said["policy"]
    return told(
        "AdmissionDenied",
        line,
        about,
        f"ValidatingAdmissionPolicy {policy} refuses {named(about)}: {plain(said['why']).rstrip('.')}.",
        (
            Fix(f"Change the object as policy {policy} asks.", actor=Actor.MANIFEST),
            Fix(
                f"Or have policy {policy} or its binding changed, by whoever owns it.",
                actor=Actor.CLUSTER,
                commands=(kubectl("get", "validatingadmissionpolicy", policy, "-o", "yaml"),),
            ),
        ),
    )


def _constraint(line: str, _: re.Match[str]) -> Finding:
    about = subject(line)
    return told(
        "AdmissionDenied",
        line,
        about,
        f"No security context constraint that its ServiceAccount may use allows {named(about)}.",
        (
            Fix(
                "Drop the fields that the message names (runAsUser, fsGroup, hostPath, privileged): OpenShift "
                "gives each "
                "namespace user ids of its own.",
                actor=Actor.MANIFEST,
            ),
            Fix(
                "Or let its ServiceAccount use a constraint that allows them, if it must.",
                actor=Actor.CLUSTER,
                commands=(kubectl("get", "scc"),),
            ),
        ),
    )


def _pairs(listed: str) -> dict[str, str]:
    found = (part.partition("=") for part in listed.split(","))
    return {key.strip(): value.strip() for key, _, value in found if value}


def _quota(line: str, said: re.Match[str]) -> Finding:
    about, quota = subject(line), said["quota"].strip()
    asked, used, limit = (_pairs(said[g]) for g in ("asked", "used", "limit"))
    short = "; ".join(f"{k}: {used.get(k, '?')} of {limit[k]} used, {asked.get(k, '?')} more asked" for k in limit)
    look = kubectl("describe", "resourcequota", quota, namespace=place(about))
    return told(
        "QuotaExceeded",
        line,
        about,
        f"Quota {quota} has no room for {named(about)} ({short}).",
        (
            Fix(
                f"Make room: remove what the namespace no longer needs, or ask for less of {', '.join(limit)}.",
                actor=Actor.MANIFEST,
                commands=(look,),
            ),
            Fix(f"Or have quota {quota} raised, by whoever administers the cluster.", actor=Actor.CLUSTER),
        ),
        (look,),
        quota=quota,
        resources=sorted(limit),
    )


def _must_specify(line: str, said: re.Match[str]) -> Finding:
    about, quota = subject(line), said["quota"].strip()
    what = ", ".join(part.partition(" for:")[0].strip() for part in said["what"].split(";"))
    return told(
        "QuotaExceeded",
        line,
        about,
        f"Quota {quota} demands {what}, and {named(about)} does not set it.",
        (
            Fix(f"Set {what} (resources) for each container.", actor=Actor.MANIFEST),
            Fix("Or add a LimitRange with defaults to the namespace.", actor=Actor.CLUSTER),
        ),
        quota=quota,
    )


def _range(line: str, said: re.Match[str]) -> Finding:
    about = subject(line)
    return told(
        "LimitRangeViolation",
        line,
        about,
        f"The LimitRange of the namespace refuses {named(about)}: {said['resource']} {said['what']} "
        f"{said['asked'].strip(' .')}"
        f" ({said['edge']} per {said['per']} {said['limit']}).",
        (
            Fix(
                f"Set the {said['what']} of {said['resource']} to "
                f"{'at most' if said['edge'] == 'maximum' else 'at least'} {said['limit']}.",
                actor=Actor.MANIFEST,
            ),
            Fix(
                "Or have the LimitRange changed.",
                actor=Actor.CLUSTER,
                commands=(kubectl("describe", "limitrange", namespace=place(about)),),
            ),
        ),
    )


def _account(line: str, said: re.Match[str]) -> Finding:
    about, name, namespace = subject(line), said["name"], said["space"]
    return told(
        "ServiceAccountNotFound",
        line,
        Ref(about.kind, namespace, about.name) if about.kind != "Cluster" else about,
        f"ServiceAccount {name} does not exist in namespace {namespace}, so {named(about)} is refused.",
        (
            Fix(
                f"Create ServiceAccount {name}, or correct serviceAccountName.",
                actor=Actor.MANIFEST,
                commands=(kubectl("create", "serviceaccount", name, namespace=namespace),),
            ),
        ),
        (kubectl("get", "serviceaccounts", namespace=namespace),),
    )


def _namespace(line: str, said: re.Match[str]) -> Finding:
    name = said["name"]
    return told(
        "AdmissionDenied",
        line,
        Ref("Namespace", "", name),
        f"Namespace {name} does not exist, so nothing can be made in it.",
        (
            Fix(
                f"Create namespace {name}, or correct the namespace of the manifest or of -n (helm: "
                "--create-namespace).",
                actor=Actor.MANIFEST,
                commands=(kubectl("create", "namespace", name),),
            ),
        ),
        (kubectl("get", "namespaces"),),
    )


def _ending(line: str, said: re.Match[str]) -> Finding:
    name = said["name"]
    return told(
        "AdmissionDenied",
        line,
        Ref("Namespace", "", name),
        f"Namespace {name} is being deleted, so nothing can be made in it.",
        (
            Fix(
                "Wait until it is gone and create it again. If it hangs, its status.conditions name what is left.",
                actor=Actor.CLUSTER,
                commands=(kubectl("get", "namespace", name, "-o", "yaml"),),
            ),
        ),
        (kubectl("get", "namespace", name),),
    )


def _class(line: str, said: re.Match[str]) -> Finding:
    about, name = subject(line), said["name"].rstrip(".,")
    return told(
        "AdmissionDenied",
        line,
        about,
        f"PriorityClass {name} does not exist, so {named(about)} is refused.",
        (
            Fix(
                f"Set priorityClassName to an existing class, or create PriorityClass {name}.",
                actor=Actor.MANIFEST,
                commands=(kubectl("get", "priorityclasses"),),
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        lazy(r"(?<!would )violates? PodSecurity \\?\"(?P<level>[^\":\\]{1,30})(?::[^\"\\]{0,20})?\\?\":\s*(?P<why>.+)"),
        _pod_security,
    ),
    Row(
        lazy(
            r"admission webhook \\?\"(?P<hook>[^\"\\]{1,253})\\?\" denied the request"
            r"(?: without explanation)?:?(?P<why>.*)"
        ),
        _webhook,
    ),
    Row(
        lazy(
            r"ValidatingAdmissionPolicy '(?P<policy>[^']{1,253})'(?: with binding '[^']{1,253}')? denied request: "
            r"(?P<why>.+)"
        ),
        _policy,
    ),
    Row(lazy(r"unable to validate against any security context constraint"), _constraint),
    Row(
        lazy(
            r"exceeded quota: (?P<quota>[^,]{1,253}), requested: (?P<asked>.{1,600}?), used: (?P<used>.{1,600}?), "
            r"limited: (?P<limit>[^\s].{0,600}?)(?=\s*\Z|\s\||\\n)"
        ),
        _quota,
    ),
    Row(lazy(r"failed quota: (?P<quota>[^:]{1,253}): must specify (?P<what>.{1,400}?)\s*\Z"), _must_specify),
    Row(
        lazy(
            r"(?P<edge>maximum"
            r"|minimum) (?P<resource>\S{1,60}) usage per (?P<per>\w{1,30}) is (?P<limit>[^,]{1,60}), but "
            r"(?P<what>limit|request) is (?P<asked>[^,\]]{1,60})"
        ),
        _range,
    ),
    Row(
        lazy(
            r"error looking up service account (?P<space>[a-z0-9-]{1,63})/[\w.-]{1,253}: serviceaccount "
            r"\\?\"(?P<name>[^\"\\]{1,253})\\?\" not found"
        ),
        _account,
    ),
    Row(lazy(r"\bnamespaces \\?\"(?P<name>[a-z0-9-]{1,63})\\?\" not found"), _namespace),
    Row(lazy(r"create new content in namespace (?P<name>[a-z0-9-]{1,63}) because it is being terminated"), _ending),
    Row(lazy(r"no PriorityClass with name (?P<name>\S{1,253}) was found"), _class),
)
"""In the order in which their words are looked for."""
