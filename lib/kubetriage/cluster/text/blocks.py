"""Parts a pasted text into blocks: describes, tables, documents, logs, and the prose between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kubetriage.cluster.text.commands import Command, read_command
from kubetriage.cluster.text.lines import Line
from kubetriage.cluster.text.tables import is_header
from kubetriage.readers.logs.layers import is_journal_line
from kubetriage.records import dataclass, field
from kubetriage.typed import Literal
from kubetriage.values.patterns import lazy

Kind = Literal["describe", "table", "document", "log", "journal", "answer", "words"]

_FILE = lazy(r"\s*==> (\S.{0,400}?) <==\s*\Z")
_NAME = lazy(r"\s*Name:\s+\S")
_TOP_KEY = lazy(r"[A-Z][\w /().-]{0,80}:(?:\s|\Z)")
_FRAGMENT = lazy(
    r"\s*(?:Containers|Init Containers|Conditions|Events|State|Last State|Volumes|Tolerations|QoS Class|Node-Selectors"
    r"|Restart Count|Exit Code|Limits|Requests|Liveness|Readiness|Startup|Pod Template|Non-terminated Pods"
    r"|Allocated resources|System Info|Controlled By|Start Time|Taints|Container ID|Pods Status(?:es)?)"
    r":(?:\s|\Z)|\s*Status: +(?:Failed|Pending|Running|Succeeded)(?: \(\w{1,40}\))?\Z"
)
"""Keys of describe that begin a part of one; nobody else writes them so."""
_DOCUMENT = lazy(
    r"\s*(?:- )?(?:apiVersion: \S|kind: [A-Z]\w+\s*\Z|metadata:\s*\Z|status:\s*\Z|spec:\s*\Z|containerStatuses:\s*\Z"
    r"|initContainerStatuses:\s*\Z|containers:\s*\Z|initContainers:\s*\Z|conditions:\s*\Z|lastState:\s*\Z|state:\s*\Z"
    r"|resources:\s*\Z|livenessProbe:\s*\Z|readinessProbe:\s*\Z|startupProbe:\s*\Z|volumes:\s*\Z|template:\s*\Z"
    r"|securityContext:\s*\Z|items:\s*\Z)"
)
_JSON = lazy(
    r"\s*(?:[\[{]\s*\Z|\[?\{\s*\"(?:apiVersion|kind|metadata|status|spec|items|lastState|state|containerID"
    r"|containerStatuses|allocatedResources|terminated|waiting|exitCode|lastProbeTime|conditions)\")"
)
_YAML_ROW = lazy(r"\s*(?:- |-\Z|[\w.\"'/~-][\w.\"'/ ~$()-]{0,253}:(?:\s|\Z)|[}\]],?\s*\Z|#|---|\.\.\.)")
_ANSWER = lazy(
    r"\s*(?:Error from server(?: \(\w+\))?: |No resources found|error: |The connection to the server "
    r"|Unable to connect)"
)
_LOG_ROW = lazy(
    r"\s{0,12}(?:\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d|[IWEF]\d{4} \d\d:\d\d:\d\d|\[?\d\d:\d\d:\d\d[\].,: ]"
    r"|\[\d{4}[-/]\d\d[-/]\d\d|\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|SEVERE)\b"
    r"|(?:time|ts|level)=|\{\"|Traceback \(most|panic: |goroutine \d|fatal error: |Exception in thread|Caused by: "
    r"|at [\w.$<>/]{1,200}\(|npm ERR!|npm error|File \"[^\"]{1,300}\", line \d|\d{1,2}/\w{3}/\d{4}"
    r"|\d{4}/\d\d/\d\d|\[pod/|(?:java|javax|org|com|io)\.[\w.$]{3,200}(?:Exception|Error)\b"
    r"|Stream closed (?:EOF|BY EOF|due to) |node:internal/"
    r"|[\w./-]{1,60}: (?:error|fatal|line \d{1,6}:)|\w{1,60}(?:Error|Exception): )"
)


# Lines of a trace that follow an empty one: V8 prints the throwing line, an empty one, and then the error.
_GOES_ON = lazy(
    r"(?:Error|\w{1,60}(?:Error|Exception))(?: \[\w{1,80}\])?: |\s+at [\w.$<>]|Node\.js v\d|\}\Z|Caused by: |Traceback "
)
# Names of objects, of rows that were left out, and of what zap and rollout print below a header.
_CELL = lazy(r"\s*(?:[a-z0-9*.…\[(<][^\s]*|\S+/\S+)(?:\s|\Z)")


def _is_row(row: str, table: Block) -> bool:
    """Tell whether a line may be a row of a table that lists objects: names of objects begin with a small letter."""
    head = table.lines[0].text.lstrip()
    return not head.startswith("NAME") or _CELL.match(row) is not None


@dataclass
class Block:
    """Lines that belong together."""

    kind: Kind
    lines: list[Line] = field(default_factory=list)
    command: Command | None = None
    """The command line above, whose answer this is."""
    heading: str = ""
    """The name of a file that ``tail`` or a person put above."""
    fenced: bool = False

    @property
    def first(self) -> int:
        """Number of the first line."""
        return self.lines[0].number if self.lines else 0

    @property
    def last(self) -> int:
        """Number of the last line that is not empty."""
        return next((line.number for line in reversed(self.lines) if line.text.strip()), self.first)

    @property
    def rows(self) -> list[str]:
        """The lines' texts."""
        return [line.text for line in self.lines]


