/**
 * Addresses from which keys are guessed. Whoever tries one wrong key after the other waits longer and longer, and so does everybody
 * at that address, with a good key too and for as long: else it would be known of a guess before its answer that it is wrong.
 * Nobody is ever shut out, and a client that sends one wrong key again and again counts once.
 */
import { crc32 } from "node:zlib"
import { plainAddress } from "./client-address.ts"

// Wrong keys that are free, and how soon each is forgotten.
const freeTries = 5
const forgottenMs = 10_000

const leastMs = 100

/** The longest wait. */
export const mostWaitMs = 2000

// Addresses that are remembered, those that failed last, and the last wrong keys of each.
const mostAddresses = 10_000
const mostKeys = 16

/** A wrong key: whose it was, by his address, and by what it is known again. */
export interface Try {
  readonly who: string
  readonly mark: number
}

interface Tries {
  /** How many there have been, less those that are forgotten, at `at`. */
  level: number
  at: number
  readonly keys: Array<number>
}

// Wrong keys that are kept to be told to other processes: whoever tries more is known well enough.
const mostUntold = 500

/** The address by which somebody is known: of IPv6 the network, which one client has for itself. */
const known = (address: string): string => {
  const plain = plainAddress(address)
  if (!plain.includes(":")) return plain
  const [head = "", tail] = plain.toLowerCase().split("::")
  const groups = head.split(":")
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(":").length
  return [...groups, ...Array.from({ length: Math.max(0, missing) }, () => "0")]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, "") || "0")
    .join(":")
}

const levelAt = ({ at, level }: Tries, now: number): number => Math.max(0, level - (now - at) / forgottenMs)

/** Wrong keys, by the addresses they come from; times in milliseconds of a clock that only goes on. */
export class FailedTries {
  private readonly byAddress = new Map<string, Tries>()
  // There once somebody asks for what is to be told.
  private untold: Array<Try> | undefined

  /** Whether nobody has failed: then there is nothing to look for. */
  get none(): boolean {
    return this.byAddress.size === 0
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.byAddress.size
  }

  /** Notes a wrong key; undefined where it has been noted of this address before. */
  failed(address: string | undefined, key: string, now: number): Try | undefined {
    const tried = { who: known(address ?? ""), mark: crc32(key) }
    if (!this.note(tried, now)) return undefined
    if (this.untold !== undefined && this.untold.length < mostUntold) this.untold.push(tried)
    return tried
  }

  /** Those that came here since they were last asked for, to be told to other processes. */
  take(): ReadonlyArray<Try> {
    const taken = this.untold ?? []
    if (this.untold === undefined || taken.length > 0) this.untold = []
    return taken
  }

  /** Notes a wrong key that somebody else has seen; whether it was none that is known. */
  note({ mark, who }: Try, now: number): boolean {
    const before = this.byAddress.get(who)
    if (before?.keys.includes(mark) === true) return false
    const keys = [mark, ...(before?.keys ?? [])].slice(0, mostKeys)
    this.byAddress.delete(who)
    if (this.byAddress.size >= mostAddresses) this.forgetOldest()
    this.byAddress.set(who, { level: (before === undefined ? 0 : levelAt(before, now)) + 1, at: now, keys })
    return true
  }

  /** How long a request with a key waits that comes from there now. */
  waitMs(address: string | undefined, now: number): number {
    const who = known(address ?? "")
    const tries = this.byAddress.get(who)
    if (tries === undefined) return 0
    const level = levelAt(tries, now)
    if (level === 0) this.byAddress.delete(who)
    return level <= freeTries ? 0 : Math.min(mostWaitMs, leastMs * 2 ** Math.ceil(level - freeTries))
  }

  private forgetOldest(): void {
    const [oldest] = this.byAddress.keys()
    if (oldest !== undefined) this.byAddress.delete(oldest)
  }
}
