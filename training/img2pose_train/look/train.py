"""Train the close look on patches: `python -m img2pose_train.look.train --help`.

A run is determined by its options and seed; it can be interrupted (SIGTERM, Ctrl-C) and goes on when the same command is
given again, with the same crops as without the interruption. Rate and schedule are those of `img2pose_train.train`; `--steps`
may be changed on resuming.
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
from ..train import Log, optimizer_of, rate_factor
from .answer import Looker
from .losses import Weights, losses
from .network import LookNetwork
from .samples import Patches, SampleBatches


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--patches", nargs="+", required=True, help="caches of look.cache, without ending")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--initial", help="weights to start from (.pth of this program)")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--until", type=int, help="stop after this many of the steps, to go on later")
    parser.add_argument("--batch", type=int, default=128, help="crops, two of each face")
    parser.add_argument("--shares", type=float, nargs=3, default=[0.62, 0.28, 0.1], help="of photos, renders, places without a face")
    parser.add_argument("--wild", type=float, default=0.12, help="share of crops that miss their face widely")
    parser.add_argument("--looker", help="weights whose answers say where second crops are, as at inference with two looks")
    parser.add_argument("--second-looks", type=float, default=0.4, help="with --looker: share of those second crops")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate (AdamW)")
    parser.add_argument("--weight-decay", type=float, default=0.03)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--decay", type=float, default=0.7, help="last share of the steps over which the rate falls")
    parser.add_argument("--average", type=float, default=0.998)
    parser.add_argument("--agreement", type=float, default=Weights.agreement, help="weight of that loss")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=100, help="steps")
    parser.add_argument("--keep-every", type=int, default=2000, help="steps between weights that are kept")
    return parser.parse_args(argv)


def save_weights(path, network, **information):
    checkpoint.save_half(path, "look", network, **information)


def load_weights(path):
    """A network with the weights of `save_weights`."""
    return checkpoint.load_half(path, "look", LookNetwork())


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
    network = load_weights(options.initial) if options.initial else LookNetwork()
    average = checkpoint.MovingAverage(network, options.average)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = optimizer_of(network, options.rate, options.weight_decay)
    initial = checkpoint.fingerprint(options.initial) if options.initial else None
    state, step = options.out / "run.pt", 0
    if state.exists():
        step = checkpoint.load_run(state, network, average, optimizer, initial)
    (options.out / "options.json").write_text(json.dumps(vars(options), default=str, indent=1) + "\n")
    looker = Looker(load_weights(options.looker)) if options.looker else None
    data = SampleBatches(
        Patches(options.patches), options.batch, options.seed, options.shares, options.wild, looker=looker, second_looks=options.second_looks
    )
    last = min(options.steps, options.until or options.steps)
    loader = DataLoader(
        data, batch_size=None, sampler=range(step, last), num_workers=1, prefetch_factor=4,
        worker_init_fn=_one_thread, multiprocessing_context="fork",
    )
    stop = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.append(True))
    log, weights = Log(options.out / "log.jsonl"), Weights(agreement=options.agreement)
    for samples in loader:
        factor = rate_factor(step, options.steps, options.warmup, options.decay)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * factor
        # What is dropped depends on the step alone, so that a run that was interrupted is the same run.
        torch.manual_seed(1_000_003 * options.seed + step)
        found, figures = losses(network(samples.images), samples)
        optimizer.zero_grad(set_to_none=True)
        sum(getattr(weights, name) * loss for name, loss in found.items()).backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        if torch.isfinite(norm):
            optimizer.step()
            average.update(network)
        step += 1
        log.add({name: float(v.detach()) for name, v in found.items()} | figures | {"gradient": float(norm)})
        done = stop or step == last
        if step % 50 == 0 or done:
            log.write(step=step, rate=options.rate * factor)
        if step % options.save_every == 0 or done:
            checkpoint.save_run(state, network, average, optimizer, step, initial)
            save_weights(options.out / "average.pth", average.network, steps=step, crops=step * options.batch)
        if step % options.keep_every == 0:
            save_weights(options.out / f"average-{step}.pth", average.network, steps=step, crops=step * options.batch)
        if stop:
            break


if __name__ == "__main__":
    main()
