// A client in Node (fetch): client.mjs MODE PORT
const [mode, port] = process.argv.slice(2)
const ask = (content, stream) =>
  fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "m", stream, messages: [{ role: "user", content }] })
  })

if (mode === "chat" || mode === "large") {
  const texts = mode === "chat" ? ["chat 0", "chat 1", "chat 2"] : [`large ${"x".repeat(3_000_000)}`]
  for (const text of texts) console.log((await (await ask(text, false)).json()).choices[0].message.content)
} else {
  try {
    for await (const piece of (await ask(mode, true)).body) {
      process.stdout.write(piece)
      if (mode === "abort") break
    }
    console.log("ENDED")
  } catch (error) {
    console.log("BROKEN", String(error.cause ?? error))
  }
}
