"""Train the close look on patches: `python -m img2pose_train.look.train --help`. It can be interrupted: see `img2pose_train.loop`."""

import argparse
from dataclasses import asdict

from .. import checkpoint, loop
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
        Patches(options.patches), options.batch, options.seed, options.shares, options.wild, looker=looker, second_looks=options.second_looks
    )
    weights = asdict(Weights(agreement=options.agreement, presence=options.presence))

    def loss_of(network, samples):
        found, figures = losses(network(samples.images), samples)
        loss, values = loop.weighted(found, weights)
        return loss, values | figures

    loop.train(options, "look", LookNetwork, data, loss_of, CLIP, crops=options.batch)


if __name__ == "__main__":
    main()
