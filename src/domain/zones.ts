/**
 * Zones: how far away a backend is, and which of them a request may go to.
 */

/** The zones that there are without anybody naming one, the nearest first: this machine, private networks, all beyond. */
export const usualZones = ["local", "lan", "cloud"] as const

/** A zone that there is without anybody naming it. */
export type UsualZone = (typeof usualZones)[number]

/** Whether a zone is one that there is without anybody naming it. */
export const isUsualZone = (zone: string): zone is UsualZone => usualZones.some((usual) => usual === zone)

/** What a zone may be called. */
export const zoneName = /^[a-z0-9][a-z0-9._-]{0,31}$/u

/** Where a request may go, and who says so, in words such as `the key 'team'`. */
export interface ZoneLimit {
  readonly by: string
  readonly zones: ReadonlyArray<string>
}

/** All that bounds where a request may go; it may go where each of them lets it. */
export type ZoneLimits = ReadonlyArray<ZoneLimit>

/** The first limit that a zone is beyond; undefined when a request may go there. */
export const limitAgainst = (limits: ZoneLimits, zone: string): ZoneLimit | undefined => {
  for (const limit of limits) if (!limit.zones.includes(zone)) return limit
  return undefined
}

/** Why a backend of a zone is not asked, in words that follow its name. */
export const beyondWords = (zone: string, { by, zones }: ZoneLimit): string =>
  `is in zone ${zone}, and ${by} allows ${zones.length === 0 ? "none" : zones.join(", ")}`

/** Whether an address of one zone is further away than another zone; zones that somebody has named are not compared. */
export const isFurther = (address: UsualZone, zone: string): boolean => {
  const bound = usualZones.findIndex((usual) => usual === zone)
  return bound >= 0 && usualZones.indexOf(address) > bound
}
