/**
 * The section `[privacy]`: what may leave this machine at all.
 */
import { addressesWithin, isOfThisMachine, networkFault } from "../backend/zone.ts"
import type { ZoneLimit } from "../domain/zones.ts"
import type { Mistake } from "./check.ts"
import { type Table, valueAt } from "./path.ts"
import type { Settings } from "./schema.ts"

const localOnly = "local-only"

const modeWords = `privacy.mode = "${localOnly}"`

/** What is wrong with it beyond its Schema. */
export const privacyMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  const path = ["privacy", "networks"]
  const list = valueAt(tree, path)
  const networks: ReadonlyArray<unknown> = Array.isArray(list) ? list : []
  const isLocalOnly = valueAt(tree, ["privacy", "mode"]) === localOnly
  const faulty = networks.flatMap((value, index) => {
    const reason = typeof value === "string" ? networkFault(value) : undefined
    return reason === undefined ? [] : [{ path: [...path, index], value, reason }]
  })
  const said =
    isLocalOnly && networks.length === 0
      ? ["mdns", "announce"].flatMap((key) =>
          valueAt(tree, ["discovery", key]) === true
            ? [
                {
                  path: ["discovery", key],
                  value: true,
                  reason: `it speaks to the local network, which is beyond this machine under ${modeWords}; list that in privacy.networks, or leave it out`
                }
              ]
            : []
        )
      : []
  return [...faulty, ...said]
}

type PrivacySettings = Settings["privacy"]

/** Tells the addresses that may be connected to; undefined where that is all of them. */
export const perimeterOf = ({ mode, networks }: PrivacySettings): ((address: string) => boolean) | undefined => {
  if (mode !== localOnly) return undefined
  const isListed = addressesWithin(networks)
  // Whoever lists a part of the loopback network means that part.
  const isNarrowed = networks.some((network) => isOfThisMachine(network.split("/")[0] ?? ""))
  return isNarrowed ? isListed : (address) => isListed(address) || isOfThisMachine(address)
}

/** Where all requests may go; anywhere when undefined. */
export const limitOfAll = (
  { mode }: PrivacySettings,
  named: ReadonlyArray<string | undefined>
): ZoneLimit | undefined => {
  if (mode !== localOnly) return undefined
  const zones = ["local", "lan", ...named.filter((zone) => zone !== undefined)]
  return { by: modeWords, zones: [...new Set(zones)].filter((zone) => zone !== "cloud") }
}

/** Why a backend in a zone, at a host, is never asked for anything; undefined when it is. */
export const barredReason = (settings: PrivacySettings, zone: string, host: string): string | undefined => {
  const isWithin = perimeterOf(settings)
  if (isWithin === undefined) return undefined
  if (zone === "cloud") return `is in zone cloud, and ${modeWords} leaves that out`
  return networkFault(host) === undefined && !isWithin(host)
    ? `is beyond this machine and privacy.networks (${modeWords})`
    : undefined
}
