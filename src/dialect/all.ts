/**
 * Every dialect that is served, one line each; the first is what clients are told in who ask for nothing of any.
 */
import * as Context from "effect/Context"
import type { Dialect } from "./Dialect.ts"
import { anthropic } from "./anthropic/anthropic.ts"
import { gemini } from "./gemini/gemini.ts"
import { ollama } from "./ollama/ollama.ts"
import { openai } from "./openai/openai.ts"
import { responses } from "./responses/responses.ts"

/** The dialects. */
export type DialectList = readonly [Dialect, ...ReadonlyArray<Dialect>]

/** The dialects that a gateway serves: those of this list, unless it is given another. */
export const Dialects = Context.Reference<DialectList>("nexus/dialect/Dialects", {
  defaultValue: () => [openai, responses, anthropic, ollama, gemini]
})
