/**
 * Clients that read nothing while a backend sends without end: what they cost the gateway in memory.
 */
import { connect, post } from "../wire.ts"
import type { Running } from "../processes.ts"
import { rssOf } from "../procfs.ts"
import { type Flood, type Form } from "./flood.ts"

/** How much is asked for, and by how many clients that take none of it. */
export interface Stalling {
  readonly form: Form
  readonly megabytes: number
  readonly clients: number
}

/** What it came to, in megabytes. */
export interface Stalled {
  readonly before: number
  /** When nothing moves any more, and the most there was on the way. */
  readonly settled: number
  readonly peak: number
  /** What the backend could hand over in all: most of it sits in buffers of the kernel. */
  readonly taken: number
  /** Answers that the backend was still sending at the end. */
  readonly held: number
}

const megabytes = (pid: number): number => rssOf(pid) / 1e6

// So long after the last byte moved, in milliseconds, nothing more is going to.
const stillMs = 3000

// With so many megabytes more it has failed, and the machine is needed for other things.
const tooMuch = 1000

/** Opens the clients, each of which stops reading with the head of its answer, and watches until nothing moves. */
export const stall = async (
  gateway: Running,
  flood: Flood,
  { form, clients, ...asked }: Stalling
): Promise<Stalled> => {
  const before = megabytes(gateway.pid)
  const takenBefore = flood.taken()
  const bytes = asked.megabytes * 1_048_576
  const body = `{"flood":${JSON.stringify({ form, bytes })},"model":"flood","messages":[],"stream":${String(form === "events")}}`
  const wires = await Promise.all(Array.from({ length: clients }, () => connect(gateway.port)))
  for (const wire of wires) {
    wire.send(post("/v1/chat/completions", body), { end: () => undefined, broken: () => undefined })
    wire.pause()
  }
  let peak = before
  let last = -1
  let since = performance.now()
  while (performance.now() - since < stillMs && peak - before < tooMuch) {
    await Bun.sleep(50)
    peak = Math.max(peak, megabytes(gateway.pid))
    if (flood.taken() !== last) since = performance.now()
    last = flood.taken()
  }
  const settled = megabytes(gateway.pid)
  const held = flood.active()
  for (const wire of wires) wire.close()
  while (flood.active() > 0) await Bun.sleep(20)
  return { before, settled, peak, taken: (flood.taken() - takenBefore) / 1e6, held }
}
