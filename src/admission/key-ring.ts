/**
 * The keys of clients, by their digests: 10,000 of them cost what one costs.
 */
import { hash } from "node:crypto"
import { type AuthKey, type Grant, grantOf } from "../domain/grant.ts"
import { isIn, networksOf } from "./client-address.ts"

/** A key as it was found. */
export interface KnownKey {
  readonly grant: Grant
  /** Why it does not count at this moment, or from there; undefined when it does. Absent where it always does. */
  readonly fault: ((now: number, peer: () => string | undefined) => KeyFault | undefined) | undefined
}

/** Why a key that is known lets nobody in. */
export type KeyFault = "early" | "expired" | "elsewhere"

const faultsOf = ({ expires, networks, notBefore }: AuthKey, until: number | undefined): KnownKey["fault"] => {
  const end = Math.min(expires ?? Infinity, until ?? Infinity)
  if (notBefore === undefined && end === Infinity && networks === undefined) return undefined
  const from = networks === undefined ? undefined : networksOf(networks)
  return (now, peer) => {
    if (now >= end) return "expired"
    if (notBefore !== undefined && now < notBefore) return "early"
    return from === undefined || isIn(from, peer()) ? undefined : "elsewhere"
  }
}

// Keys that are known without their digest being made.
const mostLately = 10_000

/** How nearly all say that they have a key. */
export const plainBearer = "Bearer "

const remember = (lately: Map<string, KnownKey>, by: string, known: KnownKey | undefined): KnownKey | undefined => {
  if (known === undefined) return undefined
  if (lately.size >= mostLately) lately.clear()
  lately.set(by, known)
  return known
}

const textOf = (digest: Uint8Array): string => Buffer.from(digest).toString("base64")

/** Some keys; never changed, another takes its place. */
export class KeyRing {
  private readonly byDigest = new Map<string, KnownKey>()
  private readonly byName = new Map<string, Grant>()
  // Those that came of late, as they were given: nearly all requests come with one of them.
  private readonly lately = new Map<string, KnownKey>()
  // The same by the header that they came in: it takes as long to cut a key out of it as all else that is done for one.
  private readonly shown = new Map<string, KnownKey>()

  /** Whether everybody needs a key. */
  readonly needed: boolean

  /** `needed` says that everybody needs one even while there is none. */
  constructor(keys: ReadonlyArray<AuthKey>, needed = false) {
    this.needed = needed || keys.length > 0
    for (const key of keys) {
      const grant = grantOf(key)
      this.byName.set(key.name, grant)
      this.byDigest.set(textOf(key.digest), { grant, fault: faultsOf(key, undefined) })
      const { previous } = key
      if (previous !== undefined)
        this.byDigest.set(textOf(previous.digest), { grant, fault: faultsOf(key, previous.until) })
    }
  }

  /**
   * The key that was given. Looked up by a hash or its digest, and not compared with each: how long that takes can tell of the hash
   * of what was given alone, which whoever gave it knows, and nothing of a key.
   */
  find(given: string): KnownKey | undefined {
    const before = this.lately.get(given)
    if (before !== undefined) return before
    return remember(this.lately, given, this.byDigest.get(hash("sha256", given, "base64")))
  }

  /** The key in an `authorization` header, written as nearly all write it. */
  findIn(authorization: string): KnownKey | undefined {
    const before = this.shown.get(authorization)
    if (before !== undefined || !authorization.startsWith(plainBearer)) return before
    return remember(this.shown, authorization, this.find(authorization.slice(plainBearer.length)))
  }

  /** What the key of this name lets do. */
  named(name: string): Grant | undefined {
    return this.byName.get(name)
  }
}
