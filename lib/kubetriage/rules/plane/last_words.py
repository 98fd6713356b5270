"""What ends a component that ends itself: in come the last words of its log, out goes the fix that they ask for."""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.records import dataclass
from kubetriage.rules.agent_endings import asked_by
from kubetriage.rules.plane.case import Case
from kubetriage.rules.plane.component_log import Remark
from kubetriage.rules.plane.etcd_members import flags
from kubetriage.values.commands import Command, kubectl, shell
from kubetriage.values.fields import name_of, objects
from kubetriage.values.patterns import lazy
from kubetriage.values.times import format_time


@dataclass(frozen=True)
class LastWords:
    """Why a component ends, by its own log."""

    words: str
    """In its own words."""
    fix: Fix | None
    evidence: tuple[Evidence, ...] = ()


_Make = Callable[["re.Match[str]", str], str]

_NOW_READ = {
    "KubeSchedulerConfiguration": " (write apiVersion: kubescheduler.config.k8s.io/v1, from 1.25 on)",
    "AuthenticationConfiguration": " (write apiVersion: apiserver.config.k8s.io/v1 from 1.34 on, v1beta1 from 1.30)",
    "AuthorizationConfiguration": " (write apiVersion: apiserver.config.k8s.io/v1 from 1.32 on, v1beta1 from 1.30)",
    "EncryptionConfiguration": " (write apiVersion: apiserver.config.k8s.io/v1)",
}
"""Which version of a configuration file is read today (k8s.io/kube-scheduler/config, k8s.io/apiserver/pkg/apis)."""

_ASKS: tuple[tuple[re.Pattern[str], _Make], ...] = (
    # Flags and files of kube-apiserver, kube-controller-manager and kube-scheduler (cmd/kube-*/app/options), 1.18 on.
    (
        lazy(r"unknown flag: --([\w-]+)"),
        lambda m, at: (
            f"Take --{m[1]} out of {at}: this version does not know it. Its kubelet then starts it by itself."
        ),
    ),
    (
        lazy(r"no kind \\?\"(\w{1,80})\\?\" is registered for version \\?\"([\w./-]{1,120})"),
        lambda m, at: (
            f"Rewrite the {m[1]} file that {at} names (--config) for this release, which no longer reads {m[2]}"
            f"{_NOW_READ.get(m[1], '')}. Its kubelet then starts it by itself."
        ),
    ),
    (
        lazy(r"unrecognized feature gate:? (\w{1,80})|cannot set feature gate (\w{1,80}) to \w{1,5}"),
        lambda m, at: (
            f"Take {m[1] or m[2]} out of --feature-gates in {at}: this version no longer lets it be set. Its kubelet"
            " then starts it by itself."
        ),
    ),
    (
        lazy(r"unknown field \\?\"([\w.\[\]]{1,120})"),
        lambda m, at: f"Correct or take out the field {m[1]} in the configuration file that {at} names.",
    ),
    (
        lazy(r"unknown cloud provider|could not init cloud provider|built-in cloud providers? (?:are|is) disabled"),
        lambda _, at: (
            f"Set --cloud-provider=external in {at}, or take the flag and --cloud-config out: no provider is built in"
            " since 1.31 (most since 1.27). The cloud's own cloud-controller-manager does this work now; its Nodes and"
            " load balancers need it."
        ),
    ),
    (
        lazy(r"service-account-(?:issuer|signing-key-file).{0,80}required"),
        lambda _, at: (
            "Add --service-account-issuer=https://kubernetes.default.svc.cluster.local and"
            " --service-account-signing-key-file=/etc/kubernetes/pki/sa.key (the key of --service-account-key-file) to"
            f" {at}: the API server wants both since Kubernetes 1.20."
        ),
    ),
    (
        lazy(r"(?<![\w-])--?([A-Za-z][\w-]{0,80}) (?:is a required flag|must be specified)"),
        lambda m, at: f"Add --{m[1]} to {at}.",
    ),
    (
        lazy(r"named key (\S{1,80}): illegal base64"),
        lambda m, at: (
            f"The secret of {m[1]} in the EncryptionConfiguration is not base64, as where a script left its variable"
            " unfilled. If nothing was encrypted with it yet: put the output of head -c 32 /dev/urandom | base64 there,"
            " the same on all API servers. Else put the key back that the data was written with. The flag stands in"
            f" {at}."
        ),
    ),
    (
        lazy(r"encryption[ -]provider"),
        lambda _, at: (
            "Correct the EncryptionConfiguration that --encryption-provider-config names: base64 keys of 16, 24 or 32"
            f" bytes. Take no key away that stored data still needs. The flag stands in {at}."
        ),
    ),
    (
        lazy(r"audit.{0,200}(?:no such file|permission denied|no space|[Ii]nvalid|failed)"),
        lambda _, at: (
            "Put the audit policy or the audit log's directory where the container sees it: on the host, and as a"
            f" hostPath volume and mount in {at}."
        ),
    ),
    (
        lazy(r"open (/\S+?): (?:no such file|permission denied)"),
        lambda m, at: f"Put {m[1]} on the host where {at} mounts it, readable for the container, or correct the flag.",
    ),
    (
        lazy(r"address already in use"),
        lambda _, at: f"End what else listens on its port (ss -ltnp), or correct the port in {at}.",
    ),
    (
        lazy(r"admission.plugins?|unknown admission"),
        lambda _, at: f"Correct the names in --enable-admission-plugins and --disable-admission-plugins in {at}.",
    ),
    (
        lazy(r"[Ii]nvalid (?:value|argument)|must be (?:specified|set)|unable to parse|[Ff]ailed to parse"),
        lambda _, at: f"Correct the value that it names, in {at}; its kubelet then starts it by itself.",
    ),
)


