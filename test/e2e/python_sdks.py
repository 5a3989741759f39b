"""What each official package of Python makes of the gateway: python_sdks.py PACKAGE URL LOCKED_URL, answers in JSON."""

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor

package, url, locked = sys.argv[1:4]
model = "Qwen/Qwen3-8B"
key = "nx-right"
png = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
report = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "number"}},
    "required": ["city", "celsius"],
}
asked = "Weather in Oslo and Bergen?"


def weather(place):
    return {"Oslo": "rain", "Bergen": "sun"}[place]


class OpenAI:
    def __init__(self, base=url, api_key="not-needed"):
        import openai

        self.client = openai.OpenAI(base_url=base + "/v1", api_key=api_key, max_retries=0)
        self.status = lambda error: getattr(error, "status_code", None)

    def ask(self, content, name=model, **more):
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        return self.client.chat.completions.create(model=name, messages=messages, **more)

    def chat(self, prompt, name=model):
        answer = self.ask(prompt, name)
        return answer.choices[0].message.content, answer.usage.total_tokens

    def stream(self, prompt):
        for chunk in self.ask(prompt, stream=True, stream_options={"include_usage": True}):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content
            if chunk.usage:
                self.tokens = chunk.usage.total_tokens

    tool = [{"type": "function", "function": {"name": "weather", "parameters": city}}]

    def tools(self):
        first = self.ask(asked, tools=self.tool).choices[0].message
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in first.tool_calls]
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": weather(json.loads(call.function.arguments)["city"])}
            for call in reversed(first.tool_calls)
        ]
        last = self.ask([{"role": "user", "content": asked}, first.model_dump(exclude_none=True), *results], tools=self.tool)
        return calls, last.choices[0].message.content

    def streamed_tools(self):
        with self.client.chat.completions.stream(
            model=model, messages=[{"role": "user", "content": asked}], tools=self.tool
        ) as stream:
            calls = stream.get_final_completion().choices[0].message.tool_calls
        return [(call.function.name, json.loads(call.function.arguments)) for call in calls]

    def structured(self):
        schema = {"name": "report", "schema": report}
        answer = self.ask("a report", response_format={"type": "json_schema", "json_schema": schema})
        return json.loads(answer.choices[0].message.content)

    def image(self):
        source = {"url": "data:image/png;base64," + base64.b64encode(png).decode()}
        parts = [{"type": "text", "text": "an image"}, {"type": "image_url", "image_url": source}]
        return self.ask([{"role": "user", "content": parts}]).choices[0].message.content

    def reasoning(self):
        message = self.ask("think").choices[0].message
        return message.reasoning_content, message.content


class Responses(OpenAI):
    def ask(self, content, name=model, **more):
        return self.client.responses.create(model=name, input=content, store=False, **more)

    def chat(self, prompt, name=model):
        answer = self.ask(prompt, name)
        return answer.output_text, answer.usage.total_tokens

    def stream(self, prompt):
        with self.client.responses.stream(model=model, input=prompt) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    yield event.delta
                if event.type == "response.completed":
                    self.tokens = event.response.usage.total_tokens

    tool = [{"type": "function", "name": "weather", "parameters": city, "strict": False}]

    def tools(self):
        first = self.ask(asked, tools=self.tool).output
        found = [item for item in first if item.type == "function_call"]
        results = [
            {"type": "function_call_output", "call_id": call.call_id, "output": weather(json.loads(call.arguments)["city"])}
            for call in reversed(found)
        ]
        last = self.ask([{"role": "user", "content": asked}, *first, *results], tools=self.tool)
        return [(call.name, json.loads(call.arguments)) for call in found], last.output_text

    def streamed_tools(self):
        with self.client.responses.stream(model=model, input=asked, tools=self.tool) as stream:
            output = stream.get_final_response().output
        return [(call.name, json.loads(call.arguments)) for call in output if call.type == "function_call"]

    def structured(self):
        form = {"type": "json_schema", "name": "report", "schema": report}
        return json.loads(self.ask("a report", text={"format": form}).output_text)

    def image(self):
        source = "data:image/png;base64," + base64.b64encode(png).decode()
        parts = [{"type": "input_text", "text": "an image"}, {"type": "input_image", "image_url": source}]
        return self.ask([{"role": "user", "content": parts}]).output_text

    def reasoning(self):
        answer = self.ask("think", reasoning={"summary": "auto"})
        thoughts = [item for item in answer.output if item.type == "reasoning"]
        said = [part.text for item in thoughts for part in [*(item.content or []), *item.summary]]
        return said[0], answer.output_text


