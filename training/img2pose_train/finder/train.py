"""Train the finder on a pack: `python -m img2pose_train.finder.train --help`.

A run is determined by its options and seed; it can be interrupted (SIGTERM, Ctrl-C) and goes on when the same command is
given again, with the same crops as without the interruption. Rate and schedule are those of `img2pose_train.train`.
"""

import argparse
import json
import signal
from pathlib import Path

import cv2
import torch
from torch import nn
from torch.utils.data import DataLoader

from .. import checkpoint
from ..clutter import Clutter
from ..pack import Labels, Photos
from ..train import Log, optimizer_of, rate_factor
from .batches import FinderBatches
from .losses import losses
from .negatives import Negatives
from .network import FinderNetwork, normalise

WEIGHTS = {"score": 1.0, "box": 2.0, "roll": 0.5}


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--labels", required=True, help="refined labels")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--initial", help="weights to start from (.pth of this program)")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--until", type=int, help="stop after this many of the steps, to go on later")
    parser.add_argument("--crops", type=int, default=16, help="crops of 256 px per step")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 320, 384], help="sides of the crops, multiples of 32")
    parser.add_argument("--any-turn", type=float, default=0.3, help="share of photos that are turned by any angle")
    parser.add_argument("--fonts", nargs="+", help="folders with .ttf and .otf files: train on drawn pictures, too (clutter)")
    parser.add_argument("--backgrounds", nargs="+", default=[], help="folders with photos that show no face, for those")
    parser.add_argument("--negatives", nargs="+", default=[], help="folders with pictures without a face (finder.mine, heads.backs)")
    parser.add_argument("--empty", type=float, default=0.1, help="share of the crops that show those")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate (AdamW)")
    parser.add_argument("--weight-decay", type=float, default=0.03)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--decay", type=float, default=0.7, help="last share of the steps over which the rate falls")
    parser.add_argument("--average", type=float, default=0.998)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=100, help="steps")
    parser.add_argument("--keep-every", type=int, default=2000, help="steps between weights that are kept")
    return parser.parse_args(argv)


def save_weights(path, network, **information):
    checkpoint.save_half(path, "finder", network, **information)


def load_weights(path):
    """A network with the weights of `save_weights`."""
    return checkpoint.load_half(path, "finder", FinderNetwork())


def _one_thread(_worker):
    # Ctrl-C reaches this process, too; the training ends it when it has saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def main(argv=None):
    options = arguments(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    # Before the loader's process is forked: OpenCV's threads do not live on there, and ending them there would wait forever.
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    network = load_weights(options.initial) if options.initial else FinderNetwork()
    average = checkpoint.MovingAverage(network, options.average)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = optimizer_of(network, options.rate, options.weight_decay)
    initial = checkpoint.fingerprint(options.initial) if options.initial else None
    state, step = options.out / "run.pt", 0
    if state.exists():
        step = checkpoint.load_run(state, network, average, optimizer, initial)
    (options.out / "options.json").write_text(json.dumps(vars(options), default=str, indent=1) + "\n")
    clutter = Clutter.below(options.fonts, options.backgrounds) if options.fonts else None
    negatives = Negatives(options.negatives) if options.negatives else None
    data = FinderBatches(
        Photos(options.pack), Labels.load(options.labels), options.sides, options.crops, options.seed, clutter, options.any_turn,
        negatives, options.empty,
    )
    last = min(options.steps, options.until or options.steps)
    loader = DataLoader(
        data, batch_size=None, sampler=range(step, last), num_workers=1, prefetch_factor=4,
        worker_init_fn=_one_thread, multiprocessing_context="fork",
    )
    stop = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.append(True))
    log = Log(options.out / "log.jsonl")
    for batch in loader:
        factor = rate_factor(step, options.steps, options.warmup, options.decay)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * factor
        found, figures = losses(network(normalise(batch.images)), batch)
        optimizer.zero_grad(set_to_none=True)
        sum(WEIGHTS[name] * loss for name, loss in found.items()).backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        if torch.isfinite(norm):
            optimizer.step()
            average.update(network)
        step += 1
        log.add({name: float(v.detach()) for name, v in found.items()} | figures | {"gradient": float(norm), "crops": len(batch.images)})
        done = stop or step == last
        if step % 50 == 0 or done:
            log.write(step=step, rate=options.rate * factor)
        if step % options.save_every == 0 or done:
            checkpoint.save_run(state, network, average, optimizer, step, initial)
            save_weights(options.out / "average.pth", average.network, steps=step)
        if step % options.keep_every == 0:
            save_weights(options.out / f"average-{step}.pth", average.network, steps=step)
        if stop:
            break


if __name__ == "__main__":
    main()
