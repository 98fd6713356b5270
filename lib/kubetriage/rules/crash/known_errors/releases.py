"""Helm in a container (k3s' helm-install Jobs, deploy Jobs): a release whose last change did not end."""

from __future__ import annotations

import re

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, operator
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, placeholder, shell
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

_STATUS = lazy(r"\b(?P<status>pending-(?:install|upgrade|rollback)|failed|uninstalling)\b")
_NAMED = lazy(
    r"\bhelm\w{0,8} (?:upgrade|install) (?:-\S{1,60} ){0,6}(?P<name>[a-z0-9][a-z0-9.-]{0,52})(?![\w.-])"
    r"|\"(?P<quoted>[^\"]{1,53})\" has no deployed"
)


def _variable(words: LastWords, *names: str) -> str:
    declared = {text(e, "name"): text(e, "value") for e in objects(words.container.spec, "env")}
    return next((declared[n] for n in names if declared.get(n)), "")


def _release(words: LastWords) -> tuple[str, str, str]:
    """Return name, namespace and status of the release, as variables of klipper-helm or the log tell."""
    told = _NAMED.search(words.text)
    name = _variable(words, "NAME", "RELEASE_NAME", "HELM_RELEASE") or (
        (told["name"] or told["quoted"]) if told is not None else ""
    )
    namespace = _variable(words, "TARGET_NAMESPACE", "CHART_NAMESPACE", "HELM_NAMESPACE") or words.case.pod.namespace
    status = _STATUS.search(words.text)
    return name or placeholder("release"), namespace, status["status"] if status is not None else ""


def _pending(words: LastWords, _: Said) -> Advice:
    name, namespace, status = _release(words)
    records = kubectl("get", "secret", "-l", f"owner=helm,name={name}", "--show-labels", namespace=namespace)
    shown = f" ({status})" if status else ""
    fixes = [
        operator(
            f"Go back to the last revision that was deployed; the next try of {words.container.name} then goes on.",
            shell("helm", "-n", namespace, "history", name),
            shell("helm", "-n", namespace, "rollback", name),
        ),
        operator(
            "Without an earlier revision, or without helm: delete the record of the pending revision alone (a Secret "
            f"sh.helm.release.v1.{name}.vN with that status). It removes nothing of what runs.",
            records,
            kubectl(
                "delete",
                "secret",
                "-l",
                f"owner=helm,name={name},status={status or placeholder('pending-status')}",
                namespace=namespace,
            ),
        ),
    ]
    if status == "pending-install":
        fixes.reverse()
    return Advice(
        f"release {name} is left pending{shown}: an earlier helm run was killed or timed out before it ended, and "
        f"holds "
        "the lock",
        tuple(fixes),
        (Evidence("config", "release", f"{name} in namespace {namespace}{shown}"),),
        details={"release": name},
    )


def _in_use(words: LastWords, said: Said) -> Advice:
    name, namespace, status = _release(words)
    never = re.search(r"no deployed releases", said.line, re.IGNORECASE) is not None
    what = (
        f"release {name} has no revision that was ever deployed: its first install failed"
        if never
        else f"release {name} is there already{f' ({status})' if status else ''}, and helm install wants a new name"
    )
    return Advice(
        what,
        (
            app(
                f"Use helm upgrade --install {name} in place of install, which takes up a release that exists."
                if not never
                else f"See why the first install failed; then uninstall {name} (it never ran) and install it anew.",
                shell("helm", "-n", namespace, "history", name),
                *((shell("helm", "-n", namespace, "uninstall", name),) if never else ()),
            ),
        ),
        details={"release": name},
    )


def _not_owned(words: LastWords, said: Said) -> Advice:
    name, namespace, _ = _release(words)
    kind, thing = said.match["kind"], said.match["thing"]
    return Advice(
        f"{kind} {thing} exists and does not belong to release {name}, so helm does not touch it",
        (
            operator(
                f"See who made {kind} {thing}: another release or a manifest that was applied keeps it.",
                kubectl("get", kind.lower(), thing, "-o", "yaml", namespace=said.match["namespace"]),
            ),
            operator(
                f"If {name} shall own it from now on, say so on the object; helm then takes it over.",
                kubectl(
                    "annotate",
                    kind.lower(),
                    thing,
                    f"meta.helm.sh/release-name={name}",
                    f"meta.helm.sh/release-namespace={namespace}",
                    namespace=said.match["namespace"],
                ),
                kubectl(
                    "label", kind.lower(), thing, "app.kubernetes.io/managed-by=Helm", namespace=said.match["namespace"]
                ),
            ),
        ),
        details={"release": name},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "release-pending", lazy(r"another operation \(install/upgrade/rollback\) is in progress"), _pending, beside=True
    ),
    Row(
        "release-in-use",
        lazy(r"cannot re.?use a name that is still in use|has no deployed releases"),
        _in_use,
        beside=True,
    ),
    Row(
        "release-not-owner",
        lazy(
            r"(?P<kind>[A-Z]\w{1,60}) \"(?P<thing>[^\"]{1,253})\" in namespace \"(?P<namespace>[^\"]{0,63})\" "
            r"exists and "
            r"cannot be imported into the current release"
        ),
        _not_owned,
        beside=True,
    ),
)
