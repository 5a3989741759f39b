/**
 * How a backend is to be woken, as settings tell it.
 */
import type { Mistake } from "./check.ts"
import type { KeyPath, Table } from "./path.ts"

/** Whether a text is the address of a network card, or a password that is written like one. */
export const isHardwareAddress = (text: string): boolean => /^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$/.test(text)

/** The digits of such an address. */
export const digitsOf = (address: string): string => address.replace(/[:-]/g, "").toLowerCase()

const usualPort = 9

const place = /^(?<host>[A-Za-z0-9.-]+)(?::(?<port>\d{1,5}))?$/

/** Where the packet goes: a host, and the port where one is named. */
export const wakePlace = (text: string): { readonly address: string; readonly port: number } => {
  const { host = text, port } = place.exec(text)?.groups ?? {}
  return { address: host, port: port === undefined ? usualPort : Number(port) }
}

const others = ["wake_address", "wake_password_env", "wake_timeout_seconds"] as const

/** What is wrong with these settings of a backend. */
export const wakeMistakes = (at: KeyPath, table: Table): ReadonlyArray<Mistake> => {
  const of = (key: string, reason: string): Mistake => ({ path: [...at, key], value: table[key], reason })
  const given = others.filter((key) => table[key] !== undefined)
  if (table["wake"] === undefined) return given.map((key) => of(key, "without wake it would not be looked at"))
  const address = table["wake_address"]
  if (typeof address !== "string" || address === "") return []
  const { port } = wakePlace(address)
  return place.test(address) && port > 0 && port < 65_536
    ? []
    : [of("wake_address", "expected an IPv4 address or a name, such as 192.168.1.255 or 192.168.1.255:7")]
}
