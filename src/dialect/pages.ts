/**
 * What a dialect answers about models without asking anybody: its lists, its single models, its version. Pure functions of
 * what is known of the models.
 */
import type * as Result from "effect/Result"
import type { GatewayError } from "../domain/errors.ts"
import type { Capabilities, ModelAbout } from "../domain/server.ts"

/** A model as pages tell of it. */
export interface ListedModel {
  readonly id: string
  /** Seconds since 1970. */
  readonly created: number
  /** The longest context that one who serves it has, in tokens; undefined when nobody says. */
  readonly contextLength: number | undefined
  readonly abilities: Capabilities
  /** The types of those who serve it. */
  readonly types: ReadonlyArray<string>
  /** Whether one of them has it in memory, as far as is known. */
  readonly loaded: boolean
  /** What one of them tells of it beside. */
  readonly about: ModelAbout
}

/** The models that can be asked for now. */
export interface Catalogue {
  /** All of them, sorted by id. */
  readonly all: () => ReadonlyArray<ListedModel>
  /** What a name leads to. */
  readonly find: (name: string) => Result.Result<ListedModel, GatewayError>
}

/** What a client asks a page for. */
interface PageQuestion {
  /** The model in the path; empty where there is none. */
  readonly model: string
  readonly query: URLSearchParams
  /** The body of a POST. */
  readonly body: Uint8Array
}

/** The answer of a page. */
export interface PageAnswer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** One page. */
export interface DialectPage {
  /** Whoever may GET it may ask for its head. */
  readonly method: "GET" | "POST"
  /** May end with `{model}`, which stands for a name however it is written: with slashes and colons, or encoded. */
  readonly path: string
  /** Whether others answer at its path too: it is then for those alone whom its dialect knows for its clients. */
  readonly shared?: boolean
  readonly answer: (models: Catalogue, asked: PageQuestion) => Result.Result<PageAnswer, GatewayError>
}

/** An answer that is a JSON value. */
export const jsonPage = (value: unknown, status = 200): PageAnswer => ({
  status,
  type: "application/json",
  body: JSON.stringify(value)
})
