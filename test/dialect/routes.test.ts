import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { Dialect, Operation } from "../../src/dialect/Dialect.ts"
import { addressFor, Routes, serverPath } from "../../src/dialect/routes.ts"

const [messages] = anthropic.operations
const at = (name: string, path: string, more: Partial<Operation> = {}): Operation => ({
  ...messages,
  ...more,
  name,
  path
})

const speak = at("speak", "/v9/models/{model}:speak")
const sing = at("sing", "/v9/models/{model}:sing", { query: "alt=loud", alsoAt: ["/v8/models/{model}:sing"] })
const plain = at("plain", "/v9/plain")
const dialect: Dialect = { ...anthropic, operations: [speak, sing, plain] }
const routes = new Routes([dialect])

describe("a path that names its model", () => {
  test("leads to the operation behind its last colon, with the model as it was written (law)", () => {
    const names = fc.string({ minLength: 1, maxLength: 30 }).filter((name) => name.isWellFormed())
    fc.assert(
      fc.property(names, fc.constantFrom(speak, sing), fc.boolean(), (model, operation, colonsEncoded) => {
        const encoded = encodeURIComponent(model)
        const written = colonsEncoded ? encoded : encoded.replaceAll("%3A", ":")
        const verb = `${colonsEncoded ? "%3a" : ":"}${operation.name}`
        expect(routes.find(`/v9/models/${written}${verb}`)).toEqual({ dialect, operation, model })
      })
    )
  })

  test("may hold slashes and colons that nobody encoded", () => {
    expect(routes.find("/v9/models/org/model:7b:speak")).toMatchObject({ operation: speak, model: "org/model:7b" })
    expect(routes.find("/v8/models/a:sing:sing")).toMatchObject({ operation: sing, model: "a:sing" })
  })

  test("leads nowhere without a model, with another verb, or with a name that is no text", () => {
    for (const path of ["/v9/models/:speak", "/v9/models/m", "/v9/models/m:shout", "/v9/models/%ff:speak"]) {
      expect(routes.find(path)).toBeUndefined()
    }
  })

  test("is asked at a server with the name of the model there", () => {
    expect(addressFor(`http://s${serverPath(sing)}`, "org/m:7b $&")).toBe(
      "http://s/v9/models/org%2Fm:7b%20%24%26:sing?alt=loud"
    )
    expect(addressFor("http://s/v9/plain", "m")).toBe("http://s/v9/plain")
  })
})

test("a path that names no model is taken as it is written", () => {
  expect(routes.find("/v9/plain")).toEqual({ dialect, operation: plain })
  expect(routes.find("/v9/plain/")).toBeUndefined()
  expect(routes.plainPaths).toEqual(["/v9/plain"])
})
