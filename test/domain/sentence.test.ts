import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { cutMark, shortened, readErrorText } from "../../src/domain/error-text.ts"

const rows: ReadonlyArray<readonly [shape: string, body: string, sentence: string | undefined]> = [
  ["OpenAI's", '{"error":{"message":"bad temperature","type":"t"}}', "bad temperature"],
  ["an error that is a text", '{"error":"model is busy"}', "model is busy"],
  ["SGLang's", '{"object":"error","message":"top_p must be in (0, 1]","code":400}', "top_p must be in (0, 1]"],
  ["FastAPI's detail as a text", '{"detail":"Not enough memory"}', "Not enough memory"],
  [
    "FastAPI's detail as a list",
    '{"detail":[{"type":"missing","loc":["body","messages",0,"role"],"msg":"Field required","input":{"a":1}}]}',
    "messages.0.role: Field required"
  ],
  ["FastAPI's detail as an object", '{"detail":{"error":{"message":"no such adapter"}}}', "no such adapter"],
  ["an object of another kind", '{"detail":{"code":"rate_limited"}}', '{"detail":{"code":"rate_limited"}}'],
  [
    "a list",
    '[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]',
    "API key not valid."
  ],
  ["a list of texts", '{"error":["prompt is too long","n is too large"]}', "prompt is too long; n is too large"],
  ["errors[]", '{"success":false,"errors":[{"code":7003,"message":"No route"}],"messages":[]}', "No route"],
  ["a form's errors", '{"errors":{"model":["is unknown"],"n":["is too large"]}}', "model: is unknown; n: is too large"],
  [
    "error_msg",
    '{"error_code":336003,"error_msg":"the max input characters is 11200"}',
    "the max input characters is 11200"
  ],
  ["a message that is an object", '{"message":{"detail":"m-1","text":"engine stopped"}}', "engine stopped"],
  ["msg", '{"code":500,"msg":"engine stopped"}', "engine stopped"],
  ["base_resp", '{"base_resp":{"status_code":1004,"status_msg":"login fail"}}', "login fail"],
  ["a message that is an object", '{"error":{"message":{"detail":"no GPU left"}}}', "no GPU left"],
  [
    "a message that is JSON",
    '{"error":{"message":"{\\"error\\":{\\"message\\":\\"context full\\"}}"}}',
    "context full"
  ],
  ["OAuth's", '{"error":"invalid_request","error_description":"scope is missing"}', "scope is missing"],
  [
    "another server's error handed on",
    '{"error":{"message":"Provider returned error","metadata":{"raw":"{\\"error\\":\\"overloaded\\"}"}}}',
    "Provider returned error: overloaded"
  ],
  ["an event", 'data: {"error":{"message":"CUDA out of memory"}}\n\ndata: [DONE]\n\n', "CUDA out of memory"],
  ["a named event", 'event: error\ndata: {"message":"no slot"}\n\n', "no slot"],
  ["lines of JSON", '{"error":"runner died"}\n{"done":true}\n', "runner died"],
  [
    "plain text",
    "upstream connect error or disconnect/reset before headers\n",
    "upstream connect error or disconnect/reset before headers"
  ],
  ["JSON in double quotes", '"server is shutting down"', "server is shutting down"],
  [
    "a stack trace",
    'Traceback (most recent call last):\n  File "/srv/a.py", line 1\nValueError: no tokenizer',
    "ValueError: no tokenizer"
  ],
  [
    "a page with a title",
    "<html><head><title>502 Bad Gateway</title></head></html>",
    'an HTML page, "502 Bad Gateway"'
  ],
  ["a page that names a host", "<html><title>llm.internal.example | 522</title></html>", undefined],
  ["a page without a title", "<html>nginx</html>", undefined],
  ["nothing", " \n", undefined],
  ["an empty object", "{}", undefined],
  ["JSON that was cut", `{"error":{"message":"too \\"long\\" a pro`, `too "long" a pro${cutMark}`],
  ["JSON that was cut behind the message", '{"message":"no","input":"xxxx', "no"],
  ["JSON nested without end", '{"message":"deep","x":'.concat("[".repeat(500), "]".repeat(500), "}"), "deep"]
]

describe("the sentence that explains survives from", () => {
  for (const [shape, body, sentence] of rows) {
    test(shape, () => expect(readErrorText(body).sentence).toBe(sentence as string))
  }
})

const anyJson = fc.jsonValue({ maxDepth: 8 })

test("no body makes the search fail, and what is found is never empty (law)", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        anyJson.map((value) => JSON.stringify(value))
      ),
      (body) => {
        expect(readErrorText(body).sentence).not.toBe("")
      }
    )
  ))

const field = fc.string().filter((name) => name !== "metadata" && name !== "loc")

test("a message of OpenAI's shape is found whatever stands beside it (law)", () =>
  fc.assert(
    fc.property(fc.dictionary(field, anyJson), (beside) => {
      expect(readErrorText(JSON.stringify({ error: { ...beside, message: "it broke" } })).sentence).toBe("it broke")
    })
  ))

test("a text that is cut says so and keeps its length (law)", () =>
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 20, max: 60 }), (text, length) => {
      const short = shortened(text, length)
      expect(short.length).toBeLessThanOrEqual(length)
      expect(short === text || short.endsWith(cutMark)).toBe(true)
    })
  ))
