"""Judges what scripts/gpu-check.sh measured: are the faces those of the processor? The bench counts them."""

import json
import pathlib
import sys

# Largest difference of a box in pixels and of a confidence, by precision; what lower precisions move is printed, not judged.
LIMITS = {"fp32": (1.0, 1e-3)}
# Share of faces that must have a partner.
MATCHED = {"fp32": 1.0, "fp16": 0.99, "bf16": 0.99}


def faults(report):
    """What is wrong, a line each."""
    found = []
    compared = [subject for subject in report["subjects"] if subject["deviation"]]
    if not compared:
        found.append("nothing ran on the GPU")
    for subject in compared:
        deviation = subject["deviation"]
        precision = subject["provider"].partition(":")[2]
        name = f"{subject['provider']}, {subject['subject']}, batch {subject['batch_size']}"
        expected, matched, extra = (deviation[key] for key in ("expected", "matched", "extra"))
        if expected == 0:
            found.append(f"{name}: the processor found no face, so nothing was compared")
        elif matched < MATCHED[precision] * expected or extra > (1 - MATCHED[precision]) * expected:
            found.append(f"{name}: {matched} of {expected} faces have a partner, {extra} are extra")
        if precision in LIMITS:
            for key, limit in zip(("bbox", "confidence"), LIMITS[precision]):
                if deviation[key]["max"] > limit:
                    found.append(f"{name}: {key} differs by {deviation[key]['max']:.5f}, at most {limit} expected")
    return found


def main():
    found = faults(json.loads(pathlib.Path(sys.argv[1]).read_text()))
    for line in found:
        print(f"FAILED {line}")
    if not found:
        print("faces as on the processor")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
