"""What a container finds on its second start: files that an emptyDir kept, helpers that an old node stops."""

from __future__ import annotations

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import app, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import mount_of, security, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.node_commands import in_copy
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy


def _kept(words: LastWords, said: Said) -> Advice | None:
    """Judge a file that is there already: on an emptyDir it is left from the start before."""
    container, case = words.container, words.case
    path = path_near(said.line, said.match.start()) or path_near(said.line, len(said.line))
    found = mount_of(container, path) if path else None
    if found is None or "emptyDir" not in found[1] or not container.restarts:
        return None
    volume = volume_words(found[1])
    return Advice(
        f"{path} is there from an earlier start: {volume} outlives a restart of the container, and ends with the pod",
        (
            manifest(
                words,
                "Delete the pod: a new one begins with an empty volume.",
                None,
                kubectl("delete", "pod", case.pod.name, namespace=case.pod.namespace),
            ),
            app(
                "Then find why the first instance ended: this error only keeps the next ones from starting. A log "
                "collector, or the events of that time, may have it.",
                kubectl("events", "--for", f"pod/{case.pod.name}", namespace=case.pod.namespace),
            ),
            manifest(words, f"Or let the start of {where(words)} remove {path} first, or take what is there."),
        ),
        (Evidence("spec", f"{container.spec_path}.volumeMounts[{text(found[0], 'name')}]", f"{path} is on {volume}"),),
    )


def _gpg(words: LastWords, _: Said) -> Advice:
    profile, at = security(words.container, "seccompProfile")
    kind = profile.get("type") if isinstance(profile, dict) else None
    info = words.case.node.obj
    kernel = text(info, "status", "nodeInfo", "kernelVersion")
    runtime = text(info, "status", "nodeInfo", "containerRuntimeVersion")
    shown = " and ".join(v for v in (f"kernel {kernel}" if kernel else "", runtime) if v)
    own = f" ({shown})" if shown else ""
    fixes = [
        node(
            f"Look at {place(words)}{own}: an old kernel, runc or libseccomp refuses system calls that newer images "
            "use. "
            "Upgrade them, or keep the pod to newer nodes.",
            on_node(words, "sh", "-c", "uname -r; runc --version"),
        ),
        app(
            "Run it by hand in a copy of the pod; gpg-agent must be in the image, and its home writable and on a file "
            "system that takes sockets.",
            in_copy(words.case.pod, words.container.name, "sh"),
        ),
    ]
    if kind == "RuntimeDefault":
        fixes.insert(
            1,
            manifest(
                words,
                f"Until then leave seccompProfile RuntimeDefault out for {where(words)} alone (Unconfined).",
                words.container.patch({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            ),
        )
    proof = (Evidence("spec", f"{at}.type", str(kind)),) if kind else ()
    return Advice(
        "gpg cannot make a key: its agent does not run there; most often seccomp of an old runtime refuses it",
        tuple(fixes),
        proof,
        sure=False,
    )


ROWS: tuple[Row, ...] = (
    Row(
        "left-on-empty-dir",
        lazy(
            r"(?i)already (?:been )?(?:initiali[sz]ed|exists?)|file exists\b|\bEEXIST\b|(?:can't"
            r"|cannot) initiali[sz]e again"
            r"|not empty\b|os error 17\b"
        ),
        _kept,
        beside=True,
    ),
    Row("gpg-agent", lazy(r"gpg [^\n]{0,160}--(?:full-)?gen(?:erate)?-key[^\n]{0,120}failed"), _gpg, beside=True),
)
