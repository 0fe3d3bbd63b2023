#!/usr/bin/env python3
"""Who looks at the camera when: a plot of a clip.

    attention.py clip.mp4 attention.svg [--within DEGREES]

For each person the angle between where the face points and the way to the camera, over time, as an SVG picture; bars show when it is
within 20 degrees. Prints the share of the time that each was seen. Eyes are not looked at: it is the head that turns.

Needs the Python package img2pose.
"""

from __future__ import annotations

import argparse
import html
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

import img2pose

WIDTH, HEIGHT, LEFT, BAR = 900, 320, 50, 14
COLOURS = ("#c77700", "#0077aa", "#c03d1c", "#4d8a16", "#9330b8", "#00785a", "#c2387c", "#5a48b8", "#806030", "#6f7d00")
# Seconds without a face, from which on a line is not drawn through.
GAP = 0.5


def angles_to_camera(faces: img2pose.Faces) -> np.ndarray:
    """Degrees between where each face points and the way from it to the camera, shape (n,)."""
    # Out of the face is against the z of the head; the camera is where the space begins.
    pointing = -faces.rotation_matrices[:, :, 2]
    way = -faces.translations / np.linalg.norm(faces.translations, axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip((pointing * way).sum(axis=1), -1, 1)))


def drawing(people: dict[int, list[tuple[float, float]]], within: float, title: str) -> str:
    """The picture, as the text of an SVG file."""
    times = [time for points in people.values() for time, _ in points]
    start, end = min(times), max(max(times), min(times) + 1e-3)
    bars = HEIGHT + 30

    def x(time: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * (time - start) / (end - start)

    def y(degrees: float) -> float:
        return 30 + (HEIGHT - 60) * min(degrees, 90) / 90

    total = bars + BAR * len(people) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{total}" fill="white"/><text x="{LEFT}" y="16">{html.escape(title)}: degrees off the camera</text>',
        f'<rect x="{LEFT}" y="{y(0)}" width="{WIDTH - LEFT - 20}" height="{y(within) - y(0):.1f}" fill="#e2f3e2"/>',
    ]
    for degrees in (0, 30, 60, 90):
        parts += [f'<path d="M{LEFT} {y(degrees)}H{WIDTH - 20}" stroke="#ccc"/>', f'<text x="18" y="{y(degrees) + 4}">{degrees}°</text>']
    for share in range(5):
        time = start + share / 4 * (end - start)
        parts.append(f'<text x="{x(time):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{time:.1f} s</text>')
    for row, (person, points) in enumerate(people.items()):
        colour, path, before = COLOURS[(person - 1) % len(COLOURS)], [], None
        top = bars + row * BAR
        parts.append(f'<text x="18" y="{top + 10}" fill="{colour}">id {person}</text>')
        for time, degrees in points:
            joined = before is not None and time - before < GAP
            path.append(f"{'L' if joined else 'M'}{x(time):.1f} {y(degrees):.1f}")
            if joined and degrees <= within:
                width = x(time) - x(before) + 0.3
                parts.append(f'<rect x="{x(before):.1f}" y="{top}" width="{width:.1f}" height="{BAR - 3}" fill="{colour}"/>')
            before = time
        parts.append(f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--within", type=float, default=20, help="degrees that count as looking (20)")
    options = parser.parse_args()
    people: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for frame in img2pose.faces(options.clip, track=True):
        for person, degrees in zip(frame.faces.track_ids, angles_to_camera(frame.faces)):
            people[int(person)].append((frame.time or 0.0, float(degrees)))
    if not people:
        sys.exit(f"no face in {options.clip}")
    for person, points in people.items():
        looking = np.mean([degrees <= options.within for _, degrees in points])
        print(f"id {person}: seen in {len(points)} frames, looks at the camera in {100 * looking:.0f} % of them")
    options.picture.write_text(drawing(people, options.within, Path(options.clip).name), encoding="utf-8")


if __name__ == "__main__":
    main()
