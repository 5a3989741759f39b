import { describe, expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import type { Seen, Step } from "../kit/rawServer.ts"
import { good as certificate, terminate } from "../kit/tls.ts"
import { backendAt, bad, look, start } from "./patient.ts"

const list = { object: "list", data: [{ id: "m", object: "model", owned_by: "x" }] }

const listOnly = (request: Seen): Iterable<Step> =>
  request.target === "/v1/models" ? [json(list)] : [json({ detail: "Not Found" }, 404)]

describe("doctor tells http and https apart:", () => {
  test("https:// on a plain server", async () => {
    await using upstream = await start()
    const secure = backendAt(upstream.url.replace("http:", "https:"), { type: "ollama" })
    const findings = await look(secure, false, { timeoutMs: 2000 })
    expect(bad(findings)).toMatchObject([{ check: "TLS", severity: "error", fix: `url = "${upstream.url}"` }])
    expect(findings.map(({ check }) => check)).toEqual(["connect", "TLS"])
  })

  test("http:// on a TLS server", async () => {
    await using upstream = await start()
    await using tls = await terminate(upstream.port, certificate)
    const findings = await look(backendAt(tls.url.replace("https:", "http:"), { type: "ollama" }))
    expect(bad(findings)).toMatchObject([{ check: "TLS", severity: "error", fix: `url = "${tls.url}"` }])
    expect(findings.map(({ check }) => check)).toEqual(["connect", "TLS"])
  })

  test("a server that answers neither is not told to be one of them", async () => {
    await using upstream = await start({ probe: () => ["reset"] })
    const findings = await look(backendAt(upstream.url), false, { timeoutMs: 2000 })
    expect(bad(findings)).toMatchObject([{ check: "health", severity: "error" }])
    expect(findings.map(({ check }) => check)).not.toContain("type")
  })
})

describe("doctor does not confirm a type that nothing speaks for:", () => {
  for (const type of ["ollama", "llamacpp", "lmstudio", "exo", "vllm"] as const) {
    test(`${type}, where only a plain list answers`, async () => {
      await using upstream = await start({ probe: listOnly })
      const findings = await look(backendAt(upstream.url, { type }))
      const about = findings.filter(({ check }) => check === "type")
      expect(about).toMatchObject([{ severity: "warning", fix: 'type = "generic"' }])
      expect(about[0]?.seen).toContain("could not be confirmed")
      expect(bad(await look(backendAt(upstream.url)))).toEqual([])
    })
  }

  test("ollama, where nothing of an LLM server answers", async () => {
    await using upstream = await start({ probe: () => [json({ detail: "Not Found" }, 404)] })
    const about = (await look(backendAt(upstream.url, { type: "ollama" }))).filter(({ check }) => check === "type")
    expect(about).toMatchObject([{ severity: "warning" }])
    expect(about[0]?.seen).toContain("could not be confirmed")
  })
})

describe("doctor finds a backend that is Nexus itself", () => {
  const nexus = [{ id: "m", object: "model", owned_by: "nexus" }]
  for (const [name, answer] of [
    ["by its models", json({ object: "list", data: nexus })],
    ["by its headers", json({ error: { message: "no key" } }, 401, ["x-nexus-version: 1.0.0"])]
  ] as const) {
    test(name, async () => {
      await using upstream = await start({ probe: () => [answer] })
      const findings = bad(await look(backendAt(upstream.url)))
      expect(findings).toMatchObject([{ check: "address", severity: "error" }])
      expect(findings[0]?.seen).toContain("Nexus itself")
      expect(findings[0]?.fix).toContain("remove")
    })
  }

  test("by its own address, before it runs", async () => {
    const gone = await start()
    await gone[Symbol.asyncDispose]()
    const findings = bad(
      await look(backendAt(gone.url.replace("127.0.0.1", "localhost")), false, { ownPort: gone.port })
    )
    expect(findings).toMatchObject([
      { check: "address", severity: "error", seen: "this is Nexus itself: it would call itself" }
    ])
  })
})

describe("doctor has advice for", () => {
  test("a server without a model, whatever its type", async () => {
    await using upstream = await start({ models: [] })
    const [finding] = bad(await look(backendAt(upstream.url)))
    expect(finding).toMatchObject({ check: "models", seen: "it serves no model", fix: "load a model in it" })
  })

  test("a model that is like none of those that are there", async () => {
    await using upstream = await start({ models: ["a-model", "b-model"] })
    const models = [{ id: "qwertz", capabilities: {} }]
    const [finding] = bad(await look(backendAt(upstream.url, { models })))
    expect(finding).toMatchObject({ check: "models", fix: "one of those it serves: a-model, b-model" })
  })

  for (const [type, advice] of [
    ["ollama", "journalctl -u ollama"],
    ["generic", "the output of the server"]
  ] as const) {
    test(`a chat that fails in a server of type ${type}`, async () => {
      await using upstream = await start({ type, script: () => [json({ error: { message: "no" } }, 500)] })
      const finding = bad(await look(backendAt(upstream.url, { type }), true)).find(({ check }) => check === "chat")
      expect(finding).toMatchObject({ severity: "error", seen: "m: status 500: no" })
      expect(finding?.fix).toContain(advice)
    })
  }
})
