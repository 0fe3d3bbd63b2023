"""Make the benchmark: video frames of rendered people with exact poses: `python -m img2pose_train.heads.benchmark --help`.

    python -m img2pose_train.heads.benchmark OUT --assets MAKEHUMAN/data

Writes frames (640x480, JPEG) and `truth.jsonl`, a line a frame: `file`, `focal` (pixels; the principal point is the middle of
the frame) and `faces`, each with `rotation` [3, 3] and `translation` [3] of the 68 reference points in the camera's frame (x right, y down, z
ahead), `landmarks` [68, 2] (their projection, pixels), `box` (as the project draws it), `angles` (yaw, pitch, roll, degrees), `size`
(longer side of the box, pixels) and `cover` (whether something stands before it). People turned away from the camera are listed in `backs` (their middle): what is
found there is a false face. `part` says what a frame is for: `turns`, `rolls`, `sizes`, `covers`, `backs`.

The people, turns and light come from one seed that no training has. Another version of Mesa or OpenCV may round pictures
otherwise: `check` says whether a set is the published one, the same but for rounding, or another one.
"""

import argparse
import base64
import hashlib
import json
import time
from pathlib import Path

import cv2
import numpy as np

from .. import geometry
from ..pack import whole
from . import assets, compose, frames, render

SEED = 6_830_013
"""Of no training: `heads.portraits --seed` is a small number."""
WIDTH, HEIGHT = 640, 480
COUNT = 320
SMALLEST, LARGEST = 12, 400
PARTS = ("turns", "sizes", "rolls", "covers", "turns", "sizes", "backs", "rolls")
"""Frame n is of part n modulo their number."""
THUMBNAIL = (8, 6)
SAME = 3.0
"""Grey levels by which thumbnails may differ in the mean for two pictures to be the same but for rounding."""
MANIFEST = Path(__file__).parent.parent.parent / "benchmark.json"


def scene(part, rng):
    """What a frame shows: list of (angles [3] in degrees, size of the box in pixels, kind: face, cover, glasses or back)."""
    upright = lambda: np.clip(rng.normal(0, 10), -30, 30)
    middling = lambda: float(np.exp(rng.uniform(np.log(48), np.log(260))))
    wide = lambda: [rng.uniform(-100, 100), rng.uniform(-60, 60) if rng.random() < 0.5 else np.clip(rng.normal(0, 15), -60, 60)]
    near = lambda: [np.clip(rng.normal(0, 35), -100, 100), np.clip(rng.normal(0, 18), -60, 60)]
    if part == "turns":
        # Nobody bends the neck that far to the side and up at once, but cameras hang anywhere.
        return [([*wide(), upright()], middling(), "glasses" if rng.random() < 0.2 else "face")]
    if part == "sizes":
        count = int(rng.integers(1, 4))
        return [([*near(), upright()], float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST if count == 1 else 90)))), "face") for _ in range(count)]
    if part == "rolls":
        return [([*near(), rng.uniform(-180, 180)], middling(), "face")]
    if part == "covers":
        return [([*near(), upright()], middling(), "cover")]
    back = lambda: [rng.choice([-1, 1]) * rng.uniform(140, 180), rng.uniform(-20, 30), upright()]
    return [(back(), middling(), "back") for _ in range(int(rng.integers(1, 3)))]


