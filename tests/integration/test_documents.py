"""Every page of the repository: links lead somewhere, commands exist, code and YAML are valid, the cheap ones run."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import documents
import field_tables
import module_files
import pytest
import typer
import ultralytics
import yaml
from documents import ROOT, Block
from ultralytics import YOLO

import nas_attn as na
from nas_attn.attention import registry
from nas_attn.cli.app import app
from nas_attn.conformance.table import CHECKS
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture
from nas_attn.study import shipped
from nas_attn.study.ablation_config import KINDS
from nas_attn.study.config_sources import load_config
from nas_attn.study.space_files import SPACE_KEYS, build_space, chosen_slots, load_space

README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
LIMIT = 10_000  # bytes of the first page
PAGES = documents.pages()
WITH_PYTHON = [page for page in PAGES if page != CHINESE and documents.blocks(page, "python")]  # has README's own
LANGUAGES = ("bash", "python", "yaml", "text", "mermaid")
ARTICLE = Path(__file__).parent / "articles" / "efficient_attention_yolov5.yaml"
SMALL = {"modules": {"lska": {"k_size": [7, 23]}}, "slots": ["p3", "p4"], "imgsz": 64, "device": "cpu"}
PROGRAMS = ("pip", "python3", ".", "pytest", "ruff", "mypy", "git", "pre-commit")


def every(language: str) -> list[Any]:
    """The blocks of a language on all pages, as parameters of a test."""
    return [pytest.param(b, id=str(b)) for page in PAGES for b in documents.blocks(page, language)]


def lines_of_ours() -> Iterator[tuple[Block, list[str]]]:
    """(block, arguments) of every command line of this package on all pages."""
    for page in PAGES:
        for block in documents.blocks(page, "bash"):
            for words in documents.commands(block.text):
                if (arguments := documents.of_ours(words)) is not None:
                    yield block, arguments


OURS = [pytest.param(words, id=f"{block} {' '.join(words)}") for block, words in lines_of_ours()]


@pytest.fixture
def parse(monkeypatch) -> Callable[[list[str]], dict[str, Any]]:
    """A function that reads a command line as the program does, and returns its values; nothing is run."""
    values: dict[str, Any] = {}

    def silence(command: Any) -> None:
        command.callback = lambda *_, **given: values.update(given)
        for inner in getattr(command, "commands", {}).values():
            silence(inner)

    command = typer.main.get_command(app)
    silence(command)
    monkeypatch.setenv("NAS_ATTN_TRUST", "")  # which --trust sets

    def read(arguments: list[str]) -> dict[str, Any]:
        values.clear()
        command.main(arguments, standalone_mode=False, prog_name="nas-attn")
        return dict(values)

    return read


@pytest.mark.parametrize("page", PAGES, ids=documents.name)
def test_links_and_images_lead_somewhere(page):
    for target in documents.links(page):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists() and found.is_relative_to(ROOT), target
        if anchor:
            where = found / "README.md" if found.is_dir() else found
            assert anchor in documents.anchors(where), target


@pytest.mark.parametrize("page", PAGES, ids=documents.name)
def test_every_block_says_its_language(page):
    assert {block.language for block in documents.blocks(page)} <= set(LANGUAGES)


@pytest.mark.parametrize("arguments", OURS)
def test_commands_of_ours_are_read_by_the_program(arguments, parse):
    values = parse(arguments)
    written = [values.get(name) or [] for name in ("architecture", "base", "arms")]
    for text in itertools.chain.from_iterable([w] if isinstance(w, str) else w for w in written):
        Architecture.parse(text)
    assert values.get("space") in (None, *shipped.names("search_spaces")) or values["space"].endswith(".yaml")
    assert set((values.get("kinds") or "leave-one-out").split(",")) <= set(KINDS)


@pytest.mark.parametrize("block", every("bash"))
def test_other_commands_are_known(block):
    for words in documents.commands(block.text):
        if documents.of_ours(words) is not None:
            continue
        assert words[0] in (*PROGRAMS, "python"), words
        if words[0] in ("python", "pytest", "ruff", "mypy"):
            for path in (w for w in words[1:] if "/" in w):
                assert (ROOT / path).exists(), path
        if words[0] == "python":
            source = (ROOT / words[1]).read_text(encoding="utf-8")
            assert all(f'"{option}"' in source for option in words[2:] if option.startswith("--")), words


@pytest.mark.parametrize("block", [p for p in every("text") if p.values[0].text.startswith("p3=")])
def test_architectures_are_valid(block):
    for line in block.text.splitlines():
        assert str(Architecture.parse(line)) == line


@pytest.mark.parametrize("block", every("yaml"))
def test_yaml_is_a_study_or_a_space(block, desk, known_base):
    file = desk / "of_a_page.yaml"
    file.write_text(block.text, encoding="utf-8")
    is_space = set(yaml.safe_load(block.text)) <= set(SPACE_KEYS)
    config = load_config("demo", {"space": str(file)}) if is_space else load_config(str(file), {})
    content, (base, slots) = load_space(config.space), known_base("yolo11n")
    assert build_space(config, content, chosen_slots(config, content, slots), base.name).size > 1


@pytest.fixture(scope="module")
def desk(tmp_path_factory, tiny_data) -> Path:
    """A folder with the files that pages speak of."""
    folder = tmp_path_factory.mktemp("desk")
    content = yaml.safe_load(tiny_data.read_text()) | {"path": str(tiny_data.parent)}
    (folder / "D.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(ARTICLE, folder / "article.yaml")
    own = documents.blocks(ROOT / "nas_attn" / "attention" / "README.md", "python")
    (folder / "mine.py").write_text(next(b.text for b in own if "@attention" in b.text))
    adoption = documents.blocks(ROOT / "nas_attn" / "adoption" / "README.md", "python")
    (folder / "spd.py").write_text(next(b.text for b in adoption if "class SPDConv" in b.text))
    yolov8 = (Path(ultralytics.__file__).parent / "cfg" / "models" / "v8" / "yolov8.yaml").read_text("utf-8")
    (folder / "theirs.yaml").write_text(yolov8.replace("1, Conv, [256, 3, 2]]", "1, SPDConv, [256]]"))
    return folder


@pytest.fixture(scope="module")
def mine(desk) -> Path:
    """The run folder of `mine`: a search on the data of the pages that trained nothing."""

    given = {"data": str(desk / "D.yaml"), "runs": desk / "runs", "trials": 8, **SMALL}
    na.run_search("mine", **given, evaluator=SyntheticEvaluator(), engine=na.InlineEngine(), progress=False)
    return desk / "runs" / "mine"


@pytest.fixture
def notebook(desk, mine, tmp_path, monkeypatch) -> Iterator[dict[str, Any]]:
    """The namespace of a notebook beside the files that pages speak of, in which nothing is trained."""

    def untrained(name: str, **small: Any) -> None:
        function = getattr(na, name)
        quick = {"evaluator": SyntheticEvaluator(), "engine": na.InlineEngine(), "progress": False}
        monkeypatch.setattr(na, name, lambda *values, **given: function(*values, **{**small, **given, **quick}))

    def train(model: YOLO, **given: Any) -> None:
        namespace["trained"] = given

    here = shutil.copytree(desk, tmp_path / "here")
    YOLO("yolo11n.yaml").save(here / "yolo11n.pt")
    untrained("run_search", **SMALL)
    untrained("liveness", **{k: v for k, v in SMALL.items() if k != "modules"})
    untrained("ablate", kinds=["leave-one-out"], device="cpu")
    monkeypatch.setattr(YOLO, "train", train)
    monkeypatch.chdir(here)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with module_files.registry_as_before():
        yield namespace


@pytest.mark.parametrize("page", WITH_PYTHON, ids=documents.name)
def test_python_runs(page, notebook):
    blocks = documents.blocks(page, "python")
    if any('run_search("mine"' in block.text for block in blocks):
        shutil.rmtree("runs/mine")
    documents.run_as_cells(blocks, notebook)
    if page == README:
        assert notebook["trained"] == {"data": "D.yaml", "epochs": 300}
        assert "front" in repr(notebook["study"]) and "mAP50-95" in notebook["study"].front()._repr_html_()


def is_cheap(words: list[str]) -> bool:
    """True for a command that trains nothing, writes into its folder only, and ends within seconds."""
    name, given = words[0], set(words[1:])
    if name == "export":
        return ("mine" in given or "--architecture" in given) and "--bundle" not in given
    if name == "slots":
        return "--data" not in given
    if name == "modules":
        return not given & {"check", "gallery"}
    return name in ("cost", "adopt", "list") or (name == "report" and "mine" in given)


CHEAP = [words for words, _ in itertools.groupby(sorted(w for _, w in lines_of_ours() if is_cheap(w)))]


@pytest.mark.parametrize("words", CHEAP, ids=" ".join)
def test_cheap_commands_run(words, desk, mine, shell_in):
    overwrite = ["--force"] if words[0] in ("export", "adopt") else []
    done = shell_in(desk)(*words, *overwrite)
    assert done.code == 0, done.err[-2000:]
    if words[0] == "adopt" and "-o" not in words:
        shown = documents.blocks(ROOT / "nas_attn" / "adoption" / "README.md", "text")[0].text
        assert shown.split() == (done.out + done.err).split()


def test_the_first_page_is_short():
    assert len(README.read_bytes()) <= LIMIT and len(CHINESE.read_bytes()) <= LIMIT


def test_counts_are_those_of_the_code():
    modules = [e for e in registry.entries() if e.cls.__module__.startswith(registry.ZOO)]
    attention = [e for e in modules if e.name not in ("none", "conv")]
    loadable = [e for e in modules if e.weights.startswith("load")]
    page = (ROOT / "nas_attn" / "attention" / "README.md").read_text(encoding="utf-8")
    assert f"{len(attention)} attention modules" in page and f"{len(CHECKS)} rules" in page
    assert f"into {len(loadable)} modules" in page
    assert f"{len(attention)} attention modules" in README.read_text(encoding="utf-8")


def test_the_two_install_commands_stand_on_the_first_page():
    first, second = (block.text for block in documents.blocks(README, "bash")[:2])
    assert first.endswith("&& pip install -e . && python -m nas_attn search --trials 100\n")
    assert second.endswith("&& pip install -e '.[dev]' && pytest\n")


def test_the_tables_of_fields_are_those_of_the_configuration():
    text = field_tables.PAGE.read_text(encoding="utf-8")
    assert sorted(field_tables.places(text)) == sorted(field_tables.FIELDS)
    assert field_tables.renewed(text) == text, "renew them: python tests/support/field_tables.py"


def test_the_chinese_page_keeps_step():
    """The same headings, blocks, links, pictures and figures; only comments in code are translated."""
    assert [level for level, _ in documents.headings(CHINESE)] == [level for level, _ in documents.headings(README)]
    pairs = zip(documents.blocks(README), documents.blocks(CHINESE), strict=True)
    for english, chinese in pairs:
        assert english.language == chinese.language
        assert _without_comments(chinese.text) == _without_comments(english.text), str(chinese)
    other = {README.name: CHINESE.name, CHINESE.name: README.name}
    assert documents.links(CHINESE) == [other.get(target, target) for target in documents.links(README)]
    assert sorted(documents.figures(CHINESE)) == sorted(documents.figures(README))


def _without_comments(text: str) -> list[str]:
    return [line.split(" # ")[0].rstrip() for line in text.splitlines()]
