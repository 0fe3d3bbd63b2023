"""Writes network_sizes.txt: sizes that torchvision's own code resizes frames to.

Run with the Python of scripts/train.sh (PyTorch and torchvision): PYTHON network_sizes.py > network_sizes.txt
Each line: width, height, min_size, max_size, then width and height of the network image before padding.
"""
import random

import torch
import torchvision
from torchvision.models.detection.transform import _resize_image_and_masks

USUAL = """176x144 320x240 352x240 352x288 480x270 640x360 640x480 704x576 720x480 720x576 768x576 800x600 854x480 960x540
1000x667 1024x576 1024x768 1152x648 1280x720 1280x800 1280x960 1280x1024 1366x768 1440x1080 1600x900 1600x1200 1680x1050
1920x1080 1920x1200 2048x1080 2048x1536 2304x1296 2560x1440 2592x1944 3264x2448 3840x2160 4000x1000 4000x3000 4032x3024
4096x2160 5472x3648 7680x4320"""


def network_size(width, height, min_size, max_size):
    # Of no memory: only shapes are computed.
    image, _ = _resize_image_and_masks(torch.empty(1, height, width, device="meta"), min_size, max_size)
    return image.shape[2], image.shape[1]


def cases():
    for size in USUAL.split():
        width, height = map(int, size.split("x"))
        for min_size in (240, 360, 400, 480, 640, 960):
            yield width, height, min_size, 1400
            yield height, width, min_size, 1400
    numbers = random.Random(15)
    for _ in range(3000):
        width, height = numbers.randint(16, 5000), numbers.randint(16, 5000)
        short, long = min(width, height), max(width, height)
        min_size = numbers.choice([400, 480, 640, numbers.randint(32, 2000)])
        max_size = numbers.choice([1400, 1400, numbers.randint(min_size, 4000)])
        if short * min(min_size / short, max_size / long) >= 1:
            yield width, height, min_size, max_size


print(f"# width height min_size max_size: width height (torchvision {torchvision.__version__}, network_sizes.py)")
for case in cases():
    print(*case, *network_size(*case))
