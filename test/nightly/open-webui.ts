/**
 * Open WebUI as its users have it: its server, told of the gateway by variables, with a tool of its own that reads a file; a
 * chat is begun as its page begins one, and what is then in the chat is what its user sees.
 */
import { spawn } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { freePort } from "../../bench/processes.ts"
import { openWebUi } from "./agents.ts"
import type { Outcome } from "./installed.ts"

const tool = `class Tools:
    def read_file(self, path: str) -> str:
        """
        Reads a file
        :param path: Where it is
        """
        return open(path).read()
`

/** What its server needs to be of use without anybody who signs in, and without a network. */
const alone = {
  WEBUI_AUTH: "False",
  WEBUI_SECRET_KEY: "of-a-trial",
  ENABLE_PERSISTENT_CONFIG: "False",
  OFFLINE_MODE: "True",
  BYPASS_EMBEDDING_AND_RETRIEVAL: "True",
  RAG_EMBEDDING_ENGINE: "openai"
}

/** How it is run. */
interface WebUiRun {
  readonly env: Readonly<Record<string, string>>
  /** A folder of its own. */
  readonly home: string
  /** The variables that `nexus connect` prints. */
  readonly settings: string
  readonly model: string
  readonly prompt: string
  readonly limitMs: number
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? { ...value } : {}

/** Starts it, asks in a chat, and stops it. */
export const askOpenWebUi = async ({ env, home, limitMs, model, prompt, settings }: WebUiRun): Promise<Outcome> => {
  const began = performance.now()
  const signal = AbortSignal.timeout(limitMs)
  const port = freePort()
  const data = join(home, "data")
  mkdirSync(data)
  const told = Object.fromEntries(settings.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)))
  const child = spawn(openWebUi.program, ["serve", "--host", "127.0.0.1", "--port", String(port)], {
    cwd: home,
    env: {
      ENABLE_OLLAMA_API: "False",
      ENABLE_OPENAI_API: String(!("OLLAMA_BASE_URL" in told)),
      ...env,
      ...alone,
      ...told,
      DATA_DIR: data
    },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"]
  })
  let log = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-4000)
    })
  }
  const gone = new Promise<never>((_, reject) => {
    child.on("error", reject).on("exit", (code) => reject(new Error(`its server ended with ${String(code)}: ${log}`)))
  })
  let token = ""
  const call = async (path: string, body?: unknown): Promise<Readonly<Record<string, unknown>>> => {
    const answer = await fetch(`http://127.0.0.1:${String(port)}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { "content-type": "application/json", ...(token === "" ? {} : { authorization: `Bearer ${token}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${String(answer.status)} ${text}`)
    return record(JSON.parse(text))
  }
  const asking = async (): Promise<string> => {
    while ((await call("/health").catch(() => undefined)) === undefined) {
      signal.throwIfAborted()
      await Bun.sleep(500)
    }
    token = String((await call("/api/v1/auths/signin", { email: "", password: "" }))["token"])
    const listed = JSON.stringify(await call("/api/models"))
    if (!listed.includes(`"${model}`)) return `no such model in its list: ${listed}`
    const id = "read_file"
    await call("/api/v1/tools/create", { id, name: id, content: tool, meta: { description: "Reads a file" } })
    const [asked, answered] = ["q1", "a1"]
    const question = { id: asked, role: "user", content: prompt, parentId: null, childrenIds: [answered] }
    const answer = { id: answered, role: "assistant", content: "", parentId: asked, childrenIds: [], model }
    const history = { currentId: answered, messages: { [asked]: question, [answered]: answer } }
    const chat = await call("/api/v1/chats/new", { chat: { title: "Two words", models: [model], history } })
    await call("/api/chat/completions", {
      model,
      stream: true,
      messages: [{ role: "user", content: prompt }],
      chat_id: chat["id"],
      id: answered,
      session_id: "page",
      tool_ids: [id],
      params: { function_calling: "native" }
    })
    for (;;) {
      signal.throwIfAborted()
      const seen = record((await call(`/api/v1/chats/${String(chat["id"])}`))["chat"])
      const now = record(record(record(seen["history"])["messages"])[answered])
      if (now["done"] === true || now["error"] !== undefined) {
        return [now["content"], now["error"]]
          .map((each) => (typeof each === "string" ? each : JSON.stringify(each)))
          .join(" ")
      }
      await Bun.sleep(300)
    }
  }
  const outcome = await Promise.race([asking(), gone]).then(
    (output): Pick<Outcome, "code" | "output"> => ({ code: 0, output }),
    (error: unknown) => ({ code: signal.aborted ? ("killed" as const) : 1, output: String(error) })
  )
  gone.catch(() => undefined)
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
  } catch {
    // It has ended by itself.
  }
  return { ...outcome, seconds: (performance.now() - began) / 1000 }
}
