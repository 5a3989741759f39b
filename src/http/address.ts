/**
 * Where a gateway is reached.
 */
import { adminListen } from "../config/listening.ts"
import { bareHost, hostInUrl } from "../domain/url-host.ts"

/** The address of a gateway that listens on `host`; a wildcard address is asked on loopback. */
export const gatewayUrl = (host: string, port: number): string => {
  const bare = bareHost(host)
  const reachable = bare === "0.0.0.0" || bare === "" ? "127.0.0.1" : bare === "::" ? "::1" : bare
  return `http://${hostInUrl(reachable)}:${port}`
}

/** Where the administration of a gateway is asked: a URL, and the socket that takes it where that is one. */
export const adminAddress = (
  listen: string | undefined
): { readonly url: string; readonly socket: string | undefined } | undefined => {
  const place = adminListen(listen)
  if (place === undefined) return undefined
  return place._tag === "Port"
    ? { url: gatewayUrl(place.host, place.port), socket: undefined }
    : { url: `unix:${place.path}`, socket: place.path }
}
