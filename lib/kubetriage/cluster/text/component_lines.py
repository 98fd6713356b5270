"""Which part of the control plane wrote a log that comes without its name: its own lines tell.

klog writes the source file of each line into its head, and some files are of one program only. ``run.go`` is of all of
them, so there the words count: the flags, files and leases that only one program has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kubetriage.readers.logs.layers import Peeled
from kubetriage.values.patterns import lazy

# kubernetes/kubernetes 1.18 to 1.37: apiserver's own server, storage, admission, authentication and aggregator.
_SOURCES = {
    "kube-apiserver": (
        r"available_controller|cacher|dispatcher|oidc|grpc_service|storage_rbac|storage_factory|healthz"
        r"|aggregator|apiservice_controller|apf_controller|compact|crd_finalizer|openapi_aggregator"
        r"|authentication|kms_transformer|grpc_proxy_tunnel"
    ),
    "kube-controller-manager": (
        r"controllermanager|range_allocator|multi_cidr_range_allocator|node_lifecycle_controller|replica_set"
        r"|garbagecollector|horizontal|attach_detach_controller|pv_controller|endpointslice_controller"
        r"|deployment_controller|stateful_set|job_controller|cronjob_controllerv2|serviceaccounts_controller"
        r"|tokens_controller|resource_quota_controller|namespaced_resources_deleter"
    ),
    "kube-scheduler": r"schedule_one|scheduling_queue|eventhandlers|preemption",
}
_HEAD = r"\A[IWEF]\d{4} \S{1,20} {1,20}\d{1,8} "
_FILES = {part: lazy(rf"{_HEAD}(?:{files})\.go:\d") for part, files in _SOURCES.items()}
_WORDS = {
    "kube-apiserver": lazy(
        r"service-account-(?:issuer|signing-key-file)|encryption provider config|EncryptionConfiguration"
        r"|audit (?:policy|webhook|log) |failed to (?:create listener: failed to )?listen on \S{1,60}:(?:6443|443)\b"
        r"|error creating storage (?:factory|config)|Error creating leases|--?etcd-(?:servers|cafile|certfile)"
        r"|requestheader-client-ca-file|kubelet-client-certificate|admission-control-config|--?service-cluster-ip-range"
        r"|unknown flag: --(?:insecure-(?:bind-address|port)|etcd-|enable-admission|admission-|tls-sni|anonymous-auth"
        r"|kubelet-https|basic-auth-file|token-auth-file|runtime-config|apiserver-)"
    ),
    "kube-controller-manager": lazy(
        r"kube-system/kube-controller-manager\b|leases/kube-controller-manager\b|cluster-signing-(?:cert|key)-file"
        r"|unknown flag: --(?:pod-eviction-timeout|node-monitor-|cluster-signing|allocate-node-cidrs)"
    ),
    "kube-scheduler": lazy(
        r"kube-system/kube-scheduler\b|leases/kube-scheduler\b|KubeSchedulerConfiguration|kubescheduler\.config\.k8s\.io"
    ),
}
_KLOG = lazy(rf"{_HEAD}[\w.-]{{1,80}}\.go:\d|\AError: unknown flag: --")


def component_of(peeled: Sequence[Peeled]) -> str:
    """Return the part of the control plane that wrote the lines of a log; empty where they do not tell, or differ."""
    lines = [line.body for line in peeled if line.body.strip()]
    own = [line for line in lines if _KLOG.match(line)]
    if not own or len(own) * 2 <= len(lines):
        return ""
    votes: Counter[str] = Counter()
    for line in own:
        votes.update(part for part, pattern in _FILES.items() if pattern.match(line))
        votes.update(part for part, pattern in _WORDS.items() if pattern.search(line[:4096]))
    ranked = votes.most_common(2)
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return ""
    return ranked[0][0]
