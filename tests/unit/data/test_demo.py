"""The generated data of every task: labels fit the drawn pixels, and are mirrored with the image."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from nas_attn.data.check import check_data
from nas_attn.data.demo import SIDES, demo_data, draw, scene, write_data
from nas_attn.data.demo_shapes import FLIP, POINTS, TURNED, UPRIGHT, Drawn, turned, upright

TASKS = ("detect", "segment", "pose", "obb")
IMGSZ = 128


def area(points: np.ndarray) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def length(points: np.ndarray) -> float:
    return float(np.hypot(*(points - np.roll(points, 1, 0)).T).sum())


def objects(task: str) -> list[Drawn]:
    return [drawn for i in range(12) for drawn in scene("train", i, IMGSZ, SIDES, task)[1]]


def test_what_a_detector_is_shown_has_not_changed(tmp_path):
    path = write_data(tmp_path, {"train": 6, "val": 3})
    content = b"".join(f.read_bytes() for f in sorted(tmp_path.rglob("*.*")))
    assert hashlib.sha256(content).hexdigest()[:16] == "28d0dba7051d2b7c"
    assert check_data(path).fingerprint[:16] == "97bd854e0d25992a"


@pytest.mark.parametrize("task", TASKS)
def test_data_of_each_task_passes_its_own_check(task, tmp_path):
    info = check_data(write_data(tmp_path, {"train": 4, "val": 2, "test": 2}, task=task), task)
    assert info.task == task and info.nc == 3 and min(info.boxes.values()) > 5 and info.notes == ()
    assert info.kpt_shape == ((POINTS, 3) if task == "pose" else None)
    assert info.names == (TURNED if task == "obb" else UPRIGHT)


def test_each_task_has_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("nas_attn.data.demo.SPLITS", {"train": 2, "val": 1, "test": 1})
    found = [demo_data(tmp_path, task).parent.name for task in TASKS]
    assert found == ["demo-128-v1", "demo-segment-128-v1", "demo-pose-128-v1", "demo-obb-128-v1"]


def test_the_same_images_for_upright_objects():
    images = [draw("val", 3, IMGSZ, SIDES, task)[0] for task in TASKS]
    assert np.array_equal(images[0], images[1]) and np.array_equal(images[0], images[2])
    assert not np.array_equal(images[0], images[3])


@pytest.mark.parametrize("task", ["segment", "obb"])
def test_an_outline_holds_as_much_as_was_drawn(task):
    found = objects(task)
    assert len({drawn.kind for drawn in found}) == 3
    for drawn in found:
        # a pixel is drawn or not, so each edge may be off by half of one
        assert abs(area(drawn.outline) - drawn.mask.sum()) < 0.5 * length(drawn.outline)
    drawn_pixels = sum(drawn.mask.sum() for drawn in found)
    assert abs(sum(area(drawn.outline) for drawn in found) / drawn_pixels - 1) < 0.02


@pytest.mark.parametrize("task", ["segment", "obb"])
def test_every_drawn_pixel_and_no_other_lies_inside_the_outline(task):
    for drawn in objects(task):
        polygon = drawn.outline.astype(np.float32)
        rows, columns = np.nonzero(cv2.dilate(drawn.mask.astype(np.uint8), np.ones((5, 5), np.uint8)))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            depth = cv2.pointPolygonTest(polygon, (column + 0.5, row + 0.5), True)  # above 0 inside
            assert depth > -0.25 if drawn.mask[row, column] else depth < 0.25


def test_keypoints_lie_in_their_box_and_on_the_outline():
    for drawn in objects("pose"):
        left, top, right, bottom = drawn.box
        assert ((drawn.keypoints >= (left, top)) & (drawn.keypoints <= (right, bottom))).all()
        edge = [abs(cv2.pointPolygonTest(drawn.outline.astype(np.float32), p, True)) for p in drawn.keypoints.tolist()]
        assert max(edge) < 1.01
        above, right_of, below, left_of = drawn.keypoints
        assert above[1] < below[1] and left_of[0] < right_of[0]


def test_oriented_boxes_hold_their_pixels_and_touch_them():
    for drawn in objects("obb"):
        corners = drawn.corners
        sides = np.roll(corners, -1, 0) - corners
        lengths = np.hypot(*sides.T)
        assert abs(sides[0] @ sides[1]) < 1e-6 * lengths[0] * lengths[1]
        rows, columns = np.nonzero(drawn.mask)
        centres = np.stack((columns + 0.5, rows + 0.5), 1) - corners[0]
        for side, size in zip(sides[:2], lengths[:2], strict=True):
            along = centres @ side / size
            assert -1e-6 <= along.min() < 2.5 and size - 2.5 < along.max() <= size + 1e-6
        assert 0.3 < lengths.min() / lengths.max() < 0.65, "an angle needs a long side"


def test_mirroring_the_image_is_mirroring_its_labels():
    for kind in range(3):
        x, y, side = 40.2, 30.7, 21.3
        a, b = upright((64, 96), kind, x, y, side), upright((64, 96), kind, 95 - x, y, side)
        assert np.array_equal(a.mask[:, ::-1], b.mask)
        mirrored = a.keypoints * (-1, 1) + (96, 0)
        np.testing.assert_allclose(mirrored[list(FLIP)], b.keypoints, atol=1e-9)
        one, other = (turned((64, 96), kind, u, y, side, angle, 0.4) for u, angle in ((x, 0.6), (95 - x, -0.6)))
        assert np.array_equal(one.mask[:, ::-1], other.mask)
        corners = one.corners * (-1, 1) + (96, 0)
        assert {tuple(c) for c in corners.round(6)} == {tuple(c) for c in other.corners.round(6)}


def test_rows_are_what_was_drawn():
    image, rows = draw("train", 1, IMGSZ, SIDES, "pose")
    again, drawn = scene("train", 1, IMGSZ, SIDES, "pose")
    assert np.array_equal(image, again) and len(rows) == len(drawn)
    for row, d in zip(rows, drawn, strict=True):
        points = np.array(row[5:]).reshape(-1, 3)
        assert row[0] == d.kind and (points[:, 2] == 2).all()
        np.testing.assert_allclose(points[:, :2] * IMGSZ, d.keypoints)
        inside = image[d.mask].astype(float).std(0)
        assert inside.max() < 8, "one colour and the noise"
