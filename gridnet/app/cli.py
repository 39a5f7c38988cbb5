"""The command line. Thin: it parses, calls, prints; errors become one message and an exit code, never a traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from gridnet.errors import GridnetError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit code: 0 done, 2 bad input, 3 no answer from the model, 130 interrupted."""
    arguments = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
    except GridnetError as error:
        print(f"gridnet: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("gridnet: interrupted; nothing half done was kept", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Every command and option there is."""
    top = argparse.ArgumentParser(prog="gridnet", description="Runs a neighbourhood's batteries and solar as one network.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("scenarios", help="list the scenarios that ship")
    listing.set_defaults(command=_scenarios)
    one = commands.add_parser("scenario", help="describe one scenario")
    one.add_argument("scenario", metavar="SCENARIO", help="a shipped name or a TOML file")
    one.set_defaults(command=_scenario)
    _add_bench(commands.add_parser("bench", help="compare policies on held-out weeks, or measure speed or forecasts"))
    _add_train(commands.add_parser("train", help="train a policy with stable-baselines3"))
    return top


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("scenario", metavar="SCENARIO", nargs="?", default="rural1", help="a shipped name or a TOML file (rural1)")
    bench.add_argument("--policies", default="no_battery,rule,mpc,rl,lp", help="names separated by commas (all)")
    bench.add_argument(
        "--weeks", help="seasons (one held-out week each), held-out (all), or numbers 0,1,.. (seasons; forecasts: held-out)"
    )
    bench.add_argument("--seeds", type=int, default=5, help="training seeds of the learned policy to average over (5)")
    bench.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (0)")
    bench.add_argument("--json", metavar="FILE", help="write the figures as JSON; - prints them in place of the table")
    bench.add_argument("--dlmp", metavar="FILE", help="write the optimiser's prices by bus and step, .csv or .parquet")
    bench.add_argument("--report", metavar="DIR", help="write an HTML page with plots")
    instead = bench.add_mutually_exclusive_group()
    instead.add_argument("--speed", action="store_true", help="measure power flow, environment and learning speed instead")
    instead.add_argument("--forecasts", action="store_true", help="compare the methods of forecasting load and PV instead")
    bench.set_defaults(command=_bench)


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("scenarios", metavar="SCENARIO", nargs="+", help="feeders to train on, by name")
    train.add_argument("--algo", default="ppo", choices=["ppo"], help="algorithm (ppo)")
    train.add_argument("--steps", type=int, help="environment steps, all feeders together (the recipe's default)")
    train.add_argument("--seed", type=int, default=0, help="training seed (0)")
    train.add_argument("--out", metavar="DIR", default="runs/ppo", help="folder for weights, card and curve (runs/ppo)")
    train.set_defaults(command=_train)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _scenarios(arguments: argparse.Namespace) -> None:
    from gridnet.scenario import load_scenario, shipped_scenarios

    for name in shipped_scenarios():
        print(f"{name:10} {load_scenario(name).title}")


def _scenario(arguments: argparse.Namespace) -> None:
    from gridnet.app.describe import describe
    from gridnet.case import load_case

    print(describe(load_case(arguments.scenario)))


def _bench(arguments: argparse.Namespace) -> None:
    if arguments.weeks is None:
        arguments.weeks = "held-out" if arguments.forecasts else "seasons"
    if arguments.speed:
        from gridnet.app.bench.speed import bench_speed

        bench_speed(arguments, _say)
    elif arguments.forecasts:
        from gridnet.app.bench.forecasts import bench_forecasts

        bench_forecasts(arguments, _say)
    else:
        from gridnet.app.bench.command import bench

        bench(arguments, _say)


def _train(arguments: argparse.Namespace) -> None:
    from gridnet.app.training import run_training

    run_training(arguments.scenarios, arguments.steps, arguments.seed, arguments.out, _say)


if __name__ == "__main__":
    sys.exit(main())
