/**
 * What is compared: the mock itself, the floor, Nexus from source and as a binary, and other proxies where installed.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { modelName } from "./mock.ts"
import {
  binaryPath,
  bun,
  freePort,
  hasBinary,
  proxyCore,
  ready,
  root,
  type Running,
  start,
  startMockProcess
} from "./processes.ts"
import { post } from "./wire.ts"

// Other proxies and gateways, measured where their programs are installed.
const proxies = ["nginx", "haproxy", "vllm-router", "smg"] as const

/** Names of the legs, in the order of their columns. */
export const legNames = ["direct", "floor", "nexus", "binary", ...proxies] as const

/** Name of a leg. */
export type LegName = (typeof legNames)[number]

/** What a leg stands in front of. */
export interface Setup {
  readonly mockPort: number
  /** Models the backends list; 1 when absent. */
  readonly models?: number
  /** Aliases of the last model, `alias-0` and so on. */
  readonly aliases?: number
  /** Backends, all the same mock; 1 when absent. */
  readonly backends?: number
  /** Further lines of nexus.toml, under `[server]`. */
  readonly server?: ReadonlyArray<string>
  /** Lines under `[routing.aliases]`. */
  readonly aliasLines?: ReadonlyArray<string>
  /** Whole `[[backends]]` lines in place of the ones made here. */
  readonly backendLines?: ReadonlyArray<string>
  /** Further tables. */
  readonly tables?: ReadonlyArray<string>
}

const scratch = mkdtempSync(join(tmpdir(), "nexus-bench-"))
process.on("exit", () => {
  rmSync(scratch, { recursive: true, force: true })
})

let files = 0
const write = (name: string, text: string): string => {
  files += 1
  const path = join(scratch, `${String(files)}-${name}`)
  writeFileSync(path, text)
  return path
}

/** The last of the models that a mock lists. */
export const lastModel = (models: number): string => modelName(models - 1)

const backendLines = ({ mockPort, models = 1, backends = 1 }: Setup): ReadonlyArray<string> =>
  Array.from({ length: backends }, (_, at) => [
    "[[backends]]",
    `name = "mock-${String(at)}"`,
    `url = "http://127.0.0.1:${String(mockPort)}/b${String(at)}/models-${String(models)}"`
  ]).flat()

/** nexus.toml for a setup: defaults, apart from what the setup asks for. */
const nexusToml = (port: number, setup: Setup): string =>
  [
    "[server]",
    `port = ${String(port)}`,
    ...(setup.server ?? []),
    "[discovery]",
    "enabled = false",
    "[routing.aliases]",
    ...(setup.aliasLines ?? []),
    ...Array.from(
      { length: setup.aliases ?? 0 },
      (_, at) => `"alias-${String(at)}" = ${JSON.stringify(lastModel(setup.models ?? 1))}`
    ),
    ...(setup.backendLines ?? backendLines(setup)),
    ...(setup.tables ?? [])
  ].join("\n")

const nginxConfig = (port: number, mockPort: number): string => `
master_process off; daemon off; pid ${scratch}/nginx.pid; error_log stderr crit;
events { worker_connections 16384; }
http {
  access_log off; client_max_body_size 100m; client_body_temp_path ${scratch}/body; proxy_temp_path ${scratch}/proxy;
  fastcgi_temp_path ${scratch}/f; uwsgi_temp_path ${scratch}/u; scgi_temp_path ${scratch}/s; keepalive_requests 1000000000;
  upstream mock { server 127.0.0.1:${String(mockPort)}; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${String(port)};
    location / { proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}`

const haproxyConfig = (port: number, mockPort: number): string => `
global
  maxconn 9000
  nbthread 1
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend in
  bind 127.0.0.1:${String(port)}
  default_backend mock
backend mock
  server mock 127.0.0.1:${String(mockPort)}
`

const routerArgs = (port: number, mockPort: number): ReadonlyArray<string> =>
  `--host 127.0.0.1 --port ${String(port)} --worker-urls http://127.0.0.1:${String(mockPort)} --policy round_robin --prometheus-port ${String(freePort())} --log-level error`.split(
    " "
  )

/** The request that tells a leg is up. */
export const smallRequest = (model = "bench"): Uint8Array =>
  post(
    "/v1/chat/completions",
    JSON.stringify({
      model,
      messages: [
        { role: "system", content: "You are a helpful assistant." },
        { role: "user", content: "Hello there, how are you today?" }
      ],
      temperature: 0.7,
      max_tokens: 200
    }),
    "Authorization: Bearer sk-bench\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n"
  )

/** The gateway, and what replaces its settings while it runs. */
export interface RunningNexus extends Running {
  readonly rewrite: (setup: Setup) => void
}

/** How the gateway is started; with `heapPort` it tells there what its heap holds (from source alone). */
interface StartOptions {
  readonly port?: number
  readonly core?: number | string
  readonly heapPort?: number
}

/** Starts the gateway from source or as a binary, without waiting for its first answer. */
export const startNexus = (
  from: "nexus" | "binary",
  setup: Setup,
  { port = freePort(), core = proxyCore, heapPort }: StartOptions = {}
): RunningNexus => {
  const config = write("nexus.toml", nexusToml(port, setup))
  const looked = heapPort === undefined ? [] : ["--preload", resolve(root, "bench/heap.ts")]
  const program = from === "binary" ? [binaryPath] : [bun, ...looked, resolve(root, "src/main.ts")]
  const environment: Record<string, string> = heapPort === undefined ? {} : { HEAP_PORT: String(heapPort) }
  const running = start([...program, "serve", "-c", config], port, core, environment)
  return { ...running, rewrite: (next) => writeFileSync(config, nexusToml(port, next)) }
}

const launch = (name: LegName, setup: Setup): Running | Promise<Running> => {
  const port = freePort()
  switch (name) {
    case "direct":
      return startMockProcess(proxyCore)
    case "floor": {
      const target = `http://127.0.0.1:${String(setup.mockPort)}`
      return start([bun, resolve(root, "bench/floor.ts"), String(port), target], port, proxyCore)
    }
    case "nexus":
    case "binary":
      return startNexus(name, setup, { port })
    case "nginx":
      return start(
        ["nginx", "-p", scratch, "-c", write("nginx.conf", nginxConfig(port, setup.mockPort))],
        port,
        proxyCore
      )
    case "haproxy":
      return start(["haproxy", "-f", write("haproxy.cfg", haproxyConfig(port, setup.mockPort))], port, proxyCore)
    case "vllm-router":
      return start(["vllm-router", ...routerArgs(port, setup.mockPort)], port, proxyCore)
    case "smg":
      return start(["smg", "launch", ...routerArgs(port, setup.mockPort)], port, proxyCore)
  }
}

/** Starts a leg and waits until it answers. */
export const startLeg = async (name: LegName, setup: Setup): Promise<Running> => {
  const running = await launch(name, setup)
  await ready(running, smallRequest(lastModel(setup.models ?? 1)))
  return running
}

/** The legs that this machine has. */
export const availableLegs = (): ReadonlyArray<LegName> => [
  "direct",
  "floor",
  "nexus",
  ...(hasBinary() ? (["binary"] as const) : []),
  ...proxies.filter((name) => Bun.which(name) !== null)
]

/** True for the legs that are Nexus. */
export const isNexus = (name: LegName): boolean => name === "nexus" || name === "binary"
