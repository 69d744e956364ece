"""Commands that measure: the seeded simulation and the benchmarks.

This file knows how to start them and print what they found.
"""

from typing import TYPE_CHECKING

import click

from nestmate.cli.output import show_json, show_lines
from nestmate.cli.patience import patience

if TYPE_CHECKING:
    from nestmate.cli.arguments import Arguments


@click.command()
@click.option("--nodes", type=click.IntRange(2, 5_000), help="How many nodes.")
@click.option("--seed", type=int, default=1, help="Same seed, same story. [default: 1]")
@click.option("--loss", type=click.FloatRange(0, 0.9), help="Share of messages lost.")
@click.option("--scenario", default="swarm", help="Which story. [default: swarm]")
@click.pass_obj
def simulate(
    arguments: "Arguments",
    nodes: int | None,
    seed: int,
    loss: float | None,
    scenario: str,
) -> None:
    """Run the protocol in a seeded, faulty world and check every promise."""
    from nestmate_protocol.simulation import run  # noqa: PLC0415 - loads the protocol

    with patience("Simulating…", quiet=arguments.json):
        report = run(scenario, nodes=nodes, seed=seed, loss=loss)
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
