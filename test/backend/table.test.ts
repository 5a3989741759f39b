import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import fc from "fast-check"
import { backendTypes, kindNamed, plainType, typeCalled } from "../../src/backend/all.ts"
import type { Kind } from "../../src/backend/Kind.ts"
import { identify } from "../../src/health/identify.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backend } from "../registry/backends.ts"

const all = backendTypes.map((type) => [type, kindNamed(type)] as const)

const repeated = (of: (kind: Kind) => ReadonlyArray<string | number | undefined>) => {
  const told = all.flatMap(([, kind]) => of(kind).filter((each) => each !== undefined))
  return told.filter((each, at) => told.indexOf(each) !== at)
}

describe("the table of kinds", () => {
  test("has no port, name or sign for two of them", () => {
    expect(repeated(({ ports }) => ports)).toEqual([])
    expect(repeated(({ alsoCalled }) => alsoCalled)).toEqual([])
    expect(all.filter(([type]) => typeCalled(type) !== type)).toEqual([])
    expect(repeated(({ fingerprint }) => [fingerprint?.owner])).toEqual([])
    expect(repeated(({ fingerprint }) => [fingerprint?.header])).toEqual([])
    expect(repeated(({ fingerprint }) => [fingerprint?.question?.path])).toEqual([])
    expect(repeated(({ label }) => [label])).toEqual([])
  })

  test("leads from each name that people write, in any case and with any dashes, to the kind that is meant", () => {
    for (const [type, { alsoCalled }] of all) {
      for (const name of [type, ...alsoCalled]) {
        expect([name, [...name.toUpperCase()].join("-"), ` ${name}.`].map(typeCalled)).toEqual([type, type, type])
      }
    }
  })

  test("spells each name in one way: spelling it again changes nothing", () =>
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(...all), (name, [, { spelling = (same: string) => same }]) => {
        expect(spelling(spelling(name))).toBe(spelling(name))
      })
    ))

  for (const [type, { fingerprint, speaks }] of all) {
    const known = fingerprint === undefined ? (speaks.main === "openai" ? plainType : undefined) : type
    test(`tells a server of type ${type} by what it answers, as ${known ?? "none that is known"}`, async () => {
      await using server = await startUpstream({ models: ["m"], type })
      const seen = await Effect.runPromise(
        Transport.use((transport) => identify(transport, backend("b", { url: server.url }), 5000)).pipe(
          Effect.provide(Transport.layer),
          Effect.scoped
        )
      )
      expect(seen).toBe(known)
    })
  }
})
