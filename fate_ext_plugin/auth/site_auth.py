"""Site authentication: sign our requests to other sites, and verify theirs (contract section 6)."""
import logging
import time
from typing import Any, Callable, Optional, Set

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.auth.clock import clocks_differ
from fate_ext_plugin.auth.envelope import Envelope, append, new_nonce, parse, signed_text
from fate_ext_plugin.auth.key_store import Key, Policy, SiteKeys, body_text
from fate_ext_plugin.auth.nonces import Nonces
from fate_ext_plugin.auth.session_key import InvalidVoucher
from fate_ext_plugin.errors import Unauthenticated

logger = logging.getLogger(__name__)
# FATE Flow sends a signed request up to 3 times: 30 s timeout each, 2 s and 4 s between.
TRIES = 3


class SiteAuthentication:
    """:param own_party: this site's party ID, which '' and 0 stand for.
    :param digest: ``sha256``, or ``md5`` in a federation that still has FATE Flow 1.9 or 1.10.
    :param window: seconds that a request may take to arrive, FATE's retries included.
    :param skew: seconds that a partner's clock may differ."""

    def __init__(
        self, keys: SiteKeys, own_party: str, nonces: Nonces, audit: Optional[AuditLog], digest: str, window: float,
        skew: float, clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._own_party, self._nonces, self._audit = keys, own_party, nonces, audit
        self._digest, self._window, self._skew, self._clock = digest, window, skew, clock
        self._warned: Set[str] = set()

    def sign(self, party_id: Any, body: Any) -> str:
        """The header ``site_signature`` for a body of ours: FATE's signature, then the envelope.

        :raises Unauthenticated: we have no valid private key for this party.
        """
        party = self._party(party_id)
        try:
            signed = self._sign(party, body)
        except Exception as error:
            self._note("signature", False, party, None, None, getattr(error, "reason", "error"), known=True)
            raise
        self._note("signature", True, party, None, None, "ok")
        return signed

    def _sign(self, party: str, body: Any) -> str:
        now = int(self._clock() * 1000)
        key = self._keys.ring().signing_key(party, now)
        if key is None:
            raise Unauthenticated(
                f"There is no valid private key of party {party[:20]} here; `fate-ext key list` shows all.", "no key")
        text = body_text(body)
        signature = key.rsa.sign(text, self._digest)
        short, nonce, session = key.fingerprint[:32], new_nonce(), key.sessions.current(now)
        signed = session.sign(signed_text(short, session.voucher, now, nonce, text))
        return append(signature, Envelope(short, session.voucher, now, nonce, signed))

    def check(self, src_party_id: Any, signature: Any, body: Any, source: Any = None, what: str = "") -> None:
        """Let a site's request pass.

        :param source: where it comes from; :param what: method and path; '' where the host can't tell.
        :raises Unauthenticated: with a message for the peer.
        """
        party = self._party(src_party_id)
        try:
            reason = self._check(party, signature, body, what)
        except Exception as error:
            self._note("site", False, party, what or None, source, getattr(error, "reason", "error"))
            raise
        self._note("site", True, party, what or None, source, reason)

    def require_usable(self) -> None:
        """:raises ExtError: the keys can't be read."""
        self._keys.ring()

    def _note(
        self, check: str, allowed: bool, party: str, what: Any, source: Any, reason: str, known: bool = False
    ) -> None:
        if self._audit:
            self._audit.write(check, allowed, party, what, source, reason, known=known)

    def _party(self, party_id: Any) -> str:
        """'', 0 and none stand for ourselves."""
        text = "" if party_id is None else str(party_id)
        return self._own_party if text in ("", "0") else text

    def _check(self, party: str, header: Any, body: Any, what: str) -> str:
        if not isinstance(header, str) or not header:
            raise Unauthenticated("The request has no site_signature.", "not signed")
        signature, envelope = parse(header)
        ring, now = self._keys.ring(), int(self._clock() * 1000)
        keys = ring.verifying_keys(party, now)
        if not keys:
            raise _does_not_fit("unknown party")
        policy = ring.policy(party)
        text = body_text(body)
        if envelope is not None and policy.envelope != "off":
            self._check_envelope(keys, envelope, text, now, what)
            if policy.envelope_seen is None:
                self._keys.saw_envelope(party)
            return "envelope"
        self._refuse_bare(policy)
        return self._check_bare(party, keys, signature, text, policy)

    def _check_envelope(self, keys: "list[Key]", envelope: Envelope, text: bytes, now: int, what: str) -> None:
        """The envelope's signature covers the body, too, and never by MD5: so the one in front is not looked at."""
        key = next((key for key in keys if key.fingerprint.startswith(envelope.key)), None)
        if key is None:
            raise _does_not_fit("unknown key")
        try:
            session = key.sessions.vouched(envelope.voucher)
        except InvalidVoucher:
            raise _does_not_fit("wrong voucher") from None
        if not session.first <= envelope.time <= session.last:
            raise _does_not_fit("not of the voucher's time")
        if not session.accepts(envelope.signature, signed_text(
                envelope.key, envelope.voucher, envelope.time, envelope.nonce, text)):
            raise _does_not_fit("wrong signature")
        self._check_clock(envelope.time / 1000, now / 1000)
        until = envelope.time / 1000 + self._window + self._skew
        # The path is not signed; but what a request was first used for, its retries are for, too.
        self._nonces.use(f"site {key.fingerprint}", envelope.nonce, until, TRIES, what)

    def _check_clock(self, signed: float, now: float) -> None:
        most = self._skew if signed > now else self._window + self._skew
        if abs(now - signed) > most:
            raise clocks_differ(signed, now, most)

    @staticmethod
    def _refuse_bare(policy: Policy) -> None:
        if policy.envelope == "require":
            raise _does_not_fit("no envelope")
        if policy.envelope == "auto" and policy.envelope_seen is not None:
            raise _does_not_fit("downgrade")

    def _check_bare(self, party: str, keys: "list[Key]", signature: bytes, text: bytes, policy: Policy) -> str:
        if any(key.rsa.accepts(signature, text, "sha256") for key in keys):
            return "bare"
        md5 = policy.md5 or (party == self._own_party and self._digest == "md5")
        if md5 and any(key.rsa.accepts(signature, text, "md5") for key in keys):
            self._warn_of_md5(party)
            return "bare, md5"
        raise _does_not_fit("wrong signature")

    def _warn_of_md5(self, party: str) -> None:
        if party not in self._warned:
            self._warned.add(party)
            logger.warning("party %s signs with MD5, which can be forged; FATE Flow 1.11 ends that", party)


def _does_not_fit(reason: str) -> Unauthenticated:
    """Whoever can't sign learns no more, not even whether the party is known; the reason is for the audit log."""
    return Unauthenticated(
        "The signature does not fit, or is not accepted of this party; the audit log here says why.", reason)
