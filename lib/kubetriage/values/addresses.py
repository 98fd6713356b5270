"""What a host is, as far as its text says."""

from __future__ import annotations


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address and not a name."""
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(host: str) -> bool:
    """Tell whether a host is an IP address of the public internet, so neither a pod nor a Service."""
    import ipaddress

    return is_address(host) and ipaddress.ip_address(host).is_global


def is_loopback(host: str) -> bool:
    """Tell whether a host is the machine (or pod) itself: ``localhost``, ``127.0.0.0/8`` or ``::1``."""
    import ipaddress

    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
