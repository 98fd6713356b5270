"""Programs of a cluster that find none, or more than one, address of their own to tell the other members."""

from __future__ import annotations

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import manifest, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import flag, objects, text, texts
from kubetriage.values.patterns import lazy

# The argument that names the address, by a part of the image or of the program's name.
_ARGUMENTS = (
    ("alertmanager", "--cluster.advertise-address=$(POD_IP):9094", "--cluster.listen-address= (empty) for one replica"),
    ("consul", "-advertise=$(POD_IP) and -bind=$(POD_IP)", ""),
    ("nomad", "advertise { http, rpc and serf } = $(POD_IP)", ""),
    ("vault", "VAULT_API_ADDR=http://$(POD_IP):8200 and VAULT_CLUSTER_ADDR=https://$(POD_IP):8201", ""),
    ("cockroach", "--advertise-host=$(POD_IP)", ""),
    ("loki", "-memberlist.advertise-addr=$(POD_IP), common.instance_addr: ${POD_IP} (-config.expand-env=true)", ""),
    ("mimir", "-memberlist.advertise-addr=$(POD_IP) and -ingester.ring.instance-addr=$(POD_IP), so for each ring", ""),
    ("tempo", "-memberlist.advertise-addr=$(POD_IP) and instance_addr: ${POD_IP} of each ring", ""),
    ("thanos", "the flag for its address with $(POD_IP)", ""),
    ("cortex", "-memberlist.advertise-addr=$(POD_IP) and instance_addr of each ring", ""),
)  # fmt: skip


def _address(words: LastWords, said: Said) -> Advice:
    container, case = words.container, words.case
    program = f"{container.image.rpartition('/')[2]} {container.name}".lower()
    row = next((r for r in _ARGUMENTS if r[0] in program), None)
    ip = text(case.pod.raw, "status", "podIP")
    on_host = flag(case.pod.raw, "spec", "hostNetwork") is True
    held = next(
        (
            text(e, "name")
            for e in objects(container.spec, "env")
            if text(e, "valueFrom", "fieldRef", "fieldPath") == "status.podIP"
        ),
        "",
    )
    variable = held or "POD_IP"
    argument = (row[1] if row else "the setting for the advertised (or bind) address with $(POD_IP)").replace(
        "POD_IP", variable
    )
    declared = f"{variable} holds it already" if held else f"{variable} from status.podIP"
    several = "ultiple" in said.line or "more than one" in said.line.lower()
    why = "has more than one private address" if several else "finds no private address on its interfaces"
    around = (
        " (hostNetwork: it sees all interfaces of the node)"
        if on_host
        else f" (the pod has {ip}, which need not be in a private range)"
        if ip and not several
        else ""
    )
    spec = (
        None
        if held
        else container.patch({"env": [{"name": variable, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]})
    )
    given = [*texts(container.spec, "command"), *texts(container.spec, "args")]
    other = f" Or {row[2]}." if row and row[2] else ""
    return Advice(
        f"it is not told which address it has, and {why}{around}",
        (
            manifest(
                words,
                f"Tell {where(words)} the pod's own address: {declared}, then the argument {argument}.{other}",
                spec,
            ),
        ),
        (Evidence("spec", f"{container.spec_path}.args", " ".join(given)[:300]),) if given else (),
        details={"setting": "advertise-address"},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "advertised-address",
        lazy(
            r"(?i)(?:multiple|more than one) (?:private |public )?(?:IPv[46] |IP )?address(?:es)? (?:were |was )?found"
            r"|no private (?:IPv[46] |IP )?address(?:es)? (?:was |were )?found"
            r"|no usea?ble (?:IP )?address(?:es)? found (?:for|on) interfaces?"
            r"|failed to (?:get|determine|find)(?: \w{1,10}){0,2} advertise(?:d)? addr"
            r"|(?:could not|cannot|unable to) (?:determine|find|get)(?: \w{1,10}){0,2} advertised? addr"
            r"|(?:please )?(?:set|provide|specify) (?:an? |the )?(?:explicit )?advertised? addr"
        ),
        _address,
        beside=True,
        whole=False,
    ),
)
