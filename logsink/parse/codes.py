"""Kernels that number: distinct values by first appearance, equal times of a read by their count.

Hash tables are open addressing over powers of two, at most half full, with codes in the slots and EMPTY elsewhere. The
hash is seeded, so that nobody who does not know the seed can send values that collide; the codes do not depend on it.
"""

from __future__ import annotations

from logsink.kernel import I32, I64, MASK, Bytes, ReadGrid32, ReadI32, ReadI64, kernel, load, times, word

EMPTY = -1
"""In a hash table: no code."""

ABSENT = -1
"""In place of a code: the row has no value."""

_FACTOR = 0x1E3779B97F4A7C15  # odd, so that ``mix`` is a permutation; 61 bits
_FOLD = 31


@kernel
def mix(hashed: int, more: int) -> int:
    """Return the hash ``hashed`` with 63 bits ``more`` in it."""
    hashed = times(hashed ^ more, _FACTOR)
    return hashed ^ hashed >> _FOLD


@kernel
def short_word(data: Bytes, start: int, length: int) -> int:
    """Return fewer than eight bytes at ``start`` as a little-endian number."""
    if start + 8 <= len(data):
        return word(data, start) & ((1 << 8 * length) - 1)
    value = 0
    for k in range(length):
        value |= data[start + k] << 8 * k
    return value


@kernel
def hash_of(data: Bytes, start: int, end: int, seed: int) -> int:
    """Return a hash of ``data[start:end]``, taken eight bytes at a time; the last eight overlap."""
    hashed = mix(seed, end - start)
    if end - start < 8:
        return mix(hashed, short_word(data, start, end - start))
    p = start
    while p + 8 < end:
        hashed = mix(hashed, word(data, p))
        p += 8
    return mix(hashed, word(data, end - 8))


@kernel
def same(data: Bytes, a: int, b: int, length: int) -> bool:
    """Tell whether ``length`` bytes at ``a`` and at ``b`` are equal."""
    if length < 8:
        return short_word(data, a, length) == short_word(data, b, length)
    k = 0
    while k + 8 < length:
        if load(data, a + k) != load(data, b + k):
            return False
        k += 8
    return load(data, a + length - 8) == load(data, b + length - 8)


@kernel
def encode_texts(
    data: Bytes,
    spans: ReadGrid32,
    field: int,
    first: int,
    codes: I32,
    table: I32,
    starts: I32,
    ends: I32,
    hashes: I64,
    count: I64,
    seed: int,
) -> int:
    """Write the code of ``field`` of each row of ``spans`` from row ``first`` on to ``codes``; ABSENT for none.

    ``table`` holds codes by hash; ``starts``, ``ends`` and ``hashes`` say by code what the ``count[0]`` values known so
    far are. Returns the row at which ``table`` was half full, to be called again with a larger one, or the number of
    rows.
    """
    mask = len(table) - 1
    known = count[0]
    row = first
    while row < len(codes):
        start = spans[row, 2 * field]
        if start < 0:
            codes[row] = ABSENT
            row += 1
            continue
        # Look for it among the texts known so far.
        end = spans[row, 2 * field + 1]
        hashed = hash_of(data, start, end, seed)
        slot = hashed & mask
        while True:
            code = table[slot]
            if code < 0:
                break
            # Texts of the same length below eight bytes with equal hashes are equal, for ``mix`` is a permutation.
            if (
                hashes[code] == hashed
                and ends[code] - starts[code] == end - start
                and (end - start < 8 or same(data, starts[code], start, end - start))
            ):
                break
            slot = (slot + 1) & mask
        # A new one takes the next code.
        if code < 0:
            if 2 * known >= len(table):
                break
            code = known
            table[slot] = code
            starts[code] = start
            ends[code] = end
            hashes[code] = hashed
            known += 1
        codes[row] = code
        row += 1
    count[0] = known
    return row


@kernel
def enter_texts(hashes: ReadI64, count: int, table: I32) -> int:
    """Enter the first ``count`` codes into an empty ``table`` by their hashes. Returns ``count``."""
    mask = len(table) - 1
    for code in range(count):
        slot = hashes[code] & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = code
    return count


@kernel
def encode_numbers(values: ReadI64, first: int, codes: I32, table: I32, distinct: I64, count: I64, seed: int) -> int:
    """Write the code of each of ``values`` from row ``first`` on to ``codes``; ABSENT for 0.

    ``distinct`` holds the ``count[0]`` values known so far by code. Returns as ``encode_texts``.
    """
    mask = len(table) - 1
    known = count[0]
    row = first
    last = 0
    code = -1
    while row < len(codes):
        # Rows of one shape follow one another: look only when the value changes.
        value = values[row]
        if value != last:
            last = value
            slot = mix(seed, value) & mask
            code = table[slot]
            while code >= 0 and distinct[code] != value:
                slot = (slot + 1) & mask
                code = table[slot]
            if code < 0 and value != 0:
                if 2 * known >= len(table):
                    break
                code = known
                table[slot] = code
                distinct[code] = value
                known += 1
        codes[row] = code
        row += 1
    count[0] = known
    return row


