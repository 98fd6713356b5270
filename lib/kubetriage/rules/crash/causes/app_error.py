"""The program ended by itself with an error.

Meaning: Kubernetes, the node and the image did their part; the program started, ran and chose to exit with a code
other than 0. Its last error, in its own words, is the best there is to know from outside.

Told by: an exit code that is no signal, with reason Error, and no kill, probe or start failure that explains it. The
last error in the log of the crashed instance is quoted: the end of a Java chain of causes, the last line of a Python
traceback, a Go panic, an uncaught exception of Node, .NET, Ruby, PHP, the last line that tells of a failure. An empty
log is said as such.

Fix: what ends the known error; for an exception of the program's own code the place in it; where the words are not
understood, the three looks that decide most for this state.

Source: core/v1 ContainerStateTerminated; exit codes by convention: 1 (most languages), 2 (Go panic, wrong usage), 3
(JVM ExitOnOutOfMemoryError), 64 to 78 (sysexits.h), 101 (Rust panic), 124 (timeout), 134 (abort: .NET, V8), 255 (PHP
fatal error, exit(-1)). Windows: MS-ERREF (NTSTATUS, HRESULT), in data/windows_exit_codes.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut
from kubetriage.readers.logs import last_line, own_frame, understood
from kubetriage.rules.crash.apart import apart_evidence
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import env_sources, variable_state
from kubetriage.rules.crash.crash_context import older_runs
from kubetriage.rules.crash.declared_settings import declare
from kubetriage.rules.crash.known_errors import known_findings, unknown_words
from kubetriage.rules.crash.named_values import origin, origin_evidence, origin_fixes, origin_hint
from kubetriage.rules.crash.next_looks import changed_looks, next_looks, rollback
from kubetriage.rules.crash.own_advice import asked_variable, own_advice_fix
from kubetriage.rules.crash.program_output import LastWords, short
from kubetriage.rules.crash.refused_settings import about_settings, settings_fixes
from kubetriage.rules.crash.shared_files import collected, collected_evidence, collected_fixes, collected_hint
from kubetriage.rules.crash.windows_exits import WindowsExit, is_status, windows_exit
from kubetriage.values.fields import objects, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy
from kubetriage.values.times import precise_duration

CODE = "AppError"

_NAMES = {
    "java": "Java",
    "python": "Python",
    "node": "Node.js",
    "go": "Go",
    "dotnet": ".NET",
    "ruby": "Ruby",
    "rust": "Rust",
    "php": "PHP",
    "perl": "Perl",
    "elixir": "Elixir",
    "nginx": "nginx",
}
_CONVENTIONS = {
    2: ("a Go panic or wrong usage of a command", ("go", "shell")),
    3: ("the JVM with ExitOnOutOfMemoryError, among others", ("java",)),
    64: ("wrong usage (sysexits.h)", ()),
    78: ("wrong configuration (sysexits.h)", ()),
    101: ("a Rust panic", ("rust",)),
    124: ("the time limit of timeout(1)", ()),
    134: ("abort(), by which .NET and V8 end", ("dotnet", "node")),
    255: ("a PHP fatal error, or exit(-1)", ("php",)),
}
# A lookup by a name in the spelling of environment variables: os.environ['X'], ENV.fetch("X").
_QUOTED = lazy(r"KeyError: ['\"](?P<name>[A-Z][A-Z0-9_]{2,80})['\"]|key not found: :?\"(?P<key>[A-Z][A-Z0-9_]{2,80})\"")


def check(case: Case) -> Iterator[Finding]:
    """Find containers that ended by themselves, with the error that they wrote."""
    yield from known_findings(case, CODE)
    for words in unknown_words(case, shells=True):
        windows = windows_exit(words.end.exit_code)
        if windows is not None and (words.error is None or words.error.weight == "weak"):
            yield _by_windows(words, windows)
        elif words.error is not None:
            yield _told(case, words)
        elif words.text:
            yield _untold(words)
        elif words.seen or not words.end.untold:
            yield _silent(words)


def _life(words: LastWords) -> str:
    life = words.end.lifetime
    if life is None:
        return ""
    return (
        " within a second of its start" if life < timedelta(seconds=1) else f" {precise_duration(life)} after its start"
    )


def _told(case: Case, words: LastWords) -> Finding:
    error = words.error
    assert error is not None
    name = words.container.name
    language = _NAMES.get(error.language, "")
    kind = f" with an uncaught {language} error" if language and error.weight == "fatal" and language != "nginx" else ""
    evidence: list[Evidence] = []
    hint = ""
    confidence = words.confidence
    looked = _QUOTED.search(error.summary)
    frame = own_frame(error)
    if looked is not None:
        variable = looked["name"] or looked["key"]
        shown, state = variable_state(case, words.container, variable)
        evidence.append(shown)
        hint = f"; as an environment variable, {variable} {state}"
        close = nearest(variable, (text(e, "name") for e in objects(words.container.spec, "env")))
        near = f" ({close} is declared)" if close else ""
        fixes: tuple[Fix, ...] = (
            Fix(
                f"If {variable} is an environment variable, declare it for container {name} in "
                f"{case.workload_name}{near}.",
                actor=Actor.MANIFEST,
            ),
        )
    elif (source := origin(words)) is not None:
        hint = origin_hint(source)
        evidence.append(origin_evidence(source))
        fixes = origin_fixes(words, source)
        # Where the error says what to write, that comes before the place where it names something.
        proposed = own_advice_fix(words)
        fixes = (*proposed, *fixes) if source.file is not None and proposed else (*fixes, *proposed)
        fixes = (*fixes, *changed_looks(words))
        confidence = Confidence.POSSIBLE if confidence is Confidence.POSSIBLE else Confidence.LIKELY
    elif (writer := collected(words)) is not None:
        hint = collected_hint(writer)
        evidence.append(collected_evidence(writer))
        fixes = (*collected_fixes(words, writer), *own_advice_fix(words), *changed_looks(words))
        confidence = Confidence.POSSIBLE if confidence is Confidence.POSSIBLE else Confidence.LIKELY
    elif frame:
        hint = f"; it happened at {frame}"
        fixes = (*own_advice_fix(words), *_in_the_code(words, frame))
    elif about_settings(error.summary):
        hint = "; it refuses its configuration"
        confidence = Confidence.POSSIBLE if confidence is Confidence.POSSIBLE else Confidence.LIKELY
        fixes = (*own_advice_fix(words), *settings_fixes(words))
    elif (asked := asked_variable(words)) and env_sources(words.container) == []:
        shown, state = variable_state(case, words.container, asked)
        evidence.append(shown)
        hint = f"; it asks for the variable {asked}, which {state}"
        fix, more = declare(case, words, asked, state)
        evidence += more
        fixes = (fix, *changed_looks(words))
        confidence = Confidence.POSSIBLE if confidence is Confidence.POSSIBLE else Confidence.LIKELY
    else:
        confidence = Confidence.POSSIBLE
        proposed = own_advice_fix(words)
        hint = "" if proposed else "; this message names no known cause"
        fixes = (*proposed, *next_looks(words))
        evidence += apart_evidence(words)
    return words.finding(
        CODE,
        confidence,
        f"{name} {_ended(words)}{kind}: {short(error.summary)}{hint}.",
        evidence=[*evidence, *_convention(words)],
        ruled_out=_rivals(words),
        fix=fixes,
        details={
            key: value
            for key, value in (("language", error.language), ("error", error.name), ("frame", frame))
            if value
        },
    )


def _ended(words: LastWords) -> str:
    """Say with which code and when it ended; of a log alone neither is known."""
    code = words.end.exit_code
    return "failed" if code is None else f"exited with code {code}{_life(words)}"


def _in_the_code(words: LastWords, frame: str) -> tuple[Fix, ...]:
    """Return what to do about an exception that the program's own code raised."""
    image = words.container.image
    repair = Fix(
        f"Correct the program at {frame} (image {image}), or the input or setting that it reads there.", actor=Actor.APP
    )
    undo = rollback(words)
    if not undo:
        return (repair, *next_looks(words)[:1])
    back = Fix(
        f"{older_runs(words.case)} of an older revision is ready: go back until it is corrected.",
        actor=Actor.MANIFEST,
        commands=undo,
    )
    return (repair, back)


