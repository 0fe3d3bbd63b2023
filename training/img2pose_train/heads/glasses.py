"""Drawn glasses: tubes around the eyes, a bridge and temples; sometimes dark lenses. Own geometry, no asset."""

import numpy as np

from . import landmarks
from .people import Surface


def tube(path, radius, sides=6, closed=False):
    path = np.asarray(path, float)
    n = len(path)
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead, [0.3, 0.2, 1.0])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(ahead, side)
    a = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    v = path[:, None] + radius * (np.cos(a)[None, :, None] * side[:, None] + np.sin(a)[None, :, None] * up[:, None])
    faces = []
    for i in range(n if closed else n - 1):
        for k in range(sides):
            j, m = (i + 1) % n, (k + 1) % sides
            faces.append([i * sides + k, j * sides + k, j * sides + m, i * sides + m])
    return v.reshape(-1, 3), faces


def glasses(v, rng):
    """Vertices (mesh frame, of the morphed head v) and polygons of frames and lenses."""
    p = v[landmarks.table()]
    pieces, lenses = [], []
    width, height = rng.uniform(0.26, 0.32), rng.uniform(0.19, 0.27)
    power, thick = rng.uniform(2, 4), rng.uniform(0.008, 0.022)
    drop = rng.uniform(0.0, 0.06)
    rims = []
    for side in (1, -1):
        eye = p[42:48] if side > 0 else p[36:42]
        c = eye.mean(0) + [0.02 * side, -drop, 0.19]
        a = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        x = np.sign(np.cos(a)) * np.abs(np.cos(a)) ** (2 / power) * width
        y = np.sign(np.sin(a)) * np.abs(np.sin(a)) ** (2 / power) * height
        z = -0.22 * (np.abs(c[0] + x) - 0.1) ** 2
        rims.append(c + np.stack([x, y, z], 1))
        pieces.append(tube(rims[-1], thick, closed=True))
        lenses.append(rims[-1])
    inner = [r[np.argmin(np.abs(r[:, 0]) + np.abs(r[:, 1] - r[:, 1].mean() - 0.05))] for r in rims]
    bow = np.linspace(inner[0], inner[1], 7)
    bow[:, 1] += 0.04 * np.sin(np.linspace(0, np.pi, 7))
    bow[:, 2] += 0.03 * np.sin(np.linspace(0, np.pi, 7))
    pieces.append(tube(bow, thick))
    for side, r in zip((1, -1), rims):
        start = r[np.argmax(r[:, 0] * side)] + [0, 0.05, 0]
        ear = v[landmarks.table()[16 if side > 0 else 0]]
        wide = side * max(abs(ear[0]) + 0.06, abs(start[0]) + 0.03)
        end = np.array([wide, start[1] + 0.02, ear[2] - 0.15])
        corner = np.array([wide, start[1], start[2] - 0.12])
        pieces.append(tube(np.array([start, corner, (corner + end) / 2, end, end + [0, -0.22, -0.18]]), thick * 1.2))
    verts, faces, first = [], [], 0
    for pv, pf in pieces:
        verts.append(pv)
        faces += [[k + first for k in f] for f in pf]
        first += len(pv)
    lens_faces = []
    for r in lenses:
        verts.append(np.vstack([r, r.mean(0)]))
        n = len(r)
        lens_faces += [[first + i, first + (i + 1) % n, first + n] for i in range(n)]
        first += n + 1
    as_pairs = lambda fs: [[(k, 0) for k in f] for f in fs]
    return np.vstack(verts), Surface(as_pairs(faces), np.zeros((1, 2))), Surface(as_pairs(lens_faces), np.zeros((1, 2)))
