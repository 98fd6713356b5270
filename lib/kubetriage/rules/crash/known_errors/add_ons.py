"""Errors of what runs in nearly every cluster: DNS, network plugins, storage agents, controllers of clouds."""

from __future__ import annotations

import re

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, cloud, image, manifest, node, on_node, operator, place, restart, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.named_values import by_noun
from kubetriage.rules.crash.own_advice import own_advice
from kubetriage.rules.crash.pod_settings import settings_of
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy


def _no_pod_range(words: LastWords, _: Said) -> Advice:
    name = words.case.pod.node or "NODE"
    return Advice(
        f"node {name} has no spec.podCIDR: the controller manager assigns no pod addresses",
        (
            operator(
                "Start the controller manager with --allocate-node-cidrs=true and --cluster-cidr "
                "that equals the network of "
                "the plugin's configuration (kubeadm init --pod-network-cidr=10.244.0.0/16).",
                kubectl("get", "nodes", "-o", "custom-columns=NAME:.metadata.name,CIDR:.spec.podCIDR"),
            ),
        ),
    )


def _kernel(words: LastWords, _: Said) -> Advice:
    kernel = text(words.case.node.obj, "status", "nodeInfo", "kernelVersion")
    shown = f" ({kernel})" if kernel else ""
    return Advice(
        f"the kernel of {place(words)}{shown} is too old for it, or lacks a feature",
        (
            node(
                f"Update the kernel of {place(words)}, or use a node image with a newer one.",
                on_node(words, "uname", "-r"),
            ),
            image("Or use an older release that supports this kernel; its notes name the minimum."),
        ),
    )


def _conntrack(_: LastWords, __: Said) -> Advice:
    return Advice(
        "it may not set nf_conntrack_max: nodes inside containers (kind, LXC) own no such sysctl",
        (
            operator(
                "Let kube-proxy leave it alone: conntrack.maxPerCore: 0 in its ConfigMap, and set "
                "the value on the host.",
                kubectl("edit", "configmap", "kube-proxy", namespace="kube-system"),
                kubectl("rollout", "restart", "daemonset/kube-proxy", namespace="kube-system"),
            ),
        ),
    )


def _iscsi(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"{place(words)} lacks the iSCSI tools that the storage system needs",
        (
            node(
                f"Install open-iscsi (iscsi-initiator-utils) on {place(words)}, enable iscsid and "
                "load iscsi_tcp; on Talos add "
                "the iscsi-tools extension.",
                on_node(words, "systemctl", "enable", "--now", "iscsid"),
            ),
        ),
    )


def _docker_socket(words: LastWords, _: Said) -> Advice:
    runtime = text(words.case.node.obj, "status", "nodeInfo", "containerRuntimeVersion")
    other = f" ({runtime})" if runtime and "docker" not in runtime else ""
    return Advice(
        f"no Docker daemon answers at its socket; {place(words)} runs another container runtime{other}",
        (
            manifest(
                words,
                f"Use the runtime's own socket in {where(words)} (/run/containerd/containerd.sock), "
                "or a release that needs none.",
            ),
            app(
                "To build images in a pod use BuildKit (rootless) or kaniko, or a docker:dind "
                "sidecar that has the socket."
            ),
        ),
    )


def _no_rights(words: LastWords, _: Said) -> Advice:
    account = text(words.case.pod.raw, "spec", "serviceAccountName") or "default"
    namespace = words.case.pod.namespace
    return Advice(
        f"ServiceAccount {account} lacks the permissions at the Kubernetes API that it needs",
        (
            manifest(
                words,
                f"Give ServiceAccount {account} the ClusterRole and binding of the release (rbac.create=true in most "
                "charts, the rbac manifests otherwise); set serviceAccountName if the pod should use another account.",
                None,
                kubectl("auth", "can-i", "--list", f"--as=system:serviceaccount:{namespace}:{account}"),
            ),
        ),
        details={"serviceAccount": account},
    )


def _sealed(words: LastWords, _: Said) -> Advice:
    return Advice(
        "Vault is sealed, so it answers nothing",
        (
            operator(
                "Unseal it with the threshold of keys, on each pod; after each restart again, unless "
                "auto-unseal is set up.",
                kubectl(
                    "exec",
                    "-it",
                    words.case.pod.name,
                    "--",
                    "vault",
                    "operator",
                    "unseal",
                    namespace=words.case.pod.namespace,
                ),
            ),
        ),
    )


