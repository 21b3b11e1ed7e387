"""How a run is asked to stop."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from rerec_engine.model.ranks import Ranks


class Interrupt:
    """Ctrl-C or SIGTERM ends the run after the step under way, with its state saved; a second one ends it at once."""

    exit_code = 130

    def __init__(self, ranks: Ranks | None = None) -> None:
        self.ranks = ranks or Ranks()
        self.asked = False

    def asked_anywhere(self) -> bool:
        """Whether any rank was asked to stop; all ranks call it after the same step."""
        asked = [code for code in self.ranks.gather(self.exit_code if self.asked else 0) if code]
        self.exit_code = max(asked, default=self.exit_code)
        return bool(asked)

    def __enter__(self) -> Interrupt:
        self.before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self.exit_code = True, 128 + number
        if self.ranks.main:
            print("\nstopping after this step, whose state is kept; once more to stop at once", file=sys.stderr)
