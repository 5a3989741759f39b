/**
 * Long prompts: how many go through, and what they do to the streams of others.
 */
import { disturbanceNote, inTurn, withField } from "../compare.ts"
import { quantile } from "../figures.ts"
import { closedLoop } from "../load.ts"
import { addsAtMost, atLeast, Readings, type Row } from "../measure.ts"
import type { Running } from "../processes.ts"
import { cpuOf } from "../procfs.ts"
import { readStreams } from "../streams.ts"
import { connect, post } from "../wire.ts"

/** A chat request of about the given size, in bytes: many messages of prose with escapes in it. */
const bodyOf = (bytes: number): Uint8Array => {
  const line = 'The quick brown fox said: "jump over the lazy dog".\nAnd so it did, twice; naïve as ever. '
  const content = line.repeat(20)
  const one = JSON.stringify({ role: "user", content })
  const count = Math.max(1, Math.round(bytes / (Buffer.byteLength(one) + 1)))
  return post(
    "/v1/chat/completions",
    `{"model":"bench","messages":[${Array(count).fill(one).join(",")}],"stream":false}`
  )
}

const sizes = [
  { name: "10 KB", bytes: 10_000, concurrency: 32 },
  { name: "1 MB", bytes: 1_000_000, concurrency: 8 },
  { name: "10 MB", bytes: 10_000_000, concurrency: 2 }
]

// Twenty streams go on while a large body is sent over and over; returns the extra wait of their tokens, in ms.
const stallOf = async ({ port }: Running, body: Uint8Array | undefined, seconds: number): Promise<number> => {
  const state = { going: true }
  const upload = async (): Promise<void> => {
    if (body === undefined) return
    const wire = await connect(port)
    while (state.going) {
      await new Promise<void>((done) => {
        wire.send(body, {
          end: () => {
            done()
          },
          broken: () => {
            state.going = false
            done()
          }
        })
      })
      await Bun.sleep(200)
    }
    wire.close()
  }
  const uploading = Bun.sleep(300).then(upload)
  const streams = await readStreams({ port, streams: 20, frames: Math.ceil(seconds * 50), every: 20 })
  state.going = false
  await uploading
  return streams.gap.p99 / 1000
}

/** Bodies per second of 10 KB, 1 MB and 10 MB, and the stall that a 10 MB body means for 20 streams. */
export const bodies: Row = {
  name: "bodies",
  title: "Long prompts",
  run: (context) =>
    withField(context.legs, {}, async (field) => {
      const readings = new Readings()
      let failed = 0
      for (const { name, bytes, concurrency } of sizes) {
        const request = bodyOf(bytes)
        for (const { port } of field.legs.values()) await closedLoop(port, request, concurrency, context.seconds / 4)
        await inTurn(context, field, async (leg, { pid, port }) => {
          const before = cpuOf(pid)
          const load = await closedLoop(port, request, concurrency, context.seconds)
          failed += load.failed
          if (leg !== "direct") readings.add(`CPU of ${name}`, leg, (cpuOf(pid) - before) / load.done / 1000)
          readings.add(`bodies of ${name}`, leg, load.perSecond)
        })
      }
      const large = bodyOf(10_000_000)
      const quiet: Array<number> = []
      await inTurn(context, field, async (leg, running) => {
        quiet.push(await stallOf(running, undefined, context.seconds))
        readings.add("gap p99 of 20 streams beside 10 MB bodies", leg, await stallOf(running, large, context.seconds))
      })
      return {
        measures: [
          ...sizes.map(({ name }) => readings.measure(`CPU of ${name}`, "ms/body", 2)),
          ...sizes.map(({ name }) =>
            readings.measure(`bodies of ${name}`, "1/s", 1, name === "1 MB" ? atLeast(0.8) : undefined)
          ),
          readings.measure("gap p99 of 20 streams beside 10 MB bodies", "ms", 2, addsAtMost(5, "ms"))
        ],
        notes: [
          `${String(failed)} bodies failed`,
          `without such bodies the gap p99 is ${quantile(quiet, 0.5).toFixed(2)} ms (median of all legs)`,
          disturbanceNote(field)
        ]
      }
    })
}
