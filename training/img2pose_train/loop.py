"""The loop that trains the small networks (finder, close look), resumable to the step.

A run is determined by its options and seed; it can be interrupted (SIGTERM, Ctrl-C) and goes on when the same command is given
again, with the same crops as without the interruption. Rate and schedule are those of `img2pose_train.train`; `--steps` may be
changed on resuming.
"""

import json
import signal
from pathlib import Path

import cv2
import torch
from torch import nn
from torch.utils.data import DataLoader

from . import checkpoint
from .train import Log, optimizer_of, rate_factor

LOG_EVERY = 50
"""Steps between lines of log.jsonl."""


def add_arguments(parser):
    """The options of every run."""
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--initial", help="weights to start from (.pth of this program)")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--until", type=int, help="stop after this many of the steps, to go on later")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate (AdamW)")
    parser.add_argument("--weight-decay", type=float, default=0.03)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--decay", type=float, default=0.7, help="last share of the steps over which the rate falls")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the weights' moving average")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=100, help="steps")
    parser.add_argument("--keep-every", type=int, default=2000, help="steps between weights that are kept")


def _one_thread(_worker):
    # Ctrl-C reaches this process, too; the training ends it when it has saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def batches(data, first, last):
    """The batches `first` to `last` - 1 of a dataset, made ahead by a process of their own."""
    return DataLoader(
        data, batch_size=None, sampler=range(first, last), num_workers=1, prefetch_factor=4,
        worker_init_fn=_one_thread, multiprocessing_context="fork",
    )


def train(options, kind, fresh, data, loss_of, clip, crops=None):
    """Train as the options say; what comes out is `average.pth`, log.jsonl and run.pt in `options.out`.

    kind: name of the network in weight files (`checkpoint.save_half`); fresh(): an untrained one, `options.initial` is loaded into it.
    data: dataset whose item n is batch n. loss_of(network, batch): the loss, and figures for the log. clip: largest norm of the
    gradient. crops: of a step, where all steps have as many (stored beside the weights)."""
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    # Before the loader's process is forked: OpenCV's threads do not live on there, and ending them there would wait forever.
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    network = fresh()
    if options.initial:
        checkpoint.load_half(options.initial, kind, network)
    average = checkpoint.MovingAverage(network, options.average)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = optimizer_of(network, options.rate, options.weight_decay)
    initial = checkpoint.fingerprint(options.initial) if options.initial else None
    state, step = options.out / "run.pt", 0
    if state.exists():
        step = checkpoint.load_run(state, network, average, optimizer, initial)
    (options.out / "options.json").write_text(json.dumps(vars(options), default=str, indent=1) + "\n")
    last = min(options.steps, options.until or options.steps)
    stop = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.append(True))

    def save(name):
        seen = {"crops": step * crops} if crops else {}
        checkpoint.save_half(options.out / name, kind, average.network, steps=step, **seen)

    log = Log(options.out / "log.jsonl")
    for batch in batches(data, step, last):
        factor = rate_factor(step, options.steps, options.warmup, options.decay)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * factor
        # What is dropped depends on the step alone, so that a run that was interrupted is the same run.
        torch.manual_seed(1_000_003 * options.seed + step)
        loss, figures = loss_of(network, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), clip)
        if torch.isfinite(norm):
            optimizer.step()
            average.update(network)
        step += 1
        log.add(figures | {"gradient": float(norm)})
        done = stop or step == last
        if step % LOG_EVERY == 0 or done:
            log.write(step=step, rate=options.rate * factor)
        if step % options.save_every == 0 or done:
            checkpoint.save_run(state, network, average, optimizer, step, initial)
            save("average.pth")
        if step % options.keep_every == 0:
            save(f"average-{step}.pth")
        if stop:
            break


def weighted(losses, weights):
    """Sum of the losses by name times their weights, and their values for the log."""
    return sum(weights[name] * loss for name, loss in losses.items()), {name: float(v.detach()) for name, v in losses.items()}
