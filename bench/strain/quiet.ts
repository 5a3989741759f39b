/**
 * A stream that falls silent for minutes, and one that takes as long to begin: both must come through when no limit of
 * the config says otherwise.
 */
import type { Socket } from "bun"
import { type Inbound, nothingYet, takeIn } from "../inbound.ts"
import { startNexus } from "../legs.ts"
import { ready } from "../processes.ts"
import { connect, get, post } from "../wire.ts"

const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

const first = chunk('data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n')

const last =
  chunk('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n') + "0\r\n\r\n"

const models = '{"object":"list","data":[{"id":"late"}]}'

const startSilent = (seconds: number): number => {
  const serve = (socket: Socket<Inbound>): void => {
    if (socket.data.path.endsWith("/models")) {
      const length = String(models.length)
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${models}`)
      return
    }
    const late = socket.data.opening.includes("late-head")
    if (!late) socket.write(head + first)
    setTimeout(() => socket.write((late ? head + first : "") + last), seconds * 1000)
  }
  const { port } = Bun.listen<Inbound>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = nothingYet()
      },
      data: (socket, bytes) => {
        if (takeIn(socket.data, bytes)) serve(socket)
      },
      error: () => undefined
    }
  })
  return port
}

/** Keeps two streams silent for so long; what went wrong, empty when nothing did. */
export const quietStream = async (from: "nexus" | "binary", seconds: number): Promise<string> => {
  const gateway = startNexus(from, {
    mockPort: 0,
    server: ["request_timeout_seconds = 0", "idle_timeout_seconds = 0"],
    backendLines: ["[[backends]]", 'name = "one"', `url = "http://127.0.0.1:${String(startSilent(seconds))}"`]
  })
  await ready(gateway, get("/readyz"))
  const stream = async (content: string): Promise<string> => {
    const wire = await connect(gateway.port)
    const body = JSON.stringify({ model: "late", messages: [{ role: "user", content }], stream: true })
    const began = performance.now()
    return new Promise((done) => {
      let text = ""
      wire.send(post("/v1/chat/completions", body), {
        piece: (bytes) => {
          text += bytes.toString("latin1")
        },
        end: () => {
          const took = ((performance.now() - began) / 1000).toFixed(0)
          console.log(`silent   ${content.padEnd(12)} ended whole after ${took} s`)
          done(text.includes("data: [DONE]") && !text.includes('"error"') ? "" : `${content}: ${text}`)
        },
        broken: (reason) => {
          done(`${content}: ${reason} after ${((performance.now() - began) / 1000).toFixed(0)} s`)
        }
      })
    })
  }
  const failures = await Promise.all([stream("late-head"), stream("late-rest")])
  await gateway.stop()
  return failures.filter((each) => each !== "").join("; ")
}
