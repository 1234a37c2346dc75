#!/usr/bin/env python3
"""Makes presentations for `vultus evaluate liveness` out of videos of people: pairs of frames in which
a head turned, and simulated attacks on the same faces.

usage: liveness_attacks.py [--pairs N] [--seed N] [--half first|second] [--more] MODEL OUTPUT PERSON=VIDEO...

MODEL is YuNet as an ONNX file: only frames with one face are taken. Where a head turned is told by the 468
points in space of MediaPipe's face mesh, which takes no part in the decision that is to be measured. PERSON names who
the video shows. OUTPUT gets one folder for each person, with live/ and attack/KIND/ inside, and the
folder `strangers` with pairs of two people. Everything is seeded: the same input gives the same
pictures. `--pairs` is how many there are of each kind for each person, 32 unless given; `--half` takes one half of each
video only. `--more` makes more kinds beside: small/live, in which the head turned by 3.5 to 6 degrees, and the attacks
coarse, bent, finescreen and videoprint.
"""
import argparse
import pathlib
import sys

import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh import FaceMesh

STEP = 3  # every third frame is looked at
# Vertices of the face mesh on bone: nose, corners of the eyes, cheekbones, temples and forehead. Lips, lids, brows
# and jaw move without the head.
BONE = [1, 4, 5, 6, 168, 195, 197, 33, 133, 263, 362, 50, 101, 117, 118, 280, 330, 346, 347, 10, 21, 54, 67, 93, 103,
        109, 127, 162, 234, 251, 284, 297, 323, 332, 338, 356, 389, 454]


class Video:
    """The frames of a video that show one face, and which way it looks: yaw and pitch in degrees."""

    def __init__(self, detector, path, half):
        self.frames, self.times, self.boxes, shapes = [], [], [], []
        capture = cv2.VideoCapture(str(path))
        rate = capture.get(cv2.CAP_PROP_FPS)
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        # Long videos are thinned out, short ones are not.
        step = max(STEP, count // 500) if count > 200 else 1
        with FaceMesh(max_num_faces=1) as mesh:
            for number in range(count):
                if not capture.grab():
                    break
                if number % step:
                    continue
                frame = capture.retrieve()[1]
                shape = shape_of(mesh, frame)
                found = faces(detector, frame)
                if shape is None or len(found) != 1:
                    continue
                self.frames.append(frame)
                self.times.append(number / rate)
                self.boxes.append(found[0][:4])
                shapes.append(shape)
        # One half of the time is for fitting and the other for measuring, so that no frame is in both.
        if half is not None:
            middle = self.times[len(self.times) // 2]
            kept = [at for at, time in enumerate(self.times) if (time < middle) == (half == "first")]
            for name in ("frames", "times", "boxes"):
                setattr(self, name, [getattr(self, name)[at] for at in kept])
            shapes = [shapes[at] for at in kept]
        looks = looks_of(np.array(shapes))
        # The median of five frames: one frame's points may be off by a degree.
        self.looks = np.array([np.median(looks[max(0, at - 2):at + 3], axis=0) for at in range(len(looks))])


def shape_of(mesh, frame):
    """The vertices on bone: x to the right, y down, z away from the camera, in pixels. None without a face."""
    found = mesh.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).multi_face_landmarks
    if not found:
        return None
    height, width = frame.shape[:2]
    return np.array([(p.x * width, p.y * height, p.z * width) for p in (found[0].landmark[at] for at in BONE)])


def looks_of(shapes):
    """Yaw and pitch in degrees of each shape, against the mean of all."""
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    shapes /= np.sqrt((shapes ** 2).sum(axis=(1, 2), keepdims=True))
    mean = shapes[0]
    for _ in range(3):
        rotations = [rotation(mean, shape) for shape in shapes]
        mean = np.mean([shape @ turn for shape, turn in zip(shapes, rotations)], axis=0)
    ahead = np.array(rotations)[:, :, 2]
    return np.degrees(np.stack([np.arctan2(ahead[:, 0], ahead[:, 2]), np.arcsin(np.clip(ahead[:, 1], -1, 1))], axis=1))


def rotation(model, shape):
    """The rotation R for which `model` @ R' is nearest to `shape` (Kabsch 1976)."""
    u, _, v = np.linalg.svd(shape.T @ model)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v


def faces(detector, frame):
    """What YuNet says of each."""
    height, width = frame.shape[:2]
    detector.setInputSize((width, height))
    found = detector.detect(frame)[1]
    return [] if found is None else [face for face in found if face[14] > 0.8]


def turned_pairs(video, rng, count, least, most, seconds=5.0):
    """Pairs of frames within a few seconds between which the head turned by `least` to `most` degrees."""
    found = []
    for first in range(len(video.frames)):
        for second in range(first + 1, len(video.frames)):
            if video.times[second] - video.times[first] > seconds:
                break
            turn = float(np.hypot(*(video.looks[second] - video.looks[first])))
            if least <= turn <= most:
                found.append((first, second))
    rng.shuffle(found)
    return found[:count]


def noise(picture, rng, sigma):
    return np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255)