def _tables(words: LastWords, _: Said) -> Advice:
    return Advice(
        "RabbitMQ waits for the peer that was stopped last, and that one does not come up before it",
        (
            manifest(
                words,
                "Let all members start at once: podManagementPolicy: Parallel in "
                f"{words.case.workload_name} (the StatefulSet "
                "must be made anew: delete it with --cascade=orphan).",
                None,
                kubectl("delete", words.case.workload_name, "--cascade=orphan", namespace=words.case.pod.namespace),
            ),
            app(
                "Or force the first one once: rabbitmqctl force_boot (Bitnami: "
                "clustering.forceBoot), after all others are stopped."
            ),
        ),
    )


def _connections(words: LastWords, _: Said) -> Advice:
    return Advice(
        "the database takes no further connections: all replicas and their pools together want more than its maximum",
        (
            manifest(
                words, f"Lower the pool size of {where(words)}: replicas times pool must stay below max_connections."
            ),
            cloud("Or raise max_connections (memory grows with it), or put a pooler before it (PgBouncer, ProxySQL)."),
        ),
    )


def _not_migrated(words: LastWords, _: Said) -> Advice:
    proposed = own_advice(words)
    command = (app(f"Its log names the command: {proposed}."),) if proposed else ()
    return Advice(
        "the tables of this release are not in its database: its migrations have not run",
        (
            *command,
            manifest(
                words,
                "Run the migrations first: a Job, a Helm hook or an init container; with a hook, "
                "helm install --wait can wait "
                "for itself (set useHelmHooks false).",
                None,
                kubectl("get", "jobs", namespace=words.case.pod.namespace),
            ),
            app("Or it connects to another database or schema: compare the name in the connection settings."),
        ),
    )


def _license(words: LastWords, _: Said) -> Advice:
    setting = by_noun(settings_of(words.case, words.container), "license")
    if setting is not None and setting.holder:
        return Advice(
            f"its license is missing, invalid or has expired ({setting.called}, {setting.source})",
            (
                app(
                    f"Renew the license, put it into {setting.source}, and restart the workload.",
                    kubectl(
                        "edit" if setting.resource == "configmap" else "describe",
                        setting.resource,
                        setting.holder,
                        namespace=words.case.pod.namespace,
                    ),
                    *restart(words),
                ),
            ),
            (Evidence("spec", setting.at, f"{setting.name}: {setting.source}"),),
        )
    return Advice(
        "its license is missing, invalid or has expired",
        (
            app(
                "Renew the license, put it into the Secret or ConfigMap from which it is mounted, "
                "and restart the workload."
            ),
        ),
    )


def _no_new_privileges(words: LastWords, _: Said) -> Advice:
    return Advice(
        "it changes its user with sudo or su, and the pod forbids that (allowPrivilegeEscalation false, or no root)",
        (
            manifest(
                words,
                f"Run {where(words)} as the wanted user directly (runAsUser), without sudo or su.",
            ),
            manifest(
                words,
                "Or allow it: allowPrivilegeEscalation: true; namespaces that enforce restricted refuse that.",
                words.container.patch({"securityContext": {"allowPrivilegeEscalation": True}}),
            ),
        ),
    )


def _not_redirected(words: LastWords, _: Said) -> Advice:
    return Advice(
        "the CNI plugin of the mesh did not set up this pod's network, so its traffic would bypass the proxy",
        (
            manifest(
                words,
                "Recreate the pod, so that the CNI plugin runs for it; it may have started before "
                "the plugin was ready.",
                None,
                kubectl("delete", "pod", words.case.pod.name, namespace=words.case.pod.namespace),
            ),
            operator(
                "If it comes back: see the mesh's CNI DaemonSet (linkerd-cni, istio-cni-node) on "
                f"{place(words)}, and that its "
                "configuration stands last in /etc/cni/net.d.",
                kubectl("get", "pods", "-A", "-l", "k8s-app in (istio-cni-node,linkerd-cni)", "-o", "wide"),
            ),
        ),
    )


