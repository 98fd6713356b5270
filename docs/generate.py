"""Writes everything that follows from the tables of plugins and rules; ``--check`` only compares.

Sources: lib/kubetriage/plugins, the docstrings of the rules, and the bundled recordings. Results: the pages of
causes and their index, the help pages, the ClusterRole, the executables, their console_scripts in setup.cfg, the krew
manifests, the pictures of README.md, and the answers that pages in docs quote.
"""

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib"), str(ROOT / "docs")]

import click  # noqa: E402
import pattern_literals  # noqa: E402
import real_clusters  # noqa: E402
import symptoms  # noqa: E402
from examples import examples  # noqa: E402
from screenshot import svg  # noqa: E402

import kubetriage  # noqa: E402
from kubetriage.cli.collect import collect  # noqa: E402
from kubetriage.cli.command import build  # noqa: E402
from kubetriage.cli.main import main as main_of  # noqa: E402
from kubetriage.cluster.recorded import RecordedReader  # noqa: E402
from kubetriage.plugins import PLUGINS, Plugin, Request, Target, codes, load  # noqa: E402
from kubetriage.render.catalog import languages, words_of  # noqa: E402
from kubetriage.render.causes import cause_page, read_page  # noqa: E402
from kubetriage.render.terminal import Terminal  # noqa: E402
from kubetriage.render.text import render_text  # noqa: E402

EXECUTABLE = ROOT / "docs" / "executable.py.in"
ROLES = ("kubectl", "kubectl_complete")
"""What an executable does: answer, or complete a command line."""


def main() -> int:
    """Write or compare all generated files."""
    check = "--check" in sys.argv[1:]
    # Answers in pages are in the language that their command names, whoever writes them.
    os.environ["LC_ALL"] = "C.UTF-8"
    plugins = [load(name) for name in PLUGINS]
    wanted = generated(plugins)
    links = {path: target for plugin in plugins for path, target in kubectl_links(plugin).items()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    stale += [path for path, target in links.items() if not path.is_symlink() or str(path.readlink()) != target]
    known = set(wanted) | set(links)
    folders = {path.parent for path in wanted} - {ROOT}
    written = {ROOT / "docs" / "causes", ROOT / "docs" / "commands", ROOT / "kubectl-plugins"}
    orphans = sorted(p for folder in folders & written if folder.is_dir() for p in folder.iterdir() if p not in known)
    if check:
        for path in [*stale, *orphans]:
            print(f"stale: {path.relative_to(ROOT)}; run make generate", file=sys.stderr)
        return 1 if stale or orphans else 0
    for path in orphans:
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if path.parent.name == "kubectl-plugins":
            path.chmod(0o755)
    for path, target in links.items():
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    return 0


def generated(plugins: list[Plugin]) -> dict[Path, str]:
    """Return the content of every generated file."""
    files: dict[Path, str] = {}
    files[ROOT / "lib" / "kubetriage" / "values" / "pattern_literals.py"] = pattern_literals.source()
    known = ROOT / "lib" / "kubetriage" / "rules" / "crash" / "known_errors"
    files[known / "literals.py"] = pattern_literals.source_of_known_errors()
    by_code: dict[str, list[tuple[str, ModuleType]]] = {}
    for plugin in plugins:
        for rule in plugin.rules:
            for code in codes(rule):
                by_code.setdefault(code, []).append((plugin.name, rule))
    shown = examples()
    for code, rules in by_code.items():
        files[ROOT / "docs" / "causes" / f"{code}.md"] = full_page(code, rules, shown.get(code, ""))
    for plugin in plugins:
        files[ROOT / "docs" / "commands" / f"{plugin.name}.md"] = help_page(plugin)
        for role in ROLES:
            files[ROOT / "kubectl-plugins" / f"{role}-{plugin.name}"] = EXECUTABLE.read_text(encoding="utf-8")
        files[ROOT / "krew-manifests" / f"{plugin.name}.yaml"] = krew_manifest(plugin)
    files[ROOT / "docs" / "rbac" / "clusterrole.yaml"] = cluster_role(plugins)
    names = [f"{role}-{name}" for p in plugins for name in dict.fromkeys((p.name, underscored(p))) for role in ROLES]
    scripts = "".join(f"    {name} = kubetriage.cli.main:console\n" for name in names)
    setup = ROOT / "setup.cfg"
    files[setup] = re.sub(
        r"(?<=console_scripts =\n)(?:    .*\n)+", lambda _: scripts, setup.read_text(encoding="utf-8")
    )
    access = ROOT / "docs" / "access.md"
    text = between(access.read_text(encoding="utf-8"), "rbac", f"```yaml\n{cluster_role(plugins)}```")
    files[access] = text
    index = "# Causes\n\nEvery finding bears one of these codes. [Pages by symptom](../symptoms/README.md).\n\n"
    index += symptoms.index() + "\n## By command\n\n"
    index += "\n".join(cause_table(p) for p in plugins if p.rules)
    files[ROOT / "docs" / "causes" / "README.md"] = index
    for language in languages():
        files |= pictures("secret-missing-env", "kubectl why-crash api", language)
    page = ROOT / "docs" / "real-clusters.md"
    files[page] = page.read_text(encoding="utf-8")
    for marker, table in real_clusters.tables().items():
        files[page] = between(files[page], marker, table)
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if page not in files and RUN.search(page.read_text(encoding="utf-8")):
            files[page] = with_answers(page.read_text(encoding="utf-8"))
    return files


def full_page(code: str, rules: list[tuple[str, ModuleType]], example: str) -> str:
    """Write the page of a cause with what people see of it, and an answer of a recorded incident."""
    page = cause_page(code, rules)
    head, _, rest = page.partition("\n\n")
    rows = []
    for symptom in symptoms.symptoms_of(code):
        name = f"[{symptom.title}](../symptoms/{symptom.page})" if symptom.page else symptom.title
        rows.append(f"- {name}: {symptom.shown}\n")
    seen = f"**What you see.**\n\n{''.join(rows)}\n" if rows else ""
    return f"{head}\n\n{seen}{rest}" + (f"\n{example}" if example else "")


def pictures(scenario: str, command: str, language: str) -> dict[Path, str]:
    """Draw a reviewed answer as the README of a language shows it."""
    words = shlex.split(command)[1:]
    request = Request((Target("pods", words[-1]),), namespace=scenario, options={"max_logs": 50})
    snapshot, answer = collect(load(words[0]), request, RecordedReader(ROOT / "tests" / "captures" / scenario))
    shown = render_text(answer.diagnoses, Terminal(80, color=True, words=words_of(language)), now=snapshot.now)
    folder, mark = ROOT / "docs" / "screens", "" if language == "en" else f"-{language}"
    typed = command if language == "en" else f"{command} --lang {language}"
    return {folder / f"{words[0]}{mark}-{theme}.svg": svg(typed, shown, theme) for theme in ("light", "dark")}


RUN = re.compile(r"<!-- run: (?P<command>[^\n]*) -->\n```console\n.*?```", re.DOTALL)
"""A place for a command and its answer on a bundled recording: ``why-crash api -n oom-limit --from oom-limit``."""


def with_answers(text: str) -> str:
    """Put the present answer of each command into a page."""
    return RUN.sub(lambda m: f"<!-- run: {m['command']} -->\n```console\n{answer_of(m['command'])}```", text)


def answer_of(command: str) -> str:
    """Run a plugin on a bundled recording and return what a reader would type and see."""
    words = shlex.split(command)
    at = words.index("--from")
    typed = shlex.join([*words[:at], *words[at + 2 :]])
    recording = str(ROOT / "tests" / "captures" / words[at + 1])
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="utf-8") as out, contextlib.redirect_stdout(out):
        main_of(words[0], [*words[1:at], "--from", recording, *words[at + 2 :]])
        out.flush()
        shown = written.getvalue().decode("utf-8")
    return f"$ kubectl {typed}\n{shown}"


