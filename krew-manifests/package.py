"""Builds the release archive and the krew manifests that point at it.

The archive holds the project, its dependencies with their licences, and byte code for the Pythons found at build
time. The same input gives the same bytes: sorted names, no owner, one timestamp, no build paths.
"""

from __future__ import annotations

import argparse
import email.parser
import gzip
import hashlib
import io
import json
import marshal
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:0] = [str(ROOT / "lib"), str(ROOT / "docs")]

import pattern_literals  # noqa: E402

import kubetriage  # noqa: E402
from kubetriage import precompiled  # noqa: E402
from kubetriage.plugins import PLUGINS, Plugin, load  # noqa: E402

MINORS = ("3.10", "3.11", "3.12", "3.13", "3.14")
HOME = "https://github.com/kubetriage/kubetriage"
LEFT_OUT = (
    *(f"kubernetes/{part}" for part in ("aio", "client/api", "client/apis", "client/models", "e2e_test", "informer")),
    *(f"kubernetes/{part}" for part in ("dynamic", "leaderelection", "test", "utils", "watch")),
    "bin",
    "_yaml",
)
"""Parts of dependencies that nothing here imports: this suite reads raw JSON, so the typed API (20 MB, and half of the
time that ``import kubernetes`` takes) stays out."""
LEAN = {
    "kubernetes/__init__.py": '__project__ = "kubernetes"\n__version__ = "{version}"\n',
    "kubernetes/client/__init__.py": (
        '__version__ = "{version}"\n\n'
        "from kubernetes.client.api_client import ApiClient\n"
        "from kubernetes.client.configuration import Configuration\n"
        "from kubernetes.client.exceptions import ApiException\n"
    ),
    "kubernetes/client/models/__init__.py": "",
    "urllib3/http2/__init__.py": "",
}
"""What stands in for the packages' own ``__init__`` modules, which import every part that is left out; urllib3's for
HTTP/2, which it does not use without another package, looks that one up with importlib.metadata at every start."""
LOOKUP = re.compile(
    r"from importlib\.metadata import \([^)]*\)\s+try:\n +__version__ = _version\(\"tabulate\"\)\nexcept .*:\n.*\n"
)
"""How tabulate asks importlib.metadata for its own version, which takes longer than drawing a table."""


