"""The code, tested about itself: the arrows and the sizes of `docs/architecture.md`, read from the syntax tree.

Few rules, and each failure says the remedy. A number in a rule may go down and not up.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fungible.dialects import DIALECTS, SPOKEN
from fungible.losses import WHY

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "fungible"

RINGS: tuple[tuple[str, ...], ...] = (
    # 0, values
    ("ir", "losses", "events", "faults", "money", "world", "account", "version"),
    # 1, pure
    ("frames", "dialects", "providers", "models", "translate", "signatures", "places", "settings", "evidence",
     "variants"),
    # 2, one call
    ("call", "admission", "exchange", "attempt", "answer", "rewriting", "foresight", "policies", "repeats",
     "recording", "thoughts"),
    # 3, keepers
    (
        "store", "ledger", "journal", "prices", "recordings", "sources", "switch", "tune", "fleet",
        "risk", "retirement", "moves", "simulator", "keys", "pricelist", "statement", "memory",
    ),
    # 4, edges
    (
        "http", "config", "app", "cli", "admin", "console", "observe", "client", "demo", "engine",
        "gateway", "front", "drill", "forcing", "asker", "batching", "sitting", "serve", "data",
        "__init__", "__main__",
    ),
)  # fmt: skip
RING = {name: ring for ring, names in enumerate(RINGS) for name in names}

PURE_RINGS = (0, 1, 2)
IMPURE_MODULES = {
    "asyncio", "http", "io", "logging", "os", "pathlib", "random", "secrets", "select", "shutil", "signal",
    "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request", "uuid", "uvloop",
}  # fmt: skip
IMPURE_CALLS = {"open", "input", "print", "now", "utcnow", "today", "getenv"}

LATE_IMPORTS = {
    "cli": "a command imports what it needs, so that --help is quick",
    "demo": "it runs the SDKs, which are no dependency",
    "__init__": "the clients bring an HTTP library, imported when first asked for",
}
OPTIONAL_EXTRAS = {"xllamacpp", "botocore", "uvloop", "psycopg", "ray", "transformers", "torch", "peft", "jsonschema_rs",
    "py3langid", "pyarrow"}  # fmt: skip

SHARED = (
    "bare",
    "blockwise",
    "checked",
    "failures",
    "freetext",
    "media",
    "error_objects",
    "moved",
    "runs",
    "streamed",
    "times",
)  # files beside the dialects
NAME_ROOMS = ("dialects", "providers", "data", "tune", "fleet", "demo", "sources")
ENGLISH = {
    "together",
    "fireworks",
    "hyperbolic",
}  # names that are words, too: only a string of just that is a name
OURS = {"local"}  # the embedded engine is this project's own

ONE_FILE = {
    "holds the SQL": (re.compile(r"^\s*(import|from) sqlite3\b", re.M), "store"),
    "opens connections": (re.compile(r"(?<!socket)\.create_connection\("), "http.client"),
    "listens": (re.compile(r"\.create_server\("), "http.server"),
    "reads the environment": (re.compile(r"\bos\.(environ|getenv)\b"), "config"),
}

LINES_PER_FUNCTION_MAX = 70
LINES_PER_FILE_MAX = 600
NO_NOUN = {
    "helper",
    "helpers",
    "util",
    "utils",
    "service",
    "services",
    "support",
    "manager",
    "common",
    "misc",
}

# In pieces, for this file is looked through as well.
UNSAID = [
    re.compile(pattern, re.I)
    for pattern in (
        r"(?<![\w.$}-])/wo" + r"rk/",
        r"\.libr" + r"ary\b",
        "this ses" + "sion",
        "helper ag" + "ent",
    )
]


# --- reading the tree ----------------------------------------------------------------------------


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name below `fungible` -> syntax tree. A package is its `__init__`, under the package's name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = list(path.relative_to(SOURCE).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def path_of(module: str) -> Path:
    plain = SOURCE / (module.replace(".", "/") + ".py")
    return plain if plain.is_file() else SOURCE / module.replace(".", "/") / "__init__.py"


def is_package(module: str) -> bool:
    return module != "__init__" and path_of(module).name == "__init__.py"


def room(module: str) -> str:
    return module.partition(".")[0]


def imports(module: str) -> Iterator[tuple[ast.stmt, str, bool]]:
    """Every import: (statement, dotted name, whether it is our own, then to the module and no deeper)."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            own = bool(node.level) or base[:1] == ["fungible"]
            if node.level:
                here = [] if module == "__init__" else module.split(".")
                up = node.level - 1 if is_package(module) else node.level
                base = here[: len(here) - up] + base
            elif own:
                base = base[1:]
            for alias in node.names:
                deep = ".".join([*base, alias.name])
                yield node, deep if own and deep in modules() else ".".join(base) or "__init__", own


