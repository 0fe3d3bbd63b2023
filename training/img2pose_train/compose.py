"""Training crops: photos pasted at random scales, turns and flips, with their labels moved along.

A crop is a square of S pixels, one photo or a mosaic of several. Photos are chosen and
placed face first, so that face sizes are spread evenly on a logarithmic scale whatever
sizes the photos happen to hold.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from . import geometry
from .pack import is_portrait
from .photometric import vary

MIN_FACE, MIN_SIDE = 10, 7
"""Smallest faces (square root of the area, shorter side in pixels) that count as faces."""
MIN_VISIBLE = 0.6
"""Share of its box that must be inside its cell; a face that shows less is ignored."""
LARGE_FACE = 100
"""Pixels of a stored face from which it is sharp enough to be shown in close-up."""
INGREDIENTS = ("mosaics", "close-ups", "turns", "occlusion", "photometry")
"""What can be left out of crops, to see what it brings."""
DRAWN, DRAWN_CELL = 0.05, 0.2
"""How many crops, and how many of the mosaics of whole photos in one cell, show a drawn picture without a face."""


@dataclass
class Crop:
    """image [S, S, 3] RGB uint8; box [G, 4]; rotation [G, 3, 3] and translation [G, 3] for the
    crop's camera (focal 2 S, centre S // 2); weight [G] of the pose loss; ignored [I, 4]."""

    image: np.ndarray
    box: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    weight: np.ndarray
    ignored: np.ndarray


@dataclass
class _Pasted:
    rotation: np.ndarray
    translation: np.ndarray
    focal: float
    centre: np.ndarray
    quality: int
    weight: float
    box: np.ndarray
    cell: tuple


