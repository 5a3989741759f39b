/**
 * SIGTERM with many live streams: each of them ends whole, nobody new comes in, the exit code is 0.
 */
import { once, type Running } from "../processes.ts"
import { connect, get, post } from "../wire.ts"
import { type Chance, between } from "./chance.ts"

const streams = 200

/** Stops the gateway under load; gives what went wrong. */
export const drainUnderLoad = async (gateway: Running, chance: Chance): Promise<ReadonlyArray<string>> => {
  const failures: Array<string> = []
  let complete = 0
  const open = new Set<number>()
  const all = Array.from({ length: streams }, async (_, at) => {
    const wire = await connect(gateway.port)
    const frames = between(chance, 60, 140)
    const body = `{"soak":{"id":"r${String(9_000_000 + at)}","frames":${String(frames)}},"model":"soak","messages":[{"role":"user","content":"x"}],"stream":true}`
    return new Promise<void>((done) => {
      let text = ""
      wire.send(post("/v1/chat/completions", body), {
        piece: (bytes) => {
          open.add(at)
          text += bytes.toString("latin1")
        },
        end: () => {
          if (text.includes("data: [DONE]") && !text.includes('"error"')) complete += 1
          done()
        },
        broken: () => {
          done()
        }
      })
    })
  })
  while (open.size < streams) {
    await Bun.sleep(10)
    if ((await once(gateway.port, get("/livez"))).status !== 200) break
  }
  const stopped = gateway.stop("SIGTERM")
  await Bun.sleep(200)
  const late = await once(gateway.port, get("/readyz"))
  if (late.status === 200) failures.push("drain: /readyz still says 200")
  await Promise.all(all)
  const code = await Promise.race([stopped, Bun.sleep(35_000).then(() => -1)])
  console.log(
    `drain         ${String(complete)} of ${String(streams)} live streams ended whole, exit code ${String(code)}`
  )
  if (complete !== streams)
    failures.push(`drain: ${String(streams - complete)} of ${String(streams)} streams did not end whole`)
  if (code !== 0) failures.push(`drain: exit code ${String(code)}`)
  return failures
}
