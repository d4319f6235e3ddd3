"""Which requests FATE Flow 1.9 to 1.11 may send to one of its own servers on behalf of a partner.

A FATE Flow of these versions sends its partners POST requests for scheduling paths and for three paths of models, and
nothing else that a job or a model needs. Everything outside this list is refused.
"""
import re
from typing import Any, Dict, Mapping

#: client paths that a partner's FATE Flow calls
MODEL_PATHS = frozenset(f"/v1/model/{action}/do" for action in ("load", "migrate", "deploy"))
#: what FATE Flow sends to a partner, as it spells it on arrival
HEADERS = frozenset(("USER-AGENT", "SERVICE", "SRC-FATE-VER", "SRC-PARTY-ID", "DEST-PARTY-ID", "SRC-ROLE",
                     "SITE-SIGNATURE"))
# A segment is an ID, a role, a status or the name of a component: letters of any language, digits, "_" and "-"
# (FATE's dsl_parser). So no segment has a dot, a "%" or any other character with a meaning in a URL.
_SCHEDULING_PATH = re.compile(r"/v1/(?:party|initiator|tracker)(?:/[\w-]+)+")
# FATE Flow makes a folder of this name for its logs.
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{0,64}")


class RefusedRequest(Exception):
    """The request is not one that partners send; the text says why and holds nothing of the request."""


def require_partner_request(method: str, path: str) -> None:
    """Accept a request that a partner's FATE Flow sends.

    :param method: as the partner sent it; only ``POST`` is accepted, in capitals.
    :param path: as the partner sent it, not decoded.
    :raises RefusedRequest: another method or path.
    """
    if method != "POST":
        raise RefusedRequest("Partners may only send POST requests.")
    if path not in MODEL_PATHS and not _SCHEDULING_PATH.fullmatch(path):
        raise RefusedRequest("Partners have no access to this path.")


def require_job_id(job_id: str) -> None:
    """:raises RefusedRequest: it could name a folder outside FATE Flow's logs."""
    if not _JOB_ID.fullmatch(job_id):
        raise RefusedRequest("This is not a job ID.")


def partner_headers(headers: Mapping[str, Any]) -> Dict[str, Any]:
    """Those of a partner's headers that FATE Flow itself sends, spelled as FATE Flow forwards them.

    Headers that concern the connection, the sender's address or a client's signature are left out.
    """
    spelled = {str(name).replace("_", "-").upper(): value for name, value in headers.items()}
    return {name: value for name, value in spelled.items() if name in HEADERS}
