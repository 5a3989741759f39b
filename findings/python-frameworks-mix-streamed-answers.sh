#!/usr/bin/env bash
# What Python frameworks make of several answers (`n: 2`) in one stream of chat completions.
#
# Each chunk says by `choices[].index` of which answer it is. OpenAI's own helper (openai 2.54.0) keeps the two apart. langchain-openai
# 1.7.4 adds all to one message: texts take turns within a sentence, reasons to stop are joined to a word that no API has, and of two calls
# it keeps one as valid with no arguments, the other with the arguments of both and "invalid". llama-index-llms-openai 0.8.3 mixes texts
# the same way and makes one call of two, named by both names. Neither raises. haystack-ai 3.4.1 refuses to stream more than one, which
# LangChain does only where it is told `streaming=True`.
#
# Seen:
#   texts: openai 'Yes.' stop, 'No!' stop | LangChain 'YesNo.!' stopstop | LlamaIndex 'YesNo.!' | Haystack raises ValueError
#   calls: openai one({"x":1}) tool_calls, two({"y":2}) tool_calls | LangChain valid two({}) invalid one({"x":1}2}) tool_callstool_calls | LlamaIndex onetwo({"x":{"y":1}2}) | Haystack raises ValueError
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check openai==2.54.0 langchain-core==1.8.3 langchain-openai==1.7.4 \
  llama-index-core==0.14.25 llama-index-llms-openai==0.8.3 haystack-ai==3.4.1
cat > run.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage as HaystackMessage
from haystack.utils import Secret
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI as LlamaIndexOpenAI
from openai import OpenAI


def chunk(index, delta, finish=None):
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}


def text(index, content):
    return chunk(index, {"content": content})


def begun(index, name, arguments):
    function = {"name": name, "arguments": arguments}
    return chunk(index, {"role": "assistant", "tool_calls": [{"index": 0, "id": f"call_{name}", "type": "function", "function": function}]})


def more(index, arguments):
    return chunk(index, {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})


streams = {
    "texts": [text(0, "Yes"), text(1, "No"), text(0, "."), text(1, "!"), chunk(0, {}, "stop"), chunk(1, {}, "stop")],
    "calls": [begun(0, "one", '{"x":'), begun(1, "two", '{"y":'), more(0, "1}"), more(1, "2}")]
    + [chunk(0, {}, "tool_calls"), chunk(1, {}, "tool_calls")],
}
now = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        assert json.loads(self.rfile.read(int(self.headers["content-length"])))["n"] == 2
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


def openai():
    messages = [{"role": "user", "content": "Hello"}]
    with OpenAI(base_url=url, api_key="k").chat.completions.stream(model="gpt-4o", messages=messages, n=2) as stream:
        choices = stream.get_final_completion().choices
    said = [" ".join(f"{c.function.name}({c.function.arguments})" for c in e.message.tool_calls or []) or repr(e.message.content) for e in choices]
    return ", ".join(f"{what} {each.finish_reason}" for what, each in zip(said, choices))


def langchain():
    whole = None
    for piece in ChatOpenAI(model="gpt-4o", base_url=url, api_key="k", n=2).stream("Hello"):
        whole = piece if whole is None else whole + piece
    calls = [f"valid {c['name']}({json.dumps(c['args'])})" for c in whole.tool_calls]
    calls += [f"invalid {c['name']}({c['args']})" for c in whole.invalid_tool_calls]
    return f"{' '.join(calls) or repr(whole.content)} {whole.response_metadata['finish_reason']}"


def llama_index():
    llm = LlamaIndexOpenAI(model="gpt-4o", api_base=url, api_key="k", additional_kwargs={"n": 2})
    for last in llm.stream_chat([ChatMessage(role="user", content="Hello")]):
        pass
    calls = [f"{b.tool_name}({b.tool_kwargs})" for b in last.message.blocks if hasattr(b, "tool_name")]
    return " ".join(calls) or repr(last.message.content)


def haystack():
    key = Secret.from_token("k")
    try:
        generator = OpenAIChatGenerator(key, "gpt-4o", lambda _: None, url, generation_kwargs={"n": 2})
        return str(generator.run([HaystackMessage.from_user("Hello")])["replies"])
    except Exception as error:
        return f"raises {type(error).__name__}"


for name, stream in streams.items():
    now[:] = stream
    seen = f"openai {openai()} | LangChain {langchain()} | LlamaIndex {llama_index()} | Haystack {haystack()}"
    print(f"{name}: {seen}", flush=True)
PY
venv/bin/python run.py 2> errors.txt | tee seen.txt || true
cat > wanted.txt <<'TXT'
texts: openai 'Yes.' stop, 'No!' stop | LangChain 'YesNo.!' stopstop | LlamaIndex 'YesNo.!' | Haystack raises ValueError
calls: openai one({"x":1}) tool_calls, two({"y":2}) tool_calls | LangChain valid two({}) invalid one({"x":1}2}) tool_callstool_calls | LlamaIndex onetwo({"x":{"y":1}2}) | Haystack raises ValueError
TXT
diff wanted.txt seen.txt || { cat errors.txt; exit 1; }
