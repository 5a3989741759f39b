import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { RecentRequest, RequestUnderWay } from "../../src/api/admin-api.ts"
import type { BackendEntry } from "../../src/api/backend-entry.ts"
import type { LiveEvent } from "../../src/api/events-api.ts"
import type { Stats } from "../../src/api/stats-api.ts"
import { LiveFeed, type SentEvent, type FeedMoment } from "../../src/operations/live-feed.ts"
import { afterEvent, type Fleet, toldWhole } from "../../src/ui/fleet-state.ts"

const figures = {
  in_flight: 0,
  active_streams: 0,
  requests: 0,
  attempts: 0,
  errors: 0,
  error_rate: 0,
  failovers: 0,
  prompt_tokens: 0,
  cached_tokens: 0,
  completion_tokens: 0,
  requests_per_second: 0,
  tokens_per_second: 0,
  pieces_per_second: 0,
  first_token_ms: null
}

const outcomes = { completed: 0, refused: 0, failed: 0, truncated: 0, client_closed: 0, cancelled: 0 }

const backendOf = (name: string, inFlight: number): BackendEntry => ({
  name,
  url: `http://127.0.0.1/${name}`,
  type: "generic",
  origin: "config",
  priority: 50,
  mode: "enabled",
  status: "healthy",
  reason: "",
  models: [],
  latency_ms: null,
  in_flight: inFlight,
  cooling_ms: 0,
  circuits: []
})

const underWayOf = (id: string): RequestUnderWay => ({
  id,
  at: 1,
  endpoint: "chat/completions",
  model: "m",
  stream: true,
  phase: "committed",
  phase_ms: 1,
  age_ms: 1,
  backend: "a",
  upstream_model: "m",
  attempts: 1,
  failures: [],
  first_byte_ms: 1,
  bytes: 1,
  pieces: 1
})

const endedOf = (serial: number): RecentRequest => ({
  id: `r${serial}`,
  at: serial,
  endpoint: "chat/completions",
  model: "m",
  stream: false,
  outcome: "completed",
  status: 200,
  backend: "a",
  upstream_model: "m",
  attempts: 1,
  failures: [],
  first_byte_ms: 1,
  duration_ms: 1
})

const statsOf = (backends: ReadonlyArray<string>, requests: number): Stats => ({
  version: "1",
  uptime_seconds: requests,
  totals: { ...figures, requests, turned_away: 0, outcomes },
  backends: backends.map((name, at) => ({
    name,
    mode: "enabled",
    status: "healthy",
    reason: "",
    models: 0,
    ...figures,
    requests: at === 0 ? requests : 0
  })),
  models: [{ id: "m", backends: ["a"], ...figures, requests }],
  workers: []
})

const names = ["a", "b", "c"]

/** How a gateway stands from moment to moment; what has ended is told again for a while. */
const standpoints = fc
  .array(
    fc.record({
      backends: fc.subarray(names),
      inFlight: fc.nat(2),
      underWay: fc.subarray(["x", "y", "z"]),
      ended: fc.nat(3),
      generation: fc.nat(1)
    }),
    { minLength: 1, maxLength: 30 }
  )
  .map((moments) => {
    let serial = 0
    return moments.map(({ backends, ended, generation, inFlight, underWay }): FeedMoment => {
      const from = Math.max(0, serial - 2)
      serial += ended
      return {
        backends: backends.map((name) => backendOf(name, inFlight)),
        config: { generation, loaded_at: 0, path: null, needs_restart: [], failure: null },
        underWay: underWay.map(underWayOf),
        ended: Array.from({ length: serial - from }, (_, at) => endedOf(from + at)),
        figures: statsOf(backends, serial)
      }
    })
  })

// reason: the feed says what its events tell
const eventOf = ({ event, json }: SentEvent): LiveEvent => ({ event, data: JSON.parse(json) }) as LiveEvent

