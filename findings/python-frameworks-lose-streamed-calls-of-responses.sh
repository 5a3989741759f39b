#!/usr/bin/env bash
# What Python frameworks make of two calls of tools in a stream of Responses.
#
# Each event says by `output_index` of which item it is, so calls may come one after the other or side by side. agno 3.1.10 minds one
# call: of two that are open at once no tool is run. langchain-openai 1.7.4 makes four of them, two without arguments and two without a
# name. CrewAI 1.15.30 hands no streamed call of a Responses model to its agents, whatever the order: they get an empty
# answer. The official SDK (openai 2.54.0) reads both orders as they are meant. So a gateway tells a call to its end before the next one.
#
# Seen:
#   one after the other: openai one({"n":1}) two({"n":2}); langchain one({"n": 1}) two({"n": 2}); agno one(1) two(2); crewai ''
#   side by side: openai one({"n":1}) two({"n":2}); langchain one({}) two({}) ({"n": 1}) ({"n": 2}); agno no call; crewai ''
#   not streamed: crewai one two
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
./venv/bin/pip install --quiet --disable-pip-version-check openai==2.54.0 langchain-openai==1.7.4 agno==3.1.10 crewai==1.15.30
cat > main.py <<'PY'
import json, logging, os, threading, warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
os.environ |= {"OPENAI_API_KEY": "none", "AGNO_TELEMETRY": "false", "CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "CREWAI_TRACING_ENABLED": "false"}
order = "one after the other"


def call(at, status):
    args = "" if status == "in_progress" else '{"n":%d}' % (at + 1)
    return {"type": "function_call", "id": f"fc_{at}", "call_id": f"call_{at}", "name": ["one", "two"][at], "arguments": args, "status": status}


def response(output, status="completed"):
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": None, "incomplete_details": None, "instructions": None,
        "metadata": {}, "model": "m", "output": output, "parallel_tool_calls": True, "temperature": 1, "tool_choice": "auto", "tools": [],
        "top_p": 1, "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2},
    }


def message(text, status="completed"):
    content = [] if status == "in_progress" else [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": content}


def events(wanted):
    yield "response.created", {"response": response([], "in_progress")}
    if wanted == "text":
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        yield "response.output_item.added", {"output_index": 0, "item": message("", "in_progress")}
        yield "response.content_part.added", {**at, "part": {"type": "output_text", "text": "", "annotations": []}}
        yield "response.output_text.delta", {**at, "delta": "Done.", "logprobs": []}
        yield "response.output_text.done", {**at, "text": "Done.", "logprobs": []}
        yield "response.content_part.done", {**at, "part": {"type": "output_text", "text": "Done.", "annotations": []}}
        yield "response.output_item.done", {"output_index": 0, "item": message("Done.")}
        yield "response.completed", {"response": response([message("Done.")])}
        return
    opened = [("response.output_item.added", {"output_index": at, "item": call(at, "in_progress")}) for at in (0, 1)]
    said = [("response.function_call_arguments.delta", {"item_id": f"fc_{at}", "output_index": at, "delta": '{"n":%d}' % (at + 1)}) for at in (0, 1)]
    closed = [
        [("response.function_call_arguments.done", {"item_id": f"fc_{at}", "output_index": at, "name": ["one", "two"][at], "arguments": '{"n":%d}' % (at + 1)}),
         ("response.output_item.done", {"output_index": at, "item": call(at, "completed")})]
        for at in (0, 1)
    ]
    if order == "side by side":
        yield from [*opened, *said, *closed[0], *closed[1]]
    else:
        yield from [opened[0], said[0], *closed[0], opened[1], said[1], *closed[1]]
    yield "response.completed", {"response": response([call(0, "completed"), call(1, "completed")])}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        wanted = "text" if "function_call_output" in json.dumps(asked["input"]) else "calls"
        if asked.get("stream"):
            kind = "text/event-stream"
            body = "".join(f"event: {name}\ndata: {json.dumps({'type': name, 'sequence_number': at, **fields})}\n\n" for at, (name, fields) in enumerate(events(wanted)))
        else:
            kind = "application/json"
            body = json.dumps(response([message("Done.")] if wanted == "text" else [call(0, "completed"), call(1, "completed")]))
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
parameters = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
tools = [{"type": "function", "name": name, "parameters": parameters} for name in ("one", "two")]


def tried(ask):
    try:
        return ask()
    except Exception as error:
        return f"raises {type(error).__name__}"


def with_openai():
    from openai import OpenAI

    with OpenAI(base_url=base).responses.stream(model="m", input="Hello", tools=tools) as stream:
        return " ".join(f"{item.name}({item.arguments})" for item in stream.get_final_response().output)


def with_langchain():
    from langchain_openai import ChatOpenAI

    whole = None
    for piece in ChatOpenAI(model="m", base_url=base, use_responses_api=True).bind_tools(tools).stream("Hello"):
        whole = piece if whole is None else whole + piece
    return " ".join(f"{each['name']}({json.dumps(each['args'])})" for each in whole.tool_calls)


def with_agno():
    from agno.agent import Agent
    from agno.models.openai import OpenAIResponses

    ran = []

    def one(n: int) -> str:
        "One"
        ran.append(f"one({n})")
        return "well"

    def two(n: int) -> str:
        "Two"
        ran.append(f"two({n})")
        return "well"

    agent = Agent(model=OpenAIResponses(id="m", base_url=base), tools=[one, two], telemetry=False)
    for _ in agent.run("Hello", stream=True):
        pass
    return " ".join(ran) or "no call"


def with_crewai(stream=True):
    from crewai import LLM

    shape = [{"type": "function", "function": {"name": name, "description": name, "parameters": parameters}} for name in ("one", "two")]
    said = LLM(model="openai/m", base_url=base, api="responses", stream=stream).call("Hello", tools=shape)
    return said if isinstance(said, str) else " ".join(str(each.get("name") or each["function"]["name"]) for each in said)


for order in ("one after the other", "side by side"):
    print(f"{order}: openai {tried(with_openai)}; langchain {tried(with_langchain)}; agno {tried(with_agno)}; crewai {tried(with_crewai)!r}")
print(f"not streamed: crewai {tried(lambda: with_crewai(False))}")
PY
./venv/bin/python main.py 2> log.txt | tee seen.txt || { cat log.txt; exit 1; }
cat > wanted.txt <<'TXT'
one after the other: openai one({"n":1}) two({"n":2}); langchain one({"n": 1}) two({"n": 2}); agno one(1) two(2); crewai ''
side by side: openai one({"n":1}) two({"n":2}); langchain one({}) two({}) ({"n": 1}) ({"n": 2}); agno no call; crewai ''
not streamed: crewai one two
TXT
diff wanted.txt seen.txt
