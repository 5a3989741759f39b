/**
 * Addresses of servers as people give them to commands.
 */
import { plainType } from "../backend/all.ts"
import { zoneOf } from "../backend/zone.ts"

/** The address of a server, without the version that all paths begin with; undefined when it is none. */
export const askedBase = (text: string): string | undefined => {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return undefined
  return `${url.origin}${url.pathname.replace(/\/+$/, "").replace(/\/v1$/, "")}`
}

/** Whether a server is beyond this machine and private networks. */
export const isBeyondHome = (url: string): boolean => zoneOf({ type: plainType, url }) === "cloud"
