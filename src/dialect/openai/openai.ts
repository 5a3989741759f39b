/**
 * OpenAI's chat completions, completions and embeddings.
 */
import type { Dialect, Operation } from "../Dialect.ts"
import { concealedEvents, eventStreamType, keepAlive } from "../event-stream.ts"
import { kindOf } from "../first-bytes.ts"
import { errorOfEvents, readWhole } from "./answer-json.ts"
import { asked, type Endpoint } from "./openai-endpoints.ts"
import { errorBody, openAiErrorBody } from "./error-body.ts"
import { EventWatch } from "./event-watch.ts"
import { canonicalPath, suggestedPath } from "./mistyped-paths.ts"
import { readNeeds } from "./needs.ts"
import { saidIn } from "./said.ts"
import { replaceModel } from "./splice.ts"

const operationOf = (endpoint: Endpoint): Operation => ({
  ...asked[endpoint],
  path: `/v1/${endpoint}`,
  generates: endpoint !== "embeddings",
  needs: (body, turns, least) => readNeeds(endpoint, body, turns, least),
  whole: (body) => readWhole(body, endpoint === "embeddings" ? "data" : "choices")
})

/** The dialect. */
export const openai: Dialect = {
  id: "openai",
  operations: [operationOf("chat/completions"), operationOf("completions"), operationOf("embeddings")],
  hint: "The API is OpenAI's, below /v1, such as /v1/chat/completions; /docs lists what there is",
  canonicalPath,
  suggestedPath,
  headers: { asked: ["openai-beta"], answered: ["openai-processing-ms"] },
  withModel: replaceModel,
  types: { whole: "application/json", stream: eventStreamType },
  kindOf,
  said: saidIn,
  watch: () => new EventWatch(),
  faultOf: errorOfEvents,
  keepAlive,
  concealed: concealedEvents,
  errorBody,
  passedError: openAiErrorBody,
  trials: () => import("./trials.ts").then(({ trials }) => trials),
  document: () => import("./openai-api.ts").then(({ documented }) => documented)
}
