/**
 * What the administrative endpoints answer.
 */
import { Effect, Result } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { BadRequest, RequestNotKept, type GatewayError } from "../../domain/errors.ts"
import type { Endpoint } from "../../domain/request.ts"
import { Registry } from "../../registry/Registry.ts"
import { explainPlan } from "../../router/decision.ts"
import { Router } from "../../router/Router.ts"
import { ContractApi } from "../api/api.ts"
import { readNeeds } from "../../dialect/openai/needs.ts"
import { formOf } from "../../dialect/openai/error.ts"
import { Recent, remembered } from "../../proxy/History.ts"
import { siblingQuestions, Siblings } from "../Siblings.ts"
import { Turns } from "../../domain/Turns.ts"

const refusalOf = (error: GatewayError | undefined) => {
  if (error === undefined) return null
  const { status, code, message } = formOf(error)
  return { status, code, message }
}

/** The handlers of the group; `refuse` answers in OpenAI's shape, `maxRetries` is how many attempts may follow the first. */
export const adminHandlers = (
  refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>,
  maxRetries: () => number
) =>
  HttpApiBuilder.group(
    ContractApi,
    "admin",
    Effect.fnUntraced(function* (handlers) {
      const registry = yield* Registry
      const router = yield* Router
      const recent = yield* Recent
      const siblings = yield* Siblings
      const turns = new Turns()
      const route = Effect.fnUntraced(function* (endpoint: Endpoint, body: Uint8Array) {
        const read = yield* Effect.promise(async () => readNeeds(endpoint, body, turns))
        if (Result.isFailure(read)) return yield* refuse(read.failure)
        const snapshot = registry.snapshot()
        const now = performance.now()
        const { plan, refusal } = router.consider(read.success.needs, snapshot, now)
        const decision = explainPlan(plan, plan.liveFigures(now))
        return HttpServerResponse.jsonUnsafe({ decision, max_retries: maxRetries(), refusal: refusalOf(refusal) })
      })
      return handlers
        .handleRaw("route", ({ request, query }) =>
          request.arrayBuffer.pipe(
            Effect.flatMap((body) => route(query.endpoint ?? "chat/completions", new Uint8Array(body))),
            Effect.catch(() => refuse(new BadRequest({ message: "The request body did not come whole", param: null })))
          )
        )
        .handle("decisions", () =>
          Effect.map(siblings.ask(siblingQuestions.requests, {}), (others = []) => ({
            requests: [...recent.list(), ...others].toSorted((a, b) => b.at - a.at)
          }))
        )
        .handle(
          "decision",
          Effect.fnUntraced(function* ({ params: { id } }) {
            const found = recent.find(id) ?? (yield* siblings.ask(siblingQuestions.request, { id }))?.[0]
            return found ?? (yield* refuse(new RequestNotKept({ id: id.slice(0, 128), kept: remembered })))
          })
        )
    })
  )