def _no_monitors(words: LastWords, _: Said) -> Advice:
    namespace = words.case.pod.namespace
    return Advice(
        "this Ceph daemon gets no answer from the monitors: they have no quorum, are not reachable at the addresses "
        "that "
        "it has, or do not accept its key",
        (
            operator(
                "See the monitors first: without quorum no daemon starts.",
                kubectl("get", "pods", "-l", "app=rook-ceph-mon", "-o", "wide", namespace=namespace),
                kubectl("exec", "deploy/rook-ceph-tools", "--", "ceph", "status", namespace=namespace),
            ),
            node(
                f"With quorum: open TCP 3300 and 6789 from {place(words)} to the monitors, and compare their addresses "
                "with the ConfigMap rook-ceph-mon-endpoints; the clock of the node must be right.",
                kubectl("get", "configmap", "rook-ceph-mon-endpoints", "-o", "yaml", namespace=namespace),
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "ceph-monitors",
        lazy(
            r"failed to fetch mon config|monclient(?:\(hunting\))?: [^\n]{0,80}(?:timed? ?out|handle_auth_bad_method"
            r"|authenticate timed out)|unable to get monitor info from DNS|RADOS timed out|ObjectNotFound\('RADOS"
        ),
        _no_monitors,
        beside=True,
    ),
    Row(
        "mesh-not-redirected",
        lazy(r"Failed to validate networking configuration|iptables validation failed"),
        _not_redirected,
        beside=True,
    ),
    Row(
        "no-pod-range",
        lazy(r"(?i)pod ?cidr (?:is )?not (?:assigned|set|available)|node\.Spec\.PodCIDR not set"),
        _no_pod_range,
        beside=True,
    ),
    Row(
        "conntrack-limit",
        lazy(r"/proc/sys/net/netfilter/nf_conntrack_max[^\n]{0,40}(?:permission denied|read-only)", re.IGNORECASE),
        _conntrack,
        "PermissionDenied",
        beside=True,
    ),
    Row(
        "kernel-old",
        lazy(
            r"(?i)kernel version not met|kernel (?:version )?[\d.]{0,12} ?(?:is )?(?:too old|not supported|unsupported)"
            r"|(?:requires|minimum|minimal)"
            r" (?:linux )?kernel (?:version )?\d|FATAL: kernel too old"
            r"|kernel does not support[^\n]{0,60}(?:bpf|cgroup|namespaces)"
        ),
        _kernel,
        beside=True,
    ),
    Row(
        "iscsi-tools",
        lazy(r"(?i)iscsiadm[^\n]{0,60}(?:not found|no such file|not installed)|open-iscsi installed"),
        _iscsi,
        beside=True,
    ),
    Row(
        "docker-socket",
        lazy(r"Cannot connect to the Docker daemon|/var/run/docker\.sock[^\n]{0,60}(?:no such file|refused)"),
        _docker_socket,
        beside=True,
    ),
    Row(
        "account-without-role",
        lazy(
            r"restrictive Authorization mode and the \w[^\n]{0,60} does not have the required permissions"
            r"|[Ss]ervice ?[Aa]ccount[^\n]{0,80} (?:lacks|does not have)[^\n]{0,30} (?:required )?permissions?"
        ),
        _no_rights,
        code="PermissionDenied",
    ),
    Row("vault-sealed", lazy(r"(?i)vault is sealed"), _sealed),
    Row(
        "waiting-for-tables",
        lazy(r"timeout_waiting_for_tables|Waiting for Mnesia tables[^\n]{0,80}\b[01] retries left"),
        _tables,
        beside=True,
    ),
    Row(
        "connection-limit",
        lazy(
            r"(?i)too many clients already|remaining connection slots are reserved"
            r"|too many connections|max_user_connections"
            r"|ER_CON_COUNT_ERROR|max number of clients reached"
        ),
        _connections,
    ),
    Row(
        "not-migrated",
        lazy(
            r"(?i)unapplied migrations|pending migrations?\b|\bmigrations are pending\b|PendingMigrationError"
            r"|database needs bootstrapping"
            r"|need to initialize the database"
            r"|database (?:has not been|was not) (?:initiali[sz]ed|migrated|upgraded)"
            r"|new migrations (?:available|to run)|relation \"[\w.]{1,80}\" does not exist"
            r"|Table '[\w.]{1,80}' doesn't exist"
            r"|schema version[^\n]{0,60}(?:mismatch|check failed|incompatible)|version mismatch for keyspace"
            r"|no such table: \w|database (?:is |schema )?not (?:yet )?(?:initiali[sz]ed|migrated)"
            r"|Schema-validation: missing (?:table|column|sequence)"
        ),
        _not_migrated,
        whole=False,
    ),
    Row(
        "license",
        lazy(
            r"(?i)licen[cs]e (?:key )?(?:has |is )?(?:expired|invalid|missing|not found|required)"
            r"|(?:invalid|expired|no valid) licen[cs]e"
        ),
        _license,
    ),
    Row(
        "no-new-privileges",
        lazy(
            r"(?i)sudo: [^\n]{0,120}(?:no new privileges|nosuid|effective uid is not 0|setuid root)|su: must be suid"
            r"|su: (?:Authentication failure|cannot set groups|Permission denied)|must be setuid root"
        ),
        _no_new_privileges,
        "PermissionDenied",
        beside=True,
    ),
)
