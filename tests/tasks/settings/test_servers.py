"""Claims: addresses for servers, clients and browsers are made in one place; any host but loopback makes the servers
demand a password; a host that nobody can open wants a name; senseless settings are refused with what was found.
"""

from typing import Any

import pytest

from tasks.settings.servers import ServersConfig, clients

ANY = "0.0.0.0"  # noqa: S104 - nothing is bound to it


@pytest.mark.parametrize(
    ("changes", "remote", "guarded"),
    [
        ({}, False, False),
        ({"host": "localhost"}, False, False),
        ({"host": "127.8.0.1"}, False, False),
        ({"host": "::1"}, False, False),
        ({"auth": True}, False, True),
        ({"host": "192.0.2.7"}, True, True),
        ({"host": "lethe.example.org"}, True, True),
        ({"host": "localhost.example.org"}, True, True),
        ({"host": ANY, "names": ("localhost",)}, True, True),
        ({"host": "::", "names": ("lethe",)}, True, True),
        ({"host": "::ffff:192.0.2.7"}, True, True),
    ],
)
def test_any_host_but_loopback_is_guarded(changes: dict[str, Any], remote: bool, guarded: bool) -> None:
    config = ServersConfig(**changes)
    assert (config.remote, config.guarded) == (remote, guarded)


def test_addresses_bear_the_first_name_and_this_machine_asks_where_they_listen() -> None:
    config = ServersConfig(host=ANY, names=("lethe.example.org", "lethe"), prefect_port=4300, mlflow_port=5300)
    assert config.prefect_api == "http://lethe.example.org:4300/api"
    assert config.mlflow == "http://lethe.example.org:5300"
    assert config.listening(5300) == "http://127.0.0.1:5300"
    assert config.origins(5300) == [
        f"http://{name}:5300" for name in ("lethe.example.org", "lethe", "localhost", "127.0.0.1")
    ]
    assert ServersConfig(host="::1").prefect == "http://[::1]:4200"


def test_clients_are_given_the_password_of_guarded_servers_alone() -> None:
    assert clients(ServersConfig(), None) == {
        "prefect": {"PREFECT_API_URL": "http://127.0.0.1:4200/api", "PREFECT_UI_URL": "http://127.0.0.1:4200"},
        "mlflow": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"},
    }
    found = clients(ServersConfig(auth=True), "swordfish")
    assert found["prefect"]["PREFECT_API_AUTH_STRING"] == "lethe:swordfish"
    assert found["mlflow"].keys() - {"MLFLOW_TRACKING_URI"} == {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
    assert "swordfish" in found["mlflow"].values()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefect_port": 0}, "prefect_port is 0; wanted 1 to 65535"),
        ({"mlflow_port": 70000}, "mlflow_port is 70000"),
        ({"mlflow_port": 4200}, "both servers have port 4200"),
        ({"host": ANY}, "nobody can open 0.*--name"),
        ({"host": "::"}, "nobody can open ::"),
        ({"names": ("http://lethe",)}, "'http://lethe' is no name of a machine"),
        ({"names": ("a b",)}, "no name of a machine"),
        ({"pool": "a/b"}, "pool 'a/b'"),
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServersConfig(**changes)
