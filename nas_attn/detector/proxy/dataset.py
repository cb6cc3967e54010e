"""Ultralytics' data set, reading from an `ImageStore`; its random numbers depend only on its arguments."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler
from ultralytics.data.dataset import YOLODataset

from nas_attn.data.image_cache import ImageStore


class StoreDataset(YOLODataset):
    """A `YOLODataset` that reads images and labels from a store and writes nothing.

    An index in training is `epoch * len(self) + image`, as `EpochSampler` yields it. Therefore the augmentation of an
    image depends only on (seed, epoch, image). It is the same for every architecture, for any number of loader workers,
    and after a resume.

    Args:
        store: the images.
        chosen: store indices of the images in the data set.
        seed: decides the augmentation.
        open_epochs: number of first epochs with mosaic, mixup, cutmix and copy-paste; None for all.
        keywords: arguments of `YOLODataset`.
    """

    transforms: Callable[[dict[str, Any]], dict[str, Any]]

    def __init__(
        self, store: ImageStore, chosen: list[int], seed: int, *, open_epochs: int | None = None, **keywords: Any
    ) -> None:
        self._store, self._chosen, self._seed = store, chosen, seed
        self._index = {store.files[i]: i for i in chosen}
        super().__init__(img_path=[store.files[i] for i in chosen], **keywords)
        self.cache = "ram"  # otherwise mosaic draws only from the last images
        self._open_epochs = open_epochs
        self.close_mosaic(hyp=copy.copy(keywords["hyp"]))
        self._closed, self.transforms = self.transforms, self.build_transforms(hyp=keywords["hyp"])

    def get_img_files(self, img_path: list[str]) -> list[str]:
        return list(img_path)

    def get_labels(self) -> list[dict[str, Any]]:
        self.label_files: list[str] = []
        return [
            {
                "im_file": self._store.files[i],
                "shape": tuple(int(v) for v in self._store.original[i]),
                "cls": self._store.classes[i].copy(),
                "bboxes": self._store.boxes[i].copy(),
                "segments": self._store.segments(i),
                "keypoints": self._store.keypoints(i),
                "normalized": True,
                "bbox_format": "xywh",
            }
            for i in self._chosen
        ]

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        at = self._index[self.im_files[i]]  # `set_rectangle` may have sorted the files
        image = self._store.image(at)
        height, width = (int(v) for v in self._store.original[at])
        return image, (height, width), image.shape[:2]

    def __getitem__(self, index: int) -> dict[str, Any]:
        epoch, image = divmod(index, len(self))
        if self.augment:
            key = np.random.SeedSequence((self._seed, epoch, image)).generate_state(2)
            random.seed(int(key[0]))
            np.random.seed(int(key[1]))
        # decided by the epoch in the index: Ultralytics would change the data set while loader processes are ahead
        closed = self._open_epochs is not None and epoch >= self._open_epochs
        transforms = self._closed if closed else self.transforms
        return transforms(self.get_image_and_label(image))


class EpochSampler(Sampler[int]):
    """A sampler with a new order of the images in each epoch, which depends only on (seed, epoch).

    It yields the training indices of `StoreDataset`.

    Args:
        length: number of images.
        seed: decides the orders.
        epoch: the epoch of the first pass.
    """

    def __init__(self, length: int, seed: int, epoch: int = 0) -> None:
        self._length, self._seed, self.epoch = length, seed, epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        epoch = self.epoch
        self.epoch += 1
        key = np.random.SeedSequence((self._seed, epoch)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(key[0]) % 2**63)
        yield from (epoch * self._length + torch.randperm(self._length, generator=generator)).tolist()
