/**
 * What to do about each failure, for the documentation.
 */
import type { ErrorTag } from "./error-examples.ts"

/** Advice by tag, for who sends the request or runs the gateway. */
export const errorAdvice: { readonly [T in ErrorTag]: string } = {
  BadRequest: "Mend the field that `param` names, or the JSON",
  Unauthorized:
    "Send `Authorization: Bearer` with a key of `[[auth.keys]]`, which `nexus keys new` makes, or with a good token of an issuer in `[[auth.issuers]]`; the message says what is wrong",
  IssuerUnavailable:
    "Try again after `retry-after`; `nexus doctor` says why the issuer in `[[auth.issuers]]` does not tell its keys",
  Forbidden:
    "Do what the message says: add the host to `server.allowed_hosts`, the page's origin to `server.cors.origins`, or send a key that may do it",
  ModelNotAllowed:
    "Use one of the names that the message lists; whoever runs the gateway can widen `models` or `backends` of the key in `[[auth.keys]]`",
  ModelNotFound: "Use one of the names that the message lists; `nexus models` shows them with their backends",
  ModelCapabilityMismatch: "Choose another model, or correct what is known of it in `[[backends.models]]`",
  ContextLengthExceeded:
    "Shorten the conversation, as agents do by themselves at this code; or correct `context_length` in `[[backends.models]]`",
  ZoneNotAllowed:
    "Ask with a key, a model or an x-nexus-zones header that allows the zone, or give the model to a backend in a zone that is allowed; `nexus explain` tells who forbids what",
  ServiceUnavailable:
    "Try again after `retry-after`; `nexus backends list` says what is wrong, `nexus doctor` how to fix it",
  BudgetExceeded:
    "Wait until the budget begins anew, or raise `hard_usd` of it in `[[budgets]]`; `nexus usage` tells how it stands",
  PolicyBlocked:
    "Change what the hook names as its reason; whoever runs the gateway has named the hook in `[[hooks]]`, and `nexus explain --request ID` tells what it did",
  HookUnavailable:
    'Try again after `retry-after`; `nexus doctor` says whether the hook can be reached. With `on_error = "allow"` requests go on without it',
  Overloaded:
    "Try again after `retry-after`; see `server.max_concurrent_requests` and `max_concurrent` of the backends",
  RateLimited:
    "Try again after `retry-after`; whoever runs the gateway can raise the limits of the key in `[[auth.keys]]`, or those in `[limits]`",
  OutOfFiles: "Raise the limit of the gateway's process: `ulimit -n 65536`, or `LimitNOFILE` of its unit",
  Stopping: "Try again in a moment; another gateway, or the next start, answers",
  Cancelled: "Ask whoever runs the gateway: somebody has ended this request with `nexus requests cancel`",
  BadGateway: "The message has each backend's reason; `nexus doctor` looks closer",
  LoopDetected: "Take the gateway itself out of the backends, its own and those of the gateways behind it",
  GatewayTimeout: "Raise the time limit that the message names, for the backend or in `[server]`",
  RequestTimeout: "Send the request faster, or raise `server.upload_timeout_seconds`",
  PayloadTooLarge:
    "Send less, or raise `server.max_body_mb`, or `server.max_streamed_mb` for forms with files; send the field `model` of a form before its files",
  UriTooLong: "Shorten the URL; nothing of Nexus needs a long one",
  UnsupportedMediaType: "Send JSON as it is, without compression",
  NotFound: "Correct the path: the base URL of clients ends in `/v1`",
  RequestNotKept: "Ask sooner: the last requests alone are remembered; the id is in `x-request-id`",
  RequestNotUnderWay: "Look with `nexus requests` for those that are; what has ended is among `/admin/v1/decisions`",
  MethodNotAllowed: "Use a method that `allow` lists",
  BackendNotFound: "Use a name that the message lists",
  Conflict: "Remove what is there first, or choose another name",
  ConfigRefused: "Fix the lines that the message names; the settings in force stay as they are",
  NotImplemented:
    "Ask a model of a backend that speaks the dialect itself; `nexus backends list` tells which those are",
  ModelActionFailed:
    "Do what the message says: unload another model first (`nexus models unload`), pull it (`nexus models pull`), or look at the backend's own log",
  Internal: "Look for the request id in the log, and report it"
}
