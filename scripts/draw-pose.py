#!/usr/bin/env python3
"""Draws docs/pictures/pose.svg, the picture of docs/pose.md, from the reference points in crates/img2pose.

    scripts/draw-pose.py [--check]

--check writes nothing and fails if the file is not what would be written. Needs Python alone.
"""

import math
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POINTS = ROOT / "crates/img2pose/src/contract/reference_points.rs"
PICTURE = ROOT / "docs/pictures/pose.svg"

RED, GREEN, BLUE = "#d62020", "#14953a", "#1f6fe0"
INK, SOFT, PAPER = "#222222", "#777777", "#ffffff"

# Contours through the 68 landmarks; the closed ones end where they begin.
CONTOURS = [
    range(0, 17),
    range(17, 22),
    range(22, 27),
    range(27, 31),
    range(31, 36),
    [*range(36, 42), 36],
    [*range(42, 48), 42],
    [*range(48, 60), 48],
    [*range(60, 68), 60],
]
NOSE = 30


def reference_points():
    text = POINTS.read_text(encoding="utf-8")
    block = re.search(r"REFERENCE_POINTS_68[^=]*= \[(.*?)\];", text, re.S).group(1)
    rows = re.findall(r"\[([^\]]+)\]", block)
    points = [tuple(float(number) for number in row.split(",") if number.strip()) for row in rows]
    assert len(points) == 68, len(points)
    return points


def multiply(a, b):
    return [[sum(a[i][k] * b[k][j] for k in range(3)) for j in range(3)] for i in range(3)]


def apply(matrix, point):
    return tuple(sum(row[k] * point[k] for k in range(3)) for row in matrix)


def add(a, b):
    return tuple(x + y for x, y in zip(a, b))


def rx(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [[1, 0, 0], [0, c, -s], [0, s, c]]


def ry(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [[c, 0, s], [0, 1, 0], [-s, 0, c]]


def rz(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [[c, -s, 0], [s, c, 0], [0, 0, 1]]


def rotation(yaw, pitch, roll):
    return multiply(multiply(rx(-pitch), ry(yaw)), rz(roll))


class Svg:
    def __init__(self, width, height):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' font-family="DejaVu Sans, Verdana, sans-serif">',
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
        ]

    def line(self, points, color=INK, width=1.5, dash=None, fill="none"):
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<path d="{path}" fill="{fill}" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"{dashes}/>'
        )

    def arrow(self, start, end, color, width=2.5):
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy) or 1.0
        dx, dy = dx / length, dy / length
        back = (end[0] - 9 * dx, end[1] - 9 * dy)
        self.line([start, back], color, width)
        wings = [(back[0] - 4.5 * dy, back[1] + 4.5 * dx), end, (back[0] + 4.5 * dy, back[1] - 4.5 * dx)]
        self.line([*wings, wings[0]], color, 0.5, fill=color)

    def text(self, x, y, text, color=INK, size=14, anchor="middle", weight="normal"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size}" text-anchor="{anchor}"'
            f' font-weight="{weight}">{text}</text>'
        )

    def finish(self):
        return "\n".join([*self.parts, "</svg>", ""])


def draw_head(svg, place, turned, translation, points, width=1.3, axes=0.9):
    """A head as `place` (from a point in camera coordinates to the page) shows it."""
    landmarks = [add(apply(turned, point), translation) for point in points]
    for contour in CONTOURS:
        svg.line([place(landmarks[i]) for i in contour], INK, width)
    nose = landmarks[NOSE]
    # z is drawn out of the face, to where the nose points, as img2poseoverlay does.
    for direction, color in [((axes, 0, 0), RED), ((0, axes, 0), GREEN), ((0, 0, -axes), BLUE)]:
        svg.arrow(place(nose), place(add(nose, apply(turned, direction))), color)


