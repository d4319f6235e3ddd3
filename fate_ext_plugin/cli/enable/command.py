"""``fate-ext enable`` and ``fate-ext disable``: our lines into FATE Flow's service_conf.yaml, and out again."""
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping

import click
import yaml

from fate_ext_plugin.cli.enable.replace_files import Change, replace_files
from fate_ext_plugin.cli.enable.shown_diff import shown_diff
from fate_ext_plugin.cli.enable.yaml_edit import (
    NotEditable,
    copies,
    with_copy,
    with_entry,
    with_former_line,
    with_section,
    with_value,
    without_copy,
    without_entry,
    without_section,
)
from fate_ext_plugin.cli.errors import CommandFailed, WrongOption
from fate_ext_plugin.cli.hook_lines import (
    AUTHENTICATION,
    BUILT_IN,
    HOOKS,
    MOUNT,
    OURS,
    OVER_HTTP,
    PERMISSION,
    SWITCHES,
    hook_lines,
    modules,
    of_kind,
    split,
    switched_on,
    unknown,
)
from fate_ext_plugin.errors import InvalidSettings
from fate_ext_plugin.settings import strict_yaml
from fate_ext_plugin.settings.load import ServiceConf
from fate_ext_plugin.settings.model import SECTION

CRLF = "\r\n"
# The section, where there was none.
MADE = f"{HOOKS}:   # made by fate-ext enable\n"
# Relative: it starts at the folder FATE is deployed in.
DATA_DIR = "fate_ext"
# An example only: a view of files that are not there would be registered, and fail the jobs that use it.
VIEW_TO_COME = r"""  #views:
  #  credit:
  #    source:
  #      type: file
  #      path: /data/projects/fate/features/credit/{month}/*.parquet
  #    columns: [amount, age, vip]
  #    parameters:
  #      month:
  #        pattern: '\d{6}'
  #        required: true
"""

