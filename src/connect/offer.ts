/**
 * What the settings of every client are made of, and how its parts are written in them.
 */
import { printable } from "../domain/text.ts"
import type { Model } from "./suited-models.ts"

/** A gateway as a client is told of it. */
export interface Offer {
  /** Base URL of the API, with `/v1` and without a trailing slash. */
  readonly baseUrl: string
  /** Whether clients must send a key. */
  readonly keyNeeded: boolean
  readonly model: Model
  /** Other models to chat with. */
  readonly others: ReadonlyArray<Model>
  readonly embedder: string | undefined
}

/** The variable that holds the key a client sends. */
export const keyVariable = "NEXUS_KEY"

/** What stands for a key where one must be given and none is asked for: clients refuse an empty one. */
const noKey = "not-needed"

/** The key where no variable can be named: a word to be replaced. */
export const keyWord = ({ keyNeeded }: Offer): string => (keyNeeded ? "YOUR_NEXUS_KEY" : noKey)

/** The key where a variable can be named in the client's own way. */
export const keyOr = ({ keyNeeded }: Offer, variable: string): string => (keyNeeded ? variable : literal(noKey))

/** A text as JSON, JavaScript, Python and YAML write it. */
export const literal = (text: string): string => printable(JSON.stringify(text))

/** Whether a text means itself to a POSIX shell, and to whatever else reads variables from a file. */
export const isPlain = (text: string): boolean => /^[\w%+,./:=@-]+$/.test(text)

/** A text as a POSIX shell reads it as one word. */
export const shellWord = (text: string): string =>
  isPlain(text) ? text : `'${printable(text).replaceAll("'", `'\\''`)}'`

/** A base URL for clients from the address of a gateway: with or without `/v1`, with or without a slash at its end. */
export const baseUrlOf = (url: string): string => `${url.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`

/** Lines; those that are undefined are left out. */
export const lines = (...all: ReadonlyArray<string | undefined>): string =>
  all.filter((line) => line !== undefined).join("\n")
