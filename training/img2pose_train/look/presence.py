"""Teach the close look what only looks like a face to the finder: `python -m img2pose_train.look.presence --help`.

The finder looks at photos of the training and at pictures without faces; each place that it finds is a face (it lies where a label
does), is none (nothing labelled is near), or is left out. The last layer's row for presence is fitted to the features of these places:
a logistic regression that is held near what the row was. Its constant is then set so that a score (root of the finder's and of the
presence) of 0.5 lets as many places through that are none as `--false` says. Nothing else of the network changes, so points and poses stay as they are.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from .. import checkpoint
from ..clutter import PHOTO_SUFFIXES, files
from ..detect import network_size
from ..find_and_look import find
from ..finder.network import FinderNetwork
from ..metrics import box_iou, covered
from ..pack import Labels, Photos
from . import crops, network

SAME = 0.4
"""IoU with a labelled box from which on a place is that face."""
APART = 0.1
"""IoU with any label, and share inside of one, below which a place is none."""


@dataclass
class Places:
    """feature [N, 384] of the pooled layer, face [N] (1 or 0), photo [N]: the picture's number, found [N]: the finder's score; real:
    how many pictures, the first ones, are photos with labels."""

    feature: torch.Tensor
    face: torch.Tensor
    photo: torch.Tensor
    found: torch.Tensor
    real: int

    def part(self, chosen):
        return Places(self.feature[chosen], self.face[chosen], self.photo[chosen], self.found[chosen], self.real)


def judged(boxes, labelled, trusted):
    """1 for boxes [N, 4] that are one of the `trusted` of the labelled boxes [G, 4], 0 for those that are far from all, -1 for others. labelled None: the picture
    shows no face."""
    if labelled is None or not len(labelled):
        return np.zeros(len(boxes), int)
    overlap = box_iou(boxes, labelled)
    face = np.where(trusted, overlap, 0).max(1) >= SAME
    far = (overlap.max(1) < APART) & (covered(boxes, labelled) < APART)
    return np.where(face, 1, np.where(far, 0, -1))


def features(look, images):
    """Pooled features [N, 384] of crops [N, S, S, 3] uint8."""
    return look.pool(look.body(network.normalise(torch.from_numpy(images)))).flatten(1)


@torch.no_grad()
def gather(finder, look, pictures, min_side, least):
    """`Places` of (picture, boxes of its labels [G, 4] or None, which are trusted [G]) one after the other."""
    feature, face, photo, found, real = [], [], [], [], 0
    for k, (image, labelled, trusted) in enumerate(pictures):
        real = real if labelled is None else k + 1
        squares, boxes, score = find(finder, image, network_size(*image.shape[:2], min_side), least)
        kind = judged(boxes, labelled, trusted)
        kept = np.nonzero(kind >= 0)[0]
        if not len(kept):
            continue
        feature.append(features(look, np.stack([crops.cut(image, squares[j])[0] for j in kept])))
        face += kind[kept].tolist()
        photo += [k] * len(kept)
        found += score[kept].tolist()
    if not feature:
        raise ValueError("the finder found nothing at all")
    return Places(torch.cat(feature), torch.tensor(face, dtype=torch.float32), torch.tensor(photo), torch.tensor(found), real)


def fit(places, weight, bias, hold):
    """Weight [384] and bias of a logistic regression that is held to the given ones (`hold`: by how much). Faces and others count alike."""
    share = places.face.mean().clamp(0.01, 0.99)
    count = torch.where(places.face > 0, 0.5 / share, 0.5 / (1 - share))
    w, b = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    # A step of one feature is worth as much as its spread: some hardly vary.
    spread = places.feature.std(0).clamp(min=1e-3)
    optimizer = torch.optim.LBFGS([w, b], lr=1, max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        logit = places.feature @ w + b
        value = (functional.binary_cross_entropy_with_logits(logit, places.face, reduction="none") * count).mean()
        value = value + hold * ((w - weight) * spread).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return w.detach(), b.detach()


def shift_for(logit, places, rate):
    """By how much the logits [N] of the presence must fall so that on the photos with labels `rate` places a photo that are none have a score
    above 0.5. The photos need not be many: `rate` of them are a few places."""
    none = (places.face == 0) & (places.photo < places.real) & (places.found > 0.25)
    # The root of found and presence is above 0.5 where the presence is above 0.25 / found.
    least = 0.25 / places.found[none].double()
    margin = (logit[none].double() - torch.logit(least)).sort(descending=True)[0]
    allowed = int(rate * places.real)
    return float(margin[allowed]) if allowed < len(margin) else 0.0


def told_apart(logit, face):
    """Share of the others above the presence that 95 of 100 faces have."""
    if not (face > 0).any() or not (face == 0).any():
        return None
    return round(float((logit[face == 0] > torch.quantile(logit[face > 0], 0.05)).float().mean()), 4)


def pictures_of(options):
    """Photos of the training with their labels, then the pictures without a face, as `judged` takes them."""
    photos, labels = Photos(options.pack), Labels.load(options.labels)
    rows = labels.faces_of()
    for i in np.nonzero(~labels.held_out)[0][:: options.every]:
        k = np.array(rows[i], int)
        yield photos.read(i), labels.box[k].reshape(-1, 4), labels.quality[k] >= 1
    for path in files(options.pictures, PHOTO_SUFFIXES) if options.pictures else []:
        image = cv2.imread(str(path))
        if image is not None and min(image.shape[:2]) >= 32:
            yield np.ascontiguousarray(image[:, :, ::-1]), None, None


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("look", help="weights of look.train")
    parser.add_argument("--finder", required=True, help="weights of finder.train")
    parser.add_argument("--pack", required=True)
    parser.add_argument("--labels", required=True, help="refined labels")
    parser.add_argument("--every", type=int, default=1, help="only every n-th photo of the training")
    parser.add_argument("--pictures", nargs="*", default=[], help="folders with pictures without a face")
    parser.add_argument("--least", type=float, default=0.2, help="score of the finder from which on a place counts")
    parser.add_argument("--min-size", type=int, default=360, help="short side of the finder's image")
    parser.add_argument("--false", type=float, default=0.03, help="places a photo that are none and may have a score above 0.5")
    parser.add_argument("--hold", type=float, default=1e-3, help="how strongly the row is held to what it was")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    finder = checkpoint.load_half(options.finder, "finder", FinderNetwork()).eval().to(memory_format=torch.channels_last)
    look = checkpoint.load_half(options.look, "look", network.LookNetwork()).eval().to(memory_format=torch.channels_last)
    places = gather(finder, look, pictures_of(options), options.min_size, options.least)
    row = (look.head.weight[network.PRESENCE].detach(), look.head.bias[network.PRESENCE].detach())
    # What a fit to the other photos says about every fifth.
    kept = places.photo % 5 == 0
    weight, bias = fit(places.part(~kept), *row, options.hold)
    test = places.part(kept)
    figures = {
        "places": len(places.face), "faces": int(places.face.sum()),
        "others above 95 % of the faces, before": told_apart(test.feature @ row[0] + row[1], test.face),
        "after": told_apart(test.feature @ weight + bias, test.face),
    }
    weight, bias = fit(places, *row, options.hold)
    if places.real:
        shift = shift_for(places.feature @ weight + bias, places, options.false)
        figures["shift"], bias = round(shift, 3), bias - shift
    with torch.no_grad():
        look.head.weight[network.PRESENCE], look.head.bias[network.PRESENCE] = weight, bias
    information = torch.load(options.look, map_location="cpu", weights_only=True)["information"]
    checkpoint.save_half(options.out, "look", look, **information | {"presence": figures})
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
