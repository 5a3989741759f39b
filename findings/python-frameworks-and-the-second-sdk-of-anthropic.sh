#!/usr/bin/env bash
# Which Python frameworks still speak to Anthropic's API since its official SDK is at version 2.
#
# In anthropic 2.14.0 `messages.create` has no `temperature` among its parameters, and `MessageParam` is a union that cannot be called.
# Frameworks allow this version, and pip takes it. autogen-ext 0.7.5 sends a temperature unasked, and llama-index-llms-anthropic 0.12.3
# builds each message by that class: neither ever sends a request. google-adk 2.13.0 fails once a temperature is set. langchain-anthropic
# 1.7.10 sends it by `extra_body`, which is the way left. Who wants the others to speak Messages pins an SDK of version 0.
#
# Seen (as it is; with a temperature):
#   anthropic: answers; raises TypeError, 0 requests
#   anthropic, extra_body: answers; answers, temperature 0.5
#   autogen: raises TypeError, 0 requests; raises TypeError, 0 requests
#   llama-index: raises TypeError, 0 requests; raises TypeError, 0 requests
#   google-adk: answers; raises TypeError, 0 requests
#   langchain: answers; answers, temperature 0.5
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
./venv/bin/pip install --quiet --disable-pip-version-check anthropic==2.14.0 'autogen-ext[anthropic]==0.7.5' google-adk==2.13.0 \
  langchain-anthropic==1.7.10 llama-index-llms-anthropic==0.12.3
cat > main.py <<'PY'
import asyncio, inspect, json, logging, os, threading, warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
seen = []
answer = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
os.environ |= {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": base}
model = "claude-sonnet-4-5"
messages = [{"role": "user", "content": "Hello"}]


def with_sdk(**settings):
    from anthropic import Anthropic

    return Anthropic().messages.create(model=model, max_tokens=9, messages=messages, **settings)


def with_extra_body(**settings):
    return with_sdk(extra_body=settings)


def with_autogen(**settings):
    from autogen_core.models import UserMessage
    from autogen_ext.models.anthropic import AnthropicChatCompletionClient

    return AnthropicChatCompletionClient(model=model, base_url=base, api_key="none", **settings).create([UserMessage(content="Hello", source="user")])


def with_llama_index(**settings):
    from llama_index.llms.anthropic import Anthropic

    return Anthropic(model=model, base_url=base, api_key="none", **settings).complete("Hello")


async def with_adk(**settings):
    from google.adk.models.anthropic_llm import AnthropicLlm
    from google.adk.models.llm_request import LlmRequest
    from google.genai import types

    content = types.Content(role="user", parts=[types.Part(text="Hello")])
    asked = LlmRequest(model=model, contents=[content], config=types.GenerateContentConfig(**settings))
    return [each async for each in AnthropicLlm(model=model).generate_content_async(asked)]


def with_langchain(**settings):
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(model=model, base_url=base, api_key="none", max_tokens=9, **settings).invoke("Hello")


async def awaited(value):
    return await value


def tried(ask, **settings):
    seen.clear()
    try:
        answer = ask(**settings)
        if inspect.isawaitable(answer):
            asyncio.run(awaited(answer))
        return "answers" + (f", temperature {seen[-1]['temperature']}" if "temperature" in seen[-1] else "")
    except Exception as error:
        return f"raises {type(error).__name__}, {len(seen)} requests"


asks = {
    "anthropic": with_sdk,
    "anthropic, extra_body": with_extra_body,
    "autogen": with_autogen,
    "llama-index": with_llama_index,
    "google-adk": with_adk,
    "langchain": with_langchain,
}
for name, ask in asks.items():
    print(f"{name}: {tried(ask)}; {tried(ask, temperature=0.5)}")
PY
./venv/bin/python main.py 2> log.txt | tee seen.txt || { cat log.txt; exit 1; }
cat > wanted.txt <<'TXT'
anthropic: answers; raises TypeError, 0 requests
anthropic, extra_body: answers; answers, temperature 0.5
autogen: raises TypeError, 0 requests; raises TypeError, 0 requests
llama-index: raises TypeError, 0 requests; raises TypeError, 0 requests
google-adk: answers; raises TypeError, 0 requests
langchain: answers; answers, temperature 0.5
TXT
diff wanted.txt seen.txt
