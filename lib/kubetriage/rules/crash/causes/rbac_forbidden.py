"""The Kubernetes API refused the program's ServiceAccount, and the program ended because of it.

Meaning: the program asks the API server for something that no Role or ClusterRole allows its account. Nothing is
wrong with the pod; it lacks a permission.

Told by: the API server's own sentence in the output of the crashed instance: 'pods is forbidden: User
"system:serviceaccount:shop:api" cannot list resource "pods" in API group "" in the namespace "shop"'. It names
account, verb, resource, group and namespace, so the missing rule is known exactly.

Fix: a Role (or ClusterRole, for cluster-wide access) with these verbs, bound to the ServiceAccount.

Source: k8s.io/apiserver pkg/endpoints/handlers/responsewriters (forbiddenMessage), stable since 1.8; RBAC API v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix
from kubetriage.readers.logs import bodies
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.known_errors import unknown_words
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

CODE = "RBACForbidden"

# The quotes arrive escaped where a JSON or klog line holds the message.
_Q = r"\\{0,3}[\"']"
_FORBIDDEN = lazy(
    rf"(?:[\w./:{{}}-]{{1,120}} )?(?:{_Q}[^\"'\\]{{1,253}}{_Q} )?is forbidden: User "
    rf"{_Q}(?P<user>[^\"'\\]{{1,400}}){_Q} cannot "
    rf"(?P<verb>[a-z]{{2,20}}) (?:resource {_Q}(?P<resource>[\w./-]{{1,120}}){_Q} in API group "
    rf"{_Q}(?P<group>[\w.-]{{0,253}}){_Q}"
    rf"(?: in the namespace {_Q}(?P<namespace>[\w.-]{{1,63}}){_Q}| at the cluster scope)?"
    rf"|path {_Q}(?P<path>[^\"'\\]{{1,400}}){_Q})"
)
_ACCOUNT = lazy(r"system:serviceaccount:([a-z0-9.-]{1,63}):([a-z0-9.-]{1,253})\Z")
_READ = ("get", "list", "watch")


@dataclass(frozen=True)
class Denial:
    """One thing that the API server refused."""

    user: str
    resource: str
    """With its API group: ``deployments.apps``; a path for non-resource URLs."""
    namespace: str
    """Empty: cluster scope."""


def check(case: Case) -> Iterator[Finding]:
    """Find containers that ended because the API server refused them."""
    for words in unknown_words(case):
        said = words.find(_FORBIDDEN)
        if said is not None:
            yield _finding(case, words, said.line, said.confidence)


def _denials(words: LastWords) -> dict[Denial, list[str]]:
    """Collect everything that was refused in the whole output, with the verbs."""
    found: dict[Denial, list[str]] = {}
    for row in bodies(words.text):
        for match in _FORBIDDEN.finditer(row[:4096]):
            group = match["group"] or ""
            resource = match["path"] or match["resource"] + (f".{group}" if group else "")
            verbs = found.setdefault(Denial(match["user"], resource, match["namespace"] or ""), [])
            if match["verb"] not in verbs:
                verbs.append(match["verb"])
        if len(found) > 20:
            break
    return found


def _finding(case: Case, words: LastWords, line: str, confidence: Confidence) -> Finding:
    name = words.container.name
    denials = _denials(words)
    denial, verbs = list(denials.items())[-1] if denials else (Denial("", "", ""), [])
    account = _ACCOUNT.match(denial.user)
    where = f"in namespace {denial.namespace}" if denial.namespace else "at cluster scope"
    who = f"ServiceAccount {account[2]} of namespace {account[1]}" if account else f"User {denial.user}"
    asked = " and ".join(verbs)
    fixes = [_fix(name, d, v, _ACCOUNT.match(d.user)) for d, v in list(denials.items())[:4]]
    own = text(case.pod.raw, "spec", "serviceAccountName") or "default"
    evidence = [Evidence("spec", "spec.serviceAccountName", own)]
    more = f" (and {len(denials) - 1} more)" if len(denials) > 1 else ""
    note = (
        "; it runs as the namespace's default account"
        if own == "default" and account and account[2] == "default"
        else ""
    )
    verify = []
    if account:
        scope = ("-n", denial.namespace) if denial.namespace else ("-A",)
        verify = [kubectl("auth", "can-i", verbs[0], denial.resource, f"--as={denial.user}", *scope)]
    return words.finding(
        CODE,
        confidence,
        f"{name} ended because {who} may not {asked} {denial.resource} {where}{more}{note}.",
        quoted=(line,),
        evidence=evidence,
        fix=fixes,
        verify=verify,
        details={"user": denial.user, "verbs": verbs, "resource": denial.resource, "namespace": denial.namespace},
    )


def _fix(container: str, denial: Denial, verbs: list[str], account: re.Match[str] | None) -> Fix:
    # A client that lists with an informer watches too, and the other way round.
    wanted = [v for v in _READ if v in ("list", "watch") or v in verbs] if {"list", "watch"} & set(verbs) else []
    wanted = list(dict.fromkeys([*wanted, *verbs]))
    role = f"{account[2] if account else container}-{denial.resource.strip('/').partition('.')[0].replace('/', '-')}"
    subject = f"--serviceaccount={account[1]}:{account[2]}" if account else f"--user={denial.user}"
    what = f"--resource={denial.resource}"
    if denial.resource.startswith("/"):
        what = f"--non-resource-url={denial.resource}"
    elif "/" in denial.resource:
        # kubectl writes a subresource before its group: deployments.apps/scale
        plural, _, rest = denial.resource.partition("/")
        sub, _, group = rest.partition(".")
        what = f"--resource={plural}{f'.{group}' if group else ''}/{sub}"
    verb = f"--verb={','.join(wanted)}"
    bind = f"--role={role}" if denial.namespace else f"--clusterrole={role}"
    kind = "role" if denial.namespace else "clusterrole"
    commands = (
        kubectl("create", kind, role, verb, what, namespace=denial.namespace),
        kubectl("create", f"{kind}binding", role, bind, subject, namespace=denial.namespace),
    )
    return Fix(
        "Allow it with a role and its binding; where a chart makes them (rbac.create), correct its values instead.",
        actor=Actor.CLUSTER,
        commands=commands,
    )
