"""fate-ext grant: say who may run what on which data, see why a job is refused, and keep the policy in a file."""
import json
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
import yaml

from fate_ext_plugin.audit.log import AuditLog
from fate_ext_plugin.permission.setup import permission_audit_folder
from tests.support.builder import MakeSite
from tests.support.commands import FakeFateFlow, Run, fails
from tests.support.permission import asked
from tests.support.site import Site

DAY = 86400.0
WHOLE = [
    "--name", "whole", "--party", "9999", "--role", "host", "--component", "hetero*", "--component", "reader",
    "--dataset", "exp/ids", "--from", "2026-01-01", "--until", "2036-01-01 18:00", "--weekday", "mon", "--weekday",
    "tue", "--hours", "22:00-06:00", "--max-uses", "3", "--max-uses-per-day", "2", "--initiator", "9999", "--partner",
    "10001", "--note", "the credit project 身"]


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(start=False, authentication={"party_id": "10000"}, permission={"time_zone": "Asia/Shanghai"})


def shown(run: Run, name: str) -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads(run("grant", "show", name, "--json"))
    return found


def explained(run: Run, capsys: pytest.CaptureFixture, *arguments: str) -> Tuple[int, str]:
    try:
        return 0, run("grant", "explain", "--party", "9999", *arguments)
    except SystemExit as end:
        return int(str(end.code)), str(capsys.readouterr().out)


class TestGrants:
    def test_one_with_every_term_is_kept_as_it_was_given(self, run: Run) -> None:
        assert run("grant", "add", *WHOLE) == "added whole; running servers follow within 2 seconds\n"
        found = shown(run, "whole")
        assert found.pop("made_by") and found.pop("made")
        assert found == {
            "name": "whole", "party": "9999", "role": "host", "components": ["hetero*", "reader"],
            "datasets": ["exp/ids"], "valid_from": "2026-01-01 00:00", "valid_until": "2036-01-01 18:00",
            "weekdays": ["mon", "tue"], "hours": "22:00-06:00", "max_uses": 3, "max_uses_per_day": 2,
            "initiators": ["9999"], "partners": ["10001"], "note": "the credit project 身", "uses": 0, "uses_today": 0}
        assert "hetero*, reader" in run("grant", "show", "whole")

    def test_a_star_is_every_component_and_every_dataset(self, run: Run) -> None:
        run("grant", "add", "--name", "all", "--party", "9999", "--component", "*", "--dataset", "*")
        assert (shown(run, "all")["components"], shown(run, "all")["datasets"]) == (["*"], ["*/*"])

    def test_uses_of_one_without_a_limit_are_not_counted(self, run: Run) -> None:
        run("grant", "add", "--name", "free", "--party", "9999", "--component", "reader")
        assert (shown(run, "free")["uses"], shown(run, "free")["uses_today"]) == (None, None)
        assert "uses        not counted, as no term limits them" in run("grant", "show", "free")

    def test_one_without_a_name_gets_one_and_is_not_given_twice(self, run: Run) -> None:
        terms = ["--party", "*", "--component", "reader"]
        name = run("grant", "add", *terms).split(";")[0].split()[1]
        assert fails(run, "grant", "add", *terms, "--note", "again").startswith(
            f"fate-ext: There is a grant {name} already")
        run("grant", "remove", name)
        run("grant", "add", *terms)

    @pytest.mark.parametrize(("terms", "says"), [
        (["--party", "9/9", "--component", "x"], "grants.party: A party is a party ID"),
        (["--party", "9999"], "grants.components: Missing, and so are datasets"),
        (["--party", "9999", "--component", "hetero_(lr|nn)"], "* stands for any text; nothing else is special"),
        (["--party", "9999", "--dataset", "exp"], "Must be namespace/name"),
        (["--party", "9999", "--dataset", "exp/"], "1 to 255 characters"),
        (["--party", "9999", "--dataset", "exp/a\nb"], "U+000A is not part of any name"),
        (["--party", "9999", "--component", "x", "--role", "boss"], "Must be one of: guest, host, arbiter"),
        (["--party", "9999", "--component", "x", "--hours", "9-5"], "08:00-18:00"),
        (["--party", "9999", "--component", "x", "--weekday", "someday"], "mon, tue, wed"),
        (["--party", "9999", "--component", "x", "--until", "tomorrow"], "2027-01-31"),
        (["--party", "9999", "--component", "x", "--from", "2027-01-02", "--until", "2027-01-02"], "later than"),
        (["--party", "9999", "--component", "x", "--max-uses", "0"], "greater than or equal to 1"),
        (["--party", "9999", "--component", "x", "--deny", "--max-uses", "1"], "Must be allow where uses are limited"),
        (["--party", "9999", "--component", "x", "--name", "Big"], "lower-case"),
        (["--party", "9999", "--component", "x", "--partner", "*"], "A party ID is 1 to 20"),
        (["--party", "9999", "--component", "x", "--note", "a\nb"], "printable"),
        (["--party", "9999", *["--dataset", f"{'n' * 250}/{'m' * 250}"] * 1,
          *[part for number in range(130) for part in ("--dataset", f"{'n' * 250}/{number:0250}")]], "several grants"),
    ])
    def test_one_that_can_not_be_is_refused_and_says_what_to_write(self, run: Run, terms: List[str], says: str) -> None:
        assert says in fails(run, "grant", "add", *terms)
        assert json.loads(run("grant", "list", "--json")) == []

    def test_the_list_shows_terms_and_may_be_of_one_party(self, run: Run) -> None:
        run("grant", "add", *WHOLE)
        run("grant", "add", "--name", "no", "--party", "*", "--deny", "--dataset", "exp/secret*")
        run("grant", "add", "--name", "other", "--party", "10001", "--component", "*")
        printed = run("grant", "list", "--party", "9999")
        assert "max uses 3" in printed and "22:00-06:00" in printed and "deny" in printed and "other" not in printed
        assert [one["name"] for one in json.loads(run("grant", "list", "--json"))] == ["no", "other", "whole"]

    def test_one_that_is_not_there_is_called_so(self, run: Run) -> None:
        for command in ("show", "remove"):
            assert "There is no grant 'x'" in fails(run, "grant", command, "x")

    def test_without_the_section_the_command_says_what_to_add(self, run: Run, site: Site) -> None:
        site.section.pop("permission")
        site.write_settings()
        assert "add `permission:`" in fails(run, "grant", "list")


