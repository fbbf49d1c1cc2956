"""What the driver's parts share: each step is reported as a line of JSON."""

import json
import sys

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
