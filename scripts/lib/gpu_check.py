"""Judges what scripts/gpu-check.sh measured: are the faces those of the processor? The bench counts them."""

import json
import pathlib
import sys

# Largest difference of a box in pixels and of a confidence, by precision; what lower precisions move is printed, not judged.
LIMITS = {"fp32": (1.0, 1e-3)}
# Share of faces that must have a partner.
MATCHED = {"fp32": 1.0, "fp16": 0.99, "bf16": 0.99}


# A GPU whose convolutions are not at least this much faster than the processor's has not done them.
FASTER = 2.0


def dense(report):
    """Milliseconds a frame of the convolutions, by provider and batch size, where the stages are known."""
    known = (subject for subject in report["subjects"] if subject.get("stages"))
    return {(subject["provider"], subject["batch_size"]): subject["stages"]["dense"] for subject in known}


def idle(report):
    """Where the GPU seems not to have worked, a line each."""
    times = dense(report)
    found = []
    for (provider, batch_size), time in times.items():
        processor = times.get(("cpu:fp32", batch_size))
        if not provider.startswith("cpu") and processor and time * FASTER > processor:
            found.append(
                f"{provider}, batch {batch_size}: the convolutions took {time:.2f} ms a frame, the processor's "
                f"{processor:.2f}: the GPU was not used"
            )
    return found


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
    report = json.loads(pathlib.Path(sys.argv[1]).read_text())
    found = faults(report) + idle(report)
    for line in found:
        print(f"FAILED {line}")
    if not found:
        print("faces as on the processor")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
