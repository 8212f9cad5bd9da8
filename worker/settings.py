"""The only module that reads the environment: every setting is `FORETASTE_…`, with a default that works.

The defaults describe the embedded deployment: one machine, a SQLite file, Valkey from its wheel.
"""

import os
import re
from functools import lru_cache
from glob import glob
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_serializer, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from proxy.data.files import ANY_LOCAL_PATH, is_url

BROKER_SCHEMES = ("redis", "rediss")
GPU_FILES = ("/dev/nvidia[0-9]*", "/dev/dxg")  # seen without loading torch, which a worker's main process never does


class Settings(BaseSettings):
    """All paths are made absolute; an unreadable value is an error that names the variable."""

    model_config = SettingsConfigDict(env_prefix="FORETASTE_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(default=Path("var/foretaste"), description="database file, artifacts, logs")
    database_url: str = Field(default="", description="SQLAlchemy URL; empty: SQLite in data_dir")
    broker_url: str = Field(default="redis://127.0.0.1:6379/0", description="Redis or Valkey")
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8321, ge=0, le=65535)
    corpus_roots: Annotated[tuple[str, ...], NoDecode] = Field(
        default=ANY_LOCAL_PATH,
        description="folders and URL prefixes, comma-separated; no corpus lies elsewhere",
    )
    shared_store: str = Field(
        default="",
        description="folder of an object store, as s3://bucket/folder, through which machines share; empty: one disk",
    )
    devices: Literal["auto", "cpu", "cuda", "cpu+cuda"] = Field(
        default="auto", description="which protocols' runs a worker takes; auto: cuda where there is a GPU, and cpu"
    )
    shard_bytes: int = Field(
        default=1 << 27, ge=1_000, description="of text in a shard of tokens, and in a span that one job tokenises"
    )
    threads: int = Field(default=0, ge=0, description="cores a worker owns; 0: all it may use")
    lanes: int = Field(default=0, ge=0, description="trainings at once, sharing its cores; 0: one a core")
    cohort_runs: int = Field(default=64, ge=1, description="most runs one child process trains")
    stacked_runs: int = Field(
        default=0, ge=0, description="most runs one child computes at once; 0: what fits a GPU, one on a CPU"
    )
    ranks: int = Field(
        default=1,
        ge=1,
        description="processes that train each run together, with CUDA a GPU each; more than one: one lane",
    )
    lease_seconds: float = Field(default=60.0, gt=0, description="a worker silent for so long has lost its runs")
    heartbeat_seconds: float = Field(default=5.0, gt=0, description="how often a lease is extended")
    reconcile_seconds: float = Field(default=15.0, gt=0, description="how often forgotten work is looked for")
    checkpoint_seconds: float = Field(
        default=300.0,
        ge=0,
        description="how often a run's state is kept, to go on from after a crash; 0: never",
    )
    stop_seconds: float = Field(
        default=30.0, ge=0, description="how long a worker that stops waits for its trainings to keep their states"
    )
    max_attempts: int = Field(default=3, ge=1, description="a run that failed so often is given up")
    agreement_alarm: float = Field(
        default=0.5, ge=-1, le=1, description="an agreement whose Spearman may be below this (95 %) raises an alarm"
    )
    compile: bool = Field(default=True, description="torch.compile where a C++ compiler is found")

    @field_validator("broker_url")
    @classmethod
    def _broker_is_redis(cls, url: str) -> str:
        """Found at the start, not at the first bell."""
        parts = urlsplit(url)
        if parts.scheme not in BROKER_SCHEMES or not parts.path.removeprefix("/").isdigit() | (parts.path in ("", "/")):
            raise ValueError(f"must look like redis://host:6379/0 (schemes: {', '.join(BROKER_SCHEMES)})")
        _ = parts.port  # raises ValueError where it is no port
        return url

    @field_validator("shared_store")
    @classmethod
    def _store_is_folder(cls, url: str) -> str:
        """A folder below a bucket or disk; keys belong into the driver's own configuration."""
        parts = urlsplit(url)
        if url and ("::" in url or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^?#]*[^?#/][^?#]*", url)):
            raise ValueError("must be one URL such as s3://bucket/folder or file:///mnt/shared, without ?, # and ::")
        if parts.scheme in ("file", "local") and parts.netloc:
            raise ValueError("a file URL has three slashes: file:///mnt/shared")
        return url

    @field_validator("corpus_roots", mode="before")
    @classmethod
    def _split_roots(cls, roots: object) -> object:
        """Relative folders are those of the process that starts."""
        parts = roots.split(",") if isinstance(roots, str) else roots
        if not isinstance(parts, list | tuple):
            return parts
        named = [str(part).strip() for part in parts]
        return tuple(name if is_url(name) else str(Path(name).absolute()) for name in named if name)

    @model_validator(mode="after")
    def _ranks_are_one_lane(self) -> "Settings":
        if self.ranks > 1 and self.lanes > 1:
            raise ValueError(f"lanes is {self.lanes} and ranks is {self.ranks}: a worker with ranks has one lane")
        return self

    @field_serializer("corpus_roots", when_used="json")
    def _joined_roots(self, roots: tuple[str, ...]) -> str:
        """As a variable says it: a service passes its settings to the processes it starts."""
        return ",".join(roots)

    @property
    def resolved_database_url(self) -> str:
        """SQLite in the data folder unless a URL is given."""
        return self.database_url or f"sqlite:///{(self.data_dir.resolve() / 'foretaste.db')}"

    @property
    def artifact_dir(self) -> Path:
        """Where indices, tokens, checkpoints and losses lie."""
        return self.data_dir.resolve() / "artifacts"

    @property
    def device_classes(self) -> tuple[str, ...]:
        """Device classes whose runs this worker takes. The others wait for a worker that has the device."""
        if self.devices != "auto":
            return tuple(self.devices.split("+"))
        has_gpu = any(glob(pattern) for pattern in GPU_FILES)
        return ("cpu", "cuda") if has_gpu else ("cpu",)

    @property
    def owned_threads(self) -> int:
        """Cores this worker may use."""
        return self.threads or len(os.sched_getaffinity(0))

    @property
    def resolved_lanes(self) -> int:
        """Children that train at once. A GPU is one lane, and so are ranks; on a CPU a small model is trained on one
        core."""
        return self.lanes or (1 if self.ranks > 1 or "cuda" in self.device_classes else self.owned_threads)

    @property
    def lane_threads(self) -> int:
        """Cores of one lane."""
        return max(1, self.owned_threads // self.resolved_lanes)

    def threads_a_rank(self, ranks: int) -> int:
        """Cores of each of so many processes of one lane."""
        return max(1, self.lane_threads // ranks)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
