/**
 * What a key lets whoever shows it do, in any form that a key has.
 */
import { matchesAny } from "./glob.ts"
import { isNamedBy, type NamedServer } from "./server.ts"
import type { RateLimits } from "./rate-limits.ts"
import type { PriorityClass, Scope } from "./request.ts"
import type { ZoneLimit } from "./zones.ts"

/** What a request may do: made once from its key, and known of it from its arrival on. */
export interface Grant {
  /** The name of the key, in logs and rules. */
  readonly name: string
  /** Whose it is. */
  readonly owner?: string
  readonly labels?: Readonly<Record<string, string>>
  /** What may be asked for; absent where that is everything. The same object for keys that may the same. */
  readonly scope?: Scope
  /** Whether it opens the administration from other machines too. */
  readonly admin?: boolean
  /** Whether it is for the metrics, and for nothing else. */
  readonly metrics?: boolean
  /** Which zones its requests may go to; any when absent. */
  readonly zones?: ZoneLimit
  /** Its class while it waits for a slot; normal when absent. */
  readonly priority?: PriorityClass
  /** How much may be asked with it; what is absent goes by what is said of all keys. */
  readonly limits?: RateLimits
}

/** What is said of a key beside what it is known by; times in milliseconds since 1970. */
export interface KeyTerms extends Omit<Grant, "scope" | "zones">, Scope {
  /** Zones that its requests may go to; any when absent. */
  readonly zones?: ReadonlyArray<string>
  readonly notBefore?: number
  readonly expires?: number
  /** Networks that it may be shown from, as `address/length`; from anywhere when absent. */
  readonly networks?: ReadonlyArray<string>
}

/** A key that clients may use, by its SHA-256 digest. */
export interface AuthKey extends KeyTerms {
  readonly digest: Uint8Array
  /** The key that it takes the place of, which is good until then. */
  readonly previous?: { readonly digest: Uint8Array; readonly until: number }
}

// Keys of the same scope share what is made for it; those of tokens may be of any number.
const mostScopes = 1000

const scopes = new Map<string, Scope>()

/** The scope with these parts: the same object for the same parts; undefined where there are none. */
const scopeOf = ({ backends, models }: Scope): Scope | undefined => {
  if (models === undefined && backends === undefined) return undefined
  const id = JSON.stringify([models, backends])
  const known = scopes.get(id)
  if (known !== undefined) return known
  if (scopes.size >= mostScopes) scopes.clear()
  const made = { ...(models === undefined ? {} : { models }), ...(backends === undefined ? {} : { backends }) }
  scopes.set(id, made)
  return made
}

/** What a key of these terms lets do. */
export const grantOf = (terms: KeyTerms): Grant => {
  const { admin, labels, limits, metrics, name, owner, priority, zones } = terms
  const scope = scopeOf(terms)
  return {
    name,
    ...(owner === undefined ? {} : { owner }),
    ...(labels === undefined ? {} : { labels }),
    ...(scope === undefined ? {} : { scope }),
    ...(admin === true ? { admin } : {}),
    ...(metrics === true ? { metrics } : {}),
    ...(priority === undefined ? {} : { priority }),
    ...(limits === undefined ? {} : { limits }),
    ...(zones === undefined ? {} : { zones: { by: `the key '${name}'`, zones } })
  }
}

/** Whether a backend may be asked. */
export const allowsBackend = (scope: Scope | undefined, backend: NamedServer): boolean =>
  scope?.backends === undefined || isNamedBy(scope.backends, backend)

/** Whether a model may be asked for by this name. */
export const allowsModel = (scope: Scope | undefined, name: string): boolean =>
  scope?.models === undefined || matchesAny(scope.models, name)
