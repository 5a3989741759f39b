/**
 * The request of the playground as programs that use the client library of its language, in Python and in JavaScript.
 */
import { clientLanguages, type LanguageName, type Said } from "./client-languages.ts"

/** An expression of Python in a place of a value. */
class PythonCode {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** A value as Python writes it. */
const pythonOf = (value: unknown): string => {
  if (value instanceof PythonCode) return value.text
  if (value === true) return "True"
  if (value === false) return "False"
  if (value === null || value === undefined) return "None"
  if (Array.isArray(value)) return `[${value.map(pythonOf).join(", ")}]`
  if (typeof value === "object") {
    return `{${Object.entries(value)
      .map(([name, each]) => `${JSON.stringify(name)}: ${pythonOf(each)}`)
      .join(", ")}}`
  }
  // A text of JSON is one of Python as well.
  return JSON.stringify(value)
}

const argumentsOf = (body: object): string =>
  Object.entries(body)
    .map(([name, each]) => `    ${name}=${pythonOf(each)},\n`)
    .join("")

/** A value as JavaScript writes it, on lines of its own. */
const scriptOf = (value: unknown): string => JSON.stringify(value, null, 2)

interface Writer {
  /** What installs the library. */
  readonly installs: string
  readonly write: (origin: string, model: string, body: object) => string
}

const pythonKey = `os.environ.get("NEXUS_KEY", "none")`

const scriptKey = `process.env.NEXUS_KEY ?? "none"`

// Images are bytes to this library, where they are base64 to others.
const withBytes = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withBytes)
  if (typeof value !== "object" || value === null) return value
  if ("inlineData" in value) {
    const { inlineData } = value as { readonly inlineData: { readonly mimeType: string; readonly data: string } } // reason: we wrote it
    const data = new PythonCode(`base64.b64decode(${JSON.stringify(inlineData.data)})`)
    return { inline_data: { mime_type: inlineData.mimeType, data } }
  }
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withBytes(each)]))
}

const python: Readonly<Record<LanguageName, Writer>> = {
  chat: {
    installs: "pip install openai",
    write: (origin, _, body) => `import os
from openai import OpenAI

client = OpenAI(base_url=${pythonOf(`${origin}/v1`)}, api_key=${pythonKey})
stream = client.chat.completions.create(
${argumentsOf(body)})
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
`
  },
  responses: {
    installs: "pip install openai",
    write: (origin, _, body) => `import os
from openai import OpenAI

client = OpenAI(base_url=${pythonOf(`${origin}/v1`)}, api_key=${pythonKey})
stream = client.responses.create(
${argumentsOf(body)})
for event in stream:
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
`
  },
  messages: {
    installs: "pip install anthropic",
    write: (origin, _, body) => `import os
from anthropic import Anthropic

client = Anthropic(base_url=${pythonOf(origin)}, api_key=${pythonKey})
stream = client.messages.create(
${argumentsOf(body)})
for event in stream:
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        print(event.delta.text, end="", flush=True)
`
  },
  ollama: {
    installs: "pip install ollama",
    write: (origin, _, body) => `import os
from ollama import Client

client = Client(host=${pythonOf(origin)}, headers={"Authorization": "Bearer " + ${pythonKey}})
stream = client.chat(
${argumentsOf(body)})
for part in stream:
    print(part.message.content or "", end="", flush=True)
`
  },
  gemini: {
    installs: "pip install google-genai",
    write: (origin, model, body) => `import base64, os
from google import genai

client = genai.Client(api_key=${pythonKey}, http_options={"base_url": ${pythonOf(origin)}})
stream = client.models.generate_content_stream(
    model=${pythonOf(model)},
${argumentsOf(Object(withBytes(body)))})
for chunk in stream:
    print(chunk.text or "", end="", flush=True)
`
  }
}

const script: Readonly<Record<LanguageName, Writer>> = {
  chat: {
    installs: "npm install openai",
    write: (origin, _, body) => `import OpenAI from "openai"

const client = new OpenAI({ baseURL: ${scriptOf(`${origin}/v1`)}, apiKey: ${scriptKey} })
const stream = await client.chat.completions.create(${scriptOf(body)})
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "")
`
  },
  responses: {
    installs: "npm install openai",
    write: (origin, _, body) => `import OpenAI from "openai"

const client = new OpenAI({ baseURL: ${scriptOf(`${origin}/v1`)}, apiKey: ${scriptKey} })
const stream = await client.responses.create(${scriptOf(body)})
for await (const event of stream) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta)
}
`
  },
  messages: {
    installs: "npm install @anthropic-ai/sdk",
    write: (origin, _, body) => `import Anthropic from "@anthropic-ai/sdk"

const client = new Anthropic({ baseURL: ${scriptOf(origin)}, apiKey: ${scriptKey} })
const stream = await client.messages.create(${scriptOf(body)})
for await (const event of stream) {
  if (event.type === "content_block_delta" && event.delta.type === "text_delta") process.stdout.write(event.delta.text)
}
`
  },
  ollama: {
    installs: "npm install ollama",
    write: (origin, _, body) => `import { Ollama } from "ollama"

const key = ${scriptKey}
const client = new Ollama({ host: ${scriptOf(origin)}, headers: { authorization: \`Bearer \${key}\` } })
const stream = await client.chat(${scriptOf(body)})
for await (const part of stream) process.stdout.write(part.message.content)
`
  },
  gemini: {
    installs: "npm install @google/genai",
    write: (origin, model, body) => `import { GoogleGenAI } from "@google/genai"

const client = new GoogleGenAI({ apiKey: ${scriptKey}, httpOptions: { baseUrl: ${scriptOf(origin)} } })
const stream = await client.models.generateContentStream(${scriptOf({ model, ...body })})
for await (const chunk of stream) process.stdout.write(chunk.text ?? "")
`
  }
}

/** What a program is written in. */
export type SnippetKind = "python" | "script"

/** A chat with a model as a program; it takes its key from `NEXUS_KEY`. */
export const snippetOf = (
  kind: SnippetKind,
  language: LanguageName,
  origin: string,
  model: string,
  chat: ReadonlyArray<Said>
): { readonly installs: string; readonly text: string } => {
  const { installs, write } = (kind === "python" ? python : script)[language]
  return { installs, text: write(origin, model, Object(clientLanguages[language].body(model, chat))) }
}
