"""``nestmate work``: takes tasks of one skill or several and runs a command on each.

Reads what the user wants, lets as many slots work as there are to be, and ends them
together. This file knows nothing of how a task is done.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import click

from nestmate.cli.arguments import Arguments
from nestmate.cli.bell import Bell
from nestmate.cli.homes import home_of
from nestmate.cli.job import GRACE_SECONDS, check_command
from nestmate.cli.output import teller
from nestmate.cli.reserve import Reserve
from nestmate.cli.shift import Shift, Trade
from nestmate.cli.slots import Slot
from nestmate.errors import UsageError
from nestmate.operations.claims import SETUP_SECONDS_MAX
from nestmate.operations.forms import read_ability, seconds

SLOTS_MAX: Final = 32


@click.command()
@click.argument("skill")
@click.option("--count", type=click.IntRange(1), help="End after this many tasks.")
@click.option("--once", is_flag=True, help="End after one task.")
@click.option(
    "--slots",
    type=click.IntRange(1, SLOTS_MAX),
    default=1,
    help="How many tasks to do at a time. [default: 1]",
)
@click.option(
    "--also",
    multiple=True,
    metavar="NAME[=SPEED]",
    help="A further skill to do with the same command.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0),
    default=0.0,
    help="How fast at SKILL, 1 for average; left out, as receipts have shown.",
)
@click.option(
    "--setup",
    default="0",
    metavar="DURATION",
    help="What changing to another skill takes a slot: seconds, or 90s, 5m.",
)
@click.option("--preempt", is_flag=True, help="Put a slow task down for a flash one.")
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=GRACE_SECONDS,
    help="Seconds a command has to end well when it must stop. "
    f"[default: {GRACE_SECONDS:g}]",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_obj
def work(arguments: Arguments, /, command: tuple[str, ...], **options: Any) -> None:
    """Do tasks of SKILL by running COMMAND on each, until interrupted.

    Write `--` before COMMAND. It finds the task's body on standard input, or without
    one the results the task takes, and NESTMATE_TASK, NESTMATE_GENERATION (the fence),
    NESTMATE_SKILL, NESTMATE_ISSUER, NESTMATE_SLOT, NESTMATE_PARTIAL (a file for partial
    results), NESTMATE_INPUTS (a file of the results the task takes) and NESTMATE_HOME
    in its environment. Its output is the result, or, if it says nothing and has split
    the task, what the parts come to. If it fails, the task opens again for others. If
    the task is lost, or the worker stopped, it is ended with all it started.
    """
    if not arguments.divided:
        raise UsageError(
            "Nothing says where your command begins.",
            f"Write `--` before it: nestmate work {options['skill']} -- "
            f"{' '.join(command)}",
        )
    check_command(command)
    trade = Trade(
        home_of(arguments),
        (options["skill"], *(read_ability(text)[0] for text in options["also"])),
        command,
        also=options["also"],
        speed=options["speed"],
        setup_seconds=seconds(options["setup"], "setup", 0, SETUP_SECONDS_MAX),
        grace_seconds=options["grace"],
        slots=options["slots"],
    )
    left = 1 if options["once"] else options["count"]
    shift = Shift(trade, teller(as_json=arguments.json), left)
    _Worker(shift, options["preempt"]).run()


class _Worker:
    """All slots of one worker, begun and ended together."""

    def __init__(self, shift: Shift, preempt: bool) -> None:
        self._shift = shift
        self._bell = Bell()
        self._slots = [Slot(shift, n + 1) for n in range(shift.trade.slots)]
        self._reserve = Reserve(shift, self._slots) if preempt else None

    def run(self) -> None:
        """Work until a signal comes, enough is done, or something breaks."""
        shift, reserve = self._shift, self._reserve
        self._bell.listen()
        self._offer()
        shift.ears.open()
        with ThreadPoolExecutor(len(self._slots) + 1) as threads:
            ends = [threads.submit(slot.run) for slot in self._slots]
            if reserve is not None:
                shift.changed = reserve.look
                ends.append(threads.submit(reserve.run))
            for end in ends:
                end.add_done_callback(lambda _: self._bell.knock())
            rung = self._await(ends)
            self._stop()
        for end in ends:
            end.result()
        if rung:
            shift.tell(what="stopped", skill=", ".join(shift.trade.skills))

    def _offer(self) -> None:
        """Make sure the node offers the skills."""
        shift = self._shift
        offered = {each["name"] for each in shift.ask("skill.ls", {})["skills"]}
        for name in shift.trade.skills:
            if name not in offered:
                shift.ask("skill.add", {"name": name})
        shift.tell(what="waiting", skill=", ".join(shift.trade.skills))

    def _await(self, ends: list[Future[None]]) -> bool:
        """Until all slots have ended; whether a signal asked for it.

        A second signal ends what is still going on without waiting for it.
        """
        rung = False
        while not all(end.done() for end in ends[: len(self._slots)]):
            if self._bell.wait():
                if rung:
                    self._shift.hurry()
                rung = True
                self._stop()
            elif any(end.done() and end.exception() for end in ends):
                self._stop()
        return rung

    def _stop(self) -> None:
        self._shift.stopping.set()
        for slot in self._slots:
            slot.stop()
        self._shift.changed()