def jpeg(picture, quality):
    coded = cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def uneven_light(picture, rng, strength):
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = rng.uniform(0, 2 * np.pi)
    return picture * (1 + strength * (x * np.cos(angle) + y * np.sin(angle)))[..., None]


def hold(sheet, rng, size, share, tilt, turn):
    """A picture of a flat sheet that is held before a camera: turned by up to `tilt` degrees about both
    axes in its plane and `turn` within it, so that it fills about `share` of the picture."""
    height, width = sheet.shape[:2]
    out_width, out_height = size
    yaw, pitch = np.radians(rng.uniform(-tilt, tilt, 2))
    roll = np.radians(rng.uniform(-turn, turn))
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    corners = np.array([(-width, -height, 0), (width, -height, 0), (width, height, 0), (-width, height, 0)]) / 2
    corners = corners @ (about_z @ about_x @ about_y).T
    distance = 1.6 * max(width, height)
    seen = corners[:, :2] * (distance / (distance + corners[:, 2:]))
    scale = share * rng.uniform(0.95, 1.05) * min(out_width / width, out_height / height)
    shift = np.array(size) * (0.5 + rng.uniform(-0.03, 0.03, 2))
    target = np.float32(seen * scale + shift)
    source = np.float32([(0, 0), (width, 0), (width, height), (0, height)])
    # What shrinks is blurred first, as by a lens.
    blur = max(0.0, 0.35 / scale - 0.2)
    if blur > 0.1:
        sheet = cv2.GaussianBlur(sheet, (0, 0), blur)
    wall = cv2.resize(rng.uniform(40, 200, (4, 5, 3)), size, interpolation=cv2.INTER_CUBIC)
    warp = cv2.getPerspectiveTransform(source, target)
    return cv2.warpPerspective(sheet, warp, size, dst=wall.astype(sheet.dtype), flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_TRANSPARENT)


def printed(frame, rng):
    """The sheet: blurred, in the range of inks on paper, with a halftone and a white border."""
    sheet = cv2.resize(frame, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC).astype(np.float64)
    sheet = cv2.GaussianBlur(sheet, (0, 0), rng.uniform(1.5, 3.5))
    grey = sheet.mean(axis=2, keepdims=True)
    sheet = 25 + 0.8 * (grey + rng.uniform(0.7, 0.95) * (sheet - grey))
    height, width = sheet.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    period, strength = rng.uniform(3.5, 5.5), rng.uniform(10, 25)
    for channel, angle in enumerate(np.radians([0, 75, 15])):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        sheet[..., channel] += strength * np.cos(2 * np.pi * u / period) * np.cos(2 * np.pi * v / period)
    border = int(rng.uniform(0.03, 0.08) * width)
    return cv2.copyMakeBorder(np.clip(sheet, 0, 255), border, border, border, border, cv2.BORDER_CONSTANT, value=(235,) * 3)


