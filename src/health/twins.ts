/**
 * Whether two URLs lead to the same server, however its machine is named.
 */

/** Where a URL leads. */
export interface Endpoint {
  /** In lower case, IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

/** The endpoint of a URL; undefined for what is none. */
export const endpointOf = (url: string): Endpoint | undefined => {
  const parsed = URL.parse(url)
  if (parsed === null || parsed.hostname === "") return undefined
  const port = parsed.port === "" ? (parsed.protocol === "https:" ? 443 : 80) : Number(parsed.port)
  return { host: parsed.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, ""), port }
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|0\.0\.0\.0|::1?|.*\.localhost)$/

/** Whether a host is this machine by its name alone. */
export const isLocalName = (host: string): boolean => loopback.test(host)

/** Whether a host is an address and no name. */
export const isAddress = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$|:/.test(host)

/** What is known of a host: whether it is this machine, and its addresses. */
export interface Whereabouts {
  readonly own: boolean
  readonly addresses: ReadonlyArray<string>
}

/** Whether two hosts are one machine. */
export const isSameMachine = (a: Whereabouts, b: Whereabouts): boolean =>
  (a.own && b.own) || a.addresses.some((address) => b.addresses.includes(address))
