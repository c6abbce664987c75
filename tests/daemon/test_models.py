"""Models: one entry for all who want the same, kept while it is used and a while longer."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from inferd.daemon.engines.base import EngineRequest
from inferd.daemon.models import ModelEntry, ModelKey, Models, key_of
from inferd.shm.errors import ModelInvalid
from inferd.shm.ports import Bounds, Port
from inferd.shm.states import IllegalTransition, Model
from inferd.shm.wire import Reshape

NEVER_S = float("inf")
KEEP_ALIVE_S = 10.0


class Loaded:
    """A compiled model that is never run."""

    name = "digits"
    inputs: Sequence[Port] = ()
    outputs: Sequence[Port] = ()
    running_max = 1
    properties: Mapping[str, Any] = {}

    def create_request(self) -> EngineRequest:
        raise NotImplementedError


ANY_BATCH = Reshape(0, (Bounds(1, None), Bounds(3, 3)))
BATCHES = Reshape(0, (Bounds(1, 8), Bounds(3, 3)))
KEYS = [key_of(bytes([number]), {}) for number in range(3)]


@pytest.fixture
def models() -> Models:
    return Models(KEEP_ALIVE_S)


def ready(models: Models, session: int = 1, now_s: float = 0.0) -> ModelEntry:
    """An entry that is compiled and has one user."""
    entry, is_new = models.use(KEYS[0], session)
    assert is_new
    models.compiled(entry, Loaded(), 5.0, now_s)
    return entry


class AnyOrder(RuleBasedStateMachine):
    """Sessions come, use, release and go in any order, while time passes."""

    @initialize()
    def open(self) -> None:
        self.models = Models(KEEP_ALIVE_S)
        self.now_s = 0.0
        self.uses: dict[ModelKey, Counter[int]] = {}
        self.entries: dict[ModelKey, ModelEntry] = {}
        self.unused_since_s: dict[ModelKey, float] = {}
        self.ids: list[int] = []

    def note_unused(self, key: ModelKey) -> None:
        if not self.uses[key].total():
            self.unused_since_s.setdefault(key, self.now_s)

    @rule(key=st.sampled_from(KEYS), session=st.integers(1, 3))
    def use(self, key: ModelKey, session: int) -> None:
        entry, is_new = self.models.use(key, session)
        assert is_new == (key not in self.entries)
        assert is_new or entry is self.entries[key]
        if is_new:
            self.ids.append(entry.id)
        self.entries[key] = entry
        self.uses.setdefault(key, Counter())[session] += 1
        self.unused_since_s.pop(key, None)

    @precondition(lambda self: any(each.total() for each in self.uses.values()))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        held = [(key, session) for key, uses in self.uses.items() for session in +uses]
        key, session = data.draw(st.sampled_from(held))
        self.models.release(self.entries[key], session, self.now_s)
        self.uses[key][session] -= 1
        self.note_unused(key)

    @rule(session=st.integers(1, 3))
    def forget(self, session: int) -> None:
        self.models.forget(session, self.now_s)
        for key, uses in self.uses.items():
            if uses.pop(session, 0):
                self.note_unused(key)

    def compiling(self) -> list[ModelKey]:
        return [key for key, entry in self.entries.items() if entry.state is Model.COMPILING]

    @precondition(lambda self: self.compiling())
    @rule(data=st.data(), works=st.booleans())
    def end_compiling(self, data: st.DataObject, works: bool) -> None:
        key = data.draw(st.sampled_from(self.compiling()))
        if works:
            self.models.compiled(self.entries[key], Loaded(), 5.0, self.now_s)
            if key in self.unused_since_s:
                self.unused_since_s[key] = self.now_s
        else:
            self.models.failed(self.entries[key], ModelInvalid("no model"))
            self.gone(key)

    def gone(self, key: ModelKey) -> None:
        del self.entries[key], self.uses[key]
        self.unused_since_s.pop(key, None)

    @rule(seconds=st.sampled_from([0.0, 1.0, KEEP_ALIVE_S - 1, KEEP_ALIVE_S]))
    def let_time_pass(self, seconds: float) -> None:
        self.now_s += seconds
        assert self.models.next_unload_s <= min(self.due_s(), default=NEVER_S)
        for entry in self.models.unload_due(self.now_s):
            assert self.unused_since_s[entry.key] + KEEP_ALIVE_S <= self.now_s
            self.gone(entry.key)
        assert self.now_s < self.models.next_unload_s == min(self.due_s(), default=NEVER_S)

    def due_s(self) -> list[float]:
        return [
            since_s + KEEP_ALIVE_S
            for key, since_s in self.unused_since_s.items()
            if self.entries[key].state is Model.READY
        ]

    @invariant()
    def what_is_used_or_was_lately_is_loaded(self) -> None:
        assert {entry.key: entry for entry in self.models} == self.entries
        for key, entry in self.entries.items():
            assert entry.users == +self.uses[key]

    @invariant()
    def ids_are_never_used_again(self) -> None:
        assert len(set(self.ids)) == len(self.ids)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=80, stateful_step_count=30)


def test_two_sessions_that_want_the_same_share_one_entry(models: Models) -> None:
    (first, is_new), (second, is_new_again) = models.use(KEYS[0], 1), models.use(KEYS[0], 2)
    assert first is second
    assert (is_new, is_new_again) == (True, False)
    assert first.users == {1: 1, 2: 1}


def test_the_same_files_with_other_properties_are_another_model() -> None:
    digest = b"digest"
    assert key_of(digest, {"a": "1", "b": "2"}) == key_of(digest, {"b": "2", "a": "1"})
    variants = [(digest, {}), (digest, {"a": "1"}), (digest, {"a": "2"}), (b"other", {})]
    keys = [key_of(*variant) for variant in variants]
    keys += [key_of(digest, {}, (shape,)) for shape in (ANY_BATCH, BATCHES)]
    assert all(one != other for one, other in itertools.combinations(keys, 2))


# Bounds without a limit don't compare with others.
def test_any_shapes_that_a_client_may_send_make_a_key() -> None:
    assert key_of(b"", {}, (ANY_BATCH, BATCHES)) == key_of(b"", {}, (BATCHES, ANY_BATCH))


def test_a_model_is_unloaded_only_when_nobody_used_it_for_long_enough(models: Models) -> None:
    entry = ready(models)
    assert models.next_unload_s == NEVER_S
    models.release(entry, 1, now_s=100.0)
    assert models.next_unload_s == 100.0 + KEEP_ALIVE_S
    assert models.unload_due(100.0 + KEEP_ALIVE_S - 0.001) == []
    assert models.unload_due(100.0 + KEEP_ALIVE_S) == [entry]
    assert list(models) == []


def test_a_user_who_comes_back_in_time_finds_the_model_loaded(models: Models) -> None:
    entry = ready(models)
    models.release(entry, 1, now_s=0.0)
    again, is_new = models.use(KEYS[0], 2)
    assert (again, is_new) == (entry, False)
    assert models.unload_due(1e9) == []


def test_a_session_that_uses_a_model_twice_has_to_release_it_twice(models: Models) -> None:
    entry = ready(models)
    models.use(KEYS[0], 1)
    models.release(entry, 1, now_s=0.0)
    assert models.unload_due(1e9) == []
    models.release(entry, 1, now_s=0.0)
    assert models.unload_due(1e9) == [entry]


def test_a_session_that_ends_releases_all_that_it_used(models: Models) -> None:
    entry = ready(models)
    models.use(KEYS[0], 1)
    models.use(KEYS[0], 2)
    models.forget(1, now_s=0.0)
    assert entry.users == {2: 1}
    assert models.unload_due(1e9) == []


def test_a_model_is_not_unloaded_while_it_compiles(models: Models) -> None:
    entry, _ = models.use(KEYS[0], 1)
    models.forget(1, now_s=0.0)
    assert models.unload_due(1e9) == []
    assert models.next_unload_s == NEVER_S
    models.compiled(entry, Loaded(), 5.0, now_s=50.0)
    assert models.next_unload_s == 50.0 + KEEP_ALIVE_S


def test_a_compiled_entry_tells_what_it_is(models: Models) -> None:
    entry = ready(models)
    assert (entry.state, entry.name, entry.compile_ms) == (Model.READY, "digits", 5.0)
    with pytest.raises(IllegalTransition):
        models.compiled(entry, Loaded(), 5.0, 0.0)


def test_a_model_that_could_not_be_compiled_is_tried_afresh(models: Models) -> None:
    entry, _ = models.use(KEYS[0], 1)
    models.failed(entry, ModelInvalid("no model"))
    assert entry.state is Model.FAILED
    again, is_new = models.use(KEYS[0], 1)
    assert is_new
    assert again is not entry


def test_what_the_next_inference_takes_is_learned_from_the_last_ones(models: Models) -> None:
    entry = ready(models)
    assert entry.expected_s == NEVER_S
    entry.ran(0.8)
    assert entry.expected_s == 0.8
    for _ in range(20):
        before_s = entry.expected_s
        entry.ran(0.1)
        assert 0.1 < entry.expected_s < before_s
    assert entry.inferences == 21