def photographed_print(sheet, rng, size):
    picture = hold(sheet, rng, size, 1.05, 8, 4)
    picture = uneven_light(picture, rng, rng.uniform(0.05, 0.2))
    return jpeg(noise(picture, rng, rng.uniform(1.5, 4)), rng.uniform(75, 93))


def displayed(frame, rng, style, stripe=(0.35, 1.7)):
    """The screen: its stripes of red, green and blue, gaps between rows, tone curve and bezel. A stripe lets so much of
    the other colours through, and so much of its own."""
    gamma, tint, gap = style
    screen = 255 * (frame / 255.0) ** gamma * np.array([1.0 + tint, 1.0, 1.0 - tint])
    screen = np.repeat(np.repeat(screen, 4, axis=0), 3, axis=1)
    height, width = screen.shape[:2]
    stripes = np.full((height, width, 3), stripe[0])
    for channel in range(3):
        stripes[:, channel::3, 2 - channel] = stripe[1]
    stripes[3::4] *= gap
    screen = np.clip(screen * stripes * 0.95, 0, 255)
    # Square again.
    screen = cv2.resize(screen, (width, height * 3 // 4), interpolation=cv2.INTER_LINEAR)
    border = int(0.05 * width)
    return cv2.copyMakeBorder(screen, border, border, border, border, cv2.BORDER_CONSTANT, value=(15,) * 3)


def photographed_screen(screen, rng, size):
    picture = hold(screen, rng, size, 1.08, 5, 3)
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    centre = rng.uniform(0.1, 0.9, 2) * size
    distance = ((x - centre[0]) / (0.3 * width)) ** 2 + ((y - centre[1]) / (0.15 * height)) ** 2
    picture = picture + rng.uniform(15, 60) * np.exp(-distance)[..., None]
    return jpeg(noise(picture, rng, rng.uniform(1, 3)), rng.uniform(75, 93))


def waved(frame, rng, size):
    """A flawless print, waved: nothing but the motion tells it."""
    sheet = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC).astype(np.float64)
    picture = hold(np.clip(sheet, 0, 255), rng, size, 1.15, 25, 10)
    return noise(uneven_light(picture, rng, rng.uniform(0, 0.1)), rng, 2)


def copy_of(frame, rng, style):
    """The same picture again: as it is, coded anew, cropped, scaled, brighter, a little turned."""
    height, width = frame.shape[:2]
    picture = frame.astype(np.float64)
    if style == 0:
        return picture
    if style == 1:
        return jpeg(picture, rng.uniform(50, 90))
    if style == 2:
        left, top = rng.integers(1, width // 12), rng.integers(1, height // 12)
        return picture[top:height - top // 2, left:width - left // 2]
    if style == 3:
        scale = rng.uniform(0.7, 1.4)
        return jpeg(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), 85)
    if style == 4:
        return jpeg(np.clip(rng.uniform(0.75, 1.2) * picture + rng.uniform(-15, 15), 0, 255), 90)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-6, 6), rng.uniform(0.95, 1.1))
    return jpeg(cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), 88)


def cropped(frame, rng, box):
    """The same picture, cut off through the face at one or two sides, and as it is."""
    height, width = frame.shape[:2]
    x, y, w, h = box
    left, top = int(max(0, x + rng.uniform(-0.1, 0.2) * w)), int(max(0, y + rng.uniform(0, 0.25) * h))
    right, bottom = int(min(width, x + w * rng.uniform(1.0, 1.5))), int(min(height, y + h * rng.uniform(1.0, 1.5)))
    return jpeg(frame[top:bottom, left:right].astype(np.float64), rng.uniform(75, 95))


def mirrored(frame, rng):
    """The same picture in a mirror, coded anew."""
    return jpeg(frame[:, ::-1].astype(np.float64), rng.uniform(75, 95))


