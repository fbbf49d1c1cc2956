"""A scoring script: it answers how many rows it is given."""

import json


def init():
    print("init of the script", flush=True)


def run(raw):
    print("scored", flush=True)
    return {"rows": len(json.loads(raw)["input_data"]["data"])}
