"""The check of a data set in YOLO format before any training. It only reads, without torch and OpenCV."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_attn.atomic_files import is_file
from nas_attn.data import check_cache, image_lists
from nas_attn.data.image_lists import SPLITS, entry_of, images_of, root_of, short, whole_again
from nas_attn.data.keypoints import NO_FLIP, Keypoints, check_keypoints, kpt_shape
from nas_attn.data.labels import DETECT, LabelFormat, check_label, label_path
from nas_attn.data.named_sets import is_packaged
from nas_attn.errors import ConfigError, DataError, UserError
from nas_attn.lines import many

NO_IMAGE = "a listed image must exist"
UNREADABLE = "a label file must be readable"
MANY_MISSING = 0.5  # share of images without a label file, from which the user is told
FEW_BOXES = 10  # of a class: with fewer, its AP is luck
MOST_LEFT_OUT = 0.05  # largest share of faulty images; above it, the data is wrong for the task


@dataclass(frozen=True)
class DataInfo:
    """A checked data set.

    Attributes:
        path: the data.yaml.
        nc: number of classes.
        names: names of the classes.
        train, val, test: number of images in each split; `test` is 0 if there is no usable test split.
        boxes: split -> number of labelled objects.
        of_class: split -> number of labelled objects of each class.
        empty: split -> number of images without a labelled object.
        details: further parts of `sentence`: rare classes, and files that are left out.
        fingerprint: sha256 of the data.yaml, the names and sizes of the images, and the text of the labels.
        files: split -> absolute image paths, sorted.
        notes: lines for the user that are no errors, e.g. why a `test` split is left out.
        labels: format of the label files, with the task.
        keypoints: the keypoints if the task is `pose`, else None.
    """

    path: Path
    nc: int
    names: tuple[str, ...]
    train: int
    val: int
    test: int
    boxes: dict[str, int]
    fingerprint: str
    files: dict[str, tuple[str, ...]] = field(repr=False)
    notes: tuple[str, ...] = ()
    labels: LabelFormat = DETECT
    keypoints: Keypoints | None = None
    empty: dict[str, int] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    of_class: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def sentence(self) -> str:
        """The images and boxes of each split, rare classes, and files that are left out, in words."""
        parts = []
        for split, files in self.files.items():
            empty = f", {self.empty[split]:,} without boxes" if self.empty.get(split) else ""
            parts.append(f"{split} {many(len(files), 'image')}, {many(self.boxes[split], 'box')}{empty}")
        return ". ".join([f"{'; '.join(parts)}; {self.nc} class{'es' * (self.nc != 1)}", *self.details])

    @property
    def task(self) -> str:
        """The task that the data was checked for."""
        return self.labels.task

    @property
    def kpt_shape(self) -> tuple[int, int] | None:
        """(keypoints per object, values per keypoint) for the head of a pose model; None for other tasks."""
        return self.keypoints.shape if self.keypoints else None

    @property
    def mirrored(self) -> bool:
        """True if training may flip images left to right."""
        return self.keypoints is None or self.keypoints.flip is not None


def check_data(data: str | Path, task: str = "detect") -> DataInfo:
    """Read a data.yaml, and check everything that a training on it needs.

    Faulty labels in the user's own data are errors. A user cannot correct a data set that Ultralytics knows by name, so
    there images with faulty labels are left out with a note, as in Ultralytics.

    Args:
        data: the data.yaml, or the name of a data set that Ultralytics knows. Folders in the file are relative to its
            `path`, or to the folder of the file if `path` is missing.
        task: `detect`, `segment`, `pose` or `obb`; the labels must be for this task.

    Raises:
        ConfigError: the YAML, a folder, an image list or a label breaks a rule. The error holds one `DataError` for
            each broken rule.
    """
    path, spec = image_lists.load(data)
    key = f"{task} {path.resolve()} {image_lists.stamp(path)}"
    if found := check_cache.find(key):
        return DataInfo(**found)
    info = _check(path, spec, task)
    check_cache.keep(vars(info), key)
    return info


def _check(path: Path, spec: dict[str, Any], task: str) -> DataInfo:
    """The result of the check, without the cache."""
    problems: list[UserError] = []
    names = _names(spec, path, problems)
    keypoints = check_keypoints(spec, str(path), problems) if task == "pose" else None
    form = LabelFormat(task, keypoints.shape if keypoints else None if task == "pose" else kpt_shape(spec))
    root = root_of(spec, path)
    digest = hashlib.sha256(_identity(spec, path))
    if task != "detect":  # for another task, the same files are different data
        digest.update(f"\0{task}\0".encode())
    files: dict[str, tuple[str, ...]] = {}
    boxes: dict[str, int] = {}
    of_class: dict[str, tuple[int, ...]] = {}
    notes = [NO_FLIP] if keypoints and keypoints.flip is None else []
    empty: dict[str, int] = {}
    rare: list[str] = []
    skipped: Counter[str] = Counter()
    for split in SPLITS:
        entry = entry_of(spec, split)
        if not entry:
            if split != "test":
                problems.append(_missing_split(split, path))
            continue
        lacks: list[UserError] = []  # errors that only leave out a test split, e.g. missing images
        images = images_of(entry, split, root, path, lacks, spec, skipped)
        if split == "test" and images and images == files.get("val"):
            notes.append("`test` is left out: it has the same images as val.")
            continue
        ahead = digest.copy()
        read = _read_labels(images, split, len(names), form, ahead)
        problem, note, faulty = _judged(read, len(images), split, form, root if is_packaged(path) else None)
        for rule, error in problem.items():
            (lacks if split == "test" and rule == NO_IMAGE else problems).append(error)
        count = sum(n for image, n in zip(images, read.boxes, strict=True) if image not in faulty)
        if images and not count:
            lacks.append(_no_labels(images[0], split))
        if split == "test" and lacks:
            notes.append(f"`test` is left out: {' '.join(map(str, lacks))}")
            continue
        problems += lacks
        notes += note
        digest, boxes[split] = ahead, count
        of_class[split] = tuple(read.classes[k] for k in range(len(names)))
        files[split] = tuple(i for i in images if i not in faulty) if faulty else images
        empty[split] = sum(not n and image not in faulty for image, n in zip(images, read.boxes, strict=True))
        if images and read.missing >= MANY_MISSING * len(images):
            notes.append(
                f"{read.missing} of {len(images)} {split} images have no label file: they count as images without "
                f"objects. The label file of the first is {label_path(images[0])}."
            )
        few = [f"{name} ({n})" for name, n in zip(names, of_class[split], strict=True) if n < FEW_BOXES]
        if few and split != "test":
            rare.append(f"{split}: {', '.join(few[:8])}{f' and {len(few) - 8} more' if len(few) > 8 else ''}")
    if problems:
        raise ConfigError(problems, where=str(path))
    details = [f"classes with fewer than {FEW_BOXES} boxes: {'; '.join(rare)}"] if rare else []
    if skipped:
        kinds = ", ".join(f"{count} .{suffix}" for suffix, count in sorted(skipped.items()))
        details.append(f"no images for Ultralytics, left out: {kinds}")
    if both := len({*files["train"]} & {*files["val"]}):
        notes.append(
            f"{both} of {len(files['val'])} val images are also training images. On these, the scores measure memory, "
            "not detection in new images."
        )
    return DataInfo(
        path=path.resolve(),
        nc=len(names),
        names=names,
        train=len(files["train"]),
        val=len(files["val"]),
        test=len(files.get("test", ())),
        boxes=boxes,
        fingerprint=digest.hexdigest(),
        files=files,
        notes=tuple(notes),
        labels=form,
        keypoints=keypoints,
        empty=empty,
        details=tuple(details),
        of_class=of_class,
    )


def _identity(spec: dict[str, Any], path: Path) -> bytes:
    """The part of a data.yaml that enters the fingerprint.

    For a user's file these are all its bytes. For a file of Ultralytics they are some keys, because its comments differ
    between versions.
    """
    if not is_packaged(path):
        return path.read_bytes()
    kept = {key: spec.get(key) for key in (*SPLITS, "names", "kpt_shape", "flip_idx")}
    return json.dumps([path.name, kept], sort_keys=True).encode()


def _names(spec: dict[str, Any], path: Path, problems: list[UserError]) -> tuple[str, ...]:
    """The class names. If `nc` and `names` disagree, the larger count is used, so that labels are still checked."""
    names, nc = spec.get("names"), spec.get("nc")
    if names is not None and not isinstance(names, list | dict):
        problems.append(DataError("`names` must be a list or a mapping", got=type(names).__name__, where=str(path)))
        names = None
    if isinstance(names, dict):
        whole = all(type(key) is int for key in names)
        if not whole or sorted(names) != list(range(len(names))):
            got = ", ".join(map(repr, list(names)[:8]))
            problems.append(DataError("`names` must have the keys 0 to nc-1", got=got, where=str(path)))
        names = [names[key] for key in (sorted(names) if whole else names)]
    if wrong := [n for n in names or () if not isinstance(n, str | int | float)]:
        problems.append(DataError("each entry of `names` must be a name", got=repr(wrong[0]), where=str(path)))
    if nc is not None and (isinstance(nc, bool) or not isinstance(nc, int) or nc < 1):
        problems.append(DataError("`nc` must be a whole number of at least 1", got=repr(nc), where=str(path)))
        nc = None
    if not names and nc is None:
        problems.append(DataError("data.yaml must name its classes", where=str(path), remedy="Add `names: [...]`."))
        return ()
    if names is not None and nc is not None and len(names) != nc:
        remedy = "Make `names` and `nc` agree, or leave `nc` out."
        problems.append(DataError("`nc` must equal the number of names", got=f"nc {nc}, {len(names)} names",
                                  where=str(path), remedy=remedy))  # fmt: skip
    known = [str(n) for n in names or ()]
    return tuple(known + [f"class_{i}" for i in range(len(known), nc or 0)])


def _missing_split(split: str, path: Path) -> DataError:
    remedy = f"Add `{split}: images/{split}`."
    return DataError(f"data.yaml must name the `{split}` images", where=str(path), remedy=remedy)


def _no_labels(image: str, split: str) -> DataError:
    remedy = f"Labels are text files in a `labels` folder next to `images`, e.g. {label_path(image)}."
    return DataError(f"the {split} images must have labels", got="none", remedy=remedy)


@dataclass
class _Read:
    """The content of the label files of a split.

    Attributes:
        boxes: number of objects in each file.
        missing: number of images without a label file.
        classes: class -> number of objects.
        faults: rule -> the lines or files that break it, in words.
        images: rule -> the images of these lines.
    """

    boxes: list[int] = field(default_factory=list)
    missing: int = 0
    classes: Counter[int] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, set[str]] = field(default_factory=dict)

    def fault(self, rule: str, place: str, image: str) -> None:
        """Record that a line or file breaks a rule."""
        self.faults.setdefault(rule, []).append(place)
        self.images.setdefault(rule, set()).add(image)


def _read_labels(images: tuple[str, ...], split: str, nc: int, form: LabelFormat, digest: Any) -> _Read:
    """The content of every label file of a split; the digest for the fingerprint is updated with it."""
    read = _Read()
    for image in images:
        file = Path(label_path(image))
        text = ""
        if is_file(file):
            try:
                text = file.read_text(encoding="utf-8-sig", errors="replace")
            except OSError as error:
                read.fault(UNREADABLE, f"{file} ({error.strerror})", image)
        else:
            read.missing += 1
        size = Path(image).stat().st_size if is_file(image) else -1
        digest.update(f"{split}\0{Path(image).name}\0{size}\0{text}\0".encode(errors="surrogateescape"))
        if size < 0:
            read.fault(NO_IMAGE, short(image), image)
        first = [cells[0] for line in text.splitlines() if (cells := line.split())]
        read.boxes.append(len(first))
        whole = (cell.partition(".")[0] for cell in first)
        read.classes.update(int(cell) for cell in whole if cell.isdecimal() and len(cell) < 9)  # the rest is faulty
        for rule, got, line in check_label(text, nc, form):
            read.fault(rule, f"{got} ({file}:{line})", image)
    return read


def _judged(
    read: _Read, count: int, split: str, form: LabelFormat, packaged: Path | None
) -> tuple[dict[str, DataError], list[str], set[str]]:
    """(rule -> error, notes for the user, images that are left out) for a split.

    Args:
        read: content of the label files.
        count: number of images of the split.
        split: name of the split.
        form: the format that the labels must have.
        packaged: the folder of the data set if Ultralytics knows it by name, else None.
    """
    labels = {rule for rule in read.faults if rule not in (NO_IMAGE, UNREADABLE)}
    faulty = {image for rule in labels for image in read.images[rule]}
    if packaged is None or len(faulty) > MOST_LEFT_OUT * count:
        labels, faulty = set(), set()
    problems, notes = {}, []
    for rule, places in read.faults.items():
        got = "; ".join(places[:3]) + (f", and {len(places) - 3} more" if len(places) > 3 else "")
        if rule in labels:
            many = f"{len(read.images[rule])} {split} images"
            notes.append(f"{many} are left out, as in Ultralytics: {rule}, but got {got}.")
            continue
        remedy = form.remedy if rule == form.rule else "Correct or remove these."
        remedy = whole_again(packaged) if packaged and rule == NO_IMAGE else remedy
        problems[rule] = DataError(rule, got=got, where=f"the {split} labels", remedy=remedy)
    return problems, notes, faulty
