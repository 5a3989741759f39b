/**
 * The options that an Ollama takes with each request.
 */
import * as Predicate from "effect/Predicate"

/** Options in a body: those of settings, the context to have the model in, and those of the client over them. */
export const optionsWith = (
  own: unknown,
  context: number | undefined,
  asked: unknown = {}
): { readonly options?: Readonly<Record<string, unknown>> } => {
  const options = {
    ...(context === undefined ? {} : { num_ctx: context }),
    ...(Predicate.isObject(own) ? own : {}),
    ...(Predicate.isObject(asked) ? asked : {})
  }
  return Object.keys(options).length === 0 ? {} : { options }
}
