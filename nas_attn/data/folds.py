"""Folds: another split of train and val for each seed, so that no single val decides what is better."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from nas_attn.errors import UserError


def group_names(files: Sequence[str], pattern: str | None) -> list[str]:
    """The group of each image. Images of one group never stand in two folds.

    Args:
        files: image paths.
        pattern: regular expression; the first part in parentheses that it finds in a file name, without the suffix, is
            the group. An image in which it finds nothing is a group of its own, as is every image without a pattern.

    Raises:
        UserError: the pattern is no regular expression with a part in parentheses, or it finds nothing in any name.
    """
    if pattern is None:
        return list(files)
    rule = "`fold_groups` must be a regular expression with one part in parentheses that is the group in a file name"
    remedy = "For names like scene12_003.jpg: '(scene\\d+)_'."
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(rule, got=f"'{pattern}' ({error})", remedy=remedy) from None
    if compiled.groups < 1:
        raise UserError(rule, got=f"'{pattern}'", remedy=remedy)
    found = [compiled.search(PurePath(file).stem) for file in files]
    if not any(found):
        raise UserError(rule, got=f"'{pattern}', which is in no name, e.g. '{PurePath(files[0]).name}'", remedy=remedy)
    return [f"group {match[1]}" if match else file for file, match in zip(files, found, strict=True)]


def folds_of(groups: Sequence[str], counts: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each image, (images,). Folds are alike in their numbers of images and of objects of each class.

    Groups come in random order, large ones first; each joins the fold that has least of what it brings.

    Args:
        groups: group of each image.
        counts: (images, classes) number of objects.
        folds: number of folds, at most that of groups.
        seed: of the order.
    """
    names, at = np.unique(np.asarray(groups), return_inverse=True)
    brought = np.zeros((len(names), counts.shape[1] + 1))
    np.add.at(brought, at, np.column_stack([np.ones(len(groups)), counts]))
    brought /= np.maximum(brought.sum(0), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-brought[order].sum(1), kind="stable")]
    held, found = np.zeros((folds, brought.shape[1])), np.empty(len(names), int)
    for group in order:
        found[group] = int(np.argmin(held @ brought[group]))
        held[found[group]] += brought[group]
    placed: np.ndarray = found[at]
    return placed


def check_folds(files: Sequence[str], nc: int, folds: int, pattern: str | None) -> None:
    """Check by the names of the images alone whether they can be split.

    Args:
        files: the images of train and val.
        nc: number of classes.
        folds: number of folds.
        pattern: as `group_names` takes it.

    Raises:
        UserError: there are fewer groups than folds, fewer images in a fold than classes, or the pattern is wrong.
    """
    if (groups := len(set(group_names(files, pattern)))) < folds:
        rule = "there must be at least as many groups of images as folds"
        raise UserError(rule, got=f"{groups} groups, {folds} folds", remedy=f"Use at most {groups} folds.")
    if len(files) // folds < nc:
        raise _too_small(len(files) // folds, nc, len(files))


def _too_small(images: int, nc: int, total: int) -> UserError:
    most = total // nc
    remedy = f"Use at most {most} folds." if most > 1 else "Use no folds."
    rule = "a fold must have at least as many images as there are classes"
    return UserError(rule, got=f"{images} images, {nc} classes", remedy=remedy)


def split(
    groups: Sequence[str], classes: Sequence[np.ndarray], nc: int, folds: int, seed: int
) -> tuple[list[int], list[int]]:
    """The images for training and for validation of a seed, by their positions.

    The seeds of one round, 0 to `folds` - 1, validate on each image once. The next round has other folds.

    Args:
        groups: group of each image, as of `group_names`.
        classes: class of each object, one array for each image.
        nc: number of classes.
        folds: number of folds.
        seed: the seed.

    Raises:
        UserError: a fold has fewer images than there are classes.
    """
    counts = np.array([np.bincount(c.astype(int).ravel(), minlength=nc)[:nc] for c in classes]).reshape(-1, nc)
    place = folds_of(groups, counts, folds, seed // folds) == seed % folds
    if place.sum() < nc:
        raise _too_small(int(place.sum()), nc, len(groups))
    return np.flatnonzero(~place).tolist(), np.flatnonzero(place).tolist()
