"""What we need of the program we live in, said once. Only this folder imports fate_flow."""
import socket
from typing import Callable, Iterable, List, Optional, Protocol, Tuple

from fate_ext_plugin.db.base import Store

# Frames a body's blocks for chunked transfer.
Frame = Callable[[Iterable[bytes]], Iterable[bytes]]


class Host(Protocol):
    """A FATE Flow server, or none."""

    #: the database for our tables
    store: Store
    #: host and port under which FATE Flow reaches our services
    address: Tuple[str, int]
    #: host and port of this very server, also where several have one `address`
    own_address: Tuple[str, int]
    #: for a host whose HTTP server does not speak chunked transfer; None where it does
    frame: Optional[Frame]

    def own_addresses(self) -> List[str]:
        """IP addresses of FATE Flow itself, from which its task workers call."""

    def party_id(self) -> str:
        """This site's party ID; '' where none is configured."""

    def own_client(self) -> Optional[Tuple[str, str]]:
        """App key and secret with which FATE Flow signs its own calls, where it does."""

    def site_keys(self) -> List[Tuple[str, str, str]]:
        """FATE Flow's own keys: party, ``private`` or ``public``, PEM."""

    def permission_rules(self) -> List[Tuple[str, str, str]]:
        """The grants of FATE Flow's built-in check: party, ``component`` or ``dataset``, value."""

    def fate_job_running(self, fate_job_id: str) -> Optional[bool]:
        """Whether a FATE job of this ID is running here; None where the host can't tell."""


def resolve(host: str) -> List[str]:
    """The IP addresses of a host name; none where it does not resolve."""
    try:
        return sorted({str(info[4][0]).split("%")[0] for info in socket.getaddrinfo(host, None)})
    except OSError:
        return []
