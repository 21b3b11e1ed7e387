"""A first signal asks, a second one ends; handlers are given back."""

from __future__ import annotations

import os
import signal

import pytest

from rerec_engine.model.ranks import Ranks
from rerec_engine.training.interrupt import Interrupt


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_asks_once(number, code, capsys):
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt.asked_anywhere()
        os.kill(os.getpid(), number)
        assert interrupt.asked
        assert interrupt.asked_anywhere()
        assert interrupt.exit_code == code
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
    assert "once more to stop at once" in capsys.readouterr().err


def test_another_rank_asks_for_all(monkeypatch, capsys):
    monkeypatch.setattr(Ranks, "gather", lambda self, value: [value, 143])
    interrupt = Interrupt(Ranks(1, 2))
    assert interrupt.asked_anywhere()
    assert interrupt.exit_code == 143
    assert capsys.readouterr().err == ""
