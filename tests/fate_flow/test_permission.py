"""Permission inside a real FATE Flow: its switch on, and our hook in place of its own check."""
import json
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest
import requests

from fate_ext_plugin.audit.search import read
from fate_ext_plugin.errors import InvalidSettings
from tests.fate_flow.features import expected, section_of
from tests.fate_flow.flow import GUEST, HOST, Flow, Installation, MakeFlow
from tests.fate_flow.permission import CONF, LEAST, forget_grants, grant, needs_mysql, refusal


@pytest.fixture
def flow(permission_flow: Flow) -> Flow:
    return permission_flow


def audit_log(flow: Flow) -> List[Dict[str, Any]]:
    """Oldest first, without this site's own jobs."""
    time.sleep(0.2)
    found = list(read(flow.folder / "fateflow" / "fate_ext" / "audit" / "permission"))[::-1]
    return [entry for entry in found if entry["reason"] != "a job of this site"]


@needs_mysql
def test_a_job_without_grants_is_refused_with_our_message(flow: Flow) -> None:
    assert "Party 9999 may not use component reader here as host: no grant names it." in refusal(flow)
    last = audit_log(flow)[-1]
    assert (last["allowed"], last["who"], last["from"]) == (False, str(GUEST), "127.0.0.1")


@needs_mysql
def test_least_privilege_lets_the_two_party_job_run(flow: Flow, installation: Installation) -> None:
    grant(flow, *LEAST, "--dataset", "exp/ids", "--name", "least", "--initiator", str(GUEST), "--partner", str(HOST))
    job_id = flow.submit()
    ended = flow.wait(job_id)
    if installation.api_reader_works:
        assert ended == "success", flow.report(job_id)
        assert flow.output(job_id) == expected(range(990, 1010))
    last = audit_log(flow)[-1]
    assert (last["allowed"], last["reason"], last["request"]["job"]) == (True, "granted by least", job_id)
    flow.fate_ext("grant", "remove", "least")
    time.sleep(2)
    assert "no grant names it" in refusal(flow)


@needs_mysql
def test_a_grant_that_is_used_up_or_over_refuses_the_next_job(flow: Flow) -> None:
    grant(flow, *LEAST, "--dataset", "exp/ids", "--name", "once", "--max-uses", "1")
    flow.wait(flow.submit())
    assert "grant once used 1 of 1." in refusal(flow)
    flow.fate_ext("grant", "remove", "once")
    grant(flow, *LEAST, "--dataset", "exp/ids", "--name", "over", "--until", "2026-01-01")
    assert "grant over expired on 2026-01-01 00:00." in refusal(flow)


@needs_mysql
def test_what_fate_flow_s_own_list_of_datasets_does_not_show_is_refused(flow: Flow) -> None:
    """A table among common parameters, one with a dot in its name, and the first host's where there are two: the list
    shows nothing, another name, and the second host's. Its readers would read them all the same."""
    grant(flow, *LEAST, "--dataset", "exp/ids", "--name", "least")
    api_reader = {"server_name": "fate_ext", "parameters": {}, "id_delimiter": ",", "head": True}
    own = {"guest": {"0": {"reader_0": {"table": {"name": "ids", "namespace": "exp"}}}}}
    common = {"common": {"reader_0": {"table": {"name": "secret", "namespace": "exp"}}},
              "role": {**own, "host": {"0": {"api_reader_0": api_reader}}}}
    assert "may not use dataset exp/secret here" in refusal(flow, component_parameters=common)
    dotted = {"role": {**own, "host": {"0": {
        "reader_0": {"table": {"name": "ids.secret", "namespace": "exp"}}, "api_reader_0": api_reader}}}}
    assert "may not use dataset exp/ids.secret here" in refusal(flow, component_parameters=dotted)
    hosts = {str(number): {"reader_0": {"table": {"name": name, "namespace": "exp"}}, "api_reader_0": api_reader}
             for number, name in enumerate(("secret", "ids"))}
    assert "may not use dataset exp/secret here" in refusal(
        flow, role={"guest": [GUEST], "host": [HOST + 1, HOST]}, component_parameters={"role": {**own, "host": hosts}})