@kernel
def enter_numbers(distinct: ReadI64, count: int, table: I32, seed: int) -> int:
    """Enter the first ``count`` codes into an empty ``table`` by their integers. Returns ``count``."""
    mask = len(table) - 1
    for code in range(count):
        slot = mix(seed, distinct[code]) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = code
    return count


@kernel
def count_equal_times(received: ReadI64, time: ReadI64, nth: I32, table: I32, seed: int) -> int:
    """Set ``nth[i]`` to the number of earlier rows of the same read that have row i's time.

    Returns how many rows needed a table. Rows of a read stand side by side and have equal ``received``. ``table`` has
    at least twice as many slots as the longest read has rows. As long as times do not go back within a read, the row
    before is all that has to be looked at.
    """
    looked = 0
    read = 0
    mask = 0
    for i in range(len(nth)):
        # A new read begins.
        if i == read or received[i] != received[i - 1]:
            read = i
            mask = 0
            nth[i] = 0
            continue
        if mask == 0:
            # Without a table (mask 0) as long as times ascend.
            if time[i] >= time[i - 1]:
                nth[i] = nth[i - 1] + 1 if time[i] == time[i - 1] else 0
                continue
            # They do not: make a table of the size that this read needs, and enter its earlier rows.
            after = i
            while after < len(nth) and received[after] == received[i]:
                after += 1
            mask = 1
            while mask < 2 * (after - read):
                mask = mask << 1 | 1
            for slot in range(mask + 1):
                table[slot] = EMPTY
            for earlier in range(read, i):
                count_time(time, nth, earlier, table, mask, seed)
        nth[i] = count_time(time, nth, i, table, mask, seed)
        looked += 1
    return looked


@kernel
def count_time(time: ReadI64, nth: ReadI32, i: int, table: I32, mask: int, seed: int) -> int:
    """Make row ``i`` the last one with its time in ``table``. Returns its ``nth``."""
    slot = mix(seed, time[i] & MASK) & mask
    while table[slot] >= 0 and time[table[slot]] != time[i]:
        slot = (slot + 1) & mask
    before = table[slot]
    table[slot] = i
    return nth[before] + 1 if before >= 0 else 0


@kernel
def longest_run(received: ReadI64) -> int:
    """Return the length of the longest run of equal values."""
    best = 0
    run = 0
    for i in range(len(received)):
        run = run + 1 if i > 0 and received[i] == received[i - 1] else 1
        best = max(best, run)
    return best


@kernel
def take_codes(codes: ReadI32, order: ReadI64, out: I32) -> int:
    """Set ``out[k]`` to ``codes[order[k]]``. Returns how many of them are absent."""
    absent = 0
    for k in range(len(order)):
        code = codes[order[k]]
        out[k] = code
        if code < 0:
            absent += 1
    return absent


@kernel
def counting_sort(codes: ReadI32, order: ReadI64, counts: I32, out: I64) -> int:
    """Sort ``order`` by the codes of its rows, stably, into ``out``. Returns the number of rows.

    ``counts`` has an element for every code there may be, 0 in all of them. A million rows take 0.01 s; numpy's radix
    sort, with gathering before and after it, takes three times as long.
    """
    for k in range(len(order)):
        counts[codes[order[k]]] += 1
    place = 0
    for code in range(len(counts)):
        count = counts[code]
        counts[code] = place
        place += count
    for k in range(len(order)):
        code = codes[order[k]]
        out[counts[code]] = order[k]
        counts[code] += 1
    return place


@kernel
def renumber_used(codes: ReadI32, valid: Bytes, places: I32, used: I32, out: I32) -> int:
    """Number the codes that occur anew, in the order of their first appearance. Returns how many occur.

    ``out`` has the new codes, ``used`` the old ones by new code. ``places`` has an element for each old code, -1 in all
    of them. ``valid`` is Arrow's validity bitmap, or empty if all rows are valid; the others get 0.
    """
    known = 0
    for k in range(len(out)):
        if len(valid) > 0 and valid[k >> 3] >> (k & 7) & 1 == 0:
            out[k] = 0
            continue
        code = codes[k]
        place = places[code]
        if place < 0:
            place = known
            places[code] = place
            used[place] = code
            known += 1
        out[k] = place
    return known
