"""A person as parts to draw, in the camera's frame."""

from functools import lru_cache

import numpy as np

from . import assets, people
from .people import FLIP, Surface
from .render import Part

@lru_cache(None)
def body_surface():
    """The skin's surface."""
    _, uv, groups, _ = people.base()
    return Surface(groups["body"], uv)


def person(weights, look, face=None, neck=np.eye(3), gaze=(0, 0)):
    """Rest and posed vertices in the mesh frame, and the proxies. neck: head against chest, in the mesh frame."""
    rest = people.morph(weights | (face or {}))
    transforms = people.bones(rest, neck)
    posed = people.skin(rest, people.rig()[0], transforms)
    items = []

    def add(path, **how):
        p = people.proxy(path)
        v = p.fit(rest)
        if how.pop("gaze", False):
            for side in (1, -1):
                sel = v[:, 0] * side > 0
                c = (v[sel].min(0) + v[sel].max(0)) / 2
                a, b = np.radians(gaze)
                r = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]) @ \
                    np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
                v[sel] = (v[sel] - c) @ r.T + c
        w = np.einsum("nk,nkj->nj", p.weight, people.rig()[0][p.index])
        items.append((p, people.skin(v, w / w.sum(1, keepdims=True), transforms), how))

    add("eyes/high-poly/high-poly.mhclo", kind="eyes", gaze=True)
    add(f"eyebrows/{look['brows']}/{look['brows']}.mhclo", kind="hair")
    add(f"eyelashes/{look['lashes']}/{look['lashes']}.mhclo", kind="lashes")
    add("teeth/teeth_base/teeth_base.mhclo", kind="teeth")
    add("tongue/tongue01/tongue01.mhclo", kind="teeth")
    if look["clothes"]:
        add(f"clothes/{look['clothes']}/{look['clothes']}.mhclo", kind="cloth")
    if look["hair"]:
        add(f"hair/{look['hair']}/{look['hair']}.mhclo", kind="hair")
    if look.get("hat"):
        add(f"clothes/{look['hat']}/{look['hat']}.mhclo", kind="hat")
    return rest, posed, items


def parts(look, posed, items, rotation, translation, scale, middle, lowest=None):
    """Parts in the camera's frame: x -> rotation @ FLIP @ (x - middle) * scale + translation."""
    def move(v):
        return (v - middle) @ (rotation @ FLIP).T * scale + translation

    lowest = posed[:, 1].max() - 8.0 if lowest is None else lowest
    skin_path = assets.data() / "skins" / look["skin"]
    mats = sorted(skin_path.glob("*.mhmat"))
    albedo = people.texture(people.material_texture(mats[0]))
    keep = posed[:, 1] > lowest
    for p, _, how in items:
        if how["kind"] == "cloth" and p.deleted:
            keep[p.deleted] = False
    out = [Part(body_surface(), move(posed), albedo, look["tint"], spec=0.45, gloss=18, wrap=0.35, cut=0.1, keep=keep, blur=3)]
    for p, v, how in items:
        kind = how["kind"]
        path = people.material_texture(p.material)
        if kind == "eyes":
            path = str(assets.data() / "eyes/materials" / f"{look['eyes']}_eye.png")
        image = people.texture(path)
        keep = v[:, 1] > lowest
        if kind == "hair":
            flat = grey(path)
            out.append(Part(p.surface, move(v), flat, look["hair colour"], spec=0.5, gloss=14, cut=0.3, hair=1, keep=keep, blur=2))
        elif kind == "lashes":
            out.append(Part(p.surface, move(v), grey(path), look["hair colour"] * 0.5, spec=0.0, cut=0.3, hair=1, keep=keep))
        elif kind == "eyes":
            out.append(Part(p.surface, move(v), image, np.full(3, 0.85), spec=1.2, gloss=180, wrap=0.1, cut=0.4, keep=keep))
        elif kind == "teeth":
            out.append(Part(p.surface, move(v), image, np.full(3, 0.75), spec=0.5, gloss=60, wrap=0.1, cut=0.4, keep=keep))
        else:
            out.append(Part(p.surface, move(v), image, look["cloth tint"], spec=0.08, gloss=8, cut=0.4, keep=keep, hair=3, blur=1))
    return out


@lru_cache(64)
def grey(path):
    """A hair texture without its colour, of one brightness where it is opaque."""
    t = people.texture(path).copy()
    y = (t[:, :, :3] ** 2.2) @ np.array([0.3, 0.6, 0.1], np.float32)
    mean = (y * t[:, :, 3]).sum() / max(t[:, :, 3].sum(), 1e-6)
    y = np.clip(0.45 * y / max(mean, 1e-4), 0, 1) ** (1 / 2.2)
    t[:, :, :3] = y[:, :, None]
    return t
