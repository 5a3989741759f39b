#!/usr/bin/env bash
# What Haystack makes of calls in a stream of Ollama's own API.
#
# Ollama sends each call whole, and has no place for a piece of one. ollama-haystack 7.0.2 with haystack-ai 3.4.1 puts them together all
# the same, by a place that it counts once a message: of two calls in one message it makes one, with the name of the first and the
# arguments of the second, and would run it. A call without arguments raises, as does text beside a call. That an answer was cut at its
# length is not told. Without a stream all of it is right; langchain-ollama 1.1.0 is right both ways.
#
# Seen:
#   two messages: Haystack streamed one({"x": 1}) two({"y": 2}) stop, LangChain streamed one({"x": 1}) two({"y": 2}) stop
#   one message: Haystack streamed one({"y": 2}) stop, LangChain streamed one({"x": 1}) two({"y": 2}) stop
#   no arguments: Haystack streamed raises JSONDecodeError, LangChain streamed one({}) stop
#   beside text: Haystack streamed raises ValueError, LangChain streamed one({"x": 1}) stop
#   cut at its length: Haystack streamed nothing None, LangChain streamed nothing length
#   one message, whole: Haystack one({"x": 1}) two({"y": 2}) stop
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check ollama==0.6.3 haystack-ai==3.4.1 \
  ollama-haystack==7.0.2 langchain-ollama==1.1.0
cat > run.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from haystack.dataclasses import ChatMessage
from haystack_integrations.components.generators.ollama import OllamaChatGenerator
from langchain_ollama import ChatOllama


def line(message, **more):
    said = {"role": "assistant", "content": "", **message}
    return {"model": "m", "created_at": "2026-11-30T00:00:00Z", "message": said, "done": False, **more}


def call(name, arguments):
    return {"function": {"name": name, "arguments": arguments}}


def end(reason="stop", message={}):
    times = {"total_duration": 9, "load_duration": 1, "prompt_eval_duration": 4, "eval_duration": 4}
    return line(message, **{"done": True, "done_reason": reason, "prompt_eval_count": 10, "eval_count": 5, **times})


one, two = call("one", {"x": 1}), call("two", {"y": 2})
streams = {
    "two messages": [line({"tool_calls": [one]}), line({"tool_calls": [two]}), end()],
    "one message": [line({"tool_calls": [one, two]}), end()],
    "no arguments": [line({"tool_calls": [call("one", {})]}), end()],
    "beside text": [line({"content": "Wait.", "tool_calls": [one]}), end()],
    "cut at its length": [line({"content": "Once"}), end("length")],
}
now = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = "".join(json.dumps(value) + "\n" for value in now)
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"


def shown(calls, reason):
    return " ".join(f"{name}({json.dumps(arguments)})" for name, arguments in calls) + (" " if calls else "nothing ") + str(reason)


def haystack(callback):
    generator = OllamaChatGenerator(model="m", url=url, streaming_callback=callback)
    try:
        reply = generator.run([ChatMessage.from_user("Hello")])["replies"][0]
    except Exception as error:
        return f"raises {type(error).__name__}"
    return shown([(each.tool_name, each.arguments) for each in reply.tool_calls], reply.meta.get("finish_reason"))


def langchain():
    whole = None
    for piece in ChatOllama(model="m", base_url=url).stream("Hello"):
        whole = piece if whole is None else whole + piece
    return shown([(each["name"], each["args"]) for each in whole.tool_calls], whole.response_metadata["done_reason"])


for name, stream in streams.items():
    now[:] = stream
    print(f"{name}: Haystack streamed {haystack(lambda _: None)}, LangChain streamed {langchain()}", flush=True)
now[:] = [end("stop", {"tool_calls": [one, two]})]
print(f"one message, whole: Haystack {haystack(None)}", flush=True)
PY
venv/bin/python run.py 2> errors.txt | tee seen.txt || true
cat > wanted.txt <<'TXT'
two messages: Haystack streamed one({"x": 1}) two({"y": 2}) stop, LangChain streamed one({"x": 1}) two({"y": 2}) stop
one message: Haystack streamed one({"y": 2}) stop, LangChain streamed one({"x": 1}) two({"y": 2}) stop
no arguments: Haystack streamed raises JSONDecodeError, LangChain streamed one({}) stop
beside text: Haystack streamed raises ValueError, LangChain streamed one({"x": 1}) stop
cut at its length: Haystack streamed nothing None, LangChain streamed nothing length
one message, whole: Haystack one({"x": 1}) two({"y": 2}) stop
TXT
diff wanted.txt seen.txt || { cat errors.txt; exit 1; }
