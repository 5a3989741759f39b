import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { mayBeSameModel } from "../../src/registry/list-drift.ts"
import { ListDrift } from "../../src/registry/list-drift.ts"
import { identityIn } from "../../src/dialect/openai/answer-identity.ts"

describe("one model under two names:", () => {
  const same = [
    ["llama3.1:8b", "llama3.1:8b"],
    ["llama3", "llama3:latest"],
    ["llama3:latest", "llama3"],
    ["Tiny-O", "tiny-o:LATEST"],
    ["gpt-4o", "gpt-4o-2024-08-06"],
    ["gpt-4", "gpt-4-0613"],
    ["claude-sonnet-4", "claude-sonnet-4-20250514"],
    ["mistral-large-latest", "mistral-large-2411"],
    ["gemini-2.0-flash", "models/gemini-2.0-flash-001"],
    ["meta-llama/llama-3.1-8b-instruct:free", "meta-llama/llama-3.1-8b-instruct"],
    ["qwen", "/models/Qwen.gguf"],
    ["Qwen3-32B", "Qwen/Qwen3-32B"]
  ] as const
  for (const [asked, answered] of same)
    test(`${asked}, ${answered}`, () => expect(mayBeSameModel(asked, answered)).toBe(true))

  const others = [
    ["llama3.1:8b", "llama3.1:70b"],
    ["llama3", "llama3.1"],
    ["gpt-4", "gpt-4o"],
    ["qwen3-8b", "qwen3-14b"],
    ["old", "new"],
    ["m", "m-instruct"]
  ] as const
  for (const [asked, answered] of others) {
    test(`not ${asked}, ${answered}`, () => expect(mayBeSameModel(asked, answered)).toBe(false))
  }

  test("is told the same way round and the other way round", () =>
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => mayBeSameModel(a, b) === mayBeSameModel(b, a))))
})

describe("what an answer says of itself", () => {
  const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))

  test("is found before and behind its words, however long they are, and never in them", () =>
    fc.assert(
      fc.property(fc.string({ maxLength: 50 }), fc.boolean(), fc.nat(20_000), (word, isFirst, length) => {
        const said = `${word}"model":"no" \\"model\\": "no"`.repeat(1 + Math.floor(length / 40))
        const choices = [{ message: { role: "assistant", content: said } }]
        const whole = isFirst ? { model: "yes", choices } : { choices, model: "yes" }
        expect(identityIn(bytes(whole)).model).toBe("yes")
      })
    ))

  test("is nothing where it says nothing", () => {
    for (const value of ["", "{}", '{"model":null}', '{"model":', '{"model":"a', { model: ["a"] }, [1, 2]]) {
      expect(identityIn(bytes(value)).model).toBeUndefined()
    }
    expect(identityIn(bytes('data: {"id":"a", "model" : "b/c", "system_fingerprint":"f"}\n\n'))).toEqual({
      model: "b/c",
      fingerprint: "f"
    })
  })
})

describe("news of a backend", () => {
  const list = () => new Map([["old", { id: "old", capabilities: {} }]])
  const signs = (model: string | undefined, server: string | null = "s", fingerprint?: string) => ({
    model,
    server,
    fingerprint
  })

  test("is each foreign name once for each list", () => {
    const newcomers = new ListDrift()
    const first = list()
    const shows = (models = first, name = "new") => newcomers.shows(models, "old", signs(name))
    expect([shows(), shows(), shows(first, "newer"), shows(list()), shows()]).toEqual([true, false, true, true, false])
  })

  test("is no name of its list, nor the one asked for, nor the lack of one", () => {
    const newcomers = new ListDrift()
    for (const name of ["old", "OLD:latest", "", undefined]) {
      expect(newcomers.shows(list(), "old", signs(name))).toBe(false)
    }
    expect(newcomers.shows(list(), "alias", signs("old"))).toBe(false)
  })

  test("is another server or build, once, and not the first one", () => {
    const newcomers = new ListDrift()
    const models = list()
    const shows = (server: string | null, build?: string) => newcomers.shows(models, "old", signs("old", server, build))
    expect([shows("a", "1"), shows("a", "1"), shows("b", "1"), shows("b", "1")]).toEqual([false, false, true, false])
    expect([shows("b", "2"), shows("b", "1"), shows("b", "2")]).toEqual([true, false, false])
  })

  test("is bounded, whatever a backend says", () => {
    const newcomers = new ListDrift()
    const models = list()
    const names = Array.from({ length: 1000 }, (_, at) => `name ${String(at)}`)
    expect(names.filter((name) => newcomers.shows(models, "old", signs(name))).length).toBeLessThanOrEqual(100)
  })
})
