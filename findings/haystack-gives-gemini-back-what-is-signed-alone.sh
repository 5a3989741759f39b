#!/usr/bin/env bash
# What Haystack tells Gemini of its own turn, when that turn was signed.
#
# Gemini signs a part of a turn, of two calls at once the first alone, and wants signatures back. google-genai-haystack 7.0.0
# (haystack-ai 3.4.1) then sends of the turn the signed parts alone: the second call is gone, and so is text beside a signed call, while
# both results are sent. Google refuses as many results as there are no calls; a server that does not reads a conversation that
# never was. Without a signature all of the turn is sent. langchain-google-genai 4.4.3 sends all of it in all cases.
#
# Seen (the model's turn in the second request, and its results):
#   two calls: haystack one two, 2 results; langchain one two, 2 results
#   two calls, the first signed: haystack one, 2 results; langchain one two, 2 results
#   text, a signed call: haystack one, 1 results; langchain text one, 1 results
#   signed text, a call: haystack text, 1 results; langchain text one, 1 results
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check haystack-ai==3.4.1 google-genai-haystack==7.0.0 google-genai==3.6.1 \
  langchain-google-genai==4.4.3
cat > run.py <<'PY'
import json, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
turn, bodies = [], []


class Server(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        parts = turn if len(bodies) == 1 else [{"text": "Done."}]
        answer = {"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": parts}}]}
        body = json.dumps(answer | {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
os.environ["GOOGLE_GEMINI_BASE_URL"] = url

from haystack.dataclasses import ChatMessage
from haystack.tools import Tool
from haystack.utils import Secret
from haystack_integrations.components.generators.google_genai import GoogleGenAIChatGenerator
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI

schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
tools = [Tool(name=name, description=name, parameters=schema, function=lambda x: str(x)) for name in ("one", "two")]


@tool
def one(x: int) -> str:
    "one"
    return str(x)


@tool
def two(x: int) -> str:
    "two"
    return str(x)


def haystack():
    ask = GoogleGenAIChatGenerator(model="gemini-3", api_key=Secret.from_token("none"))
    messages = [ChatMessage.from_user("Go")]
    reply = ask.run(messages=messages, tools=tools)["replies"][0]
    results = [ChatMessage.from_tool("1", origin=call) for call in reply.tool_calls]
    ask.run(messages=[*messages, reply, *results], tools=tools)


def langchain():
    model = ChatGoogleGenerativeAI(model="gemini-3", google_api_key="none", base_url=url, max_retries=1).bind_tools([one, two])
    messages = [HumanMessage("Go")]
    reply = model.invoke(messages)
    model.invoke([*messages, reply, *[ToolMessage("1", tool_call_id=call["id"]) for call in reply.tool_calls]])


def told():
    contents = bodies[1]["contents"]
    parts = [part for content in contents if content["role"] == "model" for part in content["parts"]]
    words = [part["functionCall"]["name"] if "functionCall" in part else "text" for part in parts]
    results = sum("functionResponse" in part for content in contents for part in content["parts"])
    return f"{' '.join(words)}, {results} results"


def call(name):
    return {"functionCall": {"name": name, "args": {"x": 1}, "id": name}}


signed = {"thoughtSignature": "c2lnbmVk"}
text = {"text": "Let me see."}
cases = {
    "two calls": [call("one"), call("two")],
    "two calls, the first signed": [call("one") | signed, call("two")],
    "text, a signed call": [text, call("one") | signed],
    "signed text, a call": [text | signed, call("one")],
}
for name, parts in cases.items():
    seen = []
    for which in (haystack, langchain):
        turn[:], bodies[:] = parts, []
        which()
        seen.append(f"{which.__name__} {told()}")
    print(f"{name}: {'; '.join(seen)}", flush=True)
os._exit(0)
PY
venv/bin/python run.py 2> log.txt | tee seen.txt || { tail -20 log.txt; exit 1; }
cat > wanted.txt <<'TXT'
two calls: haystack one two, 2 results; langchain one two, 2 results
two calls, the first signed: haystack one, 2 results; langchain one two, 2 results
text, a signed call: haystack one, 1 results; langchain text one, 1 results
signed text, a call: haystack text, 1 results; langchain text one, 1 results
TXT
diff wanted.txt seen.txt
