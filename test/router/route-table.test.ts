import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { matchOf } from "../../src/config/compile-routes.ts"
import { isCovered } from "../../src/config/route-rules.ts"
import { isWithin, matchesGlob } from "../../src/domain/glob.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import type { Rule, RuleMatch } from "../../src/domain/routing.ts"
import { isInShare, isWithinTime, missOf, type RuleFacts, rulingFor, unitOf } from "../../src/router/route-table.ts"

const [operation] = openai.operations

const letters = fc.string({ unit: fc.constantFrom("a", "b", "-"), maxLength: 4 })
const glob = fc.string({ unit: fc.constantFrom("a", "b", "-", "*", "?"), minLength: 1, maxLength: 5 })
const globs = fc.array(glob, { minLength: 1, maxLength: 2 })

const opt = <A>(of: fc.Arbitrary<A>) => fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, of)

const entry = fc
  .record({
    model: opt(globs),
    key: opt(globs),
    endpoint: opt(fc.constantFrom("chat/*", "embeddings", "*")),
    abilities: opt(fc.constantFrom<Array<"tools" | "vision">>(["tools"], ["vision"], ["tools", "vision"])),
    headers: opt(fc.dictionary(fc.constantFrom("x-a", "X-B"), glob, { maxKeys: 2 })),
    prompt_tokens: opt(fc.record({ min: fc.nat(20), max: fc.nat(40) })),
    time: opt(fc.constantFrom("08:00-18:00", "22:00-06:00")),
    days: opt(fc.subarray(["mon", "tue", "sat"] as const, { minLength: 1 })),
    timezone: fc.constant(undefined)
  })
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))

const match: fc.Arbitrary<RuleMatch> = entry.map((each) => matchOf(each as Parameters<typeof matchOf>[0])) // reason: as the Schema decodes it

const facts: fc.Arbitrary<RuleFacts> = fc
  .record({
    name: letters,
    key: opt(letters),
    tokens: fc.nat(50),
    abilities: fc.subarray(["tools", "vision"] as const),
    a: opt(letters),
    b: opt(letters),
    at: fc.integer({ min: 1_700_000_000_000, max: 1_701_000_000_000 })
  })
  .map(({ a, abilities, at, b, key, name, tokens }) => ({
    needs: { operation, abilities, promptTokens: tokens },
    names: [name],
    key,
    header: (header) => (header === "x-a" ? a : header === "x-b" ? b : undefined) ?? null,
    at
  }))

const ruleOf = (name: string, of: RuleMatch, canary?: Rule["canary"]): Rule => ({
  name,
  match: of,
  side: {},
  canary,
  shadow: undefined,
  strategy: undefined,
  weights: undefined
})

const asRegExp = (text: string): RegExp => new RegExp(`^${text.replaceAll("?", ".").replaceAll("*", ".*")}$`, "s")

describe("globs", () => {
  test("mean what the same as a regular expression does", () =>
    fc.assert(fc.property(glob, letters, (each, text) => matchesGlob(each, text) === asRegExp(each).test(text))))

  test("within another mean nothing that the other does not", () =>
    fc.assert(
      fc.property(glob, glob, letters, (narrow, wide, text) => {
        for (const each of [narrow, narrow + text, text]) {
          if (isWithin(each, wide) && matchesGlob(each, text)) expect(matchesGlob(wide, text)).toBe(true)
        }
      })
    ))
})

