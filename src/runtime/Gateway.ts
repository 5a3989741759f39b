/**
 * The HTTP surface, readable top to bottom: who is let in, then forwarded endpoints, then everything else.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BadRequest, Forbidden, NotFound, UriTooLong, type GatewayError } from "../domain/errors.ts"
import { Dialects } from "../dialect/all.ts"
import type { Dialect, DialectRoute } from "../dialect/Dialect.ts"
import { Routes } from "../dialect/routes.ts"
import { placesOf, refusalBody, refuse } from "../dialect/refuse.ts"
import { Accounting } from "../proxy/Accounting.ts"
import {
  corsHeaders,
  frontPath,
  isPreflight,
  mayKnowState,
  preflight,
  admit,
  changeRefusal,
  type Admission,
  type AdmissionRules,
  type Visitor
} from "../admission/access.ts"
import type { OtherPlace, PageFacts } from "../api/page-places.ts"
import { FailedTries } from "../admission/failed-tries.ts"
import { adminPrefix } from "../admission/permissions.ts"
import type { Grant } from "../domain/grant.ts"
import { keyInCookie, sessionAnswer, sessionPath } from "../admission/own-page.ts"
import type { Listening } from "../http/BunServer.ts"
import { Drain } from "../admission/Drain.ts"
import { Operations } from "../operations/Operations.ts"
import { passedMethods } from "../proxy/passed-on.ts"
import { Proxy } from "../proxy/Proxy.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { publicOrigin } from "../operations/incoming-request.ts"
import { whyAmbiguous } from "../http/raw-target.ts"

// A client's own id is kept when it is short and plain, and a part of a path that leads to itself.
const saneId = /^(?!\.{1,2}$)[A-Za-z0-9._:-]{1,128}$/

/** The path of a request target as it came; undefined when the target is none that is served. */
const pathOf = ({ url, headers }: Request): string | undefined => {
  // Bun gives no more than the path when there is no Host, or one that is no name.
  const isBare = url.startsWith("/")
  if (isBare && (headers.get("host") ?? "") !== "") return undefined
  const host = isBare ? 0 : url.startsWith("http://") ? 7 : url.startsWith("https://") ? 8 : undefined
  if (host === undefined) return undefined
  const from = url.indexOf("/", host)
  if (from < 0) return undefined
  const query = url.indexOf("?", from)
  return query < 0 ? url.slice(from) : url.slice(from, query)
}

