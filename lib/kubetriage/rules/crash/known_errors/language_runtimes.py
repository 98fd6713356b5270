"""What language runtimes refuse: the wrong kind of module, another version of a package, of Java, .NET or OpenSSL."""

from __future__ import annotations

import re

from kubetriage.rules.crash.acts import app, image, manifest, where
from kubetriage.rules.crash.container_spec import mount_of, security
from kubetriage.rules.crash.known_errors.missing_parts import group, mounts_over
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.next_looks import rollback
from kubetriage.rules.crash.node_commands import in_copy
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import shell
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy


def _module_kind(words: LastWords, said: Said) -> Advice:
    """Judge Node's two module systems that meet: the file is there, and is read as the other kind."""
    path = path_near(said.line, len(said.line)) or path_near(words.error.summary if words.error else "", 0)
    old = "require()" in said.line or "ERR_REQUIRE_ESM" in said.line
    if old:
        return Advice(
            "a module that exists as an ES module only is loaded with require(), which this Node.js does not do",
            (
                image(
                    "Pin that package to its last version with CommonJS (package.json and the lock file), or "
                    "load it with "
                    "await import()."
                ),
                image("Or use Node.js 22.12 or newer as the base, which can require() ES modules."),
            ),
        )
    return Advice(
        f"Node.js reads {path or 'its file'} as the other kind of module than it was built as: import and "
        f"require do not mix",
        (
            image(
                'Build for one kind: "type": "module" in package.json makes .js files ES modules; without it they are '
                "CommonJS (tsconfig: module NodeNext or CommonJS)."
            ),
            image(
                "Or name the files by their kind: .cjs for require, .mjs for import. Copy the package.json of "
                "the build."
            ),
        ),
    )


def _not_built(words: LastWords, said: Said) -> Advice:
    over = mounts_over(words)
    directory = group(said) or ".next"
    fixes = [
        image(
            f"Run the build in the image (RUN npm run build) and copy {directory} into its last stage; see that "
            ".dockerignore keeps nothing of it out.",
            shell("docker", "run", "--rm", "--entrypoint", "sh", words.container.image, "-c", "ls -la; pwd"),
        )
    ]
    if over:
        fixes.insert(
            0,
            manifest(
                words, f"The mount at {over} hides the build of the image: mount it elsewhere, or one file by subPath."
            ),
        )
    else:
        fixes.append(
            manifest(words, f"Or correct workingDir of {where(words)}: the build is looked up there, in {directory}.")
        )
    return Advice(
        f"it is started without its production build ({directory}): next build did not run for it", tuple(fixes)
    )


_APPLICATIONS = "(FastAPI|Flask|Celery|get_wsgi_application|get_asgi_application)\\("


_CELERY_MODULE = lazy(r"Module '(?P<module>[\w.]{1,120})' has no attribute '(?P<name>\w{1,80})'")


def _app_object(words: LastWords, said: Said) -> Advice:
    """Judge a server whose command names an application object (MODULE:NAME) that the module does not have."""
    groups = {k: v for k, v in said.match.groupdict().items() if v}
    name, module = groups.get("name", ""), next((v for k, v in groups.items() if k.startswith("module")), "")
    if not module and (celery := _CELERY_MODULE.search(words.text)) is not None:
        module, name = celery["module"], celery["name"]
    what = f"{name} in module {module}" if name and module else f"module {module}" if module else "its application"
    return Advice(
        f"the server finds no {what}: MODULE:NAME in its command is not what the program calls its application",
        (
            manifest(
                words,
                f"Correct MODULE:NAME in the command of {where(words)}: MODULE is the file's dotted path from the "
                "working "
                "directory, NAME the variable that holds the application (a factory is called: app:create_app()).",
                None,
                in_copy(words.case.pod, words.container.name, "grep", "-rnE", _APPLICATIONS, "--include=*.py", "."),
            ),
            image("If the names are right, the image holds another version of the program, or workingDir differs."),
        ),
        details={k: v for k, v in (("name", name), ("module", module)) if v},
    )


