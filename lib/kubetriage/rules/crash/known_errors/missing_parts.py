"""What an image or a node lacks for the program: modules, libraries, runtimes, drivers, users."""

from __future__ import annotations

import posixpath
import re

from kubetriage.rules.crash.acts import image, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import mount_of, security, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.fields import labels, mapping, objects, text
from kubetriage.values.patterns import lazy


def group(said: Said) -> str:
    """Return what the pattern of a row captured; empty when nothing."""
    return next((g for g in said.match.groups() if g), "")


def mounts_over(words: LastWords) -> str:
    """Say which volumes lie over directories where images keep programs; empty when none does."""
    places = ("/app", "/usr", "/opt", "/srv", "/home", "/code", "/workspace", "/var/www", "/node_modules")
    over = [
        text(m, "mountPath")
        for m in objects(words.container.spec, "volumeMounts")
        if text(m, "mountPath").startswith(places) and not text(m, "subPath")
    ]
    return ", ".join(over[:3])


def _module(words: LastWords, said: Said) -> Advice:
    name = group(said)
    over = mounts_over(words)
    fixes = [
        image(
            f"Install {name or 'it'} in the image (requirements, package.json with its lock file, the "
            "production stage of "
            "the build) and use the new tag.",
            shell("docker", "run", "--rm", "--entrypoint", "sh", words.container.image, "-c", "ls -la; pwd"),
        )
    ]
    if over:
        fixes.insert(
            0,
            manifest(
                words, f"The mount at {over} hides what the image has there: mount a file with subPath, or elsewhere."
            ),
        )
    else:
        fixes.append(
            manifest(
                words,
                f"Or correct the working directory and command of {where(words)}: a relative path is looked up there "
                "(workingDir, PYTHONPATH, NODE_PATH).",
            )
        )
    return Advice(f"image {words.container.image} lacks the module {name or 'that it loads'}", tuple(fixes))


_OTHER_LIBC = lazy(r"\A(?:ld-linux[\w-]*|ld-musl[\w-]*|libc\.musl[\w-]*)\.so")


def _library(words: LastWords, said: Said) -> Advice:
    name = group(said) or "a shared library"
    if _OTHER_LIBC.match(name):
        built, has = ("musl (Alpine)", "glibc") if "musl" in name else ("glibc (Debian)", "musl (Alpine)")
        return Advice(
            f"a program or native module in image {words.container.image} was built for {built}, and the image "
            f"has {has}",
            (
                image(
                    "Install the modules and build the program inside the image, on its own base; copy no "
                    "node_modules or "
                    "binaries of another base or machine into it (.dockerignore)."
                ),
                image(
                    f"Or change the base to one with {built}; on Alpine the package gcompat helps some programs."
                    if "musl" not in name
                    else f"Or change the base to one with {built}."
                ),
            ),
        )
    if name.startswith(("libcuda", "libnvidia")):
        return _no_gpu(words, said)
    return Advice(
        f"image {words.container.image} lacks the shared library {name}",
        (
            image(
                f"Install the package with {name} in the last stage of the image; ldd shows what is not found.",
                shell(
                    "docker",
                    "run",
                    "--rm",
                    "--entrypoint",
                    "sh",
                    words.container.image,
                    "-c",
                    "ldd /proc/self/exe; ls /usr/lib",
                ),
            ),
            image("Or build the program statically, or on the same distribution as the image's base."),
        ),
    )


def _c_library(words: LastWords, said: Said) -> Advice:
    version = group(said)
    return Advice(
        f"the program was built against a newer C library ({version or 'glibc'}) than image "
        f"{words.container.image} has",
        (
            image(
                f"Build it on the distribution of the image's base, or use a base with {version or 'that glibc'} (for "
                "example Debian 12, Ubuntu 22.04 or newer)."
            ),
            image("Or build it statically (Go: CGO_ENABLED=0; Rust: the musl target)."),
        ),
    )


def _line_ends(words: LastWords, _: Said) -> Advice:
    return Advice(
        "its script has Windows line ends (CRLF): the carriage return is taken for a part of the interpreter's name",
        (
            image(
                "Convert the script (dos2unix, or sed -i 's/\\r$//'), set '*.sh text eol=lf' in "
                ".gitattributes, rebuild."
            ),
            manifest(words, "If it comes from a ConfigMap, create that again from the converted file."),
        ),
    )


