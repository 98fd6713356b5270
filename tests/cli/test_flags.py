"""What is read without click means the same as with it."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetriage.cli.command import build
from kubetriage.cli.flags import CONNECTION, own_flags, plain_values, shared_flags
from kubetriage.cli.options import normalized
from kubetriage.plugins import PLUGINS, Plugin, load


def values_of_click(plugin: Plugin, args: list[str]) -> dict[str, Any] | None:
    command = build(plugin)
    try:
        with command.make_context("x", normalized(args, command.params)) as context:
            return dict(context.params)
    except (click.ClickException, click.exceptions.Exit):
        return None


def typed(plugin: Plugin) -> list[str]:
    return [name for flag in (*own_flags(plugin), *shared_flags(plugin), *CONNECTION) for name in flag.names]


VALUES = (
    "",
    "a",
    "-",
    "-1",
    "--",
    "0",
    "7",
    "007",
    "1.5",
    "5s",
    "1m30s",
    "json",
    "wide",
    "relative",
    "never",
    "G1",
    "ko",
)
ODD = ("--nope", "-x", "-An", "-nkube-system", "--all=false", "-v", "-v=6", "--v", "--as-group=", "=", "-=", "--=x")


@pytest.mark.parametrize("name", PLUGINS)
@given(data=st.data())
def test_a_plain_command_line_means_what_click_reads(name: str, data: st.DataObject) -> None:
    plugin = load(name)
    flag = st.sampled_from(typed(plugin))
    value = st.sampled_from(VALUES)
    words = st.one_of(
        st.tuples(st.sampled_from(("pod/a", "a", "help", "version", "svc", *ODD))),
        st.tuples(flag),
        st.tuples(flag, value),
        st.builds(lambda f, v: (f"{f}={v}",), flag, value),
    )
    args = [word for part in data.draw(st.lists(words, max_size=5)) for word in part]
    plain = plain_values(plugin, args)
    if plain is not None:
        assert plain == values_of_click(plugin, args), args


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["pod/a", "-n", "x", "-o", "json"],
        ["a", "b", "--namespace=x", "--context", "c", "--request-timeout", "5s", "--as-group", "g", "--as-group=h"],
        ["-A", "--exit-code", "--color", "never", "--timestamps=utc"],
        ["a", "--from", "dump", "-c", "app", "--explain"],
    ],
)
def test_what_people_type_needs_no_click(args: list[str]) -> None:
    plugin = load("why-crash")
    values = plain_values(plugin, args)
    assert values is not None
    assert values == values_of_click(plugin, args)


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--version"], ["help"], ["version"], ["--explain-cause", "137"]])
def test_pages_are_clicks(args: list[str]) -> None:
    assert plain_values(load("why-crash"), args) is None
