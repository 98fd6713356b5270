"""The documents that people read: links lead somewhere, the README stays short."""

from __future__ import annotations

import re

import pytest

from support.offline import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?P<a>[^)#\s]+)[^)]*\)|(?:srcset|src)=\"(?P<b>[^\"]+)\"")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page):
    dead = [
        target
        for match in LINK.finditer(page.read_text(encoding="utf-8"))
        if (target := match["a"] or match["b"]) and "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []


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
