"""Where the close look looks: the upright square around a face, crops cut with sub-pixel placement, and back.

A face's square is its box as inference draws it (`geometry.face_box`) in a picture that is turned so that the head's
downward axis points down: centre (pixels), side (the longer one of that box) and angle (radians, positive clockwise on the
screen). A crop shows MARGIN sides, turned upright. Positions in a crop are given in parts of its side from its middle.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .. import geometry

SIDE = 112
"""Pixels of a crop."""
MARGIN = 1.3
"""Side of a crop in units of the square's."""
PATCH = 192
"""Pixels of a stored patch."""
PATCH_MARGIN = 2.4
"""Side of a stored patch in units of the square's."""


def roll_of(rotation):
    """Angle [N] in radians by which heads [N, 3, 3] are turned in the plane: where their downward axis points."""
    return np.arctan2(-rotation[:, 0, 1], rotation[:, 1, 1])


def turn(angle):
    """Matrix [2, 2] that turns the picture's axes by an angle (radians, clockwise on the screen)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


@dataclass
class Square:
    """Upright square around a face: centre [2] and side in pixels, angle in radians."""

    centre: np.ndarray
    side: float
    angle: float

    @classmethod
    def around(cls, points, angle):
        """The square of a face whose reference points project to `points` [68, 2]."""
        upright = points @ turn(angle)
        box = geometry.face_box(upright[None], np.zeros(1))[0]
        return cls(turn(angle) @ (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()), float(angle))

    @classmethod
    def of_box(cls, box, angle=0.0):
        """The square of an upright box [4]."""
        box = np.asarray(box, float)
        return cls((box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()), angle)

    def moved(self, shift, scale, angle):
        """Moved by `shift` [2] (in sides, along the square's own axes), scaled and turned."""
        return Square(self.centre + turn(self.angle) @ np.asarray(shift) * self.side, self.side * scale, self.angle + angle)

    def matrix(self, pixels=SIDE, margin=MARGIN, mirror=False):
        """Affine map [2, 3] from the picture's pixels to those of a crop, mirrored if asked for."""
        k = pixels / (margin * self.side)
        m = k * turn(-self.angle)
        if mirror:
            m = np.diag([-1.0, 1.0]) @ m
        return np.column_stack([m, (pixels - 1) / 2 - m @ self.centre])


def cut(image, square, pixels=SIDE, margin=MARGIN, mirror=False):
    """Crop [pixels, pixels, 3] of a picture, and its map [2, 3]. What lies outside repeats the edge.

    A crop that is more than half as fine as the picture is cut from a picture that was shrunk by a whole factor first, so
    that no pixel is skipped."""
    m = square.matrix(pixels, margin, mirror)
    factor = int(margin * square.side / pixels)
    if factor >= 2:
        # Only what the crop shows is shrunk; area means of factor x factor pixels, whose centres lie half a block in.
        reach = 0.75 * margin * square.side + 2 * factor
        x0, y0 = (max(0, int(c - reach)) for c in square.centre)
        x1, y1 = int(square.centre[0] + reach) + 1, int(square.centre[1] + reach) + 1
        part = image[y0:y1, x0:x1]
        height, width = part.shape[0] // factor * factor, part.shape[1] // factor * factor
        if height and width:
            small = cv2.resize(part[:height, :width], (width // factor, height // factor), interpolation=cv2.INTER_AREA)
            back = np.array([[factor, 0, x0 + (factor - 1) / 2], [0, factor, y0 + (factor - 1) / 2], [0, 0, 1.0]])
            return cv2.warpAffine(small, m @ back, (pixels, pixels), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), m
    return cv2.warpAffine(image, m, (pixels, pixels), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), m


def apply(matrix, points):
    """Points [..., 2] under an affine map [2, 3]."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def invert(matrix):
    """The inverse [2, 3] of an affine map."""
    return cv2.invertAffineTransform(np.ascontiguousarray(matrix, np.float64))


def to_parts(pixels, side=SIDE):
    """From pixels of a crop to parts of its side from its middle."""
    return (pixels - (side - 1) / 2) / side


def to_pixels(parts, side=SIDE):
    """Inverse of `to_parts`."""
    return parts * side + (side - 1) / 2
