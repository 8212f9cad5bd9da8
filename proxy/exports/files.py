"""The files of an export, made piece by piece: no more than one weight is in memory at a time.

A safetensors file is the length of its header (8 bytes, little-endian), the header (JSON: type, shape and place of
each tensor) and the tensors one after the other, so its size is known before a weight is read.
"""

import json
import math
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.architectures import Architecture
from proxy.errors import ConflictError
from proxy.exports.configs import generation_config, model_config, tokenizer_config
from proxy.exports.tensors import ExportedTensor, exported_tensors

FLOAT_BYTES = 4
TAR_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class ExportFile:
    """A file whose size is known and whose content is made when it is asked for."""

    name: str
    size_bytes: int
    chunks: Callable[[], Iterator[bytes]]


def checkpoint_files(architecture: Architecture, checkpoint: Path, tokenizer: str) -> list[ExportFile]:
    """A run's last weights with config and tokenizer. `tokenizer` is the content of its tokenizer.json.

    ConflictError if the stored weights are not those of the architecture.
    """
    from proxy.data.tokenizers import Tokenizer

    loaded = Tokenizer.from_json(tokenizer)
    return [
        _json_file("config.json", model_config(architecture, loaded.end_of_text)),
        _json_file("generation_config.json", generation_config(loaded.end_of_text)),
        _weights_file(architecture, checkpoint),
        _bytes_file("tokenizer.json", tokenizer.encode()),
        _json_file("tokenizer_config.json", tokenizer_config(architecture, loaded.end_of_text_name)),
    ]


def write_folder(files: Sequence[ExportFile], folder: Path) -> None:
    """Writes all files into a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        with (folder / file.name).open("wb") as out:
            for chunk in file.chunks():
                out.write(chunk)


def tar_chunks(files: Sequence[ExportFile]) -> Iterator[bytes]:
    """All files as one tar archive, as it can be sent."""
    for file in files:
        yield _tar_header(file)
        yield from file.chunks()
        yield bytes(-file.size_bytes % TAR_BLOCK)
    yield bytes(2 * TAR_BLOCK)


def tar_bytes(files: Sequence[ExportFile]) -> int:
    """How long `tar_chunks` is."""
    padded = (len(_tar_header(file)) + file.size_bytes + -file.size_bytes % TAR_BLOCK for file in files)
    return sum(padded) + 2 * TAR_BLOCK


def _tar_header(file: ExportFile) -> bytes:
    entry = tarfile.TarInfo(file.name)
    entry.size = file.size_bytes
    return entry.tobuf()


def _bytes_file(name: str, content: bytes) -> ExportFile:
    return ExportFile(name=name, size_bytes=len(content), chunks=lambda: iter([content]))


def _json_file(name: str, content: dict[str, Any]) -> ExportFile:
    return _bytes_file(name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def _weights_file(architecture: Architecture, checkpoint: Path) -> ExportFile:
    tensors = list(exported_tensors(architecture))
    _require_all(tensors, checkpoint)
    header = _safetensors_header(tensors)
    size = len(header) + sum(FLOAT_BYTES * math.prod(tensor.shape) for tensor in tensors)

    def chunks() -> Iterator[bytes]:
        from safetensors import safe_open

        yield header
        with safe_open(checkpoint, framework="numpy") as stored:
            for tensor in tensors:
                yield tensor.load(stored.get_tensor).astype("<f4", copy=False).tobytes()

    return ExportFile(name="model.safetensors", size_bytes=size, chunks=chunks)


def _require_all(tensors: Sequence[ExportedTensor], checkpoint: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(checkpoint, framework="numpy") as stored:
            missing = {tensor.source for tensor in tensors} - set(stored.keys())
    except (OSError, SafetensorError) as error:
        raise ConflictError(f"the stored weights cannot be read: {error}") from error
    if missing:
        raise ConflictError(f"the stored weights are of another architecture: {', '.join(sorted(missing))} missing")


def _safetensors_header(tensors: Sequence[ExportedTensor]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for tensor in tensors:
        end = start + FLOAT_BYTES * math.prod(tensor.shape)
        entries[tensor.name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end]}
        start = end
    content = json.dumps(entries).encode()
    content += b" " * (-len(content) % 8)
    return len(content).to_bytes(8, "little") + content
