import { expect, test } from "bun:test"
import fc from "fast-check"
import { type DiscoveryAction, decideAction, type DiscoveredServer, type Sighting } from "../../src/discovery/decide.ts"

const graceMs = 60_000

const sight: fc.Arbitrary<Sighting> = fc.oneof(
  fc.record({
    _tag: fc.constant("Answers" as const),
    type: fc.constantFrom("ollama" as const, "vllm" as const),
    url: fc.constantFrom("http://10.0.0.5:1", "http://10.0.0.6:1")
  }),
  fc.record({ _tag: fc.constantFrom("Well" as const, "Nothing" as const, "Withdrawn" as const, "Taken" as const) })
)

/** Looks in turn, each with the time since the one before. */
const looks = fc.array(fc.record({ sight, after: fc.integer({ min: 0, max: 40_000 }) }), { maxLength: 40 })

interface Step {
  readonly sight: Sighting
  readonly now: number
  readonly before: DiscoveredServer | undefined
  readonly after: DiscoveredServer | undefined
  readonly deed: DiscoveryAction
}

const follow = (all: ReadonlyArray<{ readonly sight: Sighting; readonly after: number }>): ReadonlyArray<Step> => {
  let found: DiscoveredServer | undefined
  let now = 0
  return all.map(({ sight, after }) => {
    now += after
    const before = found
    const { deed, awaySince } = decideAction(before, sight, now, graceMs)
    if (deed._tag === "Add" || deed._tag === "Replace") {
      found = { name: deed.type, type: deed.type, url: deed.url, awaySince }
    } else if (deed._tag === "Drop") found = undefined
    else if (found !== undefined) found = { ...found, awaySince, ...(deed._tag === "Move" ? { url: deed.url } : {}) }
    return { sight, now, before, after: found, deed }
  })
}

const isAway = ({ _tag }: Sighting) => _tag === "Nothing" || _tag === "Withdrawn"

test("a server is taken out for being gone only when every look of the whole grace has missed it", () =>
  fc.assert(
    fc.property(looks, (all) => {
      const steps = follow(all)
      steps.forEach(({ deed, now }, at) => {
        if (deed._tag !== "Drop" || deed.why !== "gone") return
        const since = steps.slice(0, at + 1).findLastIndex((each) => !isAway(each.sight)) + 1
        expect(now - (steps[since]?.now ?? now)).toBeGreaterThanOrEqual(graceMs)
      })
    })
  ))

test("one that comes back within the grace keeps its name and its place", () =>
  fc.assert(
    fc.property(fc.array(fc.constantFrom("Nothing" as const, "Withdrawn" as const), { maxLength: 6 }), (away) => {
      const here: Sighting = { _tag: "Answers", type: "ollama", url: "http://10.0.0.5:1" }
      const misses = away.map((_tag) => ({ sight: { _tag }, after: 9000 }))
      const steps = follow([{ sight: here, after: 0 }, ...misses, { sight: here, after: 9000 }])
      expect(steps.map(({ deed }) => deed._tag)).toEqual(["Add", ...away.map(() => "Nothing" as const), "Probe"])
      expect(steps.at(-1)?.after?.awaySince).toBeUndefined()
    })
  ))

test("however it flaps, it is added once for each time it was taken out", () =>
  fc.assert(
    fc.property(looks, (all) => {
      const steps = follow(all)
      for (const { deed, before, after } of steps) {
        if (deed._tag === "Add") expect(before).toBeUndefined()
        if (deed._tag === "Drop") expect([before === undefined, after]).toEqual([false, undefined])
      }
    })
  ))

test("a move keeps the name, and another kind of server never does", () =>
  fc.assert(
    fc.property(looks, (all) => {
      for (const { deed, before, after } of follow(all)) {
        if (deed._tag === "Move")
          expect([after?.name, after?.type, after?.url]).toEqual([before?.name, before?.type, deed.url])
        if (deed._tag === "Replace") expect(after?.name).not.toBe(before?.name)
      }
    })
  ))

test("what is a backend already is never added, and goes at once", () =>
  fc.assert(
    fc.property(looks, (all) => {
      for (const { sight, after } of follow(all)) if (sight._tag === "Taken") expect(after).toBeUndefined()
    })
  ))
