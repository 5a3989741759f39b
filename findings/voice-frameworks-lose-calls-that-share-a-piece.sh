#!/usr/bin/env bash
# What frameworks for voice agents make of two calls of tools in a stream of chat completions.
#
# pipecat-ai 1.14.0 reads the first call of a piece alone: of two calls that come whole in one piece, as servers send them that
# parse a call when it is over, the second is never made, and text beside a call is never spoken. It counts indexes by itself,
# so a lone call with index 1 gets one without a name beside it. livekit-plugins-openai 1.8.9
# (livekit-agents 1.8.9) reads those, and gives pieces of arguments to the call that was opened last, whatever their index, so two
# calls opened together are one without arguments and one with those of both. Calls one after the other are well in both.
#
# Seen:
#   one after the other: livekit ['one({"n": 1})', 'two({"n": 2})'] ''; pipecat ['one({"n": 1})', 'two({"n": 2})'] ''
#   whole in one piece: livekit ['one({"n": 1})', 'two({"n": 2})'] ''; pipecat ['one({"n": 1})'] ''
#   opened together: livekit ['one()', 'two({"n": 1}{"n": 2})'] ''; pipecat [] ''
#   text beside a call: livekit ['one({"n": 1})'] 'One moment.'; pipecat ['one({"n": 1})'] ''
#   a lone call with index 1: livekit ['one({"n": 1})'] ''; pipecat ['({})', 'one({"n": 1})'] ''
#
# Needs Python 3.11 or newer.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check livekit-agents==1.8.9 livekit-plugins-openai==1.8.9 pipecat-ai==1.14.0
cat > run.py <<'PY'
import asyncio
import http.server
import json
import threading

from livekit.agents import llm
from livekit.plugins import openai as livekit
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.llm import OpenAILLMService


class Handler(http.server.BaseHTTPRequestHandler):
    body = ""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(Handler.body.encode())

    def log_message(self, *arguments):
        pass


def piece(delta, finish=None):
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return "data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}) + "\n\n"


def opened(index, name, arguments):
    return {"index": index, "id": name, "type": "function", "function": {"name": name, "arguments": arguments}}


def more(index, arguments):
    return piece({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})


def calls(*opened_calls, **beside):
    return piece({**beside, "tool_calls": list(opened_calls)})


one, two = '{"n": 1}', '{"n": 2}'
streams = {
    "one after the other": calls(opened(0, "one", "")) + more(0, one) + calls(opened(1, "two", "")) + more(1, two),
    "whole in one piece": calls(opened(0, "one", one), opened(1, "two", two)),
    "opened together": calls(opened(0, "one", ""), opened(1, "two", "")) + more(0, one) + more(1, two),
    "text beside a call": calls(opened(0, "one", one), content="One moment."),
    "a lone call with index 1": calls(opened(1, "one", one)),
}


async def of_livekit(base):
    client = livekit.LLM(model="m", base_url=base, api_key="none")
    context = llm.ChatContext()
    context.add_message(role="user", content="Hello")
    made, text = [], ""
    async with client.chat(chat_ctx=context) as stream:
        async for chunk in stream:
            if chunk.delta:
                text += chunk.delta.content or ""
                made += [f"{call.name}({call.arguments})" for call in chunk.delta.tool_calls]
    await client.aclose()
    return f"{made} {text!r}"


class Service(OpenAILLMService):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.made, self.text = [], ""

    async def run_function_calls(self, function_calls):
        self.made += [f"{call.function_name}({json.dumps(call.arguments)})" for call in function_calls]

    async def push_frame(self, frame, *arguments):
        self.text += getattr(frame, "text", "")


async def of_pipecat(base):
    service = Service(api_key="none", base_url=base, settings=OpenAILLMService.Settings(model="m"))
    await service._process_context(LLMContext([{"role": "user", "content": "Hello"}]))
    return f"{service.made} {service.text!r}"


async def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/v1"
    for name, stream in streams.items():
        Handler.body = stream + piece({}, "tool_calls") + "data: [DONE]\n\n"
        print(f"{name}: livekit {await of_livekit(base)}; pipecat {await of_pipecat(base)}")


asyncio.run(main())
PY
venv/bin/python run.py 2> log.txt | tee seen.txt || { cat log.txt; exit 1; }
cat > wanted.txt <<'TXT'
one after the other: livekit ['one({"n": 1})', 'two({"n": 2})'] ''; pipecat ['one({"n": 1})', 'two({"n": 2})'] ''
whole in one piece: livekit ['one({"n": 1})', 'two({"n": 2})'] ''; pipecat ['one({"n": 1})'] ''
opened together: livekit ['one()', 'two({"n": 1}{"n": 2})'] ''; pipecat [] ''
text beside a call: livekit ['one({"n": 1})'] 'One moment.'; pipecat ['one({"n": 1})'] ''
a lone call with index 1: livekit ['one({"n": 1})'] ''; pipecat ['({})', 'one({"n": 1})'] ''
TXT
diff wanted.txt seen.txt