def shaded(frame, rng, size):
    """A flawless print, held a little otherwise, and lit from one side or half in shadow."""
    sheet = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC).astype(np.float64)
    picture = hold(np.clip(sheet, 0, 255), rng, size, 1.15, 15, 5)
    if rng.uniform() < 0.5:
        return noise(uneven_light(picture, rng, rng.uniform(0.2, 0.6)), rng, 2)
    width = size[0]
    edge = rng.uniform(0.35, 0.65) * width
    shadow = 1 / (1 + np.exp(-(np.arange(width) - edge) / (0.04 * width)))
    return noise(picture * (0.5 + 0.5 * shadow)[None, :, None], rng, 2)


def coarse(frame, rng):
    """As `printed`, with dots of up to twice the size and more, as strong as in a newspaper."""
    sheet = cv2.resize(frame, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC).astype(np.float64)
    sheet = cv2.GaussianBlur(sheet, (0, 0), rng.uniform(1, 3))
    grey = sheet.mean(axis=2, keepdims=True)
    sheet = 25 + 0.8 * (grey + rng.uniform(0.7, 0.95) * (sheet - grey))
    height, width = sheet.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    period, strength = rng.uniform(5, 14), rng.uniform(15, 60)
    for channel, angle in enumerate(np.radians([0, 75, 15])):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        sheet[..., channel] += strength * np.cos(2 * np.pi * u / period) * np.cos(2 * np.pi * v / period)
    border = int(rng.uniform(0.02, 0.1) * width)
    return cv2.copyMakeBorder(np.clip(sheet, 0, 255), border, border, border, border, cv2.BORDER_CONSTANT, value=(240,) * 3)


def bent(sheet, rng):
    """The sheet about a cylinder, upright or lying, towards the camera or away from it."""
    height, width = sheet.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    bend, side = rng.uniform(0.3, 1.0), rng.choice([-1, 1])
    upright = rng.uniform() < 0.7
    across = x if upright else y
    along = np.arcsin(np.clip(across * np.sin(bend), -1, 1)) / bend
    depth = 1 + 0.25 * side * (np.cos(bend * along) - 1)
    u, v = (along, y * depth) if upright else (x * depth, along)
    u, v = (u + 1) / 2 * (width - 1), (v + 1) / 2 * (height - 1)
    return cv2.remap(sheet.astype(np.float32), u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REPLICATE).astype(np.float64)


def photographed_sheet(sheet, rng, size, share, tilt, turn):
    picture = uneven_light(hold(sheet, rng, size, share, tilt, turn), rng, rng.uniform(0.05, 0.2))
    return jpeg(noise(picture, rng, rng.uniform(1, 3)), rng.uniform(75, 93))


def more(video, rng, count, size, pairs):
    """Kind and pictures of further attacks."""
    for i in range(count):
        frame = video.frames[rng.integers(len(video.frames))]
        sheet, share = coarse(frame, rng), rng.uniform(0.75, 1.05)
        yield "coarse", i, [photographed_sheet(sheet, rng, size, share, 8, 4) for _ in range(2)]
        flawless = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC).astype(np.float64)
        sheet = printed(frame, rng) if i % 2 else np.clip(flawless, 0, 255)
        # Half of them are bent otherwise in the second picture.
        sheets = [bent(sheet, rng)] * 2 if i % 4 < 2 else [bent(sheet, rng) for _ in range(2)]
        yield "bent", i, [photographed_sheet(sheet, rng, size, 1.08, 12, 5) for sheet in sheets]
    for i, pair in enumerate(pairs):
        frames = [video.frames[at] for at in pair]
        gamma, tint, gap, fine = (rng.uniform(*range) for range in [(0.9, 1.25), (0, 0.06), (0.3, 0.8), (0.1, 0.4)])
        # Stripes and gaps that a camera hardly resolves have less contrast.
        style, stripe = (gamma, tint, 1 - (1 - gap) * fine / 0.65), (1 - fine, 1 + 2 * fine)
        yield "finescreen", i, [photographed_screen(displayed(f, rng, style, stripe), rng, size) for f in frames]
        make = printed if i % 2 else coarse
        yield "videoprint", i, [photographed_print(make(f, rng), rng, size) for f in frames]


