/**
 * Clients that leave: while they send, while they wait, in the middle of their answers.
 */
import type { Running } from "../processes.ts"
import { between, type Chance } from "../soak/chance.ts"
import type { Marker } from "../soak/faulty.ts"
import { connect, post } from "../wire.ts"

// So many clients are there at a time.
const together = 100

const requestOf = (chance: Chance, id: number): Uint8Array => {
  const frames = chance() < 0.7 ? between(chance, 1, 60) : 0
  const marker: Marker = { id: `l${String(id)}`, frames }
  const padding = "x".repeat(chance() < 0.1 ? between(chance, 10_000, 300_000) : 10)
  const body = `{"soak":${JSON.stringify(marker)},"model":"soak","messages":[{"role":"user","content":"${padding}"}],"stream":${String(frames > 0)}}`
  return post("/v1/chat/completions", body)
}

const leaveOnce = async (port: number, chance: Chance, id: number): Promise<void> => {
  const wire = await connect(port)
  const request = requestOf(chance, id)
  // Some leave in the middle of their upload.
  const sent = chance() < 0.2 ? request.subarray(0, between(chance, 1, request.length - 1)) : request
  const over = Promise.withResolvers<undefined>()
  const end = (): void => over.resolve(undefined)
  wire.send(sent, { end, broken: end })
  await Promise.race([Bun.sleep(between(chance, 0, 300)), over.promise])
  wire.close()
}

/** Sends so many requests, each left at a random moment unless it is answered before. */
export const leave = async ({ port }: Running, chance: Chance, requests: number): Promise<void> => {
  let next = 0
  const clients = Array.from({ length: together }, async () => {
    while (next < requests) {
      next += 1
      await leaveOnce(port, chance, next)
    }
  })
  await Promise.all(clients)
}
