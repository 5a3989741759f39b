#!/usr/bin/env bash
# How Microsoft's Agent Framework goes on behind a call of a tool, over Responses.
#
# agent-framework-openai 1.17.0 (agent-framework-core 1.23.0) sends the result of the tool alone, with `previous_response_id`, though the
# answer that it read says `store: false`: a server that keeps nothing has neither the question nor the call. With `store` false among
# the options of the agent all of the history is sent. So a stateless server refuses `previous_response_id` in words that name the option.
#
# Seen (what the second request says):
#   as it is: previous_response_id resp_1, function_call_output
#   store false: no previous_response_id, message, function_call, function_call_output
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
./venv/bin/pip install --quiet --disable-pip-version-check agent-framework-openai==1.17.0 agent-framework-core==1.23.0
cat > main.py <<'PY'
import asyncio, json, threading, warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

warnings.simplefilter("ignore")
from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient

seen = []
call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "tide", "arguments": "{}", "status": "completed"}
message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "High.", "annotations": []}]}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        body = json.dumps({
            "id": f"resp_{len(seen)}", "object": "response", "created_at": 1, "status": "completed", "error": None, "incomplete_details": None,
            "instructions": None, "metadata": {}, "model": "m", "output": [call if len(seen) == 1 else message], "parallel_tool_calls": True,
            "store": False, "temperature": 1, "tool_choice": "auto", "tools": [], "top_p": 1,
            "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2},
        }).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"


def tide() -> str:
    "The tide"
    return "high"


async def main():
    for name, options in (("as it is", {}), ("store false", {"store": False})):
        seen.clear()
        agent = Agent(client=OpenAIChatClient(model="m", base_url=base, api_key="none"), tools=[tide], default_options=options)
        await agent.run("How is the tide?")
        asked = seen[1]
        before = asked.get("previous_response_id")
        kinds = ", ".join(item.get("type", "message") for item in asked["input"])
        print(f"{name}: {'no previous_response_id' if before is None else f'previous_response_id {before}'}, {kinds}")


asyncio.run(main())
PY
./venv/bin/python main.py 2> log.txt | tee seen.txt || { cat log.txt; exit 1; }
cat > wanted.txt <<'TXT'
as it is: previous_response_id resp_1, function_call_output
store false: no previous_response_id, message, function_call, function_call_output
TXT
diff wanted.txt seen.txt
