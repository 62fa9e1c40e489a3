"""A session with a server, and what is said when there is none."""

from __future__ import annotations

import datetime as dt
import socket
import zoneinfo
from typing import Any

import pyarrow as pa
import pytest

from logsink.errors import Unavailable
from logsink.query.spark import session
from logsink.query.spark.session import Session, connected
from tests.support.spark import require_client


class Conf:
    """Stands for a Spark session."""

    def __init__(self) -> None:
        self.conf, self.zones = self, list[str]()

    def set(self, name: str, value: str) -> None:
        assert name == "spark.sql.session.timeZone"
        self.zones.append(value)

    def get(self, name: str) -> str:
        assert name == "spark.sql.session.timeZone"
        return self.zones[-1]

    def sql(self, statement: str) -> Any:
        return self

    def toArrow(self) -> pa.Table:  # noqa: N802
        return pa.table(
            {"time": pa.array([0], pa.timestamp("us", "UTC")), "n": [1], "wall": pa.array([0], pa.timestamp("us"))}
        )

    def interruptAll(self) -> Any:  # noqa: N802
        raise RuntimeError("not here")


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    require_client()
    monkeypatch.setattr(session, "ANSWER", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(Unavailable, match=r"no answer within 0.2 s"),
        connected(f"sc://127.0.0.1:{silent.getsockname()[1]}", "/store"),
    ):
        pass


def test_errors_of_the_transport_and_of_what_was_asked() -> None:
    here = Session(Conf(), "sc://h:1", "/store")
    broken = RuntimeError('<_MultiThreadedRendezvous of RPC:\n\tdetails = "Socket closed"\n>')
    assert str(here.failed(broken)) == "cannot use sc://h:1 as a Spark Connect server: Socket closed"
    assert str(here.failed(ValueError("no such file\nat x"))) == "cannot read the archive by sc://h:1: no such file"
    assert str(here.failed(ValueError())) == "cannot read the archive by sc://h:1: ValueError"
    assert here.transport_failed(ValueError("x")) is None


def test_zones_that_have_a_name() -> None:
    spark = Conf()
    here = Session(spark, "sc://h:1", "/store")
    for zone in (dt.UTC, zoneinfo.ZoneInfo("Europe/Berlin"), dt.timezone(dt.timedelta(hours=1))):
        here.use_zone(zone)
    assert spark.zones == ["UTC", "Europe/Berlin"]
    here.interrupt()


@pytest.mark.parametrize(("zone", "shown"), [("Europe/Berlin", "Europe/Berlin"), ("GMT+01:00", "UTC")])
def test_instants_of_a_result_show_the_zone_of_the_session(zone: str, shown: str) -> None:
    spark = Conf()
    spark.set("spark.sql.session.timeZone", zone)
    found = Session(spark, "sc://h:1", "/store").result("SELECT 1")
    assert found.schema.types == [pa.timestamp("us", shown), pa.int64(), pa.timestamp("us")]
    assert found.column("time").cast(pa.int64()).to_pylist() == [0]
