import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { DoctorEvent } from "../../src/api/doctor-api.ts"
import { json } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess } from "../kit/gateway.ts"

type Finding = Extract<DoctorEvent, { readonly event: "finding" }>

const post = (url: string, body: object, signal?: AbortSignal): Promise<Response> =>
  fetch(`${url}/admin/v1/doctor`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal })
  })

const eventsOf = async (response: Response): Promise<ReadonlyArray<DoctorEvent>> =>
  (await response.text())
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as DoctorEvent) // reason: the contract says what the lines are

const findingsIn = (events: ReadonlyArray<DoctorEvent>): ReadonlyArray<Finding> =>
  events.filter((event) => event.event === "finding")

describe("the doctor from inside of the gateway", () => {
  test("tells what is wrong with each backend that is in force, those added by command too", async () => {
    await using up = await startUpstream({ models: ["m"] })
    await using gone = await startUpstream({ models: ["other"] })
    await using gateway = await startGateway({ backends: [backendFor("a", up)] })
    const added = { url: gone.url, name: "later", type: "openai" }
    await fetch(`${gateway.url}/admin/v1/backends`, { method: "POST", body: JSON.stringify(added) })
    await gone[Symbol.asyncDispose]()
    const events = await eventsOf(await post(gateway.url, {}))
    expect(events.filter(({ event }) => event === "section").map((each) => "section" in each && each.section)).toEqual([
      "gateway",
      "a",
      "later"
    ])
    const errors = findingsIn(events).filter(({ severity }) => severity === "error")
    expect(errors.map(({ section }) => section)).toEqual(["later"])
    expect(events.at(-1)).toMatchObject({ event: "done", complete: true, errors: 1 })
    // No token is spent unless that is asked for.
    expect(up.calls()).toEqual([])
  })

  test("asks a model where that is wished for", async () => {
    await using up = await startUpstream({ models: ["m"], script: good() })
    await using gateway = await startGateway({ backends: [backendFor("a", up)] })
    const events = await eventsOf(await post(gateway.url, { inference: true }))
    expect(findingsIn(events).map(({ check }) => check)).toContain("chat")
  })

  test("tells the mistakes of the file as it is now, by their lines, and looks at the backends all the same", async () => {
    await using up = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ backends: [backendFor("a", up)] })
    gateway.rewrite(`[[backends]]\nname = "a"\nurl = "${up.url}"\nweigth = 3\n`)
    const findings = findingsIn(await eventsOf(await post(gateway.url, {})))
    const mistake = findings.find(({ check, severity }) => check === "config" && severity === "error")
    expect(mistake?.seen).toMatch(/:4: unknown key backends\[0\]\.weigth/)
    expect(findings.some(({ section }) => section === "a")).toBe(true)
  })

  test("is one at a time, and ends with whoever asked", async () => {
    const gate = Promise.withResolvers<void>()
    await using up = await startUpstream({
      models: ["m"],
      script: async function* (request) {
        yield { until: gate.promise }
        yield* good()(request)
      }
    })
    await using gateway = await startGateway({ backends: [backendFor("a", up)] })
    const control = new AbortController()
    const first = await post(gateway.url, { inference: true }, control.signal)
    expect((await post(gateway.url, {})).status).toBe(409)
    control.abort()
    await first.text().catch(() => "")
    let status = 409
    while (status === 409) ({ status } = await post(gateway.url, {}))
    expect(status).toBe(200)
    gate.resolve()
  })

  test("tells no key of a backend that was added by command, whatever its server says", async () => {
    const secret = "sk-added-by-command-4711"
    process.env["DOCTOR_ADDED_KEY"] = secret
    try {
      await using up = await startUpstream({
        models: ["m"],
        script: () => [json({ error: { message: `Incorrect API key provided: ${secret}` } }, 401)]
      })
      await using gateway = await startGateway({ backends: [] })
      const added = { url: up.url, name: "later", type: "openai", api_key_env: "DOCTOR_ADDED_KEY" }
      const made = await fetch(`${gateway.url}/admin/v1/backends`, { method: "POST", body: JSON.stringify(added) })
      expect(made.status).toBe(200)
      const text = await (await post(gateway.url, { inference: true })).text()
      expect(text).toContain("Incorrect API key provided: [secret]")
      expect(text).not.toContain(secret)
    } finally {
      delete process.env["DOCTOR_ADDED_KEY"]
    }
  })

  test("tells no key", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nexus-doctor-"))
    try {
      const secret = "sk-very-secret-4711"
      const file = join(folder, "key")
      writeFileSync(file, secret, { mode: 0o644 })
      await using up = await startUpstream({ models: ["m"] })
      await using gateway = await startProcess({ backends: [backendFor("a", up, { api_key_file: file })] })
      const text = await (await post(gateway.url, {})).text()
      expect(text).toContain("may be read by other users")
      expect(text).not.toContain(secret)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