def own_imports(module: str) -> set[str]:
    return {name for _, name, own in imports(module) if own and name != module and name in modules()}


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def told(problems: list[str], remedy: str) -> None:
    assert not problems, "\n  ".join(["", *problems, f"Remedy: {remedy}"])


@cache
def repository() -> tuple[Path, ...]:
    """Every file that is, or could be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:  # an unpacked source archive
        kept = ("src", "tests", "docs", "training", "benchmarks")
        paths = [p for name in kept for p in (ROOT / name).rglob("*")]
    return tuple(p for p in paths if p.is_file() and not p.is_symlink())


# --- the arrows ----------------------------------------------------------------------------------


def test_every_module_has_a_ring() -> None:
    told(
        sorted({f"{room(m)} stands in no ring" for m in modules() if room(m) not in RING}),
        "put its name into RINGS here, and into the picture in docs/architecture.md.",
    )


def test_arrows_point_inward() -> None:
    told(
        [
            f"{module} (ring {RING[room(module)]}) imports {other} (ring {RING[room(other)]})"
            for module in modules()
            for other in own_imports(module)
            if room(module) in RING and room(other) in RING and RING[room(other)] > RING[room(module)]
        ],
        "take what you need as an argument, or move the value you need to a lower ring.",
    )


def test_no_cycles() -> None:
    graph = {module: own_imports(module) for module in modules()}
    # A module uses its own package's __init__ without meaning to.
    graph = {
        m: {o for o in others if not m.startswith(o + ".") or o == "dialects.base"}
        for m, others in graph.items()
    }
    done: set[str] = set()
    problems: list[str] = []

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            problems.append(" -> ".join([*trail[trail.index(module) :], module]))
        elif module not in done:
            for other in sorted(graph[module]):
                visit(other, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())
    told(problems, "two modules that need each other are one, or a third holds what both need.")


def test_imports_stand_at_the_top() -> None:
    problems = []
    for module in modules():
        if room(module) in LATE_IMPORTS:
            continue
        for function in functions(module):
            inner = {id(n) for n in ast.walk(function)}
            problems += [
                f"{module}.{function.name} imports {name}"
                for node, name, _ in imports(module)
                if id(node) in inner and name.partition(".")[0] not in OPTIONAL_EXTRAS
            ]
    told(
        sorted(set(problems)), "import at the top; only an optional extra or a command may be imported late."
    )


def test_siblings_do_not_know_each_other() -> None:
    problems = []
    for module in modules():
        for other in own_imports(module):
            for family in ("dialects", "policies"):
                mine, theirs = module.split("."), other.split(".")
                siblings = mine[0] == theirs[0] == family and len(mine) > 1 and len(theirs) > 1
                if siblings and theirs[1] not in ("base", mine[1], *SHARED):
                    problems.append(f"{module} imports {other}")
    told(problems, "what two of them share belongs to the canonical form, or to a SHARED file beside them.")


def test_the_inner_rings_are_pure() -> None:
    problems = []
    for module, syntax in modules().items():
        if RING.get(room(module)) not in PURE_RINGS:
            continue
        problems += [
            f"{module} imports {name}"
            for _, name, own in imports(module)
            if not own and (name in IMPURE_MODULES or name.partition(".")[0] in IMPURE_MODULES)
        ]
        for node in ast.walk(syntax):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
                problems.append(f"{module}:{node.lineno} is async")
            elif isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if called in IMPURE_CALLS and not isinstance(getattr(node.func, "value", None), ast.Call):
                    owner = getattr(getattr(node.func, "value", None), "id", None)
                    if isinstance(node.func, ast.Name) or owner in ("datetime", "date", "os", "io"):
                        problems.append(f"{module}:{node.lineno} calls {called}()")
    told(problems, "give it the time, the chance, the setting or the bytes as an argument.")


# --- the rooms -----------------------------------------------------------------------------------


def provider_names() -> set[str]:
    """From the provider table, by its text: the rows' first words."""
    found = set()
    for path in (SOURCE / "providers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Provider", "row", "_row"):
                named = [k.value for k in node.keywords if k.arg == "name"] or node.args[:1]
                found |= {v.value for v in named if isinstance(v, ast.Constant) and isinstance(v.value, str)}
    return found


