"""Options of memory that a runtime refuses at its start: a size without its unit, a flag in the wrong place."""

from __future__ import annotations

import re

from kubetriage.model import Evidence, Fix, RuledOut
from kubetriage.rules.crash.acts import image, manifest, where
from kubetriage.rules.crash.container_spec import environment_fix
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy

_NEVER_RAN = (RuledOut("RuntimeOutOfMemory", "the runtime refused its options and never ran the program"),)
_KUBERNETES_SIZE = lazy(r"\A(\d+(?:\.\d+)?)([KMGT])i?\Z")


def _go_limit(words: LastWords, said: Said) -> Advice:
    """Judge GOMEMLIMIT or GOGC in a form that Go does not read: Kubernetes' Mi is Go's MiB."""
    name = said.match["go"]
    given = words.container.environment().get(name, "")
    meant = _go_size(given) if name == "GOMEMLIMIT" else ""
    forms = "a whole number with B, KiB, MiB, GiB or TiB, or off" if name == "GOMEMLIMIT" else "a number, or off"
    act = f"Set {name} of {where(words)} to {meant or forms}"
    act += f": Go wants {forms}." if meant else "."
    evidence = (Evidence("spec", f"{words.container.spec_path}.env[{name}]", given),) if given else ()
    fix = environment_fix(words, act, name, meant) if meant else manifest(words, act)
    return Advice(f"Go does not read its {name}{f' ({given})' if given else ''}", (fix,), evidence, _NEVER_RAN)


def _go_size(given: str) -> str:
    """Return the size that is meant in Go's form; empty where that is not sure."""
    match = _KUBERNETES_SIZE.match(given.strip())
    if match is None:
        return ""
    number, unit = float(match[1]), match[2]
    while number != int(number) and unit in "MGT":
        number, unit = number * 1024, "KMGT"["KMGT".index(unit) - 1]
    return f"{int(number)}{unit}iB"


def _node_option(words: LastWords, said: Said) -> Advice:
    """Judge an option that Node.js does not know, or takes on its command line only."""
    refused = said.match["refused"]
    option = (refused or said.match["bad"] or said.match["illegal"] or "").rstrip("=.,")
    given = words.container.environment().get("NODE_OPTIONS", "")
    evidence = (Evidence("spec", f"{words.container.spec_path}.env[NODE_OPTIONS]", given),) if given else ()
    rest = " ".join(w for w in given.split() if w.split("=")[0] != option.split("=")[0])
    fixes: list[Fix] = []
    if given and rest != given:
        act = f"Take {option} out of NODE_OPTIONS of {where(words)}"
        act += "; the command line of node takes it, if it is needed" if refused else ""
        fixes.append(environment_fix(words, f"{act}.", "NODE_OPTIONS", rest))
    else:
        fixes.append(manifest(words, f"Take {option or 'it'} out of NODE_OPTIONS or the command of {where(words)}."))
    if said.match["illegal"]:
        fixes = [
            manifest(words, f"Give {option} of {where(words)} a whole number, in MiB without a unit: {option}=768.")
        ]
        return Advice(f"Node.js cannot read the value of {option}", tuple(fixes), evidence, _NEVER_RAN)
    if refused:
        return Advice(f"Node.js does not take {option} from NODE_OPTIONS", tuple(fixes), evidence, _NEVER_RAN)
    fixes.append(image(f"Or use the Node.js version that {option} belongs to (node --v8-options lists V8's)."))
    return Advice(
        f"Node.js in image {words.container.image} does not know {option}", tuple(fixes), evidence, _NEVER_RAN
    )


