"""Where the stages of a run are computed: in processes of this machine, or on a cluster that is there already."""

import ipaddress
import re
from typing import Literal

from tasks.settings.schema import check_choices, settings

LOCAL = "local"
_CLUSTER = re.compile(r"(dask|ray)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@settings
class RunnerConfig:
    """Where stages run, and how alike their numbers are wherever they do."""

    address: str = ""
    """`local`: in processes of this machine; `dask://HOST:PORT`: on the Dask cluster of that scheduler;
    `ray://HOST:PORT`: on the Ray cluster of that client server. Empty: as the flow that calls this one, else
    `local`."""
    reproducible: Literal["auto", "bitwise", "numeric"] = "auto"
    """`bitwise`: equal to the last bit, so that the cache holds results apart by device and thread count, and all
    workers use as many threads as the machine of the flow; `numeric`: equal but for rounding, so that unlike workers
    share results. `auto`: `bitwise` on one machine, `numeric` on a cluster."""

    def __post_init__(self) -> None:
        check_choices(self, "runner")
        if self.address in ("", LOCAL):
            return
        found = _CLUSTER.fullmatch(self.address)
        if not found or not 1 <= int(found[3]) <= 65535:
            raise ValueError(f"runner {self.address}: wanted local, dask://HOST:PORT or ray://HOST:PORT")

    @property
    def is_cluster(self) -> bool:
        """Whether stages run on other processes than this one's."""
        return self.address not in ("", LOCAL)

    @property
    def kind(self) -> str:
        """`local`, `dask` or `ray`."""
        return self.address.partition("://")[0] or LOCAL

    @property
    def host(self) -> str:
        """Machine of the cluster's scheduler; empty where there is none."""
        return self.address.partition("://")[2].rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Port of the cluster's scheduler; 0 where there is none."""
        return int(self.address.rpartition(":")[2]) if self.is_cluster else 0

    @property
    def is_remote(self) -> bool:
        """Whether the cluster may have other machines: it is not reached on loopback."""
        if not self.is_cluster or self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @property
    def bitwise(self) -> bool:
        """Whether results are held apart that may differ in their last bits."""
        return self.reproducible == "bitwise" or (self.reproducible == "auto" and not self.is_cluster)
