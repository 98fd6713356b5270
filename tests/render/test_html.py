import re

import pytest

from kubetriage.render.html import render_html
from kubetriage.render.svg import memory_bars
from kubetriage.values.times import parse_time
from support.pages import EVIL, hostile, read
from support.reviewed import SNAPSHOTS, answered

NOW = parse_time("2026-11-23T22:20:00Z")


def test_nothing_of_the_cluster_is_markup():
    page = read(render_html([hostile()], NOW, "1"))
    assert not page.tags & {"script", "img", "iframe", "link", "object"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert sum(EVIL in words for words in page.words) > 10


def test_a_page_needs_nothing_from_elsewhere():
    page = render_html([hostile()], NOW, "1")
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|<link", page)


@pytest.mark.parametrize("capture", sorted(p.stem for p in SNAPSHOTS.glob("*.html")))
def test_pages_nest_and_draw(capture):
    page = read(render_html(*answered(capture), "1"))
    assert {"svg", "article", "h1", "pre"} <= page.tags
    assert ("role", "img") in page.attributes


def test_memory_without_anything_to_compare_is_not_drawn():
    assert memory_bars({"limitBytes": 5, "areas": [], "ceilingBytes": None}) == ""
