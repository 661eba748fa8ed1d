"""Counts the references that a report of `moxie verify --json` blames, and keeps their traces.

    python alarms.py REPORT FOLDER

Prints traces, passes, false alarms and the decisions that match, tie and mismatch. Ends with 1 if
there was a false alarm, and leaves the report and the traces in the folder.
"""

import json
import shutil
import sys
from pathlib import Path


def main(report: Path, folder: Path) -> int:
    references = json.loads(report.read_text())["references"]
    alarms = [reference for reference in references if reference["verdict"] != "pass"]
    if alarms:
        folder.mkdir(parents=True, exist_ok=True)
        for file in (report, *(alarm["file"] for alarm in alarms)):
            shutil.copy(file, folder)
    routing = [reference["routing"] or {} for reference in references]
    decisions = (sum(each.get(kind, 0) for each in routing) for kind in ("match", "tie", "mismatch"))
    print(len(references), len(references) - len(alarms), len(alarms), *decisions)
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
