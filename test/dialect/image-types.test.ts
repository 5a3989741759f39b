import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ClientCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"

type Asked = (type: string, data: string) => object

const said = (content: unknown) => ({ model: "m", messages: [{ role: "user", content }] })

const block: Asked = (media_type, data) => ({ type: "image", source: { type: "base64", media_type, data } })

const call = { type: "tool_use", id: "t", name: "look", input: {} }

const clients: ReadonlyArray<readonly [name: string, codec: ClientCodec, asked: Asked]> = [
  [
    "chat completions",
    openai.operations[0].client!,
    (type, data) => said([{ type: "image_url", image_url: { url: `data:${type};base64,${data}` } }])
  ],
  [
    "Responses",
    responses.operations[0]!.client!,
    (type, data) => ({
      model: "m",
      input: [{ role: "user", content: [{ type: "input_image", image_url: `data:${type};base64,${data}` }] }]
    })
  ],
  ["Messages", anthropic.operations[0]!.client!, (type, data) => ({ max_tokens: 9, ...said([block(type, data)]) })],
  [
    "Messages, in a result",
    anthropic.operations[0]!.client!,
    (type, data) => ({
      model: "m",
      max_tokens: 9,
      messages: [
        { role: "user", content: "look" },
        { role: "assistant", content: [call] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: [block(type, data)] }] }
      ]
    })
  ],
  [
    "Gemini",
    gemini.operations[0]!.client!,
    (type, data) => ({ contents: [{ role: "user", parts: [{ inlineData: { mimeType: type, data } }] }] })
  ]
]

const typesIn = (codec: ClientCodec, request: object): ReadonlyArray<string> => {
  const { chat } = Result.getOrThrow(codec.decode(new TextEncoder().encode(JSON.stringify(request)), "m"))
  return chat.messages.flatMap((message) =>
    message.role === "user"
      ? message.parts.flatMap((part) => (part.type === "image" && "mediaType" in part ? [part.mediaType] : []))
      : []
  )
}

const png = "iVBORw0KGgoAAAA="
const jpeg = "/9j/4AAQSkZJRg=="

for (const [name, codec, asked] of clients) {
  describe(`an image from a client of ${name}`, () => {
    test("is what its bytes are, whatever it is said to be", () => {
      expect(typesIn(codec, asked("image/png", jpeg))).toEqual(["image/jpeg"])
      expect(typesIn(codec, asked("image/jpeg", png))).toEqual(["image/png"])
      expect(typesIn(codec, asked("image/jpg", "UklGRiIAAABXRUJQ"))).toEqual(["image/webp"])
    })

    test("is what it is said to be where nobody knows its bytes", () => {
      expect(typesIn(codec, asked("image/heic", "AAAAGGZ0eXBoZWlj"))).toEqual(["image/heic"])
      expect(typesIn(codec, asked("image/jpg", "AAAA"))).toEqual(["image/jpeg"])
      expect(typesIn(codec, asked("image/png", "QkAA"))).toEqual(["image/png"])
    })
  })
}

test("an image in a data URL without a type, or with one of no meaning, has the type of its bytes", () => {
  for (const [name, codec, asked] of clients.slice(0, 2)) {
    const told = ["", "application/octet-stream"].map((type) => typesIn(codec, asked(type, png)))
    expect([name, ...told, typesIn(codec, asked("", "Qk02AAAA"))]).toEqual([
      name,
      ["image/png"],
      ["image/png"],
      ["image/bmp"]
    ])
  }
})
