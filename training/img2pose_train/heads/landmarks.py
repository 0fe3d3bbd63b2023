"""The 68 points on MakeHuman's base mesh: vertices chosen on pictures of the neutral head, the jaw by the reference points."""

from functools import lru_cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name("landmarks.txt")


def similarity(a, b, weights=None):
    """Scale, rotation, shift with b = scale * rotation @ a + shift, least squares."""
    w = np.ones(len(a)) if weights is None else weights
    w = w / w.sum()
    ma, mb = w @ a, w @ b
    u, s, vt = np.linalg.svd((b - mb).T @ ((a - ma) * w[:, None]))
    d = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    r = u @ d @ vt
    scale = np.trace(np.diag(s) @ d) / (w @ ((a - ma) ** 2).sum(1))
    return scale, r, mb - scale * r @ ma


@lru_cache(None)
def table():
    return np.loadtxt(TABLE, int)
