"""The score: the figure of an evaluation by which a study compares architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas_attn.errors import UnknownName, UserError

if TYPE_CHECKING:
    from nas_attn.evaluate.evaluation import Evaluation

MAP50_95 = "map50_95"
WORDS = {MAP50_95: "mAP50-95", "map50": "mAP50", "recall": "recall"}
OF_A_CLASS = "class:"
NAMES = (*WORDS, f"{OF_A_CLASS}NAME")
CLASSES = "classes"  # key in the figures of a split: name of a class -> its AP50-95


@dataclass(frozen=True)
class Score:
    """A figure between 0 and 1, of which more is better, for the objects of the task.

    Attributes:
        name: `map50_95`, `map50`, `recall`, or `class:NAME` for the AP50-95 of one class.
    """

    name: str = MAP50_95

    @classmethod
    def parse(cls, text: str, *, where: str = "--score") -> Score:
        """The score that a text names.

        Args:
            text: its name.
            where: the source of the text, for the message.

        Raises:
            UnknownName: there is no such score.
        """
        if text in WORDS or (text.startswith(OF_A_CLASS) and text != OF_A_CLASS):
            return cls(text)
        raise UnknownName("score", text, NAMES, where=where)

    @property
    def class_name(self) -> str | None:
        """The class whose AP50-95 it is; None if it is of all classes."""
        return None if self.name in WORDS else self.name.removeprefix(OF_A_CLASS)

    @property
    def words(self) -> str:
        """Its name in words, e.g. `mAP50-95` or `AP50-95 of car`."""
        return WORDS.get(self.name) or f"AP50-95 of {self.class_name}"

    @property
    def key(self) -> str:
        """Its name as a part of the names of columns, e.g. `map50_95` or `ap50_95_of_car`."""
        return self.name if self.name in WORDS else f"ap50_95_of_{'_'.join(str(self.class_name).split())}"

    def check_class(self, classes: Sequence[str], boxes: Mapping[str, int] | None, where: str = "--score") -> None:
        """Refuse a class that the data lacks, or of which val has too few boxes for an AP that is more than luck.

        Args:
            classes: names of the classes of the data.
            boxes: name of a class -> its boxes in val; None or without a class if they are not known.
            where: the source of the score, for the message.

        Raises:
            UnknownName: the data has no such class; the message lists all.
            UserError: it has too few boxes, or several classes have this name.
        """
        if (name := self.class_name) is None:
            return
        from nas_attn.data.check import FEW_BOXES

        if name not in classes:
            raise UnknownName("class", name, classes, where=where)
        if list(classes).count(name) > 1:
            raise UserError("the class of a score must have a name of its own", got=f"several '{name}'", where=where)
        if (count := (boxes or {}).get(name)) is not None and count < FEW_BOXES:
            rule = f"the class of a score must have at least {FEW_BOXES} boxes in val, because the AP of fewer is luck"
            remedy = "Name another class or score, or move images with this class into val."
            raise UserError(rule, got=f"{count} boxes of '{name}'", where=where, remedy=remedy)

    @property
    def of_a_slot(self) -> Score:
        """The score by which the liveness of slots is measured: the AP50-95 of the same class, or of all classes.

        Liveness asks if the detector uses a slot at all. The recall cannot tell: it is taken at the confidence with the
        highest F1, which moves if a slot is silenced.
        """
        return MAP if self.class_name is None else self

    def among(self, figures: Mapping[str, Any]) -> float | None:
        """Its value among the figures of a split, as in `Evaluation.scores`; None if they lack it."""
        found = figures.get(self.name) if self.class_name is None else figures.get(CLASSES, {}).get(self.class_name)
        return None if found is None else float(found)

    def of(self, evaluation: Evaluation, split: str = "val") -> float | None:
        """Its value in an evaluation; None if the run did not record it.

        Args:
            evaluation: the evaluation.
            split: `val` or `test`.
        """
        if self.name == MAP50_95:
            return evaluation.map50_95 if split == "val" else evaluation.test_map50_95
        if self.name == "map50" and split == "val":
            return evaluation.map50
        return self.among(evaluation.scores.get(split, {}))

    def zeroed(self, evaluation: Evaluation, slots: Sequence[str]) -> dict[str, float] | None:
        """Slot -> its value on val with the output of this slot set to zero; None if a slot lacks it.

        Args:
            evaluation: the evaluation of a base.
            slots: names of the slots.
        """
        if self.name == MAP50_95:
            known = evaluation.liveness or {}
        else:
            told = ((slot, self.among(figures)) for slot, figures in (evaluation.zeroed or {}).items())
            known = {slot: value for slot, value in told if value is not None}
        return {slot: known[slot] for slot in slots} if set(slots) <= set(known) else None


MAP = Score()  # the default: mAP50-95
