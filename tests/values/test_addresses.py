import pytest

from kubetriage.values.addresses import is_address, is_loopback


@pytest.mark.parametrize(
    ("host", "address", "loopback"),
    [
        ("localhost", False, True),
        ("127.0.0.1", True, True),
        ("127.8.9.10", True, True),
        ("::1", True, True),
        ("10.0.0.1", True, False),
        ("0.0.0.0", True, False),
        ("localhost.example", False, False),
        ("db", False, False),
        ("", False, False),
    ],
)
def test_hosts(host, address, loopback):
    assert (is_address(host), is_loopback(host)) == (address, loopback)
