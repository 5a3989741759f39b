# A client in Python (http.client): client.py MODE PORT
import json
import os
import sys
from http.client import HTTPConnection, HTTPException

mode, port = sys.argv[1:]
connection = HTTPConnection("127.0.0.1", int(port), timeout=20)


def ask(text, stream):
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]})
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    return connection.getresponse()


if mode in ("chat", "large"):
    for nth in range(3 if mode == "chat" else 1):
        answer = ask(f"chat {nth}" if mode == "chat" else "large " + "x" * 3_000_000, False)
        print(json.load(answer)["choices"][0]["message"]["content"])
    sys.exit()
answer = ask(mode, True)
try:
    while piece := answer.read1(4096):
        print(piece.decode(), end="", flush=True)
        if mode == "abort":
            os._exit(0)
    print("ENDED")
except (HTTPException, OSError) as error:
    print("BROKEN", repr(error))
