"""`vultus.Faces` against the command line, and with what is no picture."""

import io
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import vultus

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("vultus_faces")

PROGRAM = os.environ.get("VULTUS")
FACES = Path(__file__).resolve().parents[2] / "data" / "faces"
OBAMA, SPEECH, WHITE_HOUSE, BIDEN = ALL = [
    FACES / f"{name}.jpg" for name in ("obama-portrait", "obama-speech", "obama-white-house", "biden-portrait")
]
# Networks take long where other programs run; limits have a test of their own.
PATIENT = 600.0


@pytest.fixture(scope="module")
def faces():
    return vultus.Faces(picture_seconds_max=PATIENT)


@pytest.fixture(scope="module")
def pixels():
    # A PNG of them is what a file without loss has.
    return np.asarray(Image.open(OBAMA).convert("RGB"))


@pytest.fixture(scope="module")
def portrait(faces, pixels):
    return faces.only_face(pixels)


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def program(*verb):
    return subprocess.run([PROGRAM, *verb], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(not PROGRAM, reason="VULTUS names no program")
def test_detect_finds_what_the_command_line_finds(faces):
    lines = [json.loads(line) for line in program("detect", "--json", *map(str, ALL)).splitlines()]
    for path, found in zip(ALL, faces.detect(ALL)):
        (line,) = [line for line in lines if line["picture"] == str(path)]
        assert (found.width, found.height, found.left_out) == (line["width"], line["height"], 0)
        assert len(found) == len(line["faces"]) >= 1
        for face, told in zip(found, line["faces"]):
            assert face.box == tuple(told["box"][side] for side in ("left", "top", "width", "height"))
            points = [told["points"][name] for name in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")]
            np.testing.assert_allclose(face.points, points, atol=0.051)
            assert face.points[0, 0] < face.points[1, 0] and face.points[2, 1] > face.points[0, 1]
            assert np.float32(face.detection_score) == np.float32(told["detection_score"])
            assert np.float32(face.quality) == np.float32(told["quality"])
            assert list(face.warnings) == told["warnings"]


@pytest.mark.skipif(not PROGRAM, reason="VULTUS names no program")
def test_embeddings_are_those_of_the_command_line(faces, tmp_path):
    for flags, ours in (
        (["--faces", "one"], lambda: faces.embed(ALL)),
        (["--faces", "all"], lambda: np.stack([face.embedding for found in faces.detect(ALL) for face in found])),
    ):
        file = tmp_path / "faces.npy"
        program("embed", *map(str, ALL), *flags, "--output", str(file), "--overwrite")
        rows = np.load(file)
        found = ours()
        assert found.dtype == np.float32 and found.shape == rows.shape
        np.testing.assert_array_equal(found, rows)


def test_who_is_alike(faces):
    X = faces.embed(ALL)
    assert X.shape == (4, faces.dimension)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-5)
    alike = X @ X.T
    threshold = faces.verification_threshold
    assert alike[0, 1] > threshold and alike[0, 2] > threshold and alike[0, 3] < threshold
    with vultus.Gallery(encoder=faces.encoder) as gallery:
        gallery.add(X[[0, 3]], ["obama", "biden"])
        assert gallery.search(X[1:3], 1).labels[:, 0].tolist() == ["obama", "obama"]


def test_every_way_to_give_a_picture_is_the_same_picture(faces, pixels, portrait):
    wide = np.zeros((pixels.shape[0], 2 * pixels.shape[1], 3), np.uint8)
    wide[:, ::2] = pixels
    frozen = pixels.copy()
    frozen.flags.writeable = False
    png_bytes = png(pixels)
    ways = [
        png_bytes,
        bytearray(png_bytes),
        memoryview(png_bytes),
        np.frombuffer(png_bytes, np.uint8),
        pixels.copy(),
        np.asfortranarray(pixels),
        wide[:, ::2],
        pixels[:, :, ::-1].copy()[:, :, ::-1],
        pixels[::-1].copy()[::-1],
        frozen,
        Image.fromarray(pixels),
        Image.open(io.BytesIO(png_bytes)),
    ]
    for at, (way, face) in enumerate(zip(ways, faces.only_face(ways))):
        assert face.box == portrait.box, (at, type(way))
        np.testing.assert_array_equal(face.embedding, portrait.embedding, err_msg=f"{at} {type(way)}")
    (several,) = faces.embed(pixels[None])
    np.testing.assert_array_equal(several, portrait.embedding)
    np.testing.assert_array_equal(faces.embed(pixels), portrait.embedding)
    assert faces.detect(str(OBAMA)).width == pixels.shape[1]


def test_pictures_of_pil_are_read_as_files_are(faces, pixels):
    def alike(picture, file):
        ours, theirs = faces.only_face([picture, file])
        assert ours.box == theirs.box
        np.testing.assert_array_equal(ours.embedding, theirs.embedding)

    # Lying on a side, with a tag that says so.
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(np.rot90(pixels).copy()).save(file, "PNG", exif=exif)
    alike(Image.open(io.BytesIO(file.getvalue())), file.getvalue())
    for mode in ("L", "RGBA", "LA"):
        picture = Image.fromarray(pixels).convert(mode)
        if mode != "L":
            # Half of it shines through, over white.
            alpha = np.full(pixels.shape[:2], 255, np.uint8)
            alpha[: len(alpha) // 8] = 0
            picture.putalpha(Image.fromarray(alpha))
        file = io.BytesIO()
        picture.save(file, "PNG")
        alike(picture, file.getvalue())


def test_quality_has_causes(faces, pixels):
    sound, small, dark = faces.quality([pixels, pixels[::12, ::12], (pixels // 12)])
    assert sound.score > 0.5 and not sound.warnings
    assert sound.measures["eye_distance"] > 60 and abs(sound.measures["roll"]) < 25
    assert small.score < sound.score and set(small.warnings) & {"ImageTooSmall", "ImageWayTooSmall"}
    assert all(name[0].isupper() and " " in sentence for name, sentence in small.warnings.items())
    assert "FaceTooDark" in dark.warnings


def test_liveness_is_a_score_with_its_decision(faces):
    for one in faces.liveness(ALL):
        assert 0 <= one.score <= 1
        assert one.live == (one.score >= 0.5) == (one.reason is None)


def test_nobody_is_no_error_where_everybody_is_asked_for(faces, rng):
    noise = rng.integers(0, 256, (240, 320, 3), np.uint8)
    found = faces.detect(noise)
    assert (len(found), list(found), found.left_out, found.width, found.height) == (0, [], 0, 320, 240)
    assert faces.detect([]) == faces.only_face([]) == faces.detect(()) == []
    assert faces.embed([]).shape == (0, faces.dimension)


def test_a_face_of_a_few_pixels_has_no_embedding(faces, pixels):
    page = np.full((480, 640, 3), 128, np.uint8)
    small = pixels[::24, ::24]
    page[200 : 200 + small.shape[0], 300 : 300 + small.shape[1]] = small
    for face in faces.detect(page):
        assert (face.embedding is None) == (min(face.box[2:]) < 18)


def wrong_pictures(pixels):
    jpeg = OBAMA.read_bytes()
    grey = pixels[:, :, 0]
    yield grey, vultus.ShapeError, r"shape \(height, width, 3\), found \(\d+, \d+\): a grey picture"
    yield grey[:, :, None], vultus.ShapeError, r"np.repeat\(X, 3, axis=2\)"
    yield np.dstack([pixels, grey]), vultus.ShapeError, r"X\[:, :, :3\] leaves out the fourth"
    yield pixels.transpose(2, 0, 1), vultus.ShapeError, r"X.transpose\(1, 2, 0\)"
    yield np.zeros((4, 4, 2), np.uint8), vultus.ShapeError, r"found \(4, 4, 2\)$"
    yield np.uint8(3), vultus.ShapeError, r"found \(\)"
    yield pixels / 255, vultus.DtypeError, r"expected uint8, found float64: .*X \* 255"
    yield pixels.astype(np.float32), vultus.DtypeError, "found float32"
    yield pixels.astype(np.int64), vultus.DtypeError, r"found int64: .*astype\('uint8'\)"
    yield pixels > 100, vultus.DtypeError, "found bool"
    yield np.zeros((0, 0, 3), np.uint8), vultus.NoFaceError, "0 x 0 pixels, a face needs at least 16"
    yield np.zeros((0, 9, 3), np.uint8), vultus.NoFaceError, "9 x 0 pixels"
    yield np.zeros((1, 1, 3), np.uint8), vultus.NoFaceError, "1 x 1 pixels, a face needs at least 16"
    yield np.zeros((64, 20_000, 3), np.uint8), vultus.PictureError, "20000 x 64 pixels, at most 16384 on a side"
    yield np.zeros((0,), np.uint8), vultus.PictureError, "is empty: 0 bytes"
    yield b"", vultus.PictureError, "is empty: 0 bytes"
    yield b"no picture at all", vultus.PictureError, "17 bytes are no picture"
    yield jpeg[: len(jpeg) // 2], vultus.PictureError, "truncated"
    yield jpeg + bytes(21 << 20), vultus.PictureError, "bytes, at most"
    yield b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", vultus.PictureError, "HEIC is not read here: convert it to JPEG"
    yield None, vultus.PictureError, "expected a path, .*found NoneType"
    yield 3.5, vultus.PictureError, "found float"
    yield np.zeros((32, 32, 3), complex), vultus.PictureError, "an array of complex128"
    yield [pixels], vultus.PictureError, "found list"
    yield "no/such/file.jpg", vultus.PictureFileError, "`no/such/file.jpg`: cannot be read: No such file"
    yield FACES, vultus.PictureFileError, "faces`: cannot be read: Is a directory"
    yield "a\0b", vultus.PictureError, "zero character"
    yield np.full((300, 300, 3), 200, np.uint8), vultus.NoFaceError, "no face was found in the picture, expected one"
    yield np.hstack([pixels, pixels]), vultus.SeveralFacesError, "2 faces were found in the picture, expected one"


def test_what_is_no_picture_is_told_alone_and_among_others(faces, pixels, portrait):
    given, kinds, texts = zip(*wrong_pictures(pixels))
    pictures = [pixels, *given, pixels]
    found = faces.only_face(pictures, return_exceptions=True)
    assert len(found) == len(pictures)
    for at, (kind, text) in enumerate(zip(kinds, texts), 1):
        assert type(found[at]).__name__ == kind.__name__ and isinstance(found[at], kind), (at, found[at])
        with pytest.raises(kind, match=rf"^pictures\[{at}\](, .*)?: .*{text.rpartition('`: ')[2]}"):
            raise found[at]
    for face in (found[0], found[-1]):
        np.testing.assert_array_equal(face.embedding, portrait.embedding)
    for ask in (faces.detect, faces.only_face, faces.embed, faces.quality, faces.liveness):
        for picture, kind, text in wrong_pictures(pixels):
            nobody = kind in (vultus.NoFaceError, vultus.SeveralFacesError) and "found in the picture" in text
            if isinstance(picture, list) or ask == faces.detect and nobody:
                continue
            if picture is not None and not isinstance(picture, float):
                with pytest.raises(kind, match=text):
                    ask(picture)
            with pytest.raises(kind, match=r"pictures\[0\]"):
                ask([picture])
    with pytest.raises(vultus.PictureError, match="found NoneType"):
        faces.detect(None)
    with pytest.raises(FileNotFoundError):
        faces.embed("no/such/file.jpg")
    with pytest.raises(IsADirectoryError, match="^`.*faces`: cannot be read"):
        faces.embed(FACES)
    missing, folder = faces.detect(["no/such/file.jpg", FACES], return_exceptions=True)
    for one in (missing, pickle.loads(pickle.dumps(missing))):
        assert isinstance(one, FileNotFoundError) and isinstance(one, vultus.PictureFileError)
        assert str(one).startswith("pictures[0], `no/such/file.jpg`: cannot be read")
    assert isinstance(folder, IsADirectoryError)
    for call in (lambda: vultus.Faces(picture_seconds_max="long"), lambda: faces.detect(5), lambda: faces.detect([5])):
        with pytest.raises(TypeError) as caught:
            call()
        assert isinstance(caught.value, vultus.InputError)
    with pytest.raises(FileNotFoundError) as caught:
        vultus.Faces(embedder="no/such.onnx", embedder_profile="no/such.toml")
    assert isinstance(caught.value, vultus.InputFileError)


def test_other_arguments(faces):
    for threads in (0, -1, 1.5, "two", 2000):
        with pytest.raises(vultus.InputError, match="threads"):
            faces.detect(OBAMA, threads=threads)
    for seconds in (0, -1, float("nan"), "long", None):
        with pytest.raises(vultus.InputError, match="picture_seconds_max"):
            vultus.Faces(picture_seconds_max=seconds)
    with pytest.raises(vultus.InputError, match="expected both or neither"):
        vultus.Faces(embedder="net.onnx")
    with pytest.raises(vultus.InputError, match="no-such.toml"):
        vultus.Faces(embedder="no-such.onnx", embedder_profile="no-such.toml")
    profile = FACES.parent / "models" / "face_recognition_sface_2021dec.toml"
    with pytest.raises(vultus.InputError, match="network that can be run"):
        vultus.Faces(embedder=OBAMA, embedder_profile=profile)
    with pytest.raises(TimeoutError, match="took longer than 0.000001 s") as caught:
        vultus.Faces(picture_seconds_max=1e-6).embed(OBAMA)
    assert isinstance(caught.value, vultus.PictureError)


def test_another_embedder(faces):
    models = FACES.parent / "models"
    name = "face_recognition_sface_2021dec"
    other = vultus.Faces(
        embedder=models / f"{name}.onnx", embedder_profile=models / f"{name}.toml", picture_seconds_max=PATIENT
    )
    assert (other.encoder, other.dimension) == (faces.encoder, faces.dimension)
    np.testing.assert_array_equal(other.embed(OBAMA), faces.embed(OBAMA))


def test_threads_and_progress(faces):
    told = []
    one = faces.embed(ALL, threads=1, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (4, 4) and told == sorted(told)
    np.testing.assert_array_equal(faces.embed(ALL, threads=7), one)

    class StopHere(Exception):
        pass

    def stop(done, total):
        raise StopHere

    with pytest.raises(StopHere):
        faces.embed(ALL, progress=stop)


def test_the_lock_is_released(faces):
    ticks, ended = [], threading.Event()

    def tick():
        while not ended.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.perf_counter()
    faces.embed(ALL, threads=1)
    finished = time.perf_counter()
    ended.set()
    thread.join()
    # With the lock held there were none between.
    assert sum(began < at < finished for at in ticks) >= 3


def test_ctrl_c_ends_a_call():
    script = f"""
import signal, threading, vultus
signal.signal(signal.SIGINT, signal.default_int_handler)
faces = vultus.Faces(picture_seconds_max={PATIENT})
print("ready", flush=True)
try:
    faces.embed([{str(OBAMA)!r}] * 100_000)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=60)[0] == "stopped\n"


def _embedded(faces):
    return faces.embed(OBAMA)


def test_other_processes_load_the_networks_anew(faces):
    expected = faces.embed(OBAMA)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply_async(_embedded, (faces,)).get(timeout=300), expected)
    assert repr(pickle.loads(pickle.dumps(faces))) == repr(faces) == f"Faces({faces.encoder}, dimension=128)"


def test_a_fork_is_told_and_does_not_wait_for_ever(faces):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        for ask in (lambda: faces.embed(OBAMA), vultus.Faces):
            try:
                ask()
            except vultus.ForkedError as error:
                os.write(writer, b"told " if "spawn" in str(error) else b"else ")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"told told "


def test_nothing_shows_an_embedding(portrait):
    assert "embedding" not in repr(portrait) and str(portrait.embedding[0]) not in repr(portrait)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vultus_faces", None)
    monkeypatch.setitem(sys.modules, "vultus_faces._vultus_faces", None)
    with pytest.raises(vultus.FacesMissingError, match="pip install ./python ./python/faces"):
        vultus.Faces()
    with pytest.raises(ImportError):
        vultus.Faces()
