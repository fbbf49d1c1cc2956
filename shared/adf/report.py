"""What an import could not carry over, and what the user has to give. Holds names, never values."""

import re
from dataclasses import dataclass, field

from shared.adf.artefacts import Activity
from shared.adf.translation import words


@dataclass
class Report:
    settings: dict[str, str] = field(default_factory=dict)  #: setting -> what it takes
    fill_ins: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def setting(self, wish: str, takes: str) -> str:
        """Return `${NAME}`. What the setting takes decides: the same gets the same name, another never does."""
        base = re.sub(r"[^A-Z0-9]+", "_", words(wish).upper()).strip("_") or "SETTING"
        base = f"ADF_{base}" if base[0].isdigit() else base
        name, number = base, 1
        while self.settings.setdefault(name, takes) != takes:
            number += 1
            name = f"{base}_{number}"
        return f"${{{name}}}"

    def fill_in(self, key: str, name: str, what: str) -> str:
        """Return `${FILL_IN_NAME}`: no such setting exists, so that a forgotten one cannot be loaded."""
        sign = f"${{FILL_IN_{name}}}"
        self.fill_ins.append(f"{key}: {sign}: {what}")
        return sign

    def leave(self, line: str) -> None:
        """Note what is not carried over, once."""
        if line not in self.left:
            self.left.append(line)

    def leave_keys(self, activity: Activity) -> None:
        if activity.ignored:
            self.leave(f"{activity.where}: {', '.join(activity.ignored)}: no counterpart here")

    def lines(self) -> list[str]:
        """Return the report as lines, by title."""
        parts = {
            "Settings to make:": [f"{name}: {takes}" for name, takes in self.settings.items()],
            "To fill in:": self.fill_ins,
            "Not carried over, or not as it was:": self.left,
        }
        return [line for title, found in parts.items() if found for line in (title, *(f"  {item}" for item in found))]