def _package_version(words: LastWords, said: Said) -> Advice | None:
    """Judge a name that an installed package does not have: another version of it than the program was written for."""
    where_from = path_near(said.line, len(said.line)) or ""
    name, package = said.match["name"] or said.match["attribute"], said.match["package"] or said.match["module"]
    if not package or ("site-packages" not in said.line and "dist-packages" not in said.line and said.match["name"]):
        return None
    top = package.split(".")[0]
    back = rollback(words)
    return Advice(
        f"the installed version of Python package {top} has no {name} any more, or not yet: it is another version than "
        "the program was written for",
        (
            image(
                f"Pin {top} (and what needs it) to the versions that the program was tested with: "
                f"requirements.txt with "
                "exact versions or a lock file, then build again.",
                shell("docker", "run", "--rm", "--entrypoint", "pip", words.container.image, "list"),
            ),
            *((manifest(words, "Until then go back to the image before, which runs.", None, *back),) if back else ()),
        ),
        details={"package": top} | ({"path": where_from} if where_from else {}),
    )


def _time_zone(words: LastWords, said: Said) -> Advice:
    """Judge a zone that is not found: a name of the usual form is hardly misspelt, and small images have no data."""
    zone = next(g for g in said.match.groups() if g)
    usual = re.fullmatch(
        r"(?:Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc)/[A-Z][\w/+-]{1,40}",
        zone,
    )
    add = image(
        f"Put the data of time zones into image {words.container.image}: package tzdata (apk add, apt-get install), or "
        'into the program (Go: import _ "time/tzdata", or build with -tags timetzdata; Python: pip install tzdata).'
    )
    name = manifest(
        words, f"Correct the name {zone} in the settings of {where(words)}: names are AREA/CITY of IANA's list."
    )
    if usual is None:
        return Advice(f"it knows no time zone {zone}", (name, add), details={"zone": zone}, sure=False)
    return Advice(
        f"image {words.container.image} has no data of time zones, in which to find {zone}",
        (add, name),
        details={"zone": zone},
        sure=False,
    )


_BUILT_WITH = lazy(r"compiled using NumPy (?P<built>\d)[\w.]{0,4} cannot be run in\s{1,4}NumPy (?P<has>\d[\d.]{0,10})")
_INSTALLED = lazy(r"(?:site|dist)-packages/(?P<package>\w{2,60})/")


def _numpy(words: LastWords, _: Said) -> Advice:
    """Name the module that was compiled for another NumPy: the innermost installed package of the trace."""
    text_ = words.text[-65536:]
    found = [m["package"] for m in _INSTALLED.finditer(text_) if m["package"] not in ("numpy", "pip", "setuptools")]
    module = found[-1] if found else "a module with compiled code"
    versions = _BUILT_WITH.search(text_)
    has = f"NumPy {versions['has'].rstrip('.')}" if versions is not None else "another NumPy"
    pin = f"numpy<{int(versions['built']) + 1}" if versions is not None else "numpy (numpy<2, if it is 2 now)"
    back = rollback(words)
    return Advice(
        f"{module} was compiled for another NumPy than image {words.container.image} has ({has})",
        (
            image(
                f"Pin {pin} in the image's requirements, or take a release of {module} that is built for {has}; then "
                "build again, with a lock file that keeps the two together.",
                shell("docker", "run", "--rm", "--entrypoint", "pip", words.container.image, "list"),
            ),
            *((manifest(words, "Until then go back to the image before, which runs.", None, *back),) if back else ()),
        ),
        details={"package": module},
    )


def _java_version(words: LastWords, said: Said) -> Advice:
    built, has = said.match["built"], said.match["has"]
    needs = f"Java {int(built) - 44}" if built else "a newer Java"
    runs = f"Java {int(has) - 44}" if has else "the one in the image"
    return Advice(
        f"its classes need {needs}, and image {words.container.image} runs {runs}",
        (
            image(f"Use a base image with {needs} (eclipse-temurin:{int(built) - 44 if built else 21}-jre)."),
            image(f"Or compile with --release {int(has) - 44 if has else 17}."),
        ),
        details={"needs": needs, "has": runs},
    )


