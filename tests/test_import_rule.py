"""The import rule of docs/architecture.md: a room imports only what stands below it, and so does not know its users."""
import ast
from pathlib import Path
from typing import Iterator, List, Tuple

import fate_ext_plugin

PACKAGE = Path(fate_ext_plugin.__file__).parent
#: from the ground up; the longest name that fits a module is its room
FLOORS: List[List[str]] = [
    ["errors"],
    ["util"],
    ["db"],
    # the child's side of a job, which knows no settings and no server
    ["feature.source", "feature.engine", "feature.view", "feature.id_file"],
    ["settings", "access", "audit", "monitoring"],
    ["feature", "auth", "permission"],
    ["schema"],
    ["admin"],
    ["apps", "console", "cli", "hook", "serving", "host", "plugin", "server", "mount"],
]
#: on these floors rooms may know each other: the parts of a child process, and the doors with what puts them together
CHILD, DOORS = 3, 8
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    """:param module: without the package's name, such as ``feature.source.file``"""
    fitting = [room for room in FLOOR_OF if module == room or module.startswith(f"{room}.")]
    assert fitting, f"{module} stands on no floor"
    return max(fitting, key=len)


def imports() -> Iterator[Tuple[str, str, str]]:
    """Each import of ours: where it stands, the room that imports, and the imported one."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).replace(".__init__", "")
        if module == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for name in imported_by(node):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", room_of(module), room_of(name)  # type: ignore[attr-defined]


def imported_by(node: ast.AST) -> List[str]:
    names: List[str] = []
    if isinstance(node, ast.ImportFrom) and node.module == "fate_ext_plugin":
        names = [alias.name for alias in node.names if alias.name != "__version__"]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module.partition("fate_ext_plugin.")[2]] if node.module.startswith("fate_ext_plugin.") else []
    elif isinstance(node, ast.Import):
        names = [alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("fate_ext_plugin.")]
    return names


def test_a_room_imports_only_what_stands_below_it() -> None:
    found = list(imports())
    assert len(found) > 400
    wrong = [f"{place}: {room} imports {other}" for place, room, other in found
             if room != other and FLOOR_OF[other] >= FLOOR_OF[room]
             and not FLOOR_OF[other] == FLOOR_OF[room] in (CHILD, DOORS)]
    assert wrong == []
