"""`run.py sample`: rows of the breast cancer data as CSV, to drop them."""

from __future__ import annotations

import sys

from local.commands import parser_of
from local.datasets import as_csv, breast_cancer


def main() -> int:
    chosen = parser_of("sample").parse_args()
    header, rows = breast_cancer()
    sys.stdout.buffer.write(as_csv(header, rows[: chosen.rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
