#!/usr/bin/env bash
# What becomes of a stream of Hugging Face's package for Python when only the stream is held.
#
# huggingface_hub 2.4.0 gives a stream that does not hold the client it came from: once nobody holds that, as where a function
# makes a client and returns the stream, the connection is closed under the reader, before the first piece or in the middle of
# the answer, and the reader gets an error of the network. Of openai 3.57.0 the stream alone is enough. A server sees a client
# that leaves.
#
# Seen:
#   huggingface_hub: the client held 'Hello', the stream alone StreamClosed
#   openai: the client held 'Hello', the stream alone 'Hello'
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check huggingface_hub==2.4.0 openai==3.57.0
cat > run.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from huggingface_hub import InferenceClient
from openai import OpenAI


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        value = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        body = f"data: {json.dumps(value)}\n\ndata: [DONE]\n\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
asked = [{"role": "user", "content": "Hello"}]
packages = {
    "huggingface_hub": (
        lambda: InferenceClient(base_url=url, api_key="none"),
        lambda client: client.chat_completion(asked, stream=True),
    ),
    "openai": (
        lambda: OpenAI(base_url=url, api_key="none"),
        lambda client: client.chat.completions.create(model="m", messages=asked, stream=True),
    ),
}


def read(stream):
    try:
        return repr("".join(part.choices[0].delta.content for part in stream))
    except Exception as error:
        return type(error).__name__


for name, (make, ask) in packages.items():
    client = make()
    print(f"{name}: the client held {read(ask(client))}, the stream alone {read(ask(make()))}", flush=True)
PY
venv/bin/python run.py | tee seen.txt
cat > wanted.txt <<'TXT'
huggingface_hub: the client held 'Hello', the stream alone StreamClosed
openai: the client held 'Hello', the stream alone 'Hello'
TXT
diff wanted.txt seen.txt
