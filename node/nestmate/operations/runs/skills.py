"""Carries out the operations on skills."""

from typing import Any

from nestmate.operations.fields import Done
from nestmate.operations.forms import full_addrs, plain, seconds, to_bytes
from nestmate.operations.perform import Caller, Node
from nestmate.operations.runs.asking import (
    WAIT_SECONDS_MAX,
    answer,
    show_schema,
    show_skill,
)
from nestmate.operations.skills import (
    SkillAdd,
    SkillFind,
    SkillList,
    SkillRemove,
    SkillResult,
    SkillResults,
    Skills,
)
from nestmate_protocol.directory import requests as core
from nestmate_protocol.limits import SCHEMA_BYTES_MAX


async def ls(node: Node, _request: SkillList, _caller: Caller) -> Skills:
    """What this agent offers."""
    views = await answer(node, core.ListSkills(), core.SkillViews)
    return Skills(skills=[show_skill(skill) for skill in views.skills])


async def add(node: Node, request: SkillAdd, _caller: Caller) -> Done:
    """Offer a skill."""
    offer = core.SkillOffer(
        name=request.name,
        description=request.description,
        input_schema=_schema(request.input_schema, "input_schema"),
        output_schema=_schema(request.output_schema, "output_schema"),
        price=request.price,
    )
    await node.ask(core.AddSkill(offer))
    return Done()


async def rm(node: Node, request: SkillRemove, _caller: Caller) -> Done:
    """Offer a skill no longer."""
    await node.ask(core.RemoveSkill(request.name))
    return Done()


async def find(node: Node, request: SkillFind, _caller: Caller) -> SkillResults:
    """Who offers a skill."""
    wait = seconds(request.timeout, "timeout", 0, WAIT_SECONDS_MAX)
    wish = core.FindSkill(request.name, request.limit, wait)
    found = await answer(node, wish, core.SkillResults)
    return SkillResults(results=[_show(result) for result in found.results])


def _schema(schema: dict[str, Any] | bool | None, field: str) -> str:
    return to_bytes(schema, field, SCHEMA_BYTES_MAX).decode()


def _show(result: core.SkillResult) -> SkillResult:
    skill = result.skill
    return SkillResult(
        address=result.address.text,
        short=result.address.short,
        name=result.name,
        skill=plain(skill.name),
        description=plain(skill.description),
        input_schema=show_schema(skill.input_schema),
        output_schema=show_schema(skill.output_schema),
        price=plain(skill.price),
        connected=result.connected,
        addrs=full_addrs(result.multiaddrs, None),
    )