def _option_as_class(words: LastWords, said: Said) -> Advice | None:
    """Judge a size or an option that Java took for its main class: a space in it, or a wrapper's quotes."""
    taken = said.match["taken"]
    given = [*texts(words.container.spec, "command"), *texts(words.container.spec, "args")]
    at = f"{words.container.spec_path}.args"
    held = next(
        (
            (f"variable {n}", v)
            for n, v in words.container.environment().items()
            if re.search(rf"-X\w{{2}}\s+{re.escape(taken)}\b", v)
        ),
        None,
    )
    flag = next((given[i - 1] for i, w in enumerate(given) if w == taken and i), "")
    if held is not None:
        flag = next(iter(re.findall(rf"(-X\w{{2}})\s+{re.escape(taken)}", held[1])), "")
    evidence = (Evidence("spec", at, " ".join(given)[:300]),) if given and held is None else ()
    if not flag.startswith("-X"):
        flag = "-Xmx"
    place = held[0] if held is not None else "its arguments"
    return Advice(
        f"Java took {taken} for its main class: {flag} and its size stand apart",
        (manifest(words, f"Write {flag}{taken} as one word in {place} of {where(words)}."),),
        evidence,
        _NEVER_RAN,
    )


_PERCENTAGE = lazy(r"(?:Max|Min|Initial)RAMPercentage=(\d+)\Z")


def _improper(words: LastWords, said: Said) -> Advice:
    """Judge an option whose value the JVM cannot read: a percentage without its point on JDK 8, or a unit."""
    option = said.match["improper"]
    name = option.split("=")[0]
    environment = words.container.environment()
    variable = next((n for n, v in environment.items() if f"-XX:{option}" in v.split()), "")
    evidence = (
        (Evidence("spec", f"{words.container.spec_path}.env[{variable}]", environment[variable]),) if variable else ()
    )
    if _PERCENTAGE.search(option):
        act = f"Write -XX:{option}.0 in {variable or 'its options'} of {where(words)}."
        what = f"this JDK wants a decimal point in {name}: {option}.0"
        if variable:
            value = " ".join(f"{w}.0" if w == f"-XX:{option}" else w for w in environment[variable].split())
            return Advice(what, (environment_fix(words, act, variable, value),), evidence, _NEVER_RAN)
        return Advice(what, (manifest(words, act),), evidence, _NEVER_RAN)
    return Advice(
        f"the JVM cannot read the value of -XX:{option}",
        (
            manifest(
                words,
                f"Correct -XX:{name} in {variable or 'the options'} of {where(words)}: sizes are whole numbers with k, "
                "m or g (512m, not 512Mi or 0.5g).",
            ),
        ),
        evidence,
        _NEVER_RAN,
    )


_GONE = lazy(
    r"\A(?:UseCGroupMemoryLimitForHeap|MaxPermSize|PermSize|UseConcMarkSweepGC|UseParNewGC|CMS\w+|AggressiveOpts"
    r"|PrintGC(?:DateStamps|TimeStamps|Details)\w*|UseGCLogFileRotation|NumberOfGCLogFiles|GCLogFileSize"
    r"|UseBiasedLocking|MaxRAMPercentage|InitialRAMPercentage|MinRAMPercentage)\b"
)
_INSTEAD = {
    "UseCGroupMemoryLimitForHeap": "later JDKs read the limit by themselves: remove it, and set -XX:MaxRAMPercentage",
    "MaxPermSize": "there is no permanent generation since JDK 8: remove it (-XX:MaxMetaspaceSize bounds metaspace)",
    "PermSize": "there is no permanent generation since JDK 8: remove it",
    "UseConcMarkSweepGC": "removed in JDK 14: use -XX:+UseG1GC, or remove it",
    "UseParNewGC": "removed in JDK 10: remove it",
    "AggressiveOpts": "removed in JDK 13: remove it",
    "UseGCLogFileRotation": "removed in JDK 9: use -Xlog:gc*:file=gc.log::filecount=5,filesize=20M",
    "NumberOfGCLogFiles": "removed in JDK 9: use -Xlog:gc*:file=gc.log::filecount=5,filesize=20M",
    "GCLogFileSize": "removed in JDK 9: use -Xlog:gc*:file=gc.log::filecount=5,filesize=20M",
    "MaxRAMPercentage": "it came with JDK 10 and 8u191: use a newer image, or -Xmx until then",
    "InitialRAMPercentage": "it came with JDK 10 and 8u191: use a newer image, or -Xms until then",
    "MinRAMPercentage": "it came with JDK 10 and 8u191: use a newer image, or -Xmx until then",
}