def blocks(lines: Sequence[Line]) -> list[Block]:
    """Part a text; blocks without a word are left out."""
    return [b for b in _Scanner(lines).run() if b.kind == "log" or any(line.text.strip() for line in b.lines)]


class _Scanner:
    """Walks through the lines once; looks ahead a bounded way."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.block: Block | None = None
        self.command: Command | None = None
        self.heading = ""
        self.asked: Line | None = None
        """The line of a command of which no answer was seen yet."""
        self.fenced = False
        self.indent = 0
        self.blank = True
        self.data = False
        """In the describe of a ConfigMap, below ``Data``: anything may stand there."""

    def run(self) -> Iterator[Block]:
        for at, line in enumerate(self.lines):
            if line.fence:
                yield from self._unanswered()
                yield from self._end()
                self.fenced = not self.fenced
                if not self.fenced:
                    self.command, self.heading = None, ""
                continue
            row = line.text
            if (named := _FILE.match(row)) is not None:
                yield from self._end()
                self.heading, self.command = named[1], None
                continue
            if not self._inside_document(row) and (command := read_command(row)) is not None:
                yield from self._unanswered()
                yield from self._end()
                self.command, self.heading, self.asked = command, "", line
                continue
            yield from self._take(at, line, row)
            self.blank = not row.strip()
        yield from self._end()

    def _unanswered(self) -> Iterator[Block]:
        """Yield the empty log of a command that printed nothing before the next one."""
        if self.asked is not None and self.command is not None and self.command.verb == "logs":
            yield Block("log", [Line(self.asked.number, "")], self.command)
        self.asked = None

    def _inside_document(self, row: str) -> bool:
        """Tell whether a line belongs to a document of YAML or JSON, whatever it looks like."""
        indent = len(row) - len(row.lstrip(" "))
        return self.block is not None and self.block.kind == "document" and indent > self.indent

    def _end(self) -> Iterator[Block]:
        if self.block is not None:
            yield self.block
        self.block, self.data, self.blank = None, False, True

    def _open(self, kind: Kind, line: Line) -> None:
        self.block = Block(kind, [line], self.command, self.heading, self.fenced)
        self.asked = None
        self.indent = len(line.text) - len(line.text.lstrip(" "))

    def _take(self, at: int, line: Line, row: str) -> Iterator[Block]:
        block = self.block
        if block is not None and self._goes_on(at, row, block):
            block.lines.append(line)
            if row.strip() in ("Data", "BinaryData") and block.kind == "describe":
                self.data = True
            return
        kind = self._begins(row)
        if block is not None and kind == "words" and block.kind == "words":
            block.lines.append(line)
            return
        yield from self._end()
        if row.strip():
            self._open(kind, line)

    @property
    def _is_log(self) -> bool:
        """The command above prints a log, so whatever stands below is one."""
        if self.heading and re.search(r"(?:log|journal|messages|syslog|\.txt)\b", self.heading):
            return True
        c = self.command
        return c is not None and (c.verb == "logs" or c.tool in ("journalctl", "dmesg", "stern", "talosctl"))

    def _begins(self, row: str) -> Kind:
        stripped = row.strip()
        if _ANSWER.match(row):
            return "answer"
        if self._is_log:
            assert self.command is not None or self.heading
            machine = self.command is not None and self.command.tool in ("journalctl", "dmesg")
            return "journal" if machine else "log"
        if is_header(row):
            return "table"
        if _NAME.match(row) or _FRAGMENT.match(row):
            return "describe"
        if is_journal_line(row):
            return "journal"
        if _DOCUMENT.match(row) or _JSON.match(row):
            return "document"
        if stripped and self.asked is not None and (part := self._part_asked(row)) is not None:
            return part
        if stripped and _LOG_ROW.match(row):
            return "log"
        return "words"

    def _part_asked(self, row: str) -> Kind | None:
        """Return what the first line below a command is a part of, where grep left a part of the answer."""
        c = self.command
        if c is None or not c.chosen:
            return None
        if c.verb == "get" and c.output.startswith(("yaml", "json")) and _YAML_ROW.match(row):
            return "document"
        return "describe" if c.verb == "describe" and _TOP_KEY.match(row.strip()) else None

    def _goes_on(self, at: int, row: str, block: Block) -> bool:
        stripped = row.strip()
        if block.kind == "answer":
            return False
        if block.kind == "table":
            return bool(stripped) and not is_header(row) and not _ANSWER.match(row) and _is_row(row, block)
        if block.kind in ("log", "journal") and self._is_log:
            return not (_NAME.match(row) and self._describes(at))
        if not stripped:
            # jcmd parts its categories with empty lines.
            return block.kind != "words" or self.fenced or any("Native Memory Tracking" in r for r in block.rows[:4])
        if block.kind == "describe":
            return self._describe_goes_on(at, row)
        if block.kind == "document":
            return self._document_goes_on(row, block)
        if block.kind == "journal":
            return is_journal_line(row) or not (self.blank or self._begins(row) in ("describe", "table", "document"))
        if block.kind == "log":
            kind = self._begins(row)
            if kind in ("describe", "table", "document") and (kind != "document" or _DOCUMENT.match(row)):
                return False
            return kind == "log" or not self.blank or self.fenced or _GOES_ON.match(row) is not None
        return self._begins(row) == "words"

    def _describes(self, at: int) -> bool:
        """Tell whether a describe begins here: the first keys of every kind are these."""
        following = [line.text.strip() for line in self.lines[at + 1 : at + 3]]
        return any(f.startswith(("Namespace:", "Labels:", "Roles:", "StorageClass:", "Priority:")) for f in following)

    def _describe_goes_on(self, at: int, row: str) -> bool:
        indent = len(row) - len(row.lstrip(" "))
        if _NAME.match(row) and indent <= self.indent and (self.blank or self._describes(at)):
            return False
        if self.data:
            return True
        if indent > self.indent:
            return not (self.blank and is_header(row))
        if is_header(row):
            return False
        if self._begins(row) == "log":
            return self._returns(at)
        if _TOP_KEY.match(row.strip()) or row.strip() in ("Data", "BinaryData", "====", "=========="):
            return not (self.blank and _DOCUMENT.match(row))
        if self.blank or self._begins(row) in ("table", "journal", "answer"):
            return self._returns(at)
        return True

    def _returns(self, at: int) -> bool:
        """Tell whether the describe goes on behind a message of several lines, which kubectl does not indent."""
        for line in self.lines[at : at + 80]:
            if line.fence or _NAME.match(line.text):
                return False
            if re.match(r" {4,}(?:Exit Code|Signal|Started|Finished):", line.text):
                return True
        return False

    def _document_goes_on(self, row: str, block: Block) -> bool:
        indent = len(row) - len(row.lstrip(" "))
        if indent > self.indent:
            return True
        head = block.lines[0].text.lstrip()
        if head[:1] in "{[":
            return True
        return bool(_YAML_ROW.match(row)) and not is_header(row) and not _NAME.match(row)
