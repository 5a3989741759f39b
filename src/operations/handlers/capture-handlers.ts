/**
 * What is answered of the prompts and answers that are stored.
 */
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { ContractApi } from "../../api/gateway-api.ts"
import { Captures, type CaptureUnreadable } from "../../capture/Captures.ts"
import { Conflict, type GatewayError } from "../../domain/errors.ts"

const usualList = 50

/** The handlers of the group; `refuse` answers with a failure. */
export const captureHandlers = (
  refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>
) =>
  HttpApiBuilder.group(
    ContractApi,
    "captures",
    Effect.fnUntraced(function* (handlers) {
      const captures = yield* Captures
      const refused = ({ message }: CaptureUnreadable) => refuse(new Conflict({ message }))
      const removed = (id: number | undefined) =>
        Effect.catch(
          Effect.map(captures.remove(id), (deleted) => ({ deleted })),
          refused
        )
      return handlers.handleAll({
        list: ({ query }) =>
          Effect.catch(
            Effect.map(captures.list(query.limit ?? usualList), (list) => ({ captures: list })),
            refused
          ),
        show: ({ params }) => Effect.catch(captures.show(Number(params.id)), refused),
        remove: ({ params }) => removed(Number(params.id)),
        removeAll: () => removed(undefined)
      })
    })
  )
