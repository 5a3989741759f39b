import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { backendTypes, kindNamed } from "../../src/backend/all.ts"
import { beyondBackend } from "../../src/backend/backend.ts"
import {
  askedIn,
  dialectIds,
  isAtLeast,
  isNative,
  nativeRules,
  questionsFor,
  showsIt,
  type Speaker,
  type Speech,
  speechOf,
  spokenRows
} from "../../src/backend/speech.ts"
import { Dialects } from "../../src/dialect/all.ts"
import { backend } from "../registry/backends.ts"

const conditions = (speech: Speech): ReadonlyArray<Speech> =>
  speech.level === "absent" || speech.before === undefined ? [speech] : [speech, ...conditions(speech.before)]

const rows = backendTypes.flatMap((type) => {
  const { dialects, operations = {} } = kindNamed(type).speaks
  return [...Object.entries(dialects), ...Object.entries(operations)].map(
    ([name, speech]) => [type, name, speech] as const
  )
})

const paths = [...new Set(rows.flatMap(([, , speech]) => conditions(speech).flatMap(shownIn)))]

function shownIn(speech: Speech): ReadonlyArray<string> {
  return speech.level === "absent" || speech.shownBy === undefined ? [] : [speech.shownBy.path]
}

const speakers = fc.record({
  type: fc.constantFrom(...backendTypes),
  original: fc.boolean(),
  served: fc.option(
    fc.record({
      version: fc.constantFrom("0.1", "0.14.0", "0.33.0-rc2", "b11669-abc", ""),
      paths: fc.uniqueArray(fc.constantFrom(...paths)).map((all) => Object.fromEntries(all.map((path) => [path, true])))
    }),
    { nil: undefined }
  )
})

const spoken = fc.record({
  dialect: fc.constantFrom(...dialectIds),
  operation: fc.constantFrom("messages", "messages/count_tokens", "responses", "responses/input_tokens", "other")
})

const with_ = (
  { original, served, type }: typeof speakers extends fc.Arbitrary<infer A> ? A : never,
  native?: Speaker["native"]
): Speaker => ({ speaking: kindNamed(type).speaks, native, original, served })

describe("the table of what kinds of servers speak", () => {
  test("answers for every kind and dialect, and one of them is its main one, which is relied on", () => {
    for (const type of backendTypes) {
      const { dialects, main } = kindNamed(type).speaks
      expect(Object.keys(dialects).toSorted()).toEqual([...dialectIds].toSorted())
      expect(dialects[main]).toEqual({ level: "trusted" })
    }
  })

  test("tells of each distrust why, and how that is known", () => {
    for (const [type, name, speech] of rows) {
      for (const each of conditions(speech)) {
        if (each.level !== "distrusted") continue
        expect([type, name, each.why.length > 10, each.source.length > 5]).toEqual([type, name, true, true])
      }
    }
  })

  test("knows the dialects that are served, and names no operation that is none of theirs", () => {
    const dialects = Dialects.defaultValue()
    for (const { id } of dialects) expect(dialectIds.some((known) => known === id)).toBe(true)
  })

  test("has a version that can be compared wherever it names one", () => {
    for (const [, , speech] of rows) {
      for (const each of conditions(speech)) if (each.level !== "absent") expect(each.since ?? "1").toMatch(/\d/)
    }
  })
})

