"""Requests that a person may not make: the role that is missing, or the credentials."""

from __future__ import annotations

import re

from kubetriage.model import Actor, Finding, Fix
from kubetriage.rules.crash.refused_words import CLUSTER, Row, named, subject, told
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

_WHO = lazy(r"system:serviceaccount:(?P<namespace>[a-z0-9.-]{1,63}):(?P<name>[a-z0-9.-]{1,253})\Z")
_NAMED_ONE = lazy(r"(?:[\w./-]{1,120} )\\?\"(?P<name>[^\"\\]{1,253})\\?\" is forbidden: User")


def _access(line: str, said: re.Match[str]) -> Finding:
    user, verb = said["user"], said["verb"]
    if user == "system:anonymous":
        return told(
            "AuthenticationFailing",
            line,
            CLUSTER,
            "The request came without credentials (system:anonymous), so it may do nothing: kubectl sent no token or "
            "certificate, or none that the API server took.",
            (
                Fix(
                    "Log in again, or choose the context whose user has credentials; no role helps here.",
                    actor=Actor.CLUSTER,
                    commands=(
                        kubectl("config", "view", "--minify"),
                        kubectl("config", "get-contexts"),
                        kubectl("auth", "whoami"),
                    ),
                ),
            ),
            (kubectl("auth", "whoami"),),
        )
    group, resource, path = said["group"] or "", said["resource"] or "", said["path"] or ""
    namespace = said["namespace"] or ""
    what = path or (f"{resource}.{group}" if group else resource)
    account = _WHO.match(user)
    who = f"ServiceAccount {account['name']} of namespace {account['namespace']}" if account else f"User {user}"
    binding = f"--serviceaccount={account['namespace']}:{account['name']}" if account else f"--user={user}"
    role = f"{verb}-{(resource or 'path').replace('/', '-')}"
    kind = "role" if namespace else "clusterrole"
    one = _NAMED_ONE.search(line)
    single = (
        (f"--resource-name={one['name']}",) if one is not None and verb in ("get", "update", "patch", "delete") else ()
    )
    plural, _, sub = resource.partition("/")
    of = f"{plural}{f'.{group}' if group else ''}{f'/{sub}' if sub else ''}"
    asked = f"--non-resource-url={path}" if path else f"--resource={of}"
    create = kubectl("create", kind, role, f"--verb={verb}", asked, *single, namespace=namespace)
    bind = kubectl(
        *(
            "create",
            f"{kind}binding",
            f"{role}-{(account['name'] if account else 'user')}",
            f"--{kind}={role}",
            binding,
        ),
        namespace=namespace,
    )
    as_who = (f"--as={user}", *(("-n", namespace) if namespace else ()))
    look = kubectl("auth", "can-i", verb, path or of, *as_who)
    fixes = [
        Fix(
            f"Whoever administers the cluster allows it: a {'Role' if namespace else 'ClusterRole'} with exactly this, "
            "bound to the user or better to one of the user's groups (--group).",
            actor=Actor.CLUSTER,
            commands=(create, bind),
        ),
        Fix(
            "Or ask as somebody else, or in another namespace: see who you are and what you may do.",
            actor=Actor.APP,
            commands=(
                kubectl("auth", "whoami"),
                kubectl("auth", "can-i", "--list", *(("-n", namespace) if namespace else ())),
            ),
        ),
    ]
    if "Azure does not have opinion" in line:
        fixes.insert(
            0,
            Fix(
                "With Azure RBAC: assign the user the role Azure Kubernetes Service RBAC Reader (or Writer) on the "
                "cluster "
                "or its namespace.",
                actor=Actor.CLOUD,
            ),
        )
    where = f"in namespace {namespace}" if namespace else "for the whole cluster"
    return told(
        "RBACForbidden",
        line,
        CLUSTER,
        f"{who} may not {verb} {what} {where}: no role that is bound to it allows that.",
        tuple(fixes),
        (look,),
        user=user,
        verbs=[verb],
        resource=what,
        namespace=namespace,
    )


def _escalation(line: str, said: re.Match[str]) -> Finding:
    about = subject(line)
    return told(
        "RBACForbidden",
        line,
        about,
        f"{named(about)} grants more than the user who makes it holds, and the API server lets nobody give what "
        "they do not "
        "have.",
        (
            Fix(
                "Let a cluster admin apply it, or give the user these rights first (or the verb escalate on roles, "
                "bind on "
                "role bindings, which is as much as admin).",
                actor=Actor.CLUSTER,
                commands=(kubectl("auth", "can-i", "--list"),),
            ),
        ),
        user=said["user"] or "",
    )


_Q = r"\\{0,3}[\"']"
ROWS: tuple[Row, ...] = (
    Row(
        lazy(
            rf"forbidden: User {_Q}(?P<user>[^\"'\\]{{1,400}}){_Q} cannot (?P<verb>[a-z]{{2,20}}) "
            rf"(?:resource {_Q}(?P<resource>[\w./-]{{1,120}}){_Q} in API group {_Q}(?P<group>[\w.-]{{0,253}}){_Q}"
            rf"(?: in the namespace {_Q}(?P<namespace>[\w.-]{{1,63}}){_Q}| at the cluster scope)?"
            rf"|path {_Q}(?P<path>[^\"'\\]{{1,400}}){_Q})"
        ),
        _access,
    ),
    Row(
        lazy(
            rf"(?:user {_Q}(?P<user>[^\"'\\]{{1,400}}){_Q}[^\n]{{0,200}} )?is attempting to grant RBAC permissions not"
        ),
        _escalation,
    ),
)
