"""The operating system refused the program an access, and the program ended because of it.

Meaning: the program runs as a user that may not open the file, write the directory, bind the port or make the system
call. The program itself did start: this is not a command that cannot be executed.

Told by: EACCES or EPERM ("Permission denied", "Operation not permitted") in the last error of the crashed instance.
The path is looked up among the mounts, and the user, fsGroup and capabilities in force are quoted. Told apart from
exit code 126 (CommandNotExecutable), from a database's "permission denied for table" and from ssh's "Permission
denied (publickey)".

Fix: fsGroup for a volume, a writable directory for the user, a port above 1023 or NET_BIND_SERVICE, the capability
that the call needs.

Source: errno(3) EACCES and EPERM, capabilities(7), ip(7) ip_unprivileged_port_start; core/v1
PodSecurityContext.fsGroup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, RuledOut
from kubetriage.needs import Need
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import mount_of, security
from kubetriage.rules.crash.denied_in_image import SCC
from kubetriage.rules.crash.denied_namespaces import judge_namespace, judge_unnamed
from kubetriage.rules.crash.denied_operations import judge_call, judge_file, judge_owner, judge_port
from kubetriage.rules.crash.known_errors import known_findings, unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.rules.crash.volume_backing import backing_needs
from kubetriage.values.fields import labels, objects, text
from kubetriage.values.patterns import lazy

CODE = "PermissionDenied"

# strerror(EACCES, EPERM), Node's names, the JDK's and .NET's exceptions, Python's and Rust's numbers.
_DENIED = lazy(
    r"(?:directory|path|folder)[^\n]{0,300}\bis not (?:readable and |readable or )?writ(?:e)?able\b|"
    # Programs that tried the write themselves.
    r"cannot write (?:in)?to (?:the )?['\"]?[\w./-]{1,200}['\"]? (?:directory|folder)|"
    r"(?:directory|folder|path) ['\"]?[\w./-]{1,200}['\"]? (?:cannot be written|must be writ(?:e)?able)|"
    r"permission denied|\bEACCES\b|\bEPERM\b|operation not permitted|AccessDeniedException: /"
    r"|UnauthorizedAccessException"
    # MinIO's name for EACCES of a drive.
    r"|file access denied"
    r"|errno 13\b|os error 13\b|\(13: ",
    re.IGNORECASE,
)
# The path may stand in a line beside the one that ends the program.
_DENIED_PATH = lazy(
    r"(?<![\w.:/])/[\w.-]{1,100}(?:/[\w.-]{1,100}){0,12}['\"]?: [^\n]{0,60}?"
    r"(?P<words>file access denied|permission denied|EACCES|operation not permitted)",
    re.IGNORECASE,
)
# An error that is told as fields, a line each: npm's, and an error object of Node.
_FIELD_PATH = lazy(r"(?:npm (?:ERR!|error) path |^\s{0,20}path: ['\"])(?P<path>/[^\s'\"]{1,300})", re.IGNORECASE)
# The same words from something that is not the operating system: SQL grants, ssh, gRPC status, a remote file store.
_OTHERS = lazy(
    r"permission denied (?:for|to|on) (?:relation|table|schema|database|sequence|function|view|create|set|role"
    r"|user|language"
    r"|topic|queue)|\(publickey|PermissionDenied desc|PERMISSION_DENIED|(?:topic|group) authorization"
    r"|Code: 403",
    re.IGNORECASE,
)


def needs(case: Case) -> Iterator[Need]:
    """Ask for what lies behind the volume whose owner or mode could not be changed."""
    for words in unknown_words(case):
        said = words.find(_DENIED, unless=_OTHERS)
        path = path_near(said.line, said.match.start()) if said is not None else ""
        found = mount_of(words.container, path) if path else None
        if found is not None:
            yield from backing_needs(case, found[1])


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is an access that the operating system refused."""
    yield from known_findings(case, CODE)
    for words in unknown_words(case):
        said = words.find(_DENIED, unless=_OTHERS)
        if said is not None:
            yield _finding(words, said)


def _finding(words: LastWords, said: Said) -> Finding:
    container, written = words.container, said.line
    if not path_near(said.line, said.match.start()):
        said = words.beside(_DENIED_PATH) or words.beside(_FIELD_PATH) or _of_the_data(words, _of_a_mount(words, said))
    user, user_at = security(container, "runAsUser")
    told = user is not None or words.case.snapshot.covers(words.case.pod.raw, "spec.securityContext")
    scc = labels(words.case.pod.raw, "metadata", "annotations").get(SCC, "")
    shown = _shown(user, scc) if told else "not shown"
    evidence = (Evidence("spec", user_at or f"{container.spec_path}.securityContext.runAsUser", shown),)
    judges = (judge_namespace, judge_port, judge_owner, judge_call, judge_unnamed, judge_file)
    judged = next(j for judge in judges if (j := judge(words, said, user)) is not None)
    what, more, fixes, details = judged
    return words.finding(
        CODE,
        said.confidence,
        f"{container.name} {what}.",
        quoted=(written,),
        evidence=(*evidence, *more),
        ruled_out=(RuledOut("CommandNotExecutable", f"the program ran: exit code {words.end.exit_code}, with output"),),
        fix=fixes,
        details=details,
    )


# PostgreSQL's files, which it names from its data directory.
_DATA_FILE = lazy(
    r"(?P<before>[\"'])(?P<path>(?:pg_\w{2,20}|base|global)/[\w./-]{1,200}"
    r"|(?:postmaster\.pid|pg_hba\.conf|PG_VERSION|postgresql\.(?:auto\.)?conf))(?=[\"'])"
)


def _of_the_data(words: LastWords, said: Said) -> Said:
    """Complete the name of a file of a database's data directory, where that is a volume of the container."""
    match = _DATA_FILE.search(said.line)
    variables = {text(e, "name"): text(e, "value") for e in objects(words.container.spec, "env")}
    if match is None:
        return said
    mounts = (text(m, "mountPath") for m in objects(words.container.spec, "volumeMounts"))
    data = variables.get("PGDATA") or next((m for m in mounts if "postgres" in m or m.rstrip("/").endswith("data")), "")
    if not data.startswith("/"):
        return said
    line = f"{said.line[: match.start('path')]}{data.rstrip('/')}/{said.line[match.start('path') :]}"
    again = _DENIED.search(line)
    return replace(said, line=line, match=again) if again is not None else said


_NAMED = lazy(
    r"['\"](?P<name>[\w.-]{2,60})/?['\"] (?:directory|folder)|(?:directory|folder) ['\"](?P<after>[\w.-]{2,60})/?['\"]"
)


def _of_a_mount(words: LastWords, said: Said) -> Said:
    """Complete the name of a directory that is told without its path, where one mount of the container ends in it."""
    match = _NAMED.search(said.line)
    name = (match["name"] or match["after"]) if match is not None else ""
    mounts = [text(m, "mountPath").rstrip("/") for m in objects(words.container.spec, "volumeMounts")]
    found = [m for m in mounts if name and m.rpartition("/")[2] == name]
    if match is None or len(found) != 1:
        return said
    start, end = match.span("name" if match["name"] else "after")
    line = f"{said.line[:start]}{found[0]}{said.line[end:]}"
    again = _DENIED.search(line)
    return replace(said, line=line, match=again) if again is not None else said


def _shown(value: object, scc: str) -> str:
    if value is None and scc:
        return f"not shown; {scc} gives it a user id of the namespace"
    return "not set (the user of the image)" if value is None else str(value)