const follow = (fleet: Fleet | undefined, events: ReadonlyArray<SentEvent>): Fleet | undefined =>
  events.reduce((known: Fleet | undefined, sent) => afterEvent(known, eventOf(sent), 0), fleet)

/** What somebody knows, without the order in which it was heard. */
const known = (fleet: Fleet | undefined) => {
  if (fleet === undefined) return undefined
  const { backends, ended, figures: told, ...rest } = toldWhole(fleet).data as ReturnType<typeof wholeOf>
  return {
    ...rest,
    ended: ended.map(({ id }) => id),
    backends: backends.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    figures: {
      ...told,
      // Figures of those that are gone may stay.
      backends: told.backends
        .filter(({ name }) => backends.some((each) => each.name === name))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    }
  }
}

const wholeOf = (event: Extract<LiveEvent, { event: "everything" }>) => event.data

describe("the feed of what changes", () => {
  test("tells who follows from any moment on the same as who comes later and is told everything", () => {
    fc.assert(
      fc.property(standpoints, fc.array(fc.boolean(), { minLength: 1 }), (moments, reads) => {
        const feed = new LiveFeed("e")
        let fleet: Fleet | undefined
        let at = -1
        for (const [index, moment] of moments.entries()) {
          feed.take(moment)
          if (reads[index % reads.length] !== true && index < moments.length - 1) continue
          fleet = follow(fleet, feed.after(at))
          at = feed.latest
        }
        expect(known(fleet)).toEqual(known(follow(undefined, feed.after(-1))))
      })
    )
  })

  test("tells each request that has ended once", () => {
    fc.assert(
      fc.property(standpoints, (moments) => {
        const feed = new LiveFeed("e")
        for (const moment of moments) feed.take(moment)
        const [all] = feed.after(-1)
        const ended = (JSON.parse(all?.json ?? "{}") as { readonly ended: ReadonlyArray<RecentRequest> }).ended // reason: the contract says so
        expect(new Set(ended.map(({ id }) => id)).size).toBe(ended.length)
      })
    )
  })

  test("tells everything again to who has missed more than is kept, or comes with an id of another stretch", () => {
    const feed = new LiveFeed("e")
    const moment = (inFlight: number): FeedMoment => ({
      backends: [backendOf("a", inFlight)],
      config: { generation: 1, loaded_at: 0, path: null, needs_restart: [], failure: null },
      underWay: [],
      ended: [],
      figures: statsOf(["a"], inFlight)
    })
    for (let at = 0; at < 600; at += 1) feed.take(moment(at))
    expect(feed.after(feed.numberOf("e-1")).map(({ event }) => event)).toEqual(["everything"])
    expect(feed.after(feed.numberOf("f-1190")).map(({ event }) => event)).toEqual(["everything"])
    const last = feed.latest
    feed.take(moment(600))
    expect(feed.after(feed.numberOf(`e-${last}`)).map(({ event }) => event)).toEqual(["standings", "figures"])
  })

  test("tells at most five events of a look, however many backends, models and requests are at work", () => {
    const feed = new LiveFeed("e")
    const all = Array.from({ length: 200 }, (_, at) => `b${at}`)
    const moment = (turn: number): FeedMoment => ({
      backends: all.map((name) => backendOf(name, turn)),
      config: { generation: turn, loaded_at: 0, path: null, needs_restart: [], failure: null },
      underWay: Array.from({ length: 500 }, (_, at) => underWayOf(`${turn} ${at}`)),
      ended: Array.from({ length: 500 }, (_, at) => endedOf(turn * 500 + at)),
      figures: statsOf(all, turn)
    })
    feed.take(moment(0))
    for (let turn = 1; turn < 5; turn += 1) {
      const from = feed.latest
      feed.take(moment(turn))
      expect(feed.after(from).map(({ event }) => event)).toEqual([
        "standings",
        "config",
        "under_way",
        "ended",
        "figures"
      ])
    }
  })
})
