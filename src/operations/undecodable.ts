/**
 * A request that does not decode, in words for who sent it.
 */
import { SchemaIssue } from "effect"
import { HttpApiError } from "effect/http-api"
import { BadRequest } from "../domain/errors.ts"
import { printable } from "../domain/text.ts"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const places = { Params: "path", Query: "query", Headers: "headers", Payload: "request body" } as const

const isPlace = (kind: string): kind is keyof typeof places => Object.hasOwn(places, kind)

/** What is wrong with the request; undefined when the defect is none of the request's. */
export const undecodable = (defect: unknown): BadRequest | undefined => {
  if (!HttpApiError.HttpApiSchemaError.is(defect) || !isPlace(defect.kind)) return undefined
  const [first] = format(defect.cause.issue).issues
  const path = (first?.path ?? []).map((key) => String(typeof key === "object" ? key.key : key)).join(".")
  const reason = printable(first?.message ?? "it does not decode").slice(0, 500)
  const where =
    path === "" ? `The ${places[defect.kind]}` : `'${printable(path).slice(0, 100)}' in the ${places[defect.kind]}`
  return new BadRequest({ message: `${where} is not what is expected: ${reason}`, param: path === "" ? null : path })
}
