"""Pictures without faces: titles, text, shapes, patterns, and details of photos, drawn at random.

A detector meets title sequences, signs, screens and close-ups that no photo collection of people
holds. Glyphs in particular, with their holes and symmetric strokes, look like faces to a network that
never saw any. Everything drawn here is determined by the `random.Random` that it is given.
"""

import functools
import math
from pathlib import Path

import cv2
import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from .photometric import vary

FONT_SUFFIXES = (".ttf", ".otf")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
PHOTO_SIDE = 1920
SYMBOLS_WITH_FACES = (*range(0x2639, 0x263C), 0x32E1, 0x1F600)
"""Characters that draw a face, which is no clutter."""


def files(folders, suffixes):
    """Files below the folders with one of the suffixes, by path."""
    found = [p for folder in folders for p in Path(folder).rglob("*") if p.suffix.lower() in suffixes]
    if not found:
        raise ValueError(f"no {'/'.join(suffixes)} file in {', '.join(map(str, folders))}")
    return sorted(found, key=lambda path: path.name)


@functools.lru_cache(maxsize=None)
def characters(path):
    """Letters, digits and punctuation that the font at `path` has, as a string."""
    with TTFont(path, lazy=True) as font:
        codes = font.getBestCmap() or {}
    return "".join(
        c for c in map(chr, sorted(codes))
        if (c.isalnum() or c in "!?&%@#*+-=/()[]{}.,:;'\"") and ord(c) not in SYMBOLS_WITH_FACES
    )


@functools.lru_cache(maxsize=64)
def _opened(path):
    """The photo at `path` [h, w, 3], of at most `PHOTO_SIDE` pixels; kept, as decoding costs more than all else here."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((PHOTO_SIDE, PHOTO_SIDE), reducing_gap=2.0)
    return np.asarray(image)


def _colour(random, skin=0.25):
    """Any colour; often one of skin, paper or ink, as those are mistaken most easily."""
    choice = random.random()
    if choice < skin:
        light = random.uniform(60, 245)
        return tuple(int(min(255, light * f * random.uniform(0.95, 1.05))) for f in (1.0, 0.78, 0.66))
    if choice < skin + 0.15:
        return (random.randint(0, 40),) * 3 if random.random() < 0.5 else (random.randint(215, 255),) * 3
    return tuple(random.randint(0, 255) for _ in range(3))


def _gradient(size, random):
    """A linear or radial run [h, w, 3] between two colours."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * math.pi)
        run = x * math.cos(angle) + y * math.sin(angle)
    else:
        run = np.hypot(x - random.uniform(0, width), y - random.uniform(0, height))
    run = (run - run.min()) / max(1e-6, np.ptp(run))
    a, b = np.array(_colour(random), np.float32), np.array(_colour(random), np.float32)
    return (a + (b - a) * run[..., None]).astype(np.uint8)


def _cloud(size, random):
    """Noise of several scales in two colours: clouds, stone, cloth, bokeh."""
    width, height = size
    source = np.random.default_rng(random.getrandbits(32))
    total, falloff = np.zeros((height, width), np.float32), random.uniform(0.4, 0.9)
    for octave in range(random.randint(2, 7)):
        cells = 2 ** (octave + 1)
        noise = source.random((cells, cells), dtype=np.float32)
        total += falloff**octave * cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    total = (total - total.min()) / max(1e-6, np.ptp(total))
    if random.random() < 0.3:
        total = np.clip((total - 0.5) * random.uniform(3, 12) + 0.5, 0, 1)
    a, b = np.array(_colour(random), np.float32), np.array(_colour(random), np.float32)
    return (a + (b - a) * total[..., None]).astype(np.uint8)


