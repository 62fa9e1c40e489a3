"""Settings: what is read from where, which wins, and what every mistake is told."""

from __future__ import annotations

import operator
from pathlib import Path

import pytest

from logsink.config import SETTINGS, load, resolve
from logsink.errors import ArgumentError, ConfigError
from logsink.kinds import Address

HOME = {"HOME": "/home/ada"}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "logsink.toml"
    path.write_text(text)
    return path


def problems(path: Path | None, environ: dict[str, str], overrides: dict[str, object] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, HOME | environ, overrides or {})
    return str(caught.value).splitlines()


# --- sources


def test_zero_configuration_listens_on_this_machine_only() -> None:
    config = load(None, HOME, {})
    assert config.store == "file:///home/ada/.local/share/logsink"
    assert config.listen.tcp == config.listen.udp == (Address("127.0.0.1", 5514),)
    assert config.listen.relp == (Address("127.0.0.1", 2514),)
    assert config.listen.http == Address("127.0.0.1", 9514)
    assert config.archive.max_bytes == 32 << 20
    assert config.archive.max_age == 60.0


@pytest.mark.parametrize(
    ("environ", "store"),
    [
        ({"XDG_DATA_HOME": "/data", "HOME": "/home/ada"}, "file:///data/logsink"),
        ({"XDG_DATA_HOME": "data", "HOME": "/home/ada"}, "file:///home/ada/.local/share/logsink"),
        ({"HOME": "/home/ada l%20"}, "file:///home/ada%20l%2520/.local/share/logsink"),
        ({"XDG_DATA_HOME": "/data", "LOGSINK_STORE": "s3://logs/a"}, "s3://logs/a"),
    ],
)
def test_where_the_store_is(environ: dict[str, str], store: str) -> None:
    assert load(None, environ, {}).store == store


def test_no_home_no_store() -> None:
    with pytest.raises(ConfigError, match="LOGSINK_STORE"):
        load(None, {}, {})


@pytest.mark.parametrize(
    ("environ", "overrides", "expected"),
    [
        ({}, {}, 70.0),
        ({"LOGSINK_ARCHIVE__MAX_AGE": "80s"}, {}, 80.0),
        ({"LOGSINK_ARCHIVE__MAX_AGE": "80s"}, {"archive.max_age": "90s"}, 90.0),
        ({"LOGSINK_ARCHIVE__MAX_AGE": "80s"}, {"archive.max_age": None}, 80.0),
    ],
)
def test_command_line_over_environment_over_file(
    tmp_path: Path, environ: dict[str, str], overrides: dict[str, object], expected: float
) -> None:
    path = write(tmp_path, '[archive]\nmax_age = "70s"\n')
    assert load(path, HOME | environ, overrides).archive.max_age == expected
    assert load(None, HOME | environ | {"LOGSINK_CONFIG": str(path)}, overrides).archive.max_age == expected


def test_every_setting_says_where_it_came_from(tmp_path: Path) -> None:
    path = write(tmp_path, '[listen]\ntcp = ["0.0.0.0:514"]\n')
    sources = resolve(path, HOME | {"LOGSINK_STORE": "s3://logs"}, {"listen.udp": ("[::]:514",)}).sources
    assert sources["listen.tcp"] == f"{path}: listen.tcp"
    assert sources["store"] == "LOGSINK_STORE"
    assert sources["listen.udp"] == "--udp"
    assert sources["listen.relp"] == sources["maintain.every"] == "default"
    assert set(sources) == set(SETTINGS)


def test_only_configured_listeners_open() -> None:
    listen = load(None, HOME | {"LOGSINK_LISTEN__UDP": "0.0.0.0:514, [::1]:514"}, {}).listen
    assert listen.udp == (Address("0.0.0.0", 514), Address("::1", 514))
    assert listen.tcp == listen.relp == ()
    assert listen.http is None


def test_flags_replace_lists() -> None:
    environ = HOME | {"LOGSINK_LISTEN__TCP": "127.0.0.1:1,127.0.0.1:2"}
    assert load(None, environ, {"listen.tcp": ("127.0.0.1:3",)}).listen.tcp == (Address("127.0.0.1", 3),)
    assert len(load(None, environ, {"listen.tcp": ()}).listen.tcp) == 2