// Only plain paths are served: no backslash, no empty segment, no control or non-ASCII byte, no encoded dot or slash
// outside of model ids.
const plainPath = /^(\/[A-Za-z0-9._~:@!$&'()*+,;=%-]+)+\/?$|^\/$/

const askedElsewhere = "This is the place of administration; models are asked at the gateway's other address"

/** Longest URL that is taken, in characters. */
const maxUrlLength = 8192

// Bytes of a body that nobody wants and that are read past behind the answer: a client that sends on into a closed
// connection may not see it.
const pastBytes = 8 * 1_048_576

// More than that, or nobody knows how much, is not taken in: the connection ends with the refusal.
const refusalHeaders = ({ headers }: Request): Readonly<Record<string, string>> =>
  headers.has("transfer-encoding") || Number(headers.get("content-length") ?? "0") > pastBytes
    ? { connection: "close" }
    : {}

/** The methods that pages in browsers may use at a path; what is no forwarded one says itself what it takes. */
const methodsAt = (route: DialectRoute | undefined): ReadonlyArray<string> => {
  if (route?.passage === undefined) return ["GET", "POST"]
  return route.passage.change?.methods ?? passedMethods
}

const changedElsewhere = () =>
  new Forbidden({ message: "Models of a server are changed where the administration is (admin.listen)" })

/** Answers one request; `isOdd` when the path as it came is another one for some readers than for others. */
type Handle = (request: Request, server: Listening, isOdd: boolean) => Promise<Response> | Response

const isForwarded = ({ passage, socket }: DialectRoute, { method }: Request): boolean =>
  passage !== undefined || method === (socket === true ? "GET" : "POST")

/** Where the gateway listens, once it does: for the page, at one of two places, to tell of the other. */
export interface OwnPlaces {
  readonly models: OtherPlace
  readonly administration: OtherPlace
}

/** A request at the door, and who has sent it. */
class Asked implements Visitor {
  readonly rules: AdmissionRules
  readonly request: Request
  readonly server: Listening
  readonly id: string
  /** As it is routed; undefined where nothing is. */
  readonly path: string | undefined
  readonly route: DialectRoute | undefined
  readonly isAdministration: boolean
  readonly now: () => number

  constructor(
    rules: AdmissionRules,
    request: Request,
    server: Listening,
    id: string,
    path: string | undefined,
    route: DialectRoute | undefined,
    isAdministration: boolean,
    now: () => number
  ) {
    this.rules = rules
    this.request = request
    this.server = server
    this.id = id
    this.path = path
    this.route = route
    this.isAdministration = isAdministration
    this.now = now
  }

  peer(): string | undefined {
    return this.server.peer(this.request)
  }
}

/** Gives the server by which requests come from where proxies say that are trusted; one is made for all requests of a listener. */
const believing = (): (({ clientAddress }: AdmissionRules, server: Listening) => Listening) => {
  let last: { of: AdmissionRules["clientAddress"]; server: Listening; made: Listening } | undefined
  return ({ clientAddress }, server) => {
    if (clientAddress === undefined) return server
    if (last?.server !== server || last.of !== clientAddress) {
      const peer = (request: Request) => clientAddress(server.peer(request), request.headers.get("x-forwarded-for"))
      last = { of: clientAddress, server, made: { ...server, peer, onlyPeer: undefined } }
    }
    return last.made
  }
}

/** Answers every request. */
export class Gateway extends Context.Service<
  Gateway,
  {
    /** All there is; without the administration when that has a place of its own. */
    readonly handle: Handle
    /** What is asked there: the administration and what tells of the gateway; nothing is forwarded. */
    readonly administer: Handle
    /** What is told of a request that cannot be read, so that nobody knows its dialect. */
    readonly unread: (reason: string) => { readonly type: string; readonly text: string }
    /** The paths of what is forwarded, where they name no model. */
    readonly paths: ReadonlyArray<string>
    /** The paths where a WebSocket may be opened. */
    readonly socketPaths: ReadonlyArray<string>
    /** The wrong keys that were tried. */
    readonly tries: Pick<FailedTries, "note" | "take">
  }
>()("nexus/runtime/Gateway") {
  /** The surface under the rules of admission of the moment; those of the administration when that has a place of its own. */
  static readonly layer = (
    rulesNow: () => AdmissionRules,
    adminRulesNow?: (() => AdmissionRules) | undefined,
    places?: (() => OwnPlaces) | undefined
  ) =>
    Layer.effect(
      Gateway,
      Effect.gen(function* () {
        const proxy = yield* Proxy
        const operations = yield* Operations
        const accounting = yield* Accounting
        const drain = yield* Drain
        const dialects = yield* Dialects
        const clock = yield* Clock.Clock
        const now = () => clock.currentTimeMillisUnsafe()
        const tries = new FailedTries()
        const tell = (yield* SharedStore).isOn
          ? yield* (yield* Effect.promise(() => import("../admission/shared-tries.ts"))).sharedTries(tries)
          : undefined
        const run = Effect.runPromiseWith(yield* Effect.context<never>())
        const sleep = (ms: number) => run(Effect.sleep(ms))
        const forwarded = new Routes(dialects)
        const canonicalPath = (method: string, path: string): string => {
          for (const dialect of dialects) {
            const meant = dialect.canonicalPath(method, path)
            if (meant !== path) return meant
          }
          return path
        }

        const answerTo = (asked: Asked, path: string, grant: Grant | undefined): Promise<Response> | Response => {
          const { id, isAdministration, request, route, rules, server } = asked
          if (isPreflight(rules, request)) return drain.parting(preflight(rules, request, methodsAt(route)))
          if (route !== undefined && isForwarded(route, request)) {
            const { passage } = route
            if (passage?.change === undefined) return proxy.handle(route, request, id, server, grant)
            const isElsewhere = adminRulesNow !== undefined && !isAdministration && rules.modelChanges === "admins"
            const refused = isElsewhere ? changedElsewhere() : changeRefusal(rules, request, asked)
            return proxy.handle({ ...route, passage: { ...passage, refused } }, request, id, server, grant)
          }
          if (path === sessionPath) {
            const { administration = null, models = null } = places?.() ?? {}
            const other = isAdministration ? { administration: null, models } : { administration, models: null }
            const facts: PageFacts = {
              may_change: rules.livePage === "on",
              is_signed_in: keyInCookie(request) !== undefined,
              ...other
            }
            return drain.parting(sessionAnswer(request, facts))
          }
          return operated(asked, path, grant)
        }

        const operated = (asked: Asked, path: string, grant: Grant | undefined): Promise<Response> => {
          const { id, isAdministration, request, rules } = asked
          const needsKey = rules.keys().needed
          const isTrusted = path !== frontPath || mayKnowState(rules, request, asked)
          const current = (isAdministration ? adminRulesNow : undefined) ?? rulesNow
          const isLetIn = (): boolean | Promise<boolean> => {
            const inForce = current()
            const seen = admit(inForce, request, path, asked)
            if (seen.unchecked === undefined || inForce.tokens === undefined) return seen.refusal === undefined
            // A token that was good may have to be looked at with other keys.
            return inForce.tokens
              .check(seen.unchecked)
              .then((known) => admit(inForce, request, path, asked, undefined, known).refusal === undefined)
          }
          const called = { path, needsKey, isTrusted, isAdministration, key: grant, isLetIn }
          return operations.handle(request, id, called).then((response) => {
            for (const [name, value] of Object.entries(refusalHeaders(request))) response.headers.set(name, value)
            return drain.parting(response)
          })
        }

        const guessed = ({ path, request }: Asked): Dialect =>
          dialects.find(({ speaksTo }) => speaksTo?.(request.headers, path ?? "")) ?? dialects[0]

        const speakerOf = (asked: Asked): Dialect => asked.route?.dialect ?? guessed(asked)

        const refused = (asked: Asked, error: GatewayError): Response => {
          const { id, request, rules, server } = asked
          const headers = { ...refusalHeaders(request), ...corsHeaders(rules, request) }
          const response = refuse(speakerOf(asked), error, id, headers)
          accounting.turnedAway({ id, request, server, status: response.status })
          return drain.parting(response)
        }

        const nothing = (asked: Asked, instead = placesOf(dialects, speakerOf(asked))): Response => {
          const { path = "", request } = asked
          return refused(asked, new NotFound({ method: request.method, path: path.slice(0, 200), instead }))
        }

        const admitted = (
          asked: Asked,
          path: string,
          { grant, refusal }: Pick<Admission, "grant" | "refusal">
        ): Promise<Response> | Response => {
          if (refusal !== undefined) return refused(asked, refusal)
          const { request, route, rules } = asked
          if (request.url.length > maxUrlLength) return refused(asked, new UriTooLong({ limit: maxUrlLength }))
          const isUnread = route === undefined || route.passage !== undefined
          if (isUnread && !plainPath.test(path)) return nothing(asked)
          const answer = answerTo(asked, path, grant)
          return rules.origins.size === 0 ? answer : withCors(asked, answer)
        }

        const withCors = async ({ request, rules }: Asked, answer: Promise<Response> | Response): Promise<Response> => {
          const response = await answer
          for (const [name, value] of Object.entries(corsHeaders(rules, request))) response.headers.set(name, value)
          return response
        }

        const noteTry = (address: string | undefined, key: string): void => {
          const tried = tries.failed(address, key, performance.now())
          if (tried === undefined) return
          accounting.rules.add("failedTries", [])
          tell?.(tried)
        }

        const settled = (asked: Asked, path: string, admission: Admission): Promise<Response> | Response => {
          const { grant, refusal, tried } = admission
          if (tried !== undefined) noteTry(asked.peer(), tried)
          if (tries.none || (grant === undefined && refusal === undefined)) return admitted(asked, path, admission)
          const waitMs = tries.waitMs(asked.peer(), performance.now())
          return waitMs === 0 ? admitted(asked, path, admission) : slowed(asked, path, admission, waitMs)
        }

        const slowed = async (asked: Asked, path: string, admission: Admission, waitMs: number): Promise<Response> => {
          accounting.rules.add("slowed", [])
          await sleep(waitMs)
          return admitted(asked, path, admission)
        }

        const checked = async (
          asked: Asked,
          path: string,
          tokens: NonNullable<AdmissionRules["tokens"]>,
          unchecked: ReadonlyArray<string>
        ): Promise<Response> => {
          const known = await tokens.check(unchecked)
          return settled(
            asked,
            path,
            admit(asked.rules, asked.request, path, asked, speakerOf(asked).keyParameter, known)
          )
        }

        const handler = (
          rulesNow: () => AdmissionRules,
          serves: (path: string, route: DialectRoute | undefined) => boolean,
          isAdministration = false
        ): Handle => {
          const through = believing()
          return (request, listening, isOdd) => {
            const rules = rulesNow()
            const server = through(rules, listening)
            const given = request.headers.get("x-request-id")
            const id = given !== null && saneId.test(given) ? given : crypto.randomUUID()
            const written = pathOf(request)
            const direct = written === undefined ? undefined : forwarded.find(written)
            const path =
              written === undefined || direct !== undefined ? written : canonicalPath(request.method, written)
            const route = direct ?? (path === undefined || path === written ? undefined : forwarded.find(path))
            const asked = new Asked(rules, request, server, id, path, route, isAdministration, now)
            if (path === undefined)
              return refused(asked, new BadRequest({ message: "The Host header is not valid", param: null }))
            if (isOdd)
              return refused(asked, new BadRequest({ message: whyAmbiguous(path, publicOrigin(request)), param: null }))
            if (!serves(path, route)) return nothing(asked, isAdministration ? askedElsewhere : undefined)
            const seen = admit(rules, request, path, asked, speakerOf(asked).keyParameter)
            return seen.unchecked === undefined || rules.tokens === undefined
              ? settled(asked, path, seen)
              : checked(asked, path, rules.tokens, seen.unchecked)
          }
        }
        const isAdmin = (path: string) => path.startsWith(adminPrefix)
        return Gateway.of({
          handle: handler(rulesNow, adminRulesNow === undefined ? () => true : (path) => !isAdmin(path)),
          administer: handler(
            adminRulesNow ?? rulesNow,
            (_, route) => route === undefined || route.passage?.change !== undefined,
            true
          ),
          unread: (reason) => {
            const [dialect] = dialects
            const message = reason.charAt(0).toUpperCase() + reason.slice(1)
            return { type: dialect.types.whole, text: refusalBody(dialect, new BadRequest({ message, param: null })) }
          },
          paths: forwarded.plainPaths,
          socketPaths: forwarded.socketPaths,
          tries
        })
      })
    )
}
