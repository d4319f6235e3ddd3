"""Stands between two sites that talk gRPC, as FATE's rollsite does: it forwards packets by the receiver's party."""
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict

import grpc

from tests.support.site import free_port

SERVICE = "com.webank.ai.eggroll.api.networking.proxy.DataTransferService"
METHOD = "unaryCall"


class GrpcRouter:
    """:param ports: of FATE Flow's gRPC servers on this machine, by party ID."""

    def __init__(self, ports: Dict[str, int]) -> None:
        self.port = free_port()
        self._calls = {party: grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(f"/{SERVICE}/{METHOD}")
                       for party, port in ports.items()}
        #: how many packets each party was sent
        self.forwarded = dict.fromkeys(ports, 0)
        self._server = grpc.server(ThreadPoolExecutor(16))
        handler = grpc.unary_unary_rpc_method_handler(self._forward)  # bytes in, bytes out: no message is read
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")

    def start(self) -> "GrpcRouter":
        self._server.start()
        return self

    def stop(self) -> None:
        self._server.stop(None)

    def _forward(self, packet: bytes, context: Any) -> Any:
        party = dict(context.invocation_metadata())["dest-party-id"]
        self.forwarded[party] += 1
        return self._calls[party](packet, timeout=300)
