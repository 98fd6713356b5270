import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from kubetriage.render.fold import ONE_EACH, columns
from kubetriage.render.table import fields, table, wrapped


def test_nothing_is_wrapped_without_a_width():
    text = table(["A", "B"], [["x" * 300, "one\ntwo"]])
    assert text.splitlines()[1] == "x" * 300 + "  one two"


def test_a_row_is_one_line_in_a_pipe_and_numbers_stay_words():
    assert table(["A", "B"], [["007", "1e5"], ["-", ""]]).splitlines() == ["A    B", "007  1e5", "-"]


def test_without_headers():
    assert table(["NAME", "CAUSE"], [["a", "b"]], headers=False) == "a  b"


@given(
    st.lists(
        st.tuples(st.text("ab", min_size=1, max_size=12), st.text("xyz ", max_size=300), st.text("uvw ", max_size=300)),
        min_size=1,
        max_size=4,
    ),
    st.integers(60, 160),
)
def test_lines_fit_the_terminal(rows, width):
    drawn = table(["NAME", "WHAT HAPPENED", "FIX"], rows, width, (1, 2))
    assert max(map(len, drawn.splitlines())) <= width


def test_wide_characters_align():
    rows = [["日本語", "x"], ["ab", "y"]]
    lines = table(["NAME", "B"], rows).splitlines()
    assert [wcswidth(line.split("x")[0].split("y")[0]) for line in lines[1:]] == [8, 8]


def test_times_and_names_stay_whole_where_there_is_room():
    rows = [["a long sentence that has many words " * 3, "2026-11-23T22:19:45Z"]]
    drawn = table(["WHAT", "SINCE"], rows, 70, (0, 1))
    assert "2026-11-23T22:19:45Z" in drawn


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        ("error: java.lang.NullPointerException: no", ["error: java.lang.", "NullPointerException:", "no"]),
        ("in registry.example.com/team/app:1", ["in", "registry.example.com/", "team/app:1"]),
        # Without a mark, wherever the column ends; never in the room that the word before left.
        ("sha " + "0" * 30, ["sha", "0" * 21, "0" * 9]),
        ("a \u6f22" + "\u6f22" * 11, ["a", "\u6f22" * 10, "\u6f22" * 2]),
    ],
)
def test_words_longer_than_their_column_are_broken_between_their_parts(cell, lines):
    drawn = table(("A",), [(cell,)], width=21, flexible=(0,), headers=False)
    assert drawn.splitlines() == lines


@pytest.mark.parametrize("width", [20, 40, 80])
def test_sentences_wrap_with_an_indent(width):
    text = wrapped("word " * 40, width, "    ", "  ")
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("  word")
    assert all(line.startswith("    word") for line in lines[1:])
    assert wrapped("a\nb", None, "    ", "  ") == "  a b"


@given(st.text("ab日-/. ", max_size=80), st.integers(4, 40))
def test_folding_loses_no_letter_and_keeps_the_width(words, width):
    drawn = table(["A"], [[words]], width, (0,), headers=False)
    assert "".join(drawn.split()) == "".join(words.split())
    assert all(wcswidth(line) <= max(width, 12) for line in drawn.splitlines())


@given(st.text(st.one_of(st.characters(), st.sampled_from(ONE_EACH), st.characters(max_codepoint=127))))
def test_columns_are_those_of_wcwidth(words):
    assert columns(words) == max(wcswidth(words), 0)


def test_labels_take_the_same_room_and_texts_fold_beside_them():
    rows = [("WHAT", "one two three four five"), ("", "six"), ("\uc6d0\uc778", "seven"), ("FIX", "")]
    assert fields(rows, 24).splitlines() == [
        "WHAT     one two three",
        "         four five",
        "         six",
        "\uc6d0\uc778     seven",
        "FIX",
    ]
