"""Keys of sites: list, show our public one, accept and revoke partners', and what is agreed with each partner."""
from typing import Any, Dict, Optional

from fate_ext_plugin.admin.context import AdminContext
from fate_ext_plugin.admin.operation import Call, Operation, read
from fate_ext_plugin.auth.key_store import PRIVATE
from fate_ext_plugin.db.base import date_of, now_ms
from fate_ext_plugin.errors import KeyTaken, UnknownKey
from fate_ext_plugin.schema import admin as schemas
from fate_ext_plugin.schema.serializers import key_dict

PARTY_UNKNOWN = (
    "This site's party ID is not known: name it with --party, or set it in service_conf.yaml (for FATE Flow party_id, "
    "for `fate-ext serve` authentication.party_id).")


def list_keys(context: AdminContext, call: Call) -> Dict[str, Any]:
    return {"keys": [key_dict(row) for row in context.keys.rows()]}


def show_own_keys(context: AdminContext, call: Call) -> Dict[str, Any]:
    party, now = call.payload["party"] or context.party_id, now_ms()
    if not party:
        raise UnknownKey(PARTY_UNKNOWN)
    return {"keys": [{
        "party_id": party, "fingerprint": _shown(own.fingerprint), "signs": "now" if own.valid(now) else "later",
        "valid_from": _date(own.valid_from), "valid_until": _date(own.valid_until), "public_key": own.rsa.public_pem,
    } for own in context.keys.ring().own_keys(party, now)]}


def add_key(context: AdminContext, call: Call) -> Dict[str, Any]:
    party, span = call.payload["party_id"], (call.payload["valid_from"], call.payload["valid_until"])
    fingerprint = context.keys.add_public(party, call.payload["public_key"], *span)
    row = _row(context, party, fingerprint)
    if any(span) and span != (row["valid_from"], row["valid_until"]):
        raise KeyTaken(f"This key of party {party} is here already, {_span(row)}; nothing is changed. Remove it first.")
    return key_dict(row)


def remove_key(context: AdminContext, call: Call) -> Dict[str, Any]:
    party, fingerprint = call.path["party_id"], call.path["fingerprint"].replace("SHA256:", "", 1)
    row = _row(context, party, fingerprint)
    if row["kind"] == PRIVATE:
        raise KeyTaken("This is a private key of our own; `fate-ext key` on the server rotates and removes it.")
    context.keys.remove(party, fingerprint)
    return key_dict(row)


def list_policies(context: AdminContext, call: Call) -> Dict[str, Any]:
    ring = context.keys.ring()
    parties = sorted({*ring.public, *ring.policies} - {context.party_id})
    return {"policies": [_policy(context, party) for party in parties]}


def show_policy(context: AdminContext, call: Call) -> Dict[str, Any]:
    return _policy(context, call.path["party_id"])


def change_policy(context: AdminContext, call: Call) -> Dict[str, Any]:
    party = call.path["party_id"]
    context.keys.set_policy(party, call.payload["envelope"], call.payload["md5"])
    return _policy(context, party)


def _policy(context: AdminContext, party: str) -> Dict[str, Any]:
    agreed = context.keys.ring().policy(party)
    return {"party_id": party, "envelope": agreed.envelope, "md5": agreed.md5,
            "envelope_seen": _date(agreed.envelope_seen)}


def _row(context: AdminContext, party: str, fingerprint: str) -> Dict[str, Any]:
    """:raises UnknownKey: this party has no such key."""
    for row in context.keys.rows():
        if (row["party_id"], row["fingerprint"]) == (party, fingerprint):
            return row
    raise UnknownKey(f"Party {party[:20]!r} has no key {fingerprint[:80]!r} here; give the whole one, from the list.")


def _span(row: Dict[str, Any]) -> str:
    start, end = _date(row["valid_from"]), _date(row["valid_until"])
    return f"valid {f'from {start} ' if start else ''}until {end or 'it is removed'}"


def _shown(fingerprint: str) -> str:
    return f"SHA256:{fingerprint}"


def _date(moment: Optional[int]) -> Optional[str]:
    return None if moment is None else date_of(moment)


OPERATIONS = [
    read("keys.list", "/keys", list_keys, schemas.KeysAnswer, "List keys, ours and our partners'"),
    read("keys.own", "/keys/own", show_own_keys, schemas.OwnKeysAnswer,
         "Show our own public key, for partners: the one that signs now, then those to come", schemas.OwnKeysQuery),
    Operation("keys.add", "POST", "/keys", add_key, schemas.KeyAnswer,
              "Accept a partner's public key beside those it has", schemas.NewKey,
              redacted_fields=("public_key",)),  # a private one by mistake
    Operation("keys.remove", "DELETE", "/keys/<party_id>/<fingerprint>", remove_key, schemas.KeyAnswer,
              "Revoke a partner's key at once"),
    read("policies.list", "/policies", list_policies, schemas.PoliciesAnswer,
         "List what partners' signatures must be like"),
    read("policies.show", "/policies/<party_id>", show_policy, schemas.PolicyAnswer,
         "Show what a partner's signatures must be like"),
    Operation("policies.change", "PUT", "/policies/<party_id>", change_policy, schemas.PolicyAnswer,
              "Change what a partner's signatures must be like", schemas.PolicyChange),
]
