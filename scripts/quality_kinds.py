#!/usr/bin/env python3
"""Makes pictures that are no natural portraits out of portraits: turned, inverted, covered, blurred, ...

    quality_kinds.py YUNET.onnx OUT PICTURE=PERSON...

OUT/KIND/NUMBER/0.png is a picture, NUMBER a class for each picture alone; OUT/people.json says whom each NUMBER
shows. Noise is the same in every run.
"""

import io
import json
import pathlib
import sys

import cv2
import numpy as np
from PIL import Image, ImageFilter, ImageOps

SIDE_MAX = 900


def face_of(detector, image):
    """Left, top, width and height of the surest face, and its five landmarks."""
    detector.setInputSize(image.size)
    _, faces = detector.detect(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR))
    if faces is None:
        return None
    best = max(faces, key=lambda face: face[-1])
    return best[:4], best[4:14].reshape(5, 2)


def values(image):
    return np.asarray(image).astype(np.float32)


def picture(array):
    return Image.fromarray(np.clip(array + 0.5, 0, 255).astype(np.uint8))


def blown_up(image, box, height, down, up):
    """The picture with a face of so many pixels, and as large as before."""
    scale = height / box[3]
    size = [max(1, round(side * scale)) for side in image.size]
    return image.resize(size, down).resize(image.size, up)


def covered(image, box, part, fill):
    array = values(image).copy()
    x, y, width, height = box
    left, top, right, bottom = [
        round(float(value)) for value in (x - 0.1 * width, y - 0.15 * height, x + 1.1 * width, y + 1.1 * height)
    ]
    middle_x, middle_y = round(float(x + width / 2)), round(float(y + height / 2))
    left, right = {"left": (left, middle_x), "right": (middle_x, right)}.get(part, (left, right))
    top, bottom = {"top": (top, middle_y), "bottom": (middle_y, bottom)}.get(part, (top, bottom))
    area = array[max(top, 0):bottom, max(left, 0):right]
    area[:] = np.random.default_rng(1).integers(0, 256, area.shape) if fill == "noise" else fill
    return picture(array)


def bar(image, landmarks):
    array = values(image).copy()
    (left, left_y), (right, right_y) = landmarks[:2]
    eyes = np.hypot(right - left, right_y - left_y)
    top, bottom = int(min(left_y, right_y) - 0.3 * eyes), int(max(left_y, right_y) + 0.3 * eyes)
    array[max(top, 0):bottom, max(int(left - 0.5 * eyes), 0):int(right + 0.5 * eyes)] = 0
    return picture(array)


def salt(image, share):
    array = values(image).copy()
    drawn = np.random.default_rng(2).random(array.shape[:2])
    array[drawn < share / 2] = 0
    array[drawn > 1 - share / 2] = 255
    return picture(array)


def jpeg(image, quality):
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    return Image.open(packed).convert("RGB")


def kinds(image, box, landmarks):
    eyes = float(np.hypot(*(landmarks[1] - landmarks[0])))
    array = values(image)
    grey = image.convert("L").convert("RGB")
    noise = np.random.default_rng(3).normal(0, 1, array.shape)
    yield "natural", image
    yield "mirrored", ImageOps.mirror(image)
    yield "grey", grey
    yield "swapped colours", Image.merge("RGB", image.split()[::-1])
    for degrees in (45, 90, 135, 180, 270):
        yield f"turned by {degrees}", image.rotate(degrees, expand=True, resample=Image.BICUBIC)
    yield "flipped", ImageOps.flip(image)
    yield "negative", ImageOps.invert(image)
    yield "negative, grey", ImageOps.invert(grey)
    yield "negative, turned by 180", ImageOps.invert(image).rotate(180)
    yield "solarized", ImageOps.solarize(image, 128)
    for bits in (1, 2):
        yield f"{bits} bit a colour", ImageOps.posterize(image, bits)
    yield "edges", grey.filter(ImageFilter.FIND_EDGES)
    yield "embossed", image.filter(ImageFilter.EMBOSS)
    for height in (24, 32, 45, 64):
        yield f"squares, face of {height}", blown_up(image, box, height, Image.BOX, Image.NEAREST)
        yield f"smooth, face of {height}", blown_up(image, box, height, Image.BOX, Image.BICUBIC)
    for percent in (5, 10, 15, 25):
        yield f"blurred by {percent} %", image.filter(ImageFilter.GaussianBlur(eyes * percent / 100))
    for spread in (20, 40, 80):
        yield f"noise of {spread}", picture(array + spread * noise)
    for percent in (10, 30):
        yield f"salt of {percent} %", salt(image, percent / 100)
    for part in ("left", "right", "top", "bottom"):
        yield f"covered {part}", covered(image, box, part, 128)
    yield "covered left, black", covered(image, box, "left", 0)
    yield "covered bottom, white", covered(image, box, "bottom", 255)
    yield "covered right, noise", covered(image, box, "right", "noise")
    yield "bar over the eyes", bar(image, landmarks)
    yield "JPEG of quality 3", jpeg(image, 3)
    yield "faint", picture(128 + (array - 128) * 0.12)
    yield "dark", picture(array * 0.12)
    yield "bright", picture(255 - (255 - array) * 0.12)
    yield "1.6 times as wide", image.resize((image.width * 8 // 5, image.height))
    yield "1.6 times as high", image.resize((image.width, image.height * 8 // 5))


def main():
    detector = cv2.FaceDetectorYN.create(sys.argv[1], "", (320, 320), 0.6)
    out, people = pathlib.Path(sys.argv[2]), {}
    for number, argument in enumerate(sys.argv[3:], 1):
        path, _, person = argument.rpartition("=")
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        image.thumbnail((SIDE_MAX, SIDE_MAX), Image.LANCZOS)
        face = face_of(detector, image)
        if face is None:
            sys.exit(f"no face in {path}")
        people[number] = person
        for kind, made in kinds(image, *face):
            folder = out / kind / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            made.save(folder / "0.png", compress_level=1)
    (out / "people.json").write_text(json.dumps(people))


main()
