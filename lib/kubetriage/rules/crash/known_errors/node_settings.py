"""What a program finds too small or broken on its node: parameters of the kernel, disks, file systems, rule sets."""

from __future__ import annotations

import re

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, cloud, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import claims, mount_of, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.patterns import lazy

_LEAST = {
    "fs.aio-max-nr": "1048576",
    "vm.max_map_count": "262144",
    "fs.inotify.max_user_instances": "8192",
    "fs.inotify.max_user_watches": "1048576",
    "net.core.somaxconn": "4096",
    "vm.overcommit_memory": "1",
}
"""Values that the programs which ask for them recommend, where the error names none."""
_OF_THE_POD = ("net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
"""Parameters that each pod has of its own (securityContext.sysctls); all others are the node's."""
_WANTED = lazy(r"(?:at least|minimum(?: of)?|to|>=?|be) ['\"`]?(\d{2,12})\b(?! ?(?:seconds|ms|%))", re.IGNORECASE)


def _sysctl(words: LastWords, said: Said) -> Advice | None:
    path, named = said.match["path"] or said.match["path_first"] or "", said.match["name"] or said.match["name_first"]
    name = (path.strip("/.").replace("/", ".") or named).rstrip(".-,:")
    wanted = _WANTED.search(said.line, said.match.end()) or _WANTED.search(said.line)
    value = wanted[1] if wanted is not None else _LEAST.get(name, placeholder("value"))
    at = place(words)
    if name.startswith(_OF_THE_POD):
        return Advice(
            f"kernel parameter {name} is too low for it",
            (
                manifest(
                    words,
                    f"Set {name} in securityContext.sysctls of {words.case.workload_name}; the kubelet must allow it "
                    "(--allowed-unsafe-sysctls), unless it is a safe one.",
                    {"securityContext": {"sysctls": [{"name": name, "value": str(value)}]}}
                    if wanted is not None or name in _LEAST
                    else None,
                ),
            ),
            details={"parameter": name},
        )
    return Advice(
        f"kernel parameter {name} of {at} is too low for it; all programs of the node share it",
        (
            node(
                f"See what is used and raise it on {at}, and keep it in /etc/sysctl.d (managed nodes: in the node "
                "pool's settings).",
                on_node(words, "sysctl", name),
                on_node(words, "sysctl", "-w", f"{name}={value}"),
            ),
        ),
        details={"parameter": name},
    )


def _broken_disk(words: LastWords, said: Said) -> Advice:
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    held = claims(words.container)
    shown = volume_words(found[1]) if found is not None else f"PersistentVolumeClaim {held[0]}" if held else ""
    at = place(words)
    evidence = (
        (Evidence("spec", f"{words.container.spec_path}.volumeMounts", shown),) if found is not None and shown else ()
    )
    return Advice(
        f"{at} cannot read or write the storage under it ({path or 'its device'}"
        + (f", {shown}" if shown else "")
        + "): an input/output error",
        (
            node(
                f"Look at the kernel log of {at}: errors of the disk (medium error, nvme, ata) mean that it fails; a "
                "lost iSCSI, NFS, RBD or Longhorn connection leaves the mount behind.",
                on_node(
                    words, "sh", "-c", "dmesg -T | grep -iE 'i/o error|medium|nvme|ata[0-9]|iscsi|rbd|nfs' | tail -20"
                ),
            ),
            app(
                "If the connection was lost and is back: delete the pod, so that the volume is mounted anew.",
                kubectl("delete", "pod", words.case.pod.name, namespace=words.case.pod.namespace),
            ),
            cloud("If the disk fails: replace it, and let the data come from its replicas or a backup."),
        ),
        evidence,
        details={"path": path} if path else {},
        sure=False,
    )


# WiredTiger: FUNCTION:LINE:PATH: CALL.
_AFTER_COLON = lazy(r":(/[\w.-]{1,80}(?:/[\w.-]{1,80}){0,12}):")


def _file_system(words: LastWords, said: Said) -> Advice | None:
    inner = _AFTER_COLON.search(said.line)
    path = path_near(said.line, said.match.start()) or (inner[1] if inner is not None else "")
    found = mount_of(words.container, path) if path else None
    if found is None or "emptyDir" in found[1]:
        return None
    shown = volume_words(found[1])
    return Advice(
        f"the file system of {shown} does not know an operation that it needs ({path}): network file systems (NFS, "
        "SMB, Azure Files, EFS) and FUSE lack some of a disk's",
        (
            manifest(
                words,
                f"Put the data of {where(words)} on a block volume (ReadWriteOnce; ext4 or xfs): another StorageClass "
                "and a new claim, with the data copied.",
                None,
                kubectl("get", "pvc,storageclass", namespace=words.case.pod.namespace),
            ),
        ),
        (Evidence("spec", f"{words.container.spec_path}.volumeMounts", shown),),
        details={"path": path},
        sure=False,
    )


_REFUSED = lazy(r"permission denied|operation not permitted|must be root", re.IGNORECASE)


def _rules(words: LastWords, said: Said) -> Advice | None:
    if _REFUSED.search(said.line):
        return None  # a right is missing, not a module
    at = place(words)
    docker = "dind" in f"{words.container.image} {words.container.name}" or "docker" in words.container.image
    legacy = manifest(
        words,
        f"Let {where(words)} use the other backend: "
        + (
            "DOCKER_IPTABLES_LEGACY=1 in its environment (image docker:dind)."
            if docker
            else "iptables-legacy in place of iptables-nft, or the reverse (a setting or another tag of the image)."
        ),
        words.container.patch({"env": [{"name": "DOCKER_IPTABLES_LEGACY", "value": "1"}]}) if docker else None,
    )
    return Advice(
        f"iptables of the image cannot write rules on {at}: the kernel there lacks a module for its nf_tables backend",
        (
            legacy,
            node(
                f"Or load what the backend needs on {at}, and keep it in /etc/modules-load.d.",
                on_node(words, "modprobe", "-a", "nf_tables", "nft_compat", "xt_comment", "br_netfilter", "ip_tables"),
            ),
        ),
        details={"backend": "nf_tables"},
        sure=False,
    )


ROWS: tuple[Row, ...] = (
    Row(
        "sysctl-low",
        lazy(
            r"(?:not enough|too (?:low|small)|insufficient|increas\w{1,4}|rais\w{1,4}|exceed\w{0,4}|should be|must be"
            r"|at least|limit)[^\n]{0,120}?(?:/proc/sys(?P<path>/[a-z][\w./-]{2,80})"
            r"|\b(?P<name>(?:fs|vm|kernel|net)\.[a-z0-9_]{2,40}(?:[.-][a-z0-9_-]{2,40}){0,3}))"
            r"|(?:/proc/sys(?P<path_first>/[a-z][\w./-]{2,80})"
            r"|\b(?P<name_first>(?:fs|vm|kernel|net)\.[a-z0-9_]{2,40}(?:[.-][a-z0-9_-]{2,40}){0,3}))"
            r" [^\n]{0,60}?(?:too (?:low|small)|insufficient|should be|must be|at least|not enough)",
            re.IGNORECASE,
        ),
        _sysctl,
        beside=True,
    ),
    Row(
        "iptables-backend",
        lazy(
            r"\(nf_tables\):[^\n]{0,80}?(?:RULE_(?:APPEND|INSERT|DELETE|REPLACE)|CHAIN_(?:ADD|USER_ADD)|TABLE_ADD"
            r"|Could not fetch rule set|Protocol not supported)"
        ),
        _rules,
        beside=True,
    ),
    Row(
        "input-output-error",
        lazy(r"[Ii]nput/output error|\bEIO\b|os error 5\b|errno 5\b"),
        _broken_disk,
        beside=True,
    ),
    Row(
        "file-system-operation",
        lazy(r"[Oo]peration not supported|\bE(?:OP)?NOTSUPP?\b|os error 95\b|errno 95\b"),
        _file_system,
        beside=True,
    ),
)
