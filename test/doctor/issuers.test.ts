import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Option } from "effect"
import { diagnose } from "../../src/doctor/diagnose.ts"
import { silentReport } from "../../src/doctor/report.ts"
import { startIssuer } from "../kit/oidc-issuer.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-doctor-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const looked = async (lines: string) => {
  const file = join(folder, "nexus.toml")
  writeFileSync(
    file,
    `[server]\nport = 0\n[discovery]\nenabled = false\n[[auth.issuers]]\nname = "corp"\naudience = ["nexus"]\n${lines}`
  )
  const { sections } = await Effect.runPromise(
    diagnose({ config: Option.some(file), overrides: {}, inference: false, report: silentReport })
  )
  return sections.find(({ name }) => name === "issuer corp")?.findings ?? []
}

test("doctor says which keys an issuer tells", async () => {
  await using issuer = await startIssuer()
  expect(await looked(`issuer = "${issuer.url}"`)).toEqual([
    {
      check: "keys",
      severity: "ok",
      seen: `1 from ${issuer.url}/jwks, told at ${issuer.url}/.well-known/openid-configuration (key-1)`
    }
  ])
})

test("doctor says why an issuer tells none, and what would mend it", async () => {
  await using issuer = await startIssuer()
  expect(await looked(`issuer = "${issuer.url}/"`)).toMatchObject([
    {
      check: "keys",
      severity: "error",
      seen: expect.stringContaining("which is another text"),
      fix: expect.any(String)
    }
  ])
  issuer.instead((_, response) => void response.writeHead(404).end())
  expect(await looked(`issuer = "${issuer.url}"`)).toMatchObject([
    { severity: "error", seen: expect.stringContaining("status 404") }
  ])
})

test("doctor says when the clock of an issuer is another", async () => {
  await using issuer = await startIssuer()
  const keys = JSON.stringify(issuer.jwks())
  issuer.instead((_, response) => void response.writeHead(200, { date: "Mon, 01 Jan 2001 00:00:00 GMT" }).end(keys))
  expect(await looked(`issuer = "corp"\njwks_url = "${issuer.url}/jwks"`)).toMatchObject([
    { check: "keys", severity: "ok" },
    {
      check: "clock",
      severity: "warning",
      seen: expect.stringMatching(/^its clock is \d+ s (ahead of|behind) this one/)
    }
  ])
})
