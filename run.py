"""The one command to remember. Standard library only; everything else is installed on first use.

python3 run.py demo     the whole product on this machine, live, in a minute
python3 run.py test     every test
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 (an older Python must get a clear line)
    sys.exit(f"Relearn needs Python 3.11 or later; this is {sys.version.split()[0]}. Install it and run again.")

from local import setup
from local.children import running
from local.commands import APP, OWN, REFERENCE, parser_of
from local.setup.lock import lock

ROOT = Path(__file__).resolve().parent
SETTINGS = ROOT / ".relearn" / "local.settings.json"  #: what `up` made


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Relearn on this machine.",
        epilog=f"Commands of the app, with the settings of `up`: {', '.join(APP)}. "
        "Each command has --help, which installs nothing.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in OWN.items():
        commands.add_parser(name, help=summary, add_help=False)
    for name in APP:
        commands.add_parser(name, add_help=False)
    chosen, rest = parser.parse_known_args(arguments[:1]) if arguments[:1] else (parser.parse_args(arguments), [])
    # A script that starts it in the background has SIGINT ignored, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run(chosen.command, [*rest, *arguments[1:]])
    except setup.Missing as missing:
        print(f"run.py: {missing}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run(command: str, rest: Sequence[str]) -> int:
    if command in ("app", "new", "studio", "aml", *APP):
        return _pass_on(command, rest)
    if command == "test":
        return _test(rest)
    options = parser_of(command).parse_args(rest)
    if command == "clean":
        setup.clean(ROOT)
        return 0
    if command == "lock":
        lock(ROOT, options.package, options.upgrade)
        return 0
    if command == "check":
        return _check()
    if command == "mutations":
        return _call(setup.for_tests(ROOT), ["tests.support.mutations"])
    if command == "bench":
        return _call(setup.for_bench(ROOT, options.subject in (None, "studio", "endpoints")), ["local.bench", *rest])
    if command in ("addresses", "azure-settings", "drop", "predeploy", "sample"):
        module = "local." + command.replace("-", "_")
        return _call(setup.for_commands(ROOT), [module, *rest], cwd=Path.cwd())
    return _call(setup.for_running(ROOT), [f"local.{command}", *rest])


def _test(rest: Sequence[str]) -> int:
    if {"-h", "--help"} & set(rest):
        parser_of("test").print_help()
        return 0
    # A file's tests share a Studio, so they stay together. A worker waits for half of its time, so there are two more
    # workers than processors.
    spread = ["-n", str(2 + (os.cpu_count() or 2)), "--dist", "loadfile", "--no-loadscope-reorder"]
    return _call(setup.for_tests(ROOT), ["pytest", *spread, *rest])


def _check() -> int:
    ready = setup.for_checks(ROOT)
    steps = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["local.audit"], ["local.judges"])
    return max(_call(ready, step) for step in steps)


def _pass_on(command: str, rest: Sequence[str]) -> int:
    """Run a command of the app or a local service where the caller is, with the settings of `up` if there are some."""
    module = {"new": "local.new", "studio": "studio", "aml": "aml"}.get(command, "shared")
    arguments = [command, *rest] if command in APP else [*rest]
    if {"-h", "--help"} & set(rest) and not setup.has_commands(ROOT):
        words = [word for word in arguments if not word.startswith("-")]
        text = _written_help("run.py new" if command == "new" else " ".join(["python -m", module, *words]))
        if text:
            print(text)
            return 0
    if command == "new":
        return _call(setup.for_running(ROOT), [module, *arguments], cwd=Path.cwd())
    return _call(setup.for_commands(ROOT), [module, *arguments], cwd=Path.cwd(), settings=_settings())


def _written_help(command: str) -> str:
    """Return the help of a command as the reference has it: the command itself needs what is not installed yet."""
    reference = (ROOT / REFERENCE).read_text("utf-8")
    found = re.search(rf"^### `{re.escape(command)}`\n\n```\n(.*?)^```", reference, re.MULTILINE | re.DOTALL)
    return found[1].rstrip() if found else ""


def _settings() -> Mapping[str, str]:
    """Return the settings that `up` wrote, unless the environment names its own store."""
    if any(name.split("__")[0] == "RETRAINING_STORE" for name in os.environ) or not SETTINGS.exists():
        return {}
    from shared.base.errors import BadConfiguration
    from shared.base.settings import read_settings

    try:
        return read_settings(SETTINGS)
    except BadConfiguration as error:
        sys.exit(f"run.py: {error}")


def _call(
    ready: setup.Ready, module: Sequence[str], cwd: Path = ROOT, settings: Mapping[str, str] | None = None
) -> int:
    """Run a module as a child that shares the terminal. A signal to end goes on to it; it cleans up before we go on."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**ready.settings, **(settings or {}), "PYTHONPATH": paths}
    with running([str(ready.python), "-m", "local.lifeline", *module], environment, cwd=cwd) as process:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, _: process.send_signal(number))
        status = process.wait()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
