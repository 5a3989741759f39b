import { expect, test } from "bun:test"
import type { Stats } from "../../src/api/stats-api.ts"
import { statusLines } from "../../src/cli/status/status-view.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const models = [{ id: "m", context: 4096 }]

const told = { slots: 4, slots_from: "told", cache_tokens: 16_384 }

test("slots are told with where they are from: in the backends, the models, the figures and the status", async () => {
  await using llama = await startUpstream({ models, type: "llamacpp" })
  await using other = await startUpstream({ models })
  await using gateway = await startGateway({
    backends: [
      backendFor("llama", llama, { type: "llamacpp" }),
      backendFor("fewer", llama, { type: "llamacpp", slots: 2, models: [{ id: "m", slots: 3 }] }),
      backendFor("other", other)
    ]
  })
  const get = async (path: string) => (await ask(gateway.port, "GET", path)).json()
  const config = { slots: 3, slots_from: "config", cache_tokens: 16_384 }
  expect(await get("/nexus/backends")).toMatchObject({
    backends: [{ models: [told] }, { models: [config] }, { models: [{ id: "m" }] }]
  })
  expect(await get("/admin/v1/models")).toMatchObject({
    models: [{ id: "m", backends: [told, config, { backend: "other" }] }]
  })
  const wish = JSON.stringify({ model: "m", messages: [] })
  const { decision } = JSON.parse((await ask(gateway.port, "POST", "/admin/v1/route", wish)).text)
  const byName = new Map(decision.candidates.map((each: { backend: string }) => [each.backend, each]))
  expect([...byName.values()]).toHaveLength(3)
  expect(byName.get("llama")).toMatchObject({ in_flight: 0, slots: 4, slots_from: "told" })
  expect(byName.get("fewer")).toMatchObject({ slots: 3, slots_from: "config" })
  expect(byName.get("other")).not.toHaveProperty("slots")
  const stats = (await get("/v1/stats")) as Stats // reason: checked by what is expected of it
  expect(stats.backends.map(({ slots }) => slots)).toEqual([
    [{ model: "m", slots: 4, from: "told", in_flight: 0 }],
    [{ model: "m", slots: 3, from: "config", in_flight: 0 }],
    undefined
  ])
  const lines = statusLines(stats, "http://nexus", undefined)
  const table = lines.filter((line) => /^(Backend|llama|fewer|other) /.test(line))
  expect(table.map((line) => line.split(/ {2,}/)[4])).toEqual(["Slots", "4 (told)", "3 (config)", "-"])
})
