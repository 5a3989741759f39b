/**
 * Prompts and answers that are stored for those keys and models alone that the settings name, sealed, in a file of their own.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { matchesAny } from "../domain/glob.ts"
import type { Database, Migrations } from "../store/Database.ts"
import { RequestLog } from "../telemetry/logging.ts"
import { secretMark, type Seal, sealOf } from "./sealing.ts"

/** What is known of a request beside its texts. */
export interface CaptureFacts {
  readonly request_id: string
  readonly key: string | null
  readonly model: string
  readonly endpoint: string
  readonly dialect: string
  readonly backend: string
  readonly outcome: string
  readonly status: number
  readonly stream: boolean
}

/** A request and its answer: as hooks left it, and as its client got it. */
export interface CapturedTexts {
  readonly request: string
  readonly answer: string
}

/** One that is stored; the facts are null where another key is needed to read them. */
export interface StoredCapture {
  readonly id: number
  /** In milliseconds since 1970. */
  readonly at: number
  readonly bytes: number
  readonly facts: CaptureFacts | null
}

/** Why nothing can be told of what is stored. */
export class CaptureUnreadable extends Data.TaggedError("CaptureUnreadable")<{ readonly message: string }> {}

/** Whose requests are stored, and where. */
export interface CaptureSettings {
  readonly keys: ReadonlyArray<string>
  readonly models: ReadonlyArray<string>
  readonly path: string
  readonly secret: Uint8Array
  readonly mostBytes: number
  readonly keptMs: number
  /** Counts one that was stored, by how much that was, or was not. */
  readonly counts?: (outcome: "stored" | "refused", bytes: number) => void
}

/** What is stored of prompts and answers. */
export class Captures extends Context.Service<
  Captures,
  {
    /** Whether anything is stored at all. */
    readonly isOn: boolean
    /** Whether a request is, by its key and the names of its model. */
    readonly wants: (key: string | undefined, names: Iterable<string>) => boolean
    /** Stores one: plain, and done later. */
    readonly store: (facts: CaptureFacts, texts: CapturedTexts) => void
    /** The last ones, newest first. */
    readonly list: (most: number) => Effect.Effect<ReadonlyArray<StoredCapture>, CaptureUnreadable>
    readonly show: (id: number) => Effect.Effect<StoredCapture & CapturedTexts, CaptureUnreadable>
    /** Deletes one, or all; gives how many there were. */
    readonly remove: (id: number | undefined) => Effect.Effect<number, CaptureUnreadable>
  }
>()("nexus/capture/Captures") {
  /** Nothing is stored. */
  static readonly none = Layer.sync(Captures, () => {
    const off = Effect.fail(
      new CaptureUnreadable({ message: "Nothing is captured here: [capture] names no keys and no models" })
    )
    return {
      isOn: false,
      wants: () => false,
      store: () => undefined,
      list: () => Effect.succeed([]),
      show: () => off,
      remove: () => Effect.succeed(0)
    }
  })

  /** In a file. */
  static readonly layer = (settings: CaptureSettings) => Layer.effect(Captures, makeCaptures(settings))
}

const migrations: Migrations = {
  part: "captures",
  steps: [
    `create table captures (
      id integer primary key autoincrement, at integer not null, mark text not null,
      facts blob not null, texts blob not null, bytes integer not null
    );
    create index captures_at on captures (at);`,
    // How much there is, for all processes that write: to sum it up anew would read the whole file.
    `create table captured (bytes integer not null);
    insert into captured select coalesce(sum(bytes), 0) from captures;
    create trigger captures_come after insert on captures begin
      update captured set bytes = bytes + new.bytes;
    end;
    create trigger captures_go after delete on captures begin
      update captured set bytes = bytes - old.bytes;
    end;`
  ]
}

// Beyond these, what comes is not stored: they wait in memory.
const mostWaiting = 200

// How often what is too old is looked for.
const pruneMs = 60_000

interface Row {
  readonly id: number
  readonly at: number
  readonly facts: Uint8Array
  readonly bytes: number
}