def _pattern(size, random):
    """Stripes, checks, rings or dots."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, step = random.uniform(0, math.pi), random.uniform(8, height / 2)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kind = random.randrange(4)
    if kind == 0:
        value = np.sin(2 * math.pi * u / step)
    elif kind == 1:
        value = np.sin(2 * math.pi * u / step) * np.sin(2 * math.pi * v / (step * random.choice((0.5, 1, 1, 2))))
    elif kind == 2:
        value = np.sin(2 * math.pi * np.hypot(x - random.uniform(0, width), y - random.uniform(0, height)) / step)
    else:
        value = random.uniform(0.1, 0.45) - np.hypot(u / step % 1 - 0.5, v / step % 1 - 0.5)
    share = np.clip(value * random.choice((0.5, 2, 40)) + 0.5, 0, 1)[..., None]
    return (share * _gradient(size, random) + (1 - share) * _gradient(size, random)).astype(np.uint8)


class Clutter:
    """Draws pictures without faces.

    fonts: paths of TrueType or OpenType fonts; photos: paths of photos that show no face.
    """

    def __init__(self, fonts, photos):
        self.fonts = [font for font in fonts if len(characters(font)) >= 10]
        self.photos = photos

    @classmethod
    def below(cls, fonts, backgrounds=()):
        """Of all fonts and photos in some folders."""
        return cls(files(fonts, FONT_SUFFIXES), files(backgrounds, PHOTO_SUFFIXES) if backgrounds else [])

    def _photo(self, size, random):
        """A part of a photo, any size of part."""
        image = _opened(random.choice(self.photos))
        height, width = image.shape[:2]
        scale = min(width / size[0], height / size[1]) * random.uniform(0.08, 1)
        part = (max(8, int(size[0] * scale)), max(8, int(size[1] * scale)))
        x, y = random.randint(0, max(0, width - part[0])), random.randint(0, max(0, height - part[1]))
        return cv2.resize(image[y : y + part[1], x : x + part[0]], size, interpolation=cv2.INTER_AREA)

    def ground(self, size, random):
        """A background [h, w, 3] without text."""
        draw = random.choices(
            (lambda s, _: np.full((s[1], s[0], 3), _colour(random), np.uint8), _gradient, _cloud, _pattern, self._photo),
            (2, 3, 2, 1.5, 2.5 if self.photos else 0),
        )[0]
        return draw(size, random)

    def _word(self, path, longest, random):
        known = characters(path)
        plain = [c for c in known if c.isascii() and c.isalnum()]
        source = plain if plain and random.random() < 0.75 else known
        word = "".join(random.choice(source) for _ in range(random.randint(1, longest)))
        return random.choice((word, word.upper(), word.capitalize(), word[0] * len(word)))

    def _mask(self, size, text, path, height, centre, random, solid=False):
        """Coverage [h, w] of a text of about `height` pixels around `centre`, turned and slanted; `solid`: fat and round."""
        font = ImageFont.truetype(str(path), max(6, int(height)))
        canvas = Image.new("L", size)
        stroke = random.choice((0, 0, 0, int(height * random.uniform(0.01, 0.06))))
        if solid:
            stroke = int(height * random.uniform(0.02, 0.1))
        ImageDraw.Draw(canvas).text(centre, text, 255, font, anchor="mm", stroke_width=stroke)
        turn = random.gauss(0, 8) if random.random() < 0.7 else random.uniform(-180, 180)
        matrix = cv2.getRotationMatrix2D(centre, turn, 1)
        matrix[:, :2] = matrix[:, :2] @ [[1, random.gauss(0, 0.15)], [0, random.uniform(0.7, 1.3)]]
        matrix[:, 2] = np.array(centre) - matrix[:, :2] @ centre
        return cv2.warpAffine(np.asarray(canvas), matrix, size)

    def _filled(self, image, mask, random, solid=False):
        """The image with the mask painted: flat, a run or a texture, with shadow, glow, edge or relief.

        `solid`: as if modelled, in one colour with light on it.
        """
        size = image.shape[1::-1]
        height = size[1]
        out = image.astype(np.float32)

        def blend(mask, paint, strength=1.0):
            share = (mask.astype(np.float32) * (strength / 255))[..., None]
            return out * (1 - share) + np.asarray(paint, np.float32) * share

        if random.random() < 0.5:
            move = np.float32([[1, 0, random.gauss(0, height / 50)], [0, 1, random.gauss(0, height / 50)]])
            blur = random.uniform(0.5, height / 25)
            shadow = cv2.GaussianBlur(cv2.warpAffine(mask, move, size), (0, 0), blur)
            out = blend(shadow, random.choice(((0, 0, 0), _colour(random))), random.uniform(0.3, 1))
        if random.random() < 0.3:
            side = 2 * random.randint(1, max(1, height // 60)) + 1
            out = blend(cv2.dilate(mask, np.ones((side, side), np.uint8)), _colour(random))
        paints = (
            lambda: _colour(random, 0.5 if solid else 0.25), lambda: _colour(random),
            lambda: _gradient(size, random), lambda: _cloud(size, random), lambda: self.ground(size, random),
        )
        paint = random.choice(paints[: 3 if solid else 5])()
        out = blend(mask, paint, random.choice((1, 1, 1, random.uniform(0.3, 1))))
        if solid or random.random() < 0.35:
            depth = cv2.GaussianBlur(mask, (0, 0), random.uniform(1, height / 30)).astype(np.float32)
            slope = cv2.Sobel(depth, cv2.CV_32F, random.choice((0, 1)), 1) if random.random() < 0.5 else depth - 128
            lit = slope / max(1.0, np.abs(slope).max()) * (mask > 0) * random.uniform(-110, 110)
            out = out + lit[..., None]
        return np.clip(out, 0, 255).astype(np.uint8)

    def title(self, image, random):
        """Big glyphs or words over the image, some of them cut by its border."""
        width, height = size = image.shape[1::-1]
        path = random.choice(self.fonts)
        for _ in range(random.choice((1, 1, 2, 3, 5, 9))):
            if random.random() < 0.3:
                path = random.choice(self.fonts)
            text = self._word(path, random.choice((1, 1, 2, 4, 9)), random)
            tall = height * math.exp(random.uniform(math.log(0.06), math.log(1.3)))
            tall = min(tall, 3.0 * width / len(text)) if random.random() < 0.8 else tall
            centre = (random.uniform(0, width), random.uniform(0, height))
            image = self._filled(image, self._mask(size, text, path, tall, centre, random), random)
        return image

    def lettering(self, image, random):
        """A word or two of fat, modelled letters, as films and games begin with; they come closest to faces."""
        width, height = size = image.shape[1::-1]
        path = random.choice(self.fonts)
        for _ in range(random.choice((1, 1, 2))):
            text = self._word(path, 11, random)
            tall = min(height * random.uniform(0.08, 0.5), 1.8 * width / len(text))
            centre = (random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.8) * height)
            # Letter upon letter, each with a light of its own, or all at once.
            masks = [self._mask(size, text, path, tall, centre, random, solid=True)]
            if random.random() < 0.5:
                step = 0.55 * tall
                first = centre[0] - step * (len(text) - 1) / 2
                masks = [
                    self._mask(size, letter, path, tall, (first + step * i, centre[1]), random, solid=True)
                    for i, letter in enumerate(text)
                ]
            for mask in masks:
                image = self._filled(image, mask, random, solid=True)
        return image

    def text(self, image, random):
        """Lines of text in one font: a page, credits, subtitles, a sign."""
        width, height = image.shape[1::-1]
        path = random.choice(self.fonts)
        tall = max(7, height * math.exp(random.uniform(math.log(0.015), math.log(0.12))))
        canvas = Image.fromarray(image)
        draw, font, colour = ImageDraw.Draw(canvas), ImageFont.truetype(str(path), int(tall)), _colour(random)
        left, top = random.uniform(-0.1, 0.4) * width, random.uniform(-0.1, 0.6) * height
        for line in range(random.randint(1, max(1, int(height / tall)))):
            words = [self._word(path, 9, random) for _ in range(random.randint(1, 8))]
            draw.text((left, top + 1.3 * tall * line), " ".join(words), colour, font)
        return np.asarray(canvas)

    def shapes(self, image, random):
        """Discs, rings, boxes, polygons and curves, alone or in rows."""
        width, height = size = image.shape[1::-1]
        for _ in range(random.choice((1, 2, 4, 10, 25))):
            mask = np.zeros((height, width), np.uint8)
            reach = height * math.exp(random.uniform(math.log(0.015), math.log(0.5)))
            centre = np.array([random.uniform(0, width), random.uniform(0, height)])
            thickness = -1 if random.random() < 0.6 else max(1, int(reach * random.uniform(0.03, 0.4)))
            kind = random.randrange(4)
            axes = (int(reach) + 1, int(reach * random.uniform(0.4, 1)) + 1)
            first = random.uniform(0, 360)
            if kind == 0:
                cv2.ellipse(mask, centre.astype(int).tolist(), axes, first, 0, 360, 255, thickness, cv2.LINE_AA)
            elif kind == 1:
                sweep = random.uniform(60, 330)
                cv2.ellipse(mask, centre.astype(int).tolist(), axes, first, 0, sweep, 255, thickness, cv2.LINE_AA)
            else:
                corners = 4 if kind == 2 else random.randint(3, 9)
                angles = np.arange(corners) * 2 * math.pi / corners + math.radians(first)
                far = reach * np.array([1 if kind == 2 else random.uniform(0.3, 1) for _ in angles])
                points = centre + far[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
                if thickness < 0:
                    cv2.fillPoly(mask, [points.astype(np.int32)], 255, cv2.LINE_AA)
                else:
                    cv2.polylines(mask, [points.astype(np.int32)], True, 255, thickness, cv2.LINE_AA)
            # The same shape again beside it, as windows, wheels, buttons and eyes come.
            for _ in range(random.choice((0, 0, 1, 3))):
                move = np.float32([[1, 0, random.gauss(0, 2.5 * reach)], [0, 1, random.choice((0, reach))]])
                mask = cv2.max(mask, cv2.warpAffine(mask, move, size))
            image = self._filled(image, mask, random)
        return image

    def picture(self, size, random):
        """A picture [h, w, 3] of `size` (width, height) without a face."""
        image = self.ground(size, random)
        choice = random.random()
        if choice < 0.37:
            image = self.title(image, random)
        elif choice < 0.55:
            image = self.lettering(image, random)
        elif choice < 0.65:
            image = self.text(image, random)
        elif choice < 0.78:
            image = self.shapes(image, random)
        elif choice < 0.9:
            image = self.title(self.shapes(image, random), random)
        return vary(image, random) if random.random() < 0.7 else image
