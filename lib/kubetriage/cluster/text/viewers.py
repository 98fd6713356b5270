"""Tables and frames of viewers (k9s, Lens, consoles of clouds) in the form of kubectl's, so that one reader does.

A frame's title names what is inside; the head of a table names its columns, in another order and by other words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubetriage.cluster.text.lines import Line
from kubetriage.records import replace
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import find_resource

_SIDES = "│┃║"
_CORNERS = "┌╭┏╔└╰┗╚├┣╠"
_EDGE = lazy(r"\s{0,8}[┌╭┏╔└╰┗╚├┣╠][─━═┄┈ ]{2,400}(.{0,400}?)[─━═┄┈ ]{2,400}[┐╮┓╗┘╯┛╝┤┫╣]?\s*\Z")
_SIDE = lazy(r"\s{0,8}[│┃║] ?(.{0,4000}?)\s*[│┃║]?\s*\Z")
# k9s names a view Pods(NAMESPACE)[COUNT], Logs(NAMESPACE/POD:CONTAINER)[tail], Describe(NAMESPACE/POD).
_TITLE = lazy(r"([A-Z][A-Za-z.-]{1,60})\(([a-z0-9.:/-]{1,400})\)")
_HEAD = lazy(r"\s{0,8}(?:NAMESPACE[↑↓]?\s+)?NAME[↑↓]?\s.{2,400}")
_TWO_WORDS = ("LAST RESTART", "NOMINATED NODE", "READINESS GATES", "SERVICE ACCOUNT")
_MARKED = lazy(r"[↑↓]|\sPF\s|%CPU/|%MEM/")
_RATIO = lazy(r"\d{1,4}(?:/| / )\d{1,4}\Z")
_COLUMNS = {
    "name": "NAME",
    "pod": "NAME",
    "pod name": "NAME",
    "namespace": "NAMESPACE",
    "ready": "READY",
    "status": "STATUS",
    "state": "STATUS",
    "restarts": "RESTARTS",
    "restart count": "RESTARTS",
    "age": "AGE",
    "ip": "IP",
    "pod ip": "IP",
    "node": "NODE",
}
"""Columns of consoles (GKE, AKS, OpenShift, Rancher, Headlamp, Lens) by their words in small letters."""
_ORDER = ("NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE")
_WORDS = {"Unschedulable": "Pending", "Does not have minimum availability": "Pending", "Active": "Running"}
"""Words of consoles for what kubectl calls otherwise."""
_NOT_READY = lazy(
    r"Pending|ContainerCreating|PodInitializing|CrashLoopBackOff|Error|OOMKilled|Init:\w{1,40}|ErrImagePull|ImagePullBackOff"
    r"|InvalidImageName|CreateContainer\w{0,20}Error|RunContainerError|ErrImageNeverPull"
)
_SPACE = lazy(r"\s{0,8}Namespace:?\s{1,20}([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\s*\Z")
_MOST_ROWS = 5000


def in_kubectls_form(lines: Sequence[Line]) -> list[Line]:
    """Return the lines with the frames taken off and the tables of viewers as kubectl prints them."""
    out = _unframed(lines) if any(line.text.lstrip()[:1] in _SIDES + _CORNERS for line in lines if line.text) else lines
    found: list[Line] = []
    at, namespace = 0, ""
    while at < len(out):
        line = out[at]
        spaced = _SPACE.match(line.text)
        namespace = spaced[1] if spaced is not None else namespace
        table = None if line.fence else _table(out, at, namespace)
        if table is None:
            found.append(line)
            at += 1
            continue
        rows, at = table
        found += rows
    return found


def _unframed(lines: Sequence[Line]) -> list[Line]:
    out = []
    for line in lines:
        text = line.text
        first = text.lstrip()[:1]
        if first and first in _CORNERS and (edge := _EDGE.match(text)) is not None:
            text = _command(edge[1])
        elif first and first in _SIDES and (side := _SIDE.match(text)) is not None:
            text = side[1]
        out.append(line if text is line.text else replace(line, text=text))
    return out


def _command(title: str) -> str:
    """Return the command whose answer a view with this title holds; empty for others."""
    match = _TITLE.search(title)
    if match is None:
        return ""
    view, about = match[1].lower(), match[2]
    place, _, rest = about.partition("/")
    if view == "logs" and rest:
        pod, _, container = rest.partition(":")
        return f"$ kubectl logs -n {place} {pod}" + (f" -c {container}" if container else "")
    if view in ("describe", "yaml") and rest:
        # The view does not say of which kind; its text does.
        return ""
    resource = find_resource(view)
    if resource is None or not resource.namespaced:
        return f"$ kubectl get {resource.plural} | less" if resource is not None else ""
    where = "-A" if about == "all" else f"-n {place}"
    # A view may be filtered, so that it is no whole list.
    return f"$ kubectl get {resource.plural} {where} | less"


def _table(lines: Sequence[Line], at: int, namespace: str) -> tuple[list[Line], int] | None:
    head = lines[at].text
    if _HEAD.match(head) is not None and _MARKED.search(head) is not None:
        return _of_k9s(lines, at)
    if "\t" in head.strip() or "  " in head.strip():
        return _of_console(lines, at, namespace)
    return None


def _of_k9s(lines: Sequence[Line], at: int) -> tuple[list[Line], int]:
    head = lines[at].text
    for column in _TWO_WORDS:
        head = head.replace(column, column.replace(" ", "_"))
    starts = [(re.sub(r"[↑↓]", "", m[0]), m.start()) for m in re.finditer(r"\S+", head)]
    names = [name for name, _ in starts]
    cells: list[dict[str, str]] = []
    end = at + 1
    while end < len(lines) and lines[end].text.strip() and not lines[end].fence and end - at < _MOST_ROWS:
        row = lines[end].text
        words = row.split()
        if len(words) != len(names):
            ends = [*(s for _, s in starts[1:]), len(row) + 1]
            words = [row[s:e].strip() for (_, s), e in zip(starts, ends, strict=True)]
        cells.append(dict(zip(names, words, strict=True)))
        end += 1
    for cell in cells:
        since = cell.pop("LAST_RESTART", "")
        if since[:1].isdigit() and cell.get("RESTARTS", "0") != "0":
            cell["RESTARTS"] = f"{cell['RESTARTS']} ({since} ago)"
    if "READY" in names and "STATUS" in names:
        names = [n for n in _ORDER if n in names]
    else:
        names = [n for n in names if n != "LAST_RESTART"]
    return _printed(lines, at, names, cells), end


def _of_console(lines: Sequence[Line], at: int, namespace: str) -> tuple[list[Line], int] | None:
    head = [c.strip() for c in re.split(r"\t|\s{2,}", lines[at].text.strip())]
    names = [_COLUMNS.get(word.lower(), "") for word in head]
    known = set(names)
    # kubectl's own heads are in capitals.
    if not {"NAME", "STATUS"} <= known or not known & {"RESTARTS", "READY"} or lines[at].text.isupper():
        return None
    cells: list[dict[str, str]] = []
    end = at + 1
    while end < len(lines) and lines[end].text.strip() and not lines[end].fence and end - at < _MOST_ROWS:
        words = [c.strip() for c in re.split(r"\t|\s{2,}", lines[end].text.strip())]
        if len(words) != len(names):
            break
        row = {name: word for name, word in zip(names, words, strict=True) if name}
        row["STATUS"] = _WORDS.get(row["STATUS"], row["STATUS"]).replace(" ", "")
        ready = row.get("READY", "")
        if _RATIO.match(ready):
            row["READY"] = ready.replace(" ", "")
        else:
            # Without the column a pod of a known fault counts as one container that is not ready.
            row["READY"] = "0/1" if _NOT_READY.fullmatch(row["STATUS"]) else "1/1"
        row.setdefault("RESTARTS", "0")
        row["AGE"] = row.get("AGE", "").replace(" ", "") or "<unknown>"
        if namespace:
            row.setdefault("NAMESPACE", namespace)
        cells.append(row)
        end += 1
    if not cells:
        return None
    there = [n for n in _ORDER if any(row.get(n) for row in cells)]
    return _printed(lines, at, there, cells), end


def _printed(lines: Sequence[Line], at: int, names: Sequence[str], cells: Sequence[dict[str, str]]) -> list[Line]:
    """Print a table as kubectl does; lines keep their numbers, and what follows is parted by an empty one."""
    rows = [list(names), *([row.get(n, "") or "<none>" for n in names] for row in cells)]
    widths = [max(map(len, column)) + 3 for column in zip(*rows, strict=True)]
    return [
        replace(lines[at + i], text="".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
        for i, row in enumerate(rows)
    ]
