"""`prepare requests`: new requests over the catalogue of a dataset directory."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from rerec_engine.cli import waiting
from rerec_engine.worlds.options import CatalogueRequestOptions


@dataclass(frozen=True)
class Requests:
    """Requests made over the catalogue of a dataset directory: its items, attributes, numbers and interactions stay,
    its queries are replaced."""

    output: Path
    """Dataset directory to write."""
    data: Path
    """Dataset directory whose catalogue is taken."""
    form: Literal["", "chat", "sentences"] = ""
    """Form of the prompts: chat for pretrained models, sentences for those made on the spot; empty: as there."""
    facts: Literal["", "none", "asked", "all"] = ""
    """What a prompt tells of candidates, of items named and of the history; empty: the directory's."""
    order: Literal["", "fixed", "fresh"] = ""
    """Of the candidates; empty: the directory's."""
    options: CatalogueRequestOptions = field(default_factory=CatalogueRequestOptions)

    def run(self) -> str:
        """Write the dataset directory; what was made, as text. Raises UserError."""
        from rerec_engine.data.dataset import load_dataset, write_dataset
        from rerec_engine.data.knowledge import Knowledge
        from rerec_engine.prepare.long_prompts import told_long
        from rerec_engine.worlds.catalogue import make_requests

        with waiting(f"making requests over {self.data}"):
            dataset = load_dataset(self.data)
            knowledge = Knowledge.of(dataset)
            chosen = {name: own for name in ("form", "facts", "order") if (own := getattr(self, name))}
            description = replace(knowledge.description, **chosen)
            made = make_requests(replace(knowledge, description=description), self.options)
        kinds = {
            split: dict(Counter(f"{q.category} {made.extra_info[q.id]['form']}" for q in queries).most_common())
            for split, queries in made.splits.items()
        }
        report = {
            "splits": kinds,
            "notes": made.counts,
            "settings": {"data": str(self.data), **asdict(self.options)},
        }
        files = {**made.files, "prepare_report.json": json.dumps(report, indent=2, ensure_ascii=False) + "\n"}
        with waiting(f"writing {self.output}"):
            write_dataset(
                self.output,
                titles=dataset.titles,
                years=dataset.years,
                relations=dataset.attributes.relations,
                values=dataset.attributes.values,
                item_attributes=dataset.attributes.item_attributes,
                interactions=dataset.interactions,
                item_embeddings=dataset.item_embeddings,
                splits=made.splits,
                data_source="rerec_engine/requests",
                description=made.description,
                source_ids=dataset.source_ids,
                user_ids=dataset.user_ids,
                profiles=dataset.profiles,
                texts=dataset.texts,
                numbers=dataset.numbers,
                extra_info=made.extra_info,
                files=files,
            )
        sizes = [f"{split}: {len(queries)} queries" for split, queries in made.splits.items()]
        notes = [f"{name}: {number}" for name, number in made.counts.items()]
        told = [*sizes, f"{len(made.traces)} traces", *notes, f"written to {self.output}"]
        return "\n".join(told) + told_long(made.splits["train"], made.files)
