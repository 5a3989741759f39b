/**
 * What becomes of the members of a backend by what is heard of the servers behind its name: a plain rule.
 */
import * as Equal from "effect/Equal"
import type { Backend } from "../../backend/backend.ts"
import { type MemberPlace, type Followed, memberAt, memberName, shortHash } from "../../backend/followed.ts"

/**
 * What is heard of a name. All: these are the servers; not `complete` where there may be more of them. Nowhere: it leads to
 * none. Failed: nobody could say.
 */
export type MemberNews =
  | { readonly _tag: "All"; readonly endpoints: ReadonlyArray<MemberPlace>; readonly complete: boolean }
  | { readonly _tag: "Nowhere" }
  | { readonly _tag: "Failed"; readonly reason: string }

/** What is known before, times in monotonic milliseconds. */
export interface MemberStanding {
  /** The members there are. */
  readonly present: ReadonlyArray<Backend>
  /** Whether a name is that of a backend which is none of them. */
  readonly isTaken: (name: string) => boolean
  /** Since when the name has led nowhere; undefined while it leads somewhere. */
  readonly nowhereSince: number | undefined
}

/** What is to be done. */
export interface MemberChanges {
  readonly put: ReadonlyArray<Backend>
  readonly remove: ReadonlyArray<string>
  readonly nowhereSince: number | undefined
}

/** Servers behind one name at most. */
const mostMembers = 1024

const labelled = (endpoints: ReadonlyArray<MemberPlace>): ReadonlyArray<MemberPlace> => {
  const servers = new Map(endpoints.map((each) => [`${each.address} ${each.port ?? ""}`, each]))
  const labels = new Set<string>()
  return [...servers.values()].slice(0, mostMembers).map((endpoint) => {
    const { address, label, port } = endpoint
    const own = port === undefined ? address : `${address}-${port}`
    const free = [label, `${label}-${port ?? address}`].find((each) => !labels.has(each)) ?? own
    labels.add(free)
    return Object.assign({}, endpoint, { label: free })
  })
}

const nameFor = ({ backend }: Followed, { label }: MemberPlace, isTaken: (name: string) => boolean): string => {
  const name = memberName(backend.name, label)
  return isTaken(name) ? memberName(backend.name, `${label}-${shortHash(`${backend.name} ${label}`)}`) : name
}

/** The members as the endpoints have them. */
const wanted = (
  followed: Followed,
  endpoints: ReadonlyArray<MemberPlace>,
  isTaken: (name: string) => boolean
): ReadonlyArray<Backend> =>
  labelled(endpoints).map((endpoint) => memberAt(followed, endpoint, nameFor(followed, endpoint, isTaken)))

/** The rule: what is heard counts at once, what is not heard changes nothing, and a name that is gone has a grace. */
export const decideMembers = (
  followed: Followed,
  { isTaken, nowhereSince, present }: MemberStanding,
  news: MemberNews,
  now: number,
  graceMs: number
): MemberChanges => {
  switch (news._tag) {
    case "Failed":
      return { put: [], remove: [], nowhereSince }
    case "Nowhere": {
      const since = nowhereSince ?? now
      const isOver = now - since >= graceMs
      return { put: [], remove: isOver ? present.map(({ name }) => name) : [], nowhereSince: since }
    }
    case "All": {
      const members = wanted(followed, news.endpoints, isTaken)
      const names = new Set(members.map(({ name }) => name))
      const before = new Map(present.map((each) => [each.name, each]))
      return {
        put: members.filter((each) => !Equal.equals(before.get(each.name), each)),
        remove: news.complete ? present.flatMap(({ name }) => (names.has(name) ? [] : [name])) : [],
        nowhereSince: undefined
      }
    }
  }
}

/** Members of an earlier definition of their backend as the one of now has them. */
export const adopted = (followed: Followed, present: ReadonlyArray<Backend>): ReadonlyArray<Backend> => {
  const first = Math.min(...present.map(({ priority }) => priority))
  return present.flatMap((before) => {
    const { address, name, priority, url } = before
    if (address === undefined) return []
    const { port } = new URL(url)
    const place = { label: "", address, port: port === "" ? undefined : Number(port), later: priority - first }
    const now = memberAt(followed, place, name)
    return Equal.equals(before, now) ? [] : [now]
  })
}
