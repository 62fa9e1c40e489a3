"""Numbering in kernels: distinct values get codes in the order of their first appearance, equal times of a read a
count.

Hash tables are open addressing over powers of two, at most half full, -1 where empty. The hash is seeded, so that
nobody who does not know the seed can send values that collide; the codes do not depend on it.
"""

from __future__ import annotations

from logsink.kernel import I32, I64, MASK, Bytes, ReadGrid32, ReadI32, ReadI64, kernel, word

_FACTOR = 0x1E3779B97F4A7C15  # odd, 61 bits


@kernel
def mix(hashed: int, more: int) -> int:
    hashed = ((hashed ^ more) * _FACTOR) & MASK
    return hashed ^ hashed >> 31


@kernel
def short(data: Bytes, start: int, length: int) -> int:
    """Fewer than eight bytes at ``start`` as a little-endian number."""
    if start + 8 <= len(data):
        return word(data, start) & ((1 << 8 * length) - 1)
    value = 0
    for k in range(length):
        value |= data[start + k] << 8 * k
    return value


@kernel
def digest(data: Bytes, start: int, end: int, seed: int) -> int:
    """Hash of ``data[start:end]``, eight bytes at a time; the last eight overlap."""
    hashed = mix(seed, end - start)
    if end - start < 8:
        return mix(hashed, short(data, start, end - start))
    p = start
    while p + 8 < end:
        hashed = mix(hashed, word(data, p))
        p += 8
    return mix(hashed, word(data, end - 8))


@kernel
def same(data: Bytes, a: int, b: int, length: int) -> bool:
    """Are ``length`` bytes at ``a`` and at ``b`` equal?"""
    if length < 8:
        return short(data, a, length) == short(data, b, length)
    k = 0
    while k + 8 < length:
        if word(data, a + k) != word(data, b + k) or data[a + k + 7] != data[b + k + 7]:
            return False
        k += 8
    k = length - 8
    return word(data, a + k) == word(data, b + k) and data[a + length - 1] == data[b + length - 1]


@kernel
def encode(
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
    """Number field ``field`` of the rows of ``spans`` from ``first`` on into ``codes``; -1 where it is absent.

    ``starts``, ``ends`` and ``hashes`` describe the ``count[0]`` values known so far. The row at which ``table`` was
    half full, or the number of rows.
    """
    mask = len(table) - 1
    known = count[0]
    row = first
    while row < len(codes):
        start = spans[row, 2 * field]
        if start < 0:
            codes[row] = -1
            row += 1
            continue
        end = spans[row, 2 * field + 1]
        hashed = digest(data, start, end, seed)
        slot = hashed & mask
        while True:
            code = table[slot]
            if code < 0:
                break
            # Of texts of one length, less than eight bytes, each has a digest of its own (``mix`` is a permutation).
            if (
                hashes[code] == hashed
                and ends[code] - starts[code] == end - start
                and (end - start < 8 or same(data, starts[code], start, end - start))
            ):
                break
            slot = (slot + 1) & mask
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
def rehash(hashes: ReadI64, count: int, table: I32) -> int:
    """Enter ``count`` codes into an empty ``table``; ``count``."""
    mask = len(table) - 1
    for code in range(count):
        slot = hashes[code] & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = code
    return count


@kernel
def number(values: ReadI64, first: int, codes: I32, table: I32, distinct: I64, count: I64, seed: int) -> int:
    """The same for integers: 0 gets -1, the others are numbered; ``distinct`` holds the ``count[0]`` values known so
    far."""
    mask = len(table) - 1
    known = count[0]
    row = first
    last = 0
    code = -1
    while row < len(codes):
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
def renumber(distinct: ReadI64, count: int, table: I32, seed: int) -> int:
    """Enter ``count`` integers into an empty ``table``; ``count``."""
    mask = len(table) - 1
    for code in range(count):
        slot = mix(seed, distinct[code]) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = code
    return count


@kernel
def positions(received: ReadI64, time: ReadI64, nth: I32, table: I32, seed: int) -> int:
    """``nth[i]``: how many earlier rows of the same read (equal ``received``, side by side) have row i's time.

    ``table`` has at least twice as many slots as the longest read has rows. Times that never go back within a read need
    no table. How many rows needed it.
    """
    looked = 0
    read = 0
    mask = 0
    for i in range(len(nth)):
        if i == read or received[i] != received[i - 1]:
            read = i
            mask = 0
            nth[i] = 0
            continue
        if mask == 0:
            if time[i] >= time[i - 1]:
                nth[i] = nth[i - 1] + 1 if time[i] == time[i - 1] else 0
                continue
            after = i
            while after < len(nth) and received[after] == received[i]:
                after += 1
            mask = 1
            while mask < 2 * (after - read):
                mask = mask << 1 | 1
            for slot in range(mask + 1):
                table[slot] = -1
            for earlier in range(read, i):
                enter(time, nth, earlier, table, mask, seed)
        nth[i] = enter(time, nth, i, table, mask, seed)
        looked += 1
    return looked


@kernel
def enter(time: ReadI64, nth: ReadI32, i: int, table: I32, mask: int, seed: int) -> int:
    """Make row ``i`` the last known of its time; one more than the ``nth`` of the row that was, or 0."""
    slot = mix(seed, time[i] & MASK) & mask
    while table[slot] >= 0 and time[table[slot]] != time[i]:
        slot = (slot + 1) & mask
    before = table[slot]
    table[slot] = i
    return nth[before] + 1 if before >= 0 else 0


@kernel
def longest(received: ReadI64) -> int:
    """Rows of the longest run of equal values."""
    best = 0
    run = 0
    for i in range(len(received)):
        run = run + 1 if i > 0 and received[i] == received[i - 1] else 1
        best = max(best, run)
    return best


@kernel
def take(codes: ReadI32, order: ReadI64, out: I32) -> int:
    """``out[k] = codes[order[k]]``; how many of them are absent (negative)."""
    absent = 0
    for k in range(len(order)):
        code = codes[order[k]]
        out[k] = code
        if code < 0:
            absent += 1
    return absent


@kernel
def counting_sort(codes: ReadI32, order: ReadI64, counts: I32, out: I64) -> int:
    """``order`` by the codes of its rows, equal ones as they stand, in ``out``; how many.

    ``counts`` has an entry, 0, for every code there may be. A million rows take 0.01 s; numpy's radix sort and what it
    takes to gather for it and from it, three times as long.
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
    """Number the codes that occur anew, in the order of their first appearance: ``out``, and ``used`` has the old ones
    by new.

    How many. ``places`` has an entry for each old code, -1 in all of them. ``valid``: Arrow's bitmap, or empty for all.
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
