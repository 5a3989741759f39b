#!/usr/bin/env bash
# What clients make of usage that is told more than once in a stream: with each piece, as vLLM tells it where its
# `continuous_usage_stats` is on, or on the last piece with a choice and on one of its own.
#
# Usage tells what was used so far: of 10 tokens in and 3 out the last piece says 13. langchain-openai 1.7.4 and pydantic-ai
# 2.68.0 add up what all pieces say, without a word: 49 and 26. So usage is sent on, and asked for, once.
#
# Seen:
#   once: langchain 13, pydantic-ai 13
#   with each piece: langchain 49, pydantic-ai 49
#   twice at the end: langchain 26, pydantic-ai 26
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check openai==3.57.0 \
  langchain-openai==1.7.4 'pydantic-ai-slim[openai]==2.68.0'
cat > run.py <<'PY'
import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def chunk(choices, out):
    usage = None if out is None else {"prompt_tokens": 10, "completion_tokens": out, "total_tokens": 10 + out}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": usage}


def said(content, out):
    return chunk([{"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": None}], out)


def ended(out):
    return chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], out)


streams = {
    "once": [said("one ", None), said("two", None), ended(None), chunk([], 3)],
    "with each piece": [said("one ", 1), said("two", 2), ended(3), chunk([], 3)],
    "twice at the end": [said("one ", None), said("two", None), ended(3), chunk([], 3)],
}
now = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = "".join(f"data: {json.dumps(value)}\n\n" for value in now) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"


async def langchain(_):
    whole = None
    async for piece in ChatOpenAI(api_key="none", base_url=url, model="m", stream_usage=True).astream("Hello"):
        whole = piece if whole is None else whole + piece
    return whole.usage_metadata["total_tokens"]


async def pydantic(client):
    model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
    async with Agent(model).run_stream("Hello") as result:
        await result.get_output()
        return result.usage.total_tokens


async def main():
    global now
    async with AsyncOpenAI(api_key="none", base_url=url) as client:
        for name, now in streams.items():
            readers = {"langchain": langchain, "pydantic-ai": pydantic}
            print(f"{name}: {', '.join([f'{who} {await read(client)}' for who, read in readers.items()])}", flush=True)


asyncio.run(main())
PY
venv/bin/python run.py 2> errors.txt | tee seen.txt
cat > wanted.txt <<'TXT'
once: langchain 13, pydantic-ai 13
with each piece: langchain 49, pydantic-ai 49
twice at the end: langchain 26, pydantic-ai 26
TXT
diff wanted.txt seen.txt || { cat errors.txt; exit 1; }