def last_words(case: Case, pod: str, component: str) -> LastWords | None:
    """Return why a pod of the control plane ends, by its log; None where the log says nothing of it."""
    mine = [r for r in case.remarks if r.source.startswith(pod)]
    fatal = next((r for r in reversed(mine) if r.kind == "fatal"), None)
    folder = case.machine.path("manifests")
    at = f"{folder}/{component}.yaml" if folder else "its flags"
    if (found := _etcd(case, mine, fatal)) is not None:
        return found
    denied = next((r for r in reversed(mine) if r.kind == "renewal failed" and "nauthorized" in r.words), None)
    if denied is not None:
        name = component.removeprefix("kube-")
        text = (
            f"Renew the certificate in {name}.conf, which the API server refuses, and restart {component}. Renew the"
            " others with it: they are often as old."
        )
        fix = Fix(text, actor=Actor.CLUSTER, commands=case.machine.rows("certificates"))
        return LastWords(denied.words, fix, _quote(denied))
    unnamed = next((r for r in reversed(mine) if r.kind == "certificate names"), None)
    if unnamed is not None:
        fix = _etcd_names_fix(case, unnamed) if _TO_ETCD.search(unnamed.words) else _names_fix(case, unnamed)
        return LastWords(unnamed.words, fix, _quote(unnamed))
    if fatal is None:
        return None
    flag = _flag_named(case, pod, fatal.words)
    asked = asked_for(case, fatal.words, at)
    if asked is None and flag is not None:
        asked = Fix(f"Correct --{flag[0]}={flag[1]} in {at}: its last words name it.", actor=Actor.CLUSTER)
    return LastWords(fatal.words, asked, _quote(fatal))


def _flag_named(case: Case, pod: str, words: str) -> tuple[str, str] | None:
    """Return the flag of a pod's command, with its value, of which words speak: by name or by value."""
    raw = next((p for _, p in case.by_component if name_of(p) == pod), {})
    given = [(k, v) for c in objects(raw, "spec", "containers") for k, v in flags(c).items()]
    # Many errors name a flag without its dashes; one word alone (port, name) may be anything.
    named = [
        (k, v)
        for k, v in given
        if re.search(rf"(?<![\w-])(?:--{re.escape(k)}|{re.escape(k) if '-' in k else '(?!)'})(?![\w-])", words)
    ]
    held = [
        (k, v)
        for k, v in given
        if any(len(e) > 1 and re.search(rf"[\"'=]{re.escape(e)}[\"'\\]", words) for e in (v, *v.split(",")))
    ]
    found = named or held
    return found[0] if len(found) == 1 else None


def asked_for(case: Case, words: str, at: str) -> Fix | None:
    """Return the fix that the last words of a component or of a whole agent ask for; None where no row knows them."""
    if "PostStartHook" in words and (hooks := case.lately("webhook", 600.0)):
        return _hook_fix(hooks[-1].about, at)
    if agent := asked_by(words, case.machine):
        return Fix(agent, actor=Actor.NODE, commands=case.machine.lines("kubelet log", "kubelet restart"))
    for pattern, make in _ASKS:
        if match := pattern.search(words):
            return Fix(make(match, at), actor=Actor.CLUSTER)
    return None


def _hook_fix(name: str, at: str) -> Fix:
    """Say how an API server starts that a webhook keeps from writing its own roles."""
    kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
    columns = "custom-columns=KIND:.kind,NAME:.metadata.name,WEBHOOKS:.webhooks[*].name"
    return Fix(
        f"Webhook {name} keeps the API server from writing its own roles at its start. While it answers between two"
        f" restarts, delete the configuration that holds {name} (no webhook guards those). If it never answers: add"
        " --disable-admission-plugins=ValidatingAdmissionWebhook,MutatingAdmissionWebhook to"
        f" {at}, delete it then, and take the flag out again.",
        actor=Actor.CLUSTER,
        commands=(
            kubectl("get", kinds, "-o", columns),
            kubectl("delete", "validatingwebhookconfiguration", "NAME"),
        ),
    )


