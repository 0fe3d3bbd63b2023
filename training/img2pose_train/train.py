"""Train a network on a pack: `python -m img2pose_train.train --help`.

One process uses one thread; on a CPU start as many as there are cores (`--processes`), their
gradients are averaged. A run is determined by its options and seed. It can be interrupted
(SIGTERM, Ctrl-C) and goes on when the same command is given again: with the same crops as without
the interruption, while the random choice of proposals starts anew.
The learning rate warms up, stays flat and decays to a hundredth over the last part of the
steps. `--steps` may be changed on resuming: a run that is short of time is finished early by
giving fewer.
"""

import argparse
import json
import math
import os
import signal
import socket
import time
from collections import defaultdict
from pathlib import Path

import cv2
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn
from torch.utils.data import DataLoader

from . import checkpoint
from .batches import BASE_SIDE, Batches
from .clutter import Clutter
from .compose import INGREDIENTS
from .losses import LossWeights, Sampling, training_losses
from .network import PRESETS, Network
from .pack import Labels, Photos


LEFT_OUT = (*INGREDIENTS, "hard-negatives", "points")
"""What `--without` takes."""


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True, help="folder with images.bin and labels.npz")
    parser.add_argument("--labels", required=True, help="refined labels (from img2pose_train.refine)")
    parser.add_argument("--out", required=True, help="folder for checkpoints, run state and log.jsonl")
    parser.add_argument("--widths", choices=sorted(PRESETS), default="slim")
    parser.add_argument("--initial", help="checkpoint or ONNX file to start from (its widths are used); default: random")
    parser.add_argument("--norm", choices=("frozen", "batch"), default="batch",
                        help="frozen keeps the statistics of --initial, batch learns them; default batch")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--until", type=int, help="stop after this many of the steps, to go on later (with other labels, say)")
    parser.add_argument("--decay", type=float, default=0.6, help="last share of the steps over which the rate falls")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate (AdamW)")
    parser.add_argument("--weight-decay", type=float, default=0.03)
    parser.add_argument("--warmup", type=int, default=200, help="steps")
    parser.add_argument("--average", type=float, default=0.999, help="decay of the weights' moving average")
    parser.add_argument("--crops", type=int, default=6, help=f"crops of {BASE_SIDE} px per step and process")
    parser.add_argument("--sides", type=int, nargs="+", default=[320, 416, 512], help="sides of the crops, multiples of 32")
    parser.add_argument("--fonts", nargs="+", help="folders with .ttf and .otf files: train on drawn pictures, too (clutter)")
    parser.add_argument("--backgrounds", nargs="+", default=[], help="folders with photos that show no face, for those")
    parser.add_argument("--without", nargs="+", default=[], choices=LEFT_OUT,
                        help="leave these out, to see what they bring (ablate)")
    parser.add_argument("--positives", type=int, default=Sampling.positives, help="proposals per image")
    parser.add_argument("--negatives", type=int, default=Sampling.negatives, help="proposals per image")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=250, help="steps")
    parser.add_argument("--keep-every", type=int, default=1000, help="steps between checkpoints that are kept")
    parser.add_argument("--port", type=int, help="for the processes to meet on localhost; default: a free one")
    options = parser.parse_args(argv)
    if options.initial and Path(options.initial).suffix == ".onnx" and options.norm != "frozen":
        parser.error("an ONNX file has no statistics of batch norms left: add --norm frozen")
    return options


def rate_factor(step, steps, warmup, decay):
    """Share of the learning rate at a step: linear rise, plateau, cosine fall to 0.01."""
    rise = min(1.0, (step + 1) / max(1, warmup))
    start = steps * (1 - decay)
    if step < start:
        return rise
    fall = min(1.0, (step - start) / max(1.0, steps - start))
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))


def average_gradients(network, flags):
    """Replace gradients by their mean over all processes; returns the sum of `flags` [F]."""
    parameters = list(network.parameters())
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    if not dist.is_initialized():
        return flags
    flat = torch.cat([p.grad.reshape(-1) for p in parameters] + [flags])
    dist.all_reduce(flat)
    summed = flat[-len(flags) :].clone()
    flat /= dist.get_world_size()
    for p, grad in zip(parameters, flat.split([p.numel() for p in parameters] + [len(flags)])):
        p.grad.copy_(grad.view_as(p))
    return summed


