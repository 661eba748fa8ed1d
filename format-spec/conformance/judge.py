"""Holds reader.py and forward.py to the vectors of SPEC section 9.

    python judge.py                 exit status 1 if anything disagrees

Of an invalid package the reader must give the stated answer, at the stated stage or before, and name
the stated rule and no other. Of numbers it must choose the same experts and stay within the bounds.
"""

import json
import sys
from pathlib import Path

import numpy as np

from forward import elements, forward
from reader import STAGES, Package, judge, safetensors_header

HERE = Path(__file__).parent


def judge_package(folder, case, valid):
    """(expected, found, whether they agree)."""
    breaches = judge(folder)
    found = breaches[0].answer if breaches else "ok"
    rules = sorted({b.rule for b in breaches})
    found = " ".join([found, *rules, *([breaches[0].at] if breaches else [])])
    if valid:
        return "ok", found, not breaches
    expected = f"{case['answer']} {case['rule']} {case['at']}"
    right = bool(breaches) and (breaches[0].answer, rules) == (case["answer"], [case["rule"]])
    return expected, found, right and STAGES.index(breaches[0].at) <= STAGES.index(case["at"])


def read_trace(path):
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = safetensors_header(data[:begin], len(data))
    return {name: elements(data[begin + at[0] : begin + at[1]], dtype, shape)
            for name, (dtype, shape, at) in header.items()}  # fmt: skip


def by_expert(values, experts):
    """Rows in the order of expert ids, since that of a trace means nothing."""
    return np.take_along_axis(values, np.argsort(experts, axis=-1), axis=-1)


def judge_numbers(folder):
    """(decisions with other experts, largest share of a bound that an error takes, do all agree)."""
    expected = read_trace(folder / "expected.safetensors")
    found = forward(Package(folder / "package"), expected["input_ids"])
    others, share, within = 0, 0.0, True
    for name in (n for n in found if n == "logits" or n.endswith(".router.weights")):
        here, there, bound = found[name], expected[name], expected[name + ".bound"]
        if name != "logits":
            experts = name.removesuffix("weights") + "experts"
            others += np.count_nonzero(np.any(np.sort(found[experts]) != np.sort(expected[experts]), -1))
            here = by_expert(here, found[experts])
            there, bound = by_expert(there, expected[experts]), by_expert(bound, expected[experts])
        error = np.abs(here - there)
        share = max(share, np.max(error / bound))
        within &= bool(np.all(error <= bound))
    return others, share, others == 0 and within


def table(head, rows):
    rows = [head, *([*row[:-1], "yes" if row[-1] else "NO"] for row in rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()


def main():
    cases = json.loads((HERE / "packages/cases.json").read_text("utf-8"))
    packages = [(f"{kind}/{name}", *judge_package(HERE / "packages" / kind / name, case, kind == "valid"))
                for kind in ("valid", "invalid") for name, case in cases[kind].items()]  # fmt: skip
    table(("package", "expected", "found", "agrees"), packages)
    numbers = []
    for folder in sorted((HERE / "numbers").iterdir()):
        others, share, right = judge_numbers(folder)
        numbers.append((folder.name, str(others), f"{share:.3f}", right))
    table(("numbers", "other experts", "of the bound", "agrees"), numbers)
    wrong = [row[0] for row in packages + numbers if not row[-1]]
    listed = {f"{kind}/{name}" for kind in ("valid", "invalid") for name in cases[kind]}
    there = {f"{p.parent.name}/{p.name}" for p in (HERE / "packages").glob("*/*") if p.is_dir()}
    wrong += [f"{name} is not in cases.json, or has no folder" for name in sorted(listed ^ there)]
    print(f"{len(packages)} packages, {len(numbers)} numbers: " + ("; ".join(wrong) or "all agree"))
    return 1 if wrong or not packages or not numbers else 0


if __name__ == "__main__":
    sys.exit(main())
