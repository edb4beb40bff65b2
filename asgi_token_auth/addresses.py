"""Client addresses: through which proxies they are believed, and which of them are one client."""

import ipaddress
import logging
from collections.abc import Iterable, Sequence

logger = logging.getLogger("asgi_token_auth.throttling")

UNIX = "unix"
IPV6_CLIENT_BITS = 64  # what one customer is given at the least (RFC 6177): all of it is one client
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> Address | None:
    """The address, without port, brackets or zone; an IPv4-mapped one as IPv4. None: it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def network_of(address: str | None) -> str | None:
    """What is counted as one client: the IPv4 address, or the IPv6 network of 64 bits.

    A server may name its peers otherwise; such a name is its own network. None stays None, and
    so does what comes from this machine: a proxy that nobody named, behind which everyone would
    be one client, and anyone could use everyone's attempts up.
    """
    if address is None:
        return None
    parsed = parse_address(address)
    if parsed is not None and parsed.is_loopback:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed, IPV6_CLIENT_BITS), strict=False))
    return address if parsed is None else str(parsed)


class TrustedProxies:
    """The proxies whose word on their client's address is taken.

    Args:
        proxies: addresses, networks ("10.0.0.0/8"), and "unix" for a peer without an address.

    Raises:
        ValueError: one is none of these.
    """

    def __init__(self, proxies: Sequence[str]) -> None:
        if isinstance(proxies, str):  # each of its characters would be a proxy
            raise ValueError("a sequence of texts is needed")
        self._unix = UNIX in proxies
        self._wondered = False
        self._networks = [ipaddress.ip_network(proxy) for proxy in proxies if proxy != UNIX]

    def client_address(self, peer: str | None, forwarded: Iterable[str]) -> str | None:
        """The address of the client behind `peer`, by all X-Forwarded-For headers in their order.

        Each proxy adds its own peer at the right, so only what is right of the first stranger,
        and that stranger, is known; what is further left the stranger may have made up.
        """
        address = parse_address(peer) if peer else None
        if not (self._trusts(address) if address else self._unix and not peer):
            self._wonder(address, forwarded)
            return str(address) if address else peer or None
        hops = [hop for header in forwarded for hop in header.split(",")]
        for hop in reversed(hops):
            before = parse_address(hop)
            if before is None:
                break
            address = before
            if not self._trusts(address):
                break
        return str(address) if address else None

    def _wonder(self, peer: Address | None, forwarded: Iterable[str]) -> None:
        """Once: a proxy that nobody named makes all its clients one address."""
        if self._wondered or (peer is not None and not peer.is_private) or not [*forwarded]:
            return
        self._wondered = True
        logger.warning(
            "X-Forwarded-For from %s is not believed: if that is your proxy, name it in"
            " trusted_proxies",
            peer or UNIX,
        )

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)