@pytest.mark.parametrize(("store", "delay"), [("file:///a", 0.02), ("/a", 0.02), ("s3://logs", 0.2)])
def test_acknowledgements_wait_longer_where_a_write_costs_money(store: str, delay: float) -> None:
    assert load(None, {"LOGSINK_STORE": store}, {}).journal.ack_delay == delay
    given = {"LOGSINK_STORE": store, "LOGSINK_JOURNAL__ACK_DELAY": "50ms"}
    assert load(None, given, {}).journal.ack_delay == 0.05


def test_settings_cannot_be_changed() -> None:
    config = load(None, HOME, {})
    for section in (config, config.listen, config.receive, config.journal, config.archive, config.maintain):
        with pytest.raises(AttributeError):
            setattr(section, section._fields[0], None)


@pytest.mark.parametrize(
    "variable",
    [
        "LOGSINK_PORT",
        "LOGSINK_PORT_5514_TCP",
        "LOGSINK_PORT_5514_TCP_ADDR",
        "LOGSINK_SERVICE_HOST",
        "LOGSINK_SERVICE_PORT_SYSLOG",
        "LOGSINK_RELP_SERVICE_HOST",
    ],
)
def test_variables_of_a_kubernetes_service_are_not_ours(variable: str) -> None:
    load(None, HOME | {variable: "tcp://10.0.0.1:5514"}, {})


# --- mistakes


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stor = 's3://a'", "{path}: unknown setting stor (did you mean store?)"),
        ("[journal]\nack_dealy = '1s'", "{path}: unknown setting journal.ack_dealy (did you mean journal.ack_delay?)"),
        ("[jurnal]\n", "{path}: unknown section [jurnal] (did you mean journal?)"),
        ("[a.b]\nc = 1", "{path}: unknown setting a.b (`logsink config show` lists them all)"),
        ("journal = 1", "{path}: journal is a section, not a setting (write [journal])"),
        (
            "[journal]\nack_delay = 20",
            "{path}: journal.ack_delay: cannot read duration '20' (write 20ms or 20s, within 0s to 1m)",
        ),
        (
            "[journal]\nack_delay = '20'",
            "{path}: journal.ack_delay: cannot read duration '20' (write 20ms or 20s, within 0s to 1m)",
        ),
        (
            "[journal]\nparallel_puts = 1.5",
            "{path}: journal.parallel_puts: cannot read '1.5' as a whole number (write a whole number from 1 to 64)",
        ),
        (
            "[journal]\nparallel_puts = true",
            "{path}: journal.parallel_puts: cannot read true as number (write a whole number from 1 to 64)",
        ),
        (
            "[journal]\nparallel_puts = 0",
            "{path}: journal.parallel_puts: cannot take 0: outside 1 to 64 (write 1 or more)",
        ),
        (
            "[journal]\nmax_bytes = '2GiB'",
            "{path}: journal.max_bytes: cannot take 2GiB: outside 64KiB to 1GiB (write 1GiB or less)",
        ),
        ("[listen]\ntcp = 514", '{path}: listen.tcp: cannot read 514 as a list (write it as ["...", "..."])'),
        (
            "[receive]\ndefault_timezone = 'Mars/Base'",
            "{path}: receive.default_timezone: cannot find time zone 'Mars/Base' (write UTC or a name like Europe/Berlin)",
        ),
        (
            "[receive]\ndeploy_sd_id = 'a b'",
            "{path}: receive.deploy_sd_id: cannot use 'a b' as an SD-ID ("
            + 'RFC 5424 allows 1 to 32 printable ASCII characters except = ] ")',
        ),
        (
            "store = ''",
            "{path}: store: cannot use '' as a store: it is empty (write file:///directory, a path, or s3://bucket/prefix)",
        ),
    ],
)
def test_mistake_in_a_file(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)
    assert problems(path, {}) == [line.replace("{path}", str(path))]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "[archive]\nmax_age = 'soon'\n")
    told = problems(path, {"LOGSINK_JOURNAL__MAX_DELY": "1s"}, {"listen.tcp": ("nowhere",)})
    assert [line.partition(":")[0] for line in told] == ["environment", str(path), "--tcp"]


def test_unknown_variable() -> None:
    told = problems(None, {"LOGSINK_STORE_URL": "s3://logs"})
    assert told == ["environment: unknown variable LOGSINK_STORE_URL (did you mean LOGSINK_STORE?)"]


