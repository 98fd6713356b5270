"""Environment and command line of a container."""

import pytest

from kubetriage.found import Lookup, State
from kubetriage.readers.pods import Pod
from kubetriage.rules.memory.container_process import read_process
from support.objects import container, pod

CONFIG = {"data": {"JAVA_TOOL_OPTIONS": "-Xmx1g", "heap": "-Xmx2g"}}


def lookup(name):
    if name == "app":
        return Lookup(State.FOUND, CONFIG)
    return Lookup(State.UNSEEN, why="forbidden") if name == "secretive" else Lookup(State.ABSENT)


def read(**spec):
    spec.setdefault("command", ["java"])
    return read_process(Pod(pod(containers=[container(**spec)])).containers[0], lookup)


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (["java", "-jar", "a.jar"], ("java", "-jar", "a.jar")),
        (["sh", "-c", "java -Xmx1g -jar a.jar"], ("java", "-Xmx1g", "-jar", "a.jar")),
        (["/bin/bash", "-ec", "cd /app && exec java -Xmx1g -jar a.jar"], ("java", "-Xmx1g", "-jar", "a.jar")),
        (["tini", "--", "java", "-jar", "a.jar"], ("java", "-jar", "a.jar")),
        (["/sbin/tini", "-s", "-e", "143", "--", "java", "Main"], ("java", "Main")),
        (["dumb-init", "node", "x.js"], ("node", "x.js")),
        (["env", "A=1", "java", "Main"], ("java", "Main")),
        (["gosu", "app", "java", "Main"], ("java", "Main")),
        (["sh", "-c", "export X=-Xmx1g; java $X Main"], ("java", "Main")),
        (["sh", "-c", "echo 'a;b'; java -Dq='x y' Main"], ("java", "-Dq=x y", "Main")),
    ],
)
def test_wrappers_are_taken_off(command, argv):
    assert read(command=command).argv == argv


def test_kubernetes_expands_parentheses():
    env = [{"name": "HEAP", "value": "1g"}, {"name": "OPTS", "value": "-Xmx$(HEAP)"}]
    found = read(command=["java", "$(OPTS)", "$(MISSING)", "$$(HEAP)"], env=env)
    assert found.argv == ("java", "-Xmx1g", "$(MISSING)", "$(HEAP)")


def test_the_shell_expands_what_is_known_and_the_rest_is_named():
    env = [{"name": "JAVA_OPTS", "value": "-Xmx1g -Xss512k"}]
    found = read(command=["sh", "-c", "java $JAVA_OPTS ${EXTRA} ${HEAP:--Xms64m} -jar a.jar"], env=env)
    assert found.argv == ("java", "-Xmx1g", "-Xss512k", "-Xms64m", "-jar", "a.jar")
    assert "$EXTRA in the shell command line" in found.unseen
    assert found.read_by_shell >= {"JAVA_OPTS"}


def test_config_maps_fill_variables():
    env = [{"name": "OPTS", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "heap"}}}]
    found = read(envFrom=[{"prefix": "X_", "configMapRef": {"name": "app"}}], env=env)
    assert found.value("X_JAVA_TOOL_OPTIONS") == "-Xmx1g"
    assert found.value("OPTS") == "-Xmx2g"


def test_what_cannot_be_read_is_named():
    env = [{"name": "JAVA_TOOL_OPTIONS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    sources = [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "secretive"}}]
    found = read(env=env, envFrom=sources)
    assert found.environment["JAVA_TOOL_OPTIONS"].value is None
    assert len(found.env_unseen) == 2


@pytest.mark.parametrize(
    ("resources", "divisor", "value"),
    [
        ({"limits": {"memory": "1Gi"}}, None, "1073741824"),
        ({"limits": {"memory": "1025Mi"}}, "1Mi", "1025"),
        ({}, None, None),
    ],
)
def test_resource_references(resources, divisor, value):
    ref = {"resource": "limits.memory", **({"divisor": divisor} if divisor else {})}
    env = [{"name": "GOMEMLIMIT", "valueFrom": {"resourceFieldRef": ref}}]
    assert read(env=env, resources=resources).value("GOMEMLIMIT") == value


def test_without_a_command_the_image_decides_and_that_is_said():
    found = read(command=[], args=["--server.port=80"])
    assert any("ENTRYPOINT" in u for u in found.unseen)


def test_a_start_script_is_named():
    found = read(command=["/opt/run.sh", "serve"])
    assert found.script == "run.sh"
    assert any("run.sh" in u for u in found.unseen)


@pytest.mark.parametrize("script", ["java 'x", 'java "', "$(cat opts) java", "", ";;;", "&&"])
def test_odd_shell_lines_never_raise(script):
    read(command=["sh", "-c", script])
