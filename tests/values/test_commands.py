"""Printed command lines: every name is one word of the shell, whatever it holds."""

from __future__ import annotations

import shlex
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.values.commands import PIPE, kubectl, placeholder, shell

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), min_size=1)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_shlex_gives_back_the_words(words):
    assert shlex.split(shell(*words)) == words


@settings(max_examples=30, deadline=None)
@given(WORDS, WORDS)
def test_a_shell_accepts_any_name(namespace, name):
    line = kubectl("get", "pod", name, PIPE, "grep", name, namespace=namespace)
    assert subprocess.run(["sh", "-n", "-c", line], check=False).returncode == 0


def test_an_injected_name_stays_one_word():
    assert kubectl("get", "pod", "x;$(id)", namespace="a b") == "kubectl -n 'a b' get pod 'x;$(id)'"


def test_a_placeholder_is_a_plain_word():
    assert placeholder("pull secret") == "PULL-SECRET"
    assert shell("kubectl", "drain", placeholder("node")) == "kubectl drain NODE"


def test_the_namespace_follows_the_name_of_a_plugin():
    assert kubectl("why-crash", "pod/api", namespace="shop") == "kubectl why-crash pod/api -n shop"
    assert kubectl("get", "pods", namespace="shop") == "kubectl -n shop get pods"
