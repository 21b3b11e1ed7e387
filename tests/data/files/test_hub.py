from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.catalogue import FileCatalogue, FileSources, read_catalogue
from rerec_engine.data.files.hub import HubAddress, hub_address, load, load_folder
from rerec_engine.data.files.presets import PRESETS, find_files
from rerec_engine.data.files.reading import TableFile
from rerec_engine.data.files.table import Rows
from rerec_engine.data.options import FilesOptions
from rerec_engine.errors import UserError

# As the configuration raw_meta_... has it: lists in columns, the price as text, the details as JSON in text.
META = {
    "main_category": ["All Beauty", "All Beauty", None],
    "title": ["Howard LC0008 &amp; Soap", "Yes to Tomatoes", "Eye Patch"],
    "average_rating": [4.8, 4.5, 4.4],
    "rating_number": [10, 3, 26],
    "features": [[], ["Made of <b>tomatoes</b>"], []],
    "description": [["Soap.", "For hands"], [], []],
    "price": ["None", "24.99", "None"],
    "images": [[{"hi_res": None, "thumb": "https://x/y.jpg"}], [], []],
    "store": ["Howard Products", "Yes To", None],
    "categories": [[], ["Beauty", "Skin Care"], ["Beauty"]],
    "details": ['{"Brand": "Howard", "UPC": "6173", "Best Sellers Rank": {"Beauty": 5}}', "{}", '{"Color": "Red"}'],
    "parent_asin": ["B01CUPMQZE", "B076WQZGPM", "0001"],
    "bought_together": [None, None, None],
}