describe("the route table", () => {
  test("a request goes by the first rule that is for it, and each one before it says why not", () =>
    fc.assert(
      fc.property(fc.array(match, { maxLength: 6 }), facts, (matches, request) => {
        const rules = matches.map((each, at) => ruleOf(`r${at}`, each))
        const { misses, rule } = rulingFor(rules, request, 1)
        const first = matches.findIndex((each) => missOf(each, request) === undefined)
        expect(rule?.name).toBe(first < 0 ? undefined : `r${first}`)
        expect(misses).toHaveLength(first < 0 ? rules.length : first)
      })
    ))

  test("a rule that matches nothing in particular is for every request", () =>
    fc.assert(fc.property(facts, (request) => missOf({}, request) === undefined)))

  test("a match is for what each of its parts is for, and for nothing else", () =>
    fc.assert(
      fc.property(match, facts, (all, request) => {
        const parts = Object.entries(all).map(([name, value]): RuleMatch => ({ [name]: value }))
        expect(missOf(all, request) === undefined).toBe(parts.every((part) => missOf(part, request) === undefined))
      })
    ))

  test("a rule that is said never to be reached is for nothing that the one before it is not for", () =>
    fc.assert(
      fc.property(match, match, facts, (more, wide, request) => {
        for (const narrow of [more, { ...more, ...wide }, { ...wide, ...more }]) {
          if (isCovered(narrow, wide) && missOf(narrow, request) === undefined) {
            expect(missOf(wide, request)).toBeUndefined()
          }
        }
      }),
      { numRuns: 3000 }
    ))

  test("the same match twice is always found out", () =>
    fc.assert(
      fc.property(match, (each) => {
        const plain = JSON.stringify(each)
        fc.pre(!plain.includes("?"))
        expect(isCovered(each, structuredClone(each))).toBe(true)
      })
    ))
})

describe("times", () => {
  // A Friday.
  const friday = Date.UTC(2026, 10, 27)
  const at = (hour: number, minute = 0) => friday + (hour * 60 + minute) * 60_000
  const night = { hours: { from: 22 * 60, until: 6 * 60 }, timezone: "UTC" }

  test("over midnight hold on both sides of it, to the minute", () => {
    const held = [at(21, 59), at(22), at(24), at(29, 59), at(30)].map((when) => isWithinTime(night, when))
    expect(held).toEqual([false, true, true, true, false])
  })
  test("what has begun on a day belongs to it after midnight", () => {
    const fridays = { ...night, days: [5] }
    expect([at(-1), at(2), at(23), at(26), at(47)].map((when) => isWithinTime(fridays, when))).toEqual([
      false,
      false,
      true,
      true,
      false
    ])
  })
  test("are those of their time zone, summer time and all", () => {
    const office = { hours: { from: 9 * 60, until: 17 * 60 }, timezone: "Europe/Berlin" }
    expect(isWithinTime(office, Date.UTC(2026, 0, 7, 8, 0))).toBe(true)
    expect(isWithinTime(office, Date.UTC(2026, 0, 7, 7, 59))).toBe(false)
    expect(isWithinTime(office, Date.UTC(2026, 6, 8, 7, 0))).toBe(true)
  })
})

describe("shares", () => {
  test("are as large as they say, whatever the ids look like", () => {
    for (const idOf of [(at: number) => String(at), (at: number) => `chat-${at}`, () => crypto.randomUUID()]) {
      for (const share of [0.01, 0.05, 0.5]) {
        let drawn = 0
        for (let at = 0; at < 20_000; at += 1) {
          const unit = unitOf({ id: idOf(at), key: undefined, request: { headers: { get: () => null } } }, [])
          if (isInShare(unit, "rule", share)) drawn += 1
        }
        // Five deviations.
        expect(Math.abs(drawn / 20_000 - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / 20_000))
      }
    }
  })
  test("none is nobody, all is everybody, and who is in a share is in every larger one", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.string(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (unit, salt, share) => {
          expect(isInShare(unit, salt, 0)).toBe(false)
          expect(isInShare(unit, salt, 1)).toBe(true)
          if (isInShare(unit, salt, share)) expect(isInShare(unit, salt, (1 + share) / 2)).toBe(true)
        }
      )
    ))
  test("a session stays on its side, whatever its requests are called", () =>
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string(), fc.string(), (session, a, b) => {
        const of = (id: string) =>
          unitOf(
            {
              id,
              key: undefined,
              request: { headers: { get: (name) => (name === "x-own-session" ? session : null) } }
            },
            ["session-id", "x-own-session"]
          )
        expect(of(a)).toBe(of(b))
      })
    ))
})