def optimizer_of(network, rate, weight_decay):
    parameters = list(network.parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ],
        lr=rate, betas=(0.9, 0.99),
    )


class Log:
    """Means over the steps since the last line, appended to log.jsonl."""

    def __init__(self, path):
        self.path, self.sums, self.since = path, defaultdict(list), time.time()

    def add(self, figures):
        for name, value in figures.items():
            self.sums[name].append(value)

    def write(self, **figures):
        now = time.time()
        line = {name: round(sum(v) / len(v), 5) for name, v in self.sums.items()}
        line |= figures | {"seconds": round(now - self.since, 1)}
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)
        self.sums, self.since = defaultdict(list), now


def _one_thread(_worker):
    torch.set_num_threads(1)


def worker(rank, options):
    """Body of one training process."""
    torch.set_num_threads(1)
    # Before the loader's process is forked: OpenCV's threads do not live on there, and ending them there would wait forever.
    cv2.setNumThreads(1)
    torch.manual_seed(1000 * options.seed + rank)
    if options.processes > 1:
        dist.init_process_group(
            "gloo", f"tcp://127.0.0.1:{options.port}", rank=rank, world_size=options.processes
        )
    out = Path(options.out)
    network = checkpoint.load(options.initial) if options.initial else Network(PRESETS[options.widths])
    average = checkpoint.MovingAverage(network, options.average)
    network = network.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(network, options.rate, options.weight_decay)
    initial = checkpoint.fingerprint(options.initial) if options.initial else None
    state, step = out / "run.pt", 0
    if state.exists():
        step = checkpoint.load_run(state, network, average, optimizer, initial)
        torch.manual_seed(1000 * options.seed + rank + 7919 * step)
    network.train()
    if options.norm == "frozen":
        network.freeze_statistics()

    clutter = Clutter.below(options.fonts, options.backgrounds) if options.fonts else None
    data = Batches(
        Photos(options.pack), Labels.load(options.labels), options.sides, options.crops,
        options.seed, rank, clutter, options.without,
    )
    last = min(options.steps, options.until or options.steps)
    loader = DataLoader(
        data, batch_size=None, sampler=range(step, last), num_workers=1, prefetch_factor=4,
        worker_init_fn=_one_thread, multiprocessing_context="fork",
    )
    stop = torch.zeros(1)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.fill_(1))
    log = Log(out / "log.jsonl")
    weights = LossWeights(points=0.0) if "points" in options.without else LossWeights()
    hard = 0.0 if "hard-negatives" in options.without else Sampling.hard
    sampling = Sampling(options.positives, options.negatives, hard)

    for batch in loader:
        factor = rate_factor(step, options.steps, options.warmup, options.decay)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * factor
        losses, figures = training_losses(network, batch, sampling)
        optimizer.zero_grad(set_to_none=True)
        sum(getattr(weights, name) * loss for name, loss in losses.items()).backward()
        stopping = average_gradients(network, stop)
        norm = nn.utils.clip_grad_norm_(network.parameters(), 15.0)
        if torch.isfinite(norm):
            optimizer.step()
            average.update(network)
        step += 1
        if rank == 0:
            log.add({n: float(v.detach()) for n, v in losses.items()} | figures)
            log.add({"gradient": float(norm), "crops": len(batch.images) * options.processes})
            if step % 50 == 0 or stopping or step == last:
                log.write(step=step, rate=options.rate * factor)
            if step % options.save_every == 0 or stopping or step == last:
                checkpoint.save_run(state, network, average, optimizer, step, initial)
                checkpoint.save(out / "average.pth", average.network, steps=step, options=vars(options))
            if step % options.keep_every == 0:
                checkpoint.save(out / f"average-{step}.pth", average.network, steps=step)
        if stopping:
            break
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def free_port():
    """A port of localhost that nobody listens at: trainings can run side by side."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main():
    options = arguments()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    if options.processes == 1:
        worker(0, options)
    else:
        options.port = options.port or free_port()
        context = multiprocessing.spawn(worker, (options,), options.processes, join=False)
        # The processes finish the step they are in and save; this one only waits for them.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: [os.kill(pid, signal.SIGTERM) for pid in context.pids()])
        while not context.join():
            pass


if __name__ == "__main__":
    main()
