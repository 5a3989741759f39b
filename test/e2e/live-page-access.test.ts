import { createHash } from "node:crypto"
import { describe, expect, test } from "bun:test"
import type { Secrets } from "../../src/config/compile.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const withKey: Secrets = {
  backendKeys: new Map(),
  authKeys: [{ name: "team", digest: createHash("sha256").update("right").digest(), admin: true }]
}

const own = "origin: http://127.0.0.1"

const started = async (settings: SettingsTree, secrets?: Secrets) => {
  const upstream = await startUpstream({ models: ["m"] })
  const gateway = await startGateway({ backends: [backendFor("a", upstream)], ...settings }, secrets)
  return {
    gateway,
    port: gateway.port,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

const cookieIn = (header: string | undefined): string => header?.split(";")[0] ?? ""

describe("the live page", () => {
  test("and its files are sent to whoever asks, with rules that let a browser run nothing else", async () => {
    await using at = await started({}, withKey)
    const page = await fetch(`${at.gateway.url}/ui`)
    expect(page.url).toBe(`${at.gateway.url}/ui/`)
    expect(page.headers.get("content-type")).toContain("text/html")
    const rules = page.headers.get("content-security-policy") ?? ""
    expect(rules).toContain("default-src 'none'")
    expect(rules).toContain("frame-ancestors 'none'")
    expect(rules).not.toContain("unsafe")
    const html = await page.text()
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/)
    for (const name of ["page.js", "page.css", "live-worker.js"]) {
      const file = await fetch(`${at.gateway.url}/ui/${name}`)
      expect([name, file.status]).toEqual([name, 200])
      const again = await fetch(`${at.gateway.url}/ui/${name}`, {
        headers: { "if-none-match": file.headers.get("etag") ?? "" }
      })
      expect(again.status).toBe(304)
      expect(await file.text()).not.toContain("https://cdn")
    }
    expect((await fetch(`${at.gateway.url}/ui/nothing.js`)).status).toBe(404)
  })

  test("is small enough for a slow line", async () => {
    await using at = await started({})
    let bytes = 0
    for (const name of ["", "page.js", "page.css", "live-worker.js"]) {
      const { body } = await ask(at.port, "GET", `/ui/${name}`, "", ["accept-encoding: gzip"])
      bytes += body.length
    }
    expect(bytes).toBeLessThan(150 * 1024)
  })

  test("keeps the key in a cookie that no script reads, and that is good for the page alone", async () => {
    await using at = await started({}, withKey)
    const signIn = await ask(at.port, "POST", "/ui/session", "", [own, "authorization: Bearer right"])
    expect(signIn.status).toBe(204)
    const header = signIn.header("set-cookie")
    expect(header).toContain("HttpOnly")
    expect(header).toContain("SameSite=Strict")
    const cookie = `cookie: ${cookieIn(header)}`
    const status = async (method: string, path: string, headers: ReadonlyArray<string>) =>
      (await ask(at.port, method, path, "", headers)).status
    expect(await status("GET", "/admin/v1/config", [cookie])).toBe(200)
    expect(await status("GET", "/admin/v1/config", [])).toBe(401)
    expect(await status("POST", "/admin/v1/backends/a/disable", [cookie, own])).not.toBe(401)
    // A page of another port on this machine has the same cookie sent along.
    expect(await status("POST", "/admin/v1/backends/a/disable", [cookie, "origin: http://127.0.0.1:1"])).toBe(403)
    expect(await status("POST", "/admin/v1/backends/a/disable", [cookie])).toBe(401)
    expect(await status("POST", "/v1/chat/completions", [cookie])).toBe(401)
    const out = await ask(at.port, "DELETE", "/ui/session", "", [cookie, own])
    expect(out.header("set-cookie")).toContain("Max-Age=0")
  })

  test("signs nobody in with a key that is not known", async () => {
    await using at = await started({}, withKey)
    const signIn = await ask(at.port, "POST", "/ui/session", "", [own, "authorization: Bearer wrong"])
    expect(signIn.status).toBe(401)
    expect(signIn.header("set-cookie")).toBeUndefined()
    expect(signIn.text).not.toContain("wrong")
  })

  test("of somebody else's name that leads here is no page of ours", async () => {
    await using at = await started({ server: { host: "0.0.0.0", insecure: true } })
    const headers = { host: "name.example", origin: "http://name.example" }
    const { status } = await fetch(`${at.gateway.url}/admin/v1/backends/a/disable`, { method: "POST", headers })
    expect(status).toBe(403)
  })

  test("changes nothing where it may only look, and is not there when it is off", async () => {
    await using looking = await started({ admin: { live_page: "read_only" } })
    const change = await ask(looking.port, "POST", "/admin/v1/backends/a/disable", "", [own])
    expect(change.status).toBe(403)
    expect(change.text).toContain("admin.live_page")
    expect((await ask(looking.port, "GET", "/admin/v1/config", "", [own])).status).toBe(200)
    await using off = await started({ admin: { live_page: "off" } })
    expect((await ask(off.port, "GET", "/ui/", "", [])).status).toBe(403)
    expect((await ask(off.port, "POST", "/admin/v1/backends/a/disable", "", [own])).status).toBe(403)
  })
})
