/**
 * The floor: the least a Bun proxy can do. Parses the JSON body, hands the same bytes on and the answer back as it is.
 *
 *     bun bench/floor.ts <port> <url of the backend>
 */
const [port = "0", target = "http://127.0.0.1:9"] = process.argv.slice(2)

const decoder = new TextDecoder()

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  idleTimeout: 0,
  development: false,
  maxRequestBodySize: 1024 ** 3,
  async fetch(request) {
    const { pathname } = new URL(request.url)
    if (request.method !== "POST") return fetch(target + pathname)
    const body = await request.arrayBuffer()
    const json = JSON.parse(decoder.decode(body)) as { readonly model?: string } // reason: only looked at, never trusted
    if (typeof json.model !== "string") return new Response("no model", { status: 400 })
    const answer = await fetch(target + pathname, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal: request.signal,
      decompress: false,
      redirect: "manual",
      timeout: false
    })
    return new Response(answer.body, {
      status: answer.status,
      headers: { "content-type": answer.headers.get("content-type") ?? "application/json" }
    })
  }
})

console.log(`listening ${String(server.port)}`)
