"""Secrets at rest: AES-256-GCM (NIST SP 800-38D) under one master key, which is never in the database."""
import base64
import binascii
import os
import secrets
from pathlib import Path
from typing import Any, Optional

from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.util.secret_file import make_secret_file, require_secret_file

KEY_BYTES = 32
NONCE_BYTES, TAG_BYTES = 12, 16


class SecretBox:
    """:param key: 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, secret: str, owner: str) -> str:
        """Encrypt ``secret``; only with the same ``owner`` does it open again, so rows can't be swapped."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        text, tag = self._cipher(nonce, owner).encrypt_and_digest(secret.encode("utf-8"))
        return base64.b64encode(nonce + tag + text).decode("ascii")

    def open(self, sealed: str, owner: str) -> str:
        """:raises InvalidSettings: sealed under another master key, for another owner, or damaged."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            nonce, rest = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
            return self._cipher(nonce, owner).decrypt_and_verify(rest[TAG_BYTES:], rest[:TAG_BYTES]).decode("utf-8")
        except (ValueError, binascii.Error):
            raise InvalidSettings(
                f"The stored secret of {owner} can't be decrypted: the master key is not the one it was stored "
                "under. Name the right one (authentication.master_key_file or master_key_env).") from None

    def _cipher(self, nonce: bytes, owner: str) -> Any:
        from Crypto.Cipher import AES  # its import is slow, and not every server has secrets

        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce, mac_len=TAG_BYTES)
        cipher.update(owner.encode("utf-8"))
        return cipher


def master_key(file: Path, variable: Optional[str], make: bool) -> bytes:
    """The master key: 64 hexadecimal digits in an environment variable or in a file of mode 0600.

    :param make: create the file where it does not exist.
    :raises InvalidSettings: it is missing, readable by others, or no key.
    """
    if variable:
        return _key(os.environ.get(variable, ""), f"The environment variable {variable}")
    if make:
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_secret_file(file, f"{secrets.token_hex(KEY_BYTES)}\n".encode("ascii"))
        except OSError as error:
            raise InvalidSettings(f"The master key can't be written to {file}: {error.strerror}.") from None
    try:
        require_secret_file(file)
        return _key(file.read_text("ascii"), str(file))
    except OSError as error:
        raise InvalidSettings(f"The master key can't be read: {error.strerror}: {file}") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{file} holds no master key: 64 hexadecimal digits.") from None


def _key(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidSettings(f"{where} holds no master key: 64 hexadecimal digits.")
    return key
