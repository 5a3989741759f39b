/**
 * What a translation costs: streams and requests of each client dialect over a backend that speaks chat completions,
 * against chat completions on both sides, through the same process in the same run.
 */
import { disturbanceNote, type Field, inTurn } from "../compare.ts"
import { type LegName, startLeg } from "../legs.ts"
import { closedLoop } from "../load.ts"
import { messagesBesideLitellm } from "../litellm.ts"
import { above, addsAtMost, atMost, Readings, type Row } from "../measure.ts"
import { proxyCore, type Running, startMockProcess, told } from "../processes.ts"
import { cpuOf, rssOf } from "../procfs.ts"
import { readStreams } from "../streams.ts"
import { type Delay, readTogether } from "../together.ts"
import { chatVoice, type Voice, voices } from "../voices.ts"
import { post } from "../wire.ts"

const translated = Object.entries(voices)

// Chat completions are what every dialect is held against.
const spoken = (leg: LegName): ReadonlyArray<readonly [ReadonlyArray<string>, Voice]> =>
  leg === "nexus"
    ? translated.map(([name, voice]) => [[name], voice] as const)
    : [[translated.map(([name]) => name), chatVoice]]

const line = 'The quick brown fox said: "jump over the lazy dog".\nAnd so it did, twice; naïve as ever. '.repeat(20)

/** A request of about a megabyte. */
const largeRequest = ({ body, path }: Voice): Uint8Array =>
  post(
    path("bench", false),
    body(
      "bench",
      Array.from({ length: 530 }, () => line),
      false
    )
  )

/** The mock by itself, and one gateway, which is both the floor and what is measured. */
const withGateway = async <A>(use: (field: Field) => Promise<A>): Promise<A> => {
  const mock = await startMockProcess()
  const direct = await startMockProcess(proxyCore)
  const gateway = await startLeg("nexus", { mockPort: mock.port })
  try {
    const legs = new Map<LegName, Running>([
      ["direct", direct],
      ["floor", gateway],
      ["nexus", gateway]
    ])
    return await use({ mock, legs, disturbance: 0 })
  } finally {
    for (const running of [gateway, direct, mock]) await running.stop()
  }
}

// A second lot of the same streams: how far two equal things are apart.
const itself = "floor against itself"

// Where they are read, and how they are asked for.
const asked = (leg: LegName, name: string, voice: Voice = chatVoice) => ({ leg, name, voice })

/** Reads streams of all dialects at one time; what comes of each is added to the readings by name and leg. */
const readDelays = async (field: Field, seconds: number, add: (name: string, leg: LegName, delay: Delay) => void) => {
  const lots = [
    asked("direct", itself),
    asked("floor", itself),
    asked("nexus", itself),
    ...translated.map(([name, voice]) => asked("nexus", name, voice))
  ]
  const parts = lots.flatMap((lot) => {
    const port = field.legs.get(lot.leg)?.port
    return port === undefined ? [] : [[lot, { port, voice: lot.voice }] as const]
  })
  const { delays, lost } = await readTogether(new Map(parts), seconds)
  for (const [{ leg, name }, delay] of delays) {
    const names = leg === "nexus" ? [name] : [itself, ...translated.map(([each]) => each)]
    for (const each of names) add(each, leg, delay)
  }
  return lost
}

/** Reads streams of a dialect; what a token cost in processor time. */
const readTokens = async ({ pid, port }: Running, voice: Voice, streams: number, seconds: number) => {
  let from = { cpu: 0, frames: 0 }
  let cost = Number.NaN
  const load = await readStreams({
    port,
    voice,
    streams,
    frames: Math.ceil(Math.max(seconds, 2) * 50),
    every: 20,
    allOpen: (frames) => {
      from = { cpu: cpuOf(pid), frames }
    },
    firstEnded: (frames) => {
      cost = (cpuOf(pid) - from.cpu) / (frames - from.frames)
    }
  })
  return { cost, lost: load.lost + load.broken }
}

/** Memory of a thousand open streams in a fresh process, in KB a stream. */
const heldBy = async (mockPort: number, voice: Voice): Promise<{ readonly each: number; readonly lost: number }> => {
  const leg = await startLeg("nexus", { mockPort })
  await Bun.sleep(500)
  const idle = rssOf(leg.pid)
  let top = 0
  const streams = 1000
  const load = await readStreams({
    port: leg.port,
    voice,
    streams,
    frames: 6,
    every: 1000,
    firstEnded: () => {
      top = rssOf(leg.pid)
    }
  })
  await leg.stop()
  return { each: (top - idle) / streams / 1024, lost: load.lost + load.broken }
}

