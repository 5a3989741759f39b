/**
 * What URLs say, and where they lead, as far as that can be told without asking anybody.
 */

/** Where a URL leads. */
export interface HostPort {
  /** In lower case, IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

/** A host without the brackets that IPv6 has in URLs. */
export const bareHost = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")

/** A host as it stands in a URL: IPv6 in brackets. */
export const hostInUrl = (host: string): string => (host.includes(":") && !host.startsWith("[") ? `[${host}]` : host)

/** The endpoint of a URL; undefined for what is none. */
export const hostPortOf = (url: string): HostPort | undefined => {
  const parsed = URL.parse(url)
  if (parsed === null || parsed.hostname === "") return undefined
  const port = parsed.port === "" ? (parsed.protocol === "https:" ? 443 : 80) : Number(parsed.port)
  return { host: bareHost(parsed.hostname).replace(/\.$/, ""), port }
}

/** A part of a URL decoded; as it was written where it is not well formed. */
export const percentDecoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A URL with an address in place of its host. */
export const urlAt = (url: string, address: string): string => {
  const at = new URL(url)
  at.hostname = hostInUrl(address)
  return at.href
}

/** Whether only this machine can reach an address; IPv6 with or without brackets. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host)

const loopback = /^(localhost|127(\.\d{1,3}){3}|0\.0\.0\.0|::1?|.*\.localhost)$/

/** Whether a host is this machine by its name alone. */
export const isLocalName = (host: string): boolean => loopback.test(host)

// Other addresses of the loopback network may each have a server of their own.
const localhost = /^(localhost|127\.0\.0\.1|0\.0\.0\.0|::1?|.*\.localhost)$/

/** The same text for two base URLs of one server, however this machine is named in them. */
export const serverOf = (baseUrl: string): string => {
  const endpoint = hostPortOf(baseUrl)
  if (endpoint === undefined) return baseUrl
  const { host, port } = endpoint
  return `${localhost.test(host) ? "localhost" : host}:${port}${new URL(baseUrl).pathname.replace(/\/+$/, "")}`
}
