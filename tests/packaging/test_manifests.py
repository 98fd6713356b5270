"""The rules of krew's own validation, re-checked where Go is not at hand."""

import hashlib
import re
import tarfile

import pytest
import yaml

from kubetriage.plugins import PLUGINS, load
from support.offline import ROOT


@pytest.mark.parametrize("name", PLUGINS)
def test_committed_manifests_are_valid(name):
    check_manifest(yaml.safe_load((ROOT / "krew-manifests" / f"{name}.yaml").read_text()), name)


def check_manifest(manifest, name):
    assert manifest["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert manifest["kind"] == "Plugin"
    assert manifest["metadata"]["name"] == name
    assert re.fullmatch(r"[\w-]+", name)
    spec = manifest["spec"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?", spec["version"])
    assert 0 < len(spec["shortDescription"]) <= 50
    assert not spec["shortDescription"].endswith(".")
    assert spec["description"].strip()
    assert "python3" in spec["caveats"]
    for resource in {r for a in load(name).access if a.required for r in a.resources}:
        assert resource in spec["caveats"]
    (platform,) = spec["platforms"]
    assert re.fullmatch(r"[a-f0-9]{64}", platform["sha256"])
    assert platform["uri"].endswith(f"/{spec['version']}/kubetriage-{spec['version']}.tar.gz")
    assert not platform["bin"].startswith(("/", "."))
    assert ".." not in platform["bin"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PLUGINS)
def test_built_manifests_fit_the_archive(name, package, archive):
    manifest = yaml.safe_load((package / "krew-manifests" / f"{name}.yaml").read_text())
    check_manifest(manifest, name)
    (platform,) = manifest["spec"]["platforms"]
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    with tarfile.open(archive) as tar:
        members = {m.name: m for m in tar}
    assert members[platform["bin"]].mode == 0o755
    top = platform["bin"].split("/")[0]
    assert f"{top}/LICENSE" in members
    assert f"{top}/kubectl-plugins/kubectl_complete-{name.replace('-', '_')}" in members
    assert all(m.isfile() and ".." not in m.name and m.name.startswith(f"{top}/") for m in members.values())
