"""Secrets at rest: readable with the master key alone, and only where they belong."""
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fate_ext_plugin.auth.secret_box import SecretBox, master_key
from fate_ext_plugin.errors import InvalidSettings

BOX = SecretBox(b"k" * 32)


@given(secret=st.text(), owner=st.text())
def test_what_was_sealed_opens_again_and_never_looks_the_same(secret: str, owner: str) -> None:
    try:
        secret.encode(), owner.encode()
    except UnicodeEncodeError:
        return
    sealed = BOX.seal(secret, owner)
    assert BOX.open(sealed, owner) == secret
    assert BOX.seal(secret, owner) != sealed


@pytest.mark.parametrize("damage", [
    lambda sealed: sealed[:-8] + ("AAAA" if sealed[-8:-4] != "AAAA" else "BBBB") + sealed[-4:],
    lambda sealed: sealed[:16], lambda sealed: "", lambda sealed: "no base64!"])
def test_what_was_changed_does_not_open(damage: object) -> None:
    with pytest.raises(InvalidSettings, match="master key is not the one"):
        BOX.open(damage(BOX.seal("a secret of some length", "me")), "me")  # type: ignore[operator]


def test_another_owner_or_another_key_does_not_open() -> None:
    sealed = BOX.seal("secret", "client a")
    for box, owner in ((BOX, "client b"), (SecretBox(b"x" * 32), "client a")):
        with pytest.raises(InvalidSettings) as error:
            box.open(sealed, owner)
        assert "secret" not in error.value.message.replace("stored secret", "")


def test_the_master_key_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "master_key"
    key = master_key(file, None, make=True)
    assert len(key) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert master_key(file, None, make=True) == master_key(file, None, make=False) == key
    assert [path.name for path in file.parent.iterdir()] == ["master_key"]


def test_master_keys_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    with pytest.raises(InvalidSettings, match="can't be read"):
        master_key(file, None, make=False)
    for content in ("", "12", "x" * 64, "身"):
        file.write_text(content, "utf-8")
        file.chmod(0o600)
        with pytest.raises(InvalidSettings, match="64 hexadecimal digits"):
            master_key(file, None, make=True)
    file.write_text(os.urandom(32).hex())
    file.chmod(0o640)
    with pytest.raises(InvalidSettings, match="chmod 600"):
        master_key(file, None, make=True)
    monkeypatch.setenv("MASTER", os.urandom(32).hex())
    assert len(master_key(file, "MASTER", make=False)) == 32
    monkeypatch.setenv("MASTER", "short")
    with pytest.raises(InvalidSettings, match="environment variable MASTER"):
        master_key(file, "MASTER", make=False)
