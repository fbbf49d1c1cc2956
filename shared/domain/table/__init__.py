"""What a file's bytes say as a table: the one reader of its names, rows and cells.

Check, join, folder, proof rows, evaluation and scored rows all read by it, so that none of them sees another table than
the others. It gives names and cells as the training service reads them: a space is a part of a name or of a text.
"""

from shared.domain.table.form import EXTENSIONS, Form, Unreadable
from shared.domain.table.reader import PIECE, Block, Row, Table

__all__ = ["EXTENSIONS", "PIECE", "Block", "Form", "Row", "Table", "Unreadable"]
