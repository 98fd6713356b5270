"""English sentences that a catalogue can translate as a whole, by cause code; those of no code may stand anywhere.

A place in braces takes what stands there in an answer. The first sentence of a text is looked for, then its first two,
then three, and so on behind it; from the first that is not found on the text stays English.
"""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "": (
        "Every hop to {object} is healthy.",
        "Every link of the control plane was seen and is ok.",
        "Healthy: Running, {ready} ready.",
        "Healthy: {node} is Ready, Lease renewed {age} ago.",
        "No OOM kill seen.",
        "Memory of container {container} ({runtime})",
        "Timeline (newest {shown} of {all})",
        "Start a copy of the pod with a shell in place of {container}'s command, and run the command there by hand.",
        "Read more of the log than its last error: what it did right before.",
        "Run the check by hand while the container runs, and make it pass.",
        "Do not force-delete pods ({pods}) and do not set the out-of-service taint: {node} is not proven "
        "dead, and a second copy could write the same data.",
        "Do not force-delete pods and do not set the out-of-service taint: {node} is not proven dead, and a "
        "second copy could write the same data.",
        "This cannot be changed on a pod that exists: save it, change these lines, recreate it.",
        "It is a bare pod: resize it in place (Kubernetes 1.33 and later), or delete it and create it so.",
        "Prove first that the machine is off.",
        "The budget of container {container} closes: {used} of {limit}, {room} ({share}) to spare.",
    ),
    "AppError": (
        "{container} exited with code {code} within a second of its start with an uncaught {language} error: "
        "{error}; it happened at {place}.",
        "{container} exited with code {code} within a second of its start with an uncaught {language} error: "
        "{error}; as an environment variable, {variable} is not declared in the pod.",
        "{container} exited with code {code} within a second of its start with an uncaught {language} error: "
        "{error}; it refuses its configuration.",
        "{container} exited with code {code} within a second of its start and wrote nothing to its log.",
        "{container} exited with code {code} within a second of its start: {error}; this message names no known cause.",
        "Correct the program at {place} (image {image}), or the input or setting that it reads there.",
        "If {variable} is an environment variable, declare it for container {container} in {object}.",
        "Correct the setting that the line names in the args and env of container {container} of {object}; no "
        "ConfigMap is mounted.",
    ),
    "LivenessKillsSlowStart": (
        "The liveness probe killed {container} {span} after its start, before it served port {port}; its log "
        "shows it still starting ({log}).",
        "Give container {container} of {object} a startupProbe ({probe}, period {period}, failureThreshold "
        "{threshold}): {budget} to start (the real start-up time is not known yet).",
        "The liveness probe begins after it.",
    ),
    "LivenessProbeFailed": (
        "The kubelet killed {container} {span} after its start because its liveness probe ({probe}) failed "
        "{n} times: {why}.",
        "Point the livenessProbe of container {container} in {object} at port {port} instead of {old}.",
    ),
    "ReadinessProbeFailed": (
        "{container} runs ({span}) but is not ready: its readiness probe ({probe}) fails: {why}.",
    ),
    "StartupProbeFailed": (
        "The kubelet killed {container} {span} after its start because its startup probe ({probe}) never "
        "passed in {n} tries: {why}.",
    ),
    "OOMKilled": (
        "The kernel killed container {container} at its own memory limit of {limit}, at once after its start; "
        "{area} alone may take {size}.",
        "The kernel killed container {container} at its own memory limit of {limit}, {span} after its start; "
        "{area} alone may take {size}.",
        "The kernel killed container {container} at its own memory limit of {limit}, {span} after its start; "
        "the limit is likely too small for its start.",
        "Raise the memory limit of container {container} to {limit}.",
        "Raise the memory limit of container {container} in {object} to {limit}.",
        "Measure what grows in container {container} before the next kill: its own heap profile.",
        "Run container {container} of {object} with {option} and a memory limit of {limit}.",
    ),
    "HeapExceedsLimit": (
        "The {area} of container {container} may grow to {size}, more than its whole memory limit of {limit}.",
    ),
    "BudgetExceedsLimit": ("Container {container} may take {size}, {excess} more than its memory limit of {limit}.",),
    "NoMemoryLimit": ("Container {container} has no memory limit, on itself or on the pod.",),
    "OvercommitRisk": ("Container {container} requests {request} but may use {limit}.",),
    "RuntimeOutOfMemory": ("{container} ended because the V8 heap was full (no container limit): {log}.",),
    "CommandNotFound": (
        "Container {container} cannot start: {path} does not exist in image {image}.",
        "The shell of container {container} found no command {command}.",
    ),
    "CommandNotExecutable": ("Container {container} may not run {path}: permission denied.",),
    "CompletedButRestarted": (
        "{container} ends with success (exit code 0) within a second of its start, and restartPolicy {policy} "
        "starts it again ({n} restarts).",
    ),
    "ConfigMapNotFound": (
        "ConfigMap {name} does not exist in namespace {namespace}; {user} needs it.",
        "Create ConfigMap {name} in namespace {namespace}, or correct the name in {object}.",
    ),
    "SecretNotFound": (
        "Secret {name} does not exist in namespace {namespace}; {user} needs it. {other} exists and has key {key}.",
        "Name {existing} instead of {name} in {object} ({field}), or create Secret {secret}.",
    ),
    "SecretKeyNotFound": ("Secret {name} has no key {key}; {user} needs it.",),
    "PersistentVolumeClaimNotFound": (
        "PersistentVolumeClaim {name} does not exist in namespace {namespace}; {user} needs it.",
        "Create PersistentVolumeClaim {name}, or correct it in {object}.",
    ),
    "ImageNotFound": (
        "{registry} has no image {image}.",
        "Give container {container} in {object} a tag or digest that exists at {repository}, or push it to {registry}.",
    ),
    "ImagePullUnauthorized": (
        "Pulling {image} from {registry} was denied ({status}).",
        "Create a pull secret for {registry} and name it in imagePullSecrets of {object}.",
    ),
    "ImagePullRateLimited": ("{registry} limits how often images are pulled, and refuses {image} for now.",),
    "RegistryUnreachable": ("{node} cannot resolve {host} (asked {server}): no such host.",),
    "InvalidImageName": ("The image {image} is not a valid reference: {why}.",),
    "UnschedulableNodeSelector": ("No node has {label}.",),
    "UnschedulableResources": (
        "The pod requests {size} of {resource}; the largest node, {node}, has {capacity} in all, so it can "
        "never be scheduled there.",
    ),
    "JobBackoffLimitExceeded": ("Job {job} gave up after {n} failed pods (backoffLimit {limit}).",),
    "QuotaExceeded": ("{object} cannot create its pods: quota {quota} has no room for them ({why}).",),
    "RestartedThenStable": ("Nothing to do now.",),
    "ReadOnlyFilesystem": (
        "{container} ended because it could not write {path}: its root file system is read-only "
        "(readOnlyRootFilesystem).",
    ),
    "Segfault": (
        "{container} crashed with a segmentation fault within a second of its start (exit code 139 = 128 + SIGSEGV).",
    ),
    "RunAsNonRootViolation": ("Container {container} demands runAsNonRoot, and image {image} runs as root.",),
    "PostStartHookFailed": ("The kubelet killed {container} because its postStart hook failed ({hook}).",),
    "InitContainerFailed": (
        "Init container {init} failed with exit code {code}, so {container} cannot start; its last words: {log}.",
    ),
    "DependencyUnreachable": (
        "{container} ended because {address} was refused; 127.0.0.1 is the pod itself, and no other container "
        "of it declares that port.",
    ),
    "Evicted": ("The pod wrote more than {limit} into its volume {volume}, which is the volume's own sizeLimit.",),
    "SelectorMismatch": (
        "{service} selects {selector}, which no pod in namespace {namespace} has; the {n} pods of {workload} "
        "carry {labels}.",
        "Change the selector of {service}: {old} -> {new}",
    ),
    "TargetPortMismatch": (
        "Port {port} of {service} forwards to {target}: no pod declares it; the pods declare {declared} and "
        "answer there.",
        "Set targetPort of port {port} of {service} to {target}",
    ),
    "TargetPortNameNotFound": ("Set targetPort of port {port} of {service} to {target}",),
    "TLSSecretNotFound": (
        "{object} takes its certificate from {secret}, which does not exist in namespace {namespace}.",
        "Create it: {command}",
    ),
    "TLSCertificateExpired": (
        "The certificate of {secret} for {host} expired {age} ago, on {time}.",
        "Renew the certificate in {secret} of namespace {namespace}",
    ),
    "TLSHostMismatch": (
        "The certificate of {secret} is for {names}, not for {host}.",
        "Put a certificate for {host} into {secret} of namespace {namespace}",
    ),
    "BackendServiceNotFound": (
        "{object} sends {path} to {service}, which does not exist in namespace {namespace}.",
        "Set {field} of {object} to {value}",
    ),
    "BackendPortNotFound": (
        "{object} sends {path} to port {port} of {service}, which has only {ports}.",
        "Set {field} of {object} to {value}",
    ),
    "IngressClassNotFound": (
        "{object} asks for IngressClass {name}, which does not exist; the cluster has {names}.",
        "Set spec.ingressClassName of {object} to {name}",
    ),
    "NetworkPolicyBlocks": (
        "No client may reach the pods of {service} on {port}, if policies are enforced here: {why}.",
        "Add a policy that admits the clients of {service} on {port}; {policy} stays as it is",
    ),
    "NoPods": ("{workload} is scaled to 0, so {service} ({selector}) has no pods.",),
    "PodsCrashing": ("{n} of {all} pods behind {service} crash: {why}.",),
    "PodsNotReady": ("{n} of {all} pods behind {service} are not ready: {why}.",),
    "SomePodsNotReady": ("{n} of {all} pods behind {service} is not ready: {why}.",),
    "LoadBalancerPending": ("{service} has waited {span} for an external address: {why}.",),
    "ContainerRuntimeDown": (
        "The kubelet on {node} reports NotReady: container runtime is down.",
        "See on {node} why {runtime} does not answer; restart it, then ask it again.",
        "The kubelet is up, but {runtime} does not answer it.",
    ),
    "KubeletDown": (
        "The kubelet of {node} stopped: silent for {span}, and its host refuses connections to the kubelet's port.",
        "On {node}: read why the kubelet stopped ({unit}), then start it.",
        "Its containers probably still run. {n} pods are stuck Terminating until it answers, with no "
        "replacement for {pods} before that.",
    ),
    "Cordoned": ("{node} has been cordoned for {span}: it takes no new pods, those that run stay.",),
    "DiskPressure": ("{node} reports DiskPressure for {span}.",),
    "MemoryPressure": (
        "{node} reports MemoryPressure for {span}: memory.available {available}, evicts below {threshold}.",
    ),
    "ZoneOutage": ("Check zone {zone} with the provider: status page, network between the zones, power.",),
    "EtcdSlowDisk": (
        "etcd's disk is slow: an fsync takes {time} on {n} of {all} members (target {target}), so every write "
        "of the cluster waits for it.",
        "Find what else writes to the disk of {path} on {node}: backup, image pulls, logs, a noisy neighbour.",
        "Give {path} a dedicated SSD or NVMe volume (at least 50 sequential IOPS, 500 under load) and etcd a "
        "node of its own.",
        "For relief now, put etcd before others at the disk on each of these hosts.",
    ),
    "ControllersDown": (
        "No kube-controller-manager leads: its lease was last renewed {when}; controllers do not run: nothing "
        "is created, replaced or evicted, and no node is marked NotReady.",
        "Look at the log of {pod} and at why its kubelet does not start it ({hints}).",
        "Etcd logged slow fsyncs until {when}; it has not come back since.",
    ),
    "SchedulerDown": (
        "No kube-scheduler leads: its lease was given up {when}; new pods stay Pending without an event.",
    ),
}
