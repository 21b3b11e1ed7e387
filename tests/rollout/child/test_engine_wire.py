"""Messages on a socket: whole whatever their size, and an end of every wait."""

from __future__ import annotations

import pickle
import socket
import threading
import time

import pytest

from rerec_engine.rollout.child import engine_wire
from rerec_engine.rollout.child.engine_wire import LENGTH, Channel


@pytest.fixture
def ends():
    """Two sockets that are connected."""
    pair = socket.socketpair()
    yield pair
    for end in pair:
        end.close()


@pytest.fixture
def short_slices(monkeypatch):
    monkeypatch.setattr(engine_wire, "SLICE", 0.01)


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


def test_messages_come_whole_and_in_order(ends):
    left, right = map(Channel, ends)
    messages = [None, [], {"op": "x", "list": [1, 2.5, "ü"]}, ("ok", b"\0" * 100), b"", 2**70]
    for message in messages:
        left.send(message, soon())
    assert [right.receive(soon()) for _ in messages] == messages
    right.send("back")
    assert left.receive() == "back"


def test_a_message_larger_than_the_socket_holds(ends):
    left, right = map(Channel, ends)
    message = bytes(range(256)) * 20_000  # 5 MB
    sender = threading.Thread(target=left.send, args=(message, soon()))
    sender.start()
    assert right.receive(soon()) == message
    sender.join(20)
    assert not sender.is_alive()


def test_a_message_that_comes_byte_by_byte(ends):
    body = pickle.dumps(["slow"], protocol=4)

    def trickle():
        for byte in LENGTH.pack(len(body)) + body:
            ends[0].send(bytes([byte]))

    sender = threading.Thread(target=trickle)
    sender.start()
    assert Channel(ends[1]).receive(soon()) == ["slow"]
    sender.join(20)


@pytest.mark.parametrize("seconds", [0.05, 0.0, -1.0], ids=["soon", "now", "over"])
def test_no_answer_within_the_time(ends, seconds):
    with pytest.raises(TimeoutError):
        Channel(ends[0]).receive(soon(seconds))


def test_the_time_counts_for_the_whole_message(ends, short_slices):
    """Each byte comes in time; all of them do not."""
    over = threading.Event()

    def trickle():
        ends[0].send(LENGTH.pack(10**6))
        while not over.wait(0.02):
            ends[0].send(b"x")

    sender = threading.Thread(target=trickle)
    sender.start()
    with pytest.raises(TimeoutError):
        Channel(ends[1]).receive(soon(0.2))
    over.set()
    sender.join(20)


def test_nobody_reads_within_the_time(ends, short_slices):
    with pytest.raises(TimeoutError):
        Channel(ends[0]).send(b"x" * 10**7, soon(0.1))


@pytest.mark.parametrize("sent", [b"", b"\1", LENGTH.pack(100), LENGTH.pack(100) + b"half"], ids=len)
def test_the_other_side_goes_before_the_message_is_whole(ends, sent):
    ends[0].sendall(sent)
    ends[0].close()
    with pytest.raises(EOFError):
        Channel(ends[1]).receive(soon())


def test_the_other_side_goes_before_the_message_is_sent(ends):
    ends[1].close()
    with pytest.raises(EOFError):
        Channel(ends[0]).send("too late", soon())


def test_what_was_sent_before_the_end_is_read(ends):
    left, right = map(Channel, ends)
    left.send("last words")
    left.close()
    assert right.receive(soon()) == "last words"
    with pytest.raises(EOFError):
        right.receive(soon())


@pytest.mark.parametrize("deadline", [None, 20.0], ids=["for ever", "long"])
@pytest.mark.parametrize("way", ["receive", "send"])
def test_a_dead_process_whose_socket_another_holds_open(ends, short_slices, way, deadline):
    """As where a helper of a killed child has inherited it: no end of file ever comes."""
    looks = iter([True, True, False])
    channel = Channel(ends[0], alive=lambda: next(looks))
    until = None if deadline is None else soon(deadline)
    with pytest.raises(EOFError):
        channel.receive(until) if way == "receive" else channel.send(b"x" * 10**7, until)
    assert list(looks) == []  # it was looked for in every slice of time
