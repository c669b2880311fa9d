"""Claims: an address names a kind of cluster, a host and a port, or it is refused in words; bits are asked for on one
machine and not on a cluster, unless somebody says otherwise; what is reached on loopback has no other machines.
"""

import pytest

from tasks.settings.runner import RunnerConfig


@pytest.mark.parametrize(
    ("address", "kind", "host", "port", "remote"),
    [
        ("", "local", "", 0, False),
        ("local", "local", "", 0, False),
        ("dask://127.0.0.1:8786", "dask", "127.0.0.1", 8786, False),
        ("dask://localhost:8786", "dask", "localhost", 8786, False),
        ("ray://[::1]:10001", "ray", "::1", 10001, False),
        ("ray://head.example.org:10001", "ray", "head.example.org", 10001, True),
        ("dask://192.0.2.7:1", "dask", "192.0.2.7", 1, True),
    ],
)
def test_an_address_is_taken_apart(address: str, kind: str, host: str, port: int, remote: bool) -> None:
    config = RunnerConfig(address=address)
    assert (config.kind, config.host, config.port, config.is_remote) == (kind, host, port, remote)
    assert config.is_cluster is (kind != "local")


@pytest.mark.parametrize(
    "address",
    ["dask", "dask://", "dask://host", "dask://host:0", "ray://host:65536", "tcp://host:1", "Local", "ray://a b:1"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"wanted local, dask://HOST:PORT or ray://HOST:PORT"):
        RunnerConfig(address=address)


@pytest.mark.parametrize(
    ("address", "reproducible", "bitwise"),
    [
        ("", "auto", True),
        ("local", "auto", True),
        ("dask://h:1", "auto", False),
        ("dask://h:1", "bitwise", True),
        ("local", "numeric", False),
    ],
)
def test_bits_are_asked_for_on_one_machine(address: str, reproducible: str, bitwise: bool) -> None:
    assert RunnerConfig(address=address, reproducible=reproducible).bitwise is bitwise


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"runner\.reproducible is 'exact'; wanted one of auto, bitwise, numeric"):
        RunnerConfig(reproducible="exact")
