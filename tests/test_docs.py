"""The documents that people read: links lead somewhere, the README stays short."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from kubetriage.cli.command import build
from kubetriage.plugins import PLUGINS, codes, load
from support.offline import ROOT

sys.path.append(str(ROOT / "docs"))
from symptoms import SYMPTOMS  # a table beside the pages that it is for

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?P<a>[^)\s]+)(?: \"[^\"]*\")?\)|(?:srcset|src)=\"(?P<b>[^\"]+)\"")


HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def prose(text: str) -> str:
    """Leave out what is quoted: blocks and spans of code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^(```+).*?^\1 *$", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page has where it is rendered."""
    text = re.sub(r"^(```+).*?^\1 *$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = set()
    for heading in HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def flaws(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere; of links to elsewhere only the form is looked at."""
    found = []
    for match in LINK.finditer(prose(page.read_text(encoding="utf-8"))):
        target = match["a"] or match["b"]
        parts = urlsplit(target)
        if parts.scheme:
            if parts.scheme != "https" or not _HOST.fullmatch(parts.netloc):
                found.append(target)
            continue
        file = page.parent / parts.path if parts.path else page
        if not file.exists() or (parts.fragment and parts.fragment not in anchors(file)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert flaws(page) == []


@pytest.mark.parametrize(
    ("link", "good"),
    [
        ("[a](other.md)", True),
        ("[a](other.md#two-words)", True),
        ("[a](#here)", True),
        ("[a](https://example.com/x#y)", True),
        ("`[a](nowhere.md)`", True),
        ("[a](nowhere.md)", False),
        ("[a](other.md#missing)", False),
        ("[a](#there)", False),
        ("[a](http://example.com)", False),
        ("[a](https://exa mple)", True),
        ("[a](https://example)", False),
    ],
)
def test_a_dead_link_is_seen(tmp_path, link, good):
    (tmp_path / "other.md").write_text("# Two words!\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"# Here\n\n{link}\n", encoding="utf-8")
    assert (flaws(page) == []) is good


CALL = re.compile(rf"kubectl ({'|'.join(PLUGINS)})((?: [^|;&#`\n]*)?)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_documents_have_flags_that_exist(page):
    unknown = []
    for name, rest in CALL.findall(page.read_text(encoding="utf-8")):
        known = {flag for option in build(load(name)).params for flag in option.opts} | {"-h", "--help"}
        unknown += [
            f"{name} {flag}"
            for flag in re.findall(r"(?<= )(--[a-z][a-z-]*|-[a-zA-Z])(?=[ =]|$)", rest)
            if flag not in known
        ]
    assert unknown == []


def test_every_cause_has_a_symptom():
    known = {code for name in PLUGINS for rule in load(name).rules for code in codes(rule)}
    assert {code for symptom in SYMPTOMS for code in symptom.causes} == known
    assert all((ROOT / "docs" / "symptoms" / s.page).is_file() for s in SYMPTOMS if s.page)


def test_korean_has_every_page_by_symptom():
    english = {p.name for p in (ROOT / "docs" / "symptoms").glob("*.md")}
    korean = {p.name for p in (ROOT / "docs" / "ko" / "symptoms").glob("*.md")}
    assert english == korean
    for name in english:
        runs = [
            re.findall(r"<!-- run: (.*?)(?: --lang ko)? -->", (ROOT / folder / name).read_text(encoding="utf-8"))
            for folder in ("docs/symptoms", "docs/ko/symptoms")
        ]
        assert runs[0] == runs[1], name


def test_the_plugins_of_k9s_call_commands_that_exist():
    content = yaml.safe_load((ROOT / "docs" / "k9s-plugins.yaml").read_text(encoding="utf-8"))
    plugins = content["plugins"]
    assert set(plugins) == set(PLUGINS)
    assert len({p["shortCut"] for p in plugins.values()}) == len(plugins)
    for name, plugin in plugins.items():
        assert set(plugin) == {"shortCut", "description", "scopes", "command", "background", "args"}
        assert plugin["scopes"]
        assert plugin["args"][0] == "-c"
        assert plugin["args"][1].startswith(f"kubectl {name} ")
        done = subprocess.run(["sh", "-n", "-c", plugin["args"][1]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_readme_is_short_and_names_the_two_commands(name):
    content = (ROOT / name).read_bytes()
    assert len(content) < 6 * 1024
    assert b"make demo" in content
    assert b"make test" in content


def test_every_walkthrough_is_there_in_korean_too():
    english = {p.name for p in (ROOT / "docs" / "walkthroughs").glob("*.md")}
    korean = {p.name for p in (ROOT / "docs" / "ko" / "walkthroughs").glob("*.md")}
    assert english == korean
    assert len(english) == 5
