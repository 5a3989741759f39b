/**
 * Files of SQLite: opened with what several processes and a request's thread need, in the order in which it must be said, and
 * brought to the tables of this version.
 */
import { Database } from "bun:sqlite"
import { closeSync, mkdirSync, openSync } from "node:fs"
import { dirname } from "node:path"

export type { Database, Statement } from "bun:sqlite"

/** The tables of one part of the program, as the steps in which its versions brought them; a step is never changed. */
export interface Migrations {
  readonly part: string
  readonly steps: ReadonlyArray<string>
}

// While it is opened, others may be opening it too.
const openMs = 5000

// Whoever waits for a lock stands still with all its requests: it tries again later instead.
const busyMs = 50

const migrate = (database: Database, { part, steps }: Migrations): void => {
  database.run("create table if not exists migrations (part text primary key, steps integer not null)")
  const done = database.query<{ steps: number }, [string]>("select steps from migrations where part = ?").get(part)
  const from = done?.steps ?? 0
  if (from > steps.length) throw new Error("the file was written by a later version of Nexus")
  for (const step of steps.slice(from)) database.run(step)
  database.run("insert or replace into migrations (part, steps) values (?, ?)", [part, steps.length])
}

/** Opens a file, which is made where there is none, with the tables of a part of the program; throws when that cannot be done. */
export const openDatabase = (path: string, migrations: Migrations): Database => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // Nobody else is to read who asks what; SQLite gives its other files the mode of this one.
  closeSync(openSync(path, "a", 0o600))
  const database = new Database(path, { readwrite: true, create: true })
  try {
    // First of all: two that make a new file at once would fail otherwise.
    database.run(`pragma busy_timeout = ${openMs}`)
    // Before the first table, or never.
    database.run("pragma auto_vacuum = incremental")
    database.run("pragma journal_mode = wal")
    database.run("pragma synchronous = normal")
    database.transaction(() => migrate(database, migrations)).immediate()
    database.run(`pragma busy_timeout = ${busyMs}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}
