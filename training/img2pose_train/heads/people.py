"""Heads from MakeHuman's data (base mesh, targets, skins, hair, clothes): shape, expression, pose of the neck.

Reads the data files directly; nothing of MakeHuman's code is used. Mesh frame: x to the person's left, y up, z out of the face, decimetres.
Camera frame (that of img2pose): x right, y down, z into the scene: diag(1, -1, -1) times the mesh frame.
"""

import json
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from . import assets

FLIP = np.diag([1.0, -1.0, -1.0])


def read_obj(path):
    """Vertices, texture coordinates, and polygons {group: [[(v, vt), ...]]} of a Wavefront file."""
    v, vt, groups, name = [], [], {}, ""
    for line in open(path, encoding="utf-8", errors="replace"):
        p = line.split()
        if not p:
            continue
        if p[0] == "v":
            v.append([float(a) for a in p[1:4]])
        elif p[0] == "vt":
            vt.append([float(a) for a in p[1:3]])
        elif p[0] == "g":
            name = p[1] if len(p) > 1 else ""
        elif p[0] == "f":
            corners = [(c.split("/") + ["", ""])[:2] for c in p[1:]]
            groups.setdefault(name, []).append([(int(a) - 1, int(b) - 1 if b else -1) for a, b in corners])
    return np.array(v), np.array(vt) if vt else np.zeros((1, 2)), groups


class Surface:
    """Triangles with one row per (vertex, texture coordinate) pair."""

    def __init__(self, polygons, uv):
        pairs, tris = {}, []
        for polygon in polygons:
            ids = [pairs.setdefault(c, len(pairs)) for c in polygon]
            tris += [(ids[0], ids[i], ids[i + 1]) for i in range(1, len(ids) - 1)]
        keys = np.array(list(pairs), int).reshape(-1, 2)
        self.vertex, self.triangles = keys[:, 0], np.array(tris, np.int32)
        self.uv = uv[np.maximum(keys[:, 1], 0)]

    def normals(self, v):
        """Smooth normals of all vertices v (not of the rows)."""
        n = np.zeros_like(v)
        a, b, c = (self.vertex[self.triangles[:, k]] for k in range(3))
        f = np.cross(v[b] - v[a], v[c] - v[a])
        for k in (a, b, c):
            np.add.at(n, k, f)
        return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)


@lru_cache(None)
def base():
    v, uv, groups = read_obj(assets.data() / "3dobjs/base.obj")
    joint = {k[6:]: np.unique([c[0] for p in polys for c in p]) for k, polys in groups.items() if k.startswith("joint-")}
    return v, uv, groups, joint


@lru_cache(None)
def target(name):
    rows = [line.split() for line in open(assets.data() / "targets" / f"{name}.target", errors="replace") if line[:1].isdigit()]
    return np.array([int(r[0]) for r in rows]), np.array([[float(a) for a in r[1:4]] for r in rows]).reshape(-1, 3)


def morph(weights):
    v = base()[0].copy()
    for name, w in weights.items():
        if w:
            i, d = target(name)
            if len(i):
                v[i] += w * d
    return v


class Proxy:
    """Hair, eyes, clothes...: a mesh whose vertices hang on three vertices each of the base mesh."""

    def __init__(self, path):
        path = Path(path)
        self.scale, rows, self.deleted, mode, obj, self.material = {}, [], [], None, None, None
        for line in open(path, encoding="utf-8", errors="replace"):
            p = line.split()
            if not p or p[0][0] == "#":
                continue
            if p[0] == "obj_file":
                obj = p[1]
            elif p[0] == "material":
                self.material = path.parent / p[1]
            elif p[0] in ("x_scale", "y_scale", "z_scale"):
                self.scale["xyz".index(p[0][0])] = (int(p[1]), int(p[2]), float(p[3]))
            elif p[0] == "verts":
                mode = "verts"
            elif p[0] == "delete_verts":
                mode = "delete"
            elif mode == "verts" and p[0].lstrip("-").isdigit():
                rows.append([float(a) for a in p])
            elif mode == "delete" and (p[0].isdigit() or p[0] == "-"):
                k = 0
                while k < len(p):
                    if k + 2 < len(p) and p[k + 1] == "-":
                        self.deleted += range(int(p[k]), int(p[k + 2]) + 1)
                        k += 3
                    else:
                        self.deleted.append(int(p[k]))
                        k += 1
        n = len(rows)
        self.index, self.weight, self.offset = np.zeros((n, 3), int), np.zeros((n, 3)), np.zeros((n, 3))
        for k, r in enumerate(rows):
            if len(r) == 1:
                self.index[k], self.weight[k] = int(r[0]), (1, 0, 0)
            else:
                self.index[k], self.weight[k] = [int(a) for a in r[:3]], r[3:6]
                if len(r) >= 9:
                    self.offset[k] = r[6:9]
        _, uv, groups = read_obj(path.parent / obj)
        self.surface = Surface([p for g in groups.values() for p in g], uv)

    def fit(self, v):
        scale = np.ones(3)
        for axis, (a, b, d) in self.scale.items():
            scale[axis] = abs(v[a, axis] - v[b, axis]) / d
        return np.einsum("nk,nkj->nj", self.weight, v[self.index]) + self.offset * scale


