"""Builds the programs of a control plane from their Go modules, once per version.

k8s.io/kubernetes replaces its staging modules by folders of its own tree; a module beside it that replaces them by
their published versions (``v0.MINOR.PATCH``) builds the same programs without a checkout.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = tuple(os.environ.get("KUBETRIAGE_E2E_VERSIONS", "v1.37.2 v1.28.15").split())
ETCD_VERSION = "v3.6.16"
CACHE = Path(os.environ.get("KUBETRIAGE_E2E_CACHE", "~/.cache/kubetriage-e2e")).expanduser()
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


class CannotRunError(Exception):
    """Why this machine cannot run the tests, in one line."""


def programs(version: str) -> dict[str, Path]:
    """Return the programs of a version and etcd by name, building what is not cached.

    Raises CannotRunError where nothing is cached and they may not, or cannot, be built. With
    ``KUBETRIAGE_E2E_BUILD=0`` nothing is built.
    """
    folder = CACHE / version / "bin"
    found = {name: folder / name for name in PROGRAMS}
    found["etcd"] = CACHE / "etcd" / ETCD_VERSION / "etcd"
    missing = [name for name, path in found.items() if not path.exists()]
    if not missing:
        return found
    go = _compiler(version, missing)
    for name in missing:
        sys.stderr.write(f"building {name} in {found[name].parent}\n")
        if name == "etcd":
            _build_etcd(go, found[name])
        else:
            _build_kubernetes(go, version, name, found[name])
    return found


def kubelet(version: str) -> Path:
    """Return the kubelet of a version, built where it is not cached; raises like :func:`programs`."""
    path = CACHE / version / "bin" / "kubelet"
    if not path.exists():
        _build_kubernetes(_compiler(version, ["kubelet"]), version, "kubelet", path)
    return path


def _compiler(version: str, missing: list[str]) -> str:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if os.environ.get("KUBETRIAGE_E2E_BUILD") == "0" or go is None:
        why = "go is not on PATH" if go is None else "KUBETRIAGE_E2E_BUILD=0"
        raise CannotRunError(f"{', '.join(missing)} of {version} not in {CACHE}, and nothing is built: {why}")
    return go


def _build_etcd(go: str, target: Path) -> None:
    source = target.parent / "source"
    source.mkdir(parents=True, exist_ok=True)
    module = f"module e2e/etcd\n\ngo 1.24\n\nrequire go.etcd.io/etcd/server/v3 {ETCD_VERSION}\n"
    (source / "go.mod").write_text(module, encoding="utf-8")
    _go(go, source, "build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-o", target, "go.etcd.io/etcd/server/v3")


def _build_kubernetes(go: str, version: str, name: str, target: Path) -> None:
    source = CACHE / version / "source"
    source.mkdir(parents=True, exist_ok=True)
    (source / "go.mod").write_text(_module(go, version), encoding="utf-8")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    flags = "-s -w"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        flags += "".join(f" -X {package}.{key}={value}" for key, value in values.items())
    package = f"k8s.io/kubernetes/cmd/{name}"
    _go(go, source, "build", "-mod=mod", "-trimpath", f"-ldflags={flags}", "-o", target, package)


def _module(go: str, version: str) -> str:
    """Write the module that builds k8s.io/kubernetes with its staging modules as published."""
    told = json.loads(_go(go, Path("/"), "mod", "download", "-json", f"k8s.io/kubernetes@{version}"))
    original = Path(told["GoMod"]).read_text(encoding="utf-8")
    staged = sorted(set(re.findall(r"^\s*(?:replace )?(k8s\.io/[a-z0-9-]+) => \./staging/", original, re.MULTILINE)))
    published = "v0." + version.removeprefix("v").split(".", 1)[1]
    language = re.search(r"^go (\S+)", original, re.MULTILINE)
    settings = re.findall(r"^(godebug [a-z].*)$", original, re.MULTILINE)
    for block in re.findall(r"^godebug \(\n(.*?)^\)", original, re.MULTILINE | re.DOTALL):
        settings += [f"godebug {line.strip()}" for line in block.splitlines() if line.strip()]
    forks = [
        line.strip().removeprefix("replace ")
        for line in original.splitlines()
        if "=>" in line and "./staging/" not in line
    ]
    lines = ["module e2e/kubernetes", f"go {language[1] if language else '1.24'}", *settings]
    lines += [f"require k8s.io/kubernetes {version}", "replace ("]
    lines += [f"\t{module} => {module} {published}" for module in staged] + [f"\t{fork}" for fork in forks] + [")"]
    return "\n".join(lines) + "\n"


def _go(go: str, folder: Path, *words: str | Path) -> str:
    done = subprocess.run([go, *map(str, words)], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRunError(f"go {words[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout
