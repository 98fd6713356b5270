"""Files whose mode is too open or too closed for the program that reads them."""

from __future__ import annotations

from kubetriage.model import Evidence, Fix, RuledOut
from kubetriage.rules.crash.acts import app, image, manifest, where
from kubetriage.rules.crash.container_spec import mount_of, security, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.known_images import group_of
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.fields import Obj, mapping, number, text
from kubetriage.values.patterns import lazy

_CONFIG_KINDS = ("secret", "configMap", "projected")


def _mode_patch(words: LastWords, volume: Obj, mode: int) -> tuple[Fix, ...]:
    """Make the fix that gives the files of a Secret, ConfigMap or projected volume another mode."""
    kind = next((k for k in _CONFIG_KINDS if k in volume), "")
    if not kind:
        return ()
    name = text(volume, "name")
    spec = {"volumes": [{"name": name, kind: {"defaultMode": mode}}]}
    fs_group, _ = security(words.container, "fsGroup")
    note = (
        " fsGroup adds read for the group to the files of such volumes: copy the file to an emptyDir "
        "and chmod it there, "
        "if the mode must be 0600 or less."
        if fs_group is not None and not mode & 0o044
        else ""
    )
    return (
        manifest(
            words,
            f"Set defaultMode {mode:#o}".replace("0o", "0") + f" of volume {name} in {words.case.workload_name}.{note}",
            spec,
        ),
    )


def _too_open(words: LastWords, said: Said) -> Advice:
    path = path_near(said.line, said.match.end()) or _path_beside(words)
    found = mount_of(words.container, path) if path else None
    what = f"the mode of {path or 'a file'} is too open for it"
    evidence: list[Evidence] = []
    fixes: list[Fix] = []
    fs_group, fs_at = security(words.container, "fsGroup")
    policy, _ = security(words.container, "fsGroupChangePolicy")
    volume: Obj = {}
    if found is not None:
        mount, volume = found
        at = f"{words.container.spec_path}.volumeMounts[{text(mount, 'name')}]"
        evidence.append(Evidence("spec", at, f"{text(mount, 'mountPath')} is {volume_words(volume)}"))
    if fs_group is not None:
        evidence.append(Evidence("spec", fs_at, str(fs_group)))
    closed = _mode_patch(words, volume, 0o400)
    if closed:
        kind = next(k for k in _CONFIG_KINDS if k in volume)
        mode = number(volume, kind, "defaultMode")
        what += f": files of {volume_words(volume)} have mode {oct(mode or 0o644).replace('0o', '0')}"
        fixes += closed
    elif fs_group is not None:
        what += f": at each start the kubelet opens the files of the volume to fsGroup {fs_group}"
        if policy != "OnRootMismatch":
            fixes.append(
                manifest(
                    words,
                    f"Set fsGroupChangePolicy: OnRootMismatch in {words.case.workload_name}, so that modes stay as the "
                    "program sets them.",
                    {"securityContext": {"fsGroupChangePolicy": "OnRootMismatch"}},
                )
            )
        fixes.append(
            manifest(
                words,
                "For now delete the pod, so that its init containers run again; chmod 0600 "
                f"{path or 'the file'} before "
                "the start does the same.",
                None,
                words.case.kubectl("delete", "pod", words.case.pod.name),
            )
        )
    else:
        if found is not None:
            fixes.append(
                manifest(
                    words,
                    f"Set the mode on the volume: an init container with the same mount runs chmod 0600 {path} (0700 "
                    "for a directory) as its owner.",
                )
            )
        own = f"et the mode in image {words.container.image}: chmod 0600 (0700 for a directory)."
        fixes.append(image(f"Or s{own}" if fixes else f"S{own}"))
    return Advice(what, tuple(fixes), tuple(evidence), details={"path": path} if path else {})


def _path_beside(words: LastWords) -> str:
    error = words.error
    rows = (error.summary, *error.lines) if error is not None else ()
    return next((p for p in (path_near(row, len(row)) for row in rows) if p), "")


