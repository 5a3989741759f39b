/**
 * What is passed on to one backend that the client names, whatever it is: nothing of it is read.
 */
import * as Result from "effect/Result"
import { BadRequest } from "../domain/errors.ts"
import { type Operation, unknownIdentity } from "./Dialect.ts"

/** The operation that stands for a place and all below it, in figures and logs. */
export const passageOperation = (name: string, path: string, alsoAt: ReadonlyArray<string> = []): Operation => ({
  name,
  path,
  alsoAt,
  fields: { text: "model", vision: "model", tools: "model", json_mode: "model", embeddings: "model" },
  generates: false,
  needs: () =>
    Result.fail(
      new BadRequest({ message: `What is below ${path} is passed on to one backend, and not routed`, param: null })
    ),
  whole: () => Result.succeed({ said: unknownIdentity, usage: undefined })
})

/** Any path of one backend. */
export const backendOperation = passageOperation("backend", "/backend")