def frame(renderer, n, seed=SEED):
    """Picture [HEIGHT, WIDTH, 3] in [0, 1] (RGB) and line of `truth.jsonl` of frame n."""
    rng = np.random.default_rng([seed, n])
    part = PARTS[n % len(PARTS)]
    image = frames.backdrop(WIDTH, HEIGHT, rng)
    # From the wide lens of a laptop to a long one.
    focal = float(WIDTH * np.exp(rng.uniform(np.log(0.75), np.log(3))))
    line, taken = {"part": part, "focal": round(focal, 3), "faces": [], "backs": []}, []
    people = sorted(scene(part, rng), key=lambda person: person[1])
    covers = []
    for angles, size, kind in people:
        middle = frames.place(size, taken, WIDTH, HEIGHT, rng)
        if middle is None:
            continue
        taken.append([*middle, size])
        image, r, t, exact = frames.stand(renderer, image, angles, size, middle, rng, focal, glasses=kind == "glasses")
        if kind == "back":
            line["backs"].append([round(float(v), 1) for v in middle])
            continue
        if kind == "cover":
            covers.append(exact)
        rvec = geometry.rotation_vector(r[None])[0]
        box = geometry.face_box(exact[None], rvec[2:])[0].round(2)
        line["faces"].append({
            "rotation": r.round(6).tolist(), "translation": t.round(4).tolist(), "landmarks": exact.round(2).tolist(),
            "box": box.tolist(), "angles": [round(float(a), 2) for a in angles], "size": round(float((box[2:] - box[:2]).max()), 2),
            "cover": kind == "cover",
        })
    for exact in covers:
        frames.covered(image, exact, rng)
    return np.clip(compose.photo(image, rng), 0, 1), line


def thumbnail(pixels):
    """A picture [h, w, 3] uint8 in 48 grey levels, as text."""
    grey = cv2.resize(pixels.mean(2).astype(np.float32), THUMBNAIL, interpolation=cv2.INTER_AREA)
    return base64.b64encode(grey.round().clip(0, 255).astype(np.uint8).tobytes()).decode()


def manifest(folder):
    """What is published about a set: hashes of its truth and of its files, thumbnails."""
    lines = (folder / "truth.jsonl").read_text().splitlines()
    names = [json.loads(line)["file"] for line in lines]
    digest = hashlib.sha256()
    for name in names:
        digest.update((folder / name).read_bytes())
    return {
        "frames": len(lines), "faces": sum(len(json.loads(line)["faces"]) for line in lines),
        "truth_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(), "pictures_sha256": digest.hexdigest(),
        "thumbnails": "".join(thumbnail(cv2.imread(str(folder / name))) for name in names),
    }


def compare(mine, published):
    """(whether a set may be called the published one, what to say about it)."""
    if mine["truth_sha256"] != published["truth_sha256"]:
        return False, f"another set: truth {mine['truth_sha256'][:12]}..., published {published['truth_sha256'][:12]}..."
    if mine["pictures_sha256"] == published["pictures_sha256"]:
        return True, "the published set, bit for bit"
    a, b = (np.frombuffer(base64.b64decode(m["thumbnails"]), np.uint8).astype(float).reshape(m["frames"], -1) for m in (mine, published))
    apart = np.abs(a - b).mean(1)
    if apart.max() < SAME:
        return True, f"the published set but for rounding (thumbnails {apart.max():.2f} grey levels apart at most)"
    return False, f"the truth is the published one, but pictures differ: {int((apart >= SAME).sum())} of them by {apart.max():.1f} grey levels and less"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--assets", help="folder `data` of a MakeHuman tree")
    parser.add_argument("--count", type=int, default=COUNT, help="frames; only the whole set has the published hashes")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="what was published about the set")
    parser.add_argument("--publish", action="store_true", help="write the manifest instead of comparing with it")
    options = parser.parse_args(argv)
    if options.assets:
        assets.use(options.assets)
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    truth = options.out / "truth.jsonl"
    made = {json.loads(line)["file"] for line in truth.read_text().splitlines()} if truth.exists() else set()
    renderer, start = None, time.process_time()
    for n in range(options.count):
        name = f"{n:04d}.jpg"
        if name in made:
            continue
        renderer = renderer or render.Renderer()
        image, line = frame(renderer, n)
        cv2.imwrite(str(options.out / name), (image * 255).round().astype(np.uint8)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        with open(truth, "a") as file:
            file.write(json.dumps({"file": name} | line) + "\n")
    mine = manifest(options.out)
    print(f"{mine['frames']} frames with {mine['faces']} faces, {time.process_time() - start:.0f} s of processor time")
    if options.publish:
        with whole(options.manifest) as path:
            path.write_text(json.dumps(mine, indent=1) + "\n")
    elif options.count == COUNT:
        good, text = compare(mine, json.loads(options.manifest.read_text()))
        print(text)
        return 0 if good else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
