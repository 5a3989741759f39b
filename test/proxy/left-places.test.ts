import { expect, test } from "bun:test"
import { noSiblings } from "../../src/registry/live-state.ts"
import { makeStage, nothingHeld, rounds, wholeAnswer } from "../kit/stage.ts"

const waitingElsewhere = (keys: ReadonlyArray<[key: string, rank: number]>) => [
  { from: "other", told: { served: [], waiting: [{ group: "m", keys }] } }
]

test("a request is not refused for a full queue while a place is free that is only left to others", async () => {
  await using stage = await makeStage(["a"], { maxQueue: 1 }, { waits: true }, { maxConcurrent: 1 })
  // Somebody of a better class waits at another process, which may have the place.
  stage.proxy.queues.hears("replicas", waitingElsewhere([["ann", 0]]))
  const answers = [stage.post("first"), stage.post("second")]
  await rounds(() => stage.phase("second") === "queued", "both wait")
  expect(stage.sent.length).toBe(0)
  expect((await stage.post("third")).status).toBe(429)
  // With the place in use the queue is as long as it may be.
  const [live] = stage.live()
  if (live === undefined) throw new Error("nobody is there")
  live.siblings = { ...noSiblings, inFlight: 1 }
  expect((await stage.post("fourth")).status).toBe(429)
  live.siblings = noSiblings
  stage.proxy.queues.hears("replicas", [])
  for (const [nth, answer] of answers.entries()) {
    const feed = (await stage.call(nth)).answer(200)
    await rounds(() => feed.taken, "the answer is read")
    feed.piece(wholeAnswer)
    feed.end()
    expect((await answer).status).toBe(200)
    await (await answer).text()
  }
  expect({ ...stage.held(), watches: 0 }).toEqual(nothingHeld)
})

test("a batch is not refused where nobody may wait, as long as one in eight of all slots stays free beside it", async () => {
  await using stage = await makeStage(
    ["a", "b", "c", "d"],
    { maxQueue: 0 },
    { waits: true },
    { models: [{ id: "m", capabilities: {}, slots: 2 }] }
  )
  const batch = { headers: { "x-nexus-priority": "batch" } }
  const answers = [stage.post("chat")]
  await stage.call(0)
  for (let nth = 1; nth < 7; nth += 1) {
    answers.push(stage.post(`batch ${nth}`, false, batch))
    await rounds(() => stage.phase(`batch ${nth}`) !== "reading", "it has been decided on")
  }
  expect((await stage.post("one more", false, batch)).status).toBe(429)
  for (const nth of answers.keys()) {
    const feed = (await stage.call(nth)).answer(200)
    await rounds(() => feed.taken, "the answer is read")
    feed.piece(wholeAnswer)
    feed.end()
  }
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 200))
})