@lru_cache(None)
def proxy(path):
    return Proxy(assets.data() / path)


@lru_cache(None)
def rig():
    """Weights [V, 4] of neck01, neck02, neck03 and the head with everything on it, and the joints' vertices."""
    s, b = json.load(open(assets.data() / "rigs/default.mhskel")), None
    b = s["bones"]
    w = json.load(open(assets.data() / "rigs/default_weights.mhw"))["weights"]
    out = np.zeros((len(base()[0]), 5))

    def place(name):
        while name:
            if name in ("head", "neck03", "neck02", "neck01"):
                return {"neck01": 1, "neck02": 2, "neck03": 3, "head": 4}[name]
            name = b[name]["parent"]
        return 0

    for name, rows in w.items():
        k = place(name) if name in b else 0
        for i, x in rows:
            out[i, k] += x
    out /= np.maximum(out.sum(1, keepdims=True), 1e-9)
    return out, [s["joints"][b[n]["head"]] for n in ("neck01", "neck02", "neck03", "head")]


def slerp(rotation, share):
    return cv2.Rodrigues(cv2.Rodrigues(rotation)[0] * share)[0]


def bones(v, rotation):
    """Transforms (A [5, 3, 3], b [5, 3]) of the neck's bones when the head turns by `rotation` against the chest."""
    joints = [v[j].mean(0) for j in rig()[1]]
    part, a, b = slerp(rotation, 0.25), [np.eye(3)], [np.zeros(3)]
    for j in joints:
        a.append(a[-1] @ part)
        b.append(a[-2] @ j + b[-1] - a[-1] @ j)
    return np.array(a), np.array(b)


def skin(points, weights, transforms):
    a, b = transforms
    return np.einsum("nk,nkj->nj", weights, np.einsum("kij,nj->nki", a, points) + b)


# ---------------------------------------------------------------- identities

AGES = ("baby", "child", "young", "old")
FINE = ("head", "nose", "mouth", "eyes", "chin", "cheek", "ears", "forehead", "neck", "eyebrows")
PAIRS = (("-decr", "-incr"), ("-in", "-out"), ("-down", "-up"), ("-backward", "-forward"), ("-concave", "-convex"),
         ("-compress", "-uncompress"), ("-min", "-max"))


@lru_cache(None)
def fine_targets():
    """[(negative or None, positive)] of the face's detail targets; left and right ones are kept together."""
    names = {f"{d}/{p.stem}" for d in FINE for p in (assets.data() / "targets" / d).glob("*.target")}
    done, out = set(), []
    for n in sorted(names):
        if n in done:
            continue
        for a, b in PAIRS:
            if n.endswith(a) and n[: -len(a)] + b in names:
                out.append((n, n[: -len(a)] + b))
                done |= {n, n[: -len(a)] + b}
                break
        else:
            if not any(n.endswith(b) for _, b in PAIRS):
                out.append((None, n))
            elif not any(n.endswith(b) and n[: -len(b)] + a in names for a, b in PAIRS):
                out.append((None, n))
    return out


def mirror_name(n):
    d, s = n.split("/")
    return f"{d}/r{s[1:]}" if s.startswith("l-") else None


