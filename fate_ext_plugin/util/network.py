"""Addresses and networks of those who call, X-Forwarded-For included."""
import ipaddress
from functools import lru_cache
from typing import Iterable, Optional, Sequence, Tuple, Union

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
LOOPBACK: Tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def caller_of(peer: Optional[str], forwarded: Sequence[str], proxies: Iterable[Network]) -> Optional[Address]:
    """A request's address: the nearest one that is no trusted proxy; None where there is none.

    :param peer: address of the TCP connection. :param forwarded: values of all X-Forwarded-For headers, in order.
    """
    address = address_of(peer)
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while address is not None and hops and is_in(address, proxies):
        address = address_of(hops.pop())
    return address


@lru_cache(maxsize=1024)
def address_of(text: Optional[str]) -> Optional[Address]:
    try:
        address = ipaddress.ip_address((text or "").split("%")[0])
    except ValueError:
        return None
    # ::ffff:10.0.0.1 is how a socket for both families shows 10.0.0.1.
    return getattr(address, "ipv4_mapped", None) or address


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