def _cgroup_v2(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"its Java runtime does not understand cgroup v2, which {place(words)} uses",
        (
            image(
                "Use a JDK that knows cgroup v2: 8u372, 11.0.16, 15 or newer; the fault with "
                "'anyController' is fixed in "
                "11.0.23, 17.0.11 and 21.0.3."
            ),
            node(
                "Or run it on nodes with cgroup v1 until the image is updated.",
                on_node(words, "stat", "-fc", "%T", "/sys/fs/cgroup"),
            ),
        ),
    )


def _no_user(words: LastWords, _: Said) -> Advice:
    user = security(words.container, "runAsUser")[0]
    shown = f"user {user}" if user is not None else "the user that it runs as"
    return Advice(
        f"{shown} has no entry in /etc/passwd of image {words.container.image}, so it has no name and no home",
        (
            manifest(
                words,
                f"Give {where(words)} a name and a home: HOME=/tmp and USER.",
                words.container.patch({"env": [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "app"}]}),  # noqa: S108
            ),
            manifest(words, "Or set runAsUser to a user that the image has (OpenShift: a range for the namespace)."),
            image("Or let the image's entrypoint add the current uid to /etc/passwd (writable for group 0)."),
        ),
    )


def _as_root(words: LastWords, said: Said) -> Advice:
    fs_group, _ = security(words.container, "fsGroup")
    user = fs_group if isinstance(fs_group, int) and fs_group else 1000 if "elastic" in said.line.lower() else 999
    return Advice(
        "it refuses to run as root",
        (
            manifest(
                words,
                f"Let {where(words)} run as the user of its data ({user} in the official image; check the image).",
                words.container.patch(
                    {"securityContext": {"runAsUser": user, "runAsGroup": user, "runAsNonRoot": True}}
                ),
            ),
        ),
    )


def _driver(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"the NVIDIA driver of {place(words)} is too old for the CUDA of image {words.container.image}",
        (
            node(
                f"Update the driver on {place(words)} (GPU operator: driver.version), then drain and restart it.",
                on_node(words, "nvidia-smi"),
            ),
            image("Or use an image built for the CUDA version that this driver supports."),
        ),
    )


def _no_gpu(words: LastWords, _: Said) -> Advice:
    # What offers the GPUs to the cluster takes none of them.
    plugin = _GPU_SERVICE.search(words.container.image) is not None
    asked = plugin or any(
        k.startswith(("nvidia.com/", "amd.com/")) for k in mapping(words.container.spec, "resources", "limits")
    )
    runtime = text(words.case.pod.raw, "spec", "runtimeClassName")
    fixes = [
        node(
            f"See whether the driver and the NVIDIA container toolkit work on {place(words)}.",
            on_node(words, "nvidia-smi"),
        ),
        manifest(
            words,
            f"Set runtimeClassName: nvidia in {words.case.workload_name}, where the toolkit is not the default runtime."
            if not runtime
            else f"Check that runtimeClass {runtime} has the handler of the NVIDIA toolkit.",
            None if runtime else {"runtimeClassName": "nvidia"},
        ),
    ]
    if not asked:
        fixes.insert(
            0,
            manifest(
                words,
                f"Request the GPU: nvidia.com/gpu: 1 in the limits of {where(words)}; without it the "
                "pod gets no device.",
                words.container.patch({"resources": {"limits": {"nvidia.com/gpu": 1}}}),
            ),
        )
    if plugin:
        fixes.reverse()
        fixes.append(
            manifest(
                words,
                f"If {place(words)} has no GPU: keep {words.case.workload_name} to the nodes that have one "
                "(nodeSelector "
                "or affinity on their label).",
            )
        )
    return Advice("it finds no GPU driver in its container", tuple(fixes))