FATE_BASE = click.option("--fate-base", required=True, metavar="DIR",
                         callback=lambda context, parameter, value: Path(value),
                         help="The folder FATE is deployed in; it holds conf/service_conf.yaml.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@FATE_BASE
@click.option("--authentication", is_flag=True, help="Also put our hooks for clients and sites before FATE's own.")
@click.option("--permission", is_flag=True, help="Also put our hook for permission in place of FATE's own.")
@YES
def enable(fate_base: Path, authentication: bool, permission: bool, yes: bool) -> None:
    """Write the plugin into FATE Flow's service_conf.yaml."""
    conf = _fate_conf(fate_base)
    draft = Draft(conf)
    chosen = {"authentication": authentication, "permission": permission}
    kinds = [*(AUTHENTICATION if authentication else ()), *([PERMISSION] if permission else ())]
    draft.add_section({"data_dir": DATA_DIR, **{name: None for name, wanted in chosen.items() if wanted}})
    draft.set_hooks(with_our_hooks(hook_lines(conf), kinds))
    if not draft.carry_out(yes):
        click.echo(f"Nothing to do: the plugin is enabled in {conf.file_of(HOOKS)}.")
        return
    conf = ServiceConf(conf.path)
    off = [".".join(SWITCHES[kind]) for kind in kinds if not switched_on(conf, kind)]
    if off:
        click.echo(f"Not in force before you switch it on: {', '.join(off)}.")
    if not conf.get(SECTION, "views"):
        click.echo(f"{'No features are' if chosen.keys() & conf.get(SECTION).keys() else 'Nothing is'} served before "
                   f"you name a view in section {SECTION} of {conf.file_of(SECTION)}.")
    click.echo(f"Then: fate-ext check --conf {conf.path}, and restart FATE Flow.")


@click.command()
@FATE_BASE
@click.option("--purge", is_flag=True, help=f"Also take the section {SECTION} out, views and all.")
@YES
def disable(fate_base: Path, purge: bool, yes: bool) -> None:
    """Take the plugin out of FATE Flow's service_conf.yaml."""
    conf = _fate_conf(fate_base)
    draft = Draft(conf)
    draft.put_back_hooks([kind for kind in OURS if switched_on(conf, kind)])
    if purge:
        draft.drop_section()
    if not draft.carry_out(yes):
        click.echo(f"Nothing to do: {conf.file_of(HOOKS)} names no module of ours.")
        return
    if SECTION in conf and not purge:
        click.echo(f"The section {SECTION} stays for another time; --purge takes it out, too.")
    left = modules(hook_lines(ServiceConf(conf.path)))
    for kind in OURS:
        if switched_on(conf, kind) and not of_kind(left, kind):
            others = " or ".join(unknown(left))
            click.echo(f"{'.'.join(SWITCHES[kind])} is on: "
                       + (f"unless {others} registers a hook for it, " if others else "without a hook for it, ")
                       + "FATE Flow lets everyone in.")
    if all(switched_on(conf, kind) for kind in AUTHENTICATION):
        click.echo("Both authentication switches are on: without the plugin FATE Flow 1.10 and 1.11 check no "
                   "scheduling request.")
    click.echo("Restart FATE Flow. It still has our urls in its registry: a job whose ApiReader calls them would end "
               "with success and no data, so take ApiReaders of this server out of your jobs.")


def with_our_hooks(lines: Mapping[str, str], kinds: Iterable[str]) -> Dict[str, str]:
    """``hook_module`` with ours, which come first: FATE Flow asks the first only. Those that were there stay behind
    them, in force again should the plugin be gone one day; without any, everyone would be let in.

    But for permission: there FATE Flow asks all, so that its own would go on to refuse what only ours grants.
    """
    target = dict(lines)
    for kind in kinds:
        target[kind] = with_ours(kind, lines.get(kind, ""))
    if MOUNT not in modules(lines):
        line = lines.get("extension")
        target["extension"] = f"{line};{MOUNT}" if line else MOUNT
    return target


def with_ours(kind: str, line: str) -> str:
    """The line of one kind, with our hook in front."""
    found = split(line)
    if found[:1] == [OURS[kind]] and (kind != PERMISSION or not {BUILT_IN[kind], OVER_HTTP[kind]}.intersection(found)):
        return line
    if kind != PERMISSION and OURS[kind] not in found:
        return f"{OURS[kind]};{line}" if line else OURS[kind]
    replaced = (OURS[kind], *((BUILT_IN[kind], OVER_HTTP[kind]) if kind == PERMISSION else ()))
    return ";".join([OURS[kind], *(module for module in found if module not in replaced)])


def without_our_hooks(
    lines: Mapping[str, str], former: Mapping[str, str], switched_on: Iterable[str]
) -> Dict[str, str]:
    """``hook_module`` without ours, and with what ours came in place of. A check that is switched on and would be left
    without any hook, which means that everyone is let in, gets FATE Flow's own, unless another's may be its hook.

    :param former: lines as they were before ours came, where that can't be told from what they are now.
    :param switched_on: the kinds of hooks that FATE Flow asks.
    """
    target = {}
    for name, line in lines.items():
        left = _others(line)
        if name in former and left != line.split(";"):
            # What was added since stays.
            before = _others(former[name])
            left = [*before, *(module for module in left if module not in before)]
        if left:
            target[name] = ";".join(left)
    for kind in switched_on:
        left_modules = modules(target)
        if OURS[kind] in modules(lines) and not of_kind(left_modules, kind) and not unknown(left_modules):
            target[kind] = ";".join([*split(target.get(kind, "")), BUILT_IN[kind]])
    return target


def _others(line: str) -> List[str]:
    """The parts of a line that are not ours, empty ones included."""
    return [module for module in line.split(";") if module.strip().partition(".")[0] != SECTION]


class Draft:
    """What is to become of the two files of a FATE configuration."""

    def __init__(self, conf: ServiceConf) -> None:
        self._conf = conf
        self._old: Dict[Path, bytes] = {}
        self._new: Dict[Path, str] = {}

    def set_hooks(self, target: Mapping[str, str]) -> None:
        """:raises InvalidSettings: the file has to be changed by hand, and how."""
        old = hook_lines(self._conf)
        added = [name for name in target if name not in old]
        changed = {name: line for name, line in target.items() if line != old.get(name)}

        def edit(text: str) -> str:
            if HOOKS not in self._conf:
                text = with_section(text, MADE)
            for name in [name for name in changed if name in old]:
                if name not in copies(text) and _is_lost(old[name], target[name]):
                    text = with_copy(text, HOOKS, name)
                text = with_value(text, HOOKS, name, target[name])
            for name in reversed(added):
                text = with_entry(text, HOOKS, f"{name}: {target[name]}")
            return text

        if changed:
            self._edit(HOOKS, edit, {HOOKS: {**(self._conf.get(HOOKS) or {}), **changed}})

    def put_back_hooks(self, switched_on: Iterable[str]) -> None:
        """``hook_module`` as it was before ours came.

        :param switched_on: the kinds of hooks that FATE Flow asks.
        :raises InvalidSettings: the file has to be changed by hand, and how.
        """
        old, text = hook_lines(self._conf), self._text(self._conf.file_of(HOOKS).resolve())
        kept = copies(text)
        former = {name: str(value or "") for line in kept.values() for name, value in strict_yaml.load(line).items()}
        target = without_our_hooks(old, former, switched_on)
        changed = {name: line for name, line in target.items() if line != old.get(name)}
        restored = [name for name in kept if name in changed and changed[name] == former[name]]
        made_by_us = MADE in f"{text}\n" and not target

        def edit(text: str) -> str:
            for name in kept:
                text = with_former_line(text, HOOKS, name) if name in restored else without_copy(text, name)
            for name in old:
                if name not in target:
                    text = without_entry(text, HOOKS, name)
                elif name in changed and name not in restored:
                    text = with_value(text, HOOKS, name, target[name])
            for name in [name for name in target if name not in old]:
                text = with_entry(text, HOOKS, f"{name}: {target[name]}")
            return without_section(text, HOOKS) if made_by_us else text

        if target != old or kept:
            lines = {name: target[name] or None for name in target}
            self._edit(HOOKS, edit, {} if made_by_us else {HOOKS: lines or None})

    def add_section(self, needed: Mapping[str, Any]) -> None:
        """Our section with the keys it needs; those that are there stay as they are.

        :raises InvalidSettings: the file has to be changed by hand, and how.
        """
        found = self._conf.get(SECTION)
        if not isinstance(found, (Mapping, type(None))):
            raise InvalidSettings(f"{self._conf.file_of(SECTION)}: {SECTION} must be a mapping.")
        missing = {name: value for name, value in needed.items() if name not in (found or {})}

        def edit(text: str) -> str:
            if SECTION not in self._conf:
                text = with_section(text, f"{SECTION}:\n{VIEW_TO_COME}")
            for name in reversed(list(missing)):
                text = with_entry(text, SECTION, f"{name}: {missing[name] or ''}".rstrip())
            return text

        if missing:
            self._edit(SECTION, edit, {SECTION: {**(found or {}), **missing}})

    def drop_section(self) -> None:
        if SECTION in self._conf:
            self._edit(SECTION, lambda text: without_section(text, SECTION), {})

    def _edit(self, key: str, edit: Callable[[str], str], target: Mapping[str, Any]) -> None:
        """:param target: ``key`` with what stands under it then, or nothing."""
        file = self._conf.file_of(key).resolve()
        text = self._text(file)
        try:
            new = edit(text)
            others = {name: value for name, value in strict_yaml.load(text).items() if name != key}
            if strict_yaml.load(new) != {**others, **target}:
                raise NotEditable("the change would count in more than one place")
        except (NotEditable, yaml.YAMLError) as error:
            reason = error.message if isinstance(error, NotEditable) else "it would be no YAML any more"
            wanted = yaml.safe_dump(dict(target), sort_keys=False) if target else f"nothing of {key}"
            raise InvalidSettings(
                f"Nothing was changed: {file} can't be edited safely, because {reason}. Edit it by hand, until it "
                f"says:\n{wanted}") from None
        self._new[file] = new

    def _text(self, file: Path) -> str:
        """The text of a file as it is to become; its lines end in a line feed alone, where all end alike."""
        if file not in self._old:
            self._old[file] = file.read_bytes()
            self._new[file] = self._old[file].decode("utf-8")
            if _ends_in_crlf(self._new[file]):
                self._new[file] = self._new[file].replace(CRLF, "\n")
        return self._new[file]

    def carry_out(self, yes: bool) -> bool:
        """Show the change, ask, and make it; False where there is nothing to change.

        :param yes: do not ask.
        :raises ExtError: nothing was changed, and why.
        """
        changes = [change for change in (Change(file, self._old[file], self._bytes(file)) for file in self._new)
                   if change.new != change.old]
        if not changes:
            return False
        for change in changes:
            old, new = (text.decode("utf-8").replace(CRLF, "\n") for text in (change.old, change.new))
            click.echo(shown_diff(old, new, str(change.file)))
        _ask(yes)
        for change, backup in zip(changes, replace_files(changes)):
            click.echo(f"Changed {change.file}; as it was: {backup}")
        return True

    def _bytes(self, file: Path) -> bytes:
        """What is to be written to a file: with the line ends that it has now."""
        text = self._new[file]
        return (text.replace("\n", CRLF) if _ends_in_crlf(self._old[file].decode("utf-8")) else text).encode("utf-8")


def _ends_in_crlf(text: str) -> bool:
    """Whether all of its lines do."""
    return 0 < text.count(CRLF) == text.count("\r") == text.count("\n")


def _is_lost(old: str, new: str) -> bool:
    """Whether a line of ``hook_module`` can't be had back by taking ours out of the new one."""
    return without_our_hooks({"": new}, {}, ()) != without_our_hooks({"": old}, {}, ())


def _fate_conf(base: Path) -> ServiceConf:
    path = base / "conf" / "service_conf.yaml"
    if not path.is_file():
        raise WrongOption(f"There is no {path}: --fate-base names the folder FATE is deployed in.")
    conf = ServiceConf(path)
    if "fateflow" not in conf:
        raise WrongOption(f"{path} is not FATE Flow's: it has no section fateflow.")
    return conf


def _ask(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed("Nothing was changed: there is no terminal to ask on. With --yes the change is made.")
    if not click.confirm("Make this change?"):
        raise CommandFailed("Nothing was changed.")
