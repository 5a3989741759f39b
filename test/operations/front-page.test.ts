import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { BackendEntry } from "../../src/api/backend-entry.ts"
import type { ModelEntry } from "../../src/api/gateway-api.ts"
import { frontPage } from "../../src/operations/pages/front-page.ts"

const capabilities = { vision: false, tools: false, json_mode: false }

const modelOf = (id: string, backend: string): ModelEntry => ({
  id,
  object: "model",
  created: 0,
  owned_by: "nexus",
  capabilities,
  backends: [backend]
})

const backendOf = (name: string, reason: string, models: ReadonlyArray<string>): BackendEntry => ({
  name,
  url: "http://user:secret@10.0.0.7:9/",
  type: "generic",
  origin: "config",
  priority: 50,
  mode: "enabled",
  status: "healthy",
  reason,
  models: models.map((id) => ({ id, capabilities: {} })),
  latency_ms: null,
  in_flight: 0,
  cooling_ms: 0,
  circuits: []
})

const pageOf = (backends: ReadonlyArray<BackendEntry>, models: ReadonlyArray<ModelEntry>) =>
  frontPage({
    version: "1",
    origin: "http://box:8000",
    needsKey: false,
    isAdministration: false,
    state: { backends, models }
  })

const nasty = fc.string({
  unit: fc.constantFrom(..."<>&\"'`$(){};\\ \n\r\t\u001b\u009b\u202e\u2028ab/"),
  maxLength: 30
})

describe("the page", () => {
  test("shows every name as text: the tags are the same whatever the names are", () => {
    const tags = (html: string) => [...html.matchAll(/<[^>]*>/g)].map(([tag]) => tag)
    const usual = tags(pageOf([backendOf("a", "", ["m"])], [modelOf("m", "a")]).html)
    fc.assert(
      fc.property(nasty, nasty, nasty, (name, reason, id) => {
        const { html } = pageOf([backendOf(name, reason, [`m${id}`])], [modelOf(`m${id}`, name)])
        expect(tags(html)).toEqual(usual)
      })
    )
  })

  test("sends a terminal nothing but text, one line for each name", () => {
    const lines = (text: string) => text.split("\n").length
    const usual = lines(pageOf([backendOf("a", "", ["m"])], [modelOf("m", "a")]).text)
    fc.assert(
      fc.property(nasty, nasty, nasty, (name, reason, id) => {
        const { text } = pageOf([backendOf(name, reason, [`m${id}`])], [modelOf(`m${id}`, name)])
        // oxlint-disable-next-line no-control-regex -- reason: control characters are what this is about
        expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u2028]/)
        expect(lines(text)).toBe(usual)
      })
    )
  })

  test("tells no address of a backend, and stays short when there are thousands of models", () => {
    const ids = Array.from({ length: 5000 }, (_, at) => `m${at}`)
    const page = pageOf(
      [backendOf("a", "", ids)],
      ids.map((id) => modelOf(id, "a"))
    )
    for (const text of [page.text, page.html]) {
      expect(text).not.toMatch(/secret|10\.0\.0\.7/)
      expect(text).toContain("and 4800 more: /v1/models")
      expect(text.length).toBeLessThan(40_000)
    }
  })
})