def code_words(module: str) -> Iterator[tuple[int, str, bool]]:
    """(line, text, whether it is a string) of every name and string; docstrings and comments may cite."""
    docs = {
        (node.body[0].lineno, node.body[0].col_offset)
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
    docs |= {  # a string by itself, under the value it explains
        (node.lineno, node.col_offset)
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    text = path_of(module).read_text(encoding="utf-8")
    kinds = (tokenize.NAME, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds and token.start not in docs:
            yield token.start[0], token.string, token.type != tokenize.NAME


def test_providers_and_dialects_are_named_in_their_rooms_only() -> None:
    brands = {part for name in DIALECTS for part in (name, name.partition(".")[0])} | provider_names()
    brands -= OURS
    plain = "|".join(sorted(map(re.escape, brands - ENGLISH), key=len, reverse=True))
    word = re.compile(rf"(?<![A-Za-z])({plain})(?![A-Za-z])", re.I)
    alone = "|".join(sorted(map(re.escape, brands & ENGLISH))) or "(?!)"
    as_a_name = re.compile(rf"""^[bfru]*["']({alone})(/[^"']*)?["']$""")
    told(
        [
            f"{module}:{line} says {text}"
            for module in modules()
            if room(module) not in NAME_ROOMS
            for line, text, is_string in code_words(module)
            if word.search(text) or (is_string and as_a_name.match(text))
        ],
        "make it a column of the provider table, a quirk, or a field of Dialect, and look it up.",
    )


def test_one_file_for_each_thing_that_there_is_one_of() -> None:
    problems = []
    for what, (pattern, home) in ONE_FILE.items():
        found = {m for m in modules() if pattern.search(path_of(m).read_text(encoding="utf-8"))}
        # What ships as data runs in processes of its own.
        problems += [
            f"{m} {what}" for m in sorted(found) if room(m) != "data" and not f"{m}.".startswith(f"{home}.")
        ]
    told(problems, f"it belongs in one of {', '.join(home for _, home in ONE_FILE.values())}: call that.")


MUTATORS = {
    "add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "sort",
    "update",
}  # fmt: skip


def test_no_state_in_modules() -> None:
    problems = []
    for module, syntax in modules().items():
        tables = set()
        for node in syntax.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None) if isinstance(node, ast.Assign | ast.AnnAssign) else None
            made = getattr(getattr(value, "func", None), "id", "")
            if isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp) or made in (
                "dict", "list", "set", "defaultdict", "deque", "Counter", "OrderedDict", "bytearray",
            ):  # fmt: skip
                names = [t.id for t in targets if isinstance(t, ast.Name)]
                tables |= set(names)
                problems += [
                    f"{module}:{node.lineno} {name} is no table by its name"
                    for name in names
                    if name != "__all__" and not name.isupper()
                ]
        for node in ast.walk(syntax):
            changed = None
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
                changed = node.value
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in MUTATORS:
                changed = node.func.value  # type: ignore[attr-defined]
            elif isinstance(node, ast.Global):
                problems.append(f"{module}:{node.lineno} has a global statement")
            if isinstance(changed, ast.Name) and changed.id in tables:
                problems.append(f"{module}:{node.lineno} changes {changed.id}")
    told(problems, "a table is UPPER_CASE and never changes; state lives in an object that app builds.")


def test_fault_is_the_only_exception_that_travels() -> None:
    problems = [
        f"{module}.{node.name}"
        for module, syntax in modules().items()
        if module != "faults"
        for node in ast.walk(syntax)
        if isinstance(node, ast.ClassDef) and RING.get(room(module)) in PURE_RINGS
        for base in node.bases
        if getattr(base, "id", getattr(base, "attr", "")).endswith(("Exception", "Error", "Fault"))
        and not (module == "settings" and node.name == "Wrong")  # caught by config, which knows the line
    ]
    told(problems, "raise Fault with one of its kinds; a new kind is a row of faults.KINDS.")


# --- the sizes and the words ---------------------------------------------------------------------


def test_functions_and_files_are_small() -> None:
    long_functions = [
        f"{module}.{f.name} has {lines} lines"
        for module in modules()
        for f in functions(module)
        if (lines := (f.end_lineno or f.lineno) - f.lineno + 1) > LINES_PER_FUNCTION_MAX
    ]
    python = [p for p in repository() if p.suffix == ".py"]
    long_files = [
        f"{path.relative_to(ROOT)} has {lines} lines"
        for path in python
        if (lines := path.read_text(encoding="utf-8").count("\n")) > LINES_PER_FILE_MAX
    ]
    told(long_functions + long_files, "find the noun in it that wants a function or a file of its own.")


def test_files_are_named_by_nouns() -> None:
    told(
        [
            str(path.relative_to(ROOT))
            for path in repository()
            if path.suffix == ".py" and {*path.stem.split("_"), *path.parent.name.split("_")} & NO_NOUN
        ],
        "name it for what it is; if it has no noun, it has no home yet.",
    )


def test_every_loss_code_is_used_and_documented() -> None:
    page = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    used = (
        "".join(path_of(m).read_text(encoding="utf-8") for m in modules() if m != "losses")
        + '"unknown_field"'
    )
    told([f"{code} is not in docs/losses.md" for code in WHY.keys() - rows], "write its row there.")
    told(
        [f"docs/losses.md has {code}" for code in rows - WHY.keys()], "take the row out, or put it into WHY."
    )
    told(
        [f"{code} is reported nowhere" for code in WHY if f'"{code}"' not in used], "take its row out of WHY."
    )


def test_every_quirk_is_documented() -> None:
    pages = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.md"))
    told(
        [f"{d.name}: {quirk}" for d in SPOKEN.values() for quirk in d.quirks if f"`{quirk}`" not in pages],
        "write a line about it in docs/quirks.md.",
    )


def test_nothing_speaks_of_where_it_was_written() -> None:
    problems = []
    for path in repository():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # no text
        for number, line in enumerate(text.splitlines(), 1):
            problems += [
                f"{path.relative_to(ROOT)}:{number} {found.group()}"
                for p in UNSAID
                if (found := p.search(line))
            ]
    told(problems, "the repository is read by strangers: say what a thing is, not where it came about.")


@pytest.mark.parametrize(("text", "seen"), [("cd /wo" + "rk/main", True), ("benchmarks/wo" + "rk/x", False)])
def test_the_words_are_found(text: str, seen: bool) -> None:
    assert any(p.search(text) for p in UNSAID) is seen
