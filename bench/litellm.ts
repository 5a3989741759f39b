/**
 * LiteLLM's Messages path beside ours, in front of the same mock: an installation of `litellm[proxy]` that the bench is told of.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { closedLoop } from "./load.ts"
import { freePort, proxyCore, ready, type Running, start } from "./processes.ts"
import { cpuOfFamily } from "./procfs.ts"
import { readStreams } from "./streams.ts"
import { type Voice, voices } from "./voices.ts"
import { post } from "./wire.ts"

/** What one gateway takes for translated Messages, in microseconds of processor time. */
export interface MessagesCost {
  readonly request: number
  readonly token: number
  readonly failed: number
}

/** The costs of a gateway, with so many requests and streams at a time; `headers` are lines of each head. */
const costOf = async (
  { pid, port }: Running,
  voice: Voice,
  { atATime, headers, seconds }: { readonly atATime: number; readonly headers: string; readonly seconds: number }
): Promise<MessagesCost> => {
  const request = post(voice.path("bench", false), voice.body("bench", ["Hello there"], false), headers)
  await closedLoop(port, request, atATime, seconds)
  const before = cpuOfFamily(pid)
  const load = await closedLoop(port, request, atATime, seconds)
  const each = (cpuOfFamily(pid) - before) / load.done
  let from = { cpu: 0, frames: 0 }
  let token = Number.NaN
  const streams = await readStreams({
    port,
    voice,
    headers,
    streams: atATime,
    frames: 100,
    every: 20,
    allOpen: (frames) => {
      from = { cpu: cpuOfFamily(pid), frames }
    },
    firstEnded: (frames) => {
      token = (cpuOfFamily(pid) - from.cpu) / (frames - from.frames)
    }
  })
  return { request: each, token, failed: load.failed + streams.lost + streams.broken }
}

const config = (mockPort: number): string =>
  `
model_list:
  - model_name: bench
    litellm_params: { model: openai/bench, api_base: "http://127.0.0.1:${String(mockPort)}/v1", api_key: none }
litellm_settings: { drop_params: true, use_chat_completions_url_for_anthropic_messages: true }
`

/** Our costs and those of the LiteLLM whose program is given, one after the other. */
export const messagesBesideLitellm = async (
  program: string,
  mockPort: number,
  gateway: Running,
  seconds: number
): Promise<{ readonly ours: MessagesCost; readonly theirs: MessagesCost } | undefined> => {
  const { messages } = voices
  if (messages === undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), "nexus-litellm-"))
  const file = join(folder, "config.yaml")
  writeFileSync(file, config(mockPort))
  const [port, key] = [freePort(), `sk-${crypto.randomUUID()}${crypto.randomUUID()}`]
  const command = [program, "--config", file, "--host", "127.0.0.1", "--port", String(port), "--telemetry", "False"]
  const environment = { LITELLM_MASTER_KEY: key, LITELLM_LOG: "ERROR", LITELLM_LOCAL_MODEL_COST_MAP: "True" }
  const litellm = start(command, port, proxyCore, environment)
  try {
    const headers = `anthropic-version: 2023-06-01\r\nx-api-key: ${key}\r\n`
    // It writes JSON with blanks.
    const theirVoice = { ...messages, mark: '"text": "#' }
    await ready(litellm, post("/v1/messages", messages.body("bench", ["Hello"], false), headers), 120_000)
    return {
      ours: await costOf(gateway, messages, { atATime: 32, headers: "", seconds }),
      theirs: await costOf(litellm, theirVoice, { atATime: 8, headers, seconds: Math.max(seconds, 4) })
    }
  } finally {
    await litellm.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
