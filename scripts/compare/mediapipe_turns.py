"""Faces of a clip, followed by img2pose-bench and by MediaPipe in turns. Called by scripts/compare-mediapipe.sh."""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import cv2
import mediapipe


def frames_of(path, count):
    """The first `count` frames of a video, RGB arrays [height, width, 3] of bytes, and their rate in hertz."""
    video = cv2.VideoCapture(str(path))
    rate = video.get(cv2.CAP_PROP_FPS) or 30.0
    frames = []
    while len(frames) < count:
        ok, frame = video.read()
        if not ok:
            break
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    if not frames:
        raise SystemExit(f"error: {path} has no frames that OpenCV can read")
    return frames, rate


def mesh_of_the_wheel(frames, _rate, faces):
    """Looks for up to `faces` faces in each frame with the older interface, whose model the wheel holds; yields how many there were."""
    with mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=faces) as mesh:
        for frame in frames:
            yield len(mesh.process(frame).multi_face_landmarks or [])


def landmarker(task):
    """The same with FaceLandmarker and the model in the file `task`."""

    def run(frames, rate, faces):
        vision = mediapipe.tasks.vision
        options = vision.FaceLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(task)),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=faces,
        )
        with vision.FaceLandmarker.create_from_options(options) as marker:
            for index, frame in enumerate(frames):
                image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
                yield len(marker.detect_for_video(image, round(1000 * index / rate)).face_landmarks)

    return run


def timed(run, frames, rate, faces):
    """Milliseconds a frame (processor, wall) and the faces found."""
    # A first frame loads the model and allocates, which is left out as img2pose-bench leaves out its first round.
    answers = run([frames[0]] + frames, rate, faces)
    next(answers)
    processor, wall = time.process_time(), time.perf_counter()
    found = sum(answers)
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    return {"processor": 1e3 * processor / len(frames), "wall": 1e3 * wall / len(frames), "faces": found}


def ours(options, frames):
    """The same of img2pose-bench: one round, whole frames and followed ones."""
    report = options.work / "follow.json"
    command = [options.bench, "follow", "--model", options.model, "--video", options.video, "--frames", str(frames)]
    command += ["--rounds", "1", "--threads", str(options.threads), "--whole-frame-interval", str(options.interval), "--json", report]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    (row,) = json.loads(report.read_text())[0]["rows"]
    whole = {"processor": row["processor_ms"]["whole"], "wall": row["wall_ms"]["whole"], "faces": row["faces"]["whole"]}
    followed = {"processor": row["processor_ms"]["followed"], "wall": row["wall_ms"]["followed"], "faces": row["faces"]["followed"]}
    return whole, followed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    for name in ("faces", "frames", "rounds", "interval", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("bench", "model", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--task", type=Path)
    options = parser.parse_args()
    frames, rate = frames_of(options.video, options.frames)
    run = landmarker(options.task) if options.task else mesh_of_the_wheel
    results = {"img2pose, every frame whole": [], f"img2pose, followed, interval {options.interval}": [], "MediaPipe, video mode": []}
    for _ in range(options.rounds):
        turn = [*ours(options, len(frames)), timed(run, frames, rate, options.faces)]
        for rows, row in zip(results.values(), turn):
            rows.append(row)
    print(f"{options.video.name}: {len(frames)} frames of {frames[0].shape[1]}x{frames[0].shape[0]}, MediaPipe {mediapipe.__version__}, "
          f"medians of {options.rounds} rounds in turns")
    print("| | processor time, ms a frame | wall time, ms a frame | faces found |")
    print("|---|---|---|---|")
    for name, rows in results.items():
        processor, wall, found = (statistics.median(row[key] for row in rows) for key in ("processor", "wall", "faces"))
        print(f"| {name} | {processor:.1f} | {wall:.1f} | {found:.0f} |")


if __name__ == "__main__":
    main()
