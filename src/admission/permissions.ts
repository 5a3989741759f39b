/**
 * Who may do what: the areas of the gateway, and which keys open them.
 */
import type { Grant } from "../domain/grant.ts"
import { sessionPath } from "./own-page.ts"

/** What is behind the paths of the gateway. */
export const areas = {
  models: "asking models and listing those that may be asked (`/v1/…`, `/api/…`, `/health`)",
  metrics: "`/metrics`",
  state: "what tells of all backends (`/nexus/…`, `/v1/stats`)",
  administration: "`/admin/v1/…`, and signing in at `/ui`",
  // And what others have written and were answered.
  keys: "`/admin/v1/keys`, `/admin/v1/limits`, `/admin/v1/revocations`, `/admin/v1/captures`"
} as const

/** One of {@link areas}. */
export type Area = keyof typeof areas

/** Paths of the administrative endpoints begin so. */
export const adminPrefix = "/admin/"

/** Administrative endpoints that are asked by POST and change nothing. */
export const looksOnly: ReadonlySet<string> = new Set(["/admin/v1/doctor", "/admin/v1/replay", "/admin/v1/route"])

const keysPath = /^\/admin\/v1\/(?:captures|keys|limits|revocations)(?:\/|$)/

/** The area that a path is in. */
export const areaOf = (path: string): Area => {
  if (path === sessionPath) return "administration"
  if (path.startsWith(adminPrefix)) return keysPath.test(path) ? "keys" : "administration"
  if (path.startsWith("/nexus/") || path === "/v1/stats") return "state"
  return path === "/metrics" ? "metrics" : "models"
}

/** Why a key does not open an area to who asks from this machine (`isHere`) or another; undefined when it does. */
export const areaRefusal = (grant: Grant, area: Area, isHere: boolean): string | undefined => {
  const { admin, metrics, scope } = grant
  if (metrics === true) return area === "metrics" ? undefined : "This API key is for /metrics alone"
  if (area === "models" || admin === true) return undefined
  if (scope !== undefined) {
    return "This API key is for certain models or backends, and not for what tells of all of them; a key with admin = true is"
  }
  if (area === "keys") return "Keys, and what was captured, are administered with a key that has admin = true"
  return area === "administration" && !isHere
    ? "From another machine, administration takes a key with admin = true"
    : undefined
}
