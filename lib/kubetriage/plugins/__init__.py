"""The plugins: what each one asks, reads and answers.

A plugin is a value of :class:`Plugin` named ``PLUGIN`` in a module of this package, and one line in
:data:`PLUGINS`. Modules are loaded by name so that one executable does not pay for the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import ModuleType

from kubetriage.model import Diagnosis, NotSeen, Table
from kubetriage.needs import Get, List, Log, Need
from kubetriage.records import dataclass, field
from kubetriage.typed import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from kubetriage.snapshot import Snapshot

PLUGINS: tuple[str, ...] = ("why-crash", "oom-budget", "svc-trace", "node-triage", "plane-trace", "triage")
"""Names of all executables, in the order of the documentation."""
EXPLAINING = ("node-triage", "plane-trace", "why-crash", "svc-trace")
"""Plugins that know what kubectl's own error lines mean (``Plugin.explains``), the more particular one first."""


@dataclass(frozen=True)
class Option:
    """A flag of one plugin, beside the shared ones."""

    flag: str
    """Long name with dashes, for example ``--threads``; its value is ``Request.options["threads"]``."""
    help: str
    kind: Literal["flag", "text", "integer", "number", "duration", "choice", "file", "manifest"] = "flag"
    """``duration`` takes kubectl's ``5s``, ``1m`` or seconds and arrives as float seconds. ``file`` and ``manifest``
    take a path or ``-`` for stdin; the first arrives as the file's text, the second as the list of its YAML or JSON
    documents. With a manifest nothing is read from a cluster."""
    default: Any = None
    choices: tuple[str, ...] = ()
    metavar: str = ""
    multiple: bool = False
    """May be given several times; the value is a tuple."""
    short: str = ""
    """One-letter form with its dash, for example ``-f``."""


KILLS_ONLY = "kills_only"
"""Option that triage gives oom-budget: answer in a scan about pods that were killed or evicted for memory only."""
ANY_KIND = "any"
"""Resource of a :class:`Target` whose kind no table knows."""


@dataclass(frozen=True)
class Target:
    """One object that the user named."""

    resource: str
    """Plural resource name; ``url`` for a URL or host where the plugin accepts one, :data:`ANY_KIND` for a kind that
    is not known."""
    name: str
    kind: str = ""
    """TYPE as typed, where the resource is :data:`ANY_KIND`."""
    guessed: bool = field(default=False, compare=False)
    """The user gave a NAME only: the resource is the plugin's default."""


def silent(_what: str, _come: int, _total: int | None) -> None:
    """Tell nobody how far something is."""


@dataclass(frozen=True)
class Request:
    """What the user asked."""

    targets: tuple[Target, ...] = ()
    """Empty: all objects of the plugin's default resource in the namespace (a scan)."""
    namespace: str = "default"
    """Empty with ``all_namespaces``."""
    all_namespaces: bool = False
    selector: str = ""
    field_selector: str = ""
    container: str = ""
    show_all: bool = False
    """``--all``: healthy objects of a scan too."""
    fold: bool = False
    """A scan tells one fault once, with how many objects it concerns."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Values of the plugin's own options by name without dashes, ``-`` as ``_``."""
    earlier: tuple[tuple[datetime, Mapping[Any, int]], ...] = ()
    """With ``--watch``: what former looks measured, the oldest first, each with its moment."""
    follows: bool = False
    """With ``--watch``: the answer is made again on every change."""
    tell: Callable[[str, int, int | None], None] = field(default=silent, compare=False, repr=False)
    """Told how many of so many objects (None: not known) were judged, where there may be thousands."""

    @property
    def is_scan(self) -> bool:
        """The user named no object."""
        return not self.targets


