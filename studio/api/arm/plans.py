"""Commitment plans and what is associated with them: a New web service names the plan it is charged to.

Nothing is charged here. What a plan of each kind includes is what its price list said.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from service.keys import new_id
from studio.api.arm import scope
from studio.api.arm.listing import page
from studio.api.context import Call, Context
from studio.definitions.definition import Member, stamp
from studio.errors import StudioError, bad_argument
from studio.publishing import LOCATION
from studio.state.records import CommitmentPlan, WebService, now

_VERSION = "2016-05-01-preview"
_TYPE = f"{scope.PROVIDER}/commitmentPlans"
_ASSOCIATIONS_AT_MOST = 10_000
_CAPACITY = range(1, 11)
#: compute hours and transactions that come with a plan, for each unit of its capacity
_INCLUDED = {"DevTest": (2, 1_000), "S1": (25, 100_000), "S2": (500, 2_000_000), "S3": (12_500, 50_000_000)}


class _Sku(Member):
    name: str | None = None
    tier: str | None = None
    capacity: int | None = None


class _Whole(Member):
    location: str
    tags: dict[str, str] | None = None
    sku: _Sku | None = None


class _Patch(Member):
    tags: dict[str, str] | None = None
    sku: _Sku | None = None


class _Move(Member):
    destination_plan_id: str


def replace(context: Context, call: Call) -> Response:
    """Make the plan or replace it, at once: recorded traffic has 200 for either."""
    scope.enter(context, call, _VERSION)
    scope.check_name(call)
    body, arm_id = scope.read_body(call, _Whole), scope.resource_id(call, "commitmentPlans")
    with scope.alone(arm_id):
        plan = context.studio.records.find(CommitmentPlan, arm_id.lower())
        if plan:
            scope.check_location(plan.location, body.location)
        else:
            plan = CommitmentPlan(
                id=arm_id.lower(),
                parent=context.studio.identity.subscription,
                name=call.names["name"],
                arm_id=arm_id,
                created=now(),
                location=body.location,
                sku="S1",
                capacity=_CAPACITY[0],
                etag="",
            )
        return _written(context, plan, body.sku, body.tags or {})


def patch(context: Context, call: Call) -> Response:
    plan = _plan(context, call)
    body = scope.read_changes(call, _Patch)
    with scope.alone(plan.id):
        plan = _plan(context, call)
        return _written(context, plan, body.sku, plan.tags if body.tags is None else body.tags)


def read(context: Context, call: Call) -> Response:
    return scope.answer(_shown(_plan(context, call)))


def delete(context: Context, call: Call) -> Response:
    """Delete the plan, unless web services are associated with it."""
    plan = _plan(context, call)
    if associated := _associated(context, plan):
        message = f"The plan has {len(associated)} associations; move them to another plan first."
        raise StudioError("Conflict", "CommitmentPlanHasAssociations", message, plan.name)
    context.studio.records.delete(plan)
    return scope.answer()


def list_plans(context: Context, call: Call) -> Response:
    scope.enter(context, call, _VERSION)
    plans, link = page(context, call, CommitmentPlan, "commitmentPlans")
    return scope.answer({"value": [_shown(plan) for plan in plans], **link})


def list_associations(context: Context, call: Call) -> Response:
    plan = _plan(context, call)
    return scope.answer({"value": [_association(plan, service) for service in _associated(context, plan)]})


def read_association(context: Context, call: Call) -> Response:
    plan = _plan(context, call)
    return scope.answer(_association(plan, _named(context, call, plan)))


def move(context: Context, call: Call) -> Response:
    """Associate the web service with another plan of the same region."""
    plan = _plan(context, call)
    destination = scope.read_body(call, _Move).destination_plan_id
    other = context.studio.records.find(CommitmentPlan, destination.lower())
    if other is None:
        message = f"The commitment plan {destination!r} does not exist; create it first."
        raise StudioError("BadRequest", "CommitmentPlanNotFound", message, "destinationPlanId")
    scope.check_location(plan.location, other.location)
    with scope.alone(_named(context, call, plan).id):
        service = msgspec.structs.replace(_named(context, call, plan), plan=other.id)
        context.studio.records.put(service)
    return scope.answer(_association(other, service))


def usage_history(context: Context, call: Call) -> Response:
    """Answer no usage: nothing is charged."""
    _plan(context, call)
    return scope.answer({"value": []})


def list_skus(context: Context, call: Call) -> Response:
    scope.enter(context, call, _VERSION)
    capacity = {
        "minimum": _CAPACITY[0],
        "maximum": _CAPACITY[-1],
        "default": _CAPACITY[0],
        "scaleType": "Manual",
    }
    value = [
        {
            "resourceType": "commitmentPlans",
            "name": name,
            "tier": _tier(name),
            "locations": [LOCATION],
            "capacity": capacity,
            "capabilities": [{"name": kind, "value": str(amount)} for kind, amount in _quantities(name, 1).items()],
            "costs": [],
            "restrictions": [],
        }
        for name in _INCLUDED
    ]
    return scope.answer({"value": value})


_PLACE = f"{scope.GROUP}/commitmentPlans/{{name}}"
_ASSOCIATION = f"{_PLACE}/commitmentAssociations/{{association}}"
ADDRESSES = [
    ("arm.skus", "GET", f"{scope.SUBSCRIPTION}/skus", list_skus),
    ("arm.plans", "GET", f"{scope.SUBSCRIPTION}/commitmentPlans", list_plans),
    ("arm.plans", "GET", f"{scope.GROUP}/commitmentPlans", list_plans),
    ("arm.plan", "GET", _PLACE, read),
    ("arm.plan", "PUT", _PLACE, replace),
    ("arm.plan", "PATCH", _PLACE, patch),
    ("arm.plan", "DELETE", _PLACE, delete),
    ("arm.plan", "GET", f"{_PLACE}/usageHistory", usage_history),
    ("arm.associations", "GET", f"{_PLACE}/commitmentAssociations", list_associations),
    ("arm.associations", "GET", _ASSOCIATION, read_association),
    ("arm.associations", "POST", f"{_ASSOCIATION}/move", move),
]


def _plan(context: Context, call: Call) -> CommitmentPlan:
    scope.enter(context, call, _VERSION)
    plan = context.studio.records.find(CommitmentPlan, scope.resource_id(call, "commitmentPlans").lower())
    if plan is None:
        raise scope.not_found("CommitmentPlanNotFound", f"No commitment plan has the name {call.names['name']}.")
    return plan


def _written(context: Context, plan: CommitmentPlan, sku: _Sku | None, tags: dict[str, str]) -> Response:
    name = (sku and sku.name) or plan.sku
    capacity = sku.capacity if sku and sku.capacity is not None else plan.capacity
    if name not in _INCLUDED:
        raise bad_argument("BadParameterValue", f"sku.name must be one of {', '.join(_INCLUDED)}, not {name!r}.", "sku")
    if capacity not in _CAPACITY:
        message = f"sku.capacity must be {_CAPACITY[0]} to {_CAPACITY[-1]}, not {capacity}."
        raise bad_argument("BadParameterValue", message, "sku")
    plan = msgspec.structs.replace(plan, sku=name, capacity=capacity, tags=tags, etag=f'"{new_id()}"')
    context.studio.records.put(plan)
    return scope.answer(_shown(plan))


def _shown(plan: CommitmentPlan) -> dict[str, Any]:
    return {
        "id": plan.arm_id,
        "name": plan.name,
        "type": _TYPE,
        "location": plan.location,
        "tags": plan.tags,
        "etag": plan.etag,
        "properties": {
            "chargeForOverage": plan.sku != "DevTest",
            "chargeForPlan": plan.sku != "DevTest",
            "creationDate": stamp(plan.created),
            "includedQuantities": {
                name: {"allowance": amount, "amount": amount}
                for name, amount in _quantities(plan.sku, plan.capacity).items()
            },
            "maxAssociationLimit": _ASSOCIATIONS_AT_MOST,
            "maxCapacityLimit": _CAPACITY[-1],
            "minCapacityLimit": _CAPACITY[0],
            "refillFrequencyInDays": 30,
            "suspendPlanOnOverage": False,
        },
        "sku": {"name": plan.sku, "tier": _tier(plan.sku), "capacity": plan.capacity},
    }


def _quantities(sku: str, capacity: int) -> dict[str, float]:
    hours, transactions = _INCLUDED[sku]
    return {"computeHours": float(hours * capacity), "transactions": float(transactions * capacity)}


def _tier(sku: str) -> str:
    return "DevTest" if sku == "DevTest" else "Standard"


def _associated(context: Context, plan: CommitmentPlan) -> list[WebService]:
    services = context.studio.records.all(WebService, plan.parent)
    return [service for service in services if service.plan == plan.id]


def _named(context: Context, call: Call, plan: CommitmentPlan) -> WebService:
    name = call.names["association"]
    for service in _associated(context, plan):
        if service.endpoint == name.lower():
            return service
    raise scope.not_found("CommitmentAssociationNotFound", f"The plan has no association {name}.")


def _association(plan: CommitmentPlan, service: WebService) -> dict[str, Any]:
    """Return the association; its name is the id of the web service's endpoint."""
    return {
        "id": f"{plan.arm_id}/commitmentAssociations/{service.endpoint}",
        "name": service.endpoint,
        "type": f"{_TYPE}/commitmentAssociations",
        "location": plan.location,
        "etag": plan.etag,
        "properties": {
            "associatedResourceId": service.definition["id"],
            "commitmentPlanId": plan.arm_id,
            "creationDate": service.definition["properties"]["createdOn"],
        },
    }
