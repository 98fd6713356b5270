"""What people see, in kubectl's words, and the causes that show so: the index of causes by symptom."""

from __future__ import annotations

from kubetriage.records import dataclass


@dataclass(frozen=True)
class Symptom:
    """Something that kubectl, a browser or a log shows."""

    title: str
    shown: str
    """Where it stands, and in which words."""
    page: str
    """Page of docs/symptoms, or empty."""
    causes: tuple[str, ...]


def _codes(words: str) -> tuple[str, ...]:
    return tuple(words.split())


SYMPTOMS = (
    Symptom(
        "CrashLoopBackOff",
        "`kubectl get pods`: STATUS `CrashLoopBackOff` or `Error`, RESTARTS grows",
        "CrashLoopBackOff.md",
        _codes(
            "AppError AppConfigMissing CommandNotFound CommandNotExecutable StartError OOMKilled RuntimeOutOfMemory "
            "KilledBySignal Segfault TerminatedBySignal Aborted AddressInUse DiskFull ReadOnlyFilesystem RBACForbidden "
            "CertificateInvalid DependencyAuthFailed DependencyUnreachable PermissionDenied CompletedButRestarted "
            "LivenessProbeFailed LivenessKillsSlowStart StartupProbeFailed PostStartHookFailed PreStopHookFailed "
            "WrongArchitecture RestartedThenStable NodeRestarted"
        ),
    ),
    Symptom(
        "Exit code 0",
        "`kubectl describe pod`: Last State `Terminated`, Reason `Completed`",
        "exit-code-143.md",
        _codes("CompletedButRestarted"),
    ),
    Symptom(
        "Exit code 1, 2, 255",
        "`kubectl describe pod`: Last State `Terminated`, Reason `Error`",
        "exit-code-1.md",
        _codes(
            "AppError AppConfigMissing AddressInUse DiskFull ReadOnlyFilesystem RBACForbidden CertificateInvalid "
            "DependencyAuthFailed DependencyUnreachable PermissionDenied"
        ),
    ),
    Symptom(
        "Exit code 126, 127, 128",
        "`kubectl describe pod`: Last State `Terminated`, Reason `Error` or `StartError`",
        "exit-code-126-127.md",
        _codes("CommandNotFound CommandNotExecutable WrongArchitecture StartError"),
    ),
    Symptom(
        "Exit code 134",
        "`kubectl describe pod`: Last State `Terminated`, Exit Code `134`",
        "exit-code-134.md",
        _codes("Aborted RuntimeOutOfMemory"),
    ),
    Symptom(
        "Exit code 137",
        "`kubectl describe pod`: Last State `Terminated`, Reason `OOMKilled` or `Error`",
        "exit-code-137.md",
        _codes(
            "OOMKilled LivenessProbeFailed LivenessKillsSlowStart StartupProbeFailed PostStartHookFailed "
            "KilledBySignal NodeRestarted"
        ),
    ),
    Symptom(
        "Exit code 139",
        "`kubectl describe pod`: Last State `Terminated`, Exit Code `139`",
        "exit-code-139.md",
        _codes("Segfault"),
    ),
    Symptom(
        "Exit code 143",
        "`kubectl describe pod`: Last State `Terminated`, Exit Code `143`",
        "exit-code-143.md",
        _codes("TerminatedBySignal LivenessProbeFailed ControlPlaneRestarts"),
    ),
    Symptom(
        "OOMKilled, or memory near its limit",
        "`kubectl describe pod`: Reason `OOMKilled`; `kubectl top pod` near the limit; `SystemOOM` events of the node",
        "OOMKilled.md",
        _codes(
            "OOMKilled ChildOOMKilled RuntimeOutOfMemory NearMemoryLimit HeapExceedsLimit BudgetExceedsLimit "
            "HeadroomTooSmall UseAboveBudget NoMemoryLimit OvercommitRisk KernelOOMKill"
        ),
    ),
    Symptom(
        "ErrImagePull, ImagePullBackOff",
        "`kubectl get pods`: STATUS `ErrImagePull`, `ImagePullBackOff`, `InvalidImageName` or `ErrImageNeverPull`",
        "ImagePullBackOff.md",
        _codes(
            "ImageNotFound ImagePullUnauthorized ImagePullSecretNotFound ImagePullRateLimited RegistryUnreachable "
            "RegistryError InvalidImageName ImageNeverPull ImageSignatureInvalid WrongArchitecture"
        ),
    ),
    Symptom(
        "CreateContainerConfigError, CreateContainerError, RunContainerError",
        "`kubectl get pods`: STATUS is one of these, RESTARTS `0`",
        "CrashLoopBackOff.md",
        _codes(
            "ConfigMapNotFound ConfigMapKeyNotFound SecretNotFound SecretKeyNotFound RunAsNonRootViolation StartError "
            "CommandNotFound CommandNotExecutable"
        ),
    ),
    Symptom(
        "Pending",
        "`kubectl get pods`: STATUS `Pending`; event `FailedScheduling`",
        "Pending.md",
        _codes(
            "UnschedulableResources UnschedulableNodeSelector UnschedulableAffinity UnschedulableTaint "
            "UnschedulableHostPort UnschedulableTopology PersistentVolumeClaimNotFound PersistentVolumeClaimPending "
            "FargateRefused "
            "ResourceClaimNotFound ResourceClaimPending SchedulingGated SchedulerDown NodeUninitialized Cordoned"
        ),
    ),
    Symptom(
        "ContainerCreating that does not end",
        "`kubectl get pods`: STATUS `ContainerCreating`; events `FailedMount`, `FailedAttachVolume`, "
        "`FailedCreatePodSandBox`",
        "Pending.md",
        _codes(
            "VolumeMountError VolumeAttachFailed SandboxCreateFailed ConfigMapNotFound SecretNotFound "
            "NetworkPluginNotReady StartError"
        ),
    ),
    Symptom(
        "Init:Error, Init:CrashLoopBackOff, Init:0/1",
        "`kubectl get pods`: STATUS begins with `Init:`",
        "CrashLoopBackOff.md",
        _codes("InitContainerFailed InitContainerWaiting"),
    ),
    Symptom(
        "Running, but READY 0/1",
        "`kubectl get pods`: STATUS `Running`, READY below the number of containers; event `Unhealthy`",
        "502-503-504.md",
        _codes("ReadinessProbeFailed ReadinessGateNotReady ProbeErrored StartupProbeFailed"),
    ),
    Symptom(
        "A pod keeps its old requests and limits after a resize",
        "`kubectl get pod -o yaml`: condition `PodResizePending` or `PodResizeInProgress`",
        "",
        _codes("PodResizePending"),
    ),
    Symptom(
        "Evicted, or a pod that failed at once",
        "`kubectl get pods`: STATUS `Evicted`, `Preempted`, `NodeShutdown`, `UnexpectedAdmissionError`, "
        "`SysctlForbidden`, `DeadlineExceeded`",
        "",
        _codes("Evicted Preempted NodeShutdown NodeAdmissionRejected SysctlForbidden PodDeadlineExceeded"),
    ),
    Symptom(
        "No pod appears",
        "`kubectl get deploy`: READY `0/2`, and no pod; event `FailedCreate` of the ReplicaSet or Job",
        "Pending.md",
        _codes(
            "QuotaExceeded LimitRangeViolation AdmissionDenied ManifestInvalid ServiceAccountNotFound WebhookBlocking "
            "ControllersDown NoPods ControllerReportsFailure"
        ),
    ),
    Symptom(
        "A Job that does not complete",
        "`kubectl get jobs`: STATUS `Failed`, or COMPLETIONS `0/1` while its pod stays",
        "",
        _codes("JobBackoffLimitExceeded JobDeadlineExceeded JobBlockedBySidecar"),
    ),
    Symptom(
        "Terminating",
        "`kubectl get pods`: STATUS `Terminating` for longer than the grace period",
        "stuck-terminating.md",
        _codes("StuckTerminating PodsTerminating NodeNotReady KubeletDown APIServiceUnavailable"),
    ),
    Symptom(
        "503 Service Unavailable",
        "the Ingress controller or Gateway answers 503; `kubectl get endpointslices` is empty",
        "502-503-504.md",
        _codes(
            "NoPods PodsCrashing PodsNotReady PodsTerminating SomePodsNotReady SelectorMismatch NoEndpoints "
            "BackendServiceNotFound BackendPortNotFound TargetPortNameNotFound MeshMTLSMismatch MeshSubsetNotFound "
            "MeshRouteInvalid ReferenceNotGranted SelectorTooBroad"
        ),
    ),
    Symptom(
        "502 Bad Gateway, connection refused",
        "the Ingress controller answers 502; `curl` says `connection refused`",
        "502-503-504.md",
        _codes("TargetPortMismatch ProtocolMismatch ProxyProtocolMismatch LoadBalancerHealthCheckFailed PodsCrashing"),
    ),
    Symptom(
        "504 Gateway Timeout, connection timed out",
        "the Ingress controller answers 504; `curl` waits",
        "502-503-504.md",
        _codes(
            "NetworkPolicyBlocks NetworkPolicyRestricts NoLocalEndpoints LoadBalancerNotAnnounced LoadBalancerPending "
            "KubeProxyNotReady BackendConnectionFailed "
            "MeshAuthorizationDenied"
        ),
    ),
    Symptom(
        "404, or another site's page",
        "the Ingress controller's default backend answers",
        "502-503-504.md",
        _codes(
            "IngressClassNotFound IngressClassNotSet IngressControllerNotFound IngressRejected ControllerForbidden "
            "HostPathConflict "
            "RouteHostnameMismatch RouteNotAccepted GatewayNotFound NotEvaluated"
        ),
    ),
    Symptom(
        "400, 403, 413, 429 or 500 from the entrance",
        "the Ingress controller answers by itself; the program's log has no such request",
        "502-503-504.md",
        _codes("ProxyLimitExceeded ClientAddressDenied ExternalAuthFailed BackendConnectionFailed SessionNotKept"),
    ),
    Symptom(
        "EXTERNAL-IP or ADDRESS stays empty",
        "`kubectl get svc`: EXTERNAL-IP `<pending>`; `kubectl get ingress` or `gateway`: ADDRESS empty",
        "502-503-504.md",
        _codes(
            "LoadBalancerPending LoadBalancerNotAnnounced IngressControllerNotFound IngressRejected "
            "GatewayNotProgrammed GatewayNotAccepted GatewayClassNotFound"
        ),
    ),
    Symptom(
        "A name does not resolve",
        "`no such host`, `NXDOMAIN`, `Temporary failure in name resolution`",
        "",
        _codes("DNSNotReady ClusterDNSNotAsked ServiceNotFound ExternalNameInvalid NetworkPolicyRestricts"),
    ),
    Symptom(
        "Certificate errors",
        "`x509: ...`, `certificate has expired`, a browser's warning",
        "certificate-errors.md",
        _codes(
            "TLSSecretNotFound TLSSecretInvalid TLSKeyMismatch TLSCertificateExpired TLSCertificateNotYetValid "
            "TLSCertificateNotIssued TLSHostMismatch TLSCertificateExpiringSoon CertificateInvalid "
            "CertificateExpiring CertificateRejected KubeletCertificateExpired NodeClockWrong"
        ),
    ),
    Symptom(
        "Node NotReady",
        "`kubectl get nodes`: STATUS `NotReady` or `Unknown`",
        "NotReady.md",
        _codes(
            "KubeletDown NodePartitioned KubeletUnreachable ContainerRuntimeDown ContainerRuntimeSlow "
            "NetworkPluginNotReady KubeletNotReady NodeNeverReady NodeFlapping NodeShutdown StatusFrozen "
            "KubeletCertificateExpired KubeletUnauthorized ApiServerUnreachable NodeNotReady"
        ),
    ),
    Symptom(
        "Many nodes NotReady at once",
        "`kubectl get nodes`: a zone, or all of them, `NotReady`",
        "NotReady.md",
        _codes("ZoneOutage AllNodesLost NodesLostContact StatusFrozen ControlPlaneUnreachable"),
    ),
    Symptom(
        "A kubelet that does not start or breaks down",
        "`journalctl -u kubelet` or `dmesg` of the node (`--node-log`)",
        "NotReady.md",
        _codes(
            "KubeletConfigInvalid CgroupDriverMismatch CgroupUnavailable CgroupLimitReached SwapEnabled "
            "InotifyLimitReached ProcessLimitReached NodeDiskFull NodeClockWrong KernelOOMKill DiskIOError LinkDown "
            "ConntrackFull HardwareError NeighbourTableFull NFSServerNotResponding NodeNameMismatch NodeAddressInvalid "
            "KubeletErrors KubeletCheckpointInvalid NodePasswordRejected ApiServerCertificateInvalid KernelPanic "
            "NodeDeleted OOMDaemonKill"
        ),
    ),
    Symptom(
        "Node Ready, with a bad condition or a taint",
        "`kubectl describe node`: Conditions and Taints",
        "NotReady.md",
        _codes(
            "DiskPressure MemoryPressure PIDPressure NetworkUnavailable Cordoned NodeUninitialized KernelDeadlock "
            "ReadonlyFilesystem XfsShutdown CperHardwareErrorFatal CorruptDockerOverlay2 DiskBadBlock "
            "FrequentKubeletRestart FrequentContainerdRestart FrequentDockerRestart FrequentUnregisterNetDevice "
            "KubeletUnhealthy ContainerRuntimeUnhealthy NTPProblem MachineConfigDegraded"
        ),
    ),
    Symptom(
        "A machine that does not become a node",
        "a NodeClaim or Machine that is not ready; `error execution phase ...` of kubeadm; the autoscaler's log",
        "",
        _codes("MachineNotLaunched MachineNotJoined NodeJoinFailed KubeletUnauthorized ApiServerUnreachable"),
    ),
    Symptom(
        "kubectl drain does not finish, or refuses to begin",
        "`Cannot evict pod as it would violate the pod's disruption budget`; `cannot delete Pods ...`",
        "",
        _codes("DrainBlocked StuckTerminating"),
    ),
    Symptom(
        "kubectl logs, exec or top fails",
        "`remote error: tls: internal error`; `Metrics API not available`",
        "kubectl-hangs.md",
        _codes("ServingCertificatePending APIServiceUnavailable"),
    ),
    Symptom(
        "kubectl hangs or is refused",
        "`context deadline exceeded`, `etcdserver: request timed out`, `connection refused`, `failed calling webhook`",
        "kubectl-hangs.md",
        _codes(
            "EtcdSlowDisk EtcdDown EtcdQuorumLost EtcdLeaderFlapping EtcdSlowNetwork EtcdNoSpace EtcdNearQuota "
            "EtcdFragmented ApiServerUnready ApiServerOverloaded CertificateExpiring CertificateRejected "
            "WebhookBlocking ControlPlaneUnreachable ControlPlaneRestarts AuthenticationFailing ControlPlaneErrors "
            "ClusterOperatorDegraded EtcdCorrupt EncryptionKeyMissing"
        ),
    ),
    Symptom(
        "Nothing is created, replaced or evicted",
        "writes succeed and nothing follows: no pods of a new Deployment, lost nodes stay `Ready`",
        "kubectl-hangs.md",
        _codes("ControllersDown SchedulerDown ControlPlaneRestarts"),
    ),
    Symptom(
        "Nothing yet: risks that a scan names",
        "`kubectl oom-budget`, `kubectl node-triage --tolerations`",
        "",
        _codes("FailoverTooSlow OvercommitRisk HeadroomTooSmall TLSCertificateExpiringSoon EtcdNearQuota"),
    ),
    Symptom("Unknown", "the answer's cause is `Unknown`", "", _codes("Unknown")),
)


def symptoms_of(code: str) -> list[Symptom]:
    """Return what a cause shows as."""
    return [symptom for symptom in SYMPTOMS if code in symptom.causes]


def index() -> str:
    """Write the causes by symptom."""
    rows = []
    for symptom in SYMPTOMS:
        name = f"[{symptom.title}](../symptoms/{symptom.page})" if symptom.page else symptom.title
        rows.append(f"| {name} | {symptom.shown} | {', '.join(f'[{c}]({c}.md)' for c in symptom.causes)} |\n")
    return "## By symptom\n\n| you see | where | causes |\n| --- | --- | --- |\n" + "".join(rows)
