/**
 * What the administrative endpoints answer.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import {
  BadRequest,
  Conflict,
  Forbidden,
  RequestNotKept,
  RequestNotUnderWay,
  type GatewayError
} from "../../domain/errors.ts"
import { parseBoundedJson } from "../../domain/bounded-json.ts"
import type { Grant } from "../../domain/grant.ts"
import { ClientKeys } from "../../admission/ClientKeys.ts"
import { areaRefusal } from "../../admission/permissions.ts"
import { Issuers } from "../../issuer/Issuers.ts"
import { Registry } from "../../registry/Registry.ts"
import { explainPlan } from "../../router/decision.ts"
import { replayUnder } from "../replay-config.ts"
import { Router } from "../../router/Router.ts"
import type { RuledRequest } from "../../router/route-table.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import type { DialectList } from "../../dialect/all.ts"
import type { Operation } from "../../dialect/Dialect.ts"
import { failureFor } from "../../dialect/failures.ts"
import { History, rememberedRequests } from "../../proxy/History.ts"
import { QueueOutlook } from "../../proxy/queue-outlook.ts"
import { placeEntry } from "../../proxy/under-way.ts"
import { siblingQuestions, Siblings } from "../Siblings.ts"
import { printable } from "../../domain/printable.ts"
import { explainedToken, type ReplayQuery, type RequestUnderWay, type Route } from "../../api/admin-api.ts"
import { Control } from "../Control.ts"
import { EventLoopTurns } from "../../domain/EventLoopTurns.ts"

type ReplayQuestion = typeof ReplayQuery.Type

// As far back as is looked when nobody says.
const hourMs = 3_600_000

const refusalOf = (error: GatewayError | undefined) => {
  if (error === undefined) return null
  const { status, code, message } = failureFor(error)
  return { status, code, message }
}

const inOrder = (requests: ReadonlyArray<RequestUnderWay>) => requests.toSorted((a, b) => a.at - b.at)

const notUnderWay = (id: string) => new RequestNotUnderWay({ id: printable(id.slice(0, 128)) })

const notKept = (id: string) => new RequestNotKept({ id: printable(id.slice(0, 128)), kept: rememberedRequests })

// What somebody who has not answered may have is not said not to be there.
const unless = (others: ReadonlyArray<unknown> | undefined, missing: GatewayError): GatewayError =>
  others === undefined
    ? new Conflict({ message: "Another worker did not answer in time, and the request may be with it; ask again" })
    : missing

const badSettings = (message: string) =>
  new BadRequest({ message: `'settings' is not what is expected: ${printable(message)}`, param: "settings" })

const badClaims = new BadRequest({
  message: "'claims' in the query is not what is expected: an object in JSON, beside a 'key' such as corp:alice",
  param: "claims"
})

// Not a refusal of the question itself: whoever asks may ask.
const lettingNobodyIn = (error: GatewayError): BadRequest =>
  new BadRequest({ message: `A request with it is refused: ${failureFor(error).message}`, param: "key" })

const claimsIn = (text: string): Readonly<Record<string, unknown>> | undefined => {
  const value = parseBoundedJson(text)
  return Predicate.isObject(value) ? { ...value } : undefined
}

const grantEntry = ({
  admin,
  labels,
  metrics,
  name,
  owner,
  priority,
  scope,
  zones
}: Grant): NonNullable<Route["key"]> => ({
  name,
  ...(owner === undefined ? {} : { owner }),
  ...(labels === undefined ? {} : { labels }),
  ...scope,
  ...(zones === undefined ? {} : { zones: zones.zones }),
  ...(priority === undefined ? {} : { priority }),
  ...(admin === undefined ? {} : { admin }),
  ...(metrics === undefined ? {} : { metrics })
})

const unknownEndpoint = (endpoint: string, known: Iterable<string>) =>
  new BadRequest({
    message: `'endpoint' in the query is not what is expected: ${printable(endpoint.slice(0, 100))}, and not one of ${[...known].join(", ")}`,
    param: "endpoint"
  })

/**
 * The handlers of the group, for requests of any of the dialects; `refuse` answers with a failure, `maxRetries` is how many
 * attempts may follow the first.
 */