def _gpu_architecture(words: LastWords, said: Said) -> Advice:
    has = said.match["has"]
    shown = f" ({has})" if has else ""
    model = next((v for k, v in labels(words.case.node.obj, "metadata", "labels").items() if "gpu.product" in k), "")
    return Advice(
        f"its CUDA code was built for other GPU architectures than the one of "
        f"{place(words)}{shown or f' ({model})' * bool(model)}",
        (
            image(
                "Use a build for its compute capability: a newer release of PyTorch or the framework for a new "
                "GPU (sm_90 "
                "Hopper, sm_100 and sm_120 Blackwell), an older one for an old GPU (sm_60, sm_70 were dropped), "
                "or build "
                "the extension anew (TORCH_CUDA_ARCH_LIST)."
            ),
            manifest(
                words,
                f"Or keep {words.case.workload_name} to nodes with a GPU that the image knows (nodeSelector "
                "nvidia.com/gpu.product).",
                None,
                kubectl("get", "nodes", "-L", "nvidia.com/gpu.product"),
            ),
        ),
    )


_GPU_SERVICE = lazy(r"device-plugin|gpu-feature-discovery|gpu-operator|dcgm|vgpu")


_ENGINE = lazy(r"(?i)Query Engine (?:for runtime|(?:library|binary) for current platform) \"(?P<target>[\w.-]{3,60})\"")
_PLATFORM = lazy(
    r"Could not load the \"(?P<name>\w{2,40})\" module using the (?P<os>linux(?:musl)?)-(?P<cpu>[\w]{2,12}) runtime"
)