def camera_panel(svg, points):
    """The camera and the head in space, seen from the left and above."""
    view = multiply(rx(20), ry(50))

    def place(point):
        # The middle between camera and head comes to the middle of the panel.
        x, y, _ = apply(view, add(point, (0.0, 0.0, -4.1)))
        return 430 + 70 * x, 215 + 70 * y

    origin = (0.0, 0.0, 0.0)
    depth, half_width, half_height = 2.2, 1.15, 0.75
    corners = [(sx * half_width, sy * half_height, depth) for sx, sy in [(-1, -1), (1, -1), (1, 1), (-1, 1)]]
    svg.line([place(corner) for corner in [*corners, corners[0]]], SOFT, 1.2, fill="#f2f4f7")
    for corner in corners:
        svg.line([place(origin), place(corner)], SOFT, 1, dash="4 3")

    translation = (0.6, -0.35, 7.0)
    turned = rotation(25, 0, 0)
    # The picture of the head on the image plane, turned the way it is.
    landmarks = [add(apply(turned, point), translation) for point in points]
    for contour in CONTOURS:
        picture = [tuple(side * depth / landmarks[i][2] for side in landmarks[i]) for i in contour]
        svg.line([place(point) for point in picture], SOFT, 0.8)

    svg.line([place(origin), place(translation)], "#b06a00", 2, dash="7 4")
    x, y = place(tuple(0.62 * side for side in translation))
    svg.text(x, y + 24, "t = (tx, ty, tz)", "#b06a00", anchor="start")
    draw_head(svg, place, turned, translation, points)

    for end, name, color, shift in [
        ((1.3, 0, 0), "x", RED, (12, 4)),
        ((0, 1.3, 0), "y", GREEN, (0, 18)),
        ((0, 0, 1.6), "z", BLUE, (8, 18)),
    ]:
        svg.arrow(place(origin), place(end), color)
        x, y = place(end)
        svg.text(x + shift[0], y + shift[1], name, color, 16, weight="bold")
    x, y = place(origin)
    svg.text(x - 10, y - 10, "camera", anchor="end")
    x, y = place(corners[0])
    svg.text(x, y - 8, "frame: f = width + height", SOFT, 13)
    x, y = place(add(translation, (0.0, -1.0, 0.0)))
    svg.text(x + 10, y - 6, "head", anchor="start")
    svg.text(430, 28, "The camera of the frame: x right, y down, z into the scene", size=15, weight="bold")


def angle_panel(svg, points, middle, top, title, caption, angles):
    """A head as the camera sees it."""

    def place(point):
        x, y, z = point
        return middle + 430 * x / z, top + 105 + 430 * y / z

    svg.line(
        [(middle - 95, top), (middle + 95, top), (middle + 95, top + 205), (middle - 95, top + 205), (middle - 95, top)],
        SOFT,
        1,
        fill="#fafbfc",
    )
    draw_head(svg, place, rotation(*angles), (0.0, 0.0, 5.2), points)
    svg.text(middle, top - 8, title, size=14, weight="bold")
    svg.text(middle, top + 224, caption, size=13, color=SOFT)


def draw():
    points = reference_points()
    svg = Svg(860, 690)
    camera_panel(svg, points)
    for index, (title, caption, angles) in enumerate(
        [
            ("all angles 0", "looks into the camera", (0, 0, 0)),
            ("yaw +35", "face to the left", (35, 0, 0)),
            ("pitch +25", "face up", (0, 25, 0)),
            ("roll +25", "head tilted clockwise", (0, 0, 25)),
        ]
    ):
        angle_panel(svg, points, 112 + 212 * index, 445, title, caption, angles)
    return svg.finish()


def main():
    arguments = sys.argv[1:]
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    drawn = draw()
    if not arguments:
        PICTURE.write_text(drawn, encoding="utf-8")
    elif not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != drawn:
        sys.exit(f"error: {PICTURE} is out of date: run scripts/draw-pose.py")


if __name__ == "__main__":
    main()