class Anthropic:
    def __init__(self, base=url, api_key="not-needed"):
        import anthropic

        self.client = anthropic.Anthropic(base_url=base, api_key=api_key, max_retries=0)
        self.status = lambda error: getattr(error, "status_code", None)

    def asking(self, content, name=model, **more):
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        return {"model": name, "max_tokens": 500, "messages": messages, **more}

    def text(self, message):
        return "".join(block.text for block in message.content if block.type == "text")

    def ask(self, content, name=model, **more):
        return self.client.messages.create(**self.asking(content, name, **more))

    def chat(self, prompt, name=model):
        message = self.ask(prompt, name)
        return self.text(message), message.usage.input_tokens + message.usage.output_tokens

    def stream(self, prompt):
        with self.client.messages.stream(**self.asking(prompt)) as stream:
            yield from stream.text_stream
            usage = stream.get_final_message().usage
            self.tokens = usage.input_tokens + usage.output_tokens

    tool = [{"name": "weather", "input_schema": city}]

    def calls(self, message):
        return [block for block in message.content if block.type == "tool_use"]

    def tools(self):
        first = self.ask(asked, tools=self.tool)
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": weather(call.input["city"])}
            for call in reversed(self.calls(first))
        ]
        turns = [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": results},
        ]
        return [(call.name, call.input) for call in self.calls(first)], self.text(self.ask(turns, tools=self.tool))

    def streamed_tools(self):
        with self.client.messages.stream(**self.asking(asked, tools=self.tool)) as stream:
            return [(call.name, call.input) for call in self.calls(stream.get_final_message())]

    def structured(self):
        form = {"format": {"type": "json_schema", "schema": report}}
        return json.loads(self.text(self.ask("a report", output_config=form)))

    def image(self):
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(png).decode()}
        parts = [{"type": "text", "text": "an image"}, {"type": "image", "source": source}]
        return self.text(self.ask([{"role": "user", "content": parts}]))

    def reasoning(self):
        message = self.ask("think")
        return next(block.thinking for block in message.content if block.type == "thinking"), self.text(message)


class Ollama:
    def __init__(self, base=url, api_key="not-needed"):
        import ollama

        self.client = ollama.Client(base, headers={"Authorization": "Bearer " + api_key})
        self.status = lambda error: getattr(error, "status_code", None)

    def ask(self, content, name=model, **more):
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        return self.client.chat(name, messages=messages, **more)

    def chat(self, prompt, name=model):
        answer = self.ask(prompt, name)
        return answer.message.content, answer.prompt_eval_count + answer.eval_count

    def stream(self, prompt):
        for chunk in self.ask(prompt, stream=True):
            if chunk.message.content:
                yield chunk.message.content
            if chunk.done:
                self.tokens = chunk.prompt_eval_count + chunk.eval_count

    tool = [{"type": "function", "function": {"name": "weather", "parameters": city}}]

    def calls(self, message):
        return [(call.function.name, dict(call.function.arguments)) for call in message.tool_calls or []]

    def tools(self):
        first = self.ask(asked, tools=self.tool).message
        results = [
            {"role": "tool", "tool_name": name, "content": weather(given["city"])} for name, given in self.calls(first)
        ]
        last = self.ask([{"role": "user", "content": asked}, first, *results], tools=self.tool)
        return self.calls(first), last.message.content

    def streamed_tools(self):
        return [call for chunk in self.ask(asked, tools=self.tool, stream=True) for call in self.calls(chunk.message)]

    def structured(self):
        return json.loads(self.ask("a report", format=report).message.content)

    def image(self):
        return self.ask([{"role": "user", "content": "an image", "images": [png]}]).message.content

    def reasoning(self):
        message = self.ask("think", think=True).message
        return message.thinking, message.content


