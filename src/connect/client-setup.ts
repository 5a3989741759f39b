/**
 * What the settings of every client are made of, and how its parts are written in them.
 */
import { printable } from "../domain/printable.ts"
import type { ClientModel } from "./suitable-models.ts"

/** A gateway as a client is told of it. */
export interface ClientSetup {
  /** Base URL of the API, with `/v1` and without a trailing slash. */
  readonly baseUrl: string
  /** Whether clients must send a key. */
  readonly keyNeeded: boolean
  readonly model: ClientModel
  /** Other models to chat with. */
  readonly others: ReadonlyArray<ClientModel>
  readonly embedder: string | undefined
}

/** The variable that holds the key a client sends. */
export const keyVariable = "NEXUS_KEY"

/** What stands for a key where one must be given and none is asked for: clients refuse an empty one. */
export const noKey = "not-needed"

/** The key where no variable can be named: a word to be replaced. */
export const keyPlaceholder = ({ keyNeeded }: ClientSetup): string => (keyNeeded ? "YOUR_NEXUS_KEY" : noKey)

/** The key where a variable can be named in the client's own way. */
export const keyOrPlaceholder = ({ keyNeeded }: ClientSetup, variable: string): string =>
  keyNeeded ? variable : quotedLiteral(noKey)

/** A text as JSON, JavaScript, Python and YAML write it. */
export const quotedLiteral = (text: string): string => printable(JSON.stringify(text))

/** Whether a text means itself to a POSIX shell, and to whatever else reads variables from a file. */
export const isPlainWord = (text: string): boolean => /^[\w%+,./:=@-]+$/.test(text)

/** A text as a POSIX shell reads it as one word. */
export const shellWord = (text: string): string =>
  isPlainWord(text) ? text : `'${printable(text).replaceAll("'", `'\\''`)}'`

/** A base URL for clients from the address of a gateway: with or without `/v1`, with or without a slash at its end. */
export const clientBaseUrl = (url: string): string => `${url.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`

/** The address of the gateway alone, for clients that add a version themselves. */
export const rootUrl = ({ baseUrl }: ClientSetup): string => baseUrl.replace(/\/v1$/, "")

/** Lines; those that are undefined are left out. */
export const joinLines = (...all: ReadonlyArray<string | undefined>): string =>
  all.filter((line) => line !== undefined).join("\n")
