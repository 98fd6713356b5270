"""What the start scripts of well-known images give their JVM: an image in, its row of the dated table out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from kubetriage.data import table
from kubetriage.records import dataclass
from kubetriage.rules.memory.jvm_flags import parse_size
from kubetriage.typed import Any
from kubetriage.values.patterns import lazy

_COMPANION = lazy(
    r"(?:^|[-_])(?:operator|exporter|agent|bridge|connect|backup|init|proxy|admin|ui|tools|reloader)s?(?:[-_]|$)"
)
_KEYED = lazy(r"jvm\.(?:options|config)|jvm[\w-]{0,40}\.options|jvm\.options\.d")


@dataclass(frozen=True)
class ImageDefaults:
    """The start script of one image."""

    row: Mapping[str, Any]
    tag: str

    @property
    def label(self) -> str:
        """Name of the script for people."""
        return str(self.row["label"])

    @property
    def jdk(self) -> int | None:
        """Major version of the JDK in an image of this tag; None when the table does not know it."""
        for pattern, major in self.row.get("jdk", ()):
            if re.search(pattern, self.tag):
                return int(major)
        return None

    @property
    def options(self) -> tuple[str, ...]:
        """Options that the script passes where no variable says otherwise."""
        return tuple(str(self.row.get("options", "")).split())

    @property
    def auto(self) -> str:
        """How the script sizes the heap by itself, in words; empty where it does not."""
        return str(self.row.get("auto", ""))

    @property
    def variable(self) -> str:
        """Variable that takes the heap's flags."""
        return str(self.row.get("variable", ""))

    @property
    def equal(self) -> bool:
        """The program wants initial and maximum heap equal."""
        return bool(self.row.get("equal"))

    @property
    def direct_share(self) -> float | None:
        """Share of the heap that the script gives direct memory; None where it leaves that to the JVM."""
        share = self.row.get("direct_share")
        return float(share) if share is not None else None

    def replaced_by(self, environment: Mapping[str, object]) -> bool:
        """Tell whether a variable replaces the script's own options."""
        return any(name in environment for name in self.row.get("unless", ()))

    def from_variable(self, name: str, value: str) -> tuple[str, ...]:
        """Return the options that a variable becomes."""
        form = self.row.get("variables", {}).get(name)
        if form is None and self.row.get("numbered") and re.fullmatch(self.row["numbered"], name):
            form = "{0}"
        if form is None:
            return ()
        if form == "{0}" or parse_size(value) is not None or value.isdigit():
            return tuple(str(form).format(value).split())
        return ()

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables that become options."""
        return tuple(self.row.get("variables", {}))

    @property
    def processes(self) -> tuple[tuple[str, str, str], ...]:
        """Further JVMs in the container: name, variable, default options."""
        return tuple((str(n), str(v), str(d)) for n, v, d in self.row.get("processes", ()))

    @property
    def sizes(self) -> tuple[tuple[str, str], ...]:
        """Areas outside the JVM's own that a variable sizes: name and variable."""
        return tuple((str(a), str(v)) for a, v in self.row.get("sizes", ()))


@lru_cache(maxsize=4096)
def image_defaults(image: str) -> ImageDefaults | None:
    """Return the defaults of an image's start script; None for an image that the table does not know."""
    name = image.partition("@")[0]
    head, sign, tail = name.rpartition(":")
    path, tag = (head, tail) if sign and "/" not in tail else (name, "")
    companion = _COMPANION.search(path.rpartition("/")[2])
    for row in table("image_memory_defaults")["images"]:
        if companion and not row.get("companion"):
            continue
        if re.fullmatch(row["image"], path.lower()) and re.search(row.get("tag", ""), tag):
            return ImageDefaults(row, tag)
    return None


def reads_file(key: str) -> bool:
    """Tell whether a file of this name holds JVM options, one a line (``jvm.options``, ``jvm.config``)."""
    return bool(_KEYED.search(key))
