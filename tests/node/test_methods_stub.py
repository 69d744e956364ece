"""What editors and type checkers know of the methods is what the table says.

The stub is written by this file: NESTMATE_WRITE_PAGES=1 makes the test write it anew
instead of comparing. Knows nothing of how calls travel.
"""

import ast
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

from mypy import api

from nestmate.operations import methods
from nestmate.operations.parameters import Parameter, parameters
from nestmate.operations.row import Operation
from nestmate.operations.table import OPERATIONS

STUB = Path(methods.__file__).with_suffix(".pyi")
OPENING = '''\
# ruff: noqa: PYI021 - editors show these docstrings
"""The methods rendered from the table of operations; written by a test from it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

'''
CALL = (
    "    def call(self, name: str, fields: Mapping[str, object] | None = None)"
    " -> Any: ..."
)


def text_of(kind: object) -> str:
    text = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
    text = text.replace("NoneType", "None").replace("tuple[str, ...]", "Sequence[str]")
    return re.sub(r"Optional\[(\w+)\]", r"\1 | None", text)


def place(item: Parameter, kind: object) -> str:
    told = f"{item.name}: {text_of(kind)}"
    return told if item.required else f"{told} = {item.default!r}"


def method(row: Operation) -> str:
    kinds = typing.get_type_hints(row.request)
    items = parameters(row)
    placed = [place(each, kinds[each.name]) for each in items if each.positional]
    named = [place(each, kinds[each.name]) for each in items if not each.positional]
    given = ", ".join(["self", *placed, *(["*", *named] if named else [])])
    head = f"    def {row.verb}({given}) -> {row.response.__name__}:"
    return f'{head}\n        """{row.help}"""\n'


def kind_of(noun: str) -> str:
    return f"{noun.title().replace('.', '')}Methods"


def place_of(noun: str) -> str:
    return f"    {noun.rpartition('.')[2]}: {kind_of(noun)}\n"


def stub() -> str:
    nouns = dict.fromkeys(row.noun for row in OPERATIONS if row.noun)
    inner_first = sorted(nouns, key=lambda noun: -noun.count("."))
    kinds = {(row.response.__module__, row.response.__name__) for row in OPERATIONS}
    parts = [OPENING]
    parts += [f"from {module} import {name}\n" for module, name in sorted(kinds)]
    for noun in inner_first:
        what = noun.replace(".", " ")
        parts.append(f'class {kind_of(noun)}:\n    """What is done to {what}s."""\n')
        parts += [place_of(each) for each in nouns if each.rpartition(".")[0] == noun]
        parts += [method(row) for row in OPERATIONS if row.noun == noun]
    parts.append('class Methods:\n    """Every operation as a method, by noun."""\n')
    parts += [place_of(noun) for noun in nouns if "." not in noun]
    parts.append("    def __init__(self) -> None: ...\n")
    parts += [method(row) for row in OPERATIONS if not row.noun]
    return "\n".join([*parts, CALL, ""])


def shape_of(text: str) -> str:
    """What the text means, whatever its layout and the order of its imports."""
    tree = ast.parse(text)
    imports = {ast.unparse(each) for each in tree.body if _imports(each)}
    names = {name for each in imports for name in each.replace(",", "").split()}
    rest = [ast.dump(each) for each in tree.body if not _imports(each)]
    return "\n".join([*sorted(names), *rest])


def _imports(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom)


def write() -> None:
    STUB.write_text(stub())
    for told in (["check", "--fix", "--exit-zero", "-q"], ["format", "-q"]):
        subprocess.run([sys.executable, "-m", "ruff", *told, STUB], check=True)


def test_the_stub_of_the_methods_says_what_the_table_says():
    if os.environ.get("NESTMATE_WRITE_PAGES"):
        write()
    written = shape_of(STUB.read_text())
    assert written == shape_of(stub()), "NESTMATE_WRITE_PAGES=1 writes it anew"


def test_a_type_checker_finds_a_misspelt_field_and_knows_the_answer(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from nestmate.client import Client\n"
        "node = Client()\n"
        "node.signal.deposit('echo', urgncy=1)\n"
        "reveal_type(node.signal.deposit('echo', urgency=0.8, body=[1]).task)\n"
        "reveal_type(node.status().peers)\n"
    )
    said, _, _ = api.run([str(program), "--no-incremental", "--follow-imports=silent"])
    assert 'Unexpected keyword argument "urgncy"' in said
    assert 'Revealed type is "str"' in said.replace("builtins.", "")
    assert 'Revealed type is "int"' in said.replace("builtins.", "")
