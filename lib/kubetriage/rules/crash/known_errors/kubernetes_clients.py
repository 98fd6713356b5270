"""What programs meet that talk to the API server: kinds, leases, tokens, webhooks of their own."""

from __future__ import annotations

from kubetriage.model import Evidence, RuledOut
from kubetriage.rules.crash.acts import app, manifest, operator, where
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.named_values import origin
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl, placeholder, shell
from kubetriage.values.fields import flag, text
from kubetriage.values.patterns import lazy

_BUILT_IN = frozenset(
    (
        "apps",
        "autoscaling",
        "batch",
        "extensions",
        "policy",
        "admissionregistration",
        "apiextensions",
        "apiregistration",
        "authentication",
        "authorization",
        "certificates",
        "coordination",
        "discovery",
        "events",
        "flowcontrol",
        "networking",
        "node",
        "rbac.authorization",
        "resource",
        "scheduling",
        "storage",
    )
)


def _is_built_in(version: str) -> bool:
    """Tell whether an apiVersion belongs to the API server itself, not to a CustomResourceDefinition."""
    group = version.partition("/")[0]
    return group.removesuffix(".k8s.io") in _BUILT_IN and (group.endswith(".k8s.io") or "." not in group)


def _kind_missing(words: LastWords, said: Said) -> Advice:
    kind, version = said.match["kind"] or "", said.match["version"] or ""
    what = f"kind {kind} of {version}"
    if kind and _is_built_in(version):
        served = words.case.snapshot.version
        now = f" {served[0]}.{served[1]}" if served else ""
        return Advice(
            f"Kubernetes{now} does not serve {what} (any more): the program was written for an older or newer cluster",
            (
                manifest(
                    words,
                    f"Use a release of {where(words)} that knows this cluster's version; removed beta "
                    "versions come back by no "
                    "installation.",
                    None,
                    kubectl("api-versions"),
                ),
            ),
            details={"kind": kind, "apiVersion": version},
        )
    if not kind:
        return Advice(
            "the API server does not serve a kind or version that it asks for; its words do not tell which: a beta "
            "version "
            "of a built-in API that newer clusters removed, or a CustomResourceDefinition (CRD) that is not installed",
            (
                manifest(
                    words,
                    f"See whether {where(words)} is a release that supports this cluster's version; an old one asks "
                    "for "
                    "versions that were removed, and a newer release ends it.",
                    None,
                    kubectl("version"),
                    kubectl("api-versions"),
                ),
                operator(
                    "If the release fits: install its CRDs, before the controller (chart: installCRDs or crds.enabled; "
                    "kubectl apply --server-side -f CRDS).",
                    kubectl("get", "crds"),
                ),
            ),
        )
    return Advice(
        f"the API server does not serve {what}: its CustomResourceDefinition (CRD) is not installed, "
        "or in another version",
        (
            operator(
                f"Install the CRDs of the release that runs here, before the controller (chart: installCRDs or "
                f"crds.enabled; kubectl apply --server-side -f CRDS): {kind}.",
                kubectl("api-resources", f"--api-group={version.partition('/')[0]}")
                if "/" in version
                else kubectl("get", "crds"),
            ),
            manifest(words, f"Or run a release of {where(words)} that fits the versions which the cluster serves."),
        ),
        verify=(kubectl("get", "crds"),),
        details={"kind": kind, "apiVersion": version},
    )


def _leader(words: LastWords, _: Said) -> Advice:
    return Advice(
        "it could not renew its lease in time and gave up the lead, as it is meant to; the API "
        "server answered too slowly "
        "or the pod got no CPU",
        (
            operator(
                "See whether the API server or etcd was slow or restarted at that time (load, disk latency); kubectl "
                "plane-trace shows it.",
                kubectl("get", "--raw", "/readyz?verbose"),
                kubectl("plane-trace"),
            ),
            manifest(
                words,
                f"If only this pod loses it: raise the CPU of {where(words)} (throttling), or leaseDuration and "
                "renewDeadline.",
            ),
        ),
        ruled_out=(
            RuledOut(
                "AppError", "the controller ends on purpose when it loses the lease; the next start takes it again"
            ),
        ),
    )


def _token(words: LastWords, _: Said) -> Advice:
    case = words.case
    off = flag(case.pod.raw, "spec", "automountServiceAccountToken") is False
    account = text(case.pod.raw, "spec", "serviceAccountName") or "default"
    return Advice(
        "it has no token of its ServiceAccount: "
        + (
            "automountServiceAccountToken is false in the pod"
            if off
            else f"nothing mounts one (pod or ServiceAccount {account})"
        ),
        (
            manifest(
                words,
                f"Set automountServiceAccountToken: true in {case.workload_name}; the pod's value wins over that of "
                f"ServiceAccount {account}.",
                {"automountServiceAccountToken": True},
            ),
        ),
        (Evidence("spec", "spec.automountServiceAccountToken", "false" if off else "not set"),),
        verify=(kubectl("get", "serviceaccount", account, "-o", "yaml", namespace=case.pod.namespace),),
    )