def _by_windows(words: LastWords, windows: WindowsExit) -> Finding:
    """Judge an end of which the log tells nothing and the exit code of Windows everything."""
    name = words.container.name
    line = last_line(words.text)
    shown = f"exit code {words.end.exit_code} is {windows.code} {windows.name}"
    return words.finding(
        CODE,
        Confidence.LIKELY,
        f"Windows ended {name}{_life(words)}: {windows.means} ({shown}).",
        quoted=(line,) if line else (),
        evidence=(
            Evidence("status", f"{words.end.at}.exitCode", f"{words.end.exit_code} = {windows.code} {windows.name}"),
        ),
        ruled_out=_rivals(words),
        fix=(windows.fix, *next_looks(words)[:2]),
        details={"windowsCode": windows.code, "windowsName": windows.name},
    )


def _untold(words: LastWords) -> Finding:
    name = words.container.name
    line = last_line(words.text)
    told = "it tells of no error" if understood(words.text) else "no line of its log is known as an error"
    source = origin(words)
    fixes = settings_fixes(words) if about_settings(line) else next_looks(words)
    if source is not None:
        fixes = (*origin_fixes(words, source), *changed_looks(words))
    return words.finding(
        CODE,
        Confidence.POSSIBLE,
        f"{name} {_ended(words)}; {told}, its last line is: {short(line)}{origin_hint(source) if source else ''}.",
        quoted=(line,),
        evidence=[*([origin_evidence(source)] if source else ()), *_convention(words)],
        ruled_out=_rivals(words),
        fix=(*own_advice_fix(words), *fixes),
    )