def test_unreadable_file(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert problems(missing, {})[0].startswith(f"cannot read {missing}: No such file or directory (")
    bad = write(tmp_path, "store = \n")
    assert problems(bad, {})[0].startswith(f"cannot read {bad}: ")
    bad.write_bytes(b"store = '\xff'\n")
    assert problems(bad, {})[0].startswith(f"cannot read {bad}: ")
    bad.write_text(f"workers = {'9' * 5000}\n")
    assert problems(bad, {})[0].startswith(f"cannot read {bad}: ")
    bad.write_text(f"workers = {'[' * 5000}\n")
    assert problems(bad, {})[0].startswith(f"cannot read {bad}: ")


def test_a_number_that_python_cannot_write(tmp_path: Path) -> None:
    path = write(tmp_path, f"workers = 0x{'f' * 5000}\n[listen]\ntcp = 0x{'f' * 5000}\n")
    assert [line.partition(": cannot ")[0] for line in problems(path, {})] == [
        f"{path}: workers",
        f"{path}: listen.tcp",
    ]


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"LOGSINK_ARCHIVE__MAX_AGE": "2m"},
            "maintain.orphan_after: 5m is less than 3 x archive.max_age, 6m (write 6m or more)",
        ),
        (
            {"LOGSINK_RECEIVE__MEMORY_LIMIT": "32MiB", "LOGSINK_JOURNAL__MAX_BYTES": "17MiB"},
            "LOGSINK_JOURNAL__MAX_BYTES: 17MiB is more than 1/2 of receive.memory_limit, 32MiB ("
            + "lower it, or raise receive.memory_limit)",
        ),
        (
            {"LOGSINK_RECEIVE__MEMORY_LIMIT": "32MiB", "LOGSINK_RECEIVE__MAX_MESSAGE": "9MiB"},
            "LOGSINK_RECEIVE__MAX_MESSAGE: 9MiB is more than 1/4 of receive.memory_limit, 32MiB ("
            + "lower it, or raise receive.memory_limit)",
        ),
        (
            {"LOGSINK_JOURNAL__ACK_DELAY": "2s"},
            "LOGSINK_JOURNAL__ACK_DELAY: 2s is more than journal.max_delay (write 1s or less)",
        ),
        (
            {"LOGSINK_LISTEN__HTTP": "127.0.0.1:0"},
            "listen: nothing to receive on (give listen.tcp, udp, relp, tls or relp_tls an address)",
        ),
        (
            {"LOGSINK_LISTEN__TLS": "127.0.0.1:6514"},
            "LOGSINK_LISTEN__TLS: TLS needs a certificate (write tls.cert, the path of a PEM file)",
        ),
        (
            {"LOGSINK_TLS__CLIENT_AUTH": "required"},
            (
                "LOGSINK_TLS__CLIENT_AUTH: required, but nothing says which certificates are good "
                "(write tls.client_ca, the path of a PEM file)"
            ),
        ),
        (
            {"LOGSINK_TLS__PERMITTED_PEERS": "*.example.com"},
            (
                "LOGSINK_TLS__PERMITTED_PEERS: clients are not asked for certificates "
                '(write tls.client_auth = "required")'
            ),
        ),
        (
            {"LOGSINK_LISTEN__TCP": "127.0.0.1:514", "LOGSINK_LISTEN__RELP": "127.0.0.1:514"},
            "LOGSINK_LISTEN__RELP: 127.0.0.1:514 is taken by listen.tcp already (use another port)",
        ),
        (
            {"LOGSINK_LISTEN__UDP": "127.0.0.1:514,127.0.0.1:514"},
            "LOGSINK_LISTEN__UDP: 127.0.0.1:514 is taken by listen.udp already (use another port)",
        ),
        (
            {"LOGSINK_LISTEN__TCP": "0.0.0.0:514", "LOGSINK_LISTEN__RELP": "127.0.0.1:514"},
            "LOGSINK_LISTEN__RELP: 127.0.0.1:514 is taken by listen.tcp already, with 0.0.0.0:514 (use another port)",
        ),
        (
            {"LOGSINK_LISTEN__TCP": "[::1]:514", "LOGSINK_LISTEN__HTTP": "[0::0]:514"},
            "LOGSINK_LISTEN__HTTP: [0::0]:514 is taken by listen.tcp already, with [::1]:514 (use another port)",
        ),
        (
            {"LOGSINK_LISTEN__TCP": "Logs:514", "LOGSINK_LISTEN__RELP": "logs:514"},
            "LOGSINK_LISTEN__RELP: logs:514 is taken by listen.tcp already, with Logs:514 (use another port)",
        ),
    ],
)
def test_contradictions(environ: dict[str, str], line: str) -> None:
    assert problems(None, environ) == [line]