def _icu(words: LastWords, _: Said) -> Advice:
    return Advice(
        f".NET finds no ICU library in image {words.container.image}",
        (
            image("Install libicu in the image (Alpine: apk add icu-libs)."),
            manifest(
                words,
                f"Or run {where(words)} without cultures.",
                words.container.patch({"env": [{"name": "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "value": "1"}]}),
            ),
        ),
    )


def _dotnet(words: LastWords, said: Said) -> Advice:
    error = words.error
    whole = "\n".join([said.line, *(error.lines if error else ()), *words.text[-4000:].split("\n")])
    wanted = _FRAMEWORK.search(whole)
    need = f"{wanted[1]} {wanted[2]}" if wanted else "another version of .NET"
    return Advice(
        f"it needs {need}, which image {words.container.image} does not have",
        (
            image(
                f"Use a base image with {need} (mcr.microsoft.com/dotnet/aspnet of that version), or "
                "retarget the build."
            ),
            image("Or publish it self-contained, or with RollForward Major in runtimeconfig.json."),
        ),
    )


_FRAMEWORK = lazy(r"'?(Microsoft\.\w+\.App)'?,? version '?(\d[\w.-]{1,20})")


def _openssl(words: LastWords, _: Said) -> Advice:
    return Advice(
        "the program uses a hash that OpenSSL 3 (Node.js 17 and later) does not allow: an old webpack or the like",
        (
            image("Update webpack and its tools, or build with Node.js 16."),
            manifest(
                words,
                f"Until then: NODE_OPTIONS of {where(words)}.",
                words.container.patch({"env": [{"name": "NODE_OPTIONS", "value": "--openssl-legacy-provider"}]}),
            ),
        ),
    )


def _coreclr_read_only(words: LastWords, said: Said) -> Advice | None:
    """Judge .NET that may write nowhere: its diagnostics make a socket and a mapped file below /tmp at the start."""
    if security(words.container, "readOnlyRootFilesystem")[0] is not True or mount_of(words.container, "/tmp"):  # noqa: S108
        return None
    return Advice(
        "the .NET runtime makes files in /tmp at its start, and the root file system is read-only "
        "(readOnlyRootFilesystem true)",
        (
            manifest(
                words,
                f"Mount an emptyDir at /tmp in {where(words)}.",
                words.container.patch(
                    {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},  # noqa: S108
                    volumes=[{"name": "tmp", "emptyDir": {}}],
                ),
            ),
            manifest(
                words,
                "Or switch its diagnostics off, which need /tmp: DOTNET_EnableDiagnostics=0.",
                words.container.patch({"env": [{"name": "DOTNET_EnableDiagnostics", "value": "0"}]}),
            ),
        ),
        details={"hresult": said.match["code"]},
    )


def _coreclr(words: LastWords, said: Said) -> Advice:
    code = said.match["code"]
    return Advice(
        f"the .NET runtime could not set itself up (HRESULT {code}): it lacks a directory to write to, memory, or "
        f"a file "
        "of its own",
        (
            app(
                "Look in this order: /tmp writable and not full (or DOTNET_EnableDiagnostics=0), the memory limit "
                "(a GC "
                "heap needs address space: DOTNET_GCHeapHardLimit), and the runtime's files in the image.",
                in_copy(
                    words.case.pod, words.container.name, "sh", "-c", "df -h /tmp; touch /tmp/x; id; dotnet --info"
                ),
            ),
            manifest(
                words,
                "COREHOST_TRACE=1 makes the next start tell each step.",
                words.container.patch({"env": [{"name": "COREHOST_TRACE", "value": "1"}]}),
            ),
        ),
        sure=False,
        details={"hresult": code},
    )


def _no_application(words: LastWords, said: Said) -> Advice:
    name = said.match["name"] or said.match["path"]
    over, place = mounts_over(words), text(words.container.spec, "workingDir")
    fixes = [
        image(
            f"Compare {name} with what dotnet publish wrote (AssemblyName, upper and lower case) and with the "
            f"directory "
            "that the image copies it to; ENTRYPOINT or command must name the same.",
            shell("docker", "run", "--rm", "--entrypoint", "sh", words.container.image, "-c", "pwd; ls -la"),
        )
    ]
    if over:
        fixes.insert(
            0,
            manifest(
                words,
                f"The mount at {over} hides what the image has there: mount single files with subPath, or elsewhere.",
            ),
        )
    elif place:
        fixes.insert(
            0, manifest(words, f"Or correct workingDir {place} of {where(words)}: the name is looked up there.")
        )
    return Advice(f"dotnet finds no {name} in its working directory{f' {place}' if place else ''}", tuple(fixes))


_CORECLR = lazy(r"Failed to create CoreCLR,? HRESULT: (?P<code>0x(?!8007000[Ee])[0-9A-Fa-f]{8})")


ROWS: tuple[Row, ...] = (
    Row(
        "app-object",
        lazy(
            r"Failed to find attribute '(?P<name>[\w.]{1,80})' in '(?P<module>[\w.]{1,120})'"
            r"|Error loading ASGI app\. (?:Attribute \"[\w.]{1,80}\" not found in module|Could not import module) "
            r"\"(?P<module_asgi>[\w.]{1,120})\""
            r"|Failed to find Flask application or factory in module '(?P<module_flask>[\w.]{1,120})'"
            r"|Unable to load celery application"
        ),
        _app_object,
        beside=True,
    ),
    # .NET's host ends with the last byte of its status: 0x80008089 (CoreClrInitFailure) is 137.
    Row("coreclr-read-only", _CORECLR, _coreclr_read_only, "ReadOnlyFilesystem", codes=(137,)),
    Row("coreclr-start", _CORECLR, _coreclr, codes=(137,)),
    Row(
        "dotnet-application",
        lazy(
            r"The application '(?P<name>[^'\n]{1,200})' does not exist"
            r"|The application to execute does not exist: '(?P<path>[^'\n]{1,300})'"
        ),
        _no_application,
        beside=True,
        codes=(129, 131, 145, 147, 148),
    ),
    Row(
        "module-kind",
        lazy(
            r"(?:require|exports?|module|__dirname|__filename) is not defined in ES module scope"
            r"|Cannot use import statement outside a module|ERR_REQUIRE_ESM|require\(\) of ES Module"
            r"|SyntaxError: Unexpected token 'export'|does not provide an export named"
        ),
        _module_kind,
        beside=True,
    ),
    Row(
        "not-built",
        lazy(r"Could not find a production build in the '([\w./]{1,80})' directory"),
        _not_built,
        beside=True,
    ),
    Row(
        "package-version",
        lazy(
            r"ImportError: cannot import name '(?P<name>\w{1,80})' from '(?P<package>[\w.]{1,120})'"
            r"|AttributeError: module '(?P<module>[\w.]{1,120})' has no attribute '(?P<attribute>\w{1,80})'"
        ),
        _package_version,
    ),
    Row(
        "time-zones",
        lazy(
            r"unknown time zone (?P<go>[A-Za-z][\w/+-]{1,60})"
            r"|No time zone found with key '?(?P<python>[A-Za-z][\w/+-]{1,60})"
            r"|(?:invalid|unknown|unrecognized) time ?zone:? ['\"]?(?P<other>[A-Z][a-z]+/[\w/+-]{2,60})",
        ),
        _time_zone,
        beside=True,
    ),
    Row(
        "numpy-abi",
        lazy(
            r"compiled using NumPy \d|_ARRAY_API not found|numpy\.core\.multiarray failed to import"
            r"|numpy\.(?:dtype|ufunc|ndarray) size changed|compiled against (?:API|ABI) version 0x[0-9a-f]{1,8}"
        ),
        _numpy,
        beside=True,
    ),
    Row(
        "java-version",
        lazy(
            r"UnsupportedClassVersionError(?:.{0,300}?class file version"
            r" (?P<built>\d{2})\.\d.{0,200}?up to (?P<has>\d{2})\.\d)?"
        ),
        _java_version,
    ),
    Row("dotnet-icu", lazy(r"Couldn't find a valid ICU package"), _icu, beside=True),
    Row(
        "dotnet-version",
        lazy(
            r"You must install (?:or update )?\.NET(?: Core)? to run this application"
            r"|framework '?Microsoft\.\w+\.App'?.{0,60}"
            r"was not found"
        ),
        _dotnet,
        beside=True,
    ),
    Row("openssl-legacy", lazy(r"ERR_OSSL_EVP_UNSUPPORTED|digital envelope routines::?unsupported"), _openssl),
)
