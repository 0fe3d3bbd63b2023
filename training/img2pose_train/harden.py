"""Teach a finished network what is no face: retrain its class head, and nothing else, on kept regions.

    python -m img2pose_train.harden --help

Backbone, proposals and poses stay as they are, bit for bit. The class head learns from `regions`: drawn pictures and
details of photos away from every face are no faces; for every other region of a photo, face or not, the target
is the network's own score, so that what it knows of photos stays. Labels in its place cost average precision on
held-out photos: they know less of small faces in the background than the network does.
"""

import argparse
import json

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import checkpoint
from .regions import CLUTTER, CROP, DETAIL, PHOTO, Regions

NAMES = {PHOTO: "photo", CROP: "crop", DETAIL: "detail", CLUTTER: "clutter"}
UNLABELLED = 0.7
"""Score from which a detail of a photo is taken for a face without a label."""
HARD = 0.02
"""Score from which background counts as hard."""
MIXTURE = {"face": 0.25, "background": 0.15, "hard background": 0.15, "no face": 0.1, "hard no face": 0.35}
"""Shares of a batch. Background is what photos show between faces; no face are details and drawn pictures."""
DEVELOPMENT = 20
"""Every so many pictures, one is left out of the training to watch it by."""


class ClassHead(nn.Module):
    """The class branch of a network: flattened regions [N, C * 49] to logits [N, 2]."""

    def __init__(self, heads):
        super().__init__()
        self.head, self.predictor = heads.class_head, heads.class_predictor

    def forward(self, features):
        return self.predictor(self.head(features))


def _scores(regions):
    """What the network takes each region for, 0 to 1 [N], and which regions are of pictures without a face [N]."""
    return torch.from_numpy(regions.logits).softmax(1)[:, 1].numpy(), np.isin(regions.kind, (DETAIL, CLUTTER))


def targets(regions):
    """The score [N] that each region should have."""
    before, faceless = _scores(regions)
    unlabelled = (regions.kind == DETAIL) & (before >= UNLABELLED)
    return np.where(faceless & ~unlabelled, 0, before).astype(np.float32)


def pools(regions):
    """Which rows each part of the `MIXTURE` draws from."""
    before, faceless = _scores(regions)
    training = regions.picture % DEVELOPMENT != 0
    background, faceless = training & ~regions.is_face & ~faceless, training & faceless
    found = {
        "face": training & regions.is_face,
        "background": background, "hard background": background & (before >= HARD),
        "no face": faceless, "hard no face": faceless & (before >= HARD),
    }
    return {name: rows for name, mask in found.items() if len(rows := np.nonzero(mask)[0])}


@torch.no_grad()
def figures(branch, regions, rows):
    """Recall of faces, and of each kind of picture the share with a wrong region, at score 0.5."""
    part = [
        branch(torch.from_numpy(regions.features[rows[i : i + 2048]]).float()) for i in range(0, len(rows), 2048)
    ]
    found = (torch.cat(part).softmax(1)[:, 1] > 0.5).numpy() if part else np.zeros(0, bool)
    face, out = regions.is_face[rows], {}
    if face.any():
        out["recall"] = round(float(found[face].mean()), 4)
    for kind, name in NAMES.items():
        here = regions.kind[rows] == kind
        if here.any():
            wrong = np.unique(regions.picture[rows][here & found & ~face])
            out[f"false, {name}"] = round(len(wrong) / len(np.unique(regions.picture[rows][here])), 4)
    return out


def harden(network, regions, steps, rate, batch, seed, last_layer=False, report=print):
    """Train the network's class branch in place. `last_layer` leaves its two hidden layers alone."""
    random, branch = np.random.default_rng(seed), ClassHead(network.roi_heads).train()
    trained = list((branch.predictor if last_layer else branch).parameters())
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    target, sources = targets(regions), pools(regions)
    if "face" not in sources or len(sources) < 2:
        raise ValueError(f"the regions hold only {sorted(sources)}; faces and background are needed")
    rows = np.nonzero(regions.picture % DEVELOPMENT == 0)[0]
    report({"step": 0} | figures(branch, regions, rows))
    total = 0.0
    for step in range(1, steps + 1):
        chosen = np.concatenate([random.choice(s, max(1, round(MIXTURE[n] * batch))) for n, s in sources.items()])
        wanted = torch.from_numpy(target[chosen])
        logits = branch(torch.from_numpy(regions.features[chosen]).float())
        loss = functional.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if step % max(1, steps // 10) == 0:
            mean, total = total / max(1, steps // 10), 0.0
            report({"step": step, "loss": round(mean, 4)} | figures(branch, regions, rows))
    return network


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--initial", required=True, help="checkpoint or ONNX file that the regions were made with")
    parser.add_argument("--regions", required=True, help="folder (from img2pose_train.regions)")
    parser.add_argument("--out", required=True, help="checkpoint to write")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=1e-4, help="highest learning rate (AdamW)")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--last-layer", action="store_true", help="train the last layer of the class head only")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    network, regions = checkpoint.load(options.initial), Regions.load(options.regions)
    print(json.dumps({
        "pictures": len(np.unique(regions.picture)),
        "regions": {n: int((regions.kind == k).sum()) for k, n in NAMES.items()}, "faces": int(regions.is_face.sum()),
    }), flush=True)
    harden(
        network, regions, options.steps, options.rate, options.batch, options.seed, options.last_layer,
        lambda line: print(json.dumps(line), flush=True),
    )
    checkpoint.save(options.out, network, options=vars(options))


if __name__ == "__main__":
    main()
