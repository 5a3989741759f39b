/**
 * What the fuzzers feed: JSON texts, event streams, TOML documents and HTTP requests, most of them nearly right.
 */
import * as fc from "fast-check"

const space = fc.constantFrom("", "", "", " ", "\n", "\t ", "\r\n")

const key = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("model", "messages", "stream", "tools", "role", "content", "type", "text") },
  fc.constantFrom("__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "", "mod\u0065l", "\ud800"),
  fc.string({ maxLength: 8, unit: "binary" })
)

// Some letters of a key or string may be written as escapes; JSON.parse takes both for the same.
const quoted = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(text, fc.boolean()).map(([value, escaped]) => {
    const first = value.codePointAt(0)
    if (!escaped || first === undefined) return JSON.stringify(value)
    const units = String.fromCodePoint(first)
    const escapes = Array.from({ length: units.length }, (_, at) => units.charCodeAt(at).toString(16).padStart(4, "0"))
    return `"${escapes.map((hex) => `\\u${hex}`).join("")}${JSON.stringify(value.slice(units.length)).slice(1)}`
  })

const numberText = fc.oneof(
  fc.constantFrom("0", "-0", "1.0", "1e2", "1E+400", "-1e-400", "12345678901234567890", "0.1e1", "9007199254740993"),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.integer({ min: 1, max: 400 }).map((digits) => "9".repeat(digits))
)

const stringText = fc.oneof(
  quoted(fc.string({ maxLength: 20, unit: "binary" })),
  fc.constantFrom(
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u0000"',
    '"\\\\"',
    '"\\""',
    '"\\/"',
    '"model"',
    '"\\\\\\"model\\": "',
    '"}"'
  )
)

const deep = fc
  .tuple(fc.constantFrom("[", '{"a":'), fc.integer({ min: 1, max: 300 }))
  .map(([open, depth]) => open.repeat(depth) + "1" + (open === "[" ? "]" : "}").repeat(depth))

const scalar = fc.oneof(numberText, stringText, fc.constantFrom("true", "false", "null"))

const member = (value: fc.Arbitrary<string>) =>
  fc.tuple(space, quoted(key), space, value, space).map(([a, name, b, text, c]) => `${a}${name}${b}:${text}${c}`)

const objectOf = (members: fc.Arbitrary<ReadonlyArray<string>>) => members.map((list) => `{${list.join(",")}}`)

/** The text of a JSON value; nesting, spacing, escapes and repeated keys as they come. */
export const jsonText: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: "json" },
    { weight: 5, arbitrary: scalar },
    { weight: 1, arbitrary: deep },
    { weight: 3, arbitrary: objectOf(fc.array(member(tie("value")), { maxLength: 5 })) },
    { weight: 3, arbitrary: fc.array(tie("value"), { maxLength: 5 }).map((list) => `[${list.join(",")}]`) }
  )
})).value

const known = (model: string) =>
  fc.constantFrom(
    `"model":${JSON.stringify(model)}`,
    ` "model" : ${JSON.stringify(model)} `,
    `"\\u006dodel":${JSON.stringify(model)}`,
    '"messages":[{"role":"user","content":"Hi"}]',
    '"messages":[]',
    '"stream":false',
    '"__proto__":{"model":"x","stream":true}',
    '"constructor":{"prototype":{"polluted":1}}',
    '"model":1'
  )

/** The text of a chat body that is nearly right and asks for the model. */
export const chatText = (model: string): fc.Arbitrary<string> =>
  objectOf(
    fc
      .tuple(
        fc.array(fc.oneof(known(model), member(jsonText)), { maxLength: 4 }),
        fc.array(fc.oneof(known(model), member(jsonText)), { maxLength: 4 })
      )
      .map(([before, after]) => before.concat(`"model":${JSON.stringify(model)}`, '"messages":[]', after))
  )

const damage = (text: string, at: number, how: number, by: string): string => {
  const place = at % (text.length + 1)
  if (how === 0) return text.slice(0, place) + by + text.slice(place)
  if (how === 1) return text.slice(0, place) + text.slice(place + 1 + by.length)
  if (how === 2) return text.slice(0, place)
  return text.slice(0, place) + by + text.slice(place + by.length)
}

/** The text with up to `most` damages: something put in, taken out, overwritten, or the rest cut off. */
export const damaged = (text: fc.Arbitrary<string>, pieces: fc.Arbitrary<string>, most: number): fc.Arbitrary<string> =>
  fc
    .tuple(text, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 3 }), pieces), { maxLength: most }))
    .map(([whole, damages]) => damages.reduce((now, [at, how, by]) => damage(now, at, how, by), whole))

/** A chat body, often damaged. */
export const chatBody = (model: string): fc.Arbitrary<string> =>
  damaged(chatText(model), fc.constantFrom('"', "{", "}", "[", "]", ",", ":", "\\", "\u0000", "1", "é", "\ufeff"), 2)

/** The bytes cut into pieces at any places. */
export const cutUp = (bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<ReadonlyArray<Uint8Array>> =>
  fc.tuple(bytes, fc.array(fc.nat(), { maxLength: 12 })).map(([whole, cuts]) => {
    const places = [...new Set([0, whole.length, ...cuts.map((cut) => cut % (whole.length + 1))])].sort((a, b) => a - b)
    return places.slice(1).map((to, at) => whole.subarray(places[at], to))
  })

const lineEnd = fc.constantFrom("\n", "\n", "\r\n", "\r")

const eventLine = fc.oneof(
  { weight: 4, arbitrary: jsonText.map((text) => `data: ${text.replace(/[\r\n]/g, " ")}`) },
  fc.constantFrom(
    ": ping",
    "event: message",
    "id: 7",
    "retry: 10",
    "data:",
    "data",
    "data: é😀",
    ":",
    "data:[DONE] not",
    "x: y"
  ),
  fc.string({ maxLength: 30, unit: "binary" }).map((text) => `data: ${text.replace(/[\r\n]/g, "")}`)
)

/** A good event stream of odd events; its first is a good one, its last are a finish reason and the end marker. */
export const eventStream: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.array(fc.tuple(fc.array(eventLine, { minLength: 1, maxLength: 3 }), lineEnd), { maxLength: 8 }),
    fc.boolean()
  )
  .map(([events, marker]) => {
    const first = 'data: {"choices":[{"index":0,"delta":{"content":"é"}}]}\n\n'
    const middle = events.map(([lines, end]) => lines.map((line) => line + end).join("") + end).join("")
    const last = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    return new TextEncoder().encode(first + middle + last + (marker ? "data: [DONE]\n\n" : ""))
  })
