"""Compares what scripts/compare-python.sh measured: speed by medians over all rounds, faces frame by frame."""

import json
import math
import pathlib
import statistics
import sys

from scipy.spatial.transform import Rotation


def read(folder, kind):
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{kind}-*.json"))]


def differences(expected, found):
    """Largest differences over the frames, and how many faces have no partner of their rank."""
    worst = {"box, px": 0.0, "confidence": 0.0, "rotation, degrees": 0.0, "translation, relative": 0.0}
    unmatched = 0
    for reference, project in zip(expected, found, strict=True):
        unmatched += abs(len(reference) - len(project))
        for a, b in zip(reference, project):
            turn = Rotation.from_rotvec(a["pose"][:3]).inv() * Rotation.from_rotvec(b["pose"][:3])
            measured = {
                "box, px": max(abs(p - q) for p, q in zip(a["box"], b["box"])),
                "confidence": abs(a["confidence"] - b["confidence"]),
                "rotation, degrees": math.degrees(turn.magnitude()),
                "translation, relative": math.dist(a["pose"][3:], b["pose"][3:]) / math.hypot(*a["pose"][3:]),
            }
            worst = {name: max(value, measured[name]) for name, value in worst.items()}
    return worst, unmatched


def main():
    folder = pathlib.Path(sys.argv[1])
    reference, project = read(folder, "reference"), read(folder, "project")
    machine = project[0]["machine"]
    versions = reference[0]["versions"]
    print(f"machine    {machine['processor']}, {machine['cores']} cores; load before: {machine['load_before']}")
    print(f"reference  PyTorch {versions['torch']}, torchvision {versions['torchvision']}, Python {versions['python']}")
    print(f"project    {machine['version']}, {machine['gstreamer']}, {machine['onnxruntime']}")
    print(f"frames     {project[0]['frame_count']} of {project[0]['frames']}; {len(reference)} rounds, in turns\n")

    base = statistics.median(value for run in reference for value in run["milliseconds"])
    print(f"{'':<24} {'ms/frame, median':>18} {'times the reference':>20}")
    print(f"{'reference':<24} {base:>18.1f} {1:>20.2f}")
    for index, subject in enumerate(project[0]["subjects"]):
        rounds = [value for run in project for value in run["subjects"][index]["milliseconds_per_frame"]]
        median = statistics.median(rounds)
        name = f"{subject['subject']}, batch {subject['batch_size']}"
        print(f"{name:<24} {median:>18.1f} {base / median:>20.2f}")

    expected = reference[0]["faces"]
    print(f"\nfaces of the reference: {sum(map(len, expected))}; largest difference of")
    failed = False
    for subject in project[0]["subjects"]:
        worst, unmatched = differences(expected, subject["faces"])
        failed |= unmatched > 0
        text = ", ".join(f"{name} {value:.2g}" for name, value in worst.items())
        print(f"  {subject['subject']}, batch {subject['batch_size']}: {text}; without partner: {unmatched}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
