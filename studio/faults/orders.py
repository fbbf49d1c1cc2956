"""What the Studio can be ordered to do wrong."""

from __future__ import annotations

from typing import ClassVar

from service.faults import orders


class Faults(orders.Faults):
    KINDS: ClassVar = {
        **orders.OF_CALLS,
        "stuck": "a started BES job stays `state` (NotStarted or Running) until it is cancelled",
        "failed job": "a BES job fails with a nested module error",
        "expired result": "the results of a BES job come with a SAS that has expired",
        "unknown status": "the status of a BES job is a word that no client knows",
        "failing operation": "a PUT or PATCH of a New web service is accepted; its operation fails `seconds` (0) later",
        "no effect": "a PUT or PATCH is answered well and changes nothing",
        "deaf": "a PUT or PATCH shows the new model and goes on scoring with the former one",
        "late": "a PUT or PATCH is answered well, and predictions change `seconds` (30) later",
    }
    SECONDS: ClassVar = {"late": 30.0}
