/**
 * mDNS on this machine alone: servers that announce themselves over loopback, and whether loopback carries multicast.
 */
import openSocket, { type Responder } from "multicast-dns"

/** The interface by its address: its name differs from system to system. */
export const loopback = "127.0.0.1"

const open = (): Promise<Responder> =>
  new Promise((resolve, reject) => {
    const socket = openSocket({ port: 5353, interface: loopback, bind: "0.0.0.0" })
    socket.on("ready", () => resolve(socket))
    socket.on("error", reject)
  })

/** A server that says where it is, when asked and when told to. */
export const startAdvertiser = async (type: string, label: string) => {
  const socket = await open()
  let port = 0
  const records = (ttl: number) => {
    const service = `${type}.local`
    const name = `${label}.${service}`
    const target = `${label.toLowerCase()}.local`
    return [
      { name: service, type: "PTR", ttl, data: name },
      { name, type: "SRV", ttl, flush: true, data: { priority: 0, weight: 0, port, target } },
      { name, type: "TXT", ttl, flush: true, data: ["txtvers=1"] },
      { name: target, type: "A", ttl, flush: true, data: loopback }
    ]
  }
  const say = (ttl: number) => new Promise<void>((done) => socket.respond(records(ttl), () => done()))
  socket.on("packet", ({ type: kind, questions }) => {
    if (kind === "query" && port > 0 && JSON.stringify(questions).includes(`${type}.local`)) void say(120)
  })
  return {
    at: (next: number) => {
      port = next
      return say(120)
    },
    goodbye: async () => {
      await say(0)
      port = 0
    },
    [Symbol.asyncDispose]: () => new Promise<void>((done) => socket.destroy(done))
  }
}

const looks = async (): Promise<boolean> => {
  const [speaker, listener] = await Promise.all([open(), open()])
  const name = `check-${crypto.randomUUID()}.local`
  const heard = new Promise<boolean>((resolve) => {
    listener.on("packet", (packet) => JSON.stringify(packet.questions).includes(name) && resolve(true))
    speaker.query([{ name, type: "A" }], (error) => error && resolve(false))
    setTimeout(() => resolve(false), 5000).unref()
  })
  const result = await heard
  for (const socket of [speaker, listener]) await new Promise<void>((done) => socket.destroy(done))
  return result
}

/** Whether a multicast packet sent on loopback is heard there; what needs it says so when it is skipped. */
export const hasMulticast: boolean = await looks().catch(() => false)
