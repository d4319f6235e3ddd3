"""Keys of sites: list, show our public one, accept and revoke partners', and what is agreed with each partner."""
from typing import Any, Dict

from fate_ext_plugin.admin.desk import Desk
from fate_ext_plugin.admin.operation import Call, Operation, look
from fate_ext_plugin.db.base import date_of, now_ms
from fate_ext_plugin.errors import InvalidSettings, UnknownKey
from fate_ext_plugin.schema import admin as schemas
from fate_ext_plugin.schema.shown import key_dict


def list_keys(desk: Desk, call: Call) -> Dict[str, Any]:
    return {"keys": [key_dict(row) for row in desk.keys.rows()]}


def show_own_key(desk: Desk, call: Call) -> Dict[str, Any]:
    if not desk.party_id:
        raise InvalidSettings("This site's party ID is not known; set it in service_conf.yaml.")
    own = desk.keys.ring().signing_key(desk.party_id, now_ms())
    if own is None:
        raise UnknownKey(f"Party {desk.party_id} has no key that signs now; `fate-ext key generate` makes one.")
    return {"party_id": desk.party_id, "fingerprint": f"SHA256:{own.fingerprint}", "public_key": own.rsa.public_pem}


def add_key(desk: Desk, call: Call) -> Dict[str, Any]:
    said = call.said
    fingerprint = desk.keys.add_public(said["party_id"], said["public_key"], said["valid_from"], said["valid_until"])
    return {"fingerprint": f"SHA256:{fingerprint}", "parties": [said["party_id"]]}


def remove_key(desk: Desk, call: Call) -> Dict[str, Any]:
    fingerprint = call.path["fingerprint"]
    return {"fingerprint": f"SHA256:{fingerprint}", "parties": desk.keys.remove_public(fingerprint)}


def list_policies(desk: Desk, call: Call) -> Dict[str, Any]:
    ring = desk.keys.ring()
    parties = sorted({*ring.public, *ring.policies} - {desk.party_id})
    return {"policies": [_policy(desk, party) for party in parties]}


def change_policy(desk: Desk, call: Call) -> Dict[str, Any]:
    party = call.path["party_id"]
    desk.keys.set_policy(party, call.said["envelope"], call.said["md5"])
    return _policy(desk, party)


def _policy(desk: Desk, party: str) -> Dict[str, Any]:
    agreed = desk.keys.ring().policy(party)
    return {"party_id": party, "envelope": agreed.envelope, "md5": agreed.md5,
            "envelope_seen": agreed.envelope_seen and date_of(agreed.envelope_seen)}


OPERATIONS = [
    look("keys.list", "/keys", list_keys, schemas.KeysAnswer, "List keys, ours and our partners'"),
    look("keys.own", "/keys/own", show_own_key, schemas.OwnKeyAnswer, "Show our own public key, for partners"),
    Operation("keys.add", "POST", "/keys", add_key, schemas.FingerprintAnswer,
              "Accept a partner's public key beside those it has", schemas.NewKey),
    Operation("keys.remove", "DELETE", "/keys/<fingerprint>", remove_key, schemas.FingerprintAnswer,
              "Revoke a partner's key at once"),
    look("policies.list", "/policies", list_policies, schemas.PoliciesAnswer,
         "List what partners' signatures must be like"),
    Operation("policies.change", "PUT", "/policies/<party_id>", change_policy, schemas.PolicyAnswer,
              "Change what a partner's signatures must be like", schemas.PolicyChange),
]
