/**
 * Records of mDNS packets as far as they make sense: whatever a stranger on the network sent is checked here.
 */

/** Seconds that any record is believed at most. */
const longestTtl = 4500

/** Records of one packet that are looked at. */
const mostRecords = 256

const mostTxtBytes = 1300

interface About {
  /** In lower case, without a dot at its end. */
  readonly name: string
  /** How long it is believed, in milliseconds; 0 takes it back. */
  readonly ttlMs: number
  /** Whether it replaces what was said before. */
  readonly flush: boolean
}

/** A record that can be relied on to have its shape; `written` is `to` as it was written. */
export type DnsRecord =
  | (About & { readonly _tag: "Pointer"; readonly to: string; readonly written: string })
  | (About & { readonly _tag: "Service"; readonly host: string; readonly port: number })
  | (About & { readonly _tag: "Text"; readonly entries: ReadonlyMap<string, string> })
  | (About & { readonly _tag: "Address"; readonly address: string })

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

const utf8 = new TextEncoder()

const nameOf = (value: unknown): string | undefined => {
  if (typeof value !== "string" || value.length > 255 || utf8.encode(value).length > 255) return undefined
  const name = value.toLowerCase().replace(/\.$/, "")
  return name === "" ? undefined : name
}

const hostPattern = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/

const textsOf = (data: unknown): ReadonlyArray<string> => {
  const list: ReadonlyArray<unknown> = Array.isArray(data) ? data : [data]
  const decoder = new TextDecoder()
  let room = mostTxtBytes
  return list.slice(0, mostTxtBytes).flatMap((each) => {
    if (!(each instanceof Uint8Array) || each.length > room) return []
    room -= each.length
    return [decoder.decode(each)]
  })
}

// The first of several entries of one name counts (RFC 6763, 6.4).
const entriesOf = (texts: ReadonlyArray<string>): ReadonlyMap<string, string> => {
  const entries = new Map<string, string>()
  for (const text of texts.slice(0, 32)) {
    const at = text.indexOf("=")
    const key = (at === -1 ? text : text.slice(0, at)).toLowerCase()
    if (key !== "" && !entries.has(key)) entries.set(key, at === -1 ? "" : text.slice(at + 1))
  }
  return entries
}

const serviceOf = (data: unknown): { readonly host: string; readonly port: number } | undefined => {
  if (!isObject(data)) return undefined
  const host = nameOf(data["target"])
  const { port } = data
  const isPort = typeof port === "number" && Number.isInteger(port) && port > 0 && port < 65_536
  return host === undefined || !hostPattern.test(host) || !isPort ? undefined : { host, port }
}

const readRecord = (raw: unknown): DnsRecord | undefined => {
  if (!isObject(raw)) return undefined
  const name = nameOf(raw["name"])
  const { ttl, data } = raw
  if (name === undefined || typeof ttl !== "number" || !(ttl >= 0)) return undefined
  const about = { name, ttlMs: Math.min(ttl, longestTtl) * 1000, flush: raw["flush"] === true }
  switch (raw["type"]) {
    case "PTR": {
      const to = nameOf(data)
      return to === undefined ? undefined : { ...about, _tag: "Pointer", to, written: String(data) }
    }
    case "SRV": {
      const service = serviceOf(data)
      return service === undefined ? undefined : { ...about, _tag: "Service", ...service }
    }
    case "TXT":
      return { ...about, _tag: "Text", entries: entriesOf(textsOf(data)) }
    case "A":
    case "AAAA":
      return typeof data === "string" && /^[0-9a-f:.]{2,45}$/i.test(data)
        ? { ...about, _tag: "Address", address: data.toLowerCase() }
        : undefined
    default:
      return undefined
  }
}

/** The usable records among those of a packet. */
export const readRecords = (raw: ReadonlyArray<unknown>): ReadonlyArray<DnsRecord> =>
  raw.slice(0, mostRecords).flatMap((each) => {
    const record = readRecord(each)
    return record === undefined ? [] : [record]
  })
