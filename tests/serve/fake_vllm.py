"""A stand-in for a Python with vLLM: `-m MODULE --model M --port P ...`, a helper process, and answers by rule.

FAKE_VLLM says how it behaves: "" well, "refuse" does not start, "silent" never becomes healthy.
A prompt's first token t: 40 ends the process in the middle, 41 is refused, 42 fails on the way, 43 hangs; else t + 1,
t + 2, ... come.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

END = 1


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            return self.tell(401, "no key")
        first = body["prompt"][0]
        if first == 41:
            return self.tell(400, "the prompt is too long")
        self.send_response(200)
        self.end_headers()
        for i in range(1, body["max_tokens"] + 1):
            if i == 2 and first == 40:
                print("EngineDeadError: out of memory", flush=True)
                os._exit(3)
            if i == 2 and first == 42:
                return self.event({"error": {"message": "it went wrong", "code": 500}})
            if i == 2 and first == 43:
                time.sleep(60)
            self.event({"choices": [{"text": "", "token_ids": [first + i] if i < 6 else [END]}]})
            if i == 6:
                break
        self.wfile.write(b"data: [DONE]\n\n")
        return None

    def event(self, value: object) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def tell(self, status: int, message: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"error": {"message": message}}).encode())


def main() -> None:
    options = dict(zip(sys.argv[3::2], sys.argv[4::2], strict=False))
    print(json.dumps(sys.argv[3:]), flush=True)
    if os.environ.get("FAKE_VLLM") == "refuse":
        print("ValueError: Model architectures ['X'] are not supported", flush=True)
        sys.exit(1)
    subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
    if os.environ.get("FAKE_VLLM") == "silent":
        time.sleep(600)
    ThreadingHTTPServer((options["--host"], int(options["--port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
