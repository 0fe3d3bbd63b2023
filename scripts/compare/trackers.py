"""Runs trackers on the detections of simulated scenes, and compares who they say is who with who it is.

Read by compare-trackers.sh: the folder that the example simulate_scenes has written. Prints a table for each scene and for all.
"""

import contextlib
import io
import pathlib
import sys
import time

import motmetrics
import numpy as np
import pandas as pd

# Needed by motmetrics, which prints progress to nowhere in particular.
HOTA_THRESHOLDS = np.arange(0.05, 0.99, 0.05)


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


def byte_track(found, times):
    """supervision's ByteTrack, with its defaults and the true framerate; faces from their first frame on, as ours."""
    import supervision

    rate = (len(times) - 1) / (times[-1] - times[0])
    tracker = supervision.ByteTrack(frame_rate=rate, minimum_consecutive_frames=1, lost_track_buffer=60)
    out = []
    for frame, rows in each_frame(found, len(times)):
        detections = supervision.Detections(
            xyxy=corners(rows), confidence=rows[:, 6], class_id=np.zeros(len(rows), dtype=int)
        )
        tracked = tracker.update_with_detections(detections)
        ids = [] if tracked.tracker_id is None else tracked.tracker_id
        for box, who in zip(tracked.xyxy, ids):
            out.append([frame, who, box[0], box[1], box[2] - box[0], box[3] - box[1], 1])
    return np.array(out).reshape(-1, 7)


def norfair_boxes(found, times):
    """norfair on boxes by their overlap, as its documentation has it; lost ones are kept for as long as ours."""
    import norfair

    rate = (len(times) - 1) / (times[-1] - times[0])
    kept = int(2 * rate)
    tracker = norfair.Tracker(
        distance_function="iou", distance_threshold=0.7, initialization_delay=0, hit_counter_max=kept
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


def frame_table(rows):
    index = pd.MultiIndex.from_arrays([rows[:, 0].astype(int), rows[:, 1].astype(int)], names=["FrameId", "Id"])
    return pd.DataFrame(rows[:, 2:7], index=index, columns=["X", "Y", "Width", "Height", "Confidence"])


def measure(truth, answer):
    """IDF1, id switches, MOTA, and HOTA with its parts."""
    truth, answer = frame_table(truth), frame_table(answer)
    metrics = motmetrics.metrics.create()
    # Silent: it reports on its own progress.
    with contextlib.redirect_stdout(io.StringIO()):
        counted = motmetrics.utils.compare_to_groundtruth(truth, answer, "iou", distth=0.5)
        base = metrics.compute(
            counted, metrics=["idf1", "num_switches", "mota", "num_fragmentations"], return_dataframe=False
        )
        by_overlap = [
            motmetrics.utils.compare_to_groundtruth_reweighting(truth, answer, "iou", distth=threshold)
            for threshold in HOTA_THRESHOLDS
        ]
        hota = metrics.compute_many(
            by_overlap, metrics=["hota_alpha", "assa_alpha"], generate_overall=False
        ).mean()
    return base | {"hota": hota["hota_alpha"], "assa": hota["assa_alpha"]}


def main():
    folder = pathlib.Path(sys.argv[1])
    names = [path.name.removesuffix("-truth.txt") for path in sorted(folder.glob("*-truth.txt"))]
    trackers = {"img2posetrack": None, "ByteTrack (supervision)": byte_track, "norfair": norfair_boxes}
    rows = []
    for name in names:
        truth, found = (read(folder / f"{name}-{what}.txt") for what in ("truth", "found"))
        times = np.loadtxt(folder / f"{name}-times.txt")
        for tracker, run in trackers.items():
            begin = time.perf_counter()
            answer = read(folder / f"{name}-ours.txt") if run is None else run(found, times)
            took = time.perf_counter() - begin
            row = {"scene": name, "tracker": tracker} | measure(truth, answer)
            row["us"] = None if run is None else 1e6 * took / len(times)
            rows.append(row)
        predicted = measure(truth, read(folder / f"{name}-predicted.txt"))
        rows.append({"scene": name, "tracker": "img2posetrack, with what it expects", "us": None} | predicted)
    table = pd.DataFrame(rows)
    print("| scene | tracker | IDF1 | HOTA | id switches | MOTA |\n|---|---|---|---|---|---|")
    for row in table.itertuples():
        print(f"| {row.scene} | {row.tracker} | {row.idf1:.3f} | {row.hota:.3f} | {row.num_switches} | {row.mota:.3f} |")
    print("\n| all scenes | IDF1, mean | HOTA, mean | id switches, sum | processor time a frame |\n|---|---|---|---|---|")
    for tracker in table.tracker.unique():
        part = table[table.tracker == tracker]
        took = "" if part.us.isna().all() else f"{part.us.mean():.0f} us"
        print(
            f"| {tracker} | {part.idf1.mean():.3f} | {part.hota.mean():.3f} | {part.num_switches.sum()} | {took} |"
        )


if __name__ == "__main__":
    main()