def write(folder, number, pictures):
    place = folder / f"{number:03}"
    place.mkdir(parents=True, exist_ok=True)
    for name, picture in enumerate(pictures, start=1):
        cv2.imwrite(str(place / f"{name}.png"), np.clip(picture, 0, 255).astype(np.uint8))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", choices=["first", "second"])
    parser.add_argument("--more", action="store_true")
    parser.add_argument("model")
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("videos", nargs="+")
    given = parser.parse_args()
    output = given.output
    detector = cv2.FaceDetectorYN.create(given.model, "", (320, 320), 0.6, 0.3)
    people = {}
    for number, named in enumerate(given.videos):
        person, path = named.split("=", 1)
        people.setdefault(person, []).append((number, Video(detector, path, given.half)))
    for person, shown in people.items():
        folder = output / person
        for part, (number, video) in enumerate(shown):
            share = given.pairs // len(shown)
            at = part * share
            rng = np.random.default_rng(1000 + given.seed + number)
            size = (video.frames[0].shape[1], video.frames[0].shape[0])
            pairs = turned_pairs(video, rng, share, 6, 40)
            still = turned_pairs(video, rng, share, 0, 90)
            print(f"{person}: {len(video.frames)} frames, {len(pairs)} pairs in which the head turned", file=sys.stderr)
            for i, (a, b) in enumerate(pairs):
                write(folder / "live", at + i, [video.frames[a], video.frames[b]])
            for i, (a, b) in enumerate(still):
                write(output / "any" / "live", 100 * number + i, [video.frames[a], video.frames[b]])
            for i in range(share):
                frame = video.frames[rng.integers(len(video.frames))]
                sheet = printed(frame, rng)
                write(folder / "attack" / "print", at + i, [photographed_print(sheet, rng, size) for _ in range(2)])
                write(folder / "attack" / "waved", at + i, [waved(frame, rng, size) for _ in range(2)])
                write(folder / "attack" / "same", at + i, [frame, copy_of(frame, rng, i % 6)])
            rng = np.random.default_rng(3000 + given.seed + number)
            for i in range(share):
                at_frame = rng.integers(len(video.frames))
                frame, box = video.frames[at_frame], video.boxes[at_frame]
                write(folder / "attack" / "cropped", at + i, [frame, cropped(frame, rng, box)])
                write(folder / "attack" / "mirrored", at + i, [frame, mirrored(frame, rng)])
                write(folder / "attack" / "shaded", at + i, [shaded(frame, rng, size) for _ in range(2)])
            rng = np.random.default_rng(4000 + given.seed + number)
            for i, (a, b) in enumerate(pairs):
                style = rng.uniform(0.9, 1.25), rng.uniform(0, 0.06), rng.uniform(0.3, 0.8)
                screens = [displayed(video.frames[at], rng, style) for at in (a, b)]
                write(folder / "attack" / "screen", at + i, [photographed_screen(s, rng, size) for s in screens])
            if given.more:
                rng = np.random.default_rng(5000 + given.seed + number)
                small = turned_pairs(video, rng, share, 3.5, 6)
                for i, (a, b) in enumerate(small):
                    write(output / "small" / person / "live", at + i, [video.frames[a], video.frames[b]])
                for kind, i, pictures in more(video, rng, share, size, (pairs + small)[:share]):
                    write(folder / "attack" / kind, at + i, pictures)
    rng = np.random.default_rng(2000 + given.seed)
    everybody = [(person, video) for person, shown in people.items() for _, video in shown]
    for number in range(given.pairs * 2):
        while True:
            first, second = (everybody[at] for at in rng.integers(len(everybody), size=2))
            if first[0] != second[0]:
                break
        frames = [video.frames[rng.integers(len(video.frames))] for _, video in (first, second)]
        write(output / "strangers" / "attack" / "strangers", number, frames)


main()
