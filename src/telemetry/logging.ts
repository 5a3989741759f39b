/**
 * Where log lines go: level and format from the config, through the bounded buffer, to standard error.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import type * as EffectLevel from "effect/LogLevel"
import type { Settings } from "../config/schema.ts"
import { logLevels } from "../config/telemetry-schema.ts"
import { type LossReason, makeLogBuffer, type LogSink, stderrSink } from "./log-buffer.ts"
import { jsonLine, type LogRecord, textLine, valueText } from "./log-line.ts"
import { type LogLevel, type LogNames, logNamings } from "./log-names.ts"
import { LineTemplate } from "./line-template.ts"

/** What the config says of the log. */
export type LoggingSettings = Settings["logging"]

/** What the line of a request says that has ended. */
export const requestEnded = "request ended"

// Lines of requests wait so long for others, in milliseconds.
const gatherMs = 20

type Fields = Readonly<Record<string, unknown>>

/** The log as the request path uses it: plain calls, no fiber. */
export class RequestLog extends Context.Service<
  RequestLog,
  {
    /** Whether lines of level debug are written; look before building one. */
    readonly debugEnabled: () => boolean
    /** The part of the requests with a whole answer that a line is written of at info; undefined while none is. */
    readonly accessShare: () => number | undefined
    /** What JSON lines of requests that have ended are made by; undefined while lines are text. The same one as long as the settings are. */
    readonly accessTemplate: () => LineTemplate | undefined
    /** Writes lines that are made already, with others that come soon; there is a line feed between two. */
    readonly writeLines: (lines: string) => void
    /** Has lines made, and written by {@link writeLines}, soon, and before any other line is written. */
    readonly makeLater: (lines: () => void) => void
    /** The time that a line would have that is written now, in milliseconds since 1970. */
    readonly time: () => number
    /** Writes one line, when its level is. */
    readonly write: (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void
  }
>()("nexus/telemetry/RequestLog") {}

const ownLevels: Readonly<Record<EffectLevel.LogLevel, LogLevel>> = {
  All: "trace",
  None: "trace",
  Fatal: "error",
  Error: "error",
  Warn: "warn",
  Info: "info",
  Debug: "debug",
  Trace: "trace"
}

const parts = (message: unknown): ReadonlyArray<unknown> => (Array.isArray(message) ? message : [message])

const record = (options: Logger.Options<unknown>, fixed: Fields): LogRecord => {
  const causes = options.cause.reasons.length === 0 ? {} : { cause: Cause.pretty(options.cause) }
  return {
    time: options.date.getTime(),
    level: ownLevels[options.logLevel],
    message: parts(options.message).map(valueText).join(" "),
    fields: { ...fixed, ...options.fiber.getRef(References.CurrentLogAnnotations), ...causes }
  }
}

/** The loggers over a given sink, as the settings of the moment have it; `terminal` says whether a person reads it, `fixed` are fields of every line. */
export const layerOf = (
  settings: () => LoggingSettings,
  sink: LogSink,
  terminal: boolean,
  fixed: Fields = {}
): Layer.Layer<RequestLog> => {
  const isJson = (format: LoggingSettings["format"]) => format === "json" || (format === "auto" && !terminal)
  const line = (of: LogRecord): string => {
    const { format, names } = settings()
    const naming = logNamings[names]
    return isJson(format) ? jsonLine(of, naming) : textLine(of, naming)
  }
  const isEnabled = (level: LogLevel): boolean => logLevels.indexOf(level) <= logLevels.indexOf(settings().level)
  const make = Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const format = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>) =>
      line({ time: clock.currentTimeMillisUnsafe(), level, message, fields: { ...fixed, ...fields } })
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const later = (call: () => void): void => {
      run(Effect.andThen(Effect.sleep(gatherMs), Effect.sync(call)))
    }
    const lost = (lines: number, why: LossReason) =>
      format("warn", `log lines dropped, ${why === "slow" ? "the reader is too slow" : "they could not be written"}`, {
        lines
      })
    const buffer = yield* Effect.acquireRelease(
      Effect.sync(() => makeLogBuffer(sink, lost, later)),
      ({ flushed }) => Effect.ignore(Effect.timeout(Effect.promise(flushed), "1 second"))
    )
    const write = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      if (isEnabled(level)) buffer.push(format(level, message, fields))
    }
    const logger = Logger.make((options) => {
      if (isEnabled(ownLevels[options.logLevel])) buffer.push(line(record(options, fixed)))
    })
    const accessShare = (): number | undefined => {
      const { access_log, access_log_share } = settings()
      return access_log && isEnabled("info") ? access_log_share : undefined
    }
    const templates = new Map<LogNames, LineTemplate>()
    const accessTemplate = (): LineTemplate | undefined => {
      const { format, names } = settings()
      if (!isJson(format)) return undefined
      const known = templates.get(names)
      if (known !== undefined) return known
      const made = new LineTemplate(logNamings[names], "info", requestEnded, fixed)
      templates.set(names, made)
      return made
    }
    const log = RequestLog.of({
      debugEnabled: () => isEnabled("debug"),
      accessShare,
      accessTemplate,
      writeLines: buffer.pushLater,
      makeLater: buffer.makeLater,
      time: () => clock.currentTimeMillisUnsafe(),
      write
    })
    return Context.make(RequestLog, log).pipe(
      Context.add(Logger.CurrentLoggers, new Set([logger])),
      // The level may change while the gateway runs: the logger itself looks at it.
      Context.add(References.MinimumLogLevel, "Trace")
    )
  })
  return Layer.effectContext(make)
}

/** The loggers over standard error. */
export const layer = (settings: () => LoggingSettings, fixed: Fields = {}): Layer.Layer<RequestLog> =>
  Layer.suspend(() => layerOf(settings, stderrSink(), process.stderr.isTTY === true, fixed))
