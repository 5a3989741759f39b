/**
 * The operations whose bodies pass by: routed by their model like any other, and judged by no more than what makes an answer
 * no answer.
 */
import * as Result from "effect/Result"
import { BadAnswer } from "../../domain/upstream-errors.ts"
import { type AnswerFault, type Operation, unknownIdentity, type WholeAnswer } from "../Dialect.ts"
import { readAnyJson, readWholeAnswer } from "./answer-json.ts"
import { OpenAiForm } from "./form-needs.ts"
import { type PassedEndpoint, passedEndpoints } from "./passed-endpoints.ts"
import { readPassedNeeds } from "./passed-needs.ts"

const decoder = new TextDecoder()

const page = /^\s*<(?:!doctype|html|head|body)\b/i

const anything: WholeAnswer = { said: unknownIdentity, usage: undefined }

const isJson = (mediaType: string | null): boolean => /^\s*application\/(?:[\w.-]+\+)?json\b/i.test(mediaType ?? "")

const isText = (mediaType: string | null): boolean => /^\s*text\/(?!html)/i.test(mediaType ?? "")

const readOther = (body: Uint8Array, mediaType: string | null): Result.Result<WholeAnswer, AnswerFault> => {
  const start = decoder.decode(body.subarray(0, 256))
  if (page.test(start)) return Result.fail(new BadAnswer({ reason: "an HTML page" }))
  if (isJson(mediaType)) return readAnyJson(body)
  // A text that nothing was heard for is empty.
  if (body.byteLength === 0 && !isText(mediaType)) return Result.fail(new BadAnswer({ reason: "an empty body" }))
  if (!/^\s*\{/.test(start)) return Result.succeed(anything)
  const json = readAnyJson(body)
  // What is no JSON is a text that begins like it.
  return Result.isFailure(json) && json.failure._tag === "BadAnswer" && json.failure.body === undefined
    ? Result.succeed(anything)
    : json
}

const operationOf = (endpoint: PassedEndpoint): Operation => {
  const { answer, facts, form, list, path } = endpoint
  return {
    ...facts,
    path,
    generates: false,
    passes: answer === "bytes",
    ...(form === undefined ? {} : { form: (boundary, reading) => new OpenAiForm(endpoint, boundary, reading) }),
    needs: (body, reading) => readPassedNeeds(endpoint, body, reading),
    whole: (body, mediaType) => {
      if (answer !== "json") return readOther(body, mediaType)
      return list === undefined ? readAnyJson(body) : readWholeAnswer(body, list)
    }
  }
}

/** All of them. */
export const passedOperations: ReadonlyArray<Operation> = passedEndpoints.map(operationOf)