def _not_in_cluster(words: LastWords, _: Said) -> Advice:
    return Advice(
        "it finds no way to the API server: neither the variables and token of a pod nor a kubeconfig",
        (
            manifest(
                words,
                f"Set automountServiceAccountToken: true and a serviceAccountName in {words.case.workload_name}.",
                {"automountServiceAccountToken": True},
            ),
            app("Or mount a kubeconfig and name it in KUBECONFIG; a program that asks localhost:8080 found neither."),
        ),
    )


def _wait_limit(words: LastWords, _: Said) -> Advice | None:
    if "is forbidden: User" in words.text:
        return None  # why they did not fill stands there
    return Advice(
        "the caches of its controller did not fill in time: the API server was slow, or it may not "
        "list or watch a kind",
        (
            operator(
                "See the log for the kind, and whether the ServiceAccount may list and watch it.",
                kubectl(
                    "auth",
                    "can-i",
                    "--list",
                    f"--as=system:serviceaccount:{words.case.pod.namespace}:"
                    f"{text(words.case.pod.raw, 'spec', 'serviceAccountName') or 'default'}",
                ),
            ),
            manifest(
                words, f"Or raise the time-out and the memory and CPU of {where(words)}, where there are many objects."
            ),
        ),
    )


def _not_synced(words: LastWords, said: Said) -> Advice | None:
    """Judge a kind that did not list in time: not served, not allowed, or a slow API server."""
    if "is forbidden: User" in words.text:
        return None
    kind = said.match["kind"].rpartition(".")[2]
    case = words.case
    account = text(case.pod.raw, "spec", "serviceAccountName") or "default"
    user = f"system:serviceaccount:{case.pod.namespace}:{account}"
    return Advice(
        f"it could not list {kind} in time: ServiceAccount {account} may not list and watch them, the cluster "
        "serves them "
        "in no version that this release knows, or the API server was slow",
        (
            operator(
                f"See whether ServiceAccount {account} may list and watch {kind}: the ClusterRole and its binding "
                "must be "
                "those of the release, and name this ServiceAccount and namespace.",
                kubectl("auth", "can-i", "list", f"{kind.lower()}", f"--as={user}", "-A"),
                kubectl("auth", "can-i", "watch", f"{kind.lower()}", f"--as={user}", "-A"),
            ),
            manifest(
                words,
                f"See whether the cluster serves {kind}; leave out the source of {where(words)} that asks for it if "
                "not, or "
                "run a release that knows the version.",
                None,
                kubectl("api-resources"),
            ),
        ),
        details={"kind": kind},
    )


_IN_NAMESPACE = lazy(r"in namespace [\\\"']{0,2}([a-z0-9][a-z0-9-]{0,62})")
_LABELS = {
    "configmaps": "ConfigMap",
    "secrets": "Secret",
    "serviceaccounts": "ServiceAccount",
    "services": "Service",
    "endpoints": "Endpoints",
    "persistentvolumeclaims": "PersistentVolumeClaim",
}


def _object_missing(words: LastWords, said: Said) -> Advice | None:
    """Judge an object that the program itself asked the API server for and that is not there."""
    kind, name = said.match["kind"].lower(), said.match["name"]
    plural = kind if kind.endswith("s") else f"{kind}s"
    case = words.case
    before = _IN_NAMESPACE.search(said.line[: said.match.start()])
    space = said.match["space"] or (before[1] if before is not None else case.pod.namespace)
    if plural in ("configmaps", "secrets") and case.snapshot.get(plural, space, name).found:
        return None
    label = _LABELS.get(plural, kind)
    one = origin(words)
    given = one.setting if one is not None else None
    at = f" ({given.called})" if given is not None else ""
    held = f" ({given.value})" if given is not None and given.value else ""
    chart = case.pod.labels.get("app.kubernetes.io/instance", "")
    release = f" of release {chart}" if chart else ""
    return Advice(
        f"it asked the API server for {label} {name} in namespace {space}{at}, and that does not exist",
        (
            manifest(
                words,
                f"Create {label} {name} in namespace {space}: the program's manifests or chart{release} hold "
                f"it, so apply "
                "them whole, into the namespace that they are written for.",
                None,
                kubectl("get", plural, "-A", f"--field-selector=metadata.name={name}"),
            ),
            manifest(
                words,
                f"If another one is meant, correct {given.called}{held} of {where(words)}."
                if given is not None
                else "If it is there under that name, see whether the program looks for it by label or in another "
                "namespace (its arguments, POD_NAMESPACE).",
            ),
        ),
        verify=(kubectl("get", plural, name, namespace=space),),
        details={"object": f"{plural}/{name}", "namespace": space},
    )


