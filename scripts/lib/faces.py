"""Reads the JSON lines of img2posejson: a summary for people, and checks for scripts/acceptance.sh.

A check prints what it saw on one line and exits 1 when it does not hold. Frames are counted from 0 by their place in
the file; a range A:B includes both ends. Standard library only.
"""

import argparse
import json
import math
import re
import sys


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def part(frames, span):
    first, last = (int(bound) for bound in span.split(":"))
    if last >= len(frames):
        sys.exit(f"frames {span} were wanted, the file has {len(frames)}")
    return frames[first : last + 1]


def implausible(frame):
    """Says what is wrong with the faces of a frame, or nothing."""
    width, height = frame["width"], frame["height"]
    for face in frame["faces"]:
        numbers = [*face["box"], face["confidence"], *face["pose"], *face["yaw_pitch_roll_deg"]]
        numbers += [value for point in face["keypoints"].values() for value in point]
        x1, y1, x2, y2 = face["box"]
        tz = face["pose"][5]
        points = face["keypoints"]
        if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
            return "a number is not finite"
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            return f"the box {face['box']} is not inside {width}x{height}"
        if not 0.5 <= face["confidence"] <= 1:
            return f"the confidence is {face['confidence']}"
        if not tz > 0:
            return f"the head is behind the camera (tz {tz})"
        if any(abs(angle) > 60 for angle in face["yaw_pitch_roll_deg"]):
            return f"yaw, pitch, roll are {face['yaw_pitch_roll_deg']}"
        if not all(x1 <= x <= x2 and y1 <= y <= y2 for x, y in points.values()):
            return "a keypoint lies outside the box"
        # An upright head: eyes above the nose, the nose above the mouth, left and right where an onlooker has them.
        eyes = (points["left_eye"][1] + points["right_eye"][1]) / 2
        mouth = (points["mouth_left"][1] + points["mouth_right"][1]) / 2
        if not (eyes < points["nose"][1] < mouth and points["left_eye"][0] < points["right_eye"][0]):
            return f"the keypoints are no upright face: {points}"
    return None


def misprinted(frames, lines):
    """Says where the text of examples/python/read_faces.py has other numbers than the frames, or nothing."""
    numbers = [
        [float(number) for number in re.findall(r"-?\d+\.\d+", line)]
        for line in lines
        if line.startswith((" ", "frame")) and "region" not in line
    ]
    expected = []
    for frame in frames:
        expected.append([])
        for face in frame["faces"]:
            expected.append([face["confidence"], *face["box"]])
            expected.append(face["pose"])
            expected.append([*face["yaw_pitch_roll_deg"], *face["keypoints"]["nose"]])
    if len(numbers) != len(expected):
        return f"{len(numbers)} lines about faces, {len(expected)} expected"
    for found, wanted in zip(numbers, expected):
        # The text has one to three digits behind the point.
        if len(found) != len(wanted) or any(abs(a - b) > 0.051 for a, b in zip(found, wanted)):
            return f"{found} is printed, {wanted} expected"
    return None


def differing(frames, others, most_pixels, most_score):
    """Says where the faces of two runs differ by more than that, or nothing."""
    if len(frames) != len(others):
        return f"{len(frames)} frames, {len(others)} expected"
    for frame, other in zip(frames, others):
        where = f"frame {frame['frame']}"
        if len(frame["faces"]) != len(other["faces"]):
            return f"{where}: {len(frame['faces'])} faces, {len(other['faces'])} expected"
        for face in other["faces"]:
            pixels = lambda found: max(abs(a - b) for a, b in zip(found["box"], face["box"]))
            nearest = min(frame["faces"], key=pixels)
            score = abs(nearest["confidence"] - face["confidence"])
            if pixels(nearest) > most_pixels or score > most_score:
                return f"{where}: a box is {pixels(nearest)} pixels off, a confidence {score}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["summary", "count", "found", "none", "only", "plausible", "printed", "same"])
    parser.add_argument("file")
    parser.add_argument("--frames", help="the range A:B")
    parser.add_argument("--exactly", type=int, help="count: how many frames there must be")
    parser.add_argument("--share", type=float, default=1.0, help="found: share of the frames that must have a face")
    parser.add_argument("--as", dest="other", help="same: the file of the other run")
    parser.add_argument("--pixels", type=float, default=1e-3, help="same: how far a box may be off; what the order of sums explains")
    parser.add_argument("--score", type=float, default=1e-4, help="same: how far a confidence may be off")
    parser.add_argument("--text", help="printed: the output of examples/python/read_faces.py")
    parser.add_argument("--milliseconds", type=int, help="summary: how long the run took")
    options = parser.parse_args()

    frames = read(options.file)
    selected = part(frames, options.frames) if options.frames else frames
    with_face = sum(1 for frame in selected if frame["faces"])
    faces = sum(len(frame["faces"]) for frame in selected)

    if options.command == "summary":
        if not frames:
            sys.exit("error: the video has no frames")
        seconds = options.milliseconds / 1000
        print(f"frames               {len(frames)}")
        print(f"  with a face        {with_face} ({100 * with_face / len(frames):.1f} %)")
        print(f"faces                {faces}")
        print(f"frames per second    {len(frames) / seconds:.1f} ({seconds:.1f} s, loading the model included)")
        print(f"result               {options.file}")
        print("\nIts first line:\n")
        with open(options.file, encoding="utf-8") as lines:
            print(next(lines), end="")
    elif options.command == "count":
        print(f"{len(frames)} frames, {options.exactly} expected")
        sys.exit(len(frames) != options.exactly)
    elif options.command == "found":
        print(f"a face in {with_face} of {len(selected)} frames, at least {100 * options.share:g} % expected")
        sys.exit(with_face < options.share * len(selected))
    elif options.command == "none":
        print(f"{faces} faces in {len(selected)} frames, none expected")
        sys.exit(faces != 0)
    elif options.command == "only":
        crowded = sum(1 for frame in selected if len(frame["faces"]) > 1)
        print(f"more than one face in {crowded} of {len(selected)} frames, none expected")
        sys.exit(crowded != 0)
    elif options.command == "plausible":
        wrong = [(frame["frame"], reason) for frame in selected if (reason := implausible(frame))]
        print(f"{len(wrong)} of {len(selected)} frames are implausible" + (f": frame {wrong[0][0]}: {wrong[0][1]}" if wrong else ""))
        sys.exit(bool(wrong) or not faces)
    elif options.command == "same":
        wrong = differing(frames, read(options.other), options.pixels, options.score)
        print(wrong or f"{faces} faces of {len(frames)} frames are the same in {options.other}")
        sys.exit(bool(wrong) or not faces)
    elif options.command == "printed":
        with open(options.text, encoding="utf-8") as lines:
            wrong = misprinted(frames, lines)
        print(wrong or f"{faces} faces of {len(frames)} frames are the same in {options.text}")
        sys.exit(bool(wrong) or not faces)


if __name__ == "__main__":
    main()
