/**
 * What a row of the fault table says: what a backend does, and what must come of it.
 */
import type { SettingsTree } from "../kit/gateway.ts"
import type { Seen, Step } from "../kit/rawServer.ts"

/** What the client must see. */
export type Sight =
  /** An error in OpenAI's shape; `message` must be found in its text. */
  | {
      readonly _tag: "Refused"
      readonly status: number
      readonly code?: string | null
      readonly message?: string | RegExp
    }
  /** The events that came, then one error event, no end marker, and then the body is cut. */
  | {
      readonly _tag: "Broken"
      readonly before: string
      /** What may stand any number of times, and cut anywhere, between them. */
      readonly again?: string
      readonly message?: string
    }
  /** 200 with exactly this body. */
  | { readonly _tag: "Intact"; readonly body: string | Uint8Array; readonly headers?: Readonly<Record<string, string>> }
  /** 200 with exactly this body, which tells of its failure itself, and is then cut. */
  | { readonly _tag: "Told"; readonly body: string }
  /** 200 that does not end by its own framing. */
  | { readonly _tag: "Cut" }

/** What the failure says of the backend: counted in its circuit, left alone for a while, both, wrong key, or nothing. */
type Blame = "counted" | "cooled" | "both" | "nothing"

/** One row. */
export interface Fault {
  readonly name: string
  /** Only streams, only whole answers; both when absent. */
  readonly only?: "stream" | "whole"
  /** What the backend does with a forwarded request. */
  readonly steps: (stream: boolean, request: Seen) => Iterable<Step>
  /** What it does with a connection before it reads anything. */
  readonly greet?: () => Iterable<Step>
  /** True when it is not there at all. */
  readonly down?: boolean
  /** What the client sees when there is no other backend. */
  readonly alone: (stream: boolean) => Sight
  /** Whether another backend answers when there is one; otherwise the client sees the same. */
  readonly failover: boolean
  /** Whether the same backend may be asked again when it is alone, within max_retries; never when absent. */
  readonly again?: boolean
  /** Whether the connection dies before any byte: on a reused socket that is replayed once, beside the retries. */
  readonly silentDeath?: boolean
  readonly blame: Blame
  /** For how long its model is left alone, in seconds; any time up to five minutes when absent. */
  readonly cools?: number
  /** Whether it ends by a time limit. */
  readonly waits?: boolean
  /** Whether the connection to the backend must be closed afterwards. */
  readonly closes?: boolean
  /** Settings of this row, laid over the table's own. */
  readonly settings?: SettingsTree
  /** Keys of the `[[backends]]` entry. */
  readonly backend?: SettingsTree
  /** More that must hold of the answer's headers. */
  readonly headers?: (header: (name: string) => string | undefined) => void
}

/** Time limits of the table: none that a slow machine could come to. */
export const patience = { first_byte_timeout_seconds: 30, idle_timeout_seconds: 30, request_timeout_seconds: 60 }

/** Those of the faulty backend of a row that ends by one. */
export const impatience = { first_byte_timeout_seconds: 0.4, idle_timeout_seconds: 0.4 }

/** What is told of a limit that was come to. */
export const limitWords = (limit: "first_byte" | "idle"): string => `${limit}_timeout_seconds (0.4 s)`

/** An error in OpenAI's shape. */
export const refused = (status: number, code?: string | null, message?: string | RegExp) => (): Sight => ({
  _tag: "Refused",
  status,
  ...(code === undefined ? {} : { code }),
  ...(message === undefined ? {} : { message })
})

/** The 502 of an answer that is none, in a sentence. */
export const badGateway = refused(502, "bad_gateway", /^(?!.*\b(answered with the answer|answered with it)\b)/s)

/** The 504 of a limit. */
export const timedOut = (limit: "first_byte" | "idle") => refused(504, "gateway_timeout", limitWords(limit))

/** A good answer, unchanged. */
export const intact = (body: string | Uint8Array) => (): Sight => ({ _tag: "Intact", body })

/** A stream that broke after these bytes. */
export const broken = (before: string, message?: string) => (): Sight => ({
  _tag: "Broken",
  before,
  ...(message === undefined ? {} : { message })
})
