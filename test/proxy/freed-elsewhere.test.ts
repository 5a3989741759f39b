import { expect, test } from "bun:test"
import { noSiblings } from "../../src/registry/live-state.ts"
import { makeStage, nothingHeld, rounds, wholeAnswer } from "../kit/stage.ts"

test("a request that waits for a place that another process has goes as soon as that process gives it back", async () => {
  await using stage = await makeStage(["a"], {}, { waits: true }, { maxConcurrent: 1 })
  const [live] = stage.live()
  if (live === undefined) throw new Error("nobody is there")
  live.siblings = { ...noSiblings, inFlight: 1 }
  const answered = stage.post("r")
  await rounds(() => stage.phase("r") === "queued", "it waits")
  stage.proxy.stir()
  await rounds(() => stage.phase("r") === "queued", "it still waits")
  expect(stage.sent.length).toBe(0)
  live.siblings = noSiblings
  // No time passes.
  stage.proxy.stir()
  const feed = (await stage.call(0)).answer(200)
  await rounds(() => feed.taken, "the answer is read")
  feed.piece(wholeAnswer)
  feed.end()
  expect((await answered).status).toBe(200)
  await (await answered).text()
  // The queue looks once more whether anybody waits.
  expect({ ...stage.held(), watches: 0 }).toEqual(nothingHeld)
})

test("whoever tells other processes hears of each place that is taken and given back", async () => {
  await using stage = await makeStage(["a"])
  const [live] = stage.live()
  if (live === undefined) throw new Error("nobody is there")
  const heard: Array<number> = []
  live.turns = () => void heard.push(live.inFlight)
  const answered = stage.post("r")
  const feed = (await stage.call(0)).answer(200)
  await rounds(() => feed.taken, "the answer is read")
  feed.piece(wholeAnswer)
  feed.end()
  await (await answered).text()
  expect(heard).toEqual([1, 0])
})
