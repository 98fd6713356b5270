"""What to run on the node itself when the control plane has lost it, and what each command decides."""

from __future__ import annotations

from kubetriage.rules.node.case import NodeCase
from kubetriage.values.times import format_time


def commands(case: NodeCase) -> tuple[tuple[str, str], ...]:
    """Return command and what it decides, in the order to run them."""
    _, unit = case.runtime
    renewed = case.contact.renewed
    since = f" --since '{format_time(renewed)[:19].replace('T', ' ')} UTC'" if renewed else " -n 200"
    return (
        (f"ping -c3 {case.address}; ssh {case.address} uptime", "does the machine answer, and has it booted since"),
        (
            "sudo systemctl status kubelet",
            "active: its way to the API server is cut; failed: the kubelet stopped",
        ),
        (
            f"sudo journalctl -u kubelet{since}",
            "why it stopped, or why Lease updates fail (x509, timeout, refused)",
        ),
        (f"sudo systemctl status {unit}; sudo crictl ps", "do the containers still run: if so, never force-delete"),
        ("sudo dmesg -T | grep -iE 'oom|hung task|I/O error|link is down'", "memory, disk or network failed below it"),
        ("df -h / /var; df -i /var; free -m", "a full disk or no memory keeps the kubelet from working"),
        (
            "sudo grep server: /etc/kubernetes/kubelet.conf; curl -km5 SERVER/livez",
            "does the API server answer from here (address, DNS, load balancer, firewall)",
        ),
        (
            "sudo openssl x509 -enddate -noout -in /var/lib/kubelet/pki/kubelet-client-current.pem",
            "has the kubelet's client certificate expired",
        ),
    )