class TestExplain:
    def test_says_by_which_grant(self, run: Run, capsys: pytest.CaptureFixture) -> None:
        run("grant", "add", "--name", "ok", "--party", "9999", "--component", "hetero*", "--dataset", "ns/name")
        code, printed = explained(run, capsys, "--component", "hetero_lr", "--dataset", "ns/name")
        assert code == 0 and printed.splitlines()[0] == "allowed: granted by ok"

    def test_says_why_each_grant_that_comes_near_does_not_count(
        self, run: Run, capsys: pytest.CaptureFixture
    ) -> None:
        run("grant", "add", *WHOLE)
        run("grant", "add", "--name", "old", "--party", "9999", "--dataset", "exp/*", "--until", "2026-01-01")
        arguments = ["--component", "reader", "--dataset", "exp/ids", "--other", "10001"]
        code, printed = explained(run, capsys, *arguments, "--at", "2026-11-25 12:00")
        assert code == 1
        assert [line.strip() for line in printed.splitlines()] == [
            "refused: Party 9999 may not use component reader here as host: grant whole counts at 22:00-06:00 only.",
            "component reader  no grant counts", "whole  counts at 22:00-06:00 only",
            "dataset exp/ids  no grant counts", "old  expired on 2026-01-01 00:00", "whole  counts at 22:00-06:00 only"]
        assert explained(run, capsys, *arguments[:4], "--at", "2026-11-24 23:00")[0] == 0  # a Tuesday
        assert "counts on mon, tue only" in explained(run, capsys, *arguments, "--at", "2026-11-26 05:00")[1]
        assert "does not let party 7 take part" in explained(
            run, capsys, *arguments, "--other", "7", "--at", "2026-11-24 23:00")[1]
        assert "is for role host here" in explained(run, capsys, *arguments, "--role", "guest")[1]
        assert "jobs started by 9999" in explained(run, capsys, *arguments, "--initiator", "10001")[1]

    def test_in_json_for_scripts(self, run: Run, capsys: pytest.CaptureFixture) -> None:
        code, printed = explained(run, capsys, "--component", "x", "--json")
        assert code == 1 and json.loads(printed)["items"][0]["near_misses"] == []

    def test_wants_something_to_explain(self, run: Run, capsys: pytest.CaptureFixture) -> None:
        for arguments, says in (([], "Name a component"),
                                (["--dataset", "x"], "grants.datasets.0: Must be namespace/name"),
                                (["--component", "x", "--at", "noon"], "grants.at: 'noon' is none of")):
            assert says in fails(run, "grant", "explain", "--party", "9999", *arguments)