def _job_missing(words: LastWords, said: Said) -> Advice:
    """Judge a Job that something waits for and that is gone: finished Jobs are deleted."""
    case, name = words.case, said.match["name"]
    space = said.match["space"] or case.pod.namespace
    release = case.pod.labels.get("app.kubernetes.io/instance", "")
    again = ("helm", "-n", space, "upgrade", release, placeholder("chart"), "--reuse-values") if release else ()
    return Advice(
        f"it waits for Job {name} in namespace {space}, and that does not exist: it has not been made, or was deleted "
        "after it had finished",
        (
            manifest(
                words,
                f"Make Job {name} again by its chart or manifest, so that this one wait passes.",
                None,
                kubectl("get", "jobs", namespace=space),
                *((shell(*again),) if again else ()),
            ),
            manifest(
                words,
                f"So that a restart does not hang again: keep the Job (no ttlSecondsAfterFinished, Helm "
                "hook-delete-policy "
                f"before-hook-creation), or let {where(words)} ask what the Job did (a table, a version) in its place.",
            ),
        ),
        verify=(kubectl("get", "job", name, namespace=space),),
        details={"object": f"jobs/{name}", "namespace": space},
    )


def _webhook_certificate(words: LastWords, said: Said) -> Advice:
    path = path_near(said.line, len(said.line))
    found = mount_of(words.container, path) if path else None
    secret = text(found[1], "secret", "secretName") if found is not None else ""
    held = f"Secret {secret}" if secret else "the Secret with the webhook's certificate"
    return Advice(
        f"the certificate of its webhook server is missing ({path or 'tls.crt'})",
        (
            operator(
                f"Let cert-manager (or the chart's job) issue {held}, and mount it; see the Certificate's conditions.",
                kubectl("get", "certificates,secrets", namespace=words.case.pod.namespace),
            ),
            manifest(words, f"Or switch webhooks of {where(words)} off (often ENABLE_WEBHOOKS=false)."),
        ),
        (Evidence("spec", "volumeMounts", volume_words(found[1])),) if found is not None else (),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "kind-not-served",
        lazy(
            r"no matches for kind \\?\"(?P<kind>\w{1,80})\\?\" in version \\?\"(?P<version>[\w./-]{1,120})\\?\""
            r"|the server could not find the requested resource|no kind is registered|CRDs? (?:is|are) not installed"
        ),
        _kind_missing,
        beside=True,
    ),
    Row(
        "job-missing",
        lazy(
            r"\bjobs?\.batch \\?\"(?P<name>[a-z0-9][a-z0-9.-]{0,252})\\?\" not found"
            r"(?: in namespace \\?\"?(?P<space>[a-z0-9-]{1,63}))?"
        ),
        _job_missing,
        beside=True,
    ),
    Row(
        "object-missing",
        lazy(
            r"(?i)\b(?P<kind>configmaps?|secrets?"
            r"|serviceaccounts?|services?|endpoints|persistentvolumeclaims?)"
            r" \\?\"(?P<name>[a-z0-9][a-z0-9.-]{0,252})\\?\" not found"
            r"(?: in namespace \\?\"?(?P<space>[a-z0-9-]{1,63}))?"
        ),
        _object_missing,
        "AppConfigMissing",
    ),
    Row(
        "leader-lost",
        lazy(
            r"(?i)leader ?election lost|waiting for leader election|lost (?:the )?(?:leader|master)(?:ship)?\b"
            r"|failed to renew lease|stopped leading"
            r"|leadership (?:was )?lost|no longer (?:the )?leader"
        ),
        _leader,
        beside=True,
        whole=False,
    ),
    Row(
        "kind-not-synced",
        lazy(r"failed to sync \*?(?P<kind>[\w./]{1,120}): (?:context deadline exceeded|timed? ?out)"),
        _not_synced,
        beside=True,
    ),
    Row(
        "cache-sync",
        lazy(r"(?i)(?:timed out|failed|timeout)[^\n]{0,60}waiting for[^\n]{0,60}cache(?:s)? to (?:be )?sync"),
        _wait_limit,
        whole=False,
    ),
    Row(
        "token-not-mounted",
        lazy(
            r"/var/run/secrets/kubernetes\.io/serviceaccount/\w[\w.]{0,20}[^\n]{0,40}(?:[Nn]o such"
            r" file|ENOENT|not found|does not exist)"
            r"|(?:ENOENT|[Nn]o such file)[^\n]{0,60}/var/run/secrets/kubernetes\.io/serviceaccount"
        ),
        _token,
        beside=True,
    ),
    Row(
        "no-cluster-config",
        lazy(
            r"unable to load in-cluster configuration|no configuration has been provided, try setting KUBERNETES_MASTER"
            r"|Service host/port is not set|localhost:8080[^\n]{0,40}connection refused[^\n]{0,40}did you specify"
            r"|invalid configuration: no configuration has been provided"
        ),
        _not_in_cluster,
        beside=True,
    ),
    Row(
        "webhook-certificate",
        lazy(
            r"/(?:tmp/)?k8s-webhook-server/\S{1,100}[^\n]{0,40}[Nn]o such file"
            r"|serving-certs?/tls\.(?:crt|key)[^\n]{0,40}[Nn]o such file"
        ),
        _webhook_certificate,
        "AppConfigMissing",
    ),
)
