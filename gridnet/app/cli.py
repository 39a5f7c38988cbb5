"""The command line. Thin: it parses, calls, prints; errors become one message and an exit code, never a traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from gridnet.app.chain_options import add_chain
from gridnet.app.ledger_options import add_audit, add_ledger
from gridnet.errors import GridnetError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit code: 0 done, 1 not verified, 2 bad input, 3 no answer from the model,
    4 refused by the ledger, 5 not done by the chain, 130 interrupted."""
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
    _add_import(commands.add_parser("import", help="turn another project's published task into a scenario folder"))
    _add_train(commands.add_parser("train", help="train a policy with stable-baselines3"))
    _add_simulate(commands.add_parser("simulate", help="dispatch, meter, verify, settle and record a community's days"))
    _add_serve(commands.add_parser("serve", help="run the dispatch service on a live feeder"))
    _add_certificate(commands.add_parser("certificate", help="issue a client certificate of the service's authority"))
    _add_device(commands.add_parser("device", help="run a simulated battery inverter behind SunSpec registers, on loopback"))
    add_ledger(commands.add_parser("ledger", help="the credit ledger: found, status, export, replay, prove, report, review"))
    add_audit(commands.add_parser("audit", help="verify a proof, an export or a whole ledger, offline"))
    add_chain(commands.add_parser("chain", help="the public registry: deploy, anchor, claim, retire, status, reconcile"))
    return top


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("scenario", metavar="SCENARIO", nargs="?", help="a shipped name or a TOML file (rural1; with --fleet all)")
    bench.add_argument("--policies", default="no_battery,rule,mpc,rl,lp", help="names separated by commas (all)")
    bench.add_argument(
        "--weeks", help="seasons (one held-out week each), held-out (all), or numbers 0,1,.. (seasons; forecasts: held-out)"
    )
    bench.add_argument("--seeds", type=int, default=5, help="training seeds of the learned policy to average over (5)")
    bench.add_argument("--seed", type=int, default=0, help="seed of the bootstrap, and of the minutes of a finer truth (0)")
    bench.add_argument("--truth", metavar="MINUTES", type=int, default=15, help="step of physics and settlement: 15, 5 or 1 (15)")
    bench.add_argument("--json", metavar="FILE", help="write the figures as JSON; - prints them in place of the table")
    bench.add_argument("--dlmp", metavar="FILE", help="write the optimiser's prices by bus and step, .csv or .parquet")
    bench.add_argument("--report", metavar="DIR", help="write an HTML page with plots")
    instead = bench.add_mutually_exclusive_group()
    instead.add_argument("--speed", action="store_true", help="measure power flow, environment and learning speed instead")
    instead.add_argument(
        "--ledger", action="store_true", help="measure the credit ledger: settling, proofs, replay, export, instead"
    )
    instead.add_argument("--service", action="store_true", help="measure what the dispatch service costs per request, instead")
    instead.add_argument("--fraud", action="store_true", help="measure what verification finds of each kind of fraud, instead")
    instead.add_argument("--forecasts", action="store_true", help="compare the methods of forecasting load and PV instead")
    instead.add_argument(
        "--arbitrage", action="store_true", help="score price arbitrage by day, perfect prices and last week's, instead"
    )
    instead.add_argument(
        "--forecast-errors", metavar="N,N,..", help="compare policies on forecasts that are wrong by N %% of the mean, 24 h ahead"
    )
    instead.add_argument("--fleet", metavar="N", type=int, help="judge policies over N feeders, seeded variants, instead")
    instead.add_argument("--engines", action="store_true", help="measure what more workers and Ray gain and cost, instead")
    instead.add_argument("--capacity", action="store_true", help="measure what the service carries on PostgreSQL, instead")
    bench.add_argument("--db", metavar="URL", help="of a PostgreSQL where --capacity may make and drop databases")
    bench.add_argument("--seconds", type=float, default=300.0, help="for how long --capacity reports readings (300)")
    bench.add_argument(
        "--entries", type=int, default=1_000_000, help="certificates of the ledger that --ledger measures (1,000,000)"
    )
    _add_engine(bench, "1, which is the command's own")
    bench.set_defaults(command=_bench)


