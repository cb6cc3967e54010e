"""Folds: every image is validated once in a round, groups stay together, and folds are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_attn.data.folds import check_folds, folds_of, group_names, split
from nas_attn.errors import UserError


def objects(seed, images, nc=3):
    rng = np.random.default_rng(seed)
    return [rng.choice(nc, rng.integers(0, 8), p=[0.7, 0.25, 0.05]) for _ in range(images)]


@given(st.integers(0, 99), st.integers(2, 6), st.integers(30, 90), st.integers(1, 4))
def test_a_round_validates_each_image_once_and_keeps_groups_together(seed, folds, images, size):
    groups = [f"g{i // size}" for i in range(images)]
    seen: list[int] = []
    if images // size < 2 * folds:
        return
    for s in range(folds * seed, folds * (seed + 1)):
        train, val = split(groups, objects(seed, images), 3, folds, s)
        assert sorted(train + val) == list(range(images))
        assert not {groups[i] for i in train} & {groups[i] for i in val}
        seen += val
    assert sorted(seen) == list(range(images))


def test_folds_have_like_numbers_of_images_and_of_objects():
    classes = objects(0, 292)
    counts = np.array([np.bincount(c, minlength=3) for c in classes])
    fold = folds_of([str(i) for i in range(292)], counts, 3, 0)
    of_fold = np.array([counts[fold == f].sum(0) for f in range(3)])
    assert np.ptp(np.bincount(fold)) <= 12
    assert np.all(of_fold.max(0) <= 1.1 * of_fold.min(0) + 2)


def test_the_next_round_has_other_folds_and_a_seed_always_the_same():
    groups = [str(i) for i in range(60)]
    vals = [tuple(split(groups, objects(1, 60), 3, 3, s)[1]) for s in (0, 1, 2, 3)]
    assert len(set(vals)) == 4 and vals[0] == tuple(split(groups, objects(1, 60), 3, 3, 0)[1])


def test_groups_are_the_part_in_parentheses():
    files = ["/d/scene1_a.jpg", "/d/scene1_b.jpg", "/e/scene2_a.jpg", "/e/other.jpg"]
    found = group_names(files, r"(scene\d+)_")
    assert found[0] == found[1] != found[2] and found[3] == files[3]
    assert group_names(files, None) == files


@pytest.mark.parametrize("pattern", ["scene", "(scene", "(nothing)"])
def test_a_pattern_that_names_no_group_is_refused(pattern):
    with pytest.raises(UserError, match="fold_groups"):
        group_names(["/d/scene1_a.jpg"], pattern)


def test_too_few_images_or_groups_are_refused():
    files = [f"s{i // 4}_{i}.jpg" for i in range(12)]
    check_folds(files, 3, 3, r"(s\d)_")
    with pytest.raises(UserError, match=r"3 groups, 4 folds.*Use at most 3 folds"):
        check_folds(files, 3, 4, r"(s\d)_")
    with pytest.raises(UserError, match=r"as many images as there are classes.*Use at most 4 folds"):
        check_folds(files, 3, 5, None)
    with pytest.raises(UserError, match=r"as many images as there are classes.*Use at most 3 folds"):
        split([str(i) for i in range(10)], objects(0, 10), 3, 5, 0)
    with pytest.raises(UserError, match="Use no folds"):
        check_folds(files[:3], 2, 2, None)