export const adminHandlers = (
  dialects: DialectList,
  refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>,
  maxRetries: () => number
) =>
  HttpApiBuilder.group(
    ContractApi,
    "admin",
    Effect.fnUntraced(function* (handlers) {
      const registry = yield* Registry
      const control = yield* Control
      const router = yield* Router
      const recent = yield* History
      const siblings = yield* Siblings
      const keys = yield* ClientKeys
      const issuers = yield* Issuers
      const outlook = yield* QueueOutlook
      const turns = new EventLoopTurns()
      const operations = new Map(
        dialects.flatMap((dialect) =>
          dialect.operations.map((operation) => [operation.name, { dialect: dialect.id, operation }] as const)
        )
      )
      const replayed = Effect.fnUntraced(function* (question: ReplayQuestion) {
        const made = replayUnder(question.settings)
        if (Result.isFailure(made)) return yield* refuse(badSettings(made.failure))
        const replay = made.success
        const own = recent.replay(replay, question.since_ms)
        const others = yield* siblings.ask(siblingQuestions.replay, question)
        return {
          requests: [...own, ...(others ?? [])].toSorted((a, b) => b.at - a.at),
          notes: [
            ...replay.notes(registry.snapshot()),
            ...(others === undefined ? ["a worker did not answer in time: its requests are missing"] : [])
          ]
        }
      })
      // By the token that is shown, else by the name of a key, or of one that a token with these claims would be.
      const grantFor = Effect.fnUntraced(function* (
        key: string | undefined,
        written: string | undefined,
        token: string | undefined
      ) {
        const ofToken = (grant: Grant) => ({ grant, told: grantEntry(grant) })
        if (token !== undefined) return ofToken(yield* Effect.mapError(issuers.explain(token), lettingNobodyIn))
        const claims = written === undefined ? {} : claimsIn(written)
        if (claims === undefined) return yield* badClaims
        const grant = key === undefined ? undefined : keys.ring().named(key)
        const imagined = key === undefined || grant !== undefined ? undefined : issuers.imagined(key, claims)
        if (imagined === undefined) return written === undefined ? { grant, told: undefined } : yield* badClaims
        return Result.isFailure(imagined) ? yield* lettingNobodyIn(imagined.failure) : ofToken(imagined.success)
      })
      const decide = Effect.fnUntraced(function* (
        { dialect, operation }: { readonly dialect: string; readonly operation: Operation },
        body: Uint8Array,
        asked: RuledRequest & { readonly at: number | undefined },
        { grant, told }: { readonly grant: Grant | undefined; readonly told: Route["key"] }
      ) {
        const snapshot = registry.snapshot()
        const standIn = (usual: string | undefined) => router.standIn(usual, snapshot, grant)
        const read = yield* Effect.promise(async () => operation.needs(body, { turns, standIn }))
        if (Result.isFailure(read)) return yield* refuse(read.failure)
        const now = performance.now()
        const zones = router.zones(asked.request.headers, grant)
        if (zones instanceof BadRequest) return yield* refuse(zones)
        const scope = grant?.scope
        const needs = {
          ...read.success.needs,
          dialect,
          ...(scope === undefined ? {} : { scope }),
          ...(zones === undefined ? {} : { zones })
        }
        const { plan, refusal } = router.consider(needs, snapshot, now, router.rule(needs, snapshot, asked, asked.at))
        const decision = explainPlan(plan, plan.liveFigures(now))
        const unopened = grant === undefined ? undefined : areaRefusal(grant, "models", true)
        const refused = refusalOf(unopened === undefined ? refusal : new Forbidden({ message: unopened }))
        const place = refused === null ? outlook(plan, { grant, request: asked.request }) : undefined
        return HttpServerResponse.jsonUnsafe({
          decision,
          max_retries: maxRetries(),
          ...(told === undefined ? {} : { key: told }),
          ...(place === undefined ? {} : { queue: placeEntry(place) }),
          refusal: refused
        })
      })
      return handlers
        .handleRaw("route", ({ request, query }) => {
          const operation = operations.get(query.endpoint ?? dialects[0].operations[0].name)
          if (operation === undefined) return refuse(unknownEndpoint(query.endpoint ?? "", operations.keys()))
          return request.arrayBuffer.pipe(
            Effect.mapError(() => new BadRequest({ message: "The request body did not come whole", param: null })),
            Effect.flatMap((body) => {
              const own = new Map(Object.entries(request.headers))
              own.delete(explainedToken)
              for (const line of (query.headers ?? "").split("\n")) {
                const colon = line.indexOf(":")
                if (colon > 0) own.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
              }
              const headers = { get: (name: string) => own.get(name) ?? null }
              return Effect.flatMap(grantFor(query.key, query.claims, request.headers[explainedToken]), (by) => {
                const key = by.grant?.name ?? query.key
                const asked = { id: crypto.randomUUID(), key, at: query.at, request: { headers } }
                return decide(operation, new Uint8Array(body), asked, by)
              })
            }),
            Effect.catch(refuse)
          )
        })
        .handle("replay", ({ payload }) => replayed(payload))
        .handle("replayFile", ({ query: { since_ms: since = hourMs } }) =>
          Effect.matchEffect(control.nextRouting, {
            onFailure: refuse,
            onSuccess: (settings) => replayed({ settings, since_ms: since })
          })
        )
        .handle("decisions", () =>
          Effect.map(siblings.ask(siblingQuestions.requests, {}), (others = []) => ({
            requests: [...recent.list(), ...others].toSorted((a, b) => b.at - a.at)
          }))
        )
        .handle(
          "decision",
          Effect.fnUntraced(function* ({ params: { id } }) {
            const own = recent.find(id)
            if (own !== undefined) return own
            const others = yield* siblings.ask(siblingQuestions.request, { id })
            return others?.[0] ?? (yield* refuse(unless(others, notKept(id))))
          })
        )
        .handle("underWay", () =>
          Effect.map(siblings.ask(siblingQuestions.underWay, {}), (others = []) => ({
            requests: inOrder([...recent.underWay.list(), ...others])
          }))
        )
        .handle(
          "oneUnderWay",
          Effect.fnUntraced(function* ({ params: { id } }) {
            const [own] = recent.underWay.find(id)
            if (own !== undefined) return own
            const others = yield* siblings.ask(siblingQuestions.oneUnderWay, { id })
            return others?.[0] ?? (yield* refuse(unless(others, notUnderWay(id))))
          })
        )
        .handle(
          "cancel",
          Effect.fnUntraced(function* ({ params: { id } }) {
            const own = recent.underWay.cancel(id)
            const others = yield* siblings.ask(siblingQuestions.cancel, { id })
            const requests = inOrder([...own, ...(others ?? [])])
            if (requests.length === 0) return yield* refuse(unless(others, notUnderWay(id)))
            for (const { backend, model, phase } of requests) {
              yield* Effect.annotateLogs(Effect.logInfo("request cancelled"), { request_id: id, model, backend, phase })
            }
            return { requests }
          })
        )
    })
  )
