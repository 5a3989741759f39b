import { describe, expect, test } from "bun:test"
import { loadedFrom, mistakesOf } from "./reading.ts"

const base = '[[auth.issuers]]\nname = "corp"\naudience = ["nexus"]\n'

const whole = `${base}issuer = "https://login.example"\n`

const cases: ReadonlyArray<readonly [what: string, toml: string, told: ReadonlyArray<string>]> = [
  [
    "without an audience, by which tokens for others would be taken",
    '[[auth.issuers]]\nname = "corp"\nissuer = "https://login.example"',
    ["nexus.toml:1: auth.issuers[0].audience is missing: expected a list of texts that are not empty"]
  ],
  [
    "whose name is no address, where it has to be asked there",
    `${base}issuer = "login"`,
    [
      `nexus.toml:4: auth.issuers[0].issuer = "login": expected an address such as https://login.example/realms/corp; where it is none, jwks_url or jwks_file says where its keys are`
    ]
  ],
  [
    "whose keys are said to be in two places",
    `${whole}jwks_url = "https://login.example/keys"\njwks_file = "keys.json"`,
    ["nexus.toml:5: auth.issuers[0] has jwks_url and jwks_file: one of them is enough"]
  ],
  [
    "whose keys are at no address",
    `${base}issuer = "login"\njwks_url = "keys"`,
    [`nexus.toml:5: auth.issuers[0].jwks_url = "keys": expected an address such as https://login.example/realms/corp`]
  ],
  [
    "that shares a secret with whoever signs",
    `${whole}algorithms = ["HS256"]`,
    [
      `nexus.toml:5: auth.issuers[0].algorithms[0] = "HS256": expected "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" | "ES256" | "ES384" | "ES512" | "EdDSA"; did you mean "RS256"?`
    ]
  ],
  [
    "with a role that every token would have",
    `${whole}[[auth.issuers.roles]]\nname = "all"\nclaims = {}`,
    ["nexus.toml:7: auth.issuers[0].roles[0].claims names no claim: every token would have the role"]
  ],
  [
    "with a role for the metrics alone that may administer",
    `${whole}[[auth.issuers.roles]]\nname = "all"\nclaims = { a = ["b"] }\nmetrics = true\nadmin = true`,
    ["nexus.toml:9: auth.issuers[0].roles[0].admin: with metrics = true the tokens are for /metrics alone"]
  ],
  [
    "that is named twice",
    `${whole}[[auth.issuers]]\nname = "other"\naudience = ["x"]\nissuer = "https://login.example"`,
    [expect.stringContaining("auth.issuers[1].issuer")]
  ]
]

describe("an issuer is refused", () => {
  for (const [what, toml, told] of cases) test(what, () => expect(mistakesOf(toml)).toEqual([...told]))

  test("whose file holds no keys, or is not there", () => {
    const toml = `${whole}jwks_file = "keys.json"`
    const at = `nexus.toml:5: auth.issuers[0].jwks_file = "keys.json": `
    expect(mistakesOf(toml, { files: new Map([["keys.json", { text: "{}" }]]) })).toEqual([
      `${at}this file holds no set of keys (JWKS)`
    ])
    expect(mistakesOf(toml, { files: new Map([["keys.json", { fault: "there is no such file" }]]) })).toEqual([
      `${at}there is no such file`
    ])
  })
})

test("rules may be for keys of an issuer's tokens, which nobody knows beforehand", () => {
  const rule = (key: string) => `${whole}[[routes]]\nname = "r"\nmodel = "m"\nmatch = { key = "${key}" }`
  expect(mistakesOf(rule("corp:alice"))).toEqual([])
  expect(mistakesOf(rule("corp:*"))).toEqual([])
  expect(mistakesOf(rule("other:alice"))).toEqual([expect.stringContaining("no [[auth.keys]] is called so")])
})

test("with an issuer the gateway may listen beyond this machine, and nobody is warned that it is open", () => {
  const { warnings } = loadedFrom(`[server]\nhost = "0.0.0.0"\n${whole}`)
  expect(warnings).toEqual([])
})

test("keys that come over an open network are worth a warning, not those of the house", () => {
  const of = (address: string) => loadedFrom(`${base}issuer = "${address}"`).warnings
  expect(of("http://login.example/")).toEqual([
    "nexus.toml:4: issuer corp: its public keys cross the network unencrypted, so whoever sits in between can let anybody in; use https"
  ])
  expect(of("http://keycloak:8080/realms/corp")).toEqual([])
})