def test_tcp_and_udp_share_a_port_and_port_0_is_never_taken() -> None:
    environ = HOME | {
        "LOGSINK_LISTEN__TCP": "a:514,b:0,b:0",
        "LOGSINK_LISTEN__UDP": "a:514",
        "LOGSINK_LISTEN__RELP": "b:0",
    }
    assert len(load(None, environ, {}).listen.tcp) == 3


def test_every_ipv6_address_leaves_those_of_ipv4_to_others() -> None:
    environ = HOME | {
        "LOGSINK_LISTEN__TCP": "[::]:514,0.0.0.0:514",
        "LOGSINK_LISTEN__UDP": "127.0.0.1:514,127.0.0.2:514",
    }
    assert len(load(None, environ, {}).listen.tcp) == 2


def test_unknown_override_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ConfigError, match=r"did you mean listen\.tcp"):
        load(None, HOME, {"listen.tpc": ("a:1",)})


# --- declarations


@pytest.mark.parametrize("key", SETTINGS)
def test_declaration(key: str) -> None:
    setting = SETTINGS[key]
    assert setting.doc.endswith(".")
    assert setting.usual
    if setting.default is not None:
        value = setting.kind.value(setting.default)
        assert operator.attrgetter(key)(load(None, HOME, {})) == value


@pytest.mark.parametrize("text", ['quote " backslash \\ tab \t', "nul \0", "é"])
def test_shown_text_is_toml(text: str) -> None:
    import tomllib

    assert tomllib.loads(f"x = {SETTINGS['store'].kind.toml(text)}") == {"x": text}


# --- TLS


@pytest.mark.parametrize(
    "peer",
    [
        "web-1.example.com",
        "*.example.com",
        "*.*.example.com",
        "192.0.2.1",
        "2001:db8::1",
        "Ada Lovelace",
        "SHA1:" + ":".join(["0a"] * 20),
        "SHA256:" + "AB" * 32,
    ],
)
def test_permitted_peer(peer: str) -> None:
    assert SETTINGS["tls.permitted_peers"].kind.value([peer]) == (peer,)


@pytest.mark.parametrize(
    "peer", ["", "*", "web.*.com", "w*.example.com", "SHA1:0a", "SHA256:" + "0a" * 20, "SHA1:" + "xy" * 20, " a"]
)
def test_not_a_permitted_peer(peer: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        SETTINGS["tls.permitted_peers"].kind.value([peer])
    assert caught.value.hint


def test_tls_listeners_alone_open_nothing_else() -> None:
    config = load(None, HOME | {"LOGSINK_LISTEN__TLS": "127.0.0.1:0", "LOGSINK_TLS__CERT": "/c.pem"}, {})
    assert config.listen.tls == (Address("127.0.0.1", 0),)
    assert (config.listen.tcp, config.listen.udp, config.listen.relp, config.listen.http) == ((), (), (), None)
    assert (config.tls.key, config.tls.client_auth, config.tls.permitted_peers) == (None, "none", ())


def test_networks_of_load_balancers() -> None:
    config = load(None, HOME | {"LOGSINK_LISTEN__PROXY_PROTOCOL_FROM": "192.0.2.7, 2001:db8::/32"}, {})
    assert [str(network) for network in config.listen.proxy_protocol_from] == ["192.0.2.7/32", "2001:db8::/32"]
    assert config.listen.tcp, "it is no listener: the usual ones still open"
    (line,) = problems(None, {"LOGSINK_LISTEN__PROXY_PROTOCOL_FROM": "10.0.0.1/8"})
    assert "host bits set" in line


def test_listeners_that_load_balancers_send_headers_to() -> None:
    assert load(None, HOME, {}).listen.proxy_protocol_on == ("tcp", "relp", "tls", "relp_tls")
    config = load(None, HOME | {"LOGSINK_LISTEN__PROXY_PROTOCOL_ON": "tls, relp_tls"}, {})
    assert config.listen.proxy_protocol_on == ("tls", "relp_tls")
    assert config.listen.tcp, "it is no listener: the usual ones still open"
    (line,) = problems(None, {"LOGSINK_LISTEN__PROXY_PROTOCOL_ON": "udp"})
    assert "cannot read 'udp' as a listener (write tcp, relp, tls or relp_tls)" in line
