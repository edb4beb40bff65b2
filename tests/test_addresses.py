"""Which address a request comes from, and which addresses are one client."""

import pytest

from asgi_token_auth.addresses import TrustedProxies, network_of


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], "198.51.100.1"),
        (None, ["rubbish"], None),
        (None, [], None),
        ("testclient", ["198.51.100.1"], "testclient"),
    ],
)
def test_forwarded_addresses_are_believed_of_trusted_proxies(
    peer: str | None, forwarded: list[str], address: str | None
) -> None:
    """From the right, up to the first that is not trusted; rubbish ends it."""
    proxies = TrustedProxies(["10.0.0.0/8", "fd00::/8", "unix"])

    assert proxies.client_address(peer, forwarded) == address


@pytest.mark.parametrize("peer", [None, "", "10.0.0.1", "fd00::1"])
def test_nobody_is_trusted_unless_named(peer: str | None) -> None:
    """A proxy that nobody configured is a client."""
    assert TrustedProxies([]).client_address(peer, ["198.51.100.1"]) == (peer or None)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        (None, None),
    ],
)
def test_one_client_is_one_network(address: str | None, network: str | None) -> None:
    """By 64 bits of IPv6, and by the whole address of IPv4."""
    assert network_of(address) == network


def test_a_proxy_that_nobody_named_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """All its clients are one address, or none. What strangers send by themselves is no proxy."""
    proxies = TrustedProxies(["192.0.2.1"])
    proxies.client_address("8.8.8.8", ["198.51.100.1"])
    proxies.client_address("192.0.2.1", ["198.51.100.1"])
    proxies.client_address("10.0.0.7", [])
    assert not caplog.records

    for _ in range(3):
        assert proxies.client_address("10.0.0.7", ["198.51.100.1"]) == "10.0.0.7"
    assert ["10.0.0.7" in record.getMessage() for record in caplog.records] == [True]