@needs_mysql
def test_a_party_does_not_become_this_site_by_the_path_it_asks_at(flow: Flow) -> None:
    """Whoever asks chooses role and party in the path; FATE Flow's own check lets the asking party's own pass."""
    body = {"dsl": {"components": {"reader_0": {"module": "Reader", "output": {"data": ["data"]}}}},
            "train_runtime_conf": {}, "runtime_conf": {
                "dsl_version": 2, "initiator": {"role": "guest", "party_id": HOST}, "role": {"host": [HOST]},
                "job_parameters": {"common": {"job_type": "train"}}, "component_parameters": {"role": {
                    "host": {"0": {"reader_0": {"table": {"name": "ids", "namespace": "exp"}}}}}}}}
    headers = {"SRC-PARTY-ID": str(HOST), "src_party_id": str(HOST)}
    answer = requests.post(f"{flow.url}/v1/party/202601010000000000009/host/{HOST}/create", json=body, headers=headers,
                           timeout=30).json()
    assert "Party 10000 may not use component reader here as host" in json.dumps(answer)


@needs_mysql
def test_a_job_is_not_changed_after_it_was_permitted(flow: Flow) -> None:
    """FATE Flow asks once; then its scheduler could send another table for the same job."""
    grant(flow, *LEAST, "--dataset", "exp/ids", "--name", "least")
    job_id = flow.submit()
    changed = {"component_parameters": {"role": {"host": {"0": {"reader_0": {"table": {
        "name": "secret", "namespace": "exp"}}}}}}}
    for path, body in (("parameter/update", changed), ("update", {"runtime_conf": changed}),
                       ("update", {"dsl": {}}), ("update/", {"f_runtime_conf_on_party": {}})):
        answer = requests.post(f"{flow.url}/v1/party/{job_id}/host/{HOST}/{path}", json=body, timeout=30).json()
        assert answer["retcode"] == 108 and "start a new job" in answer["retmsg"], answer
    assert flow.wait(job_id) in ("success", "failed")


@needs_mysql
def test_permissions_of_fate_flow_itself_are_taken_over(flow: Flow, installation: Installation) -> None:
    """Granted by its own code into its own table; a name with its separators in it among them."""
    code = ("from fate_flow.controller.permission_controller import PermissionController as Controller; "
            "from fate_flow.entity.permission_parameters import PermissionParameters as Parameters; "
            "from fate_flow import settings; import fate_flow.controller.permission_controller as module; "
            "module.PermissionController.all_component = ['reader', 'apireader']; "
            "parameters = Parameters(party_id='9999', component='reader,apireader', dataset=["
            "{'namespace': 'exp', 'name': 'ids'}, {'namespace': 'e;x-p', 'name': 'a\"b'}]); "
            "Controller('9999').grant_or_delete(parameters)")
    subprocess.run([installation.python, "-c", code], check=True, env=flow.environment(), cwd=flow.folder)
    assert "4 components and datasets for party 9999" in flow.fate_ext("grant", "import-from-fate")
    shown = json.loads(flow.fate_ext("grant", "show", "fate-flow-9999-1", "--json"))
    assert shown["components"] == ["reader", "apireader"] and shown["datasets"] == ["exp/ids", 'e;x-p/a"b']
    time.sleep(2)
    flow.wait(flow.submit())
    assert audit_log(flow)[-1]["reason"] == "granted by fate-flow-9999-1"


@needs_mysql
def test_observe_refuses_nothing_and_says_so_at_the_start(make_flow: MakeFlow, features: Path) -> None:
    flow = make_flow(section_of(features, permission={"mode": "observe"}), conf=CONF)
    assert "permission is only observed" in flow.log()
    assert "site authentication is off" in flow.log()
    forget_grants(flow)
    flow.wait(flow.submit())
    last = audit_log(flow)[-1]
    assert last["allowed"] and last["reason"].startswith("only observed: Party 9999 may not")
    flow.stop()


@needs_mysql
@pytest.mark.parametrize(("section", "says"), [
    ({}, "permission is missing"), ({"permission": {"mode": "off"}}, "enforce, observe"),
    ({"permission": {"time_zone": "Mars"}}, "Asia/Shanghai"),
])
def test_broken_settings_refuse_every_job_and_only_the_log_says_why(
    make_flow: MakeFlow, features: Path, section: Any, says: str
) -> None:
    flow = make_flow({**section_of(features), **section}, conf=CONF)
    assert str(InvalidSettings.cover) in refusal(flow)
    assert says in flow.log()
    flow.stop()


