"""Train the finder on a pack: `python -m img2pose_train.finder.train --help`. It can be interrupted: see `img2pose_train.loop`."""

import argparse

from .. import checkpoint, loop
from ..clutter import Clutter
from ..look.network import LookNetwork
from ..pack import Labels, Photos
from .batches import FinderBatches
from .losses import losses
from .negatives import Negatives
from .network import FinderNetwork, normalise

WEIGHTS = {"score": 1.0, "box": 2.0, "roll": 0.7}
CLIP = 10.0


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--labels", required=True, help="refined labels")
    parser.add_argument("--body", help="weights of the close look (look.train) whose stages a new finder begins with")
    parser.add_argument("--crops", type=int, default=16, help="crops of 256 px per step")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 320, 384], help="sides of the crops, multiples of 32")
    parser.add_argument("--any-turn", type=float, default=0.3, help="share of photos that are turned by any angle")
    parser.add_argument("--fonts", nargs="+", help="folders with .ttf and .otf files: train on drawn pictures, too (clutter)")
    parser.add_argument("--backgrounds", nargs="+", default=[], help="folders with photos that show no face, for those")
    parser.add_argument("--negatives", nargs="+", default=[], help="folders with pictures without a face (finder.mine, heads.backs)")
    parser.add_argument("--empty", type=float, default=0.1, help="share of the crops that show those")
    loop.add_arguments(parser)
    options = parser.parse_args(argv)
    if options.body and options.initial:
        parser.error("--initial goes on with a finder, --body begins one: give one of them")
    return options


def save_weights(path, network, **information):
    checkpoint.save_half(path, "finder", network, **information)


def load_weights(path):
    """A network with the weights of `save_weights`."""
    return checkpoint.load_half(path, "finder", FinderNetwork())


def fresh(body):
    """A new network, with the stages of the close look in the file `body` if one is given."""
    network = FinderNetwork()
    return network.begin_with(checkpoint.load_half(body, "look", LookNetwork())) if body else network


def loss_of(network, batch):
    found, figures = losses(network(normalise(batch.images)), batch)
    loss, values = loop.weighted(found, WEIGHTS)
    return loss, values | figures | {"crops": len(batch.images)}


def main(argv=None):
    options = arguments(argv)
    clutter = Clutter.below(options.fonts, options.backgrounds) if options.fonts else None
    negatives = Negatives(options.negatives) if options.negatives else None
    data = FinderBatches(
        Photos(options.pack), Labels.load(options.labels), options.sides, options.crops, options.seed, clutter, options.any_turn,
        negatives, options.empty,
    )
    loop.train(options, "finder", lambda: fresh(options.body), data, loss_of, CLIP)


if __name__ == "__main__":
    main()
