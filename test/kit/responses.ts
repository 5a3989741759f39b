/**
 * What tests of Responses have in common: requests, and what came of them.
 */
import { EventReader } from "../../src/dialect/event-reader.ts"

/** Where they are asked for. */
export const responsesPath = "/v1/responses"

/** The body of a request. */
export const askingForResponse = (more: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({ model: "m", input: "hello", ...more })

/** The data of an event, as far as tests look at it. */
export interface ResponseEventData {
  readonly type: string
  readonly sequence_number: number
  readonly delta?: string
  readonly item?: Readonly<Record<string, unknown>>
  readonly item_id?: string
  readonly output_index?: number
  readonly message?: string
  readonly response?: {
    readonly id: string
    readonly status: string
    readonly model: string
    readonly output: ReadonlyArray<Readonly<Record<string, unknown>>>
    readonly usage: unknown
    readonly error: { readonly code: string; readonly message: string } | null
    readonly incomplete_details: unknown
  }
}

/** The events of a stream; each bears its type as its name. */
export const responseEvents = (text: string): ReadonlyArray<ResponseEventData> => {
  const reader = new EventReader()
  const all = [...reader.push(new TextEncoder().encode(text)), ...reader.end()]
  return all.map(({ data, name }) => {
    const json: ResponseEventData = JSON.parse(data)
    if (json.type !== name) throw new Error(`the event ${name} is of the type ${json.type}`)
    return json
  })
}

/** Its words. */
export const responseWords = (text: string): string =>
  responseEvents(text)
    .map(({ delta, type }) => (type === "response.output_text.delta" ? delta : ""))
    .join("")

/** The types of its events, without the part that all have. */
export const responseTypes = (text: string): ReadonlyArray<string> =>
  responseEvents(text).map(({ type }) => type.replace(/^response\./, ""))
