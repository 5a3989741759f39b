import { expect, test } from "bun:test"
import fc from "fast-check"
import * as splice from "../../src/dialect/openai/openai.ts"

/** A JSON text around the value of the last `model` at its top. */
interface Around {
  readonly before: string
  readonly after: string
}

const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/)

const spelled = fc.oneof(
  { weight: 4, arbitrary: fc.constant('"model"') },
  fc.constantFrom('"\\u006dodel"', '"mod\\u0065l"', '"\\u006D\\u006F\\u0064\\u0065\\u006c"')
)

const strings = fc.oneof(
  fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
  fc.constantFrom(
    '"model"',
    '"\\"model\\": \\"x\\""',
    '"\\\\"',
    '"\\\\\\""',
    '"{[\\"model\\":"',
    '"\\ud83d\\ude42"',
    '"\\/"',
    '"héé🙂"'
  )
)

const scalars = fc.oneof(
  strings,
  fc.constantFrom("1.0", "-0", "1e400", "12345678901234567890", "0.10000000000000000001", "true", "false", "null")
)

const { value: anyJson } = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, scalars, tie("object"), tie("array")),
  object: fc
    .array(fc.tuple(fc.oneof(strings, spelled), space, space, tie("value"), space), { maxLength: 4 })
    .map((entries) => `{${entries.map(([key, a, b, value, c]) => `${c}${key}${a}:${b}${value}`).join(",")}}`),
  array: fc
    .array(fc.tuple(space, tie("value"), space), { maxLength: 4 })
    .map((items) => `[${items.map(([a, value, b]) => a + value + b).join(",")}]`)
}))

const isModel = (key: string): boolean => JSON.parse(key) === "model"

const field = fc.tuple(
  fc.oneof(
    strings.filter((key) => !isModel(key)),
    spelled
  ),
  anyJson,
  fc.tuple(space, space, space, space)
)

const documents: fc.Arbitrary<Around> = fc
  .tuple(
    fc.array(field, { maxLength: 5 }),
    spelled,
    fc.array(field, { maxLength: 5 }),
    fc.tuple(space, space, space, space)
  )
  .map(([fields, key, more, [a, b, c, d]]) => {
    const text = ([name, value, [w, x, y, z]]: (typeof fields)[number]) => `${w}${name}${x}:${y}${value}${z}`
    const before = fields.map((each) => `${text(each)},`).join("")
    const rest = more.filter(([name]) => !isModel(name)).map((each) => `,${text(each)}`)
    return { before: `${a}{${before}${a}${key}${b}:${c}`, after: `${d}${rest.join("")}}${b}` }
  })

const fill = ({ before, after }: Around, value: string): string => before + value + after

const replaceModel = (body: Uint8Array, model: string): Uint8Array => {
  const pieces = splice.replaceModel(body, model)
  const [first] = pieces
  return pieces.length === 1 && first !== undefined ? first : new Uint8Array(Buffer.concat(pieces))
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const names = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom('a"b', "a\\", "héé/🙂:q4", "x".repeat(300)))

test("replacing the model name changes nothing but the name, for any JSON text (law)", () =>
  fc.assert(
    fc.property(documents, strings, names, (around, old, name) => {
      const replaced = replaceModel(bytes(fill(around, old)), name)
      expect(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(replaced)).toBe(
        fill(around, JSON.stringify(name))
      )
    }),
    { numRuns: 2000 }
  ))

test("the replaced name is the one every JSON parser reads (law)", () =>
  fc.assert(
    fc.property(documents, strings, names, (around, old, name) => {
      const text = new TextDecoder().decode(replaceModel(bytes(fill(around, old)), name))
      expect(JSON.parse(text).model).toBe(JSON.parse(JSON.stringify(name)))
    })
  ))

test("a body without a model name at its top is given one, and keeps all else (law)", () =>
  fc.assert(
    fc.property(
      fc.array(
        field.filter(([name]) => !isModel(name)),
        { maxLength: 4 }
      ),
      space,
      names,
      (fields, blank, name) => {
        const inside = fields.map(([key, value, [a, b, c, d]]) => `${a}${key}${b}:${c}${value}${d}`).join(",")
        const text = new TextDecoder().decode(replaceModel(bytes(`${blank}{${inside}${blank}}`), name))
        const expected = `${blank}{"model":${JSON.stringify(name)}${fields.length === 0 ? "" : ","}${inside}${blank}}`
        expect(text).toBe(new TextDecoder().decode(bytes(expected)))
        expect(JSON.parse(text).model).toBe(JSON.parse(JSON.stringify(name)))
      }
    )
  ))
