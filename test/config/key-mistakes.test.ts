import { describe, expect, test } from "bun:test"
import { mistakesOf } from "./reading.ts"

const cases: ReadonlyArray<readonly [what: string, toml: string, told: string]> = [
  [
    "a key of clients without a digest",
    `[[auth.keys]]\nname = "k"`,
    `nexus.toml:1: auth.keys[0] has none of sha256, env, key_file, key: exactly one is needed`
  ],
  [
    "a key of clients with a digest and a variable",
    `[[auth.keys]]\nname = "k"\nsha256 = "${"a".repeat(64)}"\nenv = "HERE"`,
    `nexus.toml:1: auth.keys[0] has sha256 and env: exactly one is needed`
  ],
  [
    "a key of clients beside a digest, without showing it",
    `[[auth.keys]]\nname = "k"\nsha256 = "${"a".repeat(64)}"\nkey = "nx-secret"`,
    `nexus.toml:1: auth.keys[0] has sha256 and key: exactly one is needed`
  ],
  [
    "a key of clients that can be none, without showing it",
    `[[auth.keys]]\nname = "k"\nkey = "nx secret"`,
    `nexus.toml:3: auth.keys[0].key = "…": it holds spaces or characters that no key can have`
  ],
  [
    "a key of clients under another name, without showing it",
    `[[auth.keys]]\nname = "k"\nsha256 = "${"a".repeat(64)}"\ntoken = "nx-secret"`,
    `nexus.toml:4: unknown key auth.keys[0].token: a key does not stand in this file; sha256 holds its digest (nexus keys new prints both), env names the variable that holds it`
  ],
  [
    "the same key of clients twice",
    `[[auth.keys]]\nname = "k"\nkey = "nx-one"\n[[auth.keys]]\nname = "l"\nkey = "nx-one"`,
    `nexus.toml:4: auth.keys[1] is the same key as auth.keys[0]; each must be another`
  ],
  [
    "a network with digits behind its length",
    `[[auth.keys]]\nname = "k"\nkey = "nx-one"\nnetworks = ["10.0.0.1/8"]`,
    `nexus.toml:4: auth.keys[0].networks[0] = "10.0.0.1/8": expected a network such as 10.0.0.0/8 or fd00::/8, one address as 10.1.2.3/32; the digits behind its length must be 0`
  ],
  [
    "a key of clients that ends on a day that is none",
    `[[auth.keys]]\nname = "k"\nkey = "nx-one"\nexpires = "2027-02-30"`,
    `nexus.toml:4: auth.keys[0].expires = "2027-02-30": expected a day such as 2027-01-31, or a moment such as 2027-01-31T18:00:00Z`
  ],
  [
    "a key of clients that ends before it begins",
    `[[auth.keys]]\nname = "k"\nkey = "nx-one"\nnot_before = 2027-02-03\nexpires = 2027-02-02T10:00:00Z`,
    `nexus.toml:5: auth.keys[0].expires = "2027-02-02T10:00:00.000Z": it ends before it begins (not_before)`
  ],
  [
    "a key before another one without its end",
    `[[auth.keys]]\nname = "k"\nkey = "nx-one"\nprevious_sha256 = "${"a".repeat(64)}"`,
    `nexus.toml:4: auth.keys[0].previous_sha256 needs previous_until as well`
  ],
  [
    "a key for the metrics alone that may administer",
    `[[auth.keys]]\nname = "k"\nkey = "nx-one"\nmetrics = true\nadmin = true`,
    `nexus.toml:5: auth.keys[0].admin: with metrics = true the key is for /metrics alone`
  ]
]

describe("keys of clients are refused with file, line, key and what is allowed:", () => {
  for (const [what, toml, told] of cases)
    test(what, () => expect(mistakesOf(toml, { env: { HERE: "nx-here" } })).toEqual([told]))
})

test("a proxy that is trusted is a network, and not everybody", () => {
  expect(mistakesOf('[server]\ntrusted_proxies = ["10.0.0.1/8", "0.0.0.0/0", "10.0.0.0/8"]')).toEqual([
    'nexus.toml:2: server.trusted_proxies[0] = "10.0.0.1/8": expected a network such as 10.0.0.0/8 or fd00::/8, one address as 10.1.2.3/32; the digits behind its length must be 0',
    'nexus.toml:2: server.trusted_proxies[1] = "0.0.0.0/0": everybody would be a proxy'
  ])
})

test("a budget whose sums are not kept for as long as it counts them is refused, and one that has them is not", () => {
  const budget = (days: number, per: string) =>
    mistakesOf(`[usage]\nsums_days = ${days}\n[[budgets]]\nname = "all"\nhard_usd = 1\n${per}`)
  expect(budget(30, "")).toEqual([
    "nexus.toml:2: usage.sums_days = 30: must not be less than 31: the budget 'all' is by the month"
  ])
  expect(budget(6, 'per = "week"')).toHaveLength(1)
  for (const [days, per] of [
    [31, ""],
    [7, 'per = "week"'],
    [1, 'per = "day"']
  ] as const)
    expect(budget(days, per)).toEqual([])
})
