"""A job's code: it counts the rows of a file."""

import json
import sys
from pathlib import Path

source, target = map(Path, sys.argv[1:])
rows = json.loads(source.read_text())["input_data"]["data"]
(target / "rows.txt").write_text(str(len(rows)))
