"""How far the answered spread can be believed: `python -m img2pose_train.look.reliability --help`.

The network answers how far its rotation is off in the mean. What an application gets is sigma: the degrees within which the true error
lies in SHARE of the cases. Both are tied by log(sigma) = a + b log(spread), and a and b are found on held-out faces. So that the table
is no praise of itself, the photos are parted in two halves: each is judged with what was found on the other one; `--sigma` of
`assemble` takes the a and b of both together.
"""

import argparse
import json

import cv2
import numpy as np
import torch

from .. import geometry
from ..pack import Labels, whole
from .answer import Looker
from .evaluate import gather, held_out, rendered
from .train import load_weights

SHARE = 0.683
"""Of the errors that lie within sigma."""
BINS = 5


def sigma_of(spread, calibration):
    """Sigma [N] in degrees of answered spreads [N] in degrees; calibration: (a, b)."""
    a, b = calibration
    return np.exp(a + b * np.log(spread))


def calibrate(spread, error, share=SHARE):
    """(a, b) that fit best, by quantile regression of the logarithm of the error (degrees) on that of the spread (degrees).

    For every slope b the best a is a quantile, so the slopes are simply gone through: 0 (the spread says nothing) to 2."""
    x, y = np.log(spread), np.log(np.maximum(error, 1e-3))
    best = None
    for b in np.arange(0, 2.001, 0.02):
        a = float(np.quantile(y - b * x, share))
        left = y - b * x - a
        loss = float(np.where(left > 0, share * left, (share - 1) * left).mean())
        if best is None or loss < best[0]:
            best = loss, a, round(float(b), 2)
    return best[1:]


def table(sigma, error, bins=BINS):
    """Rows by rising sigma, as many faces in each: faces, mean sigma, median error, shares of errors within one and two sigma; the last
    row is of all."""
    order = np.argsort(sigma, kind="stable")
    rows = []
    for part in [*np.array_split(order, bins), order]:
        s, e = sigma[part], error[part]
        rows.append({
            "faces": len(part), "sigma": round(float(s.mean()), 2), "error_median": round(float(np.median(e)), 2),
            "within_1": round(float((e <= s).mean()), 3), "within_2": round(float((e <= 2 * s).mean()), 3),
        })
    return rows


def cross_checked(spread, error, half):
    """Sigma [N] of each face by the calibration of the other half; half [N]: 0 or 1."""
    sigma = np.zeros(len(spread))
    for k in (0, 1):
        sigma[half == k] = sigma_of(spread[half == k], calibrate(spread[half != k], error[half != k]))
    return sigma


def spread_and_error(looker, faces, looks, misplaced):
    """Of all faces of some pictures: spread, error (degrees), number of the picture."""
    counts = []

    def counted():
        for entry in faces:
            counts.append(len(entry[1]))
            yield entry

    truth, columns, _ = gather(looker, counted(), looks, misplaced)
    return np.degrees(columns[2]), geometry.rotation_angle(columns[0], truth), np.repeat(np.arange(len(counts)), counts)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights", help="average.pth of look.train")
    parser.add_argument("--pack", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--renders", nargs="*", default=[], help="folders of rendered heads of other people: judged, too")
    parser.add_argument("--convention", type=float, nargs=3, default=[0, 0, 0], help="as for look.cache")
    parser.add_argument("--smallest", type=float, default=16, help="size of the smallest face, pixels")
    parser.add_argument("--looks", type=int, choices=(1, 2), default=2)
    parser.add_argument("--misplaced", type=float, default=0.04, help="how far the crops are off, in sides")
    parser.add_argument("--out")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    looker = Looker(load_weights(options.weights))
    faces = held_out(options.pack, Labels.load(options.labels), options.smallest)
    spread, error, picture = spread_and_error(looker, faces, options.looks, options.misplaced)
    if len(np.unique(picture)) < 2:
        parser.exit(1, "the held-out photos show too few faces to part them in two\n")
    calibration = calibrate(spread, error)
    result = {"weights": options.weights, "looks": options.looks, "share": SHARE, "sigma": [round(v, 4) for v in calibration],
              "photos": table(cross_checked(spread, error, picture % 2), error)}
    convention = geometry.rotation_matrix(np.radians(options.convention))[0]
    for folder in options.renders:
        s, e, _ = spread_and_error(looker, rendered(folder, convention, 10_000), options.looks, options.misplaced)
        result[str(folder)] = table(sigma_of(s, calibration), e)
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        with whole(options.out) as path:
            path.write_text(text + "\n")


if __name__ == "__main__":
    main()
