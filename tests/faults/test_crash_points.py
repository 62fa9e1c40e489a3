"""A process is killed, or stopped for too long, at each point where that could hurt. Every test ends in ``Scene.settle``.

Real processes and sockets; a client that sends again what was not acknowledged, as librelp does.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from logsink.archive.log import DeltaLog
from logsink.archive.snapshot import commit_key
from logsink.journal.reader import list_segments
from tests.support.crashing import Plan, Point
from tests.support.scene import COMPACTING, Scene, query_process

SEGMENT, DATA, COMMIT = r"^journal/", r"^logs/date=", r"^logs/_delta_log/0*[1-9][0-9]*\.json"


pytestmark = pytest.mark.slow


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    await scene.aclose()


JOURNAL = {
    "read, before the PUT": Point("put_absent", SEGMENT),
    "stored, acknowledgement unsent": Point("put_absent", SEGMENT, after=True),
    "the second segment before the PUT": Point("put_absent", SEGMENT, nth=2),
    "the second segment stored": Point("put_absent", SEGMENT, nth=2, after=True),
}


@pytest.mark.parametrize("point", JOURNAL)
async def test_killed_while_storing(scene: Scene, point: str) -> None:
    async with scene.receiver(JOURNAL[point]) as receiver:
        client = scene.client(receiver)
        await receiver.died(scene.rounds(client, 2, 50))
    await scene.settle()


async def test_stored_and_the_reply_lost(scene: Scene) -> None:
    async with scene.receiver(Point("put_absent", SEGMENT, "lose")) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await client.close()
    await scene.settle(doubles=False)


async def test_stored_the_reply_lost_and_killed_at_the_next_try(scene: Scene) -> None:
    points = Point("put_absent", SEGMENT, "lose"), Point("get", SEGMENT)
    async with scene.receiver(*points) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await receiver.died()
    await scene.settle()


async def test_a_segment_that_lands_when_its_receiver_is_dead(scene: Scene) -> None:
    async with scene.receiver(Point("put_absent", SEGMENT, "late", after=True)) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await receiver.died()
    await scene.settle()
    await land(scene)
    await scene.settle()


async def test_a_segment_that_lands_after_it_was_archived_and_deleted(scene: Scene) -> None:
    """A first try hangs; the second stores it; the first arrives when all is over."""
    async with scene.receiver(Point("put_absent", SEGMENT, "late")) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await client.close()
        await deleted(scene)
        await land(scene)
        await scene.check_now()
    await scene.settle(doubles=False)


async def land(scene: Scene) -> None:
    """What a process has sent arrives at the store now."""
    key, body = (scene.directory / "key").read_text(), (scene.directory / "body").read_bytes()
    async with scene.store() as store:
        await store.put_absent(key, body)


async def deleted(scene: Scene) -> None:
    """Until the journal is empty."""
    async with scene.store() as store, asyncio.timeout(60):
        while await list_segments(store):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("after", [False, True])
async def test_one_lane_stored_and_another_not(scene: Scene, after: bool) -> None:
    """The first lane's PUT does not end; the second lane's is killed."""
    points = Point("put_absent", r"^journal/[^/]+/0/", "wait"), Point("put_absent", r"^journal/[^/]+/1/", after=after)
    async with scene.receiver(*points) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await waiting(scene, client)
        await client.send(*scene.frames(50))
        await receiver.died()
        assert not client.acknowledged
    await scene.settle()


async def waiting(scene: Scene, client: object) -> None:
    """Frames of two segments must not come in one read: until the receiver has read what was sent."""
    receiver = scene.receivers[-1]
    await asyncio.to_thread(receiver.wait_for, "logsink_frames_total", 50)
    await asyncio.sleep(0.1)  # its acknowledgement delay


@pytest.mark.parametrize(("answers", "half"), [(0, False), (0, True), (1, False), (1, True)])
async def test_killed_while_acknowledging(scene: Scene, answers: int, half: bool) -> None:
    async with scene.receiver(plan=Plan(answers=answers, half=half)) as receiver:
        client = scene.client(receiver, window=1000)
        await receiver.died(scene.rounds(client, 2, 100))
    await scene.settle()


ARCHIVE = {
    "data file before its PUT": Point("put", DATA),
    "data file PUT": Point("put", DATA, after=True),
    "before the commit": Point("put_absent", COMMIT),
    "committed, the reply lost": Point("put_absent", COMMIT, after=True),
    "committed, before it is read back": Point("get", r"^logs/_delta_log/0{19}1\.json$"),
    "before the deletion": Point("delete", SEGMENT),
    "after the deletion": Point("delete", SEGMENT, after=True),
    "after one of several deletions": Point("delete", SEGMENT, "part", keep=1),
}


@pytest.mark.parametrize("point", ARCHIVE)
async def test_killed_while_archiving(scene: Scene, point: str) -> None:
    async with scene.receiver(ARCHIVE[point]) as receiver:
        client = scene.client(receiver)
        await receiver.died(scene.rounds(client, 3, 30))
    await scene.settle(doubles=False)


@pytest.mark.parametrize("nth", [1, 2])
async def test_two_days_in_one_commit_killed_between_and_after_their_files(scene: Scene, nth: int) -> None:
    plan = Plan(midnight=True)
    async with scene.receiver(Point("put", DATA, nth=nth, after=True), plan=plan) as receiver:
        client = scene.client(receiver)
        await receiver.died(scene.rounds(client, 2, 30))
    await scene.settle(doubles=False)
    async with scene.store() as store:
        assert len({file.date for file in (await DeltaLog(store).load()).files.values()}) == 2


LOG = {
    "the reply lost": [Point("put_absent", COMMIT, "lose")],
    "the reply lost, killed when looking": [Point("put_absent", COMMIT, "lose"), Point("get", COMMIT)],
    "taken by another": [Point("put_absent", COMMIT, "taken")],
    "taken by another, killed in the walk": [Point("put_absent", COMMIT, "taken"), Point("get", COMMIT)],
    "taken by another, then the reply lost": [
        Point("put_absent", COMMIT, "taken"),
        Point("put_absent", COMMIT, "lose", nth=2),
    ],
    "landing when the process is dead": [Point("put_absent", COMMIT, "late", after=True)],
    "landing at last": [Point("put_absent", COMMIT, "late")],
}


@pytest.mark.parametrize("case", LOG)
async def test_trouble_with_the_commit(scene: Scene, case: str) -> None:
    points = LOG[case]
    dies = "killed" in case or "dead" in case
    async with scene.receiver(*points) as receiver:
        client = scene.client(receiver)
        work = scene.rounds(client, 1, 50)
        if dies:
            await receiver.died(work)
        else:
            await work
            await deleted(scene)
    if (scene.directory / "key").exists():
        await land(scene)
        await scene.check_now()
    await scene.settle(doubles=False)


async def test_a_commit_under_a_version_that_was_cleaned_away(scene: Scene) -> None:
    """The receiver stops before its commit. Meanwhile the log goes on, a checkpoint is made and old versions are deleted."""
    async with scene.receiver(Point("put_absent", COMMIT, "stop")) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await client.settle()
        await receiver.stopped()
        await log_goes_on(scene, 3)
        receiver.send_signal(signal.SIGCONT)
        await client.close()
        await deleted(scene)
    await scene.settle(doubles=False)


async def log_goes_on(scene: Scene, commits: int) -> None:
    """Commits that say nothing, a checkpoint, and no version before it any more."""
    from deltalake import DeltaTable

    async with scene.store() as store:
        log = DeltaLog(store)
        for _ in range(commits):
            await log.commit(await log.load(), [])
    DeltaTable(f"{scene.url}/logs").create_checkpoint()
    async with scene.store() as store:
        await store.delete([commit_key(version) for version in range(commits)])


MERGED = "/compacted-"

COMPACTION = {
    "an input read": Point("get", DATA),
    "the output before its PUT": Point("put", MERGED),
    "the output PUT": Point("put", MERGED, after=True),
    "before the commit": Point("put_absent", COMMIT, body="OPTIMIZE"),
    "committed, the reply lost": Point("put_absent", COMMIT, body="OPTIMIZE", after=True),
    "the second one PUT": Point("put", MERGED, nth=2, after=True),
    "before the replaced files are deleted": Point("delete", DATA),
    "one of the replaced files deleted": Point("delete", DATA, "part", keep=1),
    "the replaced files deleted": Point("delete", DATA, after=True),
}


@pytest.mark.parametrize("point", COMPACTION)
async def test_killed_while_compacting(scene: Scene, point: str) -> None:
    plan = Plan(seconds=COMPACTING)
    async with scene.receiver(COMPACTION[point], plan=plan, maintain__checkpoint_every="2") as receiver:
        client = scene.client(receiver)
        await receiver.died(scene.rounds(client, 30, 20, pause=0.2))
    await scene.settle(doubles=False)


SWAP = {
    "the reply lost": [Point("put_absent", COMMIT, "lose", body="OPTIMIZE")],
    "taken by another": [Point("put_absent", COMMIT, "taken", body="OPTIMIZE")],
    "taken by another, then the reply lost": [
        Point("put_absent", COMMIT, "taken", body="OPTIMIZE"),
        Point("put_absent", COMMIT, "lose", body="OPTIMIZE", nth=2),
    ],
    "landing when the process is dead": [Point("put_absent", COMMIT, "late", body="OPTIMIZE", after=True)],
    "landing at last": [Point("put_absent", COMMIT, "late", body="OPTIMIZE")],
}


@pytest.mark.parametrize("case", SWAP)
async def test_trouble_with_the_commit_of_a_compaction(scene: Scene, case: str) -> None:
    async with scene.receiver(*SWAP[case], plan=Plan(seconds=COMPACTING)) as receiver:
        client = scene.client(receiver)
        if "dead" in case:
            await receiver.died(scene.rounds(client, 30, 20, pause=0.2))
        else:
            await scene.rounds(client, 4, 20, pause=0.3)
            await merged(scene)
            await deleted(scene)
    if (scene.directory / "key").exists():
        await land(scene)
        await scene.check_now()
    await scene.settle(doubles=False)


async def test_two_compactors_that_archive_too(scene: Scene) -> None:
    plans = [Plan(seconds=COMPACTING) for _ in range(2)]
    settings = {"maintain__checkpoint_every": "3"}
    async with (
        scene.receiver(plan=plans[0], **settings) as first,
        scene.receiver(plan=plans[1], **settings) as second,
    ):
        clients = [scene.client(first), scene.client(second)]
        await asyncio.gather(*(scene.rounds(client, 10, 10, pause=0.2) for client in clients))
        await deleted(scene)
        await merged(scene)
    await scene.settle(doubles=False)


async def merged(scene: Scene) -> None:
    """Until a merged file is in the table."""
    async with scene.store() as store, asyncio.timeout(60):
        while not any(MERGED in path for path in (await DeltaLog(store).load()).files):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_compaction_that_is_stopped_until_another_has_won(scene: Scene) -> None:
    """The first has put its output; the second merges the same files and deletes what is left of them."""
    async with scene.receiver(Point("put", MERGED, "stop", after=True), plan=Plan(seconds=COMPACTING)) as first:
        client = scene.client(first)
        work = asyncio.create_task(scene.rounds(client, 10, 20, pause=0.3))
        await first.stopped()
        async with scene.receiver(plan=Plan(seconds=COMPACTING), maintain__checkpoint_every="1") as second:
            await asyncio.to_thread(second.wait_for, "logsink_compactions_total", 1)
            await asyncio.to_thread(second.wait_for, "logsink_removed_files_total", 2)
            first.send_signal(signal.SIGCONT)
            await work
            await deleted(scene)
    await scene.settle(doubles=False)


async def test_a_query_whose_files_are_merged_and_deleted_while_it_runs(scene: Scene) -> None:
    async with scene.receiver() as receiver:
        client = scene.client(receiver)
        await scene.rounds(client, 3, 20, pause=0.3)
        await deleted(scene)
    wanted = set(client.acknowledged)
    async with scene.store() as store:
        files = len((await DeltaLog(store).load()).files)
    assert files > 1
    process = query_process(scene, Plan([Point("get", DATA, "wait", nth=2)]))
    await asyncio.sleep(0.5)  # it has its snapshot; if not, that is a case too
    async with scene.receiver(plan=Plan(seconds=COMPACTING), maintain__checkpoint_every="1") as other:
        await asyncio.to_thread(other.wait_for, "logsink_removed_files_total", files)
    (scene.directory / "go").touch()
    out, error = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, error
    lines = out.splitlines()
    assert len(lines) == len(set(lines))
    assert wanted == set(lines)
    await scene.settle(doubles=False)


POWER = ("fsync", "link", "directory")


@pytest.mark.parametrize("where", POWER)
async def test_the_power_is_cut(scene: Scene, where: str) -> None:
    async with scene.receiver(plan=Plan(disk=where)) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await receiver.died()
        assert not client.acknowledged
    await scene.settle(doubles=False)


@pytest.mark.parametrize("where", ["hint", "clean"])
async def test_killed_while_making_a_checkpoint(scene: Scene, where: str) -> None:
    async with scene.receiver(plan=Plan(checkpoint=where), maintain__checkpoint_every="2") as receiver:
        client = scene.client(receiver)
        await receiver.died(scene.rounds(client, 20, 10, pause=0.2))  # about a commit for each
    await scene.settle(doubles=False)


DORMANT = r"^dormant/"

DORMANCY = {
    "the object before its PUT": Point("put_absent", DORMANT),
    "the object PUT": Point("put_absent", DORMANT, after=True),
    "before the commit": Point("put_absent", COMMIT, body="MAKE DORMANT"),
    "committed": Point("put_absent", COMMIT, body="MAKE DORMANT", after=True),
    "another receiver's turn": Point("put_absent", COMMIT, body="MAKE DORMANT", nth=3, after=True),
}


@pytest.mark.parametrize("point", DORMANCY)
async def test_killed_while_lanes_are_put_to_rest(scene: Scene, point: str) -> None:
    """A receiver makes its own lanes dormant, too, and wakes up with the next message."""
    async with scene.receiver(DORMANCY[point], plan=Plan(dormant=True)) as receiver:
        client = scene.client(receiver)
        await receiver.died(scene.rounds(client, 40, 10, pause=1.0))
    await scene.settle(doubles=False)


@pytest.mark.parametrize("act", ["lose", "taken", "late"])
async def test_trouble_with_the_commit_that_puts_lanes_to_rest(scene: Scene, act: str) -> None:
    async with (
        scene.receiver(Point("put_absent", COMMIT, act, body="MAKE DORMANT"), plan=Plan(dormant=True)) as first,
        scene.receiver(plan=Plan(dormant=True)) as second,
    ):
        clients = [scene.client(first), scene.client(second)]
        await asyncio.gather(*(scene.rounds(client, 5, 10, pause=1.0) for client in clients))
        await deleted(scene)
    if (scene.directory / "key").exists():
        await land(scene)
        await scene.check_now()
    assert "old receivers dormant" in first.log + second.log
    await scene.settle(doubles=False)


async def test_two_checkpoints_at_once(scene: Scene) -> None:
    settings = {"maintain__checkpoint_every": "1"}
    async with scene.receiver(**settings) as first, scene.receiver(**settings) as second:
        clients = [scene.client(first), scene.client(second)]
        await asyncio.gather(*(scene.rounds(client, 5, 10, pause=0.2) for client in clients))
    assert "checkpoint of version" in first.log + second.log
    await scene.settle(doubles=False)


async def test_two_adopters_and_the_owner(scene: Scene) -> None:
    """A receiver is stopped until two others have archived what it left, and goes on."""
    async with scene.receiver(Point("put", DATA, "stop")) as owner:
        client = scene.client(owner)
        await client.send(*scene.frames(50))
        await client.settle()
        await owner.stopped()
        async with scene.receiver() as one, scene.receiver() as two:
            await deleted(scene)
            owner.send_signal(signal.SIGCONT)
            client.port = one.port("relp")
            await client.send(*scene.frames(50))
            await client.close()
            assert "is gone" in one.log + two.log
    await scene.settle()


async def test_two_adopters_while_the_owner_commits(scene: Scene) -> None:
    """All three have read the same segments, and want to commit them."""
    async with scene.receiver(Point("put_absent", COMMIT, "stop")) as owner:
        client = scene.client(owner)
        await client.send(*scene.frames(50))
        await client.close()
        await owner.stopped()
        stop = Point("put_absent", COMMIT, "wait")
        async with scene.receiver(stop) as one, scene.receiver(stop) as two:
            await asyncio.sleep(2.5)  # both have planned, on the same snapshot; if not, that is a case too
            (scene.directory / "go").touch()
            owner.send_signal(signal.SIGCONT)
            await deleted(scene)
            del one, two
    await scene.settle(doubles=False)


async def test_a_receiver_that_was_stopped_goes_on_under_a_new_id(scene: Scene) -> None:
    plan = Plan(seconds={"maintain.orphan_after": 1.0})
    async with scene.receiver(plan=plan) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await client.settle()
        before = {lane.rpartition(".")[0] for lane in await lanes(scene)}
        receiver.send_signal(signal.SIGSTOP)
        await receiver.stopped()
        await asyncio.sleep(1.5)
        receiver.send_signal(signal.SIGCONT)
        await client.send(*scene.frames(50))
        await client.close()
        await deleted(scene)
        assert {lane.rpartition(".")[0] for lane in await lanes(scene)} > before
    await scene.settle(doubles=False)


async def lanes(scene: Scene) -> set[str]:
    """appIds that the table knows, once it knows any."""
    async with scene.store() as store, asyncio.timeout(60):
        while not (snapshot := await DeltaLog(store).load()).txn:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return set(snapshot.txn)


QUERY = {
    "journal listed": Point("list", "^journal/", "wait", after=True),
    "before the snapshot": Point("list", "^logs/_delta_log/", "wait"),
    "before a commit is read": Point("get", "^logs/_delta_log/", "wait"),
    "before a segment is read": Point("get", SEGMENT, "wait"),
    "before a file is read": Point("get", DATA, "wait"),
}


@pytest.mark.parametrize("point", QUERY)
async def test_a_query_while_everything_moves(scene: Scene, point: str) -> None:
    """What was acknowledged before is shown once, although it is archived and deleted while the query is held up."""
    async with scene.receiver(plan=Plan(seconds={"archive.max_age": 1.0})) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(40))
        await client.settle()
        if "file" in point:
            await deleted(scene)
            await client.send(*scene.frames(40))
            await client.settle()
        wanted = set(client.acknowledged)
        process = query_process(scene, Plan([QUERY[point]]))
        if point != "before a file is read":
            await asyncio.sleep(0.5)
        await deleted(scene)
        await client.send(*scene.frames(10))
        await client.close()
        (scene.directory / "go").touch()
        out, error = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, error
        lines = out.splitlines()
        assert len(lines) == len(set(lines))
        assert wanted <= set(lines)
    await scene.settle(doubles=False)


DRAIN = {
    "after serverclose": Plan(answers=0),
    "in the archive": Plan([Point("put", DATA)], seconds={"archive.max_age": 100.0}),
    "in the archive, committed": Plan([Point("put_absent", COMMIT, after=True)], seconds={"archive.max_age": 100.0}),
    "while storing": Plan([Point("put_absent", SEGMENT, nth=2)], seconds={"archive.max_age": 100.0}),
}


@pytest.mark.parametrize("point", DRAIN)
async def test_killed_while_draining(scene: Scene, point: str) -> None:
    plan = DRAIN[point]
    points, calls = list(plan.points), plan
    async with scene.receiver(*points, plan=calls) as receiver:
        client = scene.client(receiver)
        if point != "after serverclose":
            await client.send(*scene.frames(50))
            await client.settle()
        await client.send(*scene.frames(50))
        receiver.send_signal(signal.SIGTERM)
        await receiver.died(client.settle())
    await scene.settle()


async def test_a_resend_while_the_original_is_under_way(scene: Scene) -> None:
    async with scene.receiver(Point("put_absent", SEGMENT, "wait")) as receiver:
        client = scene.client(receiver)
        await client.send(*scene.frames(50))
        await asyncio.to_thread(receiver.wait_for, "logsink_frames_total", 50)
        client.drop(reset=True)
        task = asyncio.create_task(client.send(*scene.frames(10)))
        await asyncio.to_thread(receiver.wait_for, "logsink_relp_resent_frames_total", 50)
        assert not client.acknowledged
        (scene.directory / "go").touch()
        await task
        await client.close()
        assert client.resent == 50
    await scene.settle(doubles=False)


def test_plans_survive_being_written(tmp_path: Path) -> None:
    plan = Plan([Point("put", "x", "wait", nth=3)], {"a.b": 1.0}, half=True)
    assert Plan.read(plan.write(tmp_path / "plan")) == plan
    assert json.loads((tmp_path / "plan").read_text())["points"][0]["nth"] == 3
