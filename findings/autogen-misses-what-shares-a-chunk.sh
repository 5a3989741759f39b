#!/usr/bin/env bash
# What AutoGen's client reads of a chunk that says two things at once.
#
# autogen-ext 0.7.5 takes why an answer ended only from chunks without usage: where a backend tells usage in its last chunk with a choice
# (Mistral, DeepSeek, xAI) or with each chunk (vLLM's `continuous_usage_stats`), the reason is "unknown", for an answer that was cut
# at its length too. It leaves a chunk as soon as it has read text: a call beside text is lost, and the turn ends as if none had been
# asked for. Off streamed thoughts it takes whatever of the letters t, h, i, n and k stands at either end. Without a stream all of it is there.
#
# Seen:
#   apart: streamed "Hi" length, whole "Hi" length
#   usage with the reason: streamed "Hi" unknown, whole "Hi" length
#   a call beside text: streamed "Hi" function_calls, whole one({"x":1}) function_calls
#   thoughts: streamed "Hi" stop thought ": no more to ", whole "Hi" stop thought "hint: no more to think"
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check openai==3.57.0 'autogen-ext[openai]==0.7.5'
cat > run.py <<'PY'
import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from autogen_core.models import UserMessage
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient

usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
call = {"id": "a", "type": "function", "function": {"name": "one", "arguments": '{"x":1}'}}


def chunk(delta, reason=None, used=None):
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": used}


last = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}
said = {"role": "assistant", "content": "Hi"}
cases = {
    "apart": ([chunk(said), chunk({}, "length"), last], said, "length"),
    "usage with the reason": ([chunk(said), chunk({}, "length", usage)], said, "length"),
    "a call beside text": (
        [chunk({**said, "tool_calls": [{"index": 0, **call}]}), chunk({}, "tool_calls"), last],
        {**said, "tool_calls": [call]},
        "tool_calls",
    ),
    "thoughts": (
        [chunk({"role": "assistant", "reasoning_content": "hint: no more to think"}), chunk({"content": "Hi"}), chunk({}, "stop"), last],
        {**said, "reasoning_content": "hint: no more to think"},
        "stop",
    ),
}
now = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        chunks, message, reason = now[0]
        if asked.get("stream"):
            kind, body = "text/event-stream", "".join(f"data: {json.dumps(value)}\n\n" for value in chunks) + "data: [DONE]\n\n"
        else:
            choices = [{"index": 0, "message": message, "finish_reason": reason}]
            kind = "application/json"
            body = json.dumps(
                {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
            )
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
abilities = {"vision": False, "function_calling": True, "json_output": True, "family": "unknown", "structured_output": True}


def one(x: int) -> str:
    return str(x)


def shown(result, with_thought):
    calls = result.content
    what = f'"{calls}"' if isinstance(calls, str) else " ".join(f"{call.name}({call.arguments})" for call in calls)
    return f"{what} {result.finish_reason}" + (f' thought "{result.thought}"' if with_thought else "")


async def main():
    client = OpenAIChatCompletionClient(
        model="m", api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0, model_info=abilities
    )
    messages, tools = [UserMessage(content="Hello", source="user")], [FunctionTool(one, description="one")]
    for name, case in cases.items():
        now[:] = [case]
        async for streamed in client.create_stream(messages, tools=tools):
            pass
        whole = await client.create(messages, tools=tools)
        thought = name == "thoughts"
        print(f"{name}: streamed {shown(streamed, thought)}, whole {shown(whole, thought)}", flush=True)


asyncio.run(main())
PY
venv/bin/python run.py 2> errors.txt | tee seen.txt || true
cat > wanted.txt <<'TXT'
apart: streamed "Hi" length, whole "Hi" length
usage with the reason: streamed "Hi" unknown, whole "Hi" length
a call beside text: streamed "Hi" function_calls, whole one({"x":1}) function_calls
thoughts: streamed "Hi" stop thought ": no more to ", whole "Hi" stop thought "hint: no more to think"
TXT
diff wanted.txt seen.txt || { cat errors.txt; exit 1; }