DIFFERENTIAL = """
import json, random, sys
import sqlalchemy
create = sqlalchemy.create_engine
sqlalchemy.create_engine = lambda url: create("sqlite:///" + sys.argv[1])  # the built-in's rules, without MySQL
from fate_flow import settings
settings.PERMISSION_SWITCH = settings.COMPONENT_PERMISSION = settings.DATASET_PERMISSION = True
from fate_flow.hook import HookManager
import fate_flow.hook.flow.permission  # the built-in check
from fate_flow.controller.permission_controller import PermissionController
from fate_flow.entity.permission_parameters import DataSet
from fate_flow.hook.common.parameters import PermissionCheckParameters
from peewee import SqliteDatabase
from fate_ext_plugin.db.base import Store
from fate_ext_plugin.db.migration import migrate
from fate_ext_plugin.errors import NotPermitted
from fate_ext_plugin.permission.fate_import import take_over
from fate_ext_plugin.permission.calendar import Calendar
from fate_ext_plugin.permission.check import Permission
from fate_ext_plugin.permission.grants import Grants
from fate_ext_plugin.permission.usage import Uses

chance = random.Random(7)
# No reader: ours refuses one that does not say what it reads.
parties, components = ["9999", "10000", "a_b"], ["intersection", "heterolr", "homo_nn", "apireader"]
datasets = [("exp", "a"), ("exp", "b"), ("e-x;p", "a"), ("exp", 'a"\\u4e2d'), ("e/xp", "a")]
store = Store(SqliteDatabase(sys.argv[2]))
migrate(store)
ours = Permission(Grants(store), Uses(store), Calendar(), None, "10000")

def code_of(parm):
    try:
        ours.check(parm.to_dict(), "job")
    except NotPermitted as error:
        return error.detail
    return 0

seen = {}
for _ in range(15):
    rules = PermissionController("any").casbin_controller
    for party in parties:
        for kind in ("component", "dataset"):
            rules.delete_all(party, kind)
        for name in chance.sample(components, chance.randint(0, 4)):
            rules.grant(party, "component", name)
        for names in chance.sample(datasets, chance.randint(0, 5)):
            rules.grant(party, "dataset", DataSet(*names).casbin_value)
    taken = take_over((rule[0], rule[1], rule[2]) for party in parties for rule in rules.query(party))
    assert not taken.left
    ours.grants.replace(taken.grants, [grant.name for grant in ours.grants.all()
                                       if grant.name not in {new.name for new in taken.grants}])
    for _ in range(20):
        source, role, site = chance.choice(parties), chance.choice(["guest", "host", "local"]), "10000"
        if role == "local":
            source, site = "", "0"
        parm = PermissionCheckParameters(
            None, source, role, site, {"role": "guest", "party_id": 9999}, {"guest": [9999], "host": [10000]},
            chance.sample(components, chance.randint(0, 3)),
            [DataSet(*names) for names in chance.sample(datasets, chance.randint(0, 2))], {}, {}, {})
        theirs, mine = HookManager.PERMISSION_CHECK[0](parm).code, code_of(parm)
        assert theirs == mine, (theirs, mine, parm.to_dict(), rules.query(source))
        seen[theirs] = seen.get(theirs, 0) + 1
print(json.dumps(seen))
"""


def test_plain_grants_decide_exactly_as_the_built_in_check(
    make_flow: MakeFlow, features: Path, installation: Installation, tmp_path: Path
) -> None:
    """300 random requests on 15 random sets of grants, all taken over from the built-in's own table."""
    flow = make_flow(section_of(features), start=False)
    output = subprocess.run(
        [installation.python, "-c", DIFFERENTIAL, str(tmp_path / "theirs.db"), str(tmp_path / "ours.db")], check=True,
        stdout=subprocess.PIPE, text=True, env=flow.environment(), cwd=flow.folder).stdout
    assert all(count > 20 for count in json.loads(output.splitlines()[-1]).values())
