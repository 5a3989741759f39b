#!/usr/bin/env bash
# What a keep-alive comment does to the official Python SDK when the events of the stream carry ids.
#
# openai 3.57.0 for Python takes a blank line for the end of an event without data once any event had an `id:`, and reads that as
# JSON: the loop ends in a JSONDecodeError, which is none of the SDK's own errors. So it does at a `retry:` line with a blank line
# behind it. groq 1.7.0, of the same generator, does the same; anthropic 2.14.0, of the same as well, does not. A server or a proxy
# that adds `: ping` and a blank line to a stream of somebody else's events leaves no blank line behind it, or takes the ids out.
#
# Seen:
#   comment: openai 'one two', groq 'one two', anthropic 'one two'
#   comment after an id: openai 'one ' JSONDecodeError, groq 'one ' JSONDecodeError, anthropic 'one two'
#   comment after an id, no blank line: openai 'one two', groq 'one two', anthropic 'one two'
#   retry: openai 'one ' JSONDecodeError, groq 'one ' JSONDecodeError, anthropic 'one two'
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check openai==3.57.0 groq==1.7.0 anthropic==2.14.0
cat > run.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import anthropic
import groq
import openai


def event(value):
    return f"data: {json.dumps(value)}\n\n"


def chunk(content, finish):
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": finish}
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def named(value):
    return f"event: {value['type']}\n{event(value)}"


def text(said):
    return named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": said}})


message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
opening = named(
    {"type": "message_start", "message": {**message, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}}
) + named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
closing = (
    named({"type": "content_block_stop", "index": 0})
    + named({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}})
    + named({"type": "message_stop"})
)
between = {
    "comment": ("", ": ping\n\n"),
    "comment after an id": ("id: 1\n", ": ping\n\n"),
    "comment after an id, no blank line": ("id: 1\n", ": ping\n"),
    "retry": ("", "retry: 1000\n\n"),
}
now = ("", "")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        before, after = now
        if self.path.endswith("/messages"):
            body = opening + before + text("one ") + after + text("two") + closing
        else:
            body = before + chunk("one ", None) + after + chunk("two", "stop") + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{server.server_port}"
asked = [{"role": "user", "content": "Hello"}]


def chat(client):
    for part in client.chat.completions.create(model="m", messages=asked, stream=True):
        yield part.choices[0].delta.content


def messages(client):
    for part in client.messages.create(model="m", max_tokens=8, messages=asked, stream=True):
        if part.type == "content_block_delta":
            yield part.delta.text


readers = {
    "openai": lambda: chat(openai.OpenAI(api_key="none", base_url=f"{origin}/v1", max_retries=0)),
    "groq": lambda: chat(groq.Groq(api_key="none", base_url=origin, max_retries=0)),
    "anthropic": lambda: messages(anthropic.Anthropic(api_key="none", base_url=origin, max_retries=0)),
}
for name, now in between.items():
    told = []
    for who, read in readers.items():
        said, end = "", ""
        try:
            for piece in read():
                said += piece
        except Exception as error:
            end = f" {type(error).__name__}"
        told.append(f"{who} {said!r}{end}")
    print(f"{name}: {', '.join(told)}", flush=True)
PY
venv/bin/python run.py | tee seen.txt
cat > wanted.txt <<'TXT'
comment: openai 'one two', groq 'one two', anthropic 'one two'
comment after an id: openai 'one ' JSONDecodeError, groq 'one ' JSONDecodeError, anthropic 'one two'
comment after an id, no blank line: openai 'one two', groq 'one two', anthropic 'one two'
retry: openai 'one ' JSONDecodeError, groq 'one ' JSONDecodeError, anthropic 'one two'
TXT
diff wanted.txt seen.txt
