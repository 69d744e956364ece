"""The house keeps its own order: shape, names and borders of every tracked file.

Each rule is one test, and each first shows that its eye works by finding a planted
violation. Knows nothing of what the code does; ruff, mypy and import-linter say more.
"""

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent

FUNCTION_LINES_MAX = 70
TEST_LINES_MAX = 20
MODULE_LINES_MAX = 500
METHODS_MAX = 20
PARAMETERS_MAX = 7
TEST_NAME_WORDS_MIN = 3

TOP_LEVEL = {
    *(".ci", ".github", ".gitignore", ".pre-commit-config.yaml"),
    *("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"),
    *("docs", "node", "protocol", "scripts", "tests"),
}
BANNED_WORDS = {
    *("capability", "common", "handler", "helper", "manager", "misc", "util"),
}
# Where foreign code and foreign bytes come in, and a broad except may stand guard.
BORDERS = (
    "node/nestmate/network/libp2p/",
    "node/nestmate/node/",
    "node/nestmate/doors/",
)
IMPORTERS = {
    "cbor2": "protocol/nestmate_protocol/codec.py",
    "nacl": "protocol/nestmate_protocol/keys.py",
    "plyvel": "node/nestmate/store/database.py",
    "libp2p": "node/nestmate/network/libp2p/",
    "multiaddr": "node/nestmate/network/libp2p/",
    "mcp": "node/nestmate/doors/mcp",
    "hypercorn": "node/nestmate/doors/http",
    "starlette": "node/nestmate/doors/http",
    "click": "node/nestmate/cli/",
    "numpy": "node/nestmate/bench/allocation/",
    "scipy": "node/nestmate/bench/allocation/",
}
# Named by no module of the house: python itself starts the first two, programs import
# the third, and the others are fakes for tests that pass the same suite as their twins.
ENTRIES = (
    *("nestmate.__main__", "nestmate.bench.allocation.__main__", "nestmate.compose"),
    *("nestmate.network.memory", "nestmate.store.memory"),
)
# Who may let time pass in a test, and why.
SLEEPERS = {
    "tests/conftest.py": "the one place that looks for a fact again and again",
}


@dataclass(frozen=True)
class Source:
    """One file: where it stands, what it says, and its tree if it is Python."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def walked(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in self.walked if isinstance(node, kinds))

    def at(self, node: ast.AST, words: str) -> str:
        return f"{self.path}:{node.lineno} {words}"


Check = Callable[[Source], Iterable[str]]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def tracked() -> tuple[str, ...]:
    """Paths git knows or would take, that are there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout: which files belong to the project is unknown")
    return tuple(path for path in done.stdout.splitlines() if (ROOT / path).is_file())


@cache
def source_at(path: str) -> Source:
    return Source(path, (ROOT / path).read_text(errors="replace"))


def sources(*prefixes: str, ending: str = ".py") -> list[Source]:
    return [
        source_at(path)
        for path in tracked()
        if path.startswith(prefixes or "") and path.endswith(ending)
    ]


def wings() -> list[Source]:
    return sources("protocol/", "node/")


def holds(check: Check, files: Iterable[Source]) -> None:
    complaints = [complaint for file in files for complaint in check(file)]
    assert not complaints, "\n" + "\n".join(complaints)


def finds(check: Check, text: str, path: str = "node/nestmate/planted.py") -> None:
    assert list(check(Source(path, text))), f"{check.__name__} overlooked {text!r}"


# --- shape ---


