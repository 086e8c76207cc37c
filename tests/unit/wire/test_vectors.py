"""The compact queue of inventory vectors is a deque."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.wire.inventory import VECTOR_BYTES, InventoryItem
from obscura.wire.vectors import VectorQueue

ITEMS = st.builds(InventoryItem, st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
STEPS = st.one_of(
    st.tuples(st.just("append"), ITEMS),
    st.tuples(st.just("appendleft"), ITEMS),
    st.tuples(st.just("extend"), st.lists(ITEMS, max_size=20)),
    st.tuples(st.just("popleft"), st.none()),
)


@given(st.lists(STEPS, max_size=60))
def test_it_does_what_a_deque_does(steps: list[tuple[str, object]]) -> None:
    queue, model = VectorQueue(), deque[InventoryItem]()
    for verb, what in steps:
        if verb == "popleft":
            if model:
                assert queue.popleft() == model.popleft()
            continue
        getattr(queue, verb)(what)
        getattr(model, verb)(what)
        assert len(queue) == len(model)
        assert bool(queue) == bool(model)
        assert queue.size == VECTOR_BYTES * len(model)
    assert queue.drain() == tuple(model)
    with pytest.raises(IndexError):
        queue.popleft()
    assert len(queue._data) == 0, "an empty queue holds nothing"