@lru_cache(None)
def skins():
    """Names of the skins whose picture is there."""
    found = []
    for folder in sorted((assets.data() / "skins").iterdir()):
        materials = sorted(folder.glob("*.mhmat"))
        if materials and "special" not in folder.name and "toon" not in folder.name and present(material_texture(materials[0])):
            found.append(folder.name)
    return found


@lru_cache(None)
def hairs():
    """Names of the hair styles whose picture is there."""
    found = sorted(p.name for p in (assets.data() / "hair").iterdir() if p.is_dir())
    return [n for n in found if present(material_texture(assets.data() / "hair" / n / f"{n}.mhmat"))]


def choose_skin(rng, period, light, gender):
    """The skin nearest to what is wanted among those that are there, and a tint [3] that makes up for another colour."""
    def distance(name):
        return 4 * (light not in name) + 2 * (gender not in name.split("_")[2].rstrip("2")) + (not name.startswith(period)) + 0.5 * rng.random()

    best = min(skins(), key=distance)
    dark = np.array([0.45, 0.36, 0.32]) if light == "african" and "african" not in best else np.ones(3)
    return best, dark


def identity(rng, adult=None):
    """Weights of targets for a random person, and what the person looks like."""
    gender = rng.choice(["male", "female"])
    race = rng.dirichlet([0.35] * 3)
    age = rng.choice(["child", "young", "old", "mid"], p=[0.08, 0.52, 0.12, 0.28]) if adult is None else adult
    ages = {"child": {"child": 0.6, "young": 0.4}, "young": {"young": 1.0}, "old": {"young": 0.2, "old": 0.8},
            "mid": {"young": 0.6, "old": 0.4}}[age]
    g = rng.beta(0.6, 0.15)
    genders = {gender: g * 0.5 + 0.5, "female" if gender == "male" else "male": 0.5 - g * 0.5}
    fat, muscle = rng.normal(0, 0.5), rng.normal(0, 0.4)
    weights = {}
    for ge, wg in genders.items():
        for ag, wa in ages.items():
            for r, wr in zip(("african", "asian", "caucasian"), race):
                weights[f"macrodetails/{r}-{ge}-{ag}"] = wg * wa * wr
            wf = {"minweight": max(0, -fat), "maxweight": max(0, fat)}
            wm = {"minmuscle": max(0, -muscle), "maxmuscle": max(0, muscle)}
            wf = {k: min(x, 1) for k, x in wf.items()}
            wm = {k: min(x, 1) for k, x in wm.items()}
            wf["averageweight"], wm["averagemuscle"] = 1 - sum(wf.values()), 1 - sum(wm.values())
            for a, x in wm.items():
                for b, y in wf.items():
                    if x * y > 0:
                        weights[f"macrodetails/universal-{ge}-{ag}-{a}-{b}"] = wg * wa * x * y
    for low, high in fine_targets():
        head = (high or low).split("/")[1]
        if head.startswith("r-") or "trans-in" in head or "trans-out" in head:
            continue
        if low is None:
            if rng.random() < 0.25:
                w = abs(rng.normal(0, 0.22))
            else:
                continue
            chosen = high
        else:
            w = rng.normal(0, 0.32)
            chosen, w = (high, w) if w > 0 else (low, -w)
        w = min(w, 0.9)
        if any(s in chosen for s in ("ears/", "eye-height", "eye-scale", "eye-size")):
            w *= 0.5
        weights[chosen] = w
        if mirror_name(chosen):
            weights[mirror_name(chosen)] = w
    dark = race[0] > 0.5
    light = "african" if dark else ("asian" if race[1] > race[2] else "caucasian")
    period = {"child": "young", "young": "young", "mid": "middleage", "old": "old"}[age]
    skin, factor = choose_skin(rng, period, light, gender)
    look = {"gender": gender, "age": age, "race": light, "skin": skin,
            "tint": factor * np.clip(1 + rng.normal(0, 0.06, 3) + rng.normal(0, 0.08), 0.75, 1.25)}
    short, long = ["short01", "short02", "short03", "short04"], ["bob01", "bob02", "long01", "ponytail01", "braid01"]
    if gender == "male":
        pool = short * 3 + [None] * 3 + ["afro01"] * (3 if dark else 0) + ["ponytail01"]
    else:
        pool = long * 3 + short + ["afro01"] * (3 if dark else 0)
    pool = [h for h in pool if h is None or h in hairs()]
    look["hair"] = pool[rng.integers(len(pool))] if pool else None
    colours = [(0.012, 0.010, 0.009), (0.03, 0.018, 0.01), (0.09, 0.05, 0.025), (0.25, 0.15, 0.07), (0.40, 0.28, 0.14),
               (0.18, 0.05, 0.02), (0.35, 0.34, 0.33)]
    chance = [4, 3, 3, 2, 1.5, 0.6, 0.3] if light == "caucasian" else [8, 3, 1, 0.2, 0.1, 0.1, 0.2]
    if age == "old":
        chance = [1, 1, 1, 0.5, 0.5, 0, 8]
    look["hair colour"] = np.array(colours[rng.choice(7, p=np.array(chance) / sum(chance))]) * rng.uniform(0.7, 1.4)
    eyes = ["brown"] * 6 + ["brownlight"] * 2 if light != "caucasian" else \
        ["brown", "brown", "brownlight", "blue", "bluegreen", "deepblue", "green", "grey", "ice", "lightblue"]
    look["eyes"] = eyes[rng.integers(len(eyes))]
    look["brows"] = f"eyebrow{rng.integers(1, 13):03d}"
    look["lashes"] = f"eyelashes0{rng.integers(1, 5)}"
    clothes = {"male": ["male_casualsuit02", "male_casualsuit03", "male_casualsuit04", "male_casualsuit05", "male_casualsuit06",
                        "male_elegantsuit01", "male_worksuit01"],
               "female": ["female_casualsuit01", "female_elegantsuit01", "female_sportsuit01", "female_casualsuit02"]}[gender]
    look["clothes"] = clothes[rng.integers(len(clothes))]
    look["hat"] = ("fedora01", "fedora_cocked")[rng.integers(2)] if rng.random() < 0.06 else None
    look["cloth tint"] = rng.uniform(0.3, 1.3, 3) * rng.uniform(0.5, 1.2)
    return weights, look


