"""Datasets of the Hugging Face Hub, and those that its library `datasets` has saved, as files or Arrow tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rerec_engine.errors import UserError, file_error, hub_miss

SCHEME = "hf:"
FORM = "hf://OWNER/NAME[:CONFIG[:SPLIT]] or hf://OWNER/NAME[@REVISION]/FILE"


@dataclass(frozen=True)
class HubAddress:
    """A dataset repository, and what of it is meant: one file, or a split of a configuration as `datasets` reads it."""

    name: str
    file: str = ""
    revision: str = ""
    config: str = ""
    split: str = ""

    def __str__(self) -> str:
        if self.file:
            return f"hf://{self.name}{f'@{self.revision}' if self.revision else ''}/{self.file}"
        return f"hf://{':'.join((self.name, self.config, self.split))}".rstrip(":")


def hub_address(path: Path) -> HubAddress | None:
    """What a path such as `hf://OWNER/NAME/FILE` names; None for a path on this machine. Raises UserError.

    >>> str(hub_address(Path("hf://datasets/owner/name/raw/items.jsonl")))
    'hf://owner/name/raw/items.jsonl'
    """
    if path.parts[:1] != (SCHEME,):
        return None
    parts = path.parts[1:]
    if len(parts) > 2 and parts[0] == "datasets":
        parts = parts[1:]
    if len(parts) < 2:
        raise UserError(f"{SCHEME}//{'/'.join(parts)}: expected {FORM}")
    owner, name, *file = parts
    if file:
        name, _, revision = name.partition("@")
        return HubAddress(f"{owner}/{name}", "/".join(file), revision)
    name, _, rest = name.partition(":")
    config, _, split = rest.partition(":")
    return HubAddress(f"{owner}/{name}", config=config, split=split)


def download(address: HubAddress) -> Path:
    """The file in the cache of the Hub's client, fetched where it is not there. Raises UserError."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(
            huggingface_hub.hf_hub_download(
                address.name, address.file, repo_type="dataset", revision=address.revision or None
            )
        )
    except LocalEntryNotFoundError:
        raise UserError(f"{address}: {hub_miss('the file', 'file')}") from None
    except EntryNotFoundError:
        raise UserError(f"{address}: the dataset has no such file") from None
    except RepositoryNotFoundError:
        raise UserError(f"{address}: no such dataset, or one that your token (`hf auth login`) may not see") from None
    except Exception as error:  # of the client and of its HTTP library: which it is changes with their versions
        raise UserError(f"{address}: {_line(error)}") from None


def load(address: HubAddress) -> pa.Table:
    """A split, read by `datasets`. Raises UserError, which names the splits where none is chosen among several."""
    return _loaded(str(address), address.name, address.config, address.split)


def load_folder(folder: Path) -> pa.Table:
    """A dataset in a folder: as `save_to_disk` leaves it, or files that `datasets` knows. Raises UserError."""
    if (folder / "dataset_dict.json").is_file():
        splits = [str(split) for split in _json(folder / "dataset_dict.json").get("splits", [])]
        if len(splits) != 1:
            raise file_error(folder, f"has the splits {', '.join(splits)}: give the folder of one")
        folder = folder / splits[0]
    if not (folder / "state.json").is_file():
        return _loaded(str(folder), str(folder.resolve()), "", "")
    names = [str(part["filename"]) for part in _json(folder / "state.json").get("_data_files", [])]
    return pa.concat_tables([read_arrow(folder / name) for name in names])


def read_arrow(path: Path) -> pa.Table:
    """An Arrow file or stream, mapped into memory. Raises UserError."""
    try:
        source = pa.memory_map(str(path))
        stream = source.read(6) != b"ARROW1"
        source.seek(0)
        return (pa.ipc.open_stream if stream else pa.ipc.open_file)(source).read_all()
    except (pa.ArrowException, OSError) as error:
        raise file_error(path, f"cannot be read: {_line(error)}") from None


def _loaded(told: str, name: str, config: str, split: str) -> pa.Table:
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"{told}: needs the library datasets (pip install 'rerec-engine[hub]'); one file, hf://OWNER/NAME/FILE, "
            "does not"
        ) from None
    try:
        found = datasets.load_dataset(name, config or None, split=split or None)
    except Exception as error:  # of the library, of what it reads with, and of its HTTP client
        if "scripts are no longer supported" in str(error):
            raise UserError(
                f"{told}: is made by a script, which datasets no longer runs: give a file of it, hf://{name}/FILE"
            ) from None
        raise UserError(f"{told}: {_line(error)}") from None
    if isinstance(found, dict):
        if len(found) != 1:
            raise UserError(
                f"{told}: has the splits {', '.join(found)}: say which, hf://{name}:{config}:{next(iter(found))}"
            )
        (found,) = found.values()
    table: pa.Table = found.with_format("arrow")[:]
    return table


def _json(path: Path) -> dict[str, list[Any]]:
    try:
        found: dict[str, list[Any]] = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise file_error(path, f"cannot be read: {_line(error)}") from None
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
