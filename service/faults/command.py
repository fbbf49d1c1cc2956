"""`fault`: order faults of the running server, through its control."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import requests

from service.commands import Failed, Stopped
from service.faults.orders import Faults
from service.listening import running
from service.output import add_json, show


def add(commands: Any, known: type[Faults], add_data: Callable[[argparse.ArgumentParser], None], start: str) -> None:
    """Add the command. `start` says how a server with a control is started."""
    fault = commands.add_parser("fault", help="order faults of a server that was started with --control")
    fault.set_defaults(faults=known, start=start)
    actions = fault.add_subparsers(required=True, metavar="ACTION")
    kinds = actions.add_parser("kinds", help="show what there is to order")
    add_json(kinds)
    kinds.set_defaults(run=_kinds)
    added = actions.add_parser("add", help="order a fault")
    added.add_argument("kind", metavar="KIND", help="one of `fault kinds`; lost-answer is `lost answer`")
    for name, (form, meaning) in known.MEMBERS.items():
        added.add_argument(f"--{name}", type=form, help=meaning)
    _add_control(added, add_data)
    added.set_defaults(run=_add)
    listed = actions.add_parser("list", help="show the orders, and how often each struck")
    _add_control(listed, add_data)
    listed.set_defaults(run=_list)
    lifted = actions.add_parser("lift", help="lift an order, or all")
    lifted.add_argument("id", metavar="ID", nargs="?", help="one of `fault list`; all without it")
    _add_control(lifted, add_data)
    lifted.set_defaults(run=_lift)


def _add_control(parser: argparse.ArgumentParser, add_data: Callable[[argparse.ArgumentParser], None]) -> None:
    add_data(parser)
    add_json(parser)
    parser.add_argument("--control", help="the control's address, where it is not found by the data folder")


def _kinds(chosen: argparse.Namespace) -> int:
    of_calls, known = chosen.faults.OF_CALLS, chosen.faults.KINDS.items()
    kinds = [{"kind": kind, "any call": kind in of_calls, "told": effect} for kind, effect in known]
    rows = [(kind, "any call" if kind in of_calls else "", effect) for kind, effect in known]
    show(chosen.json, kinds, ["kind", "strikes", "what happens"], rows)
    return 0


def _add(chosen: argparse.Namespace) -> int:
    kind = chosen.kind if chosen.kind in chosen.faults.KINDS else chosen.kind.replace("-", " ")
    given = {name: getattr(chosen, name) for name in chosen.faults.MEMBERS if getattr(chosen, name) is not None}
    return _show(chosen, [_called(chosen, "POST", json={"kind": kind, **given})])


def _list(chosen: argparse.Namespace) -> int:
    return _show(chosen, _called(chosen, "GET"))


def _lift(chosen: argparse.Namespace) -> int:
    lifted = _called(chosen, "DELETE", f"/{chosen.id}" if chosen.id else "")
    if chosen.id and not lifted["lifted"]:
        raise Failed(f"the order {chosen.id!r} does not exist; `fault list` shows the orders")
    show(chosen.json, lifted, ["lifted"], [(str(lifted["lifted"]),)])
    return 0


def _show(chosen: argparse.Namespace, orders: list[dict[str, Any]]) -> int:
    known = ("id", "kind", "struck")
    limits = [", ".join(f"{name} {value}" for name, value in order.items() if name not in known) for order in orders]
    rows = [
        (order["id"], order["kind"], str(order.get("struck", 0)), limit)
        for order, limit in zip(orders, limits, strict=True)
    ]
    show(chosen.json, orders, [*known, "limits"], rows, none="no fault is ordered")
    return 0


def _called(chosen: argparse.Namespace, method: str, path: str = "", **options: Any) -> Any:
    control = chosen.control or running(chosen.data, "control")
    if not control:
        raise Stopped(f"no running server over {chosen.data} takes orders for faults; start one: {chosen.start}")
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, f"{control}/faults{path}", timeout=60, **options)
            body = answer.json()
    except (requests.RequestException, ValueError):
        raise Stopped(f"nothing answers as a control at {control}") from None
    if not answer.ok:
        raise Failed("; ".join(each["message"] for each in body["error"]["details"]))
    return body
