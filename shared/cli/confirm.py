"""Shows what a command would do, and asks a person to agree first."""

from __future__ import annotations

import argparse
import sys

from shared.cli.output import show_facts, show_json, tell
from shared.cli.place import USAGE, Stopped, add_person
from shared.cli.plans import Plan
from shared.domain.messages import Request


def add_change(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that changes something."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--yes", action="store_true", help="do what is shown without being asked")
    how.add_argument("--dry-run", action="store_true", help="show what would be done, and change nothing")
    add_person(parser)


def agreed(chosen: argparse.Namespace, request: Request, plan: Plan, question: str) -> bool:
    """Show what would be done; return whether to do it."""
    if chosen.dry_run and chosen.json:
        show_json({"dry_run": True, "pipeline": request.pipeline, "action": request.action, **plan.shown})
    if not chosen.json:
        show_facts(request.pipeline, plan.facts)
    if chosen.dry_run:
        tell("dry run: nothing was changed")
        return False
    if chosen.yes or sure(chosen, question, "--yes to do it, or --dry-run to look only"):
        return True
    tell("nothing was changed")
    return False


def sure(chosen: argparse.Namespace, question: str, otherwise: str) -> bool:
    """Ask on the terminal; where there is none, stop and say which options to give."""
    if chosen.json or not sys.stdin.isatty():
        raise Stopped(f"nobody can be asked here; give {otherwise}", USAGE)
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False