def lines_of(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1


def long_functions(file: Source) -> Iterator[str]:
    for node in file.nodes(*FUNCTIONS):
        is_test = node.name.startswith("test_")
        most = TEST_LINES_MAX if is_test else FUNCTION_LINES_MAX
        if lines_of(node) > most:
            yield file.at(node, f"{node.name} has {lines_of(node)} lines of {most}")


def test_no_function_is_longer_than_seventy_lines_and_no_test_than_twenty():
    finds(long_functions, "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX)
    finds(long_functions, "def test_f():\n" + "    x = 1\n" * TEST_LINES_MAX)
    holds(long_functions, sources())


def long_modules(file: Source) -> Iterator[str]:
    if (lines := file.text.count("\n")) > MODULE_LINES_MAX:
        yield f"{file.path} has {lines} lines"


def test_no_module_is_longer_than_five_hundred_lines():
    finds(long_modules, "x = 1\n" * (MODULE_LINES_MAX + 1))
    holds(long_modules, sources())


def crowded_classes(file: Source) -> Iterator[str]:
    for node in file.nodes(ast.ClassDef):
        methods = sum(isinstance(each, FUNCTIONS) for each in node.body)
        if methods > METHODS_MAX:
            yield file.at(node, f"class {node.name} has {methods} methods")


def test_no_class_has_more_than_twenty_methods():
    finds(crowded_classes, "class C:\n" + "    def m(self): ...\n" * (METHODS_MAX + 1))
    holds(crowded_classes, sources())


def wide_functions(file: Source) -> Iterator[str]:
    for node in file.nodes(*FUNCTIONS):
        names = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        wide = [each.arg for each in names if each.arg not in ("self", "cls")]
        if len(wide) > PARAMETERS_MAX:
            yield file.at(node, f"{node.name} takes {len(wide)} parameters")


def test_no_function_takes_more_than_seven_parameters():
    finds(wide_functions, "def f(self, a, b, c, d, *, e, f, g, h): ...")
    holds(wide_functions, sources())


# --- words ---


def words_of(name: str) -> set[str]:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    words = {part.lower() for part in parts}
    return words | {word.removesuffix("s") for word in words}


def names_of(file: Source) -> Iterator[tuple[int, str]]:
    yield 1, Path(file.path).stem
    for node in file.nodes(*FUNCTIONS, ast.ClassDef, ast.arg, ast.Name):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def banned_names(file: Source) -> Iterator[str]:
    for line, name in names_of(file):
        if banned := words_of(name) & BANNED_WORDS:
            yield f"{file.path}:{line} {name} says {banned.pop()}: find its noun"
    for node in file.nodes(ast.ClassDef):
        if re.match(r"[IT](?=[A-Z][a-z])|Base(?=[A-Z])|Abstract", node.name):
            yield file.at(node, f"{node.name} begins as if it were only a base")


def test_no_name_is_one_that_would_fit_anything():
    for planted in (
        "class PeerManager: ...",
        "stream_handlers = 1",
        "class INode: ...",
    ):
        finds(banned_names, planted)
    finds(banned_names, "", path="node/nestmate/utils.py")
    holds(banned_names, sources())


def short_names(file: Source) -> Iterator[str]:
    for node in file.nodes(*FUNCTIONS):
        words = node.name.split("_")
        if words[0] == "test" and len(words) <= TEST_NAME_WORDS_MIN:
            yield file.at(node, f"{node.name} is no sentence")


def test_the_name_of_a_test_is_a_sentence():
    finds(short_names, "def test_claim_expiry(): ...")
    holds(short_names, sources("tests/"))


def unopened(file: Source) -> Iterator[str]:
    if not ast.get_docstring(file.tree):
        yield f"{file.path} does not say what it is"


def test_every_file_opens_with_a_docstring():
    finds(unopened, "import ast\n")
    holds(unopened, sources())


def unopened_scripts(file: Source) -> Iterator[str]:
    lines = [line for line in file.text.splitlines() if not line.startswith("#!")]
    if not lines or not lines[0].startswith("# "):
        yield f"{file.path} does not say what it is"


def test_every_script_opens_with_a_comment():
    finds(unopened_scripts, "#!/usr/bin/env bash\nset -e\n")
    scripts = [path for path in tracked() if path.startswith(("scripts/", ".ci/"))]
    shell = [path for path in scripts if "." not in Path(path).name]
    holds(unopened_scripts, map(source_at, shell))


def leftovers(file: Source) -> Iterator[str]:
    for number, line in enumerate(file.text.splitlines(), start=1):
        if re.search(r"#.*\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b", line):
            yield f"{file.path}:{number} leaves work for later: {line.strip()}"
    for node in file.nodes(ast.Raise):
        if "NotImplemented" + "Error" in ast.unparse(node):
            yield file.at(node, "is a stub")


def test_nothing_is_left_for_later():
    finds(leftovers, "x = 1  # TO" + "DO: mend\n")
    finds(leftovers, "raise NotImplementedError\n")
    holds(leftovers, sources())


def bare_excuses(file: Source) -> Iterator[str]:
    above = ""
    for number, line in enumerate(file.text.splitlines(), start=1):
        excuse = re.search(r"#\s*(noqa|type: ignore)\b(?P<rest>.*)", line)
        if excuse and not above.lstrip().startswith("#"):
            reason = re.sub(r"\[[^]]*\]|\b[A-Z]+[0-9]+\b|noqa", "", excuse["rest"])
            if not re.search(r"[a-z]{2,}", reason):
                yield f"{file.path}:{number} asks to be excused without a reason"
        above = line


def test_whoever_asks_to_be_excused_from_a_check_says_why():
    finds(bare_excuses, "x = 1  # no" + "qa: BLE001, S101\n")
    finds(bare_excuses, "x = 1  # type: " + "ignore[attr-defined]\n")
    holds(bare_excuses, sources())


# --- borders ---


def broad_excepts(file: Source) -> Iterator[str]:
    if file.path.startswith(BORDERS):
        return
    broad = re.compile(r"\b(Exception|BaseException)\b")
    for node in file.nodes(ast.ExceptHandler):
        if node.type is None or broad.search(ast.unparse(node.type)):
            yield file.at(node, "catches everything")
    for node in file.nodes(ast.Call):
        called = ast.unparse(node.func)
        if called.endswith("suppress") and broad.search(ast.unparse(node)):
            yield file.at(node, "suppresses everything")


def test_nothing_but_the_borders_catches_everything():
    for caught in ("", " Exception", " (OSError, BaseException)"):
        finds(broad_excepts, f"try: f()\nexcept{caught}: pass\n")
    finds(broad_excepts, "with contextlib.suppress(Exception): f()\n")
    holds(broad_excepts, wings())


def imports_of(file: Source) -> Iterator[tuple[ast.AST, str]]:
    for node in file.nodes(ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif node.module and not node.level:
            yield node, node.module


def strangers_at_the_wrong_door(file: Source) -> Iterator[str]:
    for node, module in imports_of(file):
        library = module.partition(".")[0]
        if not file.path.startswith(IMPORTERS.get(library, "")):
            yield file.at(node, f"imports {library}: only {IMPORTERS[library]} may")


def test_each_outside_library_has_one_importer():
    for library in IMPORTERS:
        finds(strangers_at_the_wrong_door, f"def f():\n    import {library}.part\n")
        finds(strangers_at_the_wrong_door, f"from {library} import part\n")
    holds(strangers_at_the_wrong_door, wings())


def folder_imports(file: Source) -> Iterator[str]:
    for node, module in imports_of(file):
        if module.partition(".")[0] in ("node", "protocol", "tests", "scripts"):
            yield file.at(node, f"imports the folder {module}, not a package")


def test_nothing_imports_a_folder_of_the_repository():
    finds(folder_imports, "import node\n")
    finds(folder_imports, "from protocol.nestmate_protocol import ids\n")
    holds(folder_imports, sources())


def module_of(path: str) -> str:
    parts = Path(path).with_suffix("").parts[1:]
    return ".".join(part for part in parts if part != "__init__")


def texts_of(file: Source) -> set[str]:
    values = (node.value for node in file.nodes(ast.Constant))
    return {value for value in values if isinstance(value, str)}


def mentions_of(file: Source) -> set[str]:
    """Dotted names a file imports, or spells out for a late import."""
    named = {module for _, module in imports_of(file)}
    for node in file.nodes(ast.ImportFrom):
        named |= {f"{node.module}.{alias.name}" for alias in node.names}
    spelled = (text.partition(":")[0] for text in texts_of(file))
    return named | {text for text in spelled if text.startswith("nestmate")}


def late_mentions(files: Iterable[Source]) -> set[str]:
    """Modules named in two halves: a prefix that ends in a dot, and "module:name"."""
    texts = {text for file in files for text in texts_of(file)}
    prefixes = {text for text in texts if re.fullmatch(r"nestmate[\w.]*\.", text)}
    halves = {
        text.partition(":")[0] for text in texts if re.fullmatch(r"\w+:\w+", text)
    }
    return {prefix + half for prefix in prefixes for half in halves}


def dead_modules(files: list[Source], entries: Iterable[str]) -> list[str]:
    """Modules no other module names; a package lives by its own modules."""
    living = {*entries, *late_mentions(files)}
    for file in files:
        living |= mentions_of(file) - {module_of(file.path)}
    for module in tuple(living):
        parts = module.split(".")
        living |= {".".join(parts[:end]) for end in range(1, len(parts))}
    return sorted({module_of(file.path) for file in files} - living)


def test_no_module_is_dead():
    alone = [Source(f"node/nestmate/{name}.py", "import nestmate.a") for name in "ab"]
    assert dead_modules(alone, ["nestmate"]) == ["nestmate.b"]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    scripts = settings["project"]["scripts"].values()
    entries = [entry.partition(":")[0] for entry in scripts]
    assert not dead_modules(wings(), [*entries, *ENTRIES])


def sleepers(file: Source) -> Iterator[str]:
    for node in file.nodes(ast.Call):
        called = ast.unparse(node.func).rpartition(".")[2]
        if called == "sleep" and file.path not in SLEEPERS:
            yield file.at(node, "sleeps instead of waiting for a fact")


def test_no_test_sleeps_but_those_with_a_reason():
    finds(sleepers, "async def f(): await trio.sleep(1)\n")
    holds(sleepers, sources("tests/"))
    assert all(SLEEPERS.values())
    assert {path for path in SLEEPERS if not (ROOT / path).exists()} == set()


# --- what lies about ---


def test_the_top_level_holds_exactly_what_the_house_plan_names():
    found = {path.partition("/")[0] for path in tracked()}
    assert found == TOP_LEVEL


# Letters in brackets, so that this file does not find itself.
PLACES = re.compile(
    r"/w[o]rk/|/tmp/l[a]b|/f[a]rm/|/tmp/pl[a]n|(?<!\w)\.libr[a]ry\b|suba[g]ent|\bC[E]O\b"
    r"|pyp[i]\.org|pythonh[o]sted|npmj[s]\.|deb\.deb[i]an|/root/\.py[e]nv|/opt/py[p]i"
)


def machine_places(file: Source) -> Iterator[str]:
    for number, line in enumerate(file.text.splitlines(), start=1):
        if found := PLACES.search(line):
            yield f"{file.path}:{number} names a machine or a host: {found[0]}"


def test_no_file_names_a_machine_or_a_registry():
    finds(machine_places, "cd /wo" + "rk/main")
    finds(machine_places, "from https://py" + "pi.org/simple/x")
    holds(machine_places, sources(ending=""))


def addressed_locks(file: Source) -> Iterator[str]:
    for number, line in enumerate(file.text.splitlines(), start=1):
        if re.search(r'://|"resolved"|find-links|index-url|\.whl|\.tar\.gz', line):
            yield f"{file.path}:{number} spells out an address: {line.strip()}"


def test_no_lock_spells_out_an_address():
    finds(addressed_locks, '"resolved": "file.tgz"')
    finds(addressed_locks, "--find-links wheels")
    names = ("requirements.lock", "package-lock.json")
    holds(addressed_locks, [lock for name in names for lock in sources(ending=name)])
    assert not sources(ending="uv.lock")


def locked() -> dict[str, str]:
    text = (ROOT / "scripts/requirements.lock").read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;]+)", text, re.MULTILINE))


def test_every_locked_version_has_a_hash():
    text = (ROOT / "scripts/requirements.lock").read_text()
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    unhashed = [
        each for each in blocks if not re.search("--hash=sha256:[0-9a-f]{64}", each)
    ]
    assert len(blocks) == len(locked()) > 0
    assert not unhashed


def test_the_lock_fits_what_the_project_asks_for():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *settings["project"]["dependencies"],
        *settings["dependency-groups"]["dev"],
    ]
    versions = locked()
    for each in [*asked, *settings["tool"]["uv"]["override-dependencies"]]:
        requirement = Requirement(each)
        version = versions.get(canonicalize_name(requirement.name))
        assert version, f"{each} is not locked: scripts/lint --relock"
        assert requirement.specifier.contains(version, prereleases=True), each