def _add_import(imported: argparse.ArgumentParser) -> None:
    imported.add_argument("source", metavar="SOURCE", choices=["rl-adn"], help="whose task: rl-adn")
    imported.add_argument("file", metavar="FILE", help="the file that holds it: the wheel RL_ADN-0.1.3-py3-none-any.whl")
    imported.add_argument("folder", metavar="DIR", help="a new or an empty folder for the scenario")
    imported.set_defaults(command=_import)


def _add_simulate(simulate: argparse.ArgumentParser) -> None:
    simulate.add_argument("scenario", metavar="SCENARIO", nargs="+", help="a shipped name or a TOML file; or several")
    simulate.add_argument("--policy", default="rl", help="who dispatches; or several names, separated by commas (rl)")
    simulate.add_argument("--days", type=int, default=7, help="days to simulate (7)")
    simulate.add_argument("--first-day", type=int, default=0, help="day of the series to begin with (0)")
    simulate.add_argument(
        "--db",
        metavar="URL",
        required=True,
        help="the ledger: sqlite:///FILE or postgresql://USER@HOST/NAME; {scenario} and {policy} stand for each of several",
    )
    simulate.add_argument("--seal", metavar="DIR", help="folder of the log's key and guard, {scenario} as in --db (SCENARIO-seal)")
    simulate.add_argument(
        "--rule", default="mid_market", help="price inside the community: mid_market, supply_demand or dlmp (mid_market)"
    )
    simulate.add_argument("--programme", default="community", help="reward programme: a shipped name or a TOML file (community)")
    simulate.add_argument("--tamper", metavar="MODEL:SIZE:METER", action="append", default=[], help="a fraud; repeatable")
    simulate.add_argument("--seed", type=int, default=0, help="of meters, keys and pseudonyms (0)")
    _add_engine(simulate, "1, which is the command's own")
    simulate.set_defaults(command=_simulate)


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--folder", metavar="DIR", default="gridnet-service", help="what the service keeps (gridnet-service)")
    serve.add_argument("--db", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME (a file in DIR)")
    serve.add_argument("--host", default="127.0.0.1", help="address to serve on (127.0.0.1)")
    serve.add_argument("--port", type=int, default=8443, help="port to serve on (8443)")
    serve.add_argument("--tls", metavar="DIR", help="ca.pem, server.pem and server.key (made for development in DIR/tls)")
    serve.add_argument("--config", metavar="FILE", help="settings, TOML; GRIDNET_SERVE_.. in the environment count more")
    serve.add_argument("--policy", help="who decides first: rl, mpc or rule (rl)")
    serve.add_argument("--log-level", default="info", help="debug, info, warning or error (info)")
    serve.set_defaults(command=_serve)


def _add_certificate(certificate: argparse.ArgumentParser) -> None:
    certificate.add_argument("name", metavar="NAME", help="of the client")
    certificate.add_argument("--folder", metavar="DIR", default="gridnet-service", help="of the service (gridnet-service)")
    certificate.add_argument("--tls", metavar="DIR", help="the authority's folder (DIR/tls)")
    certificate.add_argument("--out", metavar="DIR", default=".", help="where to write NAME.pem and NAME.key (.)")
    certificate.set_defaults(command=_certificate)


def _add_device(device: argparse.ArgumentParser) -> None:
    device.add_argument("--id", required=True, metavar="NAME", help="of the device")
    device.add_argument("--server", metavar="URL", help="the service that it follows (none: what its registers are told)")
    device.add_argument("--ca", metavar="FILE", help="certificate of the service's authority")
    device.add_argument("--cert", metavar="FILE", help="the device's certificate")
    device.add_argument("--key", metavar="FILE", help="the certificate's key")
    device.add_argument("--meter", metavar="NAME", help="its sub-meter on the live feeder, as bat-00 (none: no signed readings)")
    device.add_argument("--folder", metavar="DIR", help="what the device remembers, and its meter's key (NAME)")
    device.add_argument("--modbus-port", type=int, default=8502, help="port of the registers, 0 for any (8502)")
    device.add_argument("--scenario", metavar="SCENARIO", help="the live feeder: the battery is the one behind its --meter")
    device.add_argument("--power-kw", type=float, help="power, both ways (5)")
    device.add_argument("--energy-kwh", type=float, help="capacity (10)")
    device.add_argument("--soc", type=float, default=0.5, help="charge of a new device, 0 to 1 (0.5)")
    device.add_argument("--report-s", type=float, default=60.0, help="seconds between two reports (60)")
    device.set_defaults(command=_device)


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("scenarios", metavar="SCENARIO", nargs="+", help="feeders to train on, by name")
    train.add_argument("--algo", metavar="NAME", default="ppo", help="algorithm: ppo, a2c or td3 (ppo)")
    train.add_argument("--steps", type=int, help="environment steps, all feeders together (the recipe's default)")
    train.add_argument("--seed", type=int, default=0, help="training seed, the first of several (0)")
    train.add_argument("--seeds", type=int, default=1, help="number of seeds to train from, each into DIR/seed<k> (1)")
    train.add_argument(
        "--sweep", metavar="KEY=V,V,..", action="append", default=[], help="a run for each value of a recipe's knob; repeatable"
    )
    _add_engine(train, "as many as cores")
    train.add_argument("--resume", action="store_true", help="go on with what a killed run left in DIR")
    train.add_argument("--out", metavar="DIR", help="folder of the run (runs/ALGO)")
    train.set_defaults(command=_train)


def _add_engine(command: argparse.ArgumentParser, workers: str) -> None:
    command.add_argument("--engine", metavar="NAME", default="local", help="where it runs: local or ray (local)")
    command.add_argument("--address", help="the Ray cluster to use: HOST:PORT, or auto (with --engine ray: one started here)")
    command.add_argument("--workers", type=int, help=f"processes on this machine ({workers})")


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


_INSTEAD = ("fleet", "engines", "speed", "ledger", "fraud", "service", "capacity", "forecasts")
"""What `gridnet bench` measures in place of policies: options, each with a module of `gridnet.app.bench` named after it."""


def _bench(arguments: argparse.Namespace) -> None:
    if arguments.weeks is None:
        arguments.weeks = "held-out" if arguments.forecasts else "seasons"
    if arguments.scenario is None and arguments.fleet is None:
        arguments.scenario = "rural1"
    measured = next((name for name in _INSTEAD if getattr(arguments, name) not in (None, False)), None)
    if measured is not None:
        getattr(import_module(f"gridnet.app.bench.{measured}"), f"bench_{measured}")(arguments, _say)
    elif arguments.forecast_errors is not None:
        from gridnet.app.bench.error_sweep import bench_errors

        bench_errors(arguments, _say)
    elif arguments.arbitrage:
        from gridnet.app.bench.arbitrage import bench_arbitrage

        bench_arbitrage(arguments)
    else:
        from gridnet.app.bench.command import bench

        bench(arguments, _say)


def _import(arguments: argparse.Namespace) -> None:
    from gridnet.app.rl_adn import import_rl_adn

    for path in import_rl_adn(Path(arguments.file), arguments.folder):
        print(path)


def _simulate(arguments: argparse.Namespace) -> None:
    from gridnet.app.simulation import simulate

    simulate(arguments, _say)


def _serve(arguments: argparse.Namespace) -> None:
    from gridnet.app.serve import serve

    serve(arguments, _say)


def _certificate(arguments: argparse.Namespace) -> None:
    from gridnet.app.serve import issue

    issue(arguments, _say)


def _device(arguments: argparse.Namespace) -> None:
    from gridnet.app.device.command import device

    device(arguments, _say)


def _train(arguments: argparse.Namespace) -> None:
    from gridnet.app.training import Order, run_training

    fields = {key: value for key, value in vars(arguments).items() if key != "command"}
    if arguments.out is None:
        fields["out"] = f"runs/{arguments.algo}"
    try:
        run_training(Order(**fields), _say)
    except KeyboardInterrupt:
        _say("gridnet: the checkpoint of each run stays; the same command with --resume goes on from there")
        raise


if __name__ == "__main__":
    sys.exit(main())
