/**
 * The entries of `[[hooks]]`.
 */
import * as Schema from "effect/Schema"
import { hookFailures, hookPhases } from "../domain/hook-rules.ts"
import { maybe, or, plainName, seconds, whole } from "./schema-parts.ts"

const patterns = Schema.NonEmptyArray(Schema.NonEmptyString)

/** A hook. */
export const HookEntry = Schema.Struct({
  name: plainName.annotate({ description: "Name of the hook in errors, metrics and explanations" }),
  url: Schema.NonEmptyString.annotate({ description: "Where it is asked (POST, JSON)" }),
  api_key_env: maybe(Schema.NonEmptyString, "Environment variable that holds the key that it is asked with"),
  api_key_file: maybe(Schema.NonEmptyString, "File that holds the key that it is asked with"),
  phases: or(
    Schema.NonEmptyArray(Schema.Literals(hookPhases)),
    ["request", "answer"],
    "What it is shown: requests before anybody is asked, answers before they go to the client"
  ),
  models: maybe(
    patterns,
    "Models that it is for, as they are asked for or as their names lead to them; * is any text, ? one character; all when absent"
  ),
  keys: maybe(
    patterns,
    "Names of the keys whose requests it is for, with * and ?; all when absent, requests without a key too"
  ),
  timeout_seconds: or(seconds(0.01, 60), 2, "Time that it has for one call"),
  on_error: or(
    Schema.Literals(hookFailures),
    "block",
    "What becomes of what it cannot judge, since it does not answer or cannot be shown it: block (fails closed) or allow"
  ),
  window_chars: or(
    whole(1, 65_536),
    400,
    "How much of a streamed answer is held back and shown to it at a time, in characters"
  ),
  window_seconds: or(seconds(0.01, 60), 1, "Longest time that text of a stream is held back before it is shown"),
  overlap_chars: or(
    whole(0, 4096),
    64,
    "How many characters at the end of a window are held back to be shown again with the next one, so that what stands across two is seen whole"
  )
})
