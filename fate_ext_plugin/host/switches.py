"""What the switches of FATE Flow 1.9 to 1.11 need to be in force: a registered hook, and the keys of this site.

FATE Flow only logs that a hook module can't be imported, and allows what it has no hook for (contract section 3). So a
misspelt line of ``hook_module`` would open a server whose switches are on. Here it is refused instead, whoever's hook
the line was meant to name; a hook that is registered, ours or another's, is asked as before.
"""
import sys
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List

from fate_ext_plugin.errors import AUTHENTICATION_ERROR, SERVER_ERROR, ExtError, InvalidSettings


@dataclass(frozen=True)
class Switch:
    """A switch of service_conf.yaml. The other names are those of attributes in FATE Flow's own code."""

    key: str
    #: the name of its line in FATE's own ``hook_module``
    line: str
    #: in ``fate_flow.settings``: what stands at the key
    setting: str
    #: of ``HookManager``: the hooks, and the function that asks them
    hooks: str
    function: str
    #: in ``fate_flow.hook.common.parameters``: what that function returns
    answer: str
    #: the code of a refusal
    code: int


CLIENT = Switch("authentication.client.switch", "client_authentication", "CLIENT_AUTHENTICATION",
                "CLIENT_AUTHENTICATION", "client_authentication", "ClientAuthenticationReturn", AUTHENTICATION_ERROR)
SITE = Switch("authentication.site.switch", "site_authentication", "SITE_AUTHENTICATION",
              "SITE_AUTHENTICATION", "site_authentication", "AuthenticationReturn", AUTHENTICATION_ERROR)
PERMISSION = Switch("permission.switch", "permission", "PERMISSION_SWITCH",
                    "PERMISSION_CHECK", "permission_check", "PermissionReturn", SERVER_ERROR)
SWITCHES = (CLIENT, SITE, PERMISSION)


def is_on(switch: Switch) -> bool:
    """Whether FATE Flow asks its hooks at all. Any text counts as on, as for FATE Flow."""
    from fate_flow import settings

    return bool(getattr(settings, switch.setting))


class RefuseWithoutHook:
    """Stands in place of one of ``HookManager``'s functions, which answers "allowed" where no hook is registered."""

    def __init__(self, switch: Switch, ask: Callable[[Any], Any], answer: Callable[..., Any]) -> None:
        self._switch, self._ask, self._answer = switch, ask, answer

    def __call__(self, parm: Any) -> Any:
        try:
            require_hook(self._switch)
        except InvalidSettings as error:
            return self._answer(code=self._switch.code, message=error.message)
        return self._ask(parm)


def refuse_without_hooks(at_start: Callable[[str], None]) -> None:
    """Have FATE Flow refuse what it has no hook for. Does nothing where that is done already.

    Hooks may still be registered afterwards, and count from then on: ``hook_module`` has lines after ours.

    :param at_start: is told each problem of :func:`problems`, once all lines of ``hook_module`` were read.
    """
    from fate_flow.hook import HookManager
    from fate_flow.hook.common import parameters

    if isinstance(HookManager.permission_check, RefuseWithoutHook):
        return
    for switch in SWITCHES:
        setattr(HookManager, switch.function, RefuseWithoutHook(
            switch, getattr(HookManager, switch.function), getattr(parameters, switch.answer)))

    def tell() -> None:
        for problem in problems():
            at_start(problem)

    _call_after_hooks(tell)


def _call_after_hooks(action: Callable[[], object]) -> None:
    """FATE Flow's server looks for its own keys right after it has imported all hook modules, and before it serves."""
    from fate_flow.db.key_manager import RsaKeyManager

    init = RsaKeyManager.init

    def init_and_act() -> None:
        init()
        action()

    RsaKeyManager.init = init_and_act


def require_hook(switch: Switch) -> None:
    """:raises InvalidSettings: it is on, and no hook is registered; names the line that is wrong."""
    from fate_flow.hook import HookManager

    if is_on(switch) and not getattr(HookManager, switch.hooks):
        text = (f"{switch.key} is on in service_conf.yaml, but no hook is registered for it, so everything that it "
                f"checks is refused. {' '.join(_wrong_lines(switch))}")
        raise InvalidSettings(text, public=text)


def require_hooks() -> None:
    """:raises InvalidSettings: FATE Flow has no hook for a switch that is on; names each."""
    missing = " ".join(_missing_hooks())
    if missing:
        raise InvalidSettings(missing, public=missing)


def problems() -> Iterator[str]:
    """Why switches that are on refuse what they should let in: hooks that are missing, and keys of this site."""
    yield from _missing_hooks()
    yield from _missing_keys()


def _missing_hooks() -> Iterator[str]:
    for switch in SWITCHES:
        try:
            require_hook(switch)
        except ExtError as error:
            yield error.message


def _wrong_lines(switch: Switch) -> List[str]:
    """The line of that name; where there is none, all lines that could have been meant."""
    from fate_flow.settings import HOOK_MODULE

    lines = {str(name): str(line or "") for name, line in (HOOK_MODULE or {}).items()}
    failed = {name: [module for module in line.split(";") if module not in sys.modules] for name, line in lines.items()}
    named = [switch.line] if switch.line in lines else [name for name in lines if failed[name]]
    if not named:
        return [f"hook_module has no line {switch.line}."]
    return [
        f"The line `{name}: {lines[name]}` of hook_module " + (
            f"names {' and '.join(map(repr, failed[name]))}, which can't be imported." if failed[name]
            else "names no module that registers one.")
        for name in named]


def _missing_keys() -> Iterator[str]:
    from fate_flow import settings

    if is_on(CLIENT):
        for name, value in (("http_app_key", settings.HTTP_APP_KEY), ("http_secret_key", settings.HTTP_SECRET_KEY)):
            if not value:
                yield (f"authentication.client.{name} is empty in service_conf.yaml, so FATE Flow can't sign its own "
                       "requests, and client authentication refuses them.")
    if is_on(SITE) and not settings.PARTY_ID:
        yield ("party_id is empty in service_conf.yaml, so this site can't sign its requests, and site authentication "
               "refuses them.")
