"""Counts the references that a report of `moxie verify --json` blames, and keeps their traces.

    python alarms.py REPORT TRACES FOLDER

Prints traces, passes, false alarms and the decisions that match, tie and mismatch. Ends with 1 if
there was a false alarm, and leaves the report and the traces in the folder. Ends with 2 if the
report is not about TRACES traces of an intact package: then nothing is known.
"""

import json
import shutil
import sys
from pathlib import Path

from problem import Problem


def references(file: Path, traces: int) -> list[dict]:
    """The references of a report that can be believed."""
    try:
        report = json.loads(file.read_bytes())
        found, integrity = report["references"], report["integrity"]["verdict"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Problem(f"{file}: expected a report of moxie verify --json, found none: {error!r}.") from error
    if integrity != "pass":
        raise Problem(f"{file}: expected a package whose integrity passes, found {integrity}.")
    different = len({reference["file"] for reference in found})
    if traces < 1 or len(found) != traces or different != traces:
        raise Problem(f"{file}: expected {traces} traces, at least one, found {len(found)}, "
                      f"{different} of them different.")
    return found


def main(report: Path, traces: int, folder: Path) -> int:
    try:
        found = references(report, traces)
    except Problem as problem:
        print(f"alarms: {problem}", file=sys.stderr)
        return 2
    alarms = [reference for reference in found if reference["verdict"] != "pass"]
    if alarms:
        folder.mkdir(parents=True, exist_ok=True)
        for file in (report, *(alarm["file"] for alarm in alarms)):
            shutil.copy(file, folder)
    routing = [reference["routing"] or {} for reference in found]
    decisions = (sum(each.get(kind, 0) for each in routing) for kind in ("match", "tie", "mismatch"))
    print(len(found), len(found) - len(alarms), len(alarms), *decisions)
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