def expression(rng, strength=1.0, race="caucasian"):
    """Weights of expression targets; none in a third of the cases."""
    if rng.random() < 0.33:
        return {}
    e, p = {}, f"expression/units/{race}/"
    if rng.random() < 0.5:
        e["mouth-corner-puller"] = rng.uniform(0.2, 1)
        if rng.random() < 0.5:
            e["mouth-part-later"] = rng.uniform(0, 0.8)
        for s in "left", "right":
            e[f"eye-{s}-slit"] = rng.uniform(0, 0.4)
    if rng.random() < 0.3:
        e["mouth-open"] = rng.uniform(0.1, 0.7)
    if rng.random() < 0.15:
        e["mouth-depression"] = rng.uniform(0, 0.8)
    if rng.random() < 0.25:
        k = rng.choice(["down", "inner-up", "up", "extern-up"])
        w = rng.uniform(0.2, 0.9)
        for s in "left", "right":
            e[f"eyebrows-{s}-{k}"] = w
    if rng.random() < 0.12:
        w = rng.uniform(0.5, 1)
        for s in "left", "right":
            e[f"eye-{s}-closure"] = w
    return {p + k: w * strength for k, w in e.items() if (assets.data() / "targets" / f"{p + k}.target").exists()}


# ---------------------------------------------------------------- textures


def present(path):
    """Whether a picture is there: a snapshot may hold a pointer to a large file in its place."""
    return path is not None and Path(path).exists() and Path(path).stat().st_size > 500


@lru_cache(64)
def texture(path, size=1024):
    """RGBA float32 in [0, 1], sRGB."""
    if not present(path):
        return np.full((4, 4, 4), 0.5, np.float32) * [1, 1, 1, 2]
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 3:
        image = np.dstack([image, np.full(image.shape[:2], np.iinfo(image.dtype).max, image.dtype)])
    image = image.astype(np.float32) / np.iinfo(image.dtype).max
    if max(image.shape[:2]) > size:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return image[:, :, [2, 1, 0, 3]]


def material_texture(mhmat):
    for line in open(mhmat, errors="replace"):
        p = line.split()
        if p and p[0] == "diffuseTexture":
            return str(Path(mhmat).parent / p[1])
    return None
