"""Limits of the kernel and of the machine that programs meet at their start."""

from __future__ import annotations

import re
from datetime import timedelta

from kubetriage.model import Evidence, RuledOut
from kubetriage.rules.crash.acts import image, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import added_capabilities
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.known_images import cpu_need
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import mapping, text
from kubetriage.values.patterns import lazy

_PAGE_SIZE = lazy(
    r"unsupported system page size|kernel page size \d+ is not supported|page size.{0,40}(?:not supported"
    r"|mismatch|unsupported)|compiled for \d+[kK]\w* pages|ELF load command (?:alignment|address/offset)"
    r" not page-aligned",
    re.IGNORECASE,
)


def _page_size(words: LastWords, _: Said) -> Advice:
    at = place(words)
    architecture = text(words.case.node.obj, "status", "nodeInfo", "architecture")
    kernel = text(words.case.node.obj, "status", "nodeInfo", "kernelVersion")
    shown = f"{architecture}, kernel {kernel}" if architecture or kernel else ""
    return Advice(
        f"the allocator in image {words.container.image} was built for another page size than the kernel of {at} has",
        (
            image(
                f"Use a build of {words.container.image} for this page size (jemalloc: --with-lg-page=16 fits 4 to 64 "
                "KiB pages), or a release whose notes name arm64 with 16 KiB pages."
            ),
            node(
                f"Or run it on a node whose kernel has 4 KiB pages, or boot {at} with such a kernel.",
                on_node(words, "getconf", "PAGESIZE"),
            ),
        ),
        (Evidence("status", f"nodes[{words.case.pod.node}].status.nodeInfo", shown),) if shown else (),
        (
            RuledOut(
                "RuntimeOutOfMemory", "the first allocation fails because of the page size, not for lack of memory"
            ),
        ),
    )


# glibc 2.34 makes threads by clone3, which Docker refuses with EPERM before 20.10.10, libseccomp before 2.4.4.
_BEFORE_CLONE3 = lazy(r"\Adocker://(?:1[0-9]\.|20\.10\.[0-9]\Z)")


def _threads(words: LastWords, _: Said) -> Advice:
    at = place(words)
    runtime = text(words.case.node.obj, "status", "nodeInfo", "containerRuntimeVersion")
    if _BEFORE_CLONE3.match(runtime):
        return Advice(
            f"the container runtime of {at} ({runtime}) most likely forbids clone3, by which newer C libraries (glibc "
            "2.34) make threads",
            (
                node(
                    f"Upgrade the runtime of {at} (Docker 20.10.10, containerd 1.5.6, libseccomp 2.4.4 or newer); "
                    "other nodes with it run the same image."
                ),
                image("Or use an image on an older base (Debian 11, Ubuntu 20.04) until then."),
                manifest(
                    words,
                    f"To prove it: seccompProfile Unconfined in the securityContext of {where(words)}; if it starts, "
                    "it was this. If not, compare the number of its threads with the limit on PIDs.",
                    words.container.patch({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
                ),
            ),
            (Evidence("status", f"nodes[{words.case.pod.node}].nodeInfo.containerRuntimeVersion", runtime),),
            ruled_out=(RuledOut("RuntimeOutOfMemory", "a new thread that is refused says nothing of memory"),),
            sure=False,
        )
    return Advice(
        f"the kernel allows no further thread or process: a limit on PIDs of the pod or of {at}, not on memory",
        (
            node(
                f"Compare pids.current and pids.max of the pod, then raise podPidsLimit in the kubelet's configuration "
                f"of {at} (or the runtime's TasksMax).",
                on_node(words, "sh", "-c", "grep -r . /sys/fs/cgroup/kubepods*/pids.max; cat /proc/sys/kernel/pid_max"),
            ),
            manifest(
                words,
                f"Or start fewer threads in {where(words)}: pool sizes often follow the node's CPUs "
                "(GOMAXPROCS, OMP_NUM_THREADS, OPENBLAS_NUM_THREADS).",
            ),
        ),
        ruled_out=(RuledOut("RuntimeOutOfMemory", "EAGAIN of a new thread is a limit on their number, not on memory"),),
    )


def _inotify(words: LastWords, _: Said) -> Advice:
    at = place(words)
    return Advice(
        f"{at} allows no further inotify instance for this user; all containers of a user share the limit "
        "(fs.inotify.max_user_instances, often 128)",
        (
            node(
                f"Raise the limits on {at}, and keep them in /etc/sysctl.d/99-inotify.conf or in the node's image.",
                on_node(
                    words, "sysctl", "-w", "fs.inotify.max_user_instances=8192", "fs.inotify.max_user_watches=1048576"
                ),
            ),
            node(
                "See which processes hold the instances; a leaking agent may hold most of them.",
                on_node(
                    words,
                    "sh",
                    "-c",
                    "find /proc/*/fd -lname anon_inode:inotify 2>/dev/null | cut -d/ -f3 | sort | "
                    "uniq -c | sort -rn | head",
                ),
            ),
        ),
        ruled_out=(
            RuledOut(
                "ulimit", "a watcher failed, so the limit of the user is full, not that of open files of the process"
            ),
        ),
    )


def _dotnet_inotify(words: LastWords, said: Said) -> Advice:
    advice = _inotify(words, said)
    without = manifest(
        words,
        f"Or watch no configuration files in {where(words)}: DOTNET_hostBuilder__reloadConfigOnChange=false.",
        words.container.patch({"env": [{"name": "DOTNET_hostBuilder__reloadConfigOnChange", "value": "false"}]}),
    )
    return Advice(advice.what, (advice.fix[0], without), ruled_out=advice.ruled_out)


def _open_files(words: LastWords, _: Said) -> Advice:
    return Advice(
        "it reached its own limit of open files (RLIMIT_NOFILE)",
        (
            node(
                f"Compare the limit with the open descriptors; the limit comes from LimitNOFILE of the runtime's "
                f"service on {place(words)}.",
                words.case.kubectl(
                    *("exec", words.case.pod.name, "-c", words.container.name, "--"),
                    *("sh", "-c", "ulimit -n; ls /proc/1/fd | wc -l"),
                ),
                on_node(words, "systemctl", "show", "containerd", "-p", "LimitNOFILE"),
            ),
            image(
                f"If the number of descriptors only grows, {words.container.name} leaks connections or files: close "
                "them, or bound its pools."
            ),
        ),
    )


def _map_count(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"{place(words)} allows fewer memory maps per process than Elasticsearch or OpenSearch wants",
        (
            node(
                f"Set vm.max_map_count on {place(words)}, and keep it in /etc/sysctl.d or in the node pool's settings.",
                on_node(words, "sysctl", "-w", "vm.max_map_count=262144"),
            ),
            manifest(
                words,
                f"Or set node.store.allow_mmap: false in the configuration of {where(words)} (slower, no node change).",
            ),
        ),
    )


def _file_limit_check(words: LastWords, _: Said) -> Advice:
    return Advice(
        "its start-up check wants a higher limit of open files",
        (
            node(
                f"Raise LimitNOFILE of the container runtime's service on {place(words)} to 1048576 and restart it.",
                on_node(words, "systemctl", "show", "containerd", "-p", "LimitNOFILE"),
            ),
        ),
    )


def _shared_memory(words: LastWords, _: Said) -> Advice:
    limit = text(words.container.spec, "resources", "limits", "memory") or "not set"
    pages = any(k.startswith("hugepages-") for k in mapping(words.container.spec, "resources", "limits"))
    return Advice(
        "the kernel refused the block of shared memory that PostgreSQL asked for at its start",
        (
            manifest(
                words,
                f"Set shared_buffers of {where(words)} to about a quarter of its memory limit (now {limit}).",
            ),
            manifest(
                words,
                "Nodes with huge pages: set huge_pages = off, or request hugepages-2Mi."
                if not pages
                else "The container has a limit of huge pages: raise it above shared_buffers, or set huge_pages = off.",
            ),
        ),
    )


def _huge_page_bus(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"initdb or PostgreSQL took huge pages of {place(words)} that its cgroup may not use (SIGBUS)",
        (
            manifest(
                words,
                f"Set huge_pages = off in the configuration of {where(words)}, or request hugepages-2Mi in its "
                "resources.",
            ),
            node(
                f"Or run without huge pages on {place(words)} (vm.nr_hugepages=0).",
                on_node(words, "sysctl", "vm.nr_hugepages"),
            ),
        ),
    )


def _mlock(words: LastWords, _: Said) -> Advice:
    has = "IPC_LOCK" in added_capabilities(words.container)
    lock = manifest(
        words,
        f"Give {where(words)} the capability IPC_LOCK.",
        words.container.patch({"securityContext": {"capabilities": {"add": ["IPC_LOCK"]}}}),
    )
    without = manifest(
        words,
        "Or run without locked memory: disable_mlock = true (Vault, OpenBao), bootstrap.memory_lock: false "
        "(Elasticsearch).",
    )
    return Advice(
        "it may not lock memory"
        + (", although IPC_LOCK is granted: a program of another user needs it as a file capability" if has else ""),
        (without,) if has else (lock, without),
        ruled_out=(RuledOut("RuntimeOutOfMemory", "mlock is refused by RLIMIT_MEMLOCK, not for lack of memory"),),
    )


def _cpu(words: LastWords, _: Said) -> Advice:
    known = cpu_need(words.container.image)
    needs = f"instructions that the CPU of {place(words)} does not offer"
    if known is not None:
        needs += f": {known.needs}"
    older = (
        image(
            f"Without such nodes: {known.without} is the last version that runs without it. Data that a newer version "
            "wrote does not go back: dump and restore."
        )
        if known is not None and known.without
        else image(
            "Use an image for the older CPU level: another base (Debian, Alpine, UBI 8 instead of 9), or a build "
            "without AVX."
        )
    )
    return Advice(
        f"image {words.container.image} needs {needs}",
        (
            older,
            node(
                f"Or run it on nodes with a newer CPU; virtual machines need the CPU type host instead of "
                f"kvm64 or qemu64 on {place(words)}.",
                on_node(words, "grep", "-m1", "flags", "/proc/cpuinfo"),
            ),
        ),
    )


def _few_bytes(words: LastWords, said: Said) -> Advice | None:
    """Judge a refused allocation of a few bytes within a second, without a limit: no shortage of the container."""
    size = next((g for g in said.match.groups() if g), "")
    life = words.end.lifetime
    bounded = bool(text(words.container.spec, "resources", "limits", "memory"))
    if words.beside(_PAGE_SIZE) is not None:
        return None  # the allocator itself says why
    if bounded or life is None or life > timedelta(seconds=2) or not size.isdigit() or int(size) > 65536:
        return None
    return Advice(
        f"its allocator refused {size} bytes right at the start, with no memory limit set; that is not a shortage",
        (
            image(
                f"Run another build of {words.container.image}: an allocator for another page size "
                "(arm64 with 16 or 64 "
                "KiB pages) or another CPU fails this way."
            ),
            node(
                "See whether the kernel overcommits and has memory.",
                on_node(words, "sh", "-c", "getconf PAGESIZE; sysctl vm.overcommit_memory; free -m"),
            ),
        ),
        ruled_out=(RuledOut("RuntimeOutOfMemory", f"{size} bytes at the start and no limit on the container"),),
    )


def _gpu_memory(words: LastWords, _: Said) -> Advice:
    return Advice(
        "the memory of its GPU is full; the container's memory limit has nothing to do with it",
        (
            manifest(
                words, f"Load a smaller or quantized model, or lower the batch and context size in {where(words)}."
            ),
            node(
                f"See which other processes use the GPU of {place(words)} (time slicing and MPS share its memory).",
                on_node(words, "nvidia-smi"),
            ),
            manifest(words, "Or request more GPUs and split the model over them, or nodes with a larger one."),
        ),
        ruled_out=(
            RuledOut("OOMKilled", "the kernel killed nothing; the driver refused memory of the GPU"),
            RuledOut("RuntimeOutOfMemory", "memory of the GPU is meant, not that of the container"),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "gpu-memory",
        lazy(r"CUDA out of memory|CUDA error: out of memory|hipErrorOutOfMemory"),
        _gpu_memory,
        beside=True,
    ),
    Row(
        "page-size",
        _PAGE_SIZE,
        _page_size,
        beside=True,
    ),
    Row(
        "few-bytes",
        lazy(r"memory allocation of (\d{1,9}) bytes failed"),
        _few_bytes,
    ),
    Row(
        "thread-limit",
        lazy(
            r"failed to create new OS thread \(have \d+ already; errno=11\)|fatal error: newosproc"
            r"|RuntimeError: can't start new thread|can't start new thread\Z"
            r"|(?:pthread_create|clone3?|fork\w*|spawn\w*|new thread|create thread).{0,160}(?:Resource temporarily"
            r" unavailable|\bEAGAIN\b|os error 11\b|errno[ =:]{0,3}11\b)|fork: (?:retry: )?Resource temporarily"
            r" unavailable|fork failed: Resource temporarily"
            r"|can't create Thread: Resource temporarily unavailable",
        ),
        _threads,
        beside=True,
    ),
    Row(
        "inotify-instances",
        lazy(r"configured user limit \(\d+\) on the number of inotify instances"),
        _dotnet_inotify,
        beside=True,
    ),
    Row(
        "inotify-instances",
        lazy(
            r"(?i:inotify|fsnotify|watcher|FSWatcher|file ?watch|device.?plugin"
            r"|Failed to serve [\w.-]{1,80}/[\w.-]{1,80}"
            r"|\btail(?:ing)? file|kubelet\.sock|Failed to watch|create watch).{0,200}"
            r"(?:[Tt]oo many open files|\bEMFILE\b|os error 24\b)"
            r"|(?:[Tt]oo many open files|\bEMFILE\b).{0,120}(?i:inotify|fsnotify|watcher|FSWatcher|\bwatch\b)"
            r"|inotify_init1?\b.{0,80}(?:EMFILE|[Tt]oo many)",
        ),
        _inotify,
        beside=True,
    ),
    Row(
        "open-files",
        lazy(r"(?:[Tt]oo many open files|\bEMFILE\b|\bENFILE\b|(?:Errno|os error) 24\b)"),
        _open_files,
    ),
    Row(
        "max-map-count",
        lazy(r"vm\.max_map_count \[?\d+\]? is too low|max virtual memory areas vm\.max_map_count"),
        _map_count,
        beside=True,
    ),
    Row(
        "file-limit-check",
        lazy(r"max file descriptors \[?\d+\]? for \w+ process is too low|(?:nofile|open files) limit.{0,40}too low"),
        _file_limit_check,
        beside=True,
    ),
    Row(
        "shared-memory",
        lazy(r"could not map anonymous shared memory|could not create shared memory segment: Cannot allocate"),
        _shared_memory,
        beside=True,
    ),
    Row(
        "huge-pages",
        lazy(r"(?:child process|process \(PID \d+\)|initdb).{0,60}terminated by signal 7: Bus error|^Bus error"),
        _huge_page_bus,
        beside=True,
    ),
    Row(
        "memory-lock",
        lazy(
            r"(?i)failed to lock memory|mlock(?:all)?\b.{0,60}(?:not available|cannot allocate|not permitted|failed)"
            r"|memory locking requested.{0,60}not locked"
        ),
        _mlock,
        code="PermissionDenied",
        beside=True,
    ),
    Row(
        "cpu-level",
        lazy(
            r"CPU does not support x86-64-v[234]|(?i:illegal instruction)\b.{0,40}(?:core dumped)?\Z"
            r"|requires? (?:a )?CPU with (?:\w+ )?(?:AVX|SSE|POPCNT)\w*|without (?:AVX|SSE4)\w* support"
            r"|MongoDB 5\.0\+ requires a CPU with AVX|CPU (?:ISA )?level is lower than required"
            r"|The CPU does not support.{0,40}(?:AVX|SSE|popcnt)",
        ),
        _cpu,
        beside=True,
    ),
)