def _too_closed_script(words: LastWords, said: Said) -> Advice | None:
    path = said.match["path"]
    found = mount_of(words.container, path)
    if found is None or not any(k in found[1] for k in _CONFIG_KINDS):
        return None
    mount, volume = found
    kind = next(k for k in _CONFIG_KINDS if k in volume)
    mode = number(volume, kind, "defaultMode")
    if mode is not None and mode & 0o111:
        return None
    at = f"{words.container.spec_path}.volumeMounts[{text(mount, 'name')}]"
    return Advice(
        f"{path} is not executable: {volume_words(volume)} has mode {oct(mode or 0o644).replace('0o', '0')}",
        (
            *_mode_patch(words, volume, 0o755),
            manifest(words, f"Or let {where(words)} run it through a shell: sh {path}."),
        ),
        (Evidence("spec", at, f"{text(mount, 'mountPath')} is {volume_words(volume)}"),),
        (RuledOut("CommandNotFound", "the file is there; its mode lacks the execute bit"),),
        details={"path": path},
    )


def _writable_config(words: LastWords, said: Said) -> Advice:
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    volume = found[1] if found is not None else {}
    return Advice(
        f"MySQL ignores {path or 'a configuration file'}, which everybody may write",
        _mode_patch(words, mapping({"v": volume}, "v"), 0o644)
        or (app(f"Take write permission from others: chmod 0644 {path or 'the file'}."),),
        details={"path": path} if path else {},
    )


def _sqlite(words: LastWords, _: Said) -> Advice:
    user, at = security(words.container, "runAsUser")
    fs_group, _at = security(words.container, "fsGroup")
    who = f"user {user}" if user is not None else "its user"
    wanted = user if isinstance(user, int) and user > 0 else group_of(words.container.image) or 1000
    fixes = [
        manifest(
            words,
            f"Mount a volume at the directory of the database in {where(words)}; SQLite writes its journal there too.",
        )
    ]
    if fs_group is None:
        fixes.insert(
            0,
            manifest(
                words,
                f"Set fsGroup {wanted} in {words.case.workload_name}, so that {who} may write the volume.",
                {"securityContext": {"fsGroup": wanted}},
            ),
        )
    return Advice(
        f"{who} may not open or write its SQLite database: owner, mode or a missing directory",
        tuple(fixes),
        (Evidence("spec", at or "spec.securityContext.runAsUser", str(user if user is not None else "not set")),),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "sqlite-not-writable",
        lazy(
            r"attempt to write a readonly database|SQLITE_(?:CANTOPEN|READONLY)"
            r"|[Uu]nable to open (?:the )?database file"
        ),
        _sqlite,
        "PermissionDenied",
    ),
    Row(
        "mode-too-open",
        lazy(
            r"Permissions 0\d{3} for '(?P<ssh>[^'\n]{1,400})' are too open|UNPROTECTED PRIVATE KEY FILE"
            r"|(?:data directory|private key file) \"[^\"\n]{1,400}\" has (?:invalid permissions|group or world access)"
            r"|must be (?:accessible|readable) by (?:the )?owner only|must be accessible by owner only"
            r"|permissions (?:0?\d{3,4} )?(?:on|of|for) [^\n]{1,300}? (?:are|is) too (?:open|permissive|broad)"
            r"|\bbad permissions\b|has (?:too open|insecure|unsafe|overly permissive) (?:file )?(?:permissions|mode)"
            r"|(?:file|key|config\w*) [^\n]{0,200}(?:is|are) (?:group"
            r"|world)[- ](?:or world[- ])?(?:readable|accessible|writable)"
            r"|insecure (?:file )?permissions|permissions? (?:are )?too (?:open|permissive)"
            r"|can only be writable by the owner|must be owned by the user[^\n]{0,80}or root",
            2,
        ),
        _too_open,
        "PermissionDenied",
        beside=True,
    ),
    Row(
        "config-world-writable",
        lazy(r"World-writable config file '[^']{1,300}' is ignored"),
        _writable_config,
        "PermissionDenied",
        beside=True,
    ),
    Row(
        "script-not-executable",
        lazy(r"(?:^|[\s:'\"])(?P<path>/[\w./-]{1,300}): [Pp]ermission denied\Z"),
        _too_closed_script,
        "PermissionDenied",
    ),
)
