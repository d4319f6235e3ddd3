"""Who is signed in at the console. Sessions live in this server's memory: its restart ends them all."""
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Callable, Dict, Optional

from itsdangerous import BadSignature, Signer

from fate_ext_plugin.auth.client_store import Client

COOKIE = "fate_ext_console"
IDLE_SECONDS, LONGEST_SECONDS = 30 * 60, 8 * 3600
# The one that was idle for longest makes room.
MAX_SESSIONS, MAX_NOTICES = 1000, 10


@dataclass(frozen=True)
class FlashMessage:
    """What the next page says, once. ``done``: a key of the languages; ``secret``: a client's new one."""

    done: str
    about: str
    secret: Optional[str] = None


@dataclass
class Session:
    """``version``: of the secret it began with; ``began`` and ``seen``: s on the clock of :class:`Sessions`."""

    app_key: str
    version: str
    began: float
    seen: float
    flash_messages: Dict[str, FlashMessage] = field(default_factory=dict)

    def leave(self, flash_message: FlashMessage) -> str:
        """Returns the word with which :meth:`take` gives it."""
        if len(self.flash_messages) >= MAX_NOTICES:
            self.flash_messages.clear()
        word = secrets.token_urlsafe(12)
        self.flash_messages[word] = flash_message
        return word

    def take(self, word: str) -> Optional[FlashMessage]:
        return self.flash_messages.pop(word, None)


class Sessions:
    """A browser's cookie is a random text that we signed; who it stands for is known here alone.

    A browser has one before it signs in, too, so that each form, the first one included, can be bound to it.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._cookies, self._forms = (
            Signer(key, salt=f"fate_ext_plugin console {what}", digest_method=hashlib.sha256)
            for what in ("cookie", "form"))
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def new_cookie(self) -> str:
        return self._cookies.sign(secrets.token_urlsafe(32)).decode("ascii")

    def is_ours(self, cookie: str) -> bool:
        try:
            self._cookies.unsign(cookie)
        except BadSignature:
            return False
        return True

    def begin(self, client: Client) -> str:
        """Returns the cookie: a new one, which nobody can have known before."""
        cookie, now = self.new_cookie(), self._clock()
        with self._lock:
            self._sessions[cookie] = Session(client.app_key, client.secret_version(), now, now)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str, touch: bool = True) -> Optional[Session]:
        """The session that goes on; None where there is none, or it has lasted too long.

        :param touch: False: a page that asks again by itself, which keeps no session alive.
        """
        now = self._clock()
        with self._lock:
            session = self._sessions.get(cookie)
            if session is None:
                return None
            if now - session.seen >= IDLE_SECONDS or now - session.began >= LONGEST_SECONDS:
                del self._sessions[cookie]
                return None
            if touch:
                session.seen = now
                self._sessions.move_to_end(cookie)
            return session

    def end(self, cookie: str) -> None:
        with self._lock:
            self._sessions.pop(cookie, None)

    def form_token(self, cookie: str) -> str:
        """What each form of this browser must hold."""
        return self._forms.get_signature(cookie).decode("ascii")

    def accepts(self, cookie: str, form_token: str) -> bool:
        return hmac.compare_digest(self.form_token(cookie).encode("ascii"), form_token.encode("utf-8", "replace"))
