"""Changes of a crop's pixels that leave its geometry alone. Every function takes RGB uint8 [h, w, 3]."""

import cv2
import numpy as np


def _tone(image, random):
    """Gamma, contrast, brightness and a slight cast, as one table per channel."""
    x = np.arange(256, dtype=np.float32) / 255
    gamma, contrast = np.exp(random.gauss(0, 0.25)), np.exp(random.gauss(0, 0.2))
    brightness = random.gauss(0, 0.08)
    channels = []
    for _ in range(3):
        y = x ** (gamma * np.exp(random.gauss(0, 0.05)))
        y = (y - 0.5) * contrast + 0.5 + brightness + random.gauss(0, 0.03)
        channels.append(np.clip(255 * y, 0, 255))
    return cv2.LUT(image, np.stack(channels, -1).astype(np.uint8)[None])


def _saturation(image, factor):
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.addWeighted(image, factor, cv2.merge([grey] * 3), 1 - factor, 0)


def _motion_blur(image, length, angle):
    kernel = np.zeros((length, length), np.float32)
    middle, direction = (length - 1) / 2, np.array([np.cos(angle), np.sin(angle)])
    for step in np.linspace(-middle, middle, 2 * length):
        column, row = np.round(middle + step * direction).astype(int)
        kernel[row, column] = 1
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _shrunk(image, factor):
    height, width = image.shape[:2]
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _noise(image, deviation, random):
    source = np.random.default_rng(random.getrandbits(32))
    noise = source.normal(0, deviation, image.shape).astype(np.float32)
    return cv2.add(image, noise, dtype=cv2.CV_8U)


def _compressed(image, quality):
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def vary(image, random):
    """A random mixture of what cameras, codecs and light do to a picture."""
    image = _tone(image, random)
    choice = random.random()
    if choice < 0.06:
        image = _saturation(image, 0.0)
    elif choice < 0.3:
        image = _saturation(image, random.uniform(0.5, 1.4))
    choice = random.random()
    if choice < 0.1:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.5, 1.6))
    elif choice < 0.15:
        image = _shrunk(image, random.uniform(0.4, 0.8))
    elif choice < 0.19:
        image = _motion_blur(image, random.choice((3, 5, 7)), random.uniform(0, np.pi))
    if random.random() < 0.15:
        image = _noise(image, random.uniform(2, 12), random)
    if random.random() < 0.12:
        image = _compressed(image, random.randint(30, 75))
    return image