describe("whether a backend is asked in its client's own dialect", () => {
  test("never is no more than what is relied on, and that no more than always", () => {
    fc.assert(
      fc.property(speakers, spoken, (drawn, asked) => {
        const [trusted, always, never] = nativeRules.map((native) => isNative(with_(drawn, native), asked))
        expect([never && !trusted, trusted && !always]).toEqual([false, false])
        expect(isNative(with_(drawn), asked)).toBe(trusted === true)
      })
    )
  })

  test("is so in its main dialect whatever the setting, and in none that it has not shown where it must", () => {
    fc.assert(
      fc.property(speakers, fc.constantFrom(...nativeRules), spoken, (drawn, native, asked) => {
        const speaker = with_(drawn, native)
        expect(isNative(speaker, { dialect: speaker.speaking.main, operation: "other" })).toBe(true)
        if (isNative({ ...speaker, served: undefined }, asked) && asked.dialect !== speaker.speaking.main) {
          const speech = speechOf({ ...speaker, served: undefined }, asked)
          expect(shownIn(speech)).toEqual([])
        }
      })
    )
  })

  test("is so in a dialect that the setting names, where it is there, and in no other by that", () => {
    fc.assert(
      fc.property(speakers, fc.subarray([...dialectIds]), spoken, (drawn, named, asked) => {
        const trusted = isNative(with_(drawn, "trusted"), asked)
        const always = isNative(with_(drawn, "always"), asked)
        expect(isNative(with_(drawn, named), asked)).toBe(trusted || (always && named.includes(asked.dialect)))
      })
    )
  })

  test("what is beyond it there is told of, unless the setting has it asked for that as well", () => {
    const served = { version: "0.33.0", paths: { "/v1/responses": true } }
    const rowOf = (native: Speaker["native"]) =>
      spokenRows({ speaking: kindNamed("vllm").speaks, native, original: false, served }).find(
        ({ name }) => name === "responses"
      )
    expect(rowOf(undefined)?.reason).toContain("translated for")
    for (const native of ["always", ["responses"]] as const) {
      expect(rowOf(native)).toEqual({ name: "responses", native: true, reason: "", source: "" })
    }
  })

  test("nothing is beyond a backend in its main dialect, and that is known without a look at its address", () => {
    let looks = 0
    const cloud = Object.defineProperty(backend("b", { type: "openai" }), "url", {
      get: () => {
        looks += 1
        return "https://api.openai.com"
      }
    })
    const asked = (dialect: string, operation: string) => beyondBackend(cloud, undefined, dialect, operation)
    expect([asked("openai", "chat"), looks]).toEqual([undefined, 0])
    expect([asked("responses", "responses"), looks > 0]).toEqual([undefined, true])
  })

  test("what a server is asked about itself decides something, and is asked once", () => {
    fc.assert(
      fc.property(speakers, fc.constantFrom(...nativeRules), (drawn, native) => {
        const asked = questionsFor(with_(drawn, native)).map(({ path }) => path)
        expect(new Set(asked).size).toBe(asked.length)
        if (native === "never") expect(asked).toEqual([])
      })
    )
    expect(questionsFor({ speaking: kindNamed("generic").speaks, native: undefined, original: false })).toEqual([])
  })

  test("what it is asked in begins with its main dialect, and has no other that is not relied on", () => {
    fc.assert(
      fc.property(speakers, (drawn) => {
        const speaker = with_(drawn)
        const [first, ...others] = askedIn(speaker)
        expect(first).toBe(speaker.speaking.main)
        for (const dialect of others) expect(speechOf(speaker, { dialect, operation: "" }).level).toBe("trusted")
      })
    )
  })
})

describe("a version", () => {
  const newer = [
    ["0.32.0", "0.32"],
    ["0.33.0-rc2", "0.32.15"],
    ["b11669-abc", "b11668"],
    ["1.0", "0.99.9"],
    ["0.32", "0.32.0"]
  ] as const
  for (const [version, least] of newer)
    test(`${version} is ${least} or newer`, () => expect(isAtLeast(version, least)).toBe(true))
  for (const [version, least] of [
    ["0.9", "0.10"],
    ["b100", "b11669"],
    ["", "0.1"]
  ] as const) {
    test(`'${version}' is older than ${least}`, () => expect(isAtLeast(version, least)).toBe(false))
  }
})

test("a path is there by 405 to GET, or by an error other than that it is not there to an empty request", () => {
  const get = { method: "GET", path: "/p" } as const
  const post = { method: "POST", path: "/p" } as const
  for (const status of [200, 401, 404, 500]) expect(showsIt(get, status, {})).toBe(false)
  expect(showsIt(get, 405, undefined)).toBe(true)
  for (const status of [400, 422, 500]) expect(showsIt(post, status, { error: {} })).toBe(true)
  for (const status of [200, 404, 405, 501]) expect(showsIt(post, status, { error: {} })).toBe(false)
  expect(showsIt(post, 400, undefined)).toBe(false)
})
