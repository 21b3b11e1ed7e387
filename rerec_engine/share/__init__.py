"""A trained model with its card, ready to be shared."""

from typing import TYPE_CHECKING

from rerec_engine.cli.lazy import on_demand

if TYPE_CHECKING:
    from rerec_engine.share.card import write_card

__all__ = ["write_card"]
__getattr__ = on_demand(__name__, write_card="rerec_engine.share.card")
