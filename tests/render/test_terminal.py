import pytest

from kubetriage.render.terminal import Terminal, carries_drawings, wants_color


@pytest.mark.parametrize(
    ("when", "environ", "is_terminal", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"CLICOLOR_FORCE": "0"}, False, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_follows_flag_then_environment_then_terminal(when, environ, is_terminal, wanted):
    assert wants_color(when, environ, is_terminal) is wanted


def test_drawings_keep_their_shape_in_ascii():
    drawn = "svc/web → 2/3 pods █▓░│"
    plain = Terminal(unicode=False).plain(drawn)
    assert plain.isascii()
    assert len(plain) == len(drawn)
    assert Terminal().plain(drawn) == drawn


@pytest.mark.parametrize(
    ("encoding", "environ", "drawn"),
    [
        ("utf-8", {}, True),
        ("UTF-8", {"LANG": "C.UTF-8"}, True),
        ("utf-8", {"LANG": "C"}, False),
        ("utf-8", {"LC_ALL": "POSIX", "LANG": "ko_KR.UTF-8"}, False),
        ("utf-8", {"LC_ALL": "", "LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, True),
        ("euc_kr", {}, False),
        (None, {}, False),
    ],
)
def test_ascii_where_the_stream_or_the_locale_has_no_more(encoding, environ, drawn):
    assert carries_drawings(encoding, environ) is drawn