def _silent(words: LastWords) -> Finding:
    name = words.container.name
    proof: list[Evidence] = []
    if words.seen:
        what = f"{name} {_ended(words)} and wrote nothing to its log"
        proof.append(Evidence("log", name, "(empty)"))
        fixes = next_looks(words)
    else:
        what = f"{name} {_ended(words)}; its log was not seen ({words.why or 'not read'})"
        fixes = (
            Fix(f"Read the log of {name}.", actor=Actor.APP, commands=(words.case.log_command(words.container),)),
            *next_looks(words)[:2],
        )
    command = " ".join([*_texts(words, "command"), *_texts(words, "args")])
    if command:
        proof.append(Evidence("spec", f"{words.container.spec_path}.command", command[:300]))
    return words.finding(
        CODE,
        Confidence.POSSIBLE,
        f"{what}.",
        evidence=[*proof, *_convention(words)],
        ruled_out=_rivals(words),
        fix=fixes,
    )


def _texts(words: LastWords, field: str) -> list[str]:
    value = words.container.spec.get(field)
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _convention(words: LastWords) -> list[Evidence]:
    """Say what the exit code means by convention, unless the language of the log speaks against it."""
    windows = windows_exit(words.end.exit_code)
    if windows is not None:
        value = f"{words.end.exit_code} = {windows.code} {windows.name}: {windows.means}"
        return [Evidence("status", f"{words.end.at}.exitCode", value)]
    if is_status(words.end.exit_code):
        value = f"{words.end.exit_code} = {(words.end.exit_code or 0) & 0xFFFFFFFF:#010X}: an error code of Windows"
        return [Evidence("status", f"{words.end.at}.exitCode", value)]
    known = _CONVENTIONS.get(words.end.exit_code or 0)
    if known is None or (known[1] and words.language and words.language not in (*known[1], "text", "json", "logfmt")):
        return []
    return [Evidence("status", f"{words.end.at}.exitCode", f"{words.end.exit_code}: by convention {known[0]}")]


def _rivals(words: LastWords) -> list[RuledOut]:
    reason = words.end.reason or "not given"
    if words.end.exit_code is None:
        return []
    return [
        RuledOut("OOMKilled", f"the reason is {reason}, not OOMKilled, and exit code {words.end.exit_code} is not 137"),
    ]