_VALID_FOR = lazy(r"certificate is valid for (.{1,200}?), not ([\w.:-]+)")


_TO_ETCD = lazy(r":2379\b|createTransport|authentication handshake failed")


def _etcd_names_fix(case: Case, remark: Remark) -> Fix:
    """Say how etcd and the API server agree on an address that etcd's certificate has."""
    found = _VALID_FOR.search(remark.words)
    wanted = found[2].rstrip(".:") if found else "that address"
    has = f" (it has {found[1]})" if found else ""
    machine = case.machine
    kubeadm = machine.path("manifests") == "/etc/kubernetes/manifests"
    make = (
        shell(
            "ssh",
            machine.address,
            "sudo mv /etc/kubernetes/pki/etcd/server.crt /etc/kubernetes/pki/etcd/server.key /root/",
        ),
        shell("ssh", machine.address, "sudo kubeadm init phase certs etcd-server"),
    )
    return Fix(
        f"etcd's server certificate lacks {wanted}{has}, under which the API server asks. Make it anew with {wanted}"
        " (kubeadm writes the machine's address, localhost and 127.0.0.1; others stand in etcd.local.serverCertSANs),"
        " and restart etcd. Or let --etcd-servers name an address that the certificate has.",
        actor=Actor.CLUSTER,
        commands=make if kubeadm else machine.rows("certificates"),
    )


def _names_fix(case: Case, remark: Remark) -> Fix:
    """Say how the API server gets a certificate for an address that it was not issued for, as after a new address."""
    found = _VALID_FOR.search(remark.words)
    wanted = found[2].rstrip(".:") if found else "that address"
    machine = case.machine
    host = machine.address
    kubeadm = machine.path("manifests") == "/etc/kubernetes/manifests"
    return Fix(
        f"The API server's certificate lacks {wanted}"
        + (f" (it has {found[1]})" if found else "")
        + f". If the machine's address changed: give it the old one back. Else make the certificate anew with {wanted},"
        " and restart the API server.",
        actor=Actor.CLUSTER,
        commands=(
            shell("ssh", host, "sudo mv /etc/kubernetes/pki/apiserver.crt /etc/kubernetes/pki/apiserver.key /root/"),
            shell("ssh", host, f"sudo kubeadm init phase certs apiserver --apiserver-cert-extra-sans={wanted}"),
        )
        if kubeadm
        else machine.rows("certificates"),
    )


def _etcd(case: Case, mine: list[Remark], fatal: Remark | None) -> LastWords | None:
    """Find an API server that ends because it does not reach etcd: what etcd's side says decides what to do."""
    spoiled = next((r for r in reversed(mine) if r.kind == "etcd certificate"), None)
    refused = next((r for r in reversed(mine) if r.kind == "refused"), None)
    if fatal is not None and not re.search(r"storage|etcd|deadline", fatal.words):
        return None
    untrusted = next((r for r in reversed(mine) if r.kind == "etcd trust"), None)
    if untrusted is not None:
        fix = Fix(
            "etcd and the API server do not trust each other: make apiserver-etcd-client anew with the CA that etcd"
            " uses (--trusted-ca-file), the same on all machines. Then restart the API server.",
            actor=Actor.CLUSTER,
            commands=_etcd_trust(case),
        )
        return LastWords(untrusted.words, fix, (*_quote(untrusted), *_quote(fatal)))
    if spoiled is not None:
        fix = Fix(
            "Renew etcd's certificates and apiserver-etcd-client, then restart etcd and the API server: their TLS"
            " handshake fails.",
            actor=Actor.CLUSTER,
            commands=case.machine.rows("certificates"),
        )
        return LastWords(spoiled.words, fix, (*_quote(spoiled), *_quote(fatal)))
    if refused is not None:
        fix = Fix(
            f"Bring etcd back first: nothing listens at {refused.about}. Restarts of the API server do not help.",
            actor=Actor.CLUSTER,
            commands=case.machine.lines("container log", container="etcd"),
        )
        return LastWords(refused.words, fix, (*_quote(refused), *_quote(fatal)))
    return None


def _etcd_trust(case: Case) -> tuple[Command, ...]:
    """Return commands that hold the API server's client certificate against etcd's CA and make it anew."""
    machine = case.machine
    if machine.path("manifests") != "/etc/kubernetes/manifests":
        return machine.rows("certificates")
    pki = "/etc/kubernetes/pki"
    verify = f"sudo openssl verify -CAfile {pki}/etcd/ca.crt {pki}/apiserver-etcd-client.crt {pki}/etcd/server.crt"
    return (
        shell("ssh", machine.address, verify),
        shell("ssh", machine.address, "sudo kubeadm certs renew apiserver-etcd-client"),
    )


def _quote(remark: Remark | None) -> tuple[Evidence, ...]:
    return (Evidence("log", remark.source, remark.words, format_time(remark.at)),) if remark is not None else ()