class TestPolicyFile:
    def export(self, run: Run, folder: Path) -> Path:
        file = folder / "policy.yaml"
        file.write_text(run("grant", "export"), "utf-8")
        return file

    def test_what_is_exported_changes_nothing_when_it_is_applied(self, run: Run, tmp_path: Path) -> None:
        run("grant", "add", *WHOLE)
        run("grant", "add", "--name", "no", "--party", "*", "--deny", "--dataset", "实验/秘密*")
        assert run("grant", "apply", str(self.export(run, tmp_path))) == "Nothing to change.\n"

    def test_the_difference_is_shown_before_it_is_made(
        self, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture
    ) -> None:
        run("grant", "add", *WHOLE)
        run("grant", "add", "--name", "gone", "--party", "9999", "--component", "x")
        file = self.export(run, tmp_path)
        content = yaml.safe_load(file.read_text("utf-8"))
        content["grants"] = [{**content["grants"][1], "max_uses": 5}, {"party": 9999, "name": "new", "datasets": [
            {"namespace": "a/b", "name": "c"}], "valid_until": "2036-01-01"}]
        file.write_text(yaml.safe_dump(content))
        printed = run("grant", "apply", str(file), "--dry-run")
        assert printed.splitlines()[:7] == [
            "+ new", "    party: 9999", "    datasets: a/b/c", "    valid_until: 2036-01-01 00:00", "~ whole",
            "    max_uses: 3 -> 5", "- gone"]
        assert shown(run, "whole")["max_uses"] == 3
        assert "use --yes" in fails(run, "grant", "apply", str(file))
        capsys.readouterr()
        assert shown(run, "whole")["max_uses"] == 3
        assert run("grant", "apply", str(file), "--yes").endswith("done; running servers follow within 2 seconds\n")
        assert [one["name"] for one in json.loads(run("grant", "list", "--json"))] == ["new", "whole"]
        assert shown(run, "whole")["max_uses"] == 5

    def test_what_somebody_else_changes_meanwhile_is_not_overwritten(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "policy.yaml"
        file.write_text("grants: [{name: mine, party: 9999, components: [reader]}]")
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("click.confirm", lambda *_, **__: run(
            "grant", "add", "--name", "theirs", "--party", "9999", "--component", "reader"))
        assert "somebody else has just changed grants" in fails(run, "grant", "apply", str(file))
        assert [one["name"] for one in json.loads(run("grant", "list", "--json"))] == ["theirs"]

    def test_dates_may_be_written_as_yaml_likes_them(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "policy.yaml"
        file.write_text("grants:\n- {name: a, party: 9999, components: ['*'], valid_from: 2026-01-01, "
                        "valid_until: 2026-12-31 18:00:00}\n")
        run("grant", "apply", str(file), "--yes")
        assert (shown(run, "a")["valid_from"], shown(run, "a")["valid_until"]) == (
            "2026-01-01 00:00", "2026-12-31 18:00")

    @pytest.mark.parametrize(("text", "says"), [
        ("[]", "must be a YAML mapping"), ("grants: {}", "`grants:`, a list"), ("grant: []", "`grants:`, a list"),
        ("grants: [7]", "grants.1"), ("grants: [{party: 1, components: [x]}, {party: 1}]", "grants.2.components"),
        ("grants: [{party: 1, components: [x], max_use: 3}]", "grants.1.max_use: unknown key. Allowed here: comp"),
        ("grants: [{party: 1, components: [x], name: a}, {party: 2, components: [x], name: a}]", "a stands at 1, too"),
        ("grants: [{party: 1, party: 2, components: [x]}]", "stands in line 1"), ("a: [", "is not YAML"),
        ("grants: [{party: true, components: [x]}]", "grants.1.party"),
    ])
    def test_a_file_that_is_none_changes_nothing(self, run: Run, tmp_path: Path, text: str, says: str) -> None:
        run("grant", "add", *WHOLE)
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        assert says in fails(run, "grant", "apply", str(file), "--yes")
        assert shown(run, "whole")


class TestRehearsal:
    """Before a policy is put in place it is tried on the requests of the last days."""

    def past(self, site: Site) -> None:
        now = time.time()
        for days, job, role, component, allowed in (
                (20, "long-ago", "host", "old", True), (3, "1", "host", "reader", True),
                (3, "1", "guest", "reader", True), (2, "2", "host", "reader", True),
                (1, "3", "host", "homo_nn", False)):
            audit_log = AuditLog(permission_audit_folder(site.settings), lambda days=days: now - days * DAY)  # type: ignore[misc]
            audit_log.write("permission", allowed, "9999", None, None, "then",
                        asked(component, job=job, role=role).to_dict())
            audit_log.flush()

    def apply(self, run: Run, folder: Path, *grants: Dict[str, Any], days: int = 7) -> List[str]:
        file = folder / "policy.yaml"
        file.write_text(yaml.safe_dump({"grants": list(grants)}))
        printed = run("grant", "apply", str(file), "--days", str(days), "--dry-run")
        return printed[printed.index("Of "):].splitlines()

    def test_it_names_the_jobs_that_would_be_answered_otherwise(self, run: Run, site: Site, tmp_path: Path) -> None:
        run("grant", "add", "--name", "now", "--party", "9999", "--component", "reader")
        self.past(site)
        first, header, *lines = self.apply(
            run, tmp_path, {"name": "now", "party": "9999", "components": ["reader"], "max_uses": 2},
            {"name": "nn", "party": "9999", "components": ["homo_nn"], "valid_from": "2020-01-01"})
        assert first == "Of 4 requests that came here in the last 7 days, 2 would be answered otherwise:"
        assert [line.split(None, 2)[2] for line in lines] == [
            "2    refused  Party 9999 may not use component reader here as host: grant now used 2 of 2.",
            "3    allowed  granted by nn"]

    def test_of_the_days_that_are_asked_for(self, run: Run, site: Site, tmp_path: Path) -> None:
        self.past(site)
        assert self.apply(run, tmp_path, {"name": "a", "party": "9999", "components": ["old"]}, days=30)[0] == (
            "Of 5 requests that came here in the last 30 days, 1 would be answered otherwise:")

    def test_where_nothing_came_it_says_so(self, run: Run, tmp_path: Path) -> None:
        assert self.apply(run, tmp_path, {"name": "a", "party": "9999", "components": ["old"]}) == [
            "Of 0 requests that came here in the last 7 days, 0 would be answered otherwise."]


class TestImportFromFate:
    @pytest.fixture
    def fate_flow(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> FakeFateFlow:
        host = FakeFateFlow(site.settings)
        monkeypatch.setattr("fate_ext_plugin.cli.context.open_host", lambda conf: host)
        return host

    def test_each_party_s_permissions_become_its_grants(self, run: Run, fate_flow: FakeFateFlow) -> None:
        fate_flow.rules = [
            ("9999", "component", "reader"), ("9999", "dataset", '{"name"-"ids";"namespace"-"exp"}'),
            ("9999", "dataset", '{"name"-"a-b;\\"\\u4e2d";"namespace"-"e;x-p"}'),
            ("10001", "component", "hetero*"), ("10001", "dataset", '{"name":"x"}'), ("10001", "column", "x"),
            ("*", "component", "reader"), *(("10002", "component", f"c{number}") for number in range(150))]
        assert run("grant", "import-from-fate").splitlines() == [
            "fate-flow-10002-1: 100 components and datasets for party 10002",
            "fate-flow-10002-2: 50 components and datasets for party 10002",
            "fate-flow-9999-1: 3 components and datasets for party 9999",
            "left out: party 10001, component hetero*: * stands for any text here",
            'left out: party 10001, dataset {"name":"x"}: it can\'t be read',
            "left out: party 10001, column x: it is neither a component nor a dataset",
            "left out: party *, component reader: it is no party ID"]
        assert shown(run, "fate-flow-9999-1")["datasets"] == ["exp/ids", 'e;x-p/a-b;"中']

    def test_may_be_done_again(self, run: Run, fate_flow: FakeFateFlow) -> None:
        fate_flow.rules = [("9999", "component", "reader")]
        assert run("grant", "import-from-fate") == run("grant", "import-from-fate")

    def test_what_fate_flow_holds_no_more_goes(self, run: Run, fate_flow: FakeFateFlow) -> None:
        fate_flow.rules = [("9999", "component", "reader"), ("10001", "component", "reader")]
        run("grant", "import-from-fate")
        fate_flow.rules.pop()
        assert "fate-flow-10001-1: removed" in run("grant", "import-from-fate")
        assert [one["name"] for one in json.loads(run("grant", "list", "--json"))] == ["fate-flow-9999-1"]

    def test_what_was_taken_over_is_a_policy(self, run: Run, fate_flow: FakeFateFlow, tmp_path: Path) -> None:
        fate_flow.rules = [("9999", "dataset", '{"name"-"ids";"namespace"-"exp"}'), ("9999", "component", "reader")]
        run("grant", "import-from-fate")
        (tmp_path / "policy.yaml").write_text(run("grant", "export"), "utf-8")
        assert run("grant", "apply", str(tmp_path / "policy.yaml")) == "Nothing to change.\n"

    def test_where_there_are_none_it_says_so(self, run: Run, fate_flow: FakeFateFlow) -> None:
        assert run("grant", "import-from-fate") == "FATE Flow holds no permissions.\n"
