"""Logins at the API server fail: it does not reach who vouches for them, or its keys do not fit the tokens.

Meaning: the API server runs, and who logs in this way gets 401 Unauthorized: people through OIDC, nodes and people
through a token webhook, or pods whose ServiceAccount tokens another key signed. Client certificates still work.

Told by: the API server's log: an OIDC issuer that cannot be asked, a token or authorization webhook that does not
answer, or tokens whose signature does not verify.

Fix: bring the issuer or webhook back, or the API server's way and trust to it; for signatures, the same service account
key on all API servers.

Source: apiserver/plugin/pkg/authenticator/token (oidc, webhook); --service-account-key-file.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.rules.plane.case import CLUSTER, Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.figure_format import count
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time

CODE = "AuthenticationFailing"
LINK = "API server health"

_LATELY = 3600.0
_SEVERAL = 3
"""Tokens that do not verify; one alone is an old token that somebody kept."""
_TRUST = lazy(r"x509: certificate signed by unknown authority")
_EXPIRED = lazy(r"x509: certificate has expired")
_NAME = lazy(r"no such host|server misbehaving")
_OFFLINE = lazy(r"connection refused|no route to host|i/o timeout|deadline exceeded|Client\.Timeout|EOF|5\d\d ")


def check(case: Case) -> Iterator[Finding]:
    """Read the log for issuers and webhooks that do not answer, then for keys that differ."""
    asked = case.lately("authenticator", _LATELY)
    if asked:
        yield _unreached(case, asked)
    signed = case.lately("token key", _LATELY)
    if len(signed) >= _SEVERAL:
        yield _keys(case, signed)


def _unreached(case: Case, seen: tuple[Remark, ...]) -> Finding:
    told = next((r for r in reversed(seen) if r.about), seen[-1])
    oidc = "oidc" in told.words
    grants = "authorizer" in told.words
    host = told.about or ("the OIDC issuer" if oidc else "the webhook")
    who = "The OIDC issuer" if oidc else "The authorization webhook" if grants else "The token webhook"
    file = "--oidc-ca-file (or certificateAuthority of its AuthenticationConfiguration)" if oidc else "its kubeconfig"
    if _TRUST.search(told.words):
        reason = "its certificate is of an authority that the API server does not trust"
        act = f"Put the CA that signed the certificate of {host} into {file}, with its intermediates."
    elif _EXPIRED.search(told.words):
        reason, act = "its certificate has expired", f"Renew the certificate of {host}."
    elif _NAME.search(told.words):
        reason = "its name does not resolve there"
        act = (
            f"Let {host} resolve on the control plane's machines: API servers on the host network do not ask the"
            " cluster's DNS."
        )
    elif _OFFLINE.search(told.words):
        reason = "it does not answer"
        act = f"Bring {host} back, or the way to it from the control plane's machines (firewall, proxy, NO_PROXY)."
    else:
        reason, act = "it cannot be asked", f"See from a control plane machine what {host} answers."
    url = f"https://{host}/.well-known/openid-configuration" if oidc else f"https://{host}/"
    look = (shell("ssh", case.machine.address, f"curl -svm5 -o /dev/null {url}"),) if told.about else ()
    effect = "requests that no other authorizer decides are refused" if grants else "who logs in by it gets 401"
    return Finding(
        CODE,
        Severity.WARNING if case.livez.ok else Severity.ERROR,
        Confidence.CONFIRMED,
        CLUSTER,
        f"{who} {told.about or 'of the API server'} is not usable for the API server: {reason}, so {effect}.",
        tuple(
            Evidence("log", r.source, r.words, format_time(r.at))
            for r in {told.words: told, seen[-1].words: seen[-1]}.values()
        ),
        (RuledOut("CertificateExpiring", "no client certificate is refused"),)
        if not _EXPIRED.search(told.words)
        else (),
        (
            Fix(act, actor=Actor.CLUSTER, commands=() if case.machine.managed else look),
            Fix("Until then work with a client certificate (admin kubeconfig): it needs neither issuer nor webhook."),
        ),
        (kubectl("auth", "whoami"),),
        {"link": LINK, "since": format_time(seen[0].at)},
    )


def _keys(case: Case, seen: tuple[Remark, ...]) -> Finding:
    machine = case.machine
    keys = "/etc/kubernetes/pki/sa.pub" if machine.path("manifests") == "/etc/kubernetes/manifests" else ""
    look = (shell("ssh", machine.address, f"sudo sha256sum {keys}"),) if keys else ()
    return Finding(
        CODE,
        Severity.WARNING if case.livez.ok else Severity.ERROR,
        Confidence.LIKELY,
        CLUSTER,
        f"Tokens of ServiceAccounts do not verify ({count(len(seen), 'refusal')}): the key that signed them is not"
        " among the keys of this API server, so pods get 401.",
        tuple(Evidence("log", r.source, r.words, format_time(r.at)) for r in seen[-2:]),
        (RuledOut("RBACForbidden", "the identity itself is refused (401), not a right (403)"),),
        (
            Fix(
                "Compare the service account key on all control plane machines: sa.pub and sa.key must be the same"
                " everywhere. Restore the old pair, or list both under --service-account-key-file.",
                actor=Actor.CLUSTER,
                commands=look,
            ),
            Fix(
                "If the old key is lost: restart the workloads that call the API server, so that they get new tokens.",
                actor=Actor.CLUSTER,
            ),
        ),
        (kubectl("logs", seen[-1].source, "--since=5m", namespace="kube-system"),),
        {"link": LINK, "since": format_time(seen[0].at)},
    )