def _native(words: LastWords, said: Said) -> Advice:
    name = posixpath.basename(group(said))
    over = mount_of(words.container, group(said)) if group(said) else None
    held = f" ({volume_words(over[1])})" if over is not None else ""
    engine = _ENGINE.search(f"{said.line}\n{words.text}")
    if "query engine" in said.line.lower():
        target = engine["target"] if engine is not None else "the one that the log names"
        return Advice(
            f"the image has no query engine of Prisma for its own C library and OpenSSL ({target})",
            (
                image(
                    f'Add "{target}" to binaryTargets in schema.prisma (beside "native"), or run prisma generate in '
                    "the last stage of the image's build; build and run on the same base."
                ),
            ),
            details={"target": target} if engine is not None else {},
        )
    platform = _PLATFORM.search(words.text)
    if platform is not None:
        libc = "musl" if platform["os"].endswith("musl") else "glibc"
        return Advice(
            f"module {platform['name']} was not installed for the platform of the image "
            f"({platform['os']}-{platform['cpu']})",
            (
                image(
                    "Install the modules inside the image build, on its own base (no copied node_modules, no "
                    "--omit=optional); or install for it.",
                    shell(
                        *("npm", "install", "--os=linux", f"--libc={libc}", f"--cpu={platform['cpu']}"),
                        platform["name"],
                    ),
                ),
            ),
        )
    return Advice(
        f"the native module {name or ''}{held} was built for another C library or CPU".replace("  ", " "),
        (image("Install the modules inside the image build, on its own base and platform (no copied node_modules)."),),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "gpu-driver-old",
        lazy(r"(?i)(?:NVIDIA )?driver (?:on your system )?(?:version )?is (?:too old|insufficient)"),
        _driver,
        beside=True,
    ),
    Row(
        "gpu-missing",
        lazy(
            r"(?i)found no NVIDIA driver|no CUDA-capable device is detected|libcuda\.so\S{0,4}: cannot open"
            r"|Failed to initialize NVML|could not select device driver|CUDA driver (?:is )?not (?:found|available)"
            r"|Torch not compiled with CUDA enabled|no (?:GPU|CUDA devices?) (?:found|available|detected)"
        ),
        _no_gpu,
        beside=True,
    ),
    Row(
        "gpu-architecture",
        lazy(
            r"no kernel image is available for execution on the device"
            r"|(?:NVIDIA )?[\w .-]{1,60} with CUDA capability (?P<has>sm_\d{2,3}) is not compatible"
            r"|unsupported (?:gpu|device) architecture|PTX was compiled with an unsupported toolchain",
            re.IGNORECASE,
        ),
        _gpu_architecture,
        beside=True,
    ),
    Row(
        "c-library-old",
        lazy(
            r"version [`'\"](GLIBC(?:XX)?_[\d.]{1,10})['\"`]? not found|(?:symbol not found|Error relocating).{0,200}"
        ),
        _c_library,
        beside=True,
    ),
    Row(
        "native-module",
        lazy(
            r"Error: (\S{1,300}\.node): (?:invalid ELF header|wrong ELF class|cannot open shared)|invalid ELF header"
            r"|was compiled against a different Node\.js version|NODE_MODULE_VERSION \d+"
            r"|could not locate the Query Engine for runtime"
            r"|Query engine (?:library|binary) for current platform \"[\w.-]{3,60}\" could not be found"
            r"|Could not load the \"(?:sharp|canvas)\" module using the \S{2,40} runtime"
        ),
        _native,
        beside=True,
    ),
    Row(
        "library-missing",
        lazy(
            r"error while loading shared libraries: ([\w.+-]{1,80}):|Error loading shared library ([\w.+-]{1,80}):"
            r"|Unable to load (?:shared library|DLL) ['\"]([\w.+-]{1,80})['\"]"
            r"|([\w.+-]{1,80}\.so(?:\.\d{1,4}){0,3}): cannot open shared object file"
        ),
        _library,
        beside=True,
    ),
    Row(
        "module-missing",
        lazy(
            r"ModuleNotFoundError: No module named ['\"]([\w.]{1,120})['\"]"
            r"|ImportError: No module named ['\"]?([\w.]{1,120})"
            r"|Error: Cannot find (?:module|package) ['\"]([^'\"\n]{1,200})['\"]|cannot load such file -- (\S{1,200})"
            r"|ClassNotFoundException: ([\w.$]{1,200})|NoClassDefFoundError: ([\w./$]{1,200})"
            r"|Could not find or load main class ([\w.$]{1,200})|Unable to access jarfile (\S{1,200})"
            r"|Missing script: \"([\w:.-]{1,60})\"|Couldn't find a (package\.json) file"
            r"|bundler: command not found: ([\w.-]{1,60})"
            r"|Could not find (?:gem )?['\"]?([\w.-]{1,80})['\"]?(?: \([^)\n]{1,40}\))? (?:required by your"
            r"|in (?:any of the"
            r" sources|locally installed gems))"
            r"|Call to undefined function (\w{1,60})\(|No time zone found with key (\S{1,60}?)'"
            r"|Unknown file extension \"(\.\w{1,8})\""
            r"|Can't locate (\S{1,120}) in @INC|Could not load file or assembly '([\w.]{1,120})"
        ),
        _module,
    ),
    Row(
        "line-ends",
        lazy(
            r"\w\\r['\"]?: (?:No such file|command not found|not found)|\^M: bad interpreter"
            r"|\$'\\r': command not found|\w\r['\"]?: No such file"
        ),
        _line_ends,
        "CommandNotFound",
        beside=True,
    ),
    Row(
        "jvm-cgroup",
        lazy(
            r"jdk\.internal\.platform\.[Cc]group\w*[^\n]{0,200}(?:is null|NullPointer)|\"anyController\" is null"
            # the frames of an exception without words
            r"|at (?:java\.base/)?jdk\.internal\.platform\.(?:cgroupv[12]\.)?Cgroup\w{1,40}\.(?:getInstance|create"
            r"|init\w*)\("
        ),
        _cgroup_v2,
        beside=True,
    ),
    Row(
        "user-unknown",
        lazy(
            r"getpwuid(?:\(\))?:? ?(?:\(\): )?uid not found|no (?:passwd|user) entry for uid"
            r"|cannot find name for user ID"
            r"|user: unknown userid \d+|unknown user(?:id)? \d+|No user exists for uid \d+|uid \d+ does not exist"
            r"|I have no name!|could not look up (?:effective |current |real )?user ID \d{1,10}: user does not exist"
            r"|[Cc]annot (?:find|determine) (?:the )?user(?:name)? (?:for|of) (?:uid|user id) \d{1,10}"
        ),
        _no_user,
        beside=True,
    ),
    Row(
        "refuses-root",
        lazy(
            r"(?i)\"root\" execution of the PostgreSQL server is not permitted|can ?not (?:be )?run \w+ as root"
            r"|initdb: (?:error: )?cannot be run as root|(?:not supposed to|must not|should not|do not"
            r"|don't|never) (?:be )?run[^\n]{0,30} as root|refusing to run as root"
            r"|Please read \"Security\" section of the manual to find out how to run mysqld as root"
        ),
        _as_root,
        beside=True,
    ),
)