@dataclass(frozen=True)
class Answer:
    """What a plugin says."""

    diagnoses: tuple[Diagnosis, ...] = ()
    errors: tuple[str, ...] = ()
    """Targets that could not be answered, in kubectl's words without a prefix of ours; exit code 1."""
    checked: int = 0
    """In a scan: how many objects were looked at, the healthy ones included."""
    not_seen: tuple[NotSeen, ...] = ()
    """In a scan: what was not seen of the namespace or cluster as a whole, once for all objects."""
    overview: tuple[Table, ...] = ()
    """In a scan: tables about all objects together, shown above the findings."""
    measured: Mapping[Any, int] = field(default_factory=dict)
    """What this look measured, for ``Request.earlier`` of the next one."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """In a scan: further top-level keys of the JSON contract, for all objects together."""


@dataclass(frozen=True)
class Access:
    """One RBAC rule that the plugin profits from."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    """What the plugin cannot say without it."""
    required: bool = False


def no_guesses(_request: Request, _snapshot: Snapshot) -> Iterable[Need]:
    """Guess nothing: what to read is all that the plan tells."""
    return ()


def reads_objects(_: Snapshot, need: Need) -> bool:
    """Tell whether a need is about objects of the API or what programs wrote; figures and versions only refine."""
    return isinstance(need, Get | List | Log)


@dataclass(frozen=True)
class Plugin:
    """One executable ``kubectl-NAME``."""

    name: str
    """Kebab-case, without the ``kubectl-`` prefix."""
    summary: str
    """At most 50 characters, no trailing period (krew's shortDescription)."""
    description: str
    usage: str
    """Arguments as in a usage line, for example ``(POD | TYPE/NAME ...)``."""
    examples: tuple[tuple[str, str], ...]
    """Comment and command line, shown first in ``--help``."""
    default_resource: str
    """Plural name of the resource that a bare NAME means."""
    resources: tuple[str, ...]
    """Plural names of the resources that TYPE/NAME accepts."""
    plan: Callable[[Snapshot, Request], Iterable[Need]]
    """Say what to read next, given what is known. Asked again until it needs nothing new; the needs that stay
    without an answer become the "not seen" lines."""
    diagnose: Callable[[Snapshot, Request], Answer]
    access: tuple[Access, ...]
    options: tuple[Option, ...] = ()
    known_rules: Callable[[], tuple[ModuleType, ...]] = tuple
    """Return all its rule modules (``CODE`` or ``CODES``, docstring), in the order of the documentation; called only
    where causes are listed, since a run imports rules while it waits for the first answer."""
    guesses: Callable[[Request, Snapshot], Iterable[Need]] = no_guesses
    """Say what the plan of a look at named objects will most likely ask for, before anything is known and again when
    more is. A live reader asks for it at once; a guess that nothing asks for afterwards costs a request and tells
    nothing."""
    accepts_urls: bool = False
    accepts_any_kind: bool = False
    """TYPE/NAME may name a kind that ``values.resources`` does not know."""
    scan_without_target: bool = True
    """A call without arguments scans the namespace; otherwise it is a usage error."""
    watches: tuple[str, ...] = ()
    """Plural names of the resources whose changes make ``--watch`` answer again; empty: there is no ``--watch``."""
    waits: bool = False
    """Takes ``--wait``: it can tell of a named object whether it has what its spec asks for."""
    no_answer: Callable[[str, str], Diagnosis] | None = None
    """Say what it means that the API server gave no answer: the error in kubectl's words and the server's URL go in."""
    explains: Callable[[str], Diagnosis | None] | None = None
    """Say what one line means in which kubectl reported an error, where a paste holds nothing else; None where the line
    is not about what the plugin looks at."""
    decides: Callable[[Snapshot, Need], bool] = reads_objects
    """Tell whether a fault could hide behind a need that has no answer: a scan that found nothing is then undecided."""
    prints: Callable[[Request], str] | None = None
    """Return a text that an option asks for and that needs no cluster (alert rules); empty to answer as usual."""
    takes_targets: bool = True
    """False: the plugin is about the cluster as a whole, so any TYPE, NAME, ``-l``, ``-A`` or ``-n`` makes no sense
    and a TYPE or NAME is a usage error; a call without arguments is its one form (``scan_without_target``)."""

    @property
    def rules(self) -> tuple[ModuleType, ...]:
        """All its rule modules."""
        return self.known_rules()


def later(module: str, name: str) -> Callable[..., Any]:
    """Return a function that imports ``module`` when it is first called, and calls its function ``name``."""

    def call(*values: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*values)

    return call


def codes(rule: ModuleType) -> tuple[str, ...]:
    """Return the cause codes that a rule finds: ``CODES`` of a rule for a family of conditions, else its ``CODE``."""
    many: Mapping[str, str] = getattr(rule, "CODES", {})
    return tuple(many) or (rule.CODE,)


def load(name: str) -> Plugin:
    """Return the plugin called ``name``."""
    module = importlib.import_module("kubetriage.plugins." + name.replace("-", "_"))
    plugin = module.PLUGIN
    assert isinstance(plugin, Plugin)
    return plugin
