#!/usr/bin/env bash
# Where Ollama's package for Python, and Hugging Face's, end a line of a streamed answer.
#
# ollama 0.6.3 and huggingface_hub 2.4.0 read lines as Python's `splitlines` knows them: at U+2028, U+2029 and U+0085 as well,
# which stand in JSON strings as they are. A server that writes what `JSON.stringify` gives it loses the rest of the answer as soon
# as a model says one: both raise a JSONDecodeError. openai 3.57.0 splits at CR and LF alone. A server of these clients escapes all
# three.
#
# Seen:
#   U+2028: ollama raises JSONDecodeError, huggingface_hub raises JSONDecodeError, openai 'one\u2028two'
#   U+2029: ollama raises JSONDecodeError, huggingface_hub raises JSONDecodeError, openai 'one\u2029two'
#   U+0085: ollama raises JSONDecodeError, huggingface_hub raises JSONDecodeError, openai 'one\x85two'
#   U+2028, escaped: ollama 'one\u2028two', huggingface_hub 'one\u2028two', openai 'one\u2028two'
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check ollama==0.6.3 huggingface_hub==2.4.0 openai==3.57.0
cat > run.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from huggingface_hub import InferenceClient
from ollama import Client
from openai import OpenAI

said, escaped = "", False


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": said}
        if self.path == "/api/chat":
            value = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": True, "done_reason": "stop"}
            kind, before, after = "application/x-ndjson", "", "\n"
        else:
            choice = {"index": 0, "delta": message, "finish_reason": "stop"}
            value = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            kind, before, after = "text/event-stream", "data: ", "\n\ndata: [DONE]\n\n"
        body = (before + json.dumps(value, ensure_ascii=escaped) + after).encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{server.server_port}"
asked = [{"role": "user", "content": "Hello"}]


def contents(parts):
    return "".join(part.choices[0].delta.content for part in parts)


# It closes what it reads once nobody holds it.
huggingface = InferenceClient(base_url=f"{origin}/v1", api_key="none")
readers = {
    "ollama": lambda: "".join(
        part.message.content for part in Client(host=origin).chat(model="m", messages=asked, stream=True)
    ),
    "huggingface_hub": lambda: contents(huggingface.chat_completion(asked, stream=True)),
    "openai": lambda: contents(
        OpenAI(api_key="none", base_url=f"{origin}/v1").chat.completions.create(model="m", messages=asked, stream=True)
    ),
}
for name, said, escaped in (
    ("U+2028", "one\u2028two", False),
    ("U+2029", "one\u2029two", False),
    ("U+0085", "one\u0085two", False),
    ("U+2028, escaped", "one\u2028two", True),
):
    told = []
    for who, read in readers.items():
        try:
            told.append(f"{who} {read()!r}")
        except Exception as error:
            told.append(f"{who} raises {type(error).__name__}")
    print(f"{name}: {', '.join(told)}", flush=True)
PY
venv/bin/python run.py | tee seen.txt
cat > wanted.txt <<'TXT'
U+2028: ollama raises JSONDecodeError, huggingface_hub raises JSONDecodeError, openai 'one\u2028two'
U+2029: ollama raises JSONDecodeError, huggingface_hub raises JSONDecodeError, openai 'one\u2029two'
U+0085: ollama raises JSONDecodeError, huggingface_hub raises JSONDecodeError, openai 'one\x85two'
U+2028, escaped: ollama 'one\u2028two', huggingface_hub 'one\u2028two', openai 'one\u2028two'
TXT
diff wanted.txt seen.txt