interface WholeRow extends Row {
  readonly mark: string
  readonly texts: Uint8Array
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const parsed = <A>(bytes: Uint8Array): A => {
  const value: A = JSON.parse(decoder.decode(bytes))
  return value
}

const makeCaptures = Effect.fnUntraced(function* (settings: CaptureSettings) {
  const { openDatabase } = yield* Effect.promise(() => import("../store/Database.ts"))
  const { counts = () => undefined, keptMs, keys, models, mostBytes, path, secret } = settings
  const clock = yield* Clock.Clock
  const log = yield* RequestLog
  const seal: Seal = sealOf(secret)
  const mark = secretMark(secret)
  let database: Database | undefined
  let waiting = 0
  let isFailing = false
  // Those that came first are stored first.
  let inOrder: Promise<void> = Promise.resolve()
  const run = Effect.runForkWith(yield* Effect.context<never>())

  const opened = (): Database => (database ??= openDatabase(path, migrations))

  const prune = (): void => {
    const file = opened()
    file.run("delete from captures where at < ?", [clock.currentTimeMillisUnsafe() - keptMs])
    // The newest that have room stay.
    const stored = file.query<{ bytes: number }, []>("select bytes from captured")
    const dropOldest = file.query("delete from captures where id = (select min(id) from captures)")
    while ((stored.get()?.bytes ?? 0) > mostBytes) if (dropOldest.run().changes === 0) return
  }

  const failed = (error: unknown): void => {
    if (!isFailing) log.write("error", "what is captured cannot be stored", { reason: words(error) })
    isFailing = true
  }

  const refused = (error: unknown): void => {
    counts("refused", 0)
    failed(error)
  }

  const written = async (at: number, facts: CaptureFacts, texts: CapturedTexts): Promise<void> => {
    const [head, body] = await Promise.all([
      seal.close(encoder.encode(JSON.stringify(facts)), `facts ${at}`),
      seal.close(encoder.encode(JSON.stringify(texts)), `texts ${at}`)
    ])
    const bytes = head.byteLength + body.byteLength
    if (bytes > mostBytes) return counts("refused", 0)
    opened().run("insert into captures (at, mark, facts, texts, bytes) values (?, ?, ?, ?, ?)", [
      at,
      mark,
      head,
      body,
      bytes
    ])
    prune()
    isFailing = false
    counts("stored", bytes)
  }

  const readable = <A>(read: () => Promise<A>): Effect.Effect<A, CaptureUnreadable> =>
    Effect.tryPromise({
      try: read,
      catch: (error) => (error instanceof CaptureUnreadable ? error : new CaptureUnreadable({ message: words(error) }))
    })

  const told = async ({ at, bytes, facts, id }: Row): Promise<StoredCapture> => {
    const head = await seal.open(facts, `facts ${at}`)
    return { id, at, bytes, facts: head === undefined ? null : parsed<CaptureFacts>(head) }
  }

  // What has come is stored first.
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Effect.promise(() => inOrder),
      Effect.sync(() => database?.close())
    )
  )
  const pruning = Effect.sync(() => {
    try {
      prune()
      opened().run("pragma incremental_vacuum")
    } catch (error) {
      failed(error)
    }
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(pruning, Effect.sleep(pruneMs))))

  return Captures.of({
    isOn: true,
    wants: (key, names) => {
      if (key !== undefined && matchesAny(keys, key)) return true
      for (const name of names) if (matchesAny(models, name)) return true
      return false
    },
    store: (facts, texts) => {
      if (waiting >= mostWaiting) return refused("too many wait to be stored")
      waiting += 1
      const at = clock.currentTimeMillisUnsafe()
      const mine = inOrder.then(() => written(at, facts, texts))
      inOrder = mine.catch(() => undefined)
      run(
        readable(() => mine).pipe(
          Effect.catch(({ message }) => Effect.sync(() => refused(message))),
          Effect.andThen(Effect.sync(() => (waiting -= 1)))
        )
      )
    },
    list: (most) =>
      readable(() => {
        const rows = opened()
          .query<Row, [number]>("select id, at, facts, bytes from captures order by id desc limit ?")
          .all(most)
        return Promise.all(rows.map(told))
      }),
    show: (id) =>
      readable(async () => {
        const row = opened().query<WholeRow, [number]>("select * from captures where id = ?").get(id)
        if (row === null) throw new CaptureUnreadable({ message: `There is no capture ${id}` })
        const body = await seal.open(row.texts, `texts ${row.at}`)
        if (body !== undefined) return { ...(await told(row)), ...parsed<CapturedTexts>(body) }
        const why = row.mark === mark ? "it was changed since" : "it was sealed with another key than the one in use"
        throw new CaptureUnreadable({ message: `Capture ${id} cannot be read: ${why}` })
      }),
    remove: (id) =>
      readable(() => {
        const file = opened()
        const { changes } =
          id === undefined ? file.run("delete from captures") : file.run("delete from captures where id = ?", [id])
        file.run("pragma incremental_vacuum")
        return Promise.resolve(changes)
      })
  })
})
