"""fate-ext key: our own keys, our partners' keys, and what is agreed with a partner."""
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from Crypto.PublicKey import ECC

from fate_ext_plugin.auth.key_store import KeyRing
from fate_ext_plugin.auth.rsa import parse_key
from fate_ext_plugin.auth.setup import open_authentication
from fate_ext_plugin.cli.context import open_context
from fate_ext_plugin.db.base import date_of, now_ms
from tests.support.builder import MakeSite
from tests.support.commands import ALONE, FakeFateFlow, Run, fails
from tests.support.keys import private_pem, public_of
from tests.support.recordings import vectors
from tests.support.site import Site

HOUR, DAY = 3_600_000, 86_400_000
OURS = vectors("1.11.2")["private_key"]


def fingerprint(pem: str) -> str:
    return f"SHA256:{parse_key(pem).fingerprint}"


def their_private() -> str:
    """A partner's key pair."""
    return private_pem(2048)


def theirs() -> str:
    return public_of(their_private())


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """Party 9999."""
    return make_site(start=False, **ALONE)


@pytest.fixture
def own(site: Site) -> str:
    """Our own key is there; its fingerprint."""
    return "SHA256:" + open_context(site.conf).keys.add_private("9999", OURS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The public key that a partner sent."""
    file = tmp_path / "partner.pem"
    file.write_text(theirs())
    return file


def ring(site: Site) -> KeyRing:
    return open_context(site.conf).keys.ring()


def listed(run: Run) -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = json.loads(run("key", "list", "--json"))
    return found


class TestOwnKey:

    def test_show_is_what_partners_need(self, run: Run, own: str) -> None:
        printed = run("key", "show")
        assert own == fingerprint(OURS)
        assert f"party        9999\nfingerprint  {own}\nsigns        now\nends         never\n" in printed
        assert public_of(OURS) in printed and "PRIVATE" not in printed
        assert "Send partners the party ID and this public key; let them compare the fingerprint by phone." in printed
        assert json.loads(run("key", "show", "--json")) == [{
            "party_id": "9999", "fingerprint": own, "signs": "now", "valid_from": None, "valid_until": None,
            "public_key": public_of(OURS)}]

    def test_export_writes_a_new_file(self, run: Run, own: str, tmp_path: Path) -> None:
        target = tmp_path / "ours.pem"
        assert run("key", "export", str(target)) == f"{target}: public key of party 9999, {own}\n"
        assert target.read_text() == public_of(OURS) + "\n"
        assert fails(run, "key", "export", str(target)).endswith("ours.pem can't be written: File exists.")
        assert "has no key that signs later" in fails(run, "key", "export", str(tmp_path / "x"), "--coming")

    def test_generate_makes_the_first(self, run: Run, site: Site) -> None:
        assert "There is no valid private key of party 9999 here" in fails(run, "key", "show")
        assert "Party 9999 has no key of its own yet" in fails(run, "key", "rotate")
        printed = run("key", "generate")
        made, = ring(site).private["9999"]
        assert made.rsa.bits >= 2048 and made.valid(now_ms())
        assert printed.startswith(f"made a key of party 9999: SHA256:{made.fingerprint}\n-----BEGIN PUBLIC KEY-----\n")
        assert "PRIVATE" not in printed
        assert fails(run, "key", "generate") == (
            "fate-ext: Party 9999 has a key of its own already; `fate-ext key rotate` makes its next.")

    def test_the_party_can_be_named(self, run: Run, own: str) -> None:
        assert "no valid private key of party 8888" in fails(run, "key", "show", "--party", "8888")
        assert "A party ID is 1 to 20" in fails(run, "key", "generate", "--party", "8888 or so")

    def test_a_party_that_is_not_known_is_asked_for(self, run: Run, site: Site, own: str) -> None:
        site.write_settings(authentication={})
        for command in (["show"], ["export", "x"], ["generate"], ["rotate"]):
            assert fails(run, "key", *command) == (
                "fate-ext: This site's party ID is not known: name it with --party, or set it in service_conf.yaml "
                "(for FATE Flow party_id, for `fate-ext serve` authentication.party_id).")
        assert own in run("key", "show", "--party", "9999")

    def test_fate_flow_s_own_party_is_ours(self, run: Run, own: str, fate_flow: FakeFateFlow) -> None:
        fate_flow.party = "10000"
        assert "no valid private key of party 10000" in fails(run, "key", "show")

    def test_a_private_key_is_sealed(self, own: str, site: Site) -> None:
        content = b"".join(path.read_bytes() for path in site.data_dir.rglob("*") if path.is_file())
        assert b"PRIVATE KEY" not in content and b"SQLite format" in content

    def test_under_another_master_key_nothing_is_stored(self, run: Run, own: str, site: Site, file: Path) -> None:
        (site.data_dir / "master_key").write_text("0" * 64)
        for command in (["show"], ["rotate"], ["generate"], ["add", "10000", str(file)], ["import-from-fate"],
                        ["policy", "10000", "--md5"]):
            assert fails(run, "key", *command).startswith("fate-ext: The stored secret of private 9999 ")
        assert [row["fingerprint"] for row in listed(run)] == [own]


class TestRotate:
    """The new key signs from a time on that every partner knows before."""

    def test_the_new_key_signs_a_day_later(self, run: Run, own: str, site: Site, tmp_path: Path) -> None:
        now = now_ms()
        printed = run("key", "rotate")
        old, new = ring(site).private["9999"]
        assert (f"SHA256:{old.fingerprint}", old.valid_from) == (own, None)
        assert now + DAY <= (new.valid_from or 0) < now + DAY + HOUR
        assert old.valid_until == (new.valid_from or 0) + DAY and new.valid_until is None
        when = date_of(new.valid_from or 0)
        assert f"made a new key of party 9999: SHA256:{new.fingerprint}\nIt signs from {when} on; " in printed
        assert new.rsa.public_pem in printed and "PRIVATE" not in printed
        assert "A partner with this plugin adds it beside the old one, at once" in printed
        assert ("A partner with a stock FATE Flow holds one key per party: it must switch at that very moment, "
                f"{when}.") in printed
        signing = {hours: ring(site).signing_key("9999", now + hours * HOUR) for hours in (0, 23, 25, 49)}
        assert [key and key.fingerprint for key in signing.values()] == [
            old.fingerprint, old.fingerprint, new.fingerprint, new.fingerprint]

        first, second = json.loads(run("key", "show", "--json"))
        assert (first["signs"], first["fingerprint"]) == ("now", own)
        assert (second["signs"], second["valid_from"]) == ("later", when)
        assert f"signs        from {when} on\n" in run("key", "show")
        run("key", "export", str(tmp_path / "old.pem"))
        run("key", "export", str(tmp_path / "new.pem"), "--coming")
        assert fingerprint((tmp_path / "old.pem").read_text()) == own
        assert fingerprint((tmp_path / "new.pem").read_text()) == f"SHA256:{new.fingerprint}"

    def test_one_key_to_come_is_enough(self, run: Run, own: str) -> None:
        run("key", "rotate")
        assert "The next key of party 9999 is made already and signs from " in fails(run, "key", "rotate")
        assert len(listed(run)) == 2

    def test_there_is_always_one_that_signs(self, run: Run, aloud: Run, own: str, site: Site) -> None:
        """A coming key that is taken back leaves the old one with an end."""
        run("key", "rotate", "--starts-in-hours", "10", "--overlap-hours", "5")
        coming = listed(run)[1]["fingerprint"]
        said = aloud("key", "remove", "9999", coming)
        old, = ring(site).private["9999"]
        assert f"warning: party 9999 has no key that signs after {date_of(old.valid_until or 0)}; see " in said
        said = fails(run, "key", "rotate", "--starts-in-hours", "16")
        assert said.endswith("let the new one start in 14 hours or less (--starts-in-hours).")

    def test_at_once(self, run: Run, own: str, site: Site) -> None:
        assert "It signs from now on; " in run("key", "rotate", "--starts-in-hours", "0", "--overlap-hours", "0")
        signing = ring(site).signing_key("9999", now_ms())
        assert signing and f"SHA256:{signing.fingerprint}" != own
        assert len(json.loads(run("key", "show", "--json"))) == 1


class TestPartner:

    def test_a_key_is_added_and_its_fingerprint_compared(self, run: Run, file: Path, site: Site) -> None:
        assert run("key", "add", "10000", str(file)) == (
            f"added a key of party 10000, valid until it is removed\nfingerprint {fingerprint(theirs())}\n"
            "Compare it by phone with what the partner reads out: whoever has this key can sign in its name.\n")
        assert [f"SHA256:{key.fingerprint}" for key in ring(site).verifying_keys("10000", now_ms())] == [
            fingerprint(theirs())]

    def test_from_stdin(self, site: Site) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "fate_ext_plugin.cli", "key", "add", "10000", "-", "--conf", str(site.conf)],
            input=theirs().encode(), stdout=subprocess.PIPE, env=site.environment(), timeout=60)
        assert done.returncode == 0 and fingerprint(theirs()).encode() in done.stdout

    def test_for_a_time(self, run: Run, file: Path) -> None:
        printed = run("key", "add", "10000", str(file), "--from", "2026-01-31 12:30", "--until", "2099-02-01")
        assert "valid from 2026-01-31 12:30:00 until 2099-02-01 00:00:00\n" in printed
        row, = listed(run)
        assert (row["valid_from"], row["valid_until"]) == ("2026-01-31 12:30:00", "2099-02-01 00:00:00")
        assert "The key would end before it begins." in fails(
            run, "key", "add", "8888", str(file), "--from", "2d", "--until", "1d")

    def test_the_same_key_again_changes_nothing(self, run: Run, file: Path) -> None:
        run("key", "add", "10000", str(file))
        assert run("key", "add", "10000", str(file)) == (
            f"This key of party 10000 is here already, valid until it is removed: {fingerprint(theirs())}\n")
        assert fails(run, "key", "add", "10000", str(file), "--until", "30d") == (
            "fate-ext: This key of party 10000 is here already, valid until it is removed; nothing is changed. "
            "Remove it first.")
        assert len(listed(run)) == 1

    @pytest.mark.parametrize("pem, says", [
        (lambda: public_of(private_pem(1024)), "The key has 1024 bits; at least 2048 are needed."),
        (lambda: ECC.generate(curve="P-256").public_key().export_key(format="PEM"),
         "This is no RSA key in PEM (-----BEGIN PUBLIC KEY-----)."),
        (lambda: "钥匙", "This is no RSA key in PEM (-----BEGIN PUBLIC KEY-----)."),
        (lambda: "", "This is no RSA key in PEM (-----BEGIN PUBLIC KEY-----)."),
        (their_private, "This is a private key. Ask the partner for the public one, and for a new pair."),
    ], ids=["short", "not RSA", "no key", "empty", "private"])
    def test_what_is_no_good_key_is_refused(self, run: Run, file: Path, pem: Any, says: str) -> None:
        file.write_text(pem(), "utf-8")
        assert fails(run, "key", "add", "10000", str(file)) == f"fate-ext: {says}"
        assert listed(run) == []

    def test_what_can_t_be_read_is_called_so(self, run: Run, tmp_path: Path) -> None:
        assert fails(run, "key", "add", "10000", str(tmp_path / "nothing")).endswith(
            "nothing can't be read: No such file or directory.")
        assert fails(run, "key", "add", "10000", str(tmp_path)).endswith(" can't be read: Is a directory.")

    def test_a_partner_may_be_added_before_the_first_start(self, run: Run, file: Path, site: Site) -> None:
        """The server makes our own key all the same, or takes FATE Flow's over."""
        run("key", "add", "10000", str(file))
        store = open_context(site.conf).host.store
        open_authentication(site.settings, store, "9999", None, lambda: [("9999", "private", OURS)])
        assert [(row["party_id"], row["kind"]) for row in listed(run)] == [("10000", "public"), ("9999", "private")]
        assert fingerprint(OURS) in run("key", "show")

    def test_policy_is_shown_and_changed(self, run: Run, aloud: Run, file: Path) -> None:
        run("key", "add", "10000", str(file))
        assert run("key", "policy", "10000").splitlines() == [
            "party          10000", "envelope       auto", "md5            no", "envelope seen  never"]
        assert "envelope       require\nmd5            no\n" in run("key", "policy", "10000", "--envelope", "require")
        changed = aloud("key", "policy", "10000", "--md5")
        assert "envelope       require\nmd5            yes\n" in changed
        assert "warning: MD5 signatures can be forged." in changed
        assert "md5            yes\n" in run("key", "policy", "10000", "--envelope", "off")
        assert "warning" not in aloud("key", "policy", "10000", "--no-md5")
        assert "envelope       off\nmd5            no\n" in run("key", "policy", "10000")

    def test_a_partner_that_gave_up_the_plugin_may_come_back_bare(self, run: Run, file: Path, site: Site) -> None:
        run("key", "add", "10000", str(file))
        before = now_ms()
        open_context(site.conf).keys.saw_envelope("10000")
        seen = run("key", "policy", "10000").partition("envelope seen  ")[2].strip()
        assert date_of(before) <= seen <= date_of(now_ms())
        assert "envelope seen  never" in run("key", "policy", "10000", "--envelope", "off")
        assert "envelope seen  never" in run("key", "policy", "10000", "--envelope", "auto")

    def test_no_option_that_is_not_given_or_not_new_makes_bare_signatures_count_again(
        self, run: Run, file: Path, site: Site
    ) -> None:
        run("key", "add", "10000", str(file))
        open_context(site.conf).keys.saw_envelope("10000")
        seen = run("key", "policy", "10000").partition("envelope seen")[2]
        for options in (["--envelope", "auto"], ["--md5"], ["--no-md5"], ["--envelope", "auto", "--md5"]):
            assert run("key", "policy", "10000", *options).partition("envelope seen")[2] == seen != "  never\n"
        assert "md5            yes" in run("key", "policy", "10000", "--envelope", "auto")

    def test_a_policy_for_nobody_is_told(self, run: Run, aloud: Run) -> None:
        assert "warning: no key of party 1000 is here." in aloud("key", "policy", "1000")
        assert "A party ID is 1 to 20 letters" in fails(run, "key", "policy", "1" * 21, "--md5")


class TestListAndRemove:

    def test_list_has_no_key_itself(self, run: Run, own: str, file: Path) -> None:
        run("key", "add", "10000", str(file), "--until", "2099-02-01")
        header, partner, ours = run("key", "list").splitlines()
        assert header.split() == ["party", "kind", "fingerprint", "valid", "from", "valid", "until", "created"]
        assert partner.split()[:5] == ["10000", "public", fingerprint(theirs()), "2099-02-01", "00:00:00"]
        assert ours.split()[:3] == ["9999", "private", own]
        assert sorted(listed(run)[0]) == ["created", "fingerprint", "kind", "party_id", "valid_from", "valid_until"]

    @pytest.mark.parametrize("length", [len("SHA256:") + 8, None])
    def test_remove_by_the_fingerprint_or_its_beginning(self, run: Run, file: Path, length: Optional[int]) -> None:
        run("key", "add", "10000", str(file))
        assert run("key", "remove", "10000", fingerprint(theirs())[:length]) == (
            f"removed the public key {fingerprint(theirs())} of party 10000\n")
        assert listed(run) == []

    def test_what_is_not_there_or_not_clear_stays(self, run: Run, file: Path) -> None:
        run("key", "add", "10000", str(file))
        known = fingerprint(theirs())
        for party, wanted in (("8888", known), ("10000", "0" * 64), ("10000", known[:10])):
            assert "give at least 8 characters of one key's fingerprint" in fails(
                run, "key", "remove", party, wanted)
        assert len(listed(run)) == 1

    def test_removing_the_last_own_key_is_told(self, aloud: Run, own: str) -> None:
        said = aloud("key", "remove", "9999", own)
        assert "warning: party 9999 has no key that signs now; see `fate-ext key generate`." in said


class TestImportFromFate:
    """FATE Flow has keys of its own, which partners know."""

    def test_the_outcome_of_each_is_told(
        self, run: Run, fate_flow: FakeFateFlow, capsys: pytest.CaptureFixture
    ) -> None:
        """A key that FATE Flow has both halves of is taken once; what is refused does not hold up the rest."""
        fate_flow.keys = [("10000", "public", theirs()), ("9999", "public", public_of(OURS)), ("9999", "private", OURS)]
        told = [f"private 9999: {fingerprint(OURS)}", f"public 10000: {fingerprint(theirs())}",
                f"public 9999: {fingerprint(OURS)}"]
        for _ in range(2):
            assert run("key", "import-from-fate").splitlines() == told
            assert [(row["party_id"], row["kind"]) for row in listed(run)] == [("10000", "public"), ("9999", "private")]
        fate_flow.keys.insert(0, ("8888", "public", public_of(private_pem(1024))))
        fails(run, "key", "import-from-fate")
        assert capsys.readouterr().out.splitlines() == [
            told[0], "public 8888: refused: The key has 1024 bits; at least 2048 are needed.", *told[1:]]

    def test_it_goes_before_a_new_key(self, run: Run, fate_flow: FakeFateFlow) -> None:
        fate_flow.keys = [("9999", "private", OURS)]
        assert fails(run, "key", "generate") == (
            "fate-ext: FATE Flow has a key already, which partners know; `fate-ext key import-from-fate` takes it "
            "over.")
        assert listed(run) == []

    def test_without_fate_flow_there_is_nothing(self, run: Run) -> None:
        assert run("key", "import-from-fate") == "FATE Flow has no keys here; there is nothing to import.\n"
