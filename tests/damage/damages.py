"""Damages: what disks, bugs, lifecycle rules, restores from backups and people do to objects."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from logsink.archive.chain import MEMBER, parse, seal
from tests.damage.kinds import kind_of, lane_of, version_of
from tests.damage.stores import Template


class Change(NamedTuple):
    """One damage: ``bodies`` are the new contents by key, None where the object is gone."""

    damage: str
    kind: str
    bodies: Mapping[str, bytes | None]


def flip(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Change 1 to 8 bits."""
    body = bytearray(template.objects[key])
    for bit in rng.sample(range(8 * len(body)), min(rng.randint(1, 8), 8 * len(body))):
        body[bit // 8] ^= 1 << bit % 8
    return {key: bytes(body)}


def truncate(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Keep only the beginning: anything, or all but a few bytes."""
    body = template.objects[key]
    size = max(0, len(body) - rng.randint(1, 40)) if rng.random() < 0.3 else rng.randrange(len(body) or 1)
    return {key: body[:size]}


def empty(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Leave an object without bytes."""
    return {key: b""}


def delete(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Delete the object."""
    return {key: None}


def swap(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Give two objects, mostly of one kind, each other's bytes."""
    kind = kind_of(template, key)
    others = [one for one in template.objects if one != key]
    alike = [one for one in others if kind_of(template, one) == kind]
    other = rng.choice(alike if alike and rng.random() < 0.8 else others)
    return {key: template.objects[other], other: template.objects[key]}


def old(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Restore what an object once was, or, where it never was anything else, give it the bytes of the one before it."""
    if key in template.past:
        return {key: rng.choice(template.past[key])}
    kind = kind_of(template, key)
    before = [one for one in template.objects if one < key and kind_of(template, one) == kind]
    return {key: template.objects[before[-1]] if before else b""}


def restore(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Bring back an object that was deleted when it was no longer needed."""
    gone = [one for one in template.past if one not in template.objects]
    if not gone:
        return {}
    one = rng.choice(gone)
    return {one: template.past[one][-1]}


def roll_back(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Take the newest one to three commits away, with the checkpoints and the hint that name them."""
    last = max(map(version_of, template.objects))
    first = max(1, last - rng.randint(0, 2))
    return {one: None for one in template.objects if version_of(one) >= first}


def lose_log(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Delete all of the table's log."""
    return {one: None for one in template.objects if one.startswith("logs/_delta_log/")}


def lose_lane(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Delete several segments of one lane, or all."""
    lanes = sorted({lane_of(one) for one in template.objects} - {""})
    if not lanes:
        return {}
    lane = rng.choice(lanes)
    keys = [one for one in template.objects if one.startswith(lane)]
    first = rng.randrange(len(keys))
    return dict.fromkeys(keys[first : first + rng.randint(1, len(keys))])


def forge(rng: random.Random, template: Template, key: str) -> Mapping[str, bytes | None]:
    """Write a commit again, sealed as it should be: with another time, or without one of its data files."""
    keys = sorted(one for one in template.objects if kind_of(template, one) == "commit")
    if len(keys) < 3:
        return {}
    chosen = rng.choice(keys[1:-1])  # nothing could know that the newest one was another
    actions = parse(template.objects[chosen])
    seal_of = actions[0]["commitInfo"].pop(MEMBER)
    adds = [action for action in actions if "add" in action]
    if adds and rng.random() < 0.7:
        actions.remove(rng.choice(adds))
    else:
        actions[0]["commitInfo"]["timestamp"] += 1000
    state = seal_of["state"]
    made = seal(actions, version=seal_of["version"], store=seal_of["store"], previous=seal_of["previous"], state=state)
    return {chosen: made}


OF_OBJECTS: Mapping[str, Callable[[random.Random, Template, str], Mapping[str, bytes | None]]] = {
    "flip": flip,
    "truncate": truncate,
    "empty": empty,
    "delete": delete,
    "swap": swap,
    "old": old,
}
WIDER = {"restore": restore, "roll back": roll_back, "lose log": lose_log, "lose lane": lose_lane, "forge": forge}


def draw(rng: random.Random, template: Template, wanted: Collection[str] = ()) -> Change:
    """A damage of a kind of object drawn first, so that rare kinds get as many as frequent ones.

    ``wanted``: only these damages.
    """
    while True:
        if rng.random() < (0.12 if not wanted else len(WIDER.keys() & wanted) / len(wanted)):
            name = rng.choice([one for one in WIDER if not wanted or one in wanted])
            kind, bodies = "commit" if name == "forge" else "several", WIDER[name](rng, template, "")
        else:
            kinds: dict[str, list[str]] = {}
            for key in template.objects:
                kinds.setdefault(kind_of(template, key), []).append(key)
            kind = rng.choice(sorted(kinds))
            name = rng.choice([one for one in OF_OBJECTS if not wanted or one in wanted])
            bodies = OF_OBJECTS[name](rng, template, rng.choice(kinds[kind]))
        if any(body != template.objects.get(key) for key, body in bodies.items()):
            return Change(name, kind, {k: b for k, b in bodies.items() if b != template.objects.get(k)})
