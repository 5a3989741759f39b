import { describe, expect, test } from "bun:test"
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Process, startGateway, startProcess } from "../kit/gateway.ts"
import { program } from "../kit/program.ts"
import { ask } from "../kit/rawClient.ts"

const body = JSON.stringify({ model: "m", messages: [] })

/** A folder that is gone at the end. */
const folder = () => {
  const path = mkdtempSync(join(tmpdir(), "nexus-admin-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

const asked = async (socket: string, path: string, init: RequestInit = {}) => {
  const answer = await fetch(`http://localhost${path}`, { ...init, unix: socket })
  return { status: answer.status, text: await answer.text() }
}

const nexus = async (gateway: Process, ...args: ReadonlyArray<string>) => {
  const child = Bun.spawn([...program, ...args, "-c", gateway.config, "-p", String(gateway.port)], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NO_COLOR: "1" }
  })
  const said = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text())
  return { code: await child.exited, said }
}

describe("administration on a port of its own", () => {
  test("is not to be had on the public one, and nothing is forwarded there", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      admin: { listen: "127.0.0.1:0" },
      backends: [backendFor("a", upstream)]
    })
    const port = gateway.running.adminPort ?? 0
    expect(port).not.toBe(gateway.port)
    for (const path of ["/admin/v1/decisions", "/admin/v1/backends", "/admin/v1/nothing"]) {
      const answer = await ask(gateway.port, "GET", path)
      expect(answer.status).toBe(404)
      expect(answer.text).toContain("not_found")
    }
    expect((await ask(gateway.port, "POST", "/v1/chat/completions", body)).status).toBe(200)
    expect((await ask(port, "GET", "/admin/v1/decisions")).status).toBe(200)
    expect((await ask(port, "GET", "/health")).status).toBe(200)
    for (const path of ["/v1/chat/completions", "/chat/completions", "/v1/chat/completions/"]) {
      const elsewhere = await ask(port, "POST", path, body)
      expect([elsewhere.status, elsewhere.text]).toEqual([404, expect.stringContaining("other address")])
    }
    expect((await ask(port, "GET", "/admin/v1/decisions", "", ["Origin: https://page.example"])).status).toBe(403)
    expect((await ask(port, "GET", "/v1/../admin/v1/decisions")).status).toBe(400)
    expect(upstream.calls()).toHaveLength(1)
  })
})

describe.each([
  ["alone", []],
  ["two workers", ["--workers", "2"]]
] as const)("administration on a Unix socket (%s)", (_, args) => {
  test("is this user's alone, is found by the commands, and is gone at the end", async () => {
    using home = folder()
    const socket = join(home.path, "admin.sock")
    await using upstream = await startUpstream({ models: ["m"] })
    const gateway = await startProcess({ admin: { listen: socket }, backends: [backendFor("a", upstream)] }, args)
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    expect((await ask(gateway.port, "GET", "/admin/v1/config")).status).toBe(404)
    expect((await asked(socket, "/admin/v1/config")).status).toBe(200)
    expect((await asked(socket, "/v1/chat/completions", { method: "POST", body })).status).toBe(404)
    const drained = await nexus(gateway, "backends", "drain", "a")
    expect(drained).toMatchObject({ code: 0 })
    expect((await asked(socket, "/nexus/backends")).text).toContain("draining")
    expect((await nexus(gateway, "health")).said).toContain("draining")
    gateway.signal("SIGTERM")
    expect(await gateway.exited).toBe(0)
    expect(existsSync(socket)).toBe(false)
  })
})

describe("a socket that is there already", () => {
  test("is taken over when an earlier gateway left it behind", async () => {
    using home = folder()
    const socket = join(home.path, "admin.sock")
    const settings = { admin: { listen: socket } }
    const killed = await startProcess(settings)
    killed.signal("SIGKILL")
    await killed.exited
    expect(existsSync(socket)).toBe(true)
    await using gateway = await startProcess(settings)
    expect(gateway.port).toBeGreaterThan(0)
    expect((await asked(socket, "/admin/v1/config")).status).toBe(200)
  })

  test("is left alone while somebody listens on it, and so is a file", async () => {
    using home = folder()
    const taken = join(home.path, "taken.sock")
    const server = createServer().listen(taken)
    const file = join(home.path, "file")
    writeFileSync(file, "words")
    for (const path of [taken, file]) {
      const started = await startProcess({ admin: { listen: path } }).then(
        () => "started",
        (error: unknown) => String(error)
      )
      expect(started).toContain(`Cannot listen on ${path}: something is there already`)
      expect(existsSync(path)).toBe(true)
    }
    server.close()
  })
})
