/**
 * Where a gateway is reached.
 */

/** The address of a gateway that listens on `host`; a wildcard address is asked on loopback. */
export const urlOf = (host: string, port: number): string => {
  const bare = host.replace(/^\[(.*)\]$/, "$1")
  const reachable = bare === "0.0.0.0" || bare === "" ? "127.0.0.1" : bare === "::" ? "::1" : bare
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`
}