def _gone_option(words: LastWords, said: Said) -> Advice | None:
    """Judge an option of another Java version, whose successor is known."""
    option = said.match["gone"].lstrip("+-")
    name = option.split("=")[0]
    instead = _INSTEAD.get(name) or (_INSTEAD["UseConcMarkSweepGC"] if name.startswith("CMS") else "")
    if not _GONE.search(name) or not instead:
        return None
    environment = words.container.environment()
    variable = next((n for n, v in environment.items() if name in v), "")
    evidence: tuple[Evidence, ...] = ()
    text = f"-XX:{said.match['gone']} in {variable or 'the options'} of {where(words)}: {instead}."
    fixes: list[Fix] = [manifest(words, text)]
    if variable:
        evidence = (Evidence("spec", f"{words.container.spec_path}.env[{variable}]", environment[variable]),)
        if "remove it" in instead:
            value = " ".join(w for w in environment[variable].split() if name not in w)
            fixes = [environment_fix(words, text, variable, value)]
    fixes.append(image("Or keep the Java version that the option belongs to until the options are changed."))
    return Advice(
        f"the JVM of image {words.container.image} does not know -XX:{said.match['gone']}: {instead.split(':')[0]}",
        tuple(fixes),
        evidence,
        _NEVER_RAN,
    )


def _closed_module(words: LastWords, said: Said) -> Advice:
    flag = f"--add-{said.match['how']}s={said.match['module']}/{said.match['package']}=ALL-UNNAMED"
    held = next((text(e, "value") for e in objects(words.container.spec, "env") if text(e, "name") == _TOOL), "")
    value = f"{held} {flag}".strip()
    return Advice(
        f"a library of it reaches into {said.match['package']} of Java, which Java 17 and newer keep closed",
        (
            manifest(
                words,
                f"Open it: {_TOOL}={value} in {where(words)}; further names that the next start tells go beside it.",
                words.container.patch({"env": [{"name": _TOOL, "value": value}]}),
            ),
            image("Then update the library that does it; or run the image that had an older Java until that is done."),
        ),
        details={"flag": flag},
    )


_TOOL = "JAVA_TOOL_OPTIONS"

ROWS: tuple[Row, ...] = (
    Row(
        "java-module-closed",
        lazy(
            r"module (?P<module>java\.[\w.]{1,60}|jdk\.[\w.]{1,60}) does not \"?(?P<how>open|export)s? "
            r"(?P<package>[\w.]{1,120})\"? to (?:unnamed )?module"
        ),
        _closed_module,
        beside=True,
    ),
    Row("go-limit", lazy(r"malformed (?P<go>GOMEMLIMIT|GOGC)\b"), _go_limit, beside=True),
    Row(
        "node-option",
        lazy(
            r"\A\S{0,200}node\S{0,20}: (?:(?P<refused>--?[\w-]{1,80}=?) is not allowed in NODE_OPTIONS"
            r"|bad option: (?P<bad>--?\S{1,80}))|[Ii]llegal value for flag (?P<illegal>--[\w-]{1,80})"
        ),
        _node_option,
        beside=True,
    ),
    Row(
        "option-as-class",
        lazy(r"[Cc]ould not find or load main class (?P<taken>\d{1,9}[kKmMgGtT][bB]?)\b"),
        _option_as_class,
        beside=True,
    ),
    Row(
        "improper-option", lazy(r"Improperly specified VM option '(?P<improper>[^'\n]{1,120})'"), _improper, beside=True
    ),
    Row("gone-option", lazy(r"Unrecognized VM option '(?P<gone>[^'\n]{1,120})'"), _gone_option, beside=True),
)
