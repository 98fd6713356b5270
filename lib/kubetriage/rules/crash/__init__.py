"""Why a pod crashes, does not start, or never gets ready.

A rule is a module with ``CODE``, a docstring that is its manual page, and

* ``check(case: Case) -> Iterable[Finding]`` for pods,
* ``check_controller(case: ControllerCase) -> Iterable[Finding]`` for what a controller says itself, with
  ``controller_needs(case: ControllerCase) -> Iterable[Need]`` for reads beyond its events,
* ``needs(case: Case) -> Iterable[Need]`` for reads beyond the pod, its events, logs, owners and node,
* ``leads_to(case) -> Iterable[Pod]`` for the pods at which a chain over objects goes on (a controller's own pods);
  ``case.explain(pod)`` gives their findings.

A rule about an instance that ended asks ``case.crash(container)``, which leaves out the ends that are as they
should be; ``container.termination`` holds those too.

The order of :data:`TIERS` is meaning: what stands in a tier explains what stands below it. Within a tier all
findings stand, the better known first, then in the order of its modules. Once a container has an error from one
tier, the tiers below are silent about that container; an error about the whole pod silences them altogether.

Modules that a common pod does not need stand behind a gate (:class:`Gated`) and are imported when it opens.

A module of :data:`CONCLUSIONS` has ``conclude(case, findings) -> list[Finding]`` instead: it sees what all rules
found and adds, orders or weakens.
"""

from __future__ import annotations

from types import ModuleType

from kubetriage.rules.crash import crash_context, left_behind
from kubetriage.rules.crash.causes import (
    aborted,
    address_in_use,
    app_config_missing,
    app_error,
    certificate_invalid,
    child_oom_killed,
    command_not_executable,
    command_not_found,
    completed_but_restarted,
    config_map_key_not_found,
    config_map_not_found,
    dependency_auth_failed,
    dependency_unreachable,
    disk_full,
    killed_by_signal,
    liveness_kills_slow_start,
    liveness_probe_failed,
    node_not_ready,
    node_restarted,
    oom_killed,
    permission_denied,
    post_start_hook_failed,
    pre_stop_hook_failed,
    probe_errored,
    rbac_forbidden,
    read_only_filesystem,
    readiness_probe_failed,
    restarted_then_stable,
    run_as_non_root_violation,
    runtime_out_of_memory,
    secret_key_not_found,
    secret_not_found,
    segfault,
    service_account_not_found,
    start_error,
    startup_probe_failed,
    terminated_by_signal,
    wrong_architecture,
)
from kubetriage.rules.crash.gated import (
    Gated,
    ended,
    last_resort,
    replaced,
    run_once,
    with_a_resize,
    with_init_containers,
    with_pending_volumes,
    with_readiness_gates,
    with_volumes_in_doubt,
    without_image,
    without_node,
    without_sandbox,
)

TIERS: tuple[tuple[ModuleType | Gated, ...], ...] = (
    # The node: what its pods' status says is old; a deletion that it cannot confirm.
    (*ended("stuck_terminating"), node_not_ready),
    # Ended from outside.
    (
        *ended("evicted"),
        *replaced("preempted"),
        *ended("node_shutdown", "node_admission_rejected", "sysctl_forbidden", "pod_deadline_exceeded"),
    ),
    # Scheduling. A claim that is missing explains why the scheduler refuses.
    without_node(
        "fargate_refused", "scheduling_gated", "persistent_volume_claim_not_found", "resource_claim_not_found"
    ),
    without_node("resource_claim_pending"),
    without_node(
        "persistent_volume_claim_pending",
        "unschedulable_resources",
        "unschedulable_node_selector",
        "unschedulable_affinity",
        "unschedulable_taint",
        "unschedulable_host_port",
        "unschedulable_topology",
    ),
    # References and configuration: missing objects explain volumes that do not mount.
    (
        config_map_not_found,
        config_map_key_not_found,
        secret_not_found,
        secret_key_not_found,
        service_account_not_found,
    ),
    # Volumes, then the sandbox: the kubelet takes them in this order.
    (*with_pending_volumes("volume_attach_failed"), *with_volumes_in_doubt("volume_mount_error")),
    without_sandbox("sandbox_create_failed"),
    # Image. A missing pull secret explains the refused pull.
    without_image("image_pull_secret_not_found"),
    (
        wrong_architecture,
        *without_image(
            "invalid_image_name",
            "image_never_pull",
            "image_signature_invalid",
            "image_not_found",
            "image_pull_unauthorized",
            "image_pull_rate_limited",
            "registry_unreachable",
            "registry_error",
        ),
    ),
    # Start errors; the runtime's own words, or a shell's.
    (run_as_non_root_violation, command_not_found, command_not_executable, start_error),
    # Who ended the instance, where the kubelet or the runtime says it; probes and hooks.
    (
        oom_killed,
        node_restarted,
        post_start_hook_failed,
        startup_probe_failed,
        liveness_kills_slow_start,
        liveness_probe_failed,
        probe_errored,
        readiness_probe_failed,
        *with_init_containers("init_container_waiting"),
        *with_readiness_gates("readiness_gate_not_ready"),
        *run_once("job_blocked_by_sidecar"),
        *with_a_resize("pod_resize_pending"),
        pre_stop_hook_failed,
    ),
    # A runtime that is out of memory may have itself killed (OnOutOfMemoryError="kill -9 %p") or aborted.
    (runtime_out_of_memory,),
    # A signal of which only the exit code tells: what the log says came before it did not end the program.
    (killed_by_signal, segfault, terminated_by_signal),
    # A child that was killed explains what its parent says and does after it.
    (child_oom_killed,),
    # The log names the cause; one line, one cause, so each has a tier of its own.
    (address_in_use,),
    (disk_full,),
    (read_only_filesystem,),
    (rbac_forbidden,),
    (certificate_invalid,),
    (dependency_auth_failed,),
    (dependency_unreachable,),
    (permission_denied,),
    (app_config_missing,),
    # The program's own end, in general.
    (aborted, completed_but_restarted),
    # The program ended by itself with an error.
    (app_error,),
)
"""Causes of pods, the deepest first."""

CONCLUSIONS: tuple[ModuleType | Gated, ...] = (
    dependency_unreachable,
    *with_init_containers("init_container_failed"),
    restarted_then_stable,
    last_resort("unknown"),
    left_behind,
    crash_context,
)
"""What follows from all findings of a pod together, in this order."""


def all_rules() -> tuple[ModuleType, ...]:
    """Return every rule module once, in the order of the tiers, conclusions and controllers' own last."""
    from kubetriage.rules.crash.controller_rules import CONTROLLER_RULES

    tiers = [rule.module if isinstance(rule, Gated) else rule for tier in TIERS for rule in tier]
    concluded = [rule.module if isinstance(rule, Gated) else rule for rule in CONCLUSIONS]
    concluded = [rule for rule in concluded if hasattr(rule, "CODE")]
    return tuple(dict.fromkeys([*tiers, *concluded, *CONTROLLER_RULES]))