class Google:
    def __init__(self, base=url, api_key="not-needed"):
        from google import genai

        self.types = genai.types
        self.client = genai.Client(api_key=api_key, http_options={"base_url": base})
        self.status = lambda error: getattr(error, "code", None)

    def ask(self, contents, name=model, **config):
        return self.client.models.generate_content(model=name, contents=contents, config=config)

    def chat(self, prompt, name=model):
        answer = self.ask(prompt, name)
        return answer.text, answer.usage_metadata.total_token_count

    def stream(self, prompt):
        for chunk in self.client.models.generate_content_stream(model=model, contents=prompt):
            if chunk.text:
                yield chunk.text
            if chunk.usage_metadata:
                self.tokens = chunk.usage_metadata.total_token_count

    tool = {"tools": [{"function_declarations": [{"name": "weather", "parameters_json_schema": city}]}]}

    def tools(self):
        first = self.ask(asked, **self.tool)
        found = first.function_calls
        results = [
            self.types.Part(
                function_response=self.types.FunctionResponse(
                    id=call.id, name=call.name, response={"output": weather(call.args["city"])}
                )
            )
            for call in found
        ]
        turns = [
            self.types.UserContent(asked),
            first.candidates[0].content,
            self.types.Content(role="user", parts=results),
        ]
        return [(call.name, call.args) for call in found], self.ask(turns, **self.tool).text

    def streamed_tools(self):
        stream = self.client.models.generate_content_stream(model=model, contents=asked, config=self.tool)
        return [(call.name, call.args) for chunk in stream for call in chunk.function_calls or []]

    def structured(self):
        answer = self.ask("a report", response_mime_type="application/json", response_json_schema=report)
        return json.loads(answer.text)

    def image(self):
        return self.ask(["an image", self.types.Part.from_bytes(data=png, mime_type="image/png")]).text

    def reasoning(self):
        answer = self.ask("think", thinking_config={"include_thoughts": True})
        thoughts = [part.text for part in answer.candidates[0].content.parts if part.thought]
        return "".join(thoughts), answer.text


kinds = {"openai": OpenAI, "responses": Responses, "anthropic": Anthropic, "ollama": Ollama, "google-genai": Google}
kind = kinds[package]
sdk = kind()


def failing(run):
    try:
        return ["nothing was raised", str(run())]
    except Exception as error:
        return [type(error).__name__, sdk.status(error), str(error)]


def streamed():
    pieces = list(sdk.stream("hello"))
    return pieces, sdk.tokens


def left():
    stream = sdk.stream("hang")
    first = next(stream)
    stream.close()
    return first


def fifty():
    with ThreadPoolExecutor(50) as pool:
        ask = lambda at: sdk.chat(f"number {at}")[0] if at % 2 else "".join(sdk.stream(f"number {at}"))
        return [at for at, said in enumerate(pool.map(ask, range(50))) if said != f"You said number {at}"]


cases = {
    "whole": lambda: sdk.chat("hello"),
    "streamed": streamed,
    "tools": sdk.tools,
    "streamed tools": sdk.streamed_tools,
    "structured": sdk.structured,
    "image": sdk.image,
    "reasoning": sdk.reasoning,
    "unknown model": lambda: failing(lambda: sdk.chat("hello", "gpt-nope")),
    "wrong key": lambda: failing(lambda: kind(locked, "nx-wrong").chat("hello")),
    "right key": lambda: kind(locked, key).chat("hello")[0],
    "400": lambda: failing(lambda: sdk.chat("status 400")),
    "500": lambda: failing(lambda: sdk.chat("status 500")),
    "broken stream": lambda: failing(lambda: list(sdk.stream("broken"))),
    "fifty": fifty,
    "left": left,
    # A backend that says so is left alone for a while.
    "429": lambda: failing(lambda: sdk.chat("status 429")),
}
for name, run in cases.items():
    try:
        result = run()
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    print(json.dumps([name, result]), flush=True)
