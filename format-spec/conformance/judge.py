"""Holds reader.py and forward.py to the vectors of SPEC section 9.

    python judge.py                 exit status 1 if anything disagrees

Of an invalid package the reader must give the stated answer, at the stated stage or before, and
name the stated rule and no other. Of numbers it must choose the same experts, within the bounds.
"""

import json
import sys
from pathlib import Path

import numpy as np

from forward import elements, forward
from reader import STAGES, Package, safetensors_header

HERE = Path(__file__).parent


def judge_package(folder, case):
    """(expected, found, whether they agree)."""
    breaches = Package(folder).breaches
    answer, _, at, _ = breaches[0] if breaches else ("ok", "", STAGES[0], "")
    rules = sorted({rule for _, rule, _, _ in breaches})
    expected, stage = case.get("answer", "ok"), case.get("at", STAGES[0])
    right = (answer, rules) == (expected, [case["rule"]] if "answer" in case else [])
    says = f"{expected} {case['rule']} {stage}" if "answer" in case else "ok"
    found = " ".join([answer, *rules, at]) if breaches else "ok"
    return says, found, right and STAGES.index(at) <= STAGES.index(stage)


def read_trace(path):
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    return {name: elements(data[begin + place[0] : begin + place[1]], dtype, shape)
            for name, (dtype, shape, place) in safetensors_header(data[:begin], len(data)).items()}


def judge_numbers(folder):
    """(decisions with other experts, largest error as a share of its bound, whether they agree)."""
    expected = read_trace(folder / "expected.safetensors")
    found = forward(Package(folder / "package"), expected.get("input_ids"), patches=expected.get("patches"))
    others, shares = 0, []
    for name in (name for name in expected if name + ".bound" in expected):
        here, there, bound = found[name], expected[name], expected[name + ".bound"]
        if name.endswith(".router.weights"):  # the order of experts means nothing
            chosen = [trace[name.replace("weights", "experts")] for trace in (found, expected)]
            order = [np.argsort(experts, axis=-1) for experts in chosen]
            here, there, bound = (np.take_along_axis(values, order[i], axis=-1)
                                  for i, values in ((0, here), (1, there), (1, bound)))
            others += np.count_nonzero(np.any(np.sort(chosen[0]) != np.sort(chosen[1]), axis=-1))
        # What is dropped is 0, of which nothing is rounded.
        shares.append(np.max(np.abs(here - there) / np.maximum(bound, np.finfo(np.float32).tiny)))
    return str(others), f"{np.max(shares):.3f}", others == 0 and bool(np.all(np.array(shares) <= 1))


def main():
    cases = json.loads((HERE / "packages/cases.json").read_text("utf-8"))
    cases = {f"{kind}/{name}": case for kind in cases for name, case in cases[kind].items()}
    folders = {f"{p.parent.name}/{p.name}" for p in (HERE / "packages").glob("*/*") if p.is_dir()}
    packages = {name: judge_package(HERE / "packages" / name, case) for name, case in cases.items()}
    numbers = {p.name: judge_numbers(p) for p in sorted((HERE / "numbers").iterdir())}
    for head, rows in ((("package", "expected", "found", "agrees"), packages),
                       (("numbers", "other experts", "of the bound", "agrees"), numbers)):
        cells = ((name, *row[:-1], "yes" if row[-1] else "NO") for name, row in rows.items())
        for line in (head, *cells):
            print("{:60} {:20} {:20} {}".format(*line))
        print()
    wrong = [name for name, row in (packages | numbers).items() if not row[-1]]
    wrong += [f"{name} is only a folder, or only a case" for name in sorted({*cases} ^ folders)]
    print(f"{len(packages)} packages, {len(numbers)} numbers: " + ("; ".join(wrong) or "all agree"))
    return 0 if packages and numbers and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
