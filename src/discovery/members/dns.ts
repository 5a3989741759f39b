/**
 * The servers behind a name by its DNS records, asked for by resolvers of our own: those of the runtime keep answers, and do not
 * tell for how long they hold.
 */
import { Resolver } from "node:dns/promises"
import { readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import type { MemberPlace, Followed } from "../../backend/followed.ts"
import type { MemberNews } from "./member-news.ts"

/** What one question came to; `ttlMs` is how long it holds. */
export type DnsAnswer<A> =
  | { readonly _tag: "Found"; readonly records: ReadonlyArray<A>; readonly ttlMs: number }
  | { readonly _tag: "None" }
  | { readonly _tag: "Failed"; readonly reason: string }

/** A record that leads from a service to a host and a port. */
interface ServiceRecord {
  readonly name: string
  readonly port: number
  /** Lower is preferred. */
  readonly priority: number
}

/** The questions that are asked. */
export interface DnsQuestions {
  readonly ipv4: (name: string) => Effect.Effect<DnsAnswer<string>>
  readonly ipv6: (name: string) => Effect.Effect<DnsAnswer<string>>
  readonly service: (name: string) => Effect.Effect<DnsAnswer<ServiceRecord>>
}

/** What is heard of a name, and for how long that holds. */
export interface DnsNews {
  readonly news: MemberNews
  readonly ttlMs: number | undefined
}

const patience = "3 seconds"

const isNone = (code: string): boolean => code === "ENOTFOUND" || code === "ENODATA"

const codeOf = (thrown: unknown): string => (thrown instanceof Error && "code" in thrown ? String(thrown.code) : "")

const words: Readonly<Record<string, string>> = {
  ESERVFAIL: "the DNS server failed",
  EREFUSED: "the DNS server refused",
  ECONNREFUSED: "the DNS server cannot be reached",
  ETIMEOUT: "the DNS server does not answer"
}

const failed = (code: string): DnsAnswer<never> => ({
  _tag: "Failed",
  reason: words[code] ?? `the name could not be looked up${code === "" ? "" : ` (${code})`}`
})

/** Asks these servers, those of the system when there are none; a resolver keeps answers, so each round has its own. */
export const dnsQuestions = (servers: ReadonlyArray<string>): DnsQuestions => {
  const ask = <A, B>(
    question: (resolver: Resolver) => Promise<ReadonlyArray<A>>,
    of: (records: ReadonlyArray<A>) => DnsAnswer<B>
  ) =>
    Effect.suspend(() => {
      const resolver = new Resolver({ timeout: 1000, tries: 2 })
      if (servers.length > 0) resolver.setServers(servers)
      return Effect.tryPromise({ try: () => question(resolver), catch: codeOf }).pipe(
        Effect.onInterrupt(() => Effect.sync(() => resolver.cancel())),
        Effect.map((records): DnsAnswer<B> => (records.length === 0 ? { _tag: "None" } : of(records))),
        Effect.catch((code) => Effect.succeed<DnsAnswer<B>>(isNone(code) ? { _tag: "None" } : failed(code))),
        Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed<DnsAnswer<B>>(failed("ETIMEOUT")) })
      )
    })
  const held = (records: ReadonlyArray<{ readonly address: string; readonly ttl: number }>): DnsAnswer<string> => ({
    _tag: "Found",
    records: records.map(({ address }) => address),
    ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1000
  })
  return {
    ipv4: (name) => ask((resolver) => resolver.resolve4(name, { ttl: true }), held),
    ipv6: (name) => ask((resolver) => resolver.resolve6(name, { ttl: true }), held),
    service: (name) =>
      ask(
        (resolver) => resolver.resolveSrv(name),
        (records) => ({ _tag: "Found", records, ttlMs: Number.POSITIVE_INFINITY })
      )
  }
}

/** How the system completes names that are not whole. */
export interface NameCompletion {
  readonly search: ReadonlyArray<string>
  /** So many dots make a name that is tried as it is first. */
  readonly dots: number
}

/** What resolv.conf says of that: the last line of each kind counts. */
export const completionOf = (conf: string): NameCompletion => {
  const lines = conf.split("\n").map((line) => line.trim().split(/\s+/))
  const search = lines.findLast(([word]) => word === "search" || word === "domain")?.slice(1) ?? []
  const options = lines.flatMap(([word, ...all]) => (word === "options" ? all : []))
  const dots = Number(options.findLast((each) => /^ndots:\d{1,2}$/.test(each))?.slice("ndots:".length) ?? 1)
  return { search: search.map((each) => each.replace(/\.$/, "")).filter((each) => each !== ""), dots }
}

