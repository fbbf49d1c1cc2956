"""How long one call of a timer begins new work, in seconds. What was not begun comes at the timer's next time.

The host ends a call after the `functionTimeout` of host.json, so that the budgets of a call leave time for what was
begun last.
"""

CALL_SECONDS = 600.0  #: the functionTimeout of host.json
LAST_STEP_SECONDS = 180.0  #: what is begun at the end of a budget may take so long

TAKE_UP_SECONDS = 180.0  #: of pipelines whose data is taken up
START_SECONDS = 240.0  #: from the begin of the same call, of the new jobs that it starts
ADVANCE_SECONDS = 240.0  #: of the active jobs of one poll
BAKE_SECONDS = 60.0  #: of the promoted models that the same poll checks
DROP_SECONDS = 60.0  #: of the deployments that the same poll drops

#: by the function of the host, what its budgets come to
BUDGETS_SECONDS = {
    "take_up_data": max(TAKE_UP_SECONDS, START_SECONDS),
    "poll_jobs": ADVANCE_SECONDS + BAKE_SECONDS + DROP_SECONDS,
}