class Loaded:
    """What load_dataset returns of one split, as far as it is used."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def with_format(self, form: str) -> Loaded:
        assert form == "arrow"
        return self

    def __getitem__(self, rows: slice) -> pa.Table:
        return self.table


def stand_in(monkeypatch: pytest.MonkeyPatch, result: Any) -> list[tuple[Any, ...]]:
    """A module `datasets` that loads this, or raises it; the calls."""
    calls: list[tuple[Any, ...]] = []

    def load_dataset(name: str, config: str | None, split: str | None) -> Any:
        calls.append((name, config, split))
        if isinstance(result, Exception):
            raise result
        return result

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return calls


def beauty(path: Path) -> FileCatalogue:
    read = read_catalogue(FileSources(path, preset=PRESETS["amazon-2023"]), FilesOptions())
    read.counts.check()
    assert read.counts.read_by_kind == {f"items ({TableFile(path).path.name})": 3}
    return read


def check_beauty(read: FileCatalogue) -> None:
    assert read.knowledge.titles == ["Howard LC0008 & Soap", "Yes to Tomatoes", "Eye Patch"]
    assert read.knowledge.texts[0] == "Soap. For hands"
    attributes = [read.knowledge.attributes.attributes_of(item) for item in range(3)]
    assert ("details.Brand", "Howard") in attributes[0]
    assert ("details.Color", "Red") in attributes[2]
    assert {("category", "Beauty"), ("category", "Skin Care"), ("brand", "Yes To")} <= {*attributes[1]}
    price = read.knowledge.numbers["price"]
    assert (price.low[1], price.known.tolist()) == (24.99, [False, True, False])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf://owner/name", HubAddress("owner/name")),
        ("hf://owner/name:raw_meta_Beauty", HubAddress("owner/name", config="raw_meta_Beauty")),
        ("hf://owner/name:raw:train[:100]", HubAddress("owner/name", config="raw", split="train[:100]")),
        ("hf://owner/name::train+test", HubAddress("owner/name", split="train+test")),
        ("hf://owner/name/raw/meta.jsonl", HubAddress("owner/name", "raw/meta.jsonl")),
        ("hf://datasets/owner/name@v1/items.csv", HubAddress("owner/name", "items.csv", "v1")),
        ("hf://datasets/name", HubAddress("datasets/name")),
        ("hf/owner/name", None),
        ("/hf:/owner/name", None),
    ],
)
def test_addresses(text: str, address: HubAddress | None) -> None:
    assert hub_address(Path(text)) == address
    assert address is None or str(address) == text.replace("hf://datasets/owner", "hf://owner")


@pytest.mark.parametrize("text", ["hf://", "hf://name"])
def test_no_address(text: str) -> None:
    with pytest.raises(UserError, match=r"hf://(name)?: expected hf://OWNER/NAME\[:CONFIG\[:SPLIT\]\] or"):
        hub_address(Path(text))


def test_a_split_is_a_table_like_any(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, {"full": Loaded(pa.table(META))})
    read = beauty(Path("hf://McAuley-Lab/Amazon-Reviews-2023:raw_meta_All_Beauty"))
    check_beauty(read)
    assert calls[0] == ("McAuley-Lab/Amazon-Reviews-2023", "raw_meta_All_Beauty", None)
    assert [*read.told] == ["items Amazon-Reviews-2023:raw_meta_All_Beauty: dataset"]
    stand_in(monkeypatch, Loaded(pa.table({"sku": ["a", "a"], "name": ["x", "y"]})))
    with pytest.raises(UserError, match=r"o/n::train:2: id a occurs twice"):
        read_catalogue(FileSources(Path("hf://o/n::train")), FilesOptions())


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "arrow"])
def test_the_same_rows_exported(tmp_path: Path, form: str) -> None:
    """As `to_parquet`, `to_json`, `to_csv` and `to_feather` write them."""
    path, table = tmp_path / f"meta.{form}", pa.table(META)
    if form == "parquet":
        pq.write_table(table, path)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif form == "arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        lists = {name: pa.array(map(str, table[name].to_pylist())) for name in ("categories", "description")}
        plain = table.select([name for name in META if name not in ("features", "images", "bought_together")])
        for name, column in lists.items():
            plain = plain.set_column(plain.column_names.index(name), name, column)
        pa.csv.write_csv(plain, path)
    check_beauty(beauty(path))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"train": None, "test": None}, r"hf://o/n:c: has the splits train, test: say which, hf://o/n:c:train"),
        (
            RuntimeError("Dataset scripts are no longer supported, but found n.py"),
            "hf://o/n:c: is made by a script, which datasets no longer runs: give a file of it, hf://o/n/FILE",
        ),
        (ValueError("BuilderConfig 'c' not found.\nAvailable: ['d']"), r"n:c: BuilderConfig 'c' not found. Available:"),
        (KeyError(), "hf://o/n:c: KeyError"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch, result: Any, message: str) -> None:
    stand_in(monkeypatch, result)
    with pytest.raises(UserError, match=message) as told:
        load(HubAddress("o/n", config="c"))
    assert "\n" not in str(told.value)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    for path in (Path("hf://o/n"), tmp_path):
        with pytest.raises(UserError, match=r"needs the library datasets \(pip install 'rerec-engine\[hub\]'\)"):
            TableFile(path)


def test_one_file_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library `datasets` is not needed."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    file = tmp_path / "meta_All_Beauty.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in pa.table(META).to_pylist()))
    asked: list[tuple[Any, ...]] = []

    def hf_hub_download(name: str, file: str, repo_type: str, revision: str | None) -> str:
        asked.append((name, file, repo_type, revision))
        return str(tmp_path / Path(file).name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    path = Path("hf://McAuley-Lab/Amazon-Reviews-2023/raw/meta_categories/meta_All_Beauty.jsonl")
    check_beauty(beauty(path))
    assert asked[0] == (
        "McAuley-Lab/Amazon-Reviews-2023", "raw/meta_categories/meta_All_Beauty.jsonl", "dataset", None
    )  # fmt: skip
    assert str(FileSources(path, (tmp_path / "x",))) == f"hf://{'/'.join(path.parts[1:])}, {tmp_path / 'x'}"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EntryNotFoundError("404"), "hf://o/n@v2/x/y.csv: the dataset has no such file"),
        (LocalEntryNotFoundError("silent"), "y.csv: http://hub cannot be reached, and the Hub's cache does not hold"),
        (LocalEntryNotFoundError("offline"), "y.csv: HF_HUB_OFFLINE is set, .*: unset it to fetch the file$"),
        (HFValidationError("Repo id must\nuse"), "y.csv: Repo id must use"),
    ],
)
def test_a_file_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def hf_hub_download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", "offline" in str(error))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://hub")
    with pytest.raises(UserError, match=message):
        TableFile(Path("hf://o/n@v2/x/y.csv"))


def saved(folder: Path, *tables: pa.Table) -> Path:
    """A folder as `save_to_disk` leaves it: Arrow streams, and their names in state.json."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05}-of-{len(tables):05}.arrow" for n in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return folder


