"""The grammar of architectures: written text reads back as the same value, and unreadable text gives a remedy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_attn.attention import entries
from nas_attn.errors import GrammarError
from nas_attn.space import NONE, Architecture, Gene

GENES = [Gene.of(e.name, s) for e in entries() for s in e.combinations()]

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
numbers = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
values = numbers | words | st.lists(numbers, max_size=4).map(tuple)
arbitrary = st.builds(Gene.of, names.filter(lambda n: n != "none"), st.dictionaries(names, values, max_size=4))


@given(st.dictionaries(names, st.sampled_from(GENES), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_genes_of_the_zoo_read_back(genes):
    a = Architecture.of(genes)
    again = Architecture.parse(str(a))
    assert again == a and hash(again) == hash(a) and str(again) == str(a)


@given(st.dictionaries(names, arbitrary | st.just(NONE), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_arbitrary_genes_read_back(genes):
    a = Architecture.of(genes)
    assert Architecture.parse(str(a)) == a
    assert {slot: Gene.parse(str(gene)) for slot, gene in a} == genes


@given(st.permutations([f"p{i}" for i in (2, 3, 4, 5, 6, 7, 10)] + ["p03"] + ["neck", "td_p4", "td_p10"]))
@settings(max_examples=50, deadline=None)
def test_order_of_writing_does_not_matter(slots):
    a = Architecture.parse(" ".join(f"{s}=none" for s in slots))
    assert a == Architecture.none(sorted(slots))
    assert a.slots.index("p3") < a.slots.index("p10") and a.slots.index("td_p4") < a.slots.index("td_p10")


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_reads_or_says_how_to_write(text):
    for kind in (Architecture, Gene):
        try:
            assert kind.parse(str(kind.parse(text))) == kind.parse(text)
        except GrammarError as error:
            assert "Write for example: p3=acmix(" in str(error)


@given(st.sampled_from(GENES), st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_text_never_fails_otherwise(gene, data):
    text = f"p3={gene} p4=none"
    at = data.draw(st.integers(0, len(text)))
    damage = data.draw(st.sampled_from(["", "(", ")", "[", "]", ",", "=", " ", "p3=none "]))
    damaged = text[:at] + damage + text[at + 1 :]
    try:
        found = Architecture.parse(damaged)
    except GrammarError as error:
        assert error.exit_code == 2
    else:
        assert Architecture.parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "at least one slot"),
        ("   ", "at least one slot"),
        ("acmix", "slot=gene"),
        ("p3=", "slot=gene"),
        ("P3=acmix", "slot=gene"),
        ("p3=acmix(head=4", "slot=gene"),
        ("p3=acmix(head=4))", "slot=gene"),
        ("p3=acmix;p4=none", "slot=gene"),
        ("p3=acmix(head)", "name=value"),
        ("p3=acmix(head=)", "name=value"),
        ("p3=acmix(head=4,)", "name=value"),
        ("p3=acmix(4)", "name=value"),
        ("p3=acmix(head=4,head=8)", "given only once"),
        ("p3=acmix p3=none", "named only once"),
        ("p3=none(residual=scaled)", "must have no settings"),
        ("p3=lska(k_size=[7)", "number, a word"),
        ("p3=lska(k_size=7])", "number, a word"),
        ("p3=lska(k_size=?)", "number, a word"),
    ],
)
def test_what_cannot_be_read_names_the_rule_and_an_example(text, rule):
    with pytest.raises(GrammarError) as caught:
        Architecture.parse(text)
    assert rule in str(caught.value) and "Write for example: p3=acmix(head=4,kernel_att=7)" in str(caught.value)


grammar = st.text(alphabet="p3=acmix(head4,[].e-+ _9)", max_size=60)
long = st.tuples(st.sampled_from("9[]a(.,-e "), st.integers(1, 6000)).map(lambda made: made[0] * made[1])


@given(
    st.lists(grammar | long | st.sampled_from(["p3=acmix(head=", "p", "=none", ")", "1e999", "]", "[1"]), max_size=6)
)
@settings(max_examples=400, deadline=None)
def test_any_text_of_the_grammars_letters_reads_back_or_is_refused(parts):
    text = "".join(parts)
    for kind in (Architecture, Gene):
        try:
            found = kind.parse(text)
        except GrammarError as error:
            assert "Write for example: p3=acmix(" in str(error) and len(str(error)) < 3000
        else:
            assert kind.parse(str(found)) == found and str(kind.parse(str(found))) == str(found)


@pytest.mark.parametrize("text", [
    "p3=acmix(head=1e999)", "p3=acmix(head=-1e999)", f"p3=acmix(head={'9' * 5000})", f"p3=acmix(head=0.{'9' * 5000})",
    f"p3=acmix(head={'[' * 3000}{']' * 3000})", f"p{'9' * 5000}=none", f"p3={'a' * 5000}", f"p3=acmix({'a' * 5000}=1)",
])  # fmt: skip
def test_texts_without_end_are_refused(text):
    with pytest.raises(GrammarError):
        Architecture.parse(text)
