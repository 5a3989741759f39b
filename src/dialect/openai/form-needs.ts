/**
 * What routing must know of a form that is passed on while it comes: its model stands anywhere in it, behind its files mostly.
 */
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { RoutingNeeds } from "../../domain/request.ts"
import type { FormReading, NeedsReading, ReadRequest } from "../Dialect.ts"
import { modelFault } from "../json-body.ts"
import { type FormField, FormScan } from "../multipart.ts"
import type { PassedEndpoint } from "./passed-endpoints.ts"

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

const bad = (message: string, param: string | null) => new BadRequest({ message, param })

const textOf = (value: Uint8Array): string | undefined => {
  try {
    return decoder.decode(value)
  } catch {
    return undefined
  }
}

/** What a form says while it comes. */
export class OpenAiForm implements FormReading {
  private readonly endpoint: PassedEndpoint
  private readonly boundary: string
  private readonly reading: NeedsReading
  private readonly scan: FormScan

  constructor(endpoint: PassedEndpoint, boundary: string, reading: NeedsReading) {
    this.endpoint = endpoint
    this.boundary = boundary
    this.reading = reading
    this.scan = new FormScan(boundary, ["model", "stream", "stream_format"])
  }

  push(piece: Uint8Array): void {
    this.scan.push(piece)
  }

  read(whole: boolean): Result.Result<ReadRequest, BadRequest> | undefined {
    const fault = this.fault(whole)
    if (fault !== undefined) return Result.fail(fault)
    const [model] = this.named("model")
    if (model === undefined) {
      const from = this.scan.begins ?? 0
      return whole ? this.needs(this.reading.model ?? this.meant(), { from, to: from }) : undefined
    }
    return this.needs(this.reading.model ?? textOf(model.value), model.span)
  }

  fault(whole: boolean): BadRequest | undefined {
    const { ended, fault, fields } = this.scan
    if (fault !== undefined) return bad(`The form (multipart/form-data) cannot be read: ${fault}`, null)
    if (whole && !ended) return bad("The form (multipart/form-data) ends without its last boundary", null)
    if (fields.length < 2) return undefined
    // Some servers take the first, and some the last.
    return this.named("model").length > 1 ? bad("The field 'model' comes more than once", "model") : undefined
  }

  withModel(model: string): Uint8Array {
    if (this.named("model").length > 0) return encoder.encode(model)
    const head = `--${this.boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n`
    return encoder.encode(`${head}${model}\r\n`)
  }

  private meant(): string | undefined {
    return this.reading.standIn?.(this.endpoint.usual)
  }

  private named(name: string): ReadonlyArray<FormField> {
    return this.scan.fields.filter((field) => field.name === name)
  }

  private needs(model: string | undefined, span: ReadRequest["model"]): Result.Result<ReadRequest, BadRequest> {
    const fault = modelFault(model)
    if (fault !== undefined) return Result.fail(fault)
    const { fields } = this.scan
    const needs: RoutingNeeds = {
      operation: this.endpoint.facts,
      dialect: "openai",
      model: String(model),
      // It may stand behind the model, and have come only by the time of the answer.
      get stream() {
        return fields.some(({ name, value }) => {
          const text = textOf(value)?.trim().toLowerCase()
          return name === "stream" ? text === "true" || text === "1" : name === "stream_format" && text === "sse"
        })
      },
      abilities: [],
      promptTokens: 0,
      atLeastTokens: 0,
      outputTokens: 0
    }
    return Result.succeed({ needs, model: span })
  }
}
