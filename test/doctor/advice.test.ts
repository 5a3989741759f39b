import { describe, expect, test } from "bun:test"
import { head, json } from "../kit/answers.ts"
import type { Seen, Step } from "../kit/rawServer.ts"
import { backendAt, bad, look, start } from "./patient.ts"

describe("doctor says what mends", () => {
  const empty = (request: Seen): Iterable<Step> => {
    if (request.target === "/api/version") return [json({ version: "0.12.0" })]
    if (request.target === "/api/tags" || request.target === "/api/ps") return [json({ models: [] })]
    return request.target === "/v1/models" ? [json({ object: "list", data: null })] : [json({}, 404)]
  }

  for (const type of ["ollama", "generic"] as const) {
    test(`an Ollama without models, called ${type} in the config`, async () => {
      await using upstream = await start({ models: [], probe: empty })
      expect(bad(await look(backendAt(upstream.url, { type })))).toEqual([
        {
          check: "models",
          severity: "warning",
          seen: "it serves no model",
          fix: "ollama pull MODEL"
        }
      ])
    })
  }

  test("an address that answers with a web page", async () => {
    const page = "<html><title>Log in</title></html>"
    const html = (): Iterable<Step> => [
      `${head(200, ["content-type: text/html", `content-length: ${page.length}`])}${page}`
    ]
    await using upstream = await start({ models: [], probe: html })
    expect(bad(await look(backendAt(upstream.url)))).toEqual([
      {
        check: "models",
        severity: "error",
        seen: `${upstream.url}/v1/models answers with a web page, not with a list of models`,
        fix: "the address of its API in url, not that of its pages or of a proxy's login; or name its models in [[backends.models]]"
      }
    ])
  })

  test("an address that answers with something else", async () => {
    await using upstream = await start({ models: [], probe: () => [json({ hello: "world" })] })
    expect(bad(await look(backendAt(upstream.url)))).toEqual([
      {
        check: "models",
        severity: "error",
        seen: `${upstream.url}/v1/models answers with status 200, and not with a list of models`,
        fix: `see what answers: curl -i ${upstream.url}/v1/models; then the address of its API in url, or name its models in [[backends.models]]`
      }
    ])
  })

  test("a key variable that is not set here, without a question that needs the key", async () => {
    await using upstream = await start()
    const backend = backendAt(upstream.url, { keyFault: "CLOUD_KEY is not set" })
    expect(bad(await look(backend))).toEqual([
      {
        check: "key",
        severity: "error",
        seen: "CLOUD_KEY is not set in this shell",
        fix: "export CLOUD_KEY=… here, and before nexus serve; or name a file with api_key_file"
      }
    ])
    expect(upstream.probes()).toEqual([])
  })

  test("nothing, where the running gateway has the key", async () => {
    await using upstream = await start()
    const backend = backendAt(upstream.url, { keyFault: "CLOUD_KEY is not set" })
    expect(bad(await look(backend, false, { healthyThere: new Set([backend.name]) }))).toEqual([])
  })
})