/** CPU, delay and memory of translated streams, and CPU of large translated requests. */
export const dialects: Row = {
  name: "dialects",
  title: "Client dialects over a backend of chat completions (as nexus), chat completions on both sides (as floor)",
  run: (context) =>
    withGateway(async (field) => {
      const readings = new Readings()
      let lost = 0
      const add = (names: ReadonlyArray<string>, what: string, leg: LegName, value: number): void => {
        for (const name of names) readings.add(`${name}: ${what}`, leg, value)
      }
      for (const voice of [chatVoice, ...Object.values(voices)]) {
        for (const leg of ["nexus", "direct"] as const) {
          const running = field.legs.get(leg)
          if (running !== undefined && (leg === "nexus" || voice === chatVoice))
            await readTokens(running, voice, 200, 4)
        }
      }
      await inTurn(context, field, async (leg, running) => {
        if (leg === "direct") return
        for (const [names, voice] of spoken(leg)) {
          const { cost, lost: missing } = await readTokens(running, voice, 200, context.seconds)
          lost += missing
          add(names, "CPU of a token", leg, cost)
        }
      })
      for (let trial = 0; trial < context.trials; trial += 1) {
        lost += await readDelays(field, 4 * context.seconds, (name, leg, { p50, p99 }) => {
          readings.add(`${name}: delay of a token p50`, leg, p50)
          readings.add(`${name}: delay of a token p99`, leg, p99)
        })
      }
      for (const [name] of translated) {
        const { token } = (await told("bench/codec.ts", [name, "1"])) as { token: number } // reason: its own last words
        readings.add(`${name}: its codecs alone`, "nexus", token)
      }
      let failed = 0
      const large = new Map([chatVoice, ...Object.values(voices)].map((voice) => [voice, largeRequest(voice)]))
      const readLarge = async ({ pid, port }: Running, voice: Voice, seconds: number): Promise<number> => {
        const before = cpuOf(pid)
        const load = await closedLoop(port, large.get(voice) ?? new Uint8Array(0), 4, seconds)
        failed += load.failed
        return (cpuOf(pid) - before) / load.done / 1000
      }
      for (const voice of large.keys()) {
        const running = field.legs.get("nexus")
        if (running !== undefined) await readLarge(running, voice, context.seconds / 2)
      }
      await inTurn(context, field, async (leg, running) => {
        if (leg === "direct") return
        for (const [names, voice] of spoken(leg)) {
          add(names, "CPU of a request of 1 MB", leg, await readLarge(running, voice, context.seconds))
        }
      })
      for (let trial = 0; trial < Math.min(context.trials, 3); trial += 1) {
        for (const leg of ["floor", "nexus"] as const) {
          for (const [names, voice] of spoken(leg)) {
            const { each, lost: missing } = await heldBy(field.mock.port, voice)
            lost += missing
            add(names, "memory of 1000 streams", leg, each)
          }
        }
      }
      const gateway = field.legs.get("nexus")
      const beside =
        context.litellm === undefined || gateway === undefined
          ? undefined
          : await messagesBesideLitellm(context.litellm, field.mock.port, gateway, context.seconds)
      if (beside !== undefined) {
        const { ours, theirs } = beside
        failed += ours.failed + theirs.failed
        readings.add("requests of Messages a core, LiteLLM's as 1", "nexus", theirs.request / ours.request)
        readings.add("tokens of Messages a core, LiteLLM's as 1", "nexus", theirs.token / ours.token)
      }
      const litellm = [
        readings.measure("requests of Messages a core, LiteLLM's as 1", "×", 0, above(30, "×")),
        readings.measure("tokens of Messages a core, LiteLLM's as 1", "×", 0)
      ]
      const measures = translated.flatMap(([name]) => [
        readings.measure(`${name}: CPU of a token`, "µs", 2, atMost(2)),
        readings.measure(`${name}: its codecs alone`, "µs", 2),
        readings.added(`${name}: delay of a token p50`, "µs", 0),
        readings.added(`${name}: delay of a token p99`, "µs", 0, atMost(2)),
        readings.measure(`${name}: memory of 1000 streams`, "KB/stream", 1, addsAtMost(25, "KB")),
        readings.measure(`${name}: CPU of a request of 1 MB`, "ms", 2, atMost(2))
      ])
      return {
        measures: [
          ...measures,
          readings.added(`${itself}: delay of a token p50`, "µs", 0),
          readings.added(`${itself}: delay of a token p99`, "µs", 0),
          ...(beside === undefined ? [] : litellm)
        ],
        notes: [
          `${String(lost)} frames lost or streams broken, ${String(failed)} requests failed`,
          disturbanceNote(field)
        ]
      }
    })
}
