"""Train the close look on patches: `python -m img2pose_train.look.train --help`. It can be interrupted: see `img2pose_train.loop`."""

import argparse
from dataclasses import asdict

import numpy as np

from .. import checkpoint, loop
from ..network import bfloat16
from .answer import Looker
from .losses import Weights, losses
from .network import LookNetwork
from .samples import Patches, SampleBatches

CLIP = 5.0


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--patches", nargs="+", required=True, help="caches of look.cache, without ending")
    parser.add_argument("--batch", type=int, default=128, help="crops, two of each face")
    parser.add_argument("--shares", type=float, nargs=3, default=[0.62, 0.28, 0.1], help="of photos, renders, places without a face")
    parser.add_argument("--wild", type=float, default=0.12, help="share of crops that miss their face widely")
    parser.add_argument("--seen", type=float, default=0.0, help="share of faces of which only the box is known (look.cache --seen), beside --shares")
    parser.add_argument("--off", help="by how much a finder's squares are off (OUT-off.npy of look.cache --seen): crops miss their faces so")
    parser.add_argument("--looker", help="weights whose answers say where second crops are, as at inference with two looks")
    parser.add_argument("--second-looks", type=float, default=0.4, help="with --looker: share of those second crops")
    parser.add_argument("--agreement", type=float, default=Weights.agreement, help="weight of that loss")
    parser.add_argument("--presence", type=float, default=Weights.presence, help="weight of that loss")
    loop.add_arguments(parser)
    return parser.parse_args(argv)


def save_weights(path, network, **information):
    checkpoint.save_half(path, "look", network, **information)


def load_weights(path):
    """A network with the weights of `save_weights`."""
    return checkpoint.load_half(path, "look", LookNetwork())


def main(argv=None):
    options = arguments(argv)
    looker = Looker(load_weights(options.looker)) if options.looker else None
    data = SampleBatches(
        Patches(options.patches), options.batch, options.seed, (*options.shares, options.seen), options.wild, looker=looker,
        second_looks=options.second_looks, off=np.load(options.off) if options.off else None,
    )
    weights = asdict(Weights(agreement=options.agreement, presence=options.presence))

    def loss_of(network, samples):
        with bfloat16():
            seen = network.body(samples.images)
        # Eight bits of a position are too few.
        found, figures = losses(network.answer(seen.float()), samples)
        loss, values = loop.weighted(found, weights)
        return loss, values | figures

    loop.train(options, "look", LookNetwork, data, loss_of, CLIP, crops=options.batch)


if __name__ == "__main__":
    main()