class Composer:
    """Makes crops from the photos of a pack that are not held out.

    With a `clutter.Clutter`, some crops and cells of mosaics are pictures that it draws. `without`: some of the `INGREDIENTS`.
    `any_turn`: share of photos that are turned by any angle.
    """

    def __init__(self, photos, labels, clutter=None, without=(), any_turn=0.0):
        self.photos, self.labels, self.clutter, self.without = photos, labels, clutter, frozenset(without)
        self.any_turn = any_turn
        self.rows, self.size, self.yaw = labels.faces_of(), labels.size, labels.yaw
        training = np.nonzero(~labels.held_out)[0]
        # Portraits: small crops of one face, only fit for mosaics and for filling a whole crop.
        portrait = np.array([is_portrait(*photos.sizes[i], self.size[self.rows[i]]) for i in training], bool)
        self.portraits = [i for i in training[portrait] if self._trusted(i)]
        self.scenes = training[~portrait]
        if not len(self.scenes):
            raise ValueError("the pack holds nothing but small crops of single faces; photos with background are needed, too")
        self._scene_weight = np.cumsum([self._interest(i) for i in self.scenes])
        kept = ~labels.held_out[labels.image] & (labels.quality >= 1) & (self.size >= LARGE_FACE)
        self.large = np.nonzero(kept & ~np.isin(labels.image, training[portrait]))[0]
        self._large_weight = np.cumsum(self._face_interest(self.large))

    def _trusted(self, i):
        return any(self.labels.quality[k] == 2 for k in self.rows[i])

    def _face_interest(self, rows):
        """Weight of faces as the subject of a crop: turned ones are rare and count more."""
        yaw, posed = self.yaw[rows], self.labels.quality[rows] == 2
        return 1 + posed + posed * (1.5 * (yaw > 30) + 2.5 * (yaw > 50))

    def _interest(self, i):
        rows = [k for k in self.rows[i] if self.labels.quality[k] == 2]
        if not rows:
            return 0.4
        turned = self.yaw[rows].max()
        return 0.5 + min(3, len(rows)) ** 0.7 + 2.5 * (turned > 30) + 3 * (turned > 50)

    @staticmethod
    def _draw(cumulative, random):
        position = np.searchsorted(cumulative, random.random() * cumulative[-1])
        return min(int(position), len(cumulative) - 1)

    def _scene(self, random):
        return self.scenes[self._draw(self._scene_weight, random)]

    def crop(self, side, random):
        """One random `Crop` of `side` pixels; a function of the state of `random` alone."""
        if self.clutter and random.random() < DRAWN:
            return self._label(self.clutter.picture((side, side), random), [], side)
        image = np.zeros((side, side, 3), np.uint8)
        grey = random.randint(0, 255)
        self._fill = random.choice([(0, 0, 0), (124, 116, 104), (grey, grey, grey)])
        pasted, whole = [], (0, 0, side, side)
        choice = random.random() if self.portraits else 0.83 * random.random()
        mosaics = "mosaics" not in self.without
        if choice < 0.16 and "close-ups" not in self.without:
            self._close_up(image, whole, pasted, random)
        elif choice < (0.52 if mosaics else 0.83):
            self._place(image, whole, self._scene(random), pasted, random, 12, 0.75 * side)
        elif choice < 0.78:
            cells = self._grid(side, 2 if choice < 0.68 else 3, random)
            drawn = random.choice(cells) if self.clutter and random.random() < DRAWN_CELL else None
            for cell in cells:
                if cell == drawn:
                    x0, y0, x1, y1 = cell
                    image[y0:y1, x0:x1] = self.clutter.picture((x1 - x0, y1 - y0), random)
                else:
                    self._place(image, cell, self._scene(random), pasted, random, 12, 150)
        elif choice < 0.83:
            for cell in self._grid(side, 2, random):
                if self.portraits and random.random() < 0.5:
                    self._portrait(image, cell, pasted, random)
                else:
                    self._place(image, cell, self._scene(random), pasted, random, 16, 150)
        elif choice < 0.95 and mosaics:
            for cell in self._grid(side, random.choice((2, 3, 3, 4, 5)), random):
                self._portrait(image, cell, pasted, random)
        else:
            self._portrait(image, whole, pasted, random)
        crop = self._label(image, pasted, side)
        if "occlusion" not in self.without:
            self._occlude(crop, random)
        if "photometry" not in self.without:
            crop.image = vary(crop.image, random)
        return crop

    @staticmethod
    def _grid(side, n, random):
        def edges():
            inner = [int(side * (k + random.uniform(-0.15, 0.15)) / n) for k in range(1, n)]
            return [0, *inner, side]

        x, y = edges(), edges()
        return [(x[a], y[b], x[a + 1], y[b + 1]) for a in range(n) for b in range(n)]

    def _turn(self, random):
        """In-plane rotation in degrees: mostly none or little, up to 45 on either side."""
        if "turns" in self.without:
            return 0.0
        if self.any_turn and random.random() < self.any_turn:
            return random.uniform(-180, 180)
        choice = random.random()
        if choice < 0.15:
            return random.uniform(-45, 45)
        return random.gauss(0, 12) if choice < 0.5 else 0.0

    def _close_up(self, image, cell, pasted, random):
        """A face that is sharp at this size fills most of the cell."""
        if not len(self.large):
            return self._place(image, cell, self._scene(random), pasted, random, 12, 150)
        row = self.large[self._draw(self._large_weight, random)]
        side = cell[2] - cell[0]
        scale = min(random.uniform(0.4, 1.0) * side / self.size[row], 2.2)
        extent = scale * self.size[row]
        source = (self.labels.box[row, :2] + self.labels.box[row, 2:]) / 2
        slack = max(0.08 * side, side / 2 - 0.5 * extent)
        target = [(cell[k] + cell[k + 2]) / 2 + random.uniform(-slack, slack) for k in (0, 1)]
        self._paste(
            image, cell, self.labels.image[row], scale, self._turn(random), source, target, pasted, random
        )

    def _place(self, image, cell, photo, pasted, random, smallest, largest):
        """The photo at such a scale that one of its faces gets a size between the two limits."""
        height, width = self.photos.sizes[photo][::-1]
        x0, y0, x1, y1 = cell
        cell_width, cell_height = x1 - x0, y1 - y0
        rows = [k for k in self.rows[photo] if self.labels.quality[k] >= 1]
        cover = max(cell_width / width, cell_height / height)
        if not rows or random.random() > 0.93:
            # Any part of the photo: background, and whatever faces happen to be there.
            scale = np.exp(random.uniform(np.log(0.4), np.log(1.5))) * max(cover, 0.35)
            source = (random.uniform(0, width), random.uniform(0, height))
            target = ((x0 + x1) / 2, (y0 + y1) / 2)
        else:
            row = random.choices(rows, self._face_interest(np.array(rows)))[0]
            largest = min(largest, 0.85 * min(cell_width, cell_height))
            if random.random() < 0.3:
                wanted = random.uniform(0.4 * largest, largest)
            else:
                wanted = np.exp(random.uniform(np.log(smallest), np.log(max(largest, smallest + 1))))
            scale = wanted / self.size[row]
            if random.random() < 0.75:
                scale = max(scale, 0.8 * cover)
            scale = min(scale, 2.2, 0.95 * min(cell_width, cell_height) / self.size[row])
            source = (self.labels.box[row, :2] + self.labels.box[row, 2:]) / 2
            margin = scale * self.size[row] * random.uniform(0.3, 0.65)
            target = [
                self._position(low, high, margin, value, length, scale, random)
                for low, high, value, length in (
                    (x0, x1, source[0], width), (y0, y1, source[1], height),
                )
            ]
        self._paste(image, cell, photo, scale, self._turn(random), source, target, pasted, random)

    @staticmethod
    def _position(low, high, margin, value, length, scale, random):
        """Where along one axis the face goes: inside the cell, mostly so that the photo covers the cell."""
        margin = min(margin, (high - low) / 2)
        first, last = low + margin, high - margin
        covering = max(first, high - (length - value) * scale), min(last, low + value * scale)
        if covering[0] < covering[1] and random.random() < 0.8:
            return random.uniform(*covering)
        return random.uniform(first, last)

    def _portrait(self, image, cell, pasted, random):
        photo = random.choice(self.portraits)
        height, width = self.photos.sizes[photo][::-1]
        x0, y0, x1, y1 = cell
        scale = max((x1 - x0) / width, (y1 - y0) / height) * np.exp(random.uniform(-0.25, 0.35))
        target = (
            (x0 + x1) / 2 + random.uniform(-0.08, 0.08) * (x1 - x0),
            (y0 + y1) / 2 + random.uniform(-0.08, 0.08) * (y1 - y0),
        )
        self._paste(
            image, cell, photo, scale, self._turn(random), (width / 2, height / 2), target, pasted, random
        )

    def _paste(self, image, cell, photo, scale, degrees, source, target, pasted, random):
        """Draw a photo into a cell, its point `source` on `target`, and note the faces that show."""
        x0, y0, x1, y1 = cell
        flip = random.random() < 0.5
        # Decode no more pixels than are shown, as a camera of less resolution would; sometimes all.
        reduction = 1
        if random.random() < 0.8:
            while reduction < 4 and scale * reduction < 0.6:
                reduction *= 2
        pixels = self.photos.read(photo, reduction)
        decoded = pixels.shape[1] / self.photos.sizes[photo][0]
        angle = np.radians(degrees)
        cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
        linear = np.array([[cosine, -sine], [sine, cosine]])
        if flip:
            linear = linear @ np.diag([-1.0, 1.0])
        offset = np.asarray(target, float) - linear @ np.asarray(source, float)
        matrix = np.concatenate([linear / decoded, (offset - [x0, y0])[:, None]], 1)
        image[y0:y1, x0:x1] = cv2.warpAffine(
            pixels, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=self._fill,
        )
        roll = geometry.rotation_matrix([0, 0, angle])[0]
        labels = self.labels
        for k in self.rows[photo]:
            middle = linear @ ((labels.box[k, :2] + labels.box[k, 2:]) / 2) + offset
            half = (labels.box[k, 2:] - labels.box[k, :2]) * scale / 2
            if (middle + half < [x0, y0]).any() or (middle - half > [x1, y1]).any():
                continue
            rotation, translation = labels.rotation[k], labels.translation[k]
            if flip:
                rotation, translation = geometry.mirror(rotation, translation)
            pasted.append(_Pasted(
                roll @ rotation, roll @ translation, labels.focal[k] * scale,
                linear @ labels.centre[k] + offset, labels.quality[k], labels.weight[k],
                np.concatenate([middle - half, middle + half]), cell,
            ))

    @staticmethod
    def _label(image, pasted, side):
        """Poses for the crop's camera, boxes as inference would draw them, and what to ignore."""
        if not pasted:
            empty = np.zeros((0, 4))
            return Crop(image, empty, np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros(0), empty)
        focal = np.array([p.focal for p in pasted])
        centre = np.stack([p.centre for p in pasted])
        quality = np.array([p.quality for p in pasted])
        cell = np.array([p.cell for p in pasted], float)
        middle = np.full(2, side // 2, float)
        rotation, translation = geometry.to_image(
            np.stack([p.rotation for p in pasted]), np.stack([p.translation for p in pasted]),
            focal, centre, 2.0 * side, middle,
        )
        seen = geometry.project(
            rotation, translation, 2.0 * side, np.tile(middle, (len(pasted), 1)), geometry.REFERENCE_68
        )
        projected = geometry.face_box(seen, geometry.rotation_vector(rotation)[:, 2])
        box = np.where((quality == 2)[:, None], projected, np.stack([p.box for p in pasted]))
        shown = np.concatenate(
            [np.maximum(box[:, :2], cell[:, :2]), np.minimum(box[:, 2:], cell[:, 2:])], 1
        )
        area = (box[:, 2:] - box[:, :2]).prod(1)
        visible = np.clip(shown[:, 2:] - shown[:, :2], 0, None).prod(1) / np.maximum(area, 1e-6)
        short_side = (shown[:, 2:] - shown[:, :2]).min(1)
        face = (
            (quality >= 1) & (visible >= MIN_VISIBLE)
            & (np.sqrt(area) >= MIN_FACE) & (short_side >= MIN_SIDE)
        )
        ignored = ~face & (visible > 0.05) & (short_side > 0)
        weight = np.array([p.weight for p in pasted]) * (quality == 2)
        return Crop(image, shown[face], rotation[face], translation[face], weight[face], shown[ignored])

    @staticmethod
    def _occlude(crop, random):
        """Cover a side of some faces with another piece of the crop or a flat colour."""
        side = len(crop.image)
        for box in crop.box:
            if random.random() > 0.1:
                continue
            x0, y0, x1, y1 = (int(v) for v in box)
            width, height = x1 - x0, y1 - y0
            if min(width, height) < 12:
                continue
            share = random.uniform(0.15, 0.4)
            edge = random.choice(("left", "right", "bottom", "top"))
            if edge in ("left", "right"):
                width = int(share * width)
                x0 = x0 if edge == "left" else x1 - width
            else:
                height = int(share * height)
                y0 = y0 if edge == "top" else y1 - height
            if width < 2 or height < 2:
                continue
            target = crop.image[y0 : y0 + height, x0 : x0 + width]
            patch_x = random.randint(0, max(0, side - width))
            patch_y = random.randint(0, max(0, side - height))
            patch = crop.image[patch_y : patch_y + height, patch_x : patch_x + width].copy()
            faces = crop.box
            overlaps = len(faces) and (
                (faces[:, 0] < patch_x + width) & (faces[:, 2] > patch_x)
                & (faces[:, 1] < patch_y + height) & (faces[:, 3] > patch_y)
            ).any()
            if overlaps or patch.shape != target.shape:
                target[:] = [random.randint(0, 255) for _ in range(3)]
            else:
                target[:] = patch
