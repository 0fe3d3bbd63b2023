"""Renders with exact img2pose poses."""

import cv2
import numpy as np

from .. import geometry
from . import landmarks, people, scene
from .people import FLIP

REF = geometry.REFERENCE_68


def rotation(yaw, pitch, roll):
    """The project's angles in degrees: Rx(-pitch) Ry(yaw) Rz(roll)."""
    x, y, z = (cv2.Rodrigues(np.radians(a) * np.array(e, float))[0]
               for a, e in ((-pitch, (1, 0, 0)), (yaw, (0, 1, 0)), (roll, (0, 0, 1))))
    return x @ y @ z


def angles(r):
    """yaw, pitch, roll in degrees of a matrix, by the same convention."""
    yaw = np.degrees(np.arcsin(np.clip(r[0, 2], -1, 1)))
    pitch = -np.degrees(np.arctan2(-r[1, 2], r[2, 2]))
    roll = np.degrees(np.arctan2(-r[0, 1], r[0, 0]))
    return np.array([yaw, pitch, roll])


class Person:
    """A person whose head stands at an exact pose; neck: how far the head is turned against the chest (yaw, pitch, roll)."""

    def __init__(self, rng, face=True, adult=None, look=None, neck=(0, 0, 0), gaze=None, weights=None):
        if weights is None:
            weights, made = people.identity(rng, adult)
        else:
            made = {}
        self.weights, self.look = weights, made | (look or {})
        gaze = rng.normal(0, [12, 5]) if gaze is None else gaze
        n = FLIP @ rotation(*neck) @ FLIP
        face = people.expression(rng) if face else {}
        self.rest, self.posed, self.items = scene.person(weights, self.look, face, n, gaze)
        neutral = people.morph(weights) if face else self.rest
        # reference points -> the head as it was made: FLIP x = s * R @ ref + t
        self.s, self.r, self.t = landmarks.similarity(REF, neutral[landmarks.table()] @ FLIP.T)
        self.neck, self.bones = n, people.bones(self.rest, n)
        self.neutral = neutral

    def parts(self, r, t, lowest=None):
        """Parts so that the pose of the head is (r, t) in units of the reference points."""
        a, b = self.bones[0][4], self.bones[1][4]
        body = r @ self.r.T @ FLIP @ a.T @ FLIP
        shift = t - r @ self.r.T @ self.t / self.s - body @ FLIP @ b / self.s
        self.place = (body, shift)
        return scene.parts(self.look, self.posed, self.items, body, shift, 1 / self.s, np.zeros(3), lowest)

    def seen(self, neutral=False):
        """The 68 vertices in the camera's frame, after `parts`."""
        body, shift = self.place
        v = people.skin(self.neutral, people.rig()[0], self.bones) if neutral else self.posed
        return v[landmarks.table()] @ (body @ FLIP).T / self.s + shift


def project(points, focal, centre):
    return focal * points[:, :2] / points[:, 2:] + centre


def environment(rng):
    """Radiance of the surroundings, key light, its colour: smooth light from all sides with a random strong side."""
    warm = rng.normal(0, 0.12)
    sky = np.array([1 - warm, 1, 1 + warm * 1.1]) * rng.uniform(0.7, 1.1)
    ground = np.array([1 + warm, 1, 1 - warm]) * rng.uniform(0.2, 0.7)
    side = rng.normal(size=3)
    side[2] = -abs(side[2]) * (1 if rng.random() < 0.8 else -1)
    side /= np.linalg.norm(side)
    strength, sharp = rng.uniform(0.2, 2.5), rng.uniform(1, 6)
    level = rng.uniform(0.25, 0.6)

    def radiance(d):
        up = (-d[:, 1:2] + 1) / 2
        return level * (up * sky + (1 - up) * ground + strength * np.maximum(d @ side, 0)[:, None] ** sharp * sky)

    key = rng.normal(size=3) * [1, 0.7, 1] + [0, -0.7, -0.6]
    key /= np.linalg.norm(key)
    if key[1] > 0.5:
        key[1] *= -1
    tone = rng.normal(0, 0.12)
    colour = np.array([1 + tone, 1, 1 - tone]) * rng.choice([rng.uniform(0, 0.3), rng.uniform(0.3, 1.6)])
    return radiance, key, colour, sky * level


def render(renderer, parts, size, focal, centre, rng=None, light=None, exposure=None, scale=1, count=32):
    radiance, key, colour, sky = environment(rng) if light is None else light
    renderer.light(parts, radiance, count)
    if exposure is None:
        # so that the lit skin has an ordinary brightness
        skin = parts[0]
        used = np.unique(skin.surface.vertex[skin.tris])
        normal = skin.n[used]
        lit = skin.light[used] + np.maximum(normal @ key, 0)[:, None] * colour
        facing = normal[:, 2] < -0.3
        mean = np.median((lit[facing] if facing.any() else lit).mean(1))
        exposure = 0.6 / max(mean, 0.05) * (rng.lognormal(0, 0.25) if rng is not None else 1)
    return renderer.draw(parts, size, focal, centre, key, colour, exposure, sky, scale)


def over(image, background):
    return image[:, :, :3] + background * (1 - image[:, :, 3:])


def photo(image, rng):
    """Blur, noise and JPEG of an ordinary photo; [0, 1] in and out."""
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2))
    image = image + rng.normal(0, rng.uniform(0.002, 0.02), image.shape)
    data = cv2.imencode(".jpg", (np.clip(image, 0, 1) * 255).astype(np.uint8)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 95))])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1].astype(np.float32) / 255
