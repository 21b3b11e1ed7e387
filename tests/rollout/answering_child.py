"""A child for `EngineProcess`: what a message's `op` says is done, and the message comes back with what was given."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from engine_wire import Channel

channel = Channel(socket.socket(fileno=int(sys.argv[1])))
while True:
    message = channel.receive()
    op = message["op"]
    if op == "say":
        print(message["text"], flush=True)
    elif op == "read":
        message["text"] = os.read(int(sys.argv[2]), 100).decode()
    elif op == "exit":
        sys.exit(message["code"])
    elif op == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif op == "hang":
        time.sleep(1000)
    elif op == "hang_up":
        channel.close()
        time.sleep(1000)
    elif op == "help":
        subprocess.Popen(["sleep", "1000"])
    elif op in ("setting", "broken"):
        channel.send(("error", op, message["text"]))
        continue
    elif op == "close":
        Path(message["path"]).write_text("closed")
    channel.send(("ok", {**message, "arguments": sys.argv[2:], "environment": dict(os.environ)}))
