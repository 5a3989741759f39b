/**
 * The folders of `src/`, what each is for, and which others it may import from, types included. The architecture test
 * holds the code to it, and the README shows it.
 */

/** A folder: what it is for, and the folders it may import from. */
export interface Room {
  readonly purpose: string
  readonly mayImport: ReadonlyArray<string>
}

const room = (purpose: string, mayImport: string): Room => ({
  purpose,
  mayImport: mayImport === "" ? [] : mayImport.split(" ")
})

/** Every folder, in an order in which each imports only from those before it. */
export const house: Readonly<Record<string, Room>> = {
  domain: room("words all others share: errors, backends, requests, clocks", ""),
  backend: room("kinds of LLM servers: how each is known, asked, spelled and called", "domain"),
  config: room("settings: read, checked, located, edited, compared", "domain backend"),
  "config/import": room("settings of other gateways made into ours", "domain backend config"),
  telemetry: room("log lines, histograms, counters", "domain config"),
  replicas: room(
    "what several gateways share through Valkey or Redis: the link, and who they are",
    "domain config telemetry"
  ),
  store: room("files of SQLite", ""),
  admission: room("who is let in, and how much at a time", "domain replicas store"),
  wire: room("the HTTP/1.1 client on bare sockets: connections, calls, reader", "domain"),
  dialect: room(
    "what clients and servers speak: facts of a request, the watch over a stream, error shape",
    "domain telemetry"
  ),
  fleet: room("what is learned of servers by what they do: slots, speeds, prompt caches, models in memory", ""),
  registry: room("the picture of all backends, and what is counted of them", "domain backend fleet"),
  router: room("from a model's name to backends in order", "domain backend config fleet registry"),
  upstream: room("one attempt at one backend, its time limits, the commit", "domain backend wire dialect"),
  capture: room("prompts and answers that are stored, sealed", "domain store telemetry"),
  cache: room("answers that are given again to the very same request", "domain replicas capture"),
  hooks: room(
    "who judges requests and answers outside of the gateway, and what they are shown of a stream",
    "domain telemetry dialect upstream"
  ),
  usage: room("what requests took and cost, written down; budgets", "domain backend replicas store telemetry upstream"),
  issuer: room("tokens of OIDC issuers: their keys, their claims, what they let do", "domain wire upstream"),
  health: room(
    "servers asked what they are and how they are, by schedule, and what that changes",
    "domain backend config replicas wire registry upstream"
  ),
  lifecycle: room(
    "models loaded, unloaded and got where servers can be asked to",
    "domain backend wire registry router upstream"
  ),
  discovery: room(
    "servers found on this machine and the network",
    "domain backend config wire registry upstream health"
  ),
  listener: room("the HTTP/1.1 server on bare sockets: connections, requests, answers", "domain"),
  http: room("the listening socket, and addresses", "domain config listener"),
  api: room("the contracts of the operational endpoints", "domain backend"),
  ui: room("the live page, as it runs in a browser", "api"),
  proxy: room(
    "one forwarded request: attempts, delivery, accounting",
    "domain backend telemetry usage admission wire dialect fleet registry router upstream capture cache hooks http api"
  ),
  connect: room("settings of client programs, printed and put into their files", "domain backend config router api"),
  operations: room(
    "what is not forwarded: health, models, statistics, administration, pages",
    "domain backend config telemetry replicas usage admission dialect registry router upstream capture cache issuer lifecycle proxy connect api"
  ),
  remote: room(
    "what commands ask of a running gateway",
    "domain config replicas registry upstream admission health discovery http operations api"
  ),
  doctor: room(
    "what is wrong with a config, a machine, a backend",
    "domain config wire dialect registry router upstream hooks issuer backend health discovery http remote"
  ),
  mock: room("an LLM server without a model: answers, speeds and faults as it is told", "domain config dialect http"),
  load: room(
    "requests sent to measure servers, and what their answers show",
    "domain backend dialect telemetry upstream wire"
  ),
  recording: room(
    "exchanges with the times of their pieces: noted as they pass, kept, served, sent again",
    "domain dialect upstream wire http mock load"
  ),
  demo: room("simulated backends inside the process", "backend dialect http mock"),
  runtime: room(
    "layers put together, the table of routes, reload, shutdown",
    "domain config telemetry replicas usage admission dialect registry router upstream capture cache hooks issuer backend health lifecycle discovery http api proxy operations remote"
  ),
  cluster: room(
    "several processes as one gateway: supervisor, workers, what they tell each other",
    "domain backend config telemetry admission registry upstream cache http api proxy operations runtime"
  ),
  serve: room(
    "from settings to a running gateway, and the first run",
    "domain backend config registry upstream health discovery http api proxy operations remote doctor demo runtime cluster"
  ),
  cli: room(
    "commands",
    "domain backend admission config config/import telemetry dialect http api connect upstream remote doctor mock load recording serve"
  ),
  main: room("the program", "cli")
}

/** The folders as a table for people. */
export const houseTable = (): string =>
  [
    "| folder | what is in it | imports from |",
    "| --- | --- | --- |",
    ...Object.entries(house).map(
      ([name, { mayImport, purpose }]) => `| \`${name}\` | ${purpose} | ${mayImport.join(", ") || "nothing"} |`
    )
  ].join("\n")
