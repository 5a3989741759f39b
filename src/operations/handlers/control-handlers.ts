/**
 * What the endpoints that change the running gateway answer.
 */
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { GatewayError } from "../../domain/errors.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { Control, type NotChanged } from "../Control.ts"
import { modeActions } from "../../api/control-api.ts"

/** The handlers of the group; `refuse` answers in OpenAI's shape. */
export const controlHandlers = (
  refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>
) =>
  HttpApiBuilder.group(
    ContractApi,
    "control",
    Effect.fnUntraced(function* (handlers) {
      const control = yield* Control
      const answered = <A>(change: Effect.Effect<A, NotChanged>) => Effect.catch(change, refuse)
      return handlers.handleAll({
        config: () => Effect.sync(control.status),
        settings: () => answered(control.settings),
        compare: () => answered(control.compare),
        reload: () => answered(control.reload),
        add: ({ payload }) => answered(control.add(payload)),
        remove: ({ params, query }) => answered(control.remove(params.name, query.save === "true")),
        act: ({ params }) =>
          answered(
            params.action === "wake"
              ? control.wake(params.name)
              : control.setMode(params.name, modeActions[params.action])
          )
      })
    })
  )
