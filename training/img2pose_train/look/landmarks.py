"""Files of landmarks: what `look.relabel` writes and `look.cache` reads."""

import numpy as np

from .. import geometry
from . import fit

STEPS = 250
"""Steps of a unit of the reference points in which landmarks are stored, as distances from their fit: 0.1 pixels on a face of 50."""


def packed(points):
    """Columns that stand for landmarks [N, 68, 2] in a quarter of the space: their fit, and what is left over, in 8 bits."""
    rotation, origin, scale, flatness, lean, _ = fit.solve(points)
    left = (points - fit.project(rotation, origin, scale, flatness, lean)) / scale[:, None, None]
    single = {"origin": origin, "scale": scale, "flatness": flatness, "lean": lean, "rvec": geometry.rotation_vector(rotation)}
    return {name: values.astype(np.float32) for name, values in single.items()} | {
        "left": np.round(left * STEPS).clip(-127, 127).astype(np.int8)
    }


def load(path):
    """row [N] of the pack, points [N, 68, 2] and spread [N] of a file of `look.relabel`."""
    z = {name: values.astype(float) if values.dtype == np.float32 else values for name, values in np.load(path).items()}
    seen = fit.project(geometry.rotation_matrix(z["rvec"]), z["origin"], z["scale"], z["flatness"], z["lean"])
    return {"row": z["row"], "points": seen + z["left"] / STEPS * z["scale"][:, None, None], "spread": z["spread"]}
