/**
 * Nexus in front of the simulated servers: this checkout or another, with a config that tells names, addresses and types
 * and nothing of what the servers can do.
 */
import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { get } from "../wire.ts"
import { bun, freePort, once, proxyCore, type Running, start } from "../processes.ts"
import { secretOf } from "./client.ts"
import type { SimServer } from "./server.ts"

/** What a config says besides the servers. */
export interface Saying {
  /** Names of the keys that clients send. */
  readonly keys: ReadonlyArray<string>
  /** Those of them whose requests can wait. */
  readonly batchKeys: ReadonlyArray<string>
  /** Models whose requests may have a second attempt. */
  readonly hedged: ReadonlyArray<string>
  /** Each backend's `max_concurrent` is what its server can do. */
  readonly slotsAsLimit: boolean
  readonly speed: number
}

const scratch = mkdtempSync(join(tmpdir(), "nexus-fleet-"))
process.on("exit", () => {
  rmSync(scratch, { recursive: true, force: true })
})

const keyLines = ({ batchKeys, keys }: Saying, withClasses: boolean): ReadonlyArray<string> =>
  keys.flatMap((key) => [
    "[[auth.keys]]",
    `name = ${JSON.stringify(key)}`,
    `sha256 = "${createHash("sha256").update(secretOf(key)).digest("hex")}"`,
    ...(withClasses && batchKeys.includes(key) ? ['priority = "batch"'] : [])
  ])

const hedgeLines = ({ hedged, speed }: Saying): ReadonlyArray<string> =>
  hedged.length === 0
    ? []
    : [
        "[routing.hedge]",
        `models = ${JSON.stringify([...new Set(hedged)])}`,
        // Half a second of the servers' time.
        `min_wait_seconds = ${String(0.5 / speed)}`
      ]

/** Which of the settings that came later a config has. */
interface Later {
  readonly classes: boolean
  readonly hedges: boolean
}

/** The lines of nexus.toml. */
const linesOf = (
  port: number,
  servers: ReadonlyArray<SimServer>,
  saying: Saying,
  { classes, hedges }: Later
): ReadonlyArray<string> => [
  "[server]",
  `port = ${String(port)}`,
  "[discovery]",
  "enabled = false",
  "[logging]",
  'level = "warn"',
  "[health_check]",
  // Half a minute of the servers' time.
  `interval_seconds = ${String(30 / saying.speed)}`,
  ...(hedges ? hedgeLines(saying) : []),
  ...keyLines(saying, classes),
  ...servers.flatMap(({ machine, name, port }) => [
    "[[backends]]",
    `name = "${name}"`,
    `url = "http://127.0.0.1:${String(port)}"`,
    `type = "${machine.spec.kind}"`,
    ...(saying.slotsAsLimit ? [`max_concurrent = ${String(machine.spec.slots)}`] : [])
  ])
]

/** Whether a checkout takes a config, by its own check. */
const takes = (checkout: string, file: string): boolean =>
  Bun.spawnSync([bun, join(checkout, "src/main.ts"), "config", "check", "-c", file]).exitCode === 0

let files = 0

const written = (lines: ReadonlyArray<string>): string => {
  files += 1
  const file = join(scratch, `${String(files)}.toml`)
  writeFileSync(file, `${lines.join("\n")}\n`)
  return file
}

/** Writes a config without the settings that the checkout does not know yet. */
const write = (checkout: string, saying: Saying, lines: (later: Later) => ReadonlyArray<string>): string => {
  const knows = (later: Later): boolean => takes(checkout, written(lines(later)))
  return written(
    lines({
      classes: saying.batchKeys.length > 0 && knows({ classes: true, hedges: false }),
      hedges: saying.hedged.length > 0 && knows({ classes: false, hedges: true })
    })
  )
}

const untilItLists = async (gateway: Running, key: string, models: ReadonlyArray<string>): Promise<void> => {
  const request = Buffer.from(
    get("/v1/models")
      .toString()
      .replace("\r\n\r\n", `\r\nAuthorization: Bearer ${secretOf(key)}\r\n\r\n`)
  )
  const until = performance.now() + 20_000
  while (performance.now() < until) {
    const { text } = await once(gateway.port, request)
    if (models.every((model) => text.includes(`"${model}"`))) return
    await Bun.sleep(20)
  }
  throw new Error(`the gateway does not list ${models.join(", ")}\n${gateway.output()}`)
}

/** Starts a checkout's gateway in front of the servers, and waits until it knows their models. */
export const startGateway = async (
  checkout: string,
  servers: ReadonlyArray<SimServer>,
  saying: Saying
): Promise<Running> => {
  if (!existsSync(join(checkout, "src/main.ts"))) throw new Error(`no checkout at ${checkout}`)
  const port = freePort()
  const config = write(checkout, saying, (later) => linesOf(port, servers, saying, later))
  const gateway = start([bun, join(checkout, "src/main.ts"), "serve", "-c", config], port, proxyCore)
  const models = new Set(servers.flatMap(({ machine }) => machine.spec.models))
  await untilItLists(gateway, saying.keys[0] ?? "", [...models])
  return gateway
}
