"""The search space behaves as a finite set of architectures, for any modules, slots and sizes."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nas_attn.attention import entries
from nas_attn.space import NONE, Architecture, Gene, SearchSpace, Slot


@st.composite
def modules(draw):
    found = {}
    for entry in draw(st.lists(st.sampled_from(entries()), min_size=1, max_size=3, unique_by=lambda e: e.name)):
        chosen = {}
        for s in entry.settings:
            options = draw(st.lists(st.sampled_from(s.options), min_size=1, max_size=2, unique=True))
            chosen[s.name] = [list(o) if isinstance(o, tuple) else o for o in options]
        found[entry.name] = chosen
    return found


@st.composite
def spaces(draw):
    levels = draw(st.lists(st.integers(2, 6), min_size=1, max_size=2, unique=True))
    slots = [Slot(f"p{n}", 10 + n, draw(st.sampled_from([8, 12, 16, 64])), 2**n) for n in levels]
    return SearchSpace.build("base", slots, draw(modules()), imgsz=draw(st.sampled_from([32, 64, 160, 320])))


@given(spaces())
@settings(max_examples=40, deadline=None)
def test_size_is_the_number_of_distinct_members(space):
    assume(space.size <= 600)
    members = list(space.enumerate())
    assert len(members) == len(set(members)) == space.size
    assert members[0] == space.base_architecture() and members[0].is_base
    assert all(space.contains(a) and space.canonical(a) == a for a in members)
    assert all(Architecture.parse(str(a)) == a for a in members)


@given(spaces(), st.data())
@settings(max_examples=60, deadline=None)
def test_neighbours_differ_in_one_slot_and_are_all_there(space, data):
    member = _member(space, data)
    found = list(space.neighbours(member))
    assert len(found) == len(set(found)) == sum(len(s.genes) - 1 for s in space.slots)
    for other in found:
        assert space.contains(other)
        assert sum(a != b for a, b in zip(member, other, strict=True)) == 1
        assert member in set(space.neighbours(other))


@given(spaces(), st.data())
@settings(max_examples=60, deadline=None)
def test_aliases_mean_a_member(space, data):
    genes = {}
    for s in space.slots:
        genes[s.slot.name] = data.draw(st.sampled_from([*s.genes, *s.aliases]))
    written = Architecture.of(genes)
    meant = space.canonical(written)
    assert space.contains(meant) and space.canonical(meant) == meant
    assert space.contains(written) == (written == meant)


@given(spaces(), st.data())
@settings(max_examples=60, deadline=None)
def test_options_span_all_members(space, data):
    for slot, gene in _member(space, data):
        options = space[slot].options()
        if gene == NONE:
            assert options["none"] == {}
            continue
        values = {"residual": "none", **gene.as_dict()}
        assert values.keys() == options[gene.module].keys()
        assert all(v in options[gene.module][k] for k, v in values.items())


@given(spaces(), st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_elsewhere_is_no_member(space, data):
    member = _member(space, data)
    assert not space.contains(Architecture.of({**dict(member), "p99": NONE}))
    assert not space.contains(member.with_gene(space.names[0], Gene.of("lska", {"k_size": 9})))


def _member(space, data):
    return Architecture.of({s.slot.name: data.draw(st.sampled_from(s.genes)) for s in space.slots})
