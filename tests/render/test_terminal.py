import pytest

from kubetriage.render.terminal import Terminal, wants_color


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
