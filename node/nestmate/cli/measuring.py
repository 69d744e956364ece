"""Commands that measure: the seeded simulation and the benchmarks.

This file knows how to start them and print what they found.
"""

from typing import TYPE_CHECKING

import click

from nestmate.cli.output import show_json, show_lines
from nestmate.cli.patience import patience

if TYPE_CHECKING:
    from nestmate.cli.arguments import Arguments
    from nestmate_protocol.simulation.convergence import Tally
    from nestmate_protocol.simulation.report import Report


@click.command()
@click.option("--nodes", type=click.IntRange(2, 5_000), help="How many nodes.")
@click.option("--seed", type=int, default=1, help="Same seed, same story. [default: 1]")
@click.option("--loss", type=click.FloatRange(0, 0.9), help="Share of messages lost.")
@click.option("--scenario", default="swarm", help="Which story. [default: swarm]")
@click.option(
    "--histories",
    type=click.IntRange(1, 1_000_000),
    help="Judge spaces instead: so many histories with liars, from the seed on.",
)
@click.pass_obj
def simulate(
    arguments: "Arguments",
    *,
    nodes: int | None,
    seed: int,
    loss: float | None,
    scenario: str,
    histories: int | None,
) -> None:
    """Run the protocol in a seeded, faulty world and check every promise."""
    # loads the protocol
    from nestmate_protocol.simulation import EngineTwin, judge_many, run  # noqa: PLC0415

    report: Report | Tally
    with patience("Simulating…", quiet=arguments.json):
        if histories is None:
            report = run(scenario, nodes=nodes, seed=seed, loss=loss)
        else:
            report = judge_many(histories, seed, EngineTwin)
    if arguments.json:
        show_json(report.as_dict())
    else:
        show_lines(*report.lines())
    if not report.ok:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("name", required=False)
@click.option("--quick", is_flag=True, help="Small sizes, for a first look.")
@click.pass_obj
def bench(arguments: "Arguments", name: str | None, quick: bool) -> None:
    """Measure this machine: the raw limit beside ours, as ratios in one run."""
    from nestmate.bench import run_bench  # noqa: PLC0415 - loads everything

    run_bench(name, quick=quick, as_json=arguments.json)
