"""Runs trackers on the detections of simulated scenes, and compares who they say is who with who it is.

Read by compare-trackers.sh: the folder that the example simulate_scenes has written. Prints a table for each scene and for all.
"""

import pathlib
import sys
import time

import norfair
import numpy as np
import supervision
import trackers
from trackeval.metrics import CLEAR, HOTA, Identity

# How long a lost face is remembered, in seconds; the same for all.
KEPT = 2


def read(path):
    """Frame, id, left, top, width, height, confidence; empty files are scenes without any."""
    if path.stat().st_size == 0:
        return np.empty((0, 7))
    return np.loadtxt(path, delimiter=",", ndmin=2)[:, :7]


def corners(rows):
    boxes = rows[:, 2:6].copy()
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def each_frame(found, frames):
    for frame in range(1, frames + 1):
        yield frame, found[found[:, 0] == frame]


def rate(times):
    return (len(times) - 1) / (times[-1] - times[0])


def of_trackers(kind):
    """One of the package trackers, with its defaults; faces from their first frame on, as ours."""

    def run(found, times):
        # The buffer counts frames at 30 a second, whatever the framerate.
        tracker = kind(lost_track_buffer=KEPT * 30, frame_rate=rate(times), minimum_consecutive_frames=1)
        out = []
        for frame, rows in each_frame(found, len(times)):
            detections = supervision.Detections(
                xyxy=corners(rows), confidence=rows[:, 6], class_id=np.zeros(len(rows), dtype=int)
            )
            tracked = tracker.update(detections)
            for box, who in zip(tracked.xyxy, [] if tracked.tracker_id is None else tracked.tracker_id):
                if who >= 0:
                    out.append([frame, who, box[0], box[1], box[2] - box[0], box[3] - box[1], 1])
        return np.array(out).reshape(-1, 7)

    return run


def norfair_boxes(found, times):
    """norfair on boxes by their overlap, as its documentation has it."""
    tracker = norfair.Tracker(
        distance_function="iou",
        distance_threshold=0.7,
        initialization_delay=0,
        hit_counter_max=int(KEPT * rate(times)),
    )
    out = []
    for frame, rows in each_frame(found, len(times)):
        boxes = corners(rows)
        detections = [
            norfair.Detection(points=box.reshape(2, 2), scores=np.array([score, score]), data=index)
            for index, (box, score) in enumerate(zip(boxes, rows[:, 6]))
            if score >= 0.5
        ]
        for tracked in tracker.update(detections):
            # Those that are seen now: what is expected is another question.
            last = tracked.last_detection
            if any(last is detection for detection in detections):
                box = boxes[last.data]
                out.append([frame, tracked.id, box[0], box[1], box[2] - box[0], box[3] - box[1], 1])
    return np.array(out).reshape(-1, 7)


def overlaps(a, b):
    """Intersection over union of each box with each."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    area = lambda boxes: np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)  # noqa: E731
    return common / (area(a)[:, None] + area(b)[None, :] - common)


def measure(truth, answer, frames):
    """IDF1, id switches, MOTA and HOTA, as trackeval computes them."""

    def numbered(rows):
        _, ids = np.unique(rows[:, 1], return_inverse=True)
        return [ids[rows[:, 0] == frame] for frame in range(1, frames + 1)], (ids.max() + 1 if len(ids) else 0)

    gt_ids, num_gt_ids = numbered(truth)
    tracker_ids, num_tracker_ids = numbered(answer)
    boxes = [[corners(rows[rows[:, 0] == frame]) for frame in range(1, frames + 1)] for rows in (truth, answer)]
    data = {
        "num_timesteps": frames,
        "gt_ids": gt_ids,
        "tracker_ids": tracker_ids,
        "num_gt_ids": num_gt_ids,
        "num_tracker_ids": num_tracker_ids,
        "num_gt_dets": len(truth),
        "num_tracker_dets": len(answer),
        "similarity_scores": [overlaps(a, b) for a, b in zip(*boxes)],
    }
    clear = CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
    return {
        "idf1": Identity({"PRINT_CONFIG": False}).eval_sequence(data)["IDF1"],
        "hota": HOTA().eval_sequence(data)["HOTA"].mean(),
        "switches": int(clear["IDSW"]),
        "mota": clear["MOTA"],
    }


def main():
    folder = pathlib.Path(sys.argv[1])
    names = [path.name.removesuffix("-truth.txt") for path in sorted(folder.glob("*-truth.txt"))]
    others = {
        "ByteTrack (trackers)": of_trackers(trackers.ByteTrackTracker),
        "OC-SORT (trackers)": of_trackers(trackers.OCSORTTracker),
        "norfair": norfair_boxes,
    }
    ours = dict(line.split() for line in (folder / "ours.log").read_text().splitlines())
    rows = []
    for name in names:
        truth, found = (read(folder / f"{name}-{what}.txt") for what in ("truth", "found"))
        times = np.loadtxt(folder / f"{name}-times.txt")
        answers = {
            "img2posetrack": (read(folder / f"{name}-ours.txt"), float(ours[name])),
            "img2posetrack, with faces that it expects": (read(folder / f"{name}-predicted.txt"), float(ours[name])),
        }
        for tracker, run in others.items():
            begin = time.perf_counter()
            answers[tracker] = run(found, times), (time.perf_counter() - begin) / len(times)
        for tracker, (answer, took) in answers.items():
            kind = name.rpartition("-")[0]
            rows.append(measure(truth, answer, len(times)) | {"scene": kind, "tracker": tracker, "took": took})
    scenes, names = (dict.fromkeys(row[what] for row in rows) for what in ("scene", "tracker"))
    print("| scene | tracker | IDF1 | HOTA | id switches | MOTA |\n|---|---|---|---|---|---|")
    for scene in scenes:
        for tracker in names:
            idf1, hota, switches, mota, _ = mean(rows, scene=scene, tracker=tracker)
            print(f"| {scene} | {tracker} | {idf1:.3f} | {hota:.3f} | {switches:.2f} | {mota:.3f} |")
    print("\n| all scenes | IDF1 | HOTA | id switches a scene | time for a frame |\n|---|---|---|---|---|")
    for tracker in names:
        idf1, hota, switches, _, took = mean(rows, tracker=tracker)
        print(f"| {tracker} | {idf1:.3f} | {hota:.3f} | {switches:.2f} | {1e6 * took:.0f} us |")


def mean(rows, **those):
    part = [row for row in rows if all(row[what] == wanted for what, wanted in those.items())]
    return (np.mean([row[what] for row in part]) for what in ("idf1", "hota", "switches", "mota", "took"))


if __name__ == "__main__":
    main()