def test_a_saved_dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its shards are read without the library."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    table = pa.table(META)
    check_beauty(beauty(saved(tmp_path / "one", table[:2], table[2:])))
    saved(tmp_path / "both/train", table)
    (tmp_path / "both/dataset_dict.json").write_text('{"splits": ["train"]}')
    check_beauty(beauty(tmp_path / "both"))
    (tmp_path / "both/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(UserError, match=r"both: has the splits train, test: give the folder of one"):
        load_folder(tmp_path / "both")
    (tmp_path / "one/data-00001-of-00002.arrow").write_bytes(b"\xff\xff\xff\xff short")
    with pytest.raises(UserError, match=r"data-00001-of-00002.arrow: cannot be read"):
        load_folder(tmp_path / "one")


def test_a_category_saved_in_a_folder(tmp_path: Path) -> None:
    """The items as a folder, the reviews as a file, under the names of the configurations."""
    saved(tmp_path / "raw_meta_All_Beauty", pa.table(META))
    review = {"user_id": ["AH1"], "parent_asin": ["0001"], "timestamp": [1588687728923], "rating": [5.0]}
    pq.write_table(pa.table(review), tmp_path / "raw_review_All_Beauty.parquet")
    pq.write_table(pa.table(META), tmp_path / "raw_meta_Books.jsonl")  # further items are no log
    found = find_files(PRESETS["amazon-2023"], tmp_path)
    read = read_catalogue(FileSources(found.items, found.interactions, preset=found.preset), FilesOptions())
    read.counts.check()
    check_beauty(read)
    assert [own.tolist() for own in read.knowledge.histories] == [[2]]


def test_objects_that_arrow_keeps_as_json() -> None:
    """Where objects have many keys, datasets 5 has a column of Arrow's type JSON."""
    if not hasattr(pa, "json_"):
        pytest.skip("no JSON type in this Arrow: pip install pyarrow>=19")
    text = pa.array(META["details"])
    column = pa.ExtensionArray.from_storage(pa.json_(pa.string()), text)
    file = TableFile.__new__(TableFile)
    file.path, file.form, file._layout, file.columns = Path("x"), "dataset", None, ["details"]
    file._data = pa.table({"details": column})
    table = file.read(Rows(Counts(), "rows"), ["details.Brand", "details.Size"])
    assert table.data.to_pydict() == {"details.Brand": ["Howard", None, None], "details.Size": [None] * 3}


def test_the_library_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of files, and what the library saves of it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="no datasets: pip install .[hub]")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "files").mkdir()
    (tmp_path / "files/meta.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pa.table(META).to_pylist()))
    check_beauty(beauty(tmp_path / "files"))
    found = datasets.load_dataset(str(tmp_path / "files"))
    found.save_to_disk(str(tmp_path / "all"))
    found["train"].save_to_disk(str(tmp_path / "one"))
    check_beauty(beauty(tmp_path / "all"))
    check_beauty(beauty(tmp_path / "one"))
    with pytest.raises(UserError, match=r"files:: ?Unknown split|Unknown split"):
        load(HubAddress(str(tmp_path / "files"), split="dev"))