def main() -> int:
    """Build the archive, or rewrite the committed manifests for a release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="directory for the archive and its manifests")
    parser.add_argument("--release", action="store_true", help="also rewrite the manifests in krew-manifests/")
    options = parser.parse_args()
    version = kubetriage.__version__
    options.out.mkdir(parents=True, exist_ok=True)
    tree = options.out / "tree"
    build_tree(tree)
    archive = options.out / f"kubetriage-v{version}.tar.gz"
    archive.write_bytes(pack(tree, f"kubetriage-v{version}"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    parts = json.dumps(bill_of_materials(tree / "vendor", version), indent=2) + "\n"
    (options.out / f"kubetriage-v{version}.cdx.json").write_text(parts, encoding="utf-8")
    (options.out / f"{archive.name}.sha256").write_text(f"{digest}  {archive.name}\n", encoding="utf-8")
    for folder in [options.out / "krew-manifests", *([ROOT / "krew-manifests"] if options.release else [])]:
        folder.mkdir(exist_ok=True)
        for name in PLUGINS:
            (folder / f"{name}.yaml").write_text(manifest(load(name), version, digest), encoding="utf-8")
    print(f"{archive.name}: {archive.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    return 0


def build_tree(tree: Path) -> None:
    """Lay out what the archive holds."""
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("lib", "kubectl-plugins", "docs/rbac"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignore)
    for file in ("LICENSE", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / file, tree / file)
    vendor(tree / "vendor")
    for minor in MINORS:
        compile_tree(tree, minor)


def vendor(target: Path) -> None:
    """Install the locked dependencies as pure Python."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-compile",
    ]
    platform = ["--python-version", "3.10", "--implementation", "cp", "--only-binary=:all:"]
    for tag in ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "any"):
        platform += ["--platform", tag]
    lock = str(ROOT / "krew-manifests" / "vendor.txt")
    subprocess.run([*pip, *platform, "--require-hashes", "--requirement", lock, "--target", str(target)], check=True)
    # Compiled modules run on one platform only and every package here works without its own; RECORD and INSTALLER
    # tell of an installation that this is not.
    for pattern in ("*.so", "*.pyi", "*.c", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for file in target.rglob(pattern):
            file.unlink()
    for part in LEFT_OUT:
        shutil.rmtree(target / part, ignore_errors=True)
    note = "# Shortened for the kubetriage release archive: only what reads a cluster without the typed API.\n"
    version = next(target.glob("kubernetes-*.dist-info")).name.removeprefix("kubernetes-").removesuffix(".dist-info")
    for name, content in LEAN.items():
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_text(note + content.format(version=version), encoding="utf-8")
    tabulate = target / "tabulate" / "__init__.py"
    version = next(target.glob("tabulate-*.dist-info")).name.removeprefix("tabulate-").removesuffix(".dist-info")
    line = (
        f'# Looked up with importlib.metadata outside of the kubetriage release archive.\n__version__ = "{version}"\n'
    )
    content, found = LOOKUP.subn(line, tabulate.read_text(encoding="utf-8"))
    if found != 1:
        raise SystemExit("error: tabulate looks up its version in another way")
    tabulate.write_text(content, encoding="utf-8")
    for file in target.rglob("*_test.py"):
        file.unlink()
    for info in target.glob("*.dist-info"):
        if not any(re.match(r"(?i)(licen[cs]e|copying|notice)", file.name) for file in info.rglob("*")):
            metadata = (info / "METADATA").read_text(encoding="utf-8")
            if not re.search(r"^(License|License-Expression|Classifier: License)", metadata, re.MULTILINE):
                raise SystemExit(f"error: {info.name} carries no licence")


def bill_of_materials(vendor: Path, version: str) -> dict[str, Any]:
    """List what the archive is made of, in the form of CycloneDX 1.5; the same input gives the same text."""
    components = []
    for info in sorted(vendor.glob("*.dist-info")):
        fields = email.parser.Parser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
        licence = fields["License-Expression"] or (fields["License"] or "").partition("\n")[0]
        components.append(
            {
                "type": "library",
                "name": fields["Name"],
                "version": fields["Version"],
                "purl": f"pkg:pypi/{fields['Name'].lower()}@{fields['Version']}",
                **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
            }
        )
    subject = {"type": "application", "name": "kubetriage", "version": version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": subject},
        "components": components,
    }


def compile_tree(tree: Path, minor: str) -> None:
    """Add byte code for one Python, where it is on this machine.

    Checked hashes: no file time to compare, so it stays valid wherever the archive is unpacked, also read-only; and a
    module that somebody patches in place is the one that runs.
    """
    python = sys.executable if sys.version_info[:2] == (3, int(minor[2:])) else shutil.which(f"python{minor}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        print(f"no python{minor} here: the archive has no byte code for it", file=sys.stderr)
        return
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [python, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash"]
    for folder in ("lib", "vendor"):
        # -s takes the build directory out of the code objects; -p puts a neutral one there.
        subprocess.run([*command, "-s", str(tree), "-p", "kubetriage", str(tree / folder)], check=True, env=environment)
    gather(tree, python)


def gather(tree: Path, python: str) -> None:
    """Move the byte code of lib/ into one file, which is imported faster; what imports that file keeps its own.

    The file is the last one of the archive but for the packages, and so the newest one wherever that is unpacked.
    """
    ask = "import sys, importlib.util as u; print(sys.implementation.cache_tag, u.MAGIC_NUMBER.hex())"
    tag, magic = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    lib, modules = tree / "lib", {}
    for compiled in sorted(lib.rglob(f"*.{tag}.pyc")):
        source = compiled.parent.parent / f"{compiled.name.split('.')[0]}.py"
        path = source.relative_to(lib)
        content = compiled.read_bytes()
        if content[:4].hex() != magic:
            raise SystemExit(f"error: {compiled} is the byte code of another Python")
        if path.as_posix() in ("kubetriage/__init__.py", "kubetriage/precompiled.py"):
            continue
        parts = path.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = (path.as_posix(), source.stat().st_size, content[16:])
        compiled.unlink()
        if not any(compiled.parent.iterdir()):
            compiled.parent.rmdir()
    (tree / "precompiled").mkdir(exist_ok=True)
    content = precompiled.packed(bytes.fromhex(magic), modules, stored_patterns(python))
    (tree / "precompiled" / f"{tag}.bin").write_bytes(content)


def stored_patterns(python: str) -> precompiled.PatternTable:
    """Return the project's regular expressions as one Python compiles them."""
    make = (
        f"import json, sys; sys.path.insert(0, {str(ROOT / 'lib')!r}); from kubetriage import precompiled; "
        "sys.stdout.buffer.write(precompiled.pattern_table(json.load(sys.stdin)))"
    )
    known = json.dumps(sorted(pattern_literals.all_patterns().items())).encode()
    done = subprocess.run([python, "-B", "-c", make], input=known, stdout=subprocess.PIPE, check=True)
    table: precompiled.PatternTable = marshal.loads(done.stdout)  # noqa: S302  written by the line above
    return table


def pack(tree: Path, top: str) -> bytes:
    """Return the tree as a reproducible .tar.gz with one top folder."""
    stamp = int(os.environ.get("SOURCE_DATE_EPOCH", "1704067200"))
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(p for p in tree.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(f"{top}/{path.relative_to(tree).as_posix()}")
            info.size = path.stat().st_size
            info.mtime = stamp
            info.mode = 0o755 if path.parent.name == "kubectl-plugins" else 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=9) as stream:
        stream.write(raw.getvalue())
    return packed.getvalue()


def manifest(plugin: Plugin, version: str, digest: str) -> str:
    """Write the krew manifest of one plugin; all plugins share the archive and differ in ``bin``."""
    folder = f"kubetriage-v{version}/kubectl-plugins"
    return f"""\
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: {plugin.name}
spec:
  version: v{version}
  homepage: {HOME}
  shortDescription: {plugin.summary}
  description: |
{_indented(plugin.description, 4)}
  caveats: |
{_indented(caveats(plugin), 4)}
  platforms:
  - selector:
      matchExpressions:
      - key: os
        operator: In
        values: [darwin, linux]
    uri: {HOME}/releases/download/v{version}/kubetriage-v{version}.tar.gz
    sha256: "{digest}"
    bin: {folder}/kubectl-{plugin.name}
"""


def caveats(plugin: Plugin) -> str:
    """Say what the plugin needs beyond itself: Python, and the reads that RBAC must allow."""
    required = sorted({r for a in plugin.access if a.required for r in a.resources})
    optional = sorted({r for a in plugin.access if not a.required for r in a.resources} - set(required))
    name = plugin.name.replace("-", "_")
    return (
        f"Needs python3 3.10 or newer on PATH. Reads only, never writes. RBAC: must read {', '.join(required)}; "
        f"says more with {', '.join(optional)}; a ready ClusterRole is docs/rbac/clusterrole.yaml. "
        f"For completion, link kubectl_complete-{name} from the plugin's folder into a directory on PATH."
    )


def _indented(words: str, blanks: int) -> str:
    lines: list[str] = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > 100:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(" " * blanks + line for line in lines)


if __name__ == "__main__":
    sys.exit(main())
