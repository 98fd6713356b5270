"""What a program wants of the kernel beyond system calls: type information (BTF), eBPF, a newer version."""

from __future__ import annotations

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import image, manifest, node, on_node, place, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

# What else a program can use where the kernel has no BTF, by a part of its image.
_OTHERWISE = (
    ("falco", "use another driver of Falco there: driver.kind kmod or ebpf in the chart's values"),
    ("tetragon", "give Tetragon a BTF file of that kernel (--btf)"),
    ("datadog", "let the agent fetch the kernel's headers (runtime compilation), or switch that check off"),
    ("beyla", "keep Beyla to nodes with such a kernel"),
    ("cilium", "use nodes with Linux 5.10 or newer"),
)


def _btf(words: LastWords, _: Said) -> Advice:
    kernel = text(words.case.node.obj, "status", "nodeInfo", "kernelVersion")
    shown = f"kernel {kernel} of {place(words)}" if kernel else f"the kernel of {place(words)}"
    other = next((act for part, act in _OTHERWISE if part in words.container.image), "")
    evidence = (Evidence("status", f"nodes[{words.case.pod.node}].nodeInfo.kernelVersion", kernel),) if kernel else ()
    return Advice(
        f"{shown} has no type information (BTF) for the eBPF programs of image {words.container.image}",
        (
            node(
                f"Boot {place(words)} with a kernel that is built with CONFIG_DEBUG_INFO_BTF (most distributions from "
                "Linux 5.8 on): /sys/kernel/btf/vmlinux is there then.",
                on_node(words, "sh", "-c", "uname -r; ls -l /sys/kernel/btf/vmlinux"),
            ),
            manifest(
                words,
                f"Until then keep {where(words)} from that node" + (f", or {other}." if other else "."),
            ),
        ),
        evidence,
    )


def _kernel_too_old(words: LastWords, _: Said) -> Advice:
    kernel = text(words.case.node.obj, "status", "nodeInfo", "kernelVersion")
    shown = f"kernel {kernel} of {place(words)}" if kernel else f"the kernel of {place(words)}"
    return Advice(
        f"{shown} is older than what image {words.container.image} was built for",
        (
            node(f"Run it on a node with a newer kernel, or upgrade {place(words)}.", on_node(words, "uname", "-r")),
            image("Or use an image on an older base, whose C library still takes that kernel."),
        ),
        (Evidence("status", f"nodes[{words.case.pod.node}].nodeInfo.kernelVersion", kernel),) if kernel else (),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "kernel-without-btf",
        lazy(
            r"BTF is required, but is missing|failed to find valid kernel BTF|kernel BTF (?:is )?(?:not (?:available"
            r"|found"
            r"|supported)|missing)|/sys/kernel/btf/vmlinux[^\n]{0,40}(?:no such file|not (?:found|exist))"
            r"|(?:no|missing|cannot find|could not find) (?:kernel )?BTF\b"
        ),
        _btf,
        beside=True,
    ),
    Row("kernel-too-old", lazy(r"FATAL: kernel too old"), _kernel_too_old, beside=True),
)
