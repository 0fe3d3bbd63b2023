"""Writes into an MP4 file how players are to turn its video: mp4mux of GStreamer 1.22 drops the image-orientation tag.

Usage: mp4_orientation.py FILE.mp4 ORIENTATION (as GstVideoOrientationMethod names it: 90r, 180, 90l, horiz, vert, ul-lr, ur-ll)
"""
import struct
import sys

# Where the picture's x and y axes go, and in widths and heights where its corner goes (ISO/IEC 14496-12, track header).
MATRICES = {
    "90r": ((0, 1), (-1, 0), (0, 1), (0, 0)),
    "180": ((-1, 0), (0, -1), (1, 0), (0, 1)),
    "90l": ((0, -1), (1, 0), (0, 0), (1, 0)),
    "horiz": ((-1, 0), (0, 1), (1, 0), (0, 0)),
    "vert": ((1, 0), (0, -1), (0, 0), (0, 1)),
    "ul-lr": ((0, 1), (1, 0), (0, 0), (0, 0)),
    "ur-ll": ((0, -1), (-1, 0), (0, 1), (1, 0)),
}


def boxes(file, end):
    """Type, first byte of the content and end of each box from here to `end`."""
    while file.tell() + 8 <= end:
        start = file.tell()
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        box_end = start + size if size else end
        if not file.tell() <= box_end <= end:
            raise ValueError(f"the box at {start} is {size} bytes long")
        yield kind, file.tell(), box_end
        file.seek(box_end)


def children(file, parent, kind):
    _, start, end = parent
    file.seek(start)
    return [box for box in boxes(file, end) if box[0] == kind]


def write_orientation(file, orientation):
    """Returns how many tracks were changed: those that have a width."""
    changed = 0
    size = file.seek(0, 2)
    for movie in children(file, (b"", 0, size), b"moov"):
        for track in children(file, movie, b"trak"):
            for _, start, end in children(file, track, b"tkhd"):
                # Width, height in 16.16 come last, the matrix before them.
                file.seek(end - 8)
                width, height = struct.unpack(">II", file.read(8))
                if width == 0 or end - start < 84:
                    continue
                (a, b), (c, d), x, y = MATRICES[orientation]
                x, y = (across * width + down * height for across, down in (x, y))
                one = 1 << 16
                file.seek(end - 44)
                file.write(struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, x, y, 1 << 30))
                changed += 1
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in MATRICES:
        sys.exit(__doc__)
    with open(sys.argv[1], "r+b") as file:
        if not write_orientation(file, sys.argv[2]):
            sys.exit(f"{sys.argv[1]}: no video track")
