import { createHash } from "node:crypto"
import { expect, test } from "bun:test"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"

const digest = (key: string) => createHash("sha256").update(key).digest()

const chat = JSON.stringify({ model: "m", messages: [] })

test("of each request it is told by its name which key it came with, and never the key", async () => {
  await using upstream = await startUpstream({
    models: ["m"],
    script: (request) => (request.text.includes('"slow"') ? ["hang"] : good()(request))
  })
  await using gateway = await startGateway(
    { backends: [backendFor("one", upstream)] },
    {
      backendKeys: new Map(),
      authKeys: [
        { name: "laptop", digest: digest("nx-laptop") },
        { name: "ci", digest: digest("nx-ci") }
      ]
    }
  )
  const { port } = gateway
  const sends = (id: string, key: string) => [`x-request-id: ${id}`, `authorization: Bearer ${key}`]
  const path = "/v1/chat/completions"
  for (const [id, key] of [
    ["a", "nx-laptop"],
    ["b", "nx-ci"]
  ] as const) {
    expect((await ask(port, "POST", path, chat, sends(id, key))).status).toBe(200)
  }
  using waiting = await dial(port)
  const slow = JSON.stringify({ model: "m", messages: [{ role: "user", content: "slow" }] })
  await waiting.send(requestBytes("POST", path, slow, sends("c", "nx-ci")))
  await upstream.call(2)
  const get = async (what: string) => (await ask(port, "GET", what, undefined, sends("x", "nx-laptop"))).text
  const ended = await get("/admin/v1/decisions")
  expect(JSON.parse(ended).requests).toMatchObject([
    { id: "b", key: "ci" },
    { id: "a", key: "laptop" }
  ])
  const underWay = await get("/admin/v1/requests")
  expect(JSON.parse(underWay).requests).toMatchObject([{ id: "c", key: "ci" }])
  expect(ended + underWay).not.toContain("nx-")
})
