/**
 * Who may do what, found out by asking the rules themselves.
 */
import { type AdmissionRules, admit, changeRefusal, makeAdmission } from "../src/admission/access.ts"
import { KeyRing } from "../src/admission/key-ring.ts"
import { areas, areaOf } from "../src/admission/permissions.ts"
import { Unauthorized } from "../src/domain/errors.ts"
import type { AuthKey } from "../src/domain/grant.ts"
import type { KnownToken, TokenIssuer } from "../src/domain/token-issuer.ts"
import { RevokedTokens } from "../src/domain/revoked-tokens.ts"
import { type Claims, tokenFacts, tokenGrant } from "../src/issuer/token-grant.ts"
import { Result } from "effect"
import { createHash } from "node:crypto"

const key = (name: string, terms: Partial<AuthKey>): AuthKey => ({
  name,
  digest: createHash("sha256").update(name).digest(),
  ...terms
})

const kinds = [
  { who: "a key", key: key("plain", {}) },
  { who: "a key with `models` or `backends`", key: key("limited", { models: ["a"] }) },
  { who: "a key with `metrics = true`", key: key("scrape", { metrics: true }) },
  { who: "a key with `admin = true`", key: key("chief", { admin: true }) }
]

const issuer: TokenIssuer = {
  name: "corp",
  issuer: "https://login.example",
  audience: ["nexus"],
  algorithms: ["RS256"],
  toleranceMs: 0,
  refreshMs: 1,
  keptMs: 1,
  claims: { name: "sub", labels: {} },
  required: { groups: ["llm"] },
  terms: {},
  roles: [
    { name: "some", claims: { role: ["some"] }, terms: { models: ["a"] } },
    { name: "scrape", claims: { role: ["scrape"] }, terms: { metrics: true } },
    { name: "chiefs", claims: { role: ["chief"] }, terms: { admin: true } }
  ]
}

/** Tokens that are good as such, by what is shown in their place. */
const tokens: ReadonlyMap<string, { readonly who: string; readonly claims: Claims }> = new Map(
  [
    { who: "a token of an issuer", claims: { groups: ["llm"] } },
    { who: "a token without the claims that are required", claims: {} },
    { who: "a token that was revoked", claims: { groups: ["llm"], role: "chief", jti: "gone" } },
    { who: "a token whose role has `models` or `backends`", claims: { groups: ["llm"], role: "some" } },
    { who: "a token whose role has `metrics = true`", claims: { groups: ["llm"], role: "scrape" } },
    { who: "a token whose role has `admin = true`", claims: { groups: ["llm"], role: "chief" } }
  ].map(({ claims, who }) => [who.replaceAll(" ", "_"), { who, claims: { sub: "somebody", ...claims } }])
)

const revoked = new RevokedTokens([{ id: "1", issuer: issuer.issuer, by: "token_id", of: "gone", made: 0 }])

const knownToken: KnownToken = (given) => {
  const token = tokens.get(given)
  if (token === undefined) return undefined
  if (revoked.has(tokenFacts(issuer, token.claims, "")))
    return { refused: new Unauthorized({ message: "The token has been revoked" }), isGuess: false }
  const granted = tokenGrant(issuer, token.claims)
  return Result.isSuccess(granted) ? granted.success : { refused: granted.failure, isGuess: false }
}

const rulesWith = (keys: ReadonlyArray<AuthKey>): AdmissionRules => {
  const ring = new KeyRing(keys)
  return makeAdmission({
    hostname: "0.0.0.0",
    allowedHosts: [],
    origins: [],
    keys: () => ring,
    ...(keys.length === 0 ? {} : { tokens: { known: knownToken, check: () => Promise.resolve(knownToken) } })
  })
}

/** Paths that stand for all of their area. */
const samples = {
  pages: "/docs",
  models: "/v1/models",
  metrics: "/metrics",
  state: "/nexus/backends",
  administration: "/admin/v1/backends",
  keys: "/admin/v1/keys"
} as const

const headings = {
  pages: "`/`, `/docs`, `/livez`, `/readyz`",
  ...areas,
  changes: 'having an Ollama get, make or lose models (`model_changes = "admins"`)'
} as const

const places = [
  ["this machine", "127.0.0.1"],
  ["another", "192.0.2.1"]
] as const

const mayIt = (rules: AdmissionRules, given: string | undefined, peer: string) => {
  const headers = { host: "nexus", ...(given === undefined ? {} : { authorization: `Bearer ${given}` }) }
  const visitor = { now: () => 0, peer: () => peer }
  const opens = (path: string): boolean => {
    const request = new Request(`http://nexus${path}`, { headers })
    return admit(rules, request, path, visitor).refusal === undefined
  }
  const asked = new Request("http://nexus/api/pull", { headers })
  return [
    ...Object.values(samples).map(opens),
    opens("/api/pull") && changeRefusal(rules, asked, visitor) === undefined
  ]
}

/** The table of who may do what, as the rules of admission have it. */
export const permissionTable = (): string => {
  for (const [area, path] of Object.entries(samples)) {
    if (area !== "pages" && areaOf(path) !== area) throw new Error(`${path} is not in the area '${area}'`)
  }
  const open = rulesWith([])
  const locked = rulesWith(kinds.map((each) => each.key))
  const rows = places.flatMap(([place, peer]) =>
    [
      { who: "anybody, where there are no keys", rules: open, given: undefined },
      { who: "somebody without a key, where there are", rules: locked, given: undefined },
      ...kinds.map((each) => ({ who: each.who, rules: locked, given: each.key.name })),
      ...[...tokens].map(([given, { who }]) => ({ who, rules: locked, given }))
    ].map(({ given, rules, who }) => [who, place].concat(mayIt(rules, given, peer).map((may) => (may ? "yes" : "—"))))
  )
  const head = ["who", "from", ...Object.values(headings)]
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")
}
