"""health and ready, for a load balancer, metrics, for Prometheus, and what all endpoints are, for programs."""
from pathlib import Path
from typing import Any, Callable, Tuple

from flask import Response, jsonify, request

from fate_ext_plugin.apps.blueprint import ServiceBlueprint
from fate_ext_plugin.monitoring.readiness import Readiness

PROBES = ["GET", "HEAD"]
OPENAPI = Path(__file__).parent.parent / "openapi.json"


def add_probes(blueprint: ServiceBlueprint, readiness: Readiness) -> None:

    def health() -> Any:
        return jsonify(code=0, message="alive")

    def ready() -> Any:
        readiness.require()
        return jsonify(code=0, message="ready")

    blueprint.add("health", PROBES, health, token=False)
    blueprint.add("ready", PROBES, ready, token=False)


def add_openapi(blueprint: ServiceBlueprint) -> None:
    """The same for everybody: it holds no secret."""

    def openapi() -> Any:
        return Response(OPENAPI.read_bytes(), mimetype="application/json")

    blueprint.add("openapi.json", PROBES, openapi, token=False)


def add_metrics(blueprint: ServiceBlueprint, text: Callable[[str], Tuple[bytes, str]]) -> None:
    """:param text: the metrics and their Content-Type, given the header Accept."""

    def metrics() -> Any:
        body, content_type = text(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    blueprint.add("metrics", ["GET"], metrics)
