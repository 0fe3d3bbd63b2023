"""Faces of a picture with both networks in PyTorch: the finder's squares, looked at closely; and faces of a video, where the close look
follows them from frame to frame. For evaluating weights."""

import numpy as np
import torch
from torchvision.ops import nms

from .detect import Faces, network_size
from .finder import network as finder_network
from .look import crops, fit, picture
from .look.answer import Looker, look_again, poses_of, ready, squares_of
from .metrics import iou

MIN_SCORE = 0.05
NMS = 0.5
"""IoU of two found boxes from which on they are the same face."""


@torch.no_grad()
def find(finder, image, size, min_score=MIN_SCORE, most=300):
    """Squares of an RGB picture [h, w, 3], their boxes [N, 4] and scores [N]. size: (height, width) the network sees."""
    height, width = size
    x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[None]).float()
    x = torch.nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
    padded = torch.full((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), finder_network.MEAN)
    padded[:, :, :height, :width] = x
    output = finder(finder_network.normalise(padded))
    logits, centre, extent, turn = finder_network.decode(output, *finder_network.cells(*padded.shape[2:]))
    score = torch.sigmoid(logits[0])
    kept = torch.nonzero(score > min_score)[:, 0]
    kept = kept[score[kept].argsort(descending=True, stable=True)[:1000]]
    score, centre, extent, turn = score[kept], centre[0, kept], extent[0, kept], turn[0, kept]
    # The box around a turned one: what overlaps in the picture.
    c, s = turn[:, 0].abs(), turn[:, 1].abs()
    half = torch.stack([c * extent[:, 0] + s * extent[:, 1], s * extent[:, 0] + c * extent[:, 1]], 1) / 2
    box = torch.cat([centre - half, centre + half], 1)
    kept = nms(box, score, NMS)[:most]
    k = np.array([image.shape[1] / width, image.shape[0] / height])
    squares = [
        crops.Square(((m + 0.5) * k - 0.5), float(e.max() * k.mean()), float(np.arctan2(t[1], t[0])))
        for m, e, t in zip(*(v[kept].double().numpy() for v in (centre, extent, turn)))
    ]
    return squares, box[kept].double().numpy() * np.tile(k, 2), score[kept].double().numpy()


HOPE = 0.5
"""What is seen at a first look for a score of at least this share of the threshold is looked at again."""


class FindAndLook:
    """Model for `evaluate`: an RGB picture to `Faces`, by falling score. The networks may be PyTorch's or `parts.Part`s. `looks`: how
    often each face is looked at, once or twice (`answer.look_again`; `mirrored`: the second time at the mirror image, too). `least`: squares that the finder gives a lower score are not looked at."""

    to_image = staticmethod(picture.to_image)

    def __init__(self, finder, look, min_side=360, looks=1, least=MIN_SCORE, mirrored=True):
        self.finder = ready(finder)
        self.looker, self.min_side, self.looks, self.least, self.mirrored = Looker(look), min_side, looks, least, mirrored

    def __call__(self, image):
        height, width = image.shape[:2]
        size = network_size(height, width, self.min_side)
        squares, _, score = find(self.finder, image, size, self.least)
        answers = self.looker(image, squares)
        if self.looks > 1 and squares:
            hope = np.sqrt(score * answers.presence) >= HOPE * MIN_SCORE
            answers = look_again(self.looker, image, squares, answers, hope, self.mirrored)
        pose, box, _ = poses_of(answers.points, width, height)
        # Both have to see a face.
        score = np.sqrt(score * answers.presence)
        box = box.clip(0, [width, height, width, height])
        kept = nms(torch.from_numpy(box), torch.from_numpy(score), NMS).numpy() if len(box) else np.zeros(0, int)
        kept = kept[score[kept] > MIN_SCORE]
        return Faces(box[kept], score[kept], pose[kept])

    def close(self):
        pass


LOST = 0.3
"""Presence below which a face that was followed is gone."""
SAME = 0.3
"""IoU of boxes from which on a found face is one that is followed already."""


class Follow:
    """Like `FindAndLook`, for the frames of one video in their order: a face is looked at where it was in the frame before, and the
    finder runs only in every `every`-th frame, for new ones."""

    def __init__(self, finder, look, min_side=360, every=10):
        self.finder = ready(finder)
        self.looker, self.min_side, self.every = Looker(look), min_side, every
        self.frame, self.squares, self.found = 0, [], np.zeros(0)

    def __call__(self, image):
        height, width = image.shape[:2]
        squares, found, fresh = self.squares, self.found, np.zeros(len(self.squares), bool)
        if self.frame % self.every == 0:
            new, _, score = find(self.finder, image, network_size(height, width, self.min_side))
            squares, found = squares + new, np.concatenate([found, score])
            fresh = np.concatenate([fresh, np.ones(len(new), bool)])
        self.frame += 1
        answers = self.looker(image, squares)
        pose, box, _ = poses_of(answers.points, width, height)
        score = np.sqrt(found * answers.presence)
        kept = []
        # Those that are followed first: the finder's box of the same face comes second, whatever its score.
        for k in np.lexsort((-score, fresh)):
            double = kept and iou(box[k], box[kept]).max() > (SAME if fresh[k] else NMS)
            if answers.presence[k] > LOST and score[k] > MIN_SCORE and not double:
                kept.append(k)
        if kept:
            solved = fit.solve(answers.points[kept])
            self.squares, self.found = squares_of(*solved[:5]), found[kept]
        else:
            self.squares, self.found = [], np.zeros(0)
        order = np.array(sorted(kept, key=lambda k: -score[k]), int)
        return Faces(box[order].clip(0, [width, height, width, height]), score[order], pose[order])

    def close(self):
        pass