/** The whole names that a name may stand for, in the order in which the system tries them. */
export const wholeNames = (name: string, { dots, search }: NameCompletion): ReadonlyArray<string> => {
  if (name.endsWith(".")) return [name.slice(0, -1)]
  const completed = search.map((domain) => `${name}.${domain}`)
  return name.split(".").length - 1 >= dots ? [name, ...completed] : [...completed, name]
}

/** How the system does it; without that file, not at all. */
export const systemCompletion: Effect.Effect<NameCompletion> = Effect.tryPromise(() =>
  readFile("/etc/resolv.conf", "utf8")
).pipe(
  Effect.map(completionOf),
  Effect.orElseSucceed((): NameCompletion => ({ search: [], dots: 1 }))
)

// The first that is found counts; when none is, one that failed might have been.
const firstFound = <A>(questions: ReadonlyArray<Effect.Effect<DnsAnswer<A>>>): Effect.Effect<DnsAnswer<A>> =>
  Effect.gen(function* () {
    let last: DnsAnswer<A> = { _tag: "None" }
    for (const question of questions) {
      const answer = yield* question
      if (answer._tag === "Found") return answer
      if (answer._tag === "Failed") last = answer
    }
    return last
  })

// IPv6 is asked where there is no IPv4: of a server with both the two cannot be told to be one.
const addressesOf = ({ ipv4, ipv6 }: DnsQuestions, names: ReadonlyArray<string>) =>
  firstFound(
    names.map((name) =>
      Effect.flatMap(ipv4(name), (answer) => (answer._tag === "None" ? ipv6(name) : Effect.succeed(answer)))
    )
  )

const targetsAtATime = 16

const byService = (questions: DnsQuestions, names: ReadonlyArray<string>): Effect.Effect<DnsNews> =>
  Effect.gen(function* () {
    const services = yield* firstFound(names.map(questions.service))
    if (services._tag !== "Found") return plain(services)
    // A target that is the root says that there is no such service (RFC 2782).
    const targets = services.records.filter(({ name }) => name !== "" && name !== ".")
    if (targets.length === 0) return { news: { _tag: "Nowhere" }, ttlMs: undefined }
    const answers = yield* Effect.forEach(targets, ({ name }) => addressesOf(questions, [name.replace(/\.$/, "")]), {
      concurrency: targetsAtATime
    })
    const first = Math.min(...targets.map(({ priority }) => priority))
    const endpoints = targets.flatMap(({ name, port, priority }, at): ReadonlyArray<MemberPlace> => {
      const answer = answers[at]
      if (answer?._tag !== "Found") return []
      const [label = ""] = name.split(".")
      return answer.records.map((address) => ({ label, address, port, later: priority - first }))
    })
    const fault = answers.find((answer) => answer._tag === "Failed")
    if (endpoints.length === 0 && fault !== undefined) return plain(fault)
    const ttls = answers.flatMap((answer) => (answer._tag === "Found" ? [answer.ttlMs] : []))
    return {
      news: { _tag: "All", endpoints, complete: fault === undefined },
      ttlMs: ttls.length === 0 ? undefined : Math.min(...ttls)
    }
  })

const plain = (answer: Exclude<DnsAnswer<unknown>, { readonly _tag: "Found" }>): DnsNews => ({
  news: answer._tag === "Failed" ? answer : { _tag: "Nowhere" },
  ttlMs: undefined
})

/** Looks once for the servers behind a name. */
export const lookUpMembers = (
  questions: DnsQuestions,
  { host, portName }: Pick<Followed, "host" | "portName">,
  completion: NameCompletion
): Effect.Effect<DnsNews> => {
  if (portName !== undefined) return byService(questions, wholeNames(`_${portName}._tcp.${host}`, completion))
  return Effect.map(addressesOf(questions, wholeNames(host, completion)), (answer) =>
    answer._tag === "Found"
      ? {
          news: {
            _tag: "All",
            endpoints: answer.records.map((address) => ({ label: address, address, port: undefined })),
            complete: true
          },
          ttlMs: answer.ttlMs
        }
      : plain(answer)
  )
}