def krew_manifest(plugin: Plugin) -> str:
    """Write a plugin's krew manifest; the checksum is that of the last release, zeros before the first."""
    package = runpy.run_path(str(ROOT / "krew-manifests" / "package.py"))
    committed = ROOT / "krew-manifests" / f"{plugin.name}.yaml"
    text = committed.read_text(encoding="utf-8") if committed.exists() else ""
    version = re.search(r"^  version: v(.*)$", text, re.MULTILINE)
    digest = re.search(r"^    sha256: \"([0-9a-f]{64})\"$", text, re.MULTILINE)
    written: str = package["manifest"](
        plugin, version[1] if version else kubetriage.__version__, digest[1] if digest else "0" * 64
    )
    return written


def kubectl_links(plugin: Plugin) -> dict[Path, str]:
    """Return the links beside a plugin's executables, each with its target.

    kubectl looks on PATH for ``kubectl-why_crash`` when the user types ``kubectl why-crash``. A name without a dash
    is the same for both.
    """
    if underscored(plugin) == plugin.name:
        return {}
    return {ROOT / "kubectl-plugins" / f"{role}-{underscored(plugin)}": f"{role}-{plugin.name}" for role in ROLES}


def underscored(plugin: Plugin) -> str:
    """Return the plugin's name as it stands in the file name that kubectl looks for."""
    return plugin.name.replace("-", "_")


def help_page(plugin: Plugin) -> str:
    """Write the help text of a plugin as a page."""
    command = build(plugin)
    context = click.Context(command, info_name=f"kubectl {plugin.name}", terminal_width=100)
    return f"# kubectl {plugin.name}\n\n```\n{command.get_help(context)}\n```\n"


def cause_table(plugin: Plugin) -> str:
    """Write the table of the causes that a plugin names."""
    seen: dict[str, str] = {}
    for rule in plugin.rules:
        for code in codes(rule):
            seen.setdefault(code, read_page(rule, code)[0].replace("\n", " ").rstrip("."))
    rows = "".join(f"| [{code}]({code}.md) | {summary} |\n" for code, summary in seen.items())
    return f"### kubectl {plugin.name}\n\n| cause | meaning |\n| --- | --- |\n{rows}"


def cluster_role(plugins: list[Plugin]) -> str:
    """Write a ClusterRole with everything that the plugins profit from."""
    lines = [
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: ClusterRole",
        "metadata:",
        "  name: kubetriage",
        "rules:",
    ]
    seen = set()
    for plugin in plugins:
        for access in plugin.access:
            key = (access.groups, access.resources, access.verbs)
            if key in seen:
                continue
            seen.add(key)
            need = "required" if access.required else "optional"
            lines.append(f"# {plugin.name} ({need}): {access.why}")
            if access.resources and access.resources[0].startswith("/"):
                lines.append(f"- nonResourceURLs: {_flow(access.resources)}")
            else:
                lines += [f"- apiGroups: {_flow(access.groups)}", f"  resources: {_flow(access.resources)}"]
            lines.append(f"  verbs: {_flow(access.verbs)}")
    return "\n".join(lines) + "\n"


def _flow(words: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def between(text: str, marker: str, content: str) -> str:
    """Replace what stands between the markers ``<!-- MARKER:begin -->`` and ``<!-- MARKER:end -->``."""
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    return f"{head}{begin}\n{content.rstrip()}\n{end}{tail}"


if __name__ == "__main__":
    sys.exit(main())
