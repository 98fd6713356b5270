r"""Values with a character that nobody sees: a line end in a Secret, a carriage return, a byte order mark.

``echo value | base64`` and editors put a line end behind the value; files of Windows have ``\r`` before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from kubetriage.model import Evidence
from kubetriage.readers.pods import Container
from kubetriage.rules.crash.acts import app, manifest, restart, where
from kubetriage.rules.crash.container_spec import env_sources
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import PIPE, kubectl, shell
from kubetriage.values.fields import mapping, objects, text
from kubetriage.values.patterns import lazy


def _sources(container: Container) -> Iterator[tuple[str, str, str, str]]:
    """Yield (variable, kind, object, key) of the variables that come from Secrets and ConfigMaps."""
    for entry in objects(container.spec, "env"):
        for key, kind in (("secretKeyRef", "secret"), ("configMapKeyRef", "configmap")):
            ref = mapping(entry, "valueFrom", key)
            if ref:
                yield text(entry, "name"), kind, text(ref, "name"), text(ref, "key")


def _line_end(words: LastWords, said: Said) -> Advice:
    container, namespace = words.container, words.case.pod.namespace
    found = list(_sources(container))
    # A variable that the line names, or whose words it names, comes before the others.
    low = said.line.lower()
    found.sort(key=lambda s: not any(part in low for part in s[0].lower().split("_") if len(part) > 3))
    looks, evidence = [], []
    for variable, kind, name, key in found[:2]:
        path = f"jsonpath={{.data.{key.replace('.', chr(92) + '.')}}}"
        decode = (PIPE, "base64", "-d") if kind == "secret" else ()
        read = ("kubectl", "-n", namespace, "get", kind, name, "-o", path, *decode)
        # The number of line ends in the last two bytes; the value itself is not shown.
        looks.append(shell(*read, PIPE, "tail", "-c", "2", PIPE, "tr", "-cd", r"\r\n", PIPE, "wc", "-c"))
        at = f"{container.spec_path}.env[{variable}]"
        evidence.append(Evidence("spec", at, f"from key {key} of {_KINDS[kind]} {name}"))
    named = " or ".join(f"{v} (key {k} of {_KINDS[kind]} {n})" for v, kind, n, k in found[:2])
    held = named or ", ".join(env_sources(container))
    likely = f"; most likely {held}" if held else ""
    first = found[0] if found else None
    write = (
        (
            kubectl(
                "patch",
                first[1],
                first[2],
                "-p",
                json.dumps({"stringData" if first[1] == "secret" else "data": {first[3]: "VALUE"}}),
                namespace=namespace,
            ),
        )
        if first is not None
        else ()
    )
    return Advice(
        f"a value of its configuration ends in a line end, or holds another character that nobody sees{likely}",
        (
            app(
                "Count the line ends at the end of the value: more than 0 is the fault."
                if looks
                else "Look at the end of each value and file that it reads (od -c): \\n or \\r there is the fault.",
                *looks,
            ),
            manifest(
                words,
                f"Write the value again without it, for {where(words)}: stringData, or printf before base64 (echo adds "
                "a line end). Then restart the pod: variables are read at the start.",
                None,
                *write,
                *restart(words),
            ),
        ),
        tuple(evidence),
        details={"setting": found[0][0]} if found else {},
        sure=False,
    )


_KINDS = {"secret": "Secret", "configmap": "ConfigMap"}


def _byte_order_mark(words: LastWords, _: Said) -> Advice | None:
    return Advice(
        "a file that it reads begins with a byte order mark (BOM), which editors of Windows write and its parser "
        "refuses",
        (
            manifest(
                words,
                "Save the file as UTF-8 without BOM, and make the ConfigMap or Secret from it anew.",
                None,
            ),
        ),
    )


_END = r"(?:\\+[nr]|\\u000(?:[aA]|[dD])|\\x0(?:[aA]|[dD])|%0(?:[aA]|[dD]))"

ROWS: tuple[Row, ...] = (
    Row(
        "byte-order-mark",
        lazy(
            r"\\ufeff|\ufeff|[Uu]nexpected token ''|\\xef\\xbb\\xbf|invalid character 'ï'|[Uu]nexpected (?:token"
            r"|character)[^\n]{0,9}U\+FEFF"
        ),
        _byte_order_mark,
        beside=True,
    ),
    Row(
        "line-end-in-value",
        lazy(
            # Go, Node, Python, Java about URLs and headers
            r"net/url: invalid control character in URL|invalid header field value|[Ii]nvalid header value"
            r"|[Ii]nvalid character in header content|ERR_INVALID_CHAR|return character\(s\) in header value"
            r"|[Ii]llegal character(?:\(s\))? \(?(?:in message header|0x0?(?:[aA]|[dD]))"
            r"|[Uu]nexpected char 0x0?(?:[aA]|[dD]) "
            r"|Header value must not contain|[Ii]nvalid leading whitespace, reserved character|CR or LF"
            # numbers and names whose quoted form shows the end
            rf"|(?:pars|convert|literal|input string|invalid|valid|unknown|number|format|lookup|resolve|ENOTFOUND"
            rf"|translate host)[^\n]{{0,120}}['\"\[][^'\"\n]{{0,200}}{_END}['\"\]]"
            rf"|(?:ENOTFOUND|lookup) [\w.-]{{1,200}}{_END}(?![\w/])"
            # mysql's entry script, whose quoted password goes on on the next line
            r"|mysql: unknown option '--\"'|mysqladmin: unknown option '--\"'"
        ),
        _line_end,
        beside=True,
    ),
)
