"""What the first start of a server with authentication makes, and what later ones leave alone."""
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

import pytest

from fate_ext_plugin.auth.envelope import parse
from fate_ext_plugin.auth.key_store import SiteKeys
from fate_ext_plugin.auth.secret_box import master_key
from fate_ext_plugin.auth.setup import Authentication, SecretBox, open_authentication, open_signer
from fate_ext_plugin.db.base import Store, now_ms
from fate_ext_plugin.errors import InvalidSettings, Unauthenticated
from fate_ext_plugin.settings.load import parse_settings
from fate_ext_plugin.settings.model import Settings
from tests.support.keys import private_pem, public_of
from tests.support.recordings import vectors

Rows = Iterable[Tuple[str, str, str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse_settings({"data_dir": "data", "authentication": {}}, tmp_path)


def start(settings: Settings, store: Store, rows: Rows = ()) -> Authentication:
    return open_authentication(settings, store, "9999", None, lambda: rows)


def rows_of(settings: Settings, store: Store) -> List[Dict[str, Any]]:
    return SiteKeys(store, SecretBox(master_key(settings.data_dir / "master_key", None, make=False))).rows()


def test_the_first_start_makes_a_key_of_our_own_and_later_ones_keep_it(settings: Settings, store: Store) -> None:
    signed = start(settings, store).sites.sign("", {})
    (made,) = rows_of(settings, store)
    assert (made["party_id"], made["kind"]) == ("9999", "private")
    start(settings, store).sites.check("9999", signed, {})
    assert rows_of(settings, store) == [made]


def test_fate_flows_own_keys_are_taken_over_because_partners_know_them(settings: Settings, store: Store) -> None:
    pair = vectors("1.11.2")
    rows = [("10000", "public", public_of(private_pem(2048))), ("9999", "public", pair["public_key"]),
            ("9999", "private", pair["private_key"])]
    signed = start(settings, store, rows).sites.sign("9999", {})
    assert signed.partition("~")[0] == pair["vectors"][0]["site_signature"]
    assert len(rows_of(settings, store)) == 2


def test_a_key_of_ours_that_can_not_be_taken_over_is_not_replaced_behind_partners_backs(
    settings: Settings, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    sites = start(settings, store, [("9999", "private", private_pem(1024))]).sites
    assert rows_of(settings, store) == []
    assert "FATE Flow's private 9999 key is not taken over, refused: The key has 1024 bits" in caplog.text
    with pytest.raises(Unauthenticated, match="no valid private key"):
        sites.sign("9999", {})


def test_of_two_keys_the_one_stored_last_signs(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = start(settings, store).sites
    keys = SiteKeys(store, SecretBox(master_key(settings.data_dir / "master_key", None, make=False)))
    later = now_ms() + 1
    monkeypatch.setattr("fate_ext_plugin.db.base.now_ms", lambda: later)
    newer = keys.add_private("9999", vectors("1.11.2")["private_key"])
    sites._keys._cached.forget()
    assert parse(sites.sign("9999", {}))[1].key == newer[:32]  # type: ignore[union-attr]


def test_a_key_that_was_removed_does_not_come_back(settings: Settings, store: Store) -> None:
    pair = vectors("1.11.2")
    rows = [("9999", "private", pair["private_key"])]
    start(settings, store, rows)
    keys = SiteKeys(store, SecretBox(master_key(settings.data_dir / "master_key", None, make=False)))
    keys.remove("9999", keys.rows()[0]["fingerprint"])
    sites = start(settings, store, rows).sites
    assert rows_of(settings, store) == []
    with pytest.raises(Unauthenticated, match="no valid private key"):
        sites.sign("9999", {})


def test_a_task_worker_signs_with_what_the_server_made_and_makes_nothing(settings: Settings, store: Store) -> None:
    with pytest.raises(InvalidSettings, match="master key can't be read"):
        open_signer(settings, store, "9999")
    sites = start(settings, store).sites
    sites.check("9999", open_signer(settings, store, "9999").sign("9999", {}), {})


def test_without_the_section_nothing_is_opened(tmp_path: Path, store: Store) -> None:
    with pytest.raises(InvalidSettings, match="authentication is missing in service_conf.yaml"):
        open_authentication(parse_settings(
            {"data_dir": "data", "views": {"v": {"source": {"type": "file", "path": "x.csv"}, "columns": ["a"]}}},
            tmp_path), store, "9999", None, list)
