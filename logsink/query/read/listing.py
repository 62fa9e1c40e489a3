"""The objects of the index in a store: filters and counts stand side by side, and are listed together, once a query."""

from __future__ import annotations

from logsink.errors import StoreError
from logsink.index import INDEX
from logsink.store import Entry, Store


async def list_index(store: Store) -> list[Entry]:
    """Return the objects of the index; none where the store does not list them."""
    try:
        return [entry async for entry in store.list(INDEX)]
    except StoreError:
        return []
