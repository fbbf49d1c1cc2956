"""What the driver's parts share: each step is reported as a line of JSON."""

import json
import sys
import time

PATIENCE = 300.0  #: seconds that a job or a copied call may take: also on a slow machine that is busy

_ANSWER, sys.stdout = sys.stdout, sys.stderr  # what the clients print themselves goes to standard error


def report(step, found):
    print(json.dumps({step: found}), file=_ANSWER, flush=True)


def refusal(call, *arguments, **named):
    """Return the class of the client's error and the code of the service's, or None if the call succeeds."""
    try:
        answer = call(*arguments, **named)
        if hasattr(answer, "result"):
            answer.result()
    except Exception as error:
        return [type(error).__name__, getattr(getattr(error, "error", None), "code", None)]
    return None


def until(look, what):
    """Return the first thing that `look` finds; `what` names it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.2)
    return found
