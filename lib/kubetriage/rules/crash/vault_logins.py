"""A login at Vault with the pod's ServiceAccount that Vault refuses: who must be allowed what."""

from __future__ import annotations

import re

from kubetriage.model import Actor, Fix
from kubetriage.readers.pods import Pod
from kubetriage.values.commands import placeholder, shell
from kubetriage.values.fields import labels, text
from kubetriage.values.patterns import lazy

LOGIN = lazy(r"/v1/auth/(?P<mount>[\w./-]{1,80})/login\b")
"""The request of a login; the mount of the auth method is in it."""
REFUSED = lazy(r"(?:Code|code|status)\D{0,8}40[03]|permission denied|invalid role|not authorized|claim .* not", re.I)
_ROLE = "vault.hashicorp.com/role"


def refused_login(pod: Pod, log: str) -> tuple[str, tuple[Fix, ...]] | None:
    """Return what a refused login means and what ends it; None where the log tells of none."""
    end = log[-20000:]
    login = next(iter(reversed(list(LOGIN.finditer(end)))), None)
    if login is None or not REFUSED.search(end, login.end(), login.end() + 300):
        return None
    account = text(pod.raw, "spec", "serviceAccountName") or "default"
    role = labels(pod.raw, "metadata", "annotations").get(_ROLE, "")
    mount = login["mount"]
    path = f"auth/{mount}/role/{role or placeholder('role')}"
    what = (
        f"Vault answers and refuses the login of ServiceAccount {account} of namespace {pod.namespace}"
        f"{f' with role {role}' if role else ''} (auth/{mount})"
    )
    return what, (
        Fix(
            f"Let role {role or 'of the annotation'} of auth/{mount} list ServiceAccount {account} and namespace "
            f"{pod.namespace} (bound_service_account_names, bound_service_account_namespaces); a role of that name "
            "must "
            "exist under this mount.",
            actor=Actor.CLOUD,
            commands=(shell("vault", "read", path),),
        ),
        Fix(
            "If the role fits: Vault itself may not review tokens. Its config of the method needs this cluster's "
            "kubernetes_host and CA, and its reviewer the ClusterRole system:auth-delegator.",
            actor=Actor.CLOUD,
            commands=(shell("vault", "read", f"auth/{mount}/config"),),
        ),
    )


_ANSWERED = lazy(r"https?://(?P<host>[\w.-]{1,253})(?::\d{1,5})?/\S{0,400}\s(?:.{0,40}\n){0,3}?.{0,40}?[Cc]ode:? \d{3}")


def answered(log: str) -> set[str]:
    """Return the hosts that gave an HTTP answer, so that they are there, whatever they said."""
    return {m["host"] for m in _ANSWERED.finditer(log[-20000:])}
