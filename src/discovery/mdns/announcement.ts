/**
 * What Nexus says of itself by mDNS.
 */
import type { SentRecord } from "./Link.ts"
import type { DnsRecord } from "./records.ts"

/** A Nexus as others are to find it. */
export interface Identity {
  readonly hostname: string
  readonly port: number
  readonly version: string
  readonly addresses: ReadonlyArray<string>
  /** From 1; higher when others have the name already. */
  readonly number: number
}

/** The service type of LLM servers. */
export const llmType = "_llm._tcp"

const typeName = `${llmType}.local`
const catalogue = "_services._dns-sd._udp.local"

/** Seconds for which others may believe a record; those that hold an address shorter (RFC 6762, 10). */
const longTtl = 4500
const hostTtl = 120

// One label: a dot would begin another, and 63 bytes are the most.
const labelOf = (hostname: string): string =>
  (hostname.split(".")[0] ?? "").replace(/[^A-Za-z0-9-]/g, "-").slice(0, 32) || "host"

/** Full name of the instance. */
export const instanceName = ({ hostname, port, number }: Identity): string =>
  `Nexus on ${labelOf(hostname)} port ${port}${number === 1 ? "" : ` (${number})`}.${typeName}`

// A name of its own: the machine's belongs to the responder that the machine may have.
const targetName = ({ hostname, port, number }: Identity): string =>
  `nexus-${labelOf(hostname).toLowerCase()}-${port}${number === 1 ? "" : `-${number}`}.local`

const addressRecords = (identity: Identity): ReadonlyArray<SentRecord> =>
  identity.addresses.map((data) => ({
    name: targetName(identity),
    type: data.includes(":") ? "AAAA" : "A",
    ttl: hostTtl,
    flush: true,
    data
  }))

const serviceRecords = (identity: Identity): ReadonlyArray<SentRecord> => {
  const name = instanceName(identity)
  const { port, version } = identity
  const service = { priority: 0, weight: 0, port, target: targetName(identity) }
  const text = ["txtvers=1", "type=nexus", `version=${version}`, "path=/v1"]
  return [
    { name, type: "SRV", ttl: hostTtl, flush: true, data: service },
    { name, type: "TXT", ttl: longTtl, flush: true, data: text }
  ]
}

/** All there is to say. */
export const announcement = (identity: Identity): ReadonlyArray<SentRecord> => [
  { name: typeName, type: "PTR", ttl: longTtl, data: instanceName(identity) },
  ...serviceRecords(identity),
  ...addressRecords(identity)
]

/** Takes all of it back. */
export const goodbye = (identity: Identity): ReadonlyArray<SentRecord> =>
  announcement(identity).map(({ name, type, data }) => ({ name, type, ttl: 0, flush: type !== "PTR", data }))

const questionOf = (raw: unknown): { readonly name: string; readonly type: string } | undefined => {
  if (typeof raw !== "object" || raw === null || !("name" in raw) || !("type" in raw)) return undefined
  const { name, type } = raw
  return typeof name === "string" && typeof type === "string" ? { name: name.toLowerCase(), type } : undefined
}

const answersToOne = (name: string, type: string, identity: Identity): ReadonlyArray<SentRecord> => {
  const asks = (...types: ReadonlyArray<string>) => type === "ANY" || types.includes(type)
  if (name === catalogue && asks("PTR")) return [{ name: catalogue, type: "PTR", ttl: longTtl, data: typeName }]
  if (name === typeName && asks("PTR")) return announcement(identity)
  if (name === instanceName(identity).toLowerCase() && asks("SRV", "TXT")) {
    return [...serviceRecords(identity), ...addressRecords(identity)]
  }
  return name === targetName(identity) && asks("A", "AAAA") ? addressRecords(identity) : []
}

/** The answer to the questions of a packet, each record once; `known` is what the asker says it knows already. */
export const answersTo = (
  questions: ReadonlyArray<unknown>,
  known: ReadonlyArray<DnsRecord>,
  identity: Identity
): ReadonlyArray<SentRecord> => {
  const own = instanceName(identity).toLowerCase()
  const isKnown = known.some(
    (record) => record._tag === "Pointer" && record.to === own && record.ttlMs >= (longTtl / 2) * 1000
  )
  const answers = new Map<string, SentRecord>()
  for (const raw of questions.slice(0, 64)) {
    const question = questionOf(raw)
    if (question === undefined || (question.name === typeName && isKnown)) continue
    for (const record of answersToOne(question.name, question.type, identity)) {
      answers.set(JSON.stringify(record), record)
    }
  }
  return [...answers.values()]
}

/** Whether records show that somebody else has the name, of the instance or of its host. */
export const isTaken = (records: ReadonlyArray<DnsRecord>, identity: Identity): boolean =>
  records.some((record) => {
    if (record.ttlMs === 0) return false
    if (record._tag === "Address") {
      return record.name === targetName(identity) && !identity.addresses.includes(record.address)
    }
    return (
      record._tag === "Service" &&
      record.name === instanceName(identity).toLowerCase() &&
      (record.host !== targetName(identity) || record.port !== identity.port)
    )
  })
