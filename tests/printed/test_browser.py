"""A page of ``-o html`` in a real browser."""

import shutil
import subprocess

import pytest

from kubetriage.render.html import render_html
from support.pages import Reader, hostile
from support.reviewed import answered

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it_on_a_phone_and_runs_nothing(tmp_path, dark):
    page = tmp_path / "page.html"
    diagnoses, now = answered("cp-etcd-disk-stall")
    page.write_text(render_html([*diagnoses, hostile()], now, "1"), encoding="utf-8")
    picture = tmp_path / "page.png"
    base = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    base += ["--blink-settings=preferredColorScheme=0"] if dark else []

    def browse(*flags):
        done = subprocess.run([*base, *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done

    document = browse("--dump-dom").stdout
    assert "EtcdSlowDisk" in document
    # The browser's own reading of the page holds no script and no handler.
    seen = Reader()
    seen.feed(document)
    assert not seen.tags & {"script", "img"}
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    said = browse(f"--screenshot={picture}", "--window-size=390,2000").stderr
    assert "Refused to" not in said
    pixels = picture.read_bytes()
    assert pixels.startswith(b"\x89PNG")
    assert len(pixels) > 20_000
